/* GET /usage: what the admin's own tenant was asked in the last days, how much of it the documents answered, and the tokens
 * it took. */
#include "common/clock.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/admit/auth.h"

#define DAYS 7
#define DAYS_MAX 31
#define DATE 10 /* characters of 2026-01-31 */

static void
day_item(struct buf *b, const void *item, void *arg)
{
    const struct usage_day *d = item;
    char text[32];

    (void)arg;
    clock_rfc3339(d->day_ms, text);
    buf_c(b, '{');
    buf_key_str(b, "day", (struct str){ text, DATE });
    buf_key_int(b, "conversations", d->conversations);
    buf_key_int(b, "questions", d->questions);
    buf_key_int(b, "answers", d->answers);
    buf_key_int(b, "grounded", d->grounded);
    buf_key_int(b, "from_cache", d->from_cache);
    buf_key_int(b, "prompt_tokens", d->prompt_tokens);
    buf_key_int(b, "completion_tokens", d->completion_tokens);
    buf_c(b, '}');
}

void
route_usage(struct request *r)
{
    struct usage_req req = { .days = DAYS };
    const struct usage_rep *rep;
    struct held held = { 0 };
    struct outcome a;
    struct buf b = BUF_MAX(65536);

    if (!api_number(r, "days", 1, DAYS_MAX, &req.days) || !api_whole_tenant(r))
        return;
    if (api_get(r, &held, KIND_USAGE, &req, &a)) {
        rep = a.msg;
        buf_z(&b, "{\"items\":");
        render_list(&b, ITEMS(rep, day_item));
        buf_c(&b, '}');
        api_reply(r, 200, &b);
    }
    held_free(&held);
}
