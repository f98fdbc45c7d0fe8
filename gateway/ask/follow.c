/* A stream that is read at another connection than the one that asked for it (follow.h). The text comes from Redis, where the
 * embedder writes it; the end, too, while the stream's own gateway lives:
 *
 *   look ─▶ text so far ─▶ sanitizer ─▶ events (numbers that the client has are left out)
 *     ├─ tail: ended ─▶ what was shown, the last events
 *     ├─ the owner is dead ─▶ claim: this gateway ends the stream
 *     │     ├─ the writer's reply is there ─▶ cited and saved, as at home
 *     │     └─ the writer is dead, too ─▶ the model is asked again; what it says is compared with what was shown, and where it
 *     │        differs, or where the client has more than Redis, there is a restart
 *     └─ gone: erased
 *
 * The same text of the same writer gives the same events everywhere: the sanitizer's output does not depend on how its input is
 * cut (gateway/safe/sanitize.h). */
#include "gateway/ask/follow.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/erased.h"
#include "gateway/ask/fly.h"
#include "gateway/ask/relay.h"
#include "gateway/ask/safe.h"

#define LOOK_MS 100 /* how often Redis is asked for news */
#define LOOK_MORE \
    2 /* later by so many ms for each stream that is read: some 500 looks a second at most, of all */
#define AWAY_MS 5000   /* Redis may be away so long from one who only reads */
#define QUIET_MS 30000 /* a writer that says nothing for so long is taken for dead */
#define VIEW_MAX (2u << 20)

struct follow {
    struct question *q;
    struct events *e;
    struct ask_sink sink;
    size_t from;        /* bytes of the text that were read */
    char writer[64];    /* who wrote them; "" nobody yet */
    bool mine;          /* this gateway ends the stream */
    struct call *call;  /* the model is asked again; NULL: it is not */
    struct paying pays; /* for that call, from the budget of who reads on; off: its end is noted */
    int64_t good_ms;    /* Redis last answered */
    int64_t news_ms;    /* text last came */
    int64_t ping_ms;
    bool *ended;
    struct erased_watch watch; /* it is told of an erasure between two looks */
};
enum step { STEP_ON, STEP_AGAIN, STEP_END }; /* wait; look at once; state stands */

/* ---- what stands in Redis */

bool
ask_keep_frames(struct question *q, struct str meta, struct str sources)
{
    struct stream_state s = { .question_id = q->question_id,
                              .conversation_id = q->conversation_id,
                              .question = q->text,
                              .query = q->query,
                              .collection = q->collection,
                              .page_context = q->page_context,
                              .selection = q->selection,
                              .carried = q->carried,
                              .degraded = q->degraded,
                              .begun_ms = clock_wall_ms() - (clock_us() - q->r->start_us) / 1000 };
    struct frames *f = arena_alloc(q->r->arena, sizeof *f);
    struct buf b = BUF_MAX(FRAMES_STATE_MAX);
    bool kept = false;

    s.history.v = (struct turn *)(uintptr_t)q->earlier.v; /* only read */
    s.history.n = q->earlier.n;
    if (q->found) {
        s.hits.v = q->found->hits.v;
        s.hits.n = q->found->hits.n;
        s.seq = q->found->seq;
    }
    if (f && (q->from_cache || msg_encode(stream_state_desc(), &s, &b) == ERR_OK)) {
        frames_name(q->r, &q->message_id, q->session_hash, f);
        q->frames = f;
        fly_refer(q);
        kept = frames_open(q->r, f, buf_slice(&b), meta, sources);
    }
    q->frames = kept ? f : NULL;
    ask_stream_event(kept ? STREAM_KEPT : STREAM_NOT_KEPT);
    buf_free(&b);
    return kept;
}

