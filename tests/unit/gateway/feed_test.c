/* Epochs, collection settings and keys as the store tells them; the store is a table in this file, and may be away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "common/clock.h"
#include "gateway/auth.h"

/* ---- the store */

static struct {
    pthread_mutex_t lock;
    bool away;
    bool no_database;          /* it answers that its database is away */
    struct change changes[2100];
    size_t n_changes;
    struct collection docs;
    size_t n_collections;
    struct api_key keys[3];
    size_t n_keys;
    _Atomic long asked[KIND_COUNT];
} store = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct ask {
    struct changes_rep changes;
    struct collection_rep collections;
    struct collection one;
    struct key_list_rep keys;
    struct api_key key_rows[3];
};

static const void *
answer_changes(struct ask *q, const struct changes_req *req)
{
    size_t from = 0;

    while (from < store.n_changes && store.changes[from].seq <= req->after)
        from++;
    q->changes.items.v = store.changes + from;
    q->changes.items.n = store.n_changes - from < (size_t)req->limit ? store.n_changes - from : (size_t)req->limit;
    q->changes.seq = store.n_changes ? store.changes[store.n_changes - 1].seq : 0;
    return &q->changes;
}

enum err
ask_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms,
         struct ask **q, struct answer *out)
{
    (void)h;
    (void)trace;
    (void)deadline_ms;
    *q = mem_new(sizeof **q);
    pthread_mutex_lock(&store.lock);
    *out = (struct answer){ .err = store.away          ? ERR_NO_WORKER
                                     : store.no_database ? ERR_STORE_DOWN
                                                         : ERR_OK,
                              .text = "" };
    store.asked[kind]++;
    if (kind == KIND_CHANGES) {
        out->msg = answer_changes(*q, req);
    } else if (kind == KIND_COLLECTION_LIST) {
        (*q)->one = store.docs;
        (*q)->collections.items.v = &(*q)->one;
        (*q)->collections.items.n = strcmp(tenant, "default") == 0 ? store.n_collections : 0;
        out->msg = &(*q)->collections;
    } else {
        memcpy((*q)->key_rows, store.keys, sizeof store.keys);
        (*q)->keys.items.v = (*q)->key_rows;
        (*q)->keys.items.n = store.n_keys;
        out->msg = &(*q)->keys;
    }
    pthread_mutex_unlock(&store.lock);
    return out->err;
}

void
ask_free(struct ask **q)
{
    mem_free(q);
}

static void
change(int64_t seq, const char *tenant, const char *collection, const char *op)
{
    pthread_mutex_lock(&store.lock);
    store.changes[store.n_changes++] =
        (struct change){ .seq = seq, .tenant = str_of(tenant), .collection = str_of(collection), .op = str_of(op) };
    pthread_mutex_unlock(&store.lock);
}

static void
go_away(bool away)
{
    pthread_mutex_lock(&store.lock);
    store.away = away;
    pthread_mutex_unlock(&store.lock);
}

static void
lose_database(bool lost)
{
    pthread_mutex_lock(&store.lock);
    store.no_database = lost;
    pthread_mutex_unlock(&store.lock);
}

#define WAIT_FOR(what)                                                                                                 \
    for (int64_t until = clock_ms() + 5000; !(what); poll(NULL, 0, 5))                                                 \
    assert_true(clock_ms() < until)

/* ---- tests */

static struct gateway gw;

static int64_t
epoch(const char *tenant, const char *collection)
{
    int64_t e = -1;

    return epoch_of(&gw, tenant, str_of(collection), &e) ? e : -1;
}

static int
set_up(void **state)
{
    (void)state;
    memset(&store.docs, 0, sizeof store.docs);
    store.n_changes = store.n_collections = store.n_keys = 0;
    store.away = store.no_database = false;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    feed_stop(&gw.feed);
    keyring_stop(&gw.keys);
    return 0;
}

static void
a_change_moves_the_epoch_of_its_collection_only(void **state)
{
    (void)state;
    change(1, "default", "docs", "ready");
    change(2, "other", "docs", "ready");
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 1);
    assert_int_equal(epoch("other", "docs"), 2);
    assert_int_equal(epoch("default", "none"), 0);
    change(3, "default", "docs", "delete");
    WAIT_FOR(epoch("default", "docs") == 3);
    assert_int_equal(epoch("other", "docs"), 2);
}

static void
a_long_backlog_is_read_whole_before_anything_is_known(void **state)
{
    (void)state;
    for (int i = 1; i <= 2050; i++)
        change(i, "default", i % 2 ? "odd" : "even", "ready");
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "odd") >= 0);
    assert_int_equal(epoch("default", "odd"), 2049);
    assert_int_equal(epoch("default", "even"), 2050);
}

static void
a_feed_that_is_silent_for_a_second_makes_everything_a_miss(void **state)
{
    (void)state;
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 0);
    go_away(true);
    WAIT_FOR(epoch("default", "docs") == -1);
    assert_true(feed_age_s(gw.feed) >= 1.0);
    go_away(false);
    WAIT_FOR(epoch("default", "docs") == 0);
}

/* Waits until the feed was asked so often that more than a second has gone by. */
static void
let_the_feed_ask(long times)
{
    long until = store.asked[KIND_CHANGES] + times;

    for (int64_t end = clock_ms() + 10000; store.asked[KIND_CHANGES] < until; poll(NULL, 0, 5))
        assert_true(clock_ms() < end);
}

static void
a_store_without_its_database_keeps_the_epochs_fresh(void **state)
{
    (void)state;
    change(7, "default", "docs", "ready");
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 7);
    lose_database(true);
    for (int i = 0; i < 15; i++) {
        let_the_feed_ask(1);
        assert_int_equal(epoch("default", "docs"), 7);
    }
    lose_database(false);
    change(8, "default", "docs", "delete");
    WAIT_FOR(epoch("default", "docs") == 8);
}

