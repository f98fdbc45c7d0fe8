/* /sessions: make, read, erase; /users: erase. A session id is a secret: whoever has it may read and erase that session. */
#include "gateway/api/session.h"

#include "common/clock.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/admit/cache_write.h"
#include "gateway/edge/origin.h"

static const struct text_rule rule_session = { "session_id", 1, 64, false, false };
static const struct text_rule rule_user = { "user_id", 1, 200, false, true };

void
render_session(struct buf *b, const struct uuid *id, const struct session_rep *s)
{
    buf_c(b, '{');
    render_key_uuid(b, "session_id", id);
    buf_key_str(b, "user_id", s->user_id);
    render_key_time(b, "created_at", s->created_ms);
    render_key_time(b, "expires_at", s->expires_ms);
    buf_key_int(b, "conversations", s->conversations);
    buf_key_int(b, "messages", s->messages);
    buf_c(b, '}');
}

static void
reply_session(struct request *r, int status, const struct uuid *id, const struct session_rep *s)
{
    struct buf b = BUF_MAX(65536);

    render_session(&b, id, s);
    api_reply(r, status, &b);
}

/* The chosen or a fresh id, and its user. */
static bool
parse(struct request *r, const json_t *o, struct str *session, struct str *user)
{
    struct fault f;

    if (o && (!field_text(o, &rule_session, session, &f) || !field_text(o, &rule_user, user, &f))) {
        reply_fault(r, &f);
        return false;
    }
    if (user->p && r->who.anonymous) {
        reply_problem(r, ERR_FORBIDDEN, "a user_id can only be set with an API key");
        return false;
    }
    return true;
}

static void
create(struct request *r, const json_t *body)
{
    struct str session = STR_NONE, user = STR_NONE;
    struct held held = { 0 };
    struct session_req req = { .expiry_days = api_expiry_days(r) };
    struct uuid id;
    uint8_t hash[32];
    char text[37];
    struct outcome a;

    if (!parse(r, body, &session, &user))
        return;
    if (!session.p && !request_header(r, "X-Session-ID").p) {
        id = uuid_v4();
        session = str_of(uuid_text(&id, text));
    }
    if (!request_session(r, session, &id, hash))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    req.user_id = user;
    if (api_get(r, &held, KIND_SESSION_PUT, &req, &a))
        reply_session(r, 201, &id, a.msg);
    held_free(&held);
}

void
route_session_create(struct request *r)
{
    static const char *const keys[] = { "session_id", "user_id", NULL };
    json_t *body = NULL;

    if (r->body.n > 0 && !(body = request_json(r, keys)))
        return;
    create(r, body);
    json_decref(body);
}

bool
api_path_session(struct request *r, struct uuid *id, uint8_t hash[32])
{
    if (!uuid_parse(r->arg, id) || uuid_version(id) != 4) {
        reply_invalid(r, "/session_id", "must be a UUID of version 4");
        return false;
    }
    session_digest(id, hash);
    return true;
}

void
route_session_get(struct request *r)
{
    struct session_req req = { 0 };
    struct held held = { 0 };
    struct uuid id;
    uint8_t hash[32];
    struct outcome a;

    if (!api_path_session(r, &id, hash))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_SESSION_GET, &req, &a))
        reply_session(r, 200, &id, a.msg);
    held_free(&held);
}

/* The cache goes first, too: a hit in between would be a turn that was asked after the erasure. */
void
route_session_delete(struct request *r)
{
    struct session_req req = { .at_ms = clock_wall_ms() };
    struct held held = { 0 };
    struct uuid id;
    uint8_t hash[32];
    struct outcome a;
    bool gone;

    if (!api_path_session(r, &id, hash))
        return;
    req.session = (struct str){ (const char *)hash, 32 };
    /* the queue holds turns of stored sessions, and hits, which the session's cache entries tell of */
    req.quiet = cache_erase_session(r, hash);
    gone = api_get(r, &held, KIND_SESSION_DELETE, &req, &a);
    cache_erase_session(r, hash);
    if (gone)
        reply_empty(r, 204);
    held_free(&held);
}

/* ---- all of a user */

/* A key of a server: one that stands in a page must not erase other people's sessions. */
static bool
may_erase_users(struct request *r)
{
    if (!r->who.key || r->who.key->origins.n == 0)
        return true;
    reply_problem(r, ERR_FORBIDDEN, "a key that is bound to origins may only chat");
    return false;
}

void
route_user_delete(struct request *r)
{
    struct user_delete_req req = { .user_id = r->arg, .at_ms = clock_wall_ms() };
    const struct user_delete_rep *rep;
    struct outcome a;
    size_t n = 0;
    bool more = true;

    if (!may_erase_users(r) || !api_whole_tenant(r))
        return;
    if (r->arg.n > 256 || !utf8_valid(r->arg)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    while (more) {
        struct held held = { 0 };

        if (!api_get(r, &held, KIND_USER_DELETE, &req, &a)) {
            held_free(&held);
            return; /* erased sessions stay erased; the next attempt goes on */
        }
        rep = a.msg;
        for (size_t i = 0; i < rep->sessions.n; i++)
            if (rep->sessions.v[i].session.n == 32)
                cache_erase_session(r, (const uint8_t *)rep->sessions.v[i].session.p);
        n += rep->sessions.n;
        more = rep->has_more;
        held_free(&held);
    }
    if (n > 0)
        reply_empty(r, 204);
    else
        reply_problem(r, ERR_NOT_FOUND, NULL);
}
