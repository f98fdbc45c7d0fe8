/* The near cache: hot answers in this process, each valid only as long as Redis's copy is (near.c). Thread-safe; every function
 * accepts NULL for a near cache that is off. */
#ifndef GATEWAY_ADMIT_NEAR_H
#define GATEWAY_ADMIT_NEAR_H

#include "gateway/admit/admit.h"

struct near;

/* max_bytes: of all that it allocates for answers; 0: off, NULL. Nothing is allocated before the first answer. */
struct near *near_new(size_t max_bytes);
void near_free(struct near **n);
size_t near_bytes(struct near *n);
size_t near_count(struct near *n); /* answers */

/* The answer to probe, copied into the arena. False: it is not here, or nobody knows whether it still stands. */
bool near_get(struct near *n, const struct cache_probe *probe, int64_t now_ms, struct arena *a,
              struct str *value);

struct near_origin {
    uint64_t mark;    /* near_mark of its session */
    int64_t since_ms; /* clock_ms() before which it was known to stand */
    int64_t until_ms; /* clock_ms() at which it expires */
};
/* Keep a value whose checksum was found right, unless its session was erased since. True: it is the first one, and somebody must listen
 * for erasures from now on. */
bool near_put(struct near *n, const struct cache_probe *probe, const struct near_origin *from,
              struct str value);

/* ---- what the thread of erased.c hears */

uint64_t near_mark(struct str erased); /* of the key of a session's erasure */
/* Is anything here that may be erased? Called about ten times a second; what nobody has looked at for a minute goes. */
bool near_listens(struct near *n, int64_t now_ms);
/* An erasure: at Redis's time at_ms; 0: one of our own. The same one again is no news. */
void near_erase(struct near *n, uint64_t mark, int64_t at_ms);
/* All erasures up to asked_ms (clock_ms()) have been told. life: the name of Redis's data; another name: it lost some. */
void near_heard(struct near *n, struct str life, int64_t asked_ms);
/* Redis does not say: all goes. */
void near_deaf(struct near *n);

#endif
