/* The built-in answers: extractive. The pieces that cover the question's words best, one to three, are quoted
 * verbatim (the very bytes of the passage), each with its mark " [n]". When nothing covers enough of the
 * question, the answer is the refusal text. Deterministic; computed on threads.
 *
 *   hits ─▶ blocks (quote_block.c) ─▶ sentences, items, rows, lead-ins with what they lead in (quote_cut.c)
 *   question ─▶ stems, rare ones weighing more ─▶ coverage, heading above, place, hit score (quote_pick.c)
 *   no words in common ─▶ sentences near to the question (quote_near.c): by the sentence model of this process, else by the model server
 *   that makes the vectors, in one call for all sentences
 *   "explain this" of a selected text ─▶ its own sentences, and what passages say of its words (quote_select.c) */
#include <stdio.h>

#include "common/clock.h"
#include "common/process/threads.h"
#include "text/sentence.h"
#include "embedder/builtin/quote.h"

static bool
in_lines(const struct unit *u)
{
    return u->kind == UNIT_BLOCK || u->kind == UNIT_ROW || (u->kind == UNIT_CODE && u->key.n < u->text.n);
}

/* A term stands on a line above the sentence. */
static bool
has_paragraphs(const struct unit *u)
{
    return str_has(u->text, "\n\n");
}

/* Without the marks of a quote before its further lines. */
static void
write_text(struct buf *out, const struct unit *u, size_t from, size_t to)
{
    struct str s = { u->text.p, to };

    for (size_t i = from; i < to;) {
        const char *nl = u->quoted ? memchr(s.p + i, '\n', to - i) : NULL;
        size_t end = nl ? (size_t)(nl - s.p) + 1 : to;

        buf_add(out, s.p + i, end - i);
        i = nl ? end + quote_mark(s, end) : end;
    }
}

/* The mark stands behind the sentence that says it; behind a table or a fence on a line of its own, where it is no part of either. */
static void
write_quote(struct buf *out, struct chat_marks *marks, const struct unit *u)
{
    size_t to = (size_t)(u->key.p + u->key.n - u->text.p);
    bool inside = u->kind == UNIT_BLOCK && to < u->text.n && u->key.p[0] != '|';

    if (u->head.n > 0) {
        buf_str(out, u->head);
        buf_c(out, '\n');
    }
    write_text(out, u, 0, inside ? to : u->text.n);
    if (in_lines(u) && !inside)
        buf_z(out, "\n\n");
    (void)chat_mark(out, marks, u->hit + 1);
    if (inside)
        write_text(out, u, to, u->text.n);
}

/* A selection is answered about whatever is asked; one of an earlier question only where the question is
 * about it or its words. */
static size_t
choose(struct digest *d, const struct embed_near *near, const struct unit **q)
{
    bool about = d->req->selected && quote_is_about(d->req);
    size_t n = 0;

    if (!about) {
        quote_terms(d);
        quote_cut(d);
        n = quote_pick(d, q);
        if (n == 0 && near && !d->req->selected)
            n = quote_near(d, near, q);
    }
    if (n > 0 || !d->req->selected || (d->req->carried && !about))
        return n;
    quote_about(d);
    return quote_essence(d, q);
}

static void
digest_open(struct digest *d, const struct chat_req *req, const struct embed_near *near)
{
    *d = (struct digest){ .req = req,
                          .words = words_new(),
                          .u = mem_new(QUOTE_UNITS * sizeof *d->u),
                          .by = !near          ? SUPPORT_WORDS
                                : near->fitted ? SUPPORT_MEANING
                                               : SUPPORT_FOUND };
}

static void
digest_close(struct digest *d)
{
    mem_free(&d->u);
    words_free(&d->words);
}

/* True when nothing was chosen: the text is the refusal. */
static bool
write_answer(const struct chat_req *req, const struct unit *const *q, size_t n, struct buf *out,
             struct chat_marks *marks)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_z(out,
                  in_lines(q[i]) || in_lines(q[i - 1]) || has_paragraphs(q[i]) || has_paragraphs(q[i - 1])
                      ? "\n\n"
                  : q[i]->kind == UNIT_ITEM ? "\n"
                                            : " ");
        write_quote(out, marks, q[i]);
    }
    if (n == 0)
        buf_str(out, prompt_refusal(req));
    return n == 0;
}

