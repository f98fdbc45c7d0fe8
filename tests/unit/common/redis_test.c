/* The Redis wrapper against a real server of its own (unix socket in a private folder) that is stopped, continued,
 * killed, flushed and locked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/redis.h"
#include "common/redis_url.h"
#include "common/stat.h"

static char folder[] = "/tmp/fn-redis-XXXXXX";
static char socket_path[64], url[80];
static pid_t server;
static int port;

/* ---- names: "moving" is what the test says, "slow" takes for ever ---- */

static char moving[32];
static atomic_int slow_asked;

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct addrinfo numeric = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };

    if (real == NULL)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(name, "moving") == 0 || strcmp(name, "slow") == 0) {
        if (hints->ai_flags & AI_NUMERICHOST)
            return EAI_NONAME;
        if (strcmp(name, "moving") == 0)
            return real(moving, service, &numeric, out);
        atomic_fetch_add(&slow_asked, 1);
        poll(NULL, 0, 1000);
        return EAI_AGAIN;
    }
    return real(name, service, hints, out);
}

/* ---- the server ------------------------------------------------------------------------------------------------ */

static bool
server_answers(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char reply[5] = "";
    bool ok;

    snprintf(to.sun_path, sizeof to.sun_path, "%s", socket_path);
    ok = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && write(fd, "PING\r\n", 6) == 6 &&
         read(fd, reply, 5) == 5 && memcmp(reply, "+PONG", 5) == 0;
    close(fd);
    return ok;
}

static int
free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), got = 0;

    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && getsockname(fd, (struct sockaddr *)&at, &n) == 0)
        got = ntohs(at.sin_port);
    close(fd);
    return got;
}

static void
server_start(void)
{
    char number[8];
    int64_t until = clock_ms() + 10000;

    snprintf(number, sizeof number, "%d", port);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* not even a crash of the test leaves it behind */
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execlp("redis-server", "redis-server", "--port", number, "--bind", "127.0.0.1", "--unixsocket", socket_path,
               "--dir", folder, "--save", "", "--appendonly", "no", (char *)NULL);
        _exit(127);
    }
    assert_true(server > 0);
    while (!server_answers()) {
        assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
        assert_true(clock_ms() < until);
        poll(NULL, 0, 10);
    }
}

static void
server_kill(void)
{
    if (server <= 0)
        return;
    kill(server, SIGCONT);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    server = 0;
}

