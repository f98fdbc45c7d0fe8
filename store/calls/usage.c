/* The questions of a tenant and their cost, day by day; and budgets, which bound that cost. Rows that have expired are no longer counted. */
#include "store/calls/calls.h"

#define DAYS_MAX 31
#define OWNERS 2
#define TTL_MOST_MS 3600000

static void
on_usage(struct tx *t)
{
    struct delivery *c = t->call;
    const struct usage_req *r = c->req;
    struct usage_day day[DAYS_MAX] = { 0 };
    struct usage_rep rep = { .items = { day, (size_t)r->days } };

    for (size_t row = 0; row < tx_rows(t, 0); row++) {
        int64_t n = col_i64(t, 0, row, 0);

        if (n < 0 || n >= r->days)
            continue;
        day[n] = (struct usage_day){ .day_ms = col_ms(t, 0, row, 1),
                                     .conversations = col_i64(t, 0, row, 2),
                                     .questions = col_i64(t, 0, row, 3),
                                     .answers = col_i64(t, 0, row, 4),
                                     .grounded = col_i64(t, 0, row, 5),
                                     .from_cache = col_i64(t, 0, row, 6),
                                     .prompt_tokens = col_i64(t, 0, row, 7),
                                     .completion_tokens = col_i64(t, 0, row, 8) };
    }
    worker_reply(c, &rep);
}

void
usage(struct delivery *c)
{
    const struct usage_req *r = c->req;
    struct tx *t;

    if (r->days < 1 || r->days > DAYS_MAX) {
        worker_fail(c, ERR_VALIDATION, 0, "days are 1 to 31");
        return;
    }
    t = call_tx(c, on_usage);
    TX(t, USAGE, p_str(tenant_of(c)), p_i64(r->days));
    tx_run(t);
}

/* ---- budgets: tokens and money of a day. budget.hold reserves what a request may take at most, before it is spent, and refuses
 * what would pass a limit; budget.settle puts what it took in the place of that. The rows of the day are locked while it is decided, so any number of
 * gateways together pass no limit. */

/* Arrays of the owners of a request, and their limits. */
struct whose {
    struct param owners, tokens, nanos;
};

static struct whose
whose(struct tx *t, const struct budget_req *r)
{
    struct buf *o = tx_buf(t), *n = tx_buf(t), *d = tx_buf(t);

    array_begin(o, ARRAY_BYTEA, r->owners.n);
    array_begin(n, ARRAY_INT8, r->owners.n);
    array_begin(d, ARRAY_INT8, r->owners.n);
    for (size_t i = 0; i < r->owners.n; i++) {
        const struct budget_owner *b = &r->owners.v[i];

        array_add(o, p_str(b->owner.p ? b->owner : STR("")));
        array_add(n, p_i64(b->tokens_most));
        array_add(d, p_i64(b->nanos_most));
    }
    return (struct whose){ p_str(buf_slice(o)), p_str(buf_slice(n)), p_str(buf_slice(d)) };
}

static bool
budget_fine(struct delivery *c)
{
    const struct budget_req *r = c->req;
    bool ok = r->owners.n > 0 && r->tokens >= 0 && r->nanos >= 0 && r->day_ms > 0 && r->ttl_ms >= 0 &&
              r->ttl_ms <= TTL_MOST_MS && r->warn_percent >= 0 && r->warn_percent <= 100;

    for (size_t i = 0; i < r->owners.n; i++)
        ok &= r->owners.v[i].tokens_most >= 0 && r->owners.v[i].nanos_most >= 0 &&
              (r->owners.v[i].owner.n == 0 || r->owners.v[i].owner.n == 32);
    if (!ok)
        worker_fail(c, ERR_VALIDATION, 0, "a budget has one or two owners, and no figure below 0");
    return ok;
}

static void
read_states(struct tx *t, int i, bool settled, struct budget_state *v, struct budget_rep *rep)
{
    rep->owners.v = v;
    for (size_t row = 0; row < tx_rows(t, i) && row < OWNERS; row++) {
        struct budget_state *s = &v[rep->owners.n++];

        *s = (struct budget_state){ .owner = col_str(t, i, row, 0),
                                    .tokens = col_i64(t, i, row, 1),
                                    .nanos = col_i64(t, i, row, 2) };
        if (settled) {
            s->warns = col_flag(t, i, row, 3);
        } else {
            s->tokens_held = col_i64(t, i, row, 3);
            s->nanos_held = col_i64(t, i, row, 4);
        }
    }
}

static void
on_held(struct tx *t)
{
    struct budget_state v[OWNERS];
    struct budget_rep rep = { .held = tx_touched(t, 2) > 0 };

    read_states(t, 1, false, v, &rep);
    worker_reply(t->call, &rep);
}

static void
on_settled(struct tx *t)
{
    struct budget_state v[OWNERS];
    struct budget_rep rep = { 0 };

    read_states(t, 1, true, v, &rep);
    worker_reply(t->call, &rep);
}

/* last: BUDGET_HOLD or BUDGET_SETTLE, and its own figure. The rows of the day are made before the first of them. */
static void
budget(struct delivery *c, tx_fn done, enum sql_id last, int64_t figure)
{
    const struct budget_req *r = c->req;
    struct str tenant = tenant_of(c);
    struct whose w;
    struct tx *t;

    if (!budget_fine(c))
        return;
    t = call_tx(c, done);
    w = whose(t, r);
    if (last == SQL_BUDGET_HOLD)
        TX(t, BUDGET_OPEN, p_str(tenant), w.owners, p_time(r->day_ms));
    TX(t, BUDGET_LOCK, p_str(tenant), w.owners, p_time(r->day_ms));
    tx_add(t, last,
           (const struct param[]){ p_str(tenant), w.owners, p_time(r->day_ms), w.tokens, w.nanos,
                                   p_id(&r->id), p_i64(r->tokens), p_i64(r->nanos), p_i64(figure) },
           9);
    tx_run(t);
}

void
budget_reserve(struct delivery *c)
{
    budget(c, on_held, SQL_BUDGET_HOLD, ((const struct budget_req *)c->req)->ttl_ms);
}

void
budget_close(struct delivery *c)
{
    budget(c, on_settled, SQL_BUDGET_SETTLE, ((const struct budget_req *)c->req)->warn_percent);
}
