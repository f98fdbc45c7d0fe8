/* The guard over client connections. civetweb has no total time for headers or bodies, no cap by address, and lets
 * connections beyond its threads wait without a word; so accept(), recv() and close() of this executable pass through here:
 *
 *   accept → IDLE → (first byte) HEADER → (request known) WORK ⇄ BODY → (answered) IDLE → … → close
 *
 * Only descriptors that the public port accepted are in the table; for all others each call is one look at an atomic.
 * A watchdog shuts the reading side of what is late: HEADER_TIMEOUT, the body's share, and the longest idle connections
 * when threads run short. Refused at accept: over MAX_CONN_PER_ADDR, over 80 % of the descriptors, and, with a 503, when
 * every thread is busy. One lock keeps a descriptor from being reused while it is being cut; no call that can wait for a
 * client is made under it. */
#include "gateway/conn.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/gateway.h"
#include "gateway/nap.h"

#define WATCH_MS 50
#define STALL_MS 1000             /* between two looks: the process itself stood still */
#define IDLE_WATCH_MS 500         /* without a connection: the shortest limit is a second */

struct slot {
    _Atomic int phase;            /* enum conn_phase; CONN_NONE: not ours */
    _Atomic int cut;              /* the guard shut its reading side: 1 + enum cut; 0: it did not */
    _Atomic int64_t since_ms;     /* when the phase began */
    _Atomic int64_t until_ms;     /* when it must be over; 0: any time */
    uint32_t addr;                /* IPv4, network order */
};

static struct {
    struct gateway *gw;
    struct slot *slots;           /* by descriptor */
    int n_slots;                  /* the table's size */
    _Atomic int top;              /* highest descriptor in use so far */
    atomic_long count;            /* connections open */
    long max_fds;                 /* 80 % of RLIMIT_NOFILE */
    pthread_mutex_t lock;         /* accept, close and cut exclude each other */
    _Atomic int listener;         /* the public port's descriptor; 0: not open yet */
    pthread_t watchdog;
    struct nap nap;               /* of the watchdog */
    atomic_bool on;
} guard = { .lock = PTHREAD_MUTEX_INITIALIZER };

const char *const cut_labels[] = { "slow_header", "slow_body", "idle", "address", "descriptors", "saturated", NULL };
static _Thread_local int last_fd = -1;

typedef int (*accept_fn)(int, struct sockaddr *, socklen_t *);
typedef int (*close_fn)(int);
typedef int (*listen_fn)(int, int);
typedef ssize_t (*recv_fn)(int, void *, size_t, int);

/* The thread sanitizer closes files while it writes a report; a second report out of slot_of would lock it up. */
#ifdef __SANITIZE_THREAD__
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#else
#define UNWATCHED
#endif

static UNWATCHED struct slot *
slot_of(int fd)
{
    if (fd < 0 || !atomic_load_explicit(&guard.on, memory_order_acquire) || fd >= guard.n_slots)
        return NULL;
    return &guard.slots[fd];
}

static UNWATCHED struct slot *
slot_used(int fd)
{
    struct slot *s = slot_of(fd);

    return s && atomic_load_explicit(&s->phase, memory_order_relaxed) != CONN_NONE ? s : NULL;
}

static bool
public_port(int listener)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;

    return getsockname(listener, (struct sockaddr *)&a, &n) == 0 && a.sin_family == AF_INET &&
           ntohs(a.sin_port) == guard.gw->opt->port;
}

static void
count_cut(enum cut why)
{
    stat_add_at(&gateway_stats, GW_CUT, why, 0, 1);
}

/* Under the lock. */
static void
cut(int fd, struct slot *s, enum cut why)
{
    atomic_store(&s->cut, 1 + (int)why);
    shutdown(fd, SHUT_RD);
    count_cut(why);
}

