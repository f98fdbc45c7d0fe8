/* Cron expressions (cron.h): a bit set a field; the next time is found by walking local days, hours and
 * minutes. Local times are found from the zone's offsets, not by mktime, which answers a repeated time now
 * with one moment and now with the other: a night has one run. */
#include "common/text/number.h"
#include "janitor/cron.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_S 86400
#define DAYS_AHEAD (8 * 366) /* 29 February on a given weekday can be that far */

struct field {
    int min, max;
    const char *const *names; /* three letters each; the first has value min */
    const char *why;
};

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
                                      "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const weekdays[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct field fields[5] = {
    { 0, 59, NULL, "minute: 0-59" },
    { 0, 23, NULL, "hour: 0-23" },
    { 1, 31, NULL, "day of month: 1-31" },
    { 1, 12, months, "month: 1-12 or jan-dec" },
    { 0, 7, weekdays, "day of week: 0-7 or sun-sat" },
};

static bool
parse_value(const char **p, const struct field *f, int *out)
{
    int64_t v;
    size_t digits = number_first(str_of(*p), f->max, &v);

    if (digits > 0) {
        *p += digits;
        *out = (int)v;
        return v >= f->min && v <= f->max;
    }
    for (int i = 0; f->names && f->names[i]; i++)
        if (strncasecmp(*p, f->names[i], 3) == 0) {
            *p += 3;
            *out = f->min + i;
            return true;
        }
    return false;
}

/* One item of a list: *, a, a-b, each with /step. */
static bool
parse_item(const char **p, const struct field *f, uint64_t *bits)
{
    int from = f->min, to = f->max, step = 1;

    if (**p == '*') {
        ++*p;
    } else {
        if (!parse_value(p, f, &from))
            return false;
        to = from;
        if (**p == '-') {
            ++*p;
            if (!parse_value(p, f, &to) || to < from)
                return false;
        } else if (**p == '/') {
            to = f->max;
        }
    }
    if (**p == '/') {
        int64_t v;
        size_t digits = number_first(str_of(*p + 1), 60, &v);

        if (digits == 0 || v < 1 || v > 60)
            return false;
        step = (int)v;
        *p += 1 + digits;
    }
    for (int i = from; i <= to; i += step)
        *bits |= (uint64_t)1 << i;
    return true;
}

static bool
parse_field(const char **p, const struct field *f, uint64_t *bits)
{
    *bits = 0;
    while (parse_item(p, f, bits)) {
        if (**p != ',')
            return **p == '\0' || **p == ' ' || **p == '\t';
        ++*p;
    }
    return false;
}

bool
cron_parse(const char *text, struct cron *out, const char **why)
{
    uint64_t bits[5];
    bool star[5];
    const char *p = text;

    for (int i = 0; i < 5; i++) {
        p += strspn(p, " \t");
        star[i] = *p == '*';
        *why = *p ? fields[i].why : "five fields are needed: minute hour day month weekday";
        if (!parse_field(&p, &fields[i], &bits[i]))
            return false;
    }
    *why = "more than five fields";
    if (p[strspn(p, " \t")] != '\0')
        return false;
    if (bits[4] & 1u << 7) /* 7 is Sunday too */
        bits[4] |= 1;
    *out = (struct cron){
        bits[0], (uint32_t)bits[1], (uint32_t)bits[2], (uint32_t)bits[3], (uint32_t)bits[4] & 0x7f, star[2],
        star[4]
    };
    return true;
}

static bool
day_matches(const struct cron *c, const struct tm *t)
{
    bool day = c->day >> t->tm_mday & 1, weekday = c->weekday >> t->tm_wday & 1;

    if (!(c->month >> (t->tm_mon + 1) & 1))
        return false;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

/* Seconds that local time is ahead of UTC at this moment. */
static int64_t
ahead(int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;

    localtime_r(&t, &tm);
    return tm.tm_gmtoff;
}

/* First moment in (before, after] at which clocks are `then` ahead of UTC; they are at `after`. */
static int64_t
change(int64_t before, int64_t after, int64_t then)
{
    while (after - before > 1) {
        int64_t mid = before + (after - before) / 2;

        if (ahead(mid) == then)
            after = mid;
        else
            before = mid;
    }
    return after;
}

/* When do clocks show this local time (written as seconds, as if it were UTC)? mktime would not do: of a repeated time it
 * gives now one moment, now the other. Repeated: the first. Skipped: the first moment after the gap. */
static int64_t
moment(int64_t local)
{
    int64_t old = ahead(local - DAY_S), new = ahead(local + DAY_S), at = local - old;

    if (ahead(at) == old)
        return at;
    if (ahead(local - new) == new)
        return local - new;
    return change(local - new, at, ahead(at));
}

/* The first time of that local day after `after`; 0: none. midnight: as moment() takes it. */
static int64_t
day_next(const struct cron *c, int64_t midnight, int64_t after)
{
    for (int h = 0; h < 24; h++) {
        if (!(c->hour >> h & 1))
            continue;
        for (int m = 0; m < 60; m++) {
            int64_t at;

            if (c->minute >> m & 1 && (at = moment(midnight + h * 3600 + m * 60)) > after)
                return at;
        }
    }
    return 0;
}

int64_t
cron_next(const struct cron *c, int64_t after)
{
    time_t now = (time_t)after, midnight;
    struct tm day;

    tzset();
    localtime_r(&now, &day);
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    midnight = timegm(&day);
    for (int i = 0; i < DAYS_AHEAD; i++, midnight += DAY_S) {
        int64_t at;

        gmtime_r(&midnight, &day);
        if (day_matches(c, &day) && (at = day_next(c, midnight, after)))
            return at;
    }
    return 0;
}
