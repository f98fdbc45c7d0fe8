/* Blocks of Markdown source (CommonMark's headings, fences, paragraphs) with byte offsets into that source. A line
 * scanner: it never changes a byte and never fails. */
#ifndef RETRIEVER_EXTRACT_MARKDOWN_H
#define RETRIEVER_EXTRACT_MARKDOWN_H

#include "retriever/extract/extract.h"

/* The next block at or after *at (empty lines skipped); moves *at behind it. markdown false: paragraphs only. */
bool block_next(struct str s, bool markdown, size_t *at, struct block *out);
/* The head of a table (its first line and the line of dashes) that begins in s, if the line at s[at …) is a
 * later one of it; else absent. */
struct str md_table_head(struct str s, size_t at);
/* First level-1 heading, else the front matter's title; cleaned, from the arena. */
struct str md_title(struct str s, struct arena *a);

#endif
