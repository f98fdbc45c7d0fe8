/* The selected text of a question and of its follow-ups, as a source of its own (select.c). */
#ifndef GATEWAY_ASK_SELECT_H
#define GATEWAY_ASK_SELECT_H

#include "gateway/ask/ask.h"

/* After turn.begin: a follow-up is about the text that the conversation's latest selection has. */
void select_carry(struct question *q);
struct str select_own(const struct question *q); /* the selection of this question itself, or absent */
/* After the search: the selection becomes the first of q->found. False: no room. */
bool select_hits(struct question *q);
void select_cited(struct citation *v, size_t n); /* those of the reader's own text have no offsets */

#endif
