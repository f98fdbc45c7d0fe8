/* Exemplars and OpenMetrics: which observation a bucket shows, in which form, and that threads and scrapes may meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/process/stat.h"

enum { HITS, COST, SIZE, TOOK, LAST_ROW };

#define TRACE_A "0af7651916cd43dd8448eb211c80319c"
#define TRACE_B "ffffffffffffffffffffffffffffffff"

static const char *const kinds[] = { "embed", "chat", NULL };
static const struct stat_def defs[] = {
    { COUNTER, "test_hits_total", { "kind", NULL }, { kinds, NULL }, "Hits, \"all\" of them\\." },
    { FINE, "test_dollars_total", { NULL, NULL }, { NULL, NULL }, "Cost." },
    { GAUGE, "test_size_bytes", { NULL, NULL }, { NULL, NULL }, "Size." },
    { HISTOGRAM, "test_took_seconds", { "kind", NULL }, { kinds, NULL }, "Time." },
};
static struct stat_set set;

static int
setup(void **state)
{
    (void)state;
    stat_register(&set, defs, LAST_ROW);
    stat_keep_exemplars(true);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    stat_fini();
    return 0;
}

static bool
has(struct buf *b, const char *what)
{
    buf_reset(b);
    stat_print_openmetrics(b);
    return strstr(b->p, what) != NULL;
}

/* The only exemplar, from its sign on. */
static const char *
only_exemplar(struct buf *b)
{
    const char *at;

    buf_reset(b);
    stat_print_openmetrics(b);
    at = strstr(b->p, " # {");
    assert_non_null(at);
    assert_null(strstr(at + 1, " # {"));
    return at;
}

static void
a_bucket_shows_its_newest_observation_of_a_trace(void **state)
{
    struct buf b = { 0 };
    char trace[40];
    double seconds, when;
    time_t now = time(NULL);

    (void)state;
    stat_observe_traced(&set, TOOK, 0, 0, 0.3, TRACE_A);
    stat_observe_traced(&set, TOOK, 0, 0, 0.4, TRACE_B);
    stat_observe_at(&set, TOOK, 0, 0, 0.45); /* of no trace */
    assert_int_equal(sscanf(only_exemplar(&b), " # {trace_id=\"%32[0-9a-f]\"} %lf %lf\n", trace, &seconds,
                            &when),
                     3);
    assert_string_equal(trace, TRACE_B);
    assert_true(seconds == 0.4 && when >= (double)now && when < (double)now + 60);
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"0.5\"} 3 # {"));
    buf_free(&b);
}

static void
buckets_and_labels_have_their_own(void **state)
{
    struct buf b = { 0 };

    (void)state;
    stat_observe_traced(&set, TOOK, 0, 0, 0.3, TRACE_A);
    stat_observe_traced(&set, TOOK, 1, 0, 100, TRACE_B);
    assert_true(has(&b, "{kind=\"embed\",le=\"0.5\"} 1 # {trace_id=\"" TRACE_A "\"} 0.3 "));
    assert_true(has(&b, "{kind=\"embed\",le=\"1.0\"} 1\n"));
    assert_true(has(&b, "{kind=\"chat\",le=\"+Inf\"} 1 # {trace_id=\"" TRACE_B "\"} 100 "));
    buf_free(&b);
}

static void
without_traces_there_are_none_and_the_text_format_never_has_any(void **state)
{
    struct buf with = { 0 }, without = { 0 }, open = { 0 };

    (void)state;
    stat_observe_traced(&set, TOOK, 0, 0, 2, TRACE_A);
    stat_print(&with);
    stat_fini();
    stat_register(&set, defs, LAST_ROW);
    assert_false(stat_keeps_exemplars());
    stat_observe_traced(&set, TOOK, 0, 0, 2, TRACE_A);
    stat_print(&without);
    assert_string_equal(with.p, without.p);
    assert_non_null(strstr(with.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"5\"} 1\n"));
    assert_false(has(&open, " # {"));
    buf_free(&with);
    buf_free(&without);
    buf_free(&open);
}

static void
openmetrics_is_written_as_its_specification_says(void **state)
{
    struct buf b = { 0 };

    (void)state;
    stat_add_at(&set, HITS, 1, 0, 3);
    stat_add(&set, COST, 1500000000);
    assert_true(has(
        &b, "# HELP footnote_test_hits Hits, \\\"all\\\" of them\\\\.\n# TYPE footnote_test_hits counter\n"
            "footnote_test_hits_total{kind=\"embed\"} 0\nfootnote_test_hits_total{kind=\"chat\"} 3\n"));
    assert_true(has(&b, "# TYPE footnote_test_dollars counter\nfootnote_test_dollars_total 1.5\n"));
    assert_true(has(&b, "# TYPE footnote_test_size_bytes gauge\nfootnote_test_size_bytes 0\n"));
    for (size_t i = 0; i < 5; i++) {
        static const char *const whole[] = { "1.0", "5.0", "10.0", "25.0", "60.0" };
        char line[128];

        (void)snprintf(line, sizeof line, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"%s\"} 0\n",
                       whole[i]);
        assert_true(has(&b, line));
    }
    assert_true(has(&b, ",le=\"2.5e-05\"} 0\n") && has(&b, ",le=\"2.5\"} 0\n") &&
                has(&b, ",le=\"0.0001\"} 0\n"));
    assert_string_equal(b.p + b.n - 6, "# EOF\n");
    assert_ptr_equal(strstr(b.p, "# EOF"), b.p + b.n - 6);
    buf_free(&b);
}

static void *
hammer(void *arg)
{
    const char *trace = arg;

    for (int i = 0; i < 20000; i++)
        stat_observe_traced(&set, TOOK, 0, 0, *trace == '0' ? 0.3 : 0.4, trace);
    return NULL;
}

/* Trace and time belong together whenever it is looked; every observation counts. */
static void
threads_and_scrapes_never_show_half_of_one(void **state)
{
    static char traces[][33] = { TRACE_A, TRACE_B };
    pthread_t t[4];
    struct buf b = { 0 };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, traces[i % 2]), 0);
    for (int i = 0; i < 200; i++) {
        const char *at;

        buf_reset(&b);
        stat_print_openmetrics(&b);
        at = strstr(b.p, " # {");
        if (at)
            assert_true(strncmp(at, " # {trace_id=\"" TRACE_A "\"} 0.3 ", 53) == 0 ||
                        strncmp(at, " # {trace_id=\"" TRACE_B "\"} 0.4 ", 53) == 0);
    }
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    assert_true(stat_value(&set, TOOK, 0, 0) == 80000);
    (void)only_exemplar(&b);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bucket_shows_its_newest_observation_of_a_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(buckets_and_labels_have_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(without_traces_there_are_none_and_the_text_format_never_has_any,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(openmetrics_is_written_as_its_specification_says, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_and_scrapes_never_show_half_of_one, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
