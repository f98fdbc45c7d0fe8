/* Manual pages: no word of a table becomes a request, lines are filled, options say all that the table says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/process/man.h"

struct values {
    const char *dir;
    long n;
};
#define OPT_STRUCT struct values
static const struct opt_def defs[] = { OPT_ROW(str, dir, "DATA_DIR|DIR", "a\\b", 0, 0, "Where it is.")
                                           OPT_ROW(int, n, "MOST", "5", 1, 9, "How many.") };

static void
text_is_no_request(void **state)
{
    struct buf out = { 0 };

    (void)state;
    man_text(&out, ".so /etc/passwd\n'br a\\nb --x \"q\" ~ ^");
    assert_string_equal(out.p, "\\&.so /etc/passwd \\&'br a\\enb \\-\\-x \\(dqq\\(dq \\(ti \\(ha\n");
    buf_free(&out);
}

static void
lines_are_filled_and_an_empty_one_begins_a_paragraph(void **state)
{
    struct buf out = { 0 };

    (void)state;
    for (int i = 0; i < 60; i++)
        buf_z(&out, "word\n");
    buf_z(&out, "\n  \nlast");
    struct buf page = { 0 };

    man_text(&page, out.p);
    for (const char *p = page.p; *p; p += strcspn(p, "\n") + 1)
        assert_true(strcspn(p, "\n") <= 80);
    assert_non_null(strstr(page.p, "word\n.PP\nlast\n"));
    buf_reset(&page);
    man_text(&page, " \n\n ");
    assert_int_equal(page.n, 0);
    buf_free(&out);
    buf_free(&page);
}

static void
an_option_says_flag_environment_default_and_bounds(void **state)
{
    const struct opt_set rows = { .defs = defs, .n = 2 };
    struct buf out = { 0 };

    (void)state;
    opt_print_man(&rows, &out);
    assert_string_equal(
        out.p,
        ".TP\n\\fB\\-\\-data\\-dir\\fR \\fITEXT\\fR\nWhere it is. Environment: DATA_DIR, DIR. Default: a\\eb.\n"
        ".TP\n\\fB\\-\\-most\\fR \\fIN\\fR\nHow many. Environment: MOST. Default: 5. Allowed: 1 to 9.\n");
    buf_free(&out);
}

static void
the_date_is_that_of_the_sources(void **state)
{
    struct buf out = { 0 };

    (void)state;
    assert_int_equal(setenv("SOURCE_DATE_EPOCH", "86400", 1), 0);
    man_head(&out, "footnote-x", 8, "does x");
    assert_non_null(strstr(out.p, ".TH FOOTNOTE-X 8 1970-01-02 "));
    assert_non_null(strstr(out.p, "\n.SH NAME\nfootnote-x \\- does x\n"));
    buf_free(&out);
    assert_int_equal(unsetenv("SOURCE_DATE_EPOCH"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_no_request),
        cmocka_unit_test(lines_are_filled_and_an_empty_one_begins_a_paragraph),
        cmocka_unit_test(an_option_says_flag_environment_default_and_bounds),
        cmocka_unit_test(the_date_is_that_of_the_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
