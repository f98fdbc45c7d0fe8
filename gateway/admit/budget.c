/* Budgets of a day (UTC) in tokens and dollars, of a key (with those that it replaced) and of its tenant. They are held in Postgres (store/calls/usage.c):
 * money must not be forgotten with a cache, and no question is paid for without the store anyway.
 *
 *   quote: the most that a call may take ─▶ budget.hold: within every limit? ─no▶ 429 budget_exceeded
 *                                             └yes▶ the call ─▶ … ─▶ budget.settle, after the answer
 *
 * A token is at least a byte of what is sent, so a quote is never too low; it is some four times too high, until the call has ended. The reservation
 * covers one attempt: a call that may have been billed is not repeated by the hub. A call that ends without a count (cancelled,
 * cut, timed out, its worker killed) counts with all that was reserved, and so does a reservation that nobody settles. A
 * model without a price is refused where a budget is in dollars.
 *
 * owners() is the one place that says from whose budgets a caller pays: a person's groups will be more of them. */
#include "gateway/admit/budget.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "gateway/edge/stat.h"
#include "gateway/gateway.h"

#define OWNERS 2
#define ASK_MS 2000    /* to quote, to hold, to settle */
#define SPARE_MS 60000 /* that a reservation outlives its request's time */
#define SOON_MS 2000   /* until a running request may have given back what it has reserved */
#define GUESS_SHARE 4  /* bytes of a token, where a rerank server does not say how many it took */

struct budget {
    struct budget_owner owner[OWNERS];
    size_t n;
    struct uuid id;
    int64_t day_ms;
    bool dollars;             /* one of them is in dollars */
    bool held;                /* there is a reservation */
    int64_t tokens, nanos;    /* reserved so far */
    int64_t took, took_nanos; /* by calls that have ended */
};

/* ---- whose */

static int64_t
nanos_of(double dollars)
{
    return (int64_t)(dollars * 1e9 + 0.5);
}

static size_t
owners(const struct request *r, struct budget_owner *v)
{
    const struct gateway_opt *o = r->gw->opt;
    const struct api_key *k = r->who.key;
    size_t n = 0;

    if (k)
        v[n++] = (struct budget_owner){ { (const char *)r->who.limits, 32 },
                                        k->tokens_per_day,
                                        k->nanos_per_day };
    if (o->tenant_tokens > 0 || o->tenant_dollars > 0)
        v[n++] = (struct budget_owner){ { NULL, 0 }, o->tenant_tokens, nanos_of(o->tenant_dollars) };
    else if (n > 0 && k->tokens_per_day <= 0 && k->nanos_per_day <= 0)
        n = 0;
    return n;
}

/* NULL: nobody limits what this request may spend. */
static struct budget *
budget_of(struct request *r)
{
    struct budget_owner v[OWNERS];
    int64_t now = clock_wall_ms();
    size_t n;

    if (r->budget)
        return r->budget->n > 0 ? r->budget : NULL;
    n = owners(r, v);
    r->budget = arena_alloc(r->arena, sizeof *r->budget);
    if (!r->budget)
        return NULL;
    *r->budget = (struct budget){ .n = n, .id = uuid_v7(), .day_ms = now - now % CLOCK_DAY_MS };
    for (size_t i = 0; i < n; i++) {
        r->budget->owner[i] = v[i];
        r->budget->dollars |= v[i].nanos_most > 0;
    }
    return n > 0 ? r->budget : NULL;
}

bool
budget_on(struct request *r)
{
    return budget_of(r) != NULL;
}

/* ---- refusals */

static const struct budget_state *
state_of(const struct budget_rep *rep, struct str owner)
{
    for (size_t i = 0; i < rep->owners.n; i++)
        if (rep->owners.v[i].owner.n == owner.n && (owner.n == 0 || str_eq(rep->owners.v[i].owner, owner)))
            return &rep->owners.v[i];
    return NULL;
}

struct excess {
    const struct budget_owner *owner;
    bool dollars;
    int64_t used, most, wants;
    bool soon; /* it would pass if nothing else ran */
};

/* Which limit would be passed? before: what the request has reserved already. */
static bool
find_excess(const struct budget *b, const struct budget_rep *rep, int64_t tokens, int64_t nanos,
            struct excess *x)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct budget_owner *o = &b->owner[i];
        const struct budget_state *s = state_of(rep, o->owner);

        if (!s)
            continue;
        *x = (struct excess){ o,
                              false,
                              s->tokens,
                              o->tokens_most,
                              tokens - b->tokens,
                              s->tokens - s->tokens_held + tokens <= o->tokens_most };
        if (o->tokens_most > 0 && s->tokens + x->wants > o->tokens_most)
            return true;
        *x = (struct excess){ o,
                              true,
                              s->nanos,
                              o->nanos_most,
                              nanos - b->nanos,
                              s->nanos - s->nanos_held + nanos <= o->nanos_most };
        if (o->nanos_most > 0 && s->nanos + x->wants > o->nanos_most)
            return true;
    }
    return false;
}

