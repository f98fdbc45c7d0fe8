/* Advances: a gateway takes tokens of a busy limit from Redis in lots, in the background and before they are needed, so that a request
 * whose answer is near makes no trip. All of its buckets must have one; else it asks Redis, as ever. So lots are taken only for requests all of
 * whose buckets are busy and may have one: an address behind which many sessions ask a little is none of theirs.
 *
 *   IDLE ─busy─▶ DUE ─thread─▶ ASKED ─granted─▶ HELD ─few left, or old─▶ DUE …
 *                                └─none─▶ IDLE     └─LIFE_MS over─▶ what is left goes back ─▶ IDLE
 *
 * No limit is ever exceeded: with W what Redis has charged of a bucket and not seen refilled, A the same if each token were charged when it is
 * spent, and O the tokens of open lots (taken and neither spent, given back nor over), W >= A + O. Taking, spending and giving back keep that;
 * time takes as much of W as of A, but when A is empty. Only then W - O counts, and it lasts for KEEP_MS, which no lot is open for longer: at
 * each lot W is brought to KEEP_MS above the lots that others have open (they are noted beside the bucket), if it is not there anyway. So much of
 * a full quota is given up while a lot is open, and nothing of one that is in use. Where that would be more than a hundredth (windows below a minute)
 * there are lots only of what is in use.
 *
 * Never more than a 32nd of what is left is taken, and below 256 none: towards its end a limit is counted request by request, and a
 * gateway that dies takes no more than one lot of each bucket along. Tokens that nobody wanted go back within KEEP_MS of Redis's clock, if their
 * lot is still noted; later, or when Redis has lost its data, they are lost. */
#include "gateway/admit/advance.h"

#include <pthread.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/process/ticker.h"
#include "common/text/text.h"
#include "gateway/edge/stat.h"
#include "gateway/gateway.h"

#define SETS 256u
#define WAYS 4u
#define HELD_MAX (SETS * WAYS) /* buckets that have a lot, or are to get one */
#define TOGETHER 64            /* of one trip */
#define WINDOW_MS 250          /* in which requests are counted */
#define BUSY 6                 /* of them in a window are worth a lot */
#define LIFE_MS 400            /* in which a lot may be spent */
#define KEEP_MS 600            /* in which the rest may go back */
#define EARLY_MS 100           /* before its end a lot is taken anew */
#define SHARE 32               /* of what is left: one in so many */
#define LOT_LEAST 8
#define LOT_MOST 4096
#define AGAIN_MS 5000 /* after a lot that was not granted */
#define AWAY_MS 500   /* the same when Redis did not say */
#define REPLY_MAX (1u << 20)

enum bucket_state { IDLE, DUE, ASKED, HELD };

struct bucket_here {
    uint64_t id; /* 0: free */
    char key[LIMIT_KEY];
    long q, w;
    enum bucket_state state;
    int64_t window_ms, asked, before; /* requests since then, and in the window before */
    int64_t could, could_before;      /* of these such as could spend a lot */
    int64_t tokens, size;             /* of its lot: left, and at first */
    int64_t until_ms;                 /* when they end; without a lot: before which none is asked for */
    int64_t at_us, tat_us;            /* Redis's time of the lot, and the bucket after it */
    int64_t told_ms;                  /* clock_ms() of that time */
};

struct advance {
    struct gateway *gw;
    struct ticker *ticker;
    char name[17];                      /* of this gateway */
    pthread_mutex_t lock;               /* of all that follows */
    struct bucket_here *buckets;        /* NULL: none is needed yet */
    struct bucket_here *held[HELD_MAX]; /* those that are not IDLE */
    size_t n_held;
    bool ends; /* every lot is over */
};

/* KEYS: buckets, then their open lots ("<gateway> <time> <tokens>;" of each). ARGV: KEEP_MS in µs, us, then of each: step and tau in µs,
 * tokens wanted, tokens back, and the time of their lot. Reply: now, then of each: tokens granted, TAT, tokens that went back. A lot is noted
 * before it is charged. The rest is admit.c's. */