static void
after_a_silence_a_store_without_its_database_is_not_enough(void **state)
{
    (void)state;
    change(7, "default", "docs", "ready");
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 7);
    go_away(true);
    WAIT_FOR(epoch("default", "docs") == -1);
    lose_database(true);
    go_away(false);
    let_the_feed_ask(3);
    assert_int_equal(epoch("default", "docs"), -1);
    lose_database(false);
    WAIT_FOR(epoch("default", "docs") == 7);
}

static void
a_change_made_here_counts_before_the_feed_tells(void **state)
{
    (void)state;
    change(7, "default", "docs", "ready");
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 7);
    lose_database(true);
    feed_moved(&gw, "default", STR("docs"), 9);
    assert_int_equal(epoch("default", "docs"), 9);
    feed_moved(&gw, "default", STR("docs"), 8);
    assert_int_equal(epoch("default", "docs"), 9);
}

static void
a_database_that_went_back_is_read_from_the_beginning(void **state)
{
    (void)state;
    change(500, "default", "docs", "ready");
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 500);
    pthread_mutex_lock(&store.lock);
    store.n_changes = 0;
    pthread_mutex_unlock(&store.lock);
    change(7, "default", "docs", "ready");
    WAIT_FOR(epoch("default", "docs") == 7);
}

static void
settings_follow_the_collection_and_go_with_it(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct request r = { .gw = &gw, .arena = a, .who.tenant = "default" };

    (void)state;
    gw.feed = feed_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 0);
    assert_null(collection_of(&r, STR("docs")));
    store.docs = (struct collection){ .name = STR("docs"), .prompt = STR("be brief"), .top_k = 7, .epoch = 4 };
    store.n_collections = 1;
    change(4, "default", "docs", "collection");
    WAIT_FOR(collection_of(&r, STR("docs")) != NULL);
    assert_int_equal(collection_of(&r, STR("docs"))->top_k, 7);
    assert_true(str_is(collection_of(&r, STR("docs"))->prompt, "be brief"));
    memcpy(r.who.tenant, "other", 6);
    assert_null(collection_of(&r, STR("docs")));
    memcpy(r.who.tenant, "default", 8);
    pthread_mutex_lock(&store.lock);
    store.n_collections = 0;
    pthread_mutex_unlock(&store.lock);
    change(5, "default", "docs", "collection");
    WAIT_FOR(collection_of(&r, STR("docs")) == NULL);
    assert_int_equal(epoch("default", "docs"), 5);
    arena_free(&a);
}

static void
a_key_sees_only_its_collections(void **state)
{
    struct str names[] = { STR("docs"), STR("books") };
    struct api_key k = { .collections = { names, 2 } };
    struct request r = { .who.key = &k };

    (void)state;
    assert_true(collection_allowed(&r, STR("docs")) && collection_allowed(&r, STR("books")));
    assert_false(collection_allowed(&r, STR("doc")) || collection_allowed(&r, STR("Docs")));
    k.collections.n = 0;
    assert_true(collection_allowed(&r, STR("anything")));
}

static void
keys_serve_on_while_the_store_is_away_and_malformed_ones_never(void **state)
{
    static uint8_t good[32] = { 1 }, cut[32] = { 2 }, late[32] = { 3 };
    static struct str scopes[] = { { "chat", 4 } }, origins[] = { { "https://a.example", 17 } };
    struct arena *a = arena_new(1 << 20);
    const struct api_key *k;

    (void)state;
    store.keys[0] = (struct api_key){ .hash = { (char *)good, 32 }, .tenant = STR("acme"), .scopes = { scopes, 1 },
                                      .origins = { origins, 1 } };
    store.keys[1] = (struct api_key){ .hash = { (char *)cut, 5 }, .tenant = STR("acme"), .scopes = { scopes, 1 } };
    store.n_keys = 2;
    gw.keys = keyring_start(&gw);
    WAIT_FOR(keyring_loaded(gw.keys));
    k = keyring_find(gw.keys, good, a);
    assert_non_null(k);
    assert_true(str_is(k->tenant, "acme") && str_is(k->scopes.v[0], "chat"));
    assert_null(keyring_find(gw.keys, cut, a));
    assert_true(keyring_has_origin(gw.keys, STR("https://a.example")));
    assert_false(keyring_has_origin(gw.keys, STR("https://a.example.evil")));
    go_away(true);
    keyring_refresh(gw.keys);
    WAIT_FOR(store.asked[KIND_KEY_LIST] >= 2);
    assert_non_null(keyring_find(gw.keys, good, a));
    pthread_mutex_lock(&store.lock);
    store.keys[0].hash = (struct str){ (char *)late, 32 };
    store.away = false;
    pthread_mutex_unlock(&store.lock);
    keyring_refresh(gw.keys);
    WAIT_FOR(keyring_find(gw.keys, late, a) != NULL);
    assert_null(keyring_find(gw.keys, good, a));
    arena_free(&a);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_change_moves_the_epoch_of_its_collection_only),
        T(a_long_backlog_is_read_whole_before_anything_is_known),
        T(a_feed_that_is_silent_for_a_second_makes_everything_a_miss),
        T(a_store_without_its_database_keeps_the_epochs_fresh),
        T(after_a_silence_a_store_without_its_database_is_not_enough),
        T(a_change_made_here_counts_before_the_feed_tells),
        T(a_database_that_went_back_is_read_from_the_beginning),
        T(settings_follow_the_collection_and_go_with_it),
        T(a_key_sees_only_its_collections),
        T(keys_serve_on_while_the_store_is_away_and_malformed_ones_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
