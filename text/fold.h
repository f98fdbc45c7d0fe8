/* Folding: the one form that upper and lower case, accents, compatibility forms and the digits of all scripts come to. */
#ifndef TEXT_FOLD_H
#define TEXT_FOLD_H

#include "common/str.h"
#include "text/script.h"

enum { FOLD_MAX = 64 }; /* bytes of a folded word that count, with its NUL */

/* Fold one word of valid UTF-8 into out, NUL-terminated; returns its length. Compatibility composition and
 * full case folding (Unicode Standard Annex 15; utf8proc), ignorable code points dropped. Accents go where
 * readers leave them out when they type: Latin, Greek, Hebrew, Arabic; they stay where they are letters:
 * Cyrillic й, all signs of Indic and Thai vowels. */
size_t fold_word(struct str raw, char out[FOLD_MAX]);

#endif
