/* multipart/form-data, one part after the other (multipart.h).
 *
 *   [preamble CRLF] --boundary CRLF  headers CRLF CRLF  body  CRLF--boundary … CRLF--boundary-- [epilogue]
 *
 * Every step looks for the next delimiter once, so that a body costs time in proportion to its length. */
#include "gateway/upload/multipart.h"

#include "common/text/text.h"

static struct str
rest(struct str s, size_t at)
{
    return (struct str){ s.p + at, s.n - at };
}

/* First place of z in s, or s.n. */
static size_t
find(struct str s, const void *z, size_t n)
{
    const char *at = s.n >= n ? memmem(s.p, s.n, z, n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

/* Take one parameter from "; key=value; key="quoted"". A backslash in a quoted value stands for itself unless it is
 * in front of a quote or a backslash; browsers send %22 for a quote. false: no more, or malformed. */
static bool
next_param(struct str *s, struct str *key, struct str *value)
{
    size_t n;

    *s = str_unblank(*s);
    if (s->n < 2 || s->p[0] != ';')
        return false;
    *s = str_unblank(rest(*s, 1));
    n = find(*s, "=", 1);
    if (n == s->n)
        return false;
    *key = str_unblank((struct str){ s->p, n });
    *s = str_unblank(rest(*s, n + 1));
    if (s->n > 0 && s->p[0] == '"') {
        for (n = 1; n < s->n && s->p[n] != '"'; n++)
            if (s->p[n] == '\\' && n + 1 < s->n && (s->p[n + 1] == '"' || s->p[n + 1] == '\\'))
                n++;
        if (n >= s->n)
            return false;
        *value = (struct str){ s->p + 1, n - 1 };
        *s = rest(*s, n + 1);
        return true;
    }
    n = find(*s, ";", 1);
    *value = str_unblank((struct str){ s->p, n });
    *s = rest(*s, n);
    return true;
}

static bool
boundary_ok(struct str b)
{
    static const char marks[] = "'()+_,-./:=? ";

    if (b.n < 1 || b.n > 70 || b.p[b.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < b.n; i++) {
        char c = b.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              (c && strchr(marks, c))))
            return false;
    }
    return true;
}

bool
multipart_boundary(struct str content_type, struct str *boundary)
{
    struct str s = rest(content_type, find(content_type, ";", 1)), key, value;

    while (next_param(&s, &key, &value)) {
        if (str_is_anycase(key, "boundary")) {
            *boundary = value;
            return boundary_ok(value);
        }
    }
    return false;
}

static enum multipart_step
bad(struct multipart *m, const char *why)
{
    m->fault = why;
    return MULTIPART_BAD;
}

bool
multipart_init(struct multipart *m, struct str body, struct str boundary)
{
    size_t at;

    memset(m, 0, sizeof *m);
    if (boundary.n + 4 > sizeof m->delimiter)
        return bad(m, "the boundary is too long") == MULTIPART_END;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    m->delimiter_n = boundary.n + 4;
    if (body.n >= m->delimiter_n - 2 && memcmp(body.p, m->delimiter + 2, m->delimiter_n - 2) == 0) {
        m->left = rest(body, m->delimiter_n - 2);
        return true;
    }
    at = find(body, m->delimiter, m->delimiter_n);
    if (at == body.n)
        return bad(m, "the body does not contain its boundary") == MULTIPART_END;
    m->left = rest(body, at + m->delimiter_n);
    return true;
}

/* ISO 8859-1 → UTF-8, from the arena. */
static struct str
from_latin1(struct str s, struct arena *a)
{
    char *z = arena_alloc(a, 2 * s.n + 1);
    size_t n = 0;

    for (size_t i = 0; z && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x80)
            z[n++] = (char)(0xc0 | c >> 6);
        z[n++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
    return (struct str){ z, n };
}

/* %41 → A, in place; false: a sign of percent without two digits. */
static bool
percent_decode(char *z, size_t *len)
{
    size_t n = 0;

    for (size_t i = 0; i < *len; i++, n++)
        if (z[i] != '%')
            z[n] = z[i];
        else if (i + 2 < *len && hex_parse((struct str){ z + i + 1, 2 }, z + n, 1))
            i += 2;
        else
            return false;
    *len = n;
    return true;
}

/* RFC 8187: charset'language'percent-encoded, in UTF-8 or ISO 8859-1; the name is decoded into the arena.
 * Absent: it is malformed. */
static struct str
extended(struct str v, struct arena *a)
{
    size_t charset = find(v, "'", 1), language = charset < v.n ? find(rest(v, charset + 1), "'", 1) : 0;
    bool latin1 = str_is_anycase((struct str){ v.p, charset }, "iso-8859-1");
    char *z;
    size_t n;

    if ((!latin1 && !str_is_anycase((struct str){ v.p, charset }, "utf-8")) || charset + 1 + language >= v.n)
        return STR_NONE;
    v = rest(v, charset + 1 + language + 1);
    z = arena_dup(a, v);
    n = v.n;
    if (!z || n == 0 || !percent_decode(z, &n))
        return STR_NONE;
    v = (struct str){ z, n };
    return latin1 ? from_latin1(v, a) : utf8_valid(v) ? v : STR_NONE;
}

/* RFC 2047, as mail programs and some libraries write it: =?utf-8?B?base64?=, =?utf-8?Q?caf=C3=A9?=. Absent: it is none. */
static struct str
encoded_word(struct str v, struct arena *a)
{
    struct buf b = BUF_MAX(4096);
    size_t q = 2;

    if (v.n < 8 || memcmp(v.p, "=?", 2) != 0 || memcmp(v.p + v.n - 2, "?=", 2) != 0)
        return STR_NONE;
    while (q < v.n && v.p[q] != '?')
        q++;
    if (q + 5 > v.n || v.p[q + 2] != '?' || !str_is_anycase((struct str){ v.p + 2, q - 2 }, "utf-8"))
        return STR_NONE;
    struct str text = { v.p + q + 3, v.n - q - 5 };
    char *z = arena_dup(a, text);
    size_t n = text.n;

    if ((v.p[q + 1] | 32) == 'b') {
        struct str out = base64_decode(text, &b) ? arena_str(a, buf_slice(&b)) : STR_NONE;

        buf_free(&b);
        return out.p && utf8_valid(out) ? out : STR_NONE;
    }
    for (size_t i = 0; z && i < n; i++)
        z[i] = z[i] == '_' ? ' ' : z[i] == '=' ? '%' : z[i];
    return z && (v.p[q + 1] | 32) == 'q' && percent_decode(z, &n) && utf8_valid((struct str){ z, n })
               ? (struct str){ z, n }
               : STR_NONE;
}

/* A file's name as browsers (%22 for a quote) and curl (backslash and quote) send it. */
static struct str
plain_name(struct str v, struct arena *a)
{
    struct str word = encoded_word(v, a);
    char *z;
    size_t n = 0;

    if (word.p || (!str_has(v, "%22") && !str_has(v, "\\\"")))
        return word.p ? word : v;
    z = arena_dup(a, v);
    for (size_t i = 0; z && i < v.n; i++) {
        bool quote = v.n - i >= 3 && memcmp(v.p + i, "%22", 3) == 0;

        i += quote ? 2 : v.p[i] == '\\' && i + 1 < v.n && v.p[i + 1] == '"';
        z[n++] = quote ? '"' : v.p[i];
    }
    return z ? (struct str){ z, n } : v;
}

static bool
take_disposition(struct str value, struct arena *a, struct part *out)
{
    bool wide = false, broken = false;
    struct str s = rest(value, find(value, ";", 1)), key, v;

    if (!str_is_anycase(str_unblank((struct str){ value.p, value.n - s.n }), "form-data"))
        return true;
    while (next_param(&s, &key, &v)) {
        if (str_is_anycase(key, "name"))
            out->name = v;
        else if (str_is_anycase(key, "filename*")) {
            struct str name = extended(v, a);

            broken = !name.p;
            wide = !broken;
            out->filename = wide ? name : out->filename;
        } else if (str_is_anycase(key, "filename")) {
            out->filename = wide ? out->filename : plain_name(v, a); /* RFC 6266: the wide one counts */
        }
    }
    return !broken || out->filename.p;
}

static bool
take_headers(struct str head, struct arena *a, struct part *out)
{
    while (head.n > 0) {
        size_t n = find(head, "\r\n", 2), colon;
        struct str line = { head.p, n }, name, value;

        head = rest(head, n + 2 <= head.n ? n + 2 : head.n);
        colon = find(line, ":", 1);
        if (colon == line.n || colon == 0)
            return false;
        name = (struct str){ line.p, colon };
        value = str_unblank(rest(line, colon + 1));
        if (str_is_anycase(name, "content-disposition")) {
            if (!take_disposition(value, a, out))
                return false;
        } else if (str_is_anycase(name, "content-type")) {
            out->type = str_unblank((struct str){ value.p, find(value, ";", 1) });
        } else if (str_is_anycase(name, "content-transfer-encoding") && !str_is_anycase(value, "binary") &&
                   !str_is_anycase(value, "8bit") && !str_is_anycase(value, "7bit")) {
            return false;
        }
    }
    return out->name.p != NULL;
}

enum multipart_step
multipart_next(struct multipart *m, struct arena *a, struct part *out)
{
    struct str s = m->left;
    size_t pad = 0, head, end;

    memset(out, 0, sizeof *out);
    if (s.n >= 2 && s.p[0] == '-' && s.p[1] == '-')
        return MULTIPART_END;
    while (pad < s.n && (s.p[pad] == ' ' || s.p[pad] == '\t'))
        pad++;
    s = rest(s, pad);
    if (s.n < 2 || s.p[0] != '\r' || s.p[1] != '\n')
        return bad(m, "a boundary is not followed by a line end");
    if (m->parts++ >= MULTIPART_PARTS)
        return bad(m, "too many parts");
    s = rest(s, 2);
    head = find(s, "\r\n\r\n", 4);
    if (head == s.n || head > MULTIPART_HEAD)
        return bad(m, "a part's headers do not end, or are too long");
    if (!take_headers((struct str){ s.p, head }, a, out))
        return bad(m, "a part's headers are malformed");
    s = rest(s, head + 2); /* an empty body's delimiter begins with the second line end */
    end = find(s, m->delimiter, m->delimiter_n);
    if (end == s.n)
        return bad(m, "the last part does not end");
    out->body = end >= 2 ? (struct str){ s.p + 2, end - 2 } : (struct str){ s.p, 0 };
    m->left = rest(s, end + m->delimiter_n);
    return MULTIPART_PART;
}
