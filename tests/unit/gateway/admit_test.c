/* Limits and the query cache against a private Redis: one trip, and every wrong value is a miss that goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "tests/unit/gateway/rediskit.h"
#include "gateway/admit/cache_write.h"
#include "gateway/admit/erased.h"
#include "gateway/admit/frames.h"
#include "gateway/admit/limit.h"
#include "gateway/gateway.h"

static struct gateway gw;
static struct gateway_opt opt = { .rate_requests = 60,
                                  .rate_window = 60,
                                  .rate_hour = 1000,
                                  .rate_addr = 600,
                                  .query_cache_ttl = 3600,
                                  .resumable_streams = 10 };
static struct http_conn conn;
static struct arena *arena;
static uint8_t session[32] = { 7 };

#define REDIS(last, ...) \
    redis_say(gw.cache, arena, last, (const char *const[]){ __VA_ARGS__ }, \
              sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static int
set_up(void **state)
{
    (void)state;
    gateway_stats_register();
    admit_init();
    gw = (struct gateway){ .opt = &opt, .limiter = limiter_new(8), .cache = redis_begin() };
    gw.state = gw.cache;
    arena = arena_new(64u << 20);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    redis_free(&gw.cache);
    limiter_free(&gw.limiter);
    arena_free(&arena);
    stat_fini();
    redis_end();
    return 0;
}

/* Each test: empty Redis, fresh local buckets, a request whose answers are not written anywhere. */
static int
fresh(void **state)
{
    (void)state;
    limiter_free(&gw.limiter);
    gw.limiter = limiter_new(8);
    assert_int_equal(REDIS(STR_NONE, "FLUSHALL").type, REDIS_STATUS);
    return 0;
}

static struct request
request_of(void)
{
    struct request r = {
        .gw = &gw, .conn = &conn, .arena = arena, .id = "r", .method = METHOD_POST, .peer = "1.2.3.4"
    };

    conn = (struct http_conn){ .fd = -1, .sent = true, .limits.violated = -1 };
    return r;
}

static struct cache_probe
probe_of(const char *turn)
{
    struct cache_probe p = { .key = "fn:q:default:00112233445566778899aabbccddeeff",
                             .epoch = 258,
                             .turn = str_of(turn) };

    memset(p.sha256, 0xab, 32);
    return p;
}

/* A value as the answer codec packs it. */
static struct str
value_of(uint8_t sha, uint8_t epoch_low, const char *magic)
{
    static char v[128];
    const struct str body = { v + 84, 16 };
    uint8_t digest[20];
    char hex[41];

    memset(v, 0, sizeof v);
    memcpy(v, magic, 4);
    memset(v + 4, sha, 32);
    v[42] = 1;
    v[43] = (char)epoch_low;
    v[87] = 2;
    memcpy(v + 88, "{}", 2);
    sha1(&body, 1, digest);
    memcpy(v + 44, hex_text(digest, sizeof digest, hex), 40);
    return (struct str){ v, 100 };
}

static double
counted(enum cache_outcome how)
{
    return stat_value(&gateway_stats, GW_CACHE, how, 0);
}

static bool
look(const char *turn, struct cache_hit *hit)
{
    struct cache_probe p = probe_of(turn);
    struct request r = request_of();
    bool good = admit(&r, session, &p, hit);

    buf_free(&r.headers);
    return good;
}

static void
a_stored_answer_is_a_hit_with_its_time_to_live(void **state)
{
    struct cache_probe p = probe_of(NULL);
    struct request r = request_of();
    struct cache_hit hit;
    struct redis_val ttl;

    (void)state;
    assert_true(look(NULL, &hit));
    assert_false(hit.hit);
    cache_store(&r, session, &p, value_of(0xab, 2, "FA02"));
    ttl = REDIS(STR_NONE, "TTL", "fn:q:default:00112233445566778899aabbccddeeff");
    assert_true(ttl.i > 3590 && ttl.i <= 3600);
    assert_true(look(NULL, &hit));
    assert_true(hit.hit && !hit.appended);
    assert_true(str_eq(hit.value, value_of(0xab, 2, "FA02")));
}

