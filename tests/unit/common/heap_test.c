/* The heap, against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/heap.h"

#define N 200

static struct heap h;
static struct heap_node all[N];

static int
setup(void **state)
{
    (void)state;
    memset(all, 0, sizeof all);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    heap_fini(&h);
    return h.v || h.n != 0;
}

static const struct heap_node *
least(void)
{
    const struct heap_node *best = NULL;

    for (size_t i = 0; i < N; i++)
        if (all[i].at != 0 &&
            (!best || all[i].key < best->key || (all[i].key == best->key && all[i].order < best->order)))
            best = &all[i];
    return best;
}

static void
of_equal_keys_the_first_one_comes_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++)
        heap_put(&h, &all[i], (int64_t)(i % 3));
    heap_put(&h, &all[0], 0); /* moved: behind the others of its key */
    for (size_t k = 0; k < 3; k++)
        for (size_t i = k ? k : 3; i < N; i += 3) {
            assert_ptr_equal(heap_first(&h), &all[i]);
            heap_drop(&h, &all[i]);
            if (k == 0 && i + 3 >= N) {
                assert_ptr_equal(heap_first(&h), &all[0]);
                heap_drop(&h, &all[0]);
            }
        }
    assert_null(heap_first(&h));
}

static void
whatever_is_put_moved_and_dropped_the_least_is_first(void **state)
{
    size_t in = 0;

    (void)state;
    srandom(7);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *x = &all[random() % N];

        if (random() % 3 == 0) {
            in -= x->at != 0;
            heap_drop(&h, x);
            assert_int_equal(x->at, 0);
        } else {
            in += x->at == 0;
            heap_put(&h, x, random() % 50 - 25);
        }
        assert_int_equal(h.n, in);
        assert_ptr_equal(heap_first(&h), least());
    }
    for (size_t i = 0; i < h.n; i++)
        assert_int_equal(h.v[i]->at, i + 1);
}

static void
what_is_not_in_it_is_dropped_without_harm(void **state)
{
    (void)state;
    heap_drop(&h, &all[0]);
    heap_put(&h, &all[1], INT64_MAX);
    heap_put(&h, &all[2], INT64_MIN);
    heap_drop(&h, &all[0]);
    assert_ptr_equal(heap_first(&h), &all[2]);
    heap_drop(&h, &all[2]);
    heap_drop(&h, &all[2]);
    assert_ptr_equal(heap_first(&h), &all[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_equal_keys_the_first_one_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(whatever_is_put_moved_and_dropped_the_least_is_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_not_in_it_is_dropped_without_harm, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
