/* A document as a client sends it: the JSON record, or the facts around a file. Checks every field. */
#ifndef GATEWAY_UPLOAD_RECORD_H
#define GATEWAY_UPLOAD_RECORD_H

#include "gateway/request/handler.h"
#include "proto/format.h"

extern const char *const record_keys[]; /* known members of a record, NULL-terminated */
#define RECORD_ID_CHARS \
    500 /* of a document's id: with tenant and collection it fits into one entry of an index */

/* Fill a request from {id?, title?, text, content_type?, url?, chapter?, section?, collection?, metadata?}. Strings
 * point into o; the collection is left absent when the record names none. false: *f says what is wrong. */
bool record_parse(const json_t *o, struct arena *a, struct document_put_req *req, struct fault *f);
/* The same for one line of JSON Lines: *o is the parsed object that the request points into (the caller's to free). */
bool record_line(struct str line, struct arena *a, json_t **o, struct document_put_req *req, struct fault *f);
/* The format that a file is taken as, from what it was sent as, its name and its bytes (proto/format.h),
 * which must be in order. FORMAT_NONE: *f says why not; known: its type was. */
enum format record_format(struct str content_type, struct str filename, struct str body, bool *known,
                          struct fault *f);
/* The formats that are taken, in words; until the next call of this thread. */
const char *record_types(void);
/* A file's path as the id of its document: without empty parts, "." and ".."; of a path of Windows the last
 * part. In the arena. */
struct str record_path(struct str filename, struct arena *a);
/* The last part of a path. */
struct str record_basename(struct str filename);

#endif
