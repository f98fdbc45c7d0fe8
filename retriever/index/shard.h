/* Inside of the index: one shard for each (tenant, collection). Private to retriever/index/. */
#ifndef RETRIEVER_INDEX_SHARD_H
#define RETRIEVER_INDEX_SHARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "retriever/index/dot.h"
#include "retriever/index/index.h"
#include "retriever/index/vector_set.h"

enum { SPACE_BLOCK = 256, QUERY_TERMS = 64 };

struct passage { /* one chunk; immutable once the document is in a shard */
    struct uuid id;
    int64_t start, end;                /* bytes of the stored document */
    int64_t page;                      /* of it; 0: none */
    struct str chapter, section, text; /* in the document's blobs */
    struct str anchor; /* likewise: of the heading above it, where its section does not tell it */
    struct str
        lead; /* likewise: the head of the table, or first line of the fence, that it begins in the middle of */
    size_t first, n; /* its words in doc->hash and doc->tf */
    uint32_t len;    /* how many words, repeated ones included */
};

struct blob { /* memory of one page's strings */
    struct blob *next;
    char bytes[];
};

struct index_doc {
    struct uuid id;
    struct str tenant, collection, external_id, title, url; /* in blobs */
    char id_text[37];                                       /* for filters */
    enum language language;                                 /* of its words */
    bool language_known;                                    /* set by the first page */
    bool language_set;                                      /* … by the collection */
    json_t *metadata;                                       /* object or NULL */
    struct blob *blobs;
    struct passage *v;
    size_t n, cap;
    uint64_t *hash; /* words of all passages; sorted within each */
    uint16_t *tf;   /* how often */
    size_t n_words, words_cap;
    struct vector_set set[VECTOR_SETS];
    size_t spare; /* which of them questions are not compared with */
    size_t bytes; /* its memory, with its share of postings and int8 rows */
};

struct posting {
    uint32_t slot, tf;
};
struct term {
    uint64_t h;        /* the word */
    uint32_t df;       /* live passages that have it (those being added included) */
    uint32_t n, cap;   /* of v */
    struct posting *v; /* ascending slots; dead ones stay until the shard is compacted */
};
struct space_block {
    float scale[SPACE_BLOCK];
    uint32_t slot[SPACE_BLOCK];
    int8_t q[]; /* SPACE_BLOCK rows of dims */
};
struct space { /* vectors of one model and size: never compared with another's */
    char *model;
    size_t dims, n, cap; /* rows; room in blocks */
    struct space_block **blocks;
};
struct doc_slot {
    struct index_doc *doc; /* NULL once gone */
    uint32_t first, n;     /* its passages' slots */
};
struct shard {
    char *tenant, *collection;
    struct shard *next; /* in the index's bucket */
    struct doc_slot *docs;
    size_t n_docs, docs_cap;
    uint32_t *by_id; /* open addressing: 1 + docs index, 0 free; power of two */
    size_t by_id_cap;
    uint8_t *live;    /* by slot: findable */
    uint32_t *doc_of; /* by slot: docs index */
    size_t n_slots, slots_cap, n_live;
    uint64_t total_len;            /* words of live passages */
    uint32_t languages[LANGUAGES]; /* live documents of each */
    struct term *terms;
    size_t n_terms, terms_cap;
    uint32_t *table; /* open addressing: 1 + terms index */
    size_t table_cap;
    struct space *spaces;
    size_t n_spaces;
};

enum { SHARD_BUCKETS = 1024 };
struct index {
    pthread_rwlock_t lock;  /* readers: searches; writer: short pieces of a change */
    pthread_mutex_t change; /* one change at a time */
    struct shard *buckets[SHARD_BUCKETS];
    size_t max_bytes;
    double vector_weight;
    dot_i8_fn dot;
    atomic_size_t documents, passages, bytes;
};

/* index.c */
struct shard *index_shard(struct index *ix, struct str tenant,
                          struct str collection); /* a lock is held; NULL: none */

/* shard.c; callers hold the index's lock as said */
struct shard *shard_new(struct str tenant, struct str collection);
void shard_free(struct shard **s, bool with_docs);
size_t shard_find_doc(const struct shard *s, const struct uuid *id); /* docs index, or SIZE_MAX */
size_t shard_add_doc(struct shard *s, struct index_doc *d);          /* write lock; not yet findable */
void shard_add_words(struct shard *s, size_t doc, size_t from,
                     size_t to);              /* write lock; passages [from, to) */
void shard_show(struct shard *s, size_t doc); /* write lock: findable from now on */
void shard_hide(struct shard *s, size_t doc); /* write lock: not any more */
void shard_drop_words(struct shard *s, const struct index_doc *d, size_t from, size_t to); /* write lock */
const struct term *shard_term(const struct shard *s, uint64_t h); /* NULL: no passage has it */
static inline const struct passage *
shard_passage(const struct shard *s, uint32_t slot, const struct index_doc **doc)
{
    const struct doc_slot *d = &s->docs[s->doc_of[slot]];

    *doc = d->doc;
    return &d->doc->v[slot - d->first];
}

/* doc.c: the passage, or a part of it, as a hit without scores, copied into the arena. False: that is full. */
bool index_hit(const struct index_doc *d, const struct passage *p, struct str text, struct arena *a,
               struct hit *out);

/* space.c */
struct space_top {
    float score;
    uint32_t slot;
};
struct space_result {
    struct space_top *top; /* heap of the best, worst first */
    size_t n, cap;
    double sum, sum2; /* of all cosines seen */
    size_t seen;
};
void space_add(struct shard *s, struct str model, size_t dims, const float *v, uint32_t slot);
void space_free(struct space *sp);
/* Compare the question (query × scale is its vector) with the rows of its model whose slot is allowed: the best, and sums of all. */
void space_scan(const struct shard *s, dot_i8_fn dot, const struct engine_query *q, const int8_t *query,
                float scale, const uint8_t *allow, struct space_result *r);
void top_push(struct space_result *r, float score, uint32_t slot); /* kept when it is among the cap best */

#endif
