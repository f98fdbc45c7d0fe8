/* Whose bracket is it? Documents carry brackets of their own: notes, array indices, intervals, years. A model that copies a
 * sentence copies them along, and then they look like marks. The words around a bracket tell:
 *
 *   answer:    The maple loses its leaves in October [1]. [3]
 *   passage 3: The maple loses its leaves in October [1].      → [1] stands there in the passage: the document's own
 *   passage 2: The birch loses its leaves in October [2].
 *
 * The longest run of words before the bracket that stands in a passage decides. The bracket is a document's when it follows
 * that run there, too. It is a mark when the longest run goes on otherwise: the sentence comes from that place.
 *
 * A bracket that a passage has is the passage's also in other words where marks do not stand: behind a word that wants a value or
 * names a thing by its number ("is [2, 5]", "key [1]"), and, of several numbers, in the middle of a clause. */
#include "cite/marks.h"

#include <ctype.h>

/* Runs are counted in units: two for a word, one for a character of a script that is written without spaces. */
enum { RUN_MAX = 48, NEXT_MAX = 8, ENOUGH = 4, LONG = 8, LOOK_COST = 64 };

struct run {
    size_t own;   /* units before it, at the best place that carries the bracket */
    size_t other; /* the same, at the best place that does not */
    size_t next;  /* units behind it, at the best place that carries the bracket */
    bool touches; /* at a place that carries it, it follows the word without a space, as here: an index */
};

static bool
spend(struct evidence *e, size_t n)
{
    e->budget -= n < e->budget ? n : e->budget;
    return e->budget > 0;
}

static bool
word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* First byte of a character of three bytes or more: Han, kana, Thai, Devanagari … each counts for itself. */
static bool
wide(char c)
{
    return (unsigned char)c >= 0xe0;
}

/* The word that ends last before byte i; n 0: none. */
static struct str
word_before(struct str s, size_t i)
{
    size_t end, from;

    while (i > 0 && !word_byte(s.p[i - 1]))
        i--;
    end = from = i;
    while (from > 0 && word_byte(s.p[from - 1])) {
        size_t k = from - 1;

        while (k > 0 && ((unsigned char)s.p[k] & 0xc0) == 0x80)
            k--;
        if (wide(s.p[k])) {
            from = from == end ? k : from;
            break;
        }
        from = k;
    }
    return (struct str){ s.p + from, end - from };
}

/* The word that begins first at or after byte i; n 0: none. */
static struct str
word_behind(struct str s, size_t i)
{
    size_t end;

    while (i < s.n && !word_byte(s.p[i]))
        i++;
    for (end = i; end < s.n && word_byte(s.p[end]);) {
        size_t k = end + 1;

        while (k < s.n && ((unsigned char)s.p[k] & 0xc0) == 0x80)
            k++;
        if (wide(s.p[end])) {
            end = end == i ? k : end;
            break;
        }
        end = k;
    }
    return (struct str){ s.p + i, end - i };
}

static size_t
units(struct str word)
{
    return wide(word.p[0]) ? 1 : 2;
}

/* How far do a and b say the same words, backward from bytes i and k, or forward? */
static size_t
run(struct str a, size_t i, struct str b, size_t k, bool forward, struct evidence *e)
{
    struct str (*word)(struct str s, size_t i) = forward ? word_behind : word_before;
    size_t n = 0, most = forward ? NEXT_MAX : RUN_MAX;

    while (n < most) {
        struct str x = word(a, i), y = word(b, k);

        if (x.n == 0 || !str_eq(x, y) || !spend(e, x.n + 1))
            break;
        n += units(x);
        i = (size_t)(x.p - a.p) + (forward ? x.n : 0);
        k = (size_t)(y.p - b.p) + (forward ? y.n : 0);
    }
    return n;
}

/* Behind what may stand between a word and its bracket: spaces, the end of a sentence, another bracket's end. */
static size_t
soft(struct str s, size_t i)
{
    while (i < s.n && strchr(" \t\r\n*_`\"'\\.,;:!?)]", s.p[i]))
        i++;
    return i;
}

/* Does the bracket stand at byte i? "[2] Miller, A." that begins a line numbers that line: it follows nothing. */
static bool
carries(struct str s, size_t i, struct str bracket)
{
    size_t end = i + bracket.n;

    return end <= s.n && memcmp(s.p + i, bracket.p, bracket.n) == 0 &&
           !(i > 0 && s.p[i - 1] == '\n' && end + 1 < s.n && s.p[end] == ' ' && word_byte(s.p[end + 1]));
}

/* Each place of the passage at which the last word before the bracket stands. */
static void
look_before(struct str answer, struct str bracket, struct str word, struct str passage, struct run *r,
            struct evidence *e)
{
    size_t start = (size_t)(bracket.p - answer.p), end = (size_t)(word.p - answer.p) + word.n;
    const char *hit;

    for (size_t at = 0; at < passage.n && spend(e, LOOK_COST) &&
                        (hit = memmem(passage.p + at, passage.n - at, word.p, word.n)) != NULL;) {
        size_t k = (size_t)(hit - passage.p) + word.n, n;

        at = (size_t)(hit - passage.p) + 1;
        if (!str_eq(word_before(passage, k), word) ||
            (!wide(word.p[0]) && k < passage.n && word_byte(passage.p[k]) && !wide(passage.p[k])))
            continue; /* a part of a longer word */
        n = run(answer, end, passage, k, false, e);
        if (soft(answer, end) >= start && carries(passage, soft(passage, k), bracket)) {
            r->own = n > r->own ? n : r->own;
            r->touches |= end == start && carries(passage, k, bracket) && !wide(word.p[0]);
        } else {
            r->other = n > r->other ? n : r->other;
        }
    }
}

