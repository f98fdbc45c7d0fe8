/* Places: which client gets one, and which has to leave for another. A place is a thread of the HTTP server.
 * When places get scarce, the address that holds most gives one up: an idle connection of it, or else the
 * slowest of its heads, bodies and readers. A request that is whole and being worked on never has to leave.
 * Proxies of TRUSTED_PROXIES stand for many clients: they come last. */
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "gateway/edge/conn_int.h"

#define GRACE_MS 500  /* nobody is slow before */
#define SPARE_MAX 256 /* places that are kept free; of less than 2,560 a tenth */

static void
count_cut(enum cut why)
{
    stat_add_at(&gateway_stats, GW_CUT, why, 0, 1);
}

/* A reader is cut off with what it has not taken; all others may still get a last answer. */
void
place_cut(int fd, struct slot *s, enum cut why)
{
    static const struct linger reset = { 1, 0 };
    bool writing = atomic_load(&s->phase) == CONN_WRITE || why == CUT_READER;

    if (atomic_exchange(&s->cut, 1 + (int)why) == 0 && !atomic_exchange(&s->leaving, true))
        atomic_fetch_add(&guard.leaving, 1);
    if (writing)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    shutdown(fd, writing ? SHUT_RDWR : SHUT_RD);
    count_cut(why);
}

/* A request has come that no thread has looked at yet: not idle, however long ago. */
static bool
has_unread(int fd)
{
    int n = 0;

    return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

bool
place_idle(int fd, const struct slot *s)
{
    return atomic_load(&s->phase) == CONN_IDLE && !atomic_load(&s->cut) && !has_unread(fd);
}

/* ---- who has to leave */

struct choice {
    int fd;
    long held; /* connections of its address; 0: a proxy */
    bool idle;
    int64_t rate; /* bytes a second in this phase */
    int64_t since_ms;
};

static bool
may_leave(const struct slot *s, int64_t now, int64_t idle_ms, struct choice *c)
{
    int phase = atomic_load(&s->phase);
    int64_t age;

    if (phase == CONN_NONE || phase == CONN_WORK || phase == CONN_CLOSING || atomic_load(&s->cut))
        return false;
    c->since_ms = atomic_load(&s->since_ms);
    age = now - c->since_ms;
    c->idle = phase == CONN_IDLE;
    c->held = s->addr && !s->proxy ? s->addr->n : 0;
    c->rate = c->idle ? 0 : atomic_load(&s->moved) * 1000 / (age + 1);
    return age >= (c->idle ? idle_ms : GRACE_MS);
}

static bool
goes_before(const struct choice *a, const struct choice *b)
{
    if (b->fd < 0 || a->held != b->held)
        return b->fd < 0 || a->held > b->held;
    if (a->idle != b->idle)
        return a->idle;
    return a->rate != b->rate ? a->rate < b->rate : a->since_ms < b->since_ms;
}

bool
place_make(int64_t idle_ms)
{
    struct choice best = { .fd = -1 }, c;
    int64_t now = clock_ms();

    for (int fd = 0; fd <= atomic_load(&guard.top); fd++) {
        c.fd = fd;
        if (may_leave(&guard.slots[fd], now, idle_ms, &c) && goes_before(&c, &best) &&
            !(c.idle && has_unread(fd)))
            best = c;
    }
    if (best.fd >= 0)
        place_cut(best.fd, &guard.slots[best.fd], best.idle ? CUT_IDLE : CUT_PUSHED);
    return best.fd >= 0;
}

void
place_empty(void)
{
    for (int fd = 0; fd <= atomic_load(&guard.top); fd++)
        if (place_idle(fd, &guard.slots[fd]))
            place_cut(fd, &guard.slots[fd], CUT_IDLE);
}

/* Places that are taken and will stay so. */
static long
held(void)
{
    return atomic_load(&guard.count) - atomic_load(&guard.leaving);
}

long
place_scarce(void)
{
    long all = guard.cfg.threads, spare = all - all * 9 / 10;
    long more = held() - all + (spare < SPARE_MAX ? spare : SPARE_MAX);

    return more > 0 ? more : 0;
}

/* ---- who gets one */

static bool
is_proxy(uint32_t ip)
{
    char text[INET_ADDRSTRLEN];

    return guard.cfg.proxies->n > 0 && inet_ntop(AF_INET, &ip, text, sizeof text) &&
           cidrs_have(guard.cfg.proxies, text);
}

static bool
refused(enum cut why)
{
    count_cut(why);
    return false;
}

static bool
within_limits(int fd, uint32_t ip, bool proxy)
{
    if (fd >= guard.n_slots || fd >= guard.max_fds)
        return refused(CUT_DESCRIPTORS);
    if (!proxy && addr_count(guard.addrs, ip) >= guard.cfg.max_per_address)
        return refused(CUT_ADDRESS);
    return true;
}

static void
slot_take(int fd, uint32_t ip, bool proxy)
{
    struct slot *s = &guard.slots[fd];
    int64_t now = clock_ms();

    s->ip = ip;
    s->proxy = proxy;
    s->addr = addr_enter(guard.addrs, ip);
    s->seen_ms = s->window_ms = 0;
    atomic_store(&s->cut, 0);
    atomic_store(&s->leaving, false);
    atomic_store(&s->fresh, true);
    atomic_store(&s->moved, 0);
    atomic_store(&s->since_ms, now);
    atomic_store(&s->until_ms, now + 2000 * (int64_t)guard.cfg.header_timeout);
    atomic_store(&s->phase, CONN_IDLE);
    if (fd > atomic_load(&guard.top))
        atomic_store(&guard.top, fd);
    atomic_fetch_add(&guard.count, 1);
}

enum verdict
place_take(int fd, uint32_t ip, uint16_t port)
{
    bool proxy = is_proxy(ip);

    if (!within_limits(fd, ip, proxy))
        return CONN_REFUSED;
    if (held() >= guard.cfg.threads && !place_make(0)) {
        count_cut(CUT_SATURATED);
        return CONN_BUSY;
    }
    guard.slots[fd].port = port;
    slot_take(fd, ip, proxy);
    return CONN_WELCOME;
}

/* It needs its thread after all: a request met the cut of an idle connection. */
void
place_stays(struct slot *s)
{
    if (atomic_exchange(&s->leaving, false))
        atomic_fetch_sub(&guard.leaving, 1);
}

void
place_uncount(struct slot *s)
{
    if (s->addr)
        addr_leave(guard.addrs, s->addr);
    s->addr = NULL;
}

void
place_leave(struct slot *s)
{
    place_stays(s);
    place_uncount(s);
    atomic_store(&s->since_ms, clock_ms());
    atomic_store(&s->phase, CONN_NONE);
    atomic_fetch_sub(&guard.count, 1);
}

void
place_refuse(struct slot *s)
{
    place_leave(s);
    count_cut(CUT_SATURATED);
}
