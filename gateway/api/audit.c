/* The audit trail (audit.h): noting after an answer, and GET /audit. A call that changed something is always noted. One that
 * was refused is noted when its caller had a key, and at most 60 a minute of one caller: a flood of refusals must not fill
 * the database. Without a valid key a refused call is a line in the log only.
 *
 * The trail is written after the answer: a line in the log first, then a row. A gateway that is killed in between leaves the
 * line only; in exchange no call fails because its trail could not be written. */
#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/api/audit.h"
#include "gateway/gateway.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/admit/limit.h"

#define ROW_MS 2000 /* the answer is sent: only the connection's next request waits */

static void
name_actor(const struct request *r, char out[65])
{
    if (r->who.key && !api_is_root(r))
        hex_text(r->who.key_hash, 32, out);
    else
        snprintf(out, 65, "%s",
                 r->who.key                               ? "admin_key"
                 : r->who.anonymous || r->who.scopes == 0 ? "anonymous"
                                                          : "local");
}

/* A path names a secret (a session) or a person (a user): enough of its SHA-256 is kept for those who
 * know it to find it. */
static void
name_target(const struct request *r, char out[300])
{
    bool hidden = r->route->handler == route_session_delete || r->route->handler == route_user_delete;
    uint8_t digest[32];
    char hex[65];

    out[0] = 0;
    if (r->audited.p) {
        snprintf(out, 300, STR_FMT, STR_ARG(text_chars(r->audited, 64)));
    } else if (hidden && r->arg.p) {
        sha256(&r->arg, 1, digest);
        snprintf(out, 300, "sha256:%.16s", hex_text(digest, 32, hex));
    } else if (r->arg.p && utf8_valid(r->arg)) {
        snprintf(out, 300, STR_FMT, STR_ARG(text_chars(r->arg, 64)));
    }
}

static bool
may_add(struct request *r, const char *actor)
{
    struct policy p = { .name = "audit", .q = 60, .w = 60 };

    if (r->status < 400)
        return true;
    if (r->who.scopes == 0 || r->who.anonymous)
        return false;
    return limiter_take(r->gw->limiter, limiter_id(r->gw->limiter, str_of(actor), p.name), &p, 1, true);
}

void
audit_note(struct request *r)
{
    char actor[65], target[300], *action;
    struct audit row = {
        .id = uuid_v7(), .status = r->status, .address = str_of(r->peer), .request_id = str_of(r->id)
    };
    struct call *q = NULL;
    struct outcome a;

    if (r->status < 400 ? !(r->route->flags & AUDITED) : r->route->who != WHO_ADMIN)
        return;
    name_actor(r, actor);
    name_target(r, target);
    action = arena_printf(r->arena, "%s", r->route->name);
    LOG(INFO, r->id, M("audit"), KS("actor", actor), KS("action", action), KS("target", target),
        KS("address", r->peer), KI("status", r->status), KS("tenant", r->who.tenant));
    if (!action || !may_add(r, actor))
        return;
    row.actor = str_of(actor);
    row.action = str_of(action);
    if (target[0])
        row.target = str_of(target);
    if (call_once(r->gw->hub, KIND_AUDIT_ADD, &row, r->who.tenant, r->id, clock_ms() + ROW_MS, &q, &a) !=
        ERR_OK)
        LOG(WARN, r->id, M("the audit trail has this line only in the log"), KS("code", err_name(a.err)));
    call_free(&q);
}

static void
audit_item(struct buf *b, const void *item, void *arg)
{
    const struct audit *a = item;

    (void)arg;
    buf_c(b, '{');
    render_key_uuid(b, "id", &a->id);
    render_key_time(b, "at", a->at_ms);
    buf_key_str(b, "actor", a->actor);
    buf_key_str(b, "action", a->action);
    buf_key_str(b, "target", a->target);
    buf_key_str(b, "address", a->address);
    buf_key_int(b, "status", a->status);
    buf_key_str(b, "request_id", a->request_id);
    buf_c(b, '}');
}

void
route_audit(struct request *r)
{
    struct audit_list_req req = { 0 };
    const struct audit_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct outcome a;

    if (!api_paging(r, API_PAGE_LIMIT, &p) || !api_whole_tenant(r))
        return;
    PAGE_INTO(&req, &p);
    if (api_get(r, &held, KIND_AUDIT_LIST, &req, &a)) {
        rep = a.msg;
        api_reply_page(r, &p, ITEMS(rep, audit_item), rep->has_more, rep->next_cursor);
    }
    held_free(&held);
}
