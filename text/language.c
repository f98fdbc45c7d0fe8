/* Languages. See language.h. The function words of all languages stand in one hash table that is
 * built at the first use and stays for the life of the process. */
#include "text/language.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#include "text/fold.h"
#include "common/hash.h"
#include "common/mem.h"

enum { TABLE = 16384, LOOKED_WORDS = 400, LOOKED_BYTES = 16384, DENSE_MAX = 60, LETTER_HITS = 3 };
#define LEAST 0.35 /* evidence below this is none */
#define SHARE 0.06 /* … and below this share of the words: a month in a table is a function word somewhere */
#define SHARE_MOST 2.0
#define OTHERWISE 0.35 /* in favour of the language that is taken without evidence */
#define UNEXPECTED 1.2 /* against a language outside of those that were expected */

struct language_row {
    const char *code, *stemmer;
    enum script script;
    const char *refusal, *letters, *stop, *weak;
};

static const struct language_row rows[LANGUAGES] = {
#define LANGUAGE(id, code, stemmer, script, refusal, letters, stop, weak) \
    { code, stemmer, SCRIPT_##script, refusal, letters, stop, weak },
#include "text/language.tbl"
#undef LANGUAGE
};

struct entry {
    uint32_t from, n;    /* its word's bytes in spelled */
    uint64_t stop, weak; /* bits of languages */
};

/* The hash table's places hold numbers of entries, so that it is small although it is three quarters empty: every service that
 * reads text has one. A word that is none of the table's is told by the marks alone, which stay in the processor's cache. */
static struct buf spelled; /* the words, end to end */
static struct entry *entries;
static size_t n_entries;
static uint16_t numbers[TABLE]; /* of each place: its entry's */
static uint16_t marks[TABLE];   /* of each place: 0: free; else of its word's hash */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint16_t
mark_of(uint64_t h)
{
    return (uint16_t)(h >> 40) | 1;
}

static struct str
word_at(size_t place)
{
    const struct entry *e = &entries[numbers[place]];

    return (struct str){ spelled.p + e->from, e->n };
}

/* The place of a word, or the free one where it would stand. */
static size_t
place_of(struct str s, uint64_t h)
{
    size_t i = (size_t)(h ^ h >> 32) % TABLE;

    while (marks[i] && (marks[i] != mark_of(h) || !str_eq(s, word_at(i))))
        i = (i + 1) % TABLE;
    return i;
}

static struct entry *
new_entry(struct str word)
{
    enum { LOT = 512 };

    if (n_entries % LOT == 0)
        entries = mem_resize(entries, (n_entries + LOT) * sizeof *entries);
    entries[n_entries] = (struct entry){ .from = (uint32_t)spelled.n, .n = (uint32_t)word.n };
    buf_str(&spelled, word);
    return &entries[n_entries++];
}

static void
add_word(struct str word, enum language l, bool weak)
{
    uint64_t h = hash_str(word);
    struct entry *e;
    size_t at;

    if (word.n == 0 || word.n >= FOLD_MAX)
        return;
    at = place_of(word, h);
    if (marks[at]) {
        e = &entries[numbers[at]];
    } else {
        marks[at] = mark_of(h);
        numbers[at] = (uint16_t)n_entries;
        e = new_entry(word);
    }
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
    for (int l = 0; l < LANGUAGES; l++) {
        add_words(rows[l].stop, (enum language)l, false);
        add_words(rows[l].weak, (enum language)l, true);
    }
}

static const struct entry *
look_up(struct str folded)
{
    size_t at;

    pthread_once(&once, build);
    if (folded.n == 0 || folded.n >= FOLD_MAX)
        return NULL;
    at = place_of(folded, hash_str(folded));
    return marks[at] ? &entries[numbers[at]] : NULL;
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
        if (strlen(rows[l].code) == n && n == 2 && (code.p[0] | 32) == rows[l].code[0] &&
            (code.p[1] | 32) == rows[l].code[1]) {
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

    return !e ? WORD_CONTENT : e->stop & bit ? WORD_STOP : e->weak & bit ? WORD_WEAK : WORD_CONTENT;
}

size_t
language_function_word(struct str s)
{
    static const uint64_t dense = UINT64_C(1) << LANG_CHINESE | UINT64_C(1) << LANG_JAPANESE |
                                  UINT64_C(1) << LANG_THAI | UINT64_C(1) << LANG_LAO |
                                  UINT64_C(1) << LANG_KHMER | UINT64_C(1) << LANG_BURMESE;
    size_t best = 0;

    for (size_t n = 3; n <= s.n && n <= DENSE_MAX;
         n += 3) { /* all of these scripts' letters are three bytes */
        const struct entry *e = look_up((struct str){ s.p, n });

        if (e && e->stop & dense)
            best = n;
    }
    return best;
}

/* The evidence of one text for its language. */
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
    double share = bits ? 1.0 / (double)languages_in(bits) : 0;

    for (; bits; bits &= bits - 1)
        v->score[__builtin_ctzll(bits)] += share;
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

/* A word [from, to) of the text; the name of a tag is none that anybody wrote. */
static void
see_word(struct evidence *v, struct str text, size_t from, size_t to)
{
    bool tag = from > 0 &&
               (text.p[from - 1] == '<' || (from > 1 && text.p[from - 1] == '/' && text.p[from - 2] == '<'));

    if (to == from)
        return;
    if (!tag)
        count_word(v, (struct str){ text.p + from, to - from });
    v->words++;
}

/* The letter or other code point at i, which is not ASCII; *n: its bytes. True: it is part of a word. */
static bool
see_letter(struct evidence *v, unsigned *seen, struct str text, size_t i, size_t *n)
{
    int32_t c;
    utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text.p + i,
                                            (utf8proc_ssize_t)(text.n - i), &c);
    enum script s = got > 0 ? script_of(c) : SCRIPT_NONE;

    *n = got > 0 ? (size_t)got : 1;
    v->letters[s] += s != SCRIPT_NONE;
    if (got > 0 && !script_is_dense(s))
        count_letter(v, seen, (struct str){ text.p + i, *n },
                     s == SCRIPT_NONE ? SCRIPT_LATIN : s); /* "¿" too */
    return s != SCRIPT_NONE || (got > 0 && c >= 0x300 && c < 0x370);
}

static size_t
latin_run(struct str text, size_t i)
{
    size_t n = i;

    while (n < text.n && (uint8_t)((text.p[n] | 32) - 'a') < 26)
        n++;
    return n - i;
}

static void
read_evidence(struct evidence *v, struct str text)
{
    unsigned seen[LANGUAGES] = { 0 };
    size_t from = 0, i = 0;

    text.n = text.n < LOOKED_BYTES ? text.n : LOOKED_BYTES;
    while (i < text.n && v->words < LOOKED_WORDS) {
        size_t n = latin_run(text, i);
        bool part = n > 0;

        v->letters[SCRIPT_LATIN] += n;
        if (n == 0 && (uint8_t)text.p[i] >= 0x80)
            part = see_letter(v, seen, text, i, &n);
        else if (n == 0)
            n = 1;
        if (!part)
            see_word(v, text, from, i);
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

/* The evidence for language l in the text, with what is held for those that were expected: a word that
 * several languages have proves little. */
static double
belief(const struct evidence *v, int l, uint64_t among, enum language otherwise)
{
    return v->score[l] + ((enum language)l == otherwise && v->score[l] > 0 ? OTHERWISE : 0) -
           (among && !(among >> l & 1) ? UNEXPECTED : 0);
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
