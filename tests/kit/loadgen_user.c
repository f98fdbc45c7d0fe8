/* loadgen's users: each is one request with its session, its question and its attempts, up to the line in the record. */
#include "tests/kit/loadgen.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

const char *const route_names[] = { "query", "stream", "embeddings", "search", NULL };
static long turn; /* gateways are taken in turn */

static void
code_count(const char *name)
{
    int i = 0;

    while (i < CODES_MAX - 1 && sums.codes[i].name[0] && strcmp(sums.codes[i].name, name) != 0)
        i++;
    if (!sums.codes[i].name[0])
        snprintf(sums.codes[i].name, sizeof sums.codes[i].name, "%s", name);
    sums.codes[i].n++;
}

/* ---- one attempt */

static void
request_text(struct user *u, struct try *t)
{
    static const char *const paths[] = { "/api/v1/chat/query", "/api/v1/chat/stream", "/v1/embeddings",
                                         "/api/v1/search" };
    char body[1400], key[80] = "";
    int n;

    /* with a key it is the same request again, to the byte */
    t->canary = conf.keys && u->n_tries > 1 ? u->try[0].canary : rng() & 0xffffffffffffu;
    if (conf.keys && u->route <= STREAM)
        snprintf(key, sizeof key, "Idempotency-Key: loadgen-%s\r\n", u->session);
    if (u->route == EMBEDDINGS)
        n = snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"%s canary-%012" PRIx64 "\"}",
                     conf.question, t->canary);
    else if (u->route == SEARCH)
        n = snprintf(body, sizeof body, "{\"query\":\"%s canary-%012" PRIx64 "\"}", conf.question, t->canary);
    else
        n = snprintf(body, sizeof body, "{\"question\":\"%s canary-%012" PRIx64 "\",\"session_id\":\"%s\"}",
                     conf.question, t->canary, u->session);
    u->out_n = (size_t)snprintf(u->out, 2048,
                                "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                                "Connection: close\r\n%sContent-Length: %d\r\n\r\n%s",
                                paths[u->route], key, n, body);
    u->out_at = 0;
}

void
watch(struct user *u, uint32_t events, int how)
{
    struct epoll_event e = { .events = events, .data.ptr = u };

    if (epoll_ctl(poller, how, u->fd, &e) != 0)
        fail("epoll_ctl");
}

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

void
attempt_begin(struct user *u)
{
    struct try *t = &u->try[u->n_tries++];
    int one = 1;

    *t = (struct try){ .gateway = (int)(turn++ % conf.n_targets), .begun = now_ms() };
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
    if (connect(u->fd, (struct sockaddr *)&conf.target[t->gateway], sizeof conf.target[0]) != 0 &&
        errno != EINPROGRESS) {
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
        char *end;
        uint64_t c = strtoull(p + 7, &end, 16);
        bool own = end - p <
                   7 + 12; /* a piece of a stream may end inside of one: the whole answer follows in "done" */

        for (int i = 0; i < u->n_tries; i++)
            own |= u->try[i].canary == c;
        if (!own)
            return true;
    }
    return false;
}

/* ---- the end of a request */

static json_t *
tries_json(const struct user *u)
{
    json_t *list = json_array();

    for (int i = 0; i < u->n_tries; i++) {
        const struct try *t = &u->try[i];
        char canary[32];

        snprintf(canary, sizeof canary, "canary-%012" PRIx64, t->canary);
        json_array_append_new(list, json_pack("{s:i,s:f,s:f,s:i,s:s,s:s,s:s,s:s,s:s?}", "gateway", t->gateway,
                                              "begun", t->begun, "ended", t->ended, "status", t->status,
                                              "code", t->code, "canary", canary, "request_id", t->request_id,
                                              "message_id", t->message_id, "error", t->error));
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
    o = json_pack("{s:I,s:s,s:s,s:f,s:f,s:i,s:s,s:I,s:b,s:b,s:o}", "id", (json_int_t)u->id, "session",
                  u->session, "kind", route_names[u->route], "begun", u->due, "ended", t->ended, "status",
                  t->status, "code", t->error ? t->error : t->code, "length", (json_int_t)length, "short",
                  (int)cut, "foreign", (int)foreign, "attempts", tries_json(u));
    for (const char *const *k =
             (const char *const[]){ "saved", "message_id", "answer", "cached", "conversation_id", NULL };
         *k; k++)
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
    sums.shorts += cut;
    sums.foreigns += foreign;
    if (!t->error && t->status == 200 && strcmp(t->code, "ok") == 0) {
        sums.good_ms[sums.n_good++] = took;
        sums.last_good = t->ended;
    } else if (!t->error) {
        sums.refused_ms[sums.n_refused++] = t->ended - t->begun;
    }
    record(u, reply, cut, foreign, length);
    user_free(u);
}

static bool
try_again(struct user *u, double wait_ms)
{
    double now = now_ms();

    if (u->n_tries >= conf.attempts || u->n_tries >= ATTEMPTS_MAX || stopped ||
        now + wait_ms > u->begun + (double)conf.patience_ms)
        return false;
    u->phase = WAITING;
    u->until = now + wait_ms;
    sums.retried++;
    return true;
}

/* The reply, as JSON: the body, or the data of a stream's last event. */
static json_t *
reply_of(const struct user *u, char *body, struct try *t)
{
    json_t *o;

    if (u->route == STREAM && t->status == 200) {
        char *done = strstr(body, "event: done"), *error = strstr(body, "event: error"),
             *at = done ? done : error;
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

void
attempt_end(struct user *u, const char *error)
{
    struct try *t = &u->try[u->n_tries - 1];
    bool whole = true, foreign = false, cut = false;
    json_t *o = NULL;
    size_t length = u->head_n ? u->in_n - u->head_n : 0;
    double wait_ms = 20 << (u->n_tries < 5 ? u->n_tries - 1 : 4); /* 20 ms, doubled up to 320 */

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
    if (conf.lose > 0 && !t->error && strcmp(t->code, "ok") == 0 && u->n_tries < conf.attempts &&
        chance() < conf.lose) {
        copy_text(o, "message_id", t->message_id, sizeof t->message_id);
        t->error = "lost"; /* as if the connection had died with the answer */
        sums.lost++;
    }
    if (!((t->error || t->status == 503 || t->status == 409) && try_again(u, wait_ms)))
        user_end(u, o, cut, foreign, length);
    json_decref(o);
}

void
user_begin(struct user *u, double due)
{
    uint64_t a = rng(), b = rng();

    u->id = sums.begun++;
    u->route = conf.route == QUERY && chance() < conf.streams ? STREAM : conf.route;
    snprintf(u->session, sizeof u->session, "%08x-%04x-4%03x-a%03x-%012" PRIx64, (unsigned)(a >> 32),
             (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff, (unsigned)(b >> 52), b & 0xffffffffffffu);
    u->begun = now_ms();
    u->due = due > 0 ? due : u->begun;
    u->n_tries = 0;
    if (!u->in) {
        u->in = malloc(BODY_CAP + 1);
        u->out = malloc(2048);
    }
    if (!u->in || !u->out)
        fail("memory");
    if (sums.first_begun <= 0)
        sums.first_begun = u->due;
    attempt_begin(u);
}
