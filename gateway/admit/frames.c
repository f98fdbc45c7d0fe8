/* Resumable streams in Redis (frames.h): scripts, so that what belongs together changes together, and nothing that was erased
 * comes back.
 *
 * Bounds: RESUMABLE_STREAMS of them, over all gateways, running or ended; the oldest one that has ended makes room. Bytes
 * of each: proto/frames.h. All of it expires by itself, and may be evicted: such a stream is not resumable any more. */
#include "gateway/admit/frames.h"

#include <poll.h>
#include <semaphore.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/text/number.h"
#include "common/process/ticker.h"
#include "gateway/admit/erased.h"
#include "gateway/gateway.h"

struct pulse {
    struct gateway *gw;
    struct ticker *ticker;
    char instance[33], key[48];
    _Atomic int64_t good_ms; /* Redis last took one */
    _Atomic uint64_t serial; /* of readers */
};

/* Calls at once: when a gateway dies all its clients come in the same moment, and time-outs of these would open the breaker on
 * everybody's limits and cache. They wait for each other instead. */
#define AT_ONCE 8
static sem_t turn;

#define TRIP_MS 500 /* between our look at the clock and Redis's: a trip may wait for its turn */

#define TRIES 4
#define TRY_MS 100 /* the first pause; each is twice the one before */

/* KEYS: hash, text, index, the session's set, its erasure. ARGV: most, lifetime, who, owner, state, meta, sources, age of the question in ms,
 * key of the flight that it refers to, or "".
 * Reply: 1, or 0 when there are too many, or when the session was erased after the question was asked. */
static struct redis_script open_script;
static const char open_source[] =
    "local t = redis.call('TIME')\n"
    "local now, life = tonumber(t[1]), tonumber(ARGV[2])\n"
    "local erased = redis.call('GET', KEYS[5])\n"
    "if erased and tonumber(erased) >= now * 1000 + t[2] / 1000 - ARGV[8] then return 0 end\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)\n"
    "if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[1]) then\n"
    "  local old = redis.call('ZRANGE', KEYS[3], 0, 0)[1]\n"
    "  if not old or (redis.call('EXISTS', old) == 1 and redis.call('HEXISTS', old, 'tail') == 0) then return 0 end\n"
    "  redis.call('DEL', old, old .. ':t')\n"
    "  redis.call('ZREM', KEYS[3], old)\n"
    "end\n"
    "redis.call('DEL', KEYS[1], KEYS[2])\n"
    "redis.call('HSET', KEYS[1], 'who', ARGV[3], 'owner', ARGV[4], 'state', ARGV[5], 'meta', ARGV[6], 'sources', ARGV[7])\n"
    "if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'of', ARGV[9]) end\n"
    "redis.call('EXPIRE', KEYS[1], life)\n"
    "redis.call('ZADD', KEYS[3], now + life, KEYS[1])\n"
    "redis.call('EXPIRE', KEYS[3], 2 * life)\n"
    "redis.call('SADD', KEYS[4], KEYS[1], KEYS[2])\n"
    "if redis.call('TTL', KEYS[4]) < life then redis.call('EXPIRE', KEYS[4], life) end\n"
    "return 1\n";

/* KEYS: hash, text, index. ARGV: kept, tail, shown. Reply: 1, or 0 when it is gone. */
static struct redis_script close_script;
static const char close_source[] =
    "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
    "redis.call('HSET', KEYS[1], 'tail', ARGV[2], 'shown', ARGV[3])\n"
    "redis.call('HDEL', KEYS[1], 'state', 'said', 'failed')\n"
    "redis.call('DEL', KEYS[2])\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[1])\n"
    "redis.call('ZADD', KEYS[3], 'XX', tonumber(redis.call('TIME')[1]) + tonumber(ARGV[1]), KEYS[1])\n"
    "return 1\n";

/* KEYS: hash, text. ARGV: who, offset, first. Without a text of its own it has that of the flight that it refers to. A text
 * that is shorter than the offset has been evicted: whoever writes it does so in vain. */
