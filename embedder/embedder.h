/* The embedder's context, and what its parts give each other: text folding, prompt, built-in embedding.
 * The upstream's interface is upstream.h, the embedding's embed.h, the answers' chat.h. */
#ifndef EMBEDDER_EMBEDDER_H
#define EMBEDDER_EMBEDDER_H

#include "common/process/loop.h"
#include "common/process/opt.h"
#include "common/process/proc.h"
#include "common/redis/redis.h"
#include "common/process/stat.h"
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
#include "common/process/stat_enum.h"
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

/* ---- builtin/embed.c: the model as a pure function: unit length; a text without words gets a vector too */
#define BUILTIN_EMBED_MODEL "builtin-ngram-v2"
#define BUILTIN_EMBED_DIMS 384
void builtin_embed(struct tokens *t, struct str text, float *out, size_t dims);

/* ---- prompt.c */
#define REFUSAL_TEXT "I could not find an answer to that in these documents."
struct prompt_opt {
    const char *system;      /* PROMPT_FILE's text; used when the request has none */
    const char *nonce;       /* random, 16 or more hex digits: marks the borders of the data */
    bool no_system;          /* the model takes no system message: its text goes in front of the question */
    int halved;              /* how often passages and history are halved: the model's context is small */
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
size_t prompt_passages_in(const struct chat_req *req, int halved);   /* the same, of a halved prompt */

/* ---- chat.c */
struct chat_service *chat_new(struct embedder *e, bool openai);
void chat_free(struct chat_service **c);
void chat_on_call(struct call *c);       /* handler of KIND_CHAT */

#endif
