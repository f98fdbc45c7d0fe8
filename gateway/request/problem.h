/* Problem objects (RFC 9457) as text (problem.c). */
#ifndef GATEWAY_PROBLEM_H
#define GATEWAY_PROBLEM_H

#include "gateway/request/request.h"

/* detail: a phrase for people, or NULL for the error's own text. pointer: NULL, or the field at fault. */
void problem_json(struct request *r, enum err e, const char *detail, const char *pointer, struct buf *out);

#endif
