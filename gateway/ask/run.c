/* One question as a straight line of calls (ask.h):
 *   turn.begin → embed → search → chat → cite → turn.finish → cache.
 *
 * The question is stored before anything is paid for. An embedding that fails for a passing reason leaves the lexical
 * half of the search, and the answer is marked degraded. Without a passage no chat model is asked. An answer that
 * exists is never lost by a failing save: it is queued, or said not to be saved. Only complete, grounded, standalone
 * answers that nothing degraded are cached. A client that goes away cancels what runs; what it saw is kept as
 * incomplete. */
#include "gateway/ask/select.h"

#include "text/support.h"
#include "text/language.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/answer.h"
#include "gateway/admit/cache.h"

#define LOOK_MS 250         /* how often a waiting question looks after its client */
#define FIRST_TOKEN_MS 20000
#define NEXT_TOKEN_MS 15000
#define EMBED_MS 17000      /* leaves time for a lexical answer */
#define SAVE_MS 2000        /* an answer that came late still gets this long to be saved */
#define EXCHANGE_BYTES 1000 /* of each earlier message that helps the search */
#define SELECTION_BYTES 2000

static enum asked
failed(struct question *q, const struct answer *a)
{
    q->failure = *a;
    if (q->failure.err == ERR_OK)
        q->failure.err = ERR_INTERNAL;
    if (!q->failure.text)
        q->failure.text = "";
    return ASKED_FAILED;
}

static int64_t
sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- turn.begin ---- */

static enum asked
begin(struct question *q)
{
    struct turn_begin_req req = {
        .session = { (const char *)q->session_hash, 32 },
        .conversation_id = q->conversation_id,
        .question_id = q->question_id,
        .message_id = q->message_id,
        .question = q->text,
        .page_context = q->page_context,
        .selection = q->selection,
        .fresh = q->fresh,
        .history = q->standalone ? 0 : ASK_HISTORY,
        .expiry_days = api_expiry_days(q->r),
    };
    static const struct answer lost = { .err = ERR_IN_PROGRESS, .text = "", .retry_after_ms = 1000 };
    const struct idem *i = q->r->idem;
    int64_t since = clock_us();
    struct answer a;
    enum err e;

    if (i) {
        req.idem_key = str_of(i->key);
        req.idem_scope = str_of(i->scope);
        req.idem_hash = (struct str){ (const char *)i->hash, 32 };
        req.idem_holder = i->holder;
        req.idem_lease_ms = idem_lease_ms(q->r);
    }
    e = api_ask(q->r, &q->held, KIND_TURN_BEGIN, &req, q->r->deadline_ms, &a);
    ask_stage(q, STAGE_BEGIN, since);
    if (e)
        return failed(q, &a);
    q->begun = a.msg;
    if (q->begun->stored.p)
        return failed(q, &lost); /* our lease lapsed and another run has finished: the next try gets its answer */
    q->conversation_id = q->begun->conversation_id;
    select_carry(q);
    return ASKED_ANSWERED;
}

/* ---- embed and search ---- */

/* What stands around the question: the previous exchange ("and how long does it take?" alone finds nothing), or the
 * selected text. Absent when there is none. */
static struct str
search_context(struct question *q)
{
    struct buf b = BUF_MAX(65536);
    struct str s = STR_NONE;
    size_t n = q->begun->history.n;

    for (size_t i = n > 2 ? n - 2 : 0; i < n; i++) {
        buf_str(&b, utf8_cut(q->begun->history.v[i].content, EXCHANGE_BYTES));
        buf_c(&b, '\n');
    }
    buf_str(&b, utf8_cut(q->selection, SELECTION_BYTES));
    if (b.n > 0)
        s = arena_str(q->r->arena, text_trim(buf_slice(&b)));
    buf_free(&b);
    return s;
}

/* One text for the vector: the context in front of the question. */
static struct str
embed_text(struct question *q, struct str context)
{
    char *both;

    if (context.n == 0)
        return q->text;
    both = arena_printf(q->r->arena, STR_FMT "\n" STR_FMT, STR_ARG(context), STR_ARG(q->text));
    return both ? str_of(both) : q->text;
}

