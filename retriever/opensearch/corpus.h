/* The collections that a question is asked of, as they were a moment ago: it is weighed against them. Private to
 * retriever/opensearch/. */
#ifndef RETRIEVER_OPENSEARCH_CORPUS_H
#define RETRIEVER_OPENSEARCH_CORPUS_H

#include "retriever/opensearch/opensearch.h"

struct sample { /* of their passages */
    double passages, total_len;
    uint64_t languages[LANGUAGES];
    size_t with_vector; /* passages that have a vector of the question's model */
    size_t rows, dims;  /* some of these, at random */
    int8_t *v;
    float *scale;
    /* the cache's */
    uint64_t key, writes;
    int64_t at_ms, rows_ms;
    double rows_of; /* passages when the rows were taken */
    atomic_int users;
};
struct corpus_cache *corpus_cache_new(void);
void corpus_cache_free(struct corpus_cache **c);
void corpus_query(const struct engine_query *q,
                  struct buf *out); /* the wall: conditions of tenant and collections */
/* NULL with *err set. space NULL: no vectors. The caller releases it. */
struct sample *corpus_take(struct cluster_engine *e, struct cluster_conn *x, const struct engine_search *s,
                           const char *index, const struct space_id *space, enum err *err);
void corpus_release(struct sample **s);
/* Of all vectors, as far as the sample tells: sums of the cosines with this one, and of their squares. */
void corpus_cosines(const struct sample *s, const struct engine_query *q, struct arena *a, double *sum,
                    double *sum2);

#endif
