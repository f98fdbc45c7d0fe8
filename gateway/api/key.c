/* /keys: make, list, change, rotate, revoke. A key is "fn_" and 256 random bits; the store knows only its SHA-256, which is also its
 * id. An admin of tenant `default` may name another tenant; every other admin has only their own. A key makes only what it
 * has itself (bounded): what is left out is as its own, what is more is refused. A key that is restricted to collections
 * sees and revokes only keys that are restricted to some of the same. */
#include <stddef.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/random.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/edge/origin.h"
#include "gateway/gateway.h"
#include "gateway/watch/keyring.h"

#define REACH_MS 500 /* until a new key counts here */
#define TOKENS_MOST 1000000000000.0
#define DOLLARS_MOST 1000000.0
#define NANO 1e9 /* billionths of a dollar */

#define LIMITS "per_minute", "per_hour", "per_day", "tokens_per_day", "dollars_per_day"
static const char *const keys[] = { "label",   "tenant", "scopes",       "collections",
                                    "origins", LIMITS,   "expires_days", NULL };
static const char *const patch_keys[] = { "label", LIMITS, NULL };
/* The limits of a key; 0: not limited so, or as the deployment's default. */
static const struct limit {
    const char *name;
    size_t at; /* in struct api_key */
    double most;
    bool dollars;
} limits[] = {
    { "per_minute", offsetof(struct api_key, per_minute), 1000000, false },
    { "per_hour", offsetof(struct api_key, per_hour), 100000000, false },
    { "per_day", offsetof(struct api_key, per_day), 1000000000, false },
    { "tokens_per_day", offsetof(struct api_key, tokens_per_day), TOKENS_MOST, false },
    { "dollars_per_day", offsetof(struct api_key, nanos_per_day), DOLLARS_MOST, true },
};
#define N_LIMITS (sizeof limits / sizeof *limits)
static const struct text_rule rule_label = { "label", 1, 100, true, true };
static const struct text_rule rule_label_kept = { "label", 1, 100, false, true };
static const struct text_rule rule_tenant = { "tenant", 1, 64, false, false };

static int64_t *
limit_of(struct api_key *k, const struct limit *l)
{
    return (int64_t *)(void *)((char *)k + l->at);
}

static bool
parse_limits(const json_t *o, struct api_key *k, struct fault *f)
{
    for (size_t i = 0; i < N_LIMITS; i++) {
        const struct limit *l = &limits[i];
        int64_t *at = limit_of(k, l);
        double dollars = (double)*at / NANO;

        if (json_is_null(json_object_get(o, l->name)))
            *at = 0;
        else if (!l->dollars && !field_int(o, l->name, 1, (int64_t)l->most, at, f))
            return false;
        else if (l->dollars && !field_num(o, l->name, 0.000001, l->most, &dollars, f))
            return false;
        else if (l->dollars)
            *at = (int64_t)(dollars * NANO + 0.5);
    }
    return true;
}

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
        reply_problem(r, ERR_FORBIDDEN,
                      "only an admin of the default tenant, not restricted to collections, may name another");
        return false;
    }
    return true;
}

/* The tenant of a key that is named by its id; absent: any, for an admin of the default tenant who names none. false: answered. */
static bool
tenant_of_id(struct request *r, struct str *out)
{
    struct str given = request_param(r, "tenant");

    if (!choose_tenant(r, given, out))
        return false;
    if (!given.p && str_is(*out, "default") && !api_restricted(r))
        *out = STR_NONE;
    return true;
}

static bool
origin_ok(struct str s)
{
    size_t from = str_starts(s, "https://") ? 8 : str_starts(s, "http://") ? 7 : 0;

    for (size_t i = from; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] == '/' || s.p[i] == '*' || s.p[i] == '@' || s.p[i] == ',' ||
            s.p[i] >= 0x7f)
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
        !field_strs(o, "origins", 200, r->arena, &k->origins, f) || !parse_limits(o, k, f) ||
        !field_int(o, "expires_days", 1, 3650, &days, f))
        return false;
    if (k->scopes.n == 0 || k->scopes.n > 3) {
        fault_set(f, "scopes", "must list one to three of chat, ingest, admin");
        return false;
    }
    k->created_ms = clock_wall_ms();
    k->expires_ms = days > 0 ? k->created_ms + days * CLOCK_DAY_MS : 0;
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
more(struct request *r, const char *limit)
{
    char pointer[64];

    snprintf(pointer, sizeof pointer, "/%s", limit);
    return beyond(r, pointer, "is more than this key's");
}

static bool
scopes_held(const struct request *r, const struct strs *scopes)
{
    for (size_t i = 0; i < scopes->n; i++) {
        unsigned bit = str_is(scopes->v[i], "chat")     ? SCOPE_CHAT
                       : str_is(scopes->v[i], "ingest") ? SCOPE_INGEST
                                                        : SCOPE_ADMIN;

        if ((r->who.scopes & bit) == 0)
            return false;
    }
    return true;
}

