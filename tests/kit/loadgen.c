/* loadgen: an HTTP client of many users, for fault tests and benches. One thread, epoll, a connection a request.
 *
 *   loadgen --targets 127.0.0.1:8080[,127.0.0.1:8081…] (--rate R | --closed C) [--count N] [--seconds S] [--streams 0.33]
 *           [--attempts N] [--patience-ms N] [--timeout-ms N] [--sources K] [--route query|stream|embeddings|search]
 *           [--question TEXT] [--seed N] [--record FILE] [--open N]
 *
 * Open loop (--rate): requests begin on their schedule whatever the answers do, and latency counts from the schedule.
 * Closed loop (--closed): so many at once. Every request has a session and a question of its own; the question carries a
 * canary word `canary-<12 hex>` that no other request has, also a retry: whoever meets a foreign one in an answer has found
 * a leak. Gateways are taken in turn. It retries as a trivial client would: connection refused, reset or cut → the next
 * gateway; 503 and 409 → after Retry-After, at most --attempts in --patience-ms; SIGINT and --seconds end it.
 *
 * --record: a JSON line for each request: {id, session, kind, begun, ended, status, code, saved, message_id, answer, cached,
 * length, short, foreign, attempts: [{gateway, begun, ended, status, code, canary, request_id, error}]}; times are
 * CLOCK_MONOTONIC in ms. stdout: a summary in JSON: counts by code, latency percentiles of what was answered with 200 (ms)
 * and of refusals, goodput (200 a second). Exit 0 when it ran, whatever came back. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TARGETS_MAX 16
#define OPEN_MAX 8192
#define ATTEMPTS_MAX 64
#define BODY_CAP (256u << 10)
#define COUNT_MAX 2000000L
#define CODES_MAX 48

enum route { QUERY, STREAM, EMBEDDINGS, SEARCH };
static const char *const route_names[] = { "query", "stream", "embeddings", "search", NULL };

static struct {
    struct sockaddr_in target[TARGETS_MAX];
    int n_targets;
    double rate, seconds, streams;
    long closed, count, attempts, patience_ms, timeout_ms, sources, seed, open;
    enum route route;
    const char *question;
    FILE *record;
} conf = { .attempts = 1, .patience_ms = 20000, .timeout_ms = 40000, .sources = 1, .seed = 1, .open = 4000,
           .seconds = 60, .question = "What does fault code E14 of the pump mean?" };

struct try {
    int gateway, status;
    double begun, ended;
    char code[40], request_id[72];
    const char *error;          /* refused, reset, short or timeout; NULL: a whole answer came */
    uint64_t canary;
};

enum phase { FREE, CONNECTING, SENDING, READING, WAITING };
struct user {                   /* one request with its retries; a slot of the table */
    enum phase phase;
    int fd, n_tries;
    long id;
    enum route route;
    char session[37];
    double due, begun, until;   /* scheduled; first begun; the phase ends at */
    char *out, *in;             /* request; answer, BODY_CAP + 1 bytes */
    size_t out_n, out_at, in_n;
    size_t head_n;              /* bytes of the head, 0: not yet complete */
    struct try try[ATTEMPTS_MAX];
};

static struct user users[OPEN_MAX];
static int free_users[OPEN_MAX], n_free, in_use;
static int poller;
static uint64_t rng_state;
static volatile sig_atomic_t stopped;
static long begun_total, skipped, retried, shorts, foreigns;
static struct { char name[40]; long n; } codes[CODES_MAX];
static double *good_ms, *refused_ms;
static long n_good, n_refused, next_target;
static double first_begun, last_good;

static double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint64_t
rng(void) /* splitmix64 */
{
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void
fail(const char *what)
{
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void
code_count(const char *name)
{
    int i = 0;

    while (i < CODES_MAX - 1 && codes[i].name[0] && strcmp(codes[i].name, name) != 0)
        i++;
    if (!codes[i].name[0])
        snprintf(codes[i].name, sizeof codes[i].name, "%s", name);
    codes[i].n++;
}

/* ---- one attempt ---- */

static void
request_text(struct user *u, struct try *t)
{
    static const char *const paths[] = { "/api/v1/chat/query", "/api/v1/chat/stream", "/v1/embeddings", "/api/v1/search" };
    char body[1400];
    int n;

    t->canary = rng() & 0xffffffffffffu;
    if (u->route == EMBEDDINGS)
        n = snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"%s canary-%012" PRIx64 "\"}", conf.question, t->canary);
    else if (u->route == SEARCH)
        n = snprintf(body, sizeof body, "{\"query\":\"%s canary-%012" PRIx64 "\"}", conf.question, t->canary);
    else
        n = snprintf(body, sizeof body, "{\"question\":\"%s canary-%012" PRIx64 "\",\"session_id\":\"%s\"}", conf.question,
                     t->canary, u->session);
    u->out_n = (size_t)snprintf(u->out, 2048, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                                "Connection: close\r\nContent-Length: %d\r\n\r\n%s", paths[u->route], n, body);
    u->out_at = 0;
}

static void
watch(struct user *u, uint32_t events, int how)
{
    struct epoll_event e = { .events = events, .data.ptr = u };

    if (epoll_ctl(poller, how, u->fd, &e) != 0)
        fail("epoll_ctl");
}

static void attempt_end(struct user *u, const char *error);

static void
bind_source(int fd, long id)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    int one = 1;

    a.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)(id % conf.sources));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        fail("bind");
}

