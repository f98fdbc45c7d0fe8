/* Statistics: every module declares its own table once (stat.tbl); /metrics, names and storage derive from it.
 * Names get the prefix footnote_ (but process_…, which every Prometheus client names alike). Durations are seconds:
 * histograms have buckets from 0.000025 to 60 s. Rows of one name, also in several sets, form one family.
 * Thread-safe, lock-free (relaxed atomics).
 *
 *   // store/stat.tbl
 *   STAT0(COUNTER, STORE_ROLLBACKS, "store_rollbacks_total", "Transactions rolled back.")
 *   STAT1(HISTOGRAM, STORE_QUERY, "store_query_seconds", "statement", sql_names, "Time per statement.")
 *   // the module's header has the enum, its stat.c or main.c the rows: see "Use" below
 */
#ifndef COMMON_PROCESS_STAT_H
#define COMMON_PROCESS_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

enum stat_kind { COUNTER, GAUGE, HISTOGRAM, FINE }; /* FINE: a counter of fractions, added to in billionths */

struct stat_def {
    enum stat_kind kind;
    const char *name;             /* without the prefix */
    const char *label[2];         /* label names; NULL: none */
    const char *const *values[2]; /* NULL-terminated closed list of label values; NULL: none */
    const char *help;
};

struct stat_set {
    const struct stat_def *defs; /* the rows */
    size_t n;                    /* how many */
    void *cells;                 /* storage, made by stat_register */
    size_t *at;                  /* first cell of each row */
    struct stat_set *next;       /* list of all registered sets */
};

/* Use, in one .c file and its header:
 *   enum {
 *   #include "common/process/stat_enum.h"
 *   };
 *   static const struct stat_def defs[] = {
 *   #include "common/process/stat_rows.h"
 *   };
 * where the including file defines STAT_TBL as the quoted table name, e.g. #define STAT_TBL "store/stat.tbl". */

/* Allocate storage and add to /metrics. Call once, at start, before threads exist. */
void stat_register(struct stat_set *s, const struct stat_def *defs, size_t n);
/* i and j index the label values of the row (0 where the row has none). Of a FINE row n is in billionths. */
void stat_add_at(struct stat_set *s, int id, size_t i, size_t j, uint64_t n);
/* Of a counter this sets a base that additions come on top of: for counts that are kept elsewhere. */
void stat_set_at(struct stat_set *s, int id, size_t i, size_t j, double v);
/* trace: of the trace that is kept and that this belongs to (32 hex digits), NULL: of none. With stat_keep_exemplars it becomes the
 * exemplar of the bucket: the newest one stands in OpenMetrics. */
void stat_observe_traced(struct stat_set *s, int id, size_t i, size_t j, double seconds, const char *trace);
static inline void
stat_observe_at(struct stat_set *s, int id, size_t i, size_t j, double seconds)
{
    stat_observe_traced(s, id, i, j, seconds, NULL);
}
static inline void
stat_add(struct stat_set *s, int id, uint64_t n)
{
    stat_add_at(s, id, 0, 0, n);
}
static inline void
stat_inc(struct stat_set *s, int id)
{
    stat_add_at(s, id, 0, 0, 1);
}
static inline void
stat_set(struct stat_set *s, int id, double v)
{
    stat_set_at(s, id, 0, 0, v);
}
static inline void
stat_observe(struct stat_set *s, int id, double seconds)
{
    stat_observe_at(s, id, 0, 0, seconds);
}
/* Value of a counter or gauge; count of a histogram. */
double stat_value(const struct stat_set *s, int id, size_t i, size_t j);
/* The counts of a histogram's buckets, each of its own, added to n; seconds: the last bucket is of what is beyond 60. */
#define STAT_BUCKETS 21
void stat_buckets(const struct stat_set *s, int id, size_t i, size_t j, uint64_t n[STAT_BUCKETS]);
/* The time in seconds that a share q (0 to 1) of so many observations did not exceed, as Prometheus' histogram_quantile
 * reckons it: evenly within a bucket; beyond the last bound: that bound. -1 when there are none. */
double stat_quantile(const uint64_t n[STAT_BUCKETS], double q);
/* Prometheus text format 0.0.4 of all registered sets, appended to out. */
void stat_print(struct buf *out);
/* The same as OpenMetrics 1.0.0, with exemplars. */
void stat_print_openmetrics(struct buf *out);
/* Where traces are on, before threads exist. Without it an observation's trace is nothing. */
void stat_keep_exemplars(bool keep);
bool stat_keeps_exemplars(void);
/* Release all sets (for leak-free exits). */
void stat_fini(void);

#endif
