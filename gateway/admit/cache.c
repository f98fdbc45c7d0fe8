/* What is written to Redis besides the limits: answers with their time to live, each session's set of cache keys, and
 * the bounded queue of turns that the store drains. A failure here costs nobody the answer: it is counted. */
#include <stdio.h>

#include "common/log.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/cache.h"
#include "gateway/gateway.h"

#define VALUE_MAX 1048576u
#define SET_THIN 512              /* members of a session's set from which on it is looked through at times */

/* KEYS: a session's set. Members whose entries have expired go. */
static struct redis_script thin;

/* KEYS: stream. ARGV: turn, answer ("" none), maximum. Reply: 1 appended, 0 full. */
static struct redis_script append;

void
turns_init(void)
{
    redis_script_init(&thin, "for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
                             "  if redis.call('EXISTS', key) == 0 then redis.call('SREM', KEYS[1], key) end\n"
                             "end\n"
                             "return redis.call('SCARD', KEYS[1])\n");
    redis_script_init(&append, "if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end\n"
                               "if ARGV[2] == '' then redis.call('XADD', KEYS[1], '*', 'q', ARGV[1])\n"
                               "else redis.call('XADD', KEYS[1], '*', 'q', ARGV[1], 'a', ARGV[2]) end\n"
                               "return 1\n");
}

bool
turns_append_pair(struct request *r, struct str turn, struct str answer)
{
    struct str key = STR(TURNS_STREAM);
    struct str args[3] = { turn, answer.p ? answer : STR(""), STR("10000") };
    struct redis_val v = { .type = REDIS_ERROR };
    struct redis_budget last_chance = { 0 }; /* what is not queued now is lost, whatever Redis cost this request before */
    enum turn_outcome how = TURN_FAILED;

    if (r->gw->state != NULL && redis_eval(r->gw->state, &last_chance, r->arena, &append, &key, 1, args, 3, &v) == 0 &&
        v.type == REDIS_INT)
        how = v.i == 1 ? TURN_QUEUED : TURN_FULL;
    stat_add_at(&gateway_stats, GW_TURNS, how, 0, 1);
    return how == TURN_QUEUED;
}

bool
turns_append(struct request *r, struct str turn)
{
    return turns_append_pair(r, turn, STR_NONE);
}

static struct str
set_of(struct request *r, const uint8_t *session_hash)
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

/* The set first: an entry that its session does not know of could not be erased. */
void
cache_store(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct str value)
{
    struct str ttl = str_of(arena_printf(r->arena, "%ld", r->gw->opt->query_cache_ttl)), key = str_of(probe->key);
    struct str set = set_of(r, session_hash);
    struct str add[] = { STR("SADD"), set, key }, expire[] = { STR("EXPIRE"), set, ttl };
    struct str put[] = { STR("SET"), key, value, STR("EX"), ttl };
    struct str count[] = { STR("SCARD"), set };
    struct redis_cmd cmds[] = { { add, 3 }, { expire, 3 }, { put, 5 }, { count, 2 } };
    struct redis_val out[4] = { { .type = REDIS_ERROR }, { .type = REDIS_ERROR }, { .type = REDIS_ERROR }, { .type = REDIS_ERROR } };

    if (key.n == 0 || r->gw->cache == NULL || value.n > VALUE_MAX || ttl.p == NULL || set.p == NULL ||
        redis_run_in(r->gw->cache, &r->redis, r->arena, cmds, 4, out) != 0 || out[0].type != REDIS_INT || out[2].type != REDIS_STATUS)
        stored(CACHE_FAILED);
    else
        stored(CACHE_STORED);
    if (key.n > 0 && r->gw->cache != NULL && out[3].type == REDIS_INT)
        set_thin(r, set, out[3].i);
}

void
cache_drop(struct request *r, const struct cache_probe *probe)
{
    struct str del[] = { STR("DEL"), str_of(probe->key) };
    struct redis_cmd cmd = { del, 2 };
    struct redis_val v;

    redis_run_in(r->gw->cache, &r->redis, r->arena, &cmd, 1, &v);
}

bool
cache_erase_session(struct request *r, const uint8_t *session_hash)
{
    static struct log_gate gate;
    struct str set = set_of(r, session_hash), members[] = { STR("SMEMBERS"), set };
    struct redis_cmd cmd = { members, 2 };
    struct redis_val v;
    struct str *del;

    if (r->gw->cache == NULL || set.p == NULL)
        return r->gw->state == NULL; /* without Redis there is no queue */
    if (redis_run_in(r->gw->cache, &r->redis, r->arena, &cmd, 1, &v) != 0 || v.type != REDIS_LIST) {
        if (log_gate(&gate))
            LOG(WARN, r->id, M("a session's cached answers could not be erased; they expire by themselves"));
        return false;
    }
    if (v.n == 0)
        return true;
    del = arena_alloc(r->arena, (v.n + 2) * sizeof *del);
    if (del == NULL)
        return false;
    del[0] = STR("DEL");
    del[1] = set;
    for (size_t i = 0; i < v.n; i++)
        del[i + 2] = v.v[i].s.p ? v.v[i].s : STR("");
    cmd = (struct redis_cmd){ del, v.n + 2 };
    redis_run_in(r->gw->cache, &r->redis, r->arena, &cmd, 1, &v);
    return false;
}
