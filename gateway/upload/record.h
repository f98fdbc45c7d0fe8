/* A document as a client sends it: the JSON record, or the facts around a file. Checks every field. */
#ifndef GATEWAY_RECORD_H
#define GATEWAY_RECORD_H

#include "gateway/request/handler.h"

extern const char *const record_keys[];     /* known members of a record, NULL-terminated */
#define RECORD_TYPES "text/plain and text/markdown (.md, .markdown, .mdx, .txt)"
#define RECORD_ID_CHARS 500 /* of a document's id: with tenant and collection it fits into one entry of an index */

/* Fill a request from {id?, title?, text, content_type?, url?, chapter?, section?, collection?, metadata?}. Strings
 * point into o; the collection is left absent when the record names none. false: *f says what is wrong. */
bool record_parse(const json_t *o, struct arena *a, struct document_put_req *req, struct fault *f);
/* The same for one line of JSON Lines: *o is the parsed object that the request points into (the caller's to free). */
bool record_line(struct str line, struct arena *a, json_t **o, struct document_put_req *req, struct fault *f);
/* The type a file is taken as, from what it was sent as and its name: text/plain or text/markdown. NULL: neither. */
const char *record_type(struct str content_type, struct str filename);
/* A file's path as the id of its document: without empty parts, "." and ".."; of a path of Windows the last part. In the arena. */
struct str record_path(struct str filename, struct arena *a);
/* The last part of a path. */
struct str record_basename(struct str filename);
/* Is this text that can be taken: UTF-8, not empty, without NUL? */
bool record_text_ok(struct str body, struct fault *f);

#endif
