/* Prices: what a deployment writes, what is in the table, what is never guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/price.h"

enum { TOKENS, DOLLARS, UNPRICED, ROWS };

static const struct stat_def defs[] = {
    { COUNTER, "test_tokens_total", { NULL, NULL }, { NULL, NULL }, "Tokens." },
    { FINE, "test_dollars_total", { NULL, NULL }, { NULL, NULL }, "Dollars." },
    { COUNTER, "test_unpriced_total", { NULL, NULL }, { NULL, NULL }, "Unpriced." },
};

static int
teardown(void **state)
{
    (void)state;
    price_fini();
    stat_fini();
    return 0;
}

static bool
refused(const char *spec)
{
    struct buf err = BUF_MAX(4096);
    bool bad;

    price_check(spec, &err);
    bad = err.n > 0;
    buf_free(&err);
    return bad;
}

static void
the_table_knows_the_default_models(void **state)
{
    struct price p;

    (void)state;
    price_init("");
    assert_true(price_find(STR("gpt-4o-mini"), &p) && p.input > 0 && p.output > p.input);
    assert_true(price_find(STR("text-embedding-3-small"), &p) && p.input > 0 && p.output == 0);
}

static void
a_model_without_a_row_has_no_price_not_even_one_that_looks_like_it(void **state)
{
    struct price p;

    (void)state;
    price_init("");
    assert_false(price_find(STR("gpt-4o-mini-2099-01-01"), &p));
    assert_false(price_find(STR("gpt-4"), &p));
    assert_false(price_find(STR(""), &p));
    assert_false(price_find(STR_NONE, &p));
}

static void
the_deployments_figures_come_before_the_table(void **state)
{
    struct price p;

    (void)state;
    price_init(" gpt-4o-mini = 1.5 / 3 ,, local/llama=0/0, odd=name=2");
    assert_true(price_find(STR("gpt-4o-mini"), &p) && p.input == 1.5 && p.output == 3);
    assert_true(price_find(STR("local/llama"), &p) && p.input == 0 && p.output == 0);
    assert_true(price_find(STR("odd=name"), &p) && p.input == 2 && p.output == 0);
    assert_true(price_find(STR("gpt-4o"), &p));
}

static void
a_malformed_list_is_told(void **state)
{
    static const char *const bad[] = { "gpt-4o", "=1",    "a=",    "a=x",     "a=1/x",
                                       "a=-1",   "a b=1", "a=1e3", "a=1/2/3", "a=99999999" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!refused(bad[i]))
            fail_msg("taken: %s", bad[i]);
    assert_false(refused(""));
    assert_false(refused("a=1,b=0.02/0.04, c = 3"));
}

static void
money_is_counted_in_fractions_and_unknown_models_apart(void **state)
{
    static struct stat_set set; /* outlives the test: teardown frees what it holds */
    const struct price_rows rows = { &set, TOKENS, DOLLARS, UNPRICED };
    struct buf b = { 0 };

    (void)state;
    stat_register(&set, defs, ROWS);
    price_init("m=0.02/3");
    price_count(&rows, 0, 0, STR("m"), false, 7);
    price_count(&rows, 0, 0, STR("m"), true, 2);
    price_count(&rows, 0, 0, STR("other"), false, 5);
    price_count(&rows, 0, 0, STR("m"), false, -1);
    assert_true(stat_value(&set, TOKENS, 0, 0) == 14);
    assert_true(stat_value(&set, UNPRICED, 0, 0) == 5);
    stat_print(&b);
    assert_non_null(strstr(b.p, "# TYPE footnote_test_dollars_total counter\n"));
    assert_non_null(strstr(b.p, "footnote_test_dollars_total 6.14e-06\n"));
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_table_knows_the_default_models, teardown),
        cmocka_unit_test_teardown(a_model_without_a_row_has_no_price_not_even_one_that_looks_like_it,
                                  teardown),
        cmocka_unit_test_teardown(the_deployments_figures_come_before_the_table, teardown),
        cmocka_unit_test_teardown(a_malformed_list_is_told, teardown),
        cmocka_unit_test_teardown(money_is_counted_in_fractions_and_unknown_models_apart, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
