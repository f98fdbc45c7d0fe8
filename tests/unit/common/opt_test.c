/* Options: where values come from, what is refused and how that is said, what is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/process/opt.h"

struct test_opt {
    const char *url, *key, *host;
    long size, room;
    bool cache, once;
    double ratio;
};

#define OPT_STRUCT struct test_opt
static const struct opt_def rows[] = {
    OPT_ROW(secret, url, "T_DATABASE_URL|T_NEON_URL", "", 0, 0, "Where the database is.")
        OPT_ROW(secret, key, "T_KEY", "", 8, 64, "The key.")
            OPT_ROW(str, host, "T_HOST", "127.0.0.1", 0, 0, "Address | name.")
                OPT_ROW(int, size, "T_POOL_SIZE", "10", 1, 1000, "Connections.")
                    OPT_ROW(bool, cache, "T_CACHE", "on", 0, 0, "Cache answers.")
                        OPT_ROW(bool, once, "--once", "off", 0, 0, "Run once.")
                            OPT_ROW(num, ratio, "T_RATIO", "0.5", 0, 1, "A share.")
                                OPT_ROW(int, room, "T_ROOM", "0", 0, 1000000000000000, "Bytes.")
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static struct test_opt v;
static struct opt_set set;
static struct buf err;
static char file[64];

/* Load with this argv. */
#define LOAD(...) load((const char *const[]){ __VA_ARGS__, NULL })

static int
load(const char *const *args)
{
    char *argv[8];
    int argc = 0;

    for (; args[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc];
    opt_free(&set);
    buf_reset(&err);
    return opt_load(&set, rows, N_ROWS, &v, argc, argv, &err);
}

static int
setup(void **state)
{
    int fd;

    (void)state;
    (void)snprintf(file, sizeof file, "/tmp/opt_test.XXXXXX");
    fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
    static const char *const used[] = { "T_DATABASE_URL",  "T_NEON_URL",  "T_DATABASE_URL_FILE",
                                        "T_NEON_URL_FILE", "T_POOL_SIZE", "T_HOST",
                                        "T_CACHE",         "T_KEY" };

    (void)state;
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        (void)unsetenv(used[i]);
    opt_free(&set);
    buf_free(&err);
    return unlink(file);
}

static void
write_file(const char *text, size_t n)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void
with_nothing_given_the_defaults_hold_and_texts_are_never_null(void **state)
{
    (void)state;
    assert_int_equal(LOAD("t"), 0);
    assert_string_equal(v.url, "");
    assert_string_equal(v.host, "127.0.0.1");
    assert_int_equal(v.size, 10);
    assert_true(v.cache && !v.once && v.ratio == 0.5);
    assert_int_equal(set.from[3], OPT_FROM_DEFAULT);
}

static void
flag_beats_environment_beats_file_beats_default(void **state)
{
    (void)state;
    write_file("  from file \r\nsecond line\n", 26);
    (void)setenv("T_DATABASE_URL_FILE", file, 1);
    assert_int_equal(LOAD("t"), 0);
    assert_string_equal(v.url, "from file");
    assert_int_equal(set.from[0], OPT_FROM_FILE);
    (void)setenv("T_NEON_URL", "from alias", 1);
    assert_int_equal(LOAD("t"), 0);
    assert_string_equal(v.url, "from alias");
    (void)setenv("T_DATABASE_URL", "from env", 1);
    assert_int_equal(LOAD("t"), 0);
    assert_string_equal(v.url, "from env");
    assert_int_equal(set.from[0], OPT_FROM_ENV);
    assert_int_equal(LOAD("t", "--t-database-url=from flag"), 0);
    assert_string_equal(v.url, "from flag");
    assert_int_equal(set.from[0], OPT_FROM_FLAG);
}

static void
an_empty_variable_or_file_counts_as_not_set(void **state)
{
    (void)state;
    (void)setenv("T_POOL_SIZE", "", 1);
    (void)setenv("T_HOST", "", 1);
    (void)setenv("T_DATABASE_URL_FILE", file, 1);
    assert_int_equal(LOAD("t"), 0);
    assert_int_equal(v.size, 10);
    assert_string_equal(v.host, "127.0.0.1");
    assert_string_equal(v.url, "");
    assert_int_equal(set.from[0], OPT_FROM_DEFAULT);
    assert_int_equal(LOAD("t", "--t-host="), 0);
    assert_string_equal(v.host, "");
}

static void
flags_take_their_value_after_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    assert_int_equal(LOAD("t", "--t-pool-size", "20", "--once", "--t-cache", "off", "--t-ratio=0.25"), 0);
    assert_int_equal(v.size, 20);
    assert_true(v.once && !v.cache && v.ratio == 0.25);
    assert_int_equal(LOAD("t", "--t-cache", "--t-host", "--odd"), 0);
    assert_true(v.cache);
    assert_string_equal(v.host, "--odd");
}

