/* The statistics of every process about itself; the kernel's numbers are read when somebody
 * asks for /metrics. */
#include "common/process/proc_stat.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/process/descriptors.h"
#include "common/log.h"

/* Makefile: the version is in the file VERSION, the build is the commit. */
#ifndef FOOTNOTE_VERSION
#define FOOTNOTE_VERSION "0"
#define FOOTNOTE_BUILD "unknown"
#endif

const char *const footnote_version = FOOTNOTE_VERSION;
const char *const footnote_build = FOOTNOTE_BUILD;

static const char *const proc_versions[] = { FOOTNOTE_VERSION, NULL };
static const char *const proc_builds[] = { FOOTNOTE_BUILD, NULL };
static const char *const admin_paths[] = { "/metrics", "/healthz", "/readyz", "other", NULL };

static const struct stat_def defs[] = {
#define STAT_TBL "common/process/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

struct stat_set proc_stats;

void
proc_stats_init(void)
{
    stat_register(&proc_stats, defs, sizeof defs / sizeof defs[0]);
    stat_set(&proc_stats, PROC_START, (double)clock_wall_ms() / 1000);
    stat_set(&proc_stats, PROC_BUILD, 1);
}

static double
resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    (void)fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double
open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the directory itself */

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

void
proc_stats_sample(void)
{
    struct rusage u = { 0 };

    (void)getrusage(RUSAGE_SELF, &u);
    stat_set(&proc_stats, PROC_CPU,
             (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    stat_set(&proc_stats, PROC_RSS, resident_bytes());
    stat_set(&proc_stats, PROC_FDS, open_fds());
    stat_set(&proc_stats, PROC_MAX_FDS, (double)descriptors_limit());
    stat_set(&proc_stats, PROC_LOG_DROPPED, (double)log_dropped());
}
