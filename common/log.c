/* Logging: one line a record, formatted on the stack, written with one write(2).
 *
 * A line is at most PIPE_BUF bytes, so that lines of several processes never mix in a pipe; a value that would not fit
 * is cut (the line says cut=true). Nothing blocks: a pipe is opened a second time without blocking (so that
 * others who share our stderr are not changed by it), a socket is sent to without waiting, a file takes every
 * line at once, anything else is asked by poll(2) first. A line that does not fit is dropped and counted
 * (log_lines_dropped_total). */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/utf8.h"

#define MAX_LINE PIPE_BUF
#define TAIL 16 /* kept free for what closes a line */

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static struct {
    char service[32];
    _Atomic int level;
    bool json;
    int fd;      /* where lines go */
    bool own_fd; /* fd is our second opening of stderr */
    bool is_socket;
    bool must_ask;        /* a terminal, a device, a pipe that could not be opened again: poll first */
    pthread_mutex_t lock; /* between poll and write */
    _Atomic uint64_t dropped;
} lg = { .service = "footnote",
         .level = LOG_INFO,
         .fd = STDERR_FILENO,
         .must_ask = true,
         .lock = PTHREAD_MUTEX_INITIALIZER };

struct line {
    char p[MAX_LINE];
    size_t n;
    size_t mark; /* length before the entry that is being written */
    bool full;   /* something did not fit */
};

/* ---- starting */

