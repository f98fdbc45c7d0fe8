/* An index for its tests: documents from a few words, searches with their results, vectors out of thin air. */
#ifndef TESTS_UNIT_RETRIEVER_INDEXKIT_H
#define TESTS_UNIT_RETRIEVER_INDEXKIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "common/text/text.h"
#include "retriever/index/index.h"

enum { DIMS = 40 };

static struct words *words;
static struct filter *everything;

static inline struct uuid
id_of(const char *name)
{
    struct str part = str_of(name);

    return uuid_named(&part, 1);
}

struct spec { /* a document of n passages; texts are printf'ed with the passage's number */
    const char *tenant, *collection, *id, *title, *text, *metadata, *model;
    size_t n, dims;
    const float *vectors; /* n × dims, or NULL */
};

static inline enum err
put(struct index *ix, const struct spec *s)
{
    struct chunk *c = mem_new((s->n + 1) * sizeof *c);
    char(*text)[128] = mem_new((s->n + 1) * sizeof *text);
    struct document d = { .id = id_of(s->id),
                          .external_id = str_of(s->id),
                          .collection = str_of(s->collection),
                          .title = str_of(s->title),
                          .metadata = str_of(s->metadata),
                          .status = STR("ready") };
    struct chunks_get_rep rep = { .tenant = str_of(s->tenant),
                                  .document = { &d, 1 },
                                  .model = s->model ? str_of(s->model) : STR("m"),
                                  .chunks = { c, s->n } };

    for (size_t i = 0; i < s->n; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text[i], sizeof text[i], s->text, i);
#pragma GCC diagnostic pop
        c[i] = (struct chunk){ .id = uuid_v4(),
                               .ord = (int64_t)i,
                               .start = 10,
                               .end = 10 + (int64_t)strlen(text[i]),
                               .text = str_of(text[i]) };
        if (s->vectors)
            c[i].vector = (struct str){ (const char *)(s->vectors + i * s->dims), s->dims * sizeof(float) };
    }
    struct index_doc *doc = index_doc_new(&rep);

    assert_non_null(doc);
    assert_true(index_doc_add(doc, words, &rep));
    mem_free(&c);
    mem_free(&text);
    return index_put(ix, &doc);
}

struct found {
    struct search_rep rep;
    struct arena *a;
};

static inline struct found
find(struct index *ix, struct engine_query q, const char *collection)
{
    struct str name = str_of(collection);
    struct strs collections = { &name, 1 };
    struct found f = { .a = arena_new(1 << 24) };
    struct words *w = words_new();

    q.collections = &collections;
    q.filter = q.filter ? q.filter : everything;
    q.top_k = q.top_k ? q.top_k : 10;
    assert_int_equal(index_search(ix, w, &q, f.a, &f.rep), ERR_OK);
    words_free(&w);
    return f;
}

static inline size_t
count(struct index *ix, const char *tenant, const char *collection, const char *text)
{
    struct found f = find(ix,
                          (struct engine_query){
                              .tenant = str_of(tenant), .text = str_of(text), .all = true },
                          collection);
    size_t n = f.rep.hits.n;

    arena_free(&f.a);
    return n;
}

static inline float *
noise(size_t n, unsigned seed)
{
    float *v = mem_new(n * sizeof *v);

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        v[i] = (float)((seed >> 16) & 0xfff) / 2048.0f - 1;
    }
    return v;
}

static inline int
setup(void **state)
{
    const char *why;

    (void)state;
    words = words_new();
    everything = filter_new(STR_NONE, &why);
    return 0;
}

static inline int
teardown(void **state)
{
    (void)state;
    words_free(&words);
    filter_free(&everything);
    return 0;
}

#endif
