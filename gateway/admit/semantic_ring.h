/* Near-identical questions in Redis (semantic_ring.c): which answers that sessions share belong to questions with a like vector, and how
 * checks of such answers came out. */
#ifndef GATEWAY_ADMIT_SEMANTIC_RING_H
#define GATEWAY_ADMIT_SEMANTIC_RING_H

#include "gateway/admit/admit.h"

enum { SEMANTIC_NEAR = 4 }; /* questions that are looked at more closely, the likest first */

struct
    semantic_ring { /* the newest questions of one kind: all that shapes an answer but the text is the same */
    char key[128];  /* fn:sr:<tenant>:<md5>; "": none */
    char switch_key[160],
        checks_key[160]; /* of the collection: switched off at which epoch; its latest checks */
    int64_t epoch;
    size_t dims; /* of a vector, a byte each */
};
struct semantic_near {
    char key[128]; /* of the shared answer in the query cache */
    double like;   /* cosine of the vectors */
};
enum semantic_look { SEMANTIC_READ, SEMANTIC_OFF, SEMANTIC_AWAY };

void semantic_ring_init(void);
/* SEMANTIC_CACHE; a cache_scope of its own of a collection says more (share.c). */
bool semantic_on(const struct request *r);
double semantic_threshold(const struct request *r); /* SEMANTIC_CACHE_THRESHOLD; 0: the model's own */
bool semantic_sampled(const struct request *r);     /* is this hit one that is to be checked? */
/* The names of the collection's keys; key is filled by who knows what the ring is of. */
void semantic_ring_name(const struct request *r, struct str collection, struct semantic_ring *ring);
/* One trip. The questions at least as like as least, *n of them. SEMANTIC_OFF: the collection's checks have switched it off. SEMANTIC_AWAY: also
 * when the request has waited for Redis for long already, which its answer will need. */
enum semantic_look semantic_ring_look(struct request *r, const struct semantic_ring *ring, const int8_t *code,
                                      double least, struct semantic_near near[SEMANTIC_NEAR], size_t *n);
/* One trip. Their packed answers, in the arena; absent: it is gone. Data from outside. */
void semantic_ring_values(struct request *r, struct arena *a, const struct semantic_near *near, size_t n,
                          struct str *values);
/* The answer under probe's key is that of a question with this vector. */
void semantic_ring_add(struct request *r, const struct semantic_ring *ring, const struct cache_probe *probe,
                       const int8_t *code);
/* A check came out. True: this one has switched the collection's near answers off; *samples and *differ say why. */
bool semantic_checked(struct request *r, const struct semantic_ring *ring, bool differs, int64_t *samples,
                      int64_t *differ);

#endif