void
builtin_answer(const struct chat_req *req, const struct embed_near *near, struct buf *out,
               struct chat_marks *marks, bool *refused)
{
    struct digest d;
    const struct unit *q[QUOTES];

    digest_open(&d, req, near);
    *refused = write_answer(req, q, choose(&d, near, q), out, marks);
    digest_close(&d);
}

/* ---- as a provider */
#define ASK_MS 3000  /* so long an answer waits for the vectors of sentences */
#define LATER_MS 100 /* so much later a task is given up that has texts which were never sent */
struct quote_job {
    struct embed_task
        task; /* first: what a model server is asked for, the texts of near behind their prefixes */
    struct chat_run *run;
    struct buf text;
    struct chat_marks marks;
    bool refused;
    struct digest d;
    struct near_set *near; /* sentences that wait for their vectors; NULL: none */
    struct arena *arena;   /* holds the task's texts */
    uint64_t timer;        /* ASK_MS is over */
    bool asking;           /* the provider has the task */
};

/* A sentence model of this process; NULL: the answers go by words. */
static const struct embed_near *
near_of(const struct chat_run *r)
{
    return r->e->sentences != NULL ? r->e->sentences->near : NULL;
}

/* Vectors come from a model server, and no model of this process knows sentences. */
static bool
may_ask(const struct chat_run *r)
{
    return !near_of(r) && r->e->sentences && r->e->sentences->paid;
}

static void
forget_near(struct quote_job *j)
{
    near_set_free(j->near);
    mem_free(&j->near);
}

static void
work(void *arg)
{
    struct quote_job *j = arg;
    const struct chat_req *req = j->run->call->req;
    const struct embed_near *near = near_of(j->run);
    const struct unit *q[QUOTES];
    size_t n;

    digest_open(&j->d, req, near);
    n = choose(&j->d, near, q);
    if (n == 0 && !req->selected && may_ask(j->run)) {
        j->near = mem_new(sizeof *j->near);
        if (quote_near_texts(&j->d, j->near))
            return;
        forget_near(j);
    }
    j->refused = write_answer(req, q, n, &j->text, &j->marks);
}

static void finish(struct quote_job *j);

/* Without vectors nothing is near. */
static void
on_vectors(struct embed_task *t)
{
    struct quote_job *j = (struct quote_job *)(void *)t;
    const struct unit *q[QUOTES];
    size_t n = 0;

    j->asking = false;
    loop_cancel(j->run->e->loop, &j->timer);
    if (t->err == ERR_OK)
        n = quote_near_choose(&j->d, j->near, t->vectors, t->out_dims, false, q);
    j->refused = write_answer(j->run->call->req, q, n, &j->text, &j->marks);
    j->run->upstream_us += t->upstream_us;
    mem_free(&t->vectors);
    arena_free(&j->arena);
    forget_near(j);
    finish(j);
}

/* From the cache, when it has all of them: a text is paid for once, whichever question its sentence is measured against. */
static bool
take_cached(struct quote_job *j)
{
    struct embed_task *t = &j->task;
    struct cache_item *items = arena_alloc(j->arena, t->n * sizeof *items);
    size_t dims;

    if (!items)
        return false;
    for (size_t i = 0; i < t->n; i++)
        items[i].text = t->texts[i];
    embed_cache_get(t->e, j->arena, t->model, t->dims, items, t->n, false);
    dims = items[0].found.dims;
    for (size_t i = 0; i < t->n; i++)
        if (!items[i].found.floats || items[i].found.dims != dims)
            return false;
    t->out_dims = dims;
    t->vectors = mem_new(t->n * dims * sizeof *t->vectors);
    for (size_t i = 0; i < t->n; i++)
        memcpy(t->vectors + i * dims, items[i].found.floats, dims * sizeof *t->vectors);
    return true;
}

static void
give_up(void *arg)
{
    struct quote_job *j = arg;

    j->timer = 0;
    j->task.p->cancel(&j->task); /* its done writes the answer */
}

