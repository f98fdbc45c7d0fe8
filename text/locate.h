/* The place of a selected text in the source of a document. A text that a reader selects on a page has no
 * marks of Markdown, other line breaks, other quotes and dashes. */
#ifndef TEXT_LOCATE_H
#define TEXT_LOCATE_H

#include "text/sentence.h"
#include "common/mem.h"

/* A selection, ready to be looked for. Owns exact and loose. */
struct locator {
    struct str selection; /* as it was selected */
    struct str exact;     /* without white space */
    struct str loose;     /* letters and digits as a page shows them, folded; empty: too few to look for */
    size_t letters;       /* code points of loose */
};
void locator_init(struct locator *l, struct str selection); /* valid UTF-8 */
void locator_fini(struct locator *l);

enum locate_how { LOCATE_EXACT, LOCATE_LOOSE };
/* EXACT: all signs agree but for white space. LOOSE: all letters and digits agree, in what a page shows of
 * the source (without link targets, tags, pictures, fences, list numbers). Borders of short selections are
 * borders of words. Text is valid UTF-8. */
bool locate(const struct locator *l, enum locate_how how, struct str text, struct span *out);

#endif