static void
choose_fd(void)
{
    struct stat st;
    int fd = -1;

    if (lg.own_fd)
        (void)close(lg.fd);
    if (fstat(STDERR_FILENO, &st) != 0)
        st.st_mode = 0;
    lg.is_socket = S_ISSOCK(st.st_mode);
    if (S_ISFIFO(st.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    lg.own_fd = fd >= 0;
    lg.must_ask = !lg.own_fd && !S_ISREG(st.st_mode);
    lg.fd = fd >= 0 ? fd : STDERR_FILENO;
}

void
log_init(const char *service, const char *level, bool json)
{
    (void)snprintf(lg.service, sizeof lg.service, "%s", service);
    lg.json = json;
    atomic_store(&lg.level, LOG_INFO);
    for (int i = 0; i < 4; i++)
        if (level && strcmp(level, level_names[i]) == 0)
            atomic_store(&lg.level, i);
    choose_fd();
}

enum log_level
log_threshold(void)
{
    return (enum log_level)atomic_load_explicit(&lg.level, memory_order_relaxed);
}

uint64_t
log_dropped(void)
{
    return atomic_load_explicit(&lg.dropped, memory_order_relaxed);
}

bool
log_gate(struct log_gate *g)
{
    int64_t now = clock_ms();
    int64_t next = atomic_load_explicit(&g->next_ms, memory_order_relaxed);

    return now >= next && atomic_compare_exchange_strong(&g->next_ms, &next, now + 1000);
}

/* ---- formatting */

static bool
put(struct line *l, const char *p, size_t n)
{
    if (l->full || l->n + n > MAX_LINE - TAIL) {
        l->full = true;
        return false;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
    return true;
}

static void
put_z(struct line *l, const char *z)
{
    (void)put(l, z, strlen(z));
}

/* Length of the valid UTF-8 sequence at s.p; 0 when there is none. */
static size_t
sequence(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return n <= s.n && utf8_valid((struct str){ s.p, n }) ? n : 0;
}

static bool
put_escaped(struct line *l, unsigned code)
{
    char t[8];
    int n = code == '\n'   ? snprintf(t, sizeof t, "\\n")
            : code == '\r' ? snprintf(t, sizeof t, "\\r")
            : code == '\t' ? snprintf(t, sizeof t, "\\t")
                           : snprintf(t, sizeof t, "\\u%04x", code & 0xffffu);

    return put(l, t, (size_t)n);
}

/* One character of s; returns how many bytes it took, 0 when the line is full. */
static size_t
put_char(struct line *l, struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = sequence(s);
    bool ok;

    if (n == 0)
        ok = put(l, "\\ufffd", 6);
    else if (c == '"' || c == '\\')
        ok = put(l, "\\", 1) && put(l, s.p, 1);
    else if (c < 0x20 || c == 0x7f)
        ok = put_escaped(l, c);
    else if (c == 0xc2 && (unsigned char)s.p[1] < 0xa0) /* C1 controls: some terminals obey them */
        ok = put_escaped(l, (unsigned char)s.p[1]);
    else
        ok = put(l, s.p, n);
    if (!ok)
        return 0;
    return n ? n : 1;
}

static void
put_quoted(struct line *l, struct str s)
{
    size_t k;

    if (!put(l, "\"", 1)) {
        l->n = l->mark; /* no key without a value */
        return;
    }
    while (s.n && (k = put_char(l, s)) > 0) {
        s.p += k;
        s.n -= k;
    }
    l->p[l->n++] = '"'; /* TAIL keeps room for it */
}

static bool
is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return s.n > 0;
}

static void
put_key(struct line *l, const char *key)
{
    l->mark = l->n;
    if (lg.json) {
        put_z(l, l->n > 1 ? ",\"" : "\"");
        put_z(l, key);
        put_z(l, "\":");
    } else {
        put_z(l, l->n ? " " : "");
        put_z(l, key);
        put_z(l, "=");
    }
}

static void
put_string(struct line *l, const char *key, struct str s)
{
    bool plain = !lg.json && strcmp(key, "msg") != 0 && is_plain(s) &&
                 l->n + strlen(key) + s.n < MAX_LINE / 2;

    put_key(l, key);
    if (!s.p)
        put_z(l, lg.json ? "null" : "-");
    else if (plain)
        (void)put(l, s.p, s.n);
    else
        put_quoted(l, s);
    if (l->full && (!s.p || plain))
        l->n = l->mark;
}

static void
put_integer(struct line *l, int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char t[24], *end = t + sizeof t, *p = digits_before(end, u);

    if (v < 0)
        *--p = '-';
    (void)put(l, p, (size_t)(end - p));
}

/* v / 1000 as %.9g has it, without its price. */
static void
put_thousandths(struct line *l, int64_t v)
{
    char t[4] = { '.', (char)('0' + v / 100 % 10), (char)('0' + v / 10 % 10), (char)('0' + v % 10) };
    size_t n = sizeof t;

    while (n > 1 && t[n - 1] == '0')
        n--;
    put_integer(l, v / 1000);
    if (n > 1)
        (void)put(l, t, n);
}

static void
put_value(struct line *l, const struct log_kv *e)
{
    char t[32] = "";

    if (e->type == LOG_T_STR) {
        put_string(l, e->key, e->s);
        return;
    }
    put_key(l, e->key);
    if (e->type == LOG_T_INT) {
        put_integer(l, e->i);
    } else if (e->type == LOG_T_BOOL) {
        put_z(l, e->i ? "true" : "false");
    } else if (e->d >= 0 && e->d < 1e6 &&
               (double)llround(e->d * 1000) / 1000 == e->d) { /* milliseconds, mostly */
        put_thousandths(l, llround(e->d * 1000));
    } else if (isfinite(e->d)) {
        (void)snprintf(t, sizeof t, "%.9g", e->d);
        put_z(l, t);
    } else {
        put_z(l, lg.json ? "null" : "-");
    }
    if (l->full)
        l->n = l->mark;
}

static void
begin(struct line *l, enum log_level lv)
{
    char ts[32];

    l->n = 0;
    l->full = false;
    (void)clock_rfc3339(clock_wall_ms(), ts);
    if (lg.json) {
        (void)put(l, "{", 1);
        put_string(l, "ts", str_of(ts));
        put_string(l, "level", str_of(level_names[lv]));
        put_string(l, "service", str_of(lg.service));
        return;
    }
    put_z(l, ts);
    put_z(l, " ");
    put_z(l, level_names[lv]);
    put_z(l, " ");
    put_z(l, lg.service);
}

static void
end(struct line *l)
{
    const char *cut = lg.json ? ",\"cut\":true" : " cut=true";
    size_t n = strlen(cut);

    if (l->full) { /* at most 1 + 11 + 2 bytes of TAIL are in use now */
        memcpy(l->p + l->n, cut, n);
        l->n += n;
    }
    if (lg.json)
        l->p[l->n++] = '}';
    l->p[l->n++] = '\n';
}

/* ---- writing */

static ssize_t
write_whole(const struct line *l)
{
    ssize_t k;

    do {
        k = write(lg.fd, l->p, l->n);
    } while (k < 0 && errno == EINTR);
    return k;
}

/* Two threads must not both be told that there is room for one line. */
static ssize_t
ask_and_write(const struct line *l)
{
    struct pollfd pf = { .fd = lg.fd, .events = POLLOUT, .revents = 0 };
    ssize_t k = -1;

    (void)pthread_mutex_lock(&lg.lock);
    if (poll(&pf, 1, 0) == 1 && (pf.revents & POLLOUT))
        k = write_whole(l);
    (void)pthread_mutex_unlock(&lg.lock);
    return k;
}

static void
send_line(const struct line *l)
{
    ssize_t k = lg.is_socket  ? send(lg.fd, l->p, l->n, MSG_DONTWAIT | MSG_NOSIGNAL)
                : lg.must_ask ? ask_and_write(l)
                              : write_whole(l);

    if (k != (ssize_t)l->n)
        (void)atomic_fetch_add_explicit(&lg.dropped, 1, memory_order_relaxed);
}

static _Thread_local const char *trace_id;

void
log_trace_id(const char *hex)
{
    trace_id = hex;
}

void
log_write(enum log_level lv, const char *trace, const struct log_kv *kv)
{
    struct line line, *l = &line; /* not each thread's own: of a gateway's 1,536 threads few ever log */
    int saved = errno;
    bool first = lg.json; /* JSON: request_id stands before msg; text: after it */

    begin(l, lv);
    if (first && trace && *trace)
        put_string(l, "request_id", str_of(trace));
    for (; kv->type != LOG_END; kv++) {
        put_value(l, kv);
        if (!first && trace && *trace)
            put_string(l, "request_id", str_of(trace));
        first = true;
    }
    if (trace_id)
        put_string(l, "trace_id", str_of(trace_id));
    end(l);
    send_line(l);
    errno = saved;
}
