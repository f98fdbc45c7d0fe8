/* The hub's core, workers: registration, credit, frames, silence, drain (proto/PROTOCOL.md). */
#include <assert.h>
#include <stdio.h>

#include "common/log.h"
#include "gateway/hub/state.h"

#define CAPACITY_MAX 65536
#define SCAN_MS 50
#define RETRY_AFTER_MAX_MS 86400000

static void
send_to(struct core *c, uint64_t peer, int cmd, const void *head)
{
    c->ops.send(c->arg, peer, cmd, head, NULL);
}

bool
worker_send(struct core *c, int64_t now, struct hub_worker *w, int cmd, const void *head,
            struct blob *payload)
{
    if (now > w->sent_ms)
        w->sent_ms = now;
    return c->ops.send(c->arg, w->peer, cmd, head, payload);
}

static void
send_disconnect(struct core *c, uint64_t peer, const char *reason)
{
    struct head_disconnect h = { str_of(reason) };

    send_to(c, peer, CMD_DISCONNECT, &h);
}

static void
send_heartbeat(struct core *c, int64_t now, struct hub_worker *w)
{
    struct head_heartbeat h = { .hub_epoch = { (const char *)c->epoch, 16 } };

    worker_send(c, now, w, CMD_HEARTBEAT, &h, NULL);
}

static bool
tried(const struct hub_request *r, const struct hub_worker *w)
{
    for (int i = 0; i < r->n_strikes; i++)
        if (memcmp(r->strike[i].life, w->life, sizeof w->life) == 0)
            return true;
    for (int i = 0; i < r->n_at; i++)
        if (r->at[i].worker == w)
            return true;
    return false;
}

/* Never more than half of a service is aside, and never its last worker. */
static bool
may_go_aside(const struct core *c, int64_t now, enum service_id id)
{
    long all = 0, aside = 0;

    for (const struct hub_worker *w = c->workers; w; w = w->next)
        if (w->share[id].offered && !w->draining) {
            all++;
            aside += w->share[id].aside_ms > now;
        }
    return (aside + 1) * 2 <= all;
}

void
worker_judge(struct core *c, int64_t now, struct hub_worker *w, enum service_id id, bool failed)
{
    struct worker_share *s;

    if (!w)
        return;
    s = &w->share[id];
    if (!failed) {
        s->failures = s->aside = 0;
        return;
    }
    if (++s->failures < FAILURES_MAX || !may_go_aside(c, now, id))
        return;
    s->failures = 0;
    s->aside_ms = now + ASIDE_MS * ++s->aside;
    stat_add_at(&hub_stats, HUB_ASIDE, id, 0, 1);
    LOG(WARN, NULL, M("worker put aside after five failures in a row"), KS("service_name", service_names[id]),
        KI("peer", w->peer), KI("seconds", ASIDE_MS / 1000 * s->aside));
}

/* The largest free share, ties to the least recently used; a worker that still holds an attempt of this
 * request, or was lost with it, only when there is no other, and one that was put aside only when all that
 * are left were (the last one is never aside). */
struct hub_worker *
worker_pick(struct core *c, int64_t now, enum service_id id, const struct hub_request *r)
{
    struct hub_worker *best = NULL, *again = NULL, *aside = NULL;
    double best_free = 0;
    bool standing = false;

    for (struct hub_worker *w = c->workers; w; w = w->next) {
        const struct worker_share *s = &w->share[id];
        double share;

        if (!s->offered || w->draining)
            continue;
        standing |= s->aside_ms <= now;
        if (s->outstanding >= s->capacity)
            continue;
        if (s->aside_ms > now || tried(r, w)) {
            *(s->aside_ms > now ? &aside : &again) = w;
            continue;
        }
        share = (double)(s->capacity - s->outstanding) / (double)s->capacity;
        if (!best || share > best_free || (share >= best_free && w->used_ms < best->used_ms)) {
            best = w;
            best_free = share;
        }
    }
    return best ? best : again ? again : standing ? NULL : aside;
}

static void
worker_free_at(struct core *c, struct hub_worker *w)
{
    peers_drop(c, w);
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    c->n_workers--;
    c->gone[c->n_gone++ % GONE_MAX] = w->peer;
    mem_free(&w);
}

/* A worker comes back with a new socket, so with a new routing id. */
static bool
peer_is_gone(const struct core *c, uint64_t peer)
{
    for (size_t i = 0; i < c->n_gone && i < GONE_MAX; i++)
        if (c->gone[i] == peer)
            return true;
    return false;
}

