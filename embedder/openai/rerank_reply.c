/* The request to a rerank server, and its reply (rerank.h). */
#include <math.h>

#include "embedder/openai/mend.h"
#include "embedder/openai/rerank.h"

#define QUERY_BYTES 8192
#define ROW_TOKENS 4     /* that a model adds to a pair of question and passage */
#define TEXT_BYTES 16384 /* of a passage: servers cut at some 512 or 8,192 tokens */

void
rerank_body(const struct rerank_form *form, const char *model, const struct rerank_req *req, struct buf *out)
{
    bool documents = form->shape == RERANK_DOCUMENTS;

    buf_c(out, '{');
    if (documents && model[0] != 0)
        buf_key_str(out, "model", str_of(model));
    buf_key_str(out, "query", utf8_cut(req->query, QUERY_BYTES));
    buf_key(out, documents ? "documents" : "texts");
    for (size_t i = 0; i < form->n; i++) {
        buf_c(out, i == 0 ? '[' : ',');
        buf_json(out, utf8_cut(req->texts.v[form->first + i], TEXT_BYTES));
    }
    buf_c(out, ']');
    if (documents && !(form->without & RERANK_NO_TOP))
        buf_key_int(out, "top_n", (int64_t)form->n);
    if (documents && !(form->without & RERANK_NO_RETURN))
        buf_key_bool(out, "return_documents", false);
    if (!documents && !(form->without & RERANK_NO_TRUNCATE))
        buf_key_bool(out, "truncate", true);
    buf_c(out, '}');
}

static const json_t *
ranked(const json_t *root)
{
    static const char *const names[] = { "results", "data" };

    for (size_t i = 0; i < sizeof names / sizeof *names && json_is_object(root); i++)
        if (json_is_array(json_object_get(root, names[i])))
            return json_object_get(root, names[i]);
    return root;
}

static bool
read_row(const json_t *row, size_t n, float *scores, unsigned char *seen)
{
    const json_t *index = json_object_get(row, "index"), *score = json_object_get(row, "relevance_score");
    json_int_t at = json_integer_value(index);

    if (!score)
        score = json_object_get(row, "score");
    if (!json_is_integer(index) || at < 0 || at >= (json_int_t)n || seen[at] || !json_is_number(score) ||
        !isfinite(json_number_value(score)))
        return false;
    seen[at] = 1;
    scores[at] = (float)json_number_value(score);
    return isfinite(scores[at]);
}

int64_t
rerank_most(const struct rerank_req *req)
{
    size_t n = 0, query = utf8_cut(req->query, QUERY_BYTES).n;

    for (size_t i = 0; i < req->texts.n; i++)
        n += utf8_cut(req->texts.v[i], TEXT_BYTES).n + query + ROW_TOKENS;
    return (int64_t)n;
}

static int64_t
tokens_of(const json_t *root)
{
    const json_t *usage = json_object_get(root, "usage");
    int64_t n = json_int(usage, "total_tokens", json_int(usage, "prompt_tokens", 0));

    return n > 0 ? n : 0;
}

bool
rerank_parse(struct str body, size_t n, float *scores, int64_t *tokens)
{
    json_t *root = server_json(body);
    const json_t *rows = ranked(root);
    unsigned char *seen = mem_new(n + 1);
    size_t at;
    json_t *row;
    bool ok = json_is_array(rows) && json_array_size(rows) > 0;

    json_array_foreach ((json_t *)(uintptr_t)rows, at, row)
        ok = ok && read_row(row, n, scores, seen);
    for (size_t i = 0; ok && i < n; i++)
        scores[i] = seen[i] ? scores[i] : NAN;
    *tokens = tokens_of(root);
    mem_free(&seen);
    json_decref(root);
    return ok;
}

void
rerank_shares(float *scores, size_t n)
{
    bool logits = false;

    for (size_t i = 0; i < n; i++)
        logits |= scores[i] < 0 || scores[i] > 1;
    for (size_t i = 0; i < n; i++)
        scores[i] = isnan(scores[i]) ? 0 : logits ? 1 / (1 + expf(-scores[i])) : scores[i];
}
