/* Spans as OTLP: the JSON form of ExportTraceServiceRequest, in which ids are hex and 64-bit numbers are texts. */
#include <unistd.h>

#include "common/process/proc.h"
#include "common/text/json.h"
#include "common/trace/trace_int.h"

static void
text_attribute(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    buf_json_z(out, value);
    buf_z(out, "}}");
}

static void
span_write(const struct span *s, struct buf *out)
{
    buf_z(out, "{");
    buf_key_str(out, "traceId", str_of(s->trace));
    buf_key_str(out, "spanId", str_of(s->id));
    if (s->parent[0])
        buf_key_str(out, "parentSpanId", str_of(s->parent));
    buf_key_str(out, "name", str_of(s->name));
    buf_key_int(out, "kind", s->kind);
    buf_printf(out,
               ",\"flags\":1,\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld\",\"attributes\":[",
               (long long)s->start_ns, (long long)(s->end_ns < s->start_ns ? s->start_ns : s->end_ns));
    buf_str(out, buf_slice(&s->attributes));
    if (s->error[0]) {
        if (s->attributes.n > 0)
            buf_c(out, ',');
        text_attribute(out, "error.type", s->error);
    }
    buf_printf(out, "],\"status\":{%s}}", s->error[0] ? "\"code\":2" : "");
}

void
otlp_write(const char *service, const struct span *spans, struct buf *out)
{
    char name[64], host[256] = "unknown", instance[300];

    snprintf(name, sizeof name, "footnote-%s", service);
    (void)gethostname(host, sizeof host - 1);
    snprintf(instance, sizeof instance, "%s:%d", host, (int)getpid());
    buf_z(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    text_attribute(out, "service.name", name);
    buf_c(out, ',');
    text_attribute(out, "service.namespace", "footnote");
    buf_c(out, ',');
    text_attribute(out, "service.version", footnote_version);
    buf_c(out, ',');
    text_attribute(out, "service.instance.id", instance);
    buf_z(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"footnote\"");
    buf_key_str(out, "version", str_of(footnote_version));
    buf_z(out, "},\"spans\":[");
    for (const struct span *s = spans; s; s = s->next) {
        if (s != spans)
            buf_c(out, ',');
        span_write(s, out);
    }
    buf_z(out, "]}]}]}");
}
