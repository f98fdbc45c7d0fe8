/* The parameter that a refusal complains about. Servers name it in many shapes: error as an object with param
 * and message, or as a string; detail as a string, or as a list of places and messages; a message; plain
 * text. A parameter that stands in a place of its own (param, loc) is what is meant; else the first that the
 * text names. Nothing of it is ever passed on. */
#include <ctype.h>

#include "embedder/openai/mend.h"
#include "embedder/openai/upstream.h"

#define TEXT_MAX_BYTES 8192

struct complaint {
    struct buf place; /* names from param and loc, a line each */
    struct buf text;  /* all that people should read, in lower case and without quotes */
};

static void
add_line(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n && b->n < TEXT_MAX_BYTES; i++)
        if (s.p[i] != 0 && !strchr("'\"`\\", s.p[i]))
            buf_c(b, (char)tolower((unsigned char)s.p[i]));
    buf_c(b, '\n');
}

static void
read_value(struct complaint *c, const char *key, const json_t *v, int depth)
{
    static const char *const places[] = { "param", "loc", "field", "parameter" };
    static const char *const texts[] = { "message", "msg",  "detail",     "error", "details", "errors",
                                         "type",    "code", "error_type", "title", "reason" };
    const json_t *x;
    const char *name;
    size_t i;

    if (json_is_string(v)) {
        struct str s = { json_string_value(v), json_string_length(v) };

        for (i = 0; i < sizeof places / sizeof *places; i++)
            if (strcmp(key, places[i]) == 0)
                add_line(&c->place, s);
        for (i = 0; i < sizeof texts / sizeof *texts; i++)
            if (strcmp(key, texts[i]) == 0)
                add_line(&c->text, s);
        return;
    }
    if (depth == 0)
        return;
    if (json_is_array(v))
        json_array_foreach (v, i, x)
            read_value(c, key, x, depth - 1);
    else if (json_is_object(v))
        json_object_foreach ((json_t *)(uintptr_t)v, name, x) { /* only read */
            if (strcmp(key, "errors") == 0)
                add_line(&c->place, str_of(name));
            read_value(c, name, x, depth - 1);
        }
}

static void
complaint_read(struct str body, struct complaint *c)
{
    json_t *root = server_json(body);

    *c = (struct complaint){ .place = BUF_MAX(TEXT_MAX_BYTES + 1024),
                             .text = BUF_MAX(TEXT_MAX_BYTES + 1024) };
    if (!root)
        add_line(&c->text, body);
    else
        read_value(c, "message", root, 6);
    json_decref(root);
}

static void
complaint_free(struct complaint *c)
{
    buf_free(&c->place);
    buf_free(&c->text);
}

static bool
name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The place where a name stands as a whole word; n: there is none. */
static size_t
find_name(struct str text, const char *name)
{
    size_t n = strlen(name), at = 0;
    const char *hit;

    while (at < text.n && (hit = memmem(text.p + at, text.n - at, name, n)) != NULL) {
        size_t k = (size_t)(hit - text.p);

        if ((k == 0 || !name_byte(text.p[k - 1])) && (k + n >= text.n || !name_byte(text.p[k + n])))
            return k;
        at = k + 1;
    }
    return text.n;
}

/* The first of the names in the text; -1: none. Short ones are everyday words, and count only where a clause complains. */
static int
first_of(struct str text, const char *const *names, size_t n, size_t shortest)
{
    size_t best = text.n;
    int found = -1;

    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(names[i]) >= shortest ? find_name(text, names[i]) : text.n;

        if (at < best) {
            best = at;
            found = (int)i;
        }
    }
    return found;
}

/* Up to a semicolon, a line's end, or a full stop before a blank. */
static size_t
clause_len(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ';' || s.p[i] == '\n' || (s.p[i] == '.' && i + 1 < s.n && s.p[i + 1] == ' '))
            return i + 1;
    return s.n;
}

static bool says(struct str text, const char *const *words, size_t n);

static int
in_clause(struct str text, const char *const *names, size_t n)
{
    static const char *const words[] = {
        "unknown",     "unrecogni",   "unsupported", "unexpected",    "not support",   "not permitted",
        "not allowed", "not recogni", "not accept",  "not available", "not implement", "not enabled",
        "invalid",     "forbidden",   "cannot",      "must",          "should",        "nt support",
        "nt accept",   "nt allow",    "nt recogni",  "deprecated",    "extra input",   "additional propert"
    };

    while (text.n > 0) {
        size_t len = clause_len(text);
        struct str clause = { text.p, len };
        int found = says(clause, words, sizeof words / sizeof *words) ? first_of(clause, names, n, 0) : -1;

        if (found >= 0)
            return found;
        text = (struct str){ text.p + len, text.n - len };
    }
    return -1;
}

#define OWN_NAME 10 /* bytes from which on a name is no everyday word */

static int
named(const struct complaint *c, const char *const *names, size_t n)
{
    int found = first_of(buf_slice(&c->place), names, n, 0);

    if (found < 0)
        found = in_clause(buf_slice(&c->text), names, n);
    return found < 0 ? first_of(buf_slice(&c->text), names, n, OWN_NAME) : found;
}

