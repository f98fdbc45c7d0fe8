/* Answers that sessions share, in the query cache: looked up only where the session has no answer of its own, so that a
 * session's own hits stay one trip. The trip is a second one then, and small beside the model call that it may save. A value
 * is data from outside and is checked as admit.c checks it. */
#include "gateway/admit/cache_shared.h"

#include "gateway/admit/cache_write.h"
#include "gateway/gateway.h"
#include "proto/answer.h"

enum cache_outcome
cache_judge(const struct cache_probe *probe, struct str value)
{
    uint64_t epoch = 0;

    if (!answer_sum_fits(value) || memcmp(value.p, ANSWER_MAGIC, 4) != 0)
        return CACHE_BAD;
    if (memcmp(value.p + ANSWER_SHA_AT, probe->sha256, 32) != 0)
        return CACHE_COLLISION;
    for (int i = 0; i < 8; i++)
        epoch = epoch << 8 | (uint8_t)value.p[ANSWER_EPOCH_AT + i];
    return epoch == (uint64_t)probe->epoch ? CACHE_HIT : CACHE_STALE;
}

enum cache_outcome
cache_look_shared(struct request *r, const struct cache_probe *probe, struct str *value)
{
    struct str get[] = { STR("GET"), str_of(probe->key) };
    struct redis_cmd cmd = { get, 2 };
    struct redis_val v = { .type = REDIS_ERROR };
    enum cache_outcome how;

    *value = STR_NONE;
    if (!r->gw->cache || redis_run_in(r->gw->cache, &r->redis, r->arena, &cmd, 1, &v) != 0)
        return CACHE_BYPASS;
    if (v.type == REDIS_NIL)
        return CACHE_MISS;
    how = v.type == REDIS_STR ? cache_judge(probe, v.s) : CACHE_BAD;
    if (how == CACHE_HIT)
        *value = v.s;
    else
        cache_drop(r, probe);
    return how;
}
