/* Another embedding model: the second set of a collection's vectors (docs/operating.md). */
#ifndef RETRIEVER_REEMBED_REEMBED_H
#define RETRIEVER_REEMBED_REEMBED_H

#include "retriever/retriever.h"

struct reembed *reembed_new(struct retriever *r);
void reembed_stop(struct reembed *b);  /* begin nothing more */
void reembed_free(struct reembed **b); /* after the loop and the threads ended */

#endif