static struct redis_script script;
static const char script_source[] =
    "local t = redis.call('TIME')\n"
    "local now, keep, me, n = t[1] * 1000000 + t[2], tonumber(ARGV[1]), ARGV[2], #KEYS / 2\n"
    "local got, out = redis.call('MGET', unpack(KEYS)), {now}\n"
    "for i = 1, n do\n"
    "  local a = 5 * i - 2\n"
    "  local step, tau, want = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])\n"
    "  local back, mine, others, open = tonumber(ARGV[a + 3]), false, 0, ''\n"
    "  for who, at, size in string.gmatch(got[n + i] or '', '(%w+) (%d+) (%d+);') do\n"
    "    if who == me then mine = at == ARGV[a + 4] and now - at <= keep and now - at >= 0\n"
    "    elseif now - at <= keep then\n"
    "      others, open = others + size, open .. who .. ' ' .. at .. ' ' .. size .. ';'\n"
    "    end\n"
    "  end\n"
    "  if not mine then back = 0 end\n"
    "  local was = tonumber(got[i] or now) or now\n"
    "  if not (was > now) then was = now end\n"
    "  if was > now + tau then was = now + tau end\n"
    "  local tat, grant = math.max(was - back * step, now), 0\n"
    "  if want > 0 then\n"
    "    local base, least = tat, now + keep + others * step\n"
    "    if base < least and tau >= 100 * keep then base = least end\n"
    "    if base >= least then grant = math.min(want, math.floor((now + tau - base) / step / 32)) end\n"
    "    if grant < 8 then grant = 0 else tat = base + grant * step end\n"
    "  end\n"
    "  if grant > 0 then open = open .. me .. string.format(' %.0f %d;', now, grant) end\n"
    "  local r = open == '' and redis.pcall('DEL', KEYS[n + i])\n"
    "    or redis.pcall('SET', KEYS[n + i], open, 'PX', math.ceil(keep / 1000) + 1)\n"
    "  if type(r) == 'number' or not r.err then\n"
    "    r = redis.pcall('SET', KEYS[i], tat, 'PX', math.ceil((tat - now) / 1000) + 1)\n"
    "  end\n"
    "  if type(r) ~= 'number' and r.err then grant, back, tat = 0, 0, was end\n"
    "  out[3 * i - 1], out[3 * i], out[3 * i + 1] = grant, tat, back\n"
    "end\n"
    "return out\n";

/* ---- the table, under the lock */

static bool
is(const struct bucket_here *b, uint64_t id, const char *key, const struct policy *p)
{
    return b->id == id && b->q == p->q && b->w == p->w && strcmp(b->key, key) == 0;
}

static struct bucket_here *
find(const struct advance *a, uint64_t id, const char *key, const struct policy *p)
{
    struct bucket_here *set = a->buckets ? a->buckets + id % SETS * WAYS : NULL;

    for (size_t i = 0; set && i < WAYS; i++)
        if (is(&set[i], id, key, p))
            return &set[i];
    return NULL;
}

/* The bucket, in the place of the one that was least lately asked for; NULL: all of its set have lots. */
static struct bucket_here *
get(struct advance *a, uint64_t id, const char *key, const struct policy *p)
{
    struct bucket_here *b = find(a, id, key, p), *set, *oldest = NULL;

    if (b)
        return b;
    if (!a->buckets)
        a->buckets = mem_new(SETS * WAYS * sizeof *a->buckets);
    set = a->buckets + id % SETS * WAYS;
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].state == IDLE && (!oldest || set[i].window_ms < oldest->window_ms))
            oldest = &set[i];
    if (oldest) {
        *oldest = (struct bucket_here){ .id = id, .q = p->q, .w = p->w };
        snprintf(oldest->key, sizeof oldest->key, "%s", key);
    }
    return oldest;
}

static bool
spendable(const struct bucket_here *b, int64_t now)
{
    return b->state != ASKED && b->tokens > 0 && now < b->until_ms;
}

/* True: the thread has something to do that it does not know of. */
static bool
want(struct advance *a, struct bucket_here *b, int64_t now)
{
    bool low = b->state == HELD && (b->tokens * 4 < b->size || now > b->until_ms - EARLY_MS);

    if (b->state == IDLE && now >= b->until_ms && a->n_held < HELD_MAX) {
        a->held[a->n_held++] = b;
        low = true;
    }
    if (low)
        b->state = DUE;
    return low;
}

/* True: it is worth a lot, and may get one. */
static bool
note(struct bucket_here *b, int64_t now)
{
    if (now - b->window_ms >= WINDOW_MS) {
        bool next = now - b->window_ms < 2 * WINDOW_MS;

        b->before = next ? b->asked : 0;
        b->could_before = next ? b->could : 0;
        b->asked = b->could = 0;
        b->window_ms = now;
    }
    b->asked++;
    return (b->asked >= BUSY || b->before >= BUSY) && b->q >= LOT_LEAST * SHARE &&
           (b->state != IDLE || now >= b->until_ms);
}

