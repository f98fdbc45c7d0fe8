/* What a tenant was asked and what it cost, day by day. Rows that have expired are no longer counted. */
#include "store/store.h"

#define DAYS_MAX 31

static void
on_usage(struct tx *t)
{
    struct call *c = t->call;
    const struct usage_req *r = c->req;
    struct usage_day day[DAYS_MAX] = { 0 };
    struct usage_rep rep = { .items = { day, (size_t)r->days } };

    for (size_t row = 0; row < tx_rows(t, 0); row++) {
        int64_t n = col_i64(t, 0, row, 0);

        if (n < 0 || n >= r->days)
            continue;
        day[n] = (struct usage_day){ .day_ms = col_ms(t, 0, row, 1), .conversations = col_i64(t, 0, row, 2),
                                     .questions = col_i64(t, 0, row, 3), .answers = col_i64(t, 0, row, 4),
                                     .grounded = col_i64(t, 0, row, 5), .from_cache = col_i64(t, 0, row, 6),
                                     .prompt_tokens = col_i64(t, 0, row, 7), .completion_tokens = col_i64(t, 0, row, 8) };
    }
    worker_reply(c, &rep);
}

void
usage(struct call *c)
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
