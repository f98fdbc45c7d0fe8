/* One thread's event loop. A turn:
 *
 *   timers that are due ─> hooks until all say false ─> sleep (epoll) ─> descriptors, posted work ─> next turn
 *
 * Descriptors: watches[fd]; each carries a generation that epoll gives back with the event, so that an event of a
 * batch never reaches a handler that was removed or replaced meanwhile.
 * Timers: slots (stable, named by handle = generation and slot) and a heap of them by when they are due; older timers of the
 * same time go first.
 * Posted work: a list under a lock; an eventfd wakes the loop. Work still there when the loop is freed is dropped. */
#include "common/process/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/heap.h"
#include "common/log.h"
#include "common/mem.h"

#define BATCH 64
#define HOOK_ROUNDS 64 /* then a look at the descriptors without sleeping, so that busy hooks starve nobody */

struct watch {
    loop_fd_fn fn; /* NULL: not watched */
    void *arg;
    uint32_t events; /* events asked for */
    uint32_t gen;    /* changes with the handler */
};

struct timer {
    struct heap_node due; /* first: the heap's nodes are timers */
    loop_fn fn;
    void *arg;
    size_t slot;  /* its own */
    uint32_t gen; /* changes whenever the slot is given out */
    size_t next;  /* free list: slot + 1; 0: end */
};

struct hook {
    loop_hook_fn fn; /* NULL: removed, swept after the round */
    void *arg;
};

struct post {
    loop_fn fn;
    void *arg;
};

struct loop {
    int epfd, evfd;
    int64_t now_ms;
    _Atomic bool stop;
    struct watch *watches;
    size_t n_watches;
    struct timer **timers; /* slots */
    size_t n_timers;       /* slots ever given out */
    size_t cap_timers;
    size_t free_timer; /* slot + 1 */
    struct heap due;
    struct hook *hooks;
    size_t n_hooks;
    pthread_mutex_t lock; /* guards posts, n_posts, cap_posts */
    struct post *posts;
    size_t n_posts, cap_posts;
};

/* ---- posted work */

static void
wake(struct loop *l)
{
    static const uint64_t one = 1;
    ssize_t k;

    do {
        k = write(l->evfd, &one, sizeof one);
    } while (k < 0 && errno == EINTR); /* EAGAIN: it is awake already */
}

void
loop_post(struct loop *l, loop_fn fn, void *arg)
{
    (void)pthread_mutex_lock(&l->lock);
    if (l->n_posts == l->cap_posts) {
        l->cap_posts = l->cap_posts ? l->cap_posts * 2 : 16;
        l->posts = mem_resize(l->posts, l->cap_posts * sizeof *l->posts);
    }
    l->posts[l->n_posts++] = (struct post){ fn, arg };
    (void)pthread_mutex_unlock(&l->lock);
    wake(l);
}

/* Work that is posted while this runs waits for the next turn. */
static void
on_wake(void *arg, int fd, uint32_t events)
{
    struct loop *l = arg;
    struct post *posts;
    uint64_t count;
    size_t n;

    (void)events;
    (void)!read(fd, &count, sizeof count);
    (void)pthread_mutex_lock(&l->lock);
    posts = l->posts;
    n = l->n_posts;
    l->posts = NULL;
    l->n_posts = l->cap_posts = 0;
    (void)pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < n; i++)
        posts[i].fn(posts[i].arg);
    mem_free(&posts);
}

/* ---- making and freeing */

struct loop *
loop_new(void)
{
    struct loop *l = mem_new(sizeof *l);

    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->evfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->epfd < 0 || l->evfd < 0) {
        LOG(ERROR, NULL, M("cannot make an event loop"), KI("errno", errno));
        abort();
    }
    (void)pthread_mutex_init(&l->lock, NULL);
    l->now_ms = clock_ms();
    loop_fd(l, l->evfd, EPOLLIN, on_wake, l);
    return l;
}

void
loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    (void)close(l->epfd);
    (void)close(l->evfd);
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(&l->watches);
    for (size_t i = 0; i < l->n_timers; i++)
        mem_free(&l->timers[i]);
    mem_free(&l->timers);
    heap_fini(&l->due);
    mem_free(&l->hooks);
    mem_free(&l->posts);
    mem_free(lp);
}

/* ---- descriptors */

static void
grow_watches(struct loop *l, size_t fd)
{
    size_t n = l->n_watches ? l->n_watches : 64;

    if (fd < l->n_watches)
        return;
    while (n <= fd)
        n *= 2;
    l->watches = mem_resize(l->watches, n * sizeof *l->watches);
    memset(l->watches + l->n_watches, 0, (n - l->n_watches) * sizeof *l->watches);
    l->n_watches = n;
}

