/* Blocks of reStructuredText that begin otherwise than Markdown's: directives, literal blocks, sessions of an interpreter. See quote.h.
 * docutils.sourceforge.io/docs/ref/rst/restructuredtext.html: "Explicit Markup Blocks", "Literal Blocks", "Doctest Blocks". */
#include "embedder/builtin/quote.h"

#define WORDS(name, ...) static const char *const name[] = { __VA_ARGS__ };
#include "embedder/builtin/quote_rst.tbl"
#undef WORDS

static size_t
line_end(struct str s, size_t at)
{
    const char *nl = at < s.n ? memchr(s.p + at, '\n', s.n - at) : NULL;

    return nl ? (size_t)(nl - s.p) + 1 : s.n;
}

static struct str
line_at(struct str s, size_t at)
{
    return quote_trim((struct str){ s.p + at, line_end(s, at) - at });
}

static size_t
indent_at(struct str s, size_t at)
{
    size_t i = at;

    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    return i - at;
}

/* Behind the lines from at on that are empty or indented more than that. */
static size_t
indented_end(struct str s, size_t at, size_t than)
{
    size_t end = at;

    while (at < s.n) {
        bool empty = line_at(s, at).n == 0;

        if (!empty && indent_at(s, at) <= than)
            break;
        at = line_end(s, at);
        end = empty ? end : at;
    }
    return end;
}

/* Behind the options (":name: value") of the directive on the line before. */
static size_t
options_end(struct str s, size_t at)
{
    struct str line = line_at(s, at);

    while (at < s.n && line.n > 2 && line.p[0] == ':' && memchr(line.p + 1, ':', line.n - 1)) {
        at = line_end(s, at);
        line = line_at(s, at);
    }
    return at;
}

/* ".. name:: arguments": a term, code, or nothing to quote. */
static size_t
directive(struct str s, size_t at, struct str line, struct block *b)
{
    const char *colons = memmem(line.p, line.n, "::", 2);
    struct str name = { line.p + 3, colons ? (size_t)(colons - line.p) - 3 : 0 };
    size_t end = line_end(s, at), body;

    b->kind = BLOCK_IDLE;
    if (name.n == 0 || str_has_byte(name, ' '))
        return end; /* a target, a comment */
    body = options_end(s, end);
    if (str_is_any(name, code_directives, sizeof code_directives / sizeof *code_directives)) {
        end = indented_end(s, body, indent_at(s, at));
        b->kind = end > body ? BLOCK_CODE : BLOCK_IDLE;
        b->whole = end < s.n;
        b->text = quote_trim((struct str){ s.p + body, end > body ? end - body : 0 });
        return end > body ? end : body;
    }
    if (str_is_any(name, silent, sizeof silent / sizeof *silent))
        return indented_end(s, body, indent_at(s, at));
    if (str_has_byte(name, ':') || str_is_any(name, terms, sizeof terms / sizeof *terms)) {
        b->kind = BLOCK_TEXT;
        b->apart = true;
        b->text = quote_trim((struct str){ colons + 2, (size_t)(line.p + line.n - colons) - 2 });
    }
    return body;
}

static size_t
session(struct str s, size_t at, struct block *b)
{
    while (at < s.n && line_at(s, at).n > 0)
        at = line_end(s, at);
    b->kind = BLOCK_CODE;
    b->whole = at < s.n;
    return at;
}

size_t
quote_rst(struct str s, size_t at, const struct block *before, struct block *b)
{
    struct str line = line_at(s, at);
    size_t end;

    if (line.n > 3 && str_starts(line, ".. ") && line.p[3] != '[')
        return directive(s, at, line, b);
    if (str_starts(line, ">>> "))
        return session(s, at, b);
    if (!before || before->kind > BLOCK_ITEM || before->kind == BLOCK_HEADING || before->text.n < 2 ||
        memcmp(before->text.p + before->text.n - 2, "::", 2) != 0 || indent_at(s, at) <= before->indent)
        return 0;
    end = indented_end(s, at, before->indent);
    b->kind = BLOCK_CODE;
    b->whole = end < s.n;
    return end;
}
