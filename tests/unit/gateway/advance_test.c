/* Limits that are taken in advance, over two gateways and a private Redis: never one request too many, none lost, and no trip where there
 * is a token. And what else makes no trip of its own: turns that are queued together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "tests/unit/gateway/rediskit.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/advance.h"
#include "gateway/admit/cache_write.h"
#include "gateway/admit/limit.h"
#include "gateway/gateway.h"

#define GATEWAYS 2
#define THREADS 4 /* of each gateway */
#define PASSES 200000

static struct gateway gw[GATEWAYS];
static struct gateway_opt opt;
static struct redis *server;
static struct arena *arena;
static uint8_t session[32] = { 7 };

#define REDIS(...) \
    redis_say(server, arena, STR_NONE, (const char *const[]){ __VA_ARGS__ }, \
              sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static int
set_up(void **state)
{
    (void)state;
    gateway_stats_register();
    admit_init();
    server = redis_begin();
    arena = arena_new(64u << 20);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    redis_free(&server);
    arena_free(&arena);
    stat_fini();
    redis_end();
    return 0;
}

static void
begin_again(void)
{
    REDIS("FLUSHALL");
    for (int i = 0; i < GATEWAYS; i++) {
        gw[i] = (struct gateway){ .opt = &opt, .limiter = limiter_new(8), .cache = server, .state = server };
        gw[i].advance = advance_start(&gw[i]);
        assert_non_null(gw[i].advance);
    }
}

static int
begin(void **state)
{
    (void)state;
    opt = (struct gateway_opt){ .rate_requests = 1000000,
                                .rate_window = 60,
                                .rate_hour = 100000000,
                                .rate_addr = 100000000,
                                .query_cache_ttl = 3600 };
    begin_again();
    return 0;
}

static int
end(void **state)
{
    (void)state;
    for (int i = 0; i < GATEWAYS; i++) {
        advance_stop(&gw[i].advance);
        limiter_free(&gw[i].limiter);
    }
    return 0;
}

static bool
passes_as(struct gateway *g, const uint8_t who[32], struct http_conn *conn)
{
    struct request r = {
        .gw = g, .conn = conn, .arena = arena_new(65536), .id = "r", .method = METHOD_POST, .peer = "1.2.3.4"
    };
    bool good;

    *conn = (struct http_conn){ .fd = -1, .sent = true, .limits.violated = -1 };
    good = admit(&r, who, NULL, NULL);
    buf_free(&r.headers);
    arena_free(&r.arena);
    return good;
}

static bool
passes(struct gateway *g, struct http_conn *conn)
{
    return passes_as(g, session, conn);
}

static double
tokens(size_t what)
{
    return stat_value(&gateway_stats, GW_ADVANCED, what, 0);
}

static bool
lots_open(void)
{
    return REDIS("KEYS", "fn:rl:o:s:*").n > 0;
}

/* ---- many at once */

static int64_t passed_us[PASSES]; /* when each had passed */
static _Atomic int64_t unsure_us; /* at most so long before */
static atomic_long n_passed;
static atomic_bool over;
static atomic_long pause_most_us; /* between two requests of a thread */

static void *
ask_on(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct gateway *g = &gw[seed % GATEWAYS];
    struct http_conn conn;
    int64_t begun, ended;
    long i, pause;

    while (!atomic_load(&over)) {
        begun = clock_us();
        if (passes(g, &conn)) {
            ended = clock_us();
            i = atomic_fetch_add(&n_passed, 1);
            if (i < PASSES)
                passed_us[i] = ended;
            if (ended - begun > atomic_load(&unsure_us))
                atomic_store(&unsure_us, ended - begun);
        } else {
            usleep(2000); /* Redis wants a processor, too */
        }
        pause = atomic_load(&pause_most_us);
        if (pause > 0)
            usleep((useconds_t)(rand_r(&seed) % pause));
    }
    return NULL;
}

static int
by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* Until nothing more passes by what was there at first and no lot is open. */
static long
once(long most, int64_t least_ms)
{
    pthread_t t[GATEWAYS * THREADS];
    int64_t begun = clock_ms();

    atomic_store(&n_passed, 0);
    atomic_store(&unsure_us, 0);
    atomic_store(&over, false);
    for (size_t i = 0; i < GATEWAYS * THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask_on, (void *)(uintptr_t)i), 0);
    while (clock_ms() - begun < least_ms || atomic_load(&n_passed) < most || lots_open()) {
        if (clock_ms() - begun > 30000)
            break;
        if (clock_ms() - begun > least_ms / 2)
            atomic_store(&pause_most_us, 0);
        poll(NULL, 0, 20);
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < GATEWAYS * THREADS; i++)
        pthread_join(t[i], NULL);
    qsort(passed_us, (size_t)atomic_load(&n_passed), sizeof *passed_us, by_time);
    return atomic_load(&n_passed);
}

