/* Languages. See language.h. The function words of all languages stand in one hash table that is built at the first use. */
#include "text/language.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#include "text/fold.h"
#include "common/mem.h"

enum { TABLE = 16384, LOOKED_WORDS = 400, LOOKED_BYTES = 16384, DENSE_MAX = 60, LETTER_HITS = 3 };
#define LEAST 0.35       /* evidence below this is none */
#define SHARE 0.06       /* … and below this share of the words: a month in a table is a function word somewhere */
#define SHARE_MOST 2.0
#define OTHERWISE 0.35   /* in favour of the language that is taken without evidence */
#define UNEXPECTED 1.2   /* against a language outside of those that were expected */

struct language_row { const char *code, *stemmer; enum script script; const char *refusal, *letters, *stop, *weak; };

static const struct language_row rows[LANGUAGES] = {
#define LANGUAGE(id, code, stemmer, script, refusal, letters, stop, weak) \
    { code, stemmer, SCRIPT_##script, refusal, letters, stop, weak },
#include "text/language.tbl"
#undef LANGUAGE
};

/* Sorted; the blocks of the Unicode Standard that hold letters of these scripts. */
static const struct { int32_t from, to; enum script script; } blocks[] = {
    { 0x41, 0x5a, SCRIPT_LATIN },       { 0x61, 0x7a, SCRIPT_LATIN },       { 0xc0, 0x24f, SCRIPT_LATIN },
    { 0x370, 0x3ff, SCRIPT_GREEK },     { 0x400, 0x52f, SCRIPT_CYRILLIC },  { 0x530, 0x58f, SCRIPT_ARMENIAN },
    { 0x590, 0x5ff, SCRIPT_HEBREW },    { 0x600, 0x6ff, SCRIPT_ARABIC },    { 0x750, 0x77f, SCRIPT_ARABIC },
    { 0x8a0, 0x8ff, SCRIPT_ARABIC },    { 0x900, 0x97f, SCRIPT_DEVANAGARI }, { 0x980, 0x9ff, SCRIPT_BENGALI },
    { 0xb80, 0xbff, SCRIPT_TAMIL },     { 0xe00, 0xe7f, SCRIPT_THAI },      { 0xe80, 0xeff, SCRIPT_LAO },
    { 0x1000, 0x109f, SCRIPT_BURMESE }, { 0x10a0, 0x10ff, SCRIPT_GEORGIAN }, { 0x1100, 0x11ff, SCRIPT_HANGUL },
    { 0x1780, 0x17ff, SCRIPT_KHMER },   { 0x1c80, 0x1c8f, SCRIPT_CYRILLIC }, { 0x1c90, 0x1cbf, SCRIPT_GEORGIAN },
    { 0x1e00, 0x1eff, SCRIPT_LATIN },   { 0x1f00, 0x1fff, SCRIPT_GREEK },   { 0x2c60, 0x2c7f, SCRIPT_LATIN },
    { 0x2e80, 0x2fdf, SCRIPT_HAN },     { 0x3005, 0x3007, SCRIPT_HAN },     { 0x3041, 0x30ff, SCRIPT_KANA },
    { 0x3131, 0x318e, SCRIPT_HANGUL },  { 0x31f0, 0x31ff, SCRIPT_KANA },    { 0x3400, 0x4dbf, SCRIPT_HAN },
    { 0x4e00, 0x9fff, SCRIPT_HAN },     { 0xa640, 0xa69f, SCRIPT_CYRILLIC }, { 0xa720, 0xa7ff, SCRIPT_LATIN },
    { 0xa960, 0xa97f, SCRIPT_HANGUL },  { 0xa9e0, 0xa9ff, SCRIPT_BURMESE }, { 0xaa60, 0xaa7f, SCRIPT_BURMESE },
    { 0xac00, 0xd7ff, SCRIPT_HANGUL },  { 0xf900, 0xfaff, SCRIPT_HAN },     { 0xfb00, 0xfb06, SCRIPT_LATIN },
    { 0xfb1d, 0xfb4f, SCRIPT_HEBREW },  { 0xfb50, 0xfdff, SCRIPT_ARABIC },  { 0xfe70, 0xfefc, SCRIPT_ARABIC },
    { 0xff21, 0xff3a, SCRIPT_LATIN },   { 0xff41, 0xff5a, SCRIPT_LATIN },   { 0xff66, 0xff9f, SCRIPT_KANA },
    { 0x20000, 0x3ffff, SCRIPT_HAN },
};

struct entry {
    char word[FOLD_MAX];  /* empty: free */
    uint64_t stop, weak;  /* bits of languages */
};

static struct entry *table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct entry *
entry_of(struct str s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a (public domain) */

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 1099511628211u;
    for (size_t i = (size_t)(h ^ h >> 32) % TABLE;; i = (i + 1) % TABLE)
        if (table[i].word[0] == '\0' || str_is(s, table[i].word))
            return &table[i];
}

static void
add_word(struct str word, enum language l, bool weak)
{
    struct entry *e;

    if (word.n == 0 || word.n >= FOLD_MAX)
        return;
    e = entry_of(word);
    memcpy(e->word, word.p, word.n);
    *(weak ? &e->weak : &e->stop) |= UINT64_C(1) << l;
}

static void
add_words(const char *list, enum language l, bool weak)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");
        char z[FOLD_MAX];

        add_word((struct str){ z, fold_word((struct str){ p, n }, z) }, l, weak);
        if (script_is_dense(rows[l].script))
            add_word((struct str){ p, n }, l, weak); /* found in text as it stands */
        p += n;
        p += strspn(p, " ");
    }
}

