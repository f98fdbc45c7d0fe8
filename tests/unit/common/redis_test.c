/* The Redis wrapper against a real server of its own: values, scripts, addresses, passwords, threads. */
#include "rediskit.h"

#include <pthread.h>

#include "common/redis/url.h"

static void
nothing_is_connected_before_the_first_call(void **state)
{
    struct redis *r = client_at("unix:///nowhere/at/all");
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    assert_true(redis_up(r));
    assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    assert_false(redis_up(r));
    arena_free(&a);
    redis_free(&r);
    redis_free(&r);
}

static void
values_are_binary_safe_and_every_type_comes_back(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    const struct str bytes = STR("a\0b\r\n$5\r\n%s%n\xFF");
    const struct str set[] = { STR("SET"), STR("k\0\r\n"), bytes }, get[] = { STR("GET"), STR("k\0\r\n") },
                     none[] = { STR("GET"), STR("none") }, incr[] = { STR("INCR"), STR("n") },
                     wrong[] = { STR("LPUSH"), STR("n"), STR_NONE },
                     list[] = { STR("MGET"), STR("k\0\r\n"), STR("none") };
    const struct redis_cmd cmds[] = { { set, 3 },  { get, 2 },   { none, 2 },
                                      { incr, 2 }, { wrong, 3 }, { list, 3 } };
    struct redis_val v[6];

    (void)state;
    assert_int_equal(redis_run(r, a, cmds, 6, v), 0);
    assert_true(v[0].type == REDIS_STATUS && str_is(v[0].s, "OK"));
    assert_true(v[1].type == REDIS_STR && str_eq(v[1].s, bytes));
    assert_int_equal(v[2].type, REDIS_NIL);
    assert_true(v[3].type == REDIS_INT && v[3].i == 1);
    assert_true(v[4].type == REDIS_ERROR && str_starts(v[4].s, "WRONGTYPE"));
    assert_true(v[5].type == REDIS_LIST && v[5].n == 2 && str_eq(v[5].v[0].s, bytes) &&
                v[5].v[1].type == REDIS_NIL);
    arena_free(&a);
    redis_free(&r);
}

static void
a_value_of_a_megabyte_passes_and_one_that_the_arena_cannot_hold_is_an_error(void **state)
{
    static char big[1 << 20];
    struct redis *r = client_at(url);
    struct arena *a = arena_new(4 << 20), *small = arena_new(1000);
    struct redis_val v;

    (void)state;
    memset(big, 0xE4, sizeof big);
    assert_int_equal(CALL(r, a, &v, STR("SET"), STR("big"), { big, sizeof big }), 0);
    assert_int_equal(CALL(r, a, &v, STR("GET"), STR("big")), 0);
    assert_true(str_eq(v.s, (struct str){ big, sizeof big }));
    assert_int_equal(CALL(r, small, &v, STR("GET"), STR("big")), 0);
    assert_int_equal(v.type, REDIS_ERROR);
    assert_int_equal(CALL(r, small, &v, STR("ECHO"), STR("next")), 0);
    assert_true(str_is(v.s, "next"));
    arena_free(&small);
    arena_free(&a);
    redis_free(&r);
}

static void
a_command_with_more_arguments_than_the_stack_array_is_sent_whole(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    struct str argv[201] = { STR("RPUSH") };
    struct redis_val v;

    (void)state;
    for (size_t i = 1; i < 201; i++)
        argv[i] = STR("many");
    assert_int_equal(call(r, a, &v, 201, argv), 0);
    assert_true(v.type == REDIS_INT && v.i == 199);
    assert_int_equal(CALL(r, a, &v, STR("DEL"), STR("many")), 0);
    arena_free(&a);
    redis_free(&r);
}

static void
a_script_runs_again_after_script_flush(void **state)
{
    struct redis *r = client_at(url);
    struct arena *a = arena_new(1 << 20);
    const struct str keys[] = { STR("key") }, args[] = { STR("x"), STR("y") };
    struct redis_script s;
    struct redis_val v;

    (void)state;
    redis_script_init(&s, "return {KEYS[1], ARGV[1] .. ARGV[2]}");
    assert_int_equal(strlen(s.sha1), 40);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(redis_eval(r, NULL, a, &s, keys, 1, args, 2, &v), 0);
        assert_true(v.type == REDIS_LIST && v.n == 2 && str_is(v.v[0].s, "key") && str_is(v.v[1].s, "xy"));
        if (i == 1)
            assert_int_equal(CALL(r, a, &v, STR("SCRIPT"), STR("FLUSH")), 0);
    }
    arena_free(&a);
    redis_free(&r);
}

static struct redis *
client_with(const char *login, const char *db)
{
    char where[128];

    snprintf(where, sizeof where, "redis://%s127.0.0.1:%d%s", login, port, db);
    return client_at(where);
}

