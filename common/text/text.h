/* Small text and byte helpers: UTF-8, UUIDs, hex, base64, digests. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"
#include "common/str.h"

/* Well-formed UTF-8 (RFC 3629: no overlongs, no surrogates, at most U+10FFFF). */
bool utf8_valid(struct str s);
/* Bytes (1 … 4) of the well-formed code point that s begins with; 0 when it begins with none, or is empty. */
size_t utf8_first(struct str s);
/* Number of code points in valid UTF-8. */
size_t utf8_count(struct str s);
/* Largest prefix of s of at most max bytes that ends on a code point boundary. */
struct str utf8_cut(struct str s, size_t max);
struct str text_trim(struct str s);                     /* without white space at both ends, the wide ones included */

struct uuid { uint8_t b[16]; };          /* all zero: absent */
bool uuid_is_nil(const struct uuid *u);
bool uuid_eq(const struct uuid *a, const struct uuid *b);
bool uuid_parse(struct str s, struct uuid *out);        /* 8-4-4-4-12, either case; false when malformed */
int uuid_version(const struct uuid *u);                 /* 1 … 8 */
char *uuid_text(const struct uuid *u, char out[37]);    /* lower case, NUL-terminated */
struct uuid uuid_v7(void);                              /* RFC 9562: time-ordered; thread-safe */
struct uuid uuid_v4(void);
/* Name-based (RFC 9562 version 8, from SHA-256): the same parts give the same id. */
struct uuid uuid_named(const struct str *parts, size_t n);

void random_bytes(void *out, size_t n);                 /* getrandom(2); dies when there are none */
char *hex_text(const void *p, size_t n, char *out);     /* 2n+1 bytes */
bool hex_parse(struct str s, void *out, size_t n);      /* exactly 2n hex digits */
size_t base64_encode(struct str s, struct buf *out);    /* standard alphabet, padded; returns bytes added */
bool base64_decode(struct str s, struct buf *out);      /* strict; false when malformed */

void sha1(const struct str *parts, size_t n, uint8_t out[20]);     /* only for what Redis computes, too */
void md5(const struct str *parts, size_t n, uint8_t out[16]);      /* of the concatenation */
void sha256(const struct str *parts, size_t n, uint8_t out[32]);
void hmac_sha256(struct str key, struct str data, uint8_t out[32]);
bool bytes_equal(const void *a, const void *b, size_t n);          /* constant time */

#endif
