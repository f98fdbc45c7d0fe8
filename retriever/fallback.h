/* INDEX_FALLBACK=words: while the search engine's server is away, questions are searched by their words, in the database, and the answer
 * says so (search_rep.degraded). Everything here belongs to the loop's thread. */
#ifndef RETRIEVER_FALLBACK_H
#define RETRIEVER_FALLBACK_H

#include "retriever/retriever.h"

struct fallback;
/* Before the worker is there. NULL: the option is off. */
struct fallback *fallback_new(struct retriever *r, const struct engine_host *h);
void fallback_begin(struct fallback *f); /* its feed begins; after the worker */
void
fallback_stop(struct fallback *f); /* its engine's threads end, and it looks no more after the other one */
void fallback_free(struct fallback **f);
void fallback_end_feed(struct fallback *f); /* it polls no more */
void fallback_sample(const struct fallback *f);
const char *
fallback_sick(const struct fallback *f); /* why the words are not there; NULL: nothing is wrong with them */

/* With NULL the answers are: not ready, nobody away, the caller's deadline. */
/* It had every word once, and the time that a start gives the engine is over. */
bool fallback_ready(const struct fallback *f);
/* The engine is away, and the words are there: searches go to fallback_engine at once. */
bool fallback_stands_in(struct fallback *f);
int64_t fallback_patience(const struct fallback *f,
                          int64_t deadline_ms); /* when a search of the engine is given up */
/* A search of the engine ended. True: it failed as one does whose server is away, and the words are to be asked. */
bool fallback_told(struct fallback *f, const struct engine_search *s, int64_t deadline_ms);
struct engine *fallback_engine(struct fallback *f);
const struct feed *fallback_feed(const struct fallback *f);

#endif