/* A request has come that no thread has looked at yet: not idle, however long ago. */
static bool
has_unread(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* Under the lock: let the connection go that has been idle longest. */
static bool
cut_idlest(int64_t at_least_ms)
{
    int64_t oldest = clock_ms() - at_least_ms + 1;
    int found = -1;

    for (int fd = 0; fd <= atomic_load(&guard.top); fd++) {
        struct slot *s = &guard.slots[fd];

        if (s->phase == CONN_IDLE && !s->cut && s->since_ms < oldest && !has_unread(fd)) {
            oldest = s->since_ms;
            found = fd;
        }
    }
    if (found >= 0)
        cut(found, &guard.slots[found], CUT_IDLE);
    return found >= 0;
}

/* Under the lock. Connections of one address. */
static long
count_addr(uint32_t addr)
{
    long n = 0;

    for (int fd = 0; fd <= atomic_load(&guard.top); fd++)
        n += guard.slots[fd].phase != CONN_NONE && guard.slots[fd].addr == addr;
    return n;
}

static void
say_busy(int fd)
{
    static const char body[] = "{\"type\":\"urn:footnote:error:overloaded\",\"status\":503,\"code\":\"overloaded\"}";
    char text[512];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
                     "Cache-Control: no-store\r\nRetry-After: 1\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     sizeof body - 1, body);

    if (send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n)
        shutdown(fd, SHUT_WR);
}

/* Under the lock: may this connection come in? */
static bool
admit_conn(int fd, uint32_t addr)
{
    char text[INET_ADDRSTRLEN];
    long threads = guard.gw->opt->http_threads;

    inet_ntop(AF_INET, &addr, text, sizeof text);
    if (fd >= guard.n_slots || fd >= guard.max_fds) {
        count_cut(CUT_DESCRIPTORS);
        return false;
    }
    if (!cidrs_have(&guard.gw->proxies, text) && count_addr(addr) >= guard.gw->opt->max_conn_per_addr) {
        count_cut(CUT_ADDRESS);
        return false;
    }
    if (atomic_load(&guard.count) >= threads && !cut_idlest(0)) {
        count_cut(CUT_SATURATED);
        say_busy(fd);
        return false;
    }
    return true;
}

static void
slot_take(int fd, uint32_t addr)
{
    struct slot *s = &guard.slots[fd];

    s->addr = addr;
    atomic_store(&s->cut, 0);
    atomic_store(&s->since_ms, clock_ms());
    atomic_store(&s->until_ms, 0);
    atomic_store(&s->phase, CONN_IDLE);
    if (fd > atomic_load(&guard.top))
        atomic_store(&guard.top, fd);
    atomic_fetch_add(&guard.count, 1);
}

/* dlsym gives functions as data pointers: POSIX says that this conversion holds. */
#define REAL(type, name) ((type)(uintptr_t)dlsym(RTLD_NEXT, name))

int
listen(int fd, int backlog)
{
    listen_fn real = REAL(listen_fn, "listen");
    int rc = real(fd, backlog);

    if (rc == 0 && atomic_load(&guard.on) && public_port(fd))
        atomic_store(&guard.listener, fd);
    return rc;
}

int accept(int listener, struct sockaddr *restrict sa, socklen_t *restrict len);
int
accept(int listener, struct sockaddr *restrict sa, socklen_t *restrict len)
{
    static _Atomic(accept_fn) real;
    accept_fn fn = atomic_load_explicit(&real, memory_order_relaxed);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
    bool good;
    int fd;

    if (fn == NULL)
        atomic_store(&real, fn = REAL(accept_fn, "accept"));
    fd = fn(listener, sa, len);
    if (fd < 0 || !atomic_load(&guard.on) || sa == NULL || sa->sa_family != AF_INET || !public_port(listener))
        return fd;
    pthread_mutex_lock(&guard.lock);
    good = admit_conn(fd, in->sin_addr.s_addr);
    if (good)
        slot_take(fd, in->sin_addr.s_addr);
    pthread_mutex_unlock(&guard.lock);
    if (good)
        return fd;
    close(fd);
    errno = ECONNABORTED;
    return -1;
}

int
close(int fd)
{
    static _Atomic(close_fn) real;
    close_fn fn = atomic_load_explicit(&real, memory_order_relaxed);
    struct slot *s = slot_used(fd);

    if (fn == NULL)
        atomic_store(&real, fn = REAL(close_fn, "close"));
    if (s == NULL)
        return fn(fd);
    /* The place is given back under the lock, the descriptor after it: a close can take as long as a client that does not
     * read likes (SO_LINGER), and nobody else may wait for that. The kernel gives the number away only once it is closed. */
    pthread_mutex_lock(&guard.lock);
    atomic_store(&s->phase, CONN_NONE);
    atomic_fetch_sub(&guard.count, 1);
    pthread_mutex_unlock(&guard.lock);
    return fn(fd);
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
    static _Atomic(recv_fn) real;
    recv_fn fn = atomic_load_explicit(&real, memory_order_relaxed);
    struct slot *s = slot_used(fd);
    ssize_t got;

    if (fn == NULL)
        atomic_store(&real, fn = REAL(recv_fn, "recv"));
#ifdef __SANITIZE_THREAD__
    if (s == NULL) /* libzmq's own: it guards its buffers by atomics that the sanitizer cannot see */
        return (ssize_t)syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
#endif
    got = fn(fd, p, n, flags);
    if (s == NULL || (flags & MSG_PEEK) != 0)
        return got;
    last_fd = fd;
    if (got > 0 && atomic_load_explicit(&s->phase, memory_order_relaxed) == CONN_IDLE)
        conn_phase_set(fd, CONN_HEADER, (int64_t)guard.gw->opt->header_timeout * 1000);
    return got;
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

    if (s == NULL)
        return;
    atomic_store(&s->until_ms, limit_ms > 0 ? now + limit_ms : 0);
    atomic_store(&s->since_ms, now);
    atomic_store(&s->phase, phase);
}

bool
conn_header_pending(int fd)
{
    struct slot *s = slot_used(fd);

    return s != NULL && atomic_load(&s->phase) == CONN_HEADER && !atomic_load(&s->cut);
}

bool
conn_was_cut(int fd)
{
    struct slot *s = slot_used(fd);

    return s != NULL && atomic_load(&s->cut) != 0 && !conn_was_let_go(fd);
}

/* What had come before the shutdown, or comes on its way, can still be read. */
bool
conn_was_let_go(int fd)
{
    struct slot *s = slot_used(fd);

    return s != NULL && atomic_load(&s->cut) == 1 + CUT_IDLE;
}

bool
conn_gone(int fd)
{
    char c;
    struct slot *s = slot_used(fd);
    ssize_t got;

    if (s == NULL || atomic_load(&s->cut))
        return false;
    got = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

long
conn_count(void)
{
    return atomic_load(&guard.count);
}

static void
look(int fd, struct slot *s, int64_t now)
{
    int phase = atomic_load(&s->phase);
    int64_t until = atomic_load(&s->until_ms);

    if (phase == CONN_NONE || atomic_load(&s->cut) || until == 0 || now < until)
        return;
    if (phase == CONN_HEADER)
        cut(fd, s, CUT_HEADER);
    else if (phase == CONN_BODY)
        cut(fd, s, CUT_BODY);
}

/* A process that stood still (stopped, swapped out) finds in its sockets what came meanwhile: nobody was slow. */
static void
forgive(struct slot *s, int64_t ms)
{
    int64_t until = atomic_load(&s->until_ms);

    if (until > 0)
        atomic_compare_exchange_strong(&s->until_ms, &until, until + ms);
}

static void *
watch(void *arg)
{
    int64_t last = clock_ms();

    (void)arg;
    do {
        int64_t now = clock_ms();

        pthread_mutex_lock(&guard.lock);
        if (now - last > STALL_MS)
            for (int fd = 0; fd <= atomic_load(&guard.top); fd++)
                forgive(&guard.slots[fd], now - last);
        last = now;
        for (int fd = 0; fd <= atomic_load(&guard.top); fd++)
            look(fd, &guard.slots[fd], now);
        if (atomic_load(&guard.count) * 10 > guard.gw->opt->http_threads * 9)
            cut_idlest(1000);
        pthread_mutex_unlock(&guard.lock);
    } while (nap_for(&guard.nap, atomic_load(&guard.count) > 0 ? WATCH_MS : IDLE_WATCH_MS));
    return NULL;
}

bool
conn_guard_start(struct gateway *gw)
{
    struct rlimit rl = { 1024, 1024 };

    getrlimit(RLIMIT_NOFILE, &rl);
    guard.gw = gw;
    guard.n_slots = rl.rlim_cur < 65536 ? (int)rl.rlim_cur : 65536;
    guard.max_fds = (long)guard.n_slots * 8 / 10;
    if (guard.slots == NULL)
        guard.slots = mem_new((size_t)guard.n_slots * sizeof *guard.slots);
    nap_init(&guard.nap);
    atomic_store(&guard.on, true);
    if (pthread_create(&guard.watchdog, NULL, watch, NULL) == 0)
        return true;
    atomic_store(&guard.on, false);
    LOG(ERROR, NULL, M("no thread for the connection guard"));
    return false;
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
    while (atomic_load(&guard.on) && cut_idlest(0))
        ;
    pthread_mutex_unlock(&guard.lock);
}

/* The table stays: a thread of some library may be between looking at the switch and at its slot. */
void
conn_guard_stop(void)
{
    if (!atomic_exchange(&guard.on, false))
        return;
    nap_end(&guard.nap);
    pthread_join(guard.watchdog, NULL);
    nap_fini(&guard.nap);
}
