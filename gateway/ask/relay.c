/* The model's answer on its way to the client (relay.h): the call, its parts as they come, and what the reply has
 * besides. */
#include "gateway/ask/relay.h"
#include "gateway/ask/fly.h"
#include "gateway/ask/safe.h"

#include "common/clock.h"
#include "text/language.h"

#define LOOK_MS 250 /* how often a waiting question looks after its client */
#define FLOWS_MS \
    2000 /* since the last text: whoever writes need not look, and of 5,000 streams each look costs a switch of threads */
#define FIRST_TOKEN_MS 20000
#define NEXT_TOKEN_MS 15000

struct chat_wait {
    const struct ask_sink *sink;
    int64_t quiet_until; /* by then the next token must be there (streams) */
    int64_t ping_at;     /* then the stream says that it lives */
    int64_t text_ms;     /* when text was last written; 0: not yet */
    bool deaf;           /* the client has gone, and others read along */
};

static int64_t
next_look(const struct chat_wait *w)
{
    int64_t look = clock_ms() + LOOK_MS, flows = w->text_ms + FLOWS_MS;

    return flows > look ? flows : look;
}

/* The client has gone: the answer goes on only for those who read along. */
static enum asked
chat_left(struct question *q, struct chat_wait *w)
{
    w->deaf = fly_wanted(q);
    return w->deaf ? ASKED_ANSWERED : ASKED_GONE;
}

/* Nothing came for a moment. */
static enum asked
chat_idle(struct question *q, struct chat_wait *w)
{
    static const struct outcome silent = { .err = ERR_DEADLINE,
                                           .text = "the service that writes answers gave no sign of life" };
    int64_t now = clock_ms();

    if (w->sink && w->sink->gone ? w->sink->gone(w->sink->arg) : api_gone(q->r))
        return chat_left(q, w);
    if (!w->sink)
        return ASKED_ANSWERED;
    if (now >= w->quiet_until)
        return ask_failed(q, &silent);
    if (now >= w->ping_at) {
        w->ping_at = now + NEXT_TOKEN_MS;
        if (!w->sink->idle(w->sink->arg))
            return chat_left(q, w);
    }
    return ASKED_ANSWERED;
}

/* The part of it that has not been shown; flying.differs: there is none. */
static struct str
told_again(struct question *q, struct str piece)
{
    struct flying *f = &q->flying;
    size_t left = q->partial.n - f->at, n = piece.n < left ? piece.n : left;

    if (n > 0 && memcmp(q->partial.p + f->at, piece.p, n) != 0) {
        f->differs = true;
        return STR("");
    }
    f->at += n;
    f->again = f->at < q->partial.n;
    return (struct str){ piece.p + n, piece.n - n };
}

static bool
show(struct question *q, const struct ask_sink *sink, struct str piece)
{
    if (q->flying.again)
        piece = told_again(q, piece);
    if (q->flying.differs || piece.n == 0)
        return !q->flying.differs;
    buf_str(&q->partial, piece);
    return ask_show(q, sink, piece);
}

static enum asked
not_shown(struct question *q)
{
    static const struct outcome cut = { .err = ERR_UPSTREAM_CUT, .text = "the answer broke off" };

    return q->flying.differs ? ask_failed(q, &cut) : ASKED_GONE;
}

enum asked
ask_tell(struct question *q, const struct ask_sink *sink, struct str piece)
{
    ask_first_token(q);
    return show(q, sink, piece) ? ASKED_ANSWERED : not_shown(q);
}

static bool
chat_piece(struct question *q, struct chat_wait *w, const struct chat_part *part)
{
    int64_t now = clock_ms();

    w->quiet_until = now + NEXT_TOKEN_MS;
    if (part->text.n == 0)
        return true; /* it waits, as it is told to: the limits of a model server are the embedder's */
    ask_first_token(q);
    if (!w->sink)
        return true;
    w->ping_at = now + NEXT_TOKEN_MS;
    w->text_ms = now;
    if (w->deaf || show(q, w->sink, part->text))
        return true;
    return !q->flying.differs && chat_left(q, w) == ASKED_ANSWERED;
}

/* The whole answer came. The rest of it, which no part could bring, is shown now. */
static enum asked
chat_whole(struct question *q, struct chat_wait *w, const struct chat_rep *rep)
{
    size_t shown = q->partial.n;
    struct chat_part rest = { .text = rep->text };

    if (!w->sink || w->deaf)
        return ASKED_ANSWERED;
    if (q->flying.again && (rep->text.n < shown || memcmp(rep->text.p, q->partial.p, shown) != 0))
        q->flying.differs = true;
    q->flying.again = false;
    if (q->flying.differs)
        return not_shown(q);
    rest.text = (struct str){ rep->text.p + shown, rep->text.n > shown ? rep->text.n - shown : 0 };
    if (rest.text.n > 0 && !q->partial.failed &&
        (shown == 0 || memcmp(rep->text.p, q->partial.p, shown) == 0) && !chat_piece(q, w, &rest))
        return ASKED_GONE;
    return w->deaf || ask_show_rest(q, w->sink) ? ASKED_ANSWERED : chat_left(q, w);
}

