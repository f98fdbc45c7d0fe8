/* Sentences of plain text and Markdown source, as byte ranges. */
#ifndef CITE_SENTENCE_H
#define CITE_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/str.h"

struct span {
    size_t start, end; /* bytes [start, end) */
};

/* The next sentence at or after *at; moves *at behind it. False at the end of the text. White space at both ends is left
 * out. Borders: . ! ? before a space (not after abbreviations and initials, not before a lower-case letter unless the sentence itself
 * begins with one), the stops of other scripts (。！？ । ؟ ۔ ։ ። ။ ។ and the Greek ;), a space behind a long clause of Thai or Lao, empty
 * lines, list items, headings, table rows. */
bool sentence_next(struct str s, size_t *at, struct span *out);
bool space_byte(char c);                           /* space, tab, CR, LF, VT, FF */
struct span span_trim(struct str s, struct span x); /* without white space at both ends */

#endif
