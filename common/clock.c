/* Clocks: thin names over clock_gettime(2), and the one text form of a time that people see. */
#include "common/clock.h"

#include <stdbool.h>
#include <string.h>
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

/* The second as text, which a thread keeps: gmtime_r takes a lock that all threads share. */
static bool
second_text(int64_t sec, char out[32], size_t *n)
{
    static _Thread_local struct {
        int64_t sec;
        char text[24];
        size_t n; /* 0: nothing is kept */
    } last;
    time_t at = (time_t)sec;
    struct tm t;

    if (last.n == 0 || last.sec != sec) {
        if (!gmtime_r(&at, &t) || t.tm_year < -1900 || t.tm_year > 9999 - 1900)
            return false;
        last.n = strftime(last.text, sizeof last.text, "%Y-%m-%dT%H:%M:%S", &t);
        last.sec = sec;
    }
    memcpy(out, last.text, last.n);
    *n = last.n;
    return true;
}

char *
clock_rfc3339(int64_t wall_ms, char out[32])
{
    int64_t ms = wall_ms % 1000;
    size_t n;

    if (ms < 0)
        ms += 1000;
    if (!second_text((wall_ms - ms) / 1000, out, &n)) {
        memcpy(out, "0000-00-00T00:00:00.000Z", 25); /* no such year in RFC 3339 */
        return out;
    }
    out[n] = '.';
    out[n + 1] = (char)('0' + ms / 100);
    out[n + 2] = (char)('0' + ms / 10 % 10);
    out[n + 3] = (char)('0' + ms % 10);
    out[n + 4] = 'Z';
    out[n + 5] = 0;
    return out;
}
