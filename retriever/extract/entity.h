/* Character references of HTML (HTML Living Standard, section 13.5): "&mdash;", "&#8212;", "&#x2014;". */
#ifndef RETRIEVER_EXTRACT_ENTITY_H
#define RETRIEVER_EXTRACT_ENTITY_H

#include <stdint.h>

#include "common/str.h"

/* The letter that s begins with as a reference; *used: its bytes in s. 0: it is none that is known. */
int32_t entity_read(struct str s, size_t *used);
/* The same as UTF-8 into out; its bytes, never more than *used. An invisible letter gives none; a space that
 * does not break is a space.
 * False: it is none. */
bool entity_text(struct str s, char out[8], size_t *n, size_t *used);

#endif
