/* JSON of what services answer, as docs/api.md names it. Every function appends one whole value (or, where it says so,
 * one member) to b; strings are escaped; absent ones are null; ids are UUID text; times are RFC 3339 in UTC. */
#ifndef GATEWAY_REQUEST_RENDER_H
#define GATEWAY_REQUEST_RENDER_H

#include "common/text/json.h"
#include "gateway/request/viewer.h"
#include "proto/msg.h"

/* A list: n values of so many bytes each; render appends one of them. */
struct list {
    const void *v;
    size_t n, size;
    void (*render)(struct buf *b, const void *item, void *arg);
    void *arg; /* given to render */
};
void render_list(struct buf *b, const struct list *l); /* the array */

void render_key_uuid(struct buf *b, const char *key, const struct uuid *id);         /* a member; nil: null */
void render_key_time(struct buf *b, const char *key, int64_t wall_ms);               /* a member; 0: null */
void render_key_strs(struct buf *b, const char *key, const struct str *v, size_t n); /* a member: the array */

/* Members document_id, chunk_id and kind: "document", or "selection" with ids of null. */
void render_ids(struct buf *b, const struct uuid *document_id, const struct uuid *chunk_id);
/* Members start and end; null for a selection that is of no document. */
void render_place(struct buf *b, const struct uuid *document_id, int64_t start, int64_t end);
/* One entry of sources[]. viewer: makes the link of a source without a page of its own; NULL: then it has none. */
void render_source(struct buf *b, const struct citation *c, const struct viewer *viewer);
void render_sources(struct buf *b, const struct citation *c, size_t n,
                    const struct viewer *viewer); /* the array */
/* A passage as a source that the answer may cite as [n] (streams send them before there is an answer): a verbatim
 * slice of at most 300 characters from the beginning of the passage, with the offsets of that slice. */
void render_candidate(struct buf *b, const struct hit *h, int64_t n, const struct uuid *id);
/* A search result; explain adds the vector and the lexical score. */
void render_hit(struct buf *b, const struct hit *h, bool explain);
void render_message(struct buf *b, const struct message *m, const struct viewer *viewer);
void render_conversation(struct buf *b, const struct conversation *c);
void render_document(struct buf *b, const struct document *d);
void render_collection(struct buf *b, const struct collection *c);
void render_job(struct buf *b, const struct job_rep *j);
/* Without the key itself, which nobody has. id is the SHA-256 of the key in hex. */
void render_api_key(struct buf *b, const struct api_key *k);
void render_listed_key(struct buf *b, const struct api_key *k); /* with what is used today */
/* Members of an API key but for its id: shared by the list and by the answer to its creation. */
void render_api_key_members(struct buf *b, const struct api_key *k);

#endif
