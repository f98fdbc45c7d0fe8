/* The internal port: /metrics, /healthz, /readyz over HTTP/1.1, answered by the process's own loop. For proc.c only. */
#ifndef COMMON_PROCESS_ADMIN_H
#define COMMON_PROCESS_ADMIN_H

#include "common/process/proc.h"

struct admin;
/* Listen on host:port (port 0: any free one). NULL after logging why not. Requests are answered while p->loop runs. */
struct admin *admin_new(struct proc *p, const char *host, long port);
void admin_free(struct admin **a);
int admin_port(const struct admin *a);
/* Ask another process's internal port for path, waiting at most timeout_ms. Returns the status (200, 503 …) with the
 * body in *body, or -1 with the reason in it. Blocks: for --health and --ready, not for loops. */
int admin_ask(const char *host, long port, const char *path, int timeout_ms, struct buf *body);

#endif
