/* Spans: which traces are kept, what a span is told, and who its parent is. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/text/json.h"
#include "common/text/text.h"
#include "common/trace/trace_int.h"
#include "common/utf8.h"

#define TEXT_MAX 10000
#define ATTRIBUTES_MAX (256u << 10) /* of one span */
#define ROOM (6 * TEXT_MAX + 1024)  /* for one attribute, whatever is escaped */

static struct {
    bool on, content;
    uint64_t keep; /* a trace is kept when the last 63 bits of its id are below */
} trace;

static _Thread_local const struct span *current;

void
trace_check(const struct opt_set *o, struct buf *err)
{
    const char *url = opt_find_str(o, "OTEL_EXPORTER_OTLP_ENDPOINT"),
               *h = opt_find_str(o, "OTEL_EXPORTER_OTLP_HEADERS");

    if (url && *url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        buf_z(err, "OTEL_EXPORTER_OTLP_ENDPOINT: must be http(s)://host:port, without /v1/traces\n");
    for (const char *p = h ? h : ""; *p; p += strcspn(p, ","), p += *p == ',')
        if (!memchr(p, '=', strcspn(p, ",")) || *p == '=' || p[strcspn(p, ",\r\n")] == '\r' ||
            p[strcspn(p, ",\r\n")] == '\n') {
            buf_z(err, "OTEL_EXPORTER_OTLP_HEADERS: each must be name=value\n");
            break;
        }
}

void
trace_start(const char *service, const struct opt_set *o)
{
    const char *url = opt_find_str(o, "OTEL_EXPORTER_OTLP_ENDPOINT");
    double ratio = opt_find_num(o, "OTEL_TRACES_SAMPLER_ARG", 1);

    export_stats();
    trace.keep = ratio >= 1 ? UINT64_MAX : (uint64_t)(ratio * 0x1p63);
    trace.content = opt_find_int(o, "OTEL_CAPTURE_CONTENT") == 1;
    trace.on = url && *url && export_start(service, o);
    stat_keep_exemplars(trace.on);
}

void
trace_stop(void)
{
    if (trace.on)
        export_stop();
    trace.on = false;
}

bool
trace_with_content(void)
{
    return trace.on && trace.content;
}

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* All services decide alike, by the id alone. */
static bool
kept(const char id[33])
{
    char last[17];

    memcpy(last, id + 16, 17);
    return trace.keep == UINT64_MAX || (strtoull(last, NULL, 16) & INT64_MAX) < trace.keep;
}

static struct span *
span_new(const char *trace_id, const char *parent, enum span_kind kind, const char *name)
{
    struct span *s = mem_new(sizeof *s);

    hex_random(8, s->id);
    memcpy(s->trace, trace_id, 32);
    memcpy(s->parent, parent, strlen(parent) + 1);
    s->kind = kind;
    s->attributes = BUF_MAX(ATTRIBUTES_MAX);
    span_name(s, name);
    s->start_ns = now_ns();
    return s;
}

void
span_free(struct span **sp)
{
    if (!*sp)
        return;
    buf_free(&(*sp)->attributes);
    mem_free(sp);
}

struct span *
span_root(const char *traceparent, const char *name)
{
    char id[33] = "", parent[17] = "";

    if (!trace.on)
        return NULL;
    if (traceparent) {
        memcpy(id, traceparent + 3, 32);
        memcpy(parent, traceparent + 36, 16);
    } else {
        hex_random(16, id);
    }
    return kept(id) && !export_rests() ? span_new(id, parent, SPAN_SERVER, name) : NULL;
}

struct span *
span_child(const struct span *parent, enum span_kind kind, const char *name)
{
    return parent ? span_new(parent->trace, parent->id, kind, name) : NULL;
}

struct span *
span_remote(struct str context, const char *name)
{
    char id[33] = "", parent[17] = "";

    if (!trace.on || context.n != TRACE_CONTEXT - 1 || memcmp(context.p, "00-", 3) != 0 ||
        context.p[35] != '-' || context.p[52] != '-')
        return NULL;
    memcpy(id, context.p + 3, 32);
    memcpy(parent, context.p + 36, 16);
    if (strspn(id, "0123456789abcdef") != 32 || strspn(parent, "0123456789abcdef") != 16 || export_rests())
        return NULL;
    return span_new(id, parent, SPAN_SERVER, name);
}

void
span_context(const struct span *s, char out[TRACE_CONTEXT])
{
    out[0] = 0;
    if (s)
        snprintf(out, TRACE_CONTEXT, "00-%.32s-%.16s-01", s->trace, s->id);
}

const char *
span_trace_id(const struct span *s)
{
    return s ? s->trace : NULL;
}

void
span_name(struct span *s, const char *name)
{
    if (s)
        snprintf(s->name, sizeof s->name, "%s", name);
}

/* ---- attributes */

/* {"key":"K","value":{"TYPE":  and then the value, by the caller, who closes it. False: there is no room. */
static bool
attribute(struct span *s, const char *key, const char *type)
{
    if (!s || s->attributes.failed || s->attributes.n + ROOM > ATTRIBUTES_MAX)
        return false;
    if (s->attributes.n > 0)
        buf_c(&s->attributes, ',');
    buf_z(&s->attributes, "{\"key\":");
    buf_json_z(&s->attributes, key);
    buf_printf(&s->attributes, ",\"value\":{\"%s\":", type);
    return true;
}

void
span_str(struct span *s, const char *key, struct str value)
{
    if (!attribute(s, key, "stringValue"))
        return;
    buf_json(&s->attributes, utf8_cut(value, TEXT_MAX));
    buf_z(&s->attributes, "}}");
}

void
span_z(struct span *s, const char *key, const char *value)
{
    if (s && value)
        span_str(s, key, str_of(value));
}

void
span_int(struct span *s, const char *key, int64_t value)
{
    if (attribute(s, key, "intValue"))
        buf_printf(&s->attributes, "\"%lld\"}}", (long long)value);
}

void
span_bool(struct span *s, const char *key, bool value)
{
    if (attribute(s, key, "boolValue"))
        buf_printf(&s->attributes, "%s}}", value ? "true" : "false");
}

void
span_strs(struct span *s, const char *key, size_t n, struct str (*at)(const void *arg, size_t i),
          const void *arg)
{
    if (!attribute(s, key, "arrayValue"))
        return;
    buf_z(&s->attributes, "{\"values\":[");
    for (size_t i = 0; i < n && i < 64; i++) {
        buf_z(&s->attributes, i ? ",{\"stringValue\":" : "{\"stringValue\":");
        buf_json(&s->attributes, utf8_cut(at(arg, i), 128));
        buf_c(&s->attributes, '}');
    }
    buf_z(&s->attributes, "]}}}");
}

void
span_nums(struct span *s, const char *key, size_t n, double (*at)(const void *arg, size_t i), const void *arg)
{
    if (!attribute(s, key, "arrayValue"))
        return;
    buf_z(&s->attributes, "{\"values\":[");
    for (size_t i = 0; i < n && i < 64; i++) {
        buf_z(&s->attributes, i ? ",{\"doubleValue\":" : "{\"doubleValue\":");
        buf_json_num(&s->attributes, at(arg, i));
        buf_c(&s->attributes, '}');
    }
    buf_z(&s->attributes, "]}}}");
}

void
span_error(struct span *s, const char *type)
{
    if (s && type)
        snprintf(s->error, sizeof s->error, "%s", type);
}

void
span_stop(struct span *s)
{
    if (s && s->end_ns == 0)
        s->end_ns = now_ns();
}

void
span_end(struct span **sp)
{
    struct span *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    span_stop(s);
    export_put(s);
}

void
trace_use(const struct span *s)
{
    current = s;
}

const struct span *
trace_current(void)
{
    return current;
}
