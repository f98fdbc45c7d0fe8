/* The near cache: what it may give, what ends an answer, and how much memory it takes. The clock is the caller's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "gateway/admit/near.h"

#define ROOM (1u << 20)
#define LIFE STR("life")

static struct near *n;
static struct arena *arena;
static int64_t now; /* when the test began */

static int
set_up(void **state)
{
    (void)state;
    now = clock_ms();
    n = near_new(ROOM);
    arena = arena_new(64u << 20);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    near_free(&n);
    arena_free(&arena);
    return 0;
}

static struct cache_probe
probe_of(unsigned question, int64_t epoch)
{
    struct cache_probe p = { .epoch = epoch, .feed_ms = now };

    memcpy(p.sha256, &question, sizeof question);
    return p;
}

static bool
put(unsigned question, uint64_t session, struct str value)
{
    struct cache_probe p = probe_of(question, 1);
    size_t before = near_count(n);

    near_put(n, &p, &(struct near_origin){ session, clock_ms() + 1, clock_ms() + 3600000 }, value);
    return near_count(n) > before;
}

static bool
has_at(unsigned question, int64_t epoch, int64_t at)
{
    struct cache_probe p = probe_of(question, epoch);
    struct str value;

    return near_get(n, &p, at, arena, &value);
}

static bool
has(unsigned question)
{
    near_heard(n, LIFE, now);
    return has_at(question, 1, now + 1);
}

static void
an_answer_is_given_as_it_was_kept(void **state)
{
    struct cache_probe p = probe_of(7, 1);
    struct str value;

    (void)state;
    assert_false(has(7));
    assert_true(put(7, 1, STR("the answer")));
    near_heard(n, LIFE, now);
    assert_true(near_get(n, &p, now + 1, arena, &value));
    assert_true(str_is(value, "the answer"));
    assert_false(has(8));
}

static void
nothing_is_given_unless_erasures_and_changes_were_heard_of_just_now(void **state)
{
    struct cache_probe p = probe_of(7, 1);
    struct str value;

    (void)state;
    put(7, 1, STR("a"));
    assert_false(has_at(7, 1, now)); /* nobody has told of erasures yet */
    near_heard(n, LIFE, now);
    assert_true(has_at(7, 1, now + 199));
    p.feed_ms = now + 150;
    assert_false(near_get(n, &p, now + 200, arena, &value)); /* the list of erasures is silent */
    near_heard(n, LIFE, now + 150);
    p.feed_ms = now;
    assert_false(near_get(n, &p, now + 200, arena, &value)); /* the feed is silent */
    p.feed_ms = now + 100;
    assert_true(near_get(n, &p, now + 200, arena, &value));
}

static void
an_erasure_takes_its_session_and_no_other(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        put(i, i % 2 ? 5 : 5 + 4096, STR("a")); /* two sessions of one slot */
    near_erase(n, 5, 1000);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(has(i), i % 2 == 0);
    assert_int_equal(near_count(n), 50);
}

static void
an_answer_that_was_read_before_its_session_was_erased_is_not_kept(void **state)
{
    struct cache_probe p = probe_of(7, 1);
    struct near_origin from = { 5, clock_ms(), clock_ms() + 1000 };

    (void)state;
    put(1, 1, STR("a"));
    near_erase(n, 5, 1000);
    near_put(n, &p, &from, STR("a"));
    assert_false(has(7));
    from.mark = 6; /* another session's is */
    near_put(n, &p, &from, STR("a"));
    assert_true(has(7));
}

static void
the_same_erasure_is_listed_for_seconds_and_is_one(void **state)
{
    (void)state;
    put(1, 1, STR("a"));
    near_erase(n, 5, 1000);
    put(7, 5, STR("a")); /* the session has begun anew */
    near_erase(n, 5, 1000);
    assert_true(has(7));
    near_erase(n, 5, 1001);
    assert_false(has(7));
}

static void
when_erasures_may_be_forgotten_nothing_older_is_kept(void **state)
{
    struct cache_probe p = probe_of(7, 1);
    struct near_origin from = { 5, clock_ms(), clock_ms() + 1000 };

    (void)state;
    put(1, 1, STR("a"));
    for (unsigned i = 0; i < 1100; i++)
        near_erase(n, 1000 + i, 2000 + i);
    near_put(n, &p, &from, STR("a"));
    assert_false(has(7));
    near_deaf(n);
    near_put(n, &p, &from, STR("a"));
    assert_false(has(7));
}

static void
what_redis_lost_is_lost_here(void **state)
{
    (void)state;
    put(1, 1, STR("a"));
    assert_true(has(1));
    near_heard(n, STR("another life"), now);
    assert_false(has_at(1, 1, now + 1));
    assert_int_equal(near_bytes(n), 0);
    put(1, 1, STR("a"));
    near_heard(n, STR("another life"), now);
    assert_true(has_at(1, 1, now + 1));
    near_deaf(n);
    near_heard(n, STR("another life"), now);
    assert_false(has_at(1, 1, now + 1));
}

static void
after_a_long_silence_only_what_the_list_covers_stays(void **state)
{
    struct cache_probe p = probe_of(7, 1);

    (void)state;
    put(1, 1, STR("a"));
    near_put(n, &p, &(struct near_origin){ 2, now + 10000, now + 3600000 }, STR("a"));
    near_heard(n, LIFE, now + 12000);
    p.feed_ms = now + 12000;
    assert_int_equal(near_count(n), 1);
    assert_true(near_get(n, &p, now + 12001, arena, &(struct str){ 0 }));
}

