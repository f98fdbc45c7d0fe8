/* Lines that are marks of a page's generator, not text: admonitions (Docusaurus, MkDocs, GitHub, Obsidian),
 * tabs, attributes, comments, shortcodes and includes; imports and exports of MDX. See markup.h. */
#include <string.h>

#include "common/text/text.h"
#include "retriever/extract/markup_int.h"

static struct str
from(struct str s, size_t at)
{
    return (struct str){ s.p + at, s.n - at };
}

static size_t
span_of(struct str s, const char *set)
{
    size_t n = 0;

    while (n < s.n && s.p[n] && strchr(set, s.p[n]))
        n++;
    return n;
}

static size_t
word_of(struct str s)
{
    size_t n = 0;

    while (n < s.n && (alnum(s.p[n]) || s.p[n] == '-' || s.p[n] == '_'))
        n++;
    return n;
}

/* Without a pair of marks around it. */
static struct str
unquoted(struct str s)
{
    if (s.n >= 2 && ((s.p[0] == '"' && s.p[s.n - 1] == '"') || (s.p[0] == '\'' && s.p[s.n - 1] == '\'')))
        return (struct str){ s.p + 1, s.n - 2 };
    return s;
}

/* ":::note", ":::tip[Title]", "::: warning Title", ":::{admonition} Title", ":::" */
static bool
directive(struct str s, struct str *shown)
{
    size_t colons = span_of(s, ":"), k;

    if (colons < 3)
        return false;
    s = text_trim(from(s, colons));
    bool braced = s.n > 0 && s.p[0] == '{';

    k = word_of(from(s, braced));
    if (s.n == 0)
        return true;
    if (k == 0 || (braced && (k + 1 >= s.n || s.p[k + 1] != '}')))
        return false;
    s = from(s, k + 2 * braced);
    if (s.n > 0 && s.p[0] == '[') {
        const char *close = memrchr(s.p, ']', s.n);

        *shown = close ? (struct str){ s.p + 1, (size_t)(close - s.p) - 1 } : STR_NONE;
        return close != NULL;
    }
    if (s.n > 0 && s.p[0] != ' ' && s.p[0] != '{')
        return false;
    s = text_trim(s);
    *shown = s.n > 0 && s.p[0] == '{' ? STR_NONE : unquoted(s);
    return true;
}

/* '!!! note "Title"', '??? tip', '???+ note', '=== "Tab"' */
static bool
mkdocs(struct str s, struct str *shown)
{
    bool tab = str_starts(s, "===");
    size_t k = 3;

    if (!tab && !str_starts(s, "!!!") && !str_starts(s, "???"))
        return false;
    k += span_of(from(s, k), "+!");
    if (k >= s.n || s.p[k] != ' ')
        return false;
    s = text_trim(from(s, k));
    while (!tab && (k = word_of(s)) > 0)
        s = text_trim(from(s, k));
    if (s.n == 0)
        return !tab;
    *shown = unquoted(s);
    return shown->n == s.n - 2;
}

/* "> [!NOTE]", "> [!tip]- Title" */
static bool
alert(struct str s, struct str *shown)
{
    size_t k = span_of(s, "> ");

    if (s.n == 0 || s.p[0] != '>' || !str_starts(from(s, k), "[!"))
        return false;
    s = from(s, k + 2);
    k = word_of(s);
    if (k == 0 || k >= s.n || s.p[k] != ']')
        return false;
    s = from(s, k + 1);
    *shown = text_trim(from(s, span_of(s, "+-")));
    return true;
}

/* "[//]: # (a comment)", "[comment]: <> (a comment)" */
static bool
comment(struct str s)
{
    const char *close = s.n > 0 && s.p[0] == '[' ? memmem(s.p, s.n, "]:", 2) : NULL;
    struct str target = close ? text_trim(from(s, (size_t)(close - s.p) + 2)) : STR_NONE;

    return close && (str_is(target, "#") || str_starts(target, "# ") || str_starts(target, "<> ") ||
                     str_starts(target, "- "));
}

/* Nothing but "{% … %}", "{{< … >}}" and "{{% … %}}", which bring what stands elsewhere, or frame what follows. */
static bool
shortcodes(struct str s)
{
    size_t n = 0;

    while (s.n > 0) {
        bool liquid = str_starts(s, "{%"), hugo = str_starts(s, "{{<") || str_starts(s, "{{%");
        const char *close = liquid ? memmem(s.p, s.n, "%}", 2) : hugo ? memmem(s.p, s.n, "}}", 2) : NULL;

        if (!close)
            return false;
        s = text_trim(from(s, (size_t)(close - s.p) + 2));
        n++;
    }
    return n > 0;
}

