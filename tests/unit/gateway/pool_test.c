/* The HTTP server's threads: promised at its start, made when connections need them, joined like any other. */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/edge/pool.h"

#define WORKERS 40
#define SPARE 8 /* pool.c's */

static atomic_long running;
static sem_t end;
static pthread_t threads[WORKERS];

/* ---- a thread that was deep in its stack once */

#define DEEP 65536
static atomic_int pages_deep, pages_rested; /* in use at that depth */
static atomic_bool kept;                    /* what stood above it is as it was */

static int
pages_at(uintptr_t at)
{
    unsigned char in[DEEP / 4096];
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    int n = 0;

    if (mincore((void *)(at / page * page), DEEP / 2, in) != 0)
        return -1;
    for (size_t i = 0; i < DEEP / 2 / page; i++)
        n += in[i] & 1;
    return n;
}

static __attribute__((noinline)) uintptr_t
dig(size_t left)
{
    volatile char some[1024];
    uintptr_t deepest = (uintptr_t)__builtin_frame_address(0);

    some[0] = some[sizeof some - 1] = (char)left;
    if (left > sizeof some)
        deepest = dig(left - sizeof some);
    return some[0] == (char)left ? deepest : 0;
}

static void
rest_once(void)
{
    volatile char above[2048];
    uintptr_t deep;

    for (size_t i = 0; i < sizeof above; i++)
        above[i] = (char)i;
    deep = dig(DEEP);
    atomic_store(&pages_deep, pages_at(deep));
    pool_rest();
    atomic_store(&pages_rested, pages_at(deep));
    atomic_store(&kept, true);
    for (size_t i = 0; i < sizeof above; i++)
        if (above[i] != (char)i)
            atomic_store(&kept, false);
}

static void *
work(void *arg)
{
    if (arg == (void *)2) /* the first one that was promised */
        rest_once();
    atomic_fetch_add(&running, 1);
    while (sem_wait(&end) != 0)
        ;
    return arg;
}

static void *
listen_once(void *arg)
{
    return arg;
}

static void
wait_until_running(long n)
{
    while (atomic_load(&running) < n)
        sched_yield();
}

static void
a_server_starts(void **state)
{
    pthread_t other;

    (void)state;
    sem_init(&end, 0, 0);
    pool_promise();
    for (intptr_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    assert_int_equal(pthread_create(&other, NULL, listen_once, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0); /* another function: made at once */
    assert_int_equal(pool_made(), 0);
    pool_open();
    assert_int_equal(pool_made(), SPARE);
    wait_until_running(1 + SPARE);
}

/* Pages that a stream needed before its answer began are not kept while it waits. */
static void
a_thread_that_rests_gives_its_stack_back(void **state)
{
    (void)state;
    pool_rest(); /* none of the server's threads: nothing happens */
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its frames are elsewhere */
#endif
    assert_true(atomic_load(&pages_deep) >= DEEP / 2 / 4096);
    assert_int_equal(atomic_load(&pages_rested), 0);
    assert_true(atomic_load(&kept));
}

static void
connections_get_their_threads(void **state)
{
    (void)state;
    assert_true(pool_has(2));
    assert_true(pool_has(20));
    assert_int_equal(pool_made(), 20 + SPARE);
    wait_until_running(1 + 20 + SPARE);
    assert_true(pool_has(3)); /* fewer: none ends */
    assert_int_equal(pool_made(), 20 + SPARE);
}

/* A pthread_create outside of a server's start is libc's. */
static void
other_threads_are_nobodys_promise(void **state)
{
    pthread_t t;
    void *result = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&t, NULL, listen_once, &running), 0);
        assert_int_equal(pthread_join(t, &result), 0);
        assert_ptr_equal(result, &running);
    }
}

/* No room for one more stack: the caller is told, and gets it when there is room again. */
static void
a_thread_that_the_kernel_refuses_is_not_there(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)state;
    skip();
#else
    struct rlimit was, none;

    (void)state;
    getrlimit(RLIMIT_AS, &was);
    none = was;
    none.rlim_cur = 4096;
    setrlimit(RLIMIT_AS, &none);
    assert_false(pool_has(30));
    assert_true(pool_has(20)); /* those that are there suffice */
    setrlimit(RLIMIT_AS, &was);
    assert_true(pool_has(30));
    assert_int_equal(pool_made(), 30 + SPARE);
#endif
}

static void
those_never_made_are_joined_at_once(void **state)
{
    long made;

    (void)state;
    pool_close();
    made = pool_made();
    assert_true(pool_has(WORKERS + 1)); /* the server stops: nobody is refused for it, nothing is made */
    assert_int_equal(pool_made(), made);
    for (int i = 0; i < WORKERS; i++)
        sem_post(&end);
    for (intptr_t i = 0; i < WORKERS; i++) {
        void *result = &end;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, i <= made ? (void *)(i + 1) : NULL);
    }
    assert_int_equal(atomic_load(&running), 1 + made);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_starts),
        cmocka_unit_test(a_thread_that_rests_gives_its_stack_back),
        cmocka_unit_test(connections_get_their_threads),
        cmocka_unit_test(other_threads_are_nobodys_promise),
        cmocka_unit_test(a_thread_that_the_kernel_refuses_is_not_there),
        cmocka_unit_test(those_never_made_are_joined_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
