/* Documents → normalised UTF-8 text. The stored text is the document's own source (Markdown stays Markdown) without what the rendered
 * page does not show, line by line where it stood (markup.h), so that byte offsets point into what its author wrote and what is
 * cited can be read. */
#ifndef RETRIEVER_EXTRACT_H
#define RETRIEVER_EXTRACT_H

#include "common/mem.h"

enum doc_format { DOC_TEXT, DOC_MARKDOWN };

/* Append the normalised text of body to out: BOM dropped, whatever ends a line or a page (CR LF, CR, form feed, U+0085,
 * U+2028 …) → LF, zero-width and bidi controls and other control characters stripped (a joiner, U+200C or U+200D, stays behind a
 * letter that is not ASCII), NFC. Returns NULL, or the reason why not, in words for the document's owner (static or in
 * reason). */
const char *extract_text(struct str mime, struct str body, enum doc_format *format, struct buf *out, char reason[256]);
/* UTF-8 that escapes of YAML or TOML made, as one line from the arena: what extract_text strips goes, NUL too; line ends and runs of blanks
 * become one space. */
struct str extract_line(struct str s, struct arena *a);
/* The first level-1 heading (or the front matter's title) of Markdown, cleaned, from the arena; absent when there is none. */
struct str extract_title(struct str text, enum doc_format format, struct arena *a);

#endif