/* The same, the first half of the time with pauses, until Redis decided all the while: a busy machine may keep it from answering in time, and then each gateway counts by itself. */
static long
all_at_once(void **state, long most, int64_t least_ms, long pause_us)
{
    double local;
    long n;

    for (int i = 0; i < 10; i++) {
        end(state);
        begin_again();
        atomic_store(&pause_most_us, pause_us);
        local = stat_value(&gateway_stats, GW_LIMIT_LOCAL, 0, 0);
        n = once(most, least_ms);
        if (stat_value(&gateway_stats, GW_LIMIT_LOCAL, 0, 0) == local)
            return n;
    }
    print_message("this machine is too busy: Redis never answered all the time\n");
    skip();
    return 0;
}

/* The generic cell rate algorithm over the times at which requests passed: how many should not have. */
static long
too_many(long n, long q, long w)
{
    const struct policy p = { .q = q, .w = w };
    int64_t tau, step = gcra_step(&p, 1, &tau), tat = 0;
    long bad = 0;

    for (long i = 0; i < n; i++) {
        tat = (tat > passed_us[i] ? tat : passed_us[i]) + step;
        bad += tat > passed_us[i] + tau + atomic_load(&unsure_us);
    }
    return bad;
}

static void
a_limit_of_a_day_is_spent_to_the_last_token_and_no_further(void **state)
{
    long n;

    (void)state;
    opt.rate_requests = 3000;
    opt.rate_window = 86400; /* one comes back in 29 s */
    n = all_at_once(state, 3000, 0, 0);
    assert_in_range(n, 3000, 3001);
    assert_true(tokens(ADVANCE_SPENT) > 1000); /* and most of it without asking */
}

static void
a_limit_that_refills_is_never_exceeded(void **state)
{
    long n;

    static const struct {
        long q, w, pause_us;
    } rounds[] = {
        { 2000, 60, 0 },
        { 6000, 60, 200000 }, /* a quota that is nearly full for a second, and then a burst */
        { 2000, 1, 0 },       /* a window that is too short to give up a part of it */
    };

    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        opt.rate_requests = rounds[i].q;
        opt.rate_window = rounds[i].w;
        n = all_at_once(state, 0, 2000, rounds[i].pause_us);
        assert_in_range(n, rounds[i].q * 98 / 100, PASSES);
        assert_int_equal(too_many(n, rounds[i].q, rounds[i].w), 0);
        assert_in_range(atomic_load(&unsure_us), 0, 300000);
    }
}

static void
a_small_limit_is_counted_one_by_one(void **state)
{
    long n;
    double taken = tokens(ADVANCE_TAKEN);

    (void)state;
    opt.rate_requests = 50;
    opt.rate_window = 86400;
    n = all_at_once(state, 50, 500, 0);
    assert_int_equal(n, 50);
    /* of the bucket that allows 50; of the others there may be lots */
    assert_true(REDIS("EXISTS", "fn:rl:o:s:0700000000000000000000000000000000000000000000000000000000000000")
                    .i == 0);
    assert_true(tokens(ADVANCE_TAKEN) >= taken);
}

