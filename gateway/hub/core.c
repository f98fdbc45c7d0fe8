/* The hub's core: requests, queues, attempts, retries, deadlines (core.h). Workers are in worker.c. */
#include "gateway/hub/core.h"

#include <assert.h>
#include <stdio.h>

#include "gateway/hub/state.h"

#define QUEUE_MIN 1024
#define STALL_MS 1000  /* between two looks at the workers: the hub itself stood still */
#define PARDON_MS 2000 /* time to find out who has left meanwhile */

const char *const drop_names[] = { "late", "dup", "epoch", "foreign", NULL };
struct stat_set hub_stats;

static enum service_id
service_of(const struct hub_request *r)
{
    return kinds[r->kind].service;
}

/* ---- slots */

static void
slots_grow(struct core *c)
{
    uint32_t cap = c->cap_slots ? c->cap_slots * 2 : 256;

    c->slots = mem_resize(c->slots, cap * sizeof *c->slots);
    c->free_slots = mem_resize(c->free_slots, cap * sizeof *c->free_slots);
    c->generation = mem_resize(c->generation, cap * sizeof *c->generation);
    for (uint32_t i = c->cap_slots; i < cap; i++) {
        c->slots[i] = NULL;
        c->generation[i] = 0;
        c->free_slots[c->n_free++] = i;
    }
    c->cap_slots = cap;
}

static struct hub_request *
slot_get(const struct core *c, uint64_t handle)
{
    uint32_t i = (uint32_t)handle;

    return i < c->cap_slots && c->slots[i] && c->slots[i]->handle == handle ? c->slots[i] : NULL;
}

struct hub_request *
request_new(struct core *c, int64_t now, enum kind kind, const struct request_names *names,
            int64_t deadline_ms, struct blob *payload)
{
    struct hub_request *r = mem_new(sizeof *r);
    uint32_t i;

    if (!c->n_free)
        slots_grow(c);
    i = c->free_slots[--c->n_free];
    r->handle = (uint64_t)++c->generation[i] << 32 | i;
    c->slots[i] = r;
    c->n_slots++;
    r->kind = kind;
    r->deadline_ms = deadline_ms;
    r->queue_ms = now + BUS_QUEUE_MS;
    r->payload = payload;
    snprintf(r->tenant, sizeof r->tenant, STR_FMT, STR_ARG(names->tenant));
    snprintf(r->trace, sizeof r->trace, STR_FMT, STR_ARG(names->trace));
    snprintf(r->context, sizeof r->context, STR_FMT, STR_ARG(names->context));
    stat_add_at(&hub_stats, HUB_REQUESTS, kind, 0, 1);
    return r;
}

static void
request_free(struct core *c, struct hub_request *r)
{
    uint32_t i = (uint32_t)r->handle;

    timer_set(c, r, INT64_MAX);
    blob_drop(&r->payload);
    c->slots[i] = NULL;
    c->free_slots[c->n_free++] = i;
    c->n_slots--;
    mem_free(&r);
}

static void
request_wire_id(const struct core *c, const struct hub_request *r, struct uuid *out)
{
    memcpy(out->b, c->epoch, 8);
    memcpy(out->b + 8, &r->handle, 8);
}

struct hub_request *
request_find(struct core *c, const struct uuid *id)
{
    uint64_t handle;

    if (memcmp(id->b, c->epoch, 8) != 0)
        return NULL;
    memcpy(&handle, id->b + 8, 8);
    return slot_get(c, handle);
}

static long
service_capacity(const struct core *c, enum service_id id, long *workers)
{
    long sum = 0;

    *workers = 0;
    for (const struct hub_worker *w = c->workers; w; w = w->next)
        if (w->share[id].offered && !w->draining) {
            sum += w->share[id].capacity;
            ++*workers;
        }
    return sum;
}

/* ---- retry budget */

static size_t
budget_slot(struct budget *b, int64_t now)
{
    int64_t second = now / 1000;
    size_t i = (size_t)(second % BUDGET_SECONDS);

    if (b->second[i] != second) {
        b->second[i] = second;
        b->requests[i] = b->retries[i] = 0;
    }
    return i;
}

/* Retries may be 10 % of the requests of the last ten seconds, and three. */
static bool
budget_take(struct budget *b, int64_t now)
{
    size_t at = budget_slot(b, now);
    unsigned requests = 0, retries = 0;

    for (size_t i = 0; i < BUDGET_SECONDS; i++)
        if (b->second[i] > now / 1000 - BUDGET_SECONDS) {
            requests += b->requests[i];
            retries += b->retries[i];
        }
    if (retries >= requests / 10 + 3)
        return false;
    b->retries[at]++;
    return true;
}

