/* Server-sent events (HTML standard, section 9.2): lines `field: value`, an event ends with an empty line. Comments (the
 * server's pings), id and retry are passed over. Bytes may be cut anywhere. */
#include "client/client.h"

#define EVENT_MAX ((size_t)4 << 20)

static void
take_line(struct sse *s, struct str line)
{
    const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
    struct str field = { line.p, colon ? (size_t)(colon - line.p) : line.n };
    struct str value = STR("");

    if (line.n == 0) {
        if (s->data.n > 0)
            s->on(s->arg, buf_slice(&s->event), buf_slice(&s->data));
        buf_reset(&s->event);
        buf_reset(&s->data);
        return;
    }
    if (colon)
        value = (struct str){ colon + 1, line.n - field.n - 1 };
    if (value.n > 0 && value.p[0] == ' ')
        value = (struct str){ value.p + 1, value.n - 1 };
    if (str_is(field, "event")) {
        buf_reset(&s->event);
        buf_str(&s->event, value);
    } else if (str_is(field, "data")) {
        if (s->data.n > 0)
            buf_c(&s->data, '\n');
        buf_str(&s->data, value);
    }
}

bool
sse_feed(struct sse *s, struct str bytes)
{
    s->line.max = s->data.max = s->event.max = EVENT_MAX;
    for (size_t i = 0; i < bytes.n;) {
        const char *end = memchr(bytes.p + i, '\n', bytes.n - i);
        size_t n = end ? (size_t)(end - bytes.p) - i : bytes.n - i;
        struct str line;

        buf_add(&s->line, bytes.p + i, n);
        i += n + 1;
        if (!end)
            break;
        line = buf_slice(&s->line);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        take_line(s, line);
        buf_reset(&s->line);
    }
    return !s->line.failed && !s->data.failed && !s->event.failed;
}

void
sse_fini(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->event);
    buf_free(&s->data);
}
