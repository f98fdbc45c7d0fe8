/* The place of a selected text: the passages that have most of its rare words, each with what stands around
 * it, are looked through, first for the very bytes, then for what a page makes of them. When none has it (its
 * words are of no index, or very common), a small collection is looked through as a whole.
 *
 *   selection ─▶ search by words ─▶ windows of neighbouring passages ─▶ locate (text/locate.h) ─▶ bytes of the document */
#include <strings.h>

#include "text/locate.h"
#include "common/text/text.h"
#include "retriever/index/shard.h"

enum {
    LOOK_PASSAGES = 24,
    SIDE_BYTES = 4096,
    LOOK_BYTES = 2 << 20,
    PART_MAX = 64,
    NEAR_BYTES = 600,
    NEAR_PASSAGES = 3
};

struct part {       /* of a window: one passage */
    size_t at, n;   /* in the window's text */
    int64_t start;  /* in the document */
    size_t passage; /* in doc->v */
};
struct seeker {
    struct locator l;
    const struct engine_query *q;
    struct str chapter, section; /* where it was selected; may be absent */
    struct buf window;
    struct part parts[PART_MAX];
    size_t n_parts;
    size_t left; /* bytes that may still be looked at */
    struct arena *arena;
    struct hit *out;
    bool found, at_place; /* found is in the named chapter or section */
};

/* Passages around one of them, with as much text on both sides as a selection's source can have. */
static void
fill(struct seeker *s, const struct index_doc *d, size_t first, size_t last, size_t side)
{
    size_t before = 0, after = 0;

    while (first > 0 && before < side && last - first < PART_MAX / 2)
        before += d->v[--first].text.n;
    while (last + 1 < d->n && after < side && last + 1 - first < PART_MAX - 1)
        after += d->v[++last].text.n;
    buf_reset(&s->window);
    s->n_parts = 0;
    for (size_t i = first; i <= last && s->n_parts < PART_MAX; i++) {
        const struct passage *p = &d->v[i];

        if (s->n_parts > 0 && p->start < s->parts[s->n_parts - 1].start + (int64_t)s->parts[s->n_parts - 1].n)
            continue; /* overlapping ones have been looked at */
        if (s->n_parts > 0)
            buf_z(&s->window, "\n\n");
        s->parts[s->n_parts++] = (struct part){ s->window.n, p->text.n, p->start, i };
        buf_str(&s->window, p->text);
    }
}

static const struct part *
part_at(const struct seeker *s, size_t at)
{
    for (size_t i = s->n_parts; i > 0; i--)
        if (s->parts[i - 1].at <= at)
            return &s->parts[i - 1];
    return NULL;
}

static bool
same_name(struct str asked, struct str name)
{
    return asked.n > 0 && asked.n == name.n && strncasecmp(asked.p, name.p, name.n) == 0;
}

/* A place was found. One in the chapter that the reader named is kept, any other one until such a one comes. */
static void
take(struct seeker *s, const struct index_doc *d, struct span x)
{
    const struct part *a = part_at(s, x.start), *b = part_at(s, x.end > x.start ? x.end - 1 : x.start);
    const struct passage *p;
    struct str text = STR("");
    struct hit h;

    if (!a || !b || x.start - a->at >= a->n || x.end - b->at > b->n)
        return;
    p = &d->v[a->passage];
    bool there = same_name(s->section, p->section) || same_name(s->section, d->title) ||
                 same_name(s->chapter, p->chapter) || same_name(s->chapter, d->title) ||
                 same_name(s->chapter, p->section);

    if (s->found && (s->at_place || !there))
        return;
    if (a == b)
        text = (struct str){ p->text.p + (x.start - a->at), x.end - x.start };
    if (!index_hit(d, p, text, s->arena, &h))
        return;
    h.score = 1;
    h.start = a->start + (int64_t)(x.start - a->at);
    h.end = b->start + (int64_t)(x.end - b->at);
    *s->out = h;
    s->found = true;
    s->at_place = there;
}

static void
look(struct seeker *s, enum locate_how how, const struct index_doc *d)
{
    struct span x;

    if (s->window.failed || s->window.n > s->left)
        return;
    s->left -= s->window.n;
    if (locate(&s->l, how, buf_slice(&s->window), &x))
        take(s, d, x);
}

static struct shard *
shard_of(struct index *ix, const struct seeker *s, struct str collection)
{
    return index_shard(ix, s->q->tenant, collection);
}

