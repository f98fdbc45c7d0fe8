/* A session's messages with their citations, in one statement: newest conversation first, oldest message first in it.
 * Pages are numbered, or follow a cursor: 48 bytes in hex that name the last message seen, whose cost is constant.
 *
 * A page walks, it does not sort (store/sql/history.sql). Ordering the join as a whole is the obvious
 * statement, but a prepared one is planned without its limit and then reads the beginning of every
 * conversation: 27 ms instead of 1 at 250 of them. Page 1 and page 10,000 touch 217 and 215 buffers. SQL
 * promises no order of conversations here; the walk is a nested loop that cannot be otherwise, and the
 * messages that are returned are ordered by name at the end. */
#include <endian.h>

#include "store/calls/calls.h"

#define REPLY_BYTES 30000000 /* of contents; the reply's limit is 32 MB */
#define CURSOR 48            /* conversation's time, its id, message's time, its id */

struct place {
    int64_t cc; /* conversation's time, Postgres's microseconds */
    struct uuid conversation;
    int64_t at; /* message's time */
    struct uuid message;
};

static void
cursor_write(const struct place *p, char out[2 * CURSOR + 1])
{
    uint64_t cc = htobe64((uint64_t)p->cc), at = htobe64((uint64_t)p->at);
    uint8_t b[CURSOR];

    memcpy(b, &cc, 8);
    memcpy(b + 8, p->conversation.b, 16);
    memcpy(b + 24, &at, 8);
    memcpy(b + 32, p->message.b, 16);
    hex_text(b, CURSOR, out);
}

static bool
cursor_read(struct str s, struct place *p)
{
    uint64_t cc, at;
    uint8_t b[CURSOR];

    if (!hex_parse(s, b, CURSOR))
        return false;
    memcpy(&cc, b, 8);
    memcpy(p->conversation.b, b + 8, 16);
    memcpy(&at, b + 24, 8);
    memcpy(p->message.b, b + 32, 16);
    p->cc = (int64_t)be64toh(cc);
    p->at = (int64_t)be64toh(at);
    return true;
}

static void
read_message(struct tx *t, size_t row, struct message *m)
{
    m->id = col_id(t, 0, row, 0);
    m->conversation_id = col_id(t, 0, row, 1);
    m->role = col_str(t, 0, row, 2);
    m->content = col_str(t, 0, row, 3);
    m->status = col_str(t, 0, row, 4);
    m->model = col_str(t, 0, row, 5);
    m->confidence = col_f64(t, 0, row, 6);
    m->grounded = col_flag(t, 0, row, 7);
    m->from_cache = col_flag(t, 0, row, 8);
    m->created_ms = col_ms(t, 0, row, 9);
    m->rating = col_str(t, 0, row, 24);
    m->comment = col_str(t, 0, row, 25);
    m->selection = col_str(t, 0, row, 26);
    m->finish = col_str(t, 0, row, 27);
}

/* Rows → messages; a message's rows stand together, each with one of its citations. Returns the bytes taken. */
static void
collect(struct tx *t, int64_t limit, struct history_rep *rep, struct citation *spare, struct place *last)
{
    size_t rows = tx_rows(t, 0), bytes = 0;

    for (size_t row = 0; row < rows; row++) {
        struct uuid id = col_id(t, 0, row, 0);
        struct message *m = rep->items.n ? &rep->items.v[rep->items.n - 1] : NULL;

        if (!m || !uuid_eq(&m->id, &id)) {
            if ((int64_t)rep->items.n == limit || bytes > REPLY_BYTES) {
                rep->has_more = true;
                return;
            }
            m = &rep->items.v[rep->items.n++];
            read_message(t, row, m);
            bytes += m->content.n + m->selection.n + m->comment.n + 512;
            *last = (struct place){ col_raw_time(t, 0, row, 10), m->conversation_id,
                                    col_raw_time(t, 0, row, 9), m->id };
        }
        if (col_str(t, 0, row, 11).n == 0)
            continue;
        if (m->citations.n == 0)
            m->citations.v = spare;
        citation_row(t, row, 11, 28, spare++);
        m->citations.n++;
        bytes += 2048;
    }
}

static void
on_history(struct tx *t)
{
    struct delivery *c = t->call;
    const struct history_req *r = c->req;
    size_t rows = tx_rows(t, 0);
    struct history_rep rep = { 0 };
    struct citation *spare = arena_alloc(c->arena, (rows + 1) * sizeof *spare);
    struct place last = { 0 };
    char text[2 * CURSOR + 1];

    rep.items.v = arena_alloc(c->arena, (size_t)(r->limit + 1) * sizeof *rep.items.v);
    if (!spare || !rep.items.v) {
        worker_fail(c, ERR_BUSY, 1000, NULL);
        return;
    }
    collect(t, r->limit, &rep, spare, &last);
    if (rep.has_more) {
        cursor_write(&last, text);
        rep.next_cursor = str_of(text);
    }
    worker_reply(c, &rep);
}

void
history(struct delivery *c)
{
    const struct history_req *r = c->req;
    struct place from = { .cc = INT64_MAX, .at = INT64_MAX }; /* infinity: before everything */
    int64_t skip = r->page > 1 && !r->cursor.p ? (r->page - 1) * r->limit : 0;
    struct uuid any = { { 0 } };
    struct owner who;
    struct tx *t;

    if (r->limit < 1 || r->limit > 200 || r->page < 0 || r->page > 100000) {
        worker_fail(c, ERR_VALIDATION, 0, "limit is 1 to 200, page 1 to 100000");
        return;
    }
    memset(any.b, 0xff, sizeof any.b);
    from.conversation = from.message = any;
    if (r->cursor.p && !cursor_read(r->cursor, &from)) {
        worker_fail(c, ERR_VALIDATION, 0, "cursor: is none of an earlier answer");
        return;
    }
    if (!(t = session_tx(c, r->session, on_history, &who)))
        return;
    TX(t, HISTORY, p_str(who.tenant), p_id(&who.session), p_id(&r->conversation_id), p_raw_time(from.cc),
       p_id(&from.conversation), p_raw_time(from.at), p_id(&from.message), p_i64(r->limit + 1), p_i64(skip));
    tx_run(t);
}
