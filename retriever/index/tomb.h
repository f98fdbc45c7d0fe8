/* Documents that were deleted here and may still be found elsewhere for a moment, by engines whose index is not in this process. Thread-safe. */
#ifndef RETRIEVER_INDEX_TOMB_H
#define RETRIEVER_INDEX_TOMB_H

#include "common/text/text.h"

struct tombs;
struct tombs *tombs_new(void);
void tombs_free(struct tombs **t);
/* Passages of that document (nil: of that collection; without a tenant: any) with a version below this one are hidden. Returns a
 * handle. */
uint64_t tombs_add(struct tombs *t, struct str tenant, struct str collection, const struct uuid *id,
                   int64_t version);
void tombs_done(struct tombs *t, uint64_t handle,
                const struct uuid *id); /* searches that begin from now on do not find them */
/* Whether a passage of that version, which a search found, is of a deleted document. */
bool tombs_hide(struct tombs *t, struct str tenant, struct str collection, const struct uuid *id,
                int64_t version);

#endif
