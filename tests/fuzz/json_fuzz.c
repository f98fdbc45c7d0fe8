/* JSON bodies.
 * Properties: the short way for plain objects and jansson agree; what was read and is written reads as
 * the same again; depth and number of values are bounded; strings that are written are valid JSON
 * whatever bytes they hold. */
#include "common/text/json.h"
#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

static void
written_reads_again(struct str s)
{
    struct buf b = { 0 };
    enum json_fault fault;
    const char *detail;
    json_t *o;

    buf_z(&b, "{");
    buf_key_str(&b, "k", s);
    buf_key_num(&b, "d",
                s.n >= 8 ? ((union {
                               char c[8];
                               double d;
                           }){ { s.p[0], s.p[1], s.p[2], s.p[3], s.p[4], s.p[5], s.p[6], s.p[7] } })
                               .d
                         : 1);
    buf_z(&b, "}");
    o = json_read(buf_slice(&b), &fault, &detail);
    if (!o) /* NUL is written as an escape, which is refused when it is read */
        require(s.n > 0 && memchr(s.p, 0, s.n) && fault == JSON_NUL);
    else if (utf8_valid(s))
        require(str_eq(json_str(o, "k"), s));
    json_decref(o);
    buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str s = { exact((struct str){ (const char *)data, n }), n };
    char *memory = (char *)(uintptr_t)s.p;
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read_most(s, JSON_BODY_VALUES, &fault, &detail);
    json_t *plain = json_loadb(s.p, s.n, JSON_REJECT_DUPLICATES, NULL);

    require((!o) == (fault != JSON_OK) && detail);
    if (o) {
        char *text = json_dumps(o, JSON_COMPACT);

        require(plain && json_equal(o, plain));
        require(text != NULL);
        json_t *again = json_read(str_of(text), &fault, &detail);

        require(again && json_equal(o, again));
        json_decref(again);
        free(text);
    }
    written_reads_again(s);
    json_decref(o);
    json_decref(plain);
    mem_free(&memory);
    return 0;
}
