/* The watchdog over client connections: total times, and least rates in both directions.
 *
 * Reading: a head has HEADER_TIMEOUT in all; a body has its total time and must bring MIN_CLIENT_RATE bytes a second.
 * Writing: a client that does not take its answer at that rate is cut off. Only bytes that wait for the
 * client count: a stream whose model thinks has none. The bytes that the client's machine acknowledged
 * (TCP_INFO) count, in windows of WRITE_TIMEOUT; the first one begins with the write, so that a client that
 * takes nothing is gone after it.
 * Closing: an answer that the client has not taken when the server closes waits here, without a thread. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "gateway/edge/conn_int.h"

#define HEADS_A_LOOK 50 /* are cut: a thousand that came together do not wake a thousand threads at once */
#define SPREAD 64       /* different lengths of a window */
#define STATE_CLOSE 7   /* TCP_CLOSE of netinet/tcp.h, whose struct tcp_info lacks what we ask for */
#define WATCH_MS 50
#define STALL_MS 1000     /* between two looks: the process itself stood still */
#define IDLE_WATCH_MS 500 /* without a connection: the shortest limit is a second */
#define ANSWERED_MS 1000  /* until an idle connection is asked whether it took its answer */
#define CLOSED_AT_ONCE 64 /* connections a look */

static long
socket_queue(int fd, unsigned long which)
{
    int n = 0;

    return ioctl(fd, which, &n) == 0 ? n : 0;
}

long
conn_unsent(int fd)
{
    return socket_queue(fd, SIOCOUTQNSD);
}

/* Bytes that the client's machine has acknowledged. false: this connection is over. */
static bool
acked(int fd, uint64_t *out)
{
    struct tcp_info i = { .tcpi_state = STATE_CLOSE };
    socklen_t n = sizeof i;

    *out = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) != 0 || i.tcpi_state == STATE_CLOSE)
        return false;
    *out = i.tcpi_bytes_acked;
    return true;
}

/* WRITE_TIMEOUT, for some up to a tenth less: a thousand that came together do not wake a thousand threads at once. */
static int64_t
window_length_ms(int fd)
{
    int64_t whole = (int64_t)guard.cfg.write_timeout * 1000;

    return whole - whole * (fd % SPREAD) / (10 * SPREAD);
}

static uint64_t
least_in_window(int fd)
{
    return (uint64_t)guard.cfg.min_client_rate * (uint64_t)window_length_ms(fd) / 1000;
}

/* A body: of what is announced, some must come. */
static void
look_at_body(int fd, struct slot *s, int64_t now)
{
    int64_t since = atomic_load(&s->since_ms);
    uint64_t moved = (uint64_t)atomic_load(&s->moved);

    if (s->seen_ms != since) {
        s->seen_ms = s->window_ms = since;
        s->window_from = 0;
        s->window_in = true;
    }
    if (now - s->window_ms < window_length_ms(fd))
        return;
    if (moved - s->window_from < least_in_window(fd))
        place_cut(fd, s, CUT_BODY);
    s->window_ms = now;
    s->window_from = moved;
}

static void
window_begin(int fd, struct slot *s, int64_t at, uint64_t taken)
{
    s->window_ms = at;
    s->window_from = taken;
    s->window_to = taken + (uint64_t)socket_queue(fd, SIOCOUTQ);
}

/* false: it took less than it must. All bytes that were there when the window began may also be gone:
 * then it is fast enough. */
static bool
takes_its_answer(int fd, struct slot *s, int64_t now, long waiting)
{
    uint64_t taken;
    int64_t since = atomic_load(&s->since_ms);

    if (waiting == 0 || !acked(fd, &taken)) {
        s->window_ms = 0;
    } else if (s->window_ms == 0) {
        window_begin(fd, s, since, taken);
    } else if (now - s->window_ms >= window_length_ms(fd)) {
        if (taken < s->window_to && taken - s->window_from < least_in_window(fd))
            return false;
        window_begin(fd, s, now, taken);
    }
    return true;
}

static bool
window_runs(int fd, const struct slot *s, int64_t now)
{
    return s->window_ms != 0 && now - s->window_ms < window_length_ms(fd);
}

