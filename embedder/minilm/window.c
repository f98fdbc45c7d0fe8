/* Texts of any length through passes of limited ones.
 *
 *   text ─▶ tokens ─▶ windows of equal length, as few as there must be ─▶ packed behind each other until a pass is full ─▶ pass
 *   vector of a text = Σ vector of its window × its tokens, to length 1 */
#include "embedder/embed.h"
#include "embedder/minilm/pool.h"

enum { SEGMENTS = 64 };

struct bert_packer {
    const struct bert_file *f;
    struct bert_run *run;
    uint32_t *ids; /* of the pass that is being filled */
    size_t at[SEGMENTS + 1];
    float *out[SEGMENTS]; /* whose each segment is */
    size_t n;             /* segments */
    float *vectors;       /* SEGMENTS × hidden */
    uint32_t *tokens;     /* of one text */
    size_t tokens_cap;
    void (*between)(void *);
    void *arg;
};

struct bert_packer *
bert_packer_new(const struct bert_file *f)
{
    struct bert_packer *p = mem_new(sizeof *p);

    p->f = f;
    p->run = bert_run_new(f);
    p->ids = mem_new(bert_run_rows(p->run) * sizeof *p->ids);
    p->vectors = mem_new((size_t)SEGMENTS * f->hidden * sizeof *p->vectors);
    return p;
}

void
bert_packer_free(struct bert_packer **pp)
{
    struct bert_packer *p = *pp;

    if (!p)
        return;
    bert_run_free(&p->run);
    mem_free(&p->ids);
    mem_free(&p->vectors);
    mem_free(&p->tokens);
    mem_free(pp);
}

static void
flush(struct bert_packer *p)
{
    size_t d = p->f->hidden;

    if (p->n == 0)
        return;
    bert_pass(p->run, p->ids, p->at, p->n, p->vectors, p->between, p->arg);
    for (size_t i = 0; i < p->n; i++) {
        float weight = (float)(p->at[i + 1] - p->at[i]);

        for (size_t c = 0; c < d; c++)
            p->out[i][c] += weight * p->vectors[i * d + c];
    }
    p->n = 0;
}

/* One window between [CLS] and [SEP]. */
static void
add_window(struct bert_packer *p, const uint32_t *ids, size_t n, float *out)
{
    size_t at;

    if (p->n == SEGMENTS || p->at[p->n] + n + 2 > bert_run_rows(p->run))
        flush(p);
    at = p->at[p->n];
    p->ids[at] = p->f->begin;
    memcpy(p->ids + at + 1, ids, n * sizeof *ids);
    p->ids[at + n + 1] = p->f->end;
    p->out[p->n++] = out;
    p->at[p->n] = at + n + 2;
}

/* No character becomes more than two tokens a byte. */
static size_t
read_tokens(struct bert_packer *p, struct str text)
{
    size_t most = 2 * text.n + 1;

    if (most > p->tokens_cap) {
        p->tokens = mem_resize(p->tokens, most * sizeof *p->tokens);
        p->tokens_cap = most;
    }
    return bert_tokens(p->f, text, p->tokens, most);
}

void
bert_embed(struct bert_packer *p, const struct str *texts, float *const *out, size_t n,
           void (*between)(void *), void *arg)
{
    size_t window = p->f->window - 2;

    p->between = between;
    p->arg = arg;
    for (size_t i = 0; i < n; i++) {
        size_t have = read_tokens(p, texts[i]), windows = have > 0 ? (have + window - 1) / window : 1;

        for (size_t w = 0; w < windows; w++) {
            size_t from = have * w / windows;

            add_window(p, p->tokens + from, have * (w + 1) / windows - from, out[i]);
        }
    }
    flush(p);
    for (size_t i = 0; i < n; i++)
        if (!vector_unit(out[i], p->f->hidden))
            out[i][0] = 1; /* never seen: a model whose numbers are none */
}
