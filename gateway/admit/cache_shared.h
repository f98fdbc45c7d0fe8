/* The look-up of answers that sessions share (cache_shared.c). They are stored by cache_store (cache_write.h), under a key of
 * their own in the set of the session that they come from, so that they are erased with it. */
#ifndef GATEWAY_ADMIT_CACHE_SHARED_H
#define GATEWAY_ADMIT_CACHE_SHARED_H

#include "gateway/admit/admit.h"

/* One trip. CACHE_HIT: *value is the packed answer, in the arena; a wrong entry is deleted. CACHE_BYPASS: Redis does not say. */
enum cache_outcome cache_look_shared(struct request *r, const struct cache_probe *probe, struct str *value);
/* Is a value the right one for this probe? */
enum cache_outcome cache_judge(const struct cache_probe *probe, struct str value);

#endif
