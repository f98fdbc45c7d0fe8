/* Documents → chunks in the store: jobs that are claimed, done and reported. */
#ifndef RETRIEVER_INGEST_INGEST_H
#define RETRIEVER_INGEST_INGEST_H

#include "retriever/retriever.h"

struct ingest *ingest_new(struct retriever *r);
void ingest_free(struct ingest **g);
void ingest_poke(struct ingest *g); /* documents wait in the store */
/* Take no more jobs and give back those at hand; done(arg) when none is left (maybe at once). */
void ingest_drain(struct ingest *g, void (*done)(void *arg), void *arg);
size_t ingest_active(const struct ingest *g);

#endif
