/* Limits and the query cache's look-up (admit.c). */
#ifndef GATEWAY_ADMIT_ADMIT_H
#define GATEWAY_ADMIT_ADMIT_H

#include "gateway/edge/stat.h"
#include "gateway/request/request.h"

void admit_init(void);
/* Charge the address only, in this process (public routes, and what answers before admit). */
bool admit_address(struct request *r, bool charge);

struct cache_probe {    /* which entry of the query cache to look for */
    char key[128];      /* fn:q:<tenant>:<md5>; "" = do not look */
    uint8_t sha256[32]; /* of the same input, compared with the value's */
    int64_t epoch;      /* of the collection; another epoch is a miss */
    int64_t
        feed_ms; /* clock_ms() up to which the epoch is known to be the newest; 0: of what sessions share */
    struct str turn; /* packed turn to append to fn:turns on a hit; absent: do not append */
};
struct cache_hit {
    bool hit;
    bool appended;       /* the turn went to fn:turns */
    struct str value;    /* the packed answer (proto/answer.h), in the arena */
    const char *outcome; /* as the metric query_cache_total names it */
};
/* Rate limits and the query cache in one Redis round trip. Without a probe (NULL): limits only.
 * session_hash: NULL for requests without a session. false: 429 (or 503) was sent. Redis away: local limiter, no hit. */
bool admit(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe,
           struct cache_hit *hit);
/* The cache alone, for a request that was admitted without a probe. Nothing is appended. */
void cache_look(struct request *r, const struct cache_probe *probe, struct cache_hit *hit);

#endif
