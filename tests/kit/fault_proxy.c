/* fault-proxy: a TCP proxy that misbehaves on demand. One thread, epoll.
 *
 *   fault-proxy --map [NAME=]LISTEN_PORT:TARGET_HOST:TARGET_PORT [--map …] [--control PORT] [--host A] [--seed N]
 *
 * Prints "ready" when it listens. Commands are lines, on stdin or on connections to the control port, each answered with one
 * line of JSON ({"ok": true}, {"error": …} or the statistics):
 *
 *   [NAME] latency MS          every byte comes this much later
 *   [NAME] bandwidth BYTES     a second and direction; 0: no limit
 *   [NAME] hang                nothing is read or passed on any more; new connections are accepted and hang, too
 *   [NAME] reset               all connections end with RST, now
 *   [NAME] cut N               each direction ends with RST after N more bytes
 *   [NAME] drop up|down|both   bytes of this direction vanish (up: from the client to the target); connections stay
 *   [NAME] flip P [OFFSET]     each byte is changed with probability P; with OFFSET, only that byte of a direction
 *   [NAME] refuse              connections are closed as soon as they are accepted
 *   [NAME] clear               no fault; what was held back goes on
 *   stats
 *
 * Without NAME a command is for all maps. End of stdin is no end; SIGTERM is. What a direction holds back is bounded:
 * 1 MB, then the sender has to wait. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAPS_MAX 32
#define LINKS_MAX 2048
#define CONTROLS_MAX 8
#define HELD_MAX (1u << 20)
#define CHUNK 16384

enum { UP, DOWN };

struct faults {
    long latency_ms, bandwidth, cut;  /* cut: bytes still to come, -1 none */
    bool hang, refuse, drop[2];
    double flip;
    long flip_at;                     /* offset, -1 any */
};

struct map {
    char name[32];
    int fd;
    struct sockaddr_in target;
    struct faults f;
    long accepted, resets, refused, bytes[2], dropped[2], flipped;
};

struct chunk {
    double due;
    size_t n, at;
    struct chunk *next;
    char data[];
};

struct pipe {                   /* one direction of a link */
    struct chunk *head, *tail;
    size_t held;
    long passed, left;          /* bytes read so far; until the cut, -1 none */
    double budget, filled;      /* bytes that may go now; when that was reckoned */
    bool ended, closed;         /* its source said the last; told to its target */
};

struct end {                    /* what epoll knows: one socket of a link */
    struct link *link;
    int fd, side;               /* side UP: the client's socket, read for UP, written for DOWN */
    uint32_t watched;
};

struct link {
    struct map *map;
    struct end end[2];
    struct pipe pipe[2];
    bool connected, dead;
};

struct control {
    int fd, out;
    char line[256];
    size_t n;
};

static struct map maps[MAPS_MAX];
static struct link *links[LINKS_MAX];
static struct control controls[CONTROLS_MAX];
static int n_maps, n_links, poller, control_fd = -1;
static char control_mark;
static uint64_t rng_state = 1;
static volatile sig_atomic_t stopped;
static const struct faults none = { .cut = -1, .flip_at = -1 };

