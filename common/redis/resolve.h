/* Host names → addresses, without ever waiting longer than the caller wants to: getaddrinfo may block for many seconds when
 * a name server is away, so each look-up runs on a thread of its own that nobody joins. Thread-safe. */
#ifndef COMMON_REDIS_RESOLVE_H
#define COMMON_REDIS_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#define RESOLVE_MAX 24  /* addresses of one name; more are left out */
#define RESOLVE_TEXT 64 /* length of an address as text, with its scope */

struct resolve;

enum resolve_state { RESOLVE_NONE, RESOLVE_RUNNING, RESOLVE_FAILED, RESOLVE_GOOD }; /* of the last look-up */

struct resolve_list {
    size_t n;
    char v[RESOLVE_MAX][RESOLVE_TEXT];
};

/* family: AF_INET, or AF_UNSPEC for both kinds. Looks nothing up. */
struct resolve *resolve_new(const char *host, int family);
/* Never waits: a look-up that still runs ends by itself, later. */
void resolve_free(struct resolve **r);
/* Begin a look-up, unless one is under way. An address instead of a name is ready at once. */
void resolve_ask(struct resolve *r);
/* The result of the last look-up, waiting for one under way until then (clock_ms(); 0: not at all).
 * *out: what the last good one found, so it may be filled whatever is returned; n 0: never. */
enum resolve_state resolve_get(struct resolve *r, int64_t until_ms, struct resolve_list *out);

#endif
