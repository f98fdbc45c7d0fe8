/* One request, from its head to its line in the access log:
 *
 *   strict check → path → route → (draining? overloaded?) → who asks → limits → body → handler → exactly one answer
 *
 * The log line names the route's pattern, never the path, a query, a session, a key or a body; left_out counts refused requests
 * before it that got none. */
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text/number.h"
#include "gateway/api/audit.h"
#include "gateway/console/failures.h"
#include "gateway/edge/conn.h"
#include "gateway/admit/idempotency.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/auth.h"
#include "gateway/admit/budget.h"
#include "gateway/admit/limit.h"
#include "gateway/edge/path.h"
#include "gateway/edge/status.h"
#include "gateway/gateway.h"
#include "gateway/request/body.h"
#include "gateway/router.h"
#include "gateway/serve.h"
#include "gateway/api/api.h"

#define DOOR_LINES 20          /* of the access log, a second, for what is refused at the door */
#define ARENA_MAX (192u << 20) /* replies of 64 MB, decoded and rendered, fit */

/* Our own trace context when none came: the parent for every hop is this request. A trace that is kept has a span here, whose
 * context the answer tells; who keeps it is decided here and not by who asks. */
static void
trace_context(struct request *r)
{
    struct http_conn *c = r->conn;
    const char *in = head_get(&c->head, "traceparent");
    char hex[49];
    struct buf b = BUF_MAX(64);

    in = in && traceparent_valid(in) ? in : NULL;
    r->span = span_root(in, "request");
    trace_use(r->span);
    log_trace_id(span_trace_id(r->span));
    if (r->span) {
        span_context(r->span, c->trace_parent);
        return;
    }
    hex_random(24, hex);
    if (in)
        /* of the flags only "sampled" is known here, its bit 0: the others go on as zeros */
        buf_printf(&b, "00-%.32s-%.16s-%s", in + 3, hex + 32, strchr("13579bdf", in[54]) ? "01" : "00");
    else
        buf_printf(&b, "00-%.32s-%.16s-00", hex, hex + 32);
    memcpy(c->trace_parent, b.p, sizeof c->trace_parent);
    buf_free(&b);
}

static void
identify(struct request *r, const char *peer)
{
    const char *id = head_get(&r->conn->head, "X-Request-ID");
    struct uuid u = uuid_v7();
    char *minted = arena_alloc(r->arena, 37);
    /* more than a head holds: the proxy's own entry is the last one, and must not be cut off */
    struct buf forwarded = BUF_MAX(65536);

    r->id = id && request_id_valid(id) ? id : minted ? uuid_text(&u, minted) : "-";
    trace_context(r);
    for (int i = 0; i < r->conn->head.n; i++)
        if (strcasecmp(r->conn->head.h[i].name, "X-Forwarded-For") == 0)
            buf_printf(&forwarded, "%s%s", forwarded.n ? "," : "", r->conn->head.h[i].value);
    client_addr(peer, forwarded.p, &r->gw->proxies, r->peer);
    buf_free(&forwarded);
}

/* In which dialect errors are told before there is a route. */
static enum dialect
dialect_of(const struct http_conn *c)
{
    return c->head.target && strncmp(c->head.target, "/v1/", 4) == 0 ? DIALECT_OPENAI : DIALECT_OWN;
}

/* Framing and path; any fault here ends the connection. */
static bool
check(struct request *r)
{
    struct http_conn *c = r->conn;
    const char *why = NULL;
    enum err e = edge_check(&c->head, &c->frame, &why);
    char *path;

    if (e == ERR_OK) {
        path = arena_alloc(r->arena, strlen(c->head.target) + 1);
        if (path && path_decode(c->head.target, path)) {
            r->path = str_of(path);
            return true;
        }
        e = ERR_BAD_REQUEST;
        why = "the path is malformed";
    }
    stat_inc(&gateway_stats, GW_EDGE_REFUSED);
    http_close_after(c);
    reply_problem(r, e, why);
    return false;
}

/* May the page that asks read the answer? Also of a 429 or an error. */
static void
cors(struct request *r)
{
    const char *origin = head_get(&r->conn->head, "Origin");

    if (origin && auth_origin_known(r->gw, &r->conn->head, origin))
        r->conn->origin = origin;
}

