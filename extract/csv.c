/* Comma-separated values (RFC 4180), also with semicolons, tabs or bars: which of them, the first lines say.
 * One table, whose first row names the columns. */
#include "extract/out.h"

enum { LOOK_BYTES = 65536 };

/* The sign that stands in the first line most often, outside of quotes. */
static char
separator(struct str s)
{
    static const char signs[] = ",;\t|";
    size_t count[4] = { 0 }, best = 0;
    bool quoted = false;

    for (size_t i = 0; i < s.n && i < LOOK_BYTES; i++) {
        const char *at;

        if (s.p[i] == '"')
            quoted = !quoted;
        if (!quoted && s.p[i] == '\n' && (count[0] || count[1] || count[2] || count[3]))
            break;
        if (!quoted && s.p[i] && (at = strchr(signs, s.p[i])) != NULL)
            count[at - signs]++;
    }
    for (size_t i = 1; i < 4; i++)
        if (count[i] > count[best])
            best = i;
    return signs[best];
}

/* One field from *at on, into cell; *at is behind it, at a separator, a line end or the end. */
static void
field(struct str s, size_t *at, char sep, struct buf *cell)
{
    size_t i = *at;

    buf_reset(cell);
    if (i < s.n && s.p[i] == '"') {
        for (i++; i < s.n; i++) {
            if (s.p[i] == '"' && !(i + 1 < s.n && s.p[i + 1] == '"')) {
                i++;
                break;
            }
            i += s.p[i] == '"';
            buf_c(cell, s.p[i]);
        }
    }
    while (i < s.n && s.p[i] != sep && s.p[i] != '\n' && s.p[i] != '\r')
        buf_c(cell, s.p[i++]);
    *at = i;
}

static void
csv_read(struct str s, struct out *o)
{
    char sep = separator(s);
    struct buf cell = { 0 };
    size_t at = 0;

    if (s.n > 5 && memcmp(s.p, "sep=", 4) == 0) { /* Excel's own line */
        sep = s.p[4];
        at = 5;
        while (at < s.n && (s.p[at] == '\r' || s.p[at] == '\n'))
            at++;
    }
    out_table(o);
    while (at < s.n) {
        field(s, &at, sep, &cell);
        out_cell(o, buf_slice(&cell));
        if (at < s.n && s.p[at] == sep) {
            at++;
            continue;
        }
        at += at + 1 < s.n && s.p[at] == '\r' && s.p[at + 1] == '\n' ? 2 : 1;
        out_row_end(o);
    }
    out_table_end(o);
}

const struct reader reader_csv = { .read = csv_read, .text = true };
