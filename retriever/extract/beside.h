/* A program beside us, run for one document: footnote-extract (child.c), footnote-convert (convert.c). */
#ifndef RETRIEVER_EXTRACT_BESIDE_H
#define RETRIEVER_EXTRACT_BESIDE_H

#include "common/mem.h"

/* Run argv[0] with body as its input, until its end and no longer than so many seconds. NULL: *status says how it ended, and out has
 * what it said; or why not. *later: that says nothing about the document: the host could not, or we stop. From a thread, which waits. */
const char *beside_run(const char *const argv[], struct str body, long seconds, struct buf *out, int *status,
                       bool *later);
extern const char beside_could_not[];
/* The seconds that a program which may take so many is told: one less, so that it ends by itself and says why. */
void beside_seconds(long seconds, char out[32]);
/* Wait for none any longer: those that run are ended. From any thread. */
void beside_stop(void);

#endif
