/* Server-sent events (WHATWG HTML, section 9.2.6). A push parser: the same bytes give the same events however they are split.
 * Lines end with CR, LF or both. Events without data, comments (a server's pings) and retry are passed over; an event that
 * the end of the stream leaves incomplete is dropped, as the standard says, unless the caller knows that the end is a clean one
 * (sse_end). */
#include "text/sse.h"

void
sse_init(struct sse *s, size_t max_event, void (*fn)(void *arg, struct str event, struct str data), void *arg)
{
    *s = (struct sse){ .line = BUF_MAX(max_event),
                       .event = BUF_MAX(max_event),
                       .data = BUF_MAX(max_event),
                       .fn = fn,
                       .arg = arg };
}

void
sse_again(struct sse *s)
{
    buf_reset(&s->line);
    buf_reset(&s->event);
    buf_reset(&s->data);
    s->cr = s->begun = s->has_data = s->stopped = false;
}

void
sse_fini(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->event);
    buf_free(&s->data);
}

bool
sse_overflow(const struct sse *s)
{
    return s->line.failed || s->event.failed || s->data.failed;
}

static void
give_event(struct sse *s)
{
    if (s->has_data)
        s->fn(s->arg, buf_slice(&s->event), buf_slice(&s->data));
    s->has_data = false;
    buf_reset(&s->event);
    buf_reset(&s->data);
}

static void
next_data_line(struct sse *s)
{
    if (s->has_data)
        buf_c(&s->data, '\n');
    s->has_data = true;
}

static void
on_line(struct sse *s, struct str line)
{
    const char *colon;
    struct str field, value = STR("");

    if (!s->begun && str_starts(line, "\xef\xbb\xbf"))
        line = (struct str){ line.p + 3, line.n - 3 };
    s->begun = true;
    if (line.n == 0) {
        give_event(s);
        return;
    }
    colon = memchr(line.p, ':', line.n);
    field = (struct str){ line.p, colon ? (size_t)(colon - line.p) : line.n };
    if (colon)
        value = (struct str){ colon + 1, line.n - field.n - 1 };
    if (str_is(field, "error") && colon) { /* llama.cpp until 2025: no field of the standard */
        next_data_line(s);
        buf_z(&s->data, "{\"error\":");
        buf_str(&s->data, value);
        buf_c(&s->data, '}');
        return;
    }
    if (value.n > 0 && value.p[0] == ' ')
        value = (struct str){ value.p + 1, value.n - 1 };
    if (str_is(field, "event")) {
        buf_reset(&s->event);
        buf_str(&s->event, value);
    } else if (str_is(field, "id") && !str_has_byte(value, 0)) {
        size_t n = value.n < sizeof s->id ? value.n : 0;

        memcpy(s->id, value.p, n);
        s->id[n] = 0;
    } else if (str_is(field, "data")) {
        next_data_line(s);
        buf_str(&s->data, value);
    } else if (s->others && field.n > 0 && !str_is(field, "id") && !str_is(field, "retry")) {
        buf_str(s->others, line);
        buf_c(s->others, '\n');
    }
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
            from = i + 1; /* the second half of CRLF */
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
        give_event(s);
}