enum asked
ask_chat_rest(struct question *q, const struct ask_sink *sink, const struct chat_rep *rep)
{
    struct chat_wait w = { .sink = sink };

    return chat_whole(q, &w, rep);
}

static enum asked
chat_relay(struct question *q, struct call *call, const struct ask_sink *sink, const struct chat_rep **rep)
{
    int64_t now = clock_ms();
    struct chat_wait w = { sink, now + FIRST_TOKEN_MS, now + NEXT_TOKEN_MS, 0, false };
    enum asked state = ASKED_ANSWERED;
    struct outcome a;

    stream_rest(q->r);
    while (state == ASKED_ANSWERED) {
        switch (call_wait(call, next_look(&w), &a)) {
        case CALL_PART:
            if (!chat_piece(q, &w, a.msg))
                return not_shown(q);
            break;
        case CALL_IDLE: state = chat_idle(q, &w); break;
        case CALL_DONE:
            if (a.err)
                return ask_failed(q, &a);
            *rep = a.msg;
            return chat_whole(q, &w, a.msg);
        }
    }
    return state;
}

/* The answer when the documents do not answer: the collection's own text, or a sentence in the
 * question's language. */
struct str
ask_refusal(const struct question *q, const struct collection *c)
{
    return c && c->refusal.n > 0 ? c->refusal : language_refusal(language_of(q->text, 0, LANG_ENGLISH));
}

static struct chat_req
chat_request(const struct question *q, bool whole)
{
    const struct collection *c = q->raw ? NULL : q->settings;
    struct chat_req req = {
        .question = q->text,
        .instructions = q->instructions,
        .options = q->options,
        .raw = q->raw,
        .model = c ? c->model : STR_NONE,
        .prompt = c ? c->prompt : STR_NONE,
        .refusal = ask_refusal(q, c),
        .page_context = q->page_context,
        .selection = q->selection,
        .selected = q->selection.n > 0,
        .carried = q->carried,
        .whole = whole,
        .frames = q->flying.open ? fly_key(q)
                  : q->frames    ? str_of(q->frames->key)
                                 : STR_NONE,
    };

    req.history.v = (struct turn *)(uintptr_t)q->earlier.v; /* only read */
    req.history.n = q->earlier.n;
    req.hits.v = q->found->hits.v;
    req.hits.n = q->found->hits.n;
    return req;
}

bool
ask_announce(struct question *q, const struct ask_sink *sink)
{
    if (!sink || q->flying.announced)
        return true;
    q->flying.announced = true;
    return (!budget_on(q->r) || sink->begun(sink->arg)) && sink->found(sink->arg);
}

enum err
ask_chat_hold(struct question *q, struct paying *pays, struct outcome *refused)
{
    struct chat_req req = chat_request(q, true);

    return budget_hold(q->r, KIND_CHAT_QUOTE, &req, pays, refused);
}

struct call *
ask_chat_call(struct question *q, bool whole, const struct paying *pays)
{
    struct chat_req req = chat_request(q, whole);

    return (pays->on ? hub_call_once : hub_call)(api_hub(q->r), KIND_CHAT, &req, q->r->who.tenant, q->r->id,
                                                 q->r->deadline_ms);
}

void
ask_chat_paid(struct question *q, const struct paying *pays, enum err e, const struct chat_rep *rep)
{
    if (rep && !rep->unsure) /* also when its reader has gone */
        budget_paid(q->r, pays, rep->prompt_tokens, rep->completion_tokens);
    else if (e == ERR_OK || err_maybe_paid(e))
        budget_unsure(q->r, pays);
}

enum asked
ask_chat(struct question *q, const struct ask_sink *sink, const struct chat_rep **rep)
{
    int64_t since = clock_us();
    struct outcome refused;
    struct paying pays;
    struct call *call;
    enum asked state;

    if (ask_chat_hold(q, &pays, &refused) != ERR_OK)
        return ask_failed(q, &refused);
    if (!ask_announce(q, sink)) /* here a resumable stream gets the name under which its text is kept */
        return ASKED_GONE;
    call = ask_chat_call(q, !sink, &pays);
    state = chat_relay(q, call, sink, rep);
    ask_chat_paid(q, &pays, state == ASKED_FAILED ? q->failure.err : ERR_OK, *rep);
    ask_stage(q, STAGE_GENERATE, since);
    if (state == ASKED_GONE)
        call_free(&call); /* cancels: nobody reads on */
    else
        held_add(&q->held, call);
    return state;
}
