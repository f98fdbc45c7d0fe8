/* The core of a question: the question without greetings, thanks and wishes for how it is answered. */
#ifndef TEXT_ASKING_H
#define TEXT_ASKING_H

#include "common/mem.h"

/* Append the question with the phrases of asking.tbl blanked out. Bytes keep their places. A question of nothing but such phrases
 * stays as it is. */
void asking_core(struct str question, struct buf *out);

#endif