static struct redis_script look_script;
static const char look_source[] =
    "local h = redis.call('HMGET', KEYS[1], 'who', 'owner', 'writer', 'base', 'tail', 'shown', 'said', 'failed')\n"
    "if h[1] ~= ARGV[1] then return {0} end\n"
    "redis.call('HSET', KEYS[1], 'read', redis.call('TIME')[1])\n"
    "local function lives(name) return name and redis.call('EXISTS', 'fn:fb:' .. name:sub(1, 32)) or 0 end\n"
    "local text, of = KEYS[2], not h[3] and redis.call('HGET', KEYS[1], 'of')\n"
    "if of then\n"
    "  local o = redis.call('HMGET', of, 'writer', 'said', 'failed')\n"
    "  h[3], h[7], h[8], text = o[1], o[2], o[3], of .. ':t'\n"
    "end\n"
    "local writer = lives(h[3])\n"
    "if redis.call('STRLEN', text) < tonumber(ARGV[2]) then writer = 0 end\n"
    "local first = ARGV[3] == '1' and redis.call('HMGET', KEYS[1], 'state', 'meta', 'sources') or {false, false, false}\n"
    "return {1, lives(h[2]), writer, tonumber(h[4] or '0'), tonumber(h[8] or '0'), h[2] or '', h[3] or '',\n"
    "  redis.call('GETRANGE', text, ARGV[2], -1), h[7], h[5], h[6], first[1], first[2], first[3]}\n";

/* KEYS: hash. ARGV: the dead owner, us, 1 when it may live. Asked again after a reply that was lost, it says the same. */
static struct redis_script claim_script;
static const char claim_source[] =
    "local owner = redis.call('HGET', KEYS[1], 'owner')\n"
    "if owner == ARGV[2] then return 1 end\n"
    "if owner ~= ARGV[1] then return 0 end\n"
    "if ARGV[3] == '0' and redis.call('EXISTS', 'fn:fb:' .. owner:sub(1, 32)) == 1 then return 0 end\n"
    "redis.call('HSET', KEYS[1], 'owner', ARGV[2])\n"
    "return 1\n";

/* KEYS: hash, text. ARGV: base. */
static struct redis_script restart_script;
static const char restart_source[] = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
                                     "redis.call('HSET', KEYS[1], 'base', ARGV[1])\n"
                                     "return 1\n";

/* KEYS: hash. ARGV: key of a flight. */
static struct redis_script refer_script;
static const char refer_source[] = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
                                   "redis.call('HSET', KEYS[1], 'of', ARGV[1])\n"
                                   "return 1\n";

/* KEYS: hash. Reply: seconds, -1 never read, -2 gone. */
static struct redis_script unread_script;
static const char unread_source[] = "if redis.call('EXISTS', KEYS[1]) == 0 then return -2 end\n"
                                    "local at = redis.call('HGET', KEYS[1], 'read')\n"
                                    "return at and tonumber(redis.call('TIME')[1]) - tonumber(at) or -1\n";

void
frames_init(void)
{
    sem_init(&turn, 0, AT_ONCE);
    redis_script_init(&open_script, open_source);
    redis_script_init(&close_script, close_source);
    redis_script_init(&look_script, look_source);
    redis_script_init(&claim_script, claim_source);
    redis_script_init(&restart_script, restart_source);
    redis_script_init(&refer_script, refer_source);
    redis_script_init(&unread_script, unread_source);
}

void
frames_name(const struct request *r, const struct uuid *message_id, const uint8_t session[32],
            struct frames *f)
{
    const struct str parts[] = { STR("footnote stream"),
                                 { (const char *)session, 32 },
                                 { (const char *)r->who.key_hash, 32 } };
    char id[37];

    f->of[0] = 0;
    memcpy(f->session, session, 32);
    sha256(parts, 3, f->who);
    snprintf(f->key, sizeof f->key, "fn:f:%s:%s", r->who.tenant, uuid_text(message_id, id));
    snprintf(f->text_key, sizeof f->text_key, "%s:t", f->key);
    snprintf(f->owner, sizeof f->owner, "%s.%llx", r->gw->pulse->instance,
             (unsigned long long)atomic_fetch_add(&r->gw->pulse->serial, 1));
}