static void
a_hit_appends_its_turn_and_answer_in_the_same_trip(void **state)
{
    struct cache_hit hit;
    struct redis_val v;

    (void)state;
    REDIS(value_of(0xab, 2, "FA02"), "SET", "fn:q:default:00112233445566778899aabbccddeeff", NULL);
    assert_true(look("turn bytes", &hit));
    assert_true(hit.hit && hit.appended);
    v = REDIS(STR_NONE, "XRANGE", "fn:turns", "-", "+");
    assert_int_equal(v.n, 1);
    v = v.v[0].v[1];
    assert_int_equal(v.n, 4);
    assert_true(str_is(v.v[0].s, "q") && str_is(v.v[1].s, "turn bytes") && str_is(v.v[2].s, "a"));
    assert_true(str_eq(v.v[3].s, value_of(0xab, 2, "FA02")));
}

static void
wrong_values_are_misses_that_are_deleted_and_counted(void **state)
{
    static const struct {
        uint8_t sha, epoch;
        const char *magic;
        size_t n;
        enum cache_outcome how;
    } rows[] = { { 0xaa, 2, "FA02", 100, CACHE_COLLISION },
                 { 0xab, 1, "FA02", 100, CACHE_STALE },
                 { 0xab, 2, "FA01", 100, CACHE_BAD },
                 { 0xab, 2, "FA02", 99, CACHE_BAD }, /* the checksum differs */
                 { 0xab, 2, "FA02", 20, CACHE_BAD } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str v = value_of(rows[i].sha, rows[i].epoch, rows[i].magic);
        double before = counted(rows[i].how);
        struct cache_hit hit;

        v.n = rows[i].n;
        REDIS(v, "SET", "fn:q:default:00112233445566778899aabbccddeeff", NULL);
        assert_true(look("turn", &hit));
        assert_false(hit.hit || hit.appended);
        assert_true(counted(rows[i].how) > before);
        assert_int_equal(REDIS(STR_NONE, "EXISTS", "fn:q:default:00112233445566778899aabbccddeeff").i, 0);
        assert_int_equal(REDIS(STR_NONE, "XLEN", "fn:turns").i, 0);
    }
}

static void
a_clock_of_redis_that_went_back_punishes_for_one_full_bucket_at_most(void **state)
{
    struct cache_hit hit;
    char hex[65], key[128];

    (void)state;
    snprintf(key, sizeof key, "fn:rl:s:%s", hex_text(session, 32, hex));
    REDIS(STR_NONE, "SET", key, "9000000000000000"); /* what a clock of the year 2255 wrote */
    assert_false(look(NULL, &hit));
    assert_in_range(conn.limits.p[0].retry_ms, 1, 1500); /* 60 a minute: the next one in a second */
    assert_in_range(conn.limits.p[0].reset_ms, 1, 61000);
    assert_in_range(strtoll(REDIS(STR_NONE, "GET", key).s.p, NULL, 10), 1,
                    8000000000000000); /* and stays no longer */
}

static void
values_of_another_type_hurt_nobody(void **state)
{
    struct cache_hit hit;
    char hex[65], key[128];

    (void)state;
    snprintf(key, sizeof key, "fn:rl:s:%s", hex_text(session, 32, hex));
    REDIS(STR_NONE, "LPUSH", "fn:q:default:00112233445566778899aabbccddeeff", "x");
    REDIS(STR_NONE, "LPUSH", key, "x");
    REDIS(STR_NONE, "SET", "fn:rl:a:1.2.3.4", "not a number");
    assert_true(look(NULL, &hit));
    assert_false(hit.hit);
    assert_int_equal(conn.limits.p[0].remaining, 59);
    REDIS(value_of(0xab, 2, "FA02"), "SET", "fn:q:default:00112233445566778899aabbccddeeff", NULL);
    REDIS(STR_NONE, "SET", "fn:turns", "not a stream");
    assert_true(look("turn", &hit));
    assert_true(hit.hit && !hit.appended);
}

