/* Callers, and what they may use (auth.c, scope.c). A function that returns false has answered,
 * unless it says otherwise. */
#ifndef GATEWAY_ADMIT_AUTH_H
#define GATEWAY_ADMIT_AUTH_H

#include "gateway/request/request.h"

/* Finds out the caller: fills r->who. */
bool auth_check(struct request *r);
/* May a page of that origin read our answers (preflights: no key is known yet)? */
bool auth_origin_known(struct gateway *gw, const struct head *h, const char *origin);

/* May this principal use that collection? Answers nothing. */
bool collection_allowed(const struct request *r, struct str name);
struct str api_first_collection(const struct request
                                    *r);   /* the first of those listed for this principal; absent: none */
bool api_is_root(const struct request *r); /* ADMIN_KEY, or AUTH=off: a caller who may do everything */
/* Collection of a question, search or upload: the named one, or the default one of this principal. A named one that
 * is not the principal's: 404. */
bool api_collection(struct request *r, struct str given, struct str *name);
/* Is this key restricted to some collections? Then requests that concern the whole tenant are not for it. */
bool api_restricted(const struct request *r);
bool api_whole_tenant(struct request *r); /* false: it is, and 403 was sent */

#endif
