/* The built-in answers: extractive. What covers the question's words best is quoted verbatim (the very bytes of the passage), one to
 * three pieces, each with its mark " [n]". When nothing covers enough of the question, the answer is the refusal text.
 * Deterministic; computed on threads.
 *
 *   hits ─▶ blocks (quote_block.c) ─▶ sentences, items, rows, lead-ins with what they lead in (quote_cut.c)
 *   question ─▶ stems, rare ones weighing more ─▶ coverage, heading above, place, hit score (quote_pick.c)
 *   "explain this" of a selected text ─▶ its own sentences, and what passages say of its words (quote_select.c) */
#include "embedder/builtin/quote.h"

static bool
in_lines(const struct unit *u)
{
    return u->kind == UNIT_BLOCK || u->kind == UNIT_ROW || (u->kind == UNIT_CODE && u->key.n < u->text.n);
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
    buf_add(out, u->text.p, inside ? to : u->text.n);
    if (in_lines(u) && !inside)
        buf_z(out, "\n\n");
    (void)chat_mark(out, marks, u->hit + 1);
    if (inside)
        buf_add(out, u->text.p + to, u->text.n - to);
}

/* A selection is answered about whatever is asked; one of an earlier question only where the question is about it or its words. */
static size_t
choose(struct digest *d, const struct unit **q)
{
    bool about = d->req->selected && quote_is_about(d->req);
    size_t n = 0;

    if (!about) {
        quote_terms(d);
        quote_cut(d);
        n = quote_pick(d, q);
    }
    if (n > 0 || !d->req->selected || (d->req->carried && !about))
        return n;
    quote_about(d);
    return quote_essence(d, q);
}

void
builtin_answer(const struct chat_req *req, struct buf *out, struct chat_marks *marks, bool *refused)
{
    struct digest d = { .req = req, .words = words_new(), .u = mem_new(QUOTE_UNITS * sizeof *d.u) };
    const struct unit *q[QUOTES];
    size_t n;

    n = choose(&d, q);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_z(out, in_lines(q[i]) || in_lines(q[i - 1]) ? "\n\n" : q[i]->kind == UNIT_ITEM ? "\n" : " ");
        write_quote(out, marks, q[i]);
    }
    *refused = n == 0;
    if (n == 0)
        buf_str(out, prompt_refusal(req));
    mem_free(&d.u);
    words_free(&d.words);
}

/* ---- as a provider */
struct quote_job {
    struct chat_run *run;
    struct buf text;
    struct chat_marks marks;
    bool refused;
};

static void
work(void *arg)
{
    struct quote_job *j = arg;

    builtin_answer(j->run->call->req, &j->text, &j->marks, &j->refused);
}

/* Streamed in parts of some words, as a model would. */
static void
finished(void *arg)
{
    struct quote_job *j = arg;
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
    mem_free(&j);
    chat_finish(r, BUILTIN_CHAT_MODEL);
}

void
chat_builtin_run(struct chat_run *r)
{
    struct quote_job *j = mem_new(sizeof *j);

    j->run = r;
    j->text = BUF_MAX(65536);
    if (threads_run(r->e->threads, work, finished, j) == 0)
        return;
    mem_free(&j);
    chat_fail(r, ERR_BUSY, 500, "the built-in answers have too much to do");
}
