/* A route as the rooms above the edge see it; the table itself is route.tbl, found through router.h. */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "common/str.h"
#include "gateway/edge/check.h"

struct request;

enum who { WHO_PUBLIC, WHO_SESSION, WHO_CHAT, WHO_INGEST, WHO_ADMIN };
enum { ADMITS = 1, STREAMS = 2, IDEMPOTENT = 4, MINTS = 8, AUDITED = 16, UNCHARGED = 32 };
#define BODY_CHAT 262144u
#define BODY_UPLOAD SIZE_MAX      /* MAX_UPLOAD_BYTES */
struct route {
    const char *name;             /* "POST /api/v1/chat/query": label of logs and metrics */
    const char *path;
    enum method method;
    enum who who;
    size_t body;                  /* limit in bytes; 0: no body; BODY_UPLOAD */
    unsigned flags;
    void (*handler)(struct request *r);
};

#endif
