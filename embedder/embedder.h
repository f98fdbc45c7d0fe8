/* The embedder's context, and what its parts give each other: text folding, prompt.
 * The embedding's interface is embed.h, the answers' chat.h, the choice of a provider for either provider.h. */
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
enum { SOURCE_CACHE, SOURCE_MODEL, SOURCE_SHARED };           /* EMBED_TEXTS */
enum { CHAT_BY_UPSTREAM, CHAT_BY_BUILTIN, CHAT_BY_FALLBACK }; /* CHAT_ANSWERS */
enum { TOKENS_EMBED, TOKENS_PROMPT, TOKENS_COMPLETION };      /* UPSTREAM_TOKENS */
extern struct stat_set embedder_stats;
extern const struct price_rows upstream_spent, cache_saved;
void embedder_stats_init(void); /* once, before anything counts */

struct upstream;
struct embed;
struct chat_service;
struct rerank;

enum { EMBED_LOCALS = 4 };
struct embedder {
    struct loop *loop;              /* the process's loop */
    const struct embedder_opt *opt; /* the options in force */
    struct worker *worker;          /* our end of the bus */
    struct redis *redis;            /* embedding cache; NULL: none */
    struct redis *kept;             /* texts of resumable streams: the same server, or NULL */
    struct frames *frames;          /* these texts; NULL: none */
    struct pool_threads *threads;   /* for the built-in models */
    unsigned n_threads;             /* how many of them */
    struct upstream *upstream;      /* that providers of openai/ share (openai/server.c); NULL: none does */
    unsigned upstream_users;        /* how many of them */
    struct embed_provider
        *sentences;      /* makes the vectors of embed; the built-in answers ask it for those of sentences */
    struct embed *embed; /* NULL: not offered */
    struct embed *local[EMBED_LOCALS]; /* models that are always there, besides (named.c) */
    size_t n_locals;
    bool locals_begun;
    struct chat_service *chat; /* NULL: not offered */
    struct rerank *rerank;     /* NULL: not offered */
    char *prompt;              /* system prompt in force */
};

/* ---- prompt.c */
#define REFUSAL_TEXT "I could not find an answer to that in these documents."
struct prompt_opt {
    const char *system; /* PROMPT_FILE's text; used when the request has none */
    const char *nonce;  /* random, 16 or more hex digits: marks the borders of the data */
    bool no_system;     /* the model takes no system message: its text goes in front of the question */
    int halved;         /* how often passages and history are halved: the model's context is small */
};
extern const char *prompt_default(void); /* deploy/prompts/default.txt, compiled in */
/* The "messages" array of a chat completion, as JSON, appended to out. False when it did not fit. */
bool prompt_messages(const struct chat_req *req, const struct prompt_opt *opt, struct buf *out);
struct str prompt_refusal(const struct chat_req *req); /* the text of the request, or REFUSAL_TEXT */
/* Does the answer say that the passages do not answer: with the refusal text, or that of a language, and nothing that has a mark behind it? */
bool prompt_refused(struct str answer, struct str refusal);
/* Beginning of the SHA-256 of the system prompt in force for this request, in hex. */
struct str prompt_version(const struct chat_req *req, const char *system, char out[33]);
size_t prompt_passages(const struct chat_req *req);                /* how many hits are shown to a model */
size_t prompt_passages_in(const struct chat_req *req, int halved); /* the same, of a halved prompt */

#endif
