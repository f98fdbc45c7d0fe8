/* The embedder's context, and what its parts give each other: text folding, prompt, event stream, chat, built-in models.
 * The upstream's interface is upstream.h, the embedding's embed.h. */
#ifndef EMBEDDER_EMBEDDER_H
#define EMBEDDER_EMBEDDER_H

#include "common/loop.h"
#include "common/opt.h"
#include "common/proc.h"
#include "common/redis.h"
#include "common/stat.h"
#include "proto/price.h"
#include "proto/worker.h"
#include "embedder/tokens.h"

struct embedder_opt {
#define OPT OPT_FIELD
#include "embedder/opt.tbl"
#undef OPT
};

enum embedder_stat {
#define STAT_TBL "embedder/stat.tbl"
#include "common/stat_enum.h"
#undef STAT_TBL
    EMBEDDER_STATS
};
enum { SOURCE_CACHE, SOURCE_MODEL, SOURCE_SHARED };                /* EMBED_TEXTS */
enum { CHAT_BY_UPSTREAM, CHAT_BY_BUILTIN, CHAT_BY_FALLBACK };      /* CHAT_ANSWERS */
enum { TOKENS_EMBED, TOKENS_PROMPT, TOKENS_COMPLETION };           /* UPSTREAM_TOKENS */
extern struct stat_set embedder_stats;
extern const struct price_rows upstream_spent, cache_saved;
void embedder_stats_init(void);          /* once, before anything counts */

struct upstream;
struct embed;
struct chat_service;

struct embedder {
    struct loop *loop;                   /* the process's loop */
    const struct embedder_opt *opt;      /* what is in force */
    struct worker *worker;               /* our end of the bus */
    struct redis *redis;                 /* embedding cache; NULL: none */
    struct pool_threads *threads;        /* for the built-in models */
    unsigned n_threads;                  /* how many of them */
    struct upstream *upstream;           /* of chat; NULL: built in */
    struct upstream *embed_upstream;     /* of embeddings: the same one or its own; NULL: built in */
    struct embed *embed;                 /* NULL: not offered */
    struct chat_service *chat;           /* NULL: not offered */
    char *prompt;                        /* system prompt in force */
};

/* ---- embed_builtin.c: the model as a pure function: unit length; a text without words gets a vector too */
#define BUILTIN_EMBED_MODEL "builtin-ngram-v2"
#define BUILTIN_EMBED_DIMS 384
void builtin_embed(struct tokens *t, struct str text, float *out, size_t dims);

/* ---- prompt.c */
#define REFUSAL_TEXT "I could not find an answer to that in these documents."
struct prompt_opt {
    const char *system;      /* PROMPT_FILE's text; used when the request has none */
    const char *nonce;       /* random, 16 or more hex digits: marks the borders of the data */
};
extern const char *prompt_default(void);                    /* deploy/prompts/default.txt, compiled in */
/* The "messages" array of a chat completion, as JSON, appended to out. False when it did not fit. */
bool prompt_messages(const struct chat_req *req, const struct prompt_opt *opt, struct buf *out);
struct str prompt_refusal(const struct chat_req *req);      /* the text of the request, or REFUSAL_TEXT */
/* Does the answer say that the passages do not answer: it starts with the refusal text and has no mark. */
bool prompt_refused(struct str answer, struct str refusal);
/* Beginning of the SHA-256 of the system prompt in force for this request, in hex. */
struct str prompt_version(const struct chat_req *req, const char *system, char out[33]);
size_t prompt_passages(const struct chat_req *req);         /* how many hits are shown to a model */

/* ---- sse.c: server-sent events (WHATWG HTML, section 9.2), pushed in pieces of any size */
struct sse {
    struct buf line;         /* the line that is not complete yet */
    struct buf data;         /* data lines of the event so far */
    bool cr;                 /* the last byte was CR: a LF belongs to it */
    bool begun;              /* the first line was seen (a byte order mark is dropped before it) */
    bool has_data;           /* the event has a data line */
    bool stopped;            /* fn said stop, or something was too large */
    void (*fn)(void *arg, struct str data);   /* one event with data */
    void *arg;               /* for fn */
};
void sse_init(struct sse *s, size_t max_event, void (*fn)(void *arg, struct str data), void *arg);
void sse_push(struct sse *s, const char *p, size_t n);
bool sse_overflow(const struct sse *s);                     /* a line or an event was over max_event */
void sse_fini(struct sse *s);

/* One event of a chat completion stream. Slices point into json. */
enum chat_event { CHAT_EV_JUNK, CHAT_EV_CHUNK, CHAT_EV_ERROR, CHAT_EV_DONE };
struct chat_chunk {
    struct str text;             /* new text; may be empty */
    struct str finish;           /* finish_reason; absent while it goes on */
    struct str code;             /* of an error object, else its type */
    int64_t prompt_tokens;       /* -1: no usage in this chunk */
    int64_t completion_tokens;
    void *json;                  /* owner; chat_chunk_free */
};
enum chat_event chat_chunk_parse(struct str data, struct chat_chunk *out);
void chat_chunk_free(struct chat_chunk *c);

/* ---- chat.c, chat_openai.c, chat_builtin.c */
struct chat_service *chat_new(struct embedder *e, bool openai);
void chat_free(struct chat_service **c);
void chat_on_call(struct call *c);       /* handler of KIND_CHAT */

#define BUILTIN_CHAT_MODEL "builtin-extractive-v1"
/* The best sentences of the hits, verbatim, each with its mark; or the refusal text with *refused. */
void builtin_answer(const struct chat_req *req, struct buf *out, bool *refused);

/* One answer in the making: chat.c owns it, the provider fills it. */
struct chat_run {
    struct embedder *e;              /* context */
    struct call *call;               /* the request */
    struct buf answer;               /* text so far; at most what chat_rep holds */
    size_t shown;                    /* bytes of it that went out as parts */
    int64_t begun_us;                /* for the time to the first token */
    int64_t prompt_tokens;           /* as counted upstream */
    int64_t completion_tokens;
    int64_t upstream_us;             /* what of the time the model server took */
    int64_t prompt_bytes;            /* of the messages that it was sent */
    char finish[32];                 /* finish_reason */
    bool cancelled;                  /* the caller went away */
    bool degraded;                   /* the built-in answer for a failed upstream */
    bool refused, leaked;            /* the built-in answer found nothing; a model server's gave the prompt away */
    struct leak *leak;               /* watches a model server's answer; owned; NULL: none */
    void *impl;                      /* the provider's own */
};
bool chat_emit(struct chat_run *r, struct str text);         /* append; false when the answer is full */
void chat_flush(struct chat_run *r);                         /* stream what was appended, unless nobody reads along */
void chat_finish(struct chat_run *r, const char *model);     /* reply and free r */
/* Fail and free r; before the first token and with CHAT_FALLBACK=builtin: answer from the passages instead. */
void chat_fail(struct chat_run *r, enum err err, int64_t retry_after_ms, const char *text);
void chat_openai_run(struct chat_run *r);
void chat_openai_cancel(struct chat_run *r);                 /* drops the transfer; r stays */
void chat_builtin_run(struct chat_run *r);

#endif
