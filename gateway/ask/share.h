/* Answers that sessions share (share.c): QUERY_CACHE_SCOPE=collection. */
#ifndef GATEWAY_ASK_SHARE_H
#define GATEWAY_ASK_SHARE_H

#include "gateway/ask/ask.h"
#include "text/alike.h"

/* Look for one, if this question may have it: q->copied, which is not taken yet. Or for one that is being made: q->flying. fly_end
 * follows, whatever becomes of the question. */
void ask_share_look(struct question *q, bool stream);
/* It was found, and the store has been asked whether it still stands: it is this question's answer, or it is forgotten. */
void ask_share_take(struct question *q);
/* The answer of this question, t, is there for other sessions, if it may be. */
void ask_share_keep(struct question *q, const struct turn_finish_req *t);

/* The cache key of what sessions share of a question with this text; all but the text is q's. It stays as it was when it cannot be made. */
void ask_share_name(const struct question *q, struct str text, struct cache_probe *probe);

/* parse.c. A cached answer is the answer. */
void ask_copy(struct question *q, const struct turn_finish_req *t);
/* The cache key of q with this text, and whose answers it leads to. It stays as it was when it cannot be made. */
void ask_probe_name(const struct question *q, struct str text, struct str whose, struct cache_probe *probe);

/* trace.c. */
void ask_share_event(enum share_event e);
void ask_semantic_event(enum semantic_event e);
void ask_semantic_refused(enum alike why);
void ask_semantic_checked(bool differs);

#endif
