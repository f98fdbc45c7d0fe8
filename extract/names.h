/* Names that a stranger chose, however many → numbers: members of an archive, styles, relationships. */
#ifndef EXTRACT_NAMES_H
#define EXTRACT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: empty. Lives as long as the process. */
struct names {
    struct name *slots;
    size_t cap, n;
};
/* The first number that a name is given stays. name is copied. */
void names_put(struct names *t, const char *name, size_t number);
/* false: there is no such name. */
bool names_get(const struct names *t, const char *name, size_t *number);

#endif
