/* Ends of sentences. See sentence.h. Pure functions over borrowed bytes. */
#include "text/sentence.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "text/script.h"
#include "common/text/text.h"

/* Abbreviations that a full stop may belong to. Some stand at a sentence's end as well: those end it where
 * the next word allows. */
enum abbreviation { ABBR_ALWAYS, ABBR_BEFORE_DIGIT, ABBR_UNLESS_CAPITAL };

static const struct {
    const char *text;
    enum abbreviation kind;
} abbreviations[] = {
    { "mr", ABBR_ALWAYS },          { "mrs", ABBR_ALWAYS },         { "ms", ABBR_ALWAYS },
    { "dr", ABBR_ALWAYS },          { "prof", ABBR_ALWAYS },        { "st", ABBR_ALWAYS },
    { "vs", ABBR_ALWAYS },          { "e.g", ABBR_ALWAYS },         { "i.e", ABBR_ALWAYS },
    { "approx", ABBR_ALWAYS },      { "cf", ABBR_ALWAYS },          { "al", ABBR_ALWAYS },
    { "u.s", ABBR_ALWAYS },         { "u.k", ABBR_ALWAYS },         { "gen", ABBR_ALWAYS },
    { "col", ABBR_ALWAYS },         { "z.b", ABBR_ALWAYS },         { "d.h", ABBR_ALWAYS },
    { "u.a", ABBR_ALWAYS },         { "bzw", ABBR_ALWAYS },         { "ca", ABBR_ALWAYS },
    { "evtl", ABBR_ALWAYS },        { "ggf", ABBR_ALWAYS },         { "inkl", ABBR_ALWAYS },
    { "incl", ABBR_ALWAYS },        { "resp", ABBR_ALWAYS },        { "hr", ABBR_ALWAYS },
    { "sra", ABBR_ALWAYS },         { "ud", ABBR_ALWAYS },          { "mme", ABBR_ALWAYS },
    { "p.ej", ABBR_ALWAYS },        { "т.е", ABBR_ALWAYS },         { "им", ABBR_ALWAYS },
    { "ул", ABBR_ALWAYS },          { "no", ABBR_BEFORE_DIGIT },    { "nr", ABBR_BEFORE_DIGIT },
    { "fig", ABBR_BEFORE_DIGIT },   { "eq", ABBR_BEFORE_DIGIT },    { "sec", ABBR_BEFORE_DIGIT },
    { "ch", ABBR_BEFORE_DIGIT },    { "vol", ABBR_BEFORE_DIGIT },   { "pp", ABBR_BEFORE_DIGIT },
    { "p", ABBR_BEFORE_DIGIT },     { "art", ABBR_BEFORE_DIGIT },   { "abs", ABBR_BEFORE_DIGIT },
    { "bd", ABBR_BEFORE_DIGIT },    { "max", ABBR_BEFORE_DIGIT },   { "min", ABBR_BEFORE_DIGIT },
    { "рис", ABBR_BEFORE_DIGIT },   { "стр", ABBR_BEFORE_DIGIT },   { "inc", ABBR_UNLESS_CAPITAL },
    { "ltd", ABBR_UNLESS_CAPITAL }, { "jr", ABBR_UNLESS_CAPITAL },  { "sr", ABBR_UNLESS_CAPITAL },
    { "etc", ABBR_UNLESS_CAPITAL }, { "usw", ABBR_UNLESS_CAPITAL }, { "т.д", ABBR_UNLESS_CAPITAL },
    { "г", ABBR_UNLESS_CAPITAL },
};

/* Stops that end a sentence wherever they stand, whatever follows: of Han and Kana, Devanagari, Arabic and
 * Urdu, Armenian, Ethiopic, Burmese, Khmer, and the doubled ones. */
static const char *const stops[] = { "。", "！", "？", "｡", "．", "।", "॥", "؟", "۔", "։",
                                     "።",  "፧",  "။",  "។", "៕",  "‼", "⁇", "⁈", "⁉" };
static const char *const wide_closers[] = {
    "」", "』", "）", "】", "》", "〉", "”", "’", "»", "\"", "'", ")"
};
/* Behind a day's number and a stop ("am 3. Oktober"). */
static const char *const months[] = { "Januar",   "Februar",  "März",       "April",     "Mai",
                                      "Juni",     "Juli",     "August",     "September", "Oktober",
                                      "November", "Dezember", "Jahrhundert" };

static const char *const bullets[] = { "• ", "◦ ", "‣ ", "– ", "・" };

enum {
    NOTE_MAX = 12,
    SPACED_MIN = 150
}; /* bytes: Thai and Lao part sentences, and longer clauses, by a space */

