/* Checks that several services make of their options beyond kind and bounds, for their check functions:
 * each appends one line "NAME: what is wrong; what would be right" to err, or nothing. An empty value
 * is unset and right. */
#ifndef COMMON_TEXT_CHECK_H
#define COMMON_TEXT_CHECK_H

#include "common/mem.h"

void check_file(const char *name, const char *path, struct buf *err); /* a readable file, no folder */
void check_web_url(const char *name, const char *url,
                   struct buf *err); /* http(s)://host[:port][/path][?query] */
void check_listen_host(const char *name, const char *host,
                       struct buf *err); /* a name or address; it is not looked up */
/* tcp://host:port, or a list of them with commas or blanks. */
void check_endpoints(const char *name, const char *list, bool one, struct buf *err);
void check_hex_key(const char *name, const char *key, struct buf *err); /* 64 hex digits, and there */
/* TZ: the C library takes UTC for a zone that it does not know, and says nothing. */
void check_time_zone(struct buf *err);

#endif