static void
what_nobody_wanted_goes_back(void **state)
{
    struct http_conn conn;
    double spent = tokens(ADVANCE_SPENT), taken = tokens(ADVANCE_TAKEN), back = tokens(ADVANCE_RETURNED),
           lost = tokens(ADVANCE_LOST);
    int64_t until = clock_ms() + 10000;
    long n = 0;

    (void)state;
    opt.rate_requests = 3000;
    opt.rate_window = 86400;
    while (tokens(ADVANCE_SPENT) == spent && clock_ms() < until)
        n += passes(&gw[0], &conn);
    while (lots_open() && clock_ms() < until)
        poll(NULL, 0, 10);
    assert_false(lots_open());
    while (tokens(ADVANCE_TAKEN) - taken != tokens(ADVANCE_SPENT) - spent + tokens(ADVANCE_RETURNED) - back &&
           clock_ms() < until)
        poll(NULL, 0, 10);
    assert_true(tokens(ADVANCE_TAKEN) - taken ==
                tokens(ADVANCE_SPENT) - spent + tokens(ADVANCE_RETURNED) - back);
    assert_true(tokens(ADVANCE_LOST) == lost);
    assert_true(passes(&gw[1], &conn));
    assert_int_equal(conn.limits.p[0].remaining, 3000 - n - 1);
}

static void
a_gateway_that_dies_costs_one_lot_at_most(void **state)
{
    struct http_conn conn;
    double spent = tokens(ADVANCE_SPENT);
    int64_t until = clock_ms() + 10000;
    struct gateway dead;
    long n = 0, lot;

    (void)state;
    opt.rate_requests = 3000;
    opt.rate_window = 86400;
    while (tokens(ADVANCE_SPENT) == spent && clock_ms() < until)
        n += passes(&gw[0], &conn);
    dead = gw[0];
    gw[0].advance = NULL; /* its lots stay open */
    assert_true(passes(&gw[1], &conn));
    lot = 3000 - n - 1 - conn.limits.p[0].remaining;
    assert_in_range(lot, 0, 3000 / 32);
    gw[0].advance = dead.advance;
}

static void
a_redis_that_lost_its_data_takes_nothing_back(void **state)
{
    struct http_conn conn;
    double spent = tokens(ADVANCE_SPENT), lost = tokens(ADVANCE_LOST);
    int64_t until = clock_ms() + 10000;

    (void)state;
    opt.rate_requests = 3000;
    opt.rate_window = 86400;
    while (tokens(ADVANCE_SPENT) == spent && clock_ms() < until)
        passes(&gw[0], &conn);
    REDIS("FLUSHALL");
    for (int i = 0; i < 20; i++) /* charged anew: this must not be taken for what the lot left */
        passes(&gw[1], &conn);
    while ((tokens(ADVANCE_LOST) == lost || lots_open()) && clock_ms() < until)
        poll(NULL, 0, 10);
    assert_true(tokens(ADVANCE_LOST) > lost);
    assert_true(passes(&gw[1], &conn));
    assert_true(conn.limits.p[0].remaining <= 3000 - 21);
}

static void
a_redis_that_is_away_gives_none_and_the_process_counts(void **state)
{
    struct http_conn conn;
    struct redis *kept = server;
    int64_t until = clock_ms() + 10000;
    double spent = tokens(ADVANCE_SPENT);
    struct buf why = { 0 };
    struct redis *nowhere = redis_new("redis://127.0.0.1:1/0", NULL, &why);
    long n = 0;

    (void)state;
    opt.rate_requests = 600;
    opt.rate_window = 86400;
    while (tokens(ADVANCE_SPENT) == spent && clock_ms() < until)
        n += passes(&gw[0], &conn);
    gw[0].state = gw[0].cache = nowhere;
    for (int i = 0; i < 2000; i++)
        n += passes(&gw[0], &conn);
    assert_int_equal(n, 600); /* those that passed by a lot count here, too */
    gw[0].state = gw[0].cache = kept;
    advance_stop(&gw[0].advance);
    redis_free(&nowhere);
}

