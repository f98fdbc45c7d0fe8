/* The report of footnote-extract on a document, on its standard output: frames, which the retriever parses, refuses and never trusts.
 *
 *   stream = "FNX1" frame…        frame = kind (1 byte) length (4) bytes        numbers: 32 bits, little-endian
 *   'E' why the document is refused, in words: nothing else follows
 *   'T' its title      'X' its text, cleaned (text/clean.h)
 *   'B' its blocks: kind, level, start, end, first and last byte of a heading's words, 20 bytes each, in order of the text
 *   'P' its pages: start, number, 8 bytes each     '.' the end, length 0
 *
 * It ends with status 0 then; with EXTRACTED_LATER where the host gave it no process or descriptor, which is not the document's fault. */
#ifndef PROTO_EXTRACTED_H
#define PROTO_EXTRACTED_H

#include "common/mem.h"

enum { EXTRACTED_LATER = 75 };
enum {
    EXTRACTED_TEXT = 67108864,  /* bytes of text at most */
    EXTRACTED_BLOCKS = 2000000, /* and blocks */
    EXTRACTED_PAGES = 200000,
    EXTRACTED_TITLE = 1000,
    EXTRACTED_REASON = 250,
    EXTRACTED_BYTES = EXTRACTED_TEXT + 20 * EXTRACTED_BLOCKS + 8 * EXTRACTED_PAGES + 4096 /* of a stream */
};
enum extracted_kind {
    EXTRACTED_PARAGRAPH,
    EXTRACTED_CODE,
    EXTRACTED_HEADING,
    EXTRACTED_TABLE,
    EXTRACTED_KINDS
};

struct extracted_block {
    uint8_t kind, level; /* of enum extracted_kind; of a heading, 1 to 6 */
    uint32_t start, end; /* bytes of the text */
    uint32_t from, to;   /* of a heading: its words, within start and end */
};
struct extracted_page {
    uint32_t start, number; /* byte of the text where it begins */
};

struct extraction {
    struct str reason; /* present: refused, and nothing else */
    struct str title, text;
    struct extracted_block *blocks; /* the arena's */
    size_t n_blocks;
    struct extracted_page *pages;
    size_t n_pages;
};

void extracted_encode(const struct extraction *e, struct buf *out);
/* The same without its text, which the caller writes between them: a copy of it could be what memory lacks. */
void extracted_head(const struct extraction *e, struct buf *out);
void extracted_tail(const struct extraction *e, struct buf *out);
/* A whole stream. Strings borrow from it. false: it is none, and *why says how: ranges, order, counts and UTF-8 are checked. */
bool extracted_decode(struct str stream, struct arena *a, struct extraction *out, const char **why);

#endif
