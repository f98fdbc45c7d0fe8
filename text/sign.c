/* Signs (sign.h). Pure functions over borrowed bytes. */
#include "text/sign.h"

#include <ctype.h>
#include <strings.h>

#include "common/hash.h"
#include "common/text/text.h"

enum { SIGN_MAX = 4, OPTION_MAX = 23, LINE_HEAD = 60, SHORT_WORD = 4 };

static const char *const names[] = {
#define SIGN_NAME(word) word,
#include "text/sign.tbl"
#undef SIGN_NAME
};

static bool
names_sign(struct str question)
{
    for (size_t i = 0, end; i < question.n; i = end + 1) {
        for (end = i;
             end < question.n && (isalnum((unsigned char)question.p[end]) || question.p[end] & 0x80);)
            end++;
        for (size_t k = 0; k < sizeof names / sizeof *names && end > i; k++)
            if (strlen(names[k]) == end - i && strncasecmp(question.p + i, names[k], end - i) == 0)
                return true;
    }
    return false;
}

/* Borders are what may stand around a sign that is written by itself. */
static bool
is_border(struct str s, size_t i)
{
    return i >= s.n || isspace((unsigned char)s.p[i]) || strchr("`\"'|()[]<>{},;", s.p[i]) != NULL ||
           (unsigned char)s.p[i] >= 0x80;
}

static bool
is_quote(struct str s, size_t i)
{
    return i < s.n && (strchr("`\"'", s.p[i]) != NULL || (unsigned char)s.p[i] >= 0x80);
}

static bool
is_sign(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ispunct((unsigned char)s.p[i]) || strchr("`\"'", s.p[i]))
            return false;
    return s.n > 0 && s.n <= SIGN_MAX;
}

static bool
is_option_byte(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Length of the option that the text begins with: one or two dashes, a letter, and what goes on; 0: none. */
static size_t
option_bytes(struct str s)
{
    size_t dashes = s.n > 1 && s.p[0] == '-' ? 1 + (s.p[1] == '-') : 0, n = dashes;

    if (dashes == 0 || n >= s.n || !isalpha((unsigned char)s.p[n]))
        return 0;
    while (n < s.n && is_option_byte(s.p[n]))
        n++;
    while (s.p[n - 1] == '-')
        n--;
    return n <= OPTION_MAX ? n : 0;
}

/* Length of the option that stands at byte i of the text, by itself or with its value behind "="; 0: none. */
static size_t
option_at(struct str text, size_t i)
{
    size_t n = option_bytes((struct str){ text.p + i, text.n - i }), end = i + n;

    if (n == 0 || (i > 0 && !is_border(text, i - 1) && !strchr("*/", text.p[i - 1])))
        return 0;
    return is_border(text, end) || strchr("=.:?!*/", text.p[end]) ? n : 0;
}

bool
sign_is_option(struct str sign)
{
    return sign.n > 0 && option_bytes(sign) == sign.n;
}

/* Punctuation of the question itself, unless it is quoted or the question names a sign. */
static bool
is_common(struct str s)
{
    static const char *const common[] = { "-", "--", "---", "&", "/",  "+",  ",", ".", "...",
                                          ":", ";",  "(",   ")", "()", "[]", "<", ">", "=" };

    return str_is_any(s, common, sizeof common / sizeof *common);
}

/* Question and exclamation marks behind a blank at the end, as French has them. */
static bool
ends_question(struct str question, struct str s)
{
    struct str rest = { s.p + s.n, (size_t)(question.p + question.n - s.p) - s.n };

    for (size_t i = 0; i < s.n; i++)
        if (!strchr("?!.", s.p[i]))
            return false;
    return text_trim(rest).n == 0;
}

static bool
has(const struct str *v, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i], s))
            return true;
    return false;
}

uint64_t
sign_hash(struct str sign)
{
    return hash_more(hash_str(STR("sign ")), sign);
}

uint64_t
sign_defined_hash(struct str option)
{
    return hash_more(hash_str(STR("defined ")), option);
}

size_t
signs_asked(struct str question, struct str *out, size_t max)
{
    bool named = names_sign(question);
    size_t n = 0;

    for (size_t i = 0, end; i < question.n && n < max; i = end + 1) {
        struct str s = { question.p + i, 0 };
        size_t option, from = i;
        bool quoted;

        while (from < question.n && strchr("([{*/", question.p[from]))
            from++;
        option = from < question.n ? option_at(question, from) : 0;
        if (option > 0) {
            s = (struct str){ question.p + from, option };
            end = from + option;
            if (!has(out, n, s))
                out[n++] = s;
            continue;
        }
        for (end = i;
             end < question.n && !isspace((unsigned char)question.p[end]) && !is_quote(question, end);)
            end++;
        s.n = end - i;
        quoted = i > 0 && is_quote(question, i - 1) && is_quote(question, end);
        while (!quoted && s.n > 1 && strchr("?!.,", s.p[s.n - 1]) && end == question.n)
            s.n--; /* "What is ->?" */
        if (is_sign(s) && (quoted || (!ends_question(question, s) && (named || !is_common(s)))) &&
            !has(out, n, s))
            out[n++] = s;
    }
    return n;
}