/* The worker is gone: its own requests end, its attempts go elsewhere. */
void
worker_lost(struct core *c, int64_t now, struct hub_worker *w, enum loss how)
{
    w->draining = true; /* takes nothing new while it is taken apart */
    while (w->made)
        request_giveup(c, w->made);
    while (w->out) {
        struct attempt *a = w->out;
        struct hub_request *r = a->req;
        bool open = r->state == REQ_OUT && a == &r->at[r->n_at - 1];

        attempt_return(c, a); /* frees r when it was closed */
        if (!open)
            continue;
        if (now == INT64_MAX)
            request_close(c, r, ERR_DRAINING, NULL, STR_NONE, 2000);
        else
            request_lost(c, now, a, w, how);
    }
    worker_free_at(c, w);
}

void
core_unsent(struct core *c, int64_t now, uint64_t peer)
{
    struct hub_worker *w = peers_find(c, peer);

    if (!w)
        return;
    core_awake(c, now);
    stat_inc(&hub_stats, HUB_DEATHS);
    LOG(WARN, NULL, M("worker lost"), KI("peer", peer), KS("why", "connection closed"));
    worker_lost(c, now, w, LOSS_CLOSED);
}

/* The connection ends. With three strikes in a minute the worker's key, where there is one, stays out for a minute. */
static void
worker_expel(struct core *c, int64_t now, struct hub_worker *w, int strikes, const char *why, enum loss how)
{
    key_blame(c, now, w->identity, strikes);
    send_disconnect(c, w->peer, why);
    worker_lost(c, now, w, how);
}

void
core_bad_frame(struct core *c, int64_t now, uint64_t peer, const char *why)
{
    struct hub_worker *w = peers_find(c, peer);

    stat_inc(&hub_stats, HUB_BAD_FRAMES);
    if (!w)
        return;
    /* It cannot be tied to its attempt: what this worker held goes elsewhere, and is not to blame. */
    LOG(WARN, NULL, M("worker sent a malformed message and is told to go"), KI("peer", peer), KS("why", why));
    worker_expel(c, now, w, 1, "malformed message", LOSS_LINK);
}

/* ---- frames */

/* A worker offers only what its key is listed for; one that offers more is no worker of ours. */
static bool
offers_allowed(const struct head_ready *h, unsigned services)
{
    for (size_t i = 0; i < h->services.n; i++) {
        int id = service_find(h->services.v[i].name);

        if (id >= 0 && !(services >> id & 1))
            return false;
    }
    return true;
}

static struct hub_worker *
worker_new_at(struct core *c, int64_t now, const struct core_peer *from, const struct head_ready *h)
{
    struct hub_worker *w = mem_new(sizeof *w);

    w->peer = from->id;
    w->identity = from->identity;
    w->heard_ms = now;
    w->lives = h->life.n == sizeof w->life;
    memcpy(w->instance, h->instance.p, sizeof w->instance);
    memcpy(w->life, w->lives ? h->life.p : h->instance.p, sizeof w->life);
    w->next = c->workers;
    w->prev = &c->workers;
    if (c->workers)
        c->workers->prev = &w->next;
    c->workers = w;
    peers_put(c, w);
    c->n_workers++;
    stat_inc(&hub_stats, HUB_JOINED);
    return w;
}

/* It registered before: its older connection is closed, though that may not be known yet. */
static void
worker_is_back(struct core *c, int64_t now, struct hub_worker *w)
{
    for (struct hub_worker *o = c->workers; o; o = o->next)
        if (o != w && o->identity == w->identity && memcmp(o->life, w->life, sizeof w->life) == 0) {
            stat_inc(&hub_stats, HUB_DEATHS);
            LOG(WARN, NULL, M("worker lost"), KI("peer", o->peer), KS("why", "it has a new connection"));
            worker_lost(c, now, o, LOSS_LINK);
            break; /* one at most */
        }
    life_pardon(c, now, w->life);
}

