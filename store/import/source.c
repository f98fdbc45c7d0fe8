/* The source of an import: which of the Python backend's tables and columns are there, under which of their usual names, and the
 * SELECTs that read them in the order of their keys. Column names come from column.tbl only, values are quoted. */
#include <stdio.h>

#include "store/import/import.h"

enum how { HOW_TEXT, HOW_WIDE, HOW_TIME, HOW_NUM, HOW_CONTENT, HOW_PAGE };

const char *const import_step_names[STEPS] = {
#define STEP(id, name, table, letter, cols) name,
#include "store/import/column.tbl"
};
static const struct {
    const char *table;
    char letter;
} steps[STEPS] = {
#define STEP(id, name, table, letter, cols) { table, letter },
#include "store/import/column.tbl"
};
static const struct {
    char letter;
    const char *names;
    char category;
    bool needed;
} srcs[SRC_COUNT] = {
#define SRC(id, letter, names, category, needed) { letter, names, category, needed },
#include "store/import/column.tbl"
};
static const struct {
    enum import_step step;
    enum how how;
    enum import_src src;
} outs[] = {
#define OUT(step, how, src) { STEP_##step, HOW_##how, SRC_##src },
#include "store/import/column.tbl"
};
#define OUTS (sizeof outs / sizeof outs[0])

static enum import_src
key_of(enum import_step step)
{
    enum import_src i = 0;

    while (srcs[i].letter != steps[step].letter)
        i++;
    return i; /* the first column of a table is its key */
}

static const char *
table_of(char letter)
{
    enum import_step s = 0;

    while (steps[s].letter != letter)
        s++;
    return steps[s].table;
}

static bool
has(const struct import_source *src, enum import_src col)
{
    return src->col[col][0] != '\0';
}

/* ---- what is there */

void
import_describe_sql(const char *schema, struct buf *out)
{
    buf_printf(
        out,
        "SELECT c.relname::text, a.attname::text, t.typcategory::text, t.typname::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
        " JOIN pg_type t ON t.oid = a.atttypid WHERE n.nspname = '%s' AND a.attnum > 0 AND NOT a.attisdropped"
        " AND c.relname IN ('user_sessions', 'conversations', 'messages', 'citations')",
        schema);
    buf_printf(
        out,
        " UNION ALL SELECT '', current_database()::text, current_schema()::text, ''"
        " UNION ALL SELECT '->', a.attname::text, '', '' FROM pg_constraint k JOIN pg_attribute a"
        " ON a.attrelid = k.confrelid AND a.attnum = k.confkey[1] WHERE k.contype = 'f'"
        " AND k.conrelid = to_regclass('%s.conversations') AND k.confrelid = to_regclass('%s.user_sessions')",
        schema, schema);
}

/* Row of the answer that describes table.column, or -1. */
static long
find(const struct tx *t, const char *table, struct str column)
{
    for (size_t row = 0; row < tx_rows(t, 0); row++)
        if (str_is(col_str(t, 0, row, 0), table) && (!column.p || str_eq(col_str(t, 0, row, 1), column)))
            return (long)row;
    return -1;
}

static void
find_column(struct import_source *src, const struct tx *t, enum import_src i)
{
    const char *table = table_of(srcs[i].letter), *at = srcs[i].names;

    while (*at && !has(src, i)) {
        struct str name = { at, strcspn(at, "|") };
        long row = find(t, table, name);

        if (row >= 0 && (!srcs[i].category || col_str(t, 0, (size_t)row, 2).p[0] == srcs[i].category))
            snprintf(src->col[i], sizeof src->col[i], STR_FMT, STR_ARG(name));
        at += name.n + (at[name.n] == '|');
    }
}

/* The column that conversations refer to: the foreign key names it, or it is the one of the same type. */
static void
find_join(struct import_source *src, const struct tx *t)
{
    long fk = find(t, "->", STR_NONE), from = find(t, "conversations", str_of(src->col[SRC_C_SESSION]));
    struct str type = from < 0 ? STR_NONE : col_str(t, 0, (size_t)from, 3);

    if (fk >= 0) {
        snprintf(src->session_join, sizeof src->session_join, STR_FMT, STR_ARG(col_str(t, 0, (size_t)fk, 1)));
        return;
    }
    for (const enum import_src *i = (const enum import_src[]){ SRC_S_ID, SRC_S_SESSION, SRC_COUNT };
         *i != SRC_COUNT; i++) {
        long row = find(t, "user_sessions", str_of(src->col[*i]));

        if (row >= 0 && str_eq(col_str(t, 0, (size_t)row, 3), type) && !src->session_join[0])
            snprintf(src->session_join, sizeof src->session_join, "%s", src->col[*i]);
    }
}

