/* The lease of a flight (flight_lease.h): identical questions that are in flight at any gateway have one leader, whose answer is relayed to
 * the others as a resumable stream is (frames.c; docs/decisions/042).
 *
 *   fn:l:<tenant>:<flight>     hash, there while somebody makes the answer
 *     owner      the leader's gateway, and which of its questions     session   SHA-256 of the leader's, with which all of it is erased
 *     key, who   of the stream fn:f:<tenant>:l:<id>                   bare      nothing is relayed
 *
 * It is as good as its leader's signs of life. When those end, the answer is followed as long as its writer, an embedder, lives; a
 * lease without either is taken by who comes next. */
#include "gateway/admit/flight_lease.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/text/uuid.h"
#include "gateway/admit/erased.h"
#include "gateway/gateway.h"

#define CLAIM_S \
    10 /* a lease whose leader has no passages yet: one that was taken without its taker's learning of it holds up nobody for longer */
#define KEPT_S 60 /* a relayed answer after its end: followers read it within a second */

/* KEYS: lease, the session's set. ARGV: owner, key, who, session, lifetime, that of the set. Reply: 1 ours, or the other one's key, who, session, owner. */
static struct redis_script take_script;
static const char take_source[] =
    "local h = redis.call('HMGET', KEYS[1], 'key', 'who', 'session', 'owner')\n"
    "local function lives(name) return name and redis.call('EXISTS', 'fn:fb:' .. name:sub(1, 32)) == 1 end\n"
    "if h[4] and h[4] ~= ARGV[1] then\n"
    "  if lives(h[4]) then return h end\n"
    "  local w = redis.call('HMGET', h[1], 'writer', 'said', 'failed')\n"
    "  if not w[2] and not w[3] and lives(w[1]) then return h end\n"
    "end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'key', ARGV[2], 'who', ARGV[3], 'session', ARGV[4])\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[5])\n"
    "redis.call('SADD', KEYS[2], KEYS[1])\n"
    "if redis.call('TTL', KEYS[2]) < tonumber(ARGV[6]) then redis.call('EXPIRE', KEYS[2], ARGV[6]) end\n"
    "return 1\n";

/* KEYS: lease. ARGV: owner. Reply: enum lease_state. */
static struct redis_script look_script;
static const char look_source[] =
    "local h = redis.call('HMGET', KEYS[1], 'owner', 'bare')\n"
    "if h[1] ~= ARGV[1] or redis.call('EXISTS', 'fn:fb:' .. ARGV[1]:sub(1, 32)) == 0 then return 0 end\n"
    "return h[2] and 2 or 1\n";

/* KEYS: lease. ARGV: owner, lifetime, 1 when nothing is relayed. */
static struct redis_script hold_script;
static const char hold_source[] = "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end\n"
                                  "redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
                                  "if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'bare', '1') end\n"
                                  "return 1\n";

/* KEYS: the stream's hash. ARGV: reply. */
static struct redis_script said_script;
static const char said_source[] = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
                                  "redis.call('HSET', KEYS[1], 'said', ARGV[1])\n"
                                  "return 1\n";

/* KEYS: a session's erasure. ARGV: age of the question in ms. */
static struct redis_script erased_script;
static const char erased_source[] =
    "local t, at = redis.call('TIME'), redis.call('GET', KEYS[1])\n"
    "return at and tonumber(at) >= t[1] * 1000 + t[2] / 1000 - ARGV[1] and 1 or 0\n";

/* KEYS: lease, the stream's hash and text, index of all streams. ARGV: owner, seconds that the stream stays. */
static struct redis_script end_script;
static const char end_source[] =
    "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1]) end\n"
    "if ARGV[2] == '0' then\n"
    "  redis.call('DEL', KEYS[2], KEYS[3])\n"
    "  redis.call('ZREM', KEYS[4], KEYS[2])\n"
    "else\n"
    "  redis.call('EXPIRE', KEYS[2], ARGV[2])\n"
    "  redis.call('EXPIRE', KEYS[3], ARGV[2])\n"
    "  redis.call('ZADD', KEYS[4], 'XX', tonumber(redis.call('TIME')[1]) + tonumber(ARGV[2]), KEYS[2])\n"
    "end\n"
    "return 1\n";

void
flight_lease_init(void)
{
    redis_script_init(&take_script, take_source);
    redis_script_init(&look_script, look_source);
    redis_script_init(&hold_script, hold_source);
    redis_script_init(&said_script, said_source);
    redis_script_init(&erased_script, erased_source);
    redis_script_init(&end_script, end_source);
}

/* One script with a budget of its own: others wait for what it says. */
static bool
run(struct request *r, const struct redis_script *s, const struct str *keys, size_t n_keys,
    const struct str *args, size_t n_args, struct redis_val *v)
{
    struct redis_budget budget = { 0 };

    *v = (struct redis_val){ .type = REDIS_ERROR };
    return redis_eval(r->gw->cache, &budget, r->arena, s, keys, n_keys, args, n_args, v) == 0;
}