static void
on_ready(struct core *c, int64_t now, const struct core_peer *from, const struct head_ready *h)
{
    uint64_t peer = from->id;
    struct hub_worker *w = peers_find(c, peer);

    if (w && h->instance.n == 16 && memcmp(w->instance, h->instance.p, 16) == 0) {
        w->heard_ms = now; /* the same READY twice: its slots stay as they are */
        send_heartbeat(c, now, w);
        return;
    }
    if (w)
        worker_lost(c, now, w, LOSS_LINK);
    if (peer_is_gone(c, peer) || c->n_workers >= WORKERS_MAX || h->instance.n != 16 || h->version_min > 1 ||
        (h->version_max && h->version_max < 1)) {
        send_disconnect(c, peer, "unsupported");
        return;
    }
    if (key_is_banned(c, now, from->identity) || !offers_allowed(h, from->services)) {
        stat_inc(&hub_stats, HUB_FORBIDDEN);
        LOG(WARN, NULL, M("worker refused: banned, or its key is not listed for the service"),
            KI("peer", peer));
        send_disconnect(c, peer, "not allowed");
        return;
    }
    w = worker_new_at(c, now, from, h);
    send_heartbeat(c, now, w);
    for (size_t i = 0; i < h->services.n; i++) {
        int id = service_find(h->services.v[i].name);
        int64_t capacity = h->services.v[i].capacity;

        if (id < 0 || capacity < 0 || capacity > CAPACITY_MAX)
            continue; /* a neighbour version may offer what we do not know */
        w->share[id] = (struct worker_share){ .offered = true, .capacity = (long)capacity };
        c->queue[id].ever = true;
        LOG(INFO, NULL, M("worker joined"), KS("service_name", service_names[id]), KI("capacity", capacity),
            KI("peer", peer));
    }
    for (int id = 0; id < SERVICE_COUNT; id++)
        if (w->share[id].offered)
            dispatch(c, now, (enum service_id)id);
    if (w->lives)
        worker_is_back(c, now, w);
}

static void
on_request(struct core *c, int64_t now, struct hub_worker *w, const struct head_request *h,
           struct blob *payload)
{
    struct head_final f = { .req = h->req, .attempt = 1 };
    int kind = kind_find(h->kind);
    struct hub_request *r;

    if (kind < 0)
        f.code = ERR_UNSUPPORTED;
    else if (w->n_made >= MADE_MAX)
        f.code = ERR_BUSY;
    else if (payload && payload->n > kinds[kind].max_bytes)
        f.code = ERR_TOO_LARGE;
    if (f.code) {
        worker_send(c, now, w, CMD_FINAL, &f, NULL);
        return;
    }
    r = request_new(c, now, (enum kind)kind, &(struct request_names){ h->tenant, h->trace, h->context },
                    now + (h->ttl_ms < 600000 ? h->ttl_ms : 600000), blob_hold(payload));
    r->origin = w;
    r->origin_req = h->req;
    r->made_next = w->made;
    r->made_prev = &w->made;
    if (w->made)
        w->made->made_prev = &r->made_next;
    w->made = r;
    w->n_made++;
    request_submit(c, now, r);
}

/* A number of a worker's that goes into our own sums and into a header. */
static int64_t
retry_after(const struct head_final *h)
{
    int64_t ms = h->retry_after_ms;

    return ms < 0 ? 0 : ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : ms;
}

/* The attempt a reply belongs to, or NULL after counting why nobody waits for it. A reply to what another worker has in
 * hand can only be forged: ids are given to one worker, and a worker that connects again is a stranger to its old calls.
 * The forger is sent off and its key banned; what it held is not to blame and goes elsewhere. */
static struct attempt *
attempt_for(struct core *c, int64_t now, struct hub_worker *w, const struct uuid *id, int64_t attempt)
{
    struct hub_request *r = request_find(c, id);
    enum drop_why why = memcmp(id->b, c->epoch, 8) ? DROP_EPOCH : DROP_LATE;

    if (r && attempt >= 1 && attempt <= r->n_at) {
        struct attempt *a = &r->at[attempt - 1];

        if (a->worker == w)
            return a;
        why = a->worker ? DROP_FOREIGN : DROP_DUP;
    }
    stat_add_at(&hub_stats, HUB_DROPPED, why, 0, 1);
    if (why == DROP_FOREIGN) {
        LOG(WARN, NULL, M("worker answered a call of another one and is told to go"), KI("peer", w->peer));
        worker_expel(c, now, w, BAD_FRAMES_MAX, "another worker's call", LOSS_LEFT);
    }
    return NULL;
}

/* Is this the attempt whose answer the request waits for? */
static bool
is_current(const struct attempt *a)
{
    return a->req->state == REQ_OUT && a == &a->req->at[a->req->n_at - 1];
}

