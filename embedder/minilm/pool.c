/* Texts → vectors on a bounded set of threads, the short ones first.
 *
 *   order ─▶ its texts, each into the queue of its length ─▶ a thread: the shortest, with others of that length until a pass is full
 *        ─▶ last text of an order ─▶ loop_post ─▶ done
 *
 * Queue 0 has the questions; what waits there is also computed between two layers of a passage's pass, so
 * that a question waits some milliseconds and never for a batch. A passage is not starved: between two layers
 * a few questions at most are computed, and every eighth pass is the oldest text's, whatever its length.
 *
 * A file that was only mapped is checked by the thread that comes first to a text; the others wait for it. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "common/log.h"
#include "embedder/minilm/pool.h"

enum {
    QUEUES = 16,        /* 0: questions; then by length, each twice as long as the one before */
    SHORTEST = 64,      /* bytes of a text in queue 1 at most */
    GROUP = 32,         /* texts of one pass at most */
    GROUP_BYTES = 1024, /* of them; a pass has some 256 tokens */
    BETWEEN = 4,        /* questions that are computed between two layers */
    OLDEST_EVERY = 8    /* passes */
};

struct bert_text {
    struct bert_order *order;
    size_t at;   /* which of the order's texts */
    uint64_t no; /* in the order of arrival */
    int queue;   /* -1: it is in none */
    struct bert_text *next, **prev;
};
struct queue {
    struct bert_text *first, **tail;
};
struct bert_thread {
    struct bert_pool *pool;
    pthread_t id;
    struct bert_packer *packer, *urgent; /* urgent: what is computed between two layers */
};
struct bert_pool {
    struct loop *loop;
    struct bert_file *f;
    pthread_mutex_t lock; /* guards what follows, and orders' left, dropped and damaged */
    pthread_cond_t more;
    struct queue queues[QUEUES];
    size_t waiting, max;
    uint64_t last_no, passes;
    bool stop;
    bool checking, known, damaged; /* a thread reads all of the file; it has; what it found */
    unsigned n_threads;
    struct bert_thread *threads;
};

static int
queue_of(const struct bert_order *o, size_t bytes)
{
    int q = 1;

    if (o->question)
        return 0;
    for (; bytes > SHORTEST && q < QUEUES - 1; bytes /= 2)
        q++;
    return q;
}

/* ---- queues; the lock is held */
static void
push(struct bert_pool *p, struct bert_text *t, int q)
{
    t->queue = q;
    t->no = ++p->last_no;
    t->next = NULL;
    t->prev = p->queues[q].tail;
    *t->prev = t;
    p->queues[q].tail = &t->next;
    p->waiting++;
}

static void
unlink_text(struct bert_pool *p, struct bert_text *t)
{
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        p->queues[t->queue].tail = t->prev;
    t->queue = -1;
    p->waiting--;
}

/* The queue whose turn it is: the first that has something, or that of the oldest text. -1: all are empty. */
static int
turn(struct bert_pool *p)
{
    bool oldest = ++p->passes % OLDEST_EVERY == 0;
    int best = -1;

    for (int q = 0; q < QUEUES; q++) {
        const struct bert_text *t = p->queues[q].first;

        if (t && (best < 0 || (oldest && t->no < p->queues[best].first->no)))
            best = q;
    }
    return best;
}

/* The first texts of a queue, as many as go into one pass. */
static size_t
take_texts(struct bert_pool *p, int q, size_t most, struct bert_text **out)
{
    size_t n = 0, bytes = 0;

    while (n < most && p->queues[q].first) {
        struct bert_text *t = p->queues[q].first;

        bytes += t->order->texts[t->at].n;
        if (n > 0 && bytes > GROUP_BYTES)
            break;
        unlink_text(p, t);
        out[n++] = t;
    }
    return n;
}

/* One text less is missing. True: it was the last. */
static bool
one_less(struct bert_order *o)
{
    assert(o->left > 0);
    return --o->left == 0;
}

/* ---- threads */
static void between(void *arg);

/* packer: NULL: the file is damaged. */
static void
compute(struct bert_thread *t, struct bert_packer *packer, struct bert_text **texts, size_t n, bool questions)
{
    struct str in[GROUP] = { STR_NONE };
    float *out[GROUP] = { NULL };

    for (size_t i = 0; i < n; i++) {
        in[i] = texts[i]->order->texts[texts[i]->at];
        out[i] = texts[i]->order->vectors + texts[i]->at * t->pool->f->hidden;
    }
    if (packer)
        bert_embed(packer, in, out, n, questions ? NULL : between, t);
    (void)pthread_mutex_lock(&t->pool->lock);
    for (size_t i = 0; i < n; i++) {
        struct bert_order *o = texts[i]->order;

        o->damaged = o->damaged || !packer;
        if (one_less(o))
            loop_post(t->pool->loop, o->done, o->arg);
    }
    (void)pthread_mutex_unlock(&t->pool->lock);
}

