/* Rows of an import: each is read as text, checked against the limits of the bus (proto/msg.tbl), and becomes the cells
 * of its step's statement. A row that cannot be taken is refused with a phrase; it never fails the others.
 *
 * Ids: a UUID stays what it is; anything else becomes a UUID named by tenant, source, table and id, the same each time.
 * A session is known by the SHA-256 of its id, exactly as the gateway makes it, so that readers keep their history. */
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "common/digest.h"
#include "common/text/json.h"
#include "store/calls/calls.h"
#include "store/import/import.h"
#include "store/import/link.h"

#define QUESTION_MAX 65536
#define ANSWER_MAX 262144
#define PAGE_MAX 32768
#define NAME_MAX_BYTES 1024
#define EXCERPT_MAX 1200
#define LINK_MAX 2048
#define CITATIONS_MAX 200

enum { TYPE_TIME = 1184 }; /* timestamptz[] beside enum array_type */

static const struct {
    enum sql_id take, check;
    int cols;
    int types[IMPORT_COLS];
} steps[STEPS] = {
#define TYPES_SESSIONS { ARRAY_UUID, ARRAY_BYTEA, ARRAY_TEXT, TYPE_TIME, TYPE_TIME }
#define TYPES_CONVERSATIONS { ARRAY_UUID, ARRAY_UUID, TYPE_TIME, TYPE_TIME }
#define TYPES_MESSAGES \
    { ARRAY_UUID, ARRAY_UUID, ARRAY_TEXT, ARRAY_TEXT,  ARRAY_TEXT, \
      TYPE_TIME,  TYPE_TIME,  ARRAY_TEXT, ARRAY_FLOAT8 }
#define TYPES_CITATIONS \
    { ARRAY_UUID, ARRAY_UUID, ARRAY_INT8, ARRAY_UUID, ARRAY_UUID,  ARRAY_TEXT, \
      ARRAY_TEXT, ARRAY_TEXT, ARRAY_TEXT, ARRAY_TEXT, ARRAY_FLOAT8 }
#define TYPES_REFERENCES TYPES_CITATIONS
#define STEP(id, name, table, letter, cols) { SQL_IMPORT_##id, SQL_IMPORT_##id##_CHECK, cols, TYPES_##id },
#include "store/import/column.tbl"
};

static struct import_row *
row_new(struct import_rows *rows, size_t src)
{
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? 2 * rows->cap : 256;
        rows->v = mem_resize(rows->v, rows->cap * sizeof *rows->v);
    }
    rows->v[rows->n] = (struct import_row){ .src = src };
    return &rows->v[rows->n++];
}

/* ---- cells */

static struct uuid
id_of(const struct import_rows *rows, const char *table, struct str text)
{
    struct uuid u;

    if (!uuid_parse(text, &u) || uuid_is_nil(&u))
        u = uuid_named((const struct str[]){ STR("import"), rows->tenant, rows->label, str_of(table), text },
                       5);
    return u;
}

static struct param
cell_id(const struct import_rows *rows, const char *table, struct str text)
{
    struct uuid u = id_of(rows, table, text);

    return p_id(&u);
}

/* A text, cut to its maximum; empty and absent are the same. */
static struct param
cell_text(struct import_rows *rows, struct str s, size_t max)
{
    if (!s.p || s.n == 0)
        return p_str(STR_NONE);
    if (s.n > max) {
        s = utf8_cut(s, max);
        rows->shortened++;
    }
    return p_str(s);
}

static struct param
cell_time(struct str s)
{
    return s.p ? p_i64(strtoll(s.p, NULL, 10)) : p_str(STR_NONE);
}

static struct param
cell_num(struct str s, bool needed)
{
    double v = s.p ? strtod(s.p, NULL) : 0;

    if (!isfinite(v))
        v = 0;
    return s.p || needed ? p_f64(v) : p_str(STR_NONE);
}

static bool
texts_ok(const struct str *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i].p && (!utf8_valid(s[i]) || str_has_byte(s[i], 0)))
            return false;
    return true;
}

