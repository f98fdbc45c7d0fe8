/* Documents that another server reads (EXTRACT_URL): footnote-convert has them made HTML, which child.c reads as any other. */
#ifndef RETRIEVER_EXTRACT_CONVERT_H
#define RETRIEVER_EXTRACT_CONVERT_H

#include "retriever/extract/extract.h"

void convert_check(const char *url, const char *list, struct buf *err); /* EXTRACT_URL, EXTRACT_FORMATS */
/* Before the first thread; url "": nothing is converted. list: endings, separated by blanks or commas; seconds: for one. */
void convert_init(const char *url, const char *list, long seconds);
bool convert_wants(enum format f);
/* body → html. NULL, or why not, and in x what becomes of the document. Waits. */
const char *convert_document(struct str body, struct extracted *x, struct buf *html);

#endif
