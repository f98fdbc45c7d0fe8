/* Small text and byte helpers. UTF-8 and UUIDs come along: who handles texts of messages handles these. */
#ifndef COMMON_TEXT_TEXT_H
#define COMMON_TEXT_TEXT_H

#include "common/mem.h"
#include "common/text/uuid.h"
#include "common/utf8.h"

struct str text_trim(struct str s); /* without white space at both ends, the wide ones included */
char *hex_text(const void *p, size_t n, char *out);  /* 2n+1 bytes */
char *hex_random(size_t n, char *out);               /* of n random bytes; 2n+1 bytes */
bool hex_parse(struct str s, void *out, size_t n);   /* exactly 2n hex digits */
size_t base64_encode(struct str s, struct buf *out); /* standard alphabet, padded; returns bytes added */
bool base64_decode(struct str s, struct buf *out);   /* strict; false when malformed */

#endif
