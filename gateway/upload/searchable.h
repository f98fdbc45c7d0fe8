/* Searchable documents (searchable.c). */
#ifndef GATEWAY_UPLOAD_SEARCHABLE_H
#define GATEWAY_UPLOAD_SEARCHABLE_H

#include "gateway/request/request.h"

/* The progress of the index with these collections (at most 64), as a retriever says;
 * INT64_MAX when none answers. */
int64_t api_index_seq(struct request *r, struct str *collections, size_t n);

#endif
