/* Connections by address: what one address has never counts for another, however many come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/edge/conn_addr.h"

static void
each_address_is_counted_by_itself(void **s)
{
    struct addr_table *t = addr_table_new(1000);
    static struct addr_entry *e[1000];

    (void)s;
    for (uint32_t i = 0; i < 1000; i++)
        e[i] = addr_enter(t, i % 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(addr_count(t, i), 10);
    for (uint32_t i = 0; i < 1000; i++)
        if (i % 100 != 7)
            addr_leave(t, e[i]);
    for (uint32_t i = 0; i < 101; i++)
        assert_int_equal(addr_count(t, i), i == 7 ? 10 : 0);
    addr_table_free(&t);
    assert_null(t);
}

static void
places_of_addresses_that_left_are_used_again_and_a_full_table_says_so(void **s)
{
    struct addr_table *t = addr_table_new(4);
    struct addr_entry *e[4];

    (void)s;
    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t i = 0; i < 4; i++)
            assert_non_null(e[i] = addr_enter(t, round * 4 + i));
        assert_null(addr_enter(t, 0xffffffff));
        assert_int_equal(addr_count(t, 0xffffffff), 0);
        for (uint32_t i = 0; i < 4; i++)
            addr_leave(t, e[(i * 3 + round) % 4]);
    }
    assert_int_equal(addr_count(t, 396), 0);
    addr_table_free(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_is_counted_by_itself),
        cmocka_unit_test(places_of_addresses_that_left_are_used_again_and_a_full_table_says_so),
    };

    return cmocka_run_group_tests_name("conn_addr", tests, NULL, NULL);
}
