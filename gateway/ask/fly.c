/* A question in its flight (fly.h; docs/decisions/042). The leader goes the line of run.c and leaves what others need on the way: its
 * passages, and the model's reply; the text between them is written to Redis by the embedder, as that of a resumable stream (admit/frames.c).
 * Who follows cites, saves and caches the reply as its own:
 *
 *   leader     search ─▶ open ─▶ chat ───────────▶ said ─▶ cited, saved, cached ─▶ end
 *   follower   await ─▶ turn.begin ─▶ passages ─▶ text … ─▶ reply ─▶ cited, saved
 *                └─ over: look in the cache, join again        └─ over: join again; who leads then goes on behind what was shown
 *
 * A leader that dies leaves the answer to its writer: the followers have it to the end. Only where there is no writer either, where the
 * answer failed, or where it was erased is there another leader. */
#include "gateway/ask/fly.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "gateway/admit/erased.h"
#include "gateway/ask/relay.h"
#include "gateway/ask/share.h"

#define WAKE_MS 100 /* how often a follower looks after its client and its session */
#define LOOK_MS 50  /* between two looks in Redis, of all followers here: the embedder writes as often */
#define TRIES 3     /* flights that a question follows in vain */
#define WANTED_S 2  /* a follower has looked since */
#define VIEW_MAX (3u << 20)

/* ---- who leads */

static void
flight_name(const struct question *q, uint8_t key[32])
{
    const struct str parts[] = { STR("footnote flight"),
                                 { (const char *)q->share.sha256, 32 },
                                 { (const char *)&q->share.epoch, sizeof q->share.epoch } };

    sha256(parts, 3, key);
}

static void
leave(struct question *q)
{
    struct flying *f = &q->flying;

    if (f->flight)
        flight_leave(&f->flight, f->follows ? &f->me : NULL);
    f->follows = f->leads = false;
}

/* The first one of this gateway finds out. A stream leads nobody who would have to wait for its end, since it is as slow as its reader. */
static void
find_leader(struct question *q, const uint8_t key[32], bool patient)
{
    struct flying *f = &q->flying;
    struct flight_lease *l = arena_alloc(q->r->arena, sizeof *l);
    enum lease_taken taken = l ? flight_lease_take(q->r, key, q->session_hash, l) : LEASE_AWAY;

    f->lease = taken == LEASE_OURS ? l : NULL;
    f->leads = taken != LEASE_THEIRS;
    flight_set(f->flight, taken == LEASE_AWAY ? NULL : l);
    if (taken == LEASE_AWAY && !patient) {
        flight_land(f->flight);
        leave(q);
    }
}

bool
fly_join(struct question *q, bool stream, bool patient)
{
    struct flying *f = &q->flying;
    uint8_t key[32];
    bool first;

    flight_name(q, key);
    f->flight = flight_join(key, &first);
    f->leads = f->open = f->said = false;
    f->lease = NULL;
    if (first)
        find_leader(q, key, patient);
    if (f->leads || !f->flight)
        return true;
    f->follows = true;
    f->me = (struct follower){ .flight = f->flight, .whole = !stream };
    return false;
}

/* ---- looks in Redis, for all who follow here */

static void
look_missing(struct question *q, const struct flight_lease *l, struct flight_found *found)
{
    enum lease_state s = flight_lease_look(q->r, l);

    found->over = s == LEASE_GONE;
    found->bare = s == LEASE_BARE;
    found->away = s == LEASE_MUTE;
}

static void
look(struct question *q)
{
    struct flying *f = &q->flying;
    const struct flight_lease *l = flight_lease(f->flight);
    struct arena *a = arena_new(VIEW_MAX);
    struct flight_found found = { 0 };
    struct frames_view v;
    bool state;
    size_t from = flight_known(&f->me, &state);

    switch (frames_look(q->r, &l->frames, from, !state, a, &v)) {
    case FRAMES_THERE:
        if (!state)
            found.state = v.state;
        found.text = v.text;
        found.said = v.said;
        found.orphan = !v.owner_lives;
        found.over = !v.said.p && (v.failed || (!v.owner_lives && !v.writer_lives));
        break;
    case FRAMES_MISSING: look_missing(q, l, &found); break;
    case FRAMES_AWAY: found.away = true; break;
    }
    flight_look_end(&f->me, &found, LOOK_MS);
    arena_free(&a);
}

/* ---- what a follower reads */

/* False: they are not good, or not those that were shown. */
static bool
take_state(struct question *q, struct str state)
{
    struct arena *a = q->r->arena;
    struct stream_state *s = arena_alloc(a, sizeof *s);
    struct search_rep *found = arena_alloc(a, sizeof *found);
    struct str own = arena_str(a, state);
    uint8_t sum[32];

    sha256(&state, 1, sum);
    if (q->flying.announced)
        return memcmp(sum, q->flying.state, 32) == 0;
    if (!s || !found || !own.p || msg_decode(stream_state_desc(), own.p, own.n, a, s) != ERR_OK)
        return false;
    memcpy(q->flying.state, sum, 32);
    found->hits.v = s->hits.v;
    found->hits.n = s->hits.n;
    found->seq = s->seq;
    q->found = found;
    q->degraded = s->degraded;
    return true;
}

