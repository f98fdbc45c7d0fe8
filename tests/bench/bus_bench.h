/* Shared by bus-bench and bus-bare: HTTP in front. Each request, on its own thread of civetweb as in the
 * gateway, makes one trip over the bus to the child process and answers "ok". The client and the processor
 * time are the benchmark's business. */
#ifndef TESTS_BENCH_BUS_BENCH_H
#define TESTS_BENCH_BUS_BENCH_H

#include <civetweb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BENCH_BYTES 300
#define BENCH_CAPACITY 256

typedef bool (*bench_trip)(void);

static inline int
bench_answer(struct mg_connection *mg, void *trip)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    static const char bad[] = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";

    if ((*(bench_trip *)trip)())
        mg_write(mg, ok, sizeof ok - 1);
    else
        mg_write(mg, bad, sizeof bad - 1);
    return 200;
}

/* Prints its port and the worker's pid on one line; serves until SIGTERM. Block the signal before any thread starts. */
static inline int
bench_serve(bench_trip trip, pid_t worker, const sigset_t *stop)
{
    const char *opts[] = { "listening_ports",
                           "127.0.0.1:0",
                           "num_threads",
                           "128",
                           "enable_keep_alive",
                           "yes",
                           "keep_alive_timeout_ms",
                           "15000",
                           "tcp_nodelay",
                           "1",
                           "listen_backlog",
                           "1024",
                           NULL };
    struct mg_server_port bound;
    struct mg_context *ctx;
    int sig;

    mg_init_library(0);
    ctx = mg_start(NULL, NULL, opts);
    if (!ctx || mg_get_server_ports(ctx, 1, &bound) < 1)
        return 2;
    mg_set_request_handler(ctx, "/", bench_answer, &trip);
    printf("%d %d\n", bound.port, (int)worker);
    fflush(stdout);
    sigwait(stop, &sig);
    mg_stop(ctx);
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
    return 0;
}

/* SIGTERM and SIGINT are waited for, by all threads that come. */
static inline void
bench_signals(sigset_t *stop)
{
    sigemptyset(stop);
    sigaddset(stop, SIGTERM);
    sigaddset(stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, stop, NULL);
}

static inline void
bench_sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

#endif
