/* The loop: descriptors, timers, hooks, posted work, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/process/loop.h"
#include "common/mem.h"
#include "common/process/threads.h"

static struct loop *l;
static char trail[64]; /* what happened, one letter each */

static int
setup(void **state)
{
    (void)state;
    l = loop_new();
    memset(trail, 0, sizeof trail);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    loop_free(&l);
    return l != NULL;
}

static void
mark(void *arg)
{
    size_t n = strlen(trail);

    assert_true(n + 1 < sizeof trail);
    trail[n] = *(const char *)arg;
}

static void
stop(void *arg)
{
    (void)arg;
    loop_stop(l);
}

/* ---- timers */

static void
timers_fire_in_order_of_time_then_of_setting(void **state)
{
    int64_t begun = clock_ms();

    (void)state;
    loop_after(l, 30, stop, NULL);
    loop_after(l, 20, mark, "d");
    loop_after(l, 0, mark, "a");
    loop_after(l, 10, mark, "c");
    loop_after(l, -5, mark, "b");
    loop_run(l);
    assert_string_equal(trail, "abcd");
    assert_true(clock_ms() - begun >= 30);
}

static void
a_cancelled_timer_never_fires_and_old_handles_are_harmless(void **state)
{
    uint64_t x = loop_after(l, 0, mark, "x"), old = x, y, copy;

    (void)state;
    loop_cancel(l, &x);
    assert_int_equal(x, 0);
    loop_cancel(l, &x);
    y = loop_after(l, 1, mark, "y"); /* takes x's slot */
    loop_cancel(l, &old);
    copy = y;
    loop_after(l, 5, stop, NULL);
    loop_run(l);
    assert_string_equal(trail, "y");
    loop_cancel(l, &copy);
}

static void
many_timers_cancelled_in_any_order_leave_the_rest_in_order(void **state)
{
    static uint64_t h[500];
    static const char names[] = "0123456789";

    (void)state;
    for (size_t i = 0; i < 500; i++) /* every 50th stays, the later set the earlier due */
        h[i] = loop_after(l, i % 50 == 0 ? 1000 - (int64_t)i * 2 : (int64_t)(i * 7919 % 1000),
                          i % 50 == 0 ? mark : stop, (void *)(uintptr_t)&names[i / 50]);
    for (size_t i = 0; i < 500; i++)
        if ((i * 7 % 500) % 50 != 0)
            loop_cancel(l, &h[i * 7 % 500]);
    loop_after(l, 1010, stop, NULL);
    loop_run(l);
    assert_string_equal(trail, "9876543210");
}

static void
set_again(void *arg)
{
    mark(arg);
    if (strlen(trail) < 5)
        loop_after(l, 0, set_again, arg);
    else
        loop_stop(l);
}

static void
a_timer_that_sets_itself_again_lets_posted_work_run(void **state)
{
    (void)state;
    loop_after(l, 0, set_again, "t");
    loop_post(l, mark, "p");
    loop_run(l);
    assert_non_null(strchr(trail, 'p'));
    assert_true(strchr(trail, 'p') < trail + 4);
}

/* ---- descriptors */

struct end {
    int fd;
    struct end *other;
    int events;
};

/* Each removes the other: only one of the two may run. */
static void
on_remove_other(void *arg, int fd, uint32_t events)
{
    struct end *e = arg;

    (void)events;
    e->events++;
    loop_fd(l, e->other->fd, 0, NULL, NULL);
    loop_fd(l, fd, 0, NULL, NULL);
    loop_after(l, 5, stop, NULL);
}

static void
an_event_of_the_same_batch_never_reaches_a_removed_handler(void **state)
{
    int a[2], b[2];
    struct end x = { 0 }, y = { 0 };

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a) | socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    x = (struct end){ a[0], &y, 0 };
    y = (struct end){ b[0], &x, 0 };
    loop_fd(l, a[0], EPOLLIN, on_remove_other, &x);
    loop_fd(l, b[0], EPOLLIN, on_remove_other, &y);
    assert_int_equal(write(a[1], "1", 1) + write(b[1], "1", 1), 2);
    loop_run(l);
    assert_int_equal(x.events + y.events, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(close(a[i]) | close(b[i]), 0);
}

static void
on_must_not_run(void *arg, int fd, uint32_t events)
{
    (void)arg;
    (void)fd;
    (void)events;
    fail();
}

