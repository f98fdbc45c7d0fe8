/* loadgen: an HTTP client of many users, for fault tests and benches. One thread, epoll, a connection a request.
 *
 *   loadgen --targets 127.0.0.1:8080[,127.0.0.1:8081…] (--rate R | --closed C) [--count N] [--seconds S] [--streams 0.33]
 *           [--attempts N] [--patience-ms N] [--timeout-ms N] [--sources K] [--route query|stream|embeddings|search]
 *           [--question TEXT] [--seed N] [--record FILE] [--open N] [--keys 1] [--lose P]
 *
 * Open loop (--rate): requests begin on their schedule whatever the answers do, and latency counts from the schedule.
 * Closed loop (--closed): so many at once. Every request has a session and a question of its own; the question carries a
 * canary word `canary-<12 hex>` that no other request has, also a retry: whoever meets a foreign one in an answer has found
 * a leak. Gateways are taken in turn. It retries as a trivial client would: connection refused, reset or cut → the next
 * gateway after 20 ms, doubled up to 320; 503 and 409 → after Retry-After, at most --attempts in --patience-ms; SIGINT and
 * --seconds end it. --keys 1: a question has an Idempotency-Key, and a retry is the same request to the byte, canary too.
 * --lose P: so many first answers are thrown away as if they had been lost, and asked for again.
 *
 * --record: a JSON line for each request: {id, session, kind, begun, ended, status, code, saved, message_id, answer, cached,
 * length, short, foreign, attempts: [{gateway, begun, ended, status, code, canary, request_id, message_id (of a lost
 * answer), error}]}; times are CLOCK_MONOTONIC in ms. stdout: a summary in JSON: counts by code, latency percentiles of what
 * was answered with 200 (ms) and of refusals, goodput (200 a second). Exit 0 when it ran, whatever came back.
 * One request with its attempts is in loadgen_user.c. */
#include "tests/kit/loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define COUNT_MAX 2000000L

struct loadgen_conf conf = { .attempts = 1,
                             .patience_ms = 20000,
                             .timeout_ms = 40000,
                             .sources = 1,
                             .seed = 1,
                             .open = 4000,
                             .seconds = 60,
                             .question = "What does fault code E14 of the pump mean?" };
struct sums sums;
int poller;
volatile sig_atomic_t stopped;

static struct user users[OPEN_MAX];
static int free_users[OPEN_MAX], n_free, in_use;
static uint64_t rng_state;

double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

uint64_t
rng(void) /* splitmix64 */
{
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void
fail(const char *what)
{
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(2);
}

double
chance(void)
{
    return (double)(rng() >> 11) / 9007199254740992.0;
}

void
user_free(struct user *u)
{
    u->phase = FREE;
    free_users[n_free++] = (int)(u - users);
    in_use--;
}

static void
user_new(double due)
{
    in_use++;
    user_begin(&users[free_users[--n_free]], due);
}

/* ---- the loop */

static void
on_write(struct user *u)
{
    int e = 0;
    socklen_t n = sizeof e;
    ssize_t k;

    if (u->phase == CONNECTING && (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0)) {
        attempt_end(u, "refused");
        return;
    }
    u->phase = SENDING;
    k = send(u->fd, u->out + u->out_at, u->out_n - u->out_at, MSG_NOSIGNAL);
    if (k < 0 && errno != EAGAIN) {
        attempt_end(u, "reset");
        return;
    }
    u->out_at += k > 0 ? (size_t)k : 0;
    if (u->out_at == u->out_n) {
        u->phase = READING;
        watch(u, EPOLLIN, EPOLL_CTL_MOD);
    }
}

static void
on_read(struct user *u)
{
    for (;;) {
        ssize_t k = recv(u->fd, u->in + u->in_n, BODY_CAP - u->in_n, 0);
        char *end;

        if (k < 0 && errno == EAGAIN)
            return;
        if (k <= 0) {
            attempt_end(u, k < 0 ? "reset" : NULL);
            return;
        }
        u->in_n += (size_t)k;
        u->in[u->in_n] = 0;
        if (!u->head_n && (end = strstr(u->in, "\r\n\r\n")) != NULL)
            u->head_n = (size_t)(end - u->in) + 4;
        if (u->in_n == BODY_CAP) {
            attempt_end(u, "too long");
            return;
        }
    }
}

/* Those whose time is over; called every few milliseconds. */
static void
sweep(double now)
{
    for (int i = 0; i < OPEN_MAX && in_use > 0; i++) {
        struct user *u = &users[i];

        if (u->phase == FREE || now < u->until)
            continue;
        if (u->phase == WAITING)
            attempt_begin(u);
        else
            attempt_end(u, "timeout");
    }
}

static bool
finished(double now, double start)
{
    return stopped || (conf.count && sums.begun + sums.skipped >= conf.count) ||
           now > start + conf.seconds * 1e3;
}

static void
begin_due(double now, double start)
{
    if (conf.closed > 0) {
        while (in_use < conf.closed && n_free > 0 && !finished(now, start))
            user_new(0);
        return;
    }
    for (double due; (due = start + (double)(sums.begun + sums.skipped) * 1e3 / conf.rate) <= now &&
                     !finished(now, start);) {
        if (in_use < conf.open && n_free > 0)
            user_new(due);
        else
            sums.skipped++;
    }
}

static void
run(void)
{
    static struct epoll_event events[512];
    double start = now_ms(), swept = start;

    for (;;) {
        double now = now_ms();
        int n;

        begin_due(now, start);
        if (in_use == 0 && finished(now, start))
            return;
        n = epoll_wait(poller, events, 512, 1);
        for (int i = 0; i < n; i++) {
            struct user *u = events[i].data.ptr;

            if (u->phase == CONNECTING || u->phase == SENDING)
                on_write(u);
            else if (u->phase == READING)
                on_read(u);
        }
        if (now - swept >= 5) {
            swept = now;
            sweep(now);
        }
    }
}

/* ---- start and summary */

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static json_t *
percentiles(double *v, long n)
{
    static const struct {
        const char *name;
        double q;
    } rows[] = { { "p50", .5 }, { "p90", .9 }, { "p99", .99 }, { "p999", .999 }, { "max", 1 } };
    json_t *o = json_object();

    qsort(v, (size_t)n, sizeof *v, by_value);
    for (size_t i = 0; n > 0 && i < sizeof rows / sizeof *rows; i++) {
        long at = (long)(rows[i].q * (double)n);

        json_object_set_new(o, rows[i].name, json_real(v[at < n ? at : n - 1]));
    }
    return o;
}

static void
summary(void)
{
    double took = (sums.last_good - sums.first_begun) / 1e3;
    json_t *by = json_object(), *o;

    for (int i = 0; i < CODES_MAX && sums.codes[i].name[0]; i++)
        json_object_set_new(by, sums.codes[i].name, json_integer(sums.codes[i].n));
    o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:f,s:f,s:o,s:o}", "requests", (json_int_t)sums.begun,
                  "ok", (json_int_t)sums.n_good, "skipped", (json_int_t)sums.skipped, "retries",
                  (json_int_t)sums.retried, "lost", (json_int_t)sums.lost, "short", (json_int_t)sums.shorts,
                  "foreign", (json_int_t)sums.foreigns, "codes", by, "seconds", took > 0 ? took : 0.0,
                  "goodput", took > 0 ? (double)sums.n_good / took : 0.0, "ok_ms",
                  percentiles(sums.good_ms, sums.n_good), "refused_ms",
                  percentiles(sums.refused_ms, sums.n_refused));
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}

