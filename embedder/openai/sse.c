/* Server-sent events (WHATWG HTML, section 9.2.6). A push parser: the same bytes give the same events however they are split.
 * Events without data, comments and other fields are skipped; an event that the end of the stream leaves incomplete is dropped,
 * as the standard says, unless the caller knows that the end is a clean one (sse_end). */
#include "embedder/chat.h"

void
sse_init(struct sse *s, size_t max_event, void (*fn)(void *arg, struct str data), void *arg)
{
    *s = (struct sse){ .line = BUF_MAX(max_event), .data = BUF_MAX(max_event), .fn = fn, .arg = arg };
}

void
sse_fini(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->data);
}

bool
sse_overflow(const struct sse *s)
{
    return s->line.failed || s->data.failed;
}

static void
dispatch(struct sse *s)
{
    bool has = s->has_data;

    s->has_data = false;
    if (has && !s->stopped)
        s->fn(s->arg, buf_slice(&s->data));
    buf_reset(&s->data);
}

static void
on_line(struct sse *s, struct str line)
{
    if (!s->begun && str_starts(line, "\xef\xbb\xbf"))
        line = (struct str){ line.p + 3, line.n - 3 };
    s->begun = true;
    if (line.n == 0) {
        dispatch(s);
        return;
    }
    if (str_starts(line, "error:")) {   /* llama.cpp until 2025: no field of the standard */
        buf_printf(&s->data, "%s{\"error\":" STR_FMT "}", s->has_data ? "\n" : "", (int)line.n - 6, line.p + 6);
        s->has_data = true;
        return;
    }
    if (!str_starts(line, "data"))
        return;
    if (line.n > 4 && line.p[4] != ':')
        return;
    line = line.n > 5 ? (struct str){ line.p + 5, line.n - 5 } : STR("");
    if (line.n > 0 && line.p[0] == ' ')
        line = (struct str){ line.p + 1, line.n - 1 };
    if (s->has_data)
        buf_c(&s->data, '\n');
    buf_str(&s->data, line);
    s->has_data = true;
}

/* The line ends at p + n: join it with what came before. */
static void
end_line(struct sse *s, const char *p, size_t n)
{
    if (s->line.n == 0) {
        on_line(s, (struct str){ p, n });
    } else {
        buf_add(&s->line, p, n);
        if (!s->line.failed)
            on_line(s, buf_slice(&s->line));
        s->line.n = 0;
    }
    if (sse_overflow(s))
        s->stopped = true;
}

void
sse_push(struct sse *s, const char *p, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; i < n && !s->stopped; i++) {
        bool cr = s->cr;

        s->cr = p[i] == '\r';
        if (p[i] == '\n' && cr)
            from = i + 1;       /* the second half of CRLF */
        else if (p[i] == '\n' || p[i] == '\r') {
            end_line(s, p + from, i - from);
            from = i + 1;
        }
    }
    if (!s->stopped && from < n)
        buf_add(&s->line, p + from, n - from);
    if (sse_overflow(s))
        s->stopped = true;
}

void
sse_end(struct sse *s)
{
    if (!s->stopped && s->line.n > 0)
        end_line(s, "", 0);
    if (!s->stopped)
        dispatch(s);
}
