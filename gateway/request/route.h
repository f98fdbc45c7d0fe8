/* A route as the rooms above the edge see it; the table itself is route.tbl, found through router.h. */
#ifndef GATEWAY_REQUEST_ROUTE_H
#define GATEWAY_REQUEST_ROUTE_H

#include "common/str.h"
#include "gateway/edge/check.h"

struct request;

enum who { WHO_PUBLIC, WHO_SESSION, WHO_CHAT, WHO_INGEST, WHO_ADMIN };
enum {
    ADMITS = 1 << 0,
    STREAMS = 1 << 1,
    IDEMPOTENT = 1 << 2,
    MINTS = 1 << 3,
    AUDITED = 1 << 4,
    UNCHARGED = 1 << 5,
    OPENAI = 1 << 6,
    RPC = 1 << 7
};
#define BODY_CHAT 262144u
#define BODY_OPENAI 1048576u /* a whole conversation comes with each question */
#define BODY_EMBED 8388608u
#define BODY_UPLOAD SIZE_MAX /* MAX_UPLOAD_BYTES */
struct route {
    const char *name; /* "POST /api/v1/chat/query": label of logs and metrics */
    const char *path;
    enum method method;
    enum who who;
    size_t body; /* limit in bytes; 0: no body; BODY_UPLOAD */
    unsigned flags;
    void (*handler)(struct request *r);
};

#endif
