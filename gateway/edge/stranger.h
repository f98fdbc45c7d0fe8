/* The reach of callers without a key, and whether a request without a key is what it seems: stranger.c. */
#ifndef GATEWAY_EDGE_STRANGER_H
#define GATEWAY_EDGE_STRANGER_H

#include "common/text/text.h"
#include "gateway/edge/check.h"

struct names {
    char **v;
    size_t n;
    bool any;
}; /* any: the list was "*" */

struct strangers {
    struct names hosts;        /* ALLOWED_HOSTS */
    struct names collections;  /* ANONYMOUS_COLLECTIONS */
    struct names answer_hosts; /* ANSWER_LINK_HOSTS: strangers' servers that answers may link to */
};

/* Comma separated names of [A-Za-z0-9._-], at most max characters each, or "*". false: one is not a name. */
bool names_parse(struct names *n, const char *list, size_t max);
void names_free(struct names *n);
bool names_have(const struct names *n, struct str name);

/* The header by which a proxy gives itself away, "HTTP/1.0" for nginx's default, or NULL: nobody stands in between. */
const char *proxy_sign(const struct head *h);
/* Is a Host header one that no stranger's name server can point at us: a loopback name, an address, a name without a dot,
 * PUBLIC_URL's name or one of the list? Ports do not count. */
bool host_ours(const char *host, const char *public_url, const struct names *hosts);
/* Is that URL's host a loopback name? Empty: yes. */
bool url_loopback(const char *url);

#endif
