/* The place of a Redis and our user there, taken from a URL. Private to common/redis/ and its test. */
#ifndef COMMON_REDIS_URL_H
#define COMMON_REDIS_URL_H

#include <stdbool.h>

struct redis_url {
    char *host; /* name or address; NULL: unix socket */
    char *path; /* unix socket, else NULL */
    int port;
    bool tls;              /* rediss:// */
    char *user, *password; /* NULL: none */
    char db[12];           /* decimal; empty: 0 */
};

/* Fill *out (all zero before) from redis[s]://[[user]:password@]host[:port][/db] or unix:///path. NULL, or a phrase that
 * says what is wrong (static). Release with redis_url_fini in both cases. */
const char *redis_url_parse(const char *url, struct redis_url *out);
void redis_url_fini(struct redis_url *u);

#endif
