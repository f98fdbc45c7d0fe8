/* Paths, query strings and the identifiers that are echoed, decoded by our own rules (path.c). Pure. */
#ifndef GATEWAY_EDGE_PATH_H
#define GATEWAY_EDGE_PATH_H

#include <stdbool.h>

/* Decode percent signs; refuses %00 %2F %5C, backslashes, controls, "..", "//", bad UTF-8. out ≥ strlen+1. */
bool path_decode(const char *raw, char *out);
/* One query parameter, decoded into out (≥ strlen(query)+1): 1 found, 0 absent, -1 malformed. */
int query_get(const char *query, const char *name, char *out);
bool query_valid(const char *query);
/* Strict traceparent (W3C Trace Context, version 00, and what a later one has in common with it). */
bool traceparent_valid(const char *s);
bool request_id_valid(const char *s); /* [A-Za-z0-9._-]{1,128} */

#endif
