/* The Accept header as a scraper sends it:
 *
 *   Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2
 *
 * Parts that cannot be read want nothing. */
#include "common/process/accept.h"

#include <string.h>

struct wants {
    int open, text; /* thousandths, as RFC 9110 gives q; -1: not named */
};

/* The part before the separator, without blanks around it; *rest is the part behind it. */
static struct str
cut(struct str *rest, char separator)
{
    const char *at = memchr(rest->p, separator, rest->n);
    struct str part = { rest->p, at ? (size_t)(at - rest->p) : rest->n };

    *rest = (struct str){ rest->p + part.n + (at != NULL), rest->n - part.n - (at != NULL) };
    return str_unblank(part);
}

/* "0.5" is 500. A text that is no such number is 0. */
static int
thousandths(struct str s)
{
    int v = 0, digits = 0;

    if (!s.n || (*s.p != '0' && *s.p != '1') || (s.n > 1 && s.p[1] != '.') || s.n > 5)
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 1)
            continue;
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        v = v * 10 + (s.p[i] - '0');
        digits++;
    }
    for (; digits < 4; digits++)
        v *= 10;
    return v > 1000 ? 0 : v;
}

/* One of the ranges: its type, and the parameters that concern us. */
static void
take_range(struct str range, struct wants *w)
{
    struct str type = cut(&range, ';');
    bool known = true;
    int q = 1000;

    while (range.n) {
        struct str value = cut(&range, ';'), name = cut(&value, '=');

        value = str_unblank(value);
        if (str_is_anycase(name, "q"))
            q = thousandths(value);
        else if (str_is_anycase(name, "version") && str_is_anycase(type, "application/openmetrics-text"))
            known = str_is_anycase(value, "1.0.0") || str_is_anycase(value, "\"1.0.0\"");
    }
    if (str_is_anycase(type, "application/openmetrics-text") && known && q > w->open)
        w->open = q;
    if ((str_is_anycase(type, "text/plain") || str_is_anycase(type, "text/*") ||
         str_is_anycase(type, "*/*")) &&
        q > w->text)
        w->text = q;
}

bool
accept_openmetrics(struct str head)
{
    struct wants w = { -1, -1 };

    while (head.n) {
        struct str line = cut(&head, '\n'), name;

        while (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        name = cut(&line, ':');
        if (!str_is_anycase(name, "Accept"))
            continue;
        while (line.n)
            take_range(cut(&line, ','), &w);
    }
    return w.open > 0 && w.open >= w.text;
}
