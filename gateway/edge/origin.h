/* Lists of exact origins, hosts and address blocks, and the client's address behind proxies (origin.c). Pure. */
#ifndef GATEWAY_EDGE_ORIGIN_H
#define GATEWAY_EDGE_ORIGIN_H

#include "common/text/text.h"

struct origins {
    char **v;
    size_t n;
};
bool origins_parse(struct origins *o, const char *list); /* comma separated; false: one is not an origin */
void origins_free(struct origins *o);
bool origins_have(const struct origins *o, const char *origin); /* byte for byte */
bool origin_valid(struct str s);                     /* scheme://host[:port], no path, not "null" */
bool host_loopback(const char *host);                /* of a Host header: localhost, 127.…, [::1] */
bool host_of_url(const char *host, const char *url); /* Host header equals the URL's authority */
/* The page is of this gateway: its origin is that of public_url, or the name in the Host header. */
bool origin_same(const char *origin, const char *host, const char *public_url);

struct cidr {
    uint8_t a[16];
    unsigned bits;
}; /* IPv4 as ::ffff:a.b.c.d */
struct cidrs {
    struct cidr *v;
    size_t n;
};
bool cidrs_parse(struct cidrs *c, const char *list); /* comma separated; false: one is no block or address */
void cidrs_free(struct cidrs *c);
bool cidrs_have(const struct cidrs *c, const char *addr); /* false, too, when addr is no address */
/* The client's address: the socket's, or from the right of X-Forwarded-For while those are trusted. IPv6: its /64. */
void client_addr(const char *peer, const char *forwarded, const struct cidrs *trusted, char out[64]);

#endif