bool
ask_restore(struct question *q, struct str state)
{
    struct str own = arena_str(q->r->arena, state);
    struct stream_state *s = arena_alloc(q->r->arena, sizeof *s);
    struct search_rep *found = arena_alloc(q->r->arena, sizeof *found);
    int64_t age_ms;

    if (!own.p || own.n == 0 || !s || !found ||
        msg_decode(stream_state_desc(), own.p, own.n, q->r->arena, s) != ERR_OK)
        return false;
    q->question_id = s->question_id;
    q->conversation_id = s->conversation_id;
    q->text = s->question;
    q->query = s->query;
    q->collection = s->collection;
    q->page_context = s->page_context;
    q->selection = s->selection;
    q->carried = s->carried;
    q->degraded = s->degraded;
    q->earlier = (struct turns){ s->history.v, s->history.n };
    found->hits.v = s->hits.v;
    found->hits.n = s->hits.n;
    found->seq = s->seq;
    q->found = found;
    age_ms = clock_wall_ms() - s->begun_ms;
    if (age_ms > 0 && age_ms < FRAMES_LONGEST_S * 1000)
        q->r->start_us -= age_ms * 1000;
    return true;
}

/* ---- the last events, one a line: its name, a tab, its JSON */

static bool
next_line(struct str *rest, struct str *event, struct str *json)
{
    const char *nl = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    const char *tab = nl ? memchr(rest->p, '\t', (size_t)(nl - rest->p)) : NULL;

    if (!tab)
        return false;
    *event = (struct str){ rest->p, (size_t)(tab - rest->p) };
    *json = (struct str){ tab + 1, (size_t)(nl - tab - 1) };
    *rest = (struct str){ nl + 1, rest->n - (size_t)(nl + 1 - rest->p) };
    return true;
}

int64_t
tail_count(struct str tail)
{
    struct str event, json;
    int64_t n = 0;

    while (next_line(&tail, &event, &json))
        n++;
    return n;
}

bool
events_tail(struct events *e, struct str tail)
{
    struct str event, json;
    bool good = true;
    char name[16];

    while (good && next_line(&tail, &event, &json)) {
        snprintf(name, sizeof name, STR_FMT, STR_ARG(event));
        good = events_send(e, name, json);
    }
    return good;
}

/* ---- steps */

static bool
on_text(void *arg, struct str piece)
{
    return events_text(arg, piece);
}

static bool
on_gone(void *arg)
{
    return events_gone(arg);
}

/* Its number is new to the client, which may have more of the text than Redis: else it would not be told. */
static enum step
fail(struct follow *f, enum err e, const char *text, enum asked *state)
{
    if (f->e->next <= f->e->have)
        f->e->next = f->e->have + 1;
    *state = ask_failed(f->q, &(struct outcome){ .err = e, .text = text });
    if (f->mine)
        *state = ask_break(f->q, *state);
    return STEP_END;
}

/* Read the text again from its beginning. */
static void
from_start(struct follow *f)
{
    ask_show_rest(f->q, NULL);
    buf_reset(&f->q->partial);
    f->from = 0;
    events_again(f->e);
}

static enum step
restart(struct follow *f, int64_t base, enum asked *state)
{
    from_start(f);
    if (events_restart(f->e, base))
        return STEP_AGAIN;
    *state = ASKED_GONE;
    return STEP_END;
}

/* Another text than the one that was shown, or perhaps another one: everybody begins anew. */
static enum step
restart_all(struct follow *f, enum asked *state)
{
    struct events *e = f->e;
    int64_t last = e->have > e->next ? e->have : e->next;

    ask_stream_event(STREAM_RESTARTED);
    frames_restart(f->q->r, f->q->frames, last + 1);
    return restart(f, last + 1, state);
}

static enum step
told_elsewhere(struct follow *f, const struct frames_view *v, enum asked *state)
{
    events_again(f->e);
    *state = ASKED_GONE;
    if (v->shown.p && !events_text(f->e, v->shown))
        return STEP_END;
    if (f->e->differs)
        return fail(f, ERR_INTERNAL, NULL, state);
    *f->ended = true;
    if (events_tail(f->e, v->tail))
        *state = ASKED_ANSWERED;
    return STEP_END;
}

