/* HTTP calls to the model server: with upstream_url.c and upstream_conn.c the only file that knows curl. One multi handle, driven by the loop:
 *
 *   loop_fd ─▶ on_fd ─┐                                   ┌▶ on_data (bytes of a 200 event stream)
 *   loop_after ─▶ on_timer ─▶ curl_multi_socket_action ───┤
 *                                                         └▶ finish: map the result, tell the breaker, on_end
 *
 * A transfer: started → (blocked by the breaker: its end comes in the next turn) or running → ended or cancelled; the list
 * `all` holds each exactly once. Limits: connect 2 s, in all the time left, a number of seconds without a byte, a body cap;
 * no redirects, no proxy from the environment, http and https only, no signals. A kept connection that turns out to be
 * closed is tried again once by curl itself, when it had not brought a byte. Nothing a server says reaches a user. */
#include <curl/curl.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/log.h"
#include "embedder/openai/upstream.h"
#include "embedder/span.h"

#define ERROR_BODY_MAX 65536 /* of a reply that is not 200 */
#define FAIR_TRY_US 1000000  /* a caller that gives less and is late says nothing about the server */
#define IDLE_HANDLES 64

struct transfer {
    struct upstream *u;
    struct transfer *prev, *next; /* u->all */
    struct upstream_req req;      /* body and trace are not used: see below */
    struct buf out;               /* request body; must outlive the call */
    struct buf in;                /* collected reply */
    CURL *easy;                   /* NULL: blocked by the breaker */
    struct curl_slist *headers;   /* request headers */
    char trace[129];              /* request id */
    int64_t begun_us, alive_ms;   /* clock_us() at the start, clock_ms() when bytes moved last */
    int64_t wait_ms;              /* retry-after-ms of the reply, or the breaker's */
    uint64_t timer;    /* blocked: the turn in which its end comes; else: is it silent for too long? */
    curl_off_t sent;   /* of the request, when that was looked at last */
    enum err blocked;  /* why it was not sent */
    bool probe, told;  /* the breaker's one probe; the breaker knows already */
    bool streaming;    /* on_data has had bytes of a 200 */
    bool too_large;    /* body over its cap */
    bool second, lost; /* sent again, with or without /v1; a 200 says that there is no such route */
};

struct upstream {
    struct loop *loop;
    CURLM *multi;
    struct base_url base;
    /* is "/v1" put behind the base, when the other way is 404 too? */
    enum { V1_FIRST, V1_LAST, V1_NEVER } v1;
    bool v1_known;        /* a reply said so */
    char *auth;           /* "Authorization: Bearer …", or NULL */
    uint64_t timer;       /* curl's one timer */
    struct transfer *all; /* started and not ended */
    struct breaker breaker[ROUTE_COUNT];
    size_t active[ROUTE_COUNT]; /* calls in flight */
    CURL *idle[IDLE_HANDLES];   /* easy handles for reuse */
    size_t n_idle;
};

static const char *const route_names[ROUTE_COUNT] = { "embed", "chat", "rerank" };

static void check_done(struct upstream *u);
static void set_url(const struct transfer *t);

/* ---- curl ↔ loop */
static void
on_fd(void *arg, int fd, uint32_t events)
{
    struct upstream *u = arg;
    int mask = 0, running;

    if (events & EPOLLIN)
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        mask |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
    curl_multi_socket_action(u->multi, fd, mask, &running);
    check_done(u);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
    struct upstream *u = arg;
    uint32_t events = 0;

    (void)easy;
    (void)per_socket;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= EPOLLIN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= EPOLLOUT;
    loop_fd(u->loop, fd, events, on_fd, u);
    return 0;
}

static void
on_timer(void *arg)
{
    struct upstream *u = arg;
    int running;

    u->timer = 0;
    curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    check_done(u);
}

static int
set_timer(CURLM *multi, long ms, void *arg)
{
    struct upstream *u = arg;

    (void)multi;
    if (u->timer != 0)
        loop_cancel(u->loop, &u->timer);
    if (ms >= 0)
        u->timer = loop_after(u->loop, ms, on_timer, u);
    return 0;
}

