/* The HTTP server's threads, made when connections need them.
 *
 * civetweb 1.15 starts all of its threads at once, 20 KB each, and has no other way. So pthread_create() and pthread_join() of this
 * executable are its own: while http.c starts the server, the calls for workers (all with one function, behind the first) are
 * written down and answered with a handle that stands for a thread to come, and accept (conn.c) has as many of them made as there
 * are connections. Everybody else's calls go straight to libc.
 *
 *   pool_promise → pthread_create … (promised) → pool_open → pool_has(n): (made) … → pool_close → pthread_join …
 *
 * A handle is the address of its promise, which no thread of libc can have. One that was never made is joined at once. Threads that
 * were made stay until the end: the next crowd finds them. Each has a stack of its own size: no page of 2 MB fits in, which a kernel
 * that gives such pages away unasked would use up for each thread.
 *
 * A stack keeps each page that was ever touched. The search, JSON and log lines before an answer lie deeper than the wait for
 * the next token: a stream gives these pages back (pool_rest). */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "gateway/edge/pool.h"

#define SPARE 8                /* threads that wait for the next connections */
#define STACK_BYTES (1u << 20) /* frames have 4 KB at most, JSON is 32 levels deep */
#define CALLEES 2048u          /* below the frame that gives its stack back: the calls that do it */

typedef void *(*run_fn)(void *);
typedef int (*create_fn)(pthread_t *, const pthread_attr_t *, run_fn, void *);
typedef int (*join_fn)(pthread_t, void **);

/* dlsym gives functions as data pointers: POSIX says that this conversion holds. */
#define REAL(type, name) ((type)(uintptr_t)dlsym(RTLD_NEXT, name))

struct promise {
    run_fn run;
    void *arg;
    pthread_t thread; /* when made */
};

static struct {
    pthread_mutex_t lock;
    struct promise **all; /* in the order in which they are made */
    long n, made;
    long wanted; /* connections, and SPARE */
    bool opened, closed;
    bool failed; /* told that the kernel gives no more */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };
static _Thread_local bool promising;
static _Thread_local run_fn last;        /* what the thread before was to run */
static _Thread_local char *stack_lowest; /* of a thread that was made; NULL: of another one */

static int
real_create(pthread_t *thread, const pthread_attr_t *attr, run_fn run, void *arg)
{
    static _Atomic(create_fn) real;
    create_fn fn = real;

    if (!fn)
        real = fn = REAL(create_fn, "pthread_create");
    return fn(thread, attr, run, arg);
}

static pthread_t
promised(run_fn run, void *arg)
{
    struct promise *p = mem_new(sizeof *p);
    pthread_t handle;

    _Static_assert(sizeof handle == sizeof p, "a handle holds an address");
    p->run = run;
    p->arg = arg;
    pthread_mutex_lock(&pool.lock);
    pool.all = mem_resize(pool.all, (size_t)(pool.n + 1) * sizeof *pool.all);
    pool.all[pool.n++] = p;
    pthread_mutex_unlock(&pool.lock);
    memcpy(&handle, &p, sizeof handle);
    return handle;
}

int
pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr, run_fn run,
               void *restrict arg)
{
    if (promising && run == last) {
        *thread = promised(run, arg);
        return 0;
    }
    last = run;
    return real_create(thread, attr, run, arg);
}

/* Under the lock; -1: it is none of ours. */
static long
find(pthread_t handle)
{
    for (long i = 0; i < pool.n; i++)
        if (memcmp(&handle, &pool.all[i], sizeof handle) == 0)
            return i;
    return -1;
}

int
pthread_join(pthread_t thread, void **result)
{
    static _Atomic(join_fn) real;
    join_fn fn = real;
    long at, made;

    if (!fn)
        real = fn = REAL(join_fn, "pthread_join");
    pthread_mutex_lock(&pool.lock);
    at = find(thread);
    made = pool.made;
    if (at >= 0 && at < made)
        thread = pool.all[at]->thread;
    pthread_mutex_unlock(&pool.lock);
    if (at < made)
        return fn(thread, result);
    if (result)
        *result = NULL;
    return 0;
}

/* Where this thread's stack ends, as the thread library knows it: above the first frame stand the variables of each thread, which
 * are many in some programs (a sanitizer's). NULL: it does not say. */
static char *
lowest(void)
{
    pthread_attr_t attr;
    void *at = NULL;
    size_t size;

    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return NULL;
    if (pthread_attr_getstack(&attr, &at, &size) != 0)
        at = NULL;
    pthread_attr_destroy(&attr);
    return at;
}

static void *
begin(void *arg)
{
    const struct promise *p = arg;

    stack_lowest = lowest();
    return p->run(p->arg);
}

void
pool_rest(void)
{
    char *here = __builtin_frame_address(0);

    if (!stack_lowest)
        return;
    mem_rest();
    if (here - CALLEES > stack_lowest)
        mem_back(stack_lowest, (size_t)(here - CALLEES - stack_lowest));
}

static bool
make(struct promise *p)
{
    pthread_attr_t attr;
    int e;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    e = real_create(&p->thread, &attr, begin, p);
    pthread_attr_destroy(&attr);
    if (e && !pool.failed)
        LOG(WARN, NULL, M("the kernel gives no more threads: further connections get 503"),
            KI("threads", pool.made), KS("why", strerror(e)));
    pool.failed = e != 0;
    return e == 0;
}

/* Under the lock. */
static void
make_wanted(void)
{
    long want = pool.wanted < pool.n ? pool.wanted : pool.n;

    while (pool.opened && !pool.closed && pool.made < want && make(pool.all[pool.made]))
        pool.made++;
}

void
pool_promise(void)
{
    promising = true;
    last = NULL;
}

void
pool_open(void)
{
    promising = false;
    pthread_mutex_lock(&pool.lock);
    pool.opened = true;
    if (pool.wanted < SPARE)
        pool.wanted = SPARE;
    make_wanted();
    pthread_mutex_unlock(&pool.lock);
}

bool
pool_has(long connections)
{
    bool enough;

    pthread_mutex_lock(&pool.lock);
    if (connections + SPARE > pool.wanted)
        pool.wanted = connections + SPARE;
    make_wanted();
    enough = !pool.opened || pool.closed || connections <= pool.made || pool.made == pool.n;
    pthread_mutex_unlock(&pool.lock);
    return enough;
}

void
pool_close(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.closed = true;
    pthread_mutex_unlock(&pool.lock);
}

long
pool_made(void)
{
    long made;

    pthread_mutex_lock(&pool.lock);
    made = pool.made;
    pthread_mutex_unlock(&pool.lock);
    return made;
}
