/* A document on its way into the index: strings copied, words counted, vectors checked. No lock is held here. */
#include <math.h>
#include <stdlib.h>

#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/index/shard.h"
#include "text/anchor.h"
#include "text/sign.h"

enum { PASSAGE_MAX = 1 << 20, LANGUAGE_BYTES = 8192 };

static char *
blob_new(struct index_doc *d, size_t n)
{
    struct blob *b = mem_try(sizeof *b + n + 1);

    if (!b)
        return NULL;
    b->next = d->blobs;
    d->blobs = b;
    d->bytes += sizeof *b + n;
    return b->bytes;
}

/* An absent string is an empty one in the index. */
static struct str
put_str(char **at, struct str s)
{
    return str_put(at, s.p ? s : STR(""));
}

struct index_doc *
index_doc_new(const struct chunks_get_rep *rep)
{
    const struct document *m = &rep->document.v[0];
    struct index_doc *d = mem_new(sizeof *d);
    enum json_fault fault;
    const char *detail;
    char *at = blob_new(d, rep->tenant.n + m->collection.n + m->external_id.n + m->title.n + m->url.n +
                               rep->model.n + rep->second_model.n);

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
    d->set[0].model = put_str(&at, rep->model);
    d->set[1].model = put_str(&at, rep->second_model);
    d->spare = rep->second_model.n == 0 || !str_eq(rep->second_model, rep->space);
    d->metadata = m->metadata.n ? json_read(m->metadata, &fault, &detail) : NULL;
    d->bytes += sizeof *d + 4 * m->metadata.n;
    return d;
}

static void
set_free(struct vector_set *s)
{
    mem_free(&s->v);
    mem_free(&s->row);
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
    for (size_t i = 0; i < VECTOR_SETS; i++)
        set_free(&d->set[i]);
    mem_free(dp);
}

/* Where on the document's page the passage stands: its url as it is, unless the passage has an anchor of its own. */
static struct str
link_of(const struct index_doc *d, const struct passage *p, struct arena *a)
{
    enum anchor_style style;
    struct str page;

    if (p->anchor.n > 0 && anchor_wanted(d->url, &style, &page))
        return str_of(arena_printf(a, STR_FMT "#" STR_FMT, STR_ARG(page), STR_ARG(p->anchor)));
    return d->url;
}

bool
index_hit(const struct index_doc *d, const struct passage *p, struct str text, struct arena *a,
          struct hit *out)
{
    const struct str from[] = { d->external_id, d->collection,    d->title, p->chapter,
                                p->section,     link_of(d, p, a), text };
    struct str to[sizeof from / sizeof *from] = { { 0 } };

    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        if (from[i].n > 0 && !(to[i] = arena_str(a, from[i])).p)
            return false;
    *out = (struct hit){ .chunk_id = p->id,
                         .document_id = d->id,
                         .external_id = to[0],
                         .collection = to[1],
                         .title = to[2],
                         .chapter = to[3],
                         .section = to[4],
                         .url = to[5],
                         .text = to[6].p ? to[6] : STR(""),
                         .page = p->page,
                         .start = p->start,
                         .end = p->end };
    return true;
}

size_t
index_doc_bytes(const struct index_doc *d)
{
    return d->bytes;
}

struct bag { /* words of one passage; memory that serves all of a document */
    struct buf text;
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
        b->v = mem_resize(b->v, b->cap * sizeof *b->v);
    }
    b->v[b->n++] = w->h;
}