static void
attempt_begin(struct user *u)
{
    struct try *t = &u->try[u->n_tries++];
    int one = 1;

    *t = (struct try){ .gateway = (int)(next_target++ % conf.n_targets), .begun = now_ms() };
    request_text(u, t);
    u->in_n = u->head_n = 0;
    u->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0)
        fail("socket");
    if (conf.sources > 1)
        bind_source(u->fd, u->id);
    setsockopt(u->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    u->phase = CONNECTING;
    u->until = t->begun + (double)conf.timeout_ms;
    if (connect(u->fd, (struct sockaddr *)&conf.target[t->gateway], sizeof conf.target[0]) != 0 && errno != EINPROGRESS) {
        watch(u, 0, EPOLL_CTL_ADD);
        attempt_end(u, "refused");
        return;
    }
    watch(u, EPOLLOUT, EPOLL_CTL_ADD);
}

static const char *
header(const struct user *u, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = strstr(u->in, "\r\n"); p && p < u->in + u->head_n - 2; p = strstr(p + 2, "\r\n"))
        if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':')
            return p + 3 + n + strspn(p + 3 + n, " ");
    return NULL;
}

/* Removes the chunked coding in place. True when the last chunk was there. */
static bool
dechunk(char *p, size_t *n)
{
    char *from = p, *to = p, *end = p + *n;

    for (;;) {
        char *line = from < end ? memchr(from, '\n', (size_t)(end - from)) : NULL;
        size_t k = line ? strtoul(from, NULL, 16) : 0;

        if (!line || k > (size_t)(end - line - 1)) {
            *n = (size_t)(to - p);
            *to = 0;
            return false;
        }
        if (k == 0) {
            *n = (size_t)(to - p);
            *to = 0;
            return true;
        }
        memmove(to, line + 1, k);
        to += k;
        from = line + 1 + k + 2;
    }
}

/* The body as text, and whether all of it came. */
static char *
body_of(struct user *u, bool *whole)
{
    const char *length = header(u, "content-length"), *coding = header(u, "transfer-encoding");
    char *body = u->in + u->head_n;
    size_t n = u->in_n - u->head_n;

    *whole = true;
    if (length)
        *whole = n >= strtoul(length, NULL, 10);
    else if (coding && strncasecmp(coding, "chunked", 7) == 0)
        *whole = dechunk(body, &n);
    if (*whole && u->route == STREAM && strncmp(u->in, "HTTP/1.1 200", 12) == 0) {
        char *end = strstr(body, "event: done"), *error = strstr(body, "event: error");

        *whole = end || error;
    }
    return body;
}

static void
copy_text(const json_t *o, const char *key, char *out, size_t cap)
{
    const char *s = json_string_value(json_object_get(o, key));

    snprintf(out, cap, "%s", s ? s : "");
}

static bool
has_foreign_canary(const char *body, const struct user *u)
{
    for (const char *p = strstr(body, "canary-"); p; p = strstr(p + 7, "canary-")) {
        uint64_t c = strtoull(p + 7, NULL, 16);
        bool own = false;

        for (int i = 0; i < u->n_tries; i++)
            own |= u->try[i].canary == c;
        if (!own)
            return true;
    }
    return false;
}

/* ---- the end of a request ---- */

static json_t *
tries_json(const struct user *u)
{
    json_t *list = json_array();

    for (int i = 0; i < u->n_tries; i++) {
        const struct try *t = &u->try[i];
        char canary[32];

        snprintf(canary, sizeof canary, "canary-%012" PRIx64, t->canary);
        json_array_append_new(list, json_pack("{s:i,s:f,s:f,s:i,s:s,s:s,s:s,s:s?}", "gateway", t->gateway, "begun", t->begun,
                                              "ended", t->ended, "status", t->status, "code", t->code, "canary", canary,
                                              "request_id", t->request_id, "error", t->error));
    }
    return list;
}

