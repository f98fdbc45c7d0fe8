/* The progress line of an ingestion, on stderr. */
#include <unistd.h>

#include "common/clock.h"
#include "client/client.h"

#define REDRAW_MS 100

static void
put_rate(double bytes_a_second)
{
    if (bytes_a_second >= 1e6)
        fprintf(stderr, ", %.1f MB/s", bytes_a_second / 1e6);
    else if (bytes_a_second >= 1e3)
        fprintf(stderr, ", %.1f kB/s", bytes_a_second / 1e3);
    else
        fprintf(stderr, ", %.0f B/s", bytes_a_second);
}

void
progress_show(struct progress *p, bool last)
{
    int64_t now = clock_ms(), passed = now - p->start_ms;
    size_t tenth = p->files ? p->done * 10 / p->files : 10;
    bool tty = isatty(STDERR_FILENO);

    if (tty ? !last && now - p->shown_ms < REDRAW_MS : tenth == p->tenth)
        return;
    p->shown_ms = now;
    p->tenth = tenth;
    if (tty)
        fputs("\r\x1B[K", stderr);
    fprintf(stderr, "%zu/%zu files, %lld chunks, %zu failed", p->done, p->files, (long long)p->chunks,
            p->failed);
    if (p->rated)
        put_rate(passed > 0 ? (double)p->bytes * 1000 / (double)passed : 0);
    if (p->waiting && !last)
        fprintf(stderr, " (%s)", p->waiting);
    if (!tty || last)
        fputc('\n', stderr);
    fflush(stderr);
}