/* Hashes in their order, in place: what qsort does with a call for each comparison is a tenth of all that a passage costs. */
static void
sort_hashes(uint64_t *v, size_t n)
{
    enum { FEW = 16 };

    while (n > FEW) {
        uint64_t a = v[0], b = v[n / 2], c = v[n - 1],
                 pivot = a < b ? (b < c   ? b
                                  : a < c ? c
                                          : a)
                               : (a < c   ? a
                                  : b < c ? c
                                          : b);
        size_t lo = 0, hi = n - 1;

        for (;; lo++, hi--) {
            while (v[lo] < pivot)
                lo++;
            while (v[hi] > pivot)
                hi--;
            if (lo >= hi)
                break;
            uint64_t t = v[lo];

            v[lo] = v[hi];
            v[hi] = t;
        }
        /* the smaller part by itself, so that calls nest no deeper than a logarithm */
        if (hi + 1 < n - hi - 1) {
            sort_hashes(v, hi + 1);
            v += hi + 1;
            n -= hi + 1;
        } else {
            sort_hashes(v + hi + 1, n - hi - 1);
            n = hi + 1;
        }
    }
    for (size_t i = 1; i < n; i++) {
        uint64_t x = v[i];
        size_t k = i;

        for (; k > 0 && v[k - 1] > x; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

static void
add_word(struct index_doc *d, uint64_t h, size_t tf)
{
    if (d->n_words == d->words_cap) {
        d->words_cap = d->words_cap ? d->words_cap + d->words_cap / 2 : 128;
        d->hash = mem_resize(d->hash, d->words_cap * sizeof *d->hash);
        d->tf = mem_resize(d->tf, d->words_cap * sizeof *d->tf);
    }
    d->hash[d->n_words] = h;
    d->tf[d->n_words++] = (uint16_t)(tf < 65535 ? tf : 65535);
}

static void
count_words(struct index_doc *d, struct words *w, struct passage *p, struct bag *bag)
{
    bag->n = 0;
    buf_reset(&bag->text);
    chunk_passage(&bag->text, d->title, p->chapter, p->section, p->lead, p->text);
    words_each(w, buf_slice(&bag->text), bag_add, bag);
    signs_each(buf_slice(&bag->text), bag_add, bag);
    sort_hashes(bag->v, bag->n);
    p->first = d->n_words;
    for (size_t i = 0, k; i < bag->n; i = k) {
        for (k = i; k < bag->n && bag->v[k] == bag->v[i]; k++)
            ;
        add_word(d, bag->v[i], k - i);
    }
    p->n = d->n_words - p->first;
    p->len = (uint32_t)bag->n;
    d->bytes += p->n * (sizeof(uint64_t) + sizeof(uint16_t) + sizeof(struct posting) + 4);
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

static size_t
row_cost(size_t dims)
{
    return dims * (sizeof(float) + 1) + sizeof(float) + 2 * sizeof(uint32_t);
}

static bool
set_room(struct vector_set *s, size_t passages)
{
    if (s->rows == s->rows_cap) {
        size_t cap = s->rows_cap ? 2 * s->rows_cap : passages;
        float *v = mem_try(cap * s->dims * sizeof(float));

        if (!v)
            return false;
        if (s->rows)
            memcpy(v, s->v, s->rows * s->dims * sizeof(float));
        mem_free(&s->v);
        s->v = v;
        s->rows_cap = cap;
    }
    if (s->row_room < passages) {
        s->row = mem_resize(s->row, passages * sizeof *s->row);
        memset(s->row + s->row_room, 0, (passages - s->row_room) * sizeof *s->row);
        s->row_room = passages;
    }
    return true;
}

/* Of passage d->n, which is being added. */
static bool
add_vector(struct index_doc *d, struct vector_set *s, struct str raw)
{
    if (s->model.n == 0 || raw.n < sizeof(float) || raw.n % sizeof(float))
        return true;
    if (s->dims == 0)
        s->dims = raw.n / sizeof(float);
    if (raw.n != s->dims * sizeof(float))
        return true;
    if (!set_room(s, d->cap))
        return false;
    if (!unit_copy(raw, s->dims, s->v + s->rows * s->dims))
        return true;
    s->row[d->n] = (uint32_t)++s->rows;
    d->bytes += row_cost(s->dims);
    return true;
}

static const float *
set_vector(const struct vector_set *s, size_t passage)
{
    return passage < s->row_room && s->row[passage] ? s->v + (s->row[passage] - 1) * s->dims : NULL;
}

const float *
doc_vector(const struct index_doc *d, size_t passage, struct str model, size_t dims)
{
    for (size_t i = 0; i < VECTOR_SETS; i++)
        if (d->set[i].dims == dims && str_eq(d->set[i].model, model))
            return set_vector(&d->set[i], passage);
    return NULL;
}

void
doc_strip(struct index_doc *d)
{
    struct vector_set *s = &d->set[d->spare];

    if (d->set[1].rows == 0)
        return;
    d->bytes -= s->rows * row_cost(s->dims);
    set_free(s);
    *s = (struct vector_set){ .dims = 0 };
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

/* The chunks as passages; their strings go to `at`. */
static bool
add_passages(struct index_doc *d, struct words *w, const struct chunks_get_rep *rep, char *at)
{
    struct bag bag = { .text = BUF_MAX(PASSAGE_MAX) };
    bool good = true;

    for (size_t i = 0; i < rep->chunks.n && good; i++) {
        const struct chunk *c = &rep->chunks.v[i];
        struct passage *p = &d->v[d->n];

        *p = (struct passage){ .id = c->id, .start = c->start, .end = c->end, .page = c->page };
        p->chapter = put_str(&at, c->chapter);
        p->section = put_str(&at, c->section);
        p->text = put_str(&at, c->text);
        p->anchor = put_str(&at, c->anchor);
        p->lead = put_str(&at, c->lead);
        if (c->end - c->start != (int64_t)c->text.n)
            continue;
        count_words(d, w, p, &bag);
        good = add_vector(d, &d->set[0], c->vector) && add_vector(d, &d->set[1], c->second);
        d->n += good;
    }
    mem_free(&bag.v);
    buf_free(&bag.text);
    return good;
}

bool
index_doc_add(struct index_doc *d, struct words *w, const struct chunks_get_rep *rep)
{
    size_t need = 0;

    if (!d->language_known)
        find_language(d, rep);
    words_language(w, d->language);
    for (size_t i = 0; i < rep->chunks.n; i++)
        need += rep->chunks.v[i].chapter.n + rep->chunks.v[i].section.n + rep->chunks.v[i].text.n +
                rep->chunks.v[i].anchor.n + rep->chunks.v[i].lead.n;
    char *at = blob_new(d, need);

    if (!at)
        return false;
    if (d->n + rep->chunks.n > d->cap) {
        d->cap = d->n + rep->chunks.n;
        d->v = mem_resize(d->v, d->cap * sizeof *d->v);
        d->bytes += rep->chunks.n * (sizeof *d->v + 8);
    }
    return add_passages(d, w, rep, at);
}