static enum err
embed(struct question *q, struct str text, struct search_req *req, struct answer *a)
{
    struct embed_req er = { .texts = { &text, 1 } };
    const struct embed_rep *rep;
    int64_t deadline = sooner(q->r->deadline_ms, clock_ms() + EMBED_MS), since = clock_us();
    enum err e = api_ask(q->r, &q->held, KIND_EMBED, &er, deadline, a);

    ask_stage(q, STAGE_EMBED, since);
    if (e)
        return e;
    q->trace.embedded = rep = a->msg;
    q->trace.upstream_us += rep->upstream_us;
    req->vector = rep->vectors;
    req->model = rep->model;
    q->embedding_cached = rep->cached > 0;
    return ERR_OK;
}

/* No process that could write the answer is there: after the wait for an embedding, a second wait would be in vain. */
static bool
no_writer(const struct question *q)
{
    struct hub_view v;

    hub_look(api_hub(q->r), &v);
    return v.service[SERVICE_CHAT].workers == 0;
}

static enum asked
search(struct question *q)
{
    struct str context = search_context(q);
    struct search_req req = {
        .query = q->text,
        .context = context,
        .selection = q->selection,
        .chapter = q->chapter,
        .section = q->section,
        .collections = { &q->collection, 1 },
        .top_k = q->top_k ? q->top_k : q->settings ? q->settings->top_k : 0,
        .filter = q->filter,
        .threshold = q->settings ? q->settings->threshold : 0,
    };
    struct answer embedded, a;
    enum err e = embed(q, embed_text(q, context), &req, &embedded), found;
    int64_t since = clock_us();

    q->trace.top_k = req.top_k;
    if (e && ((!err_retryable(e) && e != ERR_DEADLINE) || (e == ERR_NO_WORKER && no_writer(q))))
        return failed(q, &embedded);
    found = api_ask(q->r, &q->held, KIND_SEARCH, &req, q->r->deadline_ms, &a);
    ask_stage(q, STAGE_SEARCH, since);
    if (found)
        return failed(q, &a);
    q->found = a.msg;
    if (e) { /* words only: better than nothing, but "nothing found" would be a guess */
        if (q->found->hits.n == 0 && q->selection.n == 0)
            return failed(q, &embedded);
        q->degraded = true;
        LOG(WARN, q->r->id, M("no embedding: searched by words only"), KS("code", err_name(e)));
    }
    return select_hits(q) ? ASKED_ANSWERED : failed(q, &(struct answer){ .err = ERR_INTERNAL });
}

/* ---- chat ---- */

struct chat_wait {
    const struct ask_sink *sink;
    int64_t quiet_until;  /* by then the next token must be there (streams) */
    int64_t ping_at;      /* then the stream says that it lives */
};

/* Nothing came for a moment. */
static enum asked
chat_idle(struct question *q, struct chat_wait *w)
{
    static const struct answer silent = { .err = ERR_DEADLINE, .text = "the service that writes answers gave no sign of life" };
    int64_t now = clock_ms();

    if (api_gone(q->r))
        return ASKED_GONE;
    if (!w->sink)
        return ASKED_ANSWERED;
    if (now >= w->quiet_until)
        return failed(q, &silent);
    if (now >= w->ping_at) {
        w->ping_at = now + NEXT_TOKEN_MS;
        if (!w->sink->idle(w->sink->arg))
            return ASKED_GONE;
    }
    return ASKED_ANSWERED;
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
    buf_str(&q->partial, part->text);
    return ask_show(q, w->sink, part->text);
}

/* The whole answer came. What of it no part could bring is shown now. */
static enum asked
chat_whole(struct question *q, struct chat_wait *w, const struct chat_rep *rep)
{
    size_t shown = q->partial.n;
    struct chat_part rest = { .text = rep->text };

    if (!w->sink)
        return ASKED_ANSWERED;
    rest.text = (struct str){ rep->text.p + shown, rep->text.n > shown ? rep->text.n - shown : 0 };
    if (rest.text.n > 0 && !q->partial.failed && (shown == 0 || memcmp(rep->text.p, q->partial.p, shown) == 0) &&
        !chat_piece(q, w, &rest))
        return ASKED_GONE;
    return ask_show_rest(q, w->sink) ? ASKED_ANSWERED : ASKED_GONE;
}

