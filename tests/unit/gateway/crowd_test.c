/* From how many requests on new ones are refused at their heads (gateway.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/gateway.h"

static bool
crowded(long most, long threads, long busy)
{
    const struct gateway_opt opt = { .max_requests = most, .http_threads = threads };
    struct gateway gw = { .opt = &opt };

    atomic_init(&gw.busy, busy);
    return gateway_crowded(&gw);
}

static void
a_tenth_is_kept_free(void **state)
{
    (void)state;
    assert_false(crowded(256, 1536, 230));
    assert_true(crowded(256, 1536, 231));
    assert_true(crowded(4096, 256, 231)); /* no more than there are threads */
    assert_false(crowded(2, 64, 1));
    assert_true(crowded(2, 64, 2));
}

/* docs/operating.md: for N streams some hundred more than N. */
static void
of_thousands_no_more_than_a_crowd_needs(void **state)
{
    (void)state;
    assert_false(crowded(5512, 5512, 5000));
    assert_false(crowded(5512, 5512, 5512 - GATEWAY_SPARE));
    assert_true(crowded(5512, 5512, 5512 - GATEWAY_SPARE + 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenth_is_kept_free),
        cmocka_unit_test(of_thousands_no_more_than_a_crowd_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
