/* The services' words of themselves on their internal ports (METRICS_PORT), as gauge.tbl judges it. The ports are for the
 * machine that runs them: nobody else reaches them. */
#include "client/admin/admin.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/text/text.h"

#define PAGE_MAX ((size_t)8 << 20)
#define AHEAD_S 5 /* a process that began later than now has another clock */

enum side { ABOVE, BELOW };

static const struct gauge {
    const char *metric;
    enum side side;
    double bound;
    enum grade grade;
    const char *finding, *advice;
} gauges[] = {
#define GAUGE(metric, side, bound, grade, finding, advice) \
    { metric, side, bound, GRADE_##grade, finding, advice },
#include "client/admin/gauge.tbl"
#undef GAUGE
};

struct series {
    struct str name, labels; /* labels: between the braces; absent: none */
    double value;
};

/* One line of the text format. False: it is none, or a comment. */
static bool
read_series(struct str line, struct series *s)
{
    size_t n = 0;
    char value[64];
    const char *brace;
    struct str rest;

    while (n < line.n && line.p[n] != '{' && line.p[n] != ' ')
        n++;
    if (n == 0 || n == line.n || line.p[0] == '#')
        return false;
    *s = (struct series){ .name = { line.p, n } };
    rest = (struct str){ line.p + n, line.n - n };
    if (rest.p[0] == '{') {
        if (!(brace = memrchr(rest.p, '}', rest.n)))
            return false;
        s->labels = (struct str){ rest.p + 1, (size_t)(brace - rest.p) - 1 };
        rest = (struct str){ brace + 1, rest.n - (size_t)(brace - rest.p) - 1 };
    }
    rest = text_trim(rest);
    if (rest.n == 0 || rest.n >= sizeof value)
        return false;
    memcpy(value, rest.p, rest.n);
    value[rest.n] = 0;
    s->value = strtod(value, NULL);
    return true;
}

static void
judge(struct doctor *d, const char *from, const struct series *s)
{
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        const struct gauge *g = &gauges[i];

        if (!str_is(s->name, g->metric) || !(g->side == ABOVE ? s->value > g->bound : s->value < g->bound))
            continue;
        doctor_found(d, g->grade, "metrics", g->advice, "%s: %s (%s%s" STR_FMT "%s %g)", from, g->finding,
                     g->metric, s->labels.n > 0 ? "{" : "", STR_ARG(s->labels), s->labels.n > 0 ? "}" : "",
                     s->value);
    }
}

/* version="1.2.0" of footnote_build_info. */
static struct str
label_of(struct str labels, const char *name)
{
    const char *at = labels.n > 0 ? memmem(labels.p, labels.n, name, strlen(name)) : NULL, *end;

    if (!at)
        return STR_NONE;
    at += strlen(name);
    end = memchr(at, '"', labels.n - (size_t)(at - labels.p));
    return end ? (struct str){ at, (size_t)(end - at) } : STR_NONE;
}

struct files { /* of a process */
    double open, max;
};

static void
check_process(struct doctor *d, const char *from, const struct series *s, struct files *files)
{
    struct str version = label_of(s->labels, "version=\"");
    double ahead = s->value - (double)clock_wall_ms() / 1000;

    if (str_is(s->name, "footnote_build_info") && version.n > 0 && d->version[0] &&
        !str_is(version, d->version))
        doctor_found(d, GRADE_WARN, "metrics", "install one release everywhere, and restart what is older",
                     "%s is version " STR_FMT ", the gateway is %s", from, STR_ARG(version), d->version);
    if (str_is(s->name, "process_start_time_seconds") && ahead > AHEAD_S)
        doctor_found(d, GRADE_WARN, "clock", "set the clocks of all machines by NTP",
                     "%s says that it started %.0f s from now: its clock is ahead of this machine's", from,
                     ahead);
    if (str_is(s->name, "process_open_fds"))
        files->open = s->value;
    if (str_is(s->name, "process_max_fds"))
        files->max = s->value;
}

static size_t
said(const struct doctor *d)
{
    return d->n[GRADE_OK] + d->n[GRADE_NOTE] + d->n[GRADE_WARN] + d->n[GRADE_FAIL];
}

void
gauge_page(struct doctor *d, const char *from, struct str page)
{
    size_t before = said(d), seen = 0;
    struct files files = { 0 };

    for (const char *p = page.p, *end = page.p + page.n; p && p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *e = nl ? nl : end;
        struct series s;

        if (read_series((struct str){ p, (size_t)(e - p) }, &s)) {
            seen += str_is(s.name, "footnote_build_info");
            judge(d, from, &s);
            check_process(d, from, &s, &files);
        }
        p = e + 1;
    }
    if (files.max > 0 && files.open > 0.9 * files.max)
        doctor_found(d, GRADE_WARN, "limits", "raise its limit of open files (LimitNOFILE, ulimit -Hn)",
                     "%s has %.0f of %.0f files open", from, files.open, files.max);
    if (seen == 0)
        doctor_found(d, GRADE_FAIL, "metrics", "give the address of a service's METRICS_PORT, host:port",
                     "%s shows no metrics of Footnote", from);
    else if (before == said(d))
        doctor_found(d, GRADE_OK, "metrics", NULL, "%s has nothing to complain of", from);
}

static void
look(struct doctor *d, const char *address)
{
    struct buf url = { 0 };
    CURLcode result;
    struct fetch k;

    buf_printf(&url, "%s%s/metrics", strstr(address, "://") ? "" : "http://", address);
    fetch_open(&k, url.p, PAGE_MAX);
    curl_easy_setopt(k.easy, CURLOPT_TIMEOUT_MS, 10000L);
    result = curl_easy_perform(k.easy);
    fetch_finish(&k);
    if (result != CURLE_OK)
        doctor_found(d, GRADE_FAIL, "metrics", "is the service running, and is this its METRICS_PORT?",
                     "%s: %s", address, k.error[0] ? k.error : curl_easy_strerror(result));
    else if (k.status != 200)
        doctor_found(d, GRADE_FAIL, "metrics", "give the address of a service's METRICS_PORT, host:port",
                     "%s answers HTTP %ld", address, k.status);
    else
        gauge_page(d, address, buf_slice(&k.body));
    fetch_fini(&k);
    buf_free(&url);
}

void
gauge_all(struct doctor *d, const char *addresses)
{
    for (const char *p = addresses; *p;) {
        size_t n = strcspn(p, ",");
        char *address = mem_dup_str((struct str){ p, n });

        if (n > 0)
            look(d, address);
        mem_free(&address);
        p += n + (p[n] == ',');
    }
}
