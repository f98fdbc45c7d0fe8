/* Cron expressions, and the nights when clocks change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "janitor/cron.h"

#define HOUR 3600
#define DAY 86400

static void
zone(const char *tz)
{
    setenv("TZ", tz, 1);
    tzset();
}

static struct cron
cron(const char *text)
{
    struct cron c;
    const char *why;

    if (!cron_parse(text, &c, &why))
        fail_msg("%s: %s", text, why);
    return c;
}

/* Seconds since 1970 of a UTC time. */
static int64_t
utc(int y, int mon, int d, int h, int min)
{
    struct tm t = { .tm_year = y - 1900, .tm_mon = mon - 1, .tm_mday = d, .tm_hour = h, .tm_min = min };

    return timegm(&t);
}

static void
texts_that_are_no_cron_expression_are_refused_with_the_field(void **state)
{
    static const struct {
        const char *text, *word;
    } bad[] = {
        { "", "five" },
        { "0 2 * *", "five" },
        { "60 2 * * *", "minute" },
        { "0 24 * * *", "hour" },
        { "0 2 0 * *", "day of m" },
        { "0 2 * 13 *", "month" },
        { "0 2 * * 8", "week" },
        { "0 2 * * * *", "more" },
        { "*/0 * * * *", "minute" },
        { "5-1 * * * *", "minute" },
        { "0 2 * * x", "week" },
        { "1, 2 * * *", "minute" },
    };
    struct cron c;
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(cron_parse(bad[i].text, &c, &why));
        if (!strstr(why, bad[i].word))
            fail_msg("\"%s\": %s", bad[i].text, why);
    }
}

static void
lists_ranges_steps_and_names_mean_what_crontab_5_says(void **state)
{
    struct cron c = cron("*/15 8-17/3 1,15 jan-MAR mon,wed-fri");
    struct cron sunday = cron("0 0 * * 7");

    (void)state;
    assert_true(c.minute == (1ull | 1ull << 15 | 1ull << 30 | 1ull << 45));
    assert_int_equal(c.hour, 1u << 8 | 1u << 11 | 1u << 14 | 1u << 17);
    assert_int_equal(c.day, 1u << 1 | 1u << 15);
    assert_int_equal(c.month, 1u << 1 | 1u << 2 | 1u << 3);
    assert_int_equal(c.weekday, 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5);
    assert_int_equal(sunday.weekday, 1);
}

static void
the_next_time_is_the_first_that_matches(void **state)
{
    static const struct {
        const char *text;
        int mon, d, h, min;
    } next[] = {
        /* after Tuesday 2026-03-10 02:00 UTC */
        { "0 2 * * *", 3, 11, 2, 0 },    { "1 2 * * *", 3, 10, 2, 1 }, { "*/7 * * * *", 3, 10, 2, 7 },
        { "0 2 * * sun", 3, 15, 2, 0 },  { "0 2 1 * *", 4, 1, 2, 0 },  { "0 2 1 * fri", 3, 13, 2, 0 },
        { "30 1 29 2 *", 2, 29, 1, 30 }, { "0 0 1 1 *", 1, 1, 0, 0 },
    };
    int64_t now = utc(2026, 3, 10, 2, 0);

    (void)state;
    zone("UTC");
    for (size_t i = 0; i < sizeof next / sizeof next[0]; i++) {
        struct cron c = cron(next[i].text);
        int year = next[i].mon >= 3 ? 2026 : next[i].mon == 2 ? 2028 : 2027;

        assert_int_equal(cron_next(&c, now), utc(year, next[i].mon, next[i].d, next[i].h, next[i].min));
    }
}

static void
a_time_that_never_comes_is_none(void **state)
{
    struct cron c = cron("0 2 31 2 *");

    (void)state;
    zone("UTC");
    assert_int_equal(cron_next(&c, utc(2026, 3, 10, 2, 0)), 0);
}

