/* Words that an unknown word may have been meant as. Of a misspelt one: everything one letter away (Norvig, "How to Write a
 * Spelling Corrector", 2007). Of one that is written together, "Filterreinigung": its parts. */
#ifndef TEXT_SPELL_H
#define TEXT_SPELL_H

#include "common/mem.h"
#include "text/language.h"

enum { SPELL_LEAST = 4, SPELL_SHORT = 6, SPELL_MOST = 20 };

/* Append the neighbours of a word of ASCII letters, each followed by a line feed: one letter left out, two exchanged, one
 * replaced, one put in. False when the word is too short, too long, or not of letters alone. */
bool spell_neighbours(struct str word, struct buf *out);
/* May the neighbour be what was meant? Few misspell the first letter; and of a word of four
 * only two letters exchanged or one that is missing are seen to: most others are words of their own ("bread" is not "read"). */
bool spell_meant(struct str typed, struct str neighbour);

/* Two words of ASCII letters with one blank between them, "log in", that others write as one. */
enum { APART_MAX = 16 };
struct apart {
    size_t start, end;       /* bytes of the text */
    char joined[SPELL_MOST]; /* small letters */
    size_t n;
};
size_t spell_apart(struct str text, struct apart v[APART_MAX]);

enum { COMPOUND_SPLITS = 128, COMPOUND_PART = 4 };

struct compound {
    uint8_t first, second; /* bytes [0, first) and from second on; what joins them ("s", "en") is left out */
    bool measure; /* the second part only says what is asked of the first: "-dauer", "-kosten", "-nummer" */
};

/* All ways to cut a folded word in two parts of at least COMPOUND_PART letters; how many. Letters may join them ("s",
 * "en") in German, Dutch, Swedish, Norwegian and Danish; elsewhere words of ASCII letters are cut, "darkmode". */
size_t compound_splits(struct str folded, enum language l, struct compound v[COMPOUND_SPLITS]);
struct str compound_first(struct str folded, struct compound c);
struct str compound_second(struct str folded, struct compound c);

#endif
