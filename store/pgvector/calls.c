/* The search index of INDEX_ENGINE=pgvector (tables.sql): passages as retrievers make them go in, candidates come out.
 * Numbers of words cross the bus as they lie in memory, 8 bytes each, little-endian; the database has them XOR the wall. */
#include <endian.h>

#include "store/calls/calls.h"
#include "store/pgvector/pgvector.h"

#define COUNT_MOST 20000 /* passages with a word that are counted one by one */
#define DROP_AT_ONCE 500 /* documents */

static bool
index_there(struct delivery *c)
{
    const char *missing = pgvector_missing(store_of(c));

    if (missing)
        worker_fail(c, ERR_STORE_DOWN, 1000, "the search index is not set up");
    return !missing;
}

static uint64_t
number_at(struct str s, size_t i)
{
    uint64_t v;

    memcpy(&v, s.p + 8 * i, sizeof v);
    return le64toh(v);
}

static double
float_at(struct str s, size_t i)
{
    uint64_t bits = number_at(s, i);
    double d;

    memcpy(&d, &bits, sizeof d);
    return d;
}

/* Numbers of 8 bytes as an array. */
static struct param
p_numbers(struct tx *t, struct str s)
{
    struct buf *b = tx_buf(t);

    array_begin(b, ARRAY_INT8, s.n / 8);
    for (size_t i = 0; i < s.n / 8; i++)
        array_add(b, p_i64((int64_t)number_at(s, i)));
    return p_str(buf_slice(b));
}

static struct param
p_floats(struct tx *t, struct str s)
{
    struct buf *b = tx_buf(t);

    array_begin(b, ARRAY_FLOAT8, s.n / 8);
    for (size_t i = 0; i < s.n / 8; i++)
        array_add(b, p_f64(float_at(s, i)));
    return p_str(buf_slice(b));
}

/* float32s as pgvector reads them; half of the precision is kept there anyhow. */
static void
write_vector(struct buf *b, struct str v)
{
    float f;

    for (size_t i = 0; i < v.n / sizeof f; i++) {
        memcpy(&f, v.p + i * sizeof f, sizeof f);
        buf_printf(b, "%c%.5g", i ? ',' : '[', (double)f);
    }
    buf_c(b, ']');
}

/* ---- state */

static void
on_state(struct tx *t)
{
    struct index_state_rep rep = { .seq = col_i64(t, t->n - 1, 0, 0),
                                   .age_ms = col_i64(t, t->n - 1, 0, 1),
                                   .documents = col_i64(t, t->n - 1, 0, 2),
                                   .passages = col_i64(t, t->n - 1, 0, 3) };

    worker_reply(t->call, &rep);
}

void
indexed_state(struct delivery *c)
{
    const struct index_state_req *r = c->req;
    const char *missing = pgvector_missing(store_of(c));
    struct index_state_rep none = { 0 };
    struct tx *t;

    if (missing) {
        none.missing = str_of(missing);
        worker_reply(c, &none);
        return;
    }
    t = call_tx(c, on_state);
    if (r->reached > 0)
        TX(t, INDEX_REACHED, p_i64(r->reached));
    TX(t, INDEX_STATE, p_flag(r->counted));
    tx_run(t);
}

/* ---- changes */

enum put_column { /* as INDEX_PUT takes them */
                  PUT_ID,
                  PUT_TENANT,
                  PUT_COLLECTION,
                  PUT_WALL,
                  PUT_VERSION,
                  PUT_LANGUAGE,
                  PUT_SPACES,
                  PUT_PASSAGES,
                  PUT_WORDS,
                  PUT_FROM,
                  PUT_CAME,
                  PUT_LAST,
                  PUT_OWNER,
                  PUT_ORD,
                  PUT_LEN,
                  PUT_HASHES,
                  PUT_COUNTS,
                  PUT_SHOWN,
                  PUT_FACTS,
                  PUT_V_PASSAGE,
                  PUT_V_SPACE,
                  PUT_V,
                  PUT_COLUMNS
};