static int
set_up(void **state)
{
    (void)state;
    log_init("test", "error", false);
    if (!mkdtemp(folder))
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/s", folder);
    snprintf(url, sizeof url, "unix://%s", socket_path);
    port = free_port();
    server_start();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    server_kill();
    unlink(socket_path);
    rmdir(folder);
    stat_fini();
    return 0;
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

static struct redis *
client_at(const char *where)
{
    const char *why;
    struct redis *r = redis_new(where, &why);

    assert_null(why);
    assert_non_null(r);
    return r;
}

static int
call(struct redis *r, struct arena *a, struct redis_val *out, size_t argc, const struct str *argv)
{
    return redis_run(r, a, &(struct redis_cmd){ argv, argc }, 1, out);
}
#define CALL(r, a, out, ...)                                                                                           \
    call((r), (a), (out), sizeof((struct str[]){ __VA_ARGS__ }) / sizeof(struct str), (struct str[]){ __VA_ARGS__ })

static double
metric(const char *name)
{
    struct buf b = { 0 };
    char line[128];
    const char *at;
    double v = -1;

    stat_print(&b);
    snprintf(line, sizeof line, "\nfootnote_%s ", name);
    at = b.p ? strstr(b.p, line) : NULL;
    if (at)
        v = strtod(at + strlen(line), NULL);
    buf_free(&b);
    return v;
}

static void
until_up(struct redis *r, struct arena *a)
{
    int64_t until = clock_ms() + 20000;
    struct redis_val v;

    while (CALL(r, a, &v, STR("PING")) != 0) {
        assert_true(clock_ms() < until);
        poll(NULL, 0, 20);
    }
}

/* ---- promises -------------------------------------------------------------------------------------------------- */

static void
nothing_is_connected_before_the_first_call(void **state)
{
    struct redis *r = client_at("unix:///nowhere/at/all");
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    assert_true(redis_up(r));
    assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    assert_false(redis_up(r));
    arena_free(&a);
    redis_free(&r);
    redis_free(&r);
}

static void
values_are_binary_safe_and_every_type_comes_back(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    const struct str bytes = STR("a\0b\r\n$5\r\n%s%n\xFF");
    const struct str set[] = { STR("SET"), STR("k\0\r\n"), bytes }, get[] = { STR("GET"), STR("k\0\r\n") },
                     none[] = { STR("GET"), STR("none") }, incr[] = { STR("INCR"), STR("n") },
                     wrong[] = { STR("LPUSH"), STR("n"), STR_NONE }, list[] = { STR("MGET"), STR("k\0\r\n"), STR("none") };
    const struct redis_cmd cmds[] = { { set, 3 }, { get, 2 }, { none, 2 }, { incr, 2 }, { wrong, 3 }, { list, 3 } };
    struct redis_val v[6];

    (void)state;
    assert_int_equal(redis_run(r, a, cmds, 6, v), 0);
    assert_true(v[0].type == REDIS_STATUS && str_is(v[0].s, "OK"));
    assert_true(v[1].type == REDIS_STR && str_eq(v[1].s, bytes));
    assert_int_equal(v[2].type, REDIS_NIL);
    assert_true(v[3].type == REDIS_INT && v[3].i == 1);
    assert_true(v[4].type == REDIS_ERROR && str_starts(v[4].s, "WRONGTYPE"));
    assert_true(v[5].type == REDIS_LIST && v[5].n == 2 && str_eq(v[5].v[0].s, bytes) && v[5].v[1].type == REDIS_NIL);
    arena_free(&a);
    redis_free(&r);
}

static void
a_value_of_a_megabyte_passes_and_one_that_the_arena_cannot_hold_is_an_error(void **state)
{
    static char big[1 << 20];
    struct redis *r = client_at(url);
    struct arena *a = arena_new(4 << 20), *small = arena_new(1000);
    struct redis_val v;

    (void)state;
    memset(big, 0xE4, sizeof big);
    assert_int_equal(CALL(r, a, &v, STR("SET"), STR("big"), { big, sizeof big }), 0);
    assert_int_equal(CALL(r, a, &v, STR("GET"), STR("big")), 0);
    assert_true(str_eq(v.s, (struct str){ big, sizeof big }));
    assert_int_equal(CALL(r, small, &v, STR("GET"), STR("big")), 0);
    assert_int_equal(v.type, REDIS_ERROR);
    assert_int_equal(CALL(r, small, &v, STR("ECHO"), STR("next")), 0);
    assert_true(str_is(v.s, "next"));
    arena_free(&small);
    arena_free(&a);
    redis_free(&r);
}

static void
a_command_with_more_arguments_than_the_stack_array_is_sent_whole(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    struct str argv[201] = { STR("RPUSH") };
    struct redis_val v;

    (void)state;
    for (size_t i = 1; i < 201; i++)
        argv[i] = STR("many");
    assert_int_equal(call(r, a, &v, 201, argv), 0);
    assert_true(v.type == REDIS_INT && v.i == 199);
    assert_int_equal(CALL(r, a, &v, STR("DEL"), STR("many")), 0);
    arena_free(&a);
    redis_free(&r);
}

static void
a_script_runs_again_after_script_flush(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    const struct str keys[] = { STR("key") }, args[] = { STR("x"), STR("y") };
    struct redis_script s;
    struct redis_val v;

    (void)state;
    redis_script_init(&s, "return {KEYS[1], ARGV[1] .. ARGV[2]}");
    assert_int_equal(strlen(s.sha1), 40);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(redis_eval(r, NULL, a, &s, keys, 1, args, 2, &v), 0);
        assert_true(v.type == REDIS_LIST && v.n == 2 && str_is(v.v[0].s, "key") && str_is(v.v[1].s, "xy"));
        if (i == 1)
            assert_int_equal(CALL(r, a, &v, STR("SCRIPT"), STR("FLUSH")), 0);
    }
    arena_free(&a);
    redis_free(&r);
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
        assert_in_range(clock_ms() - before, 90, 1000);
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
    assert_in_range(clock_us() - before, 0, 500000);
    server_start();
    before = clock_ms();
    until_up(r, a);
    assert_in_range(clock_ms() - before, 0, 2500);
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

/* ---- a server that says one thing to everything ---- */

/* On host (the last byte of 127.0.0.x) and *parrot_port, which is chosen when 0. */
static pid_t
parrot_start(const char *line, uint32_t host, int *parrot_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)*parrot_port),
                              .sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffffff00u) | host) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c, one = 1;
    char in[1024];
    pid_t pid;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *parrot_port = ntohs(at.sin_port);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while ((c = accept(fd, NULL, NULL)) >= 0) {
            while (read(c, in, sizeof in) > 0)
                if (write(c, line, strlen(line)) < 0)
                    break;
            close(c);
        }
        _exit(0);
    }
    assert_true(pid > 0);
    close(fd);
    return pid;
}

