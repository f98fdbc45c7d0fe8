/* Questions that say nothing but what is to be done with a text: "explain this", "Was bedeutet das?", "summarise". */
#ifndef TEXT_INSTRUCT_H
#define TEXT_INSTRUCT_H

#include "text/words.h"

/* Has the question no word of its own? otherwise: the language of the text, when the question's own says
 * nothing. The words are left in the question's language. */
bool instructs(struct words *w, struct str question, enum language otherwise);

#endif
