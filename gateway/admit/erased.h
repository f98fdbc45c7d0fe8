/* Erasure of resumable streams and cached answers (erased.c): what a session's erasure takes along, and who else hears of it. */
#ifndef GATEWAY_ADMIT_ERASED_H
#define GATEWAY_ADMIT_ERASED_H

#include <pthread.h>

#include "gateway/request/request.h"

#define ERASED_KEY_MAX 160

/* Somebody reads a stream from Redis and waits for news of it. */
struct erased_watch {
    char mark[ERASED_KEY_MAX]; /* of its session's erasure */
    int64_t at_ms;             /* Redis's time of the latest erasure that it knows */
    bool news;                 /* there was another one */
    pthread_cond_t wake;
    struct erased_watch *next, **prev;
};

void erased_init(void);
/* The key of the set of a session's resumable streams, and that of its erasure, a digest of its hash: Redis's time in ms. With the tenant: who knows
 * the session's id under another one erases nothing that lasts. */
struct str frames_session_set(struct request *r, const uint8_t *session_hash);
struct str frames_session_erased(struct request *r, const uint8_t *session_hash);
/* Every resumable stream and every cached answer of the session goes, none of a question that was asked before is opened or cached
 * after it, and every gateway hears of it. One trip. How many keys of cached answers there were; -1: Redis does not say. */
int64_t erased_tell(struct request *r, const uint8_t *session_hash);

/* From begin to end, in one thread. A stream may be gone when there is news: only Redis says. */
void erased_watch_begin(struct request *r, struct erased_watch *w, const uint8_t *session_hash);
bool erased_watch_wait(struct request *r, struct erased_watch *w, int64_t until_ms); /* true: news */
void erased_watch_end(struct request *r, struct erased_watch *w);

/* A thread that asks for news while somebody waits for any; NULL after logging why. */
struct erasures;
struct erasures *erasures_start(struct gateway *gw);
void erasures_stop(struct erasures **e);
/* The near cache has its first answer. */
void erasures_wake(struct erasures *e);

#endif
