/* Spans: contexts that others send, which traces are kept, what is written for the collector. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/process/proc.h"
#include "common/text/json.h"
#include "common/trace/trace_int.h"

static void
no_context_of_a_stranger_makes_a_span(void **state)
{
    static const char *const bad[] = { "",
                                       "00",
                                       "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                                       "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                       "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                       "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
                                       "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\"-01" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(span_remote(str_of(bad[i]), "x"));
}

static void
without_a_collector_there_are_no_spans_and_nothing_is_done_with_none(void **state)
{
    struct span *s = span_root(NULL, "request");
    char context[TRACE_CONTEXT] = "?";

    (void)state;
    assert_null(s);
    assert_null(span_child(s, SPAN_CLIENT, "x"));
    span_str(s, "k", STR("v"));
    span_int(s, "k", 1);
    span_error(s, "gone");
    span_context(s, context);
    assert_string_equal(context, "");
    assert_null(span_trace_id(s));
    span_end(&s);
}

static double
no_number(const void *arg, size_t i)
{
    (void)arg, (void)i;
    return 0.0 / 0.0;
}

static void
what_is_written_is_json_whatever_an_attribute_holds(void **state)
{
    struct span s = { .kind = SPAN_CLIENT, .start_ns = 2, .end_ns = 1, .attributes = BUF_MAX(256 << 10) };
    struct buf out = BUF_MAX(1 << 20), long_one = BUF_MAX(200000);
    enum json_fault fault;
    const char *why;
    json_t *read;

    (void)state;
    memset(s.trace, 'a', 32);
    memset(s.id, 'b', 16);
    span_name(&s, "a \"name\" \xff");
    for (int i = 0; i < 20000; i++)
        buf_z(&long_one, "\x01\xc3\xa4");
    span_str(&s, "quoted", STR("\"\\\n\xff"));
    span_str(&s, "long", buf_slice(&long_one));
    span_int(&s, "least", INT64_MIN);
    span_nums(&s, "none", 1, no_number, NULL);
    span_bool(&s, "yes", true);
    span_error(&s, "went \"wrong\"");
    otlp_write("gateway", &s, &out);
    read = json_read(buf_slice(&out), &fault, &why);
    assert_non_null(read);
    assert_non_null(strstr(out.p, "\"endTimeUnixNano\":\"2\"")); /* never before it began */
    json_decref(read);
    for (int i = 0; i < 10000; i++)
        span_str(&s, "filler", STR("0123456789012345678901234567890123456789"));
    assert_true(s.attributes.n <= 256 << 10);
    assert_false(s.attributes.failed);
    buf_free(&s.attributes);
    buf_free(&out);
    buf_free(&long_one);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_context_of_a_stranger_makes_a_span),
        cmocka_unit_test(without_a_collector_there_are_no_spans_and_nothing_is_done_with_none),
        cmocka_unit_test(what_is_written_is_json_whatever_an_attribute_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
