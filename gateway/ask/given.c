/* A question that came in another dialect than the chat API's (ask.h). Its body is already read; from here on
 * it is a question like any other. */
#include "gateway/ask/ask.h"

#include "gateway/admit/auth.h"
#include "gateway/watch/epochs.h"

struct uuid
given_session(const struct request *r, const char *use, struct str user, const char *kind, struct str first)
{
    const struct str parts[] = {
        str_of(use),           api_secret(r), { (const char *)r->who.key_hash, sizeof r->who.key_hash },
        str_of(r->who.tenant), STR("\n"),     user.p ? user : STR(""),
        str_of(kind),          first
    };

    return uuid_named(parts, sizeof parts / sizeof *parts);
}

bool
ask_given(struct request *r, const struct given *g, struct question *q)
{
    ask_begin(r, "dialect", q);
    q->text = g->text;
    q->query = ask_query(g->text);
    q->user = g->user;
    q->instructions = g->instructions;
    q->options = g->options;
    q->page_context = g->page_context;
    q->filter = g->filter;
    q->top_k = g->top_k;
    q->earlier = g->earlier;
    q->told = g->told;
    q->fresh = g->fresh;
    q->raw = g->raw;
    q->session = g->session;
    q->conversation_id = g->conversation_id;
    session_digest(&q->session, q->session_hash);
    if (!api_collection(r, g->collection, &q->collection))
        return false;
    q->standalone = uuid_is_nil(&q->conversation_id) && q->earlier.n == 0;
    q->named = g->collection.p != NULL;
    q->settled = collection_known(r, q->collection, &q->settings);
    return true;
}
