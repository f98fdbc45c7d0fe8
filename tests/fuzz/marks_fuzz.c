/* Citation marks: an answer and, behind a NUL, what the model was given. An answer's byte may stand for a
 * piece that matters here.
 * Properties: marks stand in the cleaned answer, in order, at a bracket, and name a passage that there is;
 * the cleaned answer is not longer than what marks written apart make of it; cleaning it once more drops
 * nothing. cite_answer's excerpts are bytes of their passage. */
#include "cite/cite.h"
#include "cite/marks.h"
#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

static const char *const tokens[] = {
    "[1]",
    "[2]",
    "[3]",
    "[",
    "]",
    "【1】",
    "【",
    "】",
    "†",
    "(1)",
    "[1, 2]",
    "[1-3]",
    "[1][2]",
    "[^1]",
    "[99]",
    "[0]",
    "[source 1]",
    "(source: 1)",
    "`",
    "```\n",
    "$",
    "$$",
    "\\(",
    "\\)",
    "[a](b)",
    "](",
    "![",
    "[1]: http://x\n",
    "<sup>1</sup>",
    "<cite>",
    "¹",
    "a[0]",
    "[1932]",
    "\n",
    "\n\n",
    ". ",
    "the limit is ten",
    " ",
    ",",
    ";",
    "-",
    "–",
    "and",
    "[1",
    "1]",
    "[doc 2]",
    "Source",
    "①",
    "[1](#1)",
    "é",
    "。",
    "العربية ",
    "<sup>",
    "</sup>",
    "\\[",
    "\\]",
    "~~~\n",
    "[١]",
    "[S1]",
    "(2)",
    "(see ",
    "According to source 1, ",
};
#define TOKENS (sizeof tokens / sizeof *tokens)

static void
judge_cite(struct str answer, const struct str *given, size_t n, struct words *w)
{
    struct arena *a = arena_new(1u << 24);
    struct hit hits[4] = { { .document_id = { { 1 } } } };
    struct cite_req req = { .answer = answer, .hits = { hits, n } };
    struct cite_rep rep = { .answer = STR_NONE };
    struct cite_counts counts;

    for (size_t i = 0; i < n; i++)
        hits[i] = (struct hit){ .document_id = { { (uint8_t)(i + 1) } },
                                .text = given[i],
                                .start = 100,
                                .end = 100 + (int64_t)given[i].n };
    if (cite_answer(&req, w, a, &rep, &counts) == ERR_OK) {
        require(utf8_valid(rep.answer));
        for (size_t i = 0; i < rep.citations.n; i++) {
            const struct citation *c = &rep.citations.v[i];

            require(c->n >= 1 && (size_t)c->n <= n);
            require(c->start >= 100 && c->start <= c->end && c->end <= 100 + (int64_t)given[c->n - 1].n);
            require(str_eq(c->excerpt, (struct str){ given[c->n - 1].p + (c->start - 100),
                                                     (size_t)(c->end - c->start) }));
            require(utf8_valid(c->excerpt) && utf8_count(c->excerpt) <= CITE_EXCERPT_CHARS);
        }
    }
    arena_free(&a);
}

static void
judge_marks(struct str answer, struct evidence *e, struct buf *out, size_t *dropped)
{
    struct arena *a = arena_new(1u << 24);
    struct marks_in in = { .answer = answer, .hits = 3, .evidence = e };
    struct marks marks = { .n = 0 };
    size_t at = 0;

    require(marks_find(&in, out, a, &marks));
    for (size_t i = 0; i < marks.n; i++) {
        require(marks.v[i].n >= 1 && marks.v[i].n <= 3 && marks.v[i].at >= at && marks.v[i].at < out->n);
        at = marks.v[i].at;
    }
    *dropped = marks.dropped;
    arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct words *w;
    struct buf text = BUF_MAX(0), once = BUF_MAX(0), twice = BUF_MAX(0);
    size_t dropped;

    w = w ? w : words_new();
    for (size_t i = 0; i < n && i < 2000; i++)
        if (data[i] >= 128 && data[i] - 128u < TOKENS)
            buf_z(&text, tokens[data[i] - 128]);
        else
            buf_c(&text, (char)(data[i] & 127));
    struct str all = buf_slice(&text), answer = take_until(&all, 0), given[3];

    for (size_t i = 0; i < 3; i++)
        given[i] = take_until(&all, 0);
    struct evidence e = { given, 3, 1u << 16 };

    judge_marks(answer, &e, &once, &dropped);
    require(utf8_valid(buf_slice(&once)));
    e.budget = 1u << 16;
    judge_marks(buf_slice(&once), &e, &twice, &dropped);
    judge_cite(answer, given, 3, w);
    buf_free(&text);
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
