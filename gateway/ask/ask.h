/* The question path (ARCHITECTURE.md) for /chat/query, /chat/selection and /chat/stream.
 *
 *   ask_parse → ask_admit ──hit──────────────────────────────────────→ ask_reply
 *              │         └─miss→ ask_run: turn.begin, beside it embed → search; then rerank → chat → cite → turn.finish → cache
 *              │                     └─another session's answer serves (share.c)───────┘
 *              └─answered before (Idempotency-Key)→ idem_replay
 *
 * A function that returns false has already answered. Everything a question holds goes with ask_fini. */
#ifndef GATEWAY_ASK_ASK_H
#define GATEWAY_ASK_ASK_H

#include "cite/cite.h"
#include "gateway/request/handler.h"
#include "gateway/admit/frames.h"
#include "gateway/admit/idempotency.h"
#include "gateway/ask/beginning.h"
#include "gateway/ask/flying.h"
#include "gateway/ask/given.h"
#include "gateway/ask/semantic.h"
#include "gateway/ask/trace.h"

#define ASK_HISTORY 6 /* earlier messages that a turn of a conversation is answered with */

enum ask_saved { SAVED_NO, SAVED_QUEUED, SAVED_YES };

struct question {
    struct request *r;
    json_t *body; /* owned; the strings below point into it */
    /* the question */
    const char *route; /* "query" or "selection": part of the cache key; streams share "query" */
    struct str text;   /* the question, trimmed */
    struct str query;  /* what is searched for: the question, or the end of a long one */
    struct str user;   /* whose session it is, or absent */
    struct str instructions, options; /* for the model (chat_req), or absent */
    struct turns earlier;             /* of the conversation: as it was told, else as it was stored */
    bool told;                        /* earlier was told */
    bool raw;                         /* no documents: the model answers by itself */
    struct str selection; /* selected text, or absent; in a conversation perhaps an earlier question's */
    struct str chapter, section; /* where it was selected, or absent */
    bool fresh;                  /* opens a conversation of its own */
    struct str page_context;     /* or absent */
    struct str collection;       /* its name */
    struct str filter;           /* compact JSON, or absent */
    int64_t top_k;               /* 0: the collection's */
    struct uuid session;         /* as the client gave it */
    uint8_t session_hash[32];    /* as the store knows it */
    struct uuid conversation_id; /* given: a turn of it; later where the answer was stored */
    struct flying flying;        /* who else asks it just now */
    bool standalone, carried;    /* no conversation was named; the selection is that of an earlier question */
    bool named;                  /* the request names the collection */
    bool settled;                /* settings are known, or there are none */
    bool charged;                /* the limits were taken before ask_admit */
    struct uuid question_id, message_id;
    const struct collection *settings; /* NULL: no such collection (yet) */
    struct idem_answer stored; /* status 200 …: the same request was answered before, this is its answer */
    struct cache_probe probe;  /* key "": the cache does not apply */
    struct cache_probe share;  /* of what sessions share; key "": not this answer */
    struct semantic semantic;  /* near-identical questions */
    const struct turn_finish_req *copied; /* another session's answer that serves; NULL: none */
    struct buf turn;                      /* packed turn for a hit */
    struct held held;                     /* calls whose replies are in use */
    const struct search_rep *found;
    struct beginning begin;
    struct buf partial;      /* text of a stream so far, as it came */
    struct link_rules rules; /* of safe */
    struct sanitizer safe;   /* of what the stream shows */
    bool shows;              /* safe is in use */
    bool resumable;          /* its stream was asked for as one that can be resumed */
    struct frames *frames;   /* and can be; NULL: it cannot */
    struct str answer;
    const struct citation *citations;
    size_t n_citations;
    struct str model;  /* writer of the answer; absent: nothing did */
    struct str finish; /* why it ended: stop, length, content_filter; absent: stop */
    double confidence;
    bool grounded, refused, degraded, embedding_cached, from_cache;
    struct ask_trace trace;
    int64_t prompt_tokens, completion_tokens;
    struct str fragment; /* on a hit: the JSON members as they were cached */
    void (*render)(const struct question *q, struct buf *b); /* the answer, in its dialect: ask_render */
    void *dialect;                                           /* for render in another one */
    enum ask_saved saved;
    struct outcome failure; /* ASKED_FAILED: why */
};