/* Closes the other's descriptor and opens a new one, which gets the same number. */
static void
on_replace_other(void *arg, int fd, uint32_t events)
{
    struct end *e = arg;
    int fresh[2], old = e->other->fd;

    (void)events;
    e->events++;
    loop_fd(l, fd, 0, NULL, NULL);
    loop_fd(l, old, 0, NULL, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fresh), 0);
    assert_int_equal(dup2(fresh[0], old), old);
    loop_fd(l, old, EPOLLIN, on_must_not_run, NULL);
    assert_int_equal(close(fresh[0]), 0);
    e->fd = fresh[1]; /* kept open: closing it would be an event */
    loop_after(l, 5, stop, NULL);
}

static void
a_number_used_again_in_the_same_batch_gets_no_old_event(void **state)
{
    int a[2], b[2];
    struct end x = { 0 }, y = { 0 };

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a) | socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    x = (struct end){ a[0], &y, 0 };
    y = (struct end){ b[0], &x, 0 };
    loop_fd(l, a[0], EPOLLIN, on_replace_other, &x);
    loop_fd(l, b[0], EPOLLIN, on_replace_other, &y);
    assert_int_equal(write(a[1], "1", 1) + write(b[1], "1", 1), 2);
    loop_run(l);
    assert_int_equal(x.events + y.events, 1);
    (void)close(x.events ? x.fd : y.fd);
    for (int i = 0; i < 2; i++)
        assert_int_equal(close(a[i]) | close(b[i]), 0);
}

static void
on_count(void *arg, int fd, uint32_t events)
{
    char c;

    if (events & EPOLLIN) {
        assert_int_equal(read(fd, &c, 1), 1);
        *(int *)arg += 1;
    }
    loop_stop(l);
}

static void
a_descriptor_closed_without_a_word_can_be_watched_again(void **state)
{
    int a[2], seen = 0, number;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(a), 0);
        number = a[0];
        loop_fd(l, number, EPOLLIN, on_count, &seen);
        assert_int_equal(write(a[1], "x", 1), 1);
        loop_run(l);
        assert_int_equal(close(a[0]) | close(a[1]), 0); /* not forgotten first */
    }
    assert_int_equal(seen, 2);
}

static void
what_is_not_asked_for_any_more_is_not_delivered(void **state)
{
    int a[2], seen = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    loop_fd(l, a[0], EPOLLIN, on_count, &seen);
    assert_int_equal(write(a[1], "x", 1), 1);
    loop_fd(l, a[0], EPOLLOUT, on_count, &seen);
    loop_run(l);
    assert_int_equal(seen, 0);
    loop_fd(l, a[0], EPOLLIN, on_count, &seen);
    loop_run(l);
    assert_int_equal(seen, 1);
    assert_int_equal(close(a[0]) | close(a[1]), 0);
}

/* ---- hooks */

static bool
hook_three_times(void *arg)
{
    int *left = arg;

    mark("h");
    return --*left > 0;
}

static void
hooks_are_asked_until_all_have_nothing_to_do(void **state)
{
    int left = 3;

    (void)state;
    loop_hook(l, hook_three_times, &left);
    loop_after(l, 5, stop, NULL);
    loop_run(l);
    assert_true(left <= 0);
    assert_int_equal(strncmp(trail, "hhh", 3), 0);
}

static bool
hook_once(void *arg)
{
    mark(arg);
    loop_unhook(l, hook_once, arg);
    return true;
}

static void
a_hook_may_remove_itself(void **state)
{
    (void)state;
    loop_hook(l, hook_once, "a");
    loop_hook(l, hook_once, "b");
    loop_after(l, 5, stop, NULL);
    loop_run(l);
    assert_string_equal(trail, "ab");
}

static bool
hook_forever(void *arg)
{
    (void)arg;
    return true;
}

static void
a_hook_that_is_always_busy_starves_neither_timers_nor_descriptors(void **state)
{
    int a[2], seen = 0;

    (void)state;
    assert_int_equal(pipe(a), 0);
    loop_hook(l, hook_forever, NULL);
    loop_fd(l, a[0], EPOLLIN, on_count, &seen);
    loop_after(l, 2, stop, NULL);
    loop_run(l);
    assert_int_equal(write(a[1], "x", 1), 1);
    loop_run(l);
    assert_int_equal(seen, 1);
    assert_int_equal(close(a[0]) | close(a[1]), 0);
}