static void
between(void *arg)
{
    struct bert_thread *t = arg;
    struct bert_text *texts[BETWEEN];
    size_t n = 0;

    (void)pthread_mutex_lock(&t->pool->lock);
    if (!t->pool->stop)
        n = take_texts(t->pool, 0, BETWEEN, texts);
    (void)pthread_mutex_unlock(&t->pool->lock);
    if (n == 0)
        return;
    if (!t->urgent)
        t->urgent = bert_packer_new(t->pool->f);
    compute(t, t->urgent, texts, n, true);
}

/* The lock is held, and while the file is read it is not. */
static void
check_model(struct bert_pool *p)
{
    const char *why;

    p->checking = true;
    (void)pthread_mutex_unlock(&p->lock);
    why = bert_check(p->f);
    if (why)
        LOG(ERROR, NULL, M("the sentence model's file cannot be used"), KS("model", p->f->name),
            KS("why", why));
    (void)pthread_mutex_lock(&p->lock);
    p->known = true;
    p->damaged = why != NULL;
    (void)pthread_cond_broadcast(&p->more);
}

static void *
main_of_thread(void *arg)
{
    struct bert_thread *t = arg;
    struct bert_pool *p = t->pool;

    (void)pthread_setname_np(pthread_self(),
                             "minilm"); /* so that `top -H` tells the model's work from ours */
    for (;;) {
        struct bert_text *texts[GROUP];
        size_t n;
        int q;

        (void)pthread_mutex_lock(&p->lock);
        while (!p->stop && (p->waiting == 0 || !p->known)) {
            if (p->waiting > 0 && !p->checking)
                check_model(p);
            else
                (void)pthread_cond_wait(&p->more, &p->lock);
        }
        if (p->stop) {
            (void)pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        q = turn(p);
        n = take_texts(p, q, GROUP, texts);
        (void)pthread_mutex_unlock(&p->lock);
        if (!t->packer && !p->damaged)
            t->packer = bert_packer_new(p->f);
        compute(t, t->packer, texts, n, q == 0);
    }
}

struct bert_pool *
bert_pool_new(struct loop *l, struct bert_file *f, unsigned n_threads, size_t max_texts)
{
    struct bert_pool *p = mem_new(sizeof *p);
    sigset_t all, old;

    p->loop = l;
    p->f = f;
    p->known = f->checked;
    p->max = max_texts;
    for (int q = 0; q < QUEUES; q++)
        p->queues[q].tail = &p->queues[q].first;
    p->threads = mem_new(n_threads * sizeof *p->threads);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->more, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; p->n_threads < n_threads; p->n_threads++) {
        struct bert_thread *t = &p->threads[p->n_threads];

        t->pool = p;
        if (pthread_create(&t->id, NULL, main_of_thread, t) != 0)
            break;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (p->n_threads < n_threads)
        LOG(ERROR, NULL, M("cannot start all threads of the sentence model"), KI("threads", p->n_threads),
            KI("wanted", n_threads));
    if (p->n_threads == 0)
        bert_pool_free(&p);
    return p;
}

int
bert_pool_run(struct bert_pool *p, struct bert_order *o)
{
    bool room;

    (void)pthread_mutex_lock(&p->lock);
    room = p->waiting + o->n <= p->max;
    if (room) {
        o->items = mem_new(o->n * sizeof *o->items);
        o->left = o->n;
        for (size_t i = 0; i < o->n; i++) {
            o->items[i] = (struct bert_text){ .order = o, .at = i };
            push(p, &o->items[i], queue_of(o, o->texts[i].n));
        }
        if (o->n > 1)
            (void)pthread_cond_broadcast(&p->more);
        else
            (void)pthread_cond_signal(&p->more);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return room ? 0 : -1;
}

void
bert_pool_cancel(struct bert_pool *p, struct bert_order *o)
{
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < o->n && o->left > 0; i++) {
        if (o->items[i].queue < 0)
            continue;
        unlink_text(p, &o->items[i]);
        o->dropped = true;
        if (one_less(o))
            loop_post(p->loop, o->done, o->arg);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

void
bert_pool_stop(struct bert_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->more);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        (void)pthread_join(p->threads[i].id, NULL);
    for (unsigned i = 0; i < p->n_threads; i++) {
        bert_packer_free(&p->threads[i].packer);
        bert_packer_free(&p->threads[i].urgent);
    }
    p->n_threads = 0;
}

void
bert_pool_free(struct bert_pool **pp)
{
    struct bert_pool *p = *pp;

    if (!p)
        return;
    bert_pool_stop(p);
    (void)pthread_cond_destroy(&p->more);
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(&p->threads);
    mem_free(pp);
}
