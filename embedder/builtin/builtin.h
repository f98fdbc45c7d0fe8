/* The built-in models as pure functions: they need no server, no download and no key. */
#ifndef EMBEDDER_BUILTIN_BUILTIN_H
#define EMBEDDER_BUILTIN_BUILTIN_H

#include "embedder/chat.h"
#include "embedder/embed.h"

/* ---- embed.c: unit length; a text without words gets a vector too */
#define BUILTIN_EMBED_MODEL "builtin-ngram-v2"
#define BUILTIN_EMBED_DIMS 384
void builtin_embed(struct tokens *t, struct str text, float *out, size_t dims);
struct embed_provider *embed_builtin_new(struct embedder *e, bool besides);

/* ---- chat.c */
#define BUILTIN_CHAT_MODEL "builtin-extractive-v1"
/* The best sentences of the hits, verbatim, each with its mark; or the refusal text with *refused. near: for
 * a question whose words no passage has; may be NULL. */
void builtin_answer(const struct chat_req *req, const struct embed_near *near, struct buf *out,
                    struct chat_marks *marks, bool *refused);
struct chat_provider *chat_builtin_new(struct embedder *e);

#endif