bool
import_describe(struct import_source *src, const struct tx *t, struct buf *why)
{
    long db = find(t, "", STR_NONE), session;

    snprintf(src->label, sizeof src->label, STR_FMT "." STR_FMT,
             STR_ARG(db < 0 ? STR("?") : col_str(t, 0, (size_t)db, 1)),
             STR_ARG(db < 0 ? STR("?") : col_str(t, 0, (size_t)db, 2)));
    src->citations = find(t, "citations", STR_NONE) >= 0;
    for (enum import_src i = 0; i < SRC_COUNT; i++) {
        find_column(src, t, i);
        if (srcs[i].needed && !has(src, i) && (srcs[i].letter != 't' || src->citations))
            buf_printf(why, "%s%s.%s", why->n ? ", " : "missing: ", table_of(srcs[i].letter), srcs[i].names);
    }
    session = find(t, "user_sessions", STR("session_id"));
    if (session >= 0 && str_is(col_str(t, 0, (size_t)session, 3), "bytea"))
        buf_printf(why, "%sthese are Footnote's own tables; pg_dump and pg_restore copy them",
                   why->n ? "; " : "");
    find_join(src, t);
    if (why->n == 0 && !src->session_join[0])
        buf_z(why, "conversations.user_session_id refers to neither id nor session_id of user_sessions");
    return why->n == 0;
}

bool
import_has(const struct import_source *src, enum import_step step)
{
    return step == STEP_CITATIONS ? src->citations : step != STEP_REFERENCES || has(src, SRC_M_REFS);
}

/* ---- queries */

#define PG_EPOCH_US "946684800000000" /* 2000-01-01 */
#define CONTENT_MOST "262144"         /* bytes; what is longer is refused and not fetched */
#define PAGE_MOST "32769"             /* characters: one more than is kept, so that a cut is noticed */
#define WIDE_MOST "1048577"           /* of any other text */

/* The place of a column in a batch's query: in the step's table, or joined to it. */
static void
put_place(const struct import_source *src, enum import_step step, enum import_src i, struct buf *out)
{
    bool own = srcs[i].letter == steps[step].letter;

    buf_printf(out, "%c.%s", steps[step].letter, own ? src->col[i] : "footnote_joined");
}

static void
put_page(const struct import_source *src, enum import_step step, enum import_src i, struct buf *out)
{
    buf_z(out, "left(COALESCE(");
    for (const enum import_src *at = (const enum import_src[]){ i, SRC_S_PAGE, SRC_COUNT }; *at != SRC_COUNT;
         at++)
        if (has(src, *at)) {
            put_place(src, step, *at, out);
            buf_z(out, "::text, ");
        }
    buf_z(out, "NULL), " PAGE_MOST ")");
}

static void
put_column(const struct import_source *src, enum import_step step, enum how how, enum import_src i,
           struct buf *out)
{
    static const char *const form[][2] = {
        [HOW_TEXT] = { "", "::text" },
        [HOW_WIDE] = { "left(", "::text, " WIDE_MOST ")" },
        [HOW_NUM] = { "", "::float8" },
    };
    char place[64];
    struct buf p = BUF_MAX(sizeof place);

    buf_z(out, ", ");
    if (how == HOW_PAGE) {
        put_page(src, step, i, out);
        return;
    }
    if (!has(src, i)) {
        buf_z(out, "NULL");
        return;
    }
    put_place(src, step, i, &p);
    snprintf(place, sizeof place, STR_FMT, STR_ARG(buf_slice(&p)));
    buf_free(&p);
    if (how == HOW_TIME) /* without a zone: UTC, as datetime.utcnow() gives it */
        buf_printf(out,
                   "CASE WHEN isfinite(%s) THEN (date_part('epoch', %s) * 1000000)::int8 - " PG_EPOCH_US
                   " END",
                   place, place);
    else if (how == HOW_CONTENT)
        buf_printf(out,
                   "CASE WHEN octet_length(%s::text) <= " CONTENT_MOST
                   " THEN %s::text END, octet_length(%s::text)",
                   place, place, place);
    else
        buf_printf(out, "%s%s%s", form[how][0], place, form[how][1]);
}

