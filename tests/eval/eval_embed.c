/* The embedder's part of the evaluation. See eval_embed.h. */
#include "tests/eval/eval_embed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest.h"
#include "embedder/builtin/builtin.h"
#include "embedder/builtin/quote.h"
#include "embedder/minilm/pool.h"

/* A sentence model's vectors that are known: records of a digest and the floats, sorted by the digest; new
 * ones go to the file's end. */
static struct {
    struct bert_file *f;
    struct bert_packer *packer;
    int cache;
    char *known;
    size_t n, size;
} model = { .cache = -1 };

static int
by_digest(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void
read_cache(const char *path)
{
    off_t end;

    model.cache = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (model.cache < 0 || (end = lseek(model.cache, 0, SEEK_END)) <= 0)
        return;
    model.n = (size_t)end / model.size;
    model.known = mem_new(model.n * model.size);
    for (size_t at = 0; at < model.n * model.size;) {
        ssize_t got = pread(model.cache, model.known + at, model.n * model.size - at, (off_t)at);

        if (got <= 0) {
            model.n = at / model.size;
            break;
        }
        at += (size_t)got;
    }
    qsort(model.known, model.n, model.size, by_digest);
}

size_t
eval_model(const char *file, const char *cache)
{
    struct buf why = BUF_MAX(1024);

    model.f = bert_open(file, &why);
    if (!model.f) {
        (void)fprintf(stderr, "%s\n", why.p);
        buf_free(&why);
        return 0;
    }
    model.packer = bert_packer_new(model.f);
    model.size = 32 + model.f->hidden * sizeof(float);
    if (cache)
        read_cache(cache);
    return model.f->hidden;
}

const char *
eval_model_name(void)
{
    return model.f != NULL ? model.f->name : BUILTIN_EMBED_MODEL;
}

static void
embed_by_model(struct str text, float *out)
{
    static char row[32 + EMBED_MAX_DIMS * sizeof(float)];
    const char *at;

    sha256(&text, 1, (uint8_t *)row);
    at = model.n > 0 ? bsearch(row, model.known, model.n, model.size, by_digest) : NULL;
    if (at) {
        memcpy(out, at + 32, model.size - 32);
        return;
    }
    memset(out, 0, model.size - 32);
    bert_embed(model.packer, &text, &out, 1, NULL, NULL);
    memcpy(row + 32, out, model.size - 32);
    if (model.cache >= 0 && write(model.cache, row, model.size) != (ssize_t)model.size)
        (void)fprintf(stderr, "the cache of vectors cannot be written\n");
}

void
eval_embed(const char *p, size_t n, float *out, size_t dims)
{
    struct tokens *t;

    if (model.f) {
        embed_by_model((struct str){ p, n }, out);
        return;
    }
    t = tokens_new();
    memset(out, 0, dims * sizeof *out);
    builtin_embed(t, (struct str){ p, n }, out, dims);
    tokens_free(&t);
}

double
eval_cosine(struct str a, struct str b)
{
    static float v[2][EMBED_MAX_DIMS];
    double sum = 0;

    if (!model.f)
        return 0;
    embed_by_model(a, v[0]);
    embed_by_model(b, v[1]);
    for (size_t i = 0; i < model.f->hidden; i++)
        sum += (double)v[0][i] * (double)v[1][i];
    return sum;
}

static void
embed_near(const struct embed_near *m, const struct str *texts, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        eval_embed(texts[i].p, texts[i].n, out + i * m->dims, m->dims);
}

void
eval_answer(struct str question, const struct search_rep *found, struct buf *out, struct cite_req *cite)
{
    static struct chat_marks marks;
    struct chat_req req = { .question = question };

    req.hits.v = found->hits.v;
    req.hits.n = found->hits.n;
    marks.n = 0;
    struct embed_near near = { .dims = model.f != NULL ? model.f->hidden : 0,
                               .fitted = model.f != NULL &&
                                         str_starts(str_of(model.f->name), "all-MiniLM-L6-v2"),
                               .embed = embed_near };

    builtin_answer(&req, model.f != NULL ? &near : NULL, out, &marks, &cite->refused);
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
    struct digest d = {
        .req = &req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u), .all = true
    };

    quote_terms(&d);
    quote_cut(&d);
    double missing = 0;
    bool any = quote_pick(&d, q) > 0;

    for (size_t i = 0; any && i < d.n_terms; i++)
        missing += !d.terms[i].weak && d.terms[i].seen == 0;
    if (any)
        *out = (struct eval_evidence){ .text = q[0]->text,
                                       .hit = q[0]->hit,
                                       .direct = q[0]->direct,
                                       .coverage = q[0]->coverage,
                                       .wish = d.wish == WISH_ANY                                    ? 0
                                               : (d.wish == WISH_NUMBER ? q[0]->digits : q[0]->name) ? 1
                                                                                                     : -1,
                                       .terms = (double)d.n_terms,
                                       .strong = (double)__builtin_popcount(d.strong),
                                       .missing = missing };
    mem_free(&d.u);
    words_free(&d.words);
    return any;
}
