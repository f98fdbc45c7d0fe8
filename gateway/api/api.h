/* The handlers of route.tbl, one a row. Each runs on an HTTP thread and answers exactly once. */
#ifndef GATEWAY_API_API_H
#define GATEWAY_API_API_H

#include "gateway/request/handler.h"

#define API_AROUND \
    1200 /* bytes on either side of a citation that its reader sees who may not read documents */

#define ROUTE(id, method, path, who, body, flags, handler, summary) void handler(struct request *r);
#include "gateway/route.tbl"
#undef ROUTE

#endif
