/* The head of an answer (head.c). */
#ifndef GATEWAY_REQUEST_HEAD_H
#define GATEWAY_REQUEST_HEAD_H

#include "gateway/request/request.h"

/* Status line and all headers up to the empty line; length < 0: chunked, or until the end of the connection. */
void reply_head(struct request *r, int status, const char *content_type, int64_t length, struct buf *out);
/* The RateLimit headers. */
void limit_headers(const struct limit_state *s, struct buf *out);

#endif
