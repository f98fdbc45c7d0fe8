/* A document on its way into the index: strings copied, words counted, vectors checked. No lock is held here. */
#include <math.h>
#include <stdlib.h>

#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/extract/markdown.h"
#include "retriever/index/shard.h"

enum { PASSAGE_MAX = 1 << 20, LANGUAGE_BYTES = 8192, LEAD_MAX = 1024 };

static char *
blob_new(struct index_doc *d, size_t n)
{
    struct blob *b = mem_try(sizeof(*b) + n + 1);

    if (!b)
        return NULL;
    b->next = d->blobs;
    d->blobs = b;
    d->bytes += sizeof(*b) + n;
    return b->bytes;
}

static struct str
put_str(char **at, struct str s)
{
    struct str out = { *at, s.n };

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return out;
}

struct index_doc *
index_doc_new(const struct chunks_get_rep *rep)
{
    const struct document *m = &rep->document.v[0];
    struct index_doc *d = mem_new(sizeof(*d));
    enum json_fault fault;
    const char *detail;
    char *at = blob_new(d, rep->tenant.n + m->collection.n + m->external_id.n + m->title.n + m->url.n + rep->model.n);

    if (!at) {
        mem_free(&d);
        return NULL;
    }
    d->id = m->id;
    uuid_text(&m->id, d->id_text);
    d->tenant = put_str(&at, rep->tenant);
    d->collection = put_str(&at, m->collection);
    d->external_id = put_str(&at, m->external_id);
    d->title = put_str(&at, m->title);
    d->url = put_str(&at, m->url);
    d->model = put_str(&at, rep->model);
    d->metadata = m->metadata.n ? json_read(m->metadata, &fault, &detail) : NULL;
    d->bytes += sizeof(*d) + 4 * m->metadata.n;
    return d;
}

void
index_doc_free(struct index_doc **dp)
{
    struct index_doc *d = *dp;

    if (!d)
        return;
    while (d->blobs) {
        struct blob *b = d->blobs;

        d->blobs = b->next;
        mem_free(&b);
    }
    json_decref(d->metadata);
    mem_free(&d->v);
    mem_free(&d->hash);
    mem_free(&d->tf);
    mem_free(&d->vectors);
    mem_free(dp);
}

size_t
index_doc_bytes(const struct index_doc *d)
{
    return d->bytes;
}

struct bag {            /* words of one passage */
    uint64_t *v;
    size_t n, cap;
};

static void
bag_add(void *arg, const struct word *w)
{
    struct bag *b = arg;

    if (w->cls == WORD_STOP)
        return;
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 256;
        b->v = mem_resize(b->v, b->cap * sizeof(*b->v));
    }
    b->v[b->n++] = w->h;
}

static int
hash_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
add_word(struct index_doc *d, uint64_t h, size_t tf)
{
    if (d->n_words == d->words_cap) {
        d->words_cap = d->words_cap ? d->words_cap + d->words_cap / 2 : 128;
        d->hash = mem_resize(d->hash, d->words_cap * sizeof(*d->hash));
        d->tf = mem_resize(d->tf, d->words_cap * sizeof(*d->tf));
    }
    d->hash[d->n_words] = h;
    d->tf[d->n_words++] = (uint16_t)(tf < 65535 ? tf : 65535);
}

static void
count_words(struct index_doc *d, struct words *w, struct passage *p)
{
    struct buf all = BUF_MAX(PASSAGE_MAX);
    struct bag bag = { 0 };

    chunk_passage(&all, d->title, p->chapter, p->section, p->lead, p->text);
    words_each(w, buf_slice(&all), bag_add, &bag);
    if (bag.n)
        qsort(bag.v, bag.n, sizeof(*bag.v), hash_cmp);
    p->first = d->n_words;
    for (size_t i = 0, k; i < bag.n; i = k) {
        for (k = i; k < bag.n && bag.v[k] == bag.v[i]; k++)
            ;
        add_word(d, bag.v[i], k - i);
    }
    p->n = d->n_words - p->first;
    p->len = (uint32_t)bag.n;
    d->bytes += p->n * (sizeof(uint64_t) + sizeof(uint16_t) + sizeof(struct posting) + 4);
    mem_free(&bag.v);
    buf_free(&all);
}

