/* The outbox: turns that the gateway queued in the Redis stream fn:turns (a cached answer, or one that could not be saved).
 *
 *   timer ─▶ READ (thread: claim what was left, read what is new) ─▶ SAVE (four transactions at a time) ─▶ ACK (thread)
 *
 * An entry has q, a packed turn_finish_req, and perhaps a, the packed cached answer that it takes the rest from. All
 * stores share one consumer: an entry that nobody acknowledged within a second is taken up again, by whoever comes first;
 * the transactions are idempotent. An entry that can never be read or stored goes to
 * fn:turns:bad, which is bounded. */
#include <assert.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/threads.h"
#include "common/redis/redis.h"
#include "proto/answer.h"
#include "store/calls/calls.h"
#include "store/stat.h"
#include "store/store.h"

#define STREAM STR("fn:turns")
#define BAD STR("fn:turns:bad")
#define GROUP STR("store")
#define BATCH 100
#define BAD_MS 86400000
#define POLL_MS 100
#define SAVE_MS 2000
#define PARALLEL 4
#define ARENA_BYTES 268435456

enum phase { PHASE_IDLE, PHASE_READ, PHASE_SAVE, PHASE_ACK, PHASES };

struct entry {
    struct outbox *o;
    struct str id, q, a;         /* as read */
    struct turn_finish_req turn; /* merged */
    struct str tenant;
    bool saved;      /* or to be forgotten */
    const char *bad; /* why it will never be saved */
};

struct outbox {
    struct store *s;
    struct redis *redis;
    struct pool_threads *threads; /* one: Redis calls block */
    enum phase phase;
    uint64_t timer;
    struct arena *arena;     /* of the batch */
    struct entry *v;         /* the batch */
    size_t n, next, running; /* entries, first that was not begun, transactions */
    long count;              /* entries to ask for; less after a failure */
    bool grouped;            /* the consumer group exists */
    bool failed;             /* the thread's last work */
    bool filling;            /* save_next begins transactions; one that ends at once is its business */
    _Atomic int64_t length;  /* of the stream */
    void (*stopped)(struct store *s); /* set: stop after this batch */
};

static void poll_soon(struct outbox *o, int64_t ms);
static void save_next(struct outbox *o);

/* ---- reading (on the thread) */

static void
add_entry(struct outbox *o, const struct redis_val *e)
{
    struct entry *to = &o->v[o->n];

    if (e->type != REDIS_LIST || e->n != 2 || e->v[0].type != REDIS_STR || o->n >= 2 * BATCH)
        return; /* a nil stands for an entry that was deleted */
    *to = (struct entry){ .o = o, .id = e->v[0].s };
    for (size_t i = 0; e->v[1].type == REDIS_LIST && i + 1 < e->v[1].n; i += 2) {
        if (str_is(e->v[1].v[i].s, "q"))
            to->q = e->v[1].v[i + 1].s;
        else if (str_is(e->v[1].v[i].s, "a"))
            to->a = e->v[1].v[i + 1].s;
    }
    o->n++;
}

static void
add_entries(struct outbox *o, const struct redis_val *list)
{
    for (size_t i = 0; list->type == REDIS_LIST && i < list->n; i++)
        add_entry(o, &list->v[i]);
}

static int
make_group(struct outbox *o)
{
    const struct str argv[] = { STR("XGROUP"), STR("CREATE"), STREAM, GROUP, STR("0"), STR("MKSTREAM") };
    const struct redis_cmd cmd = { argv, 6 };
    struct redis_val out = { 0 };

    if (redis_run(o->redis, o->arena, &cmd, 1, &out) < 0)
        return -1;
    o->grouped = out.type == REDIS_STATUS || (out.type == REDIS_ERROR && str_starts(out.s, "BUSYGROUP"));
    return o->grouped ? 0 : -1;
}

static void
read_work(void *arg)
{
    struct outbox *o = arg;
    char count[24];
    struct str n = { count, (size_t)snprintf(count, sizeof count, "%ld", o->count) };
    const struct str len[] = { STR("XLEN"), STREAM };
    const struct str claim[] = { STR("XAUTOCLAIM"), STREAM,     GROUP,        GROUP,
                                 STR("1000"),       STR("0-0"), STR("COUNT"), n };
    const struct str read[] = { STR("XREADGROUP"), STR("GROUP"), GROUP,   GROUP, STR("COUNT"), n,
                                STR("STREAMS"),    STREAM,       STR(">") };
    const struct redis_cmd cmds[] = { { len, 2 }, { claim, 8 }, { read, 9 } };
    struct redis_val out[3] = { { 0 } };

    o->failed = true;
    if ((!o->grouped && make_group(o) < 0) || redis_run(o->redis, o->arena, cmds, 3, out) < 0)
        return;
    if (out[0].type == REDIS_INT)
        o->length = out[0].i;
    if (out[1].type == REDIS_ERROR || out[2].type == REDIS_ERROR) {
        o->grouped = false; /* NOGROUP: the stream was deleted */
        return;
    }
    if (out[1].type == REDIS_LIST && out[1].n >= 2)
        add_entries(o, &out[1].v[1]);
    if (out[2].type == REDIS_LIST && out[2].n == 1 && out[2].v[0].type == REDIS_LIST && out[2].v[0].n == 2)
        add_entries(o, &out[2].v[0].v[1]);
    o->failed = false;
}

