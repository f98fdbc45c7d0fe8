/* footnote-extract: one document on standard input → what it says, in frames (proto/extracted.h), on standard output.
 *
 * The process lives for one file of a stranger: it has read all input and opened all it needs before it looks
 * at a byte, then confines itself (confine.h). Readers hold nothing that must be released, and free nothing
 * that ends with the process. */
#ifndef EXTRACT_EXTRACT_H
#define EXTRACT_EXTRACT_H

#include "common/mem.h"
#include "proto/extracted.h"
#include "proto/format.h"

struct out; /* out.h */

/* One way to read bytes; each is named in proto/format.tbl. Ends by itself, or by out_refuse(). */
struct reader {
    void (*read)(struct str body, struct out *out);
    /* Before the filter of system calls: what it opens or starts; NULL: nothing. */
    void (*prepare)(struct str body);
    bool text; /* it is given UTF-8, whatever charset the file has */
};

/* Say why the document is refused, in words for its owner, and end the process. */
_Noreturn void out_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Memory whose size a stranger chose: where there is none the process ends with a reason. */
void *room_new(size_t n);
void *room_more(void *p, size_t n);

#endif
