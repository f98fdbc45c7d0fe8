/* Limits and the query cache in one Redis round trip, by one script, so that two gateways can never both let the last
 * request through, and a hit costs no second trip (a trip is 27 µs, a second command in it almost nothing).
 *
 *   policies → GCRA each → all allow? charge all : charge none, say which refused
 *   cache key → value's SHA-256 and epoch as expected? hit (and the turn appended to fn:turns) : miss, deleted when wrong
 *
 * Every value in Redis is data from outside: wrong type, length or version is a miss, deleted and counted. Redis away:
 * the limiter of this process decides at the same limits, and there is no hit. While Redis is there it runs beside it as
 * a floor at twice the limit, for a Redis that forgets. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit.h"

const char *const cache_labels[] = { "hit", "miss", "stale", "collision", "bad", "bypass", "stored", "store_failed", NULL };
const char *const policy_labels[] = { "session", "key", "hour", "address", "auth", "concurrency", NULL };

/* KEYS: a bucket for each policy, then the cache key and the stream. ARGV: number of policies, count and period of each,
 * then SHA-256, epoch (8 bytes), turn ("" none), the stream's maximum.
 * Reply: {refused policy or 0, writes that failed, {remaining, retry µs, reset µs} × n, cache, appended, value} with
 * cache: 0 not asked, 1 hit, 2 miss, 3 stale, 4 collision, 5 bad. A value is "FA02", SHA-256, epoch, the SHA-1 of
 * the rest, rest (proto/answer.h). */
static const char script_source[] =
    "local n = tonumber(ARGV[1])\n"
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000000 + t[2]\n"
    "local out, nexts, refused, failed = {0, 0}, {}, 0, 0\n"
    "for i = 1, n do\n"
    "  local count, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]) * 1000000\n"
    "  local step = math.max(math.floor(period / count), 1)\n"
    "  local tau = step * count\n"
    "  local got = redis.pcall('GET', KEYS[i])\n"
    "  if type(got) == 'table' then redis.call('DEL', KEYS[i]) got = false end\n"
    "  local tat = tonumber(got or now) or now\n"
    "  if tat ~= tat or tat < now then tat = now end\n"
    "  if tat > now + tau then tat = now + tau end\n"
    "  local next = tat + step\n"
    "  nexts[i] = next\n"
    "  local wait = next - tau - now\n"
    "  if wait > 0 and refused == 0 then refused = i end\n"
    "  out[3 * i] = math.floor((now + tau - tat) / step)\n"
    "  out[3 * i + 1] = math.max(wait, 0)\n"
    "  out[3 * i + 2] = tat - now\n"
    "end\n"
    "if refused == 0 then\n"
    "  for i = 1, n do\n"
    "    local r = redis.pcall('SET', KEYS[i], string.format('%.0f', nexts[i]), 'PX', math.ceil((nexts[i] - now) / 1000) + 1)\n"
    "    if r.err and r.err:find('READONLY', 1, true) then return r end\n"
    "    if r.err then failed = failed + 1 end\n"
    "    out[3 * i] = out[3 * i] - 1\n"
    "    out[3 * i + 2] = nexts[i] - now\n"
    "  end\n"
    "end\n"
    "out[1], out[2] = refused, failed\n"
    "local state, appended, value = 0, 0, ''\n"
    "if refused == 0 and KEYS[n + 1] then\n"
    "  local sha, epoch, turn, max = ARGV[2 * n + 2], ARGV[2 * n + 3], ARGV[2 * n + 4], tonumber(ARGV[2 * n + 5])\n"
    "  local len = redis.pcall('STRLEN', KEYS[n + 1])\n"
    "  if type(len) == 'table' or len > 1048576 then state = 5\n"
    "  elseif len == 0 then state = 2\n"
    "  else\n"
    "    value = redis.call('GET', KEYS[n + 1])\n"
    "    if len < 88 or value:sub(1, 4) ~= 'FA02' then state = 5\n"
    "    elseif value:sub(5, 36) ~= sha then state = 4\n"
    "    elseif value:sub(37, 44) ~= epoch then state = 3\n"
    "    elseif redis.sha1hex(value:sub(85)) ~= value:sub(45, 84) then state = 5\n"
    "    else state = 1 end\n"
    "  end\n"
    "  if state > 2 then redis.pcall('DEL', KEYS[n + 1]) end\n"
    "  if state ~= 1 then value = ''\n"
    "  elseif turn ~= '' then\n"
    "    local have = redis.pcall('XLEN', KEYS[n + 2])\n"
    "    if type(have) == 'number' and have < max then\n"
    "      local r = redis.pcall('XADD', KEYS[n + 2], '*', 'q', turn, 'a', value)\n"
    "      if type(r) == 'string' then appended = 1 end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "out[3 * n + 3], out[3 * n + 4], out[3 * n + 5] = state, appended, value\n"
    "return out\n";

