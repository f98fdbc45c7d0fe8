/* UTF-8. Below memory and logs, which need it themselves. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/str.h"

/* Well-formed UTF-8 (RFC 3629: no overlongs, no surrogates, at most U+10FFFF). */
bool utf8_valid(struct str s);
/* Bytes (1 … 4) of the well-formed code point that s begins with; 0 when it begins with none, or is empty. */
size_t utf8_first(struct str s);
/* Number of code points in valid UTF-8. */
size_t utf8_count(struct str s);
/* Largest prefix of s of at most max bytes that ends on a code point boundary. */
struct str utf8_cut(struct str s, size_t max);

#endif
