/* Callers and their rights (docs/api.md, "Keys and who may do what"). A key is compared by its SHA-256, in
 * constant time (keytable.c); missing, wrong, cut, revoked and expired keys get the same answer. Without a
 * key: AUTH=off on loopback gives everything, anonymous chat gives the chat routes to browsers of allowed
 * origins. More than 10 failures a minute from an address: 429. */
#include <strings.h>

#include "common/clock.h"
#include "common/digest.h"
#include "gateway/admit/auth.h"
#include "gateway/gateway.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/limit.h"
#include "gateway/watch/keyring.h"

/* The key in Authorization: Bearer; absent without the header; an empty slice when the header is malformed. */
static struct str
bearer(const struct request *r)
{
    struct str h = request_header(r, "Authorization");

    if (!h.p)
        return STR_NONE;
    if (h.n <= 7 || strncasecmp(h.p, "Bearer ", 7) != 0)
        return STR("");
    h.p += 7;
    h.n -= 7;
    while (h.n > 0 && h.p[0] == ' ') {
        h.p++;
        h.n--;
    }
    return h;
}

static bool
key_in_url(struct request *r)
{
    static const char *const names[] = {
        "api_key", "apikey", "api-key", "key", "access_token", "token", NULL
    };

    for (int i = 0; names[i] != NULL; i++)
        if (request_param(r, names[i]).p)
            return true;
    return false;
}

static unsigned
scopes_of(const struct api_key *k)
{
    unsigned bits = 0;

    for (size_t i = 0; i < k->scopes.n; i++)
        bits |= str_is(k->scopes.v[i], "chat")     ? SCOPE_CHAT
                : str_is(k->scopes.v[i], "ingest") ? SCOPE_INGEST
                : str_is(k->scopes.v[i], "admin")  ? SCOPE_ADMIN
                                                   : 0u;
    return k->origins.n > 0 ? bits & SCOPE_CHAT : bits;
}

/* Failures come out of a bucket of their own for each address; when it is empty the answer is 429, and the address is charged. */
static bool
fail(struct request *r, const char *detail)
{
    struct policy p = { .name = "auth", .q = 10, .w = 60 };
    uint64_t id = limiter_id(r->gw->limiter, str_of(r->peer), p.name);

    r->judged = true; /* here, and not by the toll */
    stat_inc(&gateway_stats, GW_AUTH_FAILURES);
    if (limiter_take(r->gw->limiter, id, &p, 1, true)) {
        reply_problem(r, ERR_UNAUTHORIZED, detail);
    } else if (admit_address(r, true)) {
        stat_add_at(&gateway_stats, GW_LIMITED, POLICY_AUTH, 0, 1);
        request_retry_after(r, p.retry_ms);
        reply_problem(r, ERR_LIMITED, "too many failed keys from this address");
    }
    return false;
}

static bool
deny(struct request *r, const char *detail)
{
    reply_problem(r, ERR_FORBIDDEN, detail);
    return false;
}

static void
be(struct request *r, const char *tenant, unsigned scopes, bool anonymous)
{
    r->who = (struct principal){ .scopes = scopes, .anonymous = anonymous };
    for (size_t i = 0; tenant[i] && i < sizeof r->who.tenant - 1; i++)
        r->who.tenant[i] = tenant[i];
}

/* Is the page that asks ours or an allowed one? No Origin: not a page of another site. */
static bool
origin_fine(const struct request *r)
{
    struct str origin = request_header(r, "Origin");

    return !origin.p || origins_have(&r->gw->allowed, origin.p) ||
           origin_same(origin.p, request_header(r, "Host").p, r->gw->opt->public_url);
}

/* Does nobody's name server decide who reaches us by that name (stranger.h)? */
static bool
host_fine(const struct gateway *gw, const char *host)
{
    return host_ours(host, gw->opt->public_url, &gw->strangers.hosts);
}

bool
auth_origin_known(struct gateway *gw, const struct head *h, const char *origin)
{
    const char *host = head_get(h, "Host");

    if (!host || !host_fine(gw, host))
        host = "";
    return origins_have(&gw->allowed, origin) || origin_same(origin, host, gw->opt->public_url) ||
           keyring_has_origin(gw->keys, str_of(origin));
}

static bool
as_local(struct request *r)
{
    const char *host = request_header(r, "Host").p;

    if (!host_loopback(host) && !host_of_url(host, r->gw->opt->public_url))
        return deny(r, "this gateway answers to its own name only");
    if (!origin_fine(r))
        return deny(r, "this origin is not in ALLOWED_ORIGINS");
    be(r, "default", SCOPE_CHAT | SCOPE_INGEST | SCOPE_ADMIN, false);
    return true;
}

/* A page of a listed origin vouches for the name by which it reached us. */
static bool
reached_by_name(const struct request *r)
{
    struct str origin = request_header(r, "Origin");

    return host_fine(r->gw, request_header(r, "Host").p) ||
           (origin.p && origins_have(&r->gw->allowed, origin.p));
}

static bool
as_anonymous(struct request *r)
{
    if (r->route->who != WHO_SESSION || !r->gw->opt->anonymous_chat)
        return fail(r, NULL);
    if (!reached_by_name(r))
        return deny(
            r,
            "this gateway is not known by the name in Host: set PUBLIC_URL to how people reach it, or list the name "
            "in ALLOWED_HOSTS");
    if (!origin_fine(r))
        return deny(r, "this origin is not in ALLOWED_ORIGINS");
    be(r, "default", SCOPE_CHAT, true);
    return true;
}