static void
another_epoch_ends_an_answer(void **state)
{
    (void)state;
    for (int64_t epoch = 0; epoch <= 2; epoch += 2) { /* also that of a database that was restored */
        put(1, 1, STR("a"));
        near_heard(n, LIFE, now);
        assert_true(has_at(1, 1, now + 1));
        assert_false(has_at(1, epoch, now + 1));
        assert_false(has_at(1, 1, now + 1));
        assert_int_equal(near_count(n), 0);
    }
}

static void
an_answer_expires(void **state)
{
    struct cache_probe p = probe_of(7, 1);

    (void)state;
    near_put(n, &p, &(struct near_origin){ 5, now + 99000, now + 100000 }, STR("a"));
    near_heard(n, LIFE, now + 99900);
    p.feed_ms = now + 99900;
    assert_true(near_get(n, &p, now + 99999, arena, &(struct str){ 0 }));
    assert_false(near_get(n, &p, now + 100000, arena, &(struct str){ 0 }));
    near_put(n, &p, &(struct near_origin){ 5, clock_ms() + 1, clock_ms() }, STR("a"));
    assert_int_equal(near_count(n), 0);
}

static void
memory_is_bounded_to_the_byte_and_the_least_lately_used_goes(void **state)
{
    static char text[60000];
    size_t most = 0, one, tables;

    (void)state;
    assert_int_equal(near_bytes(n), 0); /* nothing is allocated for nothing */
    put(0, 1, STR(""));
    one = near_bytes(n);
    put(1, 1, STR(""));
    tables = one - (near_bytes(n) - one);
    one -= tables;
    srand(1);
    for (unsigned i = 2; i < 3000; i++) {
        put(i, i % 7, (struct str){ text, (size_t)rand() % sizeof text });
        assert_true(has(0)); /* used all the while */
        most = near_bytes(n) > most ? near_bytes(n) : most;
        assert_true(near_bytes(n) <= ROOM);
    }
    assert_true(most > ROOM - sizeof text - one);
    assert_false(has(2));
    near_deaf(n);
    assert_int_equal(near_bytes(n), 0);
    near_free(&n);
    n = near_new(tables + one + 10); /* room for one answer of ten bytes */
    assert_true(put(1, 1, STR("0123456789")));
    assert_int_equal(near_bytes(n), tables + one + 10);
    put(2, 1, STR("01234567890"));
    assert_true(has(1));
    put(2, 1, STR("9876543210"));
    assert_false(has(1));
    assert_true(has(2));
    assert_null(near_new(0));
}

static void
what_nobody_asks_for_a_minute_is_given_back(void **state)
{
    (void)state;
    put(1, 1, STR("a"));
    assert_true(near_listens(n, clock_ms()));
    assert_false(near_listens(n, clock_ms() + 60100));
    assert_int_equal(near_bytes(n), 0);
}

/* ---- from many threads */

#define SESSIONS 4u

/* Of each session the number of its last erasure: as whoever reads an answer sees it, and as it has been heard of here. */
static _Atomic unsigned there[SESSIONS], heard[SESSIONS];

static void *
ask_on(void *arg)
{
    struct arena *a = arena_new(1u << 20);
    size_t *bad = arg;

    for (unsigned i = 0; i < 20000; i++) {
        unsigned session = i % SESSIONS, least = atomic_load(&heard[session]), number = 0, made;
        struct cache_probe p = probe_of(session, 1);
        struct near_origin from = { session, clock_ms(), clock_ms() + 10000 }; /* before it is read */
        struct str value = { (const char *)&made, sizeof made }, got;

        made = atomic_load(&there[session]);
        p.feed_ms = clock_ms();
        if (near_get(n, &p, clock_ms(), a, &got)) {
            memcpy(&number, got.p, sizeof number);
            *bad += number < least;
        } else {
            near_put(n, &p, &from, value);
        }
        if (i % 500 == 0) {
            arena_free(&a);
            a = arena_new(1u << 20);
        }
    }
    arena_free(&a);
    return NULL;
}

static void *
erase_on(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i < 4000; i++) {
        atomic_store(&there[i % SESSIONS], i);
        near_erase(n, i % SESSIONS, i);
        atomic_store(&heard[i % SESSIONS], i);
        near_heard(n, LIFE, clock_ms());
    }
    return NULL;
}

static void
no_thread_gets_an_erased_answer(void **state)
{
    pthread_t t[4];
    size_t bad[4] = { 0 };

    (void)state;
    put(100, 100, STR("a"));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, i == 3 ? erase_on : ask_on, &bad[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(bad[i], 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_answer_is_given_as_it_was_kept),
        T(nothing_is_given_unless_erasures_and_changes_were_heard_of_just_now),
        T(an_erasure_takes_its_session_and_no_other),
        T(an_answer_that_was_read_before_its_session_was_erased_is_not_kept),
        T(the_same_erasure_is_listed_for_seconds_and_is_one),
        T(when_erasures_may_be_forgotten_nothing_older_is_kept),
        T(what_redis_lost_is_lost_here),
        T(after_a_long_silence_only_what_the_list_covers_stays),
        T(another_epoch_ends_an_answer),
        T(an_answer_expires),
        T(memory_is_bounded_to_the_byte_and_the_least_lately_used_goes),
        T(what_nobody_asks_for_a_minute_is_given_back),
        T(no_thread_gets_an_erased_answer),
    };

    gateway_stats_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
