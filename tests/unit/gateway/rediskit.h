/* A private Redis for a test program: one server, on a free port, that ends with it. */
#ifndef TESTS_UNIT_GATEWAY_REDISKIT_H
#define TESTS_UNIT_GATEWAY_REDISKIT_H

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/redis/redis.h"
#include "tests/unit/portkit.h"

static pid_t redis_server;

/* A command of n words; NULL among them: last. */
static inline struct redis_val
redis_say(struct redis *to, struct arena *a, struct str last, const char *const *words, size_t n)
{
    struct str argv[8];
    struct redis_cmd cmd = { argv, n };
    struct redis_val v = { .type = REDIS_ERROR };

    for (size_t i = 0; i < n; i++)
        argv[i] = words[i] ? str_of(words[i]) : last;
    redis_run(to, a, &cmd, 1, &v);
    return v;
}

static inline struct redis *
redis_begin(void)
{
    char url[64], number[8];
    struct buf why = { 0 };
    int64_t until = clock_ms() + 10000;
    int port = free_port();
    struct redis *r;

    snprintf(number, sizeof number, "%d", port);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d/0", port);
    redis_server = fork();
    if (redis_server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execlp("redis-server", "redis-server", "--port", number, "--bind", "127.0.0.1", "--save", "",
               (char *)NULL);
        _exit(127);
    }
    r = redis_new(url, NULL, &why);
    while (!redis_ping(r)) {
        assert_true(clock_ms() < until);
        poll(NULL, 0, 20);
    }
    return r;
}

static inline void
redis_end(void)
{
    kill(redis_server, SIGKILL);
    waitpid(redis_server, NULL, 0);
}

#endif