/* A bracket beside a sign that has brackets makes another sign of it: "->" is not in "->>". */
static bool
ends_at(struct str text, size_t i, struct str sign)
{
    bool angle = str_has_byte(sign, '<') || str_has_byte(sign, '>');

    return is_border(text, i) && !(angle && i < text.n && strchr("<>", text.p[i]));
}

static bool
stands_at(struct str text, size_t i, struct str sign)
{
    return (i == 0 || ends_at(text, i - 1, sign)) && ends_at(text, i + sign.n, sign);
}

bool
sign_stands(struct str text, struct str sign)
{
    bool option = sign_is_option(sign);

    for (size_t i = 0; i + sign.n <= text.n; i++)
        if (memcmp(text.p + i, sign.p, sign.n) == 0 &&
            (option ? option_at(text, i) == sign.n : stands_at(text, i, sign)))
            return true;
    return false;
}

/* Does the line at i begin with the sign, and go on? Then it is a mark of a heading, an item or a quote. */
static bool
marks_line(struct str text, size_t i, size_t end)
{
    while (i > 0 && (text.p[i - 1] == ' ' || text.p[i - 1] == '\t'))
        i--;
    while (end < text.n && (text.p[end] == ' ' || text.p[end] == '\t'))
        end++;
    return (i == 0 || text.p[i - 1] == '\n') && end < text.n && text.p[end] != '\n';
}

/* Length of what may stand at byte at before an option of the same line: an option, its value (N, <N>), a mark, behind an option a short
 * word ("or"); 0: nothing of these. */
static size_t
before_option(struct str text, size_t at, size_t end, bool *seen)
{
    size_t n = option_at(text, at);

    *seen = *seen || n > 0;
    if (n > 0)
        return n;
    if (isspace((unsigned char)text.p[at]) || strchr("`*|,/[(+:#", text.p[at]) ||
        (text.p[at] == '-' && text.p[at + 1] == ' '))
        return 1;
    while (at + n < end && (isupper((unsigned char)text.p[at + n]) || strchr("<>=", text.p[at + n])))
        n++;
    if (n > 0 || !*seen)
        return n;
    while (at + n < end && islower((unsigned char)text.p[at + n]))
        n++;
    return n <= SHORT_WORD ? n : 0;
}

/* Does a line begin with the option at i, or with others of which it is one: "-j, --jobs N", "* `--jobs`"? */
static bool
begins_line(struct str text, size_t i)
{
    size_t at = i, n = 1;
    bool seen = false;

    while (at > 0 && text.p[at - 1] != '\n' && i - at <= LINE_HEAD)
        at--;
    if (i - at > LINE_HEAD)
        return false;
    for (; at < i && n > 0; at += n)
        n = before_option(text, at, i, &seen);
    return n > 0;
}

bool
sign_defined(struct str text, struct str option)
{
    for (size_t i = 0; i + option.n <= text.n; i++)
        if (memcmp(text.p + i, option.p, option.n) == 0 && option_at(text, i) == option.n &&
            begins_line(text, i))
            return true;
    return false;
}

static bool
has_word(struct str text, struct str word)
{
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (strncasecmp(text.p + i, word.p, word.n) == 0 &&
            (i == 0 || !(is_option_byte(text.p[i - 1]) && text.p[i - 1] != '-')) &&
            (i + word.n == text.n || !is_option_byte(text.p[i + word.n]) || text.p[i + word.n] == '-'))
            return true;
    return false;
}

bool
sign_commands(struct str question, struct str title)
{
    size_t n = 0, parts = 0;

    title = text_trim(title);
    while (n < title.n && is_option_byte(title.p[n]))
        n++;
    for (size_t i = 0, end; i < n; i = end + 1) {
        for (end = i; end < n && title.p[end] != '-';)
            end++;
        if (end == i)
            continue;
        if (!has_word(question, (struct str){ title.p + i, end - i }))
            return false;
        parts++;
    }
    return parts > 0;
}

static void
tell(struct str s, size_t at, uint64_t h, word_fn fn, void *arg)
{
    const struct word w = {
        .folded = s, .stem = s, .cls = WORD_CONTENT, .start = at, .end = at + s.n, .h = h
    };

    fn(arg, &w);
}

void
signs_each(struct str text, word_fn fn, void *arg)
{
    for (size_t i = 0, end; i < text.n; i = end) {
        struct str s = { text.p + i, text.p[i] == '-' ? option_at(text, i) : 0 };

        end = i + (s.n > 0 ? s.n : 1);
        if (s.n > 0) {
            tell(s, i, sign_hash(s), fn, arg);
            if (begins_line(text, i))
                tell(s, i, sign_defined_hash(s), fn, arg);
            continue;
        }
        if (!ispunct((unsigned char)text.p[i]) || strchr("`\"'", text.p[i]) ||
            (i > 0 && !is_border(text, i - 1)))
            continue;
        while (end < text.n && ispunct((unsigned char)text.p[end]) && !strchr("`\"'", text.p[end]) &&
               option_at(text, end) == 0)
            end++;
        s.n = end - i;
        if (is_sign(s) && is_border(text, end) && !str_is(s, "|") && !is_common(s) &&
            !marks_line(text, i, end))
            tell(s, i, sign_hash(s), fn, arg);
    }
}
