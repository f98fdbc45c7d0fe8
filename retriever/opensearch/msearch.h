/* Several searches in one call. Private to retriever/opensearch/. */
#ifndef RETRIEVER_OPENSEARCH_MSEARCH_H
#define RETRIEVER_OPENSEARCH_MSEARCH_H

#include "retriever/opensearch/opensearch.h"

void msearch_head(struct buf *body, const char *index); /* before each of them */
/* body: their lines. ERR_OK: *out has n answers, each good and whole. */
enum err msearch(struct cluster_conn *x, const struct engine_search *s, const struct buf *body, size_t n,
                 json_t **out);

#endif
