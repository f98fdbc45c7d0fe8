/* Shared by the tests of the Redis wrapper: a real server of their own (unix socket in a private folder),
 * calls, and a server that says one thing to everything. */
#ifndef TESTS_UNIT_COMMON_REDISKIT_H
#define TESTS_UNIT_COMMON_REDISKIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/redis/redis.h"
#include "common/process/stat.h"
#include "tests/unit/portkit.h"

static char folder[] = "/tmp/fn-redis-XXXXXX";
static char socket_path[64], url[80];
static pid_t server;
static int port;
static char *server_options[24]; /* beside those of every test; the last is NULL */

/* ---- the server */

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
        char *argv[40] = { "redis-server",
                           "--port",
                           number,
                           "--bind",
                           "127.0.0.1",
                           "--unixsocket",
                           socket_path,
                           "--dir",
                           folder,
                           "--save",
                           "",
                           "--appendonly",
                           "no" };

        memcpy(argv + 13, server_options, sizeof server_options);
        execvp(argv[0], argv);
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

/* ---- calls */

static inline struct redis *
client_at(const char *where)
{
    struct buf why = { 0 };
    struct redis *r = redis_new(where, NULL, &why);

    assert_int_equal(why.n, 0);
    assert_non_null(r);
    return r;
}

static inline int
call(struct redis *r, struct arena *a, struct redis_val *out, size_t argc, const struct str *argv)
{
    return redis_run(r, a, &(struct redis_cmd){ argv, argc }, 1, out);
}
#define CALL(r, a, out, ...) \
    call((r), (a), (out), sizeof((struct str[]){ __VA_ARGS__ }) / sizeof(struct str), \
         (struct str[]){ __VA_ARGS__ })

static inline double
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

static inline void
until_up(struct redis *r, struct arena *a)
{
    int64_t until = clock_ms() + 20000;
    struct redis_val v;

    while (CALL(r, a, &v, STR("PING")) != 0) {
        assert_true(clock_ms() < until);
        poll(NULL, 0, 20);
    }
}

/* ---- a server that says one thing to everything */

/* On host (the last byte of 127.0.0.x) and *parrot_port, which is chosen when 0. */
static inline pid_t
parrot_start(const char *line, uint32_t host, int *parrot_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)*parrot_port),
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

#endif