/* The size of the rows before this one, as far as it is not small anyway; false: it is. */
static bool
put_before(const struct import_source *src, enum import_step step, struct buf *out)
{
    bool any = false;

    for (size_t i = 0; i < OUTS; i++) {
        bool wide = outs[i].how == HOW_WIDE || outs[i].how == HOW_CONTENT || outs[i].how == HOW_PAGE;

        for (const enum import_src *at = (const enum import_src[]){ outs[i].src, SRC_S_PAGE, SRC_COUNT };
             outs[i].step == step && wide && *at != SRC_COUNT; at++) {
            if (!has(src, *at) || (*at == SRC_S_PAGE && outs[i].how != HOW_PAGE))
                continue;
            buf_printf(out, "%sCOALESCE(LEAST(octet_length(%c.%s::text), " WIDE_MOST "), 0)",
                       any ? " + " : ", COALESCE(sum(", srcs[*at].letter, src->col[*at]);
            any = true;
        }
    }
    if (any)
        buf_printf(
            out,
            ") OVER (ORDER BY %c.%s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS footnote_before",
            steps[step].letter, src->col[key_of(step)]);
    return any;
}

static void
put_joins(const struct import_source *src, enum import_step step, enum import_src joined, struct buf *out)
{
    if (joined == SRC_COUNT)
        return;
    if (step == STEP_MESSAGES)
        buf_printf(out, " LEFT JOIN conversations c ON c.%s = m.%s", src->col[SRC_C_ID],
                   src->col[SRC_M_PARENT]);
    buf_printf(out, " LEFT JOIN user_sessions s ON s.%s = c.%s", src->session_join, src->col[SRC_C_SESSION]);
}

static void
put_filter(const struct import_source *src, enum import_step step, struct buf *out)
{
    if (step == STEP_REFERENCES)
        buf_printf(out, " WHERE m.%s::text NOT IN ('[]', 'null', '{}', '')", src->col[SRC_M_REFS]);
    else
        buf_z(out, " WHERE true");
}

static void
put_quoted(const char *z, struct buf *out)
{
    buf_z(out, "E'"); /* the same with standard_conforming_strings on and off */
    for (; *z; z++) {
        if (*z == '\'' || *z == '\\')
            buf_c(out, *z);
        buf_c(out, *z);
    }
    buf_c(out, '\'');
}

/* SELECT columns FROM (SELECT rows, what is joined, what the rows before take … LIMIT n) WHERE that is not too much: columns
 * that stand outside are read (and what is stored apart is fetched) only of rows that belong to the batch. */
void
import_select(const struct import_source *src, enum import_step step, const char *after, size_t limit,
              struct buf *out)
{
    char letter = steps[step].letter;
    const char *key = src->col[key_of(step)];
    enum import_src joined = step == STEP_CONVERSATIONS                      ? SRC_S_SESSION
                             : step == STEP_MESSAGES && has(src, SRC_S_PAGE) ? SRC_S_PAGE
                                                                             : SRC_COUNT;
    bool cut;

    buf_printf(out, "SELECT %c.%s::text", letter, key);
    for (size_t i = 0; i < OUTS; i++)
        if (outs[i].step == step)
            put_column(src, step, outs[i].how, outs[i].src, out);
    buf_printf(out, " FROM (SELECT %c.*", letter);
    if (joined != SRC_COUNT)
        buf_printf(out, ", s.%s AS footnote_joined", src->col[joined]);
    cut = put_before(src, step, out);
    buf_printf(out, " FROM %s %c", steps[step].table, letter);
    put_joins(src, step, joined, out);
    put_filter(src, step, out);
    if (after) {
        buf_printf(out, " AND %c.%s > ", letter, key);
        put_quoted(after, out);
    }
    buf_printf(out, " ORDER BY %c.%s LIMIT %zu) %c", letter, key, limit, letter);
    if (cut)
        buf_printf(out, " WHERE %c.footnote_before < %d", letter, IMPORT_BATCH_BYTES);
    buf_printf(out, " ORDER BY %c.%s", letter, key);
}

void
import_count_sql(const struct import_source *src, enum import_step step, struct buf *out)
{
    buf_printf(out, "SELECT count(*)::text FROM %s %c", steps[step].table, steps[step].letter);
    put_filter(src, step, out);
}
