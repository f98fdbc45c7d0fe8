/* Server-sent events (WHATWG HTML, section 9.2), read in pieces of any size. */
#ifndef TEXT_SSE_H
#define TEXT_SSE_H

#include "common/mem.h"

struct sse {
    struct buf line;  /* the line that is not complete yet */
    struct buf event; /* name of the event so far */
    struct buf data;  /* its data lines so far */
    char id
        [128]; /* of the event so far, else of the last one that had one; "": none, or one that is too long */
    bool cr;   /* the last byte was CR: a LF belongs to it */
    bool begun;         /* the first line was seen (a byte order mark is dropped before it) */
    bool has_data;      /* the event has a data line */
    bool stopped;       /* something was too large: no more is read */
    struct buf *others; /* lines of no field that the standard knows; NULL: passed over */
    void (*fn)(void *arg, struct str event,
               struct str data); /* one event with data; event: "" when it has no name */
    void *arg;                   /* for fn */
};
/* fn gets slices that live until it returns; it may not feed s. */
void sse_init(struct sse *s, size_t max_event, void (*fn)(void *arg, struct str event, struct str data),
              void *arg);
void sse_push(struct sse *s, const char *p, size_t n);
/* The stream came to a clean end: an event that lacks its blank line counts, too. */
void sse_end(struct sse *s);
bool sse_overflow(const struct sse *s); /* a line or an event was over max_event */
/* The same stream goes on over another connection: what the last one left incomplete is dropped, the id stays. */
void sse_again(struct sse *s);
void sse_fini(struct sse *s);

#endif