static void
set_targets(char *list)
{
    for (char *save, *one = strtok_r(list, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        char *colon = strrchr(one, ':');
        struct sockaddr_in *a = &conf.target[conf.n_targets];

        if (!colon || conf.n_targets == TARGETS_MAX)
            break;
        *colon = 0;
        *a = (struct sockaddr_in){ .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)) };
        if (inet_pton(AF_INET, one, &a->sin_addr) == 1)
            conf.n_targets++;
    }
}

static bool
set_number(const char *name, const char *value)
{
    const struct {
        const char *name;
        long *l;
        double *d;
    } rows[] = {
        { "--rate", NULL, &conf.rate },
        { "--seconds", NULL, &conf.seconds },
        { "--streams", NULL, &conf.streams },
        { "--closed", &conf.closed, NULL },
        { "--count", &conf.count, NULL },
        { "--attempts", &conf.attempts, NULL },
        { "--patience-ms", &conf.patience_ms, NULL },
        { "--timeout-ms", &conf.timeout_ms, NULL },
        { "--lose", NULL, &conf.lose },
        { "--keys", &conf.keys, NULL },
        { "--sources", &conf.sources, NULL },
        { "--seed", &conf.seed, NULL },
        { "--open", &conf.open, NULL },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(name, rows[i].name) == 0) {
            if (rows[i].l)
                *rows[i].l = strtol(value, NULL, 10);
            else
                *rows[i].d = strtod(value, NULL);
            return true;
        }
    return false;
}

static bool
set_option(const char *name, char *value)
{
    if (strcmp(name, "--targets") == 0)
        set_targets(value);
    else if (strcmp(name, "--question") == 0)
        conf.question = value;
    else if (strcmp(name, "--record") == 0)
        return (conf.record = fopen(value, "we")) != NULL;
    else if (strcmp(name, "--route") == 0) {
        for (int i = 0; route_names[i]; i++)
            if (strcmp(value, route_names[i]) == 0) {
                conf.route = (enum route)i;
                return true;
            }
        return false;
    } else
        return set_number(name, value);
    return true;
}

static void
on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

int
main(int argc, char **argv)
{
    struct rlimit files = { 0 };
    bool good = argc > 1;

    for (int i = 1; i < argc && good; i += 2)
        good = i + 1 < argc && set_option(argv[i], argv[i + 1]);
    if (!good || conf.n_targets == 0 || (conf.rate <= 0) == (conf.closed <= 0) ||
        strlen(conf.question) > 400 || strpbrk(conf.question, "\"\\") || conf.sources < 1 ||
        conf.count > COUNT_MAX) {
        fprintf(
            stderr,
            "usage: loadgen --targets HOST:PORT[,…] (--rate R | --closed C) [--count N] [--seconds S] …\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    rng_state = (uint64_t)conf.seed * 0x2545f4914f6cdd1du;
    conf.open = conf.open < OPEN_MAX ? conf.open : OPEN_MAX;
    conf.closed = conf.closed < OPEN_MAX ? conf.closed : OPEN_MAX;
    if (!conf.count)
        conf.count = COUNT_MAX;
    sums.good_ms = calloc((size_t)conf.count + OPEN_MAX, sizeof *sums.good_ms);
    sums.refused_ms = calloc((size_t)conf.count + OPEN_MAX, sizeof *sums.refused_ms);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!sums.good_ms || !sums.refused_ms || poller < 0)
        fail("start");
    while (n_free < OPEN_MAX) {
        free_users[n_free] = OPEN_MAX - 1 - n_free;
        n_free++;
    }
    run();
    summary();
    return conf.record && fclose(conf.record) != 0 ? 1 : 0;
}
