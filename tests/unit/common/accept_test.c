/* Which form of /metrics a scraper asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/process/accept.h"

#define OPEN "application/openmetrics-text"

static bool
asks(const char *headers)
{
    char head[1024];

    (void)snprintf(head, sizeof head, "GET /metrics HTTP/1.1\r\nHost: accept\r\n%sUser-Agent: x\r\n\r\n",
                   headers);
    return accept_openmetrics(str_of(head));
}

static void
what_prometheus_sends_asks_for_openmetrics(void **state)
{
    (void)state;
    assert_true(asks("Accept: " OPEN ";version=1.0.0," OPEN
                     ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n")); /* 2.42 */
    assert_true(asks("Accept: " OPEN ";version=1.0.0;escaping=allow-utf-8;q=0.5," OPEN
                     ";version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
                     "text/plain;version=0.0.4;q=0.2,*/*;q=0.1\r\n")); /* 3.0 */
    assert_true(asks("accept:\t" OPEN " ; version=\"1.0.0\" ; q=0.5 , text/plain;q=0.5\r\n"));
    assert_true(asks("Accept: " OPEN "\r\n"));
    assert_true(asks("Accept: text/plain;q=0.1\r\nACCEPT: " OPEN ";q=1.000\r\n"));
}

static void
everybody_else_gets_the_text_of_before(void **state)
{
    static const char *const others[] = {
        "",
        "Accept: */*\r\n",
        "Accept:\r\n",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n",
        "Accept: text/plain;version=0.0.4;q=1,*/*;q=0.1\r\n",
        "Accept: " OPEN ";q=0.4,text/plain;q=0.5\r\n", /* less wanted */
        "Accept: " OPEN ";q=0.4,text/*;q=0.5\r\n",
        "Accept: " OPEN ";q=0.4,*/*\r\n",
        "Accept: " OPEN ";q=0\r\n",           /* not at all */
        "Accept: " OPEN ";version=0.0.1\r\n", /* a version that we do not write */
        "Accept: " OPEN ";version=2.0.0\r\n",
        "Accept: " OPEN "-x;version=1.0.0\r\n", /* another type */
        "Accept-Encoding: " OPEN "\r\n",
        "X-Accept: " OPEN "\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (asks(others[i]))
            fail_msg("%s", others[i]);
}

static void
a_quality_that_is_none_wants_nothing(void **state)
{
    static const char *const bad[] = { "",   "x",   "2",    "1.001", "0.12345", "-1",
                                       ".5", "0,5", "0.5x", "1e0",   "00.5" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[128];

        (void)snprintf(line, sizeof line, "Accept: " OPEN ";q=%s\r\n", bad[i]);
        if (asks(line))
            fail_msg("%s", line);
    }
    assert_true(asks("Accept: " OPEN ";q=0.001\r\n"));
    assert_true(asks("Accept: " OPEN ";q=0.5,text/plain;q=0.499\r\n"));
    assert_false(asks("Accept: " OPEN ";q=0.499,text/plain;q=0.5\r\n"));
}

static void
a_head_that_ends_anywhere_is_read_to_its_end(void **state)
{
    const char whole[] = "Accept: " OPEN ";version=1.0.0;q=0.5,text/plain;q=0.2\r\n\r\n";

    (void)state;
    for (size_t n = 0; n < sizeof whole; n++) {
        char *part = malloc(n ? n : 1); /* so that a sanitizer sees a byte too far */

        assert_non_null(part);
        memcpy(part, whole, n);
        (void)accept_openmetrics((struct str){ part, n });
        free(part);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_prometheus_sends_asks_for_openmetrics),
        cmocka_unit_test(everybody_else_gets_the_text_of_before),
        cmocka_unit_test(a_quality_that_is_none_wants_nothing),
        cmocka_unit_test(a_head_that_ends_anywhere_is_read_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
