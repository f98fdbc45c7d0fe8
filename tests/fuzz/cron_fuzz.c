/* Schedules: a cron expression, at times that the first bytes choose, in time zones with clock changes.
 * Properties: a refusal says why; the next time is later, within eight years, at the full minute, and
 * matches; nothing that matches is passed over between the two. */
#include <time.h>

#include "janitor/cron.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const zones[] = { "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu",
                                         "Australia/Lord_Howe" };
    struct str in = { (const char *)data, n < 300 ? n : 300 };
    const char *zone = zones[take_byte(&in) % 5], *why = NULL;
    int64_t at = 1700000000 + ((int64_t)take_byte(&in) << 8 | take_byte(&in)) * 7200 + take_byte(&in) * 13;
    char *z = mem_new(in.n + 1);
    struct cron c;

    if (in.n > 0)
        memcpy(z, in.p, in.n);
    require(setenv("TZ", zone, 1) == 0);
    tzset();
    if (cron_parse(z, &c, &why)) {
        int64_t next = cron_next(&c, at), second;

        require(c.minute < 1ULL << 60 && c.hour < 1u << 24 && c.month < 1u << 13 && c.weekday < 1u << 7);
        require(next == 0 || (next > at && next % 60 == 0 && next - at < 9LL * 366 * 86400));
        if (next > 0) {
            second = cron_next(&c, next - 1);
            require(second == next);
            second = cron_next(&c, next);
            require(second == 0 || second > next);
        }
    } else {
        require(why && *why);
    }
    mem_free(&z);
    return 0;
}
