/* Where a passage stands in its document: the headings above it, from the outermost on, as "Chapter > Section > Heading". */
#ifndef TEXT_SECTION_H
#define TEXT_SECTION_H

#include "common/str.h"

struct str section_last(struct str path); /* the innermost; the path itself when it is one */

#endif
