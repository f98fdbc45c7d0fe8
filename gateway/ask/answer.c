/* The end of a question's journey, as the handlers of all dialects have it (ask.h): the whole answer in one
 * reply. Streams have ends of their own. */
#include "gateway/ask/ask.h"

#include "common/clock.h"
#include "common/text/number.h"

enum asked
ask_whole(struct question *q)
{
    if (!q->from_cache)
        return ask_run(q, NULL);
    ask_save_hit(q);
    return ASKED_ANSWERED;
}

void
ask_reply(struct question *q)
{
    struct buf b = BUF_MAX(8388608);

    if (q->stored.status != 0) {
        idem_replay(q->r, &q->stored);
        return;
    }
    switch (ask_whole(q)) {
    case ASKED_ANSWERED:
        q->render(q, &b);
        api_reply(q->r, 200, &b);
        break;
    case ASKED_FAILED: reply_outcome(q->r, &q->failure); break;
    case ASKED_GONE: reply_problem(q->r, ERR_CANCELLED, NULL); break;
    }
}

void
ask_stream_time(struct request *r)
{
    int64_t asked;

    if (!number_parse(request_header(r, "X-Request-Timeout-Ms"), 0, 60000, &asked))
        r->deadline_ms = clock_ms() + api_stream_ms(r);
}
