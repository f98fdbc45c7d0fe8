/* Headings as a reader of the rendered page sees them (CommonMark 0.30 by md4c). */
#ifndef RETRIEVER_EXTRACT_HEADING_H
#define RETRIEVER_EXTRACT_HEADING_H

#include "common/mem.h"
#include "common/str.h"

/* The heading's text without what marks it up: emphasis, code marks, the targets of links and images, HTML
 * tags, {#id}; brackets that are no link stay. s: the document, whose link definitions count. From the arena,
 * on one line; at most 200 bytes. */
struct str heading_plain(struct str s, struct str heading, struct arena *a);
/* The same, of at most 1000 bytes. */
struct str heading_whole(struct str s, struct str heading, struct arena *a);
/* The id that its author gave it, "{#id}" or "{: #id }" at the end, borrowed; absent: none, or none that an address can have. */
struct str heading_id(struct str heading);

#endif
