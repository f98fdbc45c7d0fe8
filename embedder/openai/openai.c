/* A server of OpenAI's dialect as a row of provider.tbl: when it is wanted, what its options may say, and its
 * answers as a provider (chat.c writes them; the vectors' provider is embed.c). */
#include "common/text/check.h"
#include "embedder/openai/param.h"
#include "embedder/openai/upstream.h"
#include "embedder/provider.h"

#define CHATS 1024 /* answers at once */

struct openai_chat {
    struct chat_provider p; /* what others see; impl: where it calls */
    struct embedder *e;
};

static void
sample(struct chat_provider *p)
{
    upstream_sample(p->impl, ROUTE_CHAT);
}

static void
close_chat(struct chat_provider *p)
{
    struct openai_chat *m = (struct openai_chat *)p;
    struct upstream *u = p->impl;

    server_leave(m->e, &u);
    mem_free(&m);
}

static struct chat_provider *
chat_openai_new(struct embedder *e)
{
    struct upstream *u = server_take(e, ROUTE_CHAT);
    struct openai_chat *m;

    if (!u)
        return NULL;
    m = mem_new(sizeof *m);
    *m = (struct openai_chat){ .p = { .model = e->opt->model,
                                      .capacity = CHATS,
                                      .run = chat_openai_run,
                                      .cancel = chat_openai_cancel,
                                      .quote = chat_openai_quote,
                                      .sample = sample,
                                      .close = close_chat,
                                      .impl = u },
                               .e = e };
    return &m->p;
}

/* ---- its options */

static void
check_key(const char *key, const char *name, struct buf *err)
{
    for (; *key != 0; key++)
        if (*key <= ' ' || *key > '~') {
            buf_printf(err, "%s: holds characters that no key has\n", name);
            return;
        }
}

static void
check_header(const char *name, struct buf *err)
{
    for (const char *c = name; *c != 0; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' ||
              *c == '_')) {
            buf_z(err, "OPENAI_API_KEY_HEADER: the name of a header, such as api-key\n");
            return;
        }
}

/* Azure answers 404 to a deployment without it. */
static void
check_azure(const char *name, const char *url, struct buf *err)
{
    if (strstr(url, ".azure.com/") && strstr(url, "/deployments/") && !strstr(url, "api-version="))
        buf_printf(err, "%s: a deployment of Azure needs ?api-version=... at the end\n", name);
}

static bool
wants_chat(const struct embedder_opt *o)
{
    return o->api_key[0] != 0 || o->base_url[0] != 0;
}

static bool
wants_embed(const struct embedder_opt *o)
{
    return wants_chat(o) || o->embedding_base_url[0] != 0;
}

static void
check(const struct embedder_opt *o, struct buf *err)
{
    if ((strcmp(o->embedding_provider, "openai") == 0 && !wants_embed(o)) ||
        (strcmp(o->chat_provider, "openai") == 0 && !wants_chat(o)))
        buf_z(err, "OPENAI_API_KEY or OPENAI_BASE_URL: one is needed for provider openai\n");
    check_web_url("OPENAI_BASE_URL", o->base_url, err);
    check_web_url("OPENAI_EMBEDDING_BASE_URL", o->embedding_base_url, err);
    check_azure("OPENAI_BASE_URL", o->base_url, err);
    check_azure("OPENAI_EMBEDDING_BASE_URL", o->embedding_base_url, err);
    check_header(o->key_header, err);
    check_key(o->api_key, "OPENAI_API_KEY", err);
    check_key(o->embedding_api_key, "OPENAI_EMBEDDING_API_KEY", err);
    check_web_url("RERANK_URL", o->rerank_url, err);
    check_key(o->rerank_key, "RERANK_API_KEY", err);
    if (strchr(o->embedding_model, ' ') || strchr(o->model, ' '))
        buf_z(err, "OPENAI_MODEL, OPENAI_EMBEDDING_MODEL: a name without spaces\n");
}

const struct provider openai_provider = {
    .name = "openai",
    .check = check,
    .wants_embed = wants_embed,
    .wants_chat = wants_chat,
    .embed = embed_openai_new,
    .chat = chat_openai_new,
};