bool
space_byte(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct span
span_trim(struct str s, struct span x)
{
    while (x.start < x.end && space_byte(s.p[x.start]))
        x.start++;
    while (x.end > x.start && space_byte(s.p[x.end - 1]))
        x.end--;
    return x;
}

/* Which of the texts in list stands at i? Its length; 0: none. */
static size_t
one_of(struct str s, size_t i, const char *const *list, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        size_t len = strlen(list[k]);

        if (i + len <= s.n && memcmp(s.p + i, list[k], len) == 0)
            return len;
    }
    return 0;
}
#define ONE_OF(s, i, list) one_of(s, i, list, sizeof(list) / sizeof(*(list)))

static int32_t
point_at(struct str s, size_t i)
{
    utf8proc_int32_t c = 0;

    if (i < s.n && utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &c) <= 0)
        return 0;
    return c;
}

static bool
of_category(struct str s, size_t i, utf8proc_category_t k)
{
    return i < s.n && utf8proc_category(point_at(s, i)) == k;
}

static bool
digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t
behind_spaces(struct str s, size_t i)
{
    while (i < s.n && space_byte(s.p[i]))
        i++;
    return i;
}

/* Is the full stop at i part of an abbreviation, an initial or a day's number? next: where the text goes on. */
static bool
abbreviated(struct str s, size_t from, size_t i, size_t next)
{
    size_t b = i;

    while (b > from && !space_byte(s.p[b - 1]) && s.p[b - 1] != '(' && i - b < 12)
        b--;
    struct str word = { s.p + b, i - b };

    if (word.n <= 2 && of_category(word, 0, UTF8PROC_CATEGORY_LU) && utf8_count(word) == 1)
        return true;
    if (word.n > 0 && word.n <= 2 && digit(word.p[0]) && digit(word.p[word.n - 1]))
        return ONE_OF(s, next, months) > 0;
    for (size_t k = 0; k < sizeof abbreviations / sizeof *abbreviations; k++)
        if (strlen(abbreviations[k].text) == word.n &&
            strncasecmp(abbreviations[k].text, word.p, word.n) == 0)
            return abbreviations[k].kind == ABBR_ALWAYS ||
                   (abbreviations[k].kind == ABBR_BEFORE_DIGIT ? digit(s.p[next])
                                                               : !of_category(s, next, UTF8PROC_CATEGORY_LU));
    return false;
}

/* A note that touches the text before it: "[3]", "[^1]", "[a]", "[note 2]"; its bytes. */
static size_t
note_at(struct str s, size_t i)
{
    size_t k = i + 1;

    if (i >= s.n || s.p[i] != '[')
        return 0;
    while (k < s.n && k < i + NOTE_MAX && (isalnum((unsigned char)s.p[k]) || strchr("^, -", s.p[k])))
        k++;
    bool note = k > i + 1 && k < s.n && s.p[k] == ']' &&
                (digit(s.p[k - 1]) || k == i + 2 || s.p[i + 1] == '^');

    return note && !(k + 1 < s.n && strchr("(:", s.p[k + 1])) ? k + 1 - i : 0;
}

/* Closing quotes, brackets and emphasis after the stop belong to the sentence, and so do its notes. */
static size_t
closers(struct str s, size_t i)
{
    for (;;) {
        size_t n = i < s.n && strchr(".!?\"')]*_`", s.p[i]) && s.p[i] ? 1 : ONE_OF(s, i, wide_closers);

        n = n ? n : note_at(s, i);
        if (n == 0)
            return i;
        i += n;
    }
}

static size_t
behind_blanks(struct str s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    return i;
}

size_t
quote_mark(struct str s, size_t i)
{
    size_t k = behind_blanks(s, i), end = i;

    while (k < s.n && s.p[k] == '>' && !(k + 1 < s.n && strchr(">=&|<+-~!", s.p[k + 1])))
        end = k = behind_blanks(s, k + 1);
    return end - i;
}

bool
fence_opens(struct str line)
{
    size_t i = behind_blanks(line, 0);

    return i + 3 <= line.n && (memcmp(line.p + i, "```", 3) == 0 || memcmp(line.p + i, "~~~", 3) == 0);
}