/* Passages and reply are kept; text is left in *found for its reader. */
static bool
read_news(struct question *q, struct arena *a, struct flight_found *found)
{
    struct flying *f = &q->flying;

    flight_read(&f->me, a, found);
    f->orphan = found->orphan;
    if (found->state.p && !take_state(q, found->state))
        return false;
    if (found->said.p)
        f->reply = arena_str(q->r->arena, found->said);
    return true;
}

static bool
refusal_only(const struct question *q)
{
    return q->found && q->found->hits.n == 0;
}

/* One that does not read along begins when everything is there. */
static bool
read_whole(struct question *q, bool *good)
{
    struct arena *a = arena_new(VIEW_MAX);
    struct flight_found found;

    *good = read_news(q, a, &found);
    arena_free(&a);
    return *good && (q->flying.reply.p || refusal_only(q));
}

/* No turn of a session is begun that was erased while its question waited. */
static bool
erased_meanwhile(struct question *q)
{
    q->flying.erased = q->flying.erased || flight_lease_erased(q->r, q->session_hash);
    return q->flying.erased;
}

static enum fly
await(struct question *q, int64_t until_ms, struct erased_watch *watch)
{
    struct flying *f = &q->flying;
    bool state, good = true;
    int64_t now;

    while (good) {
        now = clock_ms();
        switch (flight_wait(&f->me, now + WAKE_MS < until_ms ? now + WAKE_MS : until_ms)) {
        case FLIGHT_LOOK: look(q); break;
        case FLIGHT_OVER: f->tries++; return FLY_OVER;
        case FLIGHT_IDLE: break;
        case FLIGHT_NEWS:
            flight_known(&f->me, &state);
            if (f->me.whole ? read_whole(q, &good) : state)
                return erased_meanwhile(q) ? FLY_ALONE : FLY_READY;
            until_ms = q->r->deadline_ms; /* it is being written: nobody who begins now is quicker */
            break;
        }
        now = clock_ms();
        good = good && now < until_ms && !api_gone(q->r) &&
               !(erased_watch_wait(q->r, watch, now) && erased_meanwhile(q));
    }
    return FLY_ALONE;
}

enum fly
fly_await(struct question *q, int64_t until_ms)
{
    int64_t since = clock_us();
    struct erased_watch watch;
    enum fly how;

    erased_watch_begin(q->r, &watch, q->session_hash);
    how = await(q, until_ms, &watch);
    erased_watch_end(q->r, &watch);
    q->trace.upstream_us += clock_us() - since; /* it waits for the model */
    if (how != FLY_READY)
        leave(q);
    if (how == FLY_ALONE)
        q->found = NULL;
    return how;
}

/* ---- a follower from its begin on */

struct fly_state {
    const struct ask_sink *sink;
    struct erased_watch watch; /* of its own session */
    int64_t since_us, ping_ms, client_ms;
    enum asked state; /* at the end */
};
enum step { STEP_ON, STEP_LOST, STEP_END };

static enum step
end(struct fly_state *s, enum asked state)
{
    s->state = state;
    return STEP_END;
}

/* The whole answer, as the leader's gateway got it. */
static enum step
take_reply(struct question *q, struct fly_state *s)
{
    struct arena *a = q->r->arena;
    struct chat_rep *rep = arena_alloc(a, sizeof *rep);
    enum asked state;

    if (!rep || msg_decode(chat_rep_desc(), q->flying.reply.p, q->flying.reply.n, a, rep) != ERR_OK)
        return STEP_LOST;
    state = ask_chat_rest(q, s->sink, rep);
    q->trace.upstream_us += clock_us() - s->since_us; /* it waited for the model */
    ask_stage(q, STAGE_GENERATE, s->since_us);
    q->from_cache = true; /* nobody pays for it again */
    q->trace.origin_ms = clock_wall_ms();
    if (state != ASKED_ANSWERED)
        return end(s, ask_break(q, state));
    if (!s->sink)
        request_header_set(q->r, "X-Cache", "hit");
    ask_flight_event(FLIGHT_FOLLOWED);
    return end(s, ask_said(q, rep));
}

/* A stream that can be resumed refers to the text that it is a reader of. */
void
fly_refer(struct question *q)
{
    const struct flying *f = &q->flying;
    const struct flight_lease *l = f->follows ? flight_lease(f->flight) : f->open ? f->lease : NULL;

    if (q->frames)
        memcpy(q->frames->of, l ? l->frames.key : "", l ? sizeof l->frames.key : 1);
}

static enum step
take_news(struct question *q, struct fly_state *s)
{
    struct arena *a = arena_new(VIEW_MAX);
    struct flight_found found;
    enum step step = STEP_ON;
    enum asked state;

    if (!read_news(q, a, &found) || refusal_only(q))
        step = STEP_LOST; /* without a passage no model is asked: each refuses by itself */
    else if (!ask_announce(q, s->sink))
        step = end(s, ASKED_GONE);
    else if (found.text.n > 0 && (state = ask_tell(q, s->sink, found.text)) != ASKED_ANSWERED)
        step = end(s, ask_break(q, state));
    s->ping_ms = clock_ms();
    arena_free(&a);
    return step == STEP_ON && q->flying.reply.p ? take_reply(q, s) : step;
}

