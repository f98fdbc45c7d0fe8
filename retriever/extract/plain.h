/* Text that is stored as it was sent, but for its cleaning. */
#ifndef RETRIEVER_EXTRACT_PLAIN_H
#define RETRIEVER_EXTRACT_PLAIN_H

#include "retriever/extract/extract.h"

/* As read of struct extractor: the cleaned text, without a title. */
const char *plain_read(struct str body, struct extracted *x);

#endif
