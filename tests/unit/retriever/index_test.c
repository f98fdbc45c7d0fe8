/* The index: exact against brute force, walls between tenants, collections and models, atomic replacement, deletes,
 * limits, and searches beside changes (run it under ThreadSanitizer too). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text/text.h"
#include "retriever/index/dot.h"
#include "retriever/index/index.h"

enum { DIMS = 40 };

static struct words *words;
static struct filter *everything;

static struct uuid
id_of(const char *name)
{
    struct str part = str_of(name);

    return uuid_named(&part, 1);
}

struct spec {                    /* a document of n passages; texts are printf'ed with the passage's number */
    const char *tenant, *collection, *id, *title, *text, *metadata, *model;
    size_t n, dims;
    const float *vectors;        /* n × dims, or NULL */
};

static enum err
put(struct index *ix, const struct spec *s)
{
    struct chunk *c = mem_new((s->n + 1) * sizeof(*c));
    char (*text)[128] = mem_new((s->n + 1) * sizeof(*text));
    struct document d = { .id = id_of(s->id), .external_id = str_of(s->id), .collection = str_of(s->collection),
        .title = str_of(s->title), .metadata = str_of(s->metadata), .status = STR("ready") };
    struct chunks_get_rep rep = { .tenant = str_of(s->tenant), .document = { &d, 1 },
        .model = s->model ? str_of(s->model) : STR("m"), .chunks = { c, s->n } };

    for (size_t i = 0; i < s->n; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text[i], sizeof(text[i]), s->text, i);
#pragma GCC diagnostic pop
        c[i] = (struct chunk){ .id = uuid_v4(), .ord = (int64_t)i, .start = 10, .end = 10 + (int64_t)strlen(text[i]),
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

struct found { struct search_rep rep; struct arena *a; };

static struct found
find(struct index *ix, struct index_query q, const char *collection)
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

static size_t
count(struct index *ix, const char *tenant, const char *collection, const char *text)
{
    struct found f = find(ix, (struct index_query){ .tenant = str_of(tenant), .text = str_of(text), .all = true }, collection);
    size_t n = f.rep.hits.n;

    arena_free(&f.a);
    return n;
}

static float *
noise(size_t n, unsigned seed)
{
    float *v = mem_new(n * sizeof(*v));

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        v[i] = (float)((seed >> 16) & 0xfff) / 2048.0f - 1;
    }
    return v;
}

static void
the_scan_finds_what_brute_force_finds(void **state)
{
    enum { N = 3000 };
    struct index *ix = index_new(1 << 28);
    float *v = noise((size_t)N * DIMS, 3), *q = noise(DIMS, 99);

    (void)state;
    index_set_weight(ix, 1);
    assert_int_equal(put(ix, &(struct spec){ .tenant = "t", .collection = "c", .id = "d", .text = "p%zu", .n = N,
                                             .dims = DIMS, .vectors = v }), ERR_OK);
    struct found f = find(ix, (struct index_query){ .tenant = STR("t"), .text = STR("zzz"), .vector = q, .dims = DIMS,
                                                    .model = STR("m"), .all = true }, "c");
    double norm_q = sqrt((double)dot_f32(q, q, DIMS)), last = 2;

    assert_int_equal(f.rep.hits.n, 10);
    for (size_t k = 0; k < 10; k++) {
        double best = -2;

        for (size_t i = 0; i < N; i++) {
            const float *x = v + i * DIMS;
            double c = (double)dot_f32(q, x, DIMS) / norm_q / sqrt((double)dot_f32(x, x, DIMS));

            if (c < last - 1e-9 && c > best)
                best = c;
        }
        assert_true(fabs(f.rep.hits.v[k].vector * 1.0 / norm_q - best) < 1e-4 || fabs(f.rep.hits.v[k].vector - best) < 1e-4);
        last = best;
    }
    arena_free(&f.a);
    mem_free(&v);
    mem_free(&q);
    index_free(&ix);
}

static void
fast_and_plain_inner_products_agree(void **state)
{
    int8_t a[300], b[300];
    unsigned seed = 5;

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        seed = seed * 1103515245u + 12345u;
        a[i] = (int8_t)((int)((seed >> 16) % 255) - 127);
        seed = seed * 1103515245u + 12345u;
        b[i] = (int8_t)((int)((seed >> 16) % 255) - 127);
    }
    for (size_t n = 0; n <= 300; n++)
        assert_int_equal(dot_i8()(a, b, n), dot_i8_plain(a, b, n));
    memset(a, 127, sizeof(a));
    memset(b, -127, sizeof(b));
    assert_int_equal(dot_i8()(a, b, 300), -127 * 127 * 300);
}

