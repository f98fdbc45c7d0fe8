/* Spans of the embedder, with OpenTelemetry's names for generative models. No text, unless OTEL_CAPTURE_CONTENT is on. */
#ifndef EMBEDDER_SPAN_H
#define EMBEDDER_SPAN_H

#include "common/trace/trace.h"
#include "embedder/chat.h"

/* One call of a chat model's server, below the CHAT call that it serves; NULL: that one has no span. body: what is sent. */
struct span *model_span(const struct chat_run *r, const char *model, struct str body);
/* Its end, and what it came to. */
void model_span_end(struct span **s, const struct chat_run *r, enum err e);
/* Of an answered CHAT call, and of an answered EMBED call. */
void chat_span(const struct delivery *c, const struct chat_rep *rep);
void embed_span(const struct delivery *c, const struct embed_rep *rep, size_t texts);
/* The time of an EMBED call that ended; result: index of EMBED_SECONDS' label. */
void embed_took(const struct delivery *c, size_t result, int64_t us);

/* "traceparent: …" for a request of the span's server; NULL without a span. */
#define SPAN_HEADER (sizeof "traceparent: " + TRACE_CONTEXT)
const char *span_header(const struct span *s, char out[SPAN_HEADER]);

#endif