/* "{: .note }", "{:toc}", "[TOC]", "[[_TOC_]]", '--8<-- "file"' */
static bool
setting(struct str s)
{
    return (str_starts(s, "{:") && s.p[s.n - 1] == '}') || str_is(s, "[TOC]") || str_is(s, "[toc]") ||
           str_is(s, "[[TOC]]") || str_is(s, "[[toc]]") || str_is(s, "[[_TOC_]]") || str_starts(s, "--8<--");
}

bool
line_mark(const struct page *p, struct str line, struct str *shown)
{
    struct str s = text_trim(line);

    (void)p;
    *shown = STR_NONE;
    if (s.n == 0)
        return false;
    switch (s.p[0]) {
    case ':': return directive(s, shown);
    case '!':
    case '?':
    case '=': return mkdocs(s, shown);
    case '>': return alert(s, shown);
    case '[':
        if (comment(s))
            return true;
        break;
    case '{':
        if (shortcodes(s))
            return true;
        break;
    default: break;
    }
    return setting(s);
}

/* ---- imports and exports */

static size_t
blanks_at(const struct page *p, size_t i)
{
    while (i < p->n && (p->s[i] == ' ' || p->s[i] == '\t'))
        i++;
    return i;
}

/* "import x, { y } from 'z';", "import 'z'": nothing but names before the string, "from" directly before it. */
static size_t
import_end(const struct page *p)
{
    size_t i = p->i + 6, end = i + 4096 < p->n ? i + 4096 : p->n, q = i;
    const char *close;

    while (q < end && p->s[q] != '"' && p->s[q] != '\'') {
        if (!alnum(p->s[q]) && (!strchr("_$,{}*/ \t\n", p->s[q]) || p->s[q] == 0))
            return 0;
        q++;
    }
    struct str clause = text_trim((struct str){ p->s + i, q - i });
    bool named = clause.n >= 4 && memcmp(clause.p + clause.n - 4, "from", 4) == 0;

    if (q >= end || (clause.n > 0 && !named) || str_has(clause, "\n\n"))
        return 0;
    close = memchr(p->s + q + 1, p->s[q], page_line_end(p, q) - q - 1);
    if (!close)
        return 0;
    i = blanks_at(p, (size_t)(close - p->s) + 1);
    if (i < p->n && p->s[i] == ';')
        i = blanks_at(p, i + 1);
    return i >= p->n || p->s[i] == '\n' || (p->s[i] == '/' && i + 1 < p->n && p->s[i + 1] == '/')
               ? page_line_end(p, i)
               : 0;
}

/* The exports of a module: a name that gets a value, a function, a list. Prose begins otherwise. */
static bool
is_export(struct str s)
{
    static const char *const kinds[] = {
        "const ", "let ", "var ", "function", "async ", "class ", "default "
    };

    if (!str_starts(s, "export"))
        return false;
    s = text_trim(from(s, 6));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_starts(s, kinds[i])) {
            struct str rest = text_trim(from(s, strlen(kinds[i])));
            size_t name = word_of(rest), k = name + span_of(from(rest, name), " ");

            return i == 6 || (k < rest.n && strchr("=({:<*", rest.p[k]) != NULL) ||
                   str_starts(from(rest, k), "extends ") || (i == 4 && str_starts(rest, "function"));
        }
    return s.n > 0 && (s.p[0] == '{' || str_starts(s, "* "));
}

/* The end of the line on which all brackets are closed. */
static size_t
export_end(struct page *p)
{
    size_t end = p->i + MARKUP_ESM_MAX < p->n ? p->i + MARKUP_ESM_MAX : p->n;
    int depth = 0;

    for (size_t i = p->i; i < end && p->spare > 0; i++) {
        char c = p->s[i];

        if (c == '\n' && depth <= 0)
            return i;
        if (c == '"' || c == '\'' || c == '`') {
            const char *q = memchr(p->s + i + 1, c, (c == '`' ? end : page_line_end(p, i)) - i - 1);

            i = q ? (size_t)(q - p->s) : i;
        } else
            depth += (strchr("({[", c) != NULL) - (strchr(")}]", c) != NULL);
    }
    if (depth <= 0 && end == p->n)
        return end;
    p->spare -= (int64_t)(end - p->i);
    return 0;
}

size_t
line_module(struct page *p)
{
    struct str line = { p->s + p->i, page_line_end(p, p->i) - p->i };

    if (str_starts(line, "import") && line.n > 6 && strchr(" {\"'*", line.p[6]))
        return import_end(p);
    return is_export(line) ? export_end(p) : 0;
}
