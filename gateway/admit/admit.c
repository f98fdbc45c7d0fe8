/* Limits and the query cache in one Redis round trip, by one script, so that two gateways can never both let the last
 * request through, and a hit costs no second trip (a trip is 27 µs, a second command in it almost nothing).
 *
 *   policies → GCRA each → all allow? charge all : charge none, say which refused
 *   cache key → value's SHA-256 and epoch as expected? hit (and the turn appended to fn:turns) : miss, deleted when wrong
 *
 * Every value in Redis is data from outside: wrong type, length or version is a miss, deleted and counted. Redis away:
 * the limiter of this process decides at the same limits, and there is no hit; it counts all the while, so
 * that the requests that Redis let through are known then. While Redis is there it also runs beside it as a
 * floor at twice the limit, for a Redis that forgets. */
#include <assert.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/admit.h"
#include "proto/answer.h"
#include "gateway/admit/cache_write.h"
#include "gateway/admit/advance.h"
#include "gateway/admit/erased.h"
#include "gateway/admit/flight_lease.h"
#include "gateway/admit/frames.h"
#include "gateway/admit/limit.h"
#include "gateway/admit/near.h"
#include "gateway/admit/semantic_ring.h"
#include "gateway/gateway.h"
#include "gateway/request/handler.h"

/* KEYS: a bucket for each policy, then the cache key and the stream. ARGV: number of policies, step and tau of each in µs
 * (limit.c), then how a right value begins ("FA02", SHA-256, epoch), turn ("" none), the stream's maximum.
 * Reply: {refused policy or 0, writes that failed, now, TAT × n, cache, appended, value} with cache: 0 not asked, 1 hit,
 * 2 miss, 3 stale, 4 collision, 5 bad. A value is its beginning, the SHA-1 of the rest, rest (proto/answer.h).
 *
 * Every call of Redis from Lua costs more than all the arithmetic, so the buckets come by one; MGET gives nothing for a key
 * of another type. Of a value no more is taken than one may have and a byte: a huge one would cost everybody's time. The
 * checksum is checked here only where the value is copied; we check it anyway. */
static const char script_source[] =
    "local n, head = tonumber(ARGV[1]), ARGV[2 * ARGV[1] + 2]\n"
    "local got, out, refused, now = nil, {0, 0, 0}, 0, 0\n"
    "if n > 0 then\n"
    "  got = redis.call('MGET', unpack(KEYS, 1, n))\n"
    "  local t = redis.call('TIME')\n"
    "  now = t[1] * 1000000 + t[2]\n"
    "end\n"
    "for i = 1, n do\n"
    "  local tat, tau = tonumber(got[i] or now) or now, tonumber(ARGV[2 * i + 1])\n"
    "  if not (tat > now) then tat = now end\n"
    "  if tat > now + tau then\n" /* the clock went back: written, or it would stay refused until the clock is there again */
    "    tat = now + tau\n"
    "    redis.pcall('SET', KEYS[i], tat, 'PX', math.ceil(tau / 1000) + 1)\n"
    "  end\n"
    "  out[3 + i] = tat\n"
    "  if refused == 0 and tat + ARGV[2 * i] - tau > now then refused = i end\n"
    "end\n"
    "if refused == 0 then\n"
    "  for i = 1, n do\n"
    "    local next = out[3 + i] + ARGV[2 * i]\n"
    "    local r = redis.pcall('SET', KEYS[i], next, 'PX', math.ceil((next - now) / 1000) + 1)\n"
    "    if r.err and r.err:find('READONLY', 1, true) then return r end\n"
    "    if r.err then out[2] = out[2] + 1 end\n"
    "    out[3 + i] = next\n"
    "  end\n"
    "end\n"
    "out[1], out[3] = refused, now\n"
    "local state, appended, value = 0, 0, ''\n"
    "if refused == 0 and head then\n"
    "  local key, turn = KEYS[n + 1], ARGV[2 * n + 3]\n"
    "  value = redis.pcall('GETRANGE', key, 0, 1048576)\n"
    "  if type(value) == 'table' then state = 5\n"
    "  elseif value == '' then state = redis.call('EXISTS', key) == 0 and 2 or 5\n"
    "  elseif #value < 88 or #value > 1048576 then state = 5\n"
    "  elseif value:sub(1, 44) == head then\n"
    "    state = turn ~= '' and redis.sha1hex(value:sub(85)) ~= value:sub(45, 84) and 5 or 1\n"
    "  elseif value:sub(1, 4) ~= 'FA02' then state = 5\n"
    "  elseif value:sub(5, 36) ~= head:sub(5, 36) then state = 4\n"
    "  else state = 3 end\n"
    "  if state > 2 then redis.pcall('DEL', key) end\n"
    "  if state ~= 1 then value = ''\n"
    "  elseif turn ~= '' then\n"
    "    local have = redis.pcall('XLEN', KEYS[n + 2])\n"
    "    if type(have) == 'number' and have < tonumber(ARGV[2 * n + 4]) then\n"
    "      local r = redis.pcall('XADD', KEYS[n + 2], '*', 'q', turn, 'a', value)\n"
    "      if type(r) == 'string' then appended = 1 end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "out[n + 4], out[n + 5], out[n + 6] = state, appended, value\n"
    "return out\n";

