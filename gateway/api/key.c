/* /keys: make, list, revoke. A key is "fn_" and 256 random bits; the store knows only its SHA-256, which is also its
 * id. An admin of tenant `default` may name another tenant; every other admin has only their own. A key makes only what it
 * has itself (bounded): what is left out is as its own, what is more is refused. A key that is restricted to collections
 * sees and revokes only keys that are restricted to some of the same. */
#include <stdio.h>

#include "common/clock.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/edge/origin.h"
#include "gateway/gateway.h"
#include "gateway/watch/keyring.h"

#define DAY_MS 86400000LL
#define REACH_MS 500             /* until a new key counts here */

static const char *const keys[] = { "label",      "tenant",   "scopes",       "collections", "origins",
                                    "per_minute", "per_hour", "expires_days", NULL };
static const struct text_rule rule_label = { "label", 1, 100, true, true };
static const struct text_rule rule_tenant = { "tenant", 1, 64, false, false };

/* The tenant this admin works on; given may be absent. false: answered. */
static bool
choose_tenant(struct request *r, struct str given, struct str *out)
{
    struct str own = str_of(r->who.tenant);

    *out = given.p ? given : own;
    if (!name_ok(*out)) {
        reply_invalid(r, "/tenant", "must match [A-Za-z0-9._-]{1,64}");
        return false;
    }
    if (!str_eq(*out, own) && (!str_is(own, "default") || api_restricted(r))) {
        reply_problem(r, ERR_FORBIDDEN, "only an admin of the default tenant, not restricted to collections, may name another");
        return false;
    }
    return true;
}

static bool
origin_ok(struct str s)
{
    size_t from = str_starts(s, "https://") ? 8 : str_starts(s, "http://") ? 7 : 0;

    for (size_t i = from; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] == '/' || s.p[i] == '*' || s.p[i] == '@' || s.p[i] == ',' || s.p[i] >= 0x7f)
            return false;
    return from > 0 && s.n > from;
}

static bool
lists_ok(const struct api_key *k, struct fault *f)
{
    bool chat_only = k->scopes.n == 1 && str_is(k->scopes.v[0], "chat");

    for (size_t i = 0; i < k->scopes.n; i++) {
        struct str s = k->scopes.v[i];

        if (!str_is(s, "chat") && !str_is(s, "ingest") && !str_is(s, "admin")) {
            fault_set(f, "scopes", "are chat, ingest, admin");
            return false;
        }
    }
    for (size_t i = 0; i < k->collections.n; i++) {
        if (!name_ok(k->collections.v[i])) {
            fault_set(f, "collections", "must match [A-Za-z0-9._-]{1,64}");
            return false;
        }
    }
    for (size_t i = 0; i < k->origins.n; i++) {
        if (!origin_ok(k->origins.v[i])) {
            fault_set(f, "origins", "must be web origins such as https://docs.example.org");
            return false;
        }
    }
    if (k->origins.n > 0 && !chat_only)
        fault_set(f, "origins", "make a publishable key, which can only have the scope chat");
    return k->origins.n == 0 || chat_only;
}

static bool
parse(struct request *r, const json_t *o, struct api_key *k, struct str *tenant, struct fault *f)
{
    int64_t days = 0;

    if (!field_text(o, &rule_label, &k->label, f) || !field_text(o, &rule_tenant, tenant, f) ||
        !field_strs(o, "scopes", 16, r->arena, &k->scopes, f) ||
        !field_strs(o, "collections", 64, r->arena, &k->collections, f) ||
        !field_strs(o, "origins", 200, r->arena, &k->origins, f) ||
        !field_int(o, "per_minute", 1, 1000000, &k->per_minute, f) ||
        !field_int(o, "per_hour", 1, 100000000, &k->per_hour, f) || !field_int(o, "expires_days", 1, 3650, &days, f))
        return false;
    if (k->scopes.n == 0 || k->scopes.n > 3) {
        fault_set(f, "scopes", "must list one to three of chat, ingest, admin");
        return false;
    }
    k->created_ms = clock_wall_ms();
    k->expires_ms = days > 0 ? k->created_ms + days * DAY_MS : 0;
    return lists_ok(k, f);
}

/* ---- nobody gives what they have not */

static bool
beyond(struct request *r, const char *pointer, const char *detail)
{
    char text[256];

    snprintf(text, sizeof text, "a key makes only what it may do itself: %s %s", pointer, detail);
    reply_problem(r, ERR_FORBIDDEN, text);
    return false;
}

static bool
scopes_held(const struct request *r, const struct strs *scopes)
{
    for (size_t i = 0; i < scopes->n; i++) {
        unsigned bit = str_is(scopes->v[i], "chat") ? SCOPE_CHAT : str_is(scopes->v[i], "ingest") ? SCOPE_INGEST : SCOPE_ADMIN;

        if ((r->who.scopes & bit) == 0)
            return false;
    }
    return true;
}

