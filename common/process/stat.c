/* Statistics: rows of numbers declared in tables, printed for Prometheus (text format 0.0.4) and as OpenMetrics 1.0.0.
 *
 *   set ─> rows (struct stat_def) ─> at[row] ─> cells, one block for each combination of label values:
 *       counter   [added up] [base]     printed: their sum; base is set by stat_set for counters kept elsewhere
 *       gauge     [value]
 *       fine      [added up, in billionths]     printed as a counter
 *       histogram [bucket 0] … [bucket N] [sum in ns] [where its exemplars stand, as an address; 0: there are none]
 *
 * Cells are 64-bit atomics, read and written relaxed: a scrape sees each number right, not all at one instant.
 * A set that was not registered counts nothing. Rows of the same name (in one set or several) form one family. */
#include "common/process/stat.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/process/exemplar.h"

static const double bounds[] = { 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                 0.005,    0.01,    0.025,  0.05,    0.1,    0.25,  0.5,
                                 1,        2.5,     5,      10,      25,     60 };
#define N_BOUNDS (sizeof bounds / sizeof bounds[0])
#define SUM_AT (N_BOUNDS + 1)
#define EXEMPLARS_AT (N_BOUNDS + 2)

typedef _Atomic uint64_t cell; /* a count, or the bits of a double */

static struct stat_set *sets; /* all registered, newest last */
static bool exemplars;        /* of observations that belong to a trace */

/* ---- cells */

static size_t
cells_of(enum stat_kind kind)
{
    return kind == COUNTER ? 2 : kind == HISTOGRAM ? N_BOUNDS + 3 : 1;
}

static size_t
label_count(const struct stat_def *d, size_t which)
{
    size_t n = 0;

    if (!d->label[which])
        return 1;
    while (d->values[which][n])
        n++;
    return n;
}

static cell *
cell_at(const struct stat_set *s, int id, size_t i, size_t j)
{
    const struct stat_def *d = &s->defs[id];
    size_t n_j = label_count(d, 1);

    assert(i < label_count(d, 0) && j < n_j);
    return (cell *)s->cells + s->at[id] + (i * n_j + j) * cells_of(d->kind);
}