/* A limit that is left out is as its own; one that is more is refused. Its own 0: the deployment's default, which a new key that names nothing
 * has as well. */
static bool
limits_held(struct request *r, struct api_key *k)
{
    struct api_key own = *r->who.key;
    int64_t usual[N_LIMITS] = { 0, 0, INT64_MAX, INT64_MAX, INT64_MAX };

    api_usual_rates(r, &usual[0], &usual[1]);
    for (size_t i = 0; i < N_LIMITS; i++) {
        int64_t has = *limit_of(&own, &limits[i]), *asked = limit_of(k, &limits[i]);

        if (has > 0 && *asked == 0)
            *asked = has;
        if (*asked > (has > 0 ? has : usual[i]))
            return more(r, limits[i].name);
    }
    return true;
}

static bool
bounded(struct request *r, struct api_key *k)
{
    const struct api_key *own = r->who.key;

    if (!scopes_held(r, &k->scopes))
        return beyond(r, "/scopes", "names a scope that this key has not");
    if (!own || api_is_root(r))
        return true;
    if (api_restricted(r) && k->collections.n == 0)
        k->collections = own->collections;
    for (size_t i = 0; i < k->collections.n; i++)
        if (!collection_allowed(r, k->collections.v[i]))
            return beyond(r, "/collections", "names a collection that is not this key's");
    if (!limits_held(r, k))
        return false;
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

/* The secret, and its SHA-256. */
static struct str
mint(char secret[64], uint8_t hash[32])
{
    struct str s;

    make_secret(secret);
    s = str_of(secret);
    sha256(&s, 1, hash);
    return s;
}

static void
create(struct request *r, struct api_key *k)
{
    char secret[64], id[65];
    uint8_t hash[32];
    struct held held = { 0 };
    struct str s;
    struct outcome a;
    struct buf b = BUF_MAX(65536);

    s = mint(secret, hash);
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

static void
key_item(struct buf *b, const void *item, void *arg)
{
    (void)arg;
    render_listed_key(b, item);
}

void
route_key_list(struct request *r)
{
    struct key_list_req req = { 0 };
    const struct key_list_rep *rep;
    struct held held = { 0 };
    struct paging p;
    struct outcome a;

    if (!api_paging(r, API_LIST_LIMIT, &p) || !choose_tenant(r, request_param(r, "tenant"), &req.tenant))
        return;
    PAGE_INTO(&req, &p);
    if (api_restricted(r))
        req.collections = r->who.key->collections;
    if (api_get(r, &held, KIND_KEY_LIST, &req, &a)) {
        rep = a.msg;
        api_reply_page(r, &p, ITEMS(rep, key_item), rep->has_more, rep->next_cursor);
    }
    held_free(&held);
}

/* ---- rotate: who gets the successor's secret may do what the key may, so it must be theirs to make */

struct rotation {
    struct key_rotate_req req;
    int64_t overlap_h, days;
    char secret[64];
    uint8_t next[32];
};

static bool
parse_rotation(struct request *r, struct rotation *n)
{
    static const char *const fields[] = { "overlap_hours", "expires_days", NULL };
    json_t *o = request_json(r, fields);
    struct fault f;
    bool ok;

    if (!o)
        return false;
    n->overlap_h = 24;
    ok = field_int(o, "overlap_hours", 0, 720, &n->overlap_h, &f) &&
         field_int(o, "expires_days", 1, 3650, &n->days, &f);
    if (!ok)
        reply_fault(r, &f);
    json_decref(o);
    return ok;
}

/* Is it there for this caller, as it is for revoking? */
static bool
key_seen(const struct request *r, const struct key_list_rep *rep, struct str tenant)
{
    const struct api_key *k = rep->items.n == 1 ? &rep->items.v[0] : NULL;

    if (!k || (tenant.p && !str_eq(k->tenant, tenant)) ||
        (k->expires_ms != 0 && k->expires_ms <= clock_wall_ms()) ||
        (api_restricted(r) && k->collections.n == 0))
        return false;
    for (size_t i = 0; api_restricted(r) && i < k->collections.n; i++)
        if (!collection_allowed(r, k->collections.v[i]))
            return false;
    return true;
}

/* The successor's end, or false: it would have more than the caller (answered). */
static bool
succession(struct request *r, const struct api_key *k, struct rotation *n)
{
    int64_t now = clock_wall_ms();
    struct api_key next = *k;

    next.expires_ms = n->days > 0          ? now + n->days * CLOCK_DAY_MS
                      : k->expires_ms == 0 ? 0
                                           : now + (k->expires_ms - k->created_ms);
    if (!bounded(r, &next))
        return false;
    for (size_t i = 0; i < N_LIMITS; i++) {
        struct api_key old = *k;

        if (*limit_of(&next, &limits[i]) != *limit_of(&old, &limits[i]))
            return more(r, limits[i].name);
    }
    n->req.tenant = k->tenant;
    n->req.expires_ms = next.expires_ms;
    n->req.old_ends_ms = now + n->overlap_h * 3600000;
    n->req.next = (struct str){ (const char *)n->next, 32 };
    mint(n->secret, n->next);
    return true;
}

static void
reply_rotated(struct request *r, const struct rotation *n, const struct key_list_rep *rep)
{
    const struct api_key *next = &rep->items.v[0], *old = &rep->items.v[1];
    struct buf b = BUF_MAX(65536);
    char id[65];

    keyring_reach(r->gw->keys, next->seq > old->seq ? next->seq : old->seq, REACH_MS);
    buf_c(&b, '{');
    buf_key_str(&b, "id", str_of(hex_text(n->next, 32, id)));
    buf_key_str(&b, "key", str_of(n->secret));
    render_api_key_members(&b, next);
    buf_key_str(&b, "replaces", str_of(hex_text(old->hash.p, 32, id)));
    render_key_time(&b, "replaces_until", old->expires_ms);
    buf_c(&b, '}');
    api_reply(r, 201, &b);
}

void
route_key_rotate(struct request *r)
{
    struct rotation n = { 0 };
    struct key_get_req get = { 0 };
    const struct key_list_rep *rep;
    struct held held = { 0 };
    struct str tenant;
    uint8_t hash[32];
    struct outcome a;

    if (!parse_rotation(r, &n) || !tenant_of_id(r, &tenant))
        return;
    if (!hex_parse(r->arg, hash, 32)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    n.req.hash = get.hash = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_KEY_GET, &get, &a)) {
        if (!key_seen(r, a.msg, tenant))
            reply_problem(r, ERR_NOT_FOUND, NULL);
        else if (succession(r, ((const struct key_list_rep *)a.msg)->items.v, &n) &&
                 api_get(r, &held, KIND_KEY_ROTATE, &n.req, &a)) {
            rep = a.msg;
            if (rep->items.n == 2)
                reply_rotated(r, &n, rep);
            else
                reply_problem(r, ERR_INTERNAL, NULL);
        }
    }
    held_free(&held);
}

/* ---- change */

static void
reply_changed(struct request *r, struct held *held, struct api_key *k)
{
    struct key_limits_req req = { .hash = k->hash,
                                  .tenant = k->tenant,
                                  .seq = k->seq,
                                  .label = k->label,
                                  .per_minute = k->per_minute,
                                  .per_hour = k->per_hour,
                                  .per_day = k->per_day,
                                  .tokens_per_day = k->tokens_per_day,
                                  .nanos_per_day = k->nanos_per_day };
    const struct api_key *now;
    struct outcome a;
    struct buf b = BUF_MAX(65536);

    if (!api_get(r, held, KIND_KEY_LIMITS, &req, &a))
        return;
    now = ((const struct key_list_rep *)a.msg)->items.v;
    keyring_reach(r->gw->keys, now->seq, REACH_MS);
    render_api_key(&b, now);
    api_reply(r, 200, &b);
}

/* Null takes a limit away; what is left out stays. */
static void
change(struct request *r, const json_t *body, struct held *held, const struct key_list_rep *rep)
{
    struct api_key k = rep->items.v[0];
    struct fault f;

    if (!field_text(body, &rule_label_kept, &k.label, &f) || !parse_limits(body, &k, &f))
        reply_fault(r, &f);
    else if (bounded(r, &k))
        reply_changed(r, held, &k);
}

void
route_key_patch(struct request *r)
{
    json_t *body = request_json(r, patch_keys);
    struct key_get_req get = { 0 };
    struct held held = { 0 };
    struct str tenant;
    uint8_t hash[32];
    struct outcome a;

    if (body && tenant_of_id(r, &tenant)) {
        get.hash = (struct str){ (const char *)hash, 32 };
        if (!hex_parse(r->arg, hash, 32))
            reply_problem(r, ERR_NOT_FOUND, NULL);
        else if (api_get(r, &held, KIND_KEY_GET, &get, &a) && !key_seen(r, a.msg, tenant))
            reply_problem(r, ERR_NOT_FOUND, NULL);
        else if (!r->conn->sent)
            change(r, body, &held, a.msg);
    }
    held_free(&held);
    json_decref(body);
}

void
route_key_delete(struct request *r)
{
    struct key_ref req = { 0 };
    uint8_t hash[32];
    struct held held = { 0 };
    struct outcome a;

    if (!hex_parse(r->arg, hash, 32)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    if (!tenant_of_id(r, &req.tenant))
        return;
    req.hash = (struct str){ (const char *)hash, 32 };
    if (api_restricted(r))
        req.collections = r->who.key->collections;
    if (api_get(r, &held, KIND_KEY_DELETE, &req, &a)) {
        keyring_revoked(r->gw->keys, hash, ((const struct ack *)a.msg)->seq);
        reply_empty(r, 204);
    }
    held_free(&held);
}
