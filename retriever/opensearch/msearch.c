/* Several searches in one call, and what their answers mean: part of an answer is none. */
#include "retriever/opensearch/msearch.h"

#include "common/log.h"
#include "common/text/json.h"

void
msearch_head(struct buf *body, const char *index)
{
    buf_printf(body, "{\"index\":\"%s\",\"allow_partial_search_results\":false}\n", index);
}

static enum err
judge(const json_t *v, size_t n)
{
    static struct log_gate gate;
    const json_t *answers = json_object_get(v, "responses");

    for (size_t i = 0; i < n; i++) {
        const json_t *one = answers ? json_array_get(answers, i) : v;

        if (json_int(one, "status", 0) == 200 && !json_flag(one, "timed_out", true))
            continue;
        if (log_gate(&gate))
            LOG(WARN, NULL, M("the search cluster could not search"),
                KI("status", json_int(one, "status", 0)),
                KN("reason", json_str(json_object_get(one, "error"), "reason")));
        return ERR_NO_WORKER;
    }
    return ERR_OK;
}

enum err
msearch(struct cluster_conn *x, const struct engine_search *s, const struct buf *body, size_t n, json_t **out)
{
    struct cluster_call c = { .method = "POST",
                              .path = "/_msearch",
                              .body = buf_slice(body),
                              .deadline_ms = s->deadline_ms,
                              .ended = &s->cancelled };
    long status;

    *out = NULL;
    if (body->failed)
        return ERR_INTERNAL;
    enum err err = cluster_ask(x, &c, &status, out);

    if (err == ERR_OK)
        err = judge(*out, n);
    if (err != ERR_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return err;
}
