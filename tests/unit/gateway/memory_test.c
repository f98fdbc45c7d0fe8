/* The soft memory limit, with this process's real memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>

#include "common/clock.h"
#include "common/mem.h"
#include "gateway/edge/memory.h"

static bool
within(struct memory *m, bool tight, int64_t ms)
{
    int64_t until = clock_ms() + ms;

    while (memory_tight(m) != tight && clock_ms() < until)
        poll(NULL, 0, 10);
    return memory_tight(m) == tight;
}

static void
a_process_over_its_soft_limit_is_tight_and_one_under_it_is_not(void **state)
{
    struct memory small, large;

    (void)state;
    memory_init(&small, 1 << 20);
    memory_init(&large, 1L << 40);
    assert_int_equal(small.soft_bytes, (1 << 20) / 100 * 85);
    assert_true(memory_tight(&small));
    assert_false(memory_tight(&large));
}

/* The sanitizers keep freed memory for a while: with them only the first half can be seen. */
static void
it_is_tight_while_the_memory_is_used_and_no_longer(void **state)
{
    enum {
        BLOCK = 65536,
        BLOCKS = 1024
    }; /* small enough for the allocator's own heap: freed, it keeps them */
    static char *blocks[BLOCKS];
    struct memory m;

    (void)state;
    memory_init(&m, 1L << 40);
    m.soft_bytes = 300L << 20;
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    m.soft_bytes = 48L << 20;
    assert_false(memory_tight(&m));
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = mem_new(BLOCK);
        memset(blocks[i], 1, BLOCK);
    }
    assert_true(within(&m, true, 2000));
    for (size_t i = 0; i < BLOCKS; i++)
        mem_free(&blocks[i]);
    assert_true(within(&m, false, 5000));
#else
    (void)blocks;
    assert_true(within(&m, false, 100));
#endif
}

static void
between_two_looks_the_last_one_counts(void **state)
{
    struct memory m;

    (void)state;
    memory_init(&m, 1 << 20);
    assert_true(memory_tight(&m));
    m.soft_bytes = 1L << 50;
    assert_true(memory_tight(&m));
    assert_true(within(&m, false, 2000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_over_its_soft_limit_is_tight_and_one_under_it_is_not),
        cmocka_unit_test(it_is_tight_while_the_memory_is_used_and_no_longer),
        cmocka_unit_test(between_two_looks_the_last_one_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
