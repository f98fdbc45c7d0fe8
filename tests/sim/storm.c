/* Many gateways and many workers, each with each: are calls shared out fairly, and how long does it take until all are together
 * again? The hub's core is the real one, behind a wire, a thread that takes time for each message and a door that takes time for
 * each connection; calls come at random. The same seed gives the same run.
 *
 *   hub_storm [--gateways 64] [--workers 1000] [--seed 1] [--seconds 3] [--threads 4] [--capacity 16]
 *             [--wire-us 200] [--frame-us 10] [--handshake-us 300] [--work-us 200000]
 *
 * Stages: calm (70 % of what the workers can do), overload (150 %), one gateway with twenty times the calls of another, then three
 * storms at 70 %: every connection closes; every second worker dies and comes back; every fourth gateway does. A line a bar. */
#include "tests/sim/storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define SECOND 1000000
#define STEP_US 10000

enum { CALM, OVERLOAD, ONE_LARGE, CUT, WORKERS_DIE, GATEWAYS_DIE };
static int short_of;

static void
bar(const char *name, double measured, const char *unit, double limit, bool least)
{
    bool ok = least ? measured >= limit : measured <= limit;

    printf("storm_%s %.3g%s %s%.3g%s %s\n", name, measured, unit, least ? ">=" : "<=", limit, unit,
           ok ? "ok" : "SHORT");
    short_of += !ok;
}

static void
most(const char *name, double measured, const char *unit, double limit)
{
    bar(name, measured, unit, limit, false);
}

/* load: of what all workers can do, evenly over the gateways */
static void
stage_begin(int n, double load, bool lopsided)
{
    double all = (double)s.workers * (double)s.threads * 1e6 / (double)s.cost.work;

    s.at = n;
    s.lopsided = lopsided;
    for (int g = 0; g < s.gateways; g++)
        rate_set(g, load * all / s.gateways);
    for (int w = 0; w < s.workers; w++)
        s.station[w].done = 0;
}

