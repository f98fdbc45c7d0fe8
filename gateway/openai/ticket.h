/* Sealed texts that clients keep for us: addresses of sources, ids of responses (ticket.c). */
#ifndef GATEWAY_OPENAI_TICKET_H
#define GATEWAY_OPENAI_TICKET_H

#include "gateway/request/handler.h"

/* Append plain, sealed, in the letters of base64url. use: what it is for; owner: who may open it, empty: whoever has it. */
void ticket_seal(const struct request *r, const char *use, struct str owner, struct str plain,
                 struct buf *out);
/* The plain text in the arena; absent when it was not sealed so. */
struct str ticket_open(const struct request *r, const char *use, struct str owner, struct str sealed);

#endif
