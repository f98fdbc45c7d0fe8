/* A question and the flight that it is part of (fly.c): it leads, or follows, or neither. */
#ifndef GATEWAY_ASK_FLY_H
#define GATEWAY_ASK_FLY_H

#include "gateway/ask/ask.h"

/* Join the flight of q->share. True: q leads, or nobody does: it asks for itself. False: fly_await follows. patient: it would also wait for the
 * end of an answer that is not relayed. */
bool fly_join(struct question *q, bool stream, bool patient);
enum fly { FLY_READY, FLY_OVER, FLY_ALONE };
/* Wait for what this one needs before it begins, at most until until_ms, or while the answer is being written. READY: q follows from now on. OVER: the flight is, there may be an
 * answer in the cache, else fly_join again. ALONE: q had better ask for itself. */
enum fly fly_await(struct question *q, int64_t until_ms);
/* After the begin of the turn, and sink->begun: the answer as the leader gets it, to its end: *state. False: there is none, and q asks for
 * itself from here on; q->found may be there. */
bool fly_follow(struct question *q, const struct ask_sink *sink, enum asked *state);
/* For a leader; others may call them, too. The passages are there; the reply is there; the end, whatever became of the question. */
void fly_open(struct question *q);
void fly_said(struct question *q, const struct chat_rep *rep);
void fly_end(struct question *q);
void fly_forget(struct question *q); /* what was relayed is to be given to nobody any more */
/* Do others read along? Then a leader goes on when its client has gone. */
bool fly_wanted(struct question *q);
struct str fly_key(const struct question *q); /* where its text is relayed to others; absent: nowhere */
void fly_refer(struct question *q); /* q->frames, if there are any, from now on: whose text they refer to */

#endif
