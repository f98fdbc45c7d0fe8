/* Vectors of a shard: int8 rows in blocks of 256, scanned exactly. Rows of removed passages are skipped by their slot
 * until the shard is compacted. */
#include "retriever/index/shard.h"

static struct space *
find_space(struct shard *s, struct str model, size_t dims)
{
    for (size_t i = 0; i < s->n_spaces; i++)
        if (s->spaces[i].dims == dims && str_is(model, s->spaces[i].model))
            return &s->spaces[i];
    s->spaces = mem_resize(s->spaces, (s->n_spaces + 1) * sizeof *s->spaces);
    struct space *sp = &s->spaces[s->n_spaces++];

    *sp = (struct space){ .model = mem_dup_str(model), .dims = dims };
    return sp;
}

void
space_add(struct shard *s, struct str model, size_t dims, const float *v, uint32_t slot)
{
    struct space *sp = find_space(s, model, dims);
    size_t block = sp->n / SPACE_BLOCK, row = sp->n % SPACE_BLOCK;

    if (block == sp->cap) {
        sp->cap = sp->cap ? 2 * sp->cap : 4;
        sp->blocks = mem_resize(sp->blocks, sp->cap * sizeof(struct space_block *));
    }
    if (row == 0)
        sp->blocks[block] = mem_new(sizeof(struct space_block) + SPACE_BLOCK * dims);
    struct space_block *b = sp->blocks[block];

    b->scale[row] = dot_quantise(v, dims, b->q + row * dims);
    b->slot[row] = slot;
    sp->n++;
}

void
space_free(struct space *sp)
{
    for (size_t i = 0; i * SPACE_BLOCK < sp->n; i++)
        mem_free(&sp->blocks[i]);
    mem_free(&sp->blocks);
    mem_free(&sp->model);
}

static void
sift_down(struct space_top *h, size_t n, size_t i)
{
    for (;;) {
        size_t c = 2 * i + 1, least = i;

        if (c < n && h[c].score < h[least].score)
            least = c;
        if (c + 1 < n && h[c + 1].score < h[least].score)
            least = c + 1;
        if (least == i)
            return;
        struct space_top t = h[i];

        h[i] = h[least];
        h[least] = t;
        i = least;
    }
}

void
top_push(struct space_result *r, float score, uint32_t slot)
{
    if (r->n == r->cap) {
        if (score <= r->top[0].score)
            return;
        r->top[0] = (struct space_top){ score, slot };
        sift_down(r->top, r->n, 0);
        return;
    }
    r->top[r->n++] = (struct space_top){ score, slot };
    if (r->n == r->cap)
        for (size_t i = r->n / 2; i-- > 0;)
            sift_down(r->top, r->n, i);
}

static void
scan_block(const struct space_block *b, size_t rows, size_t dims, dot_i8_fn dot, const int8_t *query,
           float scale, const uint8_t *allow, struct space_result *r)
{
    for (size_t i = 0; i < rows; i++) {
        if (!allow[b->slot[i]])
            continue;
        float s = (float)dot(query, b->q + i * dims, dims) * scale * b->scale[i];

        r->sum += s;
        r->sum2 += (double)s * s;
        r->seen++;
        top_push(r, s, b->slot[i]);
    }
}

void
space_scan(const struct shard *s, dot_i8_fn dot, const struct engine_query *q, const int8_t *query,
           float scale, const uint8_t *allow, struct space_result *r)
{
    for (size_t i = 0; i < s->n_spaces; i++) {
        const struct space *sp = &s->spaces[i];

        if (sp->dims != q->dims || !str_is(q->model, sp->model))
            continue;
        for (size_t at = 0; at < sp->n; at += SPACE_BLOCK)
            scan_block(sp->blocks[at / SPACE_BLOCK], sp->n - at < SPACE_BLOCK ? sp->n - at : SPACE_BLOCK,
                       sp->dims, dot, query, scale, allow, r);
    }
}
