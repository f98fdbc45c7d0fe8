/* Erasure of resumable streams and cached answers.
 *
 *   DELETE session ─▶ erased_tell: they go ─┬▶ fn:f:<tenant>:x:<mark>, its time: no stream of an older question is opened any more, nor its answer cached
 *                                           └▶ fn:f:erased, the latest ones ─▶ a thread of each gateway, every 100 ms ─┬▶ readers look at once
 *                                                                                                                    └▶ the near cache drops them (near.c)
 *
 * All of that is one script: who reads an answer from Redis before it hears of the erasure after. A reader looks by itself, too, but the
 * more of them a gateway has, the more seldom (follow.c). The thread asks one question for all of them and the near cache, and none while
 * there are none and that is empty. */
#include "gateway/admit/erased.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/random.h"
#include "common/process/cond.h"
#include "common/process/ticker.h"
#include "common/text/number.h"
#include "gateway/admit/cache_write.h"
#include "gateway/admit/near.h"
#include "gateway/gateway.h"
#include "proto/frames.h"

#define LOOK_MS 100
#define TRIES 3
#define LISTED_MS 10000 /* a gateway that has not heard of an erasure by then had no Redis */
#define LIST_MAX (1u << 20)

struct erasures {
    struct gateway *gw;
    struct ticker *ticker;
    pthread_mutex_t lock; /* of the list and what stands in it */
    struct erased_watch *first;
};

/* KEYS: the session's set of streams, its erasure, the latest ones, its set of answers. ARGV: seconds for which an older question may still
 * open a stream, ms for which an erasure is listed. Reply: answers, -1 when their set is none. */
static struct redis_script erase_script;
static const char erase_source[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "redis.call('SET', KEYS[2], string.format('%d', now), 'EX', ARGV[1])\n"
    "for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', key) end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[2])\n"
    "redis.call('ZADD', KEYS[3], now, KEYS[2])\n"
    "redis.call('EXPIRE', KEYS[3], ARGV[1])\n"
    "local answers = redis.pcall('SMEMBERS', KEYS[4])\n"
    "if answers.err then return -1 end\n"
    "for _, key in ipairs(answers) do redis.call('DEL', key) end\n"
    "redis.call('DEL', KEYS[4])\n"
    "return #answers\n";

void
erased_init(void)
{
    redis_script_init(&erase_script, erase_source);
}

static struct str
key_of(struct request *r, const uint8_t hash[32], const char *kind)
{
    char hex[65];

    return str_of(arena_printf(r->arena, "fn:f:%s:%s:%s", r->who.tenant, kind, hex_text(hash, 32, hex)));
}

struct str
frames_session_set(struct request *r, const uint8_t *session_hash)
{
    return key_of(r, session_hash, "s");
}

/* Nothing of the session is left: not its hash either. */
struct str
frames_session_erased(struct request *r, const uint8_t *session_hash)
{
    const struct str parts[] = { STR("footnote erased"), { (const char *)session_hash, 32 } };
    uint8_t hash[32];

    sha256(parts, 2, hash);
    return key_of(r, hash, "x");
}

int64_t
erased_tell(struct request *r, const uint8_t *session_hash)
{
    const struct str keys[] = { frames_session_set(r, session_hash), frames_session_erased(r, session_hash),
                                STR(FRAMES_ERASED), cache_session_set(r, session_hash) };
    const struct str args[] = { str_of(arena_printf(r->arena, "%d", FRAMES_LONGEST_S)),
                                str_of(arena_printf(r->arena, "%d", LISTED_MS)) };
    struct redis_val v;

    if (keys[1].p)
        near_erase(r->gw->near, near_mark(keys[1]), 0);
    if (!r->gw->cache || !keys[0].p || !keys[1].p || !keys[3].p || !args[0].p || !args[1].p)
        return -1;
    for (int i = 0; i < TRIES;
         i++) /* not within the request's time for Redis: what is not erased stays for an hour */
        if (redis_eval(r->gw->cache, NULL, r->arena, &erase_script, keys, 4, args, 2, &v) == 0 &&
            v.type == REDIS_INT)
            return v.i;
    return -1;
}

/* ---- who waits for news */

void
erased_watch_begin(struct request *r, struct erased_watch *w, const uint8_t *session_hash)
{
    struct erasures *e = r->gw->erasures;

    *w = (struct erased_watch){ 0 };
    snprintf(w->mark, sizeof w->mark, STR_FMT, STR_ARG(frames_session_erased(r, session_hash)));
    cond_init(&w->wake);
    pthread_mutex_lock(&e->lock);
    w->next = e->first;
    w->prev = &e->first;
    if (e->first)
        e->first->prev = &w->next;
    e->first = w;
    pthread_mutex_unlock(&e->lock);
    if (e->ticker)
        ticker_wake(e->ticker);
}

bool
erased_watch_wait(struct request *r, struct erased_watch *w, int64_t until_ms)
{
    struct erasures *e = r->gw->erasures;
    bool news;

    pthread_mutex_lock(&e->lock);
    while (!w->news && cond_wait(&w->wake, &e->lock, until_ms))
        ;
    news = w->news;
    w->news = false;
    pthread_mutex_unlock(&e->lock);
    return news;
}

void
erased_watch_end(struct request *r, struct erased_watch *w)
{
    struct erasures *e = r->gw->erasures;

    pthread_mutex_lock(&e->lock);
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    pthread_mutex_unlock(&e->lock);
    pthread_cond_destroy(&w->wake);
}

/* ---- the thread */

/* Under the lock. */
static void
tell(struct erasures *e, struct str mark, int64_t at_ms)
{
    for (struct erased_watch *w = e->first; w; w = w->next)
        if (at_ms > w->at_ms && str_is(mark, w->mark)) {
            w->at_ms = at_ms;
            w->news = true;
            pthread_cond_signal(&w->wake);
        }
}

/* Members and scores in turn. */
static void
tell_all(struct erasures *e, const struct redis_val *v)
{
    int64_t at_ms;

    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i + 1 < v->n; i += 2)
        if (v->v[i].type == REDIS_STR && v->v[i + 1].type == REDIS_STR &&
            number_parse(v->v[i + 1].s, 1, NUMBER_MOST, &at_ms)) {
            tell(e, v->v[i].s, at_ms);
            near_erase(e->gw->near, near_mark(v->v[i].s), at_ms);
        }
    pthread_mutex_unlock(&e->lock);
}

