/* A model by its name: vectors that a collection still has are of it, whatever the deployment's own model is
 * by now. The models inside of the embedder are always there; a model server is asked for any name, under the
 * one that its vectors were stored with. */
#include "embedder/provider.h"

#define QUOTE_TEXT 4 /* tokens that a model adds to a text */

/* The others than the deployment's own, begun when the first of them is asked for. */
static void
locals_begin(struct embedder *e)
{
    const struct provider *p;

    for (size_t i = 0;
         !e->locals_begun && e->n_locals < EMBED_LOCALS && (p = provider_local_embed(i)) != NULL; i++) {
        bool there = !p->wants_embed || p->wants_embed(e->opt);
        struct embed_provider *made = there && p != provider_for_embed(e->opt) ? p->embed(e, true) : NULL;

        if (made)
            e->local[e->n_locals++] = embed_new(e, made);
    }
    e->locals_begun = true;
}

/* Are these its own vectors: under its name, or under the one that they are stored with. */
static bool
makes(const struct embed *m, const struct embedder_opt *o, struct str asked)
{
    const struct embed_provider *p = embed_provider_of(m);
    char space[129];

    embed_space_name(o, p->model, space);
    return str_is(asked, p->model) || (p->prefixes && str_is(asked, space));
}

/* "name#digest" is the name with the prefixes of then: only with the same ones are the vectors the same. */
static bool
server_has(const struct embedder *e, struct str asked, char model[129])
{
    char space[129];
    size_t n = asked.n;

    while (n > 0 && asked.p[n - 1] != '#')
        n--;
    n = n > 0 ? n - 1 : asked.n;
    memcpy(model, asked.p, n);
    model[n] = 0;
    embed_space_name(e->opt, model, space);
    if (str_is(asked, space))
        return true;
    memcpy(model, asked.p, asked.n);
    model[asked.n] = 0;
    return n == asked.n; /* a plain name: what it is stored under is said in the reply */
}

static struct embed *
own_name(struct embed *m, char model[129])
{
    const char *name = embed_provider_of(m)->model;
    size_t n = strlen(name);

    n = n < 128 ? n : 128;
    memcpy(model, name, n);
    model[n] = 0;
    return m;
}

struct embed *
embed_named(struct embedder *e, struct str asked, char model[129])
{
    if (asked.n == 0 || makes(e->embed, e->opt, asked))
        return own_name(e->embed, model);
    if (asked.n > 128)
        return NULL;
    locals_begin(e);
    for (size_t i = 0; i < e->n_locals; i++)
        if (makes(e->local[i], e->opt, asked))
            return own_name(e->local[i], model);
    return embed_provider_of(e->embed)->any_model && server_has(e, asked, model) ? e->embed : NULL;
}

const char *
embed_fault(const struct embed_req *req)
{
    if (req->texts.n == 0)
        return "texts: at least one is needed";
    for (size_t i = 0; i < req->texts.n; i++)
        if (req->texts.v[i].n == 0)
            return "texts: none may be empty";
    if (req->dims < 0 || req->dims > EMBED_MAX_DIMS)
        return "dims: 1 to 4096";
    return NULL;
}

/* The cache may have some of them, which cost nothing: that is not known before. */
void
embed_quote_on_call(struct delivery *c)
{
    const struct embed_req *req = c->req;
    char model[129];
    const struct embed *m = embed_named(worker_ctx(c), req->model, model);
    const struct embed_provider *p = m ? embed_provider_of(m) : NULL;
    struct quote_rep rep = { 0 };

    if (p && p->paid) {
        const struct embedder *e = worker_ctx(c);
        size_t prefix = p->prefixes ? strlen(embed_prefix(e->opt, model, req->documents)) : 0;

        rep.model = str_of(model);
        for (size_t i = 0; i < req->texts.n; i++)
            rep.tokens_in += (int64_t)(req->texts.v[i].n + prefix) + QUOTE_TEXT;
    }
    worker_reply(c, &rep);
}