static void
no_tenant_or_collection_sees_another(void **state)
{
    struct index *ix = index_new(1 << 28);

    (void)state;
    for (int k = 0; k < 3; k++)
        assert_int_equal(put(ix, &(struct spec){ .tenant = k < 2 ? "a" : "b", .collection = k == 1 ? "other" : "docs",
                                                 .id = k == 1 ? "y" : "x", .text = "secret sauce %zu", .n = 2 }), ERR_OK);
    assert_int_equal(count(ix, "a", "docs", "secret"), 2);
    assert_int_equal(count(ix, "a", "other", "secret"), 2);
    assert_int_equal(count(ix, "b", "docs", "secret"), 2);
    assert_int_equal(count(ix, "b", "other", "secret"), 0);
    assert_int_equal(count(ix, "c", "docs", "secret"), 0);
    assert_int_equal(count(ix, "", "docs", "secret"), 0);
    struct uuid id = id_of("x");

    assert_false(index_delete(ix, STR("c"), STR("docs"), &id));
    assert_true(index_delete(ix, STR("b"), STR("docs"), &id));
    assert_int_equal(count(ix, "a", "docs", "secret"), 2);
    assert_int_equal(count(ix, "b", "docs", "secret"), 0);
    index_drop(ix, STR("a"), STR("docs"));
    assert_int_equal(count(ix, "a", "docs", "secret"), 0);
    assert_int_equal(count(ix, "a", "other", "secret"), 2);
    index_free(&ix);
}

/* More tenants than the table of shards has places: some share one. */
static void
tenants_in_one_place_of_the_table_do_not_see_each_other(void **state)
{
    struct index *ix = index_new(1 << 28);
    char tenant[16], id[16];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        snprintf(tenant, sizeof tenant, "t%d", i);
        snprintf(id, sizeof id, "d%d", i);
        assert_int_equal(count(ix, tenant, "docs", "secret"), 0);
        assert_int_equal(put(ix, &(struct spec){ .tenant = tenant, .collection = "docs", .id = id, .text = "secret sauce %zu", .n = 1 }), ERR_OK);
        assert_int_equal(count(ix, tenant, "docs", "secret"), 1);
    }
    index_free(&ix);
}

static void
a_document_is_replaced_and_deleted_as_a_whole(void **state)
{
    struct index *ix = index_new(1 << 28);
    struct uuid id = id_of("d");

    (void)state;
    for (int round = 0; round < 700; round++) {
        const struct spec s = { .tenant = "t", .collection = "c", .id = "d", .n = 3,
            .text = round % 2 ? "apple pie %zu" : "banana bread %zu" };

        assert_int_equal(put(ix, &s), ERR_OK);
        assert_int_equal(count(ix, "t", "c", "apple"), round % 2 ? 3 : 0);
        assert_int_equal(count(ix, "t", "c", "banana"), round % 2 ? 0 : 3);
    }
    assert_int_equal(index_stats(ix).documents, 1);
    assert_int_equal(index_stats(ix).passages, 3);
    assert_true(index_delete(ix, STR("t"), STR("c"), &id));
    assert_false(index_delete(ix, STR("t"), STR("c"), &id));
    assert_int_equal(count(ix, "t", "c", "apple"), 0);
    assert_int_equal(index_stats(ix).bytes, 0);
    index_free(&ix);
}

static void
vectors_of_other_models_sizes_or_nonsense_do_not_count(void **state)
{
    struct index *ix = index_new(1 << 28);
    float good[4] = { 1, 0, 0, 0 }, nan[4] = { NAN, 0, 0, 1 }, zero[4] = { 0 }, q[4] = { 1, 0, 0, 0 };
    const struct spec s[] = {
        { .tenant = "t", .collection = "c", .id = "1", .text = "one %zu", .n = 1, .dims = 4, .vectors = good },
        { .tenant = "t", .collection = "c", .id = "2", .text = "two %zu", .n = 1, .dims = 4, .vectors = good, .model = "else" },
        { .tenant = "t", .collection = "c", .id = "3", .text = "three %zu", .n = 1, .dims = 3, .vectors = good },
        { .tenant = "t", .collection = "c", .id = "4", .text = "four %zu", .n = 1, .dims = 4, .vectors = nan },
        { .tenant = "t", .collection = "c", .id = "5", .text = "five %zu", .n = 1, .dims = 4, .vectors = zero },
    };

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(put(ix, &s[i]), ERR_OK);
    struct found f = find(ix, (struct index_query){ .tenant = STR("t"), .text = STR("five four three two"), .vector = q,
                                                    .dims = 4, .model = STR("m"), .all = true }, "c");

    assert_int_equal(f.rep.hits.n, 5);
    for (size_t i = 0; i < 5; i++) {
        bool first = str_is(f.rep.hits.v[i].external_id, "1");

        assert_true(fabs(f.rep.hits.v[i].vector - (first ? 1 : 0)) < 1e-6);
    }
    arena_free(&f.a);
    index_free(&ix);
}

