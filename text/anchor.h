/* Anchors of headings, "#drop-the-anchor", as the generators of sites make them (anchor.tbl). */
#ifndef TEXT_ANCHOR_H
#define TEXT_ANCHOR_H

#include "common/mem.h"

enum anchor_style {
#define ANCHOR(id, mark, flags, before, none) ANCHOR_##id,
#include "text/anchor.tbl"
#undef ANCHOR
    ANCHOR_STYLES
};

/* Does the url want anchors? Then *style says whose, and *page is the url without its mark. */
bool anchor_wanted(struct str url, enum anchor_style *style, struct str *page);
/* Append what the generator makes of a heading's text (on one line, without markup) when no heading before it is the same. */
void anchor_slug(enum anchor_style style, struct str heading, struct buf *out);

/* The anchors of one document. Its memory is the arena's. */
struct anchors {
    enum anchor_style style;
    struct arena *arena;
    struct anchor_entry *v; /* hash table of what is taken */
    size_t n, cap;
};
void anchors_init(struct anchors *a, enum anchor_style style, struct arena *arena);
/* The anchor of the next heading, in the order of the document. id: the one that its author gave it, or absent. From the
 * arena; empty: it has none. Absent: the arena is full. */
struct str anchors_next(struct anchors *a, struct str heading, struct str id);

#endif
