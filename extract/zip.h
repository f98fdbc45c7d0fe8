/* ZIP archives that documents are: members by name, with limits of what they unpack to. Refuses damaged and encrypted ones. */
#ifndef EXTRACT_ZIP_H
#define EXTRACT_ZIP_H

#include "common/mem.h"

struct zip;
/* Never NULL: what is no whole archive ends the process with its reason (out_refuse). Borrows body. */
struct zip *zip_open(struct str body);
bool zip_has(const struct zip *z, const char *name);
/* A member as a whole; absent: there is none. */
struct str zip_read(struct zip *z, const char *name);
/* Its bytes in pieces; false: there is none. */
bool zip_stream(struct zip *z, const char *name, void (*fn)(void *arg, struct str piece), void *arg);
/* "a/b/../c.xml" below the folder of the member base, as relationships name their targets; from the heap. */
char *zip_path(const char *base, const char *target);

#endif
