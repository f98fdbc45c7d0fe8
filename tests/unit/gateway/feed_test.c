/* Epochs, collection settings and keys as the store tells them; the store is a table in this file, and may be away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "gateway/gateway.h"
#include "gateway/admit/auth.h"
#include "gateway/watch/epochs.h"
#include "gateway/watch/keyring.h"

static struct gateway gw;

/* ---- the store */

static struct {
    pthread_mutex_t lock;
    bool away;
    bool no_database; /* it answers that its database is away */
    struct change changes[2100];
    size_t n_changes;
    struct collection docs;
    size_t n_collections;
    struct api_key keys[64]; /* in the order of their numbers */
    size_t n_keys;
    size_t page; /* keys in one reply */
    int64_t keys_seq;
    _Atomic long asked[KIND_COUNT];
} store = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct call {
    struct changes_rep changes;
    struct collection one;
    struct key_changes_rep keys;
    struct key_list_rep key;
    struct api_key key_rows[64];
};

static const void *
answer_changes(struct call *q, const struct changes_req *req)
{
    size_t from = 0;

    while (from < store.n_changes && store.changes[from].seq <= req->after)
        from++;
    q->changes.items.v = store.changes + from;
    q->changes.items.n = store.n_changes - from < (size_t)req->limit ? store.n_changes - from
                                                                     : (size_t)req->limit;
    q->changes.seq = store.n_changes ? store.changes[store.n_changes - 1].seq : 0;
    q->changes.keys_seq = store.keys_seq;
    return &q->changes;
}

static const void *
answer_keys(struct call *q, int64_t after)
{
    size_t n = 0;

    q->keys.items.v = q->key_rows;
    q->keys.seq = store.keys_seq;
    for (size_t i = 0; i < store.n_keys; i++)
        if (store.keys[i].seq > after) {
            if (n == store.page) {
                q->keys.has_more = true;
                q->keys.seq = q->key_rows[n - 1].seq;
                break;
            }
            q->key_rows[n++] = store.keys[i];
        }
    q->keys.items.n = n;
    return &q->keys;
}

static const void *
answer_key(struct call *q, struct str hash)
{
    q->key.items.v = q->key_rows;
    for (size_t i = 0; i < store.n_keys; i++)
        if (!store.keys[i].gone && str_eq(store.keys[i].hash, hash))
            q->key_rows[q->key.items.n++] = store.keys[i];
    return &q->key;
}

enum err
call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
          int64_t deadline_ms, struct call **q, struct outcome *out)
{
    (void)h;
    (void)trace;
    (void)deadline_ms;
    *q = mem_new(sizeof **q);
    pthread_mutex_lock(&store.lock);
    *out = (struct outcome){ .err = store.away          ? ERR_NO_WORKER
                                    : store.no_database ? ERR_STORE_DOWN
                                                        : ERR_OK,
                             .text = "" };
    store.asked[kind]++;
    if (kind == KIND_CHANGES) {
        out->msg = answer_changes(*q, req);
    } else if (kind == KIND_COLLECTION_GET) {
        (*q)->one = store.docs;
        out->msg = &(*q)->one;
        if (out->err == ERR_OK && (store.n_collections == 0 || strcmp(tenant, "default") != 0 ||
                                   !str_eq(store.docs.name, ((const struct collection_ref *)req)->name)))
            out->err = ERR_NOT_FOUND;
    } else if (kind == KIND_KEY_CHANGES) {
        out->msg = answer_keys(*q, ((const struct key_changes_req *)req)->after);
    } else {
        out->msg = answer_key(*q, ((const struct key_get_req *)req)->hash);
    }
    pthread_mutex_unlock(&store.lock);
    return out->err;
}

void
call_free(struct call **q)
{
    mem_free(q);
}

static void
change(int64_t seq, const char *tenant, const char *collection, const char *op)
{
    pthread_mutex_lock(&store.lock);
    store.changes[store.n_changes++] = (struct change){
        .seq = seq, .tenant = str_of(tenant), .collection = str_of(collection), .op = str_of(op)
    };
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

#define WAIT_FOR(what) \
    for (int64_t until = clock_ms() + 5000; !(what); poll(NULL, 0, 5)) \
    assert_true(clock_ms() < until)

/* ---- tests */

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
    store.keys_seq = 0;
    store.page = 3;
    store.away = store.no_database = false;
    for (size_t i = 0; i < KIND_COUNT; i++)
        store.asked[i] = 0;
    gw.keys = keyring_start(&gw); /* its thread asks the store from here on */
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    epochs_stop(&gw.epochs);
    keyring_stop(&gw.keys);
    return 0;
}