static void
look_at_reader(int fd, struct slot *s, int phase, int64_t now)
{
    int64_t since = atomic_load(&s->since_ms);

    if (s->window_in)
        s->window_ms = 0;
    s->window_in = false;
    if (window_runs(fd, s, now))
        return;
    if (phase == CONN_IDLE && s->window_ms == 0) {
        if (s->seen_ms == since || now - since < ANSWERED_MS)
            return;
        s->seen_ms = since;
    }
    if (takes_its_answer(fd, s, now, phase == CONN_WRITE ? socket_queue(fd, SIOCOUTQ) : conn_unsent(fd)))
        return;
    place_cut(fd, s, CUT_READER);
    s->window_ms = now;
}

/* true: the descriptor can be closed. One that waits for long counts for its address again. */
static bool
look_at_closing(int fd, struct slot *s, int64_t now)
{
    static const struct linger reset = { 1, 0 };
    uint64_t taken;

    long waiting = conn_unsent(fd);

    if (now - atomic_load(&s->since_ms) >= ANSWERED_MS && !s->addr)
        s->addr = addr_enter(guard.addrs, s->ip);
    if (waiting == 0 || !acked(fd, &taken))
        return true;
    if (window_runs(fd, s, now) || takes_its_answer(fd, s, now, waiting))
        return false;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    stat_add_at(&gateway_stats, GW_CUT, CUT_READER, 0, 1);
    return true;
}

static void
look(int fd, struct slot *s, int64_t now)
{
    int phase = atomic_load(&s->phase);
    int64_t until = atomic_load(&s->until_ms);
    bool late = until != 0 && now >= until;

    if (phase == CONN_WRITE) /* also of a last answer after a cut */
        look_at_reader(fd, s, phase, now);
    if (phase == CONN_NONE || phase == CONN_WORK || phase == CONN_WRITE || atomic_load(&s->cut))
        return;
    if (phase == CONN_HEADER && late && guard.heads_cut++ < HEADS_A_LOOK)
        place_cut(fd, s, CUT_HEADER);
    else if (phase == CONN_BODY && late)
        place_cut(fd, s, CUT_BODY);
    else if (phase == CONN_BODY)
        look_at_body(fd, s, now);
    else if (phase == CONN_IDLE && late && place_idle(fd, s))
        place_cut(fd, s, CUT_IDLE);
    else if (phase == CONN_IDLE)
        look_at_reader(fd, s, phase, now);
}

/* A process that stood still (stopped, swapped out) finds in its sockets what came meanwhile: nobody was slow. */
static void
forgive(struct slot *s, int64_t ms)
{
    int64_t until = atomic_load(&s->until_ms);

    if (until > 0)
        atomic_compare_exchange_strong(&s->until_ms, &until, until + ms);
    if (s->window_ms > 0)
        s->window_ms += ms;
}

/* Under the lock; what may be closed is closed after it. */
static size_t
look_at_all(int64_t now, int64_t stood_still, int done[CLOSED_AT_ONCE])
{
    size_t n = 0;

    guard.heads_cut = 0;
    for (int fd = 0; fd <= atomic_load(&guard.top); fd++) {
        struct slot *s = &guard.slots[fd];

        if (stood_still > STALL_MS)
            forgive(s, stood_still);
        if (atomic_load(&s->phase) != CONN_CLOSING) {
            look(fd, s, now);
        } else if (n < CLOSED_AT_ONCE && look_at_closing(fd, s, now)) {
            place_uncount(s);
            atomic_store(&s->phase, CONN_NONE);
            atomic_fetch_sub(&guard.closing, 1);
            done[n++] = fd;
        }
    }
    return n;
}

int64_t
conn_watch(void *arg)
{
    int64_t now = clock_ms();
    int done[CLOSED_AT_ONCE];
    size_t n;

    (void)arg;
    pthread_mutex_lock(&guard.lock);
    n = look_at_all(now, now - guard.watched_ms, done);
    for (long more = place_scarce(); more > 0 && place_make(1000); more--)
        ;
    pthread_mutex_unlock(&guard.lock);
    for (size_t i = 0; i < n; i++)
        close(done[i]);
    guard.watched_ms = now;
    return conn_count() > 0 ? WATCH_MS : IDLE_WATCH_MS;
}
