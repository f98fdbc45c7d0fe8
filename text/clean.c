/* Text as it is stored and shown: one kind of line end, nothing that hides from readers, NFC. See clean.h.
 * Everything here is data from a stranger: refused with a reason, never asserted. */
#include "text/clean.h"

#include <utf8proc.h>

#include "common/text/text.h"

/* Is a joiner company of the letter before it? Of one that is ASCII, or that NFC makes ASCII, it is not; and
 * a row of joiners joins nothing, but could spell a hidden text. */
static bool
takes_joiner(utf8proc_int32_t c)
{
    return c >= 0x80 && c != 0x37e && c != 0x1fef && c != 0x212a && c != 0x200c && c != 0x200d;
}

/* Zero-width and bidirectional controls hide text from readers, not from models. The two joiners are letters' company in Persian,
 * Indic scripts and pictographs: they stay behind one that is not ASCII. before: the last character that was kept. */
static bool
stripped(utf8proc_int32_t c, utf8proc_int32_t before)
{
    if (c == 0x200c || c == 0x200d)
        return !takes_joiner(before);
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c ||
           c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* The ends of a line or a page, beside \n (Unicode Standard, section 5.8): words on both sides stay apart. */
static bool
line_end(utf8proc_int32_t c)
{
    return c == '\r' || c == '\v' || c == '\f' || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

/* The end of the ASCII that stands at i and stays as it is. */
static size_t
plain_end(struct str body, size_t i)
{
    while (i < body.n && ((body.p[i] >= 0x20 && body.p[i] < 0x7f) || body.p[i] == '\n' || body.p[i] == '\t'))
        i++;
    return i;
}

static const char *
add_clean(struct str body, struct buf *out)
{
    size_t i = 0, run = 0;
    utf8proc_int32_t before = 0;

    while (i < body.n) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n;
        size_t plain = plain_end(body, i);

        if (plain > i) {
            before = body.p[plain - 1];
            i = plain;
            continue;
        }
        n = utf8proc_iterate((const utf8proc_uint8_t *)body.p + i, (utf8proc_ssize_t)(body.n - i), &c);
        if (n <= 0)
            return "the document is not valid UTF-8 text";
        if (c == 0)
            return "the document contains NUL bytes: it is not a text file";
        bool line = line_end(c) && !(c == '\r' && i + 1 < body.n && body.p[i + 1] == '\n');

        if (line || c == '\r' || stripped(c, before)) {
            buf_add(out, body.p + run, i - run);
            if (line)
                buf_c(out, '\n');
            run = i + (size_t)n;
        } else {
            before = c;
        }
        if (line)
            before = '\n';
        i += (size_t)n;
    }
    buf_add(out, body.p + run, i - run);
    return NULL;
}

struct str
clean_line(struct str s, struct arena *a)
{
    struct buf out = BUF_MAX(2 * s.n + 1);
    utf8proc_int32_t c, before = 0;
    utf8proc_ssize_t n;
    struct str line;

    for (size_t i = 0; i < s.n; i += (size_t)n) {
        n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &c);
        if (n <= 0)
            break;
        if (line_end(c) || c == '\n' || c == '\t')
            c = ' ';
        if (stripped(c, before) || (c == ' ' && (before == ' ' || before == 0)))
            continue;
        if (c == ' ')
            buf_c(&out, ' ');
        else
            buf_add(&out, s.p + i, (size_t)n);
        before = c;
    }
    line = text_trim(buf_slice(&out));
    line = line.n > 0 ? arena_str(a, line) : STR_NONE;
    buf_free(&out);
    return line;
}

static bool
all_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static const char *
compose(struct str clean, struct buf *out)
{
    utf8proc_uint8_t *map = NULL;
    utf8proc_ssize_t n;

    if (all_ascii(clean)) {
        buf_str(out, clean);
        return NULL;
    }
    n = utf8proc_map((const utf8proc_uint8_t *)clean.p, (utf8proc_ssize_t)clean.n, &map,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n >= 0)
        buf_add(out, map, (size_t)n);
    mem_free(&map);
    return n < 0 ? "the document's characters could not be normalised" : NULL;
}

const char *
clean_text(struct str body, struct buf *out)
{
    const char *why = add_clean(body, out);

    return !why && out->failed ? "the document is too large" : why;
}

const char *
clean_compose(struct str clean, struct buf *out)
{
    const char *why = compose(clean, out);

    return !why && out->failed ? "the document is too large" : why;
}

bool
clean_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\n' && s.p[i] != '\t')
            return false;
    return true;
}
