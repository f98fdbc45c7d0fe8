/* Answers below the level of request.h: heads, problem objects, and what never became a request. */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include "gateway/gateway.h"

/* A problem object for what the HTTP library refused by itself. */
void reply_raw_error(struct http_conn *c, int status);
/* Status line and all headers up to the empty line; length < 0: chunked, or until the end of the connection. */
void reply_head(struct request *r, int status, const char *content_type, int64_t length, struct buf *out);
/* The problem object itself (RFC 9457), as for the `error` event of a stream. pointer: NULL, or the field at fault. */
void problem_json(struct request *r, enum err e, const char *detail, const char *pointer, struct buf *out);
/* 204 to OPTIONS: Allow, and what a preflight asks when the origin is known. */
void reply_preflight(struct request *r, const char *allow);
const char *status_text(int status);
size_t status_label(int status);      /* index into status_labels */
extern const char *const status_labels[];

#endif