static struct redis_script script;

void
admit_init(void)
{
    redis_script_init(&script, script_source);
    cache_init();
    turns_init();
    frames_init();
    erased_init();
    flight_lease_init();
    semantic_ring_init();
}

/* ---- which policies count for a request */

struct plan {
    struct limit_state s;
    char key[LIMIT_POLICIES][LIMIT_KEY]; /* that each policy counts */
    uint64_t id[LIMIT_POLICIES];         /* of that key, where it is looked for in advance.c */
    int label[LIMIT_POLICIES];           /* index into policy_labels */
};

/* As snprintf with %s of each would, which is a tenth of what a hit costs us. */
static void
join(char *out, size_t cap, const char *const *parts, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        for (const char *p = parts[i]; *p && at < cap - 1; p++)
            out[at++] = *p;
    out[at] = 0;
}

static void
plan_add(struct plan *p, const char *name, int label, const char *kind, const char *who, long q, long w)
{
    struct policy *s = &p->s.p[p->s.n];

    *s = (struct policy){ .name = name, .q = q, .w = w, .remaining = q };
    join(p->key[p->s.n], sizeof p->key[0], (const char *const[]){ "fn:rl:", kind, ":", who }, 4);
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
    if (k->per_day > 0)
        plan_add(p, "day", POLICY_DAY, "kd", hex, (long)k->per_day, 86400);
}

static void
plan_make(const struct request *r, const uint8_t *session_hash, struct plan *p)
{
    const struct gateway_opt *o = r->gw->opt;
    char hex[65];

    *p = (struct plan){ .s.violated = -1 };
    if (r->who.key) {
        plan_key(r, p, hex_text(r->who.limits, 32, hex));
    } else if (session_hash) {
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
        id[i] = limiter_id(r->gw->limiter, str_of(p->key[i]), scale == 1 ? "local" : "floor");
        if (!limiter_take(r->gw->limiter, id[i], &p->s.p[i], scale, false) && p->s.violated < 0)
            p->s.violated = (int)i;
    }
    for (size_t i = 0; charge && p->s.violated < 0 && i < p->s.n; i++)
        if (!limiter_take(r->gw->limiter, id[i], &p->s.p[i], scale, true))
            p->s.violated = (int)i;
    return p->s.violated < 0;
}

/* Requests that Redis let through count here, too: a Redis that is away a moment later must
 * not be a second quota. */
static void
local_note(struct request *r, const struct plan *p)
{
    for (size_t i = 0; i < p->s.n; i++) {
        struct policy copy = p->s.p[i];

        limiter_take(r->gw->limiter, limiter_id(r->gw->limiter, str_of(p->key[i]), "local"), &copy, 1, true);
    }
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

    r->judged = r->judged || charge;
    p = (struct plan){ .s.violated = -1 };
    plan_add(&p, "address", POLICY_ADDRESS, "a", r->peer, r->gw->opt->rate_addr, 60);
    if (!local_take(r, &p, 1, charge) && charge)
        return refuse(r, &p);
    p.s.violated = -1;
    r->conn->limits = p.s;
    return true;
}