/* '{1,2}': arrays in an array have all to be of one length, so each is a text. */
static struct param
words_text(struct buf *b, const struct index_passage *p, uint64_t wall)
{
    buf_reset(b);
    buf_c(b, '{');
    for (size_t i = 0; i < p->words.n / 8; i++)
        buf_printf(b, "%s%lld", i ? "," : "", (long long)(number_at(p->words, i) ^ wall));
    buf_c(b, '}');
    return p_str(buf_slice(b));
}

static struct param
counts_text(struct buf *b, const struct index_passage *p)
{
    buf_reset(b);
    buf_c(b, '{');
    for (size_t i = 0; i + 1 < p->counts.n; i += 2) {
        int n = (uint8_t)p->counts.p[i] | (uint8_t)p->counts.p[i + 1] << 8;

        buf_printf(b, "%s%d", i ? "," : "", n < INT16_MAX ? n : INT16_MAX);
    }
    buf_c(b, '}');
    return p_str(buf_slice(b));
}

static void
add_document(struct buf **k, const struct index_document *d, struct buf *text)
{
    buf_reset(text);
    buf_str(text, d->space);
    if (d->second_space.n > 0)
        buf_printf(text, "%s%.*s", d->space.n ? " " : "", (int)d->second_space.n, d->second_space.p);
    array_add(k[PUT_ID], p_id(&d->document_id));
    array_add(k[PUT_TENANT], p_str(d->tenant));
    array_add(k[PUT_COLLECTION], p_str(d->collection));
    array_add(k[PUT_WALL], p_i64(d->wall));
    array_add(k[PUT_VERSION], p_i64(d->version));
    array_add(k[PUT_LANGUAGE], p_str(d->language));
    array_add(k[PUT_SPACES], p_str(buf_slice(text)));
    array_add(k[PUT_PASSAGES], p_i64(d->passages));
    array_add(k[PUT_WORDS], p_i64(d->words));
    array_add(k[PUT_FROM], p_i64(d->from));
    array_add(k[PUT_CAME], p_i64((int64_t)d->items.n));
    array_add(k[PUT_LAST], p_i64(d->last));
}

static void
add_vector(struct buf **k, int64_t passage, struct str space, struct str v, struct buf *text)
{
    if (v.n == 0)
        return;
    buf_reset(text);
    write_vector(text, v);
    array_add(k[PUT_V_PASSAGE], p_i64(passage));
    array_add(k[PUT_V_SPACE], p_str(space));
    array_add(k[PUT_V], p_str(buf_slice(text)));
}

/* The passages of document `owner`, from 1; *n counts those of all. */
static void
add_passages(struct buf **k, const struct index_document *d, int64_t owner, int64_t *n, struct buf *text)
{
    for (size_t i = 0; i < d->items.n; i++) {
        const struct index_passage *p = &d->items.v[i];

        ++*n;
        array_add(k[PUT_OWNER], p_i64(owner));
        array_add(k[PUT_ORD], p_i64(d->from + (int64_t)i));
        array_add(k[PUT_LEN], p_i64(p->len));
        array_add(k[PUT_HASHES], words_text(text, p, (uint64_t)d->wall));
        array_add(k[PUT_COUNTS], counts_text(text, p));
        array_add(k[PUT_SHOWN], p_str(p->shown));
        array_add(k[PUT_FACTS], p_str(p->facts));
        add_vector(k, *n, d->space, p->vector, text);
        add_vector(k, *n, d->second_space, p->second, text);
    }
}

static void
on_put(struct tx *t)
{
    struct ack rep = { .count = col_i64(t, 0, 0, 0) };

    worker_reply(t->call, &rep);
}

static enum array_type
put_type(int column)
{
    return column == PUT_ID ? ARRAY_UUID
           : column == PUT_TENANT || column == PUT_COLLECTION || column == PUT_LANGUAGE ||
                   column == PUT_SPACES || (column >= PUT_HASHES && column <= PUT_FACTS) ||
                   column >= PUT_V_SPACE
               ? ARRAY_TEXT
               : ARRAY_INT8;
}

