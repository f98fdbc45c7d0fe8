/* Sessions, as other routes about one need them. */
#ifndef GATEWAY_API_SESSION_H
#define GATEWAY_API_SESSION_H

#include "gateway/request/handler.h"

/* The session that the path names, and its SHA-256. */
bool api_path_session(struct request *r, struct uuid *id, uint8_t hash[32]);
void render_session(struct buf *b, const struct uuid *id,
                    const struct session_rep *s); /* as render.h has the others */

#endif
