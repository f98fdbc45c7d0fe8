/* The rights of a caller (auth.h): collections, the whole tenant, everything. */
#include "gateway/admit/auth.h"
#include "gateway/gateway.h"
#include "gateway/request/handler.h"

bool
api_collection(struct request *r, struct str given, struct str *name)
{
    if (!given.p || given.n == 0) {
        given = STR(API_DEFAULT_COLLECTION);
        if (!collection_allowed(r, given))
            given = api_first_collection(r);
    } else if (!name_ok(given)) {
        reply_invalid(r, "/collection", "must match [A-Za-z0-9._-]{1,64}");
        return false;
    }
    if (!given.p || !collection_allowed(r, given)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return false;
    }
    *name = given;
    return true;
}

bool
api_restricted(const struct request *r)
{
    return r->who.key && r->who.key->collections.n > 0;
}

bool
api_whole_tenant(struct request *r)
{
    if (api_restricted(r))
        reply_problem(r, ERR_FORBIDDEN,
                      "this concerns the whole tenant, and this key is restricted to collections");
    return !api_restricted(r);
}