static void
on_part(struct core *c, int64_t now, struct hub_worker *w, const struct head_part *h, struct blob *payload)
{
    struct attempt *a = attempt_for(c, now, w, &h->req, h->attempt);

    if (!a || !is_current(a) || !payload)
        return;
    a->req->parted = true;
    blob_drop(&a->req->payload);
    if (a->req->origin) {
        struct head_part f = { a->req->origin_req, 1, h->seq };

        worker_send(c, 0, a->req->origin, CMD_PARTIAL, &f, payload);
    } else {
        c->ops.part(c->arg, a->req->caller, payload);
    }
}

/* Is an answer no whole msgpack value, or larger than its kind allows? Its reader finds what
 * is wrong inside it. */
static bool
is_garbled(const struct hub_request *r, const struct blob *payload)
{
    return payload &&
           (payload->n > kinds[r->kind].max_bytes || !msg_scan(payload->p, payload->n, BUS_OBJECTS_MAX));
}

static void
on_final(struct core *c, int64_t now, struct hub_worker *w, const struct head_final *h, struct blob *payload)
{
    struct attempt *a = attempt_for(c, now, w, &h->req, h->attempt);
    struct hub_request *r;
    enum service_id id;
    bool current;
    enum err e;

    if (!a)
        return;
    r = a->req;
    id = kinds[r->kind].service;
    current = is_current(a);
    e = err_known((int)h->code) ? (enum err)h->code : ERR_INTERNAL;
    if (e == ERR_OK && is_garbled(r, payload))
        e = ERR_BAD_FRAME;
    if (e == ERR_OK || current)
        worker_judge(c, now, w, id, e != ERR_OK && err_retryable(e));
    if (e == ERR_BAD_FRAME)
        w->draining = true; /* it is about to go: nothing is sent to it, least of all this request */
    if (!current && r->state != REQ_CLOSED && e == ERR_OK && !r->parted)
        current = true; /* an earlier attempt answers after all: the first answer counts */
    attempt_return(c, a);
    if (!current)
        stat_add_at(&hub_stats, HUB_DROPPED, DROP_LATE, 0, 1);
    else if (e == ERR_OK)
        request_close(c, r, ERR_OK, payload, STR_NONE, 0);
    else if (e == ERR_BAD_FRAME)
        request_lost(c, now, a, w, LOSS_GARBLED);
    else if (err_retryable(e))
        attempt_failed(c, now, r, true, true, e, h->text, retry_after(h));
    else
        request_close(c, r, e, NULL, h->text, retry_after(h));
    if (e == ERR_BAD_FRAME)
        core_bad_frame(c, now, w->peer, "garbled payload");
    dispatch(c, now, id);
}

static void
on_nack(struct core *c, int64_t now, struct hub_worker *w, const struct head_nack *h)
{
    struct attempt *a = attempt_for(c, now, w, &h->req, h->attempt);
    struct hub_request *r;
    bool current;
    enum service_id id;

    if (!a)
        return;
    r = a->req;
    id = kinds[r->kind].service;
    current = is_current(a);
    stat_add_at(&hub_stats, HUB_NACKS, r->kind, 0, 1);
    attempt_return(c, a);
    if (current)
        attempt_failed(c, now, r, false, false, str_is(h->reason, "too_late") ? ERR_TOO_LATE : ERR_BUSY,
                       STR_NONE, 1000);
    dispatch(c, now, id);
}

static void
on_cancel(struct core *c, struct hub_worker *w, const struct head_cancel *h)
{
    for (struct hub_request *r = w->made; r; r = r->made_next)
        if (uuid_eq(&r->origin_req, &h->req)) {
            request_giveup(c, r);
            return;
        }
}

static void
on_credit(struct core *c, int64_t now, struct hub_worker *w, const struct head_credit *h)
{
    int id = service_find(h->service);

    if (id < 0 || !w->share[id].offered || h->capacity < 0 || h->capacity > CAPACITY_MAX)
        return;
    w->share[id].capacity = (long)h->capacity;
    dispatch(c, now, (enum service_id)id);
}

static void
on_worker_drain(struct core *c, int64_t now, struct hub_worker *w)
{
    struct head_drain h = { { (const char *)c->epoch, 16 } };

    w->draining = true;
    worker_send(c, now, w, CMD_DRAIN, &h, NULL); /* no work comes after this */
}