/* 204 to OPTIONS: Allow, and what a preflight asks when the origin is known. */
static void
reply_preflight(struct request *r, const char *allow)
{
    request_header_add(r, "Allow", allow);
    if (r->conn->origin && head_get(&r->conn->head, "Access-Control-Request-Method")) {
        request_header_add(r, "Access-Control-Allow-Methods", allow);
        request_header_add(
            r, "Access-Control-Allow-Headers",
            "Authorization, Content-Type, X-Session-ID, X-Request-ID, X-Request-Timeout-Ms, "
            "Idempotency-Key, Cache-Control, Last-Event-ID, traceparent, MCP-Protocol-Version, Mcp-Session-Id, "
            "OpenAI-Organization, OpenAI-Project, OpenAI-Beta, X-Stainless-Lang, X-Stainless-Package-Version, "
            "X-Stainless-OS, X-Stainless-Arch, X-Stainless-Runtime, X-Stainless-Runtime-Version, "
            "X-Stainless-Retry-Count, X-Stainless-Timeout, X-Stainless-Helper-Method, X-Stainless-Poll-Helper");
        request_header_add(r, "Access-Control-Max-Age", "600");
    }
    reply_empty(r, 204);
}

static bool
find_route(struct request *r)
{
    bool known;
    char allow[64];

    r->route = router_find(r->method, r->path, &r->arg, &known, allow);
    if (r->route && (r->route->flags & OPENAI))
        r->dialect = DIALECT_OPENAI;
    /* nobody else charges what leads nowhere, nor preflights */
    if (!r->route && !admit_address(r, true))
        return false;
    if (!known) {
        reply_problem(r, ERR_NOT_FOUND, "no such route");
    } else if (r->method == METHOD_OPTIONS) {
        reply_preflight(r, allow);
    } else if (!r->route) {
        request_header_add(r, "Allow", allow);
        reply_problem(r, ERR_METHOD, NULL);
    }
    return r->route != NULL;
}

/* The request is whole. Only now it takes one of the MAX_REQUESTS: slow bodies hold a thread, but keep nobody from working. */
static bool
begin_work(struct request *r)
{
    if (!r->conn->working)
        return true;
    r->conn->busy = &r->gw->busy;
    if (atomic_fetch_add(&r->gw->busy, 1) < gateway_most(r->gw))
        return true;
    reply_problem(r, ERR_BUSY, NULL);
    return false;
}

/* Health stays readable while everything else is turned away. */
static bool
room(struct request *r)
{
    if (atomic_load(&r->gw->in_flight) * 10 > r->gw->opt->http_threads * 8)
        http_close_after(r->conn);
    if (r->route->who == WHO_PUBLIC)
        return true;
    if (atomic_load(&r->gw->draining)) {
        http_close_after(r->conn);
        request_retry_after(r, 2000);
        reply_problem(r, ERR_DRAINING, NULL);
        return false;
    }
    if (gateway_crowded(r->gw) || memory_tight(&r->gw->memory)) {
        reply_problem(r, ERR_BUSY, NULL);
        return false;
    }
    r->conn->working = true;
    atomic_fetch_add(&r->gw->working, 1);
    return true;
}

static bool
properties(struct request *r)
{
    struct str type = request_header(r, "Content-Type"), cache = request_header(r, "Cache-Control");
    struct str wait = request_header(r, "X-Request-Timeout-Ms");
    int64_t ms = r->gw->opt->request_timeout * 1000, asked;
    char *lower;

    if (wait.p) {
        if (!number_parse(wait, 100, 60000, &asked)) {
            reply_problem(r, ERR_BAD_REQUEST, "X-Request-Timeout-Ms must be 100 to 60000");
            return false;
        }
        ms = asked < ms ? asked : ms;
    }
    r->deadline_ms = clock_ms() + ms;
    r->no_cache = cache.p && strcasestr(cache.p, "no-cache") != NULL;
    if (type.p) {
        type.n = strcspn(type.p, "; \t");
        lower = arena_dup(r->arena, type);
        for (char *p = lower; p && *p; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p + 32);
        r->content_type = str_of(lower);
    }
    return true;
}