static enum asked
chat_wait(struct question *q, struct ask *call, const struct ask_sink *sink, const struct chat_rep **rep)
{
    int64_t now = clock_ms();
    struct chat_wait w = { sink, now + FIRST_TOKEN_MS, now + NEXT_TOKEN_MS };
    enum asked state = ASKED_ANSWERED;
    struct answer a;

    while (state == ASKED_ANSWERED) {
        switch (ask_wait(call, clock_ms() + LOOK_MS, &a)) {
        case ASK_PART:
            if (!chat_piece(q, &w, a.msg))
                return ASKED_GONE;
            break;
        case ASK_IDLE:
            state = chat_idle(q, &w);
            break;
        case ASK_DONE:
            if (a.err)
                return failed(q, &a);
            *rep = a.msg;
            return chat_whole(q, &w, a.msg);
        }
    }
    return state;
}

/* What the answer says when the documents do not answer: the collection's own text, or a sentence in the question's language. */
static struct str
refusal(const struct question *q, const struct collection *c)
{
    return c && c->refusal.n > 0 ? c->refusal : language_refusal(language_of(q->text, 0, LANG_ENGLISH));
}

static enum asked
chat(struct question *q, const struct ask_sink *sink, const struct chat_rep **rep)
{
    const struct collection *c = q->settings;
    struct chat_req req = {
        .question = q->text,
        .model = c ? c->model : STR_NONE,
        .prompt = c ? c->prompt : STR_NONE,
        .refusal = refusal(q, c),
        .page_context = q->page_context,
        .selection = q->selection,
        .selected = q->selection.n > 0,
        .carried = q->carried,
        .whole = sink == NULL,
    };
    struct ask *call;
    enum asked state;
    int64_t since = clock_us();

    req.history.v = q->begun->history.v;
    req.history.n = q->begun->history.n;
    req.hits.v = q->found->hits.v;
    req.hits.n = q->found->hits.n;
    call = hub_ask(api_hub(q->r), KIND_CHAT, &req, q->r->who.tenant, q->r->id, q->r->deadline_ms);
    state = chat_wait(q, call, sink, rep);
    ask_stage(q, STAGE_GENERATE, since);
    if (state == ASKED_GONE)
        ask_free(&call); /* cancels: nobody reads on */
    else
        held_add(&q->held, call);
    return state;
}

/* ---- cite ---- */

/* In this thread: it takes some 20 µs, a call of another service thirty times that. */
static enum err
cite_here(struct question *q, const struct chat_rep *said, struct cite_rep *rep)
{
    struct cite_req req = { .answer = said->text, .question = q->text, .refused = said->refused, .selection = q->selection,
                            .page_context = q->page_context, .marked = said->marked };
    struct cite_counts counts;
    int64_t since = clock_us();
    struct words *w = words_new();
    enum err e;

    req.marks.v = said->marks.v;
    req.marks.n = said->marks.n;
    req.hits.v = q->found->hits.v;
    req.hits.n = q->found->hits.n;
    if (said->passages > 0 && (size_t)said->passages < req.hits.n)
        req.hits.n = (size_t)said->passages; /* what the model was not given it cannot have cited */
    e = cite_answer(&req, w, q->r->arena, rep, &counts);
    if (e == ERR_OK)
        rep->confidence = support_confidence(w, &req, rep);
    words_free(&w);
    ask_cited(&counts);
    ask_stage(q, STAGE_CITE, since);
    return e;
}

static enum asked
cite(struct question *q, const struct chat_rep *said)
{
    struct cite_rep rep;

    q->trace.said = said;
    q->trace.upstream_us += said->upstream_us;
    q->model = said->model;
    q->finish = said->finish_reason;
    q->prompt_tokens = said->prompt_tokens;
    q->completion_tokens = said->completion_tokens;
    q->degraded = q->degraded || said->degraded;
    q->refused = said->refused;
    if (cite_here(q, said, &rep))
        return failed(q, &(struct answer){ .err = ERR_INTERNAL });
    q->answer = ask_safe(q, rep.answer);
    q->grounded = rep.grounded && !said->refused && rep.citations.n > 0;
    if (!q->grounded)
        return ASKED_ANSWERED;
    select_cited(rep.citations.v, rep.citations.n);
    for (size_t i = 0; i < rep.citations.n; i++)
        rep.citations.v[i].id = ask_citation_id(&q->message_id, rep.citations.v[i].n); /* as the stream's sources said */
    q->citations = rep.citations.v;
    q->n_citations = rep.citations.n;
    q->confidence = rep.confidence;
    return ASKED_ANSWERED;
}

/* No passage: nothing that a model could answer from. */
static void
refuse(struct question *q)
{
    const struct collection *c = q->settings;

    q->answer = refusal(q, c);
    q->refused = true;
}

/* ---- saving ---- */

