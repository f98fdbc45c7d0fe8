/* Quotes: a sentence of the answer as it stands in a passage. A model writes it without the passage's line breaks, with
 * other quotes, with emphasis or without; the span is the passage's own bytes. */
#include "cite/cite_int.h"

enum { LOOK = 16 }; /* times: most places part from the statement at once */

static bool
emphasis(char c)
{
    return c == '*' || c == '_' || c == '`';
}

/* One sign of s at i for comparing, *n its bytes: quotes and apostrophes of any form are alike. */
static int
sign_at(struct str s, size_t i, size_t *n)
{
    static const struct {
        const char *form;
        char plain;
    } forms[] = { { "‘", '\'' }, { "’", '\'' }, { "“", '"' }, { "”", '"' },
                  { "„", '"' },  { "«", '"' },  { "»", '"' }, { "\xc2\xa0", ' ' } };

    *n = 1;
    for (size_t k = 0; (unsigned char)s.p[i] >= 0x80 && k < sizeof forms / sizeof *forms; k++)
        if (str_starts((struct str){ s.p + i, s.n - i }, forms[k].form)) {
            *n = strlen(forms[k].form);
            return forms[k].plain;
        }
    return space_byte(s.p[i]) ? ' ' : (unsigned char)s.p[i];
}

/* Behind the white space at i, and the marks of a quote that a line begins with. */
static size_t
behind_white(struct str s, size_t i)
{
    for (size_t n; i < s.n && sign_at(s, i, &n) == ' '; i += n)
        if (s.p[i] == '\n')
            n = 1 + quote_mark(s, i + 1);
    return i;
}

/* Behind the place of text at i that says what the statement says; 0: it says something else. *left: signs that may still be compared. */
static size_t
said_at(struct str text, size_t i, struct str statement, size_t *left)
{
    size_t k = 0, n, m;

    while (k < statement.n && *left > 0) {
        int b = sign_at(statement, k, &m), a = i < text.n ? sign_at(text, i, &n) : 0;

        --*left;
        if (i < text.n && a == b) {
            i = a == ' ' ? behind_white(text, i) : i + n;
            k = b == ' ' ? behind_white(statement, k) : k + m;
        } else if (emphasis(statement.p[k])) {
            k++;
        } else if (i < text.n && emphasis(text.p[i])) {
            i++;
        } else {
            return 0;
        }
    }
    return k < statement.n ? 0 : i;
}

static bool
find_said(struct str text, struct str statement, struct span *out)
{
    const char *at = statement.n >= QUOTE_MIN ? memmem(text.p, text.n, statement.p, statement.n) : NULL;

    if (at) {
        *out = (struct span){ (size_t)(at - text.p), (size_t)(at - text.p) + statement.n };
        return true;
    }
    size_t left = LOOK * text.n;

    while (statement.n > 0 && emphasis(statement.p[0]))
        statement = (struct str){ statement.p + 1, statement.n - 1 };
    for (at = text.p; statement.n >= QUOTE_MIN; at++) {
        at = memchr(at, statement.p[0], (size_t)(text.p + text.n - at));
        if (!at)
            return false;
        size_t i = (size_t)(at - text.p), end = said_at(text, i, statement, &left);

        if (end > 0) {
            *out = (struct span){ i, end };
            return true;
        }
    }
    return false;
}

bool
cite_verbatim(struct str text, struct str statement, struct span *out)
{
    static const char *const open[] = { "\"", "“" }, *const close[] = { "\"", "”" };

    for (size_t q = 0; q < 2; q++) {
        const char *b = memmem(statement.p, statement.n, open[q], strlen(open[q]));

        if (!b)
            continue;
        b += strlen(open[q]);
        const char *e = memmem(b, (size_t)(statement.p + statement.n - b), close[q], strlen(close[q]));

        if (e && find_said(text, (struct str){ b, (size_t)(e - b) }, out))
            return true;
    }
    while (statement.n && strchr("-*># \"", statement.p[0])) {
        statement.p++;
        statement.n--;
    }
    while (statement.n && strchr(".\" *", statement.p[statement.n - 1]))
        statement.n--;
    return find_said(text, statement, out);
}
