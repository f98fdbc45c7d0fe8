/* Logging: one line a record on stderr, JSON or key=value, never blocking (a line that does not fit the pipe is
 * dropped and counted). Control characters are escaped. Secrets, session ids and bodies are never passed in.
 *
 *   LOG(INFO, trace, M("document ready"), KS("document", id), KI("chunks", n));
 *   {"ts":"…","level":"info","service":"store","request_id":"…","msg":"document ready","document":"…","chunks":12}
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_type { LOG_END, LOG_T_STR, LOG_T_INT, LOG_T_NUM, LOG_T_BOOL };

struct log_kv {
    enum log_type type; /* LOG_END closes the list */
    const char *key;    /* snake_case; "msg" first */
    struct str s;       /* LOG_T_STR */
    int64_t i;          /* LOG_T_INT, LOG_T_BOOL */
    double d;           /* LOG_T_NUM */
};

#define M(text) { LOG_T_STR, "msg", str_of(text), 0, 0 }
#define KS(k, z) { LOG_T_STR, (k), str_of(z), 0, 0 }   /* NUL-terminated string */
#define KN(k, slice) { LOG_T_STR, (k), (slice), 0, 0 } /* struct str */
#define KI(k, v) { LOG_T_INT, (k), STR_NONE, (int64_t)(v), 0 }
#define KF(k, v) { LOG_T_NUM, (k), STR_NONE, 0, (v) }
#define KB(k, v) { LOG_T_BOOL, (k), STR_NONE, (v) ? 1 : 0, 0 }

/* trace: the request id (NUL-terminated) or NULL. The first entry must be M(…). */
#define LOG(lv, trace, ...) \
    do { \
        if (LOG_##lv >= log_threshold()) \
            log_write(LOG_##lv, (trace), \
                      (const struct log_kv[]){ __VA_ARGS__, { LOG_END, "", STR_NONE, 0, 0 } }); \
    } while (0)

void log_init(const char *service, const char *level, bool json);
enum log_level log_threshold(void);
void log_write(enum log_level lv, const char *trace, const struct log_kv *kv);
/* At most one line a second for each call site: static struct log_gate g; if (log_gate(&g)) LOG(…). Thread-safe. */
struct log_gate {
    _Atomic int64_t next_ms;
};
bool log_gate(struct log_gate *g);
/* Lines of this thread name this trace from now on (32 hex digits, which stay); NULL: none. */
void log_trace_id(const char *hex);
uint64_t log_dropped(void);

#endif
