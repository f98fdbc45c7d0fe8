/* httpbench: an HTTP client for benchmarks. One thread, epoll, connections that stay open.
 *
 *   httpbench --target 127.0.0.1:8080 --path /api/v1/chat/query (--closed C | --rate R) [--connections N] [--count N]
 *             [--seconds S] [--warm S] [--method POST] [--header "Name: value"]… [--bodies FILE] [--timeout-ms N]
 *
 * Closed loop (--closed): C connections, each sends its next request when its answer is there. Open loop (--rate): requests
 * are due every 1/R s whatever the answers do; one that finds no idle connection waits, and its latency counts from when it
 * was due. Bodies come from FILE, a line each, in turn; GET needs none. --warm: seconds at the start that do not count.
 *
 * stdout: one JSON object: {"requests", "seconds", "rate" (answers of 200 a second), "p50_us", "p95_us", "p99_us", "max_us",
 * "codes": {"200": n, …}, "broken" (connections lost, timed out), "late" (due, but never sent)}. Exit 0 when it ran. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define ANSWER_MAX (1u << 20)
#define HEAD_MAX 4096
#define SAMPLES_MAX 4000000u

static struct {
    struct sockaddr_in target;
    const char *host, *path, *method, *bodies;
    char headers[HEAD_MAX];
    long closed, connections, count, timeout_ms;
    double rate, seconds, warm;
} conf = { .method = "POST", .headers = "", .seconds = 10, .timeout_ms = 30000 };

struct conn {
    int fd;
    bool busy;
    double due; /* when the request that runs was to begin */
    char *out, *in;
    size_t out_n, out_at, in_n;
};

static struct conn conns[CONNECTIONS_MAX];
static int epoll_fd, idle[CONNECTIONS_MAX], n_idle;
static char **bodies;
static size_t n_bodies;
static uint32_t *samples; /* us */
static size_t n_samples;
static long sent, answered, codes[600], broken;
static volatile sig_atomic_t stopped;

static double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
    fprintf(stderr, "httpbench: %s\n", what);
    exit(2);
}

static void *
take(void *p)
{
    if (!p)
        die("out of memory");
    return p;
}

/* ---- connections */

static void
conn_open(struct conn *c)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&conf.target, sizeof conf.target) < 0)
        die("cannot connect to the target");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    c->in_n = 0;
}

static void
conn_rest(struct conn *c)
{
    c->busy = false;
    idle[n_idle++] = (int)(c - conns);
}

/* The answer did not come: a new connection takes the place of the old one. */
static void
conn_broke(struct conn *c)
{
    broken++;
    close(c->fd);
    conn_open(c);
    conn_rest(c);
}

static void
conn_events(struct conn *c, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = c };

    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void
conn_send(struct conn *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN) {
        conn_broke(c);
        return;
    }
    c->out_at += n > 0 ? (size_t)n : 0;
    if (c->out_at < c->out_n)
        conn_events(c, EPOLLIN | EPOLLOUT);
}

