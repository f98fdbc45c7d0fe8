/* Clocks: thin names over clock_gettime(2), and the one text form of a time that people see. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t
read_us(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
clock_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

char *
clock_rfc3339(int64_t wall_ms, char out[32])
{
    int64_t ms = wall_ms % 1000;
    time_t sec;
    struct tm t;
    size_t n;

    if (ms < 0)
        ms += 1000;
    sec = (time_t)((wall_ms - ms) / 1000);
    if (!gmtime_r(&sec, &t) || t.tm_year < -1900 || t.tm_year > 9999 - 1900) {
        (void)snprintf(out, 32, "0000-00-00T00:00:00.000Z"); /* no such year in RFC 3339 */
        return out;
    }
    n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &t);
    (void)snprintf(out + n, 32 - n, ".%03dZ", (int)ms);
    return out;
}
