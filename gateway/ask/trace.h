/* The trace that a question leaves, for people and for the metrics (trace.c). */
#ifndef GATEWAY_ASK_TRACE_H
#define GATEWAY_ASK_TRACE_H

#include "common/process/stat.h"
#include "proto/msg.h"

/* The stages of a question. STAGE(id, name) */
#define STAGES \
    STAGE(AUTH, "auth") \
    STAGE(CACHE, "cache") \
    STAGE(BEGIN, "begin") \
    STAGE(EMBED, "embed") \
    STAGE(SEARCH, "search") \
    STAGE(RERANK, "rerank") \
    STAGE(GENERATE, "generate") \
    STAGE(CITE, "cite") \
    STAGE(FINISH, "finish")
enum stage {
#define STAGE(id, name) STAGE_##id,
    STAGES
#undef STAGE
        STAGE_COUNT
};

/* The fates of resumable streams. STREAM_EVENT(id, name) */
#define STREAM_EVENTS \
    STREAM_EVENT(KEPT, "kept") \
    STREAM_EVENT(NOT_KEPT, "not_kept") \
    STREAM_EVENT(RESUMED, "resumed") \
    STREAM_EVENT(LEFT, "left") \
    STREAM_EVENT(ABANDONED, "abandoned") \
    STREAM_EVENT(TAKEN_OVER, "taken_over") \
    STREAM_EVENT(ASKED_AGAIN, "asked_again") \
    STREAM_EVENT(RESTARTED, "restarted")
enum stream_event {
#define STREAM_EVENT(id, name) STREAM_##id,
    STREAM_EVENTS
#undef STREAM_EVENT
        STREAM_EVENT_COUNT
};

/* The fates of look-ups for another session's answer: bad, not ours or damaged; away, Redis did not say; gone, it was erased;
 * waited, besides: for one that was being made.
 * SHARE_EVENT(id, name) */
#define SHARE_EVENTS \
    SHARE_EVENT(HIT, "hit") \
    SHARE_EVENT(MISS, "miss") \
    SHARE_EVENT(STALE, "stale") \
    SHARE_EVENT(BAD, "bad") \
    SHARE_EVENT(AWAY, "away") \
    SHARE_EVENT(GONE, "gone") \
    SHARE_EVENT(WAITED, "waited")
enum share_event {
#define SHARE_EVENT(id, name) SHARE_##id,
    SHARE_EVENTS
#undef SHARE_EVENT
        SHARE_EVENT_COUNT
};

/* The fates of look-ups for the answer to a near-identical question: checked, answered anew instead; off, the collection's checks have switched it
 * off; away, Redis did not say; gone, it was erased; unknown, there was no vector, or one of a model without a threshold; switched_off,
 * besides: a check that did so. SEMANTIC_EVENT(id, name) */
#define SEMANTIC_EVENTS \
    SEMANTIC_EVENT(HIT, "hit") \
    SEMANTIC_EVENT(MISS, "miss") \
    SEMANTIC_EVENT(CHECKED, "checked") \
    SEMANTIC_EVENT(OFF, "off") \
    SEMANTIC_EVENT(AWAY, "away") \
    SEMANTIC_EVENT(GONE, "gone") \
    SEMANTIC_EVENT(UNKNOWN, "unknown") \
    SEMANTIC_EVENT(SWITCHED_OFF, "switched_off")
enum semantic_event {
#define SEMANTIC_EVENT(id, name) SEMANTIC_EVENT_##id,
    SEMANTIC_EVENTS
#undef SEMANTIC_EVENT
        SEMANTIC_EVENT_COUNT
};

/* The parts of questions in flights: bare, a leader whose answer could not be relayed. FLIGHT_EVENT(id, name) */
#define FLIGHT_EVENTS \
    FLIGHT_EVENT(LED, "led") \
    FLIGHT_EVENT(FOLLOWED, "followed") \
    FLIGHT_EVENT(PROMOTED, "promoted") \
    FLIGHT_EVENT(BARE, "bare")
enum flight_event {
#define FLIGHT_EVENT(id, name) FLIGHT_##id,
    FLIGHT_EVENTS
#undef FLIGHT_EVENT
        FLIGHT_EVENT_COUNT
};

/* The trace of a question, for people and for the metrics. */
struct ask_trace {
    int64_t us[STAGE_COUNT];          /* time of each stage; 0: it was not reached */
    int64_t first_us;                 /* from the arrival to the first piece of the answer; 0: none came */
    int64_t upstream_us;              /* of all that, what the model server took */
    const char *cache;                /* answer of the query cache (cache_labels) */
    const struct embed_rep *embedded; /* NULL: searched by words only */
    const struct chat_rep *said;      /* NULL: no model was asked */
    struct cite_counts cited;         /* fate of the answer's marks */
    int64_t top_k;                    /* as asked; 0: the retriever's */
    struct uuid origin_id;            /* on a hit: the message that the answer is a copy of */
    int64_t origin_ms;                /* and its time */
};

/* Sums over all questions since the start. */
struct ask_sums {
    int64_t answered, cached;            /* all, and those from the query cache */
    double spent_dollars, saved_dollars; /* where prices are known */
    uint64_t took[STAT_BUCKETS],
        added[STAT_BUCKETS]; /* from arrival to answer; and without the model server */
};
void ask_sums(struct ask_sums *out);

#endif