static int
by_size(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

/* The share that only one in `out` exceeds over the one that only one in `out` stays below; sorts them. */
static double
spread(long *part, int n, int out)
{
    qsort(part, (size_t)n, sizeof *part, by_size);
    return part[n / out] > 0 ? (double)part[n - 1 - n / out] / (double)part[n / out] : 1e9;
}

static double
good_share(const struct stage *st, int but)
{
    long made = 0, good = 0;

    for (int g = 0; g < s.gateways; g++)
        if (g != but) {
            made += st->of_hub[g];
            good += st->good_of_hub[g];
        }
    return made ? (double)good / (double)made : 0;
}

static double
small_tenants(const struct stage *st)
{
    long made = 0, good = 0;

    for (int i = 1; i < TENANTS; i++) {
        made += st->of_tenant[i];
        good += st->good_of_tenant[i];
    }
    return made ? (double)good / (double)made : 0;
}

/* Seconds until every worker is registered with every gateway, 60 at most. */
static double
together(void)
{
    int64_t begun = s.now_us;

    while (s.registered < (long)s.gateways * s.workers && s.now_us - begun < 60 * (int64_t)SECOND &&
           !s.broken)
        world_run(STEP_US);
    return (double)(s.now_us - begun) / SECOND;
}

/* Nobody asks any more: what is under way ends, at its deadline at the latest. */
static void
rest(void)
{
    int64_t begun = s.now_us;

    for (int g = 0; g < s.gateways; g++)
        rate_set(g, 0);
    while (s.open > 0 && s.now_us - begun < 15 * (int64_t)SECOND && !s.broken)
        world_run(10 * STEP_US);
}

static void
fairness(int64_t us)
{
    long done[WORKERS_MOST];

    stage_begin(CALM, 0.7, false);
    world_run(us);
    for (int w = 0; w < s.workers; w++)
        done[w] = s.station[w].done;
    most("calm_worker_95th_of_5th", spread(done, s.workers, 20), "x", 1.5);
    stage_begin(OVERLOAD, 1.5, true);
    world_run(us);
    rest();
    most("overload_gateway_most_of_least", spread(s.stage[OVERLOAD].good_of_hub, s.gateways, 1000), "x", 1.2);
    bar("overload_small_tenants_answered", 100 * small_tenants(&s.stage[OVERLOAD]), "%", 99, true);
    stage_begin(ONE_LARGE, 0.4, false);
    rate_set(0, 20 * s.hub[0].rate);
    world_run(us);
    rest();
    bar("one_large_gateway_others_answered", 100 * good_share(&s.stage[ONE_LARGE], 0), "%", 99.9, true);
}

static void
storm(int stage, const char *name, void (*begin)(int), int every, int64_t us)
{
    char line[64];
    long asked = s.refused_ready;

    stage_begin(stage, 0.7, false);
    world_run(SECOND);
    begin(every);
    snprintf(line, sizeof line, "%s_all_together_after", name);
    most(line, together(), "s", 2.5);
    world_run(us);
    rest();
    snprintf(line, sizeof line, "%s_calls_failed", name);
    most(line, (double)s.stage[stage].failed, "", 0);
    printf(
        "#   %s: %ld calls, %ld ended with their gateway, %ld poison; READY without an answer in time: %ld\n",
        name, s.stage[stage].made, s.stage[stage].died, s.stage[stage].poison, s.refused_ready - asked);
}

static void
cut(int every)
{
    (void)every;
    cut_links();
}

static bool
option(const char *name, const char *value)
{
    static const struct {
        const char *name;
        int64_t *to;
    } numbers[] = { { "--wire-us", &s.cost.wire },
                    { "--frame-us", &s.cost.frame },
                    { "--handshake-us", &s.cost.handshake },
                    { "--work-us", &s.cost.work } };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = atoll(value);
            return true;
        }
    if (strcmp(name, "--gateways") == 0)
        s.gateways = atoi(value);
    else if (strcmp(name, "--workers") == 0)
        s.workers = atoi(value);
    else if (strcmp(name, "--threads") == 0)
        s.threads = atol(value);
    else if (strcmp(name, "--capacity") == 0)
        s.capacity = atol(value);
    else
        return false;
    return true;
}

int
main(int argc, char **argv)
{
    uint64_t seed = 1;
    int64_t seconds = 3;

    s.gateways = 64;
    s.workers = 1000;
    s.threads = 4;
    s.capacity = 16;
    s.cost = (struct costs){ .wire = 200, .frame = 10, .handshake = 300, .work = 200000 };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = atoll(argv[i + 1]);
        else if (!option(argv[i], argv[i + 1]))
            return 2;
    }
    if (s.gateways < 1 || s.gateways > GATEWAYS_MAX || s.workers < 1 || s.workers > WORKERS_MOST)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_init("storm", "error", false);
    storm_seed(seed);
    printf("# %d gateways, %d workers of %ld threads that offer %ld, seed %llu\n", s.gateways, s.workers,
           s.threads, s.capacity, (unsigned long long)seed);
    world_start();
    most("start_all_together_after", together(), "s", 2.5);
    fairness(seconds * SECOND);
    storm(CUT, "cut", cut, 0, seconds * SECOND);
    storm(WORKERS_DIE, "workers_die", kill_workers, 2, seconds * SECOND);
    storm(GATEWAYS_DIE, "gateways_die", kill_hubs, 4, seconds * SECOND);
    most("calls_without_an_end", (double)s.open, "", 0);
    most("calls_ended_twice", (double)s.twice, "", 0);
    printf("#   at most %ld calls inside of a worker that offers %ld\n", s.most_inside, s.capacity);
    if (s.broken)
        printf("storm_invariants %s none SHORT\n", s.broken);
    world_stop();
    return short_of || s.broken ? 1 : 0;
}
