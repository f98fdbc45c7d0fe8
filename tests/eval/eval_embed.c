/* The embedder's part of the evaluation. See eval_embed.h. */
#include "tests/eval/eval_embed.h"

#include <string.h>

#include "embedder/builtin/quote.h"

void
eval_embed(const char *p, size_t n, float *out, size_t dims)
{
    struct tokens *t = tokens_new();

    memset(out, 0, dims * sizeof(*out));
    builtin_embed(t, (struct str){ p, n }, out, dims);
    tokens_free(&t);
}

void
eval_answer(struct str question, const struct search_rep *found, struct buf *out, struct cite_req *cite)
{
    static struct chat_marks marks;
    struct chat_req req = { .question = question };

    req.hits.v = found->hits.v;
    req.hits.n = found->hits.n;
    marks.n = 0;
    builtin_answer(&req, out, &marks, &cite->refused);
    cite->marked = true;
    cite->marks.v = marks.v;
    cite->marks.n = marks.n;
}

bool
eval_quote(struct str question, const struct search_rep *found, struct eval_evidence *out)
{
    struct chat_req req = { .question = question };
    const struct unit *q[QUOTES];

    req.hits.v = found->hits.v;
    req.hits.n = found->hits.n;
    struct digest d = { .req = &req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u), .all = true };

    quote_terms(&d);
    quote_cut(&d);
    double missing = 0;
    bool any = quote_pick(&d, q) > 0;

    for (size_t i = 0; any && i < d.n_terms; i++)
        missing += !d.terms[i].weak && d.terms[i].seen == 0;
    if (any)
        *out = (struct eval_evidence){ .text = q[0]->text, .hit = q[0]->hit, .direct = q[0]->direct, .coverage = q[0]->coverage,
            .wish = d.wish == WISH_ANY ? 0 : (d.wish == WISH_NUMBER ? q[0]->digits : q[0]->name) ? 1 : -1, .terms = (double)d.n_terms,
            .strong = (double)d.n_strong, .missing = missing };
    mem_free(&d.u);
    words_free(&d.words);
    return any;
}