void
advance_note(struct advance *a, const struct advance_ask *ask)
{
    struct bucket_here *b[LIMIT_POLICIES];
    int64_t now = clock_ms();
    bool could = true, wake = false;

    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < ask->s->n; i++) {
        b[i] = get(a, ask->id[i], ask->key[i], &ask->s->p[i]);
        could = b[i] && note(b[i], now) && could;
    }
    for (size_t i = 0; could && i < ask->s->n; i++) {
        b[i]->could++;
        wake = want(a, b[i], now) || wake;
    }
    pthread_mutex_unlock(&a->lock);
    if (wake)
        ticker_wake(a->ticker);
}

/* Under the lock: b[] are the buckets when there is a token of each. */
static bool
all_here(const struct advance *a, const struct advance_ask *ask, int64_t now,
         struct bucket_here *b[LIMIT_POLICIES])
{
    for (size_t i = 0; i < ask->s->n; i++) {
        b[i] = find(a, ask->id[i], ask->key[i], &ask->s->p[i]);
        if (!b[i] || !spendable(b[i], now))
            return false;
    }
    return true;
}

bool
advance_has(struct advance *a, const struct advance_ask *ask)
{
    struct bucket_here *b[LIMIT_POLICIES];
    bool all;

    if (!a)
        return false;
    pthread_mutex_lock(&a->lock);
    all = all_here(a, ask, clock_ms(), b);
    pthread_mutex_unlock(&a->lock);
    return all;
}

/* As if it had been charged by itself. */
static void
tell(const struct bucket_here *b, int64_t now, struct policy *p)
{
    int64_t tau, step = gcra_step(p, 1, &tau), tat = b->tat_us - b->tokens * step;

    gcra(&tat, b->at_us + (now - b->told_ms) * 1000, 1, false, p);
    p->retry_ms = 0;
}

bool
advance_take(struct advance *a, const struct advance_ask *ask)
{
    struct bucket_here *b[LIMIT_POLICIES];
    int64_t now = clock_ms();
    bool all;

    if (!a)
        return false;
    pthread_mutex_lock(&a->lock);
    all = all_here(a, ask, now, b);
    for (size_t i = 0; all && i < ask->s->n; i++) {
        b[i]->tokens--;
        tell(b[i], now, &ask->s->p[i]);
    }
    pthread_mutex_unlock(&a->lock);
    if (all)
        stat_add_at(&gateway_stats, GW_ADVANCED, ADVANCE_SPENT, 0, ask->s->n);
    return all;
}

/* ---- the thread */

struct asked { /* of one trip */
    struct bucket_here *b[TOGETHER];
    int64_t want[TOGETHER], back[TOGETHER];
    size_t n;
};

static int64_t
lot_of(const struct bucket_here *b)
{
    int64_t rate = b->could > b->could_before ? b->could : b->could_before,
            n = rate * LIFE_MS / WINDOW_MS * 3 / 2;

    return n < LOT_LEAST ? LOT_LEAST : n > LOT_MOST ? LOT_MOST : n;
}

/* Under the lock: take held[i] off the list. */
static void
rest(struct advance *a, size_t i, int64_t until_ms)
{
    struct bucket_here *b = a->held[i];

    b->state = IDLE;
    b->tokens = 0;
    b->until_ms = until_ms;
    a->held[i] = a->held[--a->n_held];
}

/* Under the lock: what is to be asked for now. Tokens of these are spent no more. */
static void
gather(struct advance *a, int64_t now, struct asked *t)
{
    t->n = 0;
    for (size_t i = 0; i < a->n_held && t->n < TOGETHER;) {
        struct bucket_here *b = a->held[i];
        bool over = now >= b->until_ms || a->ends;

        if (b->state == HELD && over && b->tokens == 0) {
            rest(a, i, 0);
            continue;
        }
        i++;
        if (b->state != DUE && !(b->state == HELD && over))
            continue;
        t->b[t->n] = b;
        t->want[t->n] = b->state == DUE && !a->ends ? lot_of(b) : 0;
        t->back[t->n++] = b->tokens;
        b->state = ASKED;
        b->tokens = 0;
    }
}

static struct str
number(struct arena *m, int64_t v)
{
    return str_of(arena_printf(m, "%lld", (long long)v));
}