static void
conn_ask(struct conn *c, double due)
{
    const char *body = n_bodies ? bodies[(size_t)sent % n_bodies] : "";
    size_t n = strlen(body), room = HEAD_MAX * 2 + n;

    c->out = take(realloc(c->out, room));
    c->out_n = (size_t)snprintf(c->out, room, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", conf.method, conf.path,
                                conf.host, conf.headers);
    if (n_bodies)
        c->out_n += (size_t)snprintf(c->out + c->out_n, room - c->out_n,
                                     "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
    c->out_n += (size_t)snprintf(c->out + c->out_n, room - c->out_n, "\r\n%s", body);
    c->out_at = c->in_n = 0;
    c->due = due;
    c->busy = true;
    sent++;
    conn_send(c);
}

/* ---- answers */

static const char *
header_of(const char *head, const char *name)
{
    const char *p = strcasestr(head, name);

    return p ? p + strlen(name) : NULL;
}

/* 0: not yet whole; else its status. */
static int
whole(struct conn *c, bool *closes)
{
    char *end, *p = c->in;
    const char *v;
    size_t head;
    bool done;

    p[c->in_n] = 0;
    if (!(end = strstr(p, "\r\n\r\n")))
        return 0;
    head = (size_t)(end - p) + 4;
    *end = 0;
    v = header_of(p, "\r\nContent-Length:");
    if (v)
        done = c->in_n >= head + (size_t)strtoul(v, NULL, 10);
    else if (header_of(p, "\r\nTransfer-Encoding:"))
        done = c->in_n >= head + 5 && memcmp(p + c->in_n - 5, "0\r\n\r\n", 5) == 0;
    else
        done = true;
    v = header_of(p, "\r\nConnection:");
    *closes = v && strncasecmp(v + strspn(v, " "), "close", 5) == 0;
    *end = '\r';
    return done && c->in_n > 12 ? atoi(p + 9) : 0;
}

static void
take_answer(struct conn *c, int status, bool closes, double begun)
{
    double now = now_s();

    codes[status > 0 && status < 600 ? status : 0]++;
    answered++;
    if (c->due >= begun && n_samples < SAMPLES_MAX)
        samples[n_samples++] = (uint32_t)((now - c->due) * 1e6);
    if (closes) {
        close(c->fd);
        conn_open(c);
    }
    conn_rest(c);
}

static void
conn_read(struct conn *c, double begun)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, ANSWER_MAX - c->in_n, 0);
    bool closes = false;
    int status;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !c->busy) {
        if (c->busy) {
            conn_broke(c);
        } else { /* the server ended an idle connection */
            close(c->fd);
            conn_open(c);
        }
        return;
    }
    c->in_n += (size_t)n;
    if ((status = whole(c, &closes)) != 0)
        take_answer(c, status, closes, begun);
    else if (c->in_n >= ANSWER_MAX)
        conn_broke(c);
}

/* ---- the run */

static void
expire(double now)
{
    for (long i = 0; i < conf.connections; i++)
        if (conns[i].busy && now - conns[i].due > (double)conf.timeout_ms / 1000)
            conn_broke(&conns[i]);
}

/* Begin what is due; returns how many are due and could not begin. */
static long
begin_due(double start, double now)
{
    long due = conf.rate > 0 ? (long)((now - start) * conf.rate) + 1 : sent + n_idle;

    if (conf.count > 0 && due > conf.count)
        due = conf.count;
    while (sent < due && n_idle > 0) {
        double at = conf.rate > 0 ? start + (double)sent / conf.rate : now_s();

        conn_ask(&conns[idle[--n_idle]], at);
    }
    return due > sent ? due - sent : 0;
}

/* Until the next request is due, to the nanosecond: in whole milliseconds it would spin, and take a processor from the server. */
static struct timespec
wait_for(double start, double now, long waiting)
{
    double next = conf.rate > 0 && waiting == 0 ? start + (double)sent / conf.rate - now : 0.1;

    return (struct timespec){ .tv_nsec = next < 0 ? 0 : next > 0.1 ? 100000000 : (long)(next * 1e9) };
}

static long
run(double start)
{
    struct epoll_event events[256];
    double end = start + conf.warm + conf.seconds, checked = start;
    long waiting = 0;

    for (double now = now_s(); now < end && !stopped; now = now_s()) {
        struct timespec wait;
        int n;

        if (conf.count > 0 && answered + broken >= conf.count)
            break;
        waiting = begin_due(start, now);
        wait = wait_for(start, now, waiting);
        n = epoll_pwait2(epoll_fd, events, 256, &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (events[i].events & EPOLLOUT) {
                conn_events(c, EPOLLIN);
                conn_send(c);
            } else {
                conn_read(c, start + conf.warm);
            }
        }
        if (now - checked > 0.5) {
            checked = now;
            expire(now);
        }
    }
    return waiting;
}

static int
by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static unsigned
percentile(double p)
{
    return n_samples ? samples[(size_t)((double)(n_samples - 1) * p)] : 0;
}

