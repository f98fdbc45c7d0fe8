/* Inside of the engine "opensearch". Private to retriever/opensearch/.
 *
 * The passages are documents of one index, "<document id>:<number>"; beside them stands "<document id>:h", which says how many there
 * are, so that a delete needs no search. Every write carries the version of its change, and an older one changes nothing.
 *
 *   t tenant   c collection   d document   ver version of the change
 *   w  words: the hashes of text/words.h in base 64, each as often as the passage has it, so that both engines count alike
 *   n  how many   l language   f what filters may ask for (filter.c)
 *   v_SPACE vector for the graph   b_SPACE the same bytes, for the exact cosine   p the names of its spaces
 *   s  what a hit shows, and neither searched nor indexed
 * Of a head: k whose collection it is of, h how many passages. */
#ifndef RETRIEVER_OPENSEARCH_OPENSEARCH_H
#define RETRIEVER_OPENSEARCH_OPENSEARCH_H

#include <pthread.h>

#include "retriever/index/fuse.h"
#include "retriever/index/shown.h"
#include "retriever/index/tomb.h"
#include "retriever/opensearch/http.h"

enum { SPACES_MAX = 32, HASH_TEXT = 11 };

/* ---- doc.c: a document on its way: a line of JSON for each passage */
struct cluster_doc {
    struct buf lines; /* each without its version and its end: "ver" and a brace follow when it is sent */
    size_t n;
    struct space_id space[VECTOR_SETS];
    size_t n_spaces;
    struct doc_language language;
};
bool cluster_doc_add(struct cluster_doc *d, struct words *w, const struct chunks_get_rep *page);
void cluster_doc_free(struct cluster_doc **d);
void hash_text(uint64_t h, char out[HASH_TEXT + 1]);
bool hash_read(struct str s, uint64_t *h);

/* ---- filter.c: filters as queries */
void filter_tokens(const struct index_doc *d, const struct passage *p, struct buf *out);
/* Conditions, each with a comma before it. Where the cluster cannot be told all, it lets more through: hits are checked again. */
void filter_query(const struct filter *f, struct buf *out);

/* ---- schema.c: index, alias, mapping, checkpoint. Blocks. */
struct generation { /* an index; a newer one is built beside it */
    char name[96];
    int64_t seq; /* changes up to this one are in it */
    bool missing;
    bool stale;                        /* deletes may be missing in it */
    int64_t told_ms;                   /* when the cluster got the checkpoint; 0: never from here */
    struct space_id space[SPACES_MAX]; /* that its mapping has */
    size_t n_spaces;
};
struct cluster_engine;
/* False: the cluster does not answer as it should; logged. The one that is searched, and the one that is built (its name is empty:
 * none is). */
bool schema_open(struct cluster_engine *e, struct cluster_conn *x);
bool schema_space(struct cluster_engine *e, struct cluster_conn *x, struct generation *g,
                  const struct space_id *s);
bool schema_checkpoint(struct cluster_engine *e, struct cluster_conn *x, struct generation *g, int64_t seq);
bool schema_switch(struct cluster_engine *e,
                   struct cluster_conn *x); /* the one that is built is searched from now on */
bool schema_again(struct cluster_engine *e, struct cluster_conn *x); /* begin a new one, empty */
/* False: the cluster did not do it; logged. Else *out is its answer. */
bool cluster_post(struct cluster_engine *e, struct cluster_conn *x, const char *path, struct str body,
                  json_t **out);
bool schema_refresh(struct cluster_engine *e, struct cluster_conn *x, const struct generation *g);

/* ---- write.c: changes, on a thread of their own */
struct changes { /* a list */
    struct engine_change *first, **last;
    size_t n, bytes;
};
/* bulk.c: put and delete the documents of a batch. False: not all was taken, for now. */
bool bulk_put(struct cluster_engine *e, struct cluster_conn *x, struct generation *g,
              const struct changes *batch);
struct writer;
struct writer *writer_new(struct cluster_engine *e);
void writer_free(struct writer **w); /* its thread ends, whatever waits */
void writer_add(struct writer *w, struct engine_change *c);
size_t writer_waiting(struct writer *w); /* changes */
bool writer_busy(struct writer *w);
/* Every change up to this one was done. all: and those are all that there are, for now. */
void writer_reached(struct writer *w, int64_t seq, bool all);

struct corpus_cache; /* corpus.h */

/* ---- search.c */
void search_run(struct cluster_engine *e, struct cluster_conn *x, struct engine_search *s);

/* ---- hit.c: a passage as the cluster shows it → one of a document of its own. False: it is none of ours. */
struct found {
    struct index_doc *doc; /* its strings point into the answer */
    int64_t version;
};
bool hit_read(const json_t *hit, struct found *out);
void hit_free(struct index_doc **d);
bool hit_vector(const json_t *hit, const struct space_id *s, float *out); /* its own, of s->dims numbers */

/* ---- opensearch.c */
struct cluster_engine {
    struct engine e;
    const struct retriever_opt *opt;
    struct loop *loop;
    struct cluster *cluster;
    struct tombs *tombs;
    struct writer *writer;
    struct corpus_cache *corpora;
    atomic_bool opened;          /* schema_open succeeded */
    atomic_bool ending;          /* nobody waits for anything */
    atomic_llong after;          /* changes up to this one need not be told again */
    atomic_llong known;          /* changes up to this one can be found */
    atomic_uint_fast64_t writes; /* moves when something was made visible */
    atomic_size_t documents, passages, bytes;
    pthread_mutex_t lock; /* of the generations */
    struct generation live, next;
};

#endif
