/* Files and pages that are no documents though their format is taken: pages that ask not to be indexed, pages that only lead elsewhere,
 * and what a generator or a compressor made beside the pages. */
#ifndef CLIENT_FILES_EXCLUDE_H
#define CLIENT_FILES_EXCLUDE_H

#include "common/mem.h"

enum { EXCLUDE_HEAD = 65536 }; /* bytes of a file that are looked at */

/* Why a page is left out, static; NULL: it is not. Of its head: meta robots (or footnote) with noindex or none, meta refresh to another page. */
const char *exclude_page(struct str head);
/* The same of X-Robots-Tag: true when it says noindex or none to everybody or to footnote. */
bool exclude_tag(const char *header);
/* Why a file of a folder is left out: by its name, where source code has lines of thousands of bytes, and of a built site (site)
 * scripts and styles. */
const char *exclude_file(const char *path, const char *name, bool site);

#endif