/* ---- life of a request */

/* NEW → QUEUED ⇄ OUT → HELD → QUEUED, and from each of them CLOSED, which is the end. */
void
request_set(struct hub_request *r, enum request_state to)
{
    static const bool legal[REQ_STATES][REQ_STATES] = {
        [REQ_NEW] = { [REQ_QUEUED] = true, [REQ_CLOSED] = true },
        [REQ_QUEUED] = { [REQ_OUT] = true, [REQ_CLOSED] = true },
        [REQ_OUT] = { [REQ_QUEUED] = true, [REQ_HELD] = true, [REQ_CLOSED] = true },
        [REQ_HELD] = { [REQ_QUEUED] = true, [REQ_CLOSED] = true },
    };

    assert(legal[r->state][to]);
    r->state = to;
}

static void
cancel_attempts(struct core *c, struct hub_request *r, int64_t now)
{
    for (int i = 0; i < r->n_at; i++) {
        struct head_cancel h = { .attempt = i + 1 };

        if (!r->at[i].worker)
            continue;
        request_wire_id(c, r, &h.req);
        worker_send(c, now, r->at[i].worker, CMD_CANCEL, &h, NULL);
    }
}

static void
unlink_made(struct hub_request *r)
{
    if (!r->origin)
        return;
    *r->made_prev = r->made_next;
    if (r->made_next)
        r->made_next->made_prev = r->made_prev;
    r->origin->n_made--;
    r->origin = NULL;
}

/* Out of the queue or the timers; attempts that are still at workers are told, and keep the slot until they return. */
void
request_giveup(struct core *c, struct hub_request *r)
{
    if (r->state == REQ_QUEUED)
        queue_remove(&c->queue[service_of(r)].waiting, r);
    request_set(r, REQ_CLOSED);
    r->caller = NULL;
    timer_set(c, r, INT64_MAX);
    unlink_made(r);
    blob_drop(&r->payload);
    cancel_attempts(c, r, 0);
    if (r->live == 0)
        request_free(c, r);
}

void
request_close(struct core *c, struct hub_request *r, enum err e, struct blob *payload, struct str text,
              int64_t retry_after_ms)
{
    if (e)
        stat_add_at(&hub_stats, HUB_FAILED, r->kind, 0, 1);
    if (r->origin) {
        struct head_final h = { .req = r->origin_req, .attempt = 1, .code = (int64_t)e, .text = text };

        h.retryable = err_retryable(e);
        h.retry_after_ms = retry_after_ms;
        worker_send(c, 0, r->origin, CMD_FINAL, &h, payload);
    } else {
        c->ops.done(c->arg, r->caller, e, payload, text, retry_after_ms);
    }
    request_giveup(c, r);
}

static void
request_wait(struct core *c, struct hub_request *r, bool front)
{
    queue_put(&c->queue[service_of(r)].waiting, r, front);
    request_set(r, REQ_QUEUED);
    timer_set(c, r, r->queue_ms < r->deadline_ms ? r->queue_ms : r->deadline_ms);
}

void
request_submit(struct core *c, int64_t now, struct hub_request *r)
{
    enum service_id id = service_of(r);
    struct service_queue *q = &c->queue[id];
    long workers, capacity = service_capacity(c, id, &workers);
    size_t most = (size_t)(4 * capacity > QUEUE_MIN ? 4 * capacity : QUEUE_MIN);

    q->budget.requests[budget_slot(&q->budget, now)]++;
    if (r->deadline_ms - now < BUS_LEAST_MS) {
        request_close(c, r, ERR_DEADLINE, NULL, STR_NONE, 0);
    } else if (!q->ever && now - c->start_ms > START_GRACE_MS) {
        stat_add_at(&hub_stats, HUB_NO_WORKER, id, 0, 1);
        request_close(c, r, ERR_NO_WORKER, NULL, STR_NONE, 1000);
    } else if (queue_beside(&q->waiting, r) >= most) {
        stat_add_at(&hub_stats, HUB_FULL, id, 0, 1);
        request_close(c, r, ERR_BUSY, NULL, STR_NONE, 1000);
    } else {
        request_wait(c, r, false);
        dispatch(c, now, id);
    }
}

