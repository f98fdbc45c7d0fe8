/* multipart/form-data (RFC 7578) of a body in memory, one part after the other. Parts point into the body; only
 * a filename* (RFC 8187) is decoded. A body that is not exactly as the RFC has it is refused. */
#ifndef GATEWAY_UPLOAD_MULTIPART_H
#define GATEWAY_UPLOAD_MULTIPART_H

#include "common/mem.h"

#define MULTIPART_PARTS 1000 /* in one body */
#define MULTIPART_HEAD 8192  /* bytes of one part's headers */

struct multipart {
    struct str left;    /* the rest to be read; begins behind a delimiter */
    char delimiter[80]; /* CR LF -- boundary */
    size_t delimiter_n;
    size_t parts;      /* seen so far */
    const char *fault; /* why it was refused: a phrase */
};
struct part {
    struct str name;     /* of the field, as sent */
    struct str filename; /* absent: not a file */
    struct str type;     /* Content-Type without parameters, as sent; absent: none */
    struct str body;
};
enum multipart_step { MULTIPART_PART, MULTIPART_END, MULTIPART_BAD };

/* The boundary parameter of a Content-Type; false: none, or not 1 to 70 characters of those that are allowed. */
bool multipart_boundary(struct str content_type, struct str *boundary);
/* false: the body does not begin with the boundary (m->fault). */
bool multipart_init(struct multipart *m, struct str body, struct str boundary);
enum multipart_step multipart_next(struct multipart *m, struct arena *a,
                                   struct part *out); /* a: for a filename* */

#endif
