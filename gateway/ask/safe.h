/* Answers on their way out: without links, images and HTML that the rules do not allow (sanitize.h). */
#ifndef GATEWAY_ASK_SAFE_H
#define GATEWAY_ASK_SAFE_H

#include "gateway/ask/ask.h"

void safe_message(struct request *r, struct message *m); /* a stored one: it may be older than the rules */
/* Show a piece of the answer, as far as it is decided what may be shown; then the rest. false: the client has gone. */
bool ask_show(struct question *q, const struct ask_sink *sink, struct str piece);
bool ask_show_rest(struct question *q,
                   const struct ask_sink *sink);          /* sink NULL: nothing is shown any more */
struct str ask_safe(struct question *q, struct str text); /* a whole answer, in the arena; counted */

#endif
