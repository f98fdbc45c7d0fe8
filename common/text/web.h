/* Addresses of the web, as strangers write them. Pure. */
#ifndef COMMON_TEXT_WEB_H
#define COMMON_TEXT_WEB_H

#include "common/mem.h"

size_t web_scheme(struct str s); /* length of http:// or https:// before something, or 0 */
bool
web_tidy(struct str s); /* without bytes that no address needs and some reader takes for something else */
/* Append a path without its parts "." and ".."; none of these goes above the place where it begins. */
void web_path(struct buf *out, struct str path);

#endif