/* One script with a budget of its own: the stream waits for it at its beginning or at its end, or nobody does. */
static bool
run(struct request *r, const struct frames *f, const struct redis_script *s, size_t n_keys,
    const struct str *args, size_t n_args, struct arena *a, struct redis_val *v)
{
    const struct str keys[] = { str_of(f->key), str_of(f->text_key), STR(FRAMES_INDEX),
                                frames_session_set(r, f->session), frames_session_erased(r, f->session) };
    struct redis_budget budget = { 0 };
    bool good;

    *v = (struct redis_val){ .type = REDIS_ERROR };
    if (!r->gw->cache)
        return false;
    while (sem_wait(&turn) != 0)
        ; /* a signal */
    good = redis_eval(r->gw->cache, &budget, a, s, keys, n_keys, args, n_args, v) == 0;
    sem_post(&turn);
    return good;
}

/* A burst may time out where Redis lives: worth another try, since the stream hangs on it. */
static bool
run_patiently(struct request *r, const struct frames *f, const struct redis_script *s, size_t n_keys,
              const struct str *args, size_t n_args, struct arena *a, struct redis_val *v)
{
    for (int i = 0, pause = TRY_MS; i < TRIES; i++, pause *= 2) {
        if (run(r, f, s, n_keys, args, n_args, a, v))
            return true;
        if (!r->gw->cache || clock_ms() - atomic_load(&r->gw->pulse->good_ms) > FRAMES_DEAD_MS)
            return false;
        poll(NULL, 0, pause);
    }
    return false;
}

static bool
run_1(struct request *r, const struct frames *f, const struct redis_script *s, size_t n_keys,
      const struct str *args, size_t n_args)
{
    struct redis_val v;

    return run_patiently(r, f, s, n_keys, args, n_args, r->arena, &v) && v.type == REDIS_INT && v.i == 1;
}

static struct str
number(struct request *r, int64_t n)
{
    return str_of(arena_printf(r->arena, "%lld", (long long)n));
}

bool
frames_open(struct request *r, const struct frames *f, struct str state, struct str meta, struct str sources)
{
    const struct str args[] = { number(r, r->gw->opt->resumable_streams),
                                number(r, FRAMES_LONGEST_S),
                                { (const char *)f->who, 32 },
                                str_of(f->owner),
                                state,
                                meta,
                                sources,
                                number(r, (clock_us() - r->start_us) / 1000 + TRIP_MS),
                                str_of(f->of) };

    if (r->gw->opt->resumable_streams == 0 || state.n + meta.n + sources.n > FRAMES_STATE_MAX)
        return false;
    return run_1(r, f, &open_script, 5, args, 9);
}

bool
frames_close(struct request *r, const struct frames *f, struct str tail, struct str shown)
{
    const struct str args[] = { number(r, FRAMES_KEPT_S), tail, shown };

    if (tail.n <= FRAMES_TAIL_MAX && shown.n <= FRAMES_TEXT_MAX && run_1(r, f, &close_script, 3, args, 3))
        return true;
    frames_drop(r, f);
    return false;
}

void
frames_drop(struct request *r, const struct frames *f)
{
    const struct str del[] = { STR("DEL"), str_of(f->key), str_of(f->text_key) };
    const struct redis_cmd cmd = { del, 3 };
    struct redis_budget budget = { 0 };
    struct redis_val v;

    if (r->gw->cache)
        redis_run_in(r->gw->cache, &budget, r->arena, &cmd, 1, &v);
}

bool
frames_restart(struct request *r, const struct frames *f, int64_t base)
{
    const struct str args[] = { number(r, base) };

    return run_1(r, f, &restart_script, 1, args, 1);
}

void
frames_refer(struct request *r, const struct frames *f)
{
    const struct str args[] = { str_of(f->of) };

    run_1(r, f, &refer_script, 1, args, 1);
}

bool
frames_claim(struct request *r, const struct frames *f, struct str owner, bool force)
{
    const struct str args[] = { owner, str_of(f->owner), force ? STR("1") : STR("0") };

    return run_1(r, f, &claim_script, 1, args, 3);
}