static void
attempt_start(struct core *c, int64_t now, struct hub_request *r, struct hub_worker *w)
{
    struct attempt *a = &r->at[r->n_at++];
    struct head_request h = { .attempt = r->n_at,
                              .ttl_ms = r->deadline_ms - now,
                              .kind = str_of(kind_names[r->kind]) };
    int64_t due = now + kinds[r->kind].attempt_ms;

    a->worker = w;
    a->req = r;
    a->due_ms = due < r->deadline_ms ? due : r->deadline_ms;
    a->next = w->out;
    a->prev = &w->out;
    if (w->out)
        w->out->prev = &a->next;
    w->out = a;
    w->share[service_of(r)].outstanding++;
    w->used_ms = now;
    r->live++;
    r->counted++;
    request_set(r, REQ_OUT);
    if (r->counted + r->moves > 1)
        stat_add_at(&hub_stats, HUB_RETRIES, r->kind, 0, 1);
    timer_set(c, r, due < r->deadline_ms ? due : r->deadline_ms);
    request_wire_id(c, r, &h.req);
    h.trace = str_of(r->trace);
    h.tenant = str_of(r->tenant);
    if (r->context[0])
        h.context = str_of(r->context);
    a->unsent = !worker_send(c, now, w, CMD_REQUEST, &h, r->payload);
}

void
dispatch(struct core *c, int64_t now, enum service_id id)
{
    struct queue *q = &c->queue[id].waiting;

    for (struct hub_request *r; (r = queue_first(q));) {
        struct hub_worker *w = worker_pick(c, now, id, r);

        if (!w)
            return;
        queue_take(q);
        attempt_start(c, now, r, w);
    }
}

void
attempt_return(struct core *c, struct attempt *a)
{
    struct hub_request *r = a->req;

    *a->prev = a->next;
    if (a->next)
        a->next->prev = a->prev;
    a->worker->share[service_of(r)].outstanding--;
    a->worker = NULL;
    r->live--;
    if (r->state == REQ_CLOSED && r->live == 0)
        request_free(c, r);
}

void
attempt_failed(struct core *c, int64_t now, struct hub_request *r, bool counted, bool budget, enum err e,
               struct str text, int64_t retry_after_ms)
{
    enum service_id id = service_of(r);
    bool billed = r->once && counted && err_maybe_paid(e);

    if (!counted)
        r->counted--;
    if (r->parted || r->counted >= kinds[r->kind].attempts || billed || r->n_at == ATTEMPT_MAX ||
        r->deadline_ms - now < BUS_LEAST_MS || (budget && !budget_take(&c->queue[id].budget, now))) {
        request_close(c, r, e, NULL, text, retry_after_ms);
        return;
    }
    r->queue_ms = now + BUS_QUEUE_MS;
    request_wait(c, r, true);
    dispatch(c, now, id);
}

/* ---- events */

struct core *
core_new(const struct core_ops *ops, void *arg, const uint8_t epoch[16], int64_t now)
{
    struct core *c = mem_new(sizeof *c);

    c->ops = *ops;
    c->arg = arg;
    memcpy(c->epoch, epoch, 16);
    c->start_ms = now;
    c->scan_ms = now;
    return c;
}

void
core_free(struct core **cp)
{
    struct core *c = *cp;

    if (!c)
        return;
    for (uint32_t i = 0; i < c->cap_slots; i++)
        if (c->slots[i] && c->slots[i]->state != REQ_CLOSED)
            request_close(c, c->slots[i], ERR_DRAINING, NULL, STR_NONE, 2000);
    while (c->workers)
        worker_lost(c, INT64_MAX, c->workers, LOSS_LEFT);
    mem_free(&c->slots);
    mem_free(&c->free_slots);
    mem_free(&c->generation);
    heap_fini(&c->timers);
    mem_free(cp);
}

uint64_t
core_call(struct core *c, int64_t now, const struct core_call *q)
{
    struct request_names names = { str_of(q->tenant), str_of(q->trace),
                                   str_of(q->context ? q->context : "") };
    struct hub_request *r = request_new(c, now, q->kind, &names, q->deadline_ms, q->payload);
    uint64_t handle = r->handle;

    r->caller = q->caller;
    r->once = q->once;
    request_submit(c, now, r);
    return handle;
}

