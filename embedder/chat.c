/* CHAT: a question and its passages → a streamed answer with marks. This file owns each answer in the making (chat_run): it
 * hands it to a provider, streams what the provider emits, and ends it exactly once:
 *
 *   call ─▶ chat_run ─▶ chat_provider ─▶ chat_emit, chat_flush … ─▶ chat_finish ─▶ reply
 *                          │ fails before the first token, CHAT_FALLBACK ─▶ the other provider, degraded
 *                          └ fails otherwise ─▶ chat_fail (after the first token: ERR_UPSTREAM_CUT)
 *
 * A resumable stream's text goes to Redis besides (frames.h): when its gateway dies the answer is written on, and another
 * gateway ends it.
 *
 * Cancel: an upstream transfer is dropped at once, also one for a built-in answer's vectors; what a thread has of that is finished
 * (milliseconds), then dropped. */
#include "common/clock.h"
#include "common/log.h"
#include "embedder/chat.h"
#include "embedder/frames.h"
#include "embedder/span.h"
#include "embedder/leak.h"
#include "embedder/refusal.h"

#define ANSWER_MAX 262144 /* of chat_rep.text */
#define PART_MAX 65536    /* of chat_part.text */
#define TOKEN_BYTES \
    8 /* of answer for each token asked for, beyond which it is cut: real ones have three to five */
#define ALIVE_MS \
    8000 /* after so long without text an empty part says that the provider still waits, within its own limits */

struct chat_service {
    struct embedder *e;
    struct chat_provider *p;        /* who answers */
    struct chat_provider *fallback; /* who answers when it fails; NULL: nobody */
};

struct chat_service *
chat_new(struct embedder *e, struct chat_provider *p)
{
    struct chat_service *c = mem_new(sizeof *c);

    *c = (struct chat_service){ .e = e, .p = p };
    return c;
}

void
chat_fall_back(struct chat_service *c, struct chat_provider *other)
{
    c->fallback = other;
}

void
chat_free(struct chat_service **c)
{
    if (!*c)
        return;
    (*c)->p->close((*c)->p);
    if ((*c)->fallback != NULL)
        (*c)->fallback->close((*c)->fallback);
    mem_free(c);
}

void
chat_sample(struct chat_service *c)
{
    stat_set(&embedder_stats, CHAT_FRAMES, (double)frames_count(c->e->frames));
    if (c->p->sample)
        c->p->sample(c->p);
}

static void
run_free(struct chat_run *r)
{
    r->call->on_cancel = NULL;
    frames_end(&r->log, NULL, ERR_CANCELLED); /* unless it has ended otherwise */
    mem_free(&r->leak);
    loop_cancel(r->e->loop, &r->timer);
    buf_free(&r->answer);
    mem_free(&r);
}

/* Nobody gets the prompt: the answer is the refusal, and what the model goes on to say is not read. */
static bool
leaked(struct chat_run *r)
{
    LOG(WARN, r->call->trace, M("the model gave the system prompt away: refused"), KI("bytes", r->answer.n));
    stat_inc(&embedder_stats, CHAT_LEAKS);
    r->leaked = r->refused = true;
    r->answer.n = 0;
    buf_str(&r->answer, prompt_refusal(r->call->req));
    return false;
}

/* A model server's text gives no prompt away and is no longer than was asked for, whether the server
 * keeps to it or not. */
static bool
guard(struct chat_run *r, struct str text)
{
    const struct chat_req *req = r->call->req;
    size_t most = (size_t)r->e->opt->max_output_tokens * TOKEN_BYTES;

    if (!r->leak) {
        r->leak = mem_new(sizeof *r->leak);
        leak_begin(r->leak, req->prompt.n > 0 ? req->prompt : str_of(r->e->prompt));
    }
    if (leak_push(r->leak, text))
        return leaked(r);
    if (r->answer.n <= most)
        return true;
    r->answer.n = utf8_cut(buf_slice(&r->answer), most).n;
    stat_inc(&embedder_stats, CHAT_OVERLONG);
    return false;
}

