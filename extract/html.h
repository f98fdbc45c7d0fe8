/* HTML in UTF-8 → blocks; also of a book's chapters. */
#ifndef EXTRACT_HTML_H
#define EXTRACT_HTML_H

#include "extract/out.h"

/* The main text: headings, paragraphs, lists, tables, preformatted text, links that lead anywhere. whole:
 * nothing is taken for the frame around it. The title is the first heading of level 1; <title> where there is none, and where the
 * first is a section, being one of several or having a number, unless <title> has its words. */
void html_page(struct str page, bool whole, struct out *o);

#endif