/* The flight is over without an answer: another one, if there is one to follow. */
static enum step
again(struct question *q)
{
    struct flying *f = &q->flying;
    bool stream = !f->me.whole;

    leave(q);
    f->again = q->partial.n > 0;
    f->at = 0;
    f->reply = STR_NONE;
    if (++f->tries >= TRIES || fly_join(q, stream, false))
        return STEP_LOST;
    fly_refer(q);
    if (q->frames)
        frames_refer(q->r, q->frames);
    return STEP_ON;
}

static enum step
idle(struct question *q, struct fly_state *s)
{
    static const struct outcome erased = { .err = ERR_NOT_FOUND }, late = { .err = ERR_DEADLINE };
    int64_t now = clock_ms();
    bool gone = false;

    if (now >= q->r->deadline_ms)
        return end(s, ask_break(q, ask_failed(q, &late)));
    if (erased_watch_wait(q->r, &s->watch, now) && flight_lease_erased(q->r, q->session_hash))
        return end(s, ask_failed(q, &erased));
    if (now - s->client_ms < WAKE_MS)
        return STEP_ON;
    s->client_ms = now;
    gone = s->sink && s->sink->gone ? s->sink->gone(s->sink->arg) : api_gone(q->r);
    if (!gone && s->sink && now - s->ping_ms > STREAM_PING_MS) {
        s->ping_ms = now;
        gone = !s->sink->idle(s->sink->arg);
    }
    return gone ? end(s, ask_break(q, ASKED_GONE)) : STEP_ON;
}

static enum step
step(struct question *q, struct fly_state *s)
{
    switch (flight_wait(&q->flying.me, clock_ms() + WAKE_MS)) {
    case FLIGHT_LOOK: look(q); break;
    case FLIGHT_NEWS: return take_news(q, s);
    case FLIGHT_OVER: return again(q);
    case FLIGHT_IDLE: break;
    }
    return STEP_ON;
}

bool
fly_follow(struct question *q, const struct ask_sink *sink, enum asked *state)
{
    struct fly_state s = { .sink = sink, .since_us = clock_us(), .ping_ms = clock_ms() };
    enum step how = q->flying.reply.p ? take_reply(q, &s) : refusal_only(q) ? STEP_LOST : STEP_ON;

    erased_watch_begin(q->r, &s.watch, q->session_hash);
    while (how == STEP_ON) {
        how = step(q, &s);
        if (how == STEP_ON)
            how = idle(q, &s);
    }
    erased_watch_end(q->r, &s.watch);
    if (q->flying.follows && how == STEP_LOST)
        leave(q);
    *state = s.state;
    return how == STEP_END;
}

/* ---- the leader */

void
fly_open(struct question *q)
{
    struct flying *f = &q->flying;
    /* nothing of whose question it is; an id may not be absent */
    struct stream_state s = { .question_id = { { 1 } },
                              .question = STR(""),
                              .query = STR(""),
                              .collection = q->collection,
                              .degraded = q->degraded };
    struct buf b = BUF_MAX(FRAMES_STATE_MAX);

    if (f->flight && f->leads)
        ask_flight_event(f->tries > 0 ? FLIGHT_PROMOTED : FLIGHT_LED);
    if (!f->lease)
        return;
    s.hits.v = q->found->hits.v;
    s.hits.n = q->found->hits.n;
    s.seq = q->found->seq;
    f->open = msg_encode(stream_state_desc(), &s, &b) == ERR_OK &&
              flight_lease_open(q->r, f->lease, buf_slice(&b));
    buf_free(&b);
    if (!f->open)
        ask_flight_event(FLIGHT_BARE);
    fly_refer(q);
    if (q->frames)
        frames_refer(q->r, q->frames);
}

void
fly_said(struct question *q, const struct chat_rep *rep)
{
    struct flying *f = &q->flying;
    struct buf b = BUF_MAX(1048576);

    if (f->open && msg_encode(chat_rep_desc(), rep, &b) == ERR_OK)
        f->said = flight_lease_said(q->r, f->lease, buf_slice(&b));
    buf_free(&b);
}

void
fly_forget(struct question *q)
{
    q->flying.said = false; /* its end takes it along */
}

void
fly_end(struct question *q)
{
    struct flying *f = &q->flying;

    if (!f->flight)
        return;
    if (f->leads) {
        if (f->lease)
            flight_lease_end(q->r, f->lease, f->said || (f->open && refusal_only(q)));
        flight_land(f->flight);
    }
    leave(q);
}

bool
fly_wanted(struct question *q)
{
    int64_t unread_s;

    return q->flying.open && frames_wanted(q->r, &q->flying.lease->frames, &unread_s) && unread_s <= WANTED_S;
}

struct str
fly_key(const struct question *q)
{
    return q->flying.open ? str_of(q->flying.lease->frames.key) : STR_NONE;
}
