/* Statistics: counting from many threads, the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "common/process/stat.h"

enum { HITS, SIZE, TOOK, PER_KIND, LAST_ROW };

static const char *const kinds[] = { "embed", "cha\"t", NULL };
static const char *const ends[] = { "ok", "busy", "late", NULL };
static const struct stat_def defs[] = {
    { COUNTER, "test_hits_total", { NULL, NULL }, { NULL, NULL }, "Hits." },
    { GAUGE, "test_size_bytes", { NULL, NULL }, { NULL, NULL }, "Size\nin bytes." },
    { HISTOGRAM, "test_took_seconds", { "kind", NULL }, { kinds, NULL }, "Time." },
    { COUNTER, "test_calls_total", { "kind", "end" }, { kinds, ends }, "Calls." },
};
static const struct stat_def more_defs[] = {
    { GAUGE, "test_other", { NULL, NULL }, { NULL, NULL }, "Other." },
    { COUNTER, "test_calls_total", { "kind", NULL }, { ends, NULL }, "Calls." },
};
static struct stat_set set, more;

static int
setup(void **state)
{
    (void)state;
    stat_register(&set, defs, LAST_ROW);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    stat_fini();
    return 0;
}

static size_t
count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void
every_combination_of_labels_counts_on_its_own(void **state)
{
    (void)state;
    stat_add_at(&set, PER_KIND, 0, 0, 1);
    stat_add_at(&set, PER_KIND, 1, 2, 5);
    stat_inc(&set, HITS);
    stat_add(&set, HITS, 2);
    assert_true(stat_value(&set, PER_KIND, 0, 0) == 1);
    assert_true(stat_value(&set, PER_KIND, 1, 2) == 5);
    assert_true(stat_value(&set, PER_KIND, 1, 1) == 0);
    assert_true(stat_value(&set, HITS, 0, 0) == 3);
}

static void
a_histogram_sums_counts_and_cumulates(void **state)
{
    struct buf b = { 0 };

    (void)state;
    stat_observe_at(&set, TOOK, 0, 0, 0.0001); /* on a bound: inside it */
    stat_observe_at(&set, TOOK, 0, 0, 0.3);
    stat_observe_at(&set, TOOK, 0, 0, 100);
    stat_observe_at(&set, TOOK, 0, 0, -1);
    assert_true(stat_value(&set, TOOK, 0, 0) == 4);
    stat_print(&b);
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"0.0001\"} 2\n"));
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"0.25\"} 2\n"));
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"0.5\"} 3\n"));
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"60\"} 3\n"));
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_bucket{kind=\"embed\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_sum{kind=\"embed\"} 100.3001\n"));
    assert_non_null(strstr(b.p, "footnote_test_took_seconds_count{kind=\"embed\"} 4\n"));
    buf_free(&b);
}

static void
help_and_type_come_once_a_name_and_its_samples_together(void **state)
{
    struct buf b = { 0 };
    const char *calls, *other;

    (void)state;
    stat_register(&more, more_defs, 2);
    stat_print(&b);
    assert_int_equal(count_of(b.p, "# TYPE footnote_test_calls_total counter\n"), 1);
    assert_int_equal(count_of(b.p, "# HELP footnote_test_calls_total "), 1);
    assert_int_equal(count_of(b.p, "\nfootnote_test_calls_total{"), 2 * 3 + 3);
    calls = strstr(b.p, "# HELP footnote_test_calls_total ");
    other = strstr(b.p, "# HELP footnote_test_other ");
    assert_true(calls < other);
    assert_int_equal(count_of(other, "footnote_test_calls_total"), 0);
    buf_free(&b);
}

static void
text_is_escaped_as_the_format_asks(void **state)
{
    struct buf b = { 0 };

    (void)state;
    stat_set(&set, SIZE, 1.5);
    stat_print(&b);
    assert_non_null(strstr(b.p, "# HELP footnote_test_size_bytes Size\\nin bytes.\n"));
    assert_non_null(strstr(b.p, "footnote_test_calls_total{kind=\"cha\\\"t\",end=\"late\"} 0\n"));
    assert_non_null(strstr(b.p, "\nfootnote_test_size_bytes 1.5\n"));
    buf_free(&b);
}

static void
a_counter_kept_elsewhere_can_be_taken_over(void **state)
{
    (void)state;
    stat_set(&set, HITS, 12.25);
    stat_inc(&set, HITS);
    assert_true(stat_value(&set, HITS, 0, 0) == 13.25);
}

static void
a_set_that_is_not_registered_counts_nothing_and_does_no_harm(void **state)
{
    static struct stat_set loose;

    (void)state;
    stat_inc(&loose, HITS);
    stat_observe(&loose, TOOK, 1);
    assert_true(stat_value(&loose, HITS, 0, 0) == 0);
}

static void *
hammer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        stat_inc(&set, HITS);
        stat_observe_at(&set, TOOK, 1, 0, 0.001);
        stat_set(&set, SIZE, i);
    }
    return NULL;
}

static void
no_count_is_lost_between_threads_and_scrapes(void **state)
{
    pthread_t t[4];
    struct buf b = { 0 };

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, NULL), 0);
    for (int i = 0; i < 20; i++) {
        buf_reset(&b);
        stat_print(&b);
    }
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    assert_true(stat_value(&set, HITS, 0, 0) == 80000);
    assert_true(stat_value(&set, TOOK, 1, 0) == 80000);
    buf_free(&b);
}

static void
a_quantile_lies_evenly_within_its_bucket(void **state)
{
    uint64_t n[STAT_BUCKETS] = { 0 };

    (void)state;
    assert_true(stat_quantile(n, 0.5) < 0); /* nothing was observed */
    stat_buckets(&set, TOOK, 1, 0, n);
    assert_true(stat_quantile(n, 0.5) < 0);
    for (int i = 0; i < 100; i++)
        stat_observe_at(&set, TOOK, 1, 0, 0.2); /* between 0.1 and 0.25 */
    stat_buckets(&set, TOOK, 1, 0, n);
    assert_true(stat_quantile(n, 0.5) > 0.174 && stat_quantile(n, 0.5) < 0.176);
    assert_true(stat_quantile(n, 1) > 0.249 && stat_quantile(n, 1) < 0.251);
    for (int i = 0; i < 300; i++)
        stat_observe_at(&set, TOOK, 1, 0, 100); /* beyond the last bound */
    memset(n, 0, sizeof n);
    stat_buckets(&set, TOOK, 1, 0, n);
    assert_true(stat_quantile(n, 0.5) == 60);
    assert_true(stat_quantile(n, 0.25) > 0.249 && stat_quantile(n, 0.25) < 0.251);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_combination_of_labels_counts_on_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_histogram_sums_counts_and_cumulates, setup, teardown),
        cmocka_unit_test_setup_teardown(a_quantile_lies_evenly_within_its_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(help_and_type_come_once_a_name_and_its_samples_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(text_is_escaped_as_the_format_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_counter_kept_elsewhere_can_be_taken_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_set_that_is_not_registered_counts_nothing_and_does_no_harm, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_count_is_lost_between_threads_and_scrapes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
