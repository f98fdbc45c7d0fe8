/* Texts of resumable streams on their way to Redis (frames.h). A gateway that has not begun such a stream gets
 * the text from there, and a text outlives the gateway that asked for it.
 *
 * One trip each 50 ms for all texts that grew. A trip that failed is made again with the same bytes: the script knows
 * what it has, by length. Texts are kept only of streams that are there: what was erased or has expired is lost, and so is a text
 * that another embedder writes anew, one that is too long, and one that Redis did not take for 3 s. */
#include "embedder/frames.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "proto/frames.h"

#define TRIP_MS 50
#define FULL_MS 5 /* after a trip that left some out; the loop has other work, too */
#define BATCH 64  /* texts of one trip */
#define PATIENCE_MS 3000
#define STEP_MAX 16384u /* bytes of a text in one trip */
#define SAID_MAX 524288u

struct frames_log {
    struct frames *f;
    void *arg; /* of the callback; NULL: nobody wants to know */
    char key[FRAMES_KEY_MAX], text_key[FRAMES_KEY_MAX + 2];
    char name[56];     /* of the writer: our instance, and which of its texts */
    struct buf text;   /* not written yet */
    size_t written;    /* bytes before it */
    struct buf said;   /* the packed reply */
    enum err err;      /* instead of it */
    bool begun, ended; /* Redis knows of us; no more comes */
    int64_t since_ms;  /* of the first trip in vain; 0: none */
    struct frames_log *next, **prev;
};

struct frames {
    struct loop *loop;
    struct redis *redis;
    char instance[33], beat_key[48];
    void (*lost)(void *arg);
    struct frames_log *first, **tail; /* who waits longest stands first */
    long n;
    uint64_t timer;
    int64_t beat_ms; /* of the last sign of life */
    uint64_t serial; /* of the last text */
};

/* KEYS: our sign of life, then hash and text of each. ARGV: its ms, lifetime in seconds; of each offset, bytes, reply, error,
 * writer. Reply: of each 1 written, 0 not ours, -1 gone. */
static struct redis_script write_all;

static const char source[] =
    "redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])\n"
    "local out = {}\n"
    "for i = 1, (#KEYS - 1) / 2 do\n"
    "  local hash, text, a = KEYS[2 * i], KEYS[2 * i + 1], 5 * i - 2\n"
    "  local at, bytes = tonumber(ARGV[a]), ARGV[a + 1]\n"
    "  local done = 1\n"
    "  if redis.call('EXISTS', hash) == 0 then done = -1\n"
    "  elseif redis.call('HGET', hash, 'tail') then done = 2\n" /* its gateway was quicker: the end stands there, and the text is gone */
    "  elseif at == 0 then\n"
    "    redis.call('HSET', hash, 'writer', ARGV[a + 4])\n"
    "    redis.call('SET', text, bytes, 'EX', ARGV[2])\n"
    "  else\n"
    "    local have = redis.call('STRLEN', text)\n"
    "    if redis.call('HGET', hash, 'writer') ~= ARGV[a + 4] or (have ~= at and have ~= at + #bytes) then done = 0\n"
    "    elseif have == at and #bytes > 0 then redis.call('APPEND', text, bytes) end\n"
    "  end\n"
    "  if done == 1 and ARGV[a + 2] ~= '' then redis.call('HSET', hash, 'said', ARGV[a + 2]) end\n"
    "  if done == 1 and ARGV[a + 3] ~= '' then redis.call('HSET', hash, 'failed', ARGV[a + 3]) end\n"
    "  out[i] = done == 2 and 1 or done\n"
    "end\n"
    "return out\n";

struct frames *
frames_new(struct loop *l, struct redis *redis, const char *instance, void (*lost)(void *arg))
{
    struct frames *f;

    if (!redis)
        return NULL;
    f = mem_new(sizeof *f);
    *f = (struct frames){ .loop = l, .redis = redis, .lost = lost };
    f->tail = &f->first;
    snprintf(f->instance, sizeof f->instance, "%s", instance);
    snprintf(f->beat_key, sizeof f->beat_key, "fn:fb:%s", instance);
    redis_script_init(&write_all, source);
    return f;
}

long
frames_count(const struct frames *f)
{
    return f ? f->n : 0;
}

static void
unlink_log(struct frames_log *l)
{
    *l->prev = l->next;
    if (l->next)
        l->next->prev = l->prev;
    else
        l->f->tail = l->prev;
}

static void
append_log(struct frames_log *l)
{
    l->next = NULL;
    l->prev = l->f->tail;
    *l->prev = l;
    l->f->tail = &l->next;
}

static void
log_free(struct frames_log *l)
{
    unlink_log(l);
    l->f->n--;
    buf_free(&l->text);
    buf_free(&l->said);
    mem_free(&l);
}

static void
log_lose(struct frames_log *l)
{
    void (*lost)(void *arg) = l->f->lost;
    void *arg = l->arg;

    stat_inc(&embedder_stats, CHAT_FRAMES_LOST);
    log_free(l);
    if (arg)
        lost(arg);
}

/* ---- a trip */

static bool
waits(const struct frames_log *l)
{
    return !l->begun || l->text.n > 0 || l->ended;
}

static struct str
piece(const struct frames_log *l)
{
    struct str s = buf_slice(&l->text);

    return utf8_cut(s, STEP_MAX);
}

/* Does this trip bring the last of it? */
static bool
is_last(const struct frames_log *l)
{
    return l->ended && l->text.n <= STEP_MAX;
}

