/* The choice of a search engine: INDEX_ENGINE names a row of engine.tbl. */
#include "retriever/engine.h"

#include "retriever/retriever.h"

static const struct engine_kind *const engines[] = {
#define ENGINE(name) &name##_engine,
#include "retriever/engine.tbl"
#undef ENGINE
};

static const struct engine_kind *
kind_of(const struct retriever_opt *o)
{
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (strcmp(engines[i]->name, o->index_engine) == 0)
            return engines[i];
    return NULL;
}

void
engine_check(const struct retriever_opt *o, struct buf *err)
{
    const struct engine_kind *kind = kind_of(o);

    if (kind && kind->check)
        kind->check(o, err);
    if (strcmp(o->index_fallback, "off") != 0 && strcmp(o->index_fallback, "words") != 0)
        buf_printf(err, "INDEX_FALLBACK: \"%.16s\" is not known; allowed: off, words\n", o->index_fallback);
    else if (kind && !kind->apart && strcmp(o->index_fallback, "off") != 0)
        buf_printf(err, "INDEX_FALLBACK: INDEX_ENGINE=%s has no server of its own that could be away: off\n",
                   kind->name);
    if (kind)
        return;
    buf_printf(err, "INDEX_ENGINE: \"%.100s\" is not known; allowed: ", o->index_engine);
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        buf_printf(err, "%s%s", i ? ", " : "", engines[i]->name);
    buf_c(err, '\n');
}

struct engine *
engine_open(const struct engine_host *h)
{
    return kind_of(h->opt)->open(h);
}

struct engine *
engine_open_fallback(const struct engine_host *h)
{
    return strcmp(h->opt->index_fallback, "words") == 0 ? words_engine.open(h) : NULL;
}

void
engine_close(struct engine **e)
{
    if (*e)
        (*e)->close(*e);
    *e = NULL;
}
