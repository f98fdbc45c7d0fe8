/* The Redis wrapper against a server that is stopped, continued, killed, or cannot serve, and names that move. */
#include "rediskit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <sys/resource.h>

static char moving[32];
static atomic_int slow_asked;

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct addrinfo numeric = { .ai_family = AF_INET,
                                .ai_socktype = SOCK_STREAM,
                                .ai_flags = AI_NUMERICHOST };

    if (!real)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(name, "moving") == 0 || strcmp(name, "slow") == 0) {
        if (hints->ai_flags & AI_NUMERICHOST)
            return EAI_NONAME;
        if (strcmp(name, "moving") == 0)
            return real(moving, service, &numeric, out);
        atomic_fetch_add(&slow_asked, 1);
        poll(NULL, 0, 3000);
        return EAI_AGAIN;
    }
    return real(name, service, hints, out);
}

static void
after_a_time_out_no_call_gets_an_answer_to_another_question(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;
    char word[32];

    (void)state;
    until_up(r, a);
    for (int round = 0; round < 4; round++) {
        int64_t before = clock_ms();

        kill(server, SIGSTOP);
        snprintf(word, sizeof word, "lost-%d", round);
        assert_int_equal(CALL(r, a, &v, STR("ECHO"), str_of(word)), -1);
        assert_in_range(clock_ms() - before, 90, 3000);
        kill(server, SIGCONT);
        until_up(r, a);
        for (int i = 0; i < 20; i++) {
            snprintf(word, sizeof word, "mine-%d-%d", round, i);
            assert_int_equal(CALL(r, a, &v, STR("ECHO"), str_of(word)), 0);
            assert_true(str_is(v.s, word));
        }
    }
    arena_free(&a);
    redis_free(&r);
}

static void
a_reply_that_nobody_asked_for_is_nobodys_answer(void **state)
{
    int at = 0;
    pid_t parrot = parrot_start("+mine\r\n+not asked for\r\n", 1, &at);
    char where[40];
    struct arena *a = arena_new(1 << 16);
    struct redis_val v;
    struct redis *r;

    (void)state;
    snprintf(where, sizeof where, "redis://127.0.0.1:%d", at);
    r = client_at(where);
    for (int i = 0; i < 50; i++) { /* at once, while the connection is too fresh to be looked at */
        assert_int_equal(CALL(r, a, &v, STR("ECHO"), STR("mine")), 0);
        assert_true(str_is(v.s, "mine"));
    }
    redis_free(&r);
    arena_free(&a);
    kill(parrot, SIGKILL);
    waitpid(parrot, NULL, 0);
}

static void
five_failures_open_the_breaker_and_a_probe_closes_it(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;
    int64_t before;

    (void)state;
    until_up(r, a);
    server_kill();
    for (int i = 0; i < 5; i++)
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    assert_true(metric("redis_breaker_open") == 1);
    assert_false(redis_up(r));
    before = clock_us();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    assert_in_range(clock_us() - before, 0, 5000000); /* one that waits takes 100 ms */
    server_start();
    before = clock_ms();
    until_up(r, a);
    assert_in_range(clock_ms() - before, 0, 5000);
    assert_true(metric("redis_breaker_open") == 0);
    assert_true(redis_up(r));
    arena_free(&a);
    redis_free(&r);
}

static void
a_restart_costs_no_call_because_dead_idle_connections_are_not_used(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    until_up(r, a);
    server_kill();
    server_start();
    assert_int_equal(CALL(r, a, &v, STR("PING")), 0);
    arena_free(&a);
    redis_free(&r);
}

static void
a_server_that_cannot_serve_fails_the_call_whatever_was_asked(void **state)
{
    static const char *const lines[] = { "-LOADING Redis is loading the dataset in memory\r\n",
                                         "-MOVED 3999 10.0.0.1:6381\r\n",
                                         "-READONLY You can't write against a read only replica.\r\n",
                                         "-CLUSTERDOWN Hash slot not served\r\n",
                                         "-ASK 3999 10.0.0.1:6381\r\n" };
    struct arena *a = arena_new(1 << 20);
    const struct str key = STR("k");
    struct redis_script s;
    struct redis_val v;

    (void)state;
    redis_script_init(&s, "return redis.call('GET', KEYS[1])");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int at = 0;
        pid_t parrot = parrot_start(lines[i], 1, &at);
        char where[64];
        struct redis *r;

        snprintf(where, sizeof where, "redis://127.0.0.1:%d", at);
        r = client_at(where);
        assert_int_equal(CALL(r, a, &v, STR("GET"), STR("k")), -1);
        assert_int_equal(redis_eval(r, NULL, a, &s, &key, 1, NULL, 0, &v), -1);
        assert_false(redis_ping(r));
        assert_false(redis_up(r));
        redis_free(&r);
        kill(parrot, SIGKILL);
        waitpid(parrot, NULL, 0);
    }
    arena_free(&a);
}