static void
amount(bool dollars, int64_t n, char out[32])
{
    if (dollars)
        snprintf(out, 32, "$%.6f", (double)n / 1e9);
    else
        snprintf(out, 32, "%lld", (long long)n);
}

static enum err
exceeded(struct request *r, const struct budget *b, const struct excess *x, struct outcome *out)
{
    int64_t ends_ms = b->day_ms + CLOCK_DAY_MS, wait_ms = ends_ms - clock_wall_ms();
    char used[32], most[32], wants[32], end[32];
    const char *text;

    amount(x->dollars, x->used, used);
    amount(x->dollars, x->most, most);
    amount(x->dollars, x->wants, wants);
    clock_rfc3339(ends_ms, end);
    text = arena_printf(
        r->arena,
        "the budget of this %s for the day is used up: of %s %s%s are spent or reserved, and this request may take %s more; "
        "%s",
        x->owner->owner.n > 0 ? "key" : "tenant", most, x->dollars ? "" : "tokens ", used, wants,
        x->wants > x->most ? "no day's budget is enough for it"
        : x->soon          ? "requests that run may leave enough of it when they end"
                           : arena_printf(r->arena, "the day ends at %s", end));
    stat_add_at(&gateway_stats, GW_BUDGET_REFUSED, x->owner->owner.n > 0 ? BUDGET_KEY : BUDGET_TENANT, 0, 1);
    *out = (struct outcome){ .err = ERR_BUDGET,
                             .text = text ? text : "",
                             .retry_after_ms = x->soon       ? SOON_MS
                                               : wait_ms > 0 ? wait_ms
                                                             : 1000 };
    return ERR_BUDGET;
}

static enum err
unpriced(struct request *r, struct str model, struct outcome *out)
{
    const char *text = arena_printf(r->arena,
                                    "the model " STR_FMT
                                    " has no price, and this budget is in dollars: set MODEL_PRICES=" STR_FMT
                                    "=INPUT/OUTPUT for the gateway, in dollars for a million tokens",
                                    STR_ARG(model), STR_ARG(model));

    stat_add_at(&gateway_stats, GW_BUDGET_REFUSED, BUDGET_UNPRICED, 0, 1);
    *out = (struct outcome){ .err = ERR_UNPRICED, .text = text ? text : "" };
    return ERR_UNPRICED;
}

/* ---- reserve */

static void
fill(const struct budget *b, int64_t tokens, int64_t nanos, struct budget_req *req)
{
    *req = (struct budget_req){ .id = b->id, .day_ms = b->day_ms, .tokens = tokens, .nanos = nanos };
    req->owners.v = (struct budget_owner *)(uintptr_t)b->owner; /* only read */
    req->owners.n = b->n;
}

/* The reservation becomes so large. */
static enum err
hold(struct request *r, struct budget *b, int64_t tokens, int64_t nanos, struct outcome *out)
{
    int64_t now = clock_ms(), deadline = now + ASK_MS < r->deadline_ms ? now + ASK_MS : r->deadline_ms;
    const struct budget_rep *rep;
    struct budget_req req;
    struct held held = { 0 };
    struct excess x;
    enum err e;

    fill(b, tokens, nanos, &req);
    req.ttl_ms = (r->deadline_ms > now ? r->deadline_ms - now : 0) + SPARE_MS;
    e = api_call(r, &held, KIND_BUDGET_HOLD, &req, deadline, out);
    rep = out->msg;
    if (e == ERR_OK && rep->held) {
        b->held = true;
        b->tokens = tokens;
        b->nanos = nanos;
    } else if (e == ERR_OK && find_excess(b, rep, tokens, nanos, &x)) {
        e = exceeded(r, b, &x, out);
    } else if (e == ERR_OK) {
        e = ERR_INTERNAL;
        *out = (struct outcome){ .err = e, .text = "" };
    } else { /* its text goes with the call */
        out->text = out->text ? arena_printf(r->arena, "%s", out->text) : "";
    }
    held_free(&held);
    return e;
}

enum err
budget_look(struct request *r, struct outcome *out)
{
    struct budget *b = budget_of(r);

    return b && !b->held ? hold(r, b, 1, b->dollars, out) : ERR_OK;
}

/* Its price goes into p. False: it has none, and a budget is in dollars. */
static bool
price_quote(const struct budget *b, const struct quote_rep *q, struct paying *p)
{
    bool known = price_find(q->model, &p->price);

    p->in = q->tokens_in;
    p->out = q->tokens_out;
    p->nanos = (int64_t)(price_cost(p->price.input, p->in) + price_cost(p->price.output, p->out));
    return known || !b->dollars;
}

