/* Batches of an import: rows of the source's result turned into cells, with what is needed to say which were refused. A
 * batch has as many rows as fit well into memory: the source's query ends it where they are wide. */
#include "store/import/import.h"

#define ROWS_MIN 16
#define ROWS_MAX 10000
#define ARENA_MAX 268435456

static void
put_refusal(struct import_batch *b, struct str key, const char *why)
{
    buf_printf(&b->refusals, "refused %s ", import_step_names[b->step]);
    for (size_t i = 0; i < key.n && i < 200; i++)
        buf_c(&b->refusals, (unsigned char)key.p[i] < ' ' ? '?' : key.p[i]);
    buf_printf(&b->refusals, ": %s\n", why);
}

/* The keys of the rows that are handed on, for the time when the result is gone. */
static void
keep_keys(struct import_batch *b, const struct tx *t)
{
    b->key = mem_new((b->rows.n + 1) * sizeof *b->key);
    for (size_t i = 0; i < b->rows.n; i++) {
        b->key[i] = b->keys.n;
        buf_str(&b->keys, col_str(t, 0, b->rows.v[i].src, 0));
        buf_c(&b->keys, '\0');
    }
}

struct import_batch *
import_batch_new(enum import_step step, struct str tenant, struct str label, const char *base,
                 const struct tx *t)
{
    struct import_batch *b = mem_new(sizeof *b);
    size_t n = tx_rows(t, 0);

    b->step = step;
    b->rows = (struct import_rows){
        .tenant = tenant, .label = label, .base = base, .arena = arena_new(ARENA_MAX)
    };
    b->seen = (int64_t)n;
    for (size_t row = 0; row < n; row++) {
        const char *why = import_parse(step, t, row, &b->rows);

        if (why) {
            put_refusal(b, col_str(t, 0, row, 0), why);
            b->refused++;
        }
    }
    keep_keys(b, t);
    b->position = mem_dup_str(col_str(t, 0, n - 1, 0));
    return b;
}

void
import_batch_free(struct import_batch **b)
{
    if (!*b)
        return;
    arena_free(&(*b)->rows.arena);
    mem_free(&(*b)->rows.v);
    buf_free(&(*b)->refusals);
    buf_free(&(*b)->keys);
    mem_free(&(*b)->key);
    for (int i = 0; i < IMPORT_PARTS; i++)
        tx_free(&(*b)->part[i]);
    mem_free(&(*b)->position);
    mem_free(b);
}

void
import_batch_missing(struct import_batch *b, size_t i)
{
    if (i < b->rows.n)
        put_refusal(b, str_of(b->keys.p + b->key[i]),
                    b->step == STEP_SESSIONS
                        ? "the session was erased here"
                        : "what it belongs to is not there, or another row has its place");
}

/* Wide rows: few more than there were, since the source looks at all that are asked for. */
size_t
import_batch_rows(size_t n, size_t rows)
{
    size_t most = n < rows ? 2 * n : 2 * rows;

    return most < ROWS_MIN ? ROWS_MIN : most < ROWS_MAX ? most : ROWS_MAX;
}