static enum step
read_text(struct follow *f, const struct frames_view *v, enum asked *state)
{
    if (f->writer[0] && !str_is(v->writer, f->writer)) {
        f->writer[0] = 0;
        from_start(f);
        return STEP_AGAIN;
    }
    snprintf(f->writer, sizeof f->writer, STR_FMT, STR_ARG(v->writer));
    if (v->text.n == 0)
        return STEP_ON;
    f->from += v->text.n;
    f->news_ms = clock_ms();
    buf_str(&f->q->partial, v->text);
    if (ask_show(f->q, &f->sink, v->text))
        return STEP_ON;
    *state = ASKED_GONE;
    return STEP_END;
}

/* The reply is there: the rest is shown, and the answer is cited and saved as at home. */
static enum step
take_reply(struct follow *f, const struct chat_rep *rep, enum asked *state)
{
    struct events *e = f->e;

    *state = ask_chat_rest(f->q, &f->sink, rep);
    if (*state == ASKED_ANSWERED && (e->differs || e->at < e->shown.n)) {
        if (restart_all(f, state) == STEP_AGAIN)
            *state = ask_chat_rest(f->q, &f->sink, rep);
    }
    *state = *state == ASKED_ANSWERED ? ask_said(f->q, rep) : ask_break(f->q, *state);
    return STEP_END;
}

static enum step
take_said(struct follow *f, struct str said, enum asked *state)
{
    struct arena *a = f->q->r->arena;
    struct str own = arena_str(a, said);
    struct chat_rep *rep = arena_alloc(a, sizeof *rep);

    if (!own.p || !rep || msg_decode(chat_rep_desc(), own.p, own.n, a, rep) != ERR_OK)
        return fail(f, ERR_INTERNAL, NULL, state);
    return take_reply(f, rep, state);
}

static enum step
ask_anew(struct follow *f, enum asked *state)
{
    bool ahead = f->e->have >= f->e->next; /* of what Redis knows: nobody can say whether it comes again */
    struct outcome refused;

    if (ask_chat_hold(f->q, &f->pays, &refused) != ERR_OK)
        return fail(f, refused.err, refused.text, state);
    ask_stream_event(STREAM_ASKED_AGAIN);
    LOG(INFO, f->q->r->id, M("the writer of a stream died with its gateway: the model is asked again"));
    f->call = ask_chat_call(f->q, false, &f->pays);
    f->news_ms = clock_ms();
    return ahead ? restart_all(f, state) : STEP_ON;
}

/* Without a passage no model is asked, and no writer told the text. */
static enum step
refuse(struct follow *f, enum asked *state)
{
    events_again(f->e);
    ask_refuse(f->q);
    *state = events_text(f->e, f->q->answer) ? ASKED_ANSWERED : ASKED_GONE;
    ask_end(f->q);
    return STEP_END;
}

/* This gateway ends the stream. */
static enum step
own(struct follow *f, const struct frames_view *v, enum asked *state)
{
    if (f->e->differs)
        return restart_all(f, state);
    if (f->call)
        return STEP_ON;
    if (!f->q->found)
        return fail(f, ERR_NOT_FOUND, NULL, state);
    if (f->q->found->hits.n == 0)
        return refuse(f, state);
    if (v->said.p)
        return take_said(f, v->said, state);
    if (v->failed)
        return fail(f, v->failed, NULL, state);
    if (!v->writer_lives || clock_ms() - f->news_ms > QUIET_MS)
        return ask_anew(f, state);
    return STEP_ON;
}

/* A gateway that lives may have lost a stream: Redis did not take its end, or its claim was heard and its reply was not. Two that
 * end one stream do no harm: the answer has one id. */
static void
claim(struct follow *f, const struct frames_view *v)
{
    bool quiet = clock_ms() - f->news_ms > QUIET_MS;

    if (!str_is(v->owner, f->q->frames->owner) &&
        ((v->owner_lives && !quiet) || !frames_claim(f->q->r, f->q->frames, v->owner, quiet)))
        return;
    f->mine = f->e->owns = true;
    ask_settle(f->q); /* without its settings the answer is still one */
    ask_stream_event(STREAM_TAKEN_OVER);
    LOG(INFO, f->q->r->id, M("a stream's gateway died: this one goes on with it"));
}