static void
a_request_pays_for_one_failure_and_for_no_second_one(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    const struct str argv[] = { STR("ECHO"), STR("x") };
    const struct redis_cmd cmd = { argv, 2 };
    struct redis_budget b = { 0 };
    struct redis_val v;
    int64_t before;

    (void)state;
    until_up(r, a);
    for (int i = 0; i < 100; i++)
        assert_int_equal(redis_run_in(r, &b, a, &cmd, 1, &v), 0);
    assert_false(b.over);
    b = (struct redis_budget){ 0 };
    kill(server, SIGSTOP);
    before = clock_ms();
    for (int i = 0; i < 10; i++)
        assert_int_equal(redis_run_in(r, &b, a, &cmd, 1, &v), -1);
    assert_true(b.over);
    assert_in_range(clock_ms() - before, REDIS_REQUEST_MS - 5,
                    9 * REDIS_REQUEST_MS); /* ten that each wait take ten times */
    kill(server, SIGCONT);
    assert_int_equal(redis_run_in(r, &b, a, &cmd, 1, &v), -1);
    until_up(r, a);
    arena_free(&a);
    redis_free(&r);
}

/* How often this thread has gone to sleep by itself: a busy machine takes the processor away, which does not count. */
static long
sleeps(void)
{
    struct rusage u;

    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return u.ru_nvcsw;
}

/* Once the breaker is open no call waits any more, not even one that comes when it is time to look again. */
static void
while_it_hangs_no_call_pays_for_finding_out(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;
    int64_t until, before, worst = 0;

    (void)state;
    until_up(r, a);
    kill(server, SIGSTOP);
    for (int i = 0; i < 5; i++)
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    for (until = clock_ms() + 2500; clock_ms() < until; poll(NULL, 0, 1)) {
        long slept = sleeps();

        before = clock_us();
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
        if (clock_us() - before > worst && sleeps() > slept)
            worst = clock_us() - before;
    }
    assert_in_range(worst, 0, 80000); /* a hung call takes 100 ms, asleep */
    kill(server, SIGCONT);
    before = clock_ms();
    until_up(r, a);
    assert_in_range(clock_ms() - before, 0, 5000);
    arena_free(&a);
    redis_free(&r);
}

/* A failover: the name's old address becomes a replica that refuses writes, the new one is what the name stands for now. */
static void
a_name_that_moves_is_followed(void **state)
{
    struct redis *admin = client_at(url), *r;
    struct arena *a = arena_new(1 << 20);
    int64_t until = clock_ms() + 5000;
    struct redis_val v;
    char where[64];
    pid_t old = parrot_start("-READONLY You can't write against a read only replica.\r\n", 2, &port);

    (void)state;
    until_up(admin, a);
    snprintf(moving, sizeof moving, "127.0.0.2"); /* the master that was, a replica now */
    snprintf(where, sizeof where, "redis://moving:%d", port);
    r = client_at(where);
    assert_int_equal(CALL(r, a, &v, STR("SET"), STR("moved"), STR("1")), -1);
    snprintf(moving, sizeof moving, "127.0.0.1");
    while (CALL(r, a, &v, STR("SET"), STR("moved"), STR("1")) != 0) {
        assert_true(clock_ms() < until);
        poll(NULL, 0, 20);
    }
    assert_int_equal(CALL(admin, a, &v, STR("GET"), STR("moved")), 0);
    assert_true(str_is(v.s, "1"));
    kill(old, SIGKILL);
    waitpid(old, NULL, 0);
    arena_free(&a);
    redis_free(&r);
    redis_free(&admin);
}

static void
a_name_server_that_is_away_holds_nobody(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct redis *r = client_at("redis://slow:1");
    struct redis_val v;
    int64_t before = clock_ms();

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    assert_in_range(clock_ms() - before, 90, 2500);
    assert_int_equal(atomic_load(&slow_asked), 1);
    before = clock_ms();
    redis_free(&r); /* the look-up is still under way */
    assert_in_range(clock_ms() - before, 0, 2000);
    arena_free(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_time_out_no_call_gets_an_answer_to_another_question),
        cmocka_unit_test(a_reply_that_nobody_asked_for_is_nobodys_answer),
        cmocka_unit_test(five_failures_open_the_breaker_and_a_probe_closes_it),
        cmocka_unit_test(a_restart_costs_no_call_because_dead_idle_connections_are_not_used),
        cmocka_unit_test(a_server_that_cannot_serve_fails_the_call_whatever_was_asked),
        cmocka_unit_test(a_request_pays_for_one_failure_and_for_no_second_one),
        cmocka_unit_test(while_it_hangs_no_call_pays_for_finding_out),
        cmocka_unit_test(a_name_that_moves_is_followed),
        cmocka_unit_test(a_name_server_that_is_away_holds_nobody),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