static void
save_queued(struct question *q, struct turn_finish_req *t, enum err why)
{
    struct buf b = BUF_MAX(ANSWER_MAX);

    t->tenant = str_of(q->r->who.tenant);
    t->selection = select_own(q);
    t->question = q->text; /* the begin may have been rolled back by a lost database: same id, stored once */
    q->saved = msg_encode(turn_finish_req_desc(), t, &b) == ERR_OK && turns_append(q->r, buf_slice(&b)) ? SAVED_QUEUED
                                                                                                       : SAVED_NO;
    LOG(WARN, q->r->id, M("answer not saved by the store"), KS("code", err_name(why)),
        KB("queued", q->saved == SAVED_QUEUED));
    buf_free(&b);
}

/* The session or the conversation was erased meanwhile: the answer is neither queued nor cached nor kept for a repetition. */
static void
forget(struct question *q)
{
    q->probe.key[0] = 0;
    if (q->r->idem)
        q->r->idem->outcome = IDEM_FREED;
}

static void
save(struct question *q, struct str status)
{
    int64_t deadline = clock_ms() + SAVE_MS, since = clock_us();
    struct turn_finish_req t;
    struct buf sealed = BUF_MAX(IDEM_BODY_MAX);
    struct answer a;

    ask_turn(q, &t);
    t.conversation_id = q->conversation_id;
    t.trace = ask_trace_json(q);
    if (status.p)
        t.status = status;
    else
        ask_keep(q, &t, &sealed);
    if (api_ask(q->r, &q->held, KIND_TURN_FINISH, &t, deadline, &a) == ERR_OK)
        q->saved = SAVED_YES;
    else if (a.err == ERR_NOT_FOUND || a.err == ERR_CONFLICT)
        forget(q);
    else
        save_queued(q, &t, a.err);
    if (t.idem_key.p && q->saved != SAVED_NO)
        idem_kept(q->r);
    buf_free(&sealed);
    ask_stage(q, STAGE_FINISH, since);
}

/* What was shown of an answer that did not come to its end. */
static enum asked
save_incomplete(struct question *q, enum asked state)
{
    if (q->partial.n > 0 && !q->partial.failed) {
        q->answer = ask_safe(q, buf_slice(&q->partial));
        q->n_citations = 0;
        q->citations = NULL;
        q->grounded = false;
        q->confidence = 0;
        save(q, STR("incomplete"));
    }
    return state;
}

/* An index that had not yet seen the change that the epoch stands for may have found what is deleted: such an answer
 * must not outlive the moment. */
static void
remember(struct question *q)
{
    struct buf fragment = BUF_MAX(ANSWER_MAX), value = BUF_MAX(ANSWER_MAX);
    struct turn_finish_req t;

    if (!q->probe.key[0] || !q->grounded || q->refused || q->degraded || ask_cut(q) || q->found->seq < q->probe.epoch)
        return;
    ask_turn(q, &t);
    t.conversation_id = q->conversation_id;
    if (ask_cache_fragment(q, &fragment) &&
        answer_pack(q->probe.sha256, q->probe.epoch, buf_slice(&fragment), &t, &value) == ERR_OK)
        cache_store(q->r, q->session_hash, &q->probe, buf_slice(&value));
    buf_free(&fragment);
    buf_free(&value);
}

/* ---- the line ---- */

enum asked
ask_run(struct question *q, const struct ask_sink *sink)
{
    const struct chat_rep *said = NULL;
    enum asked state;

    if (ask_overloaded(q))
        return failed(q, &(struct answer){ .err = ERR_BUSY, .text = "", .retry_after_ms = ask_overload_retry_ms() });
    if ((state = begin(q)) != ASKED_ANSWERED)
        return state;
    if (sink && !sink->begun(sink->arg))
        return ASKED_GONE;
    if ((state = search(q)) != ASKED_ANSWERED)
        return state;
    if (sink && !sink->found(sink->arg))
        return ASKED_GONE;
    if (q->found->hits.n == 0) {
        refuse(q);
        if (sink && !sink->text(sink->arg, q->answer))
            state = ASKED_GONE; /* kept all the same: it is whole */
    } else {
        if ((state = chat(q, sink, &said)) != ASKED_ANSWERED || (state = cite(q, said)) != ASKED_ANSWERED)
            return save_incomplete(q, state);
    }
    save(q, STR_NONE);
    ask_answered(q);
    remember(q);
    return state;
}