/* Sentences and question in one task, ahead of passages that wait to be embedded. Calls keep to their time; texts that wait until
 * another call has ended, of which a server takes no more at once, know none. */
static void
ask_vectors(struct quote_job *j)
{
    struct delivery *c = j->run->call;
    struct embed_provider *p = j->run->e->sentences;
    size_t n = j->near->n + 1, most = p->max_texts;
    int64_t now = clock_ms(), left = c->deadline_ms - now, wait = left < ASK_MS ? left : ASK_MS;

    if (n > most) { /* the first sentences and the question */
        j->near->texts[most - 1] = j->near->texts[n - 1];
        j->near->n = most - 1;
        n = most;
    }
    j->arena = arena_new((size_t)4 << 20);
    j->task = (struct embed_task){ .e = j->run->e,
                                   .p = p,
                                   .n = n,
                                   .dims = p->dims,
                                   .deadline_ms = now + wait,
                                   .texts = arena_alloc(j->arena, n * sizeof *j->task.texts),
                                   .done = on_vectors };
    (void)snprintf(j->task.model, sizeof j->task.model, "%s", p->model);
    (void)snprintf(j->task.trace, sizeof j->task.trace, "%s", c->trace);
    for (size_t i = 0; j->task.texts != NULL && i < n; i++)
        j->task.texts[i] = str_of(arena_printf(j->arena, "%s" STR_FMT,
                                               embed_prefix(j->run->e->opt, p->model, i + 1 < n),
                                               STR_ARG(j->near->texts[i])));
    if (wait <= 0 || !j->task.texts || !j->task.texts[n - 1].p) {
        j->task.err = ERR_BUSY;
        on_vectors(&j->task);
        return;
    }
    if (take_cached(j)) {
        on_vectors(&j->task);
        return;
    }
    j->asking = true;
    j->timer = loop_after(j->run->e->loop, wait + LATER_MS, give_up, j);
    p->run(&j->task);
}

static void
finished(void *arg)
{
    struct quote_job *j = arg;

    if (j->near && !j->run->cancelled) {
        ask_vectors(j);
        return;
    }
    if (j->near)
        forget_near(j);
    finish(j);
}

/* Streamed in parts of some words, as a model would. */
static void
finish(struct quote_job *j)
{
    struct chat_run *r = j->run;
    struct str left = buf_slice(&j->text);

    while (left.n > 0 && !r->cancelled) {
        struct str part = utf8_cut(left, 64);

        while (part.n < left.n && left.p[part.n] != ' ')
            part.n++;
        if (!chat_emit(r, part))
            break;
        chat_flush(r);
        left = (struct str){ left.p + part.n, left.n - part.n };
    }
    r->refused = j->refused;
    r->marked = true;
    r->marks = j->marks;
    r->passages = prompt_passages(r->call->req);
    memcpy(r->finish, "stop", sizeof "stop");
    buf_free(&j->text);
    digest_close(&j->d);
    mem_free(&j);
    chat_finish(r, BUILTIN_CHAT_MODEL);
}

static void
run(struct chat_run *r)
{
    struct quote_job *j = mem_new(sizeof *j);

    j->run = r;
    r->impl = j;
    j->text = BUF_MAX(65536);
    if (threads_run(r->e->threads, work, finished, j) == 0)
        return;
    mem_free(&j);
    chat_fail(r, ERR_BUSY, 500, "the built-in answers have too much to do");
}

/* A thread cannot be stopped: what it has is finished within milliseconds, then dropped. */
static bool
cancel(struct chat_run *r)
{
    struct quote_job *j = r->impl;

    if (j->asking)
        j->task.p->cancel(&j->task); /* ends r */
    return false;
}

static void
close_builtin(struct chat_provider *p)
{
    mem_free(&p);
}

struct chat_provider *
chat_builtin_new(struct embedder *e)
{
    struct chat_provider *p = mem_new(sizeof *p);

    *p = (struct chat_provider){ .model = BUILTIN_CHAT_MODEL,
                                 .capacity = 4L * (long)e->n_threads,
                                 .local = true,
                                 .run = run,
                                 .cancel = cancel,
                                 .close = close_builtin };
    return p;
}