/* ---- sessions, conversations */

/* 32 bytes, as the gateway hashes a session's UUID; an id that is none is hashed as it stands. */
static struct str
session_hash(struct import_rows *rows, struct str text)
{
    uint8_t *hash = arena_alloc(rows->arena, 32);
    struct str id = text;
    struct uuid u;
    char lower[37];

    if (uuid_parse(text, &u))
        id = str_of(uuid_text(&u, lower));
    if (hash)
        sha256(&id, 1, hash);
    return (struct str){ (char *)hash, hash ? 32 : 0 };
}

static const char *
parse_session(const struct tx *t, size_t row, struct import_rows *rows)
{
    struct str id = col_str(t, 0, row, 1), user = col_str(t, 0, row, 2), hash;
    struct import_row *r;
    struct uuid key;

    if (!id.p || id.n == 0)
        return "it has no session_id";
    if (id.n > 256 || user.n > 256)
        return "session_id or user_id is longer than 256 bytes";
    if (!texts_ok((const struct str[]){ id, user }, 2))
        return "not UTF-8";
    hash = session_hash(rows, id);
    key = session_key(rows->tenant, hash);
    r = row_new(rows, row);
    r->cell[0] = r->parent = p_id(&key);
    r->cell[1] = p_str(hash);
    r->cell[2] = cell_text(rows, user, 256);
    r->cell[3] = cell_time(col_str(t, 0, row, 3));
    r->cell[4] = cell_time(col_str(t, 0, row, 4));
    return NULL;
}

static const char *
parse_conversation(const struct tx *t, size_t row, struct import_rows *rows)
{
    struct str id = col_str(t, 0, row, 1);
    struct import_row *r;
    struct uuid session;

    if (!id.p || id.n == 0)
        return "its session is not there";
    session = session_key(rows->tenant, session_hash(rows, id));
    r = row_new(rows, row);
    r->cell[0] = cell_id(rows, "conversations", col_str(t, 0, row, 0));
    r->cell[1] = r->parent = p_id(&session);
    r->cell[2] = cell_time(col_str(t, 0, row, 2));
    r->cell[3] = cell_time(col_str(t, 0, row, 3));
    return NULL;
}

/* ---- messages */

static struct str
role_of(struct str s)
{
    static const char *const roles[] = { "user", "assistant" };

    for (size_t i = 0; i < 2; i++)
        if (s.n == strlen(roles[i]) && strncasecmp(s.p, roles[i], s.n) == 0)
            return str_of(roles[i]);
    return STR_NONE;
}

static struct str
page_of(struct str s)
{
    return str_is(s, "null") || str_is(s, "{}") || str_is(s, "[]") ? STR_NONE : s;
}

static const char *
parse_message(const struct tx *t, size_t row, struct import_rows *rows)
{
    struct str parent = col_str(t, 0, row, 1), role = role_of(col_str(t, 0, row, 2)),
               content = col_str(t, 0, row, 3);
    struct str length = col_str(t, 0, row, 4), page = page_of(col_str(t, 0, row, 5)),
               model = col_str(t, 0, row, 8);
    bool asks = str_is(role, "user");
    struct import_row *r;

    if (!role.p)
        return "its role is neither user nor assistant";
    if (!length.p)
        return "it has no content";
    if (!content.p || content.n > (asks ? QUESTION_MAX : ANSWER_MAX))
        return asks ? "a question longer than 64 KiB" : "an answer longer than 256 KiB";
    if (!texts_ok((const struct str[]){ content, page, model }, 3))
        return "not UTF-8";
    if (!col_str(t, 0, row, 6).p)
        return "it has no time";
    if (!parent.p)
        return "it has no conversation";
    r = row_new(rows, row);
    r->cell[0] = cell_id(rows, "messages", col_str(t, 0, row, 0));
    r->cell[1] = r->parent = cell_id(rows, "conversations", parent);
    r->cell[2] = p_str(role);
    r->cell[3] = p_str(content);
    r->cell[4] = asks ? cell_text(rows, page, PAGE_MAX) : p_str(STR_NONE);
    r->cell[5] = cell_time(col_str(t, 0, row, 6));
    r->cell[6] = cell_time(col_str(t, 0, row, 7));
    r->cell[7] = cell_text(rows, model, 128);
    r->cell[8] = cell_num(col_str(t, 0, row, 9), false);
    return NULL;
}