/* ---- replies */
static long
status_of(const struct transfer *t)
{
    long status = 0;

    if (t->easy)
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* A page of a proxy, or anything else that no model server sends. Some send events as plain text, or JSON without a type. */
static bool
is_foreign(const struct transfer *t)
{
    static const char *const types[] = { "text/event-stream", "application/", "text/plain", "text/json" };
    const char *type = NULL;

    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    for (size_t i = 0; type != NULL && i < sizeof types / sizeof *types; i++)
        if (strncasecmp(type, types[i], strlen(types[i])) == 0)
            return false;
    return type != NULL;
}

/* LM Studio answers unknown routes with 200 and says so in the body. */
static bool
is_lost(struct transfer *t, const char *p, size_t n)
{
    static const char words[] = "\"Unexpected endpoint or method";

    if (!t->lost && !t->u->v1_known && !t->streaming && t->in.n == 0)
        t->lost = memmem(p, n, words, sizeof words - 1) != NULL;
    return t->lost;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = status_of(t);

    n *= size;
    t->alive_ms = clock_ms();
    if (status == 200 && is_lost(t, p, n))
        return n;
    if (status == 200 && !t->told && t->req.on_data) { /* a reply that is collected may yet hang */
        t->told = true;
        breaker_good(&t->u->breaker[t->req.route], t->probe);
    }
    if (status == 200 && t->req.on_data) {
        if (is_foreign(t))
            return 0;
        t->streaming = true;
        return t->req.on_data(t->req.arg, p, n) ? n : 0;
    }
    if (t->in.n + n > (status == 200 ? t->req.max_body : ERROR_BODY_MAX)) {
        t->too_large = true;
        return 0;
    }
    buf_add(&t->in, p, n);
    return n;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
    static const char *const names[] = { "retry-after-ms:", "retry-after:" };
    struct transfer *t = arg;

    n *= size;
    t->alive_ms = clock_ms();
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(names[i]);
        int64_t ms;

        if (n <= len || strncasecmp(p, names[i], len) != 0)
            continue;
        ms = upstream_wait_ms((struct str){ p + len, n - len });
        if (ms > 0 && i == 0)
            ms /= 1000; /* a bare number counts as seconds there */
        if (ms > 0 && (i == 0 || t->wait_ms == 0))
            t->wait_ms = ms;
    }
    return n;
}

/* ---- ends */
static struct upstream_end
blocked_end(const struct transfer *t)
{
    const char *text = t->blocked == ERR_UPSTREAM_QUOTA
                           ? "the model account has no quota left"
                           : "the model server is failing; it is left alone for a moment";

    return (struct upstream_end){ .err = t->blocked, .text = text, .retry_after_ms = t->wait_ms };
}

static struct upstream_end
broken_end(const struct transfer *t, CURLcode code)
{
    struct upstream_end end = { .status = status_of(t), .cut = t->streaming };

    upstream_broken((int)code, &end);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        bool ours = !t->req.limited && clock_ms() >= t->req.deadline_ms;

        end.err = ours ? ERR_DEADLINE : ERR_UPSTREAM_TIMEOUT;
        end.text = ours ? "the time for this request was over before the model server had answered"
                        : "the model server did not answer in time";
        end.late = true;
    } else if (t->too_large) {
        end.err = ERR_UPSTREAM_REPLY;
        end.text = "the model server sent too much";
    }
    return end;
}

/* How long it asks to wait, by a date in a header or in the body. */
static int64_t
wait_of_reply(const struct transfer *t, enum err err)
{
    curl_off_t s = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &s);
    return s > 0 ? (int64_t)s * 1000 : upstream_wait_in(err, buf_slice(&t->in));
}

static struct upstream_end
reply_end(struct transfer *t, char code[64])
{
    struct upstream_end end = { .status = t->lost ? 404 : status_of(t),
                                .body = buf_slice(&t->in),
                                .cut = t->streaming };
    struct upstream_fault f;

    if (end.status == 200) {
        if (!t->req.on_data || t->streaming || !is_foreign(t))
            return end;
        end.err = ERR_UPSTREAM_REPLY;
        end.text = "the model server sent something unusable";
        return end;
    }
    f = upstream_map(end.status, end.body);
    end.err = f.err;
    end.text = f.text;
    memcpy(code, f.code, sizeof f.code);
    if (t->wait_ms == 0 && (f.err == ERR_UPSTREAM_LIMITED || end.status == 503 || end.status == 529))
        t->wait_ms = wait_of_reply(t, f.err);
    end.retry_after_ms = f.err == ERR_UPSTREAM_QUOTA ? UPSTREAM_QUOTA_MS : t->wait_ms;
    return end;
}

static void
tell_breaker(struct transfer *t, const struct upstream_end *end)
{
    static struct log_gate gate;
    struct breaker *b = &t->u->breaker[t->req.route];
    int64_t now = clock_ms();

    if (end->err == ERR_UPSTREAM_QUOTA)
        breaker_hold(b, now, UPSTREAM_QUOTA_MS);
    else if (end->late && end->status == 0 && !t->req.limited && clock_us() - t->begun_us < FAIR_TRY_US)
        breaker_drop(b, now, t->probe);
    else if (end->err == ERR_DEADLINE && t->req.route == ROUTE_CHAT) /* UPSTREAM_IDLE_TIMEOUT was not over */
        breaker_drop(b, now, t->probe && !t->told);
    else if (upstream_failed(end->err) || end->late)
        breaker_bad(b, now, t->probe && !t->told);
    else if (!t->told)
        breaker_good(b, t->probe);
    if (b->state == BREAKER_OPEN && upstream_failed(end->err) && log_gate(&gate))
        LOG(WARN, NULL, M("model server is left alone"), KS("route", route_names[t->req.route]),
            KI("for_ms", b->open_until_ms - now));
}

