/* Texts of resumable streams on their way to Redis (frames.c): proto/frames.h draws what stands there. Loop thread only. */
#ifndef EMBEDDER_FRAMES_H
#define EMBEDDER_FRAMES_H

#include "embedder/embedder.h"

struct frames;     /* all of them */
struct frames_log; /* one text */

/* Redis may be NULL: then no stream is resumable, and NULL is returned. instance: our name, 32 hex digits. lost is called when a
 * text cannot be kept any more, with the log's arg; the log is gone then. */
struct frames *frames_new(struct loop *l, struct redis *redis, const char *instance, void (*lost)(void *arg));
void frames_free(struct frames **f);
long frames_count(const struct frames *f);

/* Begin the text of this key. NULL: f is NULL, or the key is none. */
struct frames_log *frames_begin(struct frames *f, struct str key, void *arg);
void frames_add(struct frames_log *l,
                struct str text); /* more of it; goes out with the next trip. l NULL: nothing */
/* The end, with the reply or (NULL) the error: written with the rest, later. *l is NULL then; NULL is accepted. */
void frames_end(struct frames_log **l, const struct chat_rep *rep, enum err err);

#endif