/* own 0: the deployment's default, which a new key that names nothing has as well. */
static bool
rate_held(int64_t own, int64_t usual, int64_t *asked)
{
    if (own > 0 && *asked == 0)
        *asked = own;
    return *asked <= (own > 0 ? own : usual);
}

static bool
bounded(struct request *r, struct api_key *k)
{
    const struct api_key *own = r->who.key;
    int64_t minute, hour;

    if (!scopes_held(r, &k->scopes))
        return beyond(r, "/scopes", "names a scope that this key has not");
    if (own == NULL || api_is_root(r))
        return true;
    api_usual_rates(r, &minute, &hour);
    if (api_restricted(r) && k->collections.n == 0)
        k->collections = own->collections;
    for (size_t i = 0; i < k->collections.n; i++)
        if (!collection_allowed(r, k->collections.v[i]))
            return beyond(r, "/collections", "names a collection that is not this key's");
    if (!rate_held(own->per_minute, minute, &k->per_minute))
        return beyond(r, "/per_minute", "is more than this key's");
    if (!rate_held(own->per_hour, hour, &k->per_hour))
        return beyond(r, "/per_hour", "is more than this key's");
    if (own->expires_ms != 0 && (k->expires_ms == 0 || k->expires_ms > own->expires_ms))
        k->expires_ms = own->expires_ms;
    return true;
}

/* "fn_" and 43 characters of base64url. */
static void
make_secret(char out[64])
{
    uint8_t bits[32];
    struct buf b = BUF_MAX(64);

    random_bytes(bits, sizeof bits);
    base64_encode((struct str){ (const char *)bits, sizeof bits }, &b);
    for (size_t i = 0; i < b.n; i++)
        b.p[i] = b.p[i] == '+' ? '-' : b.p[i] == '/' ? '_' : b.p[i];
    snprintf(out, 64, "fn_%.43s", b.p);
    buf_free(&b);
}

static void
create(struct request *r, struct api_key *k)
{
    char secret[64], id[65];
    uint8_t hash[32];
    struct held held = { 0 };
    struct str s;
    struct answer a;
    struct buf b = BUF_MAX(65536);

    make_secret(secret);
    s = str_of(secret);
    sha256(&s, 1, hash);
    k->hash = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_KEY_PUT, k, &a)) {
        keyring_reach(r->gw->keys, ((const struct ack *)a.msg)->seq, REACH_MS);
        r->audited = arena_str(r->arena, str_of(hex_text(hash, 32, id)));
        buf_c(&b, '{');
        buf_key_str(&b, "id", str_of(hex_text(hash, 32, id)));
        buf_key_str(&b, "key", s);
        render_api_key_members(&b, k);
        buf_c(&b, '}');
        api_reply(r, 201, &b);
    }
    held_free(&held);
}

void
route_key_create(struct request *r)
{
    struct api_key k = { 0 };
    struct str tenant = STR_NONE;
    json_t *body = request_json(r, keys);
    struct fault f;

    if (!body)
        return;
    if (!parse(r, body, &k, &tenant, &f))
        reply_fault(r, &f);
    else if (choose_tenant(r, tenant, &k.tenant) && bounded(r, &k))
        create(r, &k);
    json_decref(body);
}

void
route_key_list(struct request *r)
{
    struct key_list_req req = { 0 };
    const struct key_list_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct answer a;
    struct buf b = BUF_MAX(4194304);

    if (!api_paging(r, API_LIST_LIMIT, &p) || !choose_tenant(r, request_param(r, "tenant"), &req.tenant))
        return;
    req.page = p.page;
    req.limit = p.limit;
    req.cursor = p.cursor;
    if (api_restricted(r))
        req.collections = r->who.key->collections;
    if (api_get(r, &held, KIND_KEY_LIST, &req, &a)) {
        rep = a.msg;
        buf_z(&b, "{\"items\":[");
        for (size_t i = 0; i < rep->items.n; i++) {
            if (i > 0)
                buf_c(&b, ',');
            render_api_key(&b, &rep->items.v[i]);
        }
        buf_c(&b, ']');
        render_paging(&b, &p, rep->has_more, rep->next_cursor);
        buf_c(&b, '}');
        api_reply(r, 200, &b);
    }
    held_free(&held);
}

void
route_key_delete(struct request *r)
{
    struct key_ref req = { 0 };
    uint8_t hash[32];
    struct held held = { 0 };
    struct str tenant = request_param(r, "tenant");
    struct answer a;

    if (!hex_parse(r->arg, hash, 32)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    if (!choose_tenant(r, tenant, &req.tenant))
        return;
    req.hash = (struct str){ (const char *)hash, 32 };
    if (api_restricted(r))
        req.collections = r->who.key->collections;
    else if (!tenant.p && str_is(req.tenant, "default"))
        req.tenant = STR_NONE; /* an admin of the default tenant may revoke any key */
    if (api_get(r, &held, KIND_KEY_DELETE, &req, &a)) {
        keyring_revoked(r->gw->keys, hash, ((const struct ack *)a.msg)->seq);
        reply_empty(r, 204);
    }
    held_free(&held);
}
