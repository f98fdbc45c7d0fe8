/* The common part of the handlers of calls: whose rows a call is about, lists by pages, usual answers; and the
 * statements that several add. */
#ifndef STORE_CALLS_CALLS_H
#define STORE_CALLS_CALLS_H

#include "store/calls/handlers.h"
#include "store/store.h"

/* ---- call.c */
/* The call's tenant; "default" when the caller gave none. */
struct str tenant_of(const struct delivery *c);
struct tx *call_tx(struct delivery *c, tx_fn done);
/* Id of a session's row: named by tenant and session, so that it needs no look-up. */
struct uuid session_key(struct str tenant, struct str session);
/* n things that live as long as the call. NULL: it asks for more than a call may have, and is failed. */
void *call_alloc(struct delivery *c, size_t n, size_t size);
/* The owner of the rows that a call is about. */
struct owner {
    struct str tenant;
    struct uuid session; /* its row's id */
};
/* A transaction about what a session (SHA-256) owns, and *who that is. NULL: it is no SHA-256, and the call is failed. */
struct tx *session_tx(struct delivery *c, struct str session, tx_fn done, struct owner *who);
/* A name of a collection, [A-Za-z0-9._-]{1,64}? If not, the call is failed. */
bool collection_ok(struct delivery *c, struct str name);
/* A JSON object or absent? If not, the call is failed. */
bool metadata_ok(struct delivery *c, struct str json);
/* Items of a page: of the rows of statement i `most` at most, and as many as a reply of 1 MB has room for, but at least one.
 * read fills one, and says how many bytes it takes. *n: how many; *more: rows stay. NULL: the call is failed. */
#define PAGE_BYTES 900000
void *page_items(struct tx *t, int i, size_t most, size_t size,
                 size_t (*read)(struct tx *t, int i, size_t row, void *item), size_t *n, bool *more);
/* A cursor over rows ordered by time and id, 48 hex digits: behind that row of statement 0, whose id is its first column. time: the
 * column of its time. */
#define PAGE_CURSOR 49
struct str page_cursor(const struct tx *t, size_t row, int time, char out[PAGE_CURSOR]);
/* The place from which a list goes on: after the cursor, or from the newest row with *skip rows left out for
 * a page number. If limit, page or cursor are not as they must be, the call is failed and false returned. */
struct page_from {
    int64_t time;
    struct uuid id;
    int64_t skip;
};
bool page_ok(struct delivery *c, int64_t page, int64_t limit, struct str cursor, struct page_from *from);
/* Answer with an ack of the rows that statement 0 touched; ack_one: none is ERR_NOT_FOUND. */
void ack_touched(struct tx *t);
void ack_one(struct tx *t);
void ack_ok(struct tx *t);

/* room.c: codes of refuse() where a tenant has all that it may have. */
enum { ROOM_KEYS = 901, ROOM_COLLECTIONS, ROOM_DOCUMENTS, ROOM_BYTES };
/* Did a transaction with want_errors succeed? If not, its call is failed: over a limit with what to do about it. */
bool room_left(struct tx *t);
/* The first statements of what may make a collection (collection.c). */
void room_collection(struct tx *t, struct str tenant, struct str name);

/* turn.c: the statements of a finished turn (also the outbox's). */
void turn_finish_add(struct tx *t, const struct turn_finish_req *r, const struct owner *who);

/* job.c: columns of chunks as arrays. */
enum chunk_column {
    CHUNK_OWNER, /* jobs.done: the place of its document, from 1 */
    CHUNK_ID,
    CHUNK_ORD,
    CHUNK_START,
    CHUNK_END,
    CHUNK_CHAPTER,
    CHUNK_SECTION,
    CHUNK_HASH,
    CHUNK_VECTOR,
    CHUNK_ANCHOR,
    CHUNK_PAGE,
    CHUNK_LEAD
};
struct param chunk_cell(const struct chunk *k, enum chunk_column col);
bool chunk_ok(const struct chunk *k);

/* Columns of a citation: as `citation_cols` in store/sql/conversation.sql reads them, and as `cited_there` in turn.sql writes them. */
enum citation_column {
    CITED_ID,
    CITED_N,
    CITED_DOCUMENT,
    CITED_CHUNK,
    CITED_EXTERNAL,
    CITED_TITLE,
    CITED_CHAPTER,
    CITED_SECTION,
    CITED_URL,
    CITED_EXCERPT,
    CITED_START,
    CITED_END,
    CITED_SCORE,
    CITED_PAGE,
    CITED_COLUMNS
};
/* citation.c: one row's citation: its columns begin at from, but for the page's. */
void citation_row(const struct tx *t, size_t row, int from, int page, struct citation *k);

/* document.c: one row of `doc_cols` (store/sql/piece.sql). */
void document_row(const struct tx *t, int i, size_t row, struct document *d);

#endif