static void
a_change_moves_the_epoch_of_its_collection_only(void **state)
{
    (void)state;
    change(1, "default", "docs", "ready");
    change(2, "other", "docs", "ready");
    gw.epochs = epochs_start(&gw);
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
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(epoch("default", "odd") >= 0);
    assert_int_equal(epoch("default", "odd"), 2049);
    assert_int_equal(epoch("default", "even"), 2050);
}

static void
a_feed_that_is_silent_for_a_second_makes_everything_a_miss(void **state)
{
    (void)state;
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 0);
    go_away(true);
    WAIT_FOR(epoch("default", "docs") == -1);
    assert_true(epochs_age_s(gw.epochs) >= 1.0);
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
    gw.epochs = epochs_start(&gw);
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
    gw.epochs = epochs_start(&gw);
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
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 7);
    lose_database(true);
    epochs_moved(&gw, "default", STR("docs"), 9);
    assert_int_equal(epoch("default", "docs"), 9);
    epochs_moved(&gw, "default", STR("docs"), 8);
    assert_int_equal(epoch("default", "docs"), 9);
}

static void
a_database_that_went_back_is_read_from_the_beginning(void **state)
{
    (void)state;
    change(500, "default", "docs", "ready");
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 500);
    pthread_mutex_lock(&store.lock);
    store.n_changes = 0;
    pthread_mutex_unlock(&store.lock);
    change(7, "default", "docs", "ready");
    WAIT_FOR(epoch("default", "docs") == 7);
}

static const struct collection *
settings(const char *tenant, const char *name, struct arena *a, enum err *e)
{
    struct request r = { .gw = &gw, .arena = a };
    const struct collection *c;

    snprintf(r.who.tenant, sizeof r.who.tenant, "%s", tenant);
    *e = collection_of(&r, str_of(name), &c);
    return c;
}

