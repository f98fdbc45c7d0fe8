/* Inside of the traces: spans (span.c), how they are written (otlp.c), how they are sent (export.c, post.c). */
#ifndef COMMON_TRACE_TRACE_INT_H
#define COMMON_TRACE_TRACE_INT_H

#include "common/process/stat.h"
#include "common/trace/trace.h"

enum {
#define STAT_TBL "common/trace/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};
enum trace_outcome { TRACE_SENT, TRACE_DROPPED };
extern struct stat_set trace_stats;

struct span {
    char trace[33], id[17], parent[17]; /* hex; parent "": none */
    enum span_kind kind;
    char name[96];
    int64_t start_ns, end_ns; /* since the epoch; end_ns 0: it goes on */
    char error[64];           /* error.type; "": it did not fail */
    struct buf attributes;    /* JSON objects of OTLP, comma separated */
    struct span *next;
};

/* span.c */
void span_free(struct span **s);
/* export.c: takes an ended span over; drops it when too many wait. */
void export_put(struct span *s);
/* Whether the collector failed a moment ago. The span that its caller does not begin for that is counted as dropped. */
bool export_rests(void);
void export_stats(void); /* registers them; once */
bool export_start(const char *service, const struct opt_set *o);
void export_stop(void);
/* otlp.c: ExportTraceServiceRequest as JSON, of a list of spans. */
void otlp_write(const char *service, const struct span *spans, struct buf *out);
/* post.c: POST of a JSON body; true: the server took it. Bounded by timeout_ms. */
struct post;
struct post *post_new(const char *url, const char *headers, const char **why); /* NULL with why */
bool post_send(struct post *p, struct str body, long timeout_ms); /* blocks; the answer is not read */
void post_free(struct post **p);

#endif
