/* The innermost of the headings that a passage stands under. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/section.h"

static void
the_innermost_heading_stands_behind_the_last_arrow(void **state)
{
    static const char *const cases[][2] = {
        { "A > B > C", "C" },  { "A", "A" },   { "", "" },      { "a>b -> c", "a>b -> c" },
        { "A > vi > 9", "9" }, { "A > ", "" }, { " > B", "B" }, { "> B", "> B" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(str_is(section_last(str_of(cases[i][0])), cases[i][1]));
    assert_null(section_last(STR_NONE).p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_innermost_heading_stands_behind_the_last_arrow)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
