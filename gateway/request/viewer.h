/* Links to the page that shows a citation in its document, /s/{citation}?t=…, for readers who cannot send a header with a click.
 *
 *   t = kind  expiry in hex  -  HMAC-SHA-256, keyed with the session's hash, of kind, expiry and citation: its first 32 hex digits
 *
 * Who may read the answer is given its links: nobody else can make one, and the proof of one citation opens no other. Kinds:
 *   d  all of the document: for those who may read documents
 *   c  what stands around the citation, as GET /api/v1/citations/{id} shows it, while its collection is open: for readers without a key
 *   k  the same: for the readers of a program that has a key
 * A link holds for seven days at least, and ends with its session. */
#ifndef GATEWAY_REQUEST_VIEWER_H
#define GATEWAY_REQUEST_VIEWER_H

#include "gateway/request/request.h"

struct viewer {             /* whose links are made */
    const uint8_t *session; /* SHA-256 of its id, 32 bytes */
    const char *base;       /* PUBLIC_URL or "" */
    int64_t until;          /* seconds since 1970 */
    char kind;
};

/* settings.c */
struct viewer viewer_of(const struct request *r, const uint8_t session[32]);
/* Append the link of a citation. */
void viewer_link(struct buf *b, const struct viewer *v, const struct uuid *citation);
/* A proof that came with a link. False: malformed, or its time is over. */
struct proof {
    char kind;
    int64_t until;
    struct str digits;
};
bool proof_read(struct str t, int64_t now, struct proof *p);
/* Was it made for this citation of the session with this hash? Constant time. */
bool proof_holds(const struct proof *p, struct str session, const struct uuid *citation);

#endif