/* ---- citations */

struct cited {
    struct str title, chapter, section, excerpt, link;
    double score;
    struct str shown; /* the link as it is kept, see link.h */
};

/* The quoted page is no document of ours: both ids are named by its link. */
static void
add_citation(struct import_rows *rows, size_t src, struct uuid id, struct uuid message, struct param n,
             const struct cited *k)
{
    struct str place[] = { STR("import document"), rows->tenant, k->link.p ? k->link : k->chapter,
                           k->section };
    struct uuid document = uuid_named(place, 3), chunk = uuid_named(place, 4);
    struct import_row *r = row_new(rows, src);

    r->cell[0] = p_id(&id);
    r->cell[1] = r->parent = p_id(&message);
    r->cell[2] = n;
    r->cell[3] = p_id(&document);
    r->cell[4] = p_id(&chunk);
    r->cell[5] = cell_text(rows, k->title, NAME_MAX_BYTES);
    r->cell[6] = cell_text(rows, k->chapter, NAME_MAX_BYTES);
    r->cell[7] = cell_text(rows, k->section, NAME_MAX_BYTES);
    r->cell[8] = cell_text(rows, k->shown, LINK_MAX);
    r->cell[9] = k->excerpt.n ? cell_text(rows, k->excerpt, EXCERPT_MAX) : p_str(STR(""));
    r->cell[10] = p_f64(isfinite(k->score) ? k->score : 0);
}

static const char *
cited_wrong(const struct import_rows *rows, struct cited *k)
{
    k->shown = k->link.n > LINK_MAX ? k->link : import_link(rows->arena, rows->base, k->link);
    if (k->shown.n > LINK_MAX)
        return "its link is longer than 2048 bytes";
    return texts_ok((const struct str[]){ k->title, k->chapter, k->section, k->excerpt, k->link }, 5)
               ? NULL
               : "not UTF-8";
}

static const char *
parse_citation(const struct tx *t, size_t row, struct import_rows *rows)
{
    struct str parent = col_str(t, 0, row, 1), number = col_str(t, 0, row, 2), score = col_str(t, 0, row, 8);
    struct cited k = { col_str(t, 0, row, 3),
                       col_str(t, 0, row, 4),
                       col_str(t, 0, row, 5),
                       col_str(t, 0, row, 6),
                       col_str(t, 0, row, 7),
                       score.p ? strtod(score.p, NULL) : 0,
                       STR_NONE };
    double n = number.p ? strtod(number.p, NULL) : 1;
    const char *why = cited_wrong(rows, &k);

    if (why)
        return why;
    if (!parent.p)
        return "it has no message";
    if (!(n >= 1 && n <= CITATIONS_MAX))
        return "its number is not 1 to 200";
    add_citation(rows, row, id_of(rows, "citations", col_str(t, 0, row, 0)), id_of(rows, "messages", parent),
                 number.p ? p_i64((int64_t)n) : p_str(STR_NONE), &k);
    return NULL;
}

static struct str
member(const struct import_rows *rows, const json_t *o, const char *const *names)
{
    struct str s = STR_NONE;

    for (; *names && !s.p; names++)
        s = json_str(o, *names);
    return s.p ? arena_str(rows->arena, s) : s;
}