/* ---- in Redis */

/* Numbers of a command as text. */
struct digits {
    char text[2 * LIMIT_POLICIES + 2][24];
    size_t n;
};

static struct str
number(struct digits *d, int64_t v)
{
    char *end = d->text[d->n++] + sizeof d->text[0], *p;

    assert(v >= 0);
    p = digits_before(end, (uint64_t)v);
    return (struct str){ p, (size_t)(end - p) };
}

/* The beginning of this probe's value when it is the right one. */
static void
probe_head(const struct cache_probe *probe, char out[ANSWER_SUM_AT])
{
    memcpy(out, ANSWER_MAGIC, 4);
    memcpy(out + ANSWER_SHA_AT, probe->sha256, 32);
    for (int i = 0; i < 8; i++)
        out[ANSWER_EPOCH_AT + i] = (char)(uint8_t)((uint64_t)probe->epoch >> (56 - 8 * i));
}

/* One round trip to one server: the policies of p (NULL: none), the cache entry of probe (NULL: none). */
static int
ask_redis(struct request *r, struct redis *to, const struct plan *p, const struct cache_probe *probe,
          struct str turn, struct redis_val *out)
{
    struct str keys[LIMIT_POLICIES + 2], args[2 * LIMIT_POLICIES + 4];
    size_t n = p ? p->s.n : 0, n_keys = 0, n_args = 0;
    struct digits d = { .n = 0 };
    char head[ANSWER_SUM_AT];

    args[n_args++] = number(&d, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        int64_t tau, step = gcra_step(&p->s.p[i], 1, &tau);

        keys[n_keys++] = str_of(p->key[i]);
        args[n_args++] = number(&d, step);
        args[n_args++] = number(&d, tau);
    }
    if (probe) {
        probe_head(probe, head);
        keys[n_keys++] = str_of(probe->key);
        keys[n_keys++] = STR(TURNS_STREAM);
        args[n_args++] = (struct str){ head, sizeof head };
        args[n_args++] = turn.p ? turn : STR("");
        args[n_args++] = number(&d, TURNS_MAX);
    }
    return redis_eval(to, &r->redis, r->arena, &script, keys, n_keys, args, n_args, out);
}

/* Is the reply what our script returns? */
static bool
reply_good(const struct redis_val *v, size_t n)
{
    if (v->type != REDIS_LIST || v->n != n + 6 || v->v[n + 5].type != REDIS_STR)
        return false;
    for (size_t i = 0; i < n + 5; i++)
        if (v->v[i].type != REDIS_INT || v->v[i].i < 0)
            return false;
    return v->v[0].i <= (int64_t)n && v->v[n + 3].i <= 5;
}

static void
take_limits(struct plan *p, const struct redis_val *v)
{
    p->s.violated = (int)v->v[0].i - 1;
    for (size_t i = 0; i < p->s.n; i++) {
        int64_t tat = v->v[3 + i].i;

        gcra(&tat, v->v[2].i, 1, false, &p->s.p[i]);
        if (p->s.violated < 0) /* the one after this may have to wait, this one passed */
            p->s.p[i].retry_ms = 0;
    }
}

static void
take_cache(struct request *r, const struct cache_probe *probe, const struct redis_val *v, size_t n,
           bool appends, struct cache_hit *hit)
{
    static const enum cache_outcome outcomes[] = { CACHE_BYPASS, CACHE_HIT,       CACHE_MISS,
                                                   CACHE_STALE,  CACHE_COLLISION, CACHE_BAD };
    int64_t state = v->v[n + 3].i;
    struct str value = v->v[n + 5].s;

    if (state == 1 && !answer_sum_fits(value)) {
        cache_drop(r, probe);
        state = 5;
    }

    hit->outcome = cache_labels[outcomes[state]];
    hit->hit = state == 1;
    hit->appended = v->v[n + 4].i == 1;
    hit->value = hit->hit ? value : STR_NONE;
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
    take_cache(r, probe, &v, 0, false, hit);
    if (hit->hit && probe->turn.p)
        hit->appended = turns_append_pair(r, probe->turn, hit->value);
}

