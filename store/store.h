/* The store's own state and what its files offer each other. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "common/process/proc.h"
#include "proto/worker.h"
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
    struct buf url, owner_url; /* DATABASE_URL, DATABASE_OWNER_URL as libpq takes them */
    struct pool *pool;
    struct worker *worker;   /* NULL until it joins the bus */
    uint64_t join;           /* timer: joins then at the latest; 0: joined or draining */
    struct migrate *migrate; /* until the schema is there */
    struct outbox *outbox;   /* NULL without Redis */
    struct import *import;   /* NULL unless the process was started for one */
    struct texts *texts;     /* once the schema is there */
    int64_t migration;       /* newest one applied; 0: not known yet */
    bool months;             /* messages are partitioned by month */
    bool migrated;           /* requests may be served */
    /* pgvector/pgvector.c */
    char index_missing[16];  /* why the tables of INDEX_ENGINE=pgvector are not there; "": they are */
    bool index_looking;      /* a look is on its way */
    int64_t index_looked_ms; /* when the last one began */
    struct buf index_script; /* of it */
};

static inline struct store *
store_of(const struct delivery *c)
{
    return worker_ctx(c);
}

/* migrate.c: brings the schema up to date, for as long as it takes; done(s) once. Exits the process when the server may
 * lose commits (unless allowed), and with --migrate when the database refuses something. */
struct migrate *migrate_new(struct store *s, void (*done)(struct store *s));
void migrate_free(struct migrate **m);
int migrate_newest(void);                          /* number of the newest migration compiled in */
const char *migrate_sql(int n, const char **name); /* NULL: there is none of that number */

/* outbox.c: drains fn:turns. */
struct outbox *outbox_new(struct store *s, const char *redis_url, struct buf *why);
void outbox_stop(struct outbox *o, void (*done)(struct store *s)); /* finish the batch at hand */
void outbox_free(struct outbox **o);
int64_t outbox_length(const struct outbox *o);

/* fault.c: the test hook FAULT_AFTER_COMMIT: ends the process, once; otherwise nothing. */
void fault_after_commit(const struct store *s);

#endif