static struct redis_script script;

void
admit_init(void)
{
    redis_script_init(&script, script_source);
    turns_init();
}

/* ---- which policies count for a request */

struct plan {
    struct limit_state s;
    char who[LIMIT_POLICIES][80];         /* what each policy counts: "k:<hex>", "s:<hex>", "a:<address>" */
    int label[LIMIT_POLICIES];            /* index into policy_labels */
};

static void
plan_add(struct plan *p, const char *name, int label, const char *kind, const char *who, long q, long w)
{
    struct policy *s = &p->s.p[p->s.n];

    *s = (struct policy){ .name = name, .q = q, .w = w, .remaining = q };
    snprintf(p->who[p->s.n], sizeof p->who[0], "%s:%.64s", kind, who);
    p->label[p->s.n++] = label;
}

/* A key that ingests or administers works for many people: without limits of its own it gets the address's. */
static void
plan_key(const struct request *r, struct plan *p, const char *hex)
{
    const struct gateway_opt *o = r->gw->opt;
    const struct api_key *k = r->who.key;
    bool server = (r->who.scopes & (SCOPE_INGEST | SCOPE_ADMIN)) != 0;
    long minute = k->per_minute > 0 ? (long)k->per_minute : server ? o->rate_addr : o->rate_requests;
    long hour = k->per_hour > 0 ? (long)k->per_hour : server ? o->rate_addr * 60 : o->rate_hour;

    plan_add(p, "key", POLICY_KEY, "k", hex, minute, k->per_minute > 0 || server ? 60 : o->rate_window);
    plan_add(p, "hour", POLICY_HOUR, "kh", hex, hour, 3600);
}

static void
plan_make(const struct request *r, const uint8_t *session_hash, struct plan *p)
{
    const struct gateway_opt *o = r->gw->opt;
    char hex[65];

    *p = (struct plan){ .s.violated = -1 };
    if (r->who.key != NULL) {
        plan_key(r, p, hex_text(r->who.key_hash, 32, hex));
    } else if (session_hash != NULL) {
        hex_text(session_hash, 32, hex);
        plan_add(p, "session", POLICY_SESSION, "s", hex, o->rate_requests, o->rate_window);
        plan_add(p, "hour", POLICY_HOUR, "sh", hex, o->rate_hour, 3600);
    }
    plan_add(p, "address", POLICY_ADDRESS, "a", r->peer, o->rate_addr, 60);
}

/* ---- in this process */

/* Charge every policy, or none when one refuses. */
static bool
local_take(struct request *r, struct plan *p, long scale, bool charge)
{
    uint64_t id[LIMIT_POLICIES];

    p->s.violated = -1;
    for (size_t i = 0; i < p->s.n; i++) {
        id[i] = limiter_id(r->gw->limiter, str_of(p->who[i]), scale == 1 ? "local" : "floor");
        if (!limiter_take(r->gw->limiter, id[i], &p->s.p[i], scale, false) && p->s.violated < 0)
            p->s.violated = (int)i;
    }
    for (size_t i = 0; charge && p->s.violated < 0 && i < p->s.n; i++)
        if (!limiter_take(r->gw->limiter, id[i], &p->s.p[i], scale, true))
            p->s.violated = (int)i;
    return p->s.violated < 0;
}

