/* Spans of the embedder (span.h). */
#include "embedder/span.h"

#include <stdio.h>

struct span *
model_span(const struct chat_run *r, const char *model, struct str body)
{
    struct span *s;
    char name[160];

    snprintf(name, sizeof name, "chat %s", model);
    s = span_child(worker_span(r->call), SPAN_CLIENT, name);
    span_z(s, "gen_ai.operation.name", "chat");
    span_z(s, "gen_ai.provider.name", "openai");
    span_z(s, "gen_ai.request.model", model);
    if (trace_with_content())
        span_str(s, "gen_ai.input.messages", body);
    return s;
}

static struct str
finish_at(const void *r, size_t i)
{
    (void)i;
    return str_of(((const struct chat_run *)r)->finish);
}

void
model_span_end(struct span **s, const struct chat_run *r, enum err e)
{
    if (!*s)
        return;
    if (e == ERR_OK) {
        span_int(*s, "gen_ai.usage.input_tokens", r->prompt_tokens);
        span_int(*s, "gen_ai.usage.output_tokens", r->completion_tokens);
        span_strs(*s, "gen_ai.response.finish_reasons", 1, finish_at, r);
        if (trace_with_content())
            span_str(*s, "gen_ai.output.messages", buf_slice(&r->answer));
    } else {
        span_error(*s, err_name(e));
    }
    span_end(s);
}

void
chat_span(const struct delivery *c, const struct chat_rep *rep)
{
    struct span *s = worker_span(c);

    span_str(s, "gen_ai.response.model", rep->model);
    span_bool(s, "footnote.refused", rep->refused);
    span_bool(s, "footnote.degraded", rep->degraded);
}

void
embed_span(const struct delivery *c, const struct embed_rep *rep, size_t texts)
{
    struct span *s = worker_span(c);

    span_z(s, "gen_ai.operation.name", "embeddings");
    span_str(s, "gen_ai.request.model", rep->model);
    span_int(s, "gen_ai.usage.input_tokens", rep->tokens);
    span_int(s, "footnote.texts", (int64_t)texts);
    span_int(s, "footnote.texts_cached", rep->cached);
}

void
embed_took(const struct delivery *c, size_t result, int64_t us)
{
    stat_observe_traced(&embedder_stats, EMBED_SECONDS, result, 0, (double)us / 1e6,
                        span_trace_id(worker_span(c)));
}

const char *
span_header(const struct span *s, char out[SPAN_HEADER])
{
    char context[TRACE_CONTEXT];

    span_context(s, context);
    snprintf(out, SPAN_HEADER, "traceparent: %s", context);
    return s ? out : NULL;
}
