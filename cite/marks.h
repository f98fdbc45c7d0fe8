/* Marks like [1] in an answer: finding them, and the answer without those that point nowhere. */
#ifndef CITE_MARKS_H
#define CITE_MARKS_H

#include "common/mem.h"

enum { MARKS_MAX = 4096, MARK_NUMBER_MAX = 200 };

struct mark {
    long n;          /* 1 … hits */
    size_t at;       /* byte of the cleaned answer where its bracket begins */
};

struct marks {
    struct mark *v;  /* in order of place */
    size_t n;
    size_t dropped;  /* numbers that pointed nowhere */
};

/* Copy answer to out with marks outside 1 … hits removed (and the space before them); list the others. False: no room. */
bool marks_find(struct str answer, size_t hits, struct buf *out, struct arena *a, struct marks *marks);

#endif