static bool
refuse(struct request *r, const struct plan *p)
{
    r->conn->limits = p->s;
    stat_add_at(&gateway_stats, GW_LIMITED, (size_t)p->label[p->s.violated], 0, 1);
    request_retry_after(r, p->s.p[p->s.violated].retry_ms);
    reply_problem(r, ERR_LIMITED, NULL);
    return false;
}

bool
admit_address(struct request *r, bool charge)
{
    struct plan p;

    plan_make(r, NULL, &p);
    if (!local_take(r, &p, 1, charge) && charge)
        return refuse(r, &p);
    p.s.violated = -1;
    r->conn->limits = p.s;
    return true;
}

/* ---- in Redis */

static struct str
number(struct request *r, int64_t v)
{
    return str_of(arena_printf(r->arena, "%lld", (long long)v));
}

static void
epoch_bytes(int64_t epoch, char out[8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (char)(uint8_t)((uint64_t)epoch >> (56 - 8 * i));
}

/* One round trip to one server: the policies of p (NULL: none), the cache entry of probe (NULL: none). */
static int
ask_redis(struct request *r, struct redis *to, const struct plan *p, const struct cache_probe *probe, struct str turn,
          struct redis_val *out)
{
    struct str keys[LIMIT_POLICIES + 2], args[2 * LIMIT_POLICIES + 5];
    size_t n = p ? p->s.n : 0, n_keys = 0, n_args = 0;
    char epoch[8];

    args[n_args++] = number(r, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        keys[n_keys++] = str_of(arena_printf(r->arena, "fn:rl:%s", p->who[i]));
        args[n_args++] = number(r, p->s.p[i].q);
        args[n_args++] = number(r, p->s.p[i].w);
    }
    if (probe != NULL) {
        epoch_bytes(probe->epoch, epoch);
        keys[n_keys++] = str_of(probe->key);
        keys[n_keys++] = STR(TURNS_STREAM);
        args[n_args++] = (struct str){ (const char *)probe->sha256, 32 };
        args[n_args++] = (struct str){ epoch, 8 };
        args[n_args++] = turn.p ? turn : STR("");
        args[n_args++] = number(r, TURNS_MAX);
    }
    for (size_t i = 0; i < n_keys; i++)
        if (keys[i].p == NULL)
            return -1;
    return redis_eval(to, &r->redis, r->arena, &script, keys, n_keys, args, n_args, out);
}

/* Is the reply what our script returns? */
static bool
reply_good(const struct redis_val *v, size_t n)
{
    if (v->type != REDIS_LIST || v->n != 3 * n + 5 || v->v[3 * n + 4].type != REDIS_STR)
        return false;
    for (size_t i = 0; i < 3 * n + 4; i++)
        if (v->v[i].type != REDIS_INT)
            return false;
    return v->v[0].i >= 0 && v->v[0].i <= (int64_t)n && v->v[3 * n + 2].i >= 0 && v->v[3 * n + 2].i <= 5;
}

static void
take_limits(struct plan *p, const struct redis_val *v)
{
    p->s.violated = (int)v->v[0].i - 1;
    for (size_t i = 0; i < p->s.n; i++) {
        p->s.p[i].remaining = (long)(v->v[3 * i + 2].i < 0 ? 0 : v->v[3 * i + 2].i);
        p->s.p[i].retry_ms = (v->v[3 * i + 3].i + 999) / 1000;
        p->s.p[i].reset_ms = (v->v[3 * i + 4].i + 999) / 1000;
    }
}

static void
take_cache(struct request *r, const struct redis_val *v, size_t n, bool appends, struct cache_hit *hit)
{
    static const enum cache_outcome outcomes[] = { CACHE_BYPASS, CACHE_HIT, CACHE_MISS, CACHE_STALE, CACHE_COLLISION,
                                                   CACHE_BAD };
    int64_t state = v->v[3 * n + 2].i;

    hit->outcome = cache_labels[outcomes[state]];
    hit->hit = state == 1;
    hit->appended = v->v[3 * n + 3].i == 1;
    hit->value = hit->hit ? v->v[3 * n + 4].s : STR_NONE;
    stat_add_at(&gateway_stats, GW_CACHE, outcomes[state], 0, 1);
    if (hit->hit && appends)
        stat_add_at(&gateway_stats, GW_TURNS, hit->appended ? TURN_QUEUED : TURN_FULL, 0, 1);
    request_header_add(r, "X-Cache", hit->hit ? "hit" : "miss");
}

static void
no_cache(struct request *r)
{
    stat_add_at(&gateway_stats, GW_CACHE, CACHE_BYPASS, 0, 1);
    request_header_add(r, "X-Cache", "bypass");
}

/* The cache on a server of its own: a second trip; the append goes to the first server, a third one on a hit. */
static void
look_apart(struct request *r, const struct cache_probe *probe, struct cache_hit *hit)
{
    struct redis_val v;

    if (ask_redis(r, r->gw->cache, NULL, probe, STR_NONE, &v) != 0 || !reply_good(&v, 0)) {
        no_cache(r);
        return;
    }
    take_cache(r, &v, 0, false, hit);
    if (hit->hit && probe->turn.p != NULL)
        hit->appended = turns_append_pair(r, probe->turn, hit->value);
}

void
cache_look(struct request *r, const struct cache_probe *probe, struct cache_hit *hit)
{
    *hit = (struct cache_hit){ .outcome = cache_labels[CACHE_BYPASS] };
    if (probe->key[0] == 0 || r->gw->cache == NULL)
        no_cache(r);
    else
        look_apart(r, probe, hit);
}

/* Redis decided. 1: allowed, 0: refused, -1: it did not decide. */
static int
admit_redis(struct request *r, struct plan *p, const struct cache_probe *probe, struct cache_hit *hit)
{
    bool together = r->gw->state == r->gw->cache;
    struct redis_val v;

    if (r->gw->state == NULL)
        return -1;
    if (ask_redis(r, r->gw->state, p, together ? probe : NULL, probe ? probe->turn : STR_NONE, &v) != 0 ||
        !reply_good(&v, p->s.n))
        return -1;
    take_limits(p, &v);
    if (p->s.violated >= 0)
        return 0;
    if (probe != NULL && together)
        take_cache(r, &v, p->s.n, probe->turn.p != NULL, hit);
    else if (probe != NULL)
        look_apart(r, probe, hit);
    return v.v[1].i == 0 ? 1 : -1;
}

bool
admit(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct cache_hit *hit)
{
    struct cache_hit none;
    struct plan p, floor;
    int decided;

    if (hit == NULL)
        hit = &none;
    *hit = (struct cache_hit){ .outcome = cache_labels[CACHE_BYPASS] };
    if (probe != NULL && probe->key[0] == 0) {
        no_cache(r);
        probe = NULL;
    }
    plan_make(r, session_hash, &p);
    floor = p;
    if (!local_take(r, &floor, 2, true))
        return refuse(r, &floor);
    decided = admit_redis(r, &p, probe, hit);
    if (decided == 0)
        return refuse(r, &p);
    if (decided < 0) {
        stat_inc(&gateway_stats, GW_LIMIT_LOCAL);
        if (probe != NULL && !hit->hit)
            request_header_add(r, "X-Cache", "bypass");
        if (!local_take(r, &p, 1, true))
            return refuse(r, &p);
    }
    r->conn->limits = p.s;
    return true;
}
