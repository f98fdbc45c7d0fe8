/* The store's handlers, one for each kind of call: each reads its request, begins one transaction and
 * answers from its results. */
#ifndef STORE_CALLS_HANDLERS_H
#define STORE_CALLS_HANDLERS_H

struct delivery;

#define CALL(kind, handler) void handler(struct delivery *c);
#include "store/calls/calls.tbl"
#undef CALL

#endif