static void
log_failure(const struct transfer *t, const struct upstream_end *end, CURLcode curl, const char *code)
{
    static struct log_gate gate;

    if (end->err == ERR_OK || !log_gate(&gate))
        return;
    LOG(WARN, t->trace, M("model server call failed"), KS("route", route_names[t->req.route]),
        KS("error", err_name(end->err)), KI("status", end->status),
        KS("curl", curl == CURLE_OK ? "" : curl_easy_strerror(curl)), KS("code", code),
        KI("ms", (clock_us() - t->begun_us) / 1000));
}

/* Out of curl and of the list; the easy handle goes back for reuse, its connection to curl's cache. */
static void
transfer_free(struct transfer *t)
{
    struct upstream *u = t->u;

    loop_cancel(u->loop, &t->timer);
    if (t->easy) {
        curl_multi_remove_handle(u->multi, t->easy);
        u->active[t->req.route]--;
        if (u->n_idle < IDLE_HANDLES) {
            curl_easy_reset(t->easy);
            u->idle[u->n_idle++] = t->easy;
        } else {
            curl_easy_cleanup(t->easy);
        }
    }
    if (t->prev)
        t->prev->next = t->next;
    else
        u->all = t->next;
    if (t->next)
        t->next->prev = t->prev;
    curl_slist_free_all(t->headers);
    buf_free(&t->out);
    buf_free(&t->in);
    mem_free(&t);
}

/* No such route: perhaps it is there with /v1, or without. The first reply that is another settles it. */
static bool
other_way(struct transfer *t)
{
    struct upstream *u = t->u;
    long status = status_of(t);
    bool missing = status == 404 || status == 405 || t->lost ||
                   (status == 200 && is_foreign(t) && upstream_is_page(buf_slice(&t->in)));

    if (u->v1 == V1_NEVER || u->v1_known)
        return false;
    if (!missing) {
        u->v1 = t->second ? 1 - u->v1 : u->v1;
        u->v1_known = true;
        return false;
    }
    if (t->second)
        return false;
    t->second = true;
    t->lost = false;
    curl_multi_remove_handle(u->multi, t->easy);
    buf_reset(&t->in);
    set_url(t);
    curl_multi_add_handle(u->multi, t->easy);
    return true;
}

static void
finish(struct transfer *t, CURLcode code)
{
    struct upstream_end end;
    char detail[64] = "";

    if (code == CURLE_OK && other_way(t))
        return;
    end = code == CURLE_OK ? reply_end(t, detail) : broken_end(t, code);
    tell_breaker(t, &end);
    stat_add_at(&embedder_stats, UPSTREAM_CALLS, t->req.route, upstream_outcome(end.err), 1);
    stat_observe_traced(&embedder_stats, UPSTREAM_SECONDS, t->req.route, 0,
                        (double)(clock_us() - t->begun_us) / 1e6, span_trace_id(t->req.span));
    log_failure(t, &end, code, detail);
    t->req.on_end(t->req.arg, &end);
    transfer_free(t);
}

static void
check_done(struct upstream *u)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(u->multi, &left)) != NULL) {
        struct transfer *t = NULL;
        CURLcode code = msg->data.result;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
        finish(t, code);
    }
}

static void
on_blocked(void *arg)
{
    struct transfer *t = arg;
    struct upstream_end end = blocked_end(t);

    t->timer = 0;
    stat_add_at(&embedder_stats, UPSTREAM_CALLS, t->req.route, OUT_BLOCKED, 1);
    t->req.on_end(t->req.arg, &end);
    transfer_free(t);
}

/* ---- starting */
static void
set_url(const struct transfer *t)
{
    const struct upstream *u = t->u;
    bool v1 = u->v1 != V1_NEVER && (u->v1 == V1_FIRST) != t->second;
    struct buf url = BUF_MAX(8192);

    buf_printf(&url, "%s%s%s", u->base.prefix, v1 ? "/v1" : "", t->req.path);
    if (u->base.query[0] != 0)
        buf_printf(&url, "?%s", u->base.query);
    curl_easy_setopt(t->easy, CURLOPT_URL, url.p);
    buf_free(&url);
}

static void
set_options(struct transfer *t, long timeout_ms)
{
    CURL *c = t->easy;

    set_url(t);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, ""); /* understood when it comes; the header asks for none */
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->out.p);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->out.n);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    upstream_connection(c);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "footnote-embedder");
}