static void
build(void)
{
    table = mem_new(TABLE * sizeof(*table)); /* for the life of the process; a quarter full */
    for (int l = 0; l < LANGUAGES; l++) {
        add_words(rows[l].stop, (enum language)l, false);
        add_words(rows[l].weak, (enum language)l, true);
    }
}

static const struct entry *
look_up(struct str folded)
{
    pthread_once(&once, build);
    const struct entry *e = folded.n && folded.n < FOLD_MAX ? entry_of(folded) : NULL;

    return e && e->word[0] ? e : NULL;
}

const char *
language_code(enum language l)
{
    return rows[l].code;
}

bool
language_parse(struct str code, enum language *out)
{
    size_t n = 0;

    while (n < code.n && code.p[n] != '-' && code.p[n] != '_')
        n++;
    for (int l = 0; l < LANGUAGES; l++)
        if (strlen(rows[l].code) == n && n == 2 && (code.p[0] | 32) == rows[l].code[0] && (code.p[1] | 32) == rows[l].code[1]) {
            *out = (enum language)l;
            return true;
        }
    return false;
}

const char *
language_stemmer(enum language l)
{
    return rows[l].stemmer[0] ? rows[l].stemmer : NULL;
}

struct str
language_refusal(enum language l)
{
    return str_of(rows[l].refusal);
}

enum script
script_of(int32_t cp)
{
    size_t lo = 0, hi = sizeof(blocks) / sizeof(*blocks);

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (cp > blocks[mid].to)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == sizeof(blocks) / sizeof(*blocks) || cp < blocks[lo].from || cp == 0xd7 || cp == 0xf7)
        return SCRIPT_NONE;
    return blocks[lo].script;
}

bool
script_is_dense(enum script s)
{
    return s >= SCRIPT_THAI;
}

enum language
language_of_word(enum script s, enum language l)
{
    if (s == rows[l].script || s == SCRIPT_NONE || (s == SCRIPT_HAN && l == LANG_JAPANESE))
        return l;
    for (int i = 0; i < LANGUAGES; i++)
        if (rows[i].script == s)
            return (enum language)i;
    return LANG_ENGLISH;
}

enum word_class
language_class(enum language l, struct str folded)
{
    const struct entry *e = look_up(folded);
    uint64_t bit = UINT64_C(1) << l;

    return e == NULL ? WORD_CONTENT : e->stop & bit ? WORD_STOP : e->weak & bit ? WORD_WEAK : WORD_CONTENT;
}

size_t
language_function_word(struct str s)
{
    static const uint64_t dense = UINT64_C(1) << LANG_CHINESE | UINT64_C(1) << LANG_JAPANESE | UINT64_C(1) << LANG_THAI |
                                  UINT64_C(1) << LANG_LAO | UINT64_C(1) << LANG_KHMER | UINT64_C(1) << LANG_BURMESE;
    size_t best = 0;

    for (size_t n = 3; n <= s.n && n <= DENSE_MAX; n += 3) { /* all of these scripts' letters are three bytes */
        const struct entry *e = look_up((struct str){ s.p, n });

        if (e && e->stop & dense)
            best = n;
    }
    return best;
}

/* What one text says of its language. */
struct evidence {
    double score[LANGUAGES];
    size_t letters[SCRIPT_KANA + 1];
    size_t words;
};