/* A vector has whole numbers of its space, and each word its count. */
static bool
put_ok(const struct index_put_req *r, size_t *passages, size_t *vectors)
{
    *passages = *vectors = 0;
    for (size_t i = 0; i < r->items.n; i++) {
        const struct index_document *d = &r->items.v[i];

        *passages += d->items.n;
        for (size_t j = 0; j < d->items.n; j++) {
            const struct index_passage *p = &d->items.v[j];

            *vectors += (p->vector.n > 0) + (size_t)(p->second.n > 0);
            if (p->words.n % 8 || p->words.n / 8 != p->counts.n / 2 || p->counts.n % 2 ||
                p->vector.n % sizeof(float) || p->second.n % sizeof(float) ||
                (p->vector.n > 0 && d->space.n == 0) || (p->second.n > 0 && d->second_space.n == 0))
                return false;
        }
    }
    return r->items.n > 0;
}

void
indexed_put(struct delivery *c)
{
    const struct index_put_req *r = c->req;
    struct buf *k[PUT_COLUMNS], text = BUF_MAX(1 << 24);
    struct param p[PUT_COLUMNS];
    size_t passages, vectors;
    int64_t n = 0;
    struct tx *t;

    if (!index_there(c))
        return;
    if (!put_ok(r, &passages, &vectors)) {
        worker_fail(c, ERR_VALIDATION, 0, "a passage of the index is not as it must be");
        return;
    }
    t = call_tx(c, on_put);
    for (int i = 0; i < PUT_COLUMNS; i++) {
        k[i] = tx_buf(t);
        array_begin(k[i], put_type(i), i < PUT_OWNER ? r->items.n : i < PUT_V_PASSAGE ? passages : vectors);
    }
    for (size_t i = 0; i < r->items.n; i++) {
        add_document(k, &r->items.v[i], &text);
        add_passages(k, &r->items.v[i], (int64_t)i + 1, &n, &text);
    }
    buf_free(&text);
    for (int i = 0; i < PUT_COLUMNS; i++)
        p[i] = p_str(buf_slice(k[i]));
    tx_add(t, SQL_INDEX_PUT, p, PUT_COLUMNS);
    tx_run(t);
}

void
indexed_drop(struct delivery *c)
{
    const struct index_drop_req *r = c->req;
    struct tx *t;

    if (!index_there(c))
        return;
    t = call_tx(c, on_put);
    TX(t, INDEX_DROP, p_str(r->tenant), p_str(r->collection), p_i64(r->version), p_i64(DROP_AT_ONCE));
    tx_run(t);
}

/* ---- questions */

static void
read_counts(struct tx *t, int i, struct index_count_rep *rep)
{
    size_t n = tx_rows(t, i);
    char *words = call_alloc(t->call, n + 1, 8), *counts = words ? call_alloc(t->call, n + 1, 8) : NULL;

    for (size_t row = 0; counts && row < n; row++) {
        uint64_t h = htole64((uint64_t)col_i64(t, i, row, 0)), df = htole64((uint64_t)col_i64(t, i, row, 1));

        memcpy(words + 8 * row, &h, 8);
        memcpy(counts + 8 * row, &df, 8);
    }
    rep->words = (struct str){ words, counts ? 8 * n : 0 };
    rep->counts = (struct str){ counts, counts ? 8 * n : 0 };
}

static void
on_count(struct tx *t)
{
    const struct index_count_req *r = t->call->req;
    struct index_count_rep rep = { 0 };
    size_t n = r->corpus ? tx_rows(t, 0) : 0;

    if (!(rep.corpus.v = call_alloc(t->call, n + 1, sizeof *rep.corpus.v)))
        return;
    for (; rep.corpus.n < n; rep.corpus.n++)
        rep.corpus.v[rep.corpus.n] = (struct index_language){ .language = col_str(t, 0, rep.corpus.n, 0),
                                                              .passages = col_i64(t, 0, rep.corpus.n, 1),
                                                              .words = col_i64(t, 0, rep.corpus.n, 2),
                                                              .vectors = col_i64(t, 0, rep.corpus.n, 3) };
    if (r->words.n > 0)
        read_counts(t, t->n - 1, &rep);
    if (rep.counts.p || r->words.n == 0)
        worker_reply(t->call, &rep);
}

