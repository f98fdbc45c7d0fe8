/* Exact routes (router.c), from route.tbl. */
#ifndef GATEWAY_ROUTER_H
#define GATEWAY_ROUTER_H

#include "gateway/request/route.h"

extern const struct route routes[];
extern const size_t route_count;
/* The route of a method and decoded path; NULL: none. *known: some route has that path; allow ("" when unknown) gets
 * the methods, for 405 and OPTIONS. arg: what {…} matched. */
const struct route *router_find(enum method m, struct str path, struct str *arg, bool *known, char allow[64]);

#endif
