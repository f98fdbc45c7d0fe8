/* A passage as engines keep it whose index is not in this process: what a hit shows, as JSON, and the names of its vectors' spaces. */
#ifndef RETRIEVER_INDEX_SHOWN_H
#define RETRIEVER_INDEX_SHOWN_H

#include <jansson.h>

#include "retriever/index/shard.h"

enum { SPACE_NAME = 17 };

/* Vectors of one model and size. */
struct space_id {
    char name[SPACE_NAME]; /* 16 hex digits */
    size_t dims;
};
struct space_id space_id_of(struct str model, size_t dims);

/* The language of a document, which its first page tells. All zero: not known yet. */
struct doc_language {
    enum language is;
    bool known, set; /* set: by the collection */
};
/* The passages of a page of a document, in its language. NULL: there is no room. */
struct index_doc *shown_page(struct words *w, const struct chunks_get_rep *page, struct doc_language *l);

/* An object; metadata: of the document, its JSON. */
void shown_write(const struct index_doc *d, const struct passage *p, struct str metadata, struct buf *b);
/* Its only passage, of so many words, and what is the document's. Its words are there already. Strings stay where they are, in
 * shown. False: it is none of ours. */
bool shown_read(const json_t *shown, int64_t words, struct index_doc *d);

#endif
