/* A search of an engine that works on the host's threads: apart from the choice, which names every engine. */
#include "retriever/engine_run.h"

static void
search_done(void *arg)
{
    struct engine_search *s = arg;

    s->done(s);
}

bool
engine_run(struct engine_search *s, struct pool_threads *threads, void (*work)(void *s))
{
    return threads_run(threads, work, search_done, s) == 0;
}