int
upstream_blames(struct str body, const char *const *names, size_t n)
{
    struct complaint c;
    int found;

    complaint_read(body, &c);
    found = named(&c, names, n);
    complaint_free(&c);
    return found;
}

static bool
says(struct str text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_has(text, words[i]))
            return true;
    return false;
}

#define WORDS(a) (a), sizeof(a) / sizeof *(a)

static bool
text_says(struct str body, const char *const *words, size_t n, const char *const *but, size_t n_but)
{
    struct complaint c;
    bool yes;

    complaint_read(body, &c);
    yes = says(buf_slice(&c.text), words, n) && (n_but == 0 || says(buf_slice(&c.text), but, n_but));
    complaint_free(&c);
    return yes;
}

static const char *const large[] = {
    "context length",
    "context window",
    "context size",
    "context_length",
    "context_size",
    "maximum context",
    "max context",
    "too large",
    "too long",
    "too many tokens",
    "too many input",
    "exceed",
    "larger than",
    "longer than",
    "maximum length",
    "max_new_tokens must be",
    "must have less than",
    "reduce the length",
    "max_total_tokens",
    "string_above_max_length",
    "at most",
    "maximum allowed",
    "should not be larger",
    "less than or equal",
    "tokens per request",
    "tokens_per_request",
    "physical batch size",
    "string_too_long",
    "valid range",
    "supported range",
    "range of",
    "greater than",
    "max_seq_len",
    "maxlength",
    "token limit",
    "context limit",
    "max allowed tokens",
    "lower the number of tokens",
    "must be reduced",
    "a shorter",
};

bool
upstream_too_large(struct str body)
{
    return text_says(body, WORDS(large), NULL, 0);
}

bool
upstream_too_long(struct str body)
{
    static const char *const what[] = { "token", "context", "input", "prompt", "physical batch size" };

    return text_says(body, WORDS(large), WORDS(what));
}

bool
upstream_too_many(struct str body)
{
    static const char *const words[] = { "batch size",
                                         "batch_size",
                                         "batch is too",
                                         "too many inputs",
                                         "too many items",
                                         "input array",
                                         "array too long",
                                         "number of inputs",
                                         "number of texts",
                                         "list should have at most",
                                         "items after validation",
                                         "max_items",
                                         "maxitems",
                                         "maximum number of",
                                         "requests can be in one batch",
                                         "more batches",
                                         "single input",
                                         "inputs per" };
    static const char *const tokens[] = { "physical batch size" };

    return text_says(body, WORDS(words), NULL, 0) && !text_says(body, WORDS(tokens), NULL, 0);
}

bool
upstream_speaks_of_tokens(struct str body)
{
    static const char *const words[] = { "token", "characters", "context" };

    return text_says(body, WORDS(words), NULL, 0);
}

bool
upstream_about_prompt(struct str body)
{
    static const char *const words[] = { "context",     "prompt", "messages",
                                         "input token", "inputs", "input length" };

    return text_says(body, WORDS(words), NULL, 0);
}

bool
upstream_asks_less(struct str body)
{
    static const char *const words[] = { "request too large", "must be reduced", "reduce your message size" };

    return text_says(body, WORDS(words), NULL, 0);
}

bool
upstream_names_model(struct str body)
{
    static const char *const words[] = { "model_not_found", "invalid model",     "unknown model",
                                         "no such model",   "not a valid model", "not exist",
                                         "not found",       "no endpoints found" };
    static const char *const model[] = { "model" };

    return text_says(body, WORDS(words), WORDS(model));
}

bool
upstream_no_money(struct str body)
{
    static const char *const words[] = {
        "insufficient_quota",
        "insufficient quota",
        "insufficient_user_quota",
        "insufficient balance",
        "insufficient_balance",
        "insufficient credit",
        "insufficient funds",
        "insufficient_credit",
        "balance is too low",
        "balance is insufficient",
        "balance is not enough",
        "out of credits",
        "all available credits",
        "spending limit",
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",
        "arrearage",
        "payment required",
        "\xe4\xbd\x99\xe9\xa2\x9d\xe4\xb8\x8d\xe8\xb6\xb3", /* 余额不足 */
    };

    return text_says(body, WORDS(words), NULL, 0);
}

bool
upstream_names_key(struct str body)
{
    static const char *const words[] = { "api key not valid",
                                         "invalid api key",
                                         "incorrect api key",
                                         "api_key_invalid",
                                         "invalid_api_key",
                                         "invalid authentication",
                                         "missing or invalid authorization",
                                         "no api key",
                                         "missing api key",
                                         "authentication error" };

    return text_says(body, WORDS(words), NULL, 0);
}

bool
upstream_filtered(struct str body)
{
    static const char *const words[] = { "content_filter",
                                         "content management policy",
                                         "responsibleaipolicyviolation",
                                         "content_policy_violation",
                                         "content filter",
                                         "input was flagged",
                                         "data_inspection_failed",
                                         "datainspectionfailed",
                                         "inappropriate content",
                                         "considered high risk",
                                         "new_sensitive" };

    return text_says(body, WORDS(words), NULL, 0);
}