bool
frames_wanted(struct request *r, const struct frames *f, int64_t *unread_s)
{
    struct redis_val v;

    *unread_s = 0;
    if (!run(r, f, &unread_script, 1, NULL, 0, r->arena, &v) || v.type != REDIS_INT)
        return true;
    *unread_s = v.i >= 0 ? v.i : INT64_MAX;
    return v.i > -2;
}

static struct str
text_of(const struct redis_val *v)
{
    return v->type == REDIS_STR ? (struct str){ v->s.p ? v->s.p : "", v->s.n } : STR_NONE;
}

enum frames_found
frames_look(struct request *r, const struct frames *f, size_t from, bool first, struct arena *a,
            struct frames_view *out)
{
    const struct str args[] = { { (const char *)f->who, 32 },
                                str_of(arena_printf(a, "%zu", from)),
                                first ? STR("1") : STR("0") };
    struct redis_val v, *x;

    *out = (struct frames_view){ 0 };
    if (!(first ? run_patiently : run)(r, f, &look_script, 2, args, 3, a, &v) || v.type != REDIS_LIST ||
        v.n < 1 || v.v[0].type != REDIS_INT)
        return FRAMES_AWAY;
    if (v.v[0].i != 1 || v.n != 14)
        return FRAMES_MISSING;
    x = v.v;
    *out = (struct frames_view){ .owner_lives = x[1].i == 1,
                                 .writer_lives = x[2].i == 1,
                                 .base = x[3].i > 0 ? x[3].i : 0,
                                 .failed = x[4].i == 0              ? ERR_OK
                                           : err_known((int)x[4].i) ? (enum err)x[4].i
                                                                    : ERR_INTERNAL,
                                 .owner = text_of(&x[5]),
                                 .writer = text_of(&x[6]),
                                 .text = text_of(&x[7]),
                                 .said = text_of(&x[8]),
                                 .tail = text_of(&x[9]),
                                 .shown = text_of(&x[10]),
                                 .state = text_of(&x[11]),
                                 .meta = text_of(&x[12]),
                                 .sources = text_of(&x[13]) };
    return FRAMES_THERE;
}

bool
frames_hold(struct request *r)
{
    if (atomic_fetch_add(&r->gw->unread, 1) * 4 < gateway_most(r->gw))
        return true;
    frames_let(r);
    return false;
}

void
frames_read_begin(struct request *r)
{
    atomic_fetch_add(&r->gw->reading, 1);
}

int
frames_read_count(const struct request *r)
{
    return (int)atomic_load(&r->gw->reading);
}

void
frames_read_end(struct request *r)
{
    atomic_fetch_sub(&r->gw->reading, 1);
}

void
frames_let(struct request *r)
{
    atomic_fetch_sub(&r->gw->unread, 1);
}

bool
frames_ending(const struct request *r)
{
    return atomic_load(&r->gw->cut);
}

/* ---- signs of life */

static int64_t
beat(void *arg)
{
    struct pulse *p = arg;
    char ms[24];
    struct str set[] = { STR("SET"), str_of(p->key), STR("1"), STR("PX"), STR_NONE };
    const struct redis_cmd cmd = { set, 5 };
    struct arena *a = arena_new(4096);
    struct redis_val v;

    snprintf(ms, sizeof ms, "%d", FRAMES_DEAD_MS);
    set[4] = str_of(ms);
    if (redis_run(p->gw->cache, a, &cmd, 1, &v) == 0) /* else the next one mends it */
        atomic_store(&p->good_ms, clock_ms());
    arena_free(&a);
    return FRAMES_BEAT_MS;
}

struct pulse *
pulse_start(struct gateway *gw)
{
    struct pulse *p = mem_new(sizeof *p);

    p->gw = gw;
    hex_random(16, p->instance);
    snprintf(p->key, sizeof p->key, "fn:fb:%s", p->instance);
    if (gw->cache && gw->opt->resumable_streams > 0 &&
        !(p->ticker = ticker_start("the signs of life for resumable streams", beat, p)))
        mem_free(&p);
    return p;
}

void
pulse_stop(struct pulse **p)
{
    if (!*p)
        return;
    ticker_stop(&(*p)->ticker);
    mem_free(p);
}
