/* Calls of the store from threads that may wait. The bus belongs to the loop's thread: the call is made there, and its answer wakes
 * who waits.
 *
 *   thread: store_ask ─▶ waiting in a list ─▶ loop: worker_call ─▶ answer ─▶ thread goes on     (ending: it goes on without one) */
#include "common/clock.h"
#include "retriever/pgvector/pgvector.h"

struct asking {
    struct asks *of;
    struct asking *prev, *next;
    enum kind kind;
    const void *q; /* the thread's */
    char tenant[65];
    int64_t deadline_ms;
    bool begun, done;
    bool left; /* nobody waits for it */
    enum err err;
    const void *rep;
    struct arena *held;
};
struct asks {
    struct loop *loop;
    struct worker *const *worker;
    pthread_mutex_t lock; /* of what follows, and of every asking */
    pthread_cond_t some;  /* an answer, or the end */
    struct asking *first;
    bool ending;
};

/* Under the lock. */
static void
asking_free(struct asking *x)
{
    *(x->prev ? &x->prev->next : &x->of->first) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    arena_free(&x->held);
    mem_free(&x);
}

static void
on_answer(void *arg, struct reply *r)
{
    struct asking *x = arg;
    struct asks *a = x->of;

    pthread_mutex_lock(&a->lock);
    x->done = true;
    x->err = r->err;
    if (x->left) {
        asking_free(x);
    } else if (r->err == ERR_OK) {
        x->rep = r->rep;
        x->held = r->arena;
        r->arena = NULL;
    }
    pthread_cond_broadcast(&a->some);
    pthread_mutex_unlock(&a->lock);
}

/* In the loop's thread. */
static void
call_store(void *arg)
{
    struct asking *x = arg;
    struct asks *a = x->of;

    pthread_mutex_lock(&a->lock);
    x->begun = true;
    if (x->left)
        asking_free(x);
    else
        (void)worker_call(*a->worker, NULL, x->kind, x->q, x->tenant, "", x->deadline_ms - clock_ms(),
                          on_answer, x);
    pthread_mutex_unlock(&a->lock);
}

static struct asking *
asking_new(struct asks *a, enum kind kind, const void *q, struct str tenant, int64_t deadline_ms)
{
    struct asking *x = mem_new(sizeof *x);

    *x = (struct asking){ .of = a, .kind = kind, .q = q, .deadline_ms = deadline_ms, .next = a->first };
    memcpy(x->tenant, tenant.p, tenant.n < sizeof x->tenant ? tenant.n : sizeof x->tenant - 1);
    if (a->first)
        a->first->prev = x;
    a->first = x;
    return x;
}

enum err
store_ask(struct asks *a, enum kind kind, const void *q, struct str tenant, int64_t deadline_ms,
          const void **rep, struct arena **held)
{
    struct asking *x;
    enum err err = ERR_CANCELLED;

    if (clock_ms() >= deadline_ms)
        return ERR_DEADLINE;
    pthread_mutex_lock(&a->lock);
    if (!a->ending) {
        x = asking_new(a, kind, q, tenant, deadline_ms);
        loop_post(a->loop, call_store, x);
        while (!x->done && !a->ending)
            pthread_cond_wait(&a->some, &a->lock);
        if (x->done) {
            err = x->err;
            *rep = x->rep;
            *held = x->held;
            x->held = NULL;
            asking_free(x);
        } else {
            x->left = true;
        }
    }
    pthread_mutex_unlock(&a->lock);
    return err;
}

struct asks *
asks_new(const struct engine_host *h)
{
    struct asks *a = mem_new(sizeof *a);

    a->loop = h->loop;
    a->worker = h->worker;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->some, NULL);
    return a;
}

void
asks_end(struct asks *a)
{
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_broadcast(&a->some);
    pthread_mutex_unlock(&a->lock);
}

void
asks_free(struct asks **a)
{
    if (!*a)
        return;
    while ((*a)->first)
        asking_free((*a)->first);
    pthread_cond_destroy(&(*a)->some);
    pthread_mutex_destroy(&(*a)->lock);
    mem_free(a);
}
