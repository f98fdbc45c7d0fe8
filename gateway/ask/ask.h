/* The question path (ARCHITECTURE.md) for /chat/query, /chat/selection and /chat/stream.
 *
 *   ask_parse → ask_admit ──hit──────────────────────────────────────→ ask_render → reply
 *              │         └─miss→ ask_run: turn.begin → embed → search → chat → cite → turn.finish → cache
 *              └─answered before (Idempotency-Key)→ idem_replay
 *
 * A function that returns false has already answered. Everything a question holds goes with ask_fini. */
#ifndef GATEWAY_ASK_H
#define GATEWAY_ASK_H

#include "cite/cite.h"
#include "gateway/request/handler.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/idempotency.h"

#define ASK_HISTORY 6   /* earlier messages that a turn of a conversation is answered with */

enum ask_saved { SAVED_NO, SAVED_QUEUED, SAVED_YES };

/* The stages of a question. STAGE(id, name) */
#define STAGES                                                                                                         \
    STAGE(AUTH, "auth")                                                                                                \
    STAGE(CACHE, "cache")                                                                                              \
    STAGE(BEGIN, "begin")                                                                                              \
    STAGE(EMBED, "embed")                                                                                              \
    STAGE(SEARCH, "search")                                                                                            \
    STAGE(GENERATE, "generate")                                                                                        \
    STAGE(CITE, "cite")                                                                                                \
    STAGE(FINISH, "finish")
enum stage {
#define STAGE(id, name) STAGE_##id,
    STAGES
#undef STAGE
    STAGE_COUNT
};

/* What a question leaves behind about itself, for people and for the metrics. */
struct ask_trace {
    int64_t us[STAGE_COUNT];          /* what each stage took; 0: it was not reached */
    int64_t first_us;                 /* from the arrival to the first piece of the answer; 0: none came */
    int64_t upstream_us;              /* of all that, what the model server took */
    const char *cache;                /* what the query cache said (cache_labels) */
    const struct embed_rep *embedded; /* NULL: searched by words only */
    const struct chat_rep *said;      /* NULL: no model was asked */
    int64_t top_k;                    /* as asked; 0: the retriever's */
    struct uuid origin_id;            /* on a hit: the message that the answer is a copy of */
    int64_t origin_ms;                /* and its time */
};
enum asked { ASKED_ANSWERED, ASKED_FAILED, ASKED_GONE };

struct question {
    struct request *r;
    json_t *body;                     /* owned; the strings below point into it */
    /* what was asked */
    const char *route;                /* "query" or "selection": part of the cache key; streams share "query" */
    struct str text;                  /* the question, trimmed */
    struct str selection;             /* selected text, or absent; in a conversation perhaps that of an earlier question */
    struct str chapter, section;      /* where it was selected, or absent */
    bool fresh;                       /* opens a conversation of its own */
    struct str page_context;          /* or absent */
    struct str collection;            /* its name */
    struct str filter;                /* compact JSON, or absent */
    int64_t top_k;                    /* 0: the collection's */
    struct uuid session;              /* as the client gave it */
    uint8_t session_hash[32];         /* as the store knows it */
    struct uuid conversation_id;      /* given: a turn of it; later where the answer was stored */
    bool standalone, carried;         /* no conversation was named; the selection is that of an earlier question */
    bool named;                   /* the request names the collection */
    bool settled;                 /* settings are known, or there are none */
    struct uuid question_id, message_id;
    const struct collection *settings; /* NULL: no such collection (yet) */
    struct idem_answer stored;        /* status 200 …: the same request was answered before, this is its answer */
    struct cache_probe probe;         /* key "": the cache does not apply */
    struct buf turn;                  /* packed turn for a hit */
    /* what came of it */
    struct held held;                 /* calls whose replies are in use */
    const struct search_rep *found;
    const struct turn_begin_rep *begun;
    struct buf partial;               /* text of a stream so far, as it came */
    struct link_rules rules;          /* of safe */
    struct sanitizer safe;            /* of what the stream shows */
    bool shows;                       /* safe is in use */
    struct str answer;
    const struct citation *citations;
    size_t n_citations;
    struct str model;                 /* what wrote the answer; absent: nothing did */
    struct str finish;                /* why it ended: stop, length, content_filter; absent: stop */
    double confidence;
    bool grounded, refused, degraded, embedding_cached, from_cache;
    struct ask_trace trace;
    int64_t prompt_tokens, completion_tokens;
    struct str fragment;              /* on a hit: the JSON members as they were cached */
    enum ask_saved saved;
    struct answer failure;            /* ASKED_FAILED: why */
};

/* How a stream learns of progress; false: the client has gone. NULL for one answer at the end. */
struct ask_sink {
    void *arg;
    bool (*begun)(void *arg);                    /* conversation and message ids stand */
    bool (*found)(void *arg);                    /* q->found: the passages that the model gets */
    bool (*text)(void *arg, struct str piece);
    bool (*idle)(void *arg);                     /* nothing came for a while: ping */
};

/* Strict body; fills *q. route: "query" or "selection". */
bool ask_parse(struct request *r, const char *route, struct question *q);
/* Limits and cache in one round trip; with an Idempotency-Key limits, then the key, then the cache. After true,
 * q->stored.status and q->from_cache say whether the answer is already there. */
bool ask_admit(struct question *q);
/* A hit that could not be queued is saved through the store. Sets q->saved. Only after a hit. */
void ask_save_hit(struct question *q);
/* Find the answer. ASKED_FAILED: q->failure. */
enum asked ask_run(struct question *q, const struct ask_sink *sink);
/* The HTTP answer as a JSON object. */
void ask_render(const struct question *q, struct buf *b);
void ask_fini(struct question *q);

#define PROMPT_VERSION "3" /* of how questions become prompts here; a change makes old answers unfindable */

/* For tests: the input of the cache's digests, and the id of citation n of a message. */
void ask_cache_input(const struct question *q, struct buf *in);
struct uuid ask_citation_id(const struct uuid *message_id, int64_t n);

/* trace.c. */
void ask_stats_register(void);
/* A stage ends that began at since_us (clock_us()). */
void ask_stage(struct question *q, enum stage s, int64_t since_us);
void ask_first_token(struct question *q);
void ask_answered(struct question *q);                                /* the answer is there: counts what it took and saved */
void ask_cited(const struct cite_counts *n);                          /* what became of the answer's marks */
struct str ask_trace_json(const struct question *q);                  /* in the arena; absent when there is no room for it */

void ask_removed(const size_t n[REMOVED_KINDS]);                      /* what the sanitizer took out of an answer */

/* safe.c. Show a piece of the answer, as far as it is decided what may be shown; then the rest. false: the client has gone. */
bool ask_show(struct question *q, const struct ask_sink *sink, struct str piece);
bool ask_show_rest(struct question *q, const struct ask_sink *sink);  /* sink NULL: nothing is shown any more */
struct str ask_safe(struct question *q, struct str text);             /* a whole answer, in the arena; counted */

/* parse.c, for run.c. */
bool ask_cut(const struct question *q);                               /* the answer ended before its end */
bool ask_overloaded(const struct question *q);
int64_t ask_overload_retry_ms(void);                                  /* 1, 2 or 3 s */
void ask_ids(struct question *q);
void ask_turn(const struct question *q, struct turn_finish_req *t);   /* what both ways of saving have in common */
void ask_keep(struct question *q, struct turn_finish_req *t, struct buf *sealed); /* the answer for a repetition goes along */
bool ask_cache_fragment(const struct question *q, struct buf *b);     /* members that a cached answer keeps */

#endif
