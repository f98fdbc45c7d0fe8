/* Parameters of a chat completion (param.h): what models refused, limits of answers, and the most that a question may cost. */
#include "embedder/openai/param.h"

#include <stdio.h>

#define LEAST_LIMIT 16 /* tokens of an answer */
#define QUOTE_SPARE 64 /* tokens that a model adds around all messages */
#define CUT_TOKENS 8   /* an answer is cut at so many times its limit */

#define MODELS_MAX 64
static struct {
    char model[129];
    unsigned without;
} known[MODELS_MAX];
static size_t n_known;

unsigned *
chat_refused_by(const char *model)
{
    for (size_t i = 0; i < n_known; i++)
        if (strcmp(known[i].model, model) == 0)
            return &known[i].without;
    if (n_known == MODELS_MAX)
        n_known = 0; /* all is learned anew: it costs a refused call each */
    memcpy(known[n_known].model, model, strlen(model) + 1);
    known[n_known].without = 0;
    return &known[n_known++].without;
}

int64_t
chat_limit(const struct embedder_opt *opt, int halved, const json_t *asked)
{
    int64_t limit = opt->max_output_tokens >> halved, wish = json_int(asked, "max_tokens", limit);

    limit = wish < limit ? wish : limit;
    return limit < LEAST_LIMIT ? LEAST_LIMIT : limit;
}

/* A token is a byte or more, and what JSON adds to a message is longer than what a model adds. */
void
chat_openai_quote(const struct embedder *e, const struct chat_req *req, struct quote_rep *out)
{
    struct prompt_opt prompt = { .system = e->prompt, .nonce = "000000000000000000000000" };
    struct buf messages = BUF_MAX(4 << 20);
    enum json_fault fault;
    const char *why;
    json_t *asked = req->options.n > 0 ? json_read(req->options, &fault, &why) : NULL;
    char model[129];
    unsigned without;

    (void)snprintf(model, sizeof model, STR_FMT, STR_ARG(out->model));
    without = *chat_refused_by(model);
    prompt.no_system = (without & DROP_SYSTEM) != 0;
    (void)prompt_messages(req, &prompt, &messages); /* what does not fit is refused before it is sent */
    out->tokens_in = (int64_t)(messages.n + req->options.n) + QUOTE_SPARE;
    out->tokens_out = chat_limit(e->opt, 0, asked);
    if ((without & DROP_MAX_TOKENS) && (without & DROP_LIMIT))
        out->tokens_out *= CUT_TOKENS; /* it knows no limit: chat.c cuts it there */
    json_decref(asked);
    buf_free(&messages);
}