/* The nights, by zone: the UTC moment of 02:00 (or what stands for it), also where the change is not at two o'clock. */
static const struct {
    const char *tz, *text;
    int y, mon, d, h, min;
    const char *why;
} nights[] = {
    { "Europe/Berlin", "0 2 * * *", 2026, 3, 29, 1, 0, "02:00 is skipped: 03:00" },
    { "Europe/Berlin", "30 2 * * *", 2026, 3, 29, 1, 0, "02:30 is skipped: the first moment after the gap" },
    { "Europe/Berlin", "0 2 * * *", 2026, 10, 25, 0, 0, "02:00 comes twice: the first" },
    { "Europe/Berlin", "30 2 * * *", 2026, 10, 25, 0, 30, "02:30 comes twice: the first" },
    { "America/New_York", "0 2 * * *", 2026, 3, 8, 7, 0, "02:00 is skipped: 03:00" },
    { "America/New_York", "30 1 * * *", 2026, 11, 1, 5, 30, "01:30 comes twice: the first" },
    { "America/New_York", "0 2 * * *", 2026, 11, 1, 7, 0, "02:00 comes once, after the repeated hour" },
    { "Europe/London", "30 1 * * *", 2026, 3, 29, 1, 0, "01:30 is skipped" },
    { "Australia/Lord_Howe", "0 2 * * *", 2026, 10, 3, 15, 30, "half an hour is skipped: 02:30" },
    { "Australia/Lord_Howe", "45 1 * * *", 2026, 4, 4, 14, 45, "half an hour comes twice" },
    { "America/Santiago", "30 0 * * *", 2026, 9, 6, 4, 0, "midnight is skipped: 01:00" },
    { "Asia/Kolkata", "0 2 * * *", 2026, 3, 28, 20, 30, "no change at all" },
};

static void
on_the_nights_when_clocks_change_a_run_is_due_at_one_known_moment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nights / sizeof nights[0]; i++) {
        int64_t want = utc(nights[i].y, nights[i].mon, nights[i].d, nights[i].h, nights[i].min);
        struct cron c = cron(nights[i].text);

        zone(nights[i].tz);
        for (int64_t after = want - 12 * HOUR; after < want; after += 600)
            if (cron_next(&c, after) != want)
                fail_msg("%s %s (%s): from %lld it is %lld, not %lld", nights[i].tz, nights[i].text,
                         nights[i].why, (long long)after, (long long)cron_next(&c, after), (long long)want);
        if (cron_next(&c, want) - want < 20 * HOUR)
            fail_msg("%s %s: due twice in one night", nights[i].tz, nights[i].text);
    }
}

static void
every_day_of_years_in_many_zones_has_exactly_one_run(void **state)
{
    static const char *const zones[] = { "Europe/Berlin",    "America/New_York",
                                         "America/St_Johns", "Australia/Lord_Howe",
                                         "America/Santiago", "Africa/Casablanca",
                                         "Asia/Tehran",      "Pacific/Chatham",
                                         "Europe/London",    "UTC" };
    struct cron c = cron("0 2 * * *");

    (void)state;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        int64_t at = utc(2020, 1, 1, 12, 0), end = utc(2028, 1, 1, 12, 0);
        int days = 0, last = -1;

        zone(zones[i]);
        for (at = cron_next(&c, at); at < end; at = cron_next(&c, at), days++) {
            time_t t = at;
            struct tm tm;

            localtime_r(&t, &tm);
            if (tm.tm_yday == last || tm.tm_hour < 2 || tm.tm_hour > 3)
                fail_msg("%s: due on %d-%02d-%02d at %02d:%02d", zones[i], tm.tm_year + 1900, tm.tm_mon + 1,
                         tm.tm_mday, tm.tm_hour, tm.tm_min);
            last = tm.tm_yday;
        }
        assert_in_range(days, 2921, 2922);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_no_cron_expression_are_refused_with_the_field),
        cmocka_unit_test(lists_ranges_steps_and_names_mean_what_crontab_5_says),
        cmocka_unit_test(the_next_time_is_the_first_that_matches),
        cmocka_unit_test(a_time_that_never_comes_is_none),
        cmocka_unit_test(on_the_nights_when_clocks_change_a_run_is_due_at_one_known_moment),
        cmocka_unit_test(every_day_of_years_in_many_zones_has_exactly_one_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