static void
every_spelling_of_on_and_off_is_understood(void **state)
{
    static char *const words[] = { "off", "ON", "false", "True", "no", "yes", "0", "1" };

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        (void)setenv("T_CACHE", words[i], 1);
        assert_int_equal(LOAD("t"), 0);
        assert_int_equal(v.cache, i & 1);
    }
}

static void
a_bad_value_is_refused_with_its_option_and_what_is_allowed(void **state)
{
    static const char *const bad[] = { "abc", "0", "1001", "12x", " 12", "99999999999999999999", "1.5" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)setenv("T_POOL_SIZE", bad[i], 1);
        assert_int_equal(LOAD("t"), -1);
        assert_int_equal(strncmp(err.p, "T_POOL_SIZE: \"", 14), 0);
        assert_non_null(strstr(err.p, bad[i]));
        assert_non_null(strstr(err.p, "; allowed: 1 to 1000\n"));
    }
    (void)unsetenv("T_POOL_SIZE");
    assert_int_equal(LOAD("t", "--t-ratio=nan"), -1);
    assert_non_null(strstr(err.p, "--t-ratio: \"nan\" is not a number; allowed: 0 to 1\n"));
    assert_int_equal(LOAD("t", "--t-cache=maybe"), -1);
    assert_non_null(strstr(err.p, "on or off"));
}

static void
all_faults_are_told_at_once_one_a_line(void **state)
{
    size_t lines = 0;

    (void)state;
    (void)setenv("T_POOL_SIZE", "x", 1);
    assert_int_equal(LOAD("t", "--nope=1", "word", "--t-ratio=2", "--t-host"), -1);
    for (const char *c = err.p; (c = strchr(c, '\n')); c++)
        lines++;
    assert_int_equal(lines, 5);
    assert_non_null(strstr(err.p, "--nope: no such option"));
    assert_non_null(strstr(err.p, "--t-host: a value is missing"));
}

static void
a_secret_is_never_shown(void **state)
{
    struct buf out = { 0 };

    (void)state;
    (void)setenv("T_KEY", "hunter2", 1); /* too short */
    assert_int_equal(LOAD("t"), -1);
    assert_null(strstr(err.p, "hunter2"));
    assert_non_null(strstr(err.p, "T_KEY: "));
    assert_non_null(strstr(err.p, "8 to 64 bytes"));
    (void)setenv("T_KEY", "hunter2hunter2", 1);
    assert_int_equal(LOAD("t"), 0);
    opt_print(&set, &out);
    assert_null(strstr(out.p, "hunter2"));
    assert_non_null(strstr(out.p, "T_KEY=***  # environment\n"));
    assert_non_null(strstr(out.p, "T_POOL_SIZE=10  # default\n"));
    assert_non_null(strstr(out.p, "T_DATABASE_URL=  # default\n"));
    buf_free(&out);
    assert_int_equal(LOAD("t", "hunter2"), -1);
    assert_null(strstr(err.p, "hunter2"));
}

