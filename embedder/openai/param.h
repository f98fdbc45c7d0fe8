/* Parameters of a chat completion: those that a model does not take, and how long its answer may be. */
#ifndef EMBEDDER_OPENAI_PARAM_H
#define EMBEDDER_OPENAI_PARAM_H

#include "common/text/json.h"
#include "embedder/embedder.h"

enum {
    DROP_USAGE = 1,
    DROP_TEMPERATURE = 2,
    DROP_MAX_TOKENS = 4,
    DROP_LIMIT = 8,
    DROP_STREAM = 16,
    DROP_SYSTEM = 32
};

/* The parameters, as DROP_ bits, that this model has refused so far: read and added to. Loop thread only. */
unsigned *chat_refused_by(const char *model);
/* Tokens of an answer: MAX_OUTPUT_TOKENS, halved so often for a small context, or the caller's own limit (options, may be NULL). */
int64_t chat_limit(const struct embedder_opt *opt, int halved, const json_t *asked);
/* The most tokens that this question may cost: a chat_provider's quote. */
void chat_openai_quote(const struct embedder *e, const struct chat_req *req, struct quote_rep *out);

#endif
