/* Metrics of a service as `footnote doctor` reads them: damaged pages say nothing wrong, and break nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "client/admin/admin.h"

static void
look(struct doctor *d, struct cli *c, struct str page)
{
    *c = (struct cli){ 0 };
    c->opt[CLI_JSON] = "on";
    *d = (struct doctor){ .cli = c, .version = "1.0" };
    gauge_page(d, "here:1", page);
}

static void
assert_grades(struct str page, size_t ok, size_t warn, size_t fail)
{
    struct doctor d;
    struct cli c;

    look(&d, &c, page);
    if (d.n[GRADE_OK] != ok || d.n[GRADE_WARN] != warn || d.n[GRADE_FAIL] != fail)
        fail_msg("%zu %zu %zu: " STR_FMT, d.n[GRADE_OK], d.n[GRADE_WARN], d.n[GRADE_FAIL],
                 STR_ARG(buf_slice(&d.json)));
    buf_free(&d.json);
}

#define BUILD "footnote_build_info{version=\"1.0\",build=\"x\"} 1\n"

static void
each_series_is_judged_by_its_row(void **state)
{
    (void)state;
    assert_grades(STR(BUILD), 1, 0, 0);
    assert_grades(STR(BUILD "footnote_bus_hubs 1\nfootnote_upstream_breaker{route=\"chat\"} 1\n"), 1, 0, 0);
    assert_grades(STR(BUILD "footnote_bus_hubs 0\n"), 0, 0, 1);
    assert_grades(STR(BUILD
                      "footnote_upstream_breaker{route=\"a\"} 2\nfootnote_upstream_breaker{route=\"b\"} 2\n"),
                  0, 0, 2);
    assert_grades(STR(BUILD "footnote_store_outbox_length 1000\n"), 1, 0, 0);
    assert_grades(STR(BUILD "footnote_store_outbox_length 1.001e+3\n"), 0, 1, 0);
    assert_grades(STR(BUILD "process_max_fds 100\nprocess_open_fds 91"), 0, 1, 0); /* in whatever order */
    assert_grades(STR(BUILD "process_open_fds 90\nprocess_max_fds 100\n"), 1, 0, 0);
    assert_grades(STR(BUILD "process_start_time_seconds 99999999999\n"), 0, 1, 0);
    assert_grades(STR("footnote_build_info{build=\"x\",version=\"2.0\"} 1\n"), 0, 1, 0);
}

static void
a_page_that_is_none_is_said(void **state)
{
    static const char *const pages[] = { "",
                                         "\n\n",
                                         "<html>",
                                         "# footnote_build_info 1",
                                         "footnote_build_info",
                                         "footnote_build_info{version=\"1.0\" 1" };

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        assert_grades(str_of(pages[i]), 0, 0, 1);
    assert_grades(STR_NONE, 0, 0, 1);
}

static void
damaged_lines_are_passed_over(void **state)
{
    (void)state;
    assert_grades(
        STR(BUILD
            "footnote_bus_hubs\nfootnote_bus_hubs \nfootnote_bus_hubs{\nfootnote_bus_hubs{} \n{} 0\n 0\n\0\0\n"
            "footnote_bus_hubs_more 0\nfootnote_bus_hubs{a=\"} 5\n"),
        1, 0, 0);
    assert_grades(STR("footnote_build_info{version=\"} 1\n"), 1, 0,
                  0); /* a version that never ends is none */
    assert_grades(STR(BUILD "process_open_fds 1e999\nprocess_max_fds nan\n"), 1, 0, 0);
}

static void
times_are_those_of_the_api(void **state)
{
    (void)state;
    assert_int_equal(admin_time_ms(STR("1970-01-02T00:00:01.500Z")), 86401000);
    assert_int_equal(admin_time_ms(STR("2026-11-30T07:00:00Z")), INT64_C(1796022000000));
    assert_int_equal(admin_time_ms(STR("")), -1);
    assert_int_equal(admin_time_ms(STR_NONE), -1);
    assert_int_equal(admin_time_ms(STR("soon")), -1);
    assert_int_equal(admin_time_ms(STR("2026-11-30T07:00:00 and much more than a time ever has")), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_series_is_judged_by_its_row),
        cmocka_unit_test(a_page_that_is_none_is_said),
        cmocka_unit_test(damaged_lines_are_passed_over),
        cmocka_unit_test(times_are_those_of_the_api),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
