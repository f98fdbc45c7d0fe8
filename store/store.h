/* The store's own state and what its files offer each other. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "common/process/proc.h"
#include "proto/worker.h"
#include "store/calls/handlers.h"
#include "store/pool/pool.h"

struct store_opt {
#define OPT(type, field, name, def, min, max, help) OPT_C_##type field;
#include "store/opt.tbl"
#undef OPT
};

struct outbox;
struct migrate;
struct import;
struct texts;

struct store {
    struct proc *proc;
    const struct store_opt *opt;
    struct buf url, owner_url;   /* DATABASE_URL, DATABASE_OWNER_URL as libpq takes them */
    struct pool *pool;
    struct worker *worker;       /* NULL until it joins the bus */
    uint64_t join;               /* timer: joins then at the latest; 0: joined or draining */
    struct migrate *migrate;     /* until the schema is there */
    struct outbox *outbox;       /* NULL without Redis */
    struct import *import;       /* NULL unless the process was started for one */
    struct texts *texts;         /* once the schema is there */
    int64_t migration;           /* newest one applied; 0: not known yet */
    bool migrated;               /* requests may be served */
};

static inline struct store *
store_of(const struct call *c)
{
    return worker_ctx(c);
}
/* The call's tenant; "default" when the caller gave none. */
struct str tenant_of(const struct call *c);
struct tx *call_tx(struct call *c, tx_fn done);
/* Id of a session's row: named by tenant and session, so that it needs no look-up. */
struct uuid session_key(struct str tenant, struct str session);
/* n things that live as long as the call. NULL: it asks for more than a call may have, and is failed. */
void *call_alloc(struct call *c, size_t n, size_t size);
/* Whose rows a call is about. */
struct owner {
    struct str tenant;
    struct uuid session;         /* its row's id */
};
/* A transaction about what a session (SHA-256) owns, and *who that is. NULL: it is no SHA-256, and the call is failed. */
struct tx *session_tx(struct call *c, struct str session, tx_fn done, struct owner *who);
/* A name of a collection, [A-Za-z0-9._-]{1,64}? If not, the call is failed. */
bool collection_ok(struct call *c, struct str name);
/* A JSON object or absent? If not, the call is failed. */
bool metadata_ok(struct call *c, struct str json);
/* A cursor over rows ordered by time and id: 48 hex digits. */
#define PAGE_CURSOR 49
void page_cursor(int64_t raw_time, const struct uuid *id, char out[PAGE_CURSOR]);
/* From where a list goes on: after the cursor, or from the newest row with *skip rows left out for a page number. If limit,
 * page or cursor are not as they must be, the call is failed and false returned. */
struct page_from { int64_t time; struct uuid id; int64_t skip; };
bool page_ok(struct call *c, int64_t page, int64_t limit, struct str cursor, struct page_from *from);
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

/* The test hook FAULT_AFTER_COMMIT: ends the process, once; otherwise nothing. */
void fault_after_commit(const struct store *s);

/* job.c: columns of chunks as arrays. */
enum chunk_column { CHUNK_DOCUMENT, CHUNK_ID, CHUNK_ORD, CHUNK_START, CHUNK_END, CHUNK_CHAPTER, CHUNK_SECTION, CHUNK_HASH, CHUNK_VECTOR };
struct param chunk_cell(const struct chunk *k, enum chunk_column col);
bool chunk_ok(const struct chunk *k);

/* document.c: one row of DOC_COLS. */
void document_row(const struct tx *t, int i, size_t row, struct document *d);

/* migrate.c: brings the schema up to date, for as long as it takes; done(s) once. Exits the process when the server may
 * lose commits (unless allowed), and with --migrate when the database refuses something. */
struct migrate *migrate_new(struct store *s, void (*done)(struct store *s));
void migrate_free(struct migrate **m);
int migrate_count(void);                                   /* newest migration compiled in */
const char *migrate_sql(int n, const char **name);         /* 1 … migrate_count() */

/* texts.c: stores compressed texts of documents plain, in the background. */
struct texts *texts_new(struct store *s);
void texts_stop(struct texts *x);                          /* begin no further batch */
void texts_free(struct texts **x);

/* outbox.c: drains fn:turns. */
struct outbox *outbox_new(struct store *s, const char *redis_url, struct buf *why);
void outbox_stop(struct outbox *o, void (*done)(struct store *s)); /* finish the batch at hand */
void outbox_free(struct outbox **o);
int64_t outbox_length(const struct outbox *o);

#endif