static void
filters_hold_before_anything_is_ranked(void **state)
{
    struct index *ix = index_new(1 << 28);
    const char *why;

    (void)state;
    for (int i = 0; i < 50; i++) {
        char id[16], meta[64];

        (void)snprintf(id, sizeof(id), "d%d", i);
        (void)snprintf(meta, sizeof(meta), "{\"n\":%d}", i);
        assert_int_equal(put(ix, &(struct spec){ .tenant = "t", .collection = "c", .id = id, .metadata = meta,
                                                 .text = "pump valve %zu", .n = 1 }), ERR_OK);
    }
    struct filter *filter = filter_new(STR("{\"n\":{\"gte\":10,\"lt\":13}}"), &why);
    struct found f = find(ix, (struct index_query){ .tenant = STR("t"), .text = STR("pump"), .filter = filter, .all = true }, "c");

    assert_int_equal(f.rep.hits.n, 3);
    arena_free(&f.a);
    filter_free(&filter);
    index_free(&ix);
}

static void
a_full_index_takes_no_more(void **state)
{
    struct index *ix = index_new(20000);
    const struct spec small = { .tenant = "t", .collection = "c", .id = "a", .text = "tiny %zu", .n = 1 };
    const struct spec large = { .tenant = "t", .collection = "c", .id = "b", .text = "large text number %zu", .n = 500 };

    (void)state;
    assert_int_equal(put(ix, &small), ERR_OK);
    assert_int_equal(put(ix, &large), ERR_INDEX_FULL);
    assert_int_equal(count(ix, "t", "c", "large"), 0);
    assert_int_equal(count(ix, "t", "c", "tiny"), 1);
    assert_false(index_has_room(ix, 20000));
    index_free(&ix);
}

static void
a_question_about_something_else_finds_nothing(void **state)
{
    struct index *ix = index_new(1 << 28);
    static const char *const texts[] = { "The hub sends a heartbeat every second and expires silent workers. %zu",
        "The store keeps a pool of database connections. %zu", "Chunks are embedded in batches by the embedder. %zu" };

    (void)state;
    for (int i = 0; i < 3; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "d%d", i);
        assert_int_equal(put(ix, &(struct spec){ .tenant = "t", .collection = "c", .id = id, .text = texts[i], .n = 1 }), ERR_OK);
    }
    static const struct { const char *question; bool found; } asked[] = {
        { "How often does the hub send a heartbeat?", true }, { "What does the store keep?", true },
        { "heartbeat", true }, { "What is the capital of Mongolia?", false }, { "Who won the 1998 football final?", false },
        { "How do I bake a chocolate cake?", false }, { "what is it?", false }, { "", false },
    };

    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
        struct found f = find(ix, (struct index_query){ .tenant = STR("t"), .text = str_of(asked[i].question) }, "c");

        if ((f.rep.hits.n > 0) != asked[i].found)
            fail_msg("%s", asked[i].question);
        for (size_t k = 0; k < f.rep.hits.n; k++)
            assert_true(f.rep.hits.v[k].score > 0 && f.rep.hits.v[k].score <= 1);
        arena_free(&f.a);
    }
    index_free(&ix);
}

struct racer { struct index *ix; atomic_bool stop; atomic_size_t searches, torn; };

static void *
race(void *arg)
{
    struct racer *r = arg;

    while (!atomic_load(&r->stop)) {
        struct found f = find(r->ix, (struct index_query){ .tenant = STR("t"), .text = STR("version"), .top_k = 50, .all = true }, "c");
        size_t n = f.rep.hits.n;

        if (n != 0 && n != 10 && n != 7)
            atomic_fetch_add(&r->torn, 1);
        atomic_fetch_add(&r->searches, 1);
        arena_free(&f.a);
    }
    return NULL;
}

static void
searches_beside_changes_see_old_or_new_but_no_mixture(void **state)
{
    struct racer r = { .ix = index_new(1 << 28) };
    pthread_t t[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, race, &r), 0);
    struct uuid id = id_of("d");

    for (int round = 0; round < 600 || atomic_load(&r.searches) < 50; round++) {
        const struct spec s = { .tenant = "t", .collection = "c", .id = "d", .text = "version %zu", .n = round % 2 ? 10 : 7 };

        assert_int_equal(put(r.ix, &s), ERR_OK);
        if (round % 50 == 0)
            assert_true(index_delete(r.ix, STR("t"), STR("c"), &id));
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&r.torn), 0);
    index_free(&r.ix);
}

static int
setup(void **state)
{
    const char *why;

    (void)state;
    words = words_new();
    everything = filter_new(STR_NONE, &why);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    words_free(&words);
    filter_free(&everything);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scan_finds_what_brute_force_finds),
        cmocka_unit_test(fast_and_plain_inner_products_agree),
        cmocka_unit_test(no_tenant_or_collection_sees_another),
        cmocka_unit_test(tenants_in_one_place_of_the_table_do_not_see_each_other),
        cmocka_unit_test(a_document_is_replaced_and_deleted_as_a_whole),
        cmocka_unit_test(vectors_of_other_models_sizes_or_nonsense_do_not_count),
        cmocka_unit_test(filters_hold_before_anything_is_ranked),
        cmocka_unit_test(a_full_index_takes_no_more),
        cmocka_unit_test(a_question_about_something_else_finds_nothing),
        cmocka_unit_test(searches_beside_changes_see_old_or_new_but_no_mixture),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
