/* The wording of a question: what is left of it when two people who ask the same have typed it a little differently. */
#ifndef TEXT_WORDING_H
#define TEXT_WORDING_H

#include "common/mem.h"
#include "text/language.h"

/* Append the wording of valid UTF-8. Questions with one wording ask the same; many that ask the same have different ones. */
void wording_add(struct str text, enum language l, struct buf *out);

#endif