static void
report(double start, long late)
{
    double seconds = now_s() - start - conf.warm;
    const char *comma = "";

    qsort(samples, n_samples, sizeof *samples, by_size);
    printf(
        "{\"requests\": %ld, \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %u, \"p95_us\": %u, \"p99_us\": %u, \"max_us\": %u, \"codes\": {",
        answered, seconds,
        codes[200] > 0 && seconds > 0 ? (double)n_samples * (double)codes[200] / (double)answered / seconds
                                      : 0,
        percentile(.50), percentile(.95), percentile(.99), percentile(1));
    for (int i = 0; i < 600; i++)
        if (codes[i]) {
            printf("%s\"%d\": %ld", comma, i, codes[i]);
            comma = ", ";
        }
    printf("}, \"broken\": %ld, \"late\": %ld}\n", broken, late);
}

/* ---- options */

static void
target_set(const char *z)
{
    char host[64];
    const char *colon = strrchr(z, ':');

    if (!colon || (size_t)(colon - z) >= sizeof host)
        die("--target must be ADDRESS:PORT");
    conf.host = z;
    memcpy(host, z, (size_t)(colon - z));
    host[colon - z] = 0;
    conf.target.sin_family = AF_INET;
    conf.target.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &conf.target.sin_addr) != 1 || strncmp(host, "127.", 4) != 0)
        die("--target must be a loopback address");
}

static void
header_add(const char *z)
{
    size_t n = strlen(conf.headers);

    if (n + strlen(z) + 3 > sizeof conf.headers)
        die("too many headers");
    snprintf(conf.headers + n, sizeof conf.headers - n, "%s\r\n", z);
}

static void
bodies_load(void)
{
    FILE *f = fopen(conf.bodies, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (!f)
        die("cannot read --bodies");
    while ((n = getline(&line, &room, f)) > 0) {
        line[n - 1] = line[n - 1] == '\n' ? 0 : line[n - 1];
        bodies = take(realloc(bodies, (n_bodies + 1) * sizeof *bodies));
        bodies[n_bodies++] = take(strdup(line));
    }
    free(line);
    fclose(f);
}

static void
options(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;

        if (!v)
            die("an option has no value; see the top of httpbench.c");
#define IS(option) (strcmp(name, option) == 0)
        if (IS("--target"))
            target_set(v);
        else if (IS("--path"))
            conf.path = v;
        else if (IS("--method"))
            conf.method = v;
        else if (IS("--header"))
            header_add(v);
        else if (IS("--bodies"))
            conf.bodies = v;
        else if (IS("--closed"))
            conf.closed = atol(v);
        else if (IS("--connections"))
            conf.connections = atol(v);
        else if (IS("--count"))
            conf.count = atol(v);
        else if (IS("--timeout-ms"))
            conf.timeout_ms = atol(v);
        else if (IS("--rate"))
            conf.rate = atof(v);
        else if (IS("--seconds"))
            conf.seconds = atof(v);
        else if (IS("--warm"))
            conf.warm = atof(v);
        else
            die("no such option; see the top of httpbench.c");
#undef IS
    }
    if (conf.closed > 0)
        conf.connections = conf.closed;
    if (!conf.path || conf.target.sin_port == 0 || (conf.closed > 0) == (conf.rate > 0))
        die("--target, --path and one of --closed and --rate are needed");
    if (conf.connections < 1)
        conf.connections = 64;
    if (conf.connections > CONNECTIONS_MAX)
        die("too many connections");
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
    double start;
    long late;

    options(argc, argv);
    if (conf.bodies)
        bodies_load();
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; 50,000 unasked */
    samples = take(malloc(SAMPLES_MAX * sizeof *samples));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (long i = 0; i < conf.connections; i++) {
        conns[i].in = take(malloc(ANSWER_MAX + 1));
        conn_open(&conns[i]);
        conn_rest(&conns[i]);
    }
    start = now_s();
    late = run(start);
    report(start, late);
    return 0;
}
