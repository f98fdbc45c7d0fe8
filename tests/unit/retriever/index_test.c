/* The index: walls between tenants and collections, atomic replacement, deletes, limits, and searches beside
 * changes (run it under ThreadSanitizer too). */
#include "indexkit.h"

#include <pthread.h>
#include <stdatomic.h>

static struct index *
walled_index(void)
{
    struct index *ix = index_new(1 << 28);

    for (int k = 0; k < 3; k++)
        assert_int_equal(put(ix, &(struct spec){ .tenant = k < 2 ? "a" : "b",
                                                 .collection = k == 1 ? "other" : "docs",
                                                 .id = k == 1 ? "y" : "x",
                                                 .text = "secret sauce %zu",
                                                 .n = 2 }),
                         ERR_OK);
    return ix;
}

static void
no_tenant_or_collection_sees_another(void **state)
{
    struct index *ix = walled_index();

    (void)state;
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
        assert_int_equal(put(ix, &(struct spec){ .tenant = tenant,
                                                 .collection = "docs",
                                                 .id = id,
                                                 .text = "secret sauce %zu",
                                                 .n = 1 }),
                         ERR_OK);
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
        const struct spec s = { .tenant = "t",
                                .collection = "c",
                                .id = "d",
                                .n = 3,
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
filters_hold_before_anything_is_ranked(void **state)
{
    struct index *ix = index_new(1 << 28);
    const char *why;

    (void)state;
    for (int i = 0; i < 50; i++) {
        char id[16], meta[64];

        (void)snprintf(id, sizeof id, "d%d", i);
        (void)snprintf(meta, sizeof meta, "{\"n\":%d}", i);
        assert_int_equal(put(ix, &(struct spec){ .tenant = "t",
                                                 .collection = "c",
                                                 .id = id,
                                                 .metadata = meta,
                                                 .text = "pump valve %zu",
                                                 .n = 1 }),
                         ERR_OK);
    }
    struct filter *filter = filter_new(STR("{\"n\":{\"gte\":10,\"lt\":13}}"), &why);
    struct found f = find(ix,
                          (struct engine_query){
                              .tenant = STR("t"), .text = STR("pump"), .filter = filter, .all = true },
                          "c");

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
    const struct spec large = {
        .tenant = "t", .collection = "c", .id = "b", .text = "large text number %zu", .n = 500
    };

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
    static const char *const texts[] = {
        "The hub sends a heartbeat every second and expires silent workers. %zu",
        "The store keeps a pool of database connections. %zu",
        "Chunks are embedded in batches by the embedder. %zu"
    };

    (void)state;
    for (int i = 0; i < 3; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "d%d", i);
        assert_int_equal(put(ix,
                             &(struct spec){
                                 .tenant = "t", .collection = "c", .id = id, .text = texts[i], .n = 1 }),
                         ERR_OK);
    }
    static const struct {
        const char *question;
        bool found;
    } asked[] = {
        { "How often does the hub send a heartbeat?", true },
        { "What does the store keep?", true },
        { "heartbeat", true },
        { "What is the capital of Mongolia?", false },
        { "Who won the 1998 football final?", false },
        { "How do I bake a chocolate cake?", false },
        { "what is it?", false },
        { "", false },
    };

    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct found f = find(ix,
                              (struct engine_query){ .tenant = STR("t"), .text = str_of(asked[i].question) },
                              "c");

        if ((f.rep.hits.n > 0) != asked[i].found)
            fail_msg("%s", asked[i].question);
        for (size_t k = 0; k < f.rep.hits.n; k++)
            assert_true(f.rep.hits.v[k].score > 0 && f.rep.hits.v[k].score <= 1);
        arena_free(&f.a);
    }
    index_free(&ix);
}

struct racer {
    struct index *ix;
    atomic_bool stop;
    atomic_size_t searches, torn;
};

static void *
race(void *arg)
{
    struct racer *r = arg;

    while (!atomic_load(&r->stop)) {
        struct found f = find(r->ix,
                              (struct engine_query){
                                  .tenant = STR("t"), .text = STR("version"), .top_k = 50, .all = true },
                              "c");
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
        const struct spec s = {
            .tenant = "t", .collection = "c", .id = "d", .text = "version %zu", .n = round % 2 ? 10 : 7
        };

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_tenant_or_collection_sees_another),
        cmocka_unit_test(tenants_in_one_place_of_the_table_do_not_see_each_other),
        cmocka_unit_test(a_document_is_replaced_and_deleted_as_a_whole),
        cmocka_unit_test(filters_hold_before_anything_is_ranked),
        cmocka_unit_test(a_full_index_takes_no_more),
        cmocka_unit_test(a_question_about_something_else_finds_nothing),
        cmocka_unit_test(searches_beside_changes_see_old_or_new_but_no_mixture),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