static void
record(const struct user *u, const json_t *reply, bool cut, bool foreign, size_t length)
{
    const struct try *t = &u->try[u->n_tries - 1];
    json_t *o;

    if (!conf.record)
        return;
    o = json_pack("{s:I,s:s,s:s,s:f,s:f,s:i,s:s,s:I,s:b,s:b,s:o}", "id", (json_int_t)u->id, "session", u->session, "kind",
                  route_names[u->route], "begun", u->due, "ended", t->ended, "status", t->status, "code",
                  t->error ? t->error : t->code, "length", (json_int_t)length, "short", (int)cut, "foreign", (int)foreign,
                  "attempts", tries_json(u));
    for (const char *const *k = (const char *const[]){ "saved", "message_id", "answer", "cached", "conversation_id", NULL }; *k;
         k++)
        if (json_object_get(reply, *k))
            json_object_set(o, *k, json_object_get(reply, *k));
    json_dumpf(o, conf.record, JSON_COMPACT);
    fputc('\n', conf.record);
    json_decref(o);
}

static void
user_end(struct user *u, const json_t *reply, bool cut, bool foreign, size_t length)
{
    const struct try *t = &u->try[u->n_tries - 1];
    double took = t->ended - u->due;

    code_count(t->error ? t->error : t->code);
    shorts += cut;
    foreigns += foreign;
    if (!t->error && t->status == 200 && strcmp(t->code, "ok") == 0) {
        good_ms[n_good++] = took;
        last_good = t->ended;
    } else if (!t->error) {
        refused_ms[n_refused++] = t->ended - t->begun;
    }
    record(u, reply, cut, foreign, length);
    u->phase = FREE;
    free_users[n_free++] = (int)(u - users);
    in_use--;
}

static bool
try_again(struct user *u, double wait_ms)
{
    double now = now_ms();

    if (u->n_tries >= conf.attempts || u->n_tries >= ATTEMPTS_MAX || stopped
        || now + wait_ms > u->begun + (double)conf.patience_ms)
        return false;
    u->phase = WAITING;
    u->until = now + wait_ms;
    retried++;
    return true;
}

/* What came, as JSON: the body, or the data of a stream's last event. */
static json_t *
reply_of(const struct user *u, char *body, struct try *t)
{
    json_t *o;

    if (u->route == STREAM && t->status == 200) {
        char *done = strstr(body, "event: done"), *error = strstr(body, "event: error"), *at = done ? done : error;
        char *data = at ? strstr(at, "\ndata: ") : NULL, *end = data ? strchr(data + 1, '\n') : NULL;

        if (end)
            *end = 0;
        o = data ? json_loads(data + 7, 0, NULL) : NULL;
        copy_text(o, "code", t->code, sizeof t->code);
        if (done)
            snprintf(t->code, sizeof t->code, "ok");
    } else {
        o = json_loads(body, 0, NULL);
        copy_text(o, "code", t->code, sizeof t->code);
        if (t->status == 200 && o)
            snprintf(t->code, sizeof t->code, "ok");
    }
    if (!t->code[0])
        snprintf(t->code, sizeof t->code, "http_%d", t->status);
    return o;
}

static void
attempt_end(struct user *u, const char *error)
{
    struct try *t = &u->try[u->n_tries - 1];
    bool whole = true, foreign = false, cut = false;
    json_t *o = NULL;
    size_t length = u->head_n ? u->in_n - u->head_n : 0;
    double wait_ms = 20;

    close(u->fd);
    t->ended = now_ms();
    u->in[u->in_n] = 0;
    if (u->head_n) {
        const char *id = header(u, "x-request-id"), *after = header(u, "retry-after");
        char *body;

        t->status = (int)strtol(u->in + 9, NULL, 10);
        if (id)
            snprintf(t->request_id, sizeof t->request_id, "%.*s", (int)strcspn(id, "\r\n"), id);
        if (after)
            wait_ms = strtod(after, NULL) * 1000;
        body = body_of(u, &whole);
        foreign = has_foreign_canary(body, u);
        cut = !whole;
        error = whole ? NULL : error ? error : "short"; /* it closed with a reset, but all was there */
        o = reply_of(u, body, t);
    }
    t->error = error ? error : u->head_n ? NULL : "reset";
    if (!((t->error || t->status == 503 || t->status == 409) && try_again(u, wait_ms)))
        user_end(u, o, cut, foreign, length);
    json_decref(o);
}

