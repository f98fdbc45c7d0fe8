/* The choice of a provider: EMBEDDING_PROVIDER, CHAT_PROVIDER and CHAT_FALLBACK name a row of provider.tbl.
 * With auto it is the first row that wants the work: one whose options say that somebody means to use it,
 * or the built-in one. */
#include <assert.h>

#include "embedder/provider.h"

static const struct provider *const providers[] = {
#define PROVIDER(name) &name##_provider,
#include "embedder/provider.tbl"
#undef PROVIDER
};

enum work { WORK_EMBED, WORK_CHAT, WORK_FALLBACK };

static bool
can(const struct provider *p, enum work w)
{
    return w == WORK_EMBED ? p->embed != NULL : p->chat != NULL && (w == WORK_CHAT || p->local);
}

static bool
wants(const struct provider *p, enum work w, const struct embedder_opt *o)
{
    bool (*fn)(const struct embedder_opt *) = w == WORK_EMBED ? p->wants_embed : p->wants_chat;

    return can(p, w) && fn && fn(o);
}

static const struct provider *
by_name(const char *name, enum work w)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (can(providers[i], w) && strcmp(providers[i]->name, name) == 0)
            return providers[i];
    return NULL;
}

/* other: the word that names no provider. */
static void
check_name(const char *option, const char *value, const char *other, enum work w, struct buf *err)
{
    if (strcmp(value, other) == 0 || by_name(value, w))
        return;
    buf_printf(err, "%s: \"%.100s\" is not known; allowed: %s", option, value, other);
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (can(providers[i], w))
            buf_printf(err, ", %s", providers[i]->name);
    buf_c(err, '\n');
}

void
provider_check(const struct embedder_opt *o, struct buf *err)
{
    check_name("EMBEDDING_PROVIDER", o->embedding_provider, "auto", WORK_EMBED, err);
    check_name("CHAT_PROVIDER", o->chat_provider, "auto", WORK_CHAT, err);
    check_name("CHAT_FALLBACK", o->chat_fallback, "off", WORK_FALLBACK, err);
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (providers[i]->check)
            providers[i]->check(o, err);
}

static const struct provider *
chosen(const char *name, enum work w, const struct embedder_opt *o)
{
    const struct provider *p = by_name(name, w);

    for (size_t i = 0; !p && i < sizeof providers / sizeof *providers; i++)
        if (wants(providers[i], w, o))
            p = providers[i];
    assert(p != NULL); /* the built-in one wants all */
    return p;
}

const struct provider *
provider_for_embed(const struct embedder_opt *o)
{
    return chosen(o->embedding_provider, WORK_EMBED, o);
}

const struct provider *
provider_local_embed(size_t i)
{
    for (size_t k = 0; k < sizeof providers / sizeof *providers; k++)
        if (providers[k]->local && can(providers[k], WORK_EMBED) && i-- == 0)
            return providers[k];
    return NULL;
}

const struct provider *
provider_for_chat(const struct embedder_opt *o)
{
    return chosen(o->chat_provider, WORK_CHAT, o);
}

const struct provider *
provider_for_fallback(const struct embedder_opt *o)
{
    return by_name(o->chat_fallback, WORK_FALLBACK);
}