/* ---- acknowledging (on the thread) */

static const struct str *
ids_command(struct outbox *o, const struct str *head, size_t n_head, size_t *argc)
{
    struct str *argv = arena_alloc(o->arena, (n_head + o->n) * sizeof *argv);

    if (!argv)
        return NULL;
    memcpy(argv, head, n_head * sizeof *head);
    *argc = n_head;
    for (size_t i = 0; i < o->n; i++)
        if (o->v[i].saved || o->v[i].bad)
            argv[(*argc)++] = o->v[i].id;
    return argv;
}

/* Malformed entries are kept for a look at them: a thousand of them, and two days at most, since they may be of a session
 * that is erased meanwhile. Entries that are a day old go with the next one, all of them a day
 * after the last. */
static int
move_bad(struct outbox *o)
{
    char oldest[24];
    struct str from = { oldest, (size_t)snprintf(oldest, sizeof oldest, "%lld",
                                                 (long long)(clock_wall_ms() - BAD_MS)) };
    const struct str trim[] = { STR("XTRIM"), BAD, STR("MINID"), from },
                     expire[] = { STR("EXPIRE"), BAD, STR("86400") };

    for (size_t i = 0; i < o->n; i++) {
        const struct entry *e = &o->v[i];
        const struct str add[] = { STR("XADD"),    BAD,         STR("MAXLEN"),
                                   STR("~"),       STR("1000"), STR("*"),
                                   STR("id"),      e->id,       STR("why"),
                                   str_of(e->bad), STR("q"),    e->q.p ? e->q : STR("") };
        const struct redis_cmd cmds[] = { { add, 12 }, { trim, 4 }, { expire, 3 } };
        struct redis_val out[3] = { { 0 } };

        if (e->bad && redis_run(o->redis, o->arena, cmds, 3, out) < 0)
            return -1;
    }
    return 0;
}

static void
ack_work(void *arg)
{
    struct outbox *o = arg;
    const struct str ack[] = { STR("XACK"), STREAM, GROUP }, del[] = { STR("XDEL"), STREAM };
    struct redis_cmd cmds[2];
    struct redis_val out[2] = { { 0 } };

    o->failed = true;
    cmds[0].argv = ids_command(o, ack, 3, &cmds[0].argc);
    cmds[1].argv = ids_command(o, del, 2, &cmds[1].argc);
    if (!cmds[0].argv || !cmds[1].argv || move_bad(o) < 0)
        return;
    o->failed = cmds[0].argc > 3 && redis_run(o->redis, o->arena, cmds, 2, out) < 0;
}

/* ---- saving (in the loop) */

/* A batch is read, saved and acknowledged; nothing to save, or nobody to read it: over at once. */
static void
phase_set(struct outbox *o, enum phase to)
{
    static const bool legal[PHASES][PHASES] = {
        [PHASE_IDLE] = { [PHASE_READ] = true },
        [PHASE_READ] = { [PHASE_SAVE] = true, [PHASE_IDLE] = true },
        [PHASE_SAVE] = { [PHASE_ACK] = true },
        [PHASE_ACK] = { [PHASE_IDLE] = true },
    };

    assert(legal[o->phase][to]);
    o->phase = to;
}

static void
end_batch(struct outbox *o)
{
    bool full = (long)o->n >= o->count;

    phase_set(o, PHASE_IDLE);
    o->n = o->next = 0;
    arena_free(&o->arena);
    if (o->stopped)
        o->stopped(o->s);
    else
        poll_soon(o, full && !o->failed ? 0 : POLL_MS);
}

static void
on_acked(void *arg)
{
    struct outbox *o = arg;

    if (o->failed)
        stat_inc(&store_stats, STAT_OUTBOX_ERRORS);
    end_batch(o);
}

static void
batch_saved(struct outbox *o)
{
    phase_set(o, PHASE_ACK);
    if (threads_run(o->threads, ack_work, on_acked, o) < 0) {
        o->failed = true; /* not acknowledged: saved again later, to no effect */
        on_acked(o);
    }
}

static void
note_bad(struct entry *e, const char *why)
{
    e->bad = why;
    stat_inc(&store_stats, STAT_OUTBOX_BAD);
    LOG(ERROR, NULL, M("a queued turn cannot be saved; it is in fn:turns:bad"), KN("id", e->id),
        KS("why", why));
}

