/* Cron expressions: minute hour day-of-month month day-of-week (crontab(5): *, lists, ranges, steps, names of months
 * and weekdays; when both day fields are restricted either may match). Local time of TZ. */
#ifndef JANITOR_CRON_H
#define JANITOR_CRON_H

#include <stdbool.h>
#include <stdint.h>

struct cron {
    uint64_t minute;           /* bit n: minute n, 0 … 59 */
    uint32_t hour;             /* 0 … 23 */
    uint32_t day;              /* 1 … 31 */
    uint32_t month;            /* 1 … 12 */
    uint32_t weekday;          /* 0 … 6, Sunday is 0 */
    bool any_day, any_weekday; /* the field began with '*' */
};

/* false, with *why a phrase that names the field, when the text is no cron expression. */
bool cron_parse(const char *text, struct cron *out, const char **why);
/* The first matching time after `after` (both Unix seconds). A local time that a clock change skips runs at the first
 * moment after the gap; one that a clock change repeats runs once. 0: none within eight years. */
int64_t cron_next(const struct cron *c, int64_t after);

#endif
