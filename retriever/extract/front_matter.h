/* Front matter: settings between two lines at the start of a page, as Jekyll, Hugo and Docusaurus read
 * them. YAML between "---" lines (YAML 1.1, libyaml), TOML between "+++" lines (TOML 1.0), or a JSON object
 * (as Hugo reads it). */
#ifndef RETRIEVER_EXTRACT_FRONT_MATTER_H
#define RETRIEVER_EXTRACT_FRONT_MATTER_H

#include "common/mem.h"
#include "common/str.h"

/* Its length in bytes, the closing line included; 0: the text has none. A block that is no mapping is
 * text between two rules. */
size_t front_matter(struct str s);
/* The page's title that it sets, from the arena, at most 250 bytes; STR_NONE: none. */
struct str front_matter_title(struct str s, struct arena *a);

#endif
