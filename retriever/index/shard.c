/* A shard's tables: documents by id, passages by slot, postings by word. See shard.h for who holds which lock. */
#include "retriever/index/shard.h"

enum { TABLE_FIRST = 64 };

struct shard *
shard_new(struct str tenant, struct str collection)
{
    struct shard *s = mem_new(sizeof *s);

    s->tenant = mem_dup_str(tenant);
    s->collection = mem_dup_str(collection);
    return s;
}

void
shard_free(struct shard **sp, bool with_docs)
{
    struct shard *s = *sp;

    for (size_t i = 0; with_docs && i < s->n_docs; i++)
        index_doc_free(&s->docs[i].doc);
    for (size_t i = 0; i < s->n_terms; i++)
        mem_free(&s->terms[i].v);
    for (size_t i = 0; i < s->n_spaces; i++)
        space_free(&s->spaces[i]);
    mem_free(&s->spaces);
    mem_free(&s->terms);
    mem_free(&s->table);
    mem_free(&s->docs);
    mem_free(&s->by_id);
    mem_free(&s->live);
    mem_free(&s->doc_of);
    mem_free(&s->tenant);
    mem_free(&s->collection);
    mem_free(sp);
}

static size_t
id_home(const struct uuid *id, size_t cap)
{
    uint64_t a, b;

    memcpy(&a, id->b, 8);
    memcpy(&b, id->b + 8, 8);
    a = (a ^ (b * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
    return (size_t)(a >> 20) & (cap - 1);
}

size_t
shard_find_doc(const struct shard *s, const struct uuid *id)
{
    if (s->by_id_cap == 0)
        return SIZE_MAX;
    for (size_t i = id_home(id, s->by_id_cap); s->by_id[i]; i = (i + 1) & (s->by_id_cap - 1)) {
        const struct doc_slot *d = &s->docs[s->by_id[i] - 1];

        if (d->doc && uuid_eq(&d->doc->id, id))
            return s->by_id[i] - 1;
    }
    return SIZE_MAX;
}

/* Rows of documents that are gone stay as tombstones until the next growth, which leaves them out. */
static void
grow_by_id(struct shard *s)
{
    size_t cap = s->by_id_cap ? 2 * s->by_id_cap : TABLE_FIRST;
    uint32_t *t = mem_new(cap * sizeof *t);

    for (size_t k = 0; k < s->n_docs; k++) {
        if (!s->docs[k].doc)
            continue;
        size_t i = id_home(&s->docs[k].doc->id, cap);

        while (t[i])
            i = (i + 1) & (cap - 1);
        t[i] = (uint32_t)k + 1;
    }
    mem_free(&s->by_id);
    s->by_id = t;
    s->by_id_cap = cap;
}

size_t
shard_add_doc(struct shard *s, struct index_doc *d)
{
    size_t at = s->n_docs, need = s->n_slots + d->n;

    if (at == s->docs_cap) {
        s->docs_cap = s->docs_cap ? 2 * s->docs_cap : 16;
        s->docs = mem_resize(s->docs, s->docs_cap * sizeof *s->docs);
    }
    if (need > s->slots_cap) {
        s->slots_cap = need > 2 * s->slots_cap ? need : 2 * s->slots_cap;
        s->live = mem_resize(s->live, s->slots_cap);
        s->doc_of = mem_resize(s->doc_of, s->slots_cap * sizeof *s->doc_of);
    }
    s->docs[at] = (struct doc_slot){ d, (uint32_t)s->n_slots, (uint32_t)d->n };
    for (size_t i = s->n_slots; i < need; i++) {
        s->live[i] = 0;
        s->doc_of[i] = (uint32_t)at;
    }
    s->n_slots = need;
    s->n_docs++;
    return at;
}

static size_t
term_place(const struct shard *s, uint64_t h)
{
    size_t i = (size_t)h & (s->table_cap - 1);

    while (s->table[i] && s->terms[s->table[i] - 1].h != h)
        i = (i + 1) & (s->table_cap - 1);
    return i;
}

static void
grow_table(struct shard *s)
{
    s->table_cap = s->table_cap ? 2 * s->table_cap : TABLE_FIRST;
    mem_free(&s->table);
    s->table = mem_new(s->table_cap * sizeof *s->table);
    for (size_t k = 0; k < s->n_terms; k++)
        s->table[term_place(s, s->terms[k].h)] = (uint32_t)k + 1;
}

static struct term *
term_get(struct shard *s, uint64_t h)
{
    if (2 * (s->n_terms + 1) > s->table_cap)
        grow_table(s);
    size_t i = term_place(s, h);

    if (s->table[i])
        return &s->terms[s->table[i] - 1];
    if (s->n_terms == s->terms_cap) {
        s->terms_cap = s->terms_cap ? 2 * s->terms_cap : TABLE_FIRST;
        s->terms = mem_resize(s->terms, s->terms_cap * sizeof *s->terms);
    }
    s->terms[s->n_terms] = (struct term){ .h = h };
    s->table[i] = (uint32_t)++s->n_terms;
    return &s->terms[s->n_terms - 1];
}

const struct term *
shard_term(const struct shard *s, uint64_t h)
{
    if (s->table_cap == 0)
        return NULL;
    size_t i = term_place(s, h);

    return s->table[i] ? &s->terms[s->table[i] - 1] : NULL;
}

void
shard_add_words(struct shard *s, size_t doc, size_t from, size_t to)
{
    const struct index_doc *d = s->docs[doc].doc;

    for (size_t i = from; i < to; i++) {
        const struct passage *p = &d->v[i];
        uint32_t slot = s->docs[doc].first + (uint32_t)i;

        for (size_t k = p->first; k < p->first + p->n; k++) {
            struct term *t = term_get(s, d->hash[k]);

            if (t->n == t->cap) {
                t->cap = t->cap ? t->cap + t->cap / 2 + 1 : 2;
                t->v = mem_resize(t->v, t->cap * sizeof *t->v);
            }
            t->v[t->n++] = (struct posting){ slot, d->tf[k] };
            t->df++;
        }
        for (size_t k = 0; k < VECTOR_SETS; k++) {
            const struct vector_set *set = &d->set[k];
            const float *v = doc_vector(d, i, set->model, set->dims);

            if (v)
                space_add(s, set->model, set->dims, v, slot);
        }
    }
}

void
shard_drop_words(struct shard *s, const struct index_doc *d, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        for (size_t k = d->v[i].first; k < d->v[i].first + d->v[i].n; k++)
            term_get(s, d->hash[k])->df--;
}

void
shard_show(struct shard *s, size_t doc)
{
    struct doc_slot *d = &s->docs[doc];

    if (2 * (s->n_docs + 1) > s->by_id_cap)
        grow_by_id(s);
    else {
        size_t i = id_home(&d->doc->id, s->by_id_cap);

        while (s->by_id[i])
            i = (i + 1) & (s->by_id_cap - 1);
        s->by_id[i] = (uint32_t)doc + 1;
    }
    for (size_t i = 0; i < d->n; i++) {
        s->live[d->first + i] = 1;
        s->total_len += d->doc->v[i].len;
    }
    s->n_live += d->n;
    s->languages[d->doc->language]++;
}

void
shard_hide(struct shard *s, size_t doc)
{
    struct doc_slot *d = &s->docs[doc];

    for (size_t i = 0; i < d->n; i++) {
        s->live[d->first + i] = 0;
        s->total_len -= d->doc->v[i].len;
    }
    s->n_live -= d->n;
    s->languages[d->doc->language]--;
    d->doc = NULL;
}
