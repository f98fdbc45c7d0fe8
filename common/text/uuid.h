/* UUIDs (RFC 9562). */
#ifndef COMMON_TEXT_UUID_H
#define COMMON_TEXT_UUID_H

#include "common/str.h"

struct uuid {
    uint8_t b[16];
}; /* all zero: absent */
bool uuid_is_nil(const struct uuid *u);
bool uuid_eq(const struct uuid *a, const struct uuid *b);
bool uuid_parse(struct str s, struct uuid *out);     /* 8-4-4-4-12, either case; false when malformed */
int uuid_version(const struct uuid *u);              /* 1 … 8 */
char *uuid_text(const struct uuid *u, char out[37]); /* lower case, NUL-terminated */
struct uuid uuid_v7(void);                           /* RFC 9562: time-ordered; thread-safe */
struct uuid uuid_v4(void);
/* Name-based (RFC 9562 version 8, from SHA-256): the same parts give the same id. */
struct uuid uuid_named(const struct str *parts, size_t n);

#endif
