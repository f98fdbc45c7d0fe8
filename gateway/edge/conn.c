/* The guard over client connections. civetweb has no total time for headers, bodies or answers, no cap by address, and lets
 * connections beyond its threads wait without a word; so each connection is in a table, by its descriptor:
 *
 *   enter → IDLE → (first byte) HEADER → (request known) WORK ⇄ BODY, WORK ⇄ WRITE → (answered) IDLE → … → leave → CLOSING
 *
 * guard.c says when one enters and when bytes come, http.c when one leaves. Only what the public port accepted is in the table.
 * conn_place.c decides who comes in and who has to leave for another, conn_watch.c who is too slow: it shuts the reading side
 * of late headers and bodies, and cuts readers off. Refused at accept: over MAX_CONN_PER_ADDR, over 80 % of the descriptors,
 * and, with a 503, when every thread works on a whole request.
 *
 * One lock keeps a descriptor from being reused while it is being cut. No call that can wait for a client is made under it,
 * and none of its loops runs a call of the kernel for each connection at each accept. An answer that its client has not taken
 * when the server closes is held open by a second descriptor, as CLOSING: it has no thread, but a limit. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/descriptors.h"
#include "gateway/edge/conn_int.h"
#include "gateway/edge/pool.h"

/* The bytes that the kernel holds for a client beyond the client's own room. Without this bound, some
 * megabytes of answers to requests that were sent in advance would be made for somebody who reads none. */
#define UNSENT_MAX 65536
#define SLOTS_MAX 65536
#define OWN_DESCRIPTORS 50 /* of the bus, Redis, logs: beside the clients' */

struct guard guard = { .lock = PTHREAD_MUTEX_INITIALIZER };
static _Thread_local int last_fd = -1;
static _Thread_local char
    *head_start; /* where the first read of a connection goes, and so each of its heads */
static _Thread_local size_t head_most; /* bytes behind it to which this connection was ever read */

static struct slot *
slot_of(int fd)
{
    if (fd < 0 || !atomic_load_explicit(&guard.on, memory_order_acquire) || fd >= guard.n_slots)
        return NULL;
    return &guard.slots[fd];
}

static struct slot *
slot_used(int fd)
{
    struct slot *s = slot_of(fd);

    return s && atomic_load_explicit(&s->phase, memory_order_relaxed) != CONN_NONE ? s : NULL;
}

static void
say_busy(int fd)
{
    static const char body[] =
        "{\"type\":\"urn:footnote:error:overloaded\",\"status\":503,\"code\":\"overloaded\"}";
    char text[512];
    int n = snprintf(
        text, sizeof text,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Cache-Control: no-store\r\nRetry-After: 1\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        sizeof body - 1, body);

    if (send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n)
        shutdown(fd, SHUT_WR);
}

static bool
public_port(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;

    return getsockname(fd, (struct sockaddr *)&a, &n) == 0 && a.sin_family == AF_INET &&
           ntohs(a.sin_port) == guard.cfg.port;
}

bool
conn_is_public(int listener)
{
    int known = atomic_load(&guard.listener);

    return atomic_load(&guard.on) && (known > 0 ? listener == known : public_port(listener));
}

/* The kernel gives none for this connection. */
static enum verdict
no_thread(int fd)
{
    pthread_mutex_lock(&guard.lock);
    place_refuse(&guard.slots[fd]);
    pthread_mutex_unlock(&guard.lock);
    return CONN_BUSY;
}

bool
conn_enter(int fd, uint32_t ip, uint16_t port)
{
    static const int unsent_max = UNSENT_MAX;
    enum verdict v;

    pthread_mutex_lock(&guard.lock);
    v = place_take(fd, ip, port);
    pthread_mutex_unlock(&guard.lock);
    if (v == CONN_WELCOME && !pool_has(atomic_load(&guard.count)))
        v = no_thread(fd);
    if (v == CONN_WELCOME)
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof unsent_max);
    else if (v == CONN_BUSY)
        say_busy(fd);
    return v == CONN_WELCOME;
}

/* A descriptor of our own of the same connection, whose client has no room for the rest of its answer; -1: none is needed. */
static int
second_descriptor(int fd, const struct slot *s)
{
    bool stays = conn_unsent(fd) > 0 && atomic_load(&guard.on) && !atomic_load(&s->cut) &&
                 fd < guard.max_fds / 2;
    int copy = stays ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;

    if (copy < guard.n_slots)
        return copy;
    close(copy);
    return -1;
}