/* Routes that do not admit by themselves are charged here: to the key, or to the session named in a header. */
static bool
charge(struct request *r)
{
    struct str s = request_header(r, "X-Session-ID");
    uint8_t hash[32];
    struct uuid id;
    bool session = s.p && uuid_parse(s, &id) && uuid_version(&id) == 4;

    if (r->route->flags & ADMITS)
        return true;
    if (r->route->who == WHO_PUBLIC)
        return admit_address(r, (r->route->flags & UNCHARGED) == 0);
    if (session)
        session_digest(&id, hash);
    return admit(r, session ? hash : NULL, NULL, NULL);
}

/* The handler, unless the same request was answered before. */
static void
handle(struct request *r)
{
    struct idem_answer stored = { 0 };

    if ((r->route->flags & IDEMPOTENT) && !idem_begin(r))
        return;
    if (r->idem && !(r->route->flags & ADMITS) && !idem_take(r, NULL, &stored))
        return;
    if (stored.status != 0)
        idem_replay(r, &stored);
    else
        r->route->handler(r);
    if (!r->conn->sent) {
        LOG(ERROR, r->id, M("a handler gave no answer"), KS("route", r->route->name));
        reply_problem(r, ERR_INTERNAL, NULL);
    }
    idem_end(r);
}

/* A request that is refused before its limits were taken counts against its address: a body that is no JSON, too long. */
static bool
toll(struct request *r)
{
    return admit_address(r, true);
}

static bool
authenticate(struct request *r)
{
    int64_t since = clock_us();
    bool known;

    r->toll = r->route->flags & UNCHARGED ? NULL : toll;
    known = auth_check(r);
    r->auth_us = clock_us() - since;
    return known;
}

static void
answer(struct request *r)
{
    size_t limit;

    if (!check(r))
        return;
    r->method = method_of(r->conn->head.method);
    cors(r);
    if (!admit_address(r, false) || !find_route(r) || !room(r) || !authenticate(r) || !properties(r) ||
        !charge(r))
        return;
    limit = r->route->body == BODY_UPLOAD ? (size_t)r->gw->opt->max_upload_bytes : r->route->body;
    if (body_read(r, limit) && begin_work(r))
        handle(r);
}

/* Does it get its line in the access log? A request that is refused at the door costs its sender
 * nothing: beyond so many lines a second it is only counted. *left_out: how many were not logged since
 * the last line of this kind. */
static bool
logged(const struct request *r, long *left_out)
{
    static _Atomic int64_t second;
    static atomic_long lines, unlogged;
    int64_t now = clock_ms() / 1000;

    *left_out = 0;
    if (r->route && r->status != 401 && r->status != 403 && r->status != 429)
        return true;
    if (atomic_exchange(&second, now) != now)
        atomic_store(&lines, 0);
    if (atomic_fetch_add(&lines, 1) < DOOR_LINES) {
        *left_out = atomic_exchange(&unlogged, 0);
        return true;
    }
    atomic_fetch_add(&unlogged, 1);
    stat_inc(&gateway_stats, GW_UNLOGGED);
    return false;
}

static void
account(struct request *r)
{
    size_t route = r->route ? (size_t)(r->route - routes) : route_count;
    int64_t us = clock_us() - r->start_us;
    long left_out;

    stat_add_at(&gateway_stats, GW_REQUESTS, route, status_label(r->status), 1);
    if (r->idem)
        stat_add_at(&gateway_stats, GW_IDEMPOTENCY, r->idem->outcome, 0, 1);
    stat_observe_traced(&gateway_stats, GW_SECONDS, route, 0, (double)us / 1e6, span_trace_id(r->span));
    if (logged(r, &left_out))
        LOG(INFO, r->id, M("request"), KS("route", r->route ? r->route->name : "none"),
            KS("method", method_names[r->method]), KI("status", r->status), KF("ms", (double)us / 1000),
            KI("bytes", r->conn->sent_bytes), KS("tenant", r->who.tenant), KI("left_out", left_out));
}

/* The span's end: what the access log's line says, by OpenTelemetry's names. */
static void
trace_end(struct request *r)
{
    const char *route = r->route ? r->route->name : "none";
    char name[96];

    if (!r->span)
        return;
    snprintf(name, sizeof name, "%s %s", method_names[r->method], route);
    span_name(r->span, name);
    span_z(r->span, "http.request.method", method_names[r->method]);
    span_z(r->span, "http.route", route);
    span_int(r->span, "http.response.status_code", r->status);
    span_z(r->span, "footnote.request_id", r->id);
    span_z(r->span, "footnote.tenant", r->who.tenant);
    if (r->status >= 500)
        snprintf(name, sizeof name, "%d", r->status);
    span_error(r->span, r->status >= 500 ? name : NULL);
    trace_use(NULL);
    log_trace_id(NULL);
    span_end(&r->span);
}

