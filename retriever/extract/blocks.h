/* Blocks of a document that were found when it was read, and are kept as a list (struct extracted, blocks). */
#ifndef RETRIEVER_EXTRACT_BLOCKS_H
#define RETRIEVER_EXTRACT_BLOCKS_H

#include "retriever/extract/lines.h"

/* next and table_head of an extractor whose read made such a list. */
bool blocks_next(const struct extracted *x, size_t *at, struct block *out);
struct str blocks_table_head(const struct extracted *x, size_t at);

/* ---- a source that is read line by line, and whose blocks are such a list */
struct scan {
    struct extracted *x;
    struct lines l;  /* the line at hand */
    struct buf list; /* the blocks so far */
};
/* body → x->text, in which hide blanks what is no text, then step for each line that has something. step adds what
 * begins there, and leaves the last line of it at hand. NULL, or why not. */
const char *scan_blocks(struct str body, struct extracted *x, void (*hide)(struct extracted *x),
                        void (*step)(struct scan *s, void *own), void *own);
/* Blank from byte from to byte to, except for the lines' ends: bytes stay where they stood. */
void scan_hide(struct extracted *x, size_t from, size_t to);
/* A block of lines from start to the end of the line at hand. */
void scan_add(struct scan *s, enum extracted_kind kind, size_t start);
/* A heading that ends with it; the first one of level 1 is the document's title. words: in the text. */
void scan_heading(struct scan *s, size_t level, size_t start, struct str words);
/* A paragraph from the line at hand to before an empty line, or one at which ends says so; NULL: none does. */
void scan_paragraph(struct scan *s, bool (*ends)(struct str line));

#endif
