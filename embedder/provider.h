/* A model provider: whoever makes vectors, writes answers, or does both, in its own dialect. Each is a folder and a row of
 * provider.tbl; embed.c and chat.c know it by the structs of embed.h and chat.h only. */
#ifndef EMBEDDER_PROVIDER_H
#define EMBEDDER_PROVIDER_H

#include "embedder/chat.h"
#include "embedder/embed.h"

struct provider {
    const char *name; /* in EMBEDDING_PROVIDER, CHAT_PROVIDER */
    bool local;       /* needs no server: may answer instead of one that fails (CHAT_FALLBACK) */
    /* Report what is wrong with its own options, one a line, chosen or not; NULL: it has none. */
    void (*check)(const struct embedder_opt *o, struct buf *err);
    bool (*wants_embed)(const struct embedder_opt *o); /* does auto take it for vectors; NULL: never */
    bool (*wants_chat)(const struct embedder_opt *o);  /* … for answers; NULL: never */
    /* Once at the start, when it was chosen. The function is NULL: it does no such thing. The result is NULL after logging why.
     * besides: later, in the running loop, beside the one that was chosen (named.c): what takes time waits for a thread of its own. */
    struct embed_provider *(*embed)(struct embedder *e, bool besides);
    struct chat_provider *(*chat)(struct embedder *e);
};

#define PROVIDER(name) extern const struct provider name##_provider;
#include "embedder/provider.tbl"
#undef PROVIDER

/* ---- provider.c: what the options say */
void provider_check(const struct embedder_opt *o, struct buf *err);
const struct provider *provider_for_embed(const struct embedder_opt *o);
const struct provider *provider_local_embed(size_t i); /* those that need no server; NULL: behind the last */
const struct provider *provider_for_chat(const struct embedder_opt *o);
const struct provider *provider_for_fallback(const struct embedder_opt *o); /* NULL: off */

#endif