void
core_giveup(struct core *c, int64_t now, uint64_t handle)
{
    struct hub_request *r = slot_get(c, handle);

    (void)now;
    if (r && r->state != REQ_CLOSED && !r->origin)
        request_giveup(c, r);
}

static void
on_timer(struct core *c, int64_t now, struct hub_request *r)
{
    enum service_id id = service_of(r);

    if (r->state == REQ_QUEUED && now < r->deadline_ms) {
        long workers;

        stat_add_at(&hub_stats, HUB_EXPIRED, id, 0, 1);
        service_capacity(c, id, &workers);
        request_close(c, r, workers ? ERR_BUSY : ERR_NO_WORKER, NULL, STR_NONE, 1000);
    } else if (now >= r->deadline_ms) {
        request_close(c, r, ERR_DEADLINE, NULL, STR_NONE, 0);
    } else if (r->state == REQ_HELD) {
        request_condemn(c, r);
    } else {
        /* The attempt's own timer: the slot stays taken at that worker, the request goes elsewhere. */
        stat_add_at(&hub_stats, HUB_TIMEOUTS, r->kind, 0, 1);
        worker_judge(c, now, r->at[r->n_at - 1].worker, id, true);
        cancel_attempts(c, r, now);
        attempt_failed(c, now, r, true, true, ERR_DEADLINE, STR_NONE, 0);
    }
}

/* A hub that stood still (stopped, swapped out) finds that its workers have left: no request killed them. */
void
core_awake(struct core *c, int64_t now)
{
    if (now - c->scan_ms > STALL_MS)
        c->pardon_ms = now + PARDON_MS;
}

void
core_tick(struct core *c, int64_t now)
{
    struct hub_request *r;

    while ((r = timer_due(c, now)))
        on_timer(c, now, r);
    if (now >= c->scan_ms)
        workers_tick(c, now);
}

int64_t
core_next(const struct core *c, int64_t now)
{
    int64_t next = c->workers ? c->scan_ms : now + 1000;

    if (heap_first(&c->timers) && heap_first(&c->timers)->key < next)
        next = heap_first(&c->timers)->key;
    return next > now ? next : now;
}

void
core_look(const struct core *c, enum service_id id, struct core_view *out)
{
    *out = (struct core_view){ .queued = (long)queue_length(&c->queue[id].waiting),
                               .since_ms = queue_since(&c->queue[id].waiting),
                               .ever = c->queue[id].ever };
    for (const struct hub_worker *w = c->workers; w; w = w->next) {
        if (!w->share[id].offered)
            continue;
        out->outstanding += w->share[id].outstanding;
        if (w->draining) {
            out->draining++;
        } else {
            out->workers++;
            out->capacity += w->share[id].capacity;
        }
    }
}

static const char *
check_worker(const struct hub_worker *w)
{
    long count[SERVICE_COUNT] = { 0 };

    for (const struct attempt *a = w->out; a; a = a->next) {
        if (a->worker != w)
            return "an attempt is on another worker's list";
        count[service_of(a->req)]++;
    }
    for (int i = 0; i < SERVICE_COUNT; i++)
        if (count[i] != w->share[i].outstanding)
            return "credit + outstanding is not the capacity";
    return NULL;
}

static const char *
check_request(const struct core *c, const struct hub_request *r)
{
    int live = 0;

    for (int i = 0; i < r->n_at; i++)
        live += r->at[i].worker != NULL;
    if (live != r->live)
        return "attempts and their count differ";
    if (r->state == REQ_CLOSED && (r->timer.at || !live))
        return "a closed request is still held";
    if (r->state != REQ_CLOSED &&
        (!r->timer.at || c->timers.v[r->timer.at - 1] != &r->timer || r->timer.key > r->deadline_ms))
        return "an open request could wait past its deadline";
    if (r->state == REQ_OUT && !live)
        return "a request is out at no worker";
    return NULL;
}

const char *
core_check(const struct core *c)
{
    size_t queued = 0, waiting = 0;
    const char *why = NULL;

    for (const struct hub_worker *w = c->workers; w && !why; w = w->next)
        why = check_worker(w);
    for (uint32_t i = 0; i < c->cap_slots && !why; i++)
        if (c->slots[i]) {
            why = check_request(c, c->slots[i]);
            queued += c->slots[i]->state == REQ_QUEUED;
        }
    for (int i = 0; i < SERVICE_COUNT; i++)
        waiting += queue_length(&c->queue[i].waiting);
    return why ? why : queued == waiting ? NULL : "a queue and its count differ";
}
