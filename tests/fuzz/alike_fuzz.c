/* Two questions, apart by a line feed, of which a byte may stand for a piece that matters here.
 * Properties: each asks the same as itself, unless too little or too much is said to be compared; what differs in a number does not. */
#include "tests/fuzz/fuzz.h"
#include "text/alike.h"

#include "common/utf8.h"

static const char *const tokens[] = {
    "how do i ",  "what is ",
    "in ",        "of ",
    "to ",        "from ",
    "redis ",     "Redis ",
    "limit ",     "limits ",
    "not ",       "n't ",
    "only ",      "\"",
    "`",          "'",
    "’",          "-",
    "?",          "!",
    ", ",         "14 ",
    "1,024 ",     "5% ",
    "LOG_LEVEL ", "can you tell me if ",
    "please ",    "setting up ",
    "wie ",       "kann man ",
    "é",          "水泵",
    "Die Pumpe ", "US ",
};
#define TOKENS (sizeof tokens / sizeof *tokens)

static void
expand(struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++)
        if ((uint8_t)in.p[i] >= 0x80)
            buf_z(out, tokens[(uint8_t)in.p[i] % TOKENS]);
        else
            buf_c(out, in.p[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n }, first = take_until(&in, '\n');
    struct buf a = BUF_MAX(65536), b = BUF_MAX(65536), more = BUF_MAX(65600);
    struct alike_text *x, *y, *z;

    expand(first, &a);
    expand(in, &b);
    buf_str(&more, buf_slice(&a));
    buf_z(&more, " 4711");
    require(utf8_valid(buf_slice(&a)));
    x = alike_new(buf_slice(&a), LANG_ENGLISH);
    y = alike_new(buf_slice(&b), LANG_ENGLISH);
    z = alike_new(buf_slice(&more), LANG_ENGLISH);
    require(alike_judge(x, x) == ALIKE_SAME || alike_judge(x, x) == ALIKE_WORDS);
    require(alike_judge(x, z) != ALIKE_SAME);
    (void)alike_judge(x, y);
    (void)alike_judge(y, x);
    alike_free(&x);
    alike_free(&y);
    alike_free(&z);
    buf_free(&a);
    buf_free(&b);
    buf_free(&more);
    return 0;
}