static void
a_full_stream_takes_no_more_turns(void **state)
{
    struct redis_val v;
    struct request r = request_of();
    struct cache_hit hit;

    (void)state;
    for (int i = 0; i < 20; i++) {
        v = REDIS(STR_NONE, "EVAL",
                  "for i = 1, 500 do redis.call('XADD', 'fn:turns', '*', 'q', 'x') end return 1", "0");
        assert_int_equal(v.i, 1);
    }
    REDIS(value_of(0xab, 2, "FA02"), "SET", "fn:q:default:00112233445566778899aabbccddeeff", NULL);
    assert_true(look("turn", &hit));
    assert_true(hit.hit && !hit.appended);
    assert_false(turns_append(&r, STR("turn")));
    REDIS(STR_NONE, "DEL", "fn:turns");
    assert_true(turns_append(&r, STR("turn")));
}

static void
of_70_requests_60_pass_and_the_rest_learn_when_to_come_again(void **state)
{
    int passed = 0;

    (void)state;
    for (int i = 0; i < 70; i++)
        passed += look(NULL, &(struct cache_hit){ 0 });
    assert_true(passed == 60 || passed == 61);
    assert_int_equal(conn.limits.violated, 0);
    assert_int_equal(conn.limits.p[0].remaining, 0);
    assert_true(conn.retry_after_ms > 0 && conn.retry_after_ms <= 1000);
    /* A refused request charges nothing: the hour still has what the passed ones left. */
    assert_int_equal(conn.limits.p[1].remaining, 1000 - passed);
}

static void
a_redis_that_forgets_meets_the_floor_at_twice_the_limit(void **state)
{
    int passed = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        if (i % 50 == 0)
            REDIS(STR_NONE, "FLUSHALL");
        passed += look(NULL, &(struct cache_hit){ 0 });
    }
    assert_true(passed >= 120 && passed <= 122);
}

static void
erasing_a_session_erases_its_cached_answers(void **state)
{
    struct cache_probe p = probe_of(NULL);
    struct request r = request_of();
    uint8_t other[32] = { 9 };

    (void)state;
    cache_store(&r, session, &p, value_of(0xab, 2, "FA02"));
    cache_erase_session(&r, other);
    assert_int_equal(REDIS(STR_NONE, "EXISTS", p.key).i, 1);
    cache_erase_session(&r, session);
    assert_int_equal(REDIS(STR_NONE, "EXISTS", p.key).i, 0);
}

static void
an_answer_that_is_taken_back_is_gone(void **state)
{
    struct cache_probe p = probe_of(NULL);
    struct request r = request_of();

    (void)state;
    cache_store(&r, session, &p, value_of(0xab, 2, "FA02"));
    assert_int_equal(REDIS(STR_NONE, "EXISTS", p.key).i, 1);
    cache_take_back(&r, session, &p);
    assert_int_equal(REDIS(STR_NONE, "EXISTS", p.key).i, 0);
}

/* It may be read, and its limits cannot be counted there. */
static void
a_redis_that_is_full_is_told_of_once(void **state)
{
    struct cache_probe p = probe_of(NULL);
    struct request r = request_of();
    struct cache_hit hit;
    const char *told;

    (void)state;
    assert_int_equal(REDIS(STR_NONE, "CONFIG", "SET", "maxmemory", "1").type, REDIS_STATUS);
    assert_true(admit(&r, session, &p, &hit));
    assert_int_equal(REDIS(STR_NONE, "CONFIG", "SET", "maxmemory", "0").type, REDIS_STATUS);
    buf_c(&r.headers, '\0');
    told = strstr(r.headers.p, "X-Cache: ");
    assert_non_null(told);
    assert_null(strstr(told + 1, "X-Cache: "));
    buf_free(&r.headers);
}