static void
settings_are_asked_for_once_and_again_after_a_change(void **state)
{
    struct arena *a = arena_new(1 << 20);
    enum err e;

    (void)state;
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(epoch("default", "docs") == 0);
    assert_null(settings("default", "docs", a, &e));
    assert_int_equal(e, ERR_NOT_FOUND);
    store.docs = (struct collection){
        .name = STR("docs"), .prompt = STR("be brief"), .top_k = 7, .epoch = 4
    };
    store.n_collections = 1;
    for (int i = 0; i < 3; i++) {
        assert_non_null(settings("default", "docs", a, &e));
        assert_int_equal(settings("default", "docs", a, &e)->top_k, 7);
    }
    assert_int_equal(store.asked[KIND_COLLECTION_GET], 2); /* once not there, once there */
    assert_null(settings("other", "docs", a, &e));
    go_away(true);
    assert_true(str_is(settings("default", "docs", a, &e)->prompt, "be brief")); /* the last known ones */
    assert_null(settings("default", "never asked", a, &e));
    assert_int_equal(e, ERR_NO_WORKER);
    go_away(false);
    pthread_mutex_lock(&store.lock);
    store.docs.top_k = 9;
    pthread_mutex_unlock(&store.lock);
    assert_int_equal(settings("default", "docs", a, &e)->top_k, 7);
    change(5, "default", "docs", "collection");
    WAIT_FOR(settings("default", "docs", a, &e)->top_k == 9);
    WAIT_FOR(epoch("default", "docs") == 5);
    store.n_collections = 0;
    epochs_settings_changed(&gw, "default", STR("docs"));
    assert_null(settings("default", "docs", a, &e));
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

/* ---- keys */

static uint8_t hashes[64][32];
static struct str chat[] = { { "chat", 4 } }, origins[] = { { "https://a.example", 17 } };

static void
make_key(int i, int64_t expires_ms)
{
    hashes[i][0] = (uint8_t)(i % 3); /* several in one slot */
    hashes[i][31] = (uint8_t)i;
    pthread_mutex_lock(&store.lock);
    store.keys[store.n_keys++] = (struct api_key){ .hash = { (char *)hashes[i], 32 },
                                                   .tenant = STR("acme"),
                                                   .scopes = { chat, 1 },
                                                   .origins = { origins, i == 0 },
                                                   .seq = ++store.keys_seq,
                                                   .expires_ms = expires_ms };
    pthread_mutex_unlock(&store.lock);
}

static void
revoke_key(int i)
{
    pthread_mutex_lock(&store.lock);
    for (size_t j = 0; j < store.n_keys; j++)
        if (store.keys[j].hash.p == (char *)hashes[i]) {
            memmove(&store.keys[j], &store.keys[j + 1], (store.n_keys - j - 1) * sizeof store.keys[0]);
            store.keys[store.n_keys - 1] = (struct api_key){
                .hash = { (char *)hashes[i], 32 }, .tenant = STR(""), .seq = ++store.keys_seq, .gone = true
            };
            break;
        }
    pthread_mutex_unlock(&store.lock);
}

static enum key_known
known(int i)
{
    struct arena *a = arena_new(1 << 16);
    const struct api_key *k;
    enum key_known e = keyring_find(gw.keys, hashes[i], a, &k);

    if (e == KEY_FOUND)
        assert_true(bytes_equal(k->hash.p, hashes[i], 32) && str_is(k->tenant, "acme") && k->scopes.n == 1);
    arena_free(&a);
    return e;
}

static void
all_keys_are_known_however_many_pages_they_take(void **state)
{
    (void)state;
    keyring_stop(&gw.keys);
    for (int i = 0; i < 50; i++)
        make_key(i, 0);
    gw.keys = keyring_start(&gw);
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(keyring_count(gw.keys) == 50);
    for (int i = 0; i < 50; i++)
        assert_int_equal(known(i), KEY_FOUND);
    assert_true(keyring_has_origin(gw.keys, STR("https://a.example")));
    assert_false(keyring_has_origin(gw.keys, STR("https://a.example.evil")));
    assert_true(keyring_ready(gw.keys));
}

static void
a_key_counts_as_soon_as_the_feed_tells_and_no_longer(void **state)
{
    (void)state;
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(keyring_ready(gw.keys));
    for (int i = 0; i < 20; i++)
        make_key(i, 0);
    for (int i = 0; i < 20; i++)
        WAIT_FOR(known(i) == KEY_FOUND);
    for (int i = 0; i < 20; i += 2)
        revoke_key(i);
    for (int i = 0; i < 20; i++)
        WAIT_FOR(known(i) == (i % 2 ? KEY_FOUND : KEY_NONE));
    assert_false(keyring_has_origin(gw.keys, STR("https://a.example")));
    make_key(0, 0); /* the same again */
    WAIT_FOR(known(0) == KEY_FOUND);
}

static void
guesses_ask_nobody_when_all_keys_are_known(void **state)
{
    long before;

    (void)state;
    gw.epochs = epochs_start(&gw);
    WAIT_FOR(known(1) == KEY_NONE);
    before = store.asked[KIND_KEY_GET];
    for (int i = 1; i < 60; i++)
        assert_int_equal(known(i), KEY_NONE);
    assert_int_equal(store.asked[KIND_KEY_GET], before);
}

static void
known_keys_serve_on_while_the_database_is_away(void **state)
{
    (void)state;
    gw.epochs = epochs_start(&gw);
    make_key(1, 0);
    WAIT_FOR(known(1) == KEY_FOUND);
    lose_database(true);
    for (int i = 0; i < 15; i++) {
        let_the_feed_ask(1);
        assert_int_equal(known(1), KEY_FOUND);
        assert_int_equal(known(2), KEY_NONE);
    }
    lose_database(false);
    revoke_key(1);
    WAIT_FOR(known(1) == KEY_NONE);
}

static void
a_key_without_readable_bounds_opens_nothing(void **state)
{
    static char cut[5] = "cut";

    (void)state;
    gw.epochs = epochs_start(&gw);
    make_key(1, 0);
    make_key(2, 0);
    make_key(3, 0);
    pthread_mutex_lock(&store.lock);
    store.keys[0].hash = (struct str){ cut, 5 };
    store.keys[1].tenant = STR_NONE;
    pthread_mutex_unlock(&store.lock);
    WAIT_FOR(known(3) == KEY_FOUND);
    assert_int_equal(known(1), KEY_NONE);
    assert_int_equal(known(2), KEY_NONE);
}

static void
another_database_has_its_own_keys_only(void **state)
{
    (void)state;
    gw.epochs = epochs_start(&gw);
    for (int i = 1; i < 10; i++)
        make_key(i, 0);
    WAIT_FOR(known(9) == KEY_FOUND);
    pthread_mutex_lock(&store.lock);
    store.n_keys = 0;
    store.keys_seq = 0;
    pthread_mutex_unlock(&store.lock);
    make_key(4, 0);
    WAIT_FOR(known(5) == KEY_NONE);
    WAIT_FOR(known(4) == KEY_FOUND);
    assert_int_equal(keyring_count(gw.keys), 1);
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
        T(settings_are_asked_for_once_and_again_after_a_change),
        T(a_key_sees_only_its_collections),
        T(all_keys_are_known_however_many_pages_they_take),
        T(a_key_counts_as_soon_as_the_feed_tells_and_no_longer),
        T(guesses_ask_nobody_when_all_keys_are_known),
        T(known_keys_serve_on_while_the_database_is_away),
        T(a_key_without_readable_bounds_opens_nothing),
        T(another_database_has_its_own_keys_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
