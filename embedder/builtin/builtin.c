/* The built-in models as a row of provider.tbl: what nobody else wants is theirs. */
#include "embedder/builtin/builtin.h"
#include "embedder/provider.h"

static bool
always(const struct embedder_opt *o)
{
    (void)o;
    return true;
}

const struct provider builtin_provider = {
    .name = "builtin",
    .local = true,
    .wants_embed = always,
    .wants_chat = always,
    .embed = embed_builtin_new,
    .chat = chat_builtin_new,
};

/* The same vectors, for EMBEDDING_PROVIDER alone; auto comes to them by builtin's row. */
const struct provider ngram_provider = {
    .name = "ngram",
    .local = true,
    .embed = embed_builtin_new,
};
