/* Writes to Redis besides the limits: answers with their time to live, and each session's set of cache keys. A failure here costs nobody
 * the answer: it is counted. */
#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/cache_write.h"
#include "gateway/admit/erased.h"
#include "gateway/admit/near.h"
#include "gateway/gateway.h"

#define VALUE_MAX 1048576u
#define TRIP_MS 50   /* between our look at the clock and Redis's */
#define SET_THIN 512 /* members of a session's set from which on it is looked through at times */

/* KEYS: a session's set. Members whose entries have expired go. */
static struct redis_script thin;

/* KEYS: a session's set, an answer, the session's erasure. ARGV: lifetime, the answer, age of the question in ms. Reply: the set's members,
 * or -1 when the session was erased after the question was asked. The set first: an entry that its session does not know of could not be
 * erased. */
static struct redis_script store;
static const char store_source[] =
    "local erased = redis.call('GET', KEYS[3])\n"
    "if erased then\n"
    "  local t = redis.call('TIME')\n"
    "  if tonumber(erased) >= t[1] * 1000 + t[2] / 1000 - ARGV[3] then return -1 end\n"
    "end\n"
    "redis.call('SADD', KEYS[1], KEYS[2])\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[1])\n"
    "redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[1])\n"
    "return redis.call('SCARD', KEYS[1])\n";

void
cache_init(void)
{
    redis_script_init(&thin, "for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
                             "  if redis.call('EXISTS', key) == 0 then redis.call('SREM', KEYS[1], key) end\n"
                             "end\n"
                             "return redis.call('SCARD', KEYS[1])\n");
    redis_script_init(&store, store_source);
}

struct str
cache_session_set(struct request *r, const uint8_t *session_hash)
{
    char hex[65];

    return str_of(arena_printf(r->arena, "fn:qs:%s", hex_text(session_hash, 32, hex)));
}

static void
stored(enum cache_outcome how)
{
    stat_add_at(&gateway_stats, GW_CACHE, how, 0, 1);
}

/* A session that goes on asking keeps its set alive, so that members would gather for as long. */
static void
set_thin(struct request *r, struct str set, int64_t members)
{
    struct redis_val v;

    if (members >= SET_THIN && members % 64 == 0)
        redis_eval(r->gw->cache, &r->redis, r->arena, &thin, &set, 1, NULL, 0, &v);
}

/* An answer of a busy caller, in this process. made_ms: clock_wall_ms() of its making. */
void
cache_near(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, int64_t made_ms,
           struct str value)
{
    int64_t now = clock_ms(), life = r->gw->opt->query_cache_ttl * 1000,
            left = made_ms + life - clock_wall_ms();
    struct near_origin from = { near_mark(frames_session_erased(r, session_hash)), r->start_us / 1000,
                                now + (left < life ? left : life) };

    if (near_put(r->gw->near, probe, &from, value))
        erasures_wake(r->gw->erasures);
}

void
cache_store(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct str value)
{
    const struct str keys[] = { cache_session_set(r, session_hash), str_of(probe->key),
                                frames_session_erased(r, session_hash) };
    const struct str args[] = {
        str_of(arena_printf(r->arena, "%ld", r->gw->opt->query_cache_ttl)), value,
        str_of(arena_printf(r->arena, "%lld", (long long)(clock_us() - r->start_us) / 1000 + TRIP_MS))
    };
    struct redis_val v;

    if (keys[1].n == 0 || !r->gw->cache || value.n > VALUE_MAX || !keys[0].p || !keys[2].p || !args[0].p ||
        !args[2].p || redis_eval(r->gw->cache, &r->redis, r->arena, &store, keys, 3, args, 3, &v) != 0 ||
        v.type != REDIS_INT) {
        stored(CACHE_FAILED);
        return;
    }
    stored(v.i < 0 ? CACHE_FAILED : CACHE_STORED);
    if (v.i >= 0 && r->hot && probe->feed_ms != 0) /* what sessions share is looked up in Redis */
        cache_near(r, session_hash, probe, clock_wall_ms(), value);
    set_thin(r, keys[0], v.i);
}

void
cache_drop(struct request *r, const struct cache_probe *probe)
{
    struct str del[] = { STR("DEL"), str_of(probe->key) };
    struct redis_cmd cmd = { del, 2 };
    struct redis_val v;

    redis_run_in(r->gw->cache, &r->redis, r->arena, &cmd, 1, &v);
}

void
cache_take_back(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe)
{
    struct str erased = frames_session_erased(r, session_hash);

    if (erased.p)
        near_erase(r->gw->near, near_mark(erased), 0);
    if (r->gw->cache)
        cache_drop(r, probe);
}

bool
cache_erase_session(struct request *r, const uint8_t *session_hash)
{
    static struct log_gate gate;
    int64_t answers = erased_tell(r, session_hash);

    if (!r->gw->cache)
        return !r->gw->state; /* without Redis there is no queue */
    if (answers < 0 && log_gate(&gate))
        LOG(WARN, r->id, M("a session's cached answers could not be erased; they expire by themselves"));
    return answers == 0;
}
