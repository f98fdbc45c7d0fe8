/* The internal port: /metrics, /healthz, /readyz over HTTP/1.1, answered by the process's own loop. For proc.c only. */
#ifndef COMMON_ADMIN_H
#define COMMON_ADMIN_H

#include "common/process/proc.h"
#include "common/process/stat.h"

enum {
#define STAT_TBL "common/process/stat.tbl"
#include "common/process/stat_enum.h"
#undef STAT_TBL
};

extern struct stat_set proc_stats;
void proc_stats_init(void);      /* register; once, at start */
void proc_stats_sample(void);    /* read what the kernel counts; before a scrape */

struct admin;
/* Listen on host:port (port 0: any free one). NULL after logging why not. Requests are answered while p->loop runs. */
struct admin *admin_new(struct proc *p, const char *host, long port);
void admin_free(struct admin **a);
int admin_port(const struct admin *a);
/* Ask another process's internal port for path, waiting at most timeout_ms. Returns the status (200, 503 …) with the
 * body in *body, or -1 with the reason in it. Blocks: for --health and --ready, not for loops. */
int admin_ask(const char *host, long port, const char *path, int timeout_ms, struct buf *body);

#endif