static void
look_behind(struct str answer, struct str bracket, struct str passage, struct run *r, struct evidence *e)
{
    size_t end = (size_t)(bracket.p - answer.p) + bracket.n;
    const char *hit;

    for (size_t at = 0; at < passage.n && spend(e, LOOK_COST) &&
                        (hit = memmem(passage.p + at, passage.n - at, bracket.p, bracket.n)) != NULL;) {
        at = (size_t)(hit - passage.p) + bracket.n;
        size_t n = run(answer, end, passage, at, true, e);

        r->next = n > r->next ? n : r->next;
    }
}

static bool
begins_line(struct str answer, size_t i)
{
    while (i > 0 && answer.p[i - 1] != '\n' && !word_byte(answer.p[i - 1]))
        i--;
    return i == 0 || answer.p[i - 1] == '\n';
}

static bool
blank_or_emphasis(char c)
{
    return c == ' ' || c == '*' || c == '_';
}

/* Does a clause end before or behind the bracket, as it does where marks stand? A further bracket with a blank in front ends none. */
static bool
ends_clause(struct str answer, const struct mark_group *g)
{
    size_t b = g->start, e = g->end;

    while (e < answer.n && blank_or_emphasis(answer.p[e]))
        e++;
    while (b > 0 && blank_or_emphasis(answer.p[b - 1]))
        b--;
    return e == answer.n || strchr(".,;:!?)|\n", answer.p[e]) || (answer.p[e] == '[' && e == g->end) ||
           (e + 1 < answer.n &&
            (memcmp(answer.p + e, "\xe3\x80", 2) == 0 || memcmp(answer.p + e, "\xef\xbc", 2) == 0)) ||
           b == 0 || strchr(".,;:!?|\n", answer.p[b - 1]);
}

/* The word that stands directly before byte i, blanks and emphasis aside; absent: none does. */
static struct str
directly_before(struct str s, size_t i)
{
    struct str word = word_before(s, i);
    size_t end = word.p ? (size_t)(word.p - s.p) + word.n : 0;

    while (end < i && blank_or_emphasis(s.p[end]))
        end++;
    return word.n > 0 && end == i ? word : STR_NONE;
}

static bool
is_one_of(struct str word, const char *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_is_anycase(word, v[i]))
            return true;
    return false;
}

/* Words that several numbers follow as a value. One number behind them is a mark: "weil er leer ist [1]." */
static bool
wants_values(struct str s, size_t i)
{
    static const char *const words[] = { "interval",   "intervals", "range",      "intervall", "bereich",
                                         "intervalle", "intervalo", "intervallo", "is",        "are",
                                         "equals",     "between",   "ist",        "est",       "es" };

    return is_one_of(directly_before(s, i), words, sizeof words / sizeof *words);
}

/* Words that the name of a key, a note or a figure follows. */
static bool
wants_name(struct str s, size_t i)
{
    static const char *const words[] = {
        "key",      "keys",    "button", "press", "option",   "step",      "note",           "notes",
        "footnote", "section", "figure", "item",  "equation", "element",   "index",          "taste",
        "nota",     "touche",  "tecla",  "paso",  "schritt",  "abschnitt", "fu\xc3\x9fnote",
    };

    return is_one_of(directly_before(s, i), words, sizeof words / sizeof *words);
}

/* An interval or a list, which a passage has in one bracket, or a key that a passage names so, too. */
static bool
is_value(struct str answer, const struct mark_group *g, struct evidence *e)
{
    struct str bracket = { answer.p + g->start, g->end - g->start };
    bool several = g->count > 1 && (!ends_clause(answer, g) || wants_values(answer, g->start));

    if (*bracket.p != '[' || (!several && !wants_name(answer, g->start)))
        return false;
    for (size_t i = 0; i < e->n; i++) {
        struct str left = e->text[i];
        const char *at;

        while (spend(e, LOOK_COST) && left.n >= bracket.n &&
               (at = memmem(left.p, left.n, bracket.p, bracket.n))) {
            if (several || wants_name(e->text[i], (size_t)(at - e->text[i].p)))
                return true;
            left = (struct str){ at + bracket.n, (size_t)(left.p + left.n - at) - bracket.n };
        }
    }
    return false;
}

bool
mark_is_own(struct str answer, const struct mark_group *g, struct evidence *e)
{
    struct str bracket = { answer.p + g->start, g->end - g->start }, word = word_before(answer, g->start);
    bool first = begins_line(answer, g->start);
    struct run r = { 0 };

    if (!first && is_value(answer, g, e))
        return true;
    for (size_t i = 0; i < e->n && e->budget > 0; i++) {
        if (!first && word.n > 0)
            look_before(answer, bracket, word, e->text[i], &r, e);
        if (first || r.own > 0)
            look_behind(answer, bracket, e->text[i], &r, e);
    }
    if (first)
        return r.next >= ENOUGH;
    if (r.own == 0)
        return false;
    if (r.touches) /* "argv[1]"; but "in October[2]" after words that are another passage's */
        return r.other < r.own + ENOUGH || r.other < LONG;
    if (r.other > r.own)
        return false;
    if (r.other == r.own && r.own < LONG && g->count == 1 && r.next < ENOUGH)
        return false; /* the words go on so or otherwise: nothing speaks for a copy */
    return r.own >= ENOUGH || g->count > 1 || r.next >= ENOUGH;
}