static struct cited
reference(const struct import_rows *rows, const json_t *o)
{
    static const char *const title[] = { "title", NULL }, *const chapter[] = { "chapter", NULL };
    static const char *const section[] = { "section", NULL }, *const link[] = { "link", "url", NULL };
    static const char *const excerpt[] = { "content_excerpt", "excerpt", "content", "text", NULL };
    struct cited k = { 0 };

    if (json_is_string(o)) {
        k.title = arena_str(rows->arena, (struct str){ json_string_value(o), json_string_length(o) });
        return k;
    }
    k = (struct cited){ member(rows, o, title),
                        member(rows, o, chapter),
                        member(rows, o, section),
                        member(rows, o, excerpt),
                        member(rows, o, link),
                        0,
                        STR_NONE };
    k.score = json_num(o, "confidence_score", json_num(o, "score", 0));
    return k;
}

/* The message's source_references: a list of objects or of titles. All of it or nothing. */
static const char *
parse_references(const struct tx *t, size_t row, struct import_rows *rows)
{
    struct str key = col_str(t, 0, row, 0), text = col_str(t, 0, row, 1);
    struct uuid message = id_of(rows, "messages", key), id;
    enum json_fault fault;
    const char *detail, *why = NULL;
    json_t *list = json_read(text, &fault, &detail);
    size_t before = rows->n, n = json_array_size(list);

    if (!json_is_array(list) || n > CITATIONS_MAX)
        why = "source_references is no JSON list of at most 200";
    for (size_t i = 0; i < n && !why; i++) {
        int64_t number = (int64_t)i + 1;
        struct cited k = reference(rows, json_array_get(list, i));

        if ((why = cited_wrong(rows, &k)))
            break;
        id = uuid_named((const struct str[]){ STR("import reference"),
                                              { (const char *)message.b, 16 },
                                              { (const char *)&number, sizeof number } },
                        3);
        add_citation(rows, row, id, message, p_i64(number), &k);
    }
    json_decref(list);
    if (why)
        rows->n = before;
    return why;
}

/* ---- all of them */

const char *
import_parse(enum import_step step, const struct tx *t, size_t row, struct import_rows *rows)
{
    static const char *(*const parse[STEPS])(const struct tx *, size_t, struct import_rows *) = {
        [STEP_SESSIONS] = parse_session,      [STEP_CONVERSATIONS] = parse_conversation,
        [STEP_MESSAGES] = parse_message,      [STEP_CITATIONS] = parse_citation,
        [STEP_REFERENCES] = parse_references,
    };

    if (!col_str(t, 0, row, 0).p)
        return "it has no id";
    return parse[step](t, row, rows);
}

/* A part holds all rows of a parent: of one session, conversation or message. */
static bool
in_part(const struct import_row *r, int part)
{
    return part < 0 || ((uint8_t)r->parent.be[15] & (IMPORT_PARTS - 1)) == part;
}

/* col < 0: the parents. part < 0: all rows. */
static struct param
column(const struct import_rows *rows, int part, int type, int col, struct tx *t)
{
    struct buf *b = tx_buf(t);
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += in_part(&rows->v[i], part);
    array_begin(b, (enum array_type)type, n);
    for (size_t i = 0; i < rows->n; i++)
        if (in_part(&rows->v[i], part))
            array_add(b, col < 0 ? rows->v[i].parent : rows->v[i].cell[col]);
    return p_str(buf_slice(b));
}

void
import_take(enum import_step step, const struct import_rows *rows, int part, struct tx *t)
{
    struct param p[IMPORT_COLS + 1] = { p_str(rows->tenant) };

    tx_add(t, SQL_IMPORT_PLAN, NULL, 0);
    for (int col = 0; col < steps[step].cols; col++)
        p[col + 1] = column(rows, part, steps[step].types[col], col, t);
    tx_add(t, steps[step].take, p, (size_t)steps[step].cols + 1);
}

void
import_check(enum import_step step, const struct import_rows *rows, struct tx *t)
{
    const struct param p[] = { p_str(rows->tenant), column(rows, -1, ARRAY_UUID, 0, t),
                               column(rows, -1, ARRAY_UUID, -1, t) };

    tx_add(t, SQL_IMPORT_PLAN, NULL, 0);
    tx_add(t, steps[step].check, p, sizeof p / sizeof p[0]);
}
