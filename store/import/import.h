/* Import of a Python backend's schema (docs/migrating.md): what its files share, and what main.c needs of it
 * (the first three functions). */
#ifndef STORE_IMPORT_IMPORT_H
#define STORE_IMPORT_IMPORT_H

#include "store/store.h"

struct import;

/* Begins at once and ends the process: 0 when every source row was taken or refused and the counts agree, else 1. */
struct import *import_new(struct store *s);
void import_stop(struct import *im); /* begin nothing more; the next run goes on from the last batch */
void import_free(struct import **im);

/* ---- source.c: where things are in the source, and the queries that read them */
enum import_step {
#define STEP(id, name, table, letter, cols) STEP_##id,
#include "store/import/column.tbl"
    STEPS
};
enum import_src {
#define SRC(id, letter, names, category, needed) SRC_##id,
#include "store/import/column.tbl"
    SRC_COUNT
};
extern const char *const import_step_names[STEPS];

struct import_source {
    char label[160];         /* database.schema: names the import, and ids that are no UUIDs */
    char col[SRC_COUNT][32]; /* the column's name; empty: there is none */
    char session_join[32];   /* column of user_sessions that conversations refer to */
    bool citations;          /* the table is there */
};

/* Asks for the source's tables and columns. */
void import_describe_sql(const char *schema, struct buf *out);
/* Reads the answer; false, with *why written, when something that is needed is missing. */
bool import_describe(struct import_source *src, const struct tx *t, struct buf *why);
bool import_has(const struct import_source *src, enum import_step step);
#define IMPORT_BATCH_BYTES 16777216 /* of texts; the row that reaches it is the last */
/* A batch: at most the first `limit` rows by key after `after` (NULL: from the beginning), fewer when they are wide, none
 * only at the end. Column 0 is the key; all is text. */
void import_select(const struct import_source *src, enum import_step step, const char *after, size_t limit,
                   struct buf *out);
void import_count_sql(const struct import_source *src, enum import_step step, struct buf *out);

/* ---- row.c: from source rows to the columns of a statement */
#define IMPORT_COLS 11
struct import_row {
    size_t src;                     /* row of the source's result */
    struct param cell[IMPORT_COLS]; /* as the step's statement has them after the tenant */
    struct param parent;            /* id of what it belongs to */
};
struct import_rows {
    struct str tenant, label;
    const char *base;    /* of links, see link.h */
    struct arena *arena; /* texts that were made; others point into the result */
    struct import_row *v;
    size_t n, cap;
    size_t shortened; /* texts cut to their limit */
};
/* One source row; NULL: taken (appended to rows, several for references), else why it is refused (a phrase). */
const char *import_parse(enum import_step step, const struct tx *t, size_t row, struct import_rows *rows);
#define IMPORT_PARTS 2 /* transactions of a batch, side by side; a power of two */
/* The step's statement with the rows of one part, copied into t; after the last nothing of the source's result is needed. */
void import_take(enum import_step step, const struct import_rows *rows, int part, struct tx *t);
/* The statement that names those that are not there afterwards, by their place among all rows, from 1. */
void import_check(enum import_step step, const struct import_rows *rows, struct tx *t);

/* ---- batch.c: what was read and is not written yet */
struct import_batch {
    void *owner; /* the import */
    enum import_step step;
    struct import_rows rows;
    struct buf refusals;           /* lines for people */
    struct buf keys;               /* of rows.v, each with its NUL */
    size_t *key;                   /* offset of each row's key */
    char *position;                /* key of the last row */
    int64_t seen, refused;         /* source rows */
    struct tx *part[IMPORT_PARTS]; /* that will write it */
    int writing;                   /* of them, not ended yet */
    int64_t taken;                 /* rows that were not there before */
    enum err err;                  /* of one that failed */
    char sqlstate[6];
};
/* All rows of the result of a batch's SELECT; at least one. */
struct import_batch *import_batch_new(enum import_step step, struct str tenant, struct str label,
                                      const char *base, const struct tx *t);
void import_batch_free(struct import_batch **b);
/* Row i (as it was handed to the statement) is not there after it: noted among the refusals. */
void import_batch_missing(struct import_batch *b, size_t i);
/* The number of rows to ask the next one for when this one got `n` of `rows`. */
size_t import_batch_rows(size_t n, size_t rows);

#endif