/* Silence is measured here: curl's own limit is a mean over some seconds, and would let five more pass.
 * A caller who gave a chat call less time than that says nothing about the server. */
static void
on_silent(void *arg)
{
    struct transfer *t = arg;
    int64_t now = clock_ms(), due;
    curl_off_t sent = 0;

    t->timer = 0;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (sent != t->sent)
        t->alive_ms = now;
    t->sent = sent;
    due = t->alive_ms + t->req.idle_s * 1000;
    if (now >= due)
        finish(t, CURLE_OPERATION_TIMEDOUT);
    else
        t->timer = loop_after(t->u->loop, due - now, on_silent, t);
}

static void
send_off(struct transfer *t)
{
    struct upstream *u = t->u;
    int64_t left = t->req.deadline_ms - clock_ms();
    char parent[SPAN_HEADER];

    t->easy = u->n_idle > 0 ? u->idle[--u->n_idle] : curl_easy_init();
    t->headers = curl_slist_append(NULL, "Content-Type: application/json");
    t->headers = curl_slist_append(t->headers, "Expect:");
    t->headers = curl_slist_append(t->headers, "Accept-Encoding: identity"); /* a packed stream comes late */
    if (u->auth)
        t->headers = curl_slist_append(t->headers, u->auth);
    if (span_header(t->req.span, parent))
        t->headers = curl_slist_append(t->headers, parent);
    set_options(t, left < 1 ? 1 : (long)left);
    u->active[t->req.route]++;
    t->alive_ms = clock_ms();
    t->timer = loop_after(u->loop, t->req.idle_s * 1000, on_silent, t);
    curl_multi_add_handle(u->multi, t->easy);
}

struct transfer *
upstream_start(struct upstream *u, const struct upstream_req *r)
{
    struct transfer *t = mem_new(sizeof *t);
    struct str trace = utf8_cut(str_of(r->trace), sizeof t->trace - 1);

    t->u = u;
    t->req = *r;
    t->out = *r->body;
    *r->body = (struct buf){ 0 };
    snprintf(t->trace, sizeof t->trace, STR_FMT, STR_ARG(trace));
    t->begun_us = clock_us();
    t->next = u->all;
    if (u->all)
        u->all->prev = t;
    u->all = t;
    t->blocked = upstream_may(&u->breaker[r->route], clock_ms(), &t->probe, &t->wait_ms);
    if (t->blocked == ERR_OK)
        send_off(t);
    else
        t->timer = loop_after(u->loop, 0, on_blocked, t);
    return t;
}

void
upstream_enough(struct transfer *t)
{
    finish(t, CURLE_OK);
}

void
upstream_cancel(struct transfer **tp)
{
    struct transfer *t = *tp;

    *tp = NULL;
    if (!t)
        return;
    if (t->easy) {
        stat_add_at(&embedder_stats, UPSTREAM_CALLS, t->req.route, OUT_CANCELLED, 1);
        if (!t->told)
            breaker_drop(&t->u->breaker[t->req.route], clock_ms(), t->probe);
    }
    transfer_free(t);
}

/* ---- life */
struct upstream *
upstream_new(struct loop *l, const char *base, const char *key, const char *header)
{
    struct upstream *u = mem_new(sizeof *u);
    const char *why = base_url_read(base, &u->base);

    if (why) {
        LOG(ERROR, NULL, M("the base URL of the model server cannot be used"), KS("why", why));
        mem_free(&u);
        return NULL;
    }
    u->loop = l;
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        u->breaker[i].in_a_row = true;
    u->v1 = !u->base.open ? V1_NEVER : u->base.bare ? V1_FIRST : V1_LAST;
    u->auth = base_url_auth(&u->base, key, header);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    u->multi = curl_multi_init();
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
    curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, 512L);
    return u;
}

void
upstream_free(struct upstream **up)
{
    struct upstream *u = *up;

    if (!u)
        return;
    while (u->all)
        transfer_free(u->all);
    while (u->n_idle > 0)
        curl_easy_cleanup(u->idle[--u->n_idle]);
    curl_multi_cleanup(u->multi);
    loop_cancel(u->loop, &u->timer);
    curl_global_cleanup();
    if (u->auth)
        explicit_bzero(u->auth, strlen(u->auth));
    mem_free(&u->auth);
    base_url_fini(&u->base);
    mem_free(up);
}

void
upstream_sample(struct upstream *u, enum upstream_route route)
{
    stat_set_at(&embedder_stats, UPSTREAM_BREAKER, route, 0, u->breaker[route].state);
    stat_set_at(&embedder_stats, UPSTREAM_ACTIVE, route, 0, (double)u->active[route]);
}
