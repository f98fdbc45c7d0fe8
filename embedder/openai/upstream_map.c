/* The meaning of a model server's errors, Retry-After values, and when to ask again. Pure functions; upstream.c does the talking.
 * Error codes: OpenAI, "Error codes" guide; insufficient_quota and billing_hard_limit_reached cannot be mended by waiting. */
#include <ctype.h>
#include <stdlib.h>

#include "common/text/text.h"
#include "embedder/openai/mend.h"
#include "embedder/openai/upstream.h"

#define PROBE_WAIT_MS 250 /* until a probe may have ended */

static void
clean(char *out, size_t cap, struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n && n + 1 < cap; i++)
        if (isalnum((unsigned char)s.p[i]) || strchr("_.-", s.p[i]))
            out[n++] = s.p[i];
    out[n] = 0;
}

static void
read_code(struct str body, struct upstream_fault *f)
{
    json_t *root = server_json(body);
    const json_t *one = json_is_array(root) ? json_array_get(root, 0) : root,
                 *error = json_object_get(one, "error");
    struct str code = json_str(error, "code");

    if (code.n == 0)
        code = json_str(error, "type");
    if (code.n == 0)
        code = json_str(error, "status");
    clean(f->code, sizeof f->code, code);
    json_decref(root);
}

static const struct status_rule {
    long from, to;
    enum err err;
    const char *text;
} rules[] = {
    { 300, 399, ERR_UPSTREAM_REPLY,
      "the model server redirects, which is not followed: its base URL must be the address it redirects to" },
    { 401, 401, ERR_UPSTREAM_REFUSED, "the model server does not accept the key" },
    { 402, 402, ERR_UPSTREAM_QUOTA, "the model account has no quota left" },
    { 403, 403, ERR_UPSTREAM_REFUSED, "the model server forbids the request" },
    { 404, 404, ERR_UPSTREAM_REFUSED, "the model server does not know the model or the route" },
    { 405, 405, ERR_UPSTREAM_REFUSED, "the model server does not know the route" },
    { 408, 408, ERR_UPSTREAM_TIMEOUT, "the model server gave up waiting" },
    { 424, 424, ERR_UPSTREAM,
      "the model server failed" }, /* text-embeddings-inference, Bedrock: its model did */
    { 429, 429, ERR_UPSTREAM_LIMITED, "the model server is limiting requests" },
    { 498, 498, ERR_UPSTREAM_LIMITED, "the model server is limiting requests" }, /* Groq: no capacity */
    { 400, 499, ERR_UPSTREAM_REFUSED, "the model server refused the request" },
    { 501, 501, ERR_UPSTREAM_REFUSED, "the model server does not offer this" },
    { 504, 504, ERR_UPSTREAM_TIMEOUT, "the model server did not answer in time" },
    { 524, 524, ERR_UPSTREAM_TIMEOUT, "the model server did not answer in time" }, /* Cloudflare */
    { 500, 599, ERR_UPSTREAM, "the model server failed" },
};

/* The request is refused for what stands in the body; 401 speaks for itself. */
static bool
is_refusal(long status)
{
    return status == 400 || status == 403 || status == 404 || status == 422;
}

struct upstream_fault
upstream_map(long status, struct str body)
{
    struct upstream_fault f = { .err = ERR_UPSTREAM_REPLY,
                                .text = "the model server sent an unusual status" };

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (status < rules[i].from || status > rules[i].to)
            continue;
        f.err = rules[i].err;
        f.text = rules[i].text;
        break;
    }
    read_code(body, &f);
    if (status == 500 &&
        upstream_too_long(body)) { /* llama.cpp, template engines: what was sent was no good */
        f.err = ERR_UPSTREAM_REFUSED;
        f.text = "the model server refused the request: it is too long for the model";
    }
    if (is_refusal(status) && upstream_names_model(body))
        f.text = "the model server does not know the model";
    if (status == 400 && upstream_names_key(body))
        f.text = "the model server does not accept the key";
    if (is_refusal(status) && upstream_filtered(body))
        f.text = "the model server's content filter refused the request";
    if ((is_refusal(status) || status == 429) && upstream_no_money(body)) {
        f.err = ERR_UPSTREAM_QUOTA;
        f.text = "the model account has no quota left";
    }
    return f;
}

bool
upstream_failed(enum err e)
{
    return e == ERR_UPSTREAM || e == ERR_UPSTREAM_LOST || e == ERR_UPSTREAM_TIMEOUT;
}

enum upstream_outcome
upstream_outcome(enum err e)
{
    switch (e) {
    case ERR_OK: return OUT_OK;
    case ERR_UPSTREAM_REPLY: return OUT_BAD_REPLY;
    case ERR_UPSTREAM_REFUSED: return OUT_REFUSED;
    case ERR_UPSTREAM_LIMITED: return OUT_LIMITED;
    case ERR_UPSTREAM_QUOTA: return OUT_QUOTA;
    case ERR_UPSTREAM_TIMEOUT:
    case ERR_DEADLINE: return OUT_TIMEOUT;
    default: return OUT_ERROR;
    }
}

static int64_t
unit_ms(const char **p)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        { "ms", 1 },
        { "s", 1000 },
        { "m", 60000 },
        { "h", 3600000 },
    };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i].name);

        if (strncmp(*p, units[i].name, n) != 0)
            continue;
        *p += n;
        return units[i].ms;
    }
    return 0;
}

int64_t
upstream_wait_ms(struct str value)
{
    char z[32];
    const char *p = z;
    double total = 0;

    value = text_trim(value);
    if (value.n == 0 || value.n >= sizeof z)
        return -1;
    memcpy(z, value.p, value.n);
    z[value.n] = 0;
    while (*p != 0) {
        char *end;
        double v;
        int64_t unit;

        if (!isdigit((unsigned char)*p))
            return -1;
        v = strtod(p, &end);
        p = end;
        unit = unit_ms(&p);
        if (unit == 0 && (*p != 0 || total > 0))
            return -1;
        total += v * (double)(unit == 0 ? 1000 : unit);
    }
    return total > 86400000.0 ? 86400000 : (int64_t)total;
}

bool
upstream_is_page(struct str body)
{
    return str_starts(text_trim(body), "<");
}

enum err
upstream_may(struct breaker *b, int64_t now_ms, bool *probe, int64_t *wait_ms)
{
    *wait_ms = 0;
    if (breaker_ask(b, now_ms, probe))
        return ERR_OK;
    *wait_ms = b->state == BREAKER_PROBING ? PROBE_WAIT_MS : b->open_until_ms - now_ms;
    return b->held_ms > 0 ? ERR_UPSTREAM_QUOTA : ERR_UPSTREAM;
}