/* Under the lock: the watchdog closes the copy when the client has taken the answer, or is too slow. */
static void
begin_closing(int copy, const struct slot *s)
{
    struct slot *c = &guard.slots[copy];

    c->ip = s->ip;
    c->proxy = s->proxy;
    c->addr = NULL;
    c->seen_ms = s->seen_ms;
    c->window_ms = s->window_in ? 0 : s->window_ms; /* the window of its writing goes on */
    c->window_from = s->window_from;
    c->window_to = s->window_to;
    c->window_in = false;
    atomic_store(&c->cut, 0);
    atomic_store(&c->leaving, false);
    atomic_store(&c->since_ms, clock_ms());
    atomic_store(&c->until_ms, 0);
    atomic_store(&c->phase, CONN_CLOSING);
    if (copy > atomic_load(&guard.top))
        atomic_store(&guard.top, copy);
    atomic_fetch_add(&guard.closing, 1);
}

static bool
is_of(int fd, struct in_addr ip, uint16_t port)
{
    const struct slot *s = slot_used(fd);

    return s && atomic_load(&s->phase) != CONN_CLOSING && s->ip == ip.s_addr && s->port == htons(port);
}

/* The connection of that client: as a rule the one that this thread read last. -1: it is not in the table. */
static int
find(const char *ip, uint16_t port)
{
    struct in_addr a;
    int fd = last_fd;

    if (inet_pton(AF_INET, ip, &a) != 1)
        return -1;
    pthread_mutex_lock(&guard.lock);
    if (!is_of(fd, a, port))
        for (fd = atomic_load(&guard.top); fd >= 0 && !is_of(fd, a, port); fd--)
            ;
    pthread_mutex_unlock(&guard.lock);
    return fd;
}

void
conn_leave(const char *ip, uint16_t port)
{
    int fd = find(ip, port), copy;
    struct slot *s = slot_used(fd);

    if (fd == last_fd)
        last_fd = -1;
    if (!s)
        return;
    copy = second_descriptor(fd, s);
    pthread_mutex_lock(&guard.lock);
    if (copy >= 0)
        begin_closing(copy, s);
    place_leave(s);
    pthread_mutex_unlock(&guard.lock);
}

/* A tab is as good as a blank around and in a value (RFC 9110, section 5.5), but the library refuses a head that has one. Only
 * header lines are changed: not the request line, and nothing behind the head that these bytes belong to. */
static void
blanks_for_tabs(char *p, size_t n)
{
    char *all = p + n, *head = head_start && head_start <= p ? head_start : p, *line, *end;

    if (!memchr(p, '\t', n))
        return;
    while (all - head >= 2 && head[0] == '\r' && head[1] == '\n')
        head += 2;
    line = memmem(head, (size_t)(all - head), "\r\n", 2);
    end = line ? memmem(line, (size_t)(all - line), "\r\n\r\n", 4) : all;
    for (char *c = !line ? all : line > p ? line : p; c < (end ? end : all); c++)
        if (*c == '\t')
            *c = ' ';
}

/* The server reads to its own place, or, of a body, to its reader's. */
static bool
in_head(const char *p)
{
    return head_start && p >= head_start && p < head_start + CONN_HEAD_BYTES;
}

void
conn_head_rest(void)
{
    if (head_start && head_most < CONN_HEAD_BYTES)
        mem_back(head_start + head_most, CONN_HEAD_BYTES - head_most);
}

void
conn_received(int fd, char *p, ssize_t got)
{
    struct slot *s = slot_used(fd);

    last_fd = fd;
    if (atomic_load_explicit(&s->fresh, memory_order_relaxed)) {
        atomic_store_explicit(&s->fresh, false, memory_order_relaxed);
        head_start = p;
        head_most = 0;
    }
    if (got <= 0)
        return;
    if (in_head(p) && (size_t)(p - head_start + got) > head_most)
        head_most = (size_t)(p - head_start + got);
    if (atomic_load_explicit(&s->phase, memory_order_relaxed) == CONN_IDLE)
        conn_phase_set(fd, CONN_HEADER, (int64_t)guard.cfg.header_timeout * 1000);
    atomic_fetch_add_explicit(&s->moved, got, memory_order_relaxed);
    if (atomic_load_explicit(&s->phase, memory_order_relaxed) == CONN_HEADER)
        blanks_for_tabs(p, (size_t)got);
}

bool
conn_is_ours(int fd)
{
    return slot_used(fd) != NULL;
}

const char *
conn_head_start(void)
{
    return head_start;
}

int64_t
conn_head_bytes(int fd)
{
    struct slot *s = slot_used(fd);

    return s && atomic_load(&s->phase) == CONN_HEADER ? atomic_load(&s->moved) : 0;
}

int
conn_current(void)
{
    return slot_used(last_fd) ? last_fd : -1;
}

void
conn_phase_set(int fd, enum conn_phase phase, int64_t limit_ms)
{
    struct slot *s = slot_used(fd);
    int64_t now = clock_ms();

    if (!s)
        return;
    atomic_store(&s->until_ms, limit_ms > 0 ? now + limit_ms : 0);
    atomic_store(&s->since_ms, now);
    atomic_store_explicit(&s->moved, 0, memory_order_relaxed);
    atomic_store(&s->phase, phase);
    if (phase == CONN_WORK && conn_was_let_go(fd))
        place_stays(s);
}

