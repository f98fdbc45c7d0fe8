/* What bus-bench and bus-bare share: client threads in a closed loop, and the processor time of this process and its child. */
#ifndef BENCH_BUS_BENCH_H
#define BENCH_BUS_BENCH_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BENCH_CLIENTS_MAX 256
#define BENCH_BYTES 300

static struct {
    long clients;
    double seconds;
    atomic_bool stop;
    atomic_long done, failed;
} bench;

static inline double
bench_clock_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline void
bench_sleep(double seconds)
{
    struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

    nanosleep(&t, NULL);
}

/* usage: NAME CLIENTS SECONDS */
static inline void
bench_options(int argc, char **argv)
{
    bench.clients = argc > 1 ? strtol(argv[1], NULL, 10) : 64;
    bench.seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    if (bench.clients < 1 || bench.clients > BENCH_CLIENTS_MAX || bench.seconds <= 0) {
        fprintf(stderr, "usage: %s CLIENTS SECONDS\n", argv[0]);
        exit(2);
    }
}

static void *
bench_client(void *ask)
{
    bool (*const *one)(void) = ask;

    while (!bench.stop) {
        if ((*one)())
            bench.done++;
        else
            bench.failed++;
    }
    return NULL;
}

/* Runs the clients, a quarter of the time to get warm; prints what one request cost here and in the child. Exit code. */
static inline int
bench_run(bool (*one)(void), pid_t child)
{
    pthread_t t[BENCH_CLIENTS_MAX];
    clockid_t worker;
    double wall, here, there, n;

    clock_getcpuclockid(child, &worker);
    for (long i = 0; i < bench.clients; i++)
        pthread_create(&t[i], NULL, bench_client, &one);
    bench_sleep(bench.seconds / 4);
    n = (double)bench.done;
    wall = bench_clock_us(CLOCK_MONOTONIC), here = bench_clock_us(CLOCK_PROCESS_CPUTIME_ID), there = bench_clock_us(worker);
    bench_sleep(bench.seconds);
    n = (double)bench.done - n;
    wall = bench_clock_us(CLOCK_MONOTONIC) - wall, here = bench_clock_us(CLOCK_PROCESS_CPUTIME_ID) - here;
    there = bench_clock_us(worker) - there;
    bench.stop = true;
    for (long i = 0; i < bench.clients; i++)
        pthread_join(t[i], NULL);
    printf("{\"rate\": %.1f, \"gateway_us\": %.2f, \"worker_us\": %.2f, \"failed\": %ld}\n", n / wall * 1e6, here / n, there / n,
           (long)bench.failed);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return n > 0 && bench.failed == 0 ? 0 : 1;
}

#endif
