/* A text line by line, for scanners of headings. */
#ifndef RETRIEVER_EXTRACT_LINES_H
#define RETRIEVER_EXTRACT_LINES_H

#include "common/text/text.h"
#include "retriever/extract/extract.h"

struct lines {
    struct str text;
    size_t at;       /* where the line begins */
    struct str line; /* without its end and blanks behind it */
};
/* The first line, and each that follows; false: there is none. */
static inline bool
lines_at(struct lines *l, size_t at)
{
    const char *nl;

    if (at >= l->text.n)
        return false;
    nl = memchr(l->text.p + at, '\n', l->text.n - at);
    l->at = at;
    l->line = (struct str){ l->text.p + at, nl ? (size_t)(nl - l->text.p) - at : l->text.n - at };
    while (l->line.n > 0 && (l->line.p[l->line.n - 1] == ' ' || l->line.p[l->line.n - 1] == '\t'))
        l->line.n--;
    return true;
}
static inline size_t
lines_next(const struct lines *l)
{
    const char *nl = memchr(l->text.p + l->at, '\n', l->text.n - l->at);

    return nl ? (size_t)(nl - l->text.p) + 1 : l->text.n;
}
/* How often c stands at the line's beginning. */
static inline size_t
lines_run(struct str line, char c)
{
    size_t n = 0;

    while (n < line.n && line.p[n] == c)
        n++;
    return n;
}

#endif
