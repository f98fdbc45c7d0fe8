/* One request, from its head to its line in the access log (serve.c). */
#ifndef GATEWAY_SERVE_H
#define GATEWAY_SERVE_H

#include "gateway/edge/http.h"

/* Handlers of the HTTP server; gw: the struct gateway. */
void serve(void *gw, struct http_conn *c, const char *peer);
void serve_refused(void *gw, struct http_conn *c, int status);

#endif
