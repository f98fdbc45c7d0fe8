/* Kinds of sentences, lines and passages. See quote_sentence.h. */
#include <ctype.h>
#include <strings.h>

#include "text/sentence.h"
#include "embedder/builtin/quote.h"

#define WORDS(name, ...) static const char *const name[] = { __VA_ARGS__ };
#include "embedder/builtin/quote_words.tbl"
#undef WORDS

size_t
quote_note_end(struct str s, size_t at)
{
    enum { DIGITS = 3, NAME = 32 };
    bool named = at + 1 < s.n && s.p[at + 1] == '^'; /* Markdown's: "[^name]" */
    size_t from = at + 1 + named, k = from;

    if (at >= s.n || s.p[at] != '[')
        return at;
    while (k < s.n && k - from < (named ? NAME : DIGITS) &&
           (named ? isgraph((unsigned char)s.p[k]) && s.p[k] != ']' : isdigit((unsigned char)s.p[k])))
        k++;
    if (k == from || k >= s.n || s.p[k] != ']')
        return at;
    k++; /* what follows makes a link of it, unless it is the next mark */
    return k == s.n || !strchr("([:", s.p[k]) ||
                   (s.p[k] == '[' && k + 1 < s.n && isdigit((unsigned char)s.p[k + 1]))
               ? k
               : at;
}

/* "Open it. [5] Note that …": the mark is of the sentence before. "[2] means late" is none. */
struct str
quote_skip_notes(struct str s)
{
    for (size_t end; (end = quote_note_end(s, 0)) > 0 && end < s.n;) {
        struct str rest = quote_trim((struct str){ s.p + end, s.n - end });

        if (rest.n == 0 || islower((unsigned char)rest.p[0]))
            break;
        s = rest;
    }
    return s;
}

/* "- ", "* ", "3. ", "> " before a text are marks, not text. */
struct str
quote_skip_marks(struct str s)
{
    for (;;) {
        size_t k = 0;

        while (k < s.n && isdigit((unsigned char)s.p[k]))
            k++;
        if (k > 0 && k + 1 < s.n && (s.p[k] == '.' || s.p[k] == ')') && s.p[k + 1] == ' ')
            k += 2;
        else if (k == 0 && s.n > 2 && strchr("-*+>", s.p[0]) && s.p[1] == ' ')
            k = 2;
        else
            return s;
        s = quote_trim((struct str){ s.p + k, s.n - k });
    }
}