/* One trip. False: Redis does not say. */
static bool
ask_redis(struct advance *a, struct arena *m, const struct asked *t, struct redis_val *out)
{
    struct str *keys = arena_alloc(m, 2 * t->n * sizeof *keys),
               *args = arena_alloc(m, (5 * t->n + 2) * sizeof *args);
    size_t n = 0;

    if (!keys || !args)
        return false;
    args[n++] = number(m, KEEP_MS * 1000);
    args[n++] = str_of(a->name);
    for (size_t i = 0; i < t->n; i++) {
        const struct policy p = { .q = t->b[i]->q, .w = t->b[i]->w };
        int64_t tau, step = gcra_step(&p, 1, &tau);

        keys[i] = str_of(t->b[i]->key);
        keys[t->n + i] = str_of(arena_printf(m, "fn:rl:o:%s", t->b[i]->key + strlen("fn:rl:")));
        args[n++] = number(m, step);
        args[n++] = number(m, tau);
        args[n++] = number(m, t->want[i]);
        args[n++] = number(m, t->back[i]);
        args[n++] = number(m, t->b[i]->at_us);
    }
    if (redis_eval(a->gw->state, NULL, m, &script, keys, 2 * t->n, args, n, out) != 0 ||
        out->type != REDIS_LIST || out->n != 3 * t->n + 1)
        return false;
    for (size_t i = 0; i < out->n; i++)
        if (out->v[i].type != REDIS_INT || out->v[i].i < 0)
            return false;
    return true;
}

/* Under the lock. sent_ms: before the trip, which no lot can be older than. */
static void
grant(struct bucket_here *b, const struct redis_val *v, size_t i, int64_t sent_ms)
{
    b->state = HELD;
    b->tokens = b->size = v->v[3 * i + 1].i;
    b->at_us = v->v[0].i;
    b->tat_us = v->v[3 * i + 2].i;
    b->told_ms = sent_ms;
    b->until_ms = sent_ms + LIFE_MS;
}

/* Under the lock. v: NULL when Redis did not say. */
static void
install(struct advance *a, const struct asked *t, const struct redis_val *v, int64_t sent_ms)
{
    int64_t granted = 0, back = 0, lost = 0;

    for (size_t i = 0; i < t->n; i++) {
        int64_t returned = v ? v->v[3 * i + 3].i : 0;

        if (v && v->v[3 * i + 1].i > 0 && v->v[3 * i + 1].i <= t->want[i])
            grant(t->b[i], v, i, sent_ms);
        else
            t->b[i]->until_ms = t->want[i] == 0 ? 0 : sent_ms + (v ? AGAIN_MS : AWAY_MS);
        granted += t->b[i]->tokens;
        back += returned;
        lost += t->back[i] - returned;
    }
    for (size_t i = 0; i < a->n_held;)
        if (a->held[i]->state == ASKED)
            rest(a, i, a->held[i]->until_ms);
        else
            i++;
    stat_add_at(&gateway_stats, GW_ADVANCED, ADVANCE_TAKEN, 0, (uint64_t)granted);
    stat_add_at(&gateway_stats, GW_ADVANCED, ADVANCE_RETURNED, 0, (uint64_t)back);
    stat_add_at(&gateway_stats, GW_ADVANCED, ADVANCE_LOST, 0, (uint64_t)lost);
}

/* Under the lock: how long until there is something to do. */
static int64_t
next_due(const struct advance *a, int64_t now)
{
    int64_t soonest = TICKER_WOKEN;

    for (size_t i = 0; i < a->n_held; i++) {
        int64_t left = a->held[i]->state == DUE || a->ends ? 0 : a->held[i]->until_ms - now;

        if (soonest == TICKER_WOKEN || left < soonest)
            soonest = left > 0 ? left : 0;
    }
    return soonest;
}

static int64_t
look(void *arg)
{
    struct advance *a = arg;
    struct arena *m;
    struct redis_val v;
    struct asked t;
    int64_t now = clock_ms(), due;
    bool told;

    pthread_mutex_lock(&a->lock);
    gather(a, now, &t);
    pthread_mutex_unlock(&a->lock);
    if (t.n > 0) {
        m = arena_new(REPLY_MAX);
        told = ask_redis(a, m, &t, &v);
        pthread_mutex_lock(&a->lock);
        install(a, &t, told ? &v : NULL, now);
        pthread_mutex_unlock(&a->lock);
        arena_free(&m);
    }
    pthread_mutex_lock(&a->lock);
    due = next_due(a, clock_ms());
    pthread_mutex_unlock(&a->lock);
    return due;
}

/* ---- life */

static void
advance_free(struct advance **a)
{
    pthread_mutex_destroy(&(*a)->lock);
    mem_free(&(*a)->buckets);
    mem_free(a);
}

struct advance *
advance_start(struct gateway *gw)
{
    struct advance *a = mem_new(sizeof *a);

    a->gw = gw;
    hex_random(8, a->name);
    pthread_mutex_init(&a->lock, NULL);
    redis_script_init(&script, script_source);
    a->ticker = ticker_start("limits in advance", look, a);
    if (!a->ticker)
        advance_free(&a);
    return a;
}

void
advance_stop(struct advance **a)
{
    if (!*a)
        return;
    ticker_stop(&(*a)->ticker);
    (*a)->ends = true;
    while (look(*a) == 0)
        ;
    advance_free(a);
}
