/* Parameters of a chat completion (param.h): what models refused, limits of answers, and the most that a question may cost. */
#include "embedder/openai/param.h"

#include <stdio.h>

#include "common/log.h"

#define HALVINGS 5       /* of what one question is sent with */
#define DOUBT_BYTES 8192 /* of a prompt; real tokens have three to five bytes */
#define DOUBT_SHARE 8
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

/* ---- refusals */

static const struct {
    const char *name;
    unsigned bit;
} optional[] = {
    { "stream_options", DROP_USAGE },
    { "temperature", DROP_TEMPERATURE },
    { "max_tokens", DROP_MAX_TOKENS },
    { "max_completion_tokens", DROP_LIMIT },
    { "stream", DROP_STREAM },
    { "streaming", DROP_STREAM },
    /* the system message, as servers and the templates of models speak of it */
    { "system role", DROP_SYSTEM },
    { "role system", DROP_SYSTEM },
    { "role: system", DROP_SYSTEM },
    { "support system", DROP_SYSTEM },
    { "system message", DROP_SYSTEM },
    { "system messages", DROP_SYSTEM },
    { "system prompt", DROP_SYSTEM },
    { "system instruction", DROP_SYSTEM },
    { "system instructions", DROP_SYSTEM },
    { "developer instruction", DROP_SYSTEM },
    { "developer instructions", DROP_SYSTEM },
    { "messages[0].role", DROP_SYSTEM },
    { "messages.0.role", DROP_SYSTEM },
    { "messages\nrole", DROP_SYSTEM }, /* a place that is a list */
    { "should be user or assistant", DROP_SYSTEM },
    { "roles must alternate", DROP_SYSTEM },
    { "user and assistant roles", DROP_SYSTEM },
};
#define OPTIONALS (sizeof optional / sizeof *optional)
#define MAX_TOKENS_ROW 2

bool
chat_gave_up(const struct chat_terms *t)
{
    return t->tries == HALVINGS;
}

/* The parameter that was sent and is meant, as its row above; -1: none. A failure of the server may be one of its template, which is
 * about roles. */
static int
blamed(const struct chat_terms *t, const struct upstream_end *end)
{
    const char *names[OPTIONALS];
    int which[OPTIONALS], k;
    size_t n = 0;

    for (size_t i = 0; i < OPTIONALS; i++) {
        if ((t->without & optional[i].bit) || (end->status == 500 && optional[i].bit != DROP_SYSTEM))
            continue;
        names[n] = optional[i].name;
        which[n++] = (int)i;
    }
    k = upstream_blames(end->body, names, n);
    return k < 0 ? -1 : which[k];
}

/* Smaller, for this call only: the answer's limit first, then the passages. A limit that is named alone is halved alone. */
static bool
ask_less(struct chat_terms *t, bool limit, const char *model, const char *trace,
         const struct upstream_end *end)
{
    bool both = limit && t->shorter > 0 && upstream_about_prompt(end->body);

    if (chat_gave_up(t))
        return false;
    LOG(INFO, trace, M("too large for the model; asking again for less"), KS("model", model),
        KI("tries", t->tries));
    t->tries++;
    if (limit || t->shorter == 0)
        t->shorter++;
    else
        t->less++;
    t->less += both;
    return true;
}

static bool
is_large(const struct upstream_end *end)
{
    switch (end->status) {
    case 413: return true;
    case 429: return upstream_asks_less(end->body);
    case 500: return upstream_too_long(end->body);
    default: return upstream_too_large(end->body);
    }
}

bool
chat_adapt(struct chat_terms *t, const char *model, const char *trace, const struct upstream_end *end)
{
    bool refused = end->status == 400 || end->status == 413 || end->status == 422 || end->status == 500;
    int i = refused ? blamed(t, end) : -1;
    bool limit = i >= 0 && (optional[i].bit & (DROP_MAX_TOKENS | DROP_LIMIT)) != 0;

    if (!refused && end->status != 429)
        return false;
    if ((i < 0 || limit) && is_large(end))
        return ask_less(t, limit, model, trace, end);
    if (i >= 0 && optional[i].bit == DROP_LIMIT && !(t->without & DROP_MAX_TOKENS))
        i = MAX_TOKENS_ROW; /* not sent: the name stands there as the advice to use it */
    if (i < 0)
        return false;
    *chat_refused_by(model) |= optional[i].bit;
    LOG(INFO, trace, M("the model server does not take a parameter; going on without"), KS("model", model),
        KS("parameter", optional[i].name));
    return true;
}

int64_t
chat_limit(const struct embedder_opt *opt, int halved, const json_t *asked)
{
    int64_t limit = opt->max_output_tokens >> halved, wish = json_int(asked, "max_tokens", limit);

    limit = wish < limit ? wish : limit;
    return limit < LEAST_LIMIT ? LEAST_LIMIT : limit;
}

void
chat_check_count(const char *model, const char *trace, int64_t bytes, int64_t tokens)
{
    static struct log_gate gate;

    if (tokens > 0 && bytes >= DOUBT_BYTES && bytes / tokens >= DOUBT_SHARE && log_gate(&gate))
        LOG(WARN, trace,
            M("the model server seems to cut prompts: it counts far fewer tokens than were sent; give it a larger context"),
            KS("model", model), KI("prompt_bytes", bytes), KI("prompt_tokens", tokens));
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