/* A name that is missing is made up; which one it has become is heard next time. */
static void
life_name(struct erasures *e, struct arena *a)
{
    char hex[33];
    struct str words[] = { STR("SET"), STR(FRAMES_LIFE), STR_NONE, STR("NX") };
    struct redis_cmd cmd = { words, 4 };
    struct redis_val v;

    words[2] = str_of(hex_random(16, hex));
    redis_run(e->gw->cache, a, &cmd, 1, &v);
}

/* asked_ms: before the question was sent. */
static void
hear(struct erasures *e, struct arena *a, int64_t asked_ms)
{
    static const struct str list[] = { STR("ZRANGE"), STR(FRAMES_ERASED), STR("0"), STR("-1"),
                                       STR("WITHSCORES") };
    static const struct str name[] = { STR("GET"), STR(FRAMES_LIFE) };
    static const struct redis_cmd cmds[] = { { list, 5 }, { name, 2 } };
    struct redis_val v[2];

    if (redis_run(e->gw->cache, a, cmds, 2, v) != 0 || v[0].type != REDIS_LIST) {
        near_deaf(e->gw->near);
        return;
    }
    tell_all(e, &v[0]);
    if (v[1].type == REDIS_STR)
        near_heard(e->gw->near, v[1].s, asked_ms);
    else if (near_listens(e->gw->near, asked_ms))
        life_name(e, a);
}

static int64_t
look(void *arg)
{
    struct erasures *e = arg;
    struct arena *a;
    int64_t now = clock_ms();
    bool wanted;

    pthread_mutex_lock(&e->lock);
    wanted = e->first != NULL;
    pthread_mutex_unlock(&e->lock);
    if (!near_listens(e->gw->near, now) && !wanted)
        return TICKER_WOKEN;
    a = arena_new(LIST_MAX);
    hear(e, a, now);
    arena_free(&a);
    return LOOK_MS;
}

void
erasures_wake(struct erasures *e)
{
    if (e && e->ticker)
        ticker_wake(e->ticker);
}

struct erasures *
erasures_start(struct gateway *gw)
{
    struct erasures *e = mem_new(sizeof *e);

    e->gw = gw;
    pthread_mutex_init(&e->lock, NULL);
    if (gw->cache && !(e->ticker = ticker_start("erased streams", look, e)))
        mem_free(&e);
    return e;
}

void
erasures_stop(struct erasures **e)
{
    if (!*e)
        return;
    ticker_stop(&(*e)->ticker);
    pthread_mutex_destroy(&(*e)->lock);
    mem_free(e);
}
