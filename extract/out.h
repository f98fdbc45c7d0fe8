/* A reader's findings, block by block: the text that is stored, cleaned, and where its blocks and pages stand in it. */
#ifndef EXTRACT_OUT_H
#define EXTRACT_OUT_H

#include "extract/extract.h"

struct out;
struct out *out_new(void);
/* Without a title by now the document's first one counts. */
void out_title(struct out *o, struct str s);
/* The next blocks stand on this page, from 1. */
void out_page(struct out *o, uint32_t number);
/* A heading on level 1 to 6; one without words is none. */
void out_heading(struct out *o, int level, struct str s);
/* A paragraph, on one line; an item of a list. tight: no empty line before it, as between items. */
void out_text(struct out *o, struct str s, bool tight);
void out_item(struct out *o, struct str s, bool tight);
/* The bytes of run from byte from on are the words of a link: its target stays with them, if it leads anywhere from
 * here (http, https, mailto) and says more than they do. */
void out_link(struct buf *run, size_t from, const char *url);
/* A run in bold letters: where it is a question, its mark is kept, since it stands above its answer (text/section.h). */
void out_question(struct buf *run);
/* Lines that stay as they are, between fences unless bare. */
void out_lines(struct out *o, struct str s, bool bare);
/* A table: its first row names the columns. Each row is a line "| a | b |"; with a head of more than HEAD_MAX
 * bytes each cell names its column. */
void out_table(struct out *o);
void out_cell(struct out *o, struct str s);
void out_span(struct out *o, struct str s, long columns); /* a cell of so many */
void out_row_end(struct out *o);
void out_table_end(struct out *o);
bool out_empty(const struct out *o);
/* The frames, to standard output, and the end. */
_Noreturn void out_send(struct out *o);

#endif
