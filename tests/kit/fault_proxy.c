/* fault-proxy: a TCP proxy that misbehaves on demand. One thread, epoll. Here: maps, commands, the loop; connections and
 * their bytes are in fault_link.c.
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
 * Without NAME a command is for all maps. End of stdin is no end; SIGTERM is. The bytes that a direction
 * holds back are bounded: 1 MB, then the sender has to wait. */
#include "tests/kit/fault_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAPS_MAX 32
#define CONTROLS_MAX 8

struct control {
    int fd, out;
    char line[256];
    size_t n;
};

struct link *links[LINKS_MAX];
int n_links, poller;
uint64_t rng_state = 1;

static struct map maps[MAPS_MAX];
static struct control controls[CONTROLS_MAX];
static int n_maps, control_fd = -1;
static char control_mark;
static volatile sig_atomic_t stopped;
static const struct faults none = { .cut = -1, .flip_at = -1 };

double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void
fail(const char *what)
{
    fprintf(stderr, "fault-proxy: %s: %s\n", what, strerror(errno));
    exit(2);
}

void
watch(int fd, uint32_t events, void *what, int how)
{
    struct epoll_event e = { .events = events, .data.ptr = what };

    if (epoll_ctl(poller, how, fd, &e) != 0 && errno != EPERM)
        fail("epoll_ctl");
}

/* ---- commands */

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
        dprintf(
            out,
            "%s\"%s\":{\"open\":%ld,\"accepted\":%ld,\"resets\":%ld,\"refused\":%ld,\"up\":%ld,\"down\":%ld,"
            "\"dropped\":%ld,\"flipped\":%ld}",
            i ? "," : "", m->name, open, m->accepted, m->resets, m->refused, m->bytes[UP], m->bytes[DOWN],
            m->dropped[UP] + m->dropped[DOWN], m->flipped);
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

/* ---- start and loop */

static int
listen_on(const char *host, long port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(fd, 512) != 0)
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
        fprintf(
            stderr,
            "usage: fault-proxy [--host A] --map [NAME=]PORT:HOST:PORT [--map …] [--control PORT] [--seed N]\n");
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
