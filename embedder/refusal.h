/* Answers that say, in words of their own, that the documents do not answer. */
#ifndef EMBEDDER_REFUSAL_H
#define EMBEDDER_REFUSAL_H

#include <stdbool.h>

#include "common/str.h"

/* Is the answer the given refusal, whatever its capitals, quotes and signs, with nothing behind it that carries a mark "[n]"? */
bool refusal_is(struct str answer, struct str refusal);
/* Does its first sentence say that what was given does not answer, and does no other sentence carry a mark? Of the languages of
 * refusal.tbl; others: false. An answer that says so and then "but" answers. */
bool refusal_said(struct str answer);

#endif
