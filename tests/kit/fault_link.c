/* fault-proxy's connections: each is two sockets and, for each direction, a bounded list of bytes that are held back. */
#include "tests/kit/fault_proxy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELD_MAX (1u << 20)
#define CHUNK 16384

static double
chance(void) /* splitmix64 */
{
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

void
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

void
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

void
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
void
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

bool
link_watch(struct link *l)
{
    bool timed = false;

    for (int i = 0; i < 2; i++) {
        struct pipe *in = &l->pipe[i], *out = &l->pipe[!i];
        uint32_t want = 0;

        if (!l->map->f.hang && !in->ended && in->left != 0 && in->held < HELD_MAX &&
            (l->connected || i == UP))
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

void
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