enum err
budget_hold(struct request *r, enum kind quote, const void *req, struct paying *p, struct outcome *out)
{
    int64_t now = clock_ms(), deadline = now + ASK_MS < r->deadline_ms ? now + ASK_MS : r->deadline_ms;
    struct budget *b = budget_of(r);
    const struct quote_rep *q;
    struct held held = { 0 };
    enum err e;

    *p = (struct paying){ 0 };
    if (!b)
        return ERR_OK;
    e = api_call(r, &held, quote, req, deadline, out);
    q = out->msg;
    if (e != ERR_OK)
        out->text = out->text ? arena_printf(r->arena, "%s", out->text) : "";
    else if (q->model.n > 0 && !price_quote(b, q, p))
        e = unpriced(r, q->model, out);
    else if (q->model.n > 0)
        p->on = true;
    held_free(&held);
    if (p->on)
        e = hold(r, b, b->tokens + p->in + p->out, b->nanos + p->nanos, out);
    p->on = p->on && e == ERR_OK;
    return e;
}

/* ---- what it took */

void
budget_paid(struct request *r, const struct paying *p, int64_t in, int64_t out)
{
    if (!p->on)
        return;
    r->budget->took += in + out;
    r->budget->took_nanos += (int64_t)(price_cost(p->price.input, in) + price_cost(p->price.output, out));
}

void
budget_unsure(struct request *r, const struct paying *p)
{
    budget_paid(r, p, p->in, p->out);
}

/* A call that ended well. */
static void
note(struct request *r, enum kind kind, const void *msg, const struct paying *p)
{
    const struct embed_rep *embedded = msg;
    const struct rerank_rep *ranked = msg;

    if (kind == KIND_RERANK)
        budget_paid(r, p, ranked->tokens > 0 ? ranked->tokens : p->in / GUESS_SHARE, 0);
    else if (embedded->unsure)
        budget_unsure(r, p);
    else
        budget_paid(r, p, embedded->tokens, 0);
}

enum err
budget_call(struct request *r, struct held *h, enum kind kind, const void *req, int64_t deadline_ms,
            struct outcome *out)
{
    enum kind quote = kind == KIND_EMBED ? KIND_EMBED_QUOTE : KIND_RERANK_QUOTE;
    struct paying p;
    enum err e = budget_hold(r, quote, req, &p, out);

    if (e != ERR_OK)
        return e;
    if (!p.on)
        return api_call(r, h, kind, req, deadline_ms, out);
    e = held_wait(h, hub_call_once(api_hub(r), kind, req, r->who.tenant, r->id, deadline_ms), out);
    if (e == ERR_OK)
        note(r, kind, out->msg, &p);
    else if (err_maybe_paid(e))
        budget_unsure(r, &p);
    return e;
}

/* ---- settle */

static void
warn(const struct request *r, const struct budget *b, const struct budget_state *s)
{
    const struct budget_owner *o = &b->owner[0];
    char id[65] = "";

    for (size_t i = 0; i < b->n; i++)
        if (b->owner[i].owner.n == s->owner.n)
            o = &b->owner[i];
    if (s->owner.n == 32)
        hex_text(s->owner.p, 32, id);
    stat_add_at(&gateway_stats, GW_BUDGET_WARNED, s->owner.n > 0 ? BUDGET_KEY : BUDGET_TENANT, 0, 1);
    LOG(WARN, r->id, M("a budget of the day is nearly used up"), KS("of", id[0] ? "key" : "tenant"),
        KS("tenant", r->who.tenant), KS("key_id", id), KI("tokens", s->tokens),
        KI("tokens_most", o->tokens_most), KF("dollars", (double)s->nanos / 1e9),
        KF("dollars_most", (double)o->nanos_most / 1e9));
}

void
budget_settle(struct request *r)
{
    struct budget *b = r->budget;
    const struct budget_rep *rep;
    struct budget_req req;
    struct held held = { 0 };
    struct outcome a;

    if (!b || !b->held)
        return;
    b->held = false;
    fill(b, b->took, b->took_nanos, &req);
    req.warn_percent = r->gw->opt->budget_warn;
    if (api_call(r, &held, KIND_BUDGET_SETTLE, &req, clock_ms() + ASK_MS, &a) == ERR_OK) {
        rep = a.msg;
        for (size_t i = 0; i < rep->owners.n; i++)
            if (rep->owners.v[i].warns)
                warn(r, b, &rep->owners.v[i]);
    } else {
        stat_inc(&gateway_stats, GW_BUDGET_UNSETTLED);
        LOG(WARN, r->id, M("what a request took could not be settled: all that was reserved counts"),
            KS("code", err_name(a.err)), KI("tokens", b->tokens));
    }
    held_free(&held);
}
