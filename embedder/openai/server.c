/* Which model server: one for answers and vectors, or two that share nothing, keys neither. The first
 * provider that needs the common one makes it, the last one frees it. */
#include "embedder/openai/upstream.h"

#define DEFAULT_BASE "https://api.openai.com/v1"

struct upstream *
server_take(struct embedder *e, enum upstream_route route)
{
    const struct embedder_opt *o = e->opt;

    if (route == ROUTE_EMBED && o->embedding_base_url[0] != 0)
        return upstream_new(e->loop, o->embedding_base_url, o->embedding_api_key, "");
    if (!e->upstream)
        e->upstream = upstream_new(e->loop, o->base_url[0] != 0 ? o->base_url : DEFAULT_BASE, o->api_key,
                                   o->key_header);
    e->upstream_users += e->upstream != NULL;
    return e->upstream;
}

void
server_leave(struct embedder *e, struct upstream **u)
{
    if (*u != e->upstream)
        upstream_free(u);
    else if (*u != NULL && --e->upstream_users == 0)
        upstream_free(&e->upstream);
    *u = NULL;
}
