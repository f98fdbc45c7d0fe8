/* The statement table, error mapping, and the compiled-in migrations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "store/stat.h"
#include "store/store.h"

static void
every_statement_on_tenant_data_names_the_tenant(void **state)
{
    (void)state;
    for (size_t i = 0; i < SQL_COUNT; i++)
        if (sqls[i].tenant && !strstr(sqls[i].text, "tenant"))
            fail_msg("%s does not name the tenant", sqls[i].name);
}

static void
every_statement_uses_exactly_its_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < SQL_COUNT; i++) {
        int highest = 0;

        for (const char *s = sqls[i].text; (s = strchr(s, '$')); s++) {
            int n = 0;

            for (const char *d = s + 1; *d >= '0' && *d <= '9'; d++)
                n = n * 10 + (*d - '0');
            highest = n > highest ? n : highest;
        }
        /* those that share the six parameters of `put_state` need not use all of them */
        if (highest != sqls[i].params && strncmp(sqls[i].name, "PUT_", 4) != 0)
            fail_msg("%s: uses $%d, declares %d", sqls[i].name, highest, sqls[i].params);
    }
}

static void
sqlstates_become_the_suites_errors(void **state)
{
    static const struct {
        const char *s;
        enum err e;
        int refused;
    } rows[] = {
        { "57014", ERR_DEADLINE, -1 },   { "55P03", ERR_STORE_BUSY, -1 }, { "53100", ERR_STORE_FULL, -1 },
        { "53300", ERR_STORE_BUSY, -1 }, { "57P01", ERR_STORE_DOWN, -1 }, { "23505", ERR_CONFLICT, -1 },
        { "22021", ERR_VALIDATION, -1 }, { "42601", ERR_INTERNAL, -1 },   { "40P01", ERR_STORE_BUSY, -1 },
        { "FN015", ERR_NOT_FOUND, 15 },  { "FN000", ERR_CONFLICT, 0 },    { "FN023", ERR_IDEMPOTENCY, 23 },
        { "FN999", ERR_CONFLICT, 999 },  { "25006", ERR_STORE_DOWN, -1 }, { "XX000", ERR_INTERNAL, -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int refused;

        assert_int_equal(tx_map(rows[i].s, &refused), rows[i].e);
        assert_int_equal(refused, rows[i].refused);
    }
}

static void
the_compiled_migrations_are_the_sql_files(void **state)
{
    (void)state;
    for (int n = 1; n <= migrate_newest(); n++) {
        const char *name, *sql = migrate_sql(n, &name);
        char path[256];
        struct buf b = { 0 };
        FILE *f;
        int c;

        if (!sql)
            continue; /* a number that no migration has */
        snprintf(path, sizeof path, "store/migrations/%04d_%s.sql", n, name);
        f = fopen(path, "r");
        assert_non_null(f);
        while ((c = fgetc(f)) != EOF)
            buf_c(&b, (char)c);
        fclose(f);
        assert_string_equal(b.p, sql);
        buf_free(&b);
    }
}

static int
setup(void **state)
{
    (void)state;
    stats_init();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_on_tenant_data_names_the_tenant),
        cmocka_unit_test(every_statement_uses_exactly_its_parameters),
        cmocka_unit_test(sqlstates_become_the_suites_errors),
        cmocka_unit_test(the_compiled_migrations_are_the_sql_files),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
