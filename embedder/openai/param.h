/* Parameters of a chat completion: those that a model does not take, and how long its answer may be. */
#ifndef EMBEDDER_OPENAI_PARAM_H
#define EMBEDDER_OPENAI_PARAM_H

#include "common/text/json.h"
#include "embedder/openai/upstream.h"

enum {
    DROP_USAGE = 1,
    DROP_TEMPERATURE = 2,
    DROP_MAX_TOKENS = 4,
    DROP_LIMIT = 8,
    DROP_STREAM = 16,
    DROP_SYSTEM = 32,
    THINKS_FIRST = 64 /* no parameter: its template opens a thought, so that only the end of it comes */
};

/* The parameters, as DROP_ bits, that this model has refused so far: read and added to. Loop thread only. */
unsigned *chat_refused_by(const char *model);

/* The terms on which one question is sent, call after call. */
struct chat_terms {
    unsigned without; /* DROP_ bits: left out */
    int tries;        /* how often less was asked for */
    int shorter;      /* how often the limit of the answer was halved */
    int less;         /* how often the passages were */
};
/* A refusal that something can be done about: a parameter that this model does not take is left out from now on, or less is asked
 * for, this time. False: there is nothing to do. */
bool chat_adapt(struct chat_terms *t, const char *model, const char *trace, const struct upstream_end *end);
bool chat_gave_up(const struct chat_terms *t); /* less was asked for as often as that is done */
/* Warns of a server that counted far fewer tokens than a prompt of so many bytes can have: it has cut it. */
void chat_check_count(const char *model, const char *trace, int64_t bytes, int64_t tokens);
/* Tokens of an answer: MAX_OUTPUT_TOKENS, halved so often for a small context, or the caller's own limit (options, may be NULL). */
int64_t chat_limit(const struct embedder_opt *opt, int halved, const json_t *asked);
/* The most tokens that this question may cost: a chat_provider's quote. */
void chat_openai_quote(const struct embedder *e, const struct chat_req *req, struct quote_rep *out);

#endif
