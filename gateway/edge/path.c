/* Paths and query strings, decoded by our own rules (RFC 3986): one meaning for each path, or none at all.
 * Also the two identifiers that are echoed in answers: one that does not match exactly is
 * replaced, never reflected. */
#include <ctype.h>

#include "common/text/text.h"
#include "gateway/edge/path.h"

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "%xy" at z stands for, or -1. */
static int
percent(const char *z)
{
    int hi = hex_digit(z[1]), lo = hi < 0 ? -1 : hex_digit(z[2]);

    return lo < 0 ? -1 : hi * 16 + lo;
}

/* No "." or ".." and no empty segment but the last. */
static bool
segments_ok(const char *path)
{
    const char *p = path;

    while (*p == '/') {
        size_t n = strcspn(p + 1, "/");

        if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
            return false;
        if (n == 0 && p[1] == '/')
            return false;
        p += 1 + n;
    }
    return true;
}

bool
path_decode(const char *raw, char *out)
{
    char *o = out;

    for (const char *p = raw; *p; p++) {
        int c = (unsigned char)*p;

        if (c == '%') {
            c = percent(p);
            if (c < 0 || c == '/' || c == '\\')
                return false;
            p += 2;
        }
        if (c < 32 || c == 127 || c == '\\')
            return false;
        *o++ = (char)c;
    }
    *o = 0;
    return out[0] == '/' && utf8_valid(str_of(out)) && segments_ok(out);
}

/* Decode n bytes of a query component; '+' is a space. -1: malformed or NUL. */
static int
component(const char *p, size_t n, char *out)
{
    char *o = out;

    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)p[i];

        if (c == '%') {
            c = i + 2 < n ? percent(p + i) : -1;
            if (c <= 0)
                return -1;
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        *o++ = (char)c;
    }
    *o = 0;
    return utf8_valid((struct str){ out, (size_t)(o - out) }) ? 0 : -1;
}

int
query_get(const char *query, const char *name, char *out)
{
    for (const char *p = query ? query : ""; *p;) {
        size_t n = strcspn(p, "&"), k = strcspn(p, "=&");

        if (component(p, k, out) != 0)
            return -1;
        if (strcmp(out, name) == 0) {
            bool value = k < n;

            return component(p + k + value, n - k - value, out) == 0 ? 1 : -1;
        }
        p += n + (p[n] == '&');
    }
    return 0;
}

bool
query_valid(const char *query)
{
    for (const char *p = query; *p; p++) {
        if (*p <= 32 || *p == 127 || *p == '#')
            return false;
        if (*p == '%' && percent(p) <= 0)
            return false;
    }
    return true;
}

bool
request_id_valid(const char *s)
{
    size_t n = 0;

    for (; s[n]; n++)
        if (n >= 128 || (!isalnum((unsigned char)s[n]) && !strchr("._-", s[n])))
            return false;
    return n > 0;
}

/* n lower-case hex digits, not all zero unless zero is allowed. */
static bool
hex_field(const char *s, size_t n, bool zero_ok)
{
    bool nonzero = false;

    for (size_t i = 0; i < n; i++) {
        if (hex_digit(s[i]) < 0 || isupper((unsigned char)s[i]))
            return false;
        nonzero = nonzero || s[i] != '0';
    }
    return nonzero || zero_ok;
}

bool
traceparent_valid(const char *s)
{
    size_t n = strlen(s);

    /* ff is no version; a later one than 00 may go on behind its first four fields, which are read as 00's. */
    if (n < 55 || !hex_field(s, 2, true) || strncmp(s, "ff", 2) == 0 ||
        (n > 55 && (strncmp(s, "00", 2) == 0 || s[55] != '-')))
        return false;
    return s[2] == '-' && s[35] == '-' && s[52] == '-' && hex_field(s + 3, 32, false) &&
           hex_field(s + 36, 16, false) && hex_field(s + 53, 2, true);
}
