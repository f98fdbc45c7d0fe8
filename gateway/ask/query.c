/* The words that a question is searched by (ask.h). One that is longer than the chat API allows is searched
 * for by its last sentences: what a long text asks stands at its end, and all its words together
 * would find everything. */
#include "gateway/ask/ask.h"

#include "text/sentence.h"

#define QUERY_CHARS 500 /* as much as a question of the chat API has */
#define SPANS 16        /* sentences that are remembered from the end */

/* The last n characters. */
static struct str
last_chars(struct str s, size_t n)
{
    size_t at = s.n;

    while (n > 0 && at > 0) {
        at--;
        n -= ((unsigned char)s.p[at] & 0xc0) != 0x80;
    }
    return (struct str){ s.p + at, s.n - at };
}

struct str
ask_query(struct str text)
{
    struct str end = last_chars(text, QUERY_CHARS);
    size_t at = 0, n = 0, from = end.n;
    struct span spans[SPANS], one;

    if (end.n == text.n)
        return text;
    while (sentence_next(end, &at, &one))
        spans[n++ % SPANS] = one;
    /* the first of them began before: the rest is whole */
    for (size_t back = 1; back <= SPANS && back < n; back++)
        from = spans[(n - back) % SPANS].start;
    return from < end.n ? text_trim((struct str){ end.p + from, end.n - from }) : text_trim(end);
}
