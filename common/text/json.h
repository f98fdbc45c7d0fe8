/* JSON: reading through jansson behind checks it lacks (depth, UTF-8, NUL, size), writing straight into a buf. */
#ifndef COMMON_TEXT_JSON_H
#define COMMON_TEXT_JSON_H

#include <jansson.h>

#include "common/mem.h"
#include "common/str.h"

enum json_fault { JSON_OK, JSON_BAD_UTF8, JSON_BAD, JSON_TOO_DEEP, JSON_NUL };

/* Parse a whole text (objects and arrays; depth ≤ 32; duplicate keys and trailing data refused). The caller
 * json_decref()s the result. NULL with *fault and *detail (static or arena-free text, one phrase) set. */
json_t *json_read(struct str s, enum json_fault *fault, const char **detail);
/* The same for what a stranger sends: a value of few bytes costs jansson 0.3 us, so most values bound the time of a text. */
json_t *json_read_most(struct str s, size_t most, enum json_fault *fault, const char **detail);
size_t json_values(struct str s); /* as it counts them */
#define JSON_BODY_VALUES 4096 /* of a request's body: more than all fields of any route together may have */

/* Members; absent or of another type gives the fallback. Slices point into the json_t. */
struct str json_str(const json_t *o, const char *key); /* absent: STR_NONE */
int64_t json_int(const json_t *o, const char *key, int64_t fallback);
double json_num(const json_t *o, const char *key, double fallback);
bool json_flag(const json_t *o, const char *key, bool fallback);

/* Writing. Strings are escaped; invalid UTF-8 becomes U+FFFD. Numbers: shortest form that round-trips; NaN and Inf: null. */
void buf_json(struct buf *b, struct str s); /* "…" with quotes */
void buf_json_z(struct buf *b, const char *z);
void buf_json_num(struct buf *b, double v);
/* A value as compact text; sorted: members by name, so that equal values give equal text. A value that cannot be told fails b. */
void buf_json_value(struct buf *b, const json_t *v, bool sorted);
/* `,"key":` (the comma only when the last byte is not '{' or '['), then the value follows. */
void buf_key(struct buf *b, const char *key);
void buf_key_str(struct buf *b, const char *key, struct str s); /* absent slice: null */
void buf_key_int(struct buf *b, const char *key, int64_t v);
void buf_key_num(struct buf *b, const char *key, double v);
void buf_key_bool(struct buf *b, const char *key, bool v);

#endif
