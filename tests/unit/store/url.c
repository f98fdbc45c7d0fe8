/* Database URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/pool/pool.h"

static void
check(const char *in, const char *want, const char *want_dropped)
{
    struct buf out = { 0 }, dropped = { 0 };
    const char *why;

    assert_true(pg_url_read(in, &out, &dropped, &why));
    assert_string_equal(out.p, want);
    assert_string_equal(dropped.n ? dropped.p : "", want_dropped);
    buf_free(&out);
    buf_free(&dropped);
}

static void
schemes_of_other_drivers_are_understood(void **state)
{
    (void)state;
    check("postgres://u:p@h/d", "postgresql://u:p@h/d", "");
    check("postgresql://u:p@h:5/d", "postgresql://u:p@h:5/d", "");
    check("postgresql+asyncpg://u@h/d", "postgresql://u@h/d", "");
    check("postgresql+psycopg2://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require", "");
    check("host=h dbname=d", "host=h dbname=d", "");
}

static void
ssl_becomes_sslmode_and_unknown_parameters_are_named(void **state)
{
    (void)state;
    check("postgres://h/d?ssl=require", "postgresql://h/d?sslmode=require", "");
    check("postgres://h/d?ssl=true&connect_timeout=3", "postgresql://h/d?sslmode=require&connect_timeout=3",
          "");
    check("postgres://h/d?prepared_statement_cache_size=0&ssl=off&foo=1", "postgresql://h/d?sslmode=disable",
          "prepared_statement_cache_size, foo");
    check("postgres://a,b:1/d?target_session_attrs=read-write",
          "postgresql://a,b:1/d?target_session_attrs=read-write", "");
}

static void
what_is_no_database_url_is_refused(void **state)
{
    static const char *const bad[] = { "", "mysql://h/d", "postgres://%zz@h/d", "nonsense" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out = { 0 }, dropped = { 0 };
        const char *why = NULL;

        assert_false(pg_url_read(bad[i], &out, &dropped, &why));
        assert_non_null(why);
        buf_free(&out);
        buf_free(&dropped);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemes_of_other_drivers_are_understood),
        cmocka_unit_test(ssl_becomes_sslmode_and_unknown_parameters_are_named),
        cmocka_unit_test(what_is_no_database_url_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