static double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
chance(void) /* splitmix64 */
{
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static void
fail(const char *what)
{
    fprintf(stderr, "fault-proxy: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void
watch(int fd, uint32_t events, void *what, int how)
{
    struct epoll_event e = { .events = events, .data.ptr = what };

    if (epoll_ctl(poller, how, fd, &e) != 0 && errno != EPERM)
        fail("epoll_ctl");
}

/* ---- links ---- */

static void
link_kill(struct link *l, bool reset)
{
    struct linger hard = { 1, 0 };

    if (l->dead)
        return;
    l->dead = true;
    l->map->resets += reset;
    for (int i = 0; i < 2; i++) {
        if (reset)
            setsockopt(l->end[i].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(l->end[i].fd);
    }
}

static void
links_sweep(void)
{
    for (int i = 0; i < n_links;) {
        struct link *l = links[i];

        if (!l->dead) {
            i++;
            continue;
        }
        for (int d = 0; d < 2; d++)
            for (struct chunk *c = l->pipe[d].head, *next; c; c = next) {
                next = c->next;
                free(c);
            }
        links[i] = links[--n_links];
        free(l);
    }
}

static void
link_open(struct map *m)
{
    int one = 1, fd = accept4(m->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), up;
    struct link *l;

    if (fd < 0)
        return;
    m->accepted++;
    up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (m->f.refuse || n_links == LINKS_MAX || up < 0 || !(l = calloc(1, sizeof *l))) {
        m->refused++;
        close(fd);
        if (up >= 0)
            close(up);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    l->map = m;
    l->end[UP] = (struct end){ l, fd, UP, 0 };
    l->end[DOWN] = (struct end){ l, up, DOWN, EPOLLOUT };
    l->pipe[UP].left = l->pipe[DOWN].left = m->f.cut;
    links[n_links++] = l;
    watch(fd, 0, &l->end[UP], EPOLL_CTL_ADD);
    watch(up, EPOLLOUT, &l->end[DOWN], EPOLL_CTL_ADD);
    if (connect(up, (struct sockaddr *)&m->target, sizeof m->target) != 0 && errno != EINPROGRESS)
        link_kill(l, true);
}

static void
garble(struct map *m, struct pipe *p, char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool here = m->f.flip_at < 0 || p->passed + (long)i == m->f.flip_at;

        if (here && chance() < m->f.flip) {
            data[i] = (char)(data[i] ^ (1 + (int)(chance() * 254)));
            m->flipped++;
        }
    }
}

/* Read once from an end into its pipe. */
static void
take(struct link *l, int d)
{
    struct pipe *p = &l->pipe[d];
    struct map *m = l->map;
    struct chunk *c = malloc(sizeof *c + CHUNK);
    ssize_t k = c ? recv(l->end[d].fd, c->data, CHUNK, 0) : -1;

    if (k <= 0) {
        free(c);
        if (k == 0)
            p->ended = true;
        else if (errno != EAGAIN)
            link_kill(l, true);
        return;
    }
    if (m->f.drop[d]) {
        m->dropped[d] += k;
        free(c);
        return;
    }
    if (m->f.flip > 0)
        garble(m, p, c->data, (size_t)k);
    if (p->left >= 0 && k >= p->left)
        k = p->left;
    if (p->left >= 0)
        p->left -= k;
    p->passed += k;
    m->bytes[d] += k;
    *c = (struct chunk){ .due = now_ms() + (double)m->f.latency_ms, .n = (size_t)k };
    if (p->tail)
        p->tail->next = c;
    else
        p->head = c;
    p->tail = c;
    p->held += c->n;
}

static size_t
allowed(struct pipe *p, const struct map *m, double now, size_t n)
{
    if (m->f.bandwidth <= 0)
        return n;
    p->budget += (now - p->filled) * (double)m->f.bandwidth / 1e3;
    p->filled = now;
    if (p->budget > (double)m->f.bandwidth / 10 + 1)
        p->budget = (double)m->f.bandwidth / 10 + 1;
    return p->budget < (double)n ? (size_t)p->budget : n;
}

/* Write what is due to the other end. */
static void
give(struct link *l, int d, double now)
{
    struct pipe *p = &l->pipe[d];
    int fd = l->end[!d].fd;

    while (p->head && p->head->due <= now && l->connected) {
        struct chunk *c = p->head;
        size_t n = allowed(p, l->map, now, c->n - c->at);
        ssize_t k = n ? send(fd, c->data + c->at, n, MSG_NOSIGNAL) : 0;

        if (k < 0 && errno != EAGAIN) {
            link_kill(l, true);
            return;
        }
        if (k <= 0)
            return;
        p->budget -= (double)k;
        p->held -= (size_t)k;
        c->at += (size_t)k;
        if (c->at < c->n)
            return;
        p->head = c->next;
        if (!p->head)
            p->tail = NULL;
        free(c);
    }
    if (!p->head && p->left == 0)
        link_kill(l, true);
    else if (!p->head && p->ended && !p->closed) {
        p->closed = true;
        shutdown(fd, SHUT_WR);
        if (l->pipe[!d].closed)
            link_kill(l, false);
    }
}

/* What each end waits for now. True when the link needs to be looked at again by time. */
static bool
link_watch(struct link *l)
{
    bool timed = false;

    for (int i = 0; i < 2; i++) {
        struct pipe *in = &l->pipe[i], *out = &l->pipe[!i];
        uint32_t want = 0;

        if (!l->map->f.hang && !in->ended && in->left != 0 && in->held < HELD_MAX && (l->connected || i == UP))
            want |= EPOLLIN;
        if (!l->connected && i == DOWN)
            want |= EPOLLOUT;
        timed |= out->head != NULL;
        if (want != l->end[i].watched)
            watch(l->end[i].fd, want, &l->end[i], EPOLL_CTL_MOD);
        l->end[i].watched = want;
    }
    return timed;
}

static void
on_end(struct end *e, uint32_t events)
{
    struct link *l = e->link;
    int error = 0;
    socklen_t n = sizeof error;

    if (l->dead)
        return;
    if (!l->connected && e->side == DOWN) {
        if (getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0)
            link_kill(l, true);
        else
            l->connected = true;
        return;
    }
    if (events & EPOLLERR && !(events & EPOLLIN))
        link_kill(l, true);
    else if (events & (EPOLLIN | EPOLLHUP) && e->watched & EPOLLIN)
        take(l, e->side);
    else if (events & EPOLLHUP && !l->map->f.hang)
        link_kill(l, false);
}

/* ---- commands ---- */

static void
apply_cut(struct map *m)
{
    for (int i = 0; i < n_links; i++)
        if (links[i]->map == m)
            links[i]->pipe[UP].left = links[i]->pipe[DOWN].left = m->f.cut;
}

static bool
command(struct map *m, const char *verb, const char *a, const char *b)
{
    struct faults *f = &m->f;
    long n = a ? strtol(a, NULL, 10) : 0;

    if (strcmp(verb, "clear") == 0) {
        *f = none;
        apply_cut(m);
    } else if (strcmp(verb, "hang") == 0)
        f->hang = true;
    else if (strcmp(verb, "refuse") == 0)
        f->refuse = true;
    else if (strcmp(verb, "reset") == 0) {
        for (int i = 0; i < n_links; i++)
            if (links[i]->map == m)
                link_kill(links[i], true);
    } else if (!a || n < 0)
        return false;
    else if (strcmp(verb, "latency") == 0)
        f->latency_ms = n;
    else if (strcmp(verb, "bandwidth") == 0)
        f->bandwidth = n;
    else if (strcmp(verb, "cut") == 0) {
        f->cut = n;
        apply_cut(m);
    } else if (strcmp(verb, "drop") == 0) {
        f->drop[UP] = strcmp(a, "down") != 0;
        f->drop[DOWN] = strcmp(a, "up") != 0;
    } else if (strcmp(verb, "flip") == 0) {
        f->flip = strtod(a, NULL);
        f->flip_at = b ? strtol(b, NULL, 10) : -1;
    } else
        return false;
    return true;
}

static void
stats(int out)
{
    dprintf(out, "{");
    for (int i = 0; i < n_maps; i++) {
        const struct map *m = &maps[i];
        long open = 0;

        for (int k = 0; k < n_links; k++)
            open += links[k]->map == m && !links[k]->dead;
        dprintf(out, "%s\"%s\":{\"open\":%ld,\"accepted\":%ld,\"resets\":%ld,\"refused\":%ld,\"up\":%ld,\"down\":%ld,"
                "\"dropped\":%ld,\"flipped\":%ld}", i ? "," : "", m->name, open, m->accepted, m->resets, m->refused,
                m->bytes[UP], m->bytes[DOWN], m->dropped[UP] + m->dropped[DOWN], m->flipped);
    }
    dprintf(out, "}\n");
}

static void
on_line(char *line, int out)
{
    char *word[4] = { NULL }, *save = NULL;
    int n = 0, at = 0, done = 0;
    bool named = false;

    for (char *w = strtok_r(line, " \t\r", &save); w && n < 4; w = strtok_r(NULL, " \t\r", &save))
        word[n++] = w;
    if (n == 0)
        return;
    if (strcmp(word[0], "stats") == 0) {
        stats(out);
        return;
    }
    for (int i = 0; i < n_maps; i++)
        named |= strcmp(maps[i].name, word[0]) == 0;
    at = named;
    for (int i = 0; i < n_maps; i++)
        if (word[at] && (!named || strcmp(maps[i].name, word[0]) == 0))
            done += command(&maps[i], word[at], at < 3 ? word[at + 1] : NULL, at < 2 ? word[at + 2] : NULL);
    dprintf(out, done ? "{\"ok\":true}\n" : "{\"error\":\"what?\"}\n");
}

static void
on_control(struct control *c)
{
    ssize_t k = read(c->fd, c->line + c->n, sizeof c->line - 1 - c->n);
    char *end;

    if (k <= 0 || c->n + (size_t)k >= sizeof c->line - 1) {
        epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
        if (c->fd != 0)
            close(c->fd);
        c->fd = -1;
        return;
    }
    c->n += (size_t)k;
    c->line[c->n] = 0;
    while ((end = strchr(c->line, '\n')) != NULL) {
        *end = 0;
        on_line(c->line, c->out);
        c->n -= (size_t)(end + 1 - c->line);
        memmove(c->line, end + 1, c->n + 1);
    }
}

static void
control_add(int fd, int out)
{
    for (int i = 0; i < CONTROLS_MAX; i++)
        if (controls[i].fd < 0) {
            controls[i] = (struct control){ .fd = fd, .out = out };
            watch(fd, EPOLLIN, &controls[i], EPOLL_CTL_ADD);
            return;
        }
    close(fd);
}

/* ---- start and loop ---- */

static int
listen_on(const char *host, long port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 512) != 0)
        fail("listen");
    return fd;
}

static bool
map_add(const char *host, char *text)
{
    struct map *m = &maps[n_maps];
    char *eq = strchr(text, '='), *part[3], *save = NULL;

    if (n_maps == MAPS_MAX)
        return false;
    snprintf(m->name, sizeof m->name, "map%d", n_maps);
    if (eq) {
        *eq = 0;
        snprintf(m->name, sizeof m->name, "%s", text);
        text = eq + 1;
    }
    for (int i = 0; i < 3; i++)
        if (!(part[i] = strtok_r(i ? NULL : text, ":", &save)))
            return false;
    m->f = none;
    m->target.sin_family = AF_INET;
    m->target.sin_port = htons((uint16_t)strtoul(part[2], NULL, 10));
    if (inet_pton(AF_INET, part[1], &m->target.sin_addr) != 1)
        return false;
    m->fd = listen_on(host, strtol(part[0], NULL, 10));
    n_maps++;
    return true;
}

static void
on_event(const struct epoll_event *e)
{
    void *p = e->data.ptr;

    if (p == &control_mark) {
        int fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            control_add(fd, fd);
    } else if ((char *)p >= (char *)controls && (char *)p < (char *)(controls + CONTROLS_MAX)) {
        on_control(p);
    } else if ((char *)p >= (char *)maps && (char *)p < (char *)(maps + MAPS_MAX)) {
        link_open(p);
    } else {
        on_end(p, e->events);
    }
}

static void
run(void)
{
    struct epoll_event events[64];
    bool timed = false;

    while (!stopped) {
        int n = epoll_wait(poller, events, 64, timed ? 2 : 500);
        double now = now_ms();

        for (int i = 0; i < n; i++)
            on_event(&events[i]);
        timed = false;
        for (int i = 0; i < n_links; i++) {
            for (int d = 0; d < 2 && !links[i]->dead; d++)
                if (!links[i]->map->f.hang)
                    give(links[i], d, now);
            if (!links[i]->dead)
                timed |= link_watch(links[i]);
        }
        links_sweep();
    }
}

static void
on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

int
main(int argc, char **argv)
{
    const char *host = "127.0.0.1";
    long control = 0;
    bool good = true;

    for (int i = 1; i < argc && good; i += 2) {
        good = i + 1 < argc;
        if (good && strcmp(argv[i], "--map") == 0)
            good = map_add(host, argv[i + 1]);
        else if (good && strcmp(argv[i], "--host") == 0)
            host = argv[i + 1];
        else if (good && strcmp(argv[i], "--control") == 0)
            control = strtol(argv[i + 1], NULL, 10);
        else if (good && strcmp(argv[i], "--seed") == 0)
            rng_state = strtoull(argv[i + 1], NULL, 10);
        else
            good = false;
    }
    if (!good || n_maps == 0) {
        fprintf(stderr, "usage: fault-proxy [--host A] --map [NAME=]PORT:HOST:PORT [--map …] [--control PORT] [--seed N]\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < CONTROLS_MAX; i++)
        controls[i].fd = -1;
    for (int i = 0; i < n_maps; i++)
        watch(maps[i].fd, EPOLLIN, &maps[i], EPOLL_CTL_ADD);
    if (control) {
        control_fd = listen_on(host, control);
        watch(control_fd, EPOLLIN, &control_mark, EPOLL_CTL_ADD);
    }
    control_add(STDIN_FILENO, STDOUT_FILENO);
    puts("ready");
    fflush(stdout);
    run();
    return 0;
}