struct trip {
    struct frames_log *v[BATCH];
    size_t n;
    struct str keys[1 + 2 * BATCH], args[2 + 5 * BATCH];
    char numbers[BATCH][2][24];
};

static void
pack(struct frames *f, struct trip *t)
{
    static char dead[24], longest[24];

    snprintf(dead, sizeof dead, "%d", FRAMES_MUTE_MS);
    snprintf(longest, sizeof longest, "%d", FRAMES_LONGEST_S);
    t->keys[0] = str_of(f->beat_key);
    t->args[0] = str_of(dead);
    t->args[1] = str_of(longest);
    for (size_t i = 0; i < t->n; i++) {
        struct frames_log *l = t->v[i];
        struct str *a = t->args + 2 + 5 * i;

        snprintf(t->numbers[i][0], sizeof t->numbers[i][0], "%zu", l->written);
        snprintf(t->numbers[i][1], sizeof t->numbers[i][1], "%d", (int)l->err);
        t->keys[1 + 2 * i] = str_of(l->key);
        t->keys[2 + 2 * i] = str_of(l->text_key);
        a[0] = str_of(t->numbers[i][0]);
        a[1] = piece(l);
        a[2] = is_last(l) ? buf_slice(&l->said) : STR("");
        a[3] = is_last(l) && l->err ? str_of(t->numbers[i][1]) : STR("");
        a[4] = str_of(l->name);
    }
}

static void
took(struct frames_log *l, const struct redis_val *v)
{
    bool last = is_last(l);
    size_t n = piece(l).n;

    if (v->type != REDIS_INT || v->i != 1) {
        log_lose(l);
        return;
    }
    l->begun = true;
    l->since_ms = 0;
    l->written += n;
    buf_cut(&l->text, n);
    if (last)
        log_free(l);
}

static void
in_vain(struct frames_log *l, int64_t now)
{
    if (l->since_ms == 0)
        l->since_ms = now;
    else if (now - l->since_ms > PATIENCE_MS)
        log_lose(l);
}

/* One trip with at most BATCH texts, which stand last afterwards: the others have the next one. True: the batch was full. */
static bool
go(struct frames *f, int64_t now)
{
    struct trip *t = mem_new(sizeof *t);
    struct arena *a = arena_new(65536);
    struct redis_val v = { .type = REDIS_ERROR };
    bool good, full;

    for (struct frames_log *l = f->first; l && t->n < BATCH; l = l->next)
        if (waits(l))
            t->v[t->n++] = l;
    full = t->n == BATCH;
    for (size_t i = 0; i < t->n; i++) {
        unlink_log(t->v[i]);
        append_log(t->v[i]);
    }
    if (t->n > 0 || now - f->beat_ms >= FRAMES_BEAT_MS) {
        pack(f, t);
        good = redis_eval(f->redis, NULL, a, &write_all, t->keys, 1 + 2 * t->n, t->args, 2 + 5 * t->n, &v) ==
                   0 &&
               v.type == REDIS_LIST && v.n == t->n;
        if (good)
            f->beat_ms = now;
        for (size_t i = 0; i < t->n; i++)
            good ? took(t->v[i], &v.v[i]) : in_vain(t->v[i], now);
    }
    arena_free(&a);
    mem_free(&t);
    return full;
}

static void
on_trip(void *arg)
{
    struct frames *f = arg;
    int64_t now = clock_ms();
    bool full;

    f->timer = 0;
    full = go(f, now);
    if (f->first)
        f->timer = loop_after(f->loop, full ? FULL_MS : TRIP_MS, on_trip, f);
}

void
frames_free(struct frames **fp)
{
    struct frames *f = *fp;

    if (!f)
        return;
    loop_cancel(f->loop, &f->timer);
    for (long left = f->n; left > 0; left -= BATCH)
        (void)go(f, clock_ms()); /* what ended just now */
    while (f->first)
        log_free(f->first);
    mem_free(fp);
}

/* ---- a text */

struct frames_log *
frames_begin(struct frames *f, struct str key, void *arg)
{
    struct frames_log *l;

    if (!f || key.n == 0 || key.n >= FRAMES_KEY_MAX || str_has_byte(key, 0) || !str_starts(key, "fn:f:"))
        return NULL;
    l = mem_new(sizeof *l);
    *l = (struct frames_log){
        .f = f, .arg = arg, .text = BUF_MAX(FRAMES_TEXT_MAX), .said = BUF_MAX(SAID_MAX)
    };
    snprintf(l->key, sizeof l->key, STR_FMT, STR_ARG(key));
    snprintf(l->text_key, sizeof l->text_key, "%s:t", l->key);
    snprintf(l->name, sizeof l->name, "%s.%llx", f->instance, (unsigned long long)++f->serial);
    append_log(l);
    f->n++;
    if (!f->timer)
        f->timer = loop_after(f->loop, 0, on_trip, f);
    return l;
}

void
frames_add(struct frames_log *l, struct str text)
{
    if (l && l->written + l->text.n + text.n <= FRAMES_TEXT_MAX)
        buf_str(&l->text, text);
    else if (l && text.n > 0)
        l->written = SIZE_MAX; /* no length that Redis has: lost with the next trip */
}

void
frames_end(struct frames_log **lp, const struct chat_rep *rep, enum err err)
{
    struct frames_log *l = *lp;

    *lp = NULL;
    if (!l)
        return;
    l->arg = NULL;
    l->ended = true;
    l->err = err;
    if (rep && msg_encode(chat_rep_desc(), rep, &l->said) != ERR_OK)
        l->err = ERR_INTERNAL;
}