static void
a_file_that_cannot_be_read_is_an_error_not_a_default(void **state)
{
    (void)state;
    (void)setenv("T_NEON_URL_FILE", "/nonexistent/secret", 1);
    assert_int_equal(LOAD("t"), -1);
    assert_non_null(strstr(err.p,
                           "T_NEON_URL_FILE: cannot read /nonexistent/secret: No such file or directory"));
    (void)setenv("T_NEON_URL_FILE", "/tmp", 1);
    assert_int_equal(LOAD("t"), -1);
    write_file("a\0b\n", 4);
    (void)setenv("T_NEON_URL_FILE", file, 1);
    assert_int_equal(LOAD("t"), -1);
}

static void
bounds_are_written_as_people_write_them(void **state)
{
    static const char wide[] = "0 to 1000000000000000";
    const struct opt_set only = { .defs = rows, .n = N_ROWS };
    struct buf out = { 0 };

    (void)state;
    opt_help(&only, &out);
    assert_non_null(strstr(out.p, wide));
    assert_non_null(strstr(out.p, "default 0.5; 0 to 1]"));
    buf_reset(&out);
    opt_print_env(&only, "store", &out);
    assert_non_null(strstr(out.p, wide));
    buf_reset(&out);
    opt_print_md(&only, "store", &out);
    assert_non_null(strstr(out.p, wide));
    assert_int_equal(LOAD("t", "--t-room=x"), -1);
    assert_non_null(strstr(err.p, wide));
    buf_free(&out);
}

static void
options_are_found_by_their_environment_name(void **state)
{
    (void)state;
    assert_int_equal(LOAD("t", "--t-pool-size=33"), 0);
    assert_int_equal(opt_find_int(&set, "T_POOL_SIZE"), 33);
    assert_int_equal(opt_find_int(&set, "T_CACHE"), 1);
    assert_string_equal(opt_find_str(&set, "T_HOST"), "127.0.0.1");
    assert_null(opt_find_str(&set, "T_NOTHING"));
    assert_int_equal(opt_find_int(&set, "T_NOTHING"), -1);
}

static void
help_and_documentation_come_from_the_same_rows(void **state)
{
    const struct opt_set only = { .defs = rows, .n = N_ROWS };
    struct buf help = { 0 }, env = { 0 }, md = { 0 };

    (void)state;
    opt_help(&only, &help);
    opt_print_env(&only, "store", &env);
    opt_print_md(&only, "store", &md);
    assert_non_null(strstr(help.p,
                           "  --t-pool-size N\n      Connections. [T_POOL_SIZE; default 10; 1 to 1000]\n"));
    assert_non_null(strstr(
        help.p, "  --t-database-url TEXT\n      Where the database is. [T_DATABASE_URL, T_NEON_URL]\n"));
    assert_non_null(strstr(help.p, "  --once\n"));
    assert_non_null(strstr(env.p, "# store: Connections. (1 to 1000)\n#T_POOL_SIZE=10\n"));
    assert_null(strstr(env.p, "once"));
    assert_non_null(strstr(md.p,
                           "| store | `T_POOL_SIZE` | whole number | `10` | 1 to 1000 | Connections. |\n"));
    assert_non_null(strstr(md.p, "Address \\| name."));
    assert_non_null(strstr(md.p, "Also `T_NEON_URL`. Also `T_DATABASE_URL_FILE`."));
    buf_free(&help);
    buf_free(&env);
    buf_free(&md);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(with_nothing_given_the_defaults_hold_and_texts_are_never_null),
        T(flag_beats_environment_beats_file_beats_default),
        T(an_empty_variable_or_file_counts_as_not_set),
        T(flags_take_their_value_after_a_blank_or_an_equals_sign),
        T(every_spelling_of_on_and_off_is_understood),
        T(a_bad_value_is_refused_with_its_option_and_what_is_allowed),
        T(all_faults_are_told_at_once_one_a_line),
        T(a_secret_is_never_shown),
        T(a_file_that_cannot_be_read_is_an_error_not_a_default),
        T(bounds_are_written_as_people_write_them),
        T(options_are_found_by_their_environment_name),
        T(help_and_documentation_come_from_the_same_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
