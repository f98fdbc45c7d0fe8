/* The built-in embedding for retrieval_eval. A file of its own, linked apart, because the embedder and the retriever both
 * have something called words. */
#include <string.h>

#include "embedder/embedder.h"

void eval_embed(const char *p, size_t n, float *out, size_t dims);

void
eval_embed(const char *p, size_t n, float *out, size_t dims)
{
    struct words *w = words_new();

    memset(out, 0, dims * sizeof(*out));
    builtin_embed(w, (struct str){ p, n }, out, dims);
    words_free(&w);
}
