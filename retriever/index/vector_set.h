/* Vectors of one document by one model. Included through shard.h only. */
#ifndef RETRIEVER_INDEX_VECTOR_SET_H
#define RETRIEVER_INDEX_VECTOR_SET_H

#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

/* A document's vectors by one model. It has a second set while its collection changes to another model, and
 * until that is settled. */
enum { VECTOR_SETS = 2 };
struct vector_set {
    struct str model; /* in blobs */
    size_t dims, rows, rows_cap;
    float *v;        /* rows of dims, unit length */
    uint32_t *row;   /* by passage: 1 + its row; 0: it has none */
    size_t row_room; /* passages that row has room for */
};

struct index_doc;
/* doc.c: its vector by this model; NULL: it has none */
const float *doc_vector(const struct index_doc *d, size_t passage, struct str model, size_t dims);
void doc_strip(struct index_doc *d); /* the set that is not in use goes */

#endif
