/* The forms of Markdown that matter to the sanitizer (sanitize_form.h). Each function looks at bytes from p
 * on and says how far a form goes, or that more must come before it can be told. None looks further than its
 * bound, so that an open form holds back little. */
#include "gateway/safe/sanitize_form.h"

#include <ctype.h>
#include <strings.h>

static bool
blank_line(const char *p, size_t n)
{
    size_t i = 1;

    while (i < n && (p[i] == ' ' || p[i] == '\t'))
        i++;
    return i < n && p[i] == '\n';
}

/* ---- code spans */

size_t
form_ticks(const char *p, size_t n)
{
    size_t run = 0;

    while (run < n && p[run] == '`')
        run++;
    return run;
}

/* Bytes of the span that begins at p; 0: none. *more: its line has not come far enough to tell. */
size_t
form_span(const char *p, size_t n, bool end, bool *more)
{
    size_t run = form_ticks(p, n), i = run, r;

    *more = false;
    for (; i < n && i < TEXT_LOOK && p[i] != '\n'; i += r ? r : 1) {
        r = form_ticks(p + i, n - i);
        if (r == run && (i + r < n || end))
            return i + r;
    }
    *more = i >= n && !end && n < TEXT_LOOK + run;
    return 0;
}

/* ---- addresses in parentheses */

size_t
form_spaces(const char *p, size_t n)
{
    size_t i = 0, feeds = 0;

    while (i < n && (p[i] == ' ' || p[i] == '\t' || (p[i] == '\n' && feeds++ == 0)))
        i++;
    return i;
}

/* Bytes of an address from p on: up to white space or the parenthesis that is not its own; with < up to >. */
size_t
form_address_len(const char *p, size_t n)
{
    size_t i = 0, depth = 0;

    if (n > 0 && p[0] == '<') {
        for (i = 1; i < n && p[i] != '>' && p[i] != '\n' && p[i] != '<';)
            i++;
        return i < n && p[i] == '>' ? i + 1 : i;
    }
    for (; i < n && (unsigned char)p[i] > ' '; i++) {
        if (p[i] == '\\' && i + 1 < n && (unsigned char)p[i + 1] > ' ')
            i++;
        else if (p[i] == '(' && ++depth > 2 * NEST)
            break;
        else if (p[i] == ')' && depth-- == 0)
            break;
    }
    return i;
}

/* Bytes of a title with its quotes; 0: it does not end. */
static size_t
title_len(const char *p, size_t n)
{
    char close = p[0] == '(' ? ')' : p[0];

    for (size_t i = 1; i < n; i++) {
        if (p[i] == '\\')
            i++;
        else if (p[i] == close)
            return i + 1;
        else if (p[i] == '\n' && blank_line(p + i, n - i))
            return 0;
    }
    return 0;
}

/* The form at p[0] == '(': a link's target, or something that only a lenient reader would take for one. */
enum form
form_target(const char *p, size_t n, bool end, struct target *t)
{
    bool cut_off = n < ADDRESS_LOOK && !end;
    size_t i = 1, len, title = 0;

    n = n < ADDRESS_LOOK ? n : ADDRESS_LOOK;
    i += form_spaces(p + i, n - i);
    len = form_address_len(p + i, n - i);
    t->address = (struct str){ p + i, len };
    if (len > 1 && p[i] == '<' && p[i + len - 1] == '>')
        t->address = (struct str){ p + i + 1, len - 2 };
    i += len;
    len = form_spaces(p + i, n - i);
    i += len;
    if (len > 0 && i < n && strchr("\"'(", p[i]) != NULL) {
        title = title_len(p + i, n - i);
        i += title;
        i += title ? form_spaces(p + i, n - i) : n - i;
    }
    if (i < n && p[i] == ')') {
        t->n = i + 1;
        return FORM_LINK;
    }
    return i >= n && cut_off ? FORM_MORE : FORM_ODD;
}

/* Nothing in the parentheses that begins anything else. */
bool
form_clean(const struct target *t, const char *p)
{
    for (size_t i = 1; i + 1 < t->n; i++)
        if (strchr("\n`[]", p[i]) || ((p[i] == '<' || p[i] == '>') && p + i != t->address.p - 1 &&
                                      p + i != t->address.p + t->address.n))
            return false;
    return true;
}

/* ---- brackets */

/* The bracket that closes the one at p[i]; 0: none near. *more: not known yet. */
size_t
form_bracket(const char *p, size_t n, size_t i, bool end, bool *more)
{
    size_t limit = i + TEXT_LOOK, skip, depth = 0;
    bool wait = false;

    *more = false;
    for (; i < n && i < limit; i++) {
        if (p[i] == '`' && (skip = form_span(p + i, n - i, end, &wait)) > 0)
            i += skip - 1;
        else if (p[i] == '`' && wait)
            break;
        else if (p[i] == '`')
            i += form_ticks(p + i, n - i) - 1;
        else if (p[i] == '[' && ++depth > NEST)
            return 0;
        else if (p[i] == ']' && --depth == 0)
            return i;
        else if (p[i] == '\n' && blank_line(p + i, n - i))
            return 0;
    }
    *more = wait || (i >= n && !end && i < limit);
    return 0;
}

/* ---- addresses */

/* Bytes of an autolink with both brackets, or 0. */
size_t
form_autolink(const char *p, size_t n, bool end, bool *more)
{
    size_t i = 1;

    *more = false;
    while (i < n && i < 34 && (isalnum((unsigned char)p[i]) || strchr("+.-", p[i])) && p[i] != 0)
        i++;
    if (i < n && p[i] != ':')
        return 0;
    while (i < n && i < ADDRESS_LOOK && (unsigned char)p[i] > ' ' && p[i] != '>' && p[i] != '<')
        i++;
    *more = i == n && !end && i < ADDRESS_LOOK;
    return i < n && p[i] == '>' ? i + 1 : 0;
}

static const char *const schemes[] = { "http://", "https://", "ftp://", "www.", NULL };

/* Length of the scheme at p, 0: none; *more: it may become one. */
size_t
form_scheme(const char *p, size_t n, bool end, bool *more)
{
    *more = false;
    for (int i = 0; schemes[i] != NULL; i++) {
        size_t len = strlen(schemes[i]);

        if (strncasecmp(p, schemes[i], n < len ? n : len) != 0)
            continue;
        if (n >= len)
            return len;
        *more = !end;
    }
    return 0;
}

size_t
form_url_len(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && i < ADDRESS_LOOK && (unsigned char)p[i] > ' ' && (unsigned char)p[i] < 0x7f &&
           !strchr("<>\"`[]{}|\\^", p[i]))
        i++;
    return i;
}