/* The rest of a refused request's body. Before a close: unread bytes would make the kernel reset the connection before the
 * answer is read. On a connection that stays: the next request begins behind them. Within bounds of size and time. */
static void
drop_rest(struct request *r)
{
    struct http_conn *c = r->conn;
    char step[1024];

    if (c->body_done || c->stream || (!c->frame.chunked && c->frame.length <= 0))
        return;
    conn_phase_set(c->fd, CONN_BODY, c->close ? 500 : (int64_t)r->gw->opt->body_timeout * 1000);
    for (size_t n = 0; n < 4u << 20;) {
        long got = http_read(c, step, sizeof step);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
}

void
serve(void *ctx, struct http_conn *c, const char *peer)
{
    struct gateway *gw = ctx;
    struct arena *arena = arena_new(ARENA_MAX);
    struct request r = { .gw = gw,
                         .conn = c,
                         .arena = arena,
                         .start_us = clock_us(),
                         .method = METHOD_OTHER,
                         .dialect = dialect_of(c) };

    atomic_fetch_add(&gw->in_flight, 1);
    conn_phase_set(c->fd, CONN_WORK, 0);
    if (conn_was_let_go(c->fd))
        http_close_after(c);
    identify(&r, peer);
    answer(&r);
    stream_end(&r);
    budget_settle(&r);
    if (c->counted_key)
        limiter_key_leave(gw->limiter, r.who.limits);
    account(&r);
    failures_note(gw->failures, &r);
    trace_end(&r);
    if (r.route)
        audit_note(&r);
    drop_rest(&r);
    if (c->busy)
        atomic_fetch_sub(c->busy, 1);
    if (c->working)
        atomic_fetch_sub(&gw->working, 1);
    atomic_fetch_sub(&gw->body_bytes, (long)c->body_charged);
    atomic_fetch_sub(&gw->in_flight, 1);
    conn_phase_set(c->fd, CONN_IDLE, 0);
    buf_free(&r.headers);
    buf_free(&c->body);
    arena_free(&arena);
    stream_rest(&r); /* its thread stays for the next crowd */
}

static enum err
err_of_status(int status)
{
    return status == 413 || status == 431 ? ERR_HEADERS_LARGE
           : status == 408                ? ERR_TIMEOUT_BODY
           : status == 501                ? ERR_TRANSFER_CODING
           : status == 505                ? ERR_BAD_REQUEST
           : status >= 500                ? ERR_INTERNAL
                                          : ERR_BAD_REQUEST;
}

/* A method that the library does not know: 405 or 404, as for any other wrong method. */
static void
reply_unknown_method(struct request *r)
{
    const char *target = r->conn->head.target;
    char allow[64];
    struct str arg;
    bool known;

    router_find(METHOD_OTHER, (struct str){ target, strcspn(target, "?") }, &arg, &known, allow);
    if (known)
        request_header_add(r, "Allow", allow);
    reply_problem(r, known ? ERR_METHOD : ERR_NOT_FOUND, NULL);
}

void
serve_refused(void *gw, struct http_conn *c, int status)
{
    const char *given = head_get(&c->head, "X-Request-ID");
    struct uuid u = uuid_v7();
    char id[37];
    struct request r = { .gw = gw, .conn = c, .method = METHOD_OTHER, .dialect = dialect_of(c) };

    r.id = given && request_id_valid(given) ? given : uuid_text(&u, id);
    if (c->head.method)
        reply_unknown_method(&r);
    else
        reply_problem(&r, err_of_status(status), NULL);
    stat_inc(&gateway_stats, GW_EDGE_REFUSED);
    stat_add_at(&gateway_stats, GW_REQUESTS, route_count, status_label(r.status), 1);
    LOG(INFO, r.id, M("request"), KS("route", "none"), KS("method", "OTHER"), KI("status", r.status));
    buf_free(&r.headers);
}
