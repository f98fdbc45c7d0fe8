/* A document on its way into the cluster: a line of JSON for each passage, its words counted as the index in memory counts them. */
#include "common/hash.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/index/shown.h"
#include "retriever/opensearch/opensearch.h"

enum { DOC_MAX = 1 << 30 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void
hash_text(uint64_t h, char out[HASH_TEXT + 1])
{
    for (int i = 0; i < HASH_TEXT; i++, h >>= 6)
        out[i] = digits[h & 63];
    out[HASH_TEXT] = 0;
}

bool
hash_read(struct str s, uint64_t *h)
{
    *h = 0;
    for (size_t i = s.n; i-- > 0;) {
        const char *at = memchr(digits, s.p[i], 64);

        if (!at)
            return false;
        *h = *h << 6 | (uint64_t)(at - digits);
    }
    return s.n == HASH_TEXT;
}

static void
put_words(const struct index_doc *d, const struct passage *p, struct buf *b)
{
    char text[HASH_TEXT + 1];

    buf_key(b, "w");
    buf_c(b, '"');
    for (size_t i = p->first; i < p->first + p->n; i++) {
        hash_text(d->hash[i], text);
        for (size_t k = 0; k < d->tf[i]; k++) {
            buf_z(b, text);
            buf_c(b, ' ');
        }
    }
    buf_c(b, '"');
}

static void
put_vector(const struct index_doc *d, size_t passage, const struct vector_set *set, struct buf *b)
{
    const float *v = set->dims ? doc_vector(d, passage, set->model, set->dims) : NULL;
    struct space_id s = space_id_of(set->model, set->dims);
    char key[SPACE_NAME + 2];

    if (!v)
        return;
    memcpy(key, "v_", 2);
    memcpy(key + 2, s.name, SPACE_NAME);
    buf_key(b, key);
    for (size_t i = 0; i < set->dims; i++)
        buf_printf(b, "%c%.7g", i ? ',' : '[', (double)v[i]);
    buf_c(b, ']');
    key[0] = 'b';
    buf_key(b, key);
    buf_c(b, '"');
    (void)base64_encode((struct str){ (const char *)v, set->dims * sizeof *v }, b);
    buf_c(b, '"');
}

/* Which vectors it has: a field of vectors cannot be asked for that. */
static void
put_spaces(const struct index_doc *d, size_t passage, struct buf *b)
{
    buf_key(b, "p");
    buf_c(b, '[');
    for (size_t k = 0; k < VECTOR_SETS; k++)
        if (d->set[k].dims && doc_vector(d, passage, d->set[k].model, d->set[k].dims))
            buf_printf(b, "%s\"%s\"", b->p[b->n - 1] == '[' ? "" : ",",
                       space_id_of(d->set[k].model, d->set[k].dims).name);
    buf_c(b, ']');
}

static void
put_passage(struct cluster_doc *to, const struct index_doc *d, size_t i, struct str metadata)
{
    const struct passage *p = &d->v[i];
    struct buf *b = &to->lines;

    buf_c(b, '{');
    buf_key_str(b, "t", d->tenant);
    buf_key_str(b, "c", d->collection);
    buf_key_str(b, "d", str_of(d->id_text));
    buf_key_int(b, "o", (int64_t)to->n);
    buf_key_int(b, "n", p->len);
    buf_key_str(b, "l", str_of(language_code(d->language)));
    buf_key(b, "f");
    filter_tokens(d, p, b);
    put_words(d, p, b);
    put_spaces(d, i, b);
    for (size_t k = 0; k < VECTOR_SETS; k++)
        put_vector(d, i, &d->set[k], b);
    buf_key(b, "s");
    shown_write(d, p, metadata, b);
    buf_c(b, '\n');
    to->n++;
}

static void
know_space(struct cluster_doc *to, const struct vector_set *set)
{
    struct space_id s = space_id_of(set->model, set->dims);

    for (size_t i = 0; i < to->n_spaces; i++)
        if (strcmp(to->space[i].name, s.name) == 0)
            return;
    if (set->dims > 0 && set->rows > 0 && to->n_spaces < VECTOR_SETS)
        to->space[to->n_spaces++] = s;
}

bool
cluster_doc_add(struct cluster_doc *to, struct words *w, const struct chunks_get_rep *page)
{
    struct index_doc *d = shown_page(w, page, &to->language);

    if (!d)
        return false;
    to->lines.max = DOC_MAX;
    for (size_t i = 0; i < d->n; i++)
        put_passage(to, d, i, page->document.v[0].metadata);
    for (size_t k = 0; k < VECTOR_SETS; k++)
        know_space(to, &d->set[k]);
    index_doc_free(&d);
    return !to->lines.failed;
}

void
cluster_doc_free(struct cluster_doc **d)
{
    if (*d)
        buf_free(&(*d)->lines);
    mem_free(d);
}
