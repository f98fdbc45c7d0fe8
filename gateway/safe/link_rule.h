/* The addresses that may stand as a link or an image in an answer. Pure. */
#ifndef GATEWAY_SAFE_LINK_RULE_H
#define GATEWAY_SAFE_LINK_RULE_H

#include "gateway/edge/stranger.h"

enum link_use { USE_LINK, USE_IMAGE, USE_BARE };

struct link_rules {
    const struct names *hosts; /* ANSWER_LINK_HOSTS; any: every http and https address */
    const char *public_url;    /* "" when unset: its host is listed, too */
    struct str links
        [32]; /* addresses of the passages that the answer was made from; links only, and only as they are */
    size_t n_links;
};

/* http and https to listed hosts; a passage's own address; for links also what stays on the reader's host or machine. Never
 * another scheme, whatever hides it. */
bool link_allowed(const struct link_rules *r, struct str address, enum link_use use);
/* One passage more; only http, https and paths. A passage that there is no room for is not listed. */
void link_rules_add(struct link_rules *r, struct str address);
/* May that address of a source be shown as a link: http, https, or a path? */
bool link_plain(struct str address);

#endif