bool
chat_mark(struct buf *out, struct chat_marks *m, size_t n)
{
    if (m->n == sizeof m->v / sizeof *m->v)
        return false;
    m->v[m->n++] = (struct mark_place){ .n = (int64_t)n, .at = (int64_t)out->n + 1 };
    buf_printf(out, " [%zu]", n);
    return true;
}

bool
chat_emit(struct chat_run *r, struct str text)
{
    if (r->answer.n == 0 && text.n > 0)
        stat_observe_traced(&embedder_stats, CHAT_FIRST_TOKEN, 0, 0, (double)(clock_us() - r->begun_us) / 1e6,
                            span_trace_id(worker_span(r->call)));
    if (text.n > ANSWER_MAX - r->answer.n)
        return false;
    if (r->answer.n == 0)
        mem_free(&r->leak);
    buf_str(&r->answer, text);
    return r->prompt_bytes == 0 || guard(r, text);
}

void
chat_forget(struct chat_run *r)
{
    r->answer.n = 0;
    r->shown = 0;
}

/* The embedder decides how long a model server may take (UPSTREAM_IDLE_TIMEOUT). The gateway waits as
 * long as it hears of us. */
static void
on_alive(void *arg)
{
    struct chat_run *r = arg;
    struct chat_part nothing = { .text = STR("") };
    int64_t now = clock_ms(), due = r->part_ms + ALIVE_MS;

    r->timer = 0;
    if (now >= due && worker_part(r->call, &nothing))
        r->part_ms = now;
    due = r->part_ms + ALIVE_MS;
    r->timer = loop_after(r->e->loop, due > now ? due - now : ALIVE_MS, on_alive, r);
}

void
chat_wait(struct chat_run *r)
{
    const struct chat_req *req = r->call->req;

    r->part_ms = clock_ms();
    if (!req->whole && r->timer == 0)
        r->timer = loop_after(r->e->loop, ALIVE_MS, on_alive, r);
}

void
chat_flush(struct chat_run *r)
{
    const struct chat_req *req = r->call->req;
    size_t safe = r->leak ? leak_safe(r->leak) : r->answer.n;

    safe = safe < r->answer.n ? safe : r->answer.n;
    if (r->log && !r->leaked && safe > r->logged) {
        frames_add(r->log, (struct str){ r->answer.p + r->logged, safe - r->logged });
        r->logged = safe;
    }
    while (!req->whole && !r->leaked && r->shown < safe) {
        struct str left = { r->answer.p + r->shown, safe - r->shown };
        struct chat_part part = { .text = utf8_cut(left, PART_MAX) };

        if (!worker_part(r->call, &part))
            return; /* goes with the next one; at the latest with the whole answer */
        r->shown += part.text.n;
        r->part_ms = clock_ms();
    }
}

static void
end_cancelled(struct chat_run *r)
{
    struct delivery *c = r->call;

    stat_inc(&embedder_stats, CHAT_CANCELLED);
    run_free(r);
    worker_fail(c, ERR_CANCELLED, 0, NULL);
}

void
chat_finish(struct chat_run *r, const char *model)
{
    const struct chat_req *req = r->call->req;
    struct delivery *c = r->call;
    char version[33];
    struct chat_rep rep = {
        .text = buf_slice(&r->answer),
        .model = str_of(model),
        .finish_reason = str_of(r->finish),
        .prompt_tokens = r->prompt_tokens,
        .completion_tokens = r->completion_tokens,
        .degraded = r->degraded,
        .unsure = r->unsure,
        .upstream_us = r->upstream_us,
        .prompt_bytes = r->prompt_bytes,
        .passages = (int64_t)r->passages,
        .marked = r->marked,
        .marks = { r->marks.v, r->marks.n },
    };

    if (r->cancelled) {
        end_cancelled(r);
        return;
    }
    if (r->prompt_bytes > 0)
        rep.prompt_version = prompt_version(req, r->e->prompt, version);
    if (r->leaked)
        rep.finish_reason = STR("content_filter");
    mem_free(&r->leak); /* all of it may be shown */
    rep.refused = !req->raw && (r->refused || prompt_refused(rep.text, prompt_refusal(req)) ||
                                (!r->marked && refusal_said(rep.text)));
    if (rep.refused)
        stat_inc(&embedder_stats, CHAT_REFUSED);
    chat_flush(r);
    frames_end(&r->log, &rep, ERR_OK);
    loop_cancel(r->e->loop, &r->timer);
    stat_add_at(&embedder_stats, CHAT_ANSWERS,
                r->degraded   ? CHAT_BY_FALLBACK
                : r->p->local ? CHAT_BY_BUILTIN
                              : CHAT_BY_UPSTREAM,
                0, 1);
    chat_span(c, &rep);
    worker_reply(c, &rep);
    buf_free(&r->answer);
    mem_free(&r);
}