static size_t
languages_in(uint64_t bits)
{
    return (size_t)__builtin_popcountll(bits);
}

/* A function word speaks for each language that has it, the less the more they are. */
static void
count_word(struct evidence *v, struct str raw)
{
    char z[FOLD_MAX];
    const struct entry *e = look_up((struct str){ z, fold_word(raw, z) });
    uint64_t bits = e ? e->stop | e->weak : 0;

    for (int l = 0; l < LANGUAGES && bits; l++)
        if (bits >> l & 1)
            v->score[l] += 1.0 / (double)languages_in(bits);
}

/* A letter that few languages write speaks for those; seen often it says no more. */
static void
count_letter(struct evidence *v, unsigned *seen, struct str letter, enum script s)
{
    char z[8] = { 0 };

    memcpy(z, letter.p, letter.n < 4 ? letter.n : 4);
    for (int l = 0; l < LANGUAGES; l++)
        if (rows[l].script == s && strstr(rows[l].letters, z) && seen[l]++ < LETTER_HITS)
            v->score[l] += 0.4;
}

static void
read_evidence(struct evidence *v, struct str text)
{
    unsigned seen[LANGUAGES] = { 0 };
    size_t from = 0, i = 0;

    text.n = text.n < LOOKED_BYTES ? text.n : LOOKED_BYTES;
    while (i < text.n && v->words < LOOKED_WORDS) {
        int32_t c;
        utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text.p + i, (utf8proc_ssize_t)(text.n - i), &c);
        size_t n = got > 0 ? (size_t)got : 1;
        enum script s = got > 0 ? script_of(c) : SCRIPT_NONE;

        v->letters[s] += s != SCRIPT_NONE;
        if (c >= 0x80 && got > 0 && !script_is_dense(s))
            count_letter(v, seen, (struct str){ text.p + i, n }, s == SCRIPT_NONE ? SCRIPT_LATIN : s); /* "¿" too */
        bool part = s != SCRIPT_NONE || (got > 0 && c >= 0x300 && c < 0x370);

        if (!part && i > from) {
            bool tag = from > 0 && (text.p[from - 1] == '<' || (from > 1 && text.p[from - 1] == '/' && text.p[from - 2] == '<'));

            if (!tag)
                count_word(v, (struct str){ text.p + from, i - from });
            v->words++;
        }
        i += n;
        from = part ? from : i;
    }
    if (i > from)
        count_word(v, (struct str){ text.p + from, i - from });
}

/* The script of most letters. Two letters of Latin count as one: names and code stand in texts of every script. Kana make a text
 * Japanese however much Han is in it. */
static enum script
main_script(const struct evidence *v)
{
    enum script best = SCRIPT_NONE;
    size_t most = 0;

    for (int s = SCRIPT_LATIN; s <= SCRIPT_KANA; s++) {
        size_t n = s == SCRIPT_LATIN ? v->letters[s] / 2 + (v->letters[s] > 0) : v->letters[s];

        if (n > most) {
            most = n;
            best = (enum script)s;
        }
    }
    if (best == SCRIPT_HAN && v->letters[SCRIPT_KANA] * 12 >= v->letters[SCRIPT_HAN])
        return SCRIPT_KANA;
    return best;
}

/* How much language l speaks from the text, with what is held for those that were expected: a word that several languages have proves little. */
static double
belief(const struct evidence *v, int l, uint64_t among, enum language otherwise)
{
    return v->score[l] + ((enum language)l == otherwise && v->score[l] > 0 ? OTHERWISE : 0) - (among && !(among >> l & 1) ? UNEXPECTED : 0);
}

enum language
language_of(struct str text, uint64_t among, enum language otherwise)
{
    struct evidence v = { 0 };
    int best = -1, first = -1;

    read_evidence(&v, text);
    double top = fmax(LEAST, fmin(SHARE * (double)v.words, SHARE_MOST));
    enum script s = main_script(&v);

    for (int l = 0; l < LANGUAGES; l++) {
        double b = belief(&v, l, among, otherwise);

        if (rows[l].script != s)
            continue;
        if (!among || (among >> l & 1))
            first = first < 0 ? l : first;
        if (b > top + 1e-9) {
            top = b;
            best = l;
        }
    }
    if (best >= 0)
        return (enum language)best;
    return first >= 0 && rows[otherwise].script != s ? (enum language)first : otherwise;
}

enum language
language_given(struct str code, struct str text, enum language otherwise)
{
    enum language l;

    return language_parse(code, &l) ? l : language_of(text, 0, otherwise);
}
