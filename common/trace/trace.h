/* Traces as OpenTelemetry means them: spans with a W3C context, kept by share, and sent to a collector in the background.
 *
 *   gateway: span_root(traceparent) → its thread's span (trace_use) → hub_call: a child for each call
 *   worker:  span_remote(the context that came with the call) → the handler adds what it knows → the reply ends it
 *
 * Without OTEL_EXPORTER_OTLP_ENDPOINT, for a trace that is not kept, and for some seconds after the collector took none, there is no span:
 * NULL, which every function takes and does nothing with. A span belongs to one thread at a time. Nothing here ever waits for the collector: spans that it
 * does not take are dropped and counted. */
#ifndef COMMON_TRACE_TRACE_H
#define COMMON_TRACE_TRACE_H

#include "common/process/opt.h"
#include "common/str.h"

#define TRACE_CONTEXT 56 /* bytes of "00-TRACE-SPAN-01" with its NUL */

enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 }; /* numbers of OTLP */

struct span;

/* Of the options of common/trace/opt.tbl: one line for each that cannot work. */
void trace_check(const struct opt_set *o, struct buf *err);
/* Once, before other threads exist. service: "gateway". */
void trace_start(const char *service, const struct opt_set *o);
/* Sends what waits, for a second at most, and ends. */
void trace_stop(void);
bool trace_with_content(void); /* OTEL_CAPTURE_CONTENT */

/* The first span here of a trace that a client began (traceparent, which was checked; NULL: it began none). */
struct span *span_root(const char *traceparent, const char *name);
/* A span below another one; NULL without it. */
struct span *span_child(const struct span *parent, enum span_kind kind, const char *name);
/* A span below one of another process; NULL when the context is absent or no context. */
struct span *span_remote(struct str context, const char *name);
/* The context for what is called: W3C's traceparent; "" of NULL. */
void span_context(const struct span *s, char out[TRACE_CONTEXT]);
const char *span_trace_id(const struct span *s); /* 32 hex digits; NULL of NULL */

void span_name(struct span *s, const char *name);
/* Attributes. A key stands once; texts are cut to 10 KB. */
void span_str(struct span *s, const char *key, struct str value);
void span_z(struct span *s, const char *key, const char *value);
void span_int(struct span *s, const char *key, int64_t value);
void span_bool(struct span *s, const char *key, bool value);
/* A list of n values, each told by at(arg, i). */
void span_strs(struct span *s, const char *key, size_t n, struct str (*at)(const void *arg, size_t i),
               const void *arg);
void span_nums(struct span *s, const char *key, size_t n, double (*at)(const void *arg, size_t i),
               const void *arg);
/* It failed: error.type, a short word such as a code. NULL: it did not. */
void span_error(struct span *s, const char *type);
void span_stop(struct span *s); /* its time ends now; the first one counts */
/* Hands it over to be sent, and nulls it. Accepts NULL. */
void span_end(struct span **s);

/* The span under which this thread works; NULL: none. */
void trace_use(const struct span *s);
const struct span *trace_current(void);

#endif
