/* The pace at which a model server is given texts: how many in a call, how many calls at once. Pure.
 *
 * Both begin small, grow while calls are quick, and shrink when the server refuses or is slow. A call that the server refuses
 * costs it no work; a call that is given up has cost it all, so sizes shrink long before the time limit. */
#ifndef EMBEDDER_OPENAI_PACE_H
#define EMBEDDER_OPENAI_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
    size_t most;      /* texts in a call that are ever tried */
    size_t size;      /* texts in the next call */
    size_t size_cap;  /* the most that the server takes, as far as known */
    size_t calls;     /* calls at once */
    size_t calls_cap; /* the most that the server takes */
    size_t good;      /* calls in a row that ended well, since it last said that there are too many at once */
    bool tight;       /* it said so */
    int64_t limit_ms; /* a call's time limit */
};

void pace_init(struct pace *p, size_t most, int64_t limit_ms);
void pace_good(struct pace *p, size_t texts, int64_t ms); /* a call with so many texts took so long */
void pace_late(struct pace *p, size_t texts);             /* it took too long */
void pace_too_many_texts(struct pace *p, size_t texts);   /* refused: so many are too many */
void pace_not_the_number(struct pace *p); /* one text alone is refused, too: the number was no reason */
void pace_too_many_calls(struct pace *p,
                         size_t at_once); /* refused while so many were out, this one among them */

#endif
