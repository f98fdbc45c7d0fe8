/* Tasks under way and their calls: what belongs to whom, and who frees it (embed.h). */
#include "embedder/openai/embed.h"

void
work_add(struct work *w, size_t first, size_t n, int cut)
{
    struct range *r = mem_new(sizeof *r);

    *r = (struct range){ first, n, cut, w->ranges };
    w->ranges = r;
}

static void
work_drop_ranges(struct work *w)
{
    while (w->ranges) {
        struct range *r = w->ranges;

        w->ranges = r->next;
        mem_free(&r);
    }
}

static struct work **
list_of(struct openai_embed *m, const struct work *w)
{
    return w->t->documents ? &m->documents : &m->questions;
}

static bool
listed(struct openai_embed *m, const struct work *w)
{
    for (const struct work *x = *list_of(m, w); x != NULL; x = x->next)
        if (x == w)
            return true;
    return false;
}

void
work_enlist(struct openai_embed *m, struct work *w)
{
    struct work **tail = list_of(m, w);

    if (listed(m, w))
        return;
    while (*tail != NULL)
        tail = &(*tail)->next;
    w->next = NULL;
    *tail = w;
}

void
work_unlist(struct openai_embed *m, struct work *w)
{
    for (struct work **at = list_of(m, w); *at != NULL; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            return;
        }
}

void
piece_join(struct piece *p, struct openai_embed *m)
{
    p->m = m;
    p->older = m->all;
    if (m->all)
        m->all->newer = p;
    m->all = p;
}

void
piece_free(struct piece *p)
{
    if (p->newer)
        p->newer->older = p->older;
    else
        p->m->all = p->older;
    if (p->older)
        p->older->newer = p->newer;
    for (size_t i = 0; i < p->sub.n; i++) {
        char *text = (char *)(uintptr_t)p->sub.texts[i].p;

        mem_free(&text);
    }
    mem_free(&p->sub.texts);
    mem_free(&p->sub.vectors);
    mem_free(&p);
}

void
piece_leave(struct piece *p)
{
    for (struct piece **at = &p->w->pieces; *at != NULL; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    p->w = NULL;
}

/* The task is over. Its calls go on for the cache; those of a question are dropped. */
void
work_end(struct openai_embed *m, struct work *w)
{
    struct embed_task *t = w->t;

    work_unlist(m, w);
    work_drop_ranges(w);
    while (w->pieces) {
        struct piece *p = w->pieces;

        piece_leave(p);
        if (t->documents || !p->transfer)
            continue;
        upstream_cancel(&p->transfer);
        m->flying--;
        piece_free(p);
    }
    t->impl = NULL;
    mem_free(&w);
    t->done(t);
}

void
work_fail(struct openai_embed *m, struct work *w, const struct embed_task *why)
{
    w->t->err = why->err;
    w->t->text = why->text;
    w->t->retry_after_ms = why->retry_after_ms;
    mem_free(&w->t->vectors);
    work_end(m, w);
}

/* ---- pieces */

struct piece *
piece_new(struct openai_embed *m, struct work *w)
{
    struct range *r = w->ranges;
    struct piece *p = mem_new(sizeof *p);
    size_t n = r->n < w->k->pace.size ? r->n : w->k->pace.size;
    const struct embed_task *t = w->t;

    piece_join(p, m);
    p->w = w;
    p->k = w->k;
    p->first = r->first;
    p->cut = r->cut;
    p->sub = (struct embed_task){
        .e = t->e, .p = t->p, .n = n, .dims = t->dims, .documents = t->documents, .fresh = t->fresh
    };
    memcpy(p->sub.model, t->model, sizeof p->sub.model);
    memcpy(p->sub.trace, t->trace, sizeof p->sub.trace);
    p->sub.texts = mem_new(n * sizeof *p->sub.texts);
    for (size_t i = 0; i < n; i++)
        p->sub.texts[i] = (struct str){ mem_dup_str(t->texts[r->first + i]), t->texts[r->first + i].n };
    p->next = w->pieces;
    w->pieces = p;
    r->first += n;
    r->n -= n;
    if (r->n == 0) {
        w->ranges = r->next;
        mem_free(&r);
    }
    return p;
}

/* The piece is to be sent again, as two halves or later: its texts are the work's again. */
void
piece_give_back(struct piece *p, bool halves)
{
    struct work *w = p->w;
    size_t half = halves ? p->sub.n / 2 : 0;

    if (w) {
        work_add(w, p->first + half, p->sub.n - half, p->cut);
        if (half > 0)
            work_add(w, p->first, half, p->cut);
        piece_leave(p);
        work_enlist(p->m, w);
    }
    piece_free(p);
}

/* All vectors of the work are to be of one kind: begin anew with what the server gives now. */
void
work_again(struct openai_embed *m, struct work *w)
{
    mem_free(&w->t->vectors);
    w->t->out_dims = 0;
    w->missing = w->t->n;
    w->again = true;
    work_drop_ranges(w);
    while (w->pieces)
        piece_leave(w->pieces);
    work_add(w, 0, w->t->n, 0);
    work_enlist(m, w);
}