static enum step
step(struct follow *f, const struct frames_view *v, enum asked *state)
{
    enum step s;

    if (v->base > f->e->base)
        return restart(f, v->base, state);
    if (v->tail.p)
        return told_elsewhere(f, v, state);
    if ((s = read_text(f, v, state)) != STEP_ON)
        return s;
    if (!f->mine)
        claim(f, v);
    return f->mine ? own(f, v, state) : STEP_ON;
}

static enum step
look(struct follow *f, enum asked *state)
{
    struct arena *a = arena_new(VIEW_MAX);
    struct frames_view v;
    int64_t now = clock_ms();
    enum step s = STEP_ON;

    switch (frames_look(f->q->r, f->q->frames, f->from, false, a, &v)) {
    case FRAMES_THERE:
        f->good_ms = now;
        s = step(f, &v, state);
        break;
    case FRAMES_MISSING:
        f->mine = false;
        s = fail(f, ERR_NOT_FOUND, NULL, state);
        break;
    case FRAMES_AWAY:
        if (now - f->good_ms > AWAY_MS && !f->mine) {
            *state = ASKED_GONE; /* without a word: its client comes again */
            s = STEP_END;
        }
        break;
    }
    arena_free(&a);
    return s;
}

/* The end of the call of a model that was asked again, once. */
static void
call_paid(struct follow *f, enum err e, const struct chat_rep *rep)
{
    ask_chat_paid(f->q, &f->pays, e, rep);
    f->pays.on = false;
}

/* The time until the next look. The reply of a model that was asked again comes here, its text through Redis. */
static enum step
rest(struct follow *f, enum asked *state)
{
    int pause = LOOK_MS + LOOK_MORE * frames_read_count(f->q->r);
    int64_t now = clock_ms(), until = now + pause;
    struct outcome a;

    if (!f->call) {
        erased_watch_wait(f->q->r, &f->watch, until);
        return STEP_ON;
    }
    for (;;)
        switch (call_wait(f->call, until < now + LOOK_MS ? until : now + LOOK_MS, &a)) {
        case CALL_PART: break;
        case CALL_IDLE:
            now = clock_ms();
            if (now >= until || erased_watch_wait(f->q->r, &f->watch, now))
                return STEP_ON;
            break;
        case CALL_DONE:
            call_paid(f, a.err, a.err ? NULL : a.msg);
            if (a.err)
                return fail(f, a.err, a.text, state);
            from_start(f); /* what was read of it may be the dead writer's */
            return take_reply(f, a.msg, state);
        }
}

static enum step
look_around(struct follow *f, enum asked *state)
{
    int64_t now = clock_ms();

    if (now >= f->q->r->deadline_ms)
        return fail(f, ERR_DEADLINE, NULL, state);
    if (!events_gone(f->e) && (now - f->ping_ms < STREAM_PING_MS || events_idle(f->e))) {
        f->ping_ms = now - f->ping_ms < STREAM_PING_MS ? f->ping_ms : now;
        return STEP_ON;
    }
    *state = f->mine ? ask_break(f->q, ASKED_GONE) : ASKED_GONE;
    return STEP_END;
}

enum asked
ask_follow(struct question *q, struct events *e, bool *ended)
{
    int64_t now = clock_ms();
    struct follow f = { .q = q, .e = e, .good_ms = now, .news_ms = now, .ping_ms = now, .ended = ended };
    enum asked state = ASKED_GONE;
    enum step s;

    f.sink = (struct ask_sink){ .arg = e, .text = on_text, .gone = on_gone };
    *ended = false;
    frames_read_begin(q->r);
    erased_watch_begin(q->r, &f.watch, q->frames->session);
    do {
        s = look(&f, &state);
        if (s == STEP_ON)
            s = look_around(&f, &state);
        if (s == STEP_ON)
            s = rest(&f, &state);
    } while (s != STEP_END);
    erased_watch_end(q->r, &f.watch);
    frames_read_end(q->r);
    call_paid(&f, ERR_OK, NULL); /* of a call that nobody waits for any more */
    if (f.call)
        held_add(&q->held, f.call);
    return state;
}