static void
an_address_of_many_sessions_is_counted_one_by_one(void **state)
{
    double taken = tokens(ADVANCE_TAKEN);
    struct http_conn conn;
    long n = 0;

    (void)state;
    opt.rate_addr = 300;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t who[32] = { 0 };

        memcpy(who, &i, sizeof i);
        n += passes_as(&gw[i % GATEWAYS], who, &conn);
    }
    assert_in_range(n, 300, 320);
    assert_true(tokens(ADVANCE_TAKEN) == taken);
}

/* ---- turns together */

#define TURNS 200

static void *
queue_on(void *arg)
{
    struct request r = { .gw = &gw[0], .arena = arena_new(1u << 20), .id = "r" };
    unsigned who = (unsigned)(uintptr_t)arg;
    size_t queued = 0;
    char turn[32];

    for (unsigned i = 0; i < TURNS; i++) {
        snprintf(turn, sizeof turn, "%u %u", who, i);
        queued += turns_append_pair(&r, str_of(turn), i % 2 ? STR("answer") : STR_NONE);
    }
    arena_free(&r.arena);
    return (void *)queued;
}

static size_t
queue_all(unsigned threads)
{
    pthread_t t[16];
    size_t queued = 0;
    void *n;

    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&t[i], NULL, queue_on, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(t[i], &n);
        queued += (size_t)n;
    }
    return queued;
}

/* Into a stream that has so many turns already. Again while the machine is so busy that a trip takes too long: then nobody knows. */
static size_t
queue_to(const char *have, unsigned threads)
{
    double failed;
    size_t queued = 0;

    for (int i = 0; i < 10; i++) {
        failed = stat_value(&gateway_stats, GW_TURNS, TURN_FAILED, 0);
        REDIS("DEL", "fn:turns");
        if (REDIS("EVAL", "for i = 1, ARGV[1] do redis.call('XADD', 'fn:turns', '*', 'q', 'x') end return 1",
                  "0", have)
                .i != 1)
            continue;
        queued = queue_all(threads);
        if (stat_value(&gateway_stats, GW_TURNS, TURN_FAILED, 0) == failed)
            break;
    }
    return queued;
}

static void
turns_that_come_together_are_queued_together_and_each_once(void **state)
{
    unsigned next[16] = { 0 }, who, i;
    struct redis_val v;

    (void)state;
    assert_int_equal(queue_to("0", 16), 16 * TURNS);
    assert_true(stat_value(&gateway_stats, GW_TURN_TRIPS, 0, 0) <
                stat_value(&gateway_stats, GW_TURNS, TURN_QUEUED, 0));
    v = REDIS("XRANGE", "fn:turns", "-", "+");
    assert_int_equal(v.n, 16 * TURNS);
    for (size_t k = 0; k < v.n; k++) {
        struct redis_val fields = v.v[k].v[1];

        assert_int_equal(sscanf(fields.v[1].s.p, "%u %u", &who, &i), 2);
        assert_int_equal(next[who]++, i); /* each thread's own order */
        assert_int_equal(fields.n, i % 2 ? 4 : 2);
    }
}

static void
as_many_turns_as_there_is_room_for_are_told_to_be_queued(void **state)
{
    (void)state;
    assert_int_equal(queue_to("9000", 16), 1000);
    assert_int_equal(REDIS("XLEN", "fn:turns").i, 10000);
    REDIS("DEL", "fn:turns");
    REDIS("SET", "fn:turns", "no stream");
    assert_int_equal(queue_all(4), 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_limit_of_a_day_is_spent_to_the_last_token_and_no_further),
        T(a_limit_that_refills_is_never_exceeded),
        T(a_small_limit_is_counted_one_by_one),
        T(an_address_of_many_sessions_is_counted_one_by_one),
        T(what_nobody_wanted_goes_back),
        T(a_gateway_that_dies_costs_one_lot_at_most),
        T(a_redis_that_lost_its_data_takes_nothing_back),
        T(a_redis_that_is_away_gives_none_and_the_process_counts),
        T(turns_that_come_together_are_queued_together_and_each_once),
        T(as_many_turns_as_there_is_room_for_are_told_to_be_queued),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
