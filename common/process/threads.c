/* A fixed set of threads for work that burns CPU.
 *
 *   threads_run ─> ring (bounded) ─> a thread: work(arg) ─> loop_post ─> the loop's thread: done(arg)
 *
 * Threads take no signals: those belong to the loop. threads_free lets running work end and drops what waits, without
 * calling its done. */
#include "common/process/threads.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"

struct job {
    loop_fn work; /* on a thread */
    loop_fn done; /* in the loop's thread; may be NULL */
    void *arg;    /* of both */
};

struct pool_threads {
    struct loop *loop;
    pthread_mutex_t lock; /* guards ring, head, n, stop */
    pthread_cond_t more;  /* something was added, or stop */
    struct job *ring;
    unsigned max, head, n; /* size, oldest, how many */
    bool stop;
    unsigned n_threads;
    pthread_t *threads;
};

static void *
thread_main(void *arg)
{
    struct pool_threads *t = arg;
    struct job j;

    for (;;) {
        (void)pthread_mutex_lock(&t->lock);
        while (!t->n && !t->stop)
            (void)pthread_cond_wait(&t->more, &t->lock);
        if (t->stop) {
            (void)pthread_mutex_unlock(&t->lock);
            return NULL;
        }
        j = t->ring[t->head];
        t->head = (t->head + 1) % t->max;
        t->n--;
        (void)pthread_mutex_unlock(&t->lock);
        j.work(j.arg);
        if (j.done)
            loop_post(t->loop, j.done, j.arg);
    }
}

struct pool_threads *
threads_new(struct loop *l, unsigned n_threads, unsigned max_queue)
{
    struct pool_threads *t = mem_new(sizeof *t);
    sigset_t all, old;

    assert(n_threads > 0 && max_queue > 0);
    t->loop = l;
    t->max = max_queue;
    t->ring = mem_new(max_queue * sizeof *t->ring);
    t->threads = mem_new(n_threads * sizeof *t->threads);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->more, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; t->n_threads < n_threads; t->n_threads++)
        if (pthread_create(&t->threads[t->n_threads], NULL, thread_main, t) != 0) {
            LOG(ERROR, NULL, M("cannot start a thread"), KI("threads", t->n_threads));
            abort();
        }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return t;
}

void
threads_free(struct pool_threads **tp)
{
    struct pool_threads *t = *tp;

    if (!t)
        return;
    (void)pthread_mutex_lock(&t->lock);
    t->stop = true;
    (void)pthread_cond_broadcast(&t->more);
    (void)pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->n_threads; i++)
        (void)pthread_join(t->threads[i], NULL);
    (void)pthread_cond_destroy(&t->more);
    (void)pthread_mutex_destroy(&t->lock);
    mem_free(&t->threads);
    mem_free(&t->ring);
    mem_free(tp);
}

int
threads_run(struct pool_threads *t, loop_fn work, loop_fn done, void *arg)
{
    bool room;

    (void)pthread_mutex_lock(&t->lock);
    room = t->n < t->max;
    if (room) {
        t->ring[(t->head + t->n) % t->max] = (struct job){ work, done, arg };
        t->n++;
        (void)pthread_cond_signal(&t->more);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return room ? 0 : -1;
}
