/* Errors as text: problem objects (RFC 9457), or what the OpenAI API calls an error (problem.c). */
#ifndef GATEWAY_REQUEST_PROBLEM_H
#define GATEWAY_REQUEST_PROBLEM_H

#include "gateway/request/request.h"

/* detail: a phrase for people, or NULL for the error's own text. pointer: NULL, or the field at fault. */
void problem_json(struct request *r, enum err e, const char *detail, const char *pointer, struct buf *out);
/* Status and content type of an error in the dialect of its request. */
int problem_status(const struct request *r, enum err e);
const char *problem_type(const struct request *r);

#endif
