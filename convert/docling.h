/* docling-serve's dialect: POST /v1/convert/file, a form with the file and what is to become of it; the reply is JSON with HTML in it.
 * github.com/docling-project/docling-serve, docs/usage.md. */
#ifndef CONVERT_DOCLING_H
#define CONVERT_DOCLING_H

#include "common/mem.h"

enum docling_end {
    DOCLING_DONE,
    DOCLING_EMPTY,
    DOCLING_FAILED,
    DOCLING_OTHER /* no reply of docling-serve */
};

bool docling_is(const char *url); /* by its path, /v1/convert/file or /v1alpha/convert/file */
/* A name for the document's file: docling knows a format by its ending. */
void docling_name(const char *type, char *out, size_t room);
/* Append the HTML of a reply. */
enum docling_end docling_html(struct str reply, struct buf *html);

#endif
