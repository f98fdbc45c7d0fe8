/* A model server's replies that come whole: embeddings, errors, complaints, how long to wait; and vectors
 * as the cache keeps them.
 * Properties: vectors that are taken are as many as were asked for, of one length, finite, of unit length; a
 * refusal says why and keeps nothing; a time to wait is a day at most; an error's code has no byte that a log could mistake; a cached vector
 * that is decoded lies within its value. */
#include <math.h>

#include "embedder/openai/embed.h"
#include "embedder/openai/mend.h"
#include "embedder/openai/upstream.h"
#include "tests/fuzz/fuzz.h"

static void
judge_vectors(struct str body, size_t n, int64_t dims)
{
    struct embed_task t = { .n = n, .dims = dims };

    if (embed_reply_parse(body, &t)) {
        require(t.vectors && t.out_dims > 0 && t.out_dims <= EMBED_MAX_DIMS && t.tokens >= 0);
        require(dims == 0 || t.out_dims == (size_t)dims);
        for (size_t i = 0; i < n; i++) {
            double sum = 0;

            for (size_t k = 0; k < t.out_dims; k++)
                sum += (double)t.vectors[i * t.out_dims + k] * (double)t.vectors[i * t.out_dims + k];
            require(isfinite(sum) && fabs(sum - 1) < 1e-3);
        }
        mem_free(&t.vectors);
    } else {
        require(!t.vectors && t.err != ERR_OK && t.text);
    }
}

static void
judge_errors(struct str body)
{
    json_t *root = server_json(body);
    struct upstream_told told;
    int64_t ms = upstream_wait_in(ERR_UPSTREAM, body);

    require(ms >= 0 && ms <= 86400000);
    if (upstream_told(root, &told))
        require(told.status == 0 || (told.status >= 400 && told.status <= 599));
    json_decref(root);
}

static void
judge_value(struct str value)
{
    uint8_t sha[32] = { 0 };
    struct embed_found found = { .floats = NULL };

    if (value.n >= EMBED_VALUE_HEAD)
        memcpy(sha, value.p + 8, sizeof sha);
    if (embed_value_decode(value, sha, 0, &found) == VALUE_OK)
        require(found.dims > 0 && inside((struct str){ found.floats, 4 * found.dims }, value) &&
                found.tokens >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = { "stream_options", "temperature", "max_tokens", "dimensions",
                                         "encoding_format" };
    struct str in = { (const char *)data, n }, body;
    uint8_t how = take_byte(&in);
    char *memory = exact(in);
    struct upstream_fault f;
    int which;

    body = (struct str){ memory, in.n };
    judge_vectors(body, 1 + how % 4, how & 16 ? 3 : 0);
    judge_value(body);
    judge_errors(body);
    f = upstream_map(how & 32 ? 429 : how & 64 ? 400 : 500, body);
    require(f.err != ERR_OK && f.text &&
            strspn(f.code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
                strlen(f.code));
    which = upstream_blames(body, names, 5);
    require(which >= -1 && which < 5);
    (void)upstream_too_large(body);
    (void)upstream_too_many(body);
    require(upstream_wait_ms(body) >= -1);
    mem_free(&memory);
    return 0;
}
