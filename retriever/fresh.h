/* Chunks of documents that this process has just stored. The feed tells of them within 100 ms, and what it tells of is then not read back:
 * a document's place in the feed (seq) says that these are its chunks still. Of the others, and when there is no room, the
 * store is asked as always. All of it belongs to the loop's thread; a document that was taken is read by a maker. */
#ifndef RETRIEVER_FRESH_H
#define RETRIEVER_FRESH_H

#include "proto/msg.h"

struct fresh;
struct fresh_doc {
    struct fresh *keeper;    /* counts its bytes */
    struct fresh_doc *chain; /* of its bucket, while nobody has taken it */
    struct uuid id;
    int64_t seq;
    struct chunk *v; /* with their texts and vectors, in this block */
    size_t n, bytes;
};

struct fresh *fresh_new(size_t max_bytes);
void fresh_free(struct fresh **f); /* after the last fresh_doc_free */
/* Keep copies of a document's chunks, whose offsets point into text; not where the feed was read beyond it. */
void fresh_put(struct fresh *f, const struct uuid *id, int64_t seq, const struct chunk *v, size_t n,
               struct str text);
struct fresh_doc *fresh_take(struct fresh *f, const struct uuid *id, int64_t seq); /* or NULL */
void fresh_doc_free(struct fresh_doc **d);                                         /* NULL is fine */
void fresh_reached(struct fresh *f,
                   int64_t seq);           /* the feed was read up to there: nobody asks for those before */
void fresh_clear(struct fresh *f);         /* the feed begins anew */
size_t fresh_bytes(const struct fresh *f); /* of all, also of those that were taken */

#endif