static bool
is_one(const struct redis_val *v)
{
    return v->type == REDIS_INT && v->i == 1;
}

/* A stream of ours that no client's request finds, under a name that was never used before. */
static void
name(const struct request *r, const uint8_t flight[32], const uint8_t session_hash[32],
     struct flight_lease *l)
{
    struct uuid id = uuid_v7();
    char hex[65], text[37];

    frames_name(r, &id, session_hash, &l->frames);
    snprintf(l->key, sizeof l->key, "fn:l:%s:%s", r->who.tenant, hex_text(flight, 32, hex));
    snprintf(l->frames.key, sizeof l->frames.key, "fn:f:%s:l:%s", r->who.tenant, uuid_text(&id, text));
    snprintf(l->frames.text_key, sizeof l->frames.text_key, "%s:t", l->frames.key);
}

/* A lease that another gateway wrote is data from outside. */
static bool
read_other(const struct redis_val *v, struct frames *f)
{
    if (v->type != REDIS_LIST || v->n != 4)
        return false;
    for (size_t i = 0; i < 4; i++)
        if (v->v[i].type != REDIS_STR || !v->v[i].s.p)
            return false;
    if (v->v[0].s.n >= sizeof f->key || !str_starts(v->v[0].s, "fn:f:") || v->v[1].s.n != 32 ||
        v->v[2].s.n != 32 || v->v[3].s.n >= sizeof f->owner)
        return false;
    snprintf(f->key, sizeof f->key, STR_FMT, STR_ARG(v->v[0].s));
    snprintf(f->text_key, sizeof f->text_key, "%s:t", f->key);
    memcpy(f->who, v->v[1].s.p, 32);
    memcpy(f->session, v->v[2].s.p, 32);
    snprintf(f->owner, sizeof f->owner, STR_FMT, STR_ARG(v->v[3].s));
    return true;
}

enum lease_taken
flight_lease_take(struct request *r, const uint8_t flight[32], const uint8_t session_hash[32],
                  struct flight_lease *l)
{
    struct redis_val v;

    *l = (struct flight_lease){ 0 };
    if (!r->gw->cache || r->gw->opt->resumable_streams == 0)
        return LEASE_AWAY;
    name(r, flight, session_hash, l);
    const struct str keys[] = { str_of(l->key), frames_session_set(r, session_hash) };
    const struct str args[] = { str_of(l->frames.owner),
                                str_of(l->frames.key),
                                { (const char *)l->frames.who, 32 },
                                { (const char *)session_hash, 32 },
                                str_of(arena_printf(r->arena, "%d", CLAIM_S)),
                                str_of(arena_printf(r->arena, "%d", FRAMES_LONGEST_S)) };
    if (!run(r, &take_script, keys, 2, args, 6, &v))
        return LEASE_AWAY;
    if (is_one(&v))
        return LEASE_OURS;
    return read_other(&v, &l->frames) ? LEASE_THEIRS : LEASE_AWAY;
}

enum lease_state
flight_lease_look(struct request *r, const struct flight_lease *l)
{
    static const enum lease_state states[] = { LEASE_GONE, LEASE_HELD, LEASE_BARE };
    const struct str key = str_of(l->key), owner = str_of(l->frames.owner);
    struct redis_val v;

    if (!run(r, &look_script, &key, 1, &owner, 1, &v) || v.type != REDIS_INT || v.i < 0 || v.i > 2)
        return LEASE_MUTE;
    return states[v.i];
}

bool
flight_lease_open(struct request *r, const struct flight_lease *l, struct str state)
{
    bool open = frames_open(r, &l->frames, state, STR(""), STR(""));
    const struct str key = str_of(l->key);
    const struct str args[] = { str_of(l->frames.owner),
                                str_of(arena_printf(r->arena, "%d", FRAMES_LONGEST_S)),
                                open ? STR("0") : STR("1") };
    struct redis_val v;

    run(r, &hold_script, &key, 1, args, 3, &v);
    return open;
}

bool
flight_lease_said(struct request *r, const struct flight_lease *l, struct str said)
{
    const struct str key = str_of(l->frames.key);
    struct redis_val v;

    return run(r, &said_script, &key, 1, &said, 1, &v) && is_one(&v);
}

bool
flight_lease_erased(struct request *r, const uint8_t session_hash[32])
{
    const struct str key = frames_session_erased(r, session_hash);
    const struct str age = str_of(arena_printf(r->arena, "%lld",
                                               (long long)((clock_us() - r->start_us) / 1000)));
    struct redis_val v;

    return run(r, &erased_script, &key, 1, &age, 1, &v) && is_one(&v);
}

void
flight_lease_end(struct request *r, const struct flight_lease *l, bool keep)
{
    const struct str keys[] = { str_of(l->key), str_of(l->frames.key), str_of(l->frames.text_key),
                                STR(FRAMES_INDEX) };
    const struct str args[] = { str_of(l->frames.owner),
                                keep ? str_of(arena_printf(r->arena, "%d", KEPT_S)) : STR("0") };
    struct redis_val v;

    run(r, &end_script, keys, 4, args, 2, &v);
}