static void
frame_dispatch(struct core *c, int64_t now, struct hub_worker *w, int cmd, const void *head,
               struct blob *payload)
{
    w->heard_ms = now;
    switch (cmd) {
    case CMD_REQUEST: on_request(c, now, w, head, payload); break;
    case CMD_PARTIAL: on_part(c, now, w, head, payload); break;
    case CMD_FINAL: on_final(c, now, w, head, payload); break;
    case CMD_NACK: on_nack(c, now, w, head); break;
    case CMD_CANCEL: on_cancel(c, w, head); break;
    case CMD_CREDIT: on_credit(c, now, w, head); break;
    case CMD_DRAIN: on_worker_drain(c, now, w); break;
    case CMD_DISCONNECT:
        LOG(INFO, NULL, M("worker left"), KI("peer", w->peer));
        worker_lost(c, now, w, LOSS_LEFT);
        break;
    default: break; /* HEARTBEAT: hearing it is enough */
    }
}

void
core_frame(struct core *c, int64_t now, const struct core_peer *from, int cmd, struct str head,
           struct blob *payload)
{
    const struct msg_desc *d = bus_head_desc(cmd);
    uint64_t peer = from->id;
    struct hub_worker *w = peers_find(c, peer);
    struct arena *a;
    void *h;

    if (!d) {
        send_disconnect(c, peer, "unsupported");
        core_bad_frame(c, now, peer, "unknown command");
        return;
    }
    core_awake(c, now);
    a = arena_new(16384);
    h = arena_alloc(a, d->size);
    if (!h || msg_decode(d, head.p, head.n, a, h))
        core_bad_frame(c, now, peer, msg_fault());
    else if (cmd == CMD_READY)
        on_ready(c, now, from, h);
    else if (w)
        frame_dispatch(c, now, w, cmd, h, payload);
    else if (cmd != CMD_DISCONNECT)
        send_disconnect(c, peer, "unknown worker"); /* it registers again */
    arena_free(&a);
}

/* ---- time */

/* A worker with a call that is overdue by its attempt's time (20 s at most) and a second must go. */
static bool
worker_is_stuck(const struct hub_worker *w, int64_t now)
{
    for (const struct attempt *a = w->out; a; a = a->next)
        if (now - a->due_ms >
            (kinds[a->req->kind].attempt_ms < 20000 ? kinds[a->req->kind].attempt_ms : 20000) + 1000)
            return true;
    return false;
}

static void
worker_tick(struct core *c, int64_t now, struct hub_worker *w)
{
    int64_t silent = now - w->heard_ms, quiet = now - w->sent_ms;

    if (silent > BUS_EXPIRE_MS) {
        stat_inc(&hub_stats, HUB_EXPIRIES);
        stat_inc(&hub_stats, HUB_DEATHS);
        LOG(WARN, NULL, M("worker lost"), KI("peer", w->peer), KS("why", "silent"));
        send_disconnect(c, w->peer, "silent");
        worker_lost(c, now, w, LOSS_SILENT);
    } else if (worker_is_stuck(w, now)) {
        stat_inc(&hub_stats, HUB_DEATHS);
        LOG(WARN, NULL, M("worker lost"), KI("peer", w->peer), KS("why", "calls are stuck"));
        send_disconnect(c, w->peer, "stuck");
        worker_lost(c, now, w, LOSS_SILENT);
    } else if (quiet >= (w->out ? BUS_PROBE_MS : BUS_HEARTBEAT_MS - SCAN_MS)) {
        send_heartbeat(c, now, w);
    }
}

void
workers_tick(struct core *c, int64_t now)
{
    core_awake(c, now);
    for (struct hub_worker *w = c->workers; w; w = w->next)
        w->draining |= now - w->heard_ms >
                       BUS_EXPIRE_MS; /* the requests that one loses must not go to the next that is lost */
    for (struct hub_worker *w = c->workers, *next; w; w = next) {
        next = w->next; /* losing one never frees another */
        worker_tick(c, now, w);
    }
    c->scan_ms = now + SCAN_MS;
}

void
core_leave(struct core *c, int64_t now)
{
    struct head_drain h = { { (const char *)c->epoch, 16 } };

    for (struct hub_worker *w = c->workers; w; w = w->next)
        worker_send(c, now, w, CMD_DRAIN, &h, NULL);
}