static bool
word_char(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

bool
quote_is_sign(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (word_char(s.p[i]))
            return false;
    return s.n > 0;
}

bool
quote_is_lead_in(struct str s)
{
    s = sentence_bare(s);
    return str_ends(s, ":") || str_ends(s, "\xef\xbc\x9a");
}

/* "On Fedora, run": what the sentence is about stands in the code or table behind it. */
bool
quote_is_open(struct str s)
{
    s = sentence_bare(s);
    return s.n > 0 && !strchr(".!?;", s.p[s.n - 1]) && (unsigned char)s.p[s.n - 1] < 0xe0;
}

/* Does the text, without signs before its first letter, begin with one of these words? */
static bool
begins_with(struct str s, const char *const *list, size_t n)
{
    while (s.n > 0 && !word_char(s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);

        if (s.n >= len && strncasecmp(s.p, list[i], len) == 0 &&
            (s.n == len || (unsigned char)s.p[0] >= 0xe0 || !word_char(s.p[len])))
            return true;
    }
    return false;
}

/* A sentence that tells a reader what to do with a text, instead of what the text says. */
bool
quote_is_exercise(struct str s)
{
    return begins_with(s, exercise_verbs, sizeof exercise_verbs / sizeof exercise_verbs[0]);
}

bool
quote_is_exercise_heading(struct str s)
{
    return begins_with(s, exercise_headings, sizeof exercise_headings / sizeof exercise_headings[0]);
}

/* Words at the beginning that point to what was said before. */
bool
quote_leans_back(struct str s)
{
    return isalpha((unsigned char)s.p[0]) &&
           begins_with(s, leaning_words, sizeof leaning_words / sizeof leaning_words[0]);
}

/* "See …" */
bool
quote_points(struct str s)
{
    return begins_with(s, pointers, sizeof pointers / sizeof pointers[0]);
}

bool
quote_is_condition(struct str s)
{
    return begins_with(s, conditions, sizeof conditions / sizeof conditions[0]);
}

/* A title in the middle of the text ("Maximum Size Of A File"), or labels with their values ("Used by: a, See also: b"). */
bool
quote_is_label(struct str s)
{
    enum { LEAST = 3 };
    size_t words = 0, capitals = 0, colons = 0;

    if (!quote_is_open(s))
        return false;
    for (size_t i = 0, end; i < s.n; i = end + 1) {
        for (end = i; end < s.n && (word_char(s.p[end]) || strchr("-_'", s.p[end]));)
            end++;
        words += end > i;
        capitals += end > i && isupper((unsigned char)s.p[i]);
        colons += end < s.n && s.p[end] == ':' && end + 1 < s.n && !isgraph((unsigned char)s.p[end + 1]);
    }
    return words >= LEAST && (colons > 1 || capitals * 5 >= words * 4);
}

/* Words of letters alone, with the signs of prose behind them: most of six or more. */
static bool
is_prose(struct str s)
{
    enum { LEAST = 6 };
    size_t all = 0, plain = 0;

    for (size_t i = 0, end; i < s.n; i = end + 1) {
        size_t letters = i;

        for (end = i; end < s.n && s.p[end] != ' ';)
            end++;
        while (letters < end && isalpha((unsigned char)s.p[letters]))
            letters++;
        all += end > i;
        plain += letters > i && (letters == end || (letters + 1 == end && strchr(".,;:!?)", s.p[letters])));
    }
    return plain >= LEAST && plain * 5 >= all * 4;
}

/* A comment on a line of its own; "# apt update" is a command. */
static bool
is_comment(struct str line)
{
    static const char *const marks[] = { "//", "/*", "*/", "* ", "** ", "-- ", "<!--" };

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (str_starts(line, marks[i]))
            return true;
    return line.n > 2 && line.p[0] == '#' && line.p[1] == ' ' &&
           (isupper((unsigned char)line.p[2]) || is_prose((struct str){ line.p + 2, line.n - 2 }));
}

struct str
quote_skip_comment(struct str line)
{
    static const char *const marks[] = { "/* ", " // ", " # ", " -- " };
    size_t end = is_comment(line) ? 0 : line.n;

    for (size_t i = 0; i < sizeof marks / sizeof *marks && end > 0; i++) {
        const char *at = memmem(line.p, end, marks[i], strlen(marks[i]));

        end = at ? (size_t)(at - line.p) : end;
    }
    return (struct str){ line.p, end };
}

/* ---- tables of contents */
/* "1.2. Title", "1.2 Title ........ 7", "[Title](page.html)" */
static bool
is_entry(struct str line)
{
    size_t k = 0, dots = 0;

    while (k < line.n && (isdigit((unsigned char)line.p[k]) || line.p[k] == '.'))
        dots += line.p[k++] == '.' && k < line.n && isdigit((unsigned char)line.p[k]);
    if (dots > 0 && k < line.n && (line.p[k] == ' ' || (unsigned char)line.p[k] == 0xc2)) /* also U+00A0 */
        return true;
    if (line.n > 4 && line.p[0] == '[' && line.p[line.n - 1] == ')')
        return str_has(line, "](") && !memchr(line.p + 1, '[', line.n - 1);
    for (k = line.n; k > 0 && isdigit((unsigned char)line.p[k - 1]);)
        k--;
    while (k > 0 && line.p[k - 1] == ' ')
        k--;
    return k > 4 && k < line.n &&
           (memcmp(line.p + k - 4, "....", 4) == 0 || memcmp(line.p + k - 4, ". . ", 4) == 0 ||
            memcmp(line.p + k - 4, " . .", 4) == 0);
}

bool
quote_is_contents(struct str passage)
{
    enum { LEAST = 3 };
    size_t lines = 0, entries = 0;

    for (size_t i = 0, end; i < passage.n; i = end + 1) {
        const char *nl = memchr(passage.p + i, '\n', passage.n - i);
        struct str line;

        end = nl ? (size_t)(nl - passage.p) : passage.n;
        line = quote_trim((struct str){ passage.p + i, end - i });
        entries += is_entry(line) || is_entry(quote_skip_marks(line));
        lines += line.n > 0;
    }
    return entries >= LEAST && entries * 2 >= lines;
}

/* ---- questions */
static bool
has_word(struct str s, const char *const *list, size_t n)
{
    for (size_t i = 0, end; i < s.n; i = end + 1) {
        for (end = i; end < s.n && word_char(s.p[end]);)
            end++;
        for (size_t k = 0; k < n && end > i; k++)
            if (strlen(list[k]) == end - i && strncasecmp(s.p + i, list[k], end - i) == 0)
                return true;
    }
    return false;
}

bool
quote_compares(struct str question)
{
    return has_word(question, comparing_words, sizeof comparing_words / sizeof comparing_words[0]);
}

bool
quote_asks_what(struct str question)
{
    return begins_with(question, asking_what, sizeof asking_what / sizeof asking_what[0]);
}
