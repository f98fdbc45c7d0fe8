/* Inside of the engine "pgvector": the passages are in the suite's own Postgres, and everything goes through the store
 * (index.* of proto/kind.tbl, store/pgvector/tables.sql). Private to retriever/pgvector/.
 *
 *   state   asked each second: is the index there, up to which change      write   changes, one call at a time
 *   search  on threads that wait for the store: corpus ─▶ words ─▶ candidates ─▶ order and scores (index/fuse.h) */
#ifndef RETRIEVER_PGVECTOR_PGVECTOR_H
#define RETRIEVER_PGVECTOR_PGVECTOR_H

#include <pthread.h>

#include "proto/worker.h"
#include "retriever/index/fuse.h"
#include "retriever/index/shown.h"
#include "retriever/index/tomb.h"
#include "retriever/retriever.h"

enum { SPACE_TEXT = SPACE_NAME + 5 };

struct pgvector;

/* 16 hex digits, _ and how many numbers: what a space is called in messages. */
void space_text(const struct space_id *s, char out[SPACE_TEXT]);

/* ---- doc.c: a document on its way. Thread-safe by having nothing in common. */
struct pg_part { /* of pg_doc.bytes */
    size_t at, n;
};
struct pg_passage {
    int64_t len;
    struct pg_part words, counts, shown, facts, vector[VECTOR_SETS];
    size_t bytes; /* of all of them */
};
struct pg_doc {
    struct buf bytes;
    struct pg_passage *v;
    size_t n, cap;
    int64_t words; /* of all passages */
    char space[VECTOR_SETS][SPACE_TEXT];
    struct doc_language language;
    bool bare; /* without vectors */
};
bool pg_doc_add(struct pg_doc *d, struct words *w, const struct chunks_get_rep *page);
void pg_doc_free(struct pg_doc **d);

/* ---- filter.c */
/* A passage's facts, which a filter may ask for, as JSON: {"m":{member:[values]},"d":[ids],"t":[title],"u":[url],"c":[chapter],"s":[section]} */
void facts_write(const struct index_doc *d, const struct passage *p, struct buf *out);
/* A filter as a jsonpath over that. Postgres lets through what it cannot be told: hits are checked again. */
void filter_path(const struct filter *f, struct buf *out);

/* ---- ask.c: calls of the store from threads that may wait */
struct asks;
struct asks *asks_new(const struct engine_host *h);
void asks_end(struct asks *a); /* nobody waits any more */
void asks_free(struct asks **a);
/* ERR_OK: *rep is the answer, until *held is freed. q is read before it returns; tenant: of the call. */
enum err store_ask(struct asks *a, enum kind kind, const void *q, struct str tenant, int64_t deadline_ms,
                   const void **rep, struct arena **held);

/* ---- write.c: all of it belongs to the loop's thread */
struct pg_writer;
struct pg_writer *pg_writer_new(struct pgvector *e);
void pg_writer_free(struct pg_writer **w);
void pg_writer_add(struct pg_writer *w, struct engine_change *c);
void pg_writer_go(struct pg_writer *w); /* the index is there */
size_t pg_writer_waiting(const struct pg_writer *w);
bool pg_writer_busy(const struct pg_writer *w);

/* ---- corpus.c: numbers of some collections, as they were a moment ago */
struct pg_corpus {
    double passages, words; /* how many, and how long they are together */
    uint64_t languages[LANGUAGES];
    size_t vectors; /* passages that have one of the question's model */
};
struct pg_corpora;
struct pg_corpora *pg_corpora_new(void);
void pg_corpora_free(struct pg_corpora **c);
enum err pg_corpus(struct pgvector *e, const struct engine_search *s, struct str walls, const char *space,
                   struct pg_corpus *out);

/* ---- search.c */
void pg_search(struct pgvector *e, struct engine_search *s);

/* ---- pgvector.c */
struct pgvector {
    struct engine e;
    const struct retriever_opt *opt;
    struct loop *loop;
    struct worker *const *worker; /* the host's, which it gets after the engine */
    struct pool_threads *threads; /* that search */
    bool words;                   /* it has no vectors: it stands in for another engine */
    struct asks *asks;
    struct tombs *tombs;
    struct pg_writer *writer;
    struct pg_corpora *corpora;
    atomic_bool opened;          /* the index is there */
    atomic_uint_fast64_t writes; /* moves with each change that is done */
    atomic_size_t documents, passages;
    /* the loop's thread */
    const char *sick;      /* why it is not well; NULL: it is */
    unsigned failed;       /* looks in a row */
    bool looking, stopped; /* a look is on its way */
    bool clearing;         /* what is there is too old to go on from */
    uint64_t timer;
    int64_t looked_ms, counted_ms; /* when the last look began; when it is counted again */
    int64_t seq, reached;          /* as the store told; as the feed told */
};

#endif
