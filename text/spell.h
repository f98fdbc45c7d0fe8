/* Words that a misspelt word may have been meant as: everything one letter away (Norvig, "How to Write a
 * Spelling Corrector", 2007). */
#ifndef TEXT_SPELL_H
#define TEXT_SPELL_H

#include "common/mem.h"

enum { SPELL_LEAST = 4, SPELL_SHORT = 6, SPELL_MOST = 20 };

/* Append the neighbours of a word of ASCII letters, each followed by a line feed: one letter left out, two exchanged, one
 * replaced, one put in. False when the word is too short, too long, or not of letters alone. */
bool spell_neighbours(struct str word, struct buf *out);
/* May the neighbour be what was meant? Few misspell the first letter; and of a word of four
 * only two letters exchanged or one that is missing are seen to: most others are words of their own ("bread" is not "read"). */
bool spell_meant(struct str typed, struct str neighbour);

#endif
