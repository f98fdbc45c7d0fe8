/* The sources at the end of an answer's text, for clients that leave annotations out (LibreChat, AnythingLLM):
 *
 *   text [1] … text [2]
 *
 *   ---
 *   - [1] [Title · Section](https://…)
 *   - [2] …
 *
 * A rule instead of a heading needs no language. Such a client sends the list back with the history, where it is
 * cut off (message.c). */
#include "gateway/openai/openai.h"

/* Text that Markdown shows as it is. */
static void
add_plain(struct buf *b, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c != 0 && strchr("\\`*_[]<>&~|#!", c))
            buf_c(b, '\\');
        buf_c(b, (unsigned char)c < ' ' ? ' ' : c);
    }
}

/* An address that stands between parentheses. */
static void
add_url(struct buf *b, struct str url)
{
    for (size_t i = 0; i < url.n; i++) {
        unsigned char c = (unsigned char)url.p[i];

        if (c <= ' ' || c == 127 || strchr("()<>\"\\", c))
            buf_printf(b, "%%%02X", c);
        else
            buf_c(b, (char)c);
    }
}

static void
add_row(const struct question *q, const struct citation *c, struct buf *b)
{
    struct str title = source_title(c);
    struct buf url = BUF_MAX(8192);

    source_url(q, c, &url);
    buf_printf(b, LIST_ROW "%lld] [", (long long)c->n);
    add_plain(b, title);
    if (c->section.n > 0 && !str_eq(c->section, title)) {
        buf_z(b, " · ");
        add_plain(b, c->section);
    }
    buf_z(b, "](");
    add_url(b, buf_slice(&url));
    buf_z(b, ")\n");
    buf_free(&url);
}

struct str
sources_list(const struct question *q)
{
    struct wish *w = q->dialect;
    struct buf b = BUF_MAX(1048576);

    if (w->list.p) /* each address in it is signed */
        return w->list;
    w->list = STR("");
    if (w->listed && q->n_citations > 0) {
        buf_z(&b, LIST_RULE);
        for (size_t i = 0; i < q->n_citations; i++)
            add_row(q, &q->citations[i], &b);
        if (!b.failed)
            w->list = arena_str(q->r->arena, (struct str){ b.p, b.n - 1 }); /* without the last newline */
    }
    buf_free(&b);
    return w->list;
}

struct str
said_of(const struct question *q)
{
    struct str list = sources_list(q);
    char *both = list.n > 0 ? arena_alloc(q->r->arena, q->answer.n + list.n + 1) : NULL;

    if (!both)
        return q->answer;
    memcpy(both, q->answer.p, q->answer.n);
    memcpy(both + q->answer.n, list.p, list.n);
    both[q->answer.n + list.n] = 0;
    return (struct str){ both, q->answer.n + list.n };
}