static bool
open_stream(int64_t asked_us)
{
    struct request r = request_of();
    struct frames f = { .key = "fn:f:default:message", .text_key = "fn:f:default:message:t" };

    r.start_us = asked_us;
    memcpy(f.session, session, sizeof f.session);
    return frames_open(&r, &f, STR("state"), STR("meta"), STR("sources"));
}

static void
erasing_a_session_erases_its_streams_and_none_of_an_older_question_comes_after_it(void **state)
{
    static const char key[] = "fn:f:default:message";
    struct request r = request_of();
    int64_t asked = clock_us();

    (void)state;
    assert_true(open_stream(asked));
    assert_int_equal(REDIS(STR_NONE, "EXISTS", key).i, 1);
    cache_erase_session(&r, session);
    assert_int_equal(REDIS(STR_NONE, "EXISTS", key).i, 0);
    assert_false(open_stream(asked)); /* its search took longer than the erasure */
    assert_int_equal(REDIS(STR_NONE, "EXISTS", key).i, 0);
    assert_true(open_stream(clock_us() + 1000000)); /* a question that came later */
    assert_int_equal(REDIS(STR_NONE, "EXISTS", key).i, 1);
    assert_int_equal(REDIS(STR_NONE, "ZCARD", FRAMES_ERASED).i, 1); /* readers at every gateway hear of it */
}

static void
the_set_of_a_session_that_goes_on_asking_holds_what_lives(void **state)
{
    struct request r = request_of();
    char set[80], hex[65];
    int64_t most = 0;

    (void)state;
    snprintf(set, sizeof set, "fn:qs:%s", hex_text(session, 32, hex));
    for (int i = 0; i < 1500; i++) {
        struct cache_probe p = probe_of(NULL);
        int64_t n;

        snprintf(p.key, sizeof p.key, "fn:q:default:%032d", i);
        r.redis = (struct redis_budget){ 0 };
        cache_store(&r, session, &p, value_of(0xab, 2, "FA02"));
        if (i % 5 != 0)
            REDIS(STR_NONE, "DEL", p.key); /* as if it had expired */
        n = REDIS(STR_NONE, "SCARD", set).i;
        most = n > most ? n : most;
    }
    assert_true(most < 800);
    assert_true(REDIS(STR_NONE, "SCARD", set).i >= 300); /* nothing that lives was forgotten */
    cache_erase_session(&r, session);
    assert_int_equal(REDIS(STR_NONE, "EXISTS", "fn:q:default:00000000000000000000000000001495").i, 0);
}

static void
without_redis_the_process_limits_by_itself(void **state)
{
    struct redis *kept = gw.cache;
    int passed = 0;
    struct cache_hit hit;

    (void)state;
    gw.cache = gw.state = NULL;
    for (int i = 0; i < 70; i++) {
        passed += look("turn", &hit);
        assert_false(hit.hit);
    }
    gw.cache = gw.state = kept;
    assert_int_equal(passed, 60);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        T(a_stored_answer_is_a_hit_with_its_time_to_live),
        T(a_hit_appends_its_turn_and_answer_in_the_same_trip),
        T(wrong_values_are_misses_that_are_deleted_and_counted),
        T(a_clock_of_redis_that_went_back_punishes_for_one_full_bucket_at_most),
        T(values_of_another_type_hurt_nobody),
        T(a_full_stream_takes_no_more_turns),
        T(of_70_requests_60_pass_and_the_rest_learn_when_to_come_again),
        T(a_redis_that_forgets_meets_the_floor_at_twice_the_limit),
        T(erasing_a_session_erases_its_cached_answers),
        T(an_answer_that_is_taken_back_is_gone),
        T(a_redis_that_is_full_is_told_of_once),
        T(erasing_a_session_erases_its_streams_and_none_of_an_older_question_comes_after_it),
        T(the_set_of_a_session_that_goes_on_asking_holds_what_lives),
        T(without_redis_the_process_limits_by_itself),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
