/* A document on its way into Postgres: of each passage its words, counted as the index in memory counts them, its vectors, what a hit
 * shows and what a filter may ask for, one behind the other in one piece of memory. */
#include <endian.h>
#include <stdio.h>

#include "common/text/json.h"
#include "retriever/pgvector/pgvector.h"

enum { DOC_MAX = 1 << 30, SHOWN_MAX = 380000 };

void
space_text(const struct space_id *s, char out[SPACE_TEXT])
{
    (void)snprintf(out, SPACE_TEXT, "%s_%u", s->name, (unsigned)s->dims % 10000);
}

static void
part_end(const struct buf *b, struct pg_part *p)
{
    p->n = b->n - p->at;
}

static void
put_words(struct pg_doc *to, struct pg_passage *x, const struct index_doc *d, const struct passage *p)
{
    x->words.at = to->bytes.n;
    for (size_t i = p->first; i < p->first + p->n; i++) {
        uint64_t h = htole64(d->hash[i]);

        buf_add(&to->bytes, &h, sizeof h);
    }
    part_end(&to->bytes, &x->words);
    x->counts.at = to->bytes.n;
    for (size_t i = p->first; i < p->first + p->n; i++) {
        uint16_t n = htole16(d->tf[i]);

        buf_add(&to->bytes, &n, sizeof n);
    }
    part_end(&to->bytes, &x->counts);
}

/* The place of that space among the document's; VECTOR_SETS: there is none for it. */
static size_t
space_place(struct pg_doc *to, const char *name)
{
    size_t i = 0;

    while (i < VECTOR_SETS && to->space[i][0] && strcmp(to->space[i], name) != 0)
        i++;
    if (i < VECTOR_SETS)
        memcpy(to->space[i], name, SPACE_TEXT);
    return i;
}

static void
put_vector(struct pg_doc *to, struct pg_passage *x, const struct index_doc *d, size_t passage,
           const struct vector_set *set)
{
    const float *v = set->dims ? doc_vector(d, passage, set->model, set->dims) : NULL;
    struct space_id s;
    char name[SPACE_TEXT] = { 0 };
    size_t i;

    if (!v)
        return;
    s = space_id_of(set->model, set->dims);
    space_text(&s, name);
    if ((i = space_place(to, name)) == VECTOR_SETS)
        return;
    x->vector[i].at = to->bytes.n;
    buf_add(&to->bytes, v, set->dims * sizeof *v);
    part_end(&to->bytes, &x->vector[i]);
}

static void
put_passage(struct pg_doc *to, const struct index_doc *d, size_t i, struct str metadata)
{
    const struct passage *p = &d->v[i];
    struct pg_passage *x;
    size_t from = to->bytes.n;

    if (to->n == to->cap) {
        to->cap = to->cap ? 2 * to->cap : 16;
        to->v = mem_resize(to->v, to->cap * sizeof *to->v);
    }
    x = &to->v[to->n++];
    *x = (struct pg_passage){ .len = p->len };
    to->words += p->len;
    put_words(to, x, d, p);
    for (size_t k = 0; k < VECTOR_SETS && !to->bare; k++)
        put_vector(to, x, d, i, &d->set[k]);
    x->shown.at = to->bytes.n;
    shown_write(d, p, metadata, &to->bytes);
    part_end(&to->bytes, &x->shown);
    if (x->shown.n > SHOWN_MAX) { /* without what only filters look at once more */
        to->bytes.n = x->shown.at;
        shown_write(d, p, STR_NONE, &to->bytes);
        part_end(&to->bytes, &x->shown);
    }
    x->facts.at = to->bytes.n;
    facts_write(d, p, &to->bytes);
    part_end(&to->bytes, &x->facts);
    x->bytes = to->bytes.n - from;
}

bool
pg_doc_add(struct pg_doc *to, struct words *w, const struct chunks_get_rep *page)
{
    struct index_doc *d = shown_page(w, page, &to->language);

    if (!d)
        return false;
    to->bytes.max = DOC_MAX;
    for (size_t i = 0; i < d->n; i++)
        put_passage(to, d, i, page->document.v[0].metadata);
    index_doc_free(&d);
    return !to->bytes.failed;
}

void
pg_doc_free(struct pg_doc **d)
{
    if (*d) {
        buf_free(&(*d)->bytes);
        mem_free(&(*d)->v);
    }
    mem_free(d);
}
