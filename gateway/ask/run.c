/* One question as a straight line of calls (ask.h):
 *   turn.begin ┬ embed → search ┬ rerank (where a reranker is on the bus) → chat → cite → turn.finish → cache
 *              │ (beside it: begin.c)                                            │
 *              └─ another session's answer serves (share.c) ─────────────────────┘
 *
 * The question is stored before anything is paid for, but for the vector that near answers are found by (semantic.c).
 * An embedding that fails for a passing reason leaves the lexical half of the search, and the answer is marked degraded.
 * Without a passage no chat model is asked. An answer that exists is never lost by a failing save: it is queued, or said
 * not to be saved. Only complete, grounded, standalone answers that nothing degraded are cached. A client that goes away
 * cancels what runs (unless it may come back: a resumable stream); what it saw is kept as incomplete. */
#include "gateway/admit/budget.h"
#include "gateway/ask/begin.h"
#include "gateway/ask/embed.h"
#include "gateway/ask/fly.h"
#include "gateway/ask/relay.h"
#include "gateway/ask/rerank.h"
#include "gateway/ask/select.h"
#include "gateway/ask/share.h"
#include "gateway/ask/safe.h"

#include "text/support.h"
#include "text/language.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/answer.h"
#include "gateway/admit/cache_write.h"
#include "gateway/watch/fallback.h"

#define EMBED_MS 17000      /* leaves time for a lexical answer */
#define SAVE_MS 2000        /* an answer that came late still gets this long to be saved */
#define EXCHANGE_BYTES 1000 /* of each earlier message that helps the search */
#define SELECTION_BYTES 2000

enum asked
ask_failed(struct question *q, const struct outcome *a)
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

/* ---- embed and search */

/* The context of the question: the previous exchange ("and how long does it take?" alone finds nothing), or
 * the selected text. Absent when there is none. */