static void
look_near(struct seeker *s, struct index *ix, enum locate_how how, const struct search_rep *near)
{
    for (size_t i = 0; i < near->hits.n && !s->at_place; i++) {
        const struct hit *h = &near->hits.v[i];
        struct shard *sh = shard_of(ix, s, h->collection);
        size_t at = sh ? shard_find_doc(sh, &h->document_id) : SIZE_MAX;

        if (at == SIZE_MAX || !sh->docs[at].doc)
            continue;
        const struct index_doc *d = sh->docs[at].doc;

        for (size_t k = 0; k < d->n; k++)
            if (uuid_eq(&d->v[k].id, &h->chunk_id)) {
                fill(s, d, k, k, 3 * s->l.selection.n + SIDE_BYTES);
                look(s, how, d);
                break;
            }
    }
}

/* All of it, in windows that overlap by more than a selection's length. */
static void
look_everywhere(struct seeker *s, struct index *ix, enum locate_how how)
{
    for (size_t c = 0; c < s->q->collections->n && !s->found; c++) {
        struct shard *sh = shard_of(ix, s, s->q->collections->v[c]);

        for (size_t i = 0; sh && i < sh->n_docs && !s->found && s->left > 0; i++) {
            const struct index_doc *d = sh->docs[i].doc;

            if (!d || !sh->live[sh->docs[i].first])
                continue;
            for (size_t k = 0, last; k < d->n && !s->found; k = (last > k ? last : k) + 1) {
                fill(s, d, k, k, 3 * s->l.selection.n + SIDE_BYTES);
                last = s->parts[s->n_parts - 1].passage;
                if (s->window.n > s->left) {
                    s->left = 0;
                    return;
                }
                look(s, how, d);
            }
        }
    }
}

static bool
has(const struct search_rep *rep, const struct uuid *chunk)
{
    for (size_t i = 0; i < rep->hits.n; i++)
        if (uuid_eq(&rep->hits.v[i].chunk_id, chunk))
            return true;
    return false;
}

enum err
near_add(near_search_fn search, void *arg, struct words *w, const struct engine_query *q,
         const struct engine_selected *what, struct arena *a, struct search_rep *rep)
{
    struct engine_query alone = *q;
    size_t most = rep->hits.n > 0 ? NEAR_PASSAGES : q->top_k, n = rep->hits.n;
    struct search_rep near;
    struct hit *v;

    alone.text = utf8_cut(what->text, NEAR_BYTES);
    alone.context = STR_NONE;
    enum err err = search(arg, w, &alone, a, &near);

    if (err != ERR_OK)
        return err;
    v = arena_alloc(a, (n + most + 1) * sizeof *v);
    if (!v)
        return ERR_INTERNAL;
    if (n > 0)
        memcpy(v, rep->hits.v, n * sizeof *v);
    for (size_t i = 0; i < near.hits.n && n < rep->hits.n + most && n < 200; i++)
        if (!has(rep, &near.hits.v[i].chunk_id))
            v[n++] = near.hits.v[i];
    rep->hits.v = v;
    rep->hits.n = n;
    return ERR_OK;
}

static enum err
search_index(void *arg, struct words *w, const struct engine_query *q, struct arena *a,
             struct search_rep *rep)
{
    return index_search(arg, w, q, a, rep);
}

enum err
index_near(struct index *ix, struct words *w, const struct engine_query *q,
           const struct engine_selected *what, struct arena *a, struct search_rep *rep)
{
    return near_add(search_index, ix, w, q, what, a, rep);
}

/* A copy elsewhere is not enough while the place that the reader named may have it, too. */
static bool
enough(const struct seeker *s)
{
    return s->found && (s->at_place || (s->chapter.n == 0 && s->section.n == 0));
}

bool
index_select(struct index *ix, struct words *w, const struct engine_query *q,
             const struct engine_selected *what, struct arena *a, struct hit *out)
{
    struct engine_query words = { .tenant = q->tenant,
                                  .collections = q->collections,
                                  .text = what->text,
                                  .filter = q->filter,
                                  .top_k = LOOK_PASSAGES,
                                  .all = true };
    struct seeker *s = arena_alloc(a, sizeof *s);
    struct search_rep near;

    if (!s || index_search(ix, w, &words, a, &near) != ERR_OK)
        return false;
    *s = (struct seeker){ .q = q,
                          .chapter = what->chapter,
                          .section = what->section,
                          .window = BUF_MAX(1 << 20),
                          .left = LOOK_BYTES,
                          .arena = a,
                          .out = out };
    locator_init(&s->l, what->text);
    pthread_rwlock_rdlock(&ix->lock);
    for (int how = LOCATE_EXACT; how <= LOCATE_LOOSE && !enough(s); how++)
        look_near(s, ix, (enum locate_how)how, &near);
    for (int how = LOCATE_EXACT; how <= LOCATE_LOOSE && !s->found && !filter_any(q->filter); how++) {
        s->left = LOOK_BYTES;
        look_everywhere(s, ix, (enum locate_how)how);
    }
    pthread_rwlock_unlock(&ix->lock);
    locator_fini(&s->l);
    buf_free(&s->window);
    return s->found;
}
