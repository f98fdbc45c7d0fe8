/* Documents → normalised UTF-8 text. The stored text is the document's own source (Markdown stays Markdown) without what the rendered
 * page does not show, line by line where it stood (markup.h), so that byte offsets point into what its author wrote and what is
 * cited can be read. */
#ifndef RETRIEVER_EXTRACT_H
#define RETRIEVER_EXTRACT_H

#include "common/mem.h"

enum doc_format { DOC_TEXT, DOC_MARKDOWN };

/* Append the normalised text of body to out: BOM dropped, whatever ends a line or a page (CR LF, CR, form feed, U+0085,
 * U+2028 …) → LF, zero-width and bidi controls and other control characters stripped (the joiners U+200C and U+200D stay between
 * letters that are not ASCII), NFC. Returns NULL, or the reason why not, in words for the document's owner (static or in
 * reason). */
const char *extract_text(struct str mime, struct str body, enum doc_format *format, struct buf *out, char reason[256]);
/* The first level-1 heading (or the front matter's title) of Markdown, cleaned, from the arena; absent when there is none. */
struct str extract_title(struct str text, enum doc_format format, struct arena *a);

#endif
