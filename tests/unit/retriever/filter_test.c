/* Filters: what they let through and what is no filter. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/text/json.h"
#include "retriever/filter.h"

static bool
passes(const char *filter)
{
    enum json_fault fault;
    const char *why;
    json_t *meta = json_read(
        STR("{\"lang\":\"en\",\"year\":2022,\"tags\":[\"a\",\"b\"],\"draft\":false,\"date\":\"2024-03-01\"}"),
        &fault, &why);
    struct filter_view v = { meta,      STR("0192-id"),  STR("guide"), STR("Title"), STR("https://x/"),
                             STR("Ch"), STR("Sec > Sub") };
    struct filter *f = filter_new(str_of(filter), &why);

    assert_non_null(f);
    bool ok = filter_document(f, &v) && filter_chunk(f, &v);

    filter_free(&f);
    json_decref(meta);
    return ok;
}

static void
a_filter_lets_through_what_it_says(void **state)
{
    (void)state;
    assert_true(passes(""));
    assert_true(passes("{}"));
    assert_true(passes("{\"lang\":\"en\",\"year\":2022.0}"));
    assert_false(passes("{\"lang\":\"de\"}"));
    assert_false(passes("{\"year\":\"2022\"}"));
    assert_true(passes("{\"lang\":[\"de\",\"en\"]}"));
    assert_true(passes("{\"tags\":\"b\"}"));
    assert_true(passes("{\"tags\":[\"x\",\"a\"]}"));
    assert_false(passes("{\"tags\":\"c\"}"));
    assert_true(passes("{\"year\":{\"gte\":2022,\"lt\":2023}}"));
    assert_false(passes("{\"year\":{\"gt\":2022}}"));
    assert_false(passes("{\"year\":{\"lte\":2021}}"));
    assert_true(passes("{\"date\":{\"gte\":\"2024-01-01\",\"lte\":\"2024-03-01\"}}"));
    assert_false(passes("{\"date\":{\"gte\":5}}"));
    assert_true(passes("{\"draft\":false}"));
    assert_false(passes("{\"missing\":1}"));
    assert_true(passes("{\"missing\":null}"));
    assert_true(passes("{\"chapter\":\"Ch\",\"section\":[\"x\",\"Sec > Sub\"]}"));
    assert_false(passes("{\"chapter\":\"Other\"}"));
    assert_true(passes("{\"document\":\"guide\"}"));
    assert_true(passes("{\"document\":\"0192-id\"}"));
    assert_false(passes("{\"document\":[\"other\"]}"));
}

static void
what_is_no_filter_is_refused(void **state)
{
    static const char *const bad[] = { "[]",
                                       "5",
                                       "{",
                                       "{\"a\":{}}",
                                       "{\"a\":{\"ge\":1}}",
                                       "{\"a\":[]}",
                                       "{\"a\":[[1]]}",
                                       "{\"a\":{\"gte\":[1]}}",
                                       "{\"a\":1,\"a\":2}" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *why = NULL;
        struct filter *f = filter_new(str_of(bad[i]), &why);

        assert_null(f);
        assert_non_null(why);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_lets_through_what_it_says),
        cmocka_unit_test(what_is_no_filter_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