static bool
origin_listed(const struct request *r, const struct strs *origins)
{
    struct str origin = request_header(r, "Origin");

    for (size_t i = 0; i < origins->n; i++)
        if (origin.p && str_eq(origin, origins->v[i]))
            return true;
    return false;
}

/* The user of a key may be none who can list keys. */
static void
tell_end(struct request *r, const struct api_key *k)
{
    char text[32];

    if (k->expires_ms != 0)
        request_header_add(r, "X-Key-Expires-At", clock_rfc3339(k->expires_ms, text));
}

static bool
as_key(struct request *r, const struct api_key *k, const uint8_t hash[32])
{
    char *tenant = arena_dup(r->arena, k->tenant);

    if (k->origins.n > 0 && !origin_listed(r, &k->origins))
        return deny(r, "this key is bound to other origins");
    be(r, tenant ? tenant : "", scopes_of(k), false);
    memcpy(r->who.key_hash, hash, 32);
    memcpy(r->who.limits, k->limits.n == 32 ? (const void *)k->limits.p : hash, 32);
    r->who.key = k;
    tell_end(r, k);
    keyring_used(r->gw->keys, hash);
    if (!limiter_key_enter(r->gw->limiter, r->who.limits, r->gw->opt->max_per_key)) {
        stat_add_at(&gateway_stats, GW_LIMITED, POLICY_CONCURRENCY, 0, 1);
        reply_problem(r, ERR_LIMITED, "too many requests of this key are running");
        return false;
    }
    r->conn->counted_key = true;
    return true;
}

static const struct api_key *
admin_key(struct request *r, const uint8_t hash[32])
{
    static struct str scopes[] = { { "chat", 4 }, { "ingest", 6 }, { "admin", 5 } };
    struct api_key *k;

    if (!bytes_equal(hash, r->gw->admin_hash, 32) || !r->gw->has_admin)
        return NULL;
    k = arena_alloc(r->arena, sizeof *k);
    if (!k)
        return NULL;
    k->tenant = STR("default");
    k->label = STR("ADMIN_KEY");
    k->scopes = (struct strs){ scopes, 3 };
    k->hash = arena_str(r->arena, (struct str){ (const char *)hash, 32 });
    return k;
}

static bool
scope_check(struct request *r)
{
    static const unsigned needed[] = { [WHO_PUBLIC] = 0,
                                       [WHO_SESSION] = SCOPE_CHAT,
                                       [WHO_CHAT] = SCOPE_CHAT,
                                       [WHO_INGEST] = SCOPE_INGEST,
                                       [WHO_ADMIN] = SCOPE_ADMIN };
    unsigned need = needed[r->route->who];

    if ((r->who.scopes & need) == need)
        return true;
    return deny(r, NULL);
}

/* AUTH=off: a request that came through a proxy may be anybody's. All of them are refused, so that
 * nobody overlooks it. */
static bool
through_proxy(struct request *r)
{
    const char *sign = r->gw->opt->auth ? NULL : proxy_sign(&r->conn->head);

    if (!sign)
        return false;
    deny(r, arena_printf(
                r->arena,
                "AUTH=off serves programs of this machine only, and this request came through a proxy (%s): "
                "set AUTH=on and ADMIN_KEY",
                sign));
    return true;
}

bool
auth_check(struct request *r)
{
    struct str key = bearer(r);
    enum key_known known = KEY_FOUND;
    const struct api_key *k;
    uint8_t hash[32];

    if (through_proxy(r))
        return false;
    if (r->route->who == WHO_PUBLIC) {
        be(r, "default", 0, true);
        return true;
    }
    if (key_in_url(r))
        return fail(r, "keys do not belong into a URL: send Authorization: Bearer");
    if (!key.p)
        return r->gw->opt->auth ? as_anonymous(r) : as_local(r);
    if (key.n == 0)
        return r->gw->opt->auth ? fail(r, NULL) : as_local(r);
    sha256(&key, 1, hash);
    k = admin_key(r, hash);
    if (!k)
        known = keyring_find(r->gw->keys, hash, r->arena, &k);
    if (known == KEY_FOUND && (k->expires_ms == 0 || k->expires_ms > clock_wall_ms()))
        return as_key(r, k, hash) && scope_check(r);
    if (!r->gw->opt->auth)
        return as_local(r);
    if (known == KEY_UNSURE) {
        request_retry_after(r, 1000);
        reply_problem(r, ERR_STORE_DOWN, "this key cannot be checked now");
        return false;
    }
    return fail(r, NULL);
}

bool
collection_allowed(const struct request *r, struct str name)
{
    const struct api_key *k = r->who.key;

    if (r->who.anonymous)
        return names_have(&r->gw->strangers.collections, name);
    if (!k || k->collections.n == 0)
        return true;
    for (size_t i = 0; i < k->collections.n; i++)
        if (str_eq(k->collections.v[i], name))
            return true;
    return false;
}

struct str
api_first_collection(const struct request *r)
{
    const struct names *open = &r->gw->strangers.collections;
    const struct api_key *k = r->who.key;

    if (r->who.anonymous)
        return open->n > 0 ? str_of(open->v[0]) : STR_NONE;
    return k && k->collections.n > 0 ? k->collections.v[0] : STR_NONE;
}

bool
api_is_root(const struct request *r)
{
    return !r->who.key ? (r->who.scopes & SCOPE_ADMIN) != 0
                       : r->gw->has_admin && bytes_equal(r->who.key_hash, r->gw->admin_hash, 32);
}
