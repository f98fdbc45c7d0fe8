/* The request body: whole, bounded, on time (body.c). */
#ifndef GATEWAY_REQUEST_BODY_H
#define GATEWAY_REQUEST_BODY_H

#include "gateway/request/request.h"

/* Read it into r->body. false after an answer was sent: too large, too slow, cut short, no memory. */
bool body_read(struct request *r, size_t limit);

#endif