/* ---- other threads */

static int posted;

static void
count_post(void *arg)
{
    (void)arg;
    if (++posted == 4000)
        loop_stop(l);
}

static void *
post_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        loop_post(l, count_post, NULL);
    return NULL;
}

static void
everything_posted_by_several_threads_arrives_once(void **state)
{
    pthread_t t[4];

    (void)state;
    posted = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, post_many, NULL), 0);
    loop_run(l);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    assert_int_equal(posted, 4000);
}

static void *
stop_from_thread(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void
another_thread_can_stop_a_sleeping_loop_even_before_it_runs(void **state)
{
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, stop_from_thread, l), 0);
    loop_run(l);
    (void)pthread_join(t, NULL);
    loop_stop(l);
    loop_run(l);
}

struct task {
    _Atomic bool begun;  /* work runs */
    _Atomic bool may_go; /* work waits for it */
    pthread_t worker;
    bool worked, done;
};

static int tasks_done;

static void
work(void *arg)
{
    struct task *t = arg;

    t->worker = pthread_self();
    t->worked = true;
}

static void
work_when_told(void *arg)
{
    struct task *t = arg;

    atomic_store(&t->begun, true);
    while (!atomic_load(&t->may_go))
        (void)usleep(100);
    t->worked = true;
}

static void
task_done(void *arg)
{
    struct task *t = arg;

    assert_true(t->worked && !t->done);
    t->done = true;
    if (++tasks_done == 50)
        loop_stop(l);
}

static void
work_runs_elsewhere_and_its_end_here(void **state)
{
    struct pool_threads *p = threads_new(l, 3, 50);
    static struct task tasks[50];

    (void)state;
    tasks_done = 0;
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(threads_run(p, work, task_done, &tasks[i]), 0);
    loop_run(l);
    for (size_t i = 0; i < 50; i++)
        assert_true(tasks[i].done && !pthread_equal(tasks[i].worker, pthread_self()));
    threads_free(&p);
    assert_null(p);
    threads_free(&p);
}

static void
a_full_queue_refuses_and_freeing_drops_what_waits(void **state)
{
    struct pool_threads *p = threads_new(l, 1, 2);
    static struct task running, waiting[2];

    (void)state;
    assert_int_equal(threads_run(p, work_when_told, NULL, &running), 0);
    while (!atomic_load(&running.begun))
        (void)usleep(100);
    assert_int_equal(threads_run(p, work, NULL, &waiting[0]), 0);
    assert_int_equal(threads_run(p, work, NULL, &waiting[1]), 0);
    assert_int_equal(threads_run(p, work, NULL, &waiting[1]), -1);
    atomic_store(&running.may_go, true);
    threads_free(&p);
    assert_true(running.worked);
}

static void
a_loop_with_things_still_registered_can_be_freed(void **state)
{
    int a[2];

    (void)state;
    assert_int_equal(pipe(a), 0);
    loop_fd(l, a[0], EPOLLIN, on_must_not_run, NULL);
    loop_after(l, 0, mark, "x");
    loop_hook(l, hook_forever, NULL);
    loop_post(l, mark, "x");
    loop_free(&l);
    assert_null(l);
    assert_string_equal(trail, "");
    assert_int_equal(close(a[0]) | close(a[1]), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(timers_fire_in_order_of_time_then_of_setting),
        T(a_cancelled_timer_never_fires_and_old_handles_are_harmless),
        T(many_timers_cancelled_in_any_order_leave_the_rest_in_order),
        T(a_timer_that_sets_itself_again_lets_posted_work_run),
        T(an_event_of_the_same_batch_never_reaches_a_removed_handler),
        T(a_number_used_again_in_the_same_batch_gets_no_old_event),
        T(a_descriptor_closed_without_a_word_can_be_watched_again),
        T(what_is_not_asked_for_any_more_is_not_delivered),
        T(hooks_are_asked_until_all_have_nothing_to_do),
        T(a_hook_may_remove_itself),
        T(a_hook_that_is_always_busy_starves_neither_timers_nor_descriptors),
        T(everything_posted_by_several_threads_arrives_once),
        T(another_thread_can_stop_a_sleeping_loop_even_before_it_runs),
        T(work_runs_elsewhere_and_its_end_here),
        T(a_full_queue_refuses_and_freeing_drops_what_waits),
        T(a_loop_with_things_still_registered_can_be_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