/* Copy a vector at unit length; false when it cannot be used. */
static bool
unit_copy(struct str raw, size_t dims, float *out)
{
    double norm = 0;

    memcpy(out, raw.p, dims * sizeof(float));
    for (size_t i = 0; i < dims; i++)
        norm += (double)out[i] * out[i];
    if (!isfinite(norm) || norm < 1e-12)
        return false;
    norm = 1 / sqrt(norm);
    for (size_t i = 0; i < dims; i++)
        out[i] = (float)(out[i] * norm);
    return true;
}

static bool
add_vector(struct index_doc *d, struct passage *p, struct str raw)
{
    if (raw.n < sizeof(float) || raw.n % sizeof(float))
        return true;
    if (d->dims == 0)
        d->dims = raw.n / sizeof(float);
    if (raw.n != d->dims * sizeof(float))
        return true;
    if (d->rows == d->rows_cap) {
        size_t cap = d->rows_cap ? 2 * d->rows_cap : d->cap;
        float *v = mem_try(cap * d->dims * sizeof(float));

        if (!v)
            return false;
        if (d->rows)
            memcpy(v, d->vectors, d->rows * d->dims * sizeof(float));
        mem_free(&d->vectors);
        d->vectors = v;
        d->rows_cap = cap;
    }
    if (!unit_copy(raw, d->dims, d->vectors + d->rows * d->dims))
        return true;
    p->vector = ++d->rows;
    d->bytes += d->dims * (sizeof(float) + 1) + sizeof(float) + sizeof(uint32_t);
    return true;
}

/* The head of the table that p begins in the middle of: a slice of the passage before, which lives as long. */
static struct str
lead_of(const struct index_doc *d, const struct passage *p)
{
    const struct passage *before = d->n ? &d->v[d->n - 1] : NULL;
    struct str last, head;

    if (!before || before->text.n == 0 || p->start - before->end > 2 || p->text.n == 0 || p->text.p[0] != '|')
        return STR_NONE;
    last = before->text;
    while (last.n && last.p[last.n - 1] != '\n')
        last.n--;
    head = md_table_head(before->text, last.n);
    if (head.n == 0 && before->text.p[0] == '|')
        head = before->lead;
    return head.n <= LEAD_MAX ? head : STR_NONE;
}

/* The whole document is read in one language: the one that its collection sets, else that of its title and its first page. */
static void
find_language(struct index_doc *d, const struct chunks_get_rep *rep)
{
    struct buf text = BUF_MAX(2 * LANGUAGE_BYTES);

    buf_str(&text, utf8_cut(d->title, LANGUAGE_BYTES / 2));
    for (size_t i = 0; i < rep->chunks.n && text.n < LANGUAGE_BYTES; i++) {
        buf_c(&text, '\n');
        buf_str(&text, utf8_cut(rep->chunks.v[i].text, LANGUAGE_BYTES - text.n));
    }
    d->language_set = language_parse(rep->language, &d->language);
    if (!d->language_set)
        d->language = language_of(buf_slice(&text), 0, LANG_ENGLISH);
    d->language_known = true;
    buf_free(&text);
}

bool
index_doc_add(struct index_doc *d, struct words *w, const struct chunks_get_rep *rep)
{
    size_t need = 0;

    if (!d->language_known)
        find_language(d, rep);
    words_language(w, d->language);
    for (size_t i = 0; i < rep->chunks.n; i++)
        need += rep->chunks.v[i].chapter.n + rep->chunks.v[i].section.n + rep->chunks.v[i].text.n;
    char *at = blob_new(d, need);

    if (!at)
        return false;
    if (d->n + rep->chunks.n > d->cap) {
        d->cap = d->n + rep->chunks.n;
        d->v = mem_resize(d->v, d->cap * sizeof(*d->v));
        d->bytes += rep->chunks.n * (sizeof(*d->v) + 8);
    }
    for (size_t i = 0; i < rep->chunks.n; i++) {
        const struct chunk *c = &rep->chunks.v[i];
        struct passage *p = &d->v[d->n];

        *p = (struct passage){ .id = c->id, .start = c->start, .end = c->end };
        p->chapter = put_str(&at, c->chapter);
        p->section = put_str(&at, c->section);
        p->text = put_str(&at, c->text);
        p->lead = lead_of(d, p);
        if (c->end - c->start != (int64_t)c->text.n)
            continue;
        count_words(d, w, p);
        if (!add_vector(d, p, c->vector))
            return false;
        d->n++;
    }
    return true;
}