static double
get_double(const cell *c)
{
    uint64_t bits = atomic_load_explicit(c, memory_order_relaxed);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static void
set_double(cell *c, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    atomic_store_explicit(c, bits, memory_order_relaxed);
}

static void
add(cell *c, uint64_t n)
{
    (void)atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static uint64_t
get(const cell *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

void
stat_register(struct stat_set *s, const struct stat_def *defs, size_t n)
{
    struct stat_set **end = &sets;
    size_t total = 0;

    if (s->cells)
        return;
    s->defs = defs;
    s->n = n;
    s->at = mem_new(n * sizeof *s->at);
    for (size_t k = 0; k < n; k++) {
        s->at[k] = total;
        total += label_count(&defs[k], 0) * label_count(&defs[k], 1) * cells_of(defs[k].kind);
    }
    s->cells = mem_new(total * sizeof(cell));
    s->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = s;
}

static void
free_exemplars(struct stat_set *s)
{
    for (size_t k = 0; k < s->n; k++)
        for (size_t i = 0; s->defs[k].kind == HISTOGRAM && i < label_count(&s->defs[k], 0); i++)
            for (size_t j = 0; j < label_count(&s->defs[k], 1); j++)
                exemplar_free(cell_at(s, (int)k, i, j) + EXEMPLARS_AT);
}

void
stat_fini(void)
{
    exemplars = false;
    while (sets) {
        struct stat_set *s = sets;

        sets = s->next;
        free_exemplars(s);
        mem_free(&s->cells);
        mem_free(&s->at);
        *s = (struct stat_set){ 0 };
    }
}

void
stat_add_at(struct stat_set *s, int id, size_t i, size_t j, uint64_t n)
{
    if (!s->cells)
        return;
    assert(id >= 0 && (size_t)id < s->n && (s->defs[id].kind == COUNTER || s->defs[id].kind == FINE));
    add(cell_at(s, id, i, j), n);
}

void
stat_set_at(struct stat_set *s, int id, size_t i, size_t j, double v)
{
    if (!s->cells)
        return;
    assert(id >= 0 && (size_t)id < s->n && (s->defs[id].kind == COUNTER || s->defs[id].kind == GAUGE));
    set_double(cell_at(s, id, i, j) + (s->defs[id].kind == COUNTER ? 1 : 0), v);
}

void
stat_observe_traced(struct stat_set *s, int id, size_t i, size_t j, double seconds, const char *trace)
{
    cell *c;
    size_t b = 0;

    if (!s->cells)
        return;
    assert(id >= 0 && (size_t)id < s->n && s->defs[id].kind == HISTOGRAM);
    if (!(seconds >= 0)) /* also NaN */
        seconds = 0;
    if (seconds > 1e9)
        seconds = 1e9;
    while (b < N_BOUNDS && seconds > bounds[b])
        b++;
    c = cell_at(s, id, i, j);
    add(c + b, 1);
    add(c + SUM_AT, (uint64_t)(seconds * 1e9 + 0.5));
    if (trace && exemplars)
        exemplar_put(c + EXEMPLARS_AT, N_BOUNDS + 1, b, trace, seconds);
}

void
stat_keep_exemplars(bool keep)
{
    exemplars = keep;
}

bool
stat_keeps_exemplars(void)
{
    return exemplars;
}

static double
cell_value(const cell *c, enum stat_kind kind)
{
    double n = 0;

    if (kind == GAUGE)
        return get_double(c);
    if (kind == COUNTER)
        return (double)get(c) + get_double(c + 1);
    if (kind == FINE)
        return (double)get(c) / 1e9;
    for (size_t b = 0; b <= N_BOUNDS; b++)
        n += (double)get(c + b);
    return n;
}

double
stat_value(const struct stat_set *s, int id, size_t i, size_t j)
{
    if (!s->cells)
        return 0;
    assert(id >= 0 && (size_t)id < s->n);
    return cell_value(cell_at(s, id, i, j), s->defs[id].kind);
}

void
stat_buckets(const struct stat_set *s, int id, size_t i, size_t j, uint64_t n[STAT_BUCKETS])
{
    const cell *c;

    _Static_assert(STAT_BUCKETS == N_BOUNDS + 1, "one bucket a bound, and one beyond");
    if (!s->cells)
        return;
    assert(id >= 0 && (size_t)id < s->n && s->defs[id].kind == HISTOGRAM);
    c = cell_at(s, id, i, j);
    for (size_t b = 0; b <= N_BOUNDS; b++)
        n[b] += get(c + b);
}

double
stat_quantile(const uint64_t n[STAT_BUCKETS], double q)
{
    double all = 0, below = 0, from = 0;

    for (size_t b = 0; b < STAT_BUCKETS; b++)
        all += (double)n[b];
    for (size_t b = 0; b < N_BOUNDS && all > 0; b++) {
        if (n[b] > 0 && below + (double)n[b] >= q * all)
            return from + (bounds[b] - from) * (q * all - below) / (double)n[b];
        below += (double)n[b];
        from = bounds[b];
    }
    return all > 0 ? from : -1;
}

/* ---- printing */

struct form {
    struct buf *out;
    bool open; /* OpenMetrics; else Prometheus' own */
};

/* The names that every Prometheus client gives its process carry no prefix. */
static void
print_name(struct buf *out, struct str name)
{
    if (name.n < 8 || memcmp(name.p, "process_", 8) != 0)
        buf_z(out, "footnote_");
    buf_str(out, name);
}

/* Escape as the format asks: \ and newline, in label values also ". */
static void
print_escaped(struct buf *out, const char *z, bool quote)
{
    for (; *z; z++) {
        if (*z == '\\' || (quote && *z == '"'))
            buf_c(out, '\\');
        if (*z == '\n')
            buf_z(out, "\\n");
        else
            buf_c(out, *z);
    }
}

static void
print_number(struct buf *out, double v)
{
    if (isnan(v))
        buf_z(out, "NaN");
    else if (isinf(v))
        buf_z(out, v > 0 ? "+Inf" : "-Inf");
    else
        buf_printf(out, "%.15g", v);
}

/* name_suffix{labels,le="…"} and a blank; le may be NULL. */
static void
print_series(struct buf *out, const struct stat_def *d, const char *suffix, const size_t at[2],
             const char *le)
{
    const char *sep = "{";

    print_name(out, str_of(d->name));
    buf_z(out, suffix);
    for (size_t k = 0; k < 2; k++) {
        if (!d->label[k])
            continue;
        buf_printf(out, "%s%s=\"", sep, d->label[k]);
        print_escaped(out, d->values[k][at[k]], true);
        buf_c(out, '"');
        sep = ",";
    }
    if (le) {
        buf_printf(out, "%sle=\"%s\"", sep, le);
        sep = ",";
    }
    buf_z(out, *sep == ',' ? "} " : " ");
}

/* A bound as its form wants it: OpenMetrics has whole numbers with their point. */
static void
bound_text(const struct form *f, size_t b, char le[32])
{
    bool whole = f->open && b < N_BOUNDS && bounds[b] >= 1 && bounds[b] == (double)(long)bounds[b];

    (void)snprintf(le, 32, b == N_BOUNDS ? "+Inf" : whole ? "%.1f" : "%g", b < N_BOUNDS ? bounds[b] : 0);
}

static void
print_exemplar(const struct form *f, const cell *c, size_t b)
{
    struct exemplar e;

    if (!f->open || !exemplar_get(c + EXEMPLARS_AT, b, &e))
        return;
    buf_printf(f->out, " # {trace_id=\"%s\"} ", e.trace);
    print_number(f->out, e.seconds);
    buf_printf(f->out, " %" PRId64 ".%03d", e.when_ms / 1000, (int)(e.when_ms % 1000));
}

static void
print_histogram(const struct form *f, const struct stat_def *d, const cell *c, const size_t at[2])
{
    struct buf *out = f->out;
    uint64_t total = 0;
    double sum = (double)get(c + SUM_AT) / 1e9;
    char le[32];

    for (size_t b = 0; b <= N_BOUNDS; b++) {
        total += get(c + b);
        bound_text(f, b, le);
        print_series(out, d, "_bucket", at, le);
        buf_printf(out, "%" PRIu64, total);
        print_exemplar(f, c, b);
        buf_c(out, '\n');
    }
    print_series(out, d, "_sum", at, NULL);
    print_number(out, sum);
    buf_c(out, '\n');
    print_series(out, d, "_count", at, NULL);
    buf_printf(out, "%" PRIu64 "\n", total);
}

static void
print_row(const struct form *f, const struct stat_set *s, size_t id)
{
    const struct stat_def *d = &s->defs[id];
    size_t at[2];

    for (at[0] = 0; at[0] < label_count(d, 0); at[0]++)
        for (at[1] = 0; at[1] < label_count(d, 1); at[1]++) {
            const cell *c = cell_at(s, (int)id, at[0], at[1]);

            if (d->kind == HISTOGRAM) {
                print_histogram(f, d, c, at);
                continue;
            }
            print_series(f->out, d, "", at, NULL);
            print_number(f->out, cell_value(c, d->kind));
            buf_c(f->out, '\n');
        }
}

static bool
is_first_of_family(const struct stat_set *s, size_t id)
{
    for (const struct stat_set *t = sets; t; t = t->next)
        for (size_t k = 0; k < t->n; k++) {
            if (t == s && k == id)
                return true;
            if (strcmp(t->defs[k].name, s->defs[id].name) == 0)
                return false;
        }
    return true;
}

/* OpenMetrics names the family of foo_total foo. */
static void
print_family_name(const struct form *f, const struct stat_def *d)
{
    struct str name = str_of(d->name), total = STR("_total");

    if (f->open && (d->kind == COUNTER || d->kind == FINE) && name.n > total.n &&
        memcmp(name.p + name.n - total.n, total.p, total.n) == 0)
        name.n -= total.n;
    print_name(f->out, name);
}

static void
print_family(const struct form *f, const struct stat_def *d)
{
    static const char *const types[] = { "counter", "gauge", "histogram", "counter" };

    buf_z(f->out, "# HELP ");
    print_family_name(f, d);
    buf_c(f->out, ' ');
    print_escaped(f->out, d->help, f->open);
    buf_z(f->out, "\n# TYPE ");
    print_family_name(f, d);
    buf_printf(f->out, " %s\n", types[d->kind]);
    for (const struct stat_set *t = sets; t; t = t->next)
        for (size_t k = 0; k < t->n; k++)
            if (strcmp(t->defs[k].name, d->name) == 0)
                print_row(f, t, k);
}

static void
print_all(const struct form *f)
{
    for (const struct stat_set *s = sets; s; s = s->next)
        for (size_t id = 0; id < s->n; id++)
            if (is_first_of_family(s, id))
                print_family(f, &s->defs[id]);
}

void
stat_print(struct buf *out)
{
    print_all(&(struct form){ out, false });
}

void
stat_print_openmetrics(struct buf *out)
{
    print_all(&(struct form){ out, true });
    buf_z(out, "# EOF\n");
}