static void
a_server_that_cannot_serve_fails_the_call_whatever_was_asked(void **state)
{
    static const char *const lines[] = { "-LOADING Redis is loading the dataset in memory\r\n", "-MOVED 3999 10.0.0.1:6381\r\n",
                                         "-READONLY You can't write against a read only replica.\r\n",
                                         "-CLUSTERDOWN Hash slot not served\r\n", "-ASK 3999 10.0.0.1:6381\r\n" };
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
    assert_in_range(clock_ms() - before, REDIS_REQUEST_MS - 5, 2 * REDIS_REQUEST_MS);
    kill(server, SIGCONT);
    assert_int_equal(redis_run_in(r, &b, a, &cmd, 1, &v), -1);
    until_up(r, a);
    arena_free(&a);
    redis_free(&r);
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
        before = clock_us();
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
        if (clock_us() - before > worst)
            worst = clock_us() - before;
    }
    assert_in_range(worst, 0, 80000); /* a hung call takes 100 ms; the rest is for a busy machine */
    kill(server, SIGCONT);
    before = clock_ms();
    until_up(r, a);
    assert_in_range(clock_ms() - before, 0, 1500);
    arena_free(&a);
    redis_free(&r);
}

static struct redis *
client_with(const char *login, const char *db)
{
    char where[128];

    snprintf(where, sizeof where, "redis://%s127.0.0.1:%d%s", login, port, db);
    return client_at(where);
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
    assert_in_range(clock_ms() - before, 90, 900);
    assert_int_equal(atomic_load(&slow_asked), 1);
    before = clock_ms();
    redis_free(&r); /* the look-up is still under way */
    assert_in_range(clock_ms() - before, 0, 500);
    arena_free(&a);
}

static void
a_wrong_or_missing_password_fails_and_is_counted_and_the_right_one_works(void **state)
{
    static const char *const wrong[] = { "", ":guess@", "default:guess@" }, *const right[] = { ":p%40ss%20w%25rd@",
                                                                                              "default:p%40ss w%25rd@" };
    struct redis *admin = client_at(url), *r;
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    assert_int_equal(CALL(admin, a, &v, STR("CONFIG"), STR("SET"), STR("requirepass"), STR("p@ss w%rd")), 0);
    for (size_t i = 0; i < 3; i++) {
        double before = metric("redis_auth_errors_total");

        r = client_with(wrong[i], "");
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
        assert_true(metric("redis_auth_errors_total") == before + 1);
        redis_free(&r);
    }
    for (size_t i = 0; i < 2; i++) {
        r = client_with(right[i], "");
        assert_int_equal(CALL(r, a, &v, STR("PING")), 0);
        redis_free(&r);
    }
    assert_int_equal(CALL(admin, a, &v, STR("CONFIG"), STR("SET"), STR("requirepass"), STR_NONE), 0);
    assert_int_equal(v.type, REDIS_STATUS);
    arena_free(&a);
    redis_free(&admin);
}

