/* The steps of a question that its own gateway (run.c) and one that takes over from a dead one (follow.c) share. */
#ifndef GATEWAY_ASK_RELAY_H
#define GATEWAY_ASK_RELAY_H

#include "gateway/admit/budget.h"
#include "gateway/ask/ask.h"

enum asked ask_failed(struct question *q, const struct outcome *a); /* run.c; q->failure says why */
/* The answer when the documents do not answer: the collection's own text, or a sentence in the question's language. */
struct str ask_refusal(const struct question *q, const struct collection *c);
void ask_refuse(struct question *q); /* run.c: no passage was found, this is the answer */

/* relay.c. The first events of a stream that were not told yet; sink: NULL for an answer that is no stream. False: its client has
 * gone. A question that is paid from a budget may be refused until its answer is about to be written: all of them come then. */
bool ask_announce(struct question *q, const struct ask_sink *sink);
/* Reserve what it takes to ask the model about q->found, each time that it is asked. Not ERR_OK: it must not be, *refused says why. */
enum err ask_chat_hold(struct question *q, struct paying *pays, struct outcome *refused);
/* Ask it. whole: nobody reads along. */
struct call *ask_chat_call(struct question *q, bool whole, const struct paying *pays);
/* The end of that call: its reply, or e, or neither (ERR_OK) where nobody waits for it any more. */
void ask_chat_paid(struct question *q, const struct paying *pays, enum err e, const struct chat_rep *rep);
/* All of these, until the reply is there; what comes is shown. */
enum asked ask_chat(struct question *q, const struct ask_sink *sink, const struct chat_rep **rep);
/* A piece of the text, shown; of a text that is told again only what is new. ASKED_FAILED: it is another one. */
enum asked ask_tell(struct question *q, const struct ask_sink *sink, struct str piece);
/* The reply is there: what of it has not been shown is shown now. */
enum asked ask_chat_rest(struct question *q, const struct ask_sink *sink, const struct chat_rep *rep);

/* run.c. The reply becomes the answer: cited, saved, cached. */
enum asked ask_said(struct question *q, const struct chat_rep *said);
void ask_end(struct question *q); /* the answer is there: saved, cached */
/* The answer did not come to its end: the shown part is saved. Returns state. */
enum asked ask_break(struct question *q, enum asked state);

#endif
