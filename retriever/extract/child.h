/* Documents that footnote-extract reads: one confined process a file (extract/main.c). */
#ifndef RETRIEVER_EXTRACT_CHILD_H
#define RETRIEVER_EXTRACT_CHILD_H

#include "retriever/extract/extract.h"

/* How it is run; before the first thread. seconds: from its start to its end; bytes: of memory. */
void child_init(long seconds, size_t memory);
/* How many ended without a whole answer, since the start: they died, took too long, or said what is no stream of frames. */
uint64_t child_failures(void);

#endif
