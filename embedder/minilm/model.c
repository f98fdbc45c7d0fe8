/* One pass: ids of tokens → vectors.
 *
 *   ids ─▶ word row + position ─▶ norm ─▶ layer × n ─▶ mean over each text's tokens (or its [CLS])
 *   layer: x ─▶ uint8 ─▶ qkv ─▶ attention, each text by itself ─▶ uint8 ─▶ out ─▶ norm(x + ·)
 *            ─▶ by blocks of rows: uint8 ─▶ up ─▶ GELU ─▶ uint8 ─▶ down ─▶ norm(x + ·)
 *
 * Texts of a pass stand behind each other, without padding: what is computed is what there is. Matrices are
 * int8 × uint8, the rest is float32. */
#include <assert.h>

#include "embedder/minilm/kernel.h"

enum { BLOCK = 32 /* rows of the feed-forward part that stay in the cache */, ROWS_MIN = 256 };

struct bert_run {
    const struct bert_file *f;
    const struct bert_kernel *k;
    size_t rows;
    float *x;              /* rows × hidden: the states */
    float *qkv;            /* rows × 3 hidden */
    float *mixed;          /* rows × hidden: what attention gave; then what is added to x */
    float *inner;          /* BLOCK × inner */
    float *room;           /* of one head */
    struct bert_rows byte; /* rows × hidden, or BLOCK × inner */
};

static size_t
larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct bert_run *
bert_run_new(const struct bert_file *f)
{
    struct bert_run *r = mem_new(sizeof *r);
    size_t n = larger(f->window, ROWS_MIN), d = f->hidden;

    r->f = f;
    r->k = bert_kernel();
    r->rows = n;
    r->x = mem_new(n * d * sizeof(float));
    r->qkv = mem_new(n * 3 * d * sizeof(float));
    r->mixed = mem_new(n * d * sizeof(float));
    r->inner = mem_new((size_t)BLOCK * f->inner * sizeof(float));
    r->room = mem_new((d / f->heads + BERT_TILE) * (n + 32) * sizeof(float));
    r->byte.q = mem_new(larger(n * d, (size_t)BLOCK * f->inner));
    r->byte.scale = mem_new(n * sizeof(float));
    r->byte.zero = mem_new(n * sizeof(int32_t));
    return r;
}

void
bert_run_free(struct bert_run **rp)
{
    struct bert_run *r = *rp;

    if (!r)
        return;
    mem_free(&r->x);
    mem_free(&r->qkv);
    mem_free(&r->mixed);
    mem_free(&r->inner);
    mem_free(&r->room);
    mem_free(&r->byte.q);
    mem_free(&r->byte.scale);
    mem_free(&r->byte.zero);
    mem_free(rp);
}

size_t
bert_run_rows(const struct bert_run *r)
{
    return r->rows;
}

static void
look_up(struct bert_run *r, const uint32_t *ids, const size_t *at, size_t n)
{
    const struct bert_file *f = r->f;
    size_t d = f->hidden;

    for (size_t t = 0; t < n; t++)
        for (size_t i = at[t]; i < at[t + 1]; i++) {
            const int8_t *word = f->word + ids[i] * d;
            const float *place = f->position + (i - at[t]) * d;
            float scale = f->word_scale[ids[i]], *x = r->x + i * d;

            for (size_t c = 0; c < d; c++)
                x[c] = (float)word[c] * scale + place[c];
        }
    r->k->norm(r->x, NULL, at[n], d, &f->first, f->eps);
}

static void
attention(struct bert_run *r, const struct bert_layer *l, const size_t *at, size_t n)
{
    size_t d = r->f->hidden, head = d / r->f->heads, rows = at[n];

    r->k->quantise(r->x, rows, d, &r->byte);
    r->k->multiply(&l->qkv, &r->byte, rows, r->qkv, 3 * d);
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < d; h += head) {
            const float *q = r->qkv + at[t] * 3 * d + h;

            r->k->attend(q, q + d, q + 2 * d, at[t + 1] - at[t], head, 3 * d, r->mixed + at[t] * d + h, d,
                         r->room);
        }
    r->k->quantise(r->mixed, rows, d, &r->byte);
    r->k->multiply(&l->out, &r->byte, rows, r->mixed, d);
    r->k->norm(r->x, r->mixed, rows, d, &l->after_attention, r->f->eps);
}

static void
feed_forward(struct bert_run *r, const struct bert_layer *l, size_t rows)
{
    size_t d = r->f->hidden, inner = r->f->inner;

    for (size_t i = 0; i < rows; i += BLOCK) {
        size_t n = rows - i < BLOCK ? rows - i : BLOCK;
        float *x = r->x + i * d;

        r->k->quantise(x, n, d, &r->byte);
        r->k->multiply(&l->up, &r->byte, n, r->inner, inner);
        r->k->gelu(r->inner, n * inner);
        r->k->quantise(r->inner, n, inner, &r->byte);
        r->k->multiply(&l->down, &r->byte, n, r->mixed, d);
        r->k->norm(x, r->mixed, n, d, &l->after_feed, r->f->eps);
    }
}

static void
pool(const struct bert_run *r, const size_t *at, size_t n, float *out)
{
    size_t d = r->f->hidden;

    memset(out, 0, n * d * sizeof *out);
    for (size_t t = 0; t < n; t++, out += d) {
        size_t end = r->f->cls ? at[t] + 1 : at[t + 1];

        for (size_t i = at[t]; i < end; i++)
            for (size_t c = 0; c < d; c++)
                out[c] += r->x[i * d + c];
        for (size_t c = 0; c < d; c++)
            out[c] /= (float)(end - at[t]);
    }
}

void
bert_pass(struct bert_run *r, const uint32_t *ids, const size_t *at, size_t n, float *out,
          void (*between)(void *), void *arg)
{
    assert(n > 0 && at[0] == 0 && at[n] <= r->rows);
    for (size_t t = 0; t < n; t++)
        assert(at[t + 1] > at[t] && at[t + 1] - at[t] <= r->f->window);
    look_up(r, ids, at, n);
    for (size_t i = 0; i < r->f->layers; i++) {
        attention(r, &r->f->layer[i], at, n);
        feed_forward(r, &r->f->layer[i], at[n]);
        if (between)
            between(arg);
    }
    pool(r, at, n, out);
}
