/* Log lines: their forms, what is escaped, what happens when nobody reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

static int real_stderr, from_log;

/* stderr becomes a pipe; what is logged can be read from from_log. */
static int
capture(void **state)
{
    int p[2];

    (void)state;
    real_stderr = dup(STDERR_FILENO);
    if (pipe2(p, O_CLOEXEC) != 0 || dup2(p[1], STDERR_FILENO) < 0)
        return -1;
    (void)close(p[1]);
    from_log = p[0];
    return fcntl(from_log, F_SETFL, O_NONBLOCK);
}

static int
release(void **state)
{
    (void)state;
    (void)dup2(real_stderr, STDERR_FILENO);
    (void)close(real_stderr);
    (void)close(from_log);
    log_init("test", "info", false);
    return 0;
}

static char *
logged(void)
{
    static char text[PIPE_BUF * 4];
    ssize_t n = read(from_log, text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void
a_text_line_is_time_level_service_and_pairs(void **state)
{
    char *t;

    (void)state;
    log_init("store", "info", false);
    LOG(INFO, "req-1", M("document ready"), KS("document", "a b"), KI("chunks", 12), KB("ok", true),
        KF("took", 0.25));
    t = logged();
    assert_int_equal(t[4], '-');
    assert_int_equal(t[23], 'Z');
    assert_string_equal(
        t + 24, " info store msg=\"document ready\" request_id=req-1 document=\"a b\" chunks=12 ok=true "
                "took=0.25\n");
}

static void
a_json_line_is_one_object_that_parses(void **state)
{
    json_t *o;
    char *t;

    (void)state;
    log_init("store", "info", true);
    LOG(WARN, "req-2", M("odd \"quoted\"\nline\x01"), KS("none", NULL), KF("nan", NAN), KI("big", INT64_MIN));
    t = logged();
    assert_int_equal(strlen(t), strcspn(t, "\n") + 1);
    o = json_loads(t, 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(o, "request_id")), "req-2");
    assert_string_equal(json_string_value(json_object_get(o, "msg")), "odd \"quoted\"\nline\x01");
    assert_true(json_is_null(json_object_get(o, "none")));
    assert_true(json_is_null(json_object_get(o, "nan")));
    assert_true(json_integer_value(json_object_get(o, "big")) == INT64_MIN);
    json_decref(o);
}

static void
control_characters_and_broken_utf8_cannot_forge_a_line(void **state)
{
    char *t;

    (void)state;
    log_init("store", "info", false);
    LOG(INFO, NULL, M("m"), KS("v", "a\n2026 error\x1b[31m\xff\xc2\x9b\x7f=\xc3\xa4"));
    t = logged();
    assert_int_equal(strlen(t), strcspn(t, "\n") + 1);
    assert_non_null(strstr(t, "v=\"a\\n2026 error\\u001b[31m\\ufffd\\u009b\\u007f=\xc3\xa4\"\n"));
}

static void
levels_below_the_threshold_are_not_written(void **state)
{
    (void)state;
    log_init("store", "warn", false);
    LOG(INFO, NULL, M("quiet"));
    LOG(DEBUG, NULL, M("quiet"));
    assert_string_equal(logged(), "");
    LOG(ERROR, NULL, M("loud"));
    assert_non_null(strstr(logged(), " error store msg=\"loud\"\n"));
}

static void
a_value_too_long_is_cut_and_the_line_still_parses(void **state)
{
    struct buf big = { 0 };

    (void)state;
    for (size_t n = PIPE_BUF - 200; n < PIPE_BUF + 50; n++) {
        json_t *o;
        char *t;

        buf_reset(&big);
        for (size_t i = 0; i < n; i++)
            buf_c(&big, i % 100 ? 'x' : '"');
        log_init("store", "info", true);
        LOG(INFO, NULL, M("m"), KN("big", buf_slice(&big)), KI("after", 1), KS("more", "text"));
        t = logged();
        assert_true(strlen(t) <= PIPE_BUF);
        o = json_loads(t, 0, NULL);
        assert_non_null(o);
        assert_true(json_is_true(json_object_get(o, "cut")) || json_object_get(o, "more"));
        json_decref(o);
        log_init("store", "info", false);
        LOG(INFO, NULL, M("m"), KN("big", buf_slice(&big)), KI("after", 1), KS("more", "text"));
        t = logged();
        assert_true(strlen(t) <= PIPE_BUF && t[strlen(t) - 1] == '\n');
    }
    buf_free(&big);
}

static void
a_full_pipe_drops_and_counts_and_never_blocks(void **state)
{
    uint64_t before = log_dropped(), dropped;
    size_t lines = 0, written = 2000;

    (void)state;
    log_init("store", "info", false);
    for (size_t i = 0; i < written; i++)
        LOG(INFO, NULL, M("0123456789012345678901234567890123456789012345678901234567890123456789"));
    dropped = log_dropped() - before;
    assert_true(dropped > 0);
    for (char *t; *(t = logged());)
        for (; (t = strchr(t, '\n')); t++)
            lines++;
    assert_int_equal(lines + dropped, written);
}

static void
stderr_itself_stays_as_whoever_shares_it_left_it(void **state)
{
    (void)state;
    log_init("store", "info", false);
    assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
}

static struct log_gate gate;

static void *
knock(void *arg)
{
    size_t *passed = arg;

    for (int i = 0; i < 1000; i++)
        *passed += log_gate(&gate);
    return NULL;
}

static void
a_gate_lets_one_of_many_threads_through(void **state)
{
    pthread_t t[4];
    size_t passed[4] = { 0 };

    (void)state;
    gate.next_ms = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, knock, &passed[i]), 0);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    assert_int_equal(passed[0] + passed[1] + passed[2] + passed[3], 1);
    assert_false(log_gate(&gate));
}

static void *
write_lines(void *arg)
{
    for (int i = 0; i < 50; i++)
        LOG(INFO, NULL, M("from a thread"), KS("name", arg));
    return NULL;
}

static void
lines_of_several_threads_never_mix(void **state)
{
    static char names[4][2] = { "a", "b", "c", "d" };
    pthread_t t[4];
    size_t lines = 0;

    (void)state;
    log_init("store", "info", false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    for (char *l = logged(), *end; (end = strchr(l, '\n')); l = end + 1, lines++)
        if (end - l != 62 || memcmp(l + 24, " info store msg=\"from a thread\" name=", 37) != 0)
            fail_msg("%.*s", (int)(end - l), l);
    assert_int_equal(lines, 200);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_line_is_time_level_service_and_pairs, capture, release),
        cmocka_unit_test_setup_teardown(a_json_line_is_one_object_that_parses, capture, release),
        cmocka_unit_test_setup_teardown(control_characters_and_broken_utf8_cannot_forge_a_line, capture,
                                        release),
        cmocka_unit_test_setup_teardown(levels_below_the_threshold_are_not_written, capture, release),
        cmocka_unit_test_setup_teardown(a_value_too_long_is_cut_and_the_line_still_parses, capture, release),
        cmocka_unit_test_setup_teardown(a_full_pipe_drops_and_counts_and_never_blocks, capture, release),
        cmocka_unit_test_setup_teardown(stderr_itself_stays_as_whoever_shares_it_left_it, capture, release),
        cmocka_unit_test(a_gate_lets_one_of_many_threads_through),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_never_mix, capture, release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