static struct str
search_context(struct question *q)
{
    struct buf b = BUF_MAX(65536);
    struct str s = STR_NONE;
    size_t n = q->earlier.n;

    for (size_t i = n > 2 ? n - 2 : 0; i < n; i++) {
        buf_str(&b, utf8_cut(q->earlier.v[i].content, EXCHANGE_BYTES));
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
        return q->query;
    both = arena_printf(q->r->arena, STR_FMT "\n" STR_FMT, STR_ARG(context), STR_ARG(q->query));
    return both ? str_of(both) : q->query;
}

enum err
ask_embed(struct question *q, struct str text, struct search_req *req, struct outcome *a, bool *by_words)
{
    const struct semantic *s = &q->semantic;
    const struct embed_rep *rep;
    int64_t deadline = sooner(q->r->deadline_ms, clock_ms() + EMBED_MS);
    int64_t since = clock_us() - q->begin.waited_us; /* a wait for the begin is not its own */
    enum err e;

    *by_words = false;
    if (s->asked) {
        req->vector = s->vector;
        req->model = s->model;
        req->after = s->after;
        *a = s->embedded;
        return ERR_OK;
    }
    e = embed_asked(q, text, deadline, req, a, by_words);
    ask_stage(q, STAGE_EMBED, since + q->begin.waited_us);
    if (e || *by_words)
        return e;
    q->trace.embedded = rep = a->msg;
    q->trace.upstream_us += rep->upstream_us;
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

/* The passages are there: an answer that is written for minutes need not hold the vector, nor the begin of a question without a past. */
static void
let_go(struct question *q, size_t before_search)
{
    const struct embed_rep *rep = q->trace.embedded;
    struct embed_rep *own = arena_alloc(q->r->arena, sizeof *own);

    if (q->begin.rep->history.n > 0 || q->held.n == API_HELD_MAX || !own)
        return;
    if (rep) {
        *own = *rep;
        own->vectors = STR_NONE;
        own->model = arena_str(q->r->arena, rep->model);
        q->trace.embedded = own;
    }
    begin_let_go(q);
    held_keep(&q->held, before_search);
}

/* A begin that failed goes before: then there is no question that something was not found for. */
static enum asked
search_failed(struct question *q, const struct outcome *a)
{
    enum asked state = begin_known(q, INT64_MAX);

    return state == ASKED_ANSWERED ? ask_failed(q, a) : state;
}

/* Searched by words only is better than nothing, but "nothing found" would be a guess: of an embedding that failed (why), or of a
 * search engine that is away. */
static enum asked
by_words(struct question *q, const struct outcome *why)
{
    static const struct outcome away = {
        .err = ERR_NO_WORKER,
        .text = "the search engine does not answer, and the words alone find nothing",
        .retry_after_ms = 1000
    };

    if (q->found->hits.n == 0 && q->selection.n == 0)
        return ask_failed(q, why ? why : &away);
    q->degraded = true;
    if (why)
        LOG(WARN, q->r->id, M("no embedding: searched by words only"), KS("code", err_name(why->err)));
    return ASKED_ANSWERED;
}

/* Until the passages are there and the question is stored. */
static enum asked
search(struct question *q)
{
    static const struct search_rep nothing;
    struct str context = search_context(q);
    struct search_req req = {
        .query = q->query,
        .context = context,
        .selection = q->selection,
        .chapter = q->chapter,
        .section = q->section,
        .collections = { &q->collection, 1 },
        .top_k = q->top_k      ? q->top_k
                 : q->settings ? q->settings->top_k
                               : 0,
        .filter = q->filter,
        .threshold = q->settings ? q->settings->threshold : 0,
    };
    struct rerank_plan plan;
    struct outcome embedded, a;
    enum asked state;
    enum err e, found;
    size_t before;
    int64_t since;
    bool no_vector;

    if (q->raw) {
        q->found = &nothing;
        return ASKED_ANSWERED;
    }
    e = ask_embed(q, embed_text(q, context), &req, &embedded, &no_vector);
    q->degraded = q->degraded || no_vector;
    since = clock_us();
    q->trace.top_k = req.top_k;
    if (e && ((!err_retryable(e) && e != ERR_DEADLINE) || (e == ERR_NO_WORKER && no_writer(q))))
        return search_failed(q, &embedded);
    rerank_plan(q->r, &req, &plan);
    before = q->held.n;
    found = begin_beside(q, KIND_SEARCH, &req, q->r->deadline_ms, &a);
    ask_stage(q, STAGE_SEARCH, since);
    if (found)
        return search_failed(q, &a);
    if ((state = begin_known(q, INT64_MAX)) != ASKED_ANSWERED)
        return state;
    fallback_heard(((const struct search_rep *)a.msg)->degraded);
    since = clock_us();
    q->found = rerank(q->r, &q->held, &plan, q->query, a.msg);
    if (plan.asked)
        ask_stage(q, STAGE_RERANK, since);
    if ((e || q->found->degraded) && by_words(q, e ? &embedded : NULL) != ASKED_ANSWERED)
        return ASKED_FAILED;
    if (!select_hits(q))
        return ask_failed(q, &(struct outcome){ .err = ERR_INTERNAL });
    let_go(q, before);
    return ASKED_ANSWERED;
}

/* ---- cite */

/* In this thread: it takes some 100 µs, most of them for the words of the passages; a call of another service takes several times that. */
static enum err
cite_here(struct question *q, const struct chat_rep *said, struct cite_rep *rep)
{
    struct cite_req req = { .answer = said->text,
                            .question = q->query,
                            .refused = said->refused,
                            .selection = q->selection,
                            .page_context = q->page_context,
                            .marked = said->marked };
    int64_t since = clock_us();
    struct words *w = words_new();
    enum err e;

    req.marks.v = said->marks.v;
    req.marks.n = said->marks.n;
    req.hits.v = q->found->hits.v;
    req.hits.n = q->found->hits.n;
    if (said->passages > 0 && (size_t)said->passages < req.hits.n)
        req.hits.n = (size_t)said->passages; /* passages that the model was not given it cannot have cited */
    e = cite_answer(&req, w, q->r->arena, rep, &q->trace.cited);
    if (e == ERR_OK)
        rep->confidence = support_confidence(w, &req, rep);
    words_free(&w);
    ask_cited(&q->trace.cited);
    ask_stage(q, STAGE_CITE, since);
    return e;
}

static void
take_said(struct question *q, const struct chat_rep *said)
{
    q->trace.said = said;
    if (!q->flying.follows)
        q->trace.upstream_us += said->upstream_us;
    q->model = said->model;
    q->finish = said->finish_reason;
    q->prompt_tokens = said->prompt_tokens;
    q->completion_tokens = said->completion_tokens;
    q->degraded = q->degraded || said->degraded;
}

static enum asked
cite(struct question *q, const struct chat_rep *said)
{
    struct cite_rep rep;

    take_said(q, said);
    if (q->raw) { /* nothing to cite: its brackets are its own */
        q->answer = ask_safe(q, said->text);
        return ASKED_ANSWERED;
    }
    q->refused = said->refused;
    if (cite_here(q, said, &rep))
        return ask_failed(q, &(struct outcome){ .err = ERR_INTERNAL });
    q->answer = ask_safe(q, rep.answer);
    q->grounded = rep.grounded && !said->refused && rep.citations.n > 0;
    if (!q->grounded)
        return ASKED_ANSWERED;
    select_cited(rep.citations.v, rep.citations.n);
    for (size_t i = 0; i < rep.citations.n; i++)
        rep.citations.v[i].id = ask_citation_id(&q->message_id,
                                                rep.citations.v[i].n); /* as the stream's sources said */
    q->citations = rep.citations.v;
    q->n_citations = rep.citations.n;
    q->confidence = rep.confidence;
    return ASKED_ANSWERED;
}

/* No passage: nothing that a model could answer from. */
void
ask_refuse(struct question *q)
{
    const struct collection *c = q->settings;

    q->answer = ask_refusal(q, c);
    q->refused = true;
}

/* ---- saving */

static void
save_queued(struct question *q, struct turn_finish_req *t, enum err why)
{
    struct buf b = BUF_MAX(ANSWER_MAX);

    t->tenant = str_of(q->r->who.tenant);
    t->selection = select_own(q);
    t->question = q->text; /* the begin may have been rolled back by a lost database: same id, stored once */
    q->saved = msg_encode(turn_finish_req_desc(), t, &b) == ERR_OK && turns_append(q->r, buf_slice(&b))
                   ? SAVED_QUEUED
                   : SAVED_NO;
    LOG(WARN, q->r->id, M("answer not saved by the store"), KS("code", err_name(why)),
        KB("queued", q->saved == SAVED_QUEUED));
    buf_free(&b);
}

/* An answer is kept for its session when it is whole and its index had seen the change that the epoch stands for: one behind it may have found
 * what is deleted, and such an answer must not outlive the moment. An answer that checks may switch off is not a session's own. */
static bool
may_remember(const struct question *q)
{
    return !q->semantic.origin.key[0] && q->probe.key[0] && q->grounded && !q->refused && !q->degraded &&
           !ask_cut(q) && (q->copied || q->found->seq >= q->probe.epoch);
}

/* A turn as a cache keeps it: a copy saves the tokens, too. */
static void
remembered_turn(const struct question *q, struct turn_finish_req *t)
{
    ask_turn(q, t);
    t->conversation_id = q->conversation_id;
    t->prompt_tokens = q->prompt_tokens;
    t->completion_tokens = q->completion_tokens;
}

/* Beside the finish, for which nobody else has anything to do. An erasure takes it away with all that its session has, and lets nothing of an
 * older question in; what the store refuses is taken back (forget). */
static bool
remember(struct question *q)
{
    struct buf fragment = BUF_MAX(ANSWER_MAX), value = BUF_MAX(ANSWER_MAX);
    struct turn_finish_req t;
    bool whole;

    if (!may_remember(q))
        return false;
    remembered_turn(q, &t);
    whole = ask_cache_fragment(q, &fragment) &&
            answer_pack(q->probe.sha256, q->probe.epoch, buf_slice(&fragment), &t, &value) == ERR_OK;
    if (whole)
        cache_store(q->r, q->session_hash, &q->probe, buf_slice(&value));
    buf_free(&fragment);
    buf_free(&value);
    return whole;
}

/* The session or the conversation was erased meanwhile: the answer is neither queued nor cached nor kept for a repetition. */
static void
forget(struct question *q, bool remembered)
{
    if (remembered)
        cache_take_back(q->r, q->session_hash, &q->probe);
    q->probe.key[0] = 0;
    fly_forget(q);
    if (q->frames)
        frames_drop(q->r, q->frames);
    q->frames = NULL;
    if (q->r->idem)
        q->r->idem->outcome = IDEM_FREED;
}

static void
save(struct question *q, struct str status)
{
    int64_t deadline = clock_ms() + SAVE_MS, since = clock_us();
    struct turn_finish_req t;
    struct buf sealed = BUF_MAX(IDEM_BODY_MAX);
    bool remembered = false;
    struct outcome a;
    struct call *call;

    ask_turn(q, &t);
    t.conversation_id = q->conversation_id;
    t.trace = q->copied ? q->copied->trace : ask_trace_json(q, true);
    if (status.p)
        t.status = status;
    else
        ask_keep(q, &t, &sealed);
    stream_rest(q->r); /* answers that end together wait for the store together */
    call = hub_call(api_hub(q->r), KIND_TURN_FINISH, &t, q->r->who.tenant, q->r->id, deadline);
    if (!status.p)
        remembered = remember(q);
    if (held_wait(&q->held, call, &a) == ERR_OK)
        q->saved = SAVED_YES;
    else if (a.err == ERR_NOT_FOUND || a.err == ERR_CONFLICT)
        forget(q, remembered);
    else
        save_queued(q, &t, a.err);
    if (t.idem_key.p && q->saved != SAVED_NO)
        idem_kept(q->r);
    buf_free(&sealed);
    ask_stage(q, STAGE_FINISH, since);
}

/* The shown part of an answer that did not come to its end. */
enum asked
ask_break(struct question *q, enum asked state)
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

/* Keep the answer for others who ask: only now, since it must be the store's. */
static void
share(struct question *q)
{
    struct turn_finish_req t;

    ask_semantic_check(q);
    if (!may_remember(q) || q->copied || (q->flying.follows && !q->flying.orphan))
        return;
    remembered_turn(q, &t);
    ask_share_keep(q, &t);
}

/* ---- the line */

void
ask_end(struct question *q)
{
    save(q, STR_NONE);
    ask_answered(q);
    share(q);
}

enum asked
ask_said(struct question *q, const struct chat_rep *said)
{
    enum asked state = cite(q, said);

    if (state != ASKED_ANSWERED)
        return ask_break(q, state);
    ask_end(q);
    return state;
}

/* It is saved before it is seen, as a hit is. */
static enum asked
tell_copied(struct question *q, const struct ask_sink *sink)
{
    if (!ask_announce(q, sink))
        return ASKED_GONE;
    ask_end(q);
    return sink && !sink->text(sink->arg, q->answer) ? ASKED_GONE : ASKED_ANSWERED;
}

/* As far as whatever the question will cost is allowed, and it is stored, or being stored beside its search. */
static enum asked
open_turn(struct question *q, const struct ask_sink *sink)
{
    struct outcome a = { .err = ERR_BUSY, .text = "" };
    enum asked state;
    bool copied;

    ask_share_look(q, sink != NULL);
    if (q->flying.erased)
        return ask_failed(q, &(struct outcome){ .err = ERR_NOT_FOUND });
    if (ask_overloaded(q)) {
        a.retry_after_ms = ask_overload_retry_ms();
        return ask_failed(q, &a);
    }
    copied = q->copied || q->flying.follows;
    if (!copied && budget_look(q->r, &a) != ERR_OK)
        return ask_failed(q, &a);
    begin_start(q);
    if (begin_aside(q, sink))
        return ASKED_ANSWERED;
    if ((state = begin_known(q, INT64_MAX)) != ASKED_ANSWERED || !copied)
        return state;
    if (q->copied)
        ask_share_take(q);
    return q->copied || q->flying.follows || budget_look(q->r, &a) == ERR_OK ? ASKED_ANSWERED
                                                                             : ask_failed(q, &a);
}

/* No other question's answer came: this one goes its own way from here on. */
static enum asked
leave_flight(struct question *q, bool followed)
{
    struct outcome a = { .err = ERR_BUSY, .text = "" };

    if (followed && budget_look(q->r, &a) != ERR_OK)
        return ask_failed(q, &a);
    return q->found ? ASKED_ANSWERED : search(q);
}

static enum asked
run(struct question *q, const struct ask_sink *sink)
{
    const struct chat_rep *said = NULL;
    enum asked state;
    bool followed;

    if ((state = open_turn(q, sink)) != ASKED_ANSWERED)
        return state;
    if (sink && !begin_runs(q) && !budget_on(q->r) && !sink->begun(sink->arg))
        return ASKED_GONE;
    if (q->copied)
        return tell_copied(q, sink);
    followed = q->flying.follows;
    if (followed && fly_follow(q, sink, &state))
        return state;
    if ((state = leave_flight(q, followed)) != ASKED_ANSWERED)
        return state;
    fly_open(q);
    if (q->found->hits.n == 0 && !q->raw) {
        if (!ask_announce(q, sink))
            return ASKED_GONE;
        ask_refuse(q);
        if (sink && !sink->text(sink->arg, q->answer))
            state = ASKED_GONE; /* kept all the same: it is whole */
    } else {
        state = ask_chat(q, sink, &said);
        if (state == ASKED_ANSWERED)
            fly_said(q, said);
        return state == ASKED_ANSWERED ? ask_said(q, said) : ask_break(q, state);
    }
    ask_end(q);
    return state;
}

enum asked
ask_run(struct question *q, const struct ask_sink *sink)
{
    enum asked state = run(q, sink);

    fly_end(q);
    return state;
}
