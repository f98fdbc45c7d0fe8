/* The links of an imported citation. Pure. */
#ifndef STORE_IMPORT_LINK_H
#define STORE_IMPORT_LINK_H

#include "common/mem.h"

/* The link as it is kept: of the web, or of the site itself. Any other (javascript:, data:, //host) is dropped; the text stays.
 * base (IMPORT_BASE_URL, NULL or "": unknown): the folder of the old site, below which a path or a relative link becomes an
 * address of the web. The result lives in the arena, or is a part of link. */
struct str import_link(struct arena *a, const char *base, struct str link);
/* Is it the address of a folder that links can stand below: http or https, without ? and #? */
bool import_base_ok(const char *base);

#endif
