/* The index, which is the engine "memory" (memory.c): passages in memory, by (tenant, collection). Exact int8
 * scan with a float32 re-rank, and BM25, fused.
 *
 *   document = index_doc_new → index_doc_add for each page (any thread, no lock) → index_put (replaces atomically)
 *
 * Thread-safe: searches share a read lock; a change takes the write lock in short pieces, one change at a time. */
#ifndef RETRIEVER_INDEX_INDEX_H
#define RETRIEVER_INDEX_INDEX_H

#include "retriever/engine.h"

struct index;
struct index_doc;

struct index *index_new(size_t max_bytes);
void index_free(struct index **ix);
void index_set_weight(struct index *ix, double vector_weight); /* VECTOR_WEIGHT; before use */

/* A document from its first chunks.get reply (copied; chunks are added by index_doc_add). NULL when there is no memory. */
struct index_doc *index_doc_new(const struct chunks_get_rep *rep);
/* Copy one page of chunks in. Vectors that are not finite, zero or of another size are left out (the passage stays
 * findable by words). False when there is no memory. */
bool index_doc_add(struct index_doc *d, struct words *w, const struct chunks_get_rep *rep);
void index_doc_free(struct index_doc **d);
size_t index_doc_bytes(const struct index_doc *d);

/* Replace the document of that id (or add it); consumes *d. ERR_INDEX_FULL: over max_bytes; then it is not findable at
 * all, since its older version is gone from the store. */
enum err index_put(struct index *ix, struct index_doc **d);
/* True when something was there. */
bool index_delete(struct index *ix, struct str tenant, struct str collection, const struct uuid *id);
void index_drop(struct index *ix, struct str tenant, struct str collection); /* a whole collection */
void index_clear(struct index *ix);

struct engine_stats index_stats(struct index *ix);
bool index_has_room(struct index *ix, size_t bytes); /* would that much more fit */

/* Best passages first into rep->hits; everything is copied into the arena. ERR_INTERNAL when the arena is full. */
enum err index_search(struct index *ix, struct words *w, const struct engine_query *q, struct arena *a,
                      struct search_rep *rep);
/* Add to what a question found what is near to the selection alone: a few passages, or all when the question found none. */
enum err index_near(struct index *ix, struct words *w, const struct engine_query *q,
                    const struct engine_selected *what, struct arena *a, struct search_rep *rep);
/* The same with another engine's search. */
typedef enum err (*near_search_fn)(void *arg, struct words *w, const struct engine_query *q, struct arena *a,
                                   struct search_rep *rep);
enum err near_add(near_search_fn search, void *arg, struct words *w, const struct engine_query *q,
                  const struct engine_selected *what, struct arena *a, struct search_rep *rep);
/* Its place in the collections, as a hit whose bytes [start, end) are what was selected; text is empty when
 * they run over several passages. Copied into the arena. False: it was not found. */
bool index_select(struct index *ix, struct words *w, const struct engine_query *q,
                  const struct engine_selected *what, struct arena *a, struct hit *out);
/* The evidence behind the score of the best passage, for calibration (tests/eval). signals may be NULL. */
struct index_signals {
    double coverage; /* idf-weighted share of the question's words that one passage has, 0 … 1 */
    double depth;    /* the same, a word that it has only once counting half */
    double head;     /* the same, of the words in its title and headings */
    double mass;     /* weight of the words that it has: how rare they are together */
    double matched;  /* how many content words of the question it has */
    /* its cosine in standard deviations above the collection's mean; 0: too few were seen to tell */
    double z;
    double lift; /* its cosine above what two texts of the collection have anyhow */
    /* 1: the question has all words, three or more, of the passage's own heading, or names an option that a line of it begins
     * with; of two 0.75 */
    double named;
    double passages; /* in the collections that are searched */
    bool semantic;   /* the vectors are of a model that knows meanings, not words */
    bool fitted;     /* … and relevance was fitted with it */
    double cosine;   /* of the best passage */
    double words;    /* content words of the question */
};
enum err index_search_explained(struct index *ix, struct words *w, const struct engine_query *q,
                                struct arena *a, struct search_rep *rep, struct index_signals *signals);

#endif