static void
on_saved(struct tx *t)
{
    struct entry *e = t->arg;
    struct outbox *o = e->o;

    o->running--;
    if (t->err == ERR_OK) {
        e->saved = true;
        stat_inc(&store_stats, STAT_OUTBOX_SAVED);
    } else if (t->refused == 0 || t->err == ERR_NOT_FOUND) {
        e->saved = true; /* nothing of what was erased is kept, not even in fn:turns:bad */
        stat_inc(&store_stats, STAT_OUTBOX_ERASED);
    } else if (t->err == ERR_VALIDATION || t->err == ERR_CONFLICT) {
        note_bad(e, err_name(t->err));
    }
    if (!o->filling)
        save_next(o);
}

/* q alone, or q's ids with a's answer. */
static bool
merge(struct outbox *o, struct entry *e)
{
    struct turn_finish_req cached, *q = &e->turn;

    if (msg_decode(turn_finish_req_desc(), e->q.p, e->q.n, o->arena, q) != ERR_OK || q->session.n != 32)
        return false;
    e->tenant = q->tenant.n ? q->tenant : STR("default");
    if (!e->a.p)
        return true;
    if (answer_unpack(e->a, o->arena, NULL, NULL, NULL, &cached) != ERR_OK)
        return false;
    q->answer = cached.answer;
    q->model = cached.model;
    q->status = cached.status;
    q->confidence = cached.confidence;
    q->grounded = cached.grounded;
    q->citations.v = cached.citations.v;
    q->citations.n = cached.citations.n;
    q->from_cache = true;
    q->origin_id = cached.message_id;
    q->origin_ms = cached.created_ms;
    q->prompt_tokens = q->completion_tokens = 0;
    for (size_t i = 0; i < q->citations.n; i++)
        memset(&q->citations.v[i].id, 0, sizeof(struct uuid)); /* named anew, by message and n */
    return true;
}

static void
save_next(struct outbox *o)
{
    o->filling = true;
    while (o->running < PARALLEL && o->next < o->n) {
        struct entry *e = &o->v[o->next++];
        struct owner who;
        struct tx *t;

        if (!merge(o, e)) {
            note_bad(e, "malformed");
            continue;
        }
        t = tx_own(o->s->pool, SAVE_MS, on_saved, e);
        who = (struct owner){ e->tenant, session_key(e->tenant, e->turn.session) };
        turn_finish_add(t, &e->turn, &who);
        o->running++;
        tx_run(t);
    }
    o->filling = false;
    if (o->running == 0 && o->next == o->n)
        batch_saved(o);
}

static void
on_read(void *arg)
{
    struct outbox *o = arg;

    if (o->failed) {
        stat_inc(&store_stats, STAT_OUTBOX_ERRORS);
        o->count = o->count > 1 ? o->count / 2 : 1;
        o->n = 0;
    } else {
        o->count = BATCH;
    }
    if (o->n == 0) {
        end_batch(o);
        return;
    }
    phase_set(o, PHASE_SAVE);
    o->next = o->running = 0;
    save_next(o);
}

static void
on_poll(void *arg)
{
    struct outbox *o = arg;

    o->timer = 0;
    /* while Postgres is away the turns are safe where they are */
    if (!o->s->migrated || pool_state(o->s->pool).down) {
        poll_soon(o, POLL_MS);
        return;
    }
    phase_set(o, PHASE_READ);
    o->arena = arena_new(ARENA_BYTES);
    o->v = arena_alloc(o->arena, 2 * BATCH * sizeof *o->v);
    o->n = 0;
    if (threads_run(o->threads, read_work, on_read, o) < 0)
        end_batch(o);
}

static void
poll_soon(struct outbox *o, int64_t ms)
{
    if (o->timer == 0)
        o->timer = loop_after(o->s->proc->loop, ms, on_poll, o);
}

/* ---- life */

struct outbox *
outbox_new(struct store *s, const char *redis_url, struct buf *why)
{
    struct redis *r = redis_new(redis_url, REDIS_TLS_FILES(s->opt), why);
    struct outbox *o;

    if (!r)
        return NULL;
    o = mem_new(sizeof *o);
    o->s = s;
    o->redis = r;
    o->count = BATCH;
    o->threads = threads_new(s->proc->loop, 1, 4);
    poll_soon(o, POLL_MS);
    return o;
}

void
outbox_stop(struct outbox *o, void (*done)(struct store *s))
{
    loop_cancel(o->s->proc->loop, &o->timer);
    o->stopped = done;
    if (o->phase == PHASE_IDLE)
        done(o->s);
}

void
outbox_free(struct outbox **o)
{
    if (!*o)
        return;
    loop_cancel((*o)->s->proc->loop, &(*o)->timer);
    threads_free(&(*o)->threads);
    redis_free(&(*o)->redis);
    arena_free(&(*o)->arena);
    mem_free(o);
}

int64_t
outbox_length(const struct outbox *o)
{
    return o->length;
}
