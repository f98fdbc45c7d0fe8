/* Printing. Answers, titles and excerpts come from documents that anybody may have written: control characters in them
 * (escape sequences, C1) are shown as U+FFFD. */
#include <stdarg.h>

#include "common/text/text.h"
#include "client/client.h"

static bool
is_control(struct str c)
{
    uint8_t a = (uint8_t)c.p[0];

    return (c.n == 1 && (a < 0x20 || a == 0x7F)) || (c.n == 2 && a == 0xC2 && (uint8_t)c.p[1] < 0xA0);
}

static void
put(FILE *f, struct str s, bool one_line)
{
    bool blank = false;

    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_first((struct str){ s.p + i, s.n - i });
        struct str c = { s.p + i, n ? n : 1 };
        bool space = c.p[0] == ' ' || c.p[0] == '\n' || c.p[0] == '\t' || c.p[0] == '\r';

        i += c.n;
        if (one_line && space) {
            if (!blank)
                fputc(' ', f);
        } else if (c.p[0] == '\n' || c.p[0] == '\t') {
            fputc(c.p[0], f);
        } else if (c.p[0] == '\r') {
            continue;
        } else if (n == 0 || is_control(c)) {
            fputs("\xEF\xBF\xBD", f);
        } else {
            fwrite(c.p, 1, c.n, f);
        }
        blank = space;
    }
}

void
put_text(FILE *f, struct str s)
{
    put(f, s, false);
}

void
put_markdown(FILE *f, struct str s)
{
    static const struct str escaped = { "&lt;", 4 };
    const char *p;

    while ((p = s.n > 0 ? memmem(s.p, s.n, escaped.p, escaped.n) : NULL)) {
        size_t n = (size_t)(p - s.p);

        put_text(f, (struct str){ s.p, n });
        fputc('<', f);
        s = (struct str){ p + escaped.n, s.n - n - escaped.n };
    }
    put_text(f, s);
}

void
put_line(FILE *f, struct str s)
{
    put(f, s, true);
}

void
say(const char *fmt, ...)
{
    struct buf b = { 0 };
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    fputs("footnote: ", stderr);
    put_text(stderr, buf_slice(&b));
    fputc('\n', stderr);
    buf_free(&b);
}

/* [1] title · section — "excerpt" (document id, bytes start–end); of a reader's own selection no document, of an
 * imported citation neither */
static void
put_source(const struct cli *c, const json_t *s)
{
    struct str title = json_str(s, "title"), section = json_str(s, "section");
    bool own = str_is(json_str(s, "kind"), "selection");

    if (!section.p)
        section = json_str(s, "chapter");
    if (!title.p)
        title = json_str(s, "external_id");
    printf("[%lld] ", (long long)json_int(s, "n", 0));
    put_line(stdout, own ? STR("the selected text") : title.p ? title : STR("untitled"));
    if (section.n > 0) {
        fputs(" · ", stdout);
        put_line(stdout, section);
    }
    if (json_int(s, "page", 0) > 0)
        printf(" · page %lld", (long long)json_int(s, "page", 0));
    fputs(" — \"", stdout);
    put_line(stdout, json_str(s, "content_excerpt"));
    if (own) { /* no document has it */
        fputs("\"\n", stdout);
        return;
    }
    if (json_int(s, "end", 0) <= json_int(s, "start", 0)) { /* imported */
        fputs("\" (cited before the move)", stdout);
    } else {
        fputs("\" (document ", stdout);
        put_line(stdout, json_str(s, "document_id"));
        printf(", bytes %lld–%lld)", (long long)json_int(s, "start", 0), (long long)json_int(s, "end", 0));
    }
    if (json_str(s, "link").n > 0) {
        /* of a gateway without PUBLIC_URL: a path of it */
        printf(json_str(s, "link").p[0] == '/' ? " %s" : " ", c->url);
        put_line(stdout, json_str(s, "link"));
    }
    fputc('\n', stdout);
}

void
put_sources(const struct cli *c, const json_t *sources)
{
    size_t i;
    json_t *s;

    if (json_array_size(sources) == 0)
        return;
    fputs("\nSources\n", stdout);
    json_array_foreach ((json_t *)(uintptr_t)sources, i, s)
        put_source(c, s);
}

void
join_args(const struct cli *c, struct buf *out)
{
    for (size_t i = 0; i < c->n_args; i++) {
        if (i > 0)
            buf_c(out, ' ');
        buf_z(out, c->args[i]);
    }
}

const json_t *
json_items(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_array(v) ? v : NULL;
}