enum conn_phase
conn_write_begin(int fd)
{
    struct slot *s = slot_used(fd);
    enum conn_phase was = s ? (enum conn_phase)atomic_load(&s->phase) : CONN_NONE;

    if (s)
        conn_phase_set(fd, CONN_WRITE, 0);
    return was;
}

void
conn_wrote(int fd, size_t n)
{
    struct slot *s = slot_used(fd);

    if (s)
        atomic_fetch_add_explicit(&s->moved, (int64_t)n, memory_order_relaxed);
}

void
conn_buffer_limit(int fd, int bytes)
{
    int half = bytes / 2; /* the kernel doubles it, for its own book-keeping */

    if (slot_used(fd))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof half);
}

bool
conn_header_pending(int fd)
{
    struct slot *s = slot_used(fd);

    return s && atomic_load(&s->phase) == CONN_HEADER && !atomic_load(&s->cut);
}

bool
conn_was_cut(int fd)
{
    struct slot *s = slot_used(fd);

    return s && atomic_load(&s->cut) != 0 && !conn_was_let_go(fd);
}

bool
conn_was_pushed(int fd)
{
    struct slot *s = slot_used(fd);

    return s && atomic_load(&s->cut) == 1 + CUT_PUSHED;
}

/* Bytes that came before the shutdown, or are on their way, can still be read. */
bool
conn_was_let_go(int fd)
{
    struct slot *s = slot_used(fd);

    return s && atomic_load(&s->cut) == 1 + CUT_IDLE;
}

bool
conn_gone(int fd)
{
    struct slot *s = slot_used(fd);

    return s && !atomic_load(&s->cut) && !guard_peek(fd);
}

bool
conn_descriptors_scarce(void)
{
    int fd = dup(STDERR_FILENO);
    bool scarce = fd >= 0 ? fd >= guard.n_slots / 10 * 9 : errno == EMFILE || errno == ENFILE;

    if (fd >= 0)
        close(fd);
    return scarce && guard.n_slots > 0;
}

long
conn_count(void)
{
    return atomic_load(&guard.count) + atomic_load(&guard.closing);
}

long
conn_closing(void)
{
    return atomic_load(&guard.closing);
}

bool
conn_guard_start(const struct guard_config *cfg)
{
    long limit = descriptors_limit();

    guard.cfg = *cfg;
    guard.n_slots = limit < SLOTS_MAX ? (int)limit : SLOTS_MAX;
    guard.max_fds = (long)guard.n_slots * 8 / 10;
    descriptors_enough("HTTP_THREADS", cfg->threads, (cfg->threads + OWN_DESCRIPTORS) * 10 / 8);
    if (!guard.slots)
        guard.slots = mem_new((size_t)guard.n_slots * sizeof *guard.slots);
    if (!guard.addrs)
        guard.addrs = addr_table_new((size_t)guard.n_slots);
    guard.watched_ms = clock_ms();
    atomic_store(&guard.on, true);
    guard.watchdog = ticker_start("the connection guard", conn_watch, NULL);
    if (!guard.watchdog)
        atomic_store(&guard.on, false);
    return guard.watchdog != NULL;
}

void
conn_guard_listens(void)
{
    int listens;
    socklen_t n = sizeof listens;

    for (int fd = 0; fd < guard.n_slots; fd++)
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens && public_port(fd)) {
            atomic_store(&guard.listener, fd);
            return;
        }
}

/* civetweb looks at its stop flag only when its poll of the port returns, 2 s later at worst; a port that is shut down
 * makes it return at once. */
void
conn_guard_leave(void)
{
    int listener = atomic_exchange(&guard.listener, 0);

    if (listener > 0)
        shutdown(listener, SHUT_RDWR);
    pthread_mutex_lock(&guard.lock);
    if (atomic_load(&guard.on))
        place_empty();
    pthread_mutex_unlock(&guard.lock);
}

static void
end_closing(int fd, struct slot *s)
{
    bool closing;

    pthread_mutex_lock(&guard.lock);
    closing = atomic_load(&s->phase) == CONN_CLOSING;
    if (closing) {
        place_uncount(s);
        atomic_store(&s->phase, CONN_NONE);
        atomic_fetch_sub(&guard.closing, 1);
    }
    pthread_mutex_unlock(&guard.lock);
    if (closing)
        close(fd);
}

/* The table stays: a thread of some library may be between looking at the switch and at its slot. */
void
conn_guard_stop(void)
{
    if (!atomic_load(&guard.on))
        return;
    ticker_stop(&guard.watchdog);
    pthread_mutex_lock(&guard.lock);
    atomic_store(&guard.on, false);
    pthread_mutex_unlock(&guard.lock);
    for (int fd = 0; fd <= atomic_load(&guard.top); fd++)
        end_closing(fd, &guard.slots[fd]);
}
