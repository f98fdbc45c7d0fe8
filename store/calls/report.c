/* Gaps of the documents: questions that they did not answer, and answers that readers thought badly of, by
 * collection and wording. The gateway puts wordings together that have the same words. */
#include "store/calls/calls.h"

#define DAYS_MAX 366
#define ROWS_MAX 5000

static void
on_report(struct tx *t)
{
    struct delivery *c = t->call;
    size_t n = tx_rows(t, 0);
    struct report_rep rep = { .more = n > ROWS_MAX };

    n = n > ROWS_MAX ? ROWS_MAX : n;
    if (!(rep.items.v = call_alloc(c, n + 1, sizeof *rep.items.v)))
        return;
    for (size_t row = 0; row < n; row++)
        rep.items.v[rep.items.n++] = (struct report_row){ .collection = col_str(t, 0, row, 0),
                                                          .question = col_str(t, 0, row, 1),
                                                          .unanswered = col_i64(t, 0, row, 2),
                                                          .rated_down = col_i64(t, 0, row, 3),
                                                          .last_ms = col_ms(t, 0, row, 4),
                                                          .message_id = col_id(t, 0, row, 5),
                                                          .comment = col_str(t, 0, row, 6) };
    worker_reply(c, &rep);
}

void
report_get(struct delivery *c)
{
    const struct report_req *r = c->req;
    struct tx *t;

    if (r->days < 1 || r->days > DAYS_MAX) {
        worker_fail(c, ERR_VALIDATION, 0, "days are 1 to 366");
        return;
    }
    t = call_tx(c, on_report);
    TX(t, REPORT, p_str(tenant_of(c)), p_i64(r->days), p_str(r->collection), p_i64(ROWS_MAX + 1));
    tx_run(t);
}