/* A descriptor that was closed and opened again under the same number is unknown to epoll, and the reverse. */
static int
ctl(struct loop *l, int fd, const struct watch *w, bool known)
{
    struct epoll_event ev = { .events = w->events };
    int rc;

    ev.data.u64 = (uint64_t)w->gen << 32 | (uint32_t)fd;
    rc = epoll_ctl(l->epfd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    if (rc != 0 && errno == (known ? ENOENT : EEXIST))
        rc = epoll_ctl(l->epfd, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev);
    return rc;
}

void
loop_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg)
{
    struct watch *w;
    bool known;

    assert(fd >= 0 && (events == 0 || fn));
    grow_watches(l, (size_t)fd);
    w = &l->watches[fd];
    known = w->fn != NULL;
    if (events == 0) {
        if (known)
            (void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
        *w = (struct watch){ .gen = w->gen + 1 };
        return;
    }
    if (!known || w->fn != fn || w->arg != arg)
        w->gen++;
    w->fn = fn;
    w->arg = arg;
    w->events = events;
    if (ctl(l, fd, w, known) != 0)
        LOG(ERROR, NULL, M("cannot watch a descriptor"), KI("fd", fd), KI("errno", errno));
}

static void
deliver(struct loop *l, const struct epoll_event *ev)
{
    int fd = (int)(uint32_t)ev->data.u64;
    uint32_t gen = (uint32_t)(ev->data.u64 >> 32);
    const struct watch *w = &l->watches[fd];
    uint32_t events = ev->events & (w->events | EPOLLERR | EPOLLHUP);

    if (w->fn && w->gen == gen && events)
        w->fn(w->arg, fd, events);
}

/* ---- timers */

static struct timer *
take_slot(struct loop *l)
{
    size_t slot;

    if (l->free_timer) {
        slot = l->free_timer - 1;
        l->free_timer = l->timers[slot]->next;
        return l->timers[slot];
    }
    if (l->n_timers == l->cap_timers) {
        l->cap_timers = l->cap_timers ? l->cap_timers * 2 : 32;
        l->timers = mem_resize(l->timers, l->cap_timers * sizeof(struct timer *));
    }
    slot = l->n_timers++;
    l->timers[slot] = mem_new(sizeof(struct timer));
    l->timers[slot]->slot = slot;
    return l->timers[slot];
}

/* Take the timer out of the heap and give its slot back. */
static void
drop_timer(struct loop *l, struct timer *t)
{
    heap_drop(&l->due, &t->due);
    t->next = l->free_timer;
    l->free_timer = t->slot + 1;
}

uint64_t
loop_after(struct loop *l, int64_t delay_ms, loop_fn fn, void *arg)
{
    struct timer *t = take_slot(l);

    t->fn = fn;
    t->arg = arg;
    t->gen++;
    heap_put(&l->due, &t->due, clock_ms() + (delay_ms > 0 ? delay_ms : 0));
    return (uint64_t)t->gen << 32 | (uint32_t)(t->slot + 1);
}

void
loop_cancel(struct loop *l, uint64_t *handle)
{
    size_t slot = (size_t)(uint32_t)*handle;
    uint32_t gen = (uint32_t)(*handle >> 32);
    struct timer *t;

    *handle = 0;
    if (slot == 0 || slot > l->n_timers)
        return;
    t = l->timers[slot - 1];
    if (t->gen == gen && t->due.at != 0)
        drop_timer(l, t);
}

/* Timers set by the handlers of this turn wait for the next one. */
static void
run_timers(struct loop *l)
{
    uint64_t limit = l->due.order;

    while (heap_first(&l->due) && !atomic_load(&l->stop)) {
        struct timer *t = (struct timer *)heap_first(&l->due);
        loop_fn fn = t->fn;
        void *arg = t->arg;

        if (t->due.key > l->now_ms || t->due.order >= limit)
            break;
        drop_timer(l, t);
        fn(arg);
    }
}

/* ---- hooks */

void
loop_hook(struct loop *l, loop_hook_fn fn, void *arg)
{
    l->hooks = mem_resize(l->hooks, (l->n_hooks + 1) * sizeof *l->hooks);
    l->hooks[l->n_hooks++] = (struct hook){ fn, arg };
}

void
loop_unhook(struct loop *l, loop_hook_fn fn, void *arg)
{
    for (size_t i = 0; i < l->n_hooks; i++)
        if (l->hooks[i].fn == fn && l->hooks[i].arg == arg)
            l->hooks[i].fn = NULL;
}

static void
sweep_hooks(struct loop *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n_hooks; i++)
        if (l->hooks[i].fn)
            l->hooks[n++] = l->hooks[i];
    l->n_hooks = n;
}

/* True: some hook still has work. */
static bool
run_hooks(struct loop *l)
{
    bool busy = l->n_hooks > 0;

    for (int round = 0; busy && round < HOOK_ROUNDS; round++) {
        busy = false;
        for (size_t i = 0; i < l->n_hooks; i++) { /* by index: a hook may add hooks */
            struct hook h = l->hooks[i];

            if (h.fn && h.fn(h.arg))
                busy = true;
        }
    }
    sweep_hooks(l);
    return busy;
}

/* ---- running */

static int
sleep_ms(const struct loop *l, bool busy)
{
    int64_t ms;

    if (busy)
        return 0;
    if (!heap_first(&l->due))
        return -1;
    ms = heap_first(&l->due)->key - clock_ms();
    return ms < 0 ? 0 : ms > 3600000 ? 3600000 : (int)ms;
}

void
loop_run(struct loop *l)
{
    struct epoll_event ev[BATCH];

    l->now_ms = clock_ms();
    while (!atomic_load(&l->stop)) {
        bool busy;
        int n;

        run_timers(l);
        busy = run_hooks(l);
        if (atomic_load(&l->stop))
            break;
        n = epoll_wait(l->epfd, ev, BATCH, sleep_ms(l, busy));
        l->now_ms = clock_ms();
        for (int i = 0; i < n; i++)
            deliver(l, &ev[i]);
    }
    atomic_store(&l->stop, false);
}

void
loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    wake(l);
}

int64_t
loop_now(const struct loop *l)
{
    return l->now_ms;
}