static void
a_wrong_or_missing_password_fails_and_is_counted_and_the_right_one_works(void **state)
{
    static const char *const wrong[] = { "", ":guess@", "default:guess@" }, *const right[] = {
        ":p%40ss%20w%25rd@", "default:p%40ss w%25rd@"
    };
    struct redis *admin = client_at(url), *r;
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    assert_int_equal(CALL(admin, a, &v, STR("CONFIG"), STR("SET"), STR("requirepass"), STR("p@ss w%rd")), 0);
    for (size_t i = 0; i < 3; i++) {
        double before = metric("redis_auth_errors_total");

        r = client_with(wrong[i], "");
        assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
        assert_true(metric("redis_auth_errors_total") == before + 1);
        redis_free(&r);
    }
    for (size_t i = 0; i < 2; i++) {
        r = client_with(right[i], "");
        assert_int_equal(CALL(r, a, &v, STR("PING")), 0);
        redis_free(&r);
    }
    assert_int_equal(CALL(admin, a, &v, STR("CONFIG"), STR("SET"), STR("requirepass"), STR_NONE), 0);
    assert_int_equal(v.type, REDIS_STATUS);
    arena_free(&a);
    redis_free(&admin);
}

static void
the_database_of_the_address_is_selected_and_one_that_is_not_there_fails(void **state)
{
    struct redis *zero = client_with("", ""), *three = client_with("", "/3"),
                 *none = client_with("", "/9999");
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;

    (void)state;
    assert_int_equal(CALL(three, a, &v, STR("SET"), STR("where"), STR("three")), 0);
    assert_int_equal(CALL(zero, a, &v, STR("GET"), STR("where")), 0);
    assert_int_equal(v.type, REDIS_NIL);
    assert_int_equal(CALL(three, a, &v, STR("GET"), STR("where")), 0);
    assert_true(str_is(v.s, "three"));
    assert_int_equal(CALL(none, a, &v, STR("PING")), -1);
    arena_free(&a);
    redis_free(&zero);
    redis_free(&three);
    redis_free(&none);
}

static void
addresses_are_taken_apart_and_bad_ones_refused_with_a_reason(void **state)
{
    static const struct {
        const char *url, *host, *path, *user, *password, *db;
        int port;
    } good[] = {
        { "redis://h", "h", NULL, NULL, NULL, "", 6379 },
        { "redis://h:7/0", "h", NULL, NULL, NULL, "", 7 },
        { "redis://me:p:%40@h:65535/12", "h", NULL, "me", "p:@", "12", 65535 },
        { "redis://:a@b@[::1]:7/", "::1", NULL, NULL, "a@b", "", 7 },
        { "rediss://me:p@h/1", "h", NULL, "me", "p", "1", 6379 },
        { "unix:///run/r.sock", NULL, "/run/r.sock", NULL, NULL, "", 0 },
    };
    static const char *const bad[] = { "",
                                       "h:6379",
                                       "http://h",
                                       "redisss://h",
                                       "rediss://",
                                       "redis://",
                                       "redis://:7",
                                       "redis://h:0",
                                       "redis://h:65536",
                                       "redis://h:x",
                                       "redis://h/x",
                                       "redis://h/999999",
                                       "redis://me@h",
                                       "redis://:%4@h",
                                       "redis://:%00@h",
                                       "redis://:%zz@h",
                                       "redis://[::1",
                                       "redis://[::1]7",
                                       "unix://rel",
                                       "unix:///" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct redis_url u = { 0 };

        assert_null(redis_url_parse(good[i].url, &u));
        assert_true(str_eq(str_of(u.host), str_of(good[i].host)) &&
                    str_eq(str_of(u.path), str_of(good[i].path)));
        assert_true(str_eq(str_of(u.user), str_of(good[i].user)) &&
                    str_eq(str_of(u.password), str_of(good[i].password)));
        assert_string_equal(u.db, good[i].db);
        assert_int_equal(u.port, good[i].port);
        assert_int_equal(u.tls, strncmp(good[i].url, "rediss:", 7) == 0);
        redis_url_fini(&u);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf why = { 0 };

        assert_null(redis_new(bad[i], NULL, &why));
        assert_true(why.n > 0);
        buf_free(&why);
    }
}

#define CALLERS 8
static struct redis *shared;

static void *
caller(void *arg)
{
    struct arena *a = arena_new(8 << 20);
    intptr_t id = (intptr_t)arg, wrong = 0;
    struct redis_val v;
    char word[32];

    for (int i = 0; i < 2000; i++) {
        snprintf(word, sizeof word, "%d-%d", (int)id, i);
        if (CALL(shared, a, &v, STR("ECHO"), str_of(word)) != 0 || !str_is(v.s, word))
            wrong++;
    }
    arena_free(&a);
    return (void *)wrong;
}

static void
threads_share_one_client_and_each_gets_its_own_answers(void **state)
{
    pthread_t t[CALLERS];
    void *wrong;

    (void)state;
    shared = client_at(url);
    for (intptr_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, caller, (void *)i), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
    redis_free(&shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_connected_before_the_first_call),
        cmocka_unit_test(values_are_binary_safe_and_every_type_comes_back),
        cmocka_unit_test(a_value_of_a_megabyte_passes_and_one_that_the_arena_cannot_hold_is_an_error),
        cmocka_unit_test(a_command_with_more_arguments_than_the_stack_array_is_sent_whole),
        cmocka_unit_test(a_script_runs_again_after_script_flush),
        cmocka_unit_test(a_wrong_or_missing_password_fails_and_is_counted_and_the_right_one_works),
        cmocka_unit_test(the_database_of_the_address_is_selected_and_one_that_is_not_there_fails),
        cmocka_unit_test(addresses_are_taken_apart_and_bad_ones_refused_with_a_reason),
        cmocka_unit_test(threads_share_one_client_and_each_gets_its_own_answers),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
