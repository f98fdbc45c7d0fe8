/* The selected text of a question, and of those that follow it in its conversation: a source of its own,
 * which stands before the passages that were found (ask.h).
 *
 *   found in a document: the very bytes of it, with its title, offsets and link       not found: the reader's own (proto/selection.h)
 *
 * A retriever of the build before looks for nothing: then it is the reader's own. */
#include "gateway/ask/select.h"

#include "common/clock.h"
#include "common/log.h"
#include "proto/selection.h"

#define TEXT_MS 2000       /* for the bytes of a selection that runs over several chunks */
#define SOURCE_BYTES 65536 /* of them: a selection with many links may be a small part of its source */

void
select_carry(struct question *q)
{
    if (q->selection.n > 0)
        return;
    for (size_t i = q->earlier.n; i > 0 && !q->carried; i--) {
        const struct turn *t = &q->earlier.v[i - 1];

        if (t->selection.n == 0)
            continue;
        q->selection = t->selection;
        q->carried = true;
    }
}

struct str
select_own(const struct question *q)
{
    return q->carried ? STR_NONE : q->selection;
}

/* The bytes of the place, when the retriever could not give them. */
static bool
fetch(struct question *q, struct hit *h)
{
    struct document_text_req req = { .document_id = h->document_id, .start = h->start, .end = h->end };
    int64_t deadline = clock_ms() + TEXT_MS;
    const struct document_text_rep *rep;
    struct outcome a;

    if (h->text.n > 0)
        return h->end - h->start == (int64_t)h->text.n;
    if (h->end <= h->start || h->end - h->start > SOURCE_BYTES)
        return false;
    if (api_call(q->r, &q->held, KIND_DOCUMENT_TEXT, &req,
                 deadline < q->r->deadline_ms ? deadline : q->r->deadline_ms, &a) != ERR_OK) {
        LOG(WARN, q->r->id, M("the selection's document could not be read"), KS("code", err_name(a.err)));
        return false;
    }
    rep = a.msg;
    h->text = rep->text;
    return h->end - h->start == (int64_t)h->text.n && utf8_valid(h->text);
}

static struct hit
own_hit(const struct question *q)
{
    struct hit h = { .chunk_id = SELECTION_ID,
                     .document_id = SELECTION_ID,
                     .collection = q->collection,
                     .text = q->selection,
                     .end = (int64_t)q->selection.n,
                     .score = 1 };

    if (!q->carried) {
        h.chapter = q->chapter;
        h.section = q->section;
    }
    return h;
}

/* A passage that is a part of the selection brings nothing new. */
static bool
is_within(const struct hit *h, const struct hit *selection)
{
    return uuid_eq(&h->document_id, &selection->document_id) && h->start >= selection->start &&
           h->end <= selection->end;
}

bool
select_hits(struct question *q)
{
    struct search_rep *rep;
    struct hit *v, first = { 0 };

    if (q->selection.n == 0)
        return true;
    rep = arena_alloc(q->r->arena, sizeof *rep);
    v = arena_alloc(q->r->arena, (q->found->hits.n + 1) * sizeof *v);
    if (!rep || !v)
        return false;
    if (q->found->selected.n > 0)
        first = q->found->selected.v[0];
    if (q->found->selected.n == 0 || !fetch(q, &first))
        first = own_hit(q);
    *rep = *q->found;
    v[0] = first;
    rep->hits.n = 1;
    for (size_t i = 0; i < q->found->hits.n && rep->hits.n < 200; i++)
        if (!is_within(&q->found->hits.v[i], &first))
            v[rep->hits.n++] = q->found->hits.v[i];
    rep->hits.v = v;
    q->found = rep;
    return true;
}

void
select_cited(struct citation *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_selection(&v[i].document_id))
            v[i].start = v[i].end = 0; /* its offsets are those of no document */
}
