/* Sentences of plain text and Markdown source, as byte ranges. */
#ifndef TEXT_SENTENCE_H
#define TEXT_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/str.h"

struct span {
    size_t start, end; /* bytes [start, end) */
};

/* The next sentence at or after *at; moves *at behind it. False at the end of the text. White space at
 * both ends is left out. Borders: . ! ? before a space (not after abbreviations and initials, not before
 * a lower-case letter unless the sentence itself begins with one), the stops of other scripts (。！？ । ؟ ۔
 * ։ ። ။ ។ and the Greek ;), a space behind a long clause of Thai or Lao, empty lines, list items,
 * headings, rows of tables (which are not parted), the begin of a quote. In a quote a sentence goes on over the marks "> " of its
 * further lines, and has them in it. */
bool sentence_next(struct str s, size_t *at, struct span *out);
/* Bytes of the marks of a quote, "> ", "> > ", that the line at i begins with; 0: it has none. */
size_t quote_mark(struct str s, size_t i);
bool fence_opens(struct str line);      /* "```" or "~~~", behind blanks or not */
bool space_byte(char c);                /* space, tab, CR, LF, VT, FF */
struct str sentence_bare(struct str s); /* without the quotes, brackets and emphasis that may close it */
bool sentence_asks(struct str s);       /* it ends with a question mark, behind which such may stand */
struct span span_trim(struct str s, struct span x); /* without white space at both ends */

#endif