void
cache_look(struct request *r, const struct cache_probe *probe, struct cache_hit *hit)
{
    *hit = (struct cache_hit){ .outcome = cache_labels[CACHE_BYPASS] };
    if (probe->key[0] == 0 || !r->gw->cache)
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

    if (!r->gw->state)
        return -1;
    if (ask_redis(r, r->gw->state, p, together ? probe : NULL, probe ? probe->turn : STR_NONE, &v) != 0 ||
        !reply_good(&v, p->s.n))
        return -1;
    take_limits(p, &v);
    if (p->s.violated >= 0)
        return 0;
    if (probe && together)
        take_cache(r, probe, &v, p->s.n, probe->turn.p != NULL, hit);
    else if (probe)
        look_apart(r, probe, hit);
    return v.v[1].i == 0 ? 1 : -1;
}

/* ---- without Redis */

static void
near_hit(struct request *r, const struct cache_probe *probe, struct str value, struct cache_hit *hit)
{
    *hit = (struct cache_hit){ .hit = true, .value = value, .outcome = cache_labels[CACHE_HIT] };
    stat_add_at(&gateway_stats, GW_CACHE, CACHE_HIT, 0, 1);
    request_header_add(r, "X-Cache", "hit");
    if (probe->turn.p)
        hit->appended = turns_append_pair(r, probe->turn, value);
}

/* Its limits were taken in advance and its answer, if it wants one, is near: no trip. False: as ever. */
static bool
admit_near(struct request *r, struct plan *p, const struct cache_probe *probe, struct cache_hit *hit)
{
    const struct advance_ask ask = { p->id, p->key, &p->s };
    struct str value;

    if (!r->gw->advance)
        return false;
    for (size_t i = 0; i < p->s.n; i++)
        p->id[i] = limiter_id(r->gw->limiter, str_of(p->key[i]), "advance");
    r->hot = advance_has(r->gw->advance, &ask);
    if (!r->hot || (probe && !near_get(r->gw->near, probe, clock_ms(), r->arena, &value)) ||
        !advance_take(r->gw->advance, &ask))
        return false;
    if (probe)
        near_hit(r, probe, value, hit);
    return true;
}

/* Redis's answer is kept here for the next time. */
static void
keep_near(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe,
          const struct cache_hit *hit)
{
    struct turn_finish_req t;

    if (r->hot && session_hash && hit->hit &&
        answer_read(hit->value, r->arena, NULL, NULL, NULL, &t) == ERR_OK)
        cache_near(r, session_hash, probe, t.created_ms, hit->value);
}

bool
admit(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct cache_hit *hit)
{
    struct cache_hit none;
    struct plan p, floor;
    int decided;
    bool near;

    r->judged = true;
    if (!hit)
        hit = &none;
    *hit = (struct cache_hit){ .outcome = cache_labels[CACHE_BYPASS] };
    if (probe && probe->key[0] == 0) {
        no_cache(r);
        probe = NULL;
    }
    plan_make(r, session_hash, &p);
    floor = p;
    if (!local_take(r, &floor, 2, true))
        return refuse(r, &floor);
    near = admit_near(r, &p, probe, hit);
    decided = near ? 1 : admit_redis(r, &p, probe, hit);
    if (decided == 0)
        return refuse(r, &p);
    if (decided < 0) {
        stat_inc(&gateway_stats, GW_LIMIT_LOCAL);
        if (probe && !hit->hit)
            request_header_set(r, "X-Cache", "bypass");
        if (!local_take(r, &p, 1, true))
            return refuse(r, &p);
    }
    if (decided > 0) {
        local_note(r, &p);
        advance_note(r->gw->advance, &(struct advance_ask){ p.id, p.key, &p.s });
    }
    if (!near)
        keep_near(r, session_hash, probe, hit);
    r->conn->limits = p.s;
    return true;
}