/* ---- the loop ---- */

static void
user_begin(double due)
{
    struct user *u = &users[free_users[--n_free]];
    uint64_t a = rng(), b = rng();

    in_use++;
    u->id = begun_total++;
    u->route = conf.route == QUERY && (double)(rng() >> 11) / 9007199254740992.0 < conf.streams ? STREAM : conf.route;
    snprintf(u->session, sizeof u->session, "%08x-%04x-4%03x-a%03x-%012" PRIx64, (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffff,
             (unsigned)a & 0xfff, (unsigned)(b >> 52), b & 0xffffffffffffu);
    u->begun = now_ms();
    u->due = due > 0 ? due : u->begun;
    u->n_tries = 0;
    if (!u->in) {
        u->in = malloc(BODY_CAP + 1);
        u->out = malloc(2048);
    }
    if (!u->in || !u->out)
        fail("memory");
    if (first_begun <= 0)
        first_begun = u->due;
    attempt_begin(u);
}

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
    return stopped || (conf.count && begun_total + skipped >= conf.count) || now > start + conf.seconds * 1e3;
}

static void
begin_due(double now, double start)
{
    if (conf.closed > 0) {
        while (in_use < conf.closed && n_free > 0 && !finished(now, start))
            user_begin(0);
        return;
    }
    for (double due; (due = start + (double)(begun_total + skipped) * 1e3 / conf.rate) <= now && !finished(now, start);) {
        if (in_use < conf.open && n_free > 0)
            user_begin(due);
        else
            skipped++;
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

/* ---- start and summary ---- */

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static json_t *
percentiles(double *v, long n)
{
    static const struct { const char *name; double q; } rows[] = { { "p50", .5 }, { "p90", .9 }, { "p99", .99 },
                                                                  { "p999", .999 }, { "max", 1 } };
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
    double took = (last_good - first_begun) / 1e3;
    json_t *by = json_object(), *o;

    for (int i = 0; i < CODES_MAX && codes[i].name[0]; i++)
        json_object_set_new(by, codes[i].name, json_integer(codes[i].n));
    o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:f,s:f,s:o,s:o}", "requests", (json_int_t)begun_total, "ok", (json_int_t)n_good,
                  "skipped", (json_int_t)skipped, "retries", (json_int_t)retried, "short", (json_int_t)shorts, "foreign",
                  (json_int_t)foreigns, "codes", by, "seconds", took > 0 ? took : 0.0, "goodput",
                  took > 0 ? (double)n_good / took : 0.0, "ok_ms", percentiles(good_ms, n_good), "refused_ms",
                  percentiles(refused_ms, n_refused));
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
        *a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)) };
        if (inet_pton(AF_INET, one, &a->sin_addr) == 1)
            conf.n_targets++;
    }
}

static bool
set_number(const char *name, const char *value)
{
    const struct { const char *name; long *l; double *d; } rows[] = {
        { "--rate", NULL, &conf.rate }, { "--seconds", NULL, &conf.seconds }, { "--streams", NULL, &conf.streams },
        { "--closed", &conf.closed, NULL }, { "--count", &conf.count, NULL }, { "--attempts", &conf.attempts, NULL },
        { "--patience-ms", &conf.patience_ms, NULL }, { "--timeout-ms", &conf.timeout_ms, NULL },
        { "--sources", &conf.sources, NULL }, { "--seed", &conf.seed, NULL }, { "--open", &conf.open, NULL },
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
    if (!good || conf.n_targets == 0 || (conf.rate <= 0) == (conf.closed <= 0) || strlen(conf.question) > 400
        || strpbrk(conf.question, "\"\\") || conf.sources < 1 || conf.count > COUNT_MAX) {
        fprintf(stderr, "usage: loadgen --targets HOST:PORT[,…] (--rate R | --closed C) [--count N] [--seconds S] …\n");
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
    good_ms = calloc((size_t)conf.count + OPEN_MAX, sizeof *good_ms);
    refused_ms = calloc((size_t)conf.count + OPEN_MAX, sizeof *refused_ms);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!good_ms || !refused_ms || poller < 0)
        fail("start");
    while (n_free < OPEN_MAX) {
        free_users[n_free] = OPEN_MAX - 1 - n_free;
        n_free++;
    }
    run();
    summary();
    return conf.record && fclose(conf.record) != 0 ? 1 : 0;
}