void
indexed_count(struct delivery *c)
{
    const struct index_count_req *r = c->req;
    struct param names, whose = p_str(tenant_of(c));
    struct tx *t;

    if (!index_there(c))
        return;
    if (r->collections.n == 0 || r->walls.n != 8 * r->collections.n || (!r->corpus && r->words.n == 0)) {
        worker_fail(c, ERR_VALIDATION, 0, "a wall for each collection, and something to count");
        return;
    }
    t = call_tx(c, on_count);
    names = p_strs(tx_buf(t), &r->collections);
    if (r->corpus)
        TX(t, INDEX_CORPUS, whose, names, p_str(r->space));
    if (r->words.n > 0)
        TX(t, INDEX_COUNT, whose, names, p_numbers(t, r->walls), p_numbers(t, r->words),
           p_i64(r->most > 0 && r->most < COUNT_MOST ? r->most : COUNT_MOST));
    tx_run(t);
}

/* An array of numbers as it came from the database: each with its length before it. */
static size_t
array_numbers(struct str s, size_t size)
{
    return s.n > 20 ? (s.n - 20) / (4 + size) : 0;
}

static bool
read_words(struct delivery *c, struct str h, struct str tf, uint64_t wall, struct index_hit *out)
{
    size_t n = array_numbers(h, 8);
    char *words, *counts;
    uint64_t v;

    if (n != array_numbers(tf, 2))
        n = 0;
    if (!(words = call_alloc(c, n + 1, 8)) || !(counts = call_alloc(c, n + 1, 2)))
        return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(&v, h.p + 24 + 12 * i, sizeof v);
        v = htole64(be64toh(v) ^ wall);
        memcpy(words + 8 * i, &v, sizeof v);
        counts[2 * i] = tf.p[24 + 6 * i + 1];
        counts[2 * i + 1] = tf.p[24 + 6 * i];
    }
    out->words = (struct str){ words, 8 * n };
    out->counts = (struct str){ counts, 2 * n };
    return true;
}

static void
on_find(struct tx *t)
{
    size_t n = tx_rows(t, 0);
    struct index_find_rep rep = { .mean = col_f64(t, 0, 0, 11), .square = col_f64(t, 0, 0, 12) };

    if (!(rep.hits.v = call_alloc(t->call, n + 1, sizeof *rep.hits.v)))
        return;
    for (; rep.hits.n < n; rep.hits.n++) {
        size_t row = rep.hits.n;
        struct index_hit *h = &rep.hits.v[row];

        *h = (struct index_hit){ .document_id = col_id(t, 0, row, 0),
                                 .collection = col_str(t, 0, row, 1),
                                 .version = col_i64(t, 0, row, 3),
                                 .len = col_i64(t, 0, row, 4),
                                 .shown = col_str(t, 0, row, 7),
                                 .language = col_str(t, 0, row, 8),
                                 .vector = col_str(t, 0, row, 9).p != NULL,
                                 .cosine = col_f64(t, 0, row, 9),
                                 .near = col_flag(t, 0, row, 10) };
        if (!read_words(t->call, col_str(t, 0, row, 5), col_str(t, 0, row, 6),
                        (uint64_t)col_i64(t, 0, row, 2), h))
            return;
    }
    worker_reply(t->call, &rep);
}

void
indexed_find(struct delivery *c)
{
    const struct index_find_req *r = c->req;
    struct param names, walls, words, weights, vector = p_str(STR_NONE);
    struct tx *t;

    if (!index_there(c))
        return;
    if (r->collections.n == 0 || r->walls.n != 8 * r->collections.n || r->words.n % 8 ||
        r->words.n != r->weights.n || r->limit < 1 || (r->vector.n > 0) != (r->space.n > 0)) {
        worker_fail(c, ERR_VALIDATION, 0,
                    "a wall for each collection, a weight for each word, a space for a vector");
        return;
    }
    t = call_tx(c, on_find);
    names = p_strs(tx_buf(t), &r->collections);
    walls = p_numbers(t, r->walls);
    words = p_numbers(t, r->words);
    weights = p_floats(t, r->weights);
    if (r->vector.n > 0) {
        struct buf *b = tx_buf(t);

        write_vector(b, r->vector);
        vector = p_str(buf_slice(b));
    }
    TX(t, INDEX_FIND, p_str(tenant_of(c)), names, walls, p_str(r->filter), words, weights, p_i64(r->leads),
       p_f64(r->mean), p_f64(r->k1), p_f64(r->b), p_str(r->space), vector, p_i64(r->limit), p_i64(r->exact));
    tx_run(t);
}