/* The progress of a stream; false: the client has gone. NULL for one answer at the end. */
struct ask_sink {
    void *arg;
    bool (*begun)(void *arg); /* conversation and message ids stand */
    bool (*found)(void *arg); /* q->found: the passages that the model gets */
    bool (*text)(void *arg, struct str piece);
    bool (*idle)(void *arg); /* nothing came for a while: ping */
    bool (*gone)(void *arg); /* has the client gone for good? NULL: when its connection has */
};

/* Strict body; fills *q. route: "query", "stream" (the same, and resumable) or "selection". */
bool ask_parse(struct request *r, const char *route, struct question *q);
/* The same from what another dialect was asked (given.c). */
bool ask_given(struct request *r, const struct given *g, struct question *q);
struct str
ask_query(struct str text); /* what a question is searched by: its last sentences when it is long */
void ask_begin(struct request *r, const char *route, struct question *q); /* both begin so */
/* Limits and cache in one round trip; with an Idempotency-Key limits, then the key, then the cache. After true,
 * q->stored.status and q->from_cache say whether the answer is already there. */
bool ask_admit(struct question *q);
/* The collection's settings, from the store when they are not known here: only after the limits. ERR_NOT_FOUND: the
 * request names a collection that is not there. ask_admit calls it when nobody has. */
enum err ask_settle(struct question *q);
/* A hit that could not be queued is saved through the store. Sets q->saved. Only after a hit. */
void ask_save_hit(struct question *q);
/* Find the answer. ASKED_FAILED: q->failure. */
enum asked ask_run(struct question *q, const struct ask_sink *sink);
/* answer.c. The whole answer: a hit, which is saved, or what ask_run finds. After ask_admit. */
enum asked ask_whole(struct question *q);
/* The same, sent as q->render tells it, or the answer to the same request before. */
void ask_reply(struct question *q);
void ask_stream_time(struct request *r); /* a stream has STREAM_TIMEOUT, unless the client asked for less */
/* The HTTP answer as a JSON object. */
void ask_render(const struct question *q, struct buf *b);
void ask_fini(struct question *q);

#define PROMPT_VERSION "3" /* of how questions become prompts here; a change makes old answers unfindable */
/* The id of citation n of a message. */
struct uuid ask_citation_id(const struct uuid *message_id, int64_t n);

/* trace.c. The language that a text is read in: its collection's, by its code, else as the text's beginning tells. */
enum language ask_language(struct str code, struct str text);
void ask_stats_register(void);
/* A stage ends that began at since_us (clock_us()). */
void ask_stage(struct question *q, enum stage s, int64_t since_us);
void ask_first_token(struct question *q);
void ask_reranked(bool ok); /* a reranker was asked */
void ask_stream_event(enum stream_event e);
void ask_flight_event(enum flight_event e);
void ask_model_away(void);                   /* searched by words only */
void ask_answered(struct question *q);       /* the answer is there: counts what it took and saved */
void ask_cited(const struct cite_counts *n); /* fate of the answer's marks */
struct str ask_trace_json(const struct question *q,
                          bool named);           /* named: with its request; absent: no room */
void ask_removed(const size_t n[REMOVED_KINDS]); /* things that the sanitizer took out of an answer */

/* parse.c, for run.c. */
bool ask_cut(const struct question *q); /* the answer ended before its end */
bool ask_overloaded(const struct question *q);
int64_t ask_overload_retry_ms(void);                                /* 1, 2 or 3 s */
void ask_turn(const struct question *q, struct turn_finish_req *t); /* shared by both ways of saving */
void ask_keep(struct question *q, struct turn_finish_req *t, struct buf *sealed); /* for a repetition */
bool ask_cache_fragment(const struct question *q, struct buf *b); /* members that a cached answer keeps */

#endif
