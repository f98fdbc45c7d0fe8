/* Text of strangers → text as it is stored and shown. */
#ifndef TEXT_CLEAN_H
#define TEXT_CLEAN_H

#include "common/mem.h"

/* Append body to out: BOM dropped, every end of a line or a page (CR LF, CR, form feed, U+0085, U+2028 …) →
 * LF, zero-width and bidi controls and other control characters stripped (a joiner, U+200C or U+200D, stays
 * behind a letter that is not ASCII). NULL, or why not, in words for the document's owner: no UTF-8, NUL,
 * over out's maximum. */
const char *clean_text(struct str body, struct buf *out);
/* Append it in NFC (Unicode Standard Annex 15). Both together change nothing when they are done again. */
const char *clean_compose(struct str clean, struct buf *out);
/* UTF-8 that escapes of YAML or TOML made, as one line from the arena: what clean_text strips goes, NUL too;
 * line ends and runs of blanks become one space. */
struct str clean_line(struct str s, struct arena *a);
/* Nothing but white space? */
bool clean_blank(struct str s);

#endif