/* Does the line that ends at i stand in a quote, and goes on in the next one? A line that is a label by itself ("Note:", "[!TIP]") ends. */
static bool
quote_goes_on(struct str s, size_t i)
{
    size_t line = i, k, end = i;

    while (line > 0 && s.p[line - 1] != '\n')
        line--;
    while (end > line && strchr(" \t*_", s.p[end - 1]))
        end--;
    k = quote_mark(s, line);
    return k > 0 && end > line + k && s.p[end - 1] != ':' &&
           !(s.p[end - 1] == ']' && line + k + 1 < end && s.p[line + k] == '[' && s.p[line + k + 1] == '!');
}

/* Does the line at i begin a block of its own: list item, heading, quote, table row, fence, or is it empty? A further line of a quote
 * is what it is without its mark. */
static bool
block_line(struct str s, size_t i)
{
    size_t mark = i > 0 ? quote_mark(s, i) : 0;

    if (mark > 0 && quote_goes_on(s, i - 1))
        i += mark;
    i = behind_blanks(s, i);
    if (i >= s.n || s.p[i] == '\n' || strchr("#|>", s.p[i]))
        return true;
    if (fence_opens((struct str){ s.p + i, s.n - i }))
        return true;
    if (strchr("-*+", s.p[i]))
        return i + 1 < s.n && s.p[i + 1] == ' ';
    if (ONE_OF(s, i, bullets))
        return true;
    size_t d = i;

    while (d < s.n && d < i + 3 && s.p[d] >= '0' && s.p[d] <= '9')
        d++;
    return d > i && d + 1 < s.n && (s.p[d] == '.' || s.p[d] == ')') && s.p[d + 1] == ' ';
}

/* The Greek question mark is a semicolon. */
static bool
greek_question(struct str s, size_t from, size_t i)
{
    size_t b = i;

    if (s.p[i] != ';' && !((unsigned char)s.p[i] == 0xcd && point_at(s, i) == 0x37e))
        return false;
    while (b > from && ((unsigned char)s.p[b - 1] & 0xc0) == 0x80)
        b--;
    return b > from && script_of(point_at(s, b - 1)) == SCRIPT_GREEK;
}

/* A space between letters of Thai or Lao, behind a clause that is long enough to stand alone. */
static bool
spaced_end(struct str s, size_t from, size_t i)
{
    if (s.p[i] != ' ' || i - from < SPACED_MIN || i < 3)
        return false;
    enum script a = script_of(point_at(s, i - 3)), b = script_of(point_at(s, behind_spaces(s, i)));

    return a == b && (a == SCRIPT_THAI || a == SCRIPT_LAO);
}

/* End of the sentence when a stop stands at *at, else 0 and *at moves to the last byte of that run of stops and closers
 * (so that a long run is looked at once). In text whose sentences begin in lower case one ends before a lower-case letter too. */
static size_t
stop_end(struct str s, size_t from, size_t *at)
{
    size_t i = *at, wide = (unsigned char)s.p[i] >= 0xd6 ? ONE_OF(s, i, stops) : 0;

    if (wide)
        return closers(s, i + wide);
    if (greek_question(s, from, i))
        return i + (s.p[i] == ';' ? 1 : 2);
    if (s.p[i] != '.' && s.p[i] != '!' && s.p[i] != '?')
        return spaced_end(s, from, i) ? i : 0;
    size_t e = closers(s, i + 1), next = behind_spaces(s, e);

    *at = e - 1;
    if (e < s.n && !space_byte(s.p[e]) && s.p[e] != '[')
        return 0;
    if (of_category(s, next, UTF8PROC_CATEGORY_LL) && !of_category(s, from, UTF8PROC_CATEGORY_LL))
        return 0;
    return s.p[i] == '.' && next < s.n && abbreviated(s, from, i, next) ? 0 : e;
}

bool
sentence_next(struct str s, size_t *at, struct span *out)
{
    size_t i = *at;

    while (i < s.n && space_byte(s.p[i]))
        i++;
    if (i >= s.n)
        return false;
    size_t from = i;
    bool row = s.p[i] == '|', heading = s.p[i] == '#' || row;

    for (; i < s.n; i++) {
        size_t e = row ? 0 : stop_end(s, from, &i);

        if (e) {
            i = e;
            break;
        }
        if (s.p[i] == '\n' && (heading || block_line(s, i + 1)))
            break;
    }
    *at = i;
    *out = span_trim(s, (struct span){ from, i });
    return true;
}

struct str
sentence_bare(struct str s)
{
    while (s.n > 0 && strchr("\"')]*_` \n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

bool
sentence_asks(struct str s)
{
    static const char *const marks[] = { "?", "\xef\xbc\x9f", "\xd8\x9f", "\xcd\xbe", "\xe2\x80\xbd" };

    s = sentence_bare(s);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (str_ends(s, marks[i]))
            return true;
    return false;
}