static void
the_database_of_the_address_is_selected_and_one_that_is_not_there_fails(void **state)
{
    struct redis *zero = client_with("", ""), *three = client_with("", "/3"), *none = client_with("", "/9999");
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    assert_int_equal(CALL(three, a, &v, STR("SET"), STR("where"), STR("three")), 0);
    assert_int_equal(CALL(zero, a, &v, STR("GET"), STR("where")), 0);
    assert_int_equal(v.type, REDIS_NIL);
    assert_int_equal(CALL(three, a, &v, STR("GET"), STR("where")), 0);
    assert_true(str_is(v.s, "three"));
    assert_int_equal(CALL(none, a, &v, STR("PING")), -1);
    arena_free(&a);
    redis_free(&zero);
    redis_free(&three);
    redis_free(&none);
}

static void
addresses_are_taken_apart_and_bad_ones_refused_with_a_reason(void **state)
{
    static const struct {
        const char *url, *host, *path, *user, *password, *db;
        int port;
    } good[] = {
        { "redis://h", "h", NULL, NULL, NULL, "", 6379 },
        { "redis://h:7/0", "h", NULL, NULL, NULL, "", 7 },
        { "redis://me:p:%40@h:65535/12", "h", NULL, "me", "p:@", "12", 65535 },
        { "redis://:a@b@[::1]:7/", "::1", NULL, NULL, "a@b", "", 7 },
        { "unix:///run/r.sock", NULL, "/run/r.sock", NULL, NULL, "", 0 },
    };
    static const char *const bad[] = { "", "h:6379", "http://h", "rediss://h", "redis://", "redis://:7", "redis://h:0",
                                       "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/999999", "redis://me@h",
                                       "redis://:%4@h", "redis://:%00@h", "redis://:%zz@h", "redis://[::1", "redis://[::1]7",
                                       "unix://rel", "unix:///" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct redis_url u = { 0 };

        assert_null(redis_url_parse(good[i].url, &u));
        assert_true(str_eq(str_of(u.host), str_of(good[i].host)) && str_eq(str_of(u.path), str_of(good[i].path)));
        assert_true(str_eq(str_of(u.user), str_of(good[i].user)) && str_eq(str_of(u.password), str_of(good[i].password)));
        assert_string_equal(u.db, good[i].db);
        assert_int_equal(u.port, good[i].port);
        redis_url_fini(&u);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *why = NULL;

        assert_null(redis_new(bad[i], &why));
        assert_non_null(why);
    }
}

#define CALLERS 8
static struct redis *shared;

static void *
caller(void *arg)
{
    struct arena *a = arena_new(8 << 20);
    intptr_t id = (intptr_t)arg, wrong = 0;
    struct redis_val v;
    char word[32];

    for (int i = 0; i < 2000; i++) {
        snprintf(word, sizeof word, "%d-%d", (int)id, i);
        if (CALL(shared, a, &v, STR("ECHO"), str_of(word)) != 0 || !str_is(v.s, word))
            wrong++;
    }
    arena_free(&a);
    return (void *)wrong;
}

static void
threads_share_one_client_and_each_gets_its_own_answers(void **state)
{
    pthread_t t[CALLERS];
    void *wrong;

    (void)state;
    shared = client_at(url);
    for (intptr_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, caller, (void *)i), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
    redis_free(&shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_connected_before_the_first_call),
        cmocka_unit_test(addresses_are_taken_apart_and_bad_ones_refused_with_a_reason),
        cmocka_unit_test(values_are_binary_safe_and_every_type_comes_back),
        cmocka_unit_test(a_value_of_a_megabyte_passes_and_one_that_the_arena_cannot_hold_is_an_error),
        cmocka_unit_test(a_command_with_more_arguments_than_the_stack_array_is_sent_whole),
        cmocka_unit_test(a_script_runs_again_after_script_flush),
        cmocka_unit_test(the_database_of_the_address_is_selected_and_one_that_is_not_there_fails),
        cmocka_unit_test(a_wrong_or_missing_password_fails_and_is_counted_and_the_right_one_works),
        cmocka_unit_test(threads_share_one_client_and_each_gets_its_own_answers),
        cmocka_unit_test(after_a_time_out_no_call_gets_an_answer_to_another_question),
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