void
chat_fail(struct chat_run *r, enum err err, int64_t retry_after_ms, const char *text)
{
    struct delivery *c = r->call;
    const struct chat_req *req = c->req;

    if (r->cancelled) {
        end_cancelled(r);
        return;
    }
    if (r->answer.n == 0 && r->e->chat->fallback && !r->degraded && !req->raw) {
        LOG(INFO, c->trace, M("answering from the passages alone"), KS("error", err_name(err)));
        r->degraded = true;
        r->unsure = err_maybe_paid(err);
        loop_cancel(r->e->loop, &r->timer);
        r->prompt_tokens = r->completion_tokens = r->prompt_bytes = 0;
        r->p = r->e->chat->fallback;
        r->p->run(r);
        return;
    }
    if (r->answer.n > 0) {
        err = ERR_UPSTREAM_CUT;
        text = "the answer broke off";
        retry_after_ms = 0;
    }
    stat_inc(&embedder_stats, CHAT_FAILED);
    frames_end(&r->log, NULL, err);
    run_free(r);
    worker_fail(c, err, retry_after_ms, text);
}

static void
give_up(struct chat_run *r)
{
    r->call->on_cancel = NULL;
    r->cancelled = true;
    if (r->p->cancel && r->p->cancel(r))
        end_cancelled(r);
}

/* A gateway that died is no reader that left: another one reads on, from Redis. */
static void
on_cancel(struct delivery *c)
{
    struct chat_run *r = c->user;

    if (r->log && worker_abandoned(c))
        stat_inc(&embedder_stats, CHAT_ORPHANS);
    else
        give_up(r);
}

void
chat_unlogged(void *run)
{
    struct chat_run *r = run;

    r->log = NULL;
    if (worker_abandoned(r->call) && !r->cancelled)
        give_up(r);
}

void
chat_on_call(struct delivery *c)
{
    struct embedder *e = worker_ctx(c);
    const struct chat_req *req = c->req;
    struct chat_run *r;

    if (req->question.n == 0) {
        worker_fail(c, ERR_VALIDATION, 0, "question: may not be empty");
        return;
    }
    if (req->raw && e->chat->p->local) {
        worker_fail(c, ERR_VALIDATION, 0,
                    "model: asking without documents needs a model server (OPENAI_BASE_URL)");
        return;
    }
    r = mem_new(sizeof *r);
    *r = (struct chat_run){
        .e = e, .p = e->chat->p, .call = c, .answer = BUF_MAX(ANSWER_MAX), .begun_us = clock_us()
    };
    c->user = r;
    c->on_cancel = on_cancel;
    r->log = frames_begin(e->frames, req->frames, r);
    r->p->run(r);
}

void
chat_quote_on_call(struct delivery *c)
{
    struct embedder *e = worker_ctx(c);
    const struct chat_req *req = c->req;
    const struct chat_provider *p = e->chat->p;
    struct quote_rep rep = { .model = req->model.n > 0 ? req->model : str_of(p->model) };

    if (p->quote)
        p->quote(e, req, &rep);
    else
        rep.model = STR_NONE;
    worker_reply(c, &rep);
}
