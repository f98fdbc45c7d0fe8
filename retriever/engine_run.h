/* A search of an engine that works on the host's threads. */
#ifndef RETRIEVER_ENGINE_RUN_H
#define RETRIEVER_ENGINE_RUN_H

#include "common/process/threads.h"
#include "retriever/engine.h"

/* work(s) on one of the threads, then s->done in the loop. False: too busy, done does not come. */
bool engine_run(struct engine_search *s, struct pool_threads *threads, void (*work)(void *s));

#endif
