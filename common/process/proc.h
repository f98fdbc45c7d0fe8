/* The skeleton: how every process starts, logs, serves /metrics, /healthz and /readyz on its internal port, runs, and
 * stops. A service declares itself in main.c as a struct service and returns proc_main().
 *
 *   start:    options parsed → log → statistics → internal port → svc->start → loop
 *   SIGTERM:  svc->drain(p); the service calls proc_exit(p) when nothing is left; a second SIGTERM exits within 1 s
 *   SIGHUP:   svc->reload(p)
 *
 * --help --version --check-config (exit 0/1) --health (asks the running process's /healthz, exit 0/1) in every program.
 */
#ifndef COMMON_PROCESS_PROC_H
#define COMMON_PROCESS_PROC_H

#include <stdbool.h>

#include "common/process/loop.h"
#include "common/mem.h"
#include "common/process/opt.h"

struct proc;

struct service {
    const char *name;    /* "store"; the program is footnote-store */
    const char *summary; /* one line for --help */
    const char *manual;  /* a paragraph for --help: what it does, what it needs, how it stops */
    const struct opt_def *opts;
    size_t n_opts;
    size_t opt_size; /* sizeof the option struct */
    /* Cross-field checks after loading; append one line a fault to err. May be NULL. */
    void (*check)(const void *opt, struct buf *err);
    int (*start)(struct proc *p); /* 0, or -1 after logging why */
    /* Is it ready to work? Append the reasons when not (words, comma separated). */
    bool (*ready)(struct proc *p, struct buf *reasons);
    void (*drain)(struct proc *p);
    void (*stop)(struct proc *p);   /* free everything; after the loop ended */
    void (*reload)(struct proc *p); /* may be NULL */
    void (*sample)(struct proc *p); /* set gauges before a scrape; may be NULL */
};

struct proc {
    const struct service *svc;
    struct loop *loop;
    struct opt_set opts;
    void *opt;     /* the service's option struct */
    void *ctx;     /* the service's own state, set by start */
    bool draining; /* SIGTERM seen */
    int exit_code;
};

int proc_main(int argc, char **argv, const struct service *svc);
void proc_exit(struct proc *p, int code); /* end the loop; exit with code */
/* Where name is, seen from the folder of the running program: "footnote-extract", "../share/x". false: it cannot be found
 * out, or there is no room for it. */
bool proc_beside(const char *name, char *out, size_t cap);
extern const char *const footnote_version; /* "0.1.0" */
extern const char *const footnote_build;   /* git revision or "unknown" */

#endif
