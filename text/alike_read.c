/* A question becomes what is compared of it (alike_int.h).
 *
 *   white space ─▶ words, signs, quotes ─▶ contractions, politeness, ways of asking ─▶ what is asked for, and of what
 *
 * English only goes the whole way. Of other languages politeness goes; all else stays as it is typed, so that only what is said in the
 * same words is the same. Pure. */
#include "text/alike_int.h"

#include <ctype.h>
#include <string.h>
#include <utf8proc.h>

static const struct change {
    const char *from, *to;
    enum language l;
} phrases[] = {
#define ALIKE_PHRASE(language, from, to) { from, to, LANG_##language },
#include "text/alike.tbl"
};
static const struct {
    const char *from, *to;
} shorts[] = {
#define ALIKE_SHORT(from, to) { from, to },
#include "text/alike.tbl"
};
static const char *const polite[] = {
#define ALIKE_POLITE(word) word,
#include "text/alike.tbl"
};
static const struct {
    const char *word;
    unsigned bit;
} marks[] = {
#define ALIKE_MARK(word, bit) { word, bit },
#include "text/alike.tbl"
};
static const char *const dropped[] = {
#define ALIKE_DROP(word) word,
#include "text/alike.tbl"
};
static const struct {
    const char *word;
    enum alike_case in;
} cases[] = {
#define ALIKE_CASE(word, in) { word, in },
#include "text/alike.tbl"
};
static const char *const verbs[] = { "is", "are", "am", "be", "been", "do", "does" };
static const char *const askers[] = { "is",  "are",   "am",   "was",  "were",  "do",    "does",
                                      "did", "has",   "have", "had",  "can",   "could", "should",
                                      "may", "might", "must", "will", "would", "shall" };
static const char *const opening[] = { "(", "[", "{", "¿", "¡" };
static const char *const closing[] = { "?", ".",  ",",  ";",  ":",  ")", "]", "}",
                                       "…", "？", "。", "，", "、", "؟", "।" };
static const char *const ending[] = { "?", ".", "!", "…", ":" };
static const char *const quotes[] = { "\"", "`", "“", "”", "„", "«", "»", "'", "‘", "’" };

#define AMONG(z, set) among(z, set, sizeof(set) / sizeof *(set))

static bool
among(const char *z, const char *const *set, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(z, set[i]) == 0)
            return true;
    return false;
}

static int
mark_of(const char *z)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcmp(z, marks[i].word) == 0)
            return (int)marks[i].bit;
    return -1;
}

static enum alike_case
case_of(const char *z)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(z, cases[i].word) == 0)
            return cases[i].in;
    return CASE_NONE;
}

static bool
is_function(const char *z)
{
    return AMONG(z, polite) || AMONG(z, dropped) || mark_of(z) >= 0 || case_of(z) != CASE_NONE ||
           language_class(LANG_ENGLISH, str_of(z)) == WORD_STOP;
}

/* ---- words */

struct reader {
    struct alike_text *t;
    bool loud;    /* the whole text is in capitals */
    bool quoted;  /* within quotes */
    bool started; /* a word of this sentence has been read */
};

static struct alike_word *
push(struct alike_text *t, struct str s)
{
    struct alike_word *w = t->n < ALIKE_WORDS_MAX ? &t->v[t->n] : NULL;

    if (!w || s.n == 0 || s.n >= ALIKE_WORD_MAX) {
        t->over = t->over || s.n > 0;
        return NULL;
    }
    *w = (struct alike_word){ .group = -1 };
    memcpy(w->z, s.p, s.n);
    t->n++;
    return w;
}

static void
push_all(struct alike_text *t, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");

        push(t, (struct str){ words, n });
        words += n + (words[n] == ' ');
    }
}

/* False: it is too long, since some letters take more bytes in lower case. capital: in lower case it has another letter at its
 * beginning. */
static bool
lower(struct str s, char out[ALIKE_WORD_MAX], size_t *n, bool *capital)
{
    enum { LETTER = 4 };

    *n = 0;
    *capital = false;
    for (size_t i = 0; i < s.n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i),
                                              &c);

        if (k <= 0)
            break;
        if (*n + LETTER >= ALIKE_WORD_MAX)
            return false;
        if (i == 0)
            *capital = utf8proc_tolower(c) != c;
        *n += (size_t)utf8proc_encode_char(utf8proc_tolower(c), (utf8proc_uint8_t *)out + *n);
        i += (size_t)k;
    }
    out[*n] = '\0';
    return true;
}

static bool
is_loud(struct str s)
{
    size_t letters = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (islower((unsigned char)s.p[i]) || (unsigned char)s.p[i] >= 0x80)
            return false;
        letters += isupper((unsigned char)s.p[i]) != 0;
    }
    return letters > 1;
}

/* Letters, with apostrophes and hyphens between them. */
static bool
is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n;

        if (!isalpha((unsigned char)s.p[i]) && (unsigned char)s.p[i] < 0x80 &&
            (edge || (s.p[i] != '\'' && s.p[i] != '-')))
            return false;
    }
    return s.n > 0;
}

/* 1,024 is 1024 in English, and a bit more than one elsewhere; 5% are two words. */
static bool
number(struct reader *r, struct str s)
{
    bool percent = s.n > 1 && s.p[s.n - 1] == '%';
    char z[ALIKE_WORD_MAX];
    size_t n = 0;

    s.n -= percent;
    if (s.n >= sizeof z)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool comma = s.p[i] == ',' && i > 0 && (s.n - i) % 4 == 0 && r->t->l == LANG_ENGLISH;

        if (!comma && !isdigit((unsigned char)s.p[i]) && !(percent && s.p[i] == '.'))
            return false;
        if (!comma)
            z[n++] = s.p[i];
    }
    push(r->t, (struct str){ z, n });
    if (percent)
        push(r->t, STR("%"));
    return n > 0;
}

static struct str
bare_apostrophes(struct str s, char z[ALIKE_WORD_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < s.n && n + 1 < ALIKE_WORD_MAX; i++) {
        if (s.n - i >= 3 && memcmp(s.p + i, "’", 3) == 0) {
            z[n++] = '\'';
            i += 2;
        } else {
            z[n++] = s.p[i];
        }
    }
    return (struct str){ z, n };
}

static bool
contraction(struct alike_text *t, const char *z)
{
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
        if (strcmp(z, shorts[i].from) == 0) {
            push_all(t, shorts[i].to);
            return true;
        }
    return false;
}

/* Its case says something: where words differ by it, of single letters, and of IT, WHO and US. */
static bool
keeps_case(const struct reader *r, struct str s, const char *low)
{
    if (r->t->l == LANG_GERMAN || r->t->l == LANG_TURKISH)
        return r->started;
    if (s.n == 1)
        return strcmp(low, "i") != 0 && (strcmp(low, "a") != 0 || (s.p[0] == 'A' && r->started && !r->loud));
    return !r->loud && is_loud(s) && is_function(low);
}

static void
word(struct reader *r, struct str s)
{
    bool english = r->t->l == LANG_ENGLISH;
    char low[ALIKE_WORD_MAX];
    struct alike_word *w;
    size_t n, from = 0;
    bool capital;

    if (!lower(s, low, &n, &capital)) {
        r->t->over = true;
        return;
    }
    if (keeps_case(r, s, low)) {
        w = push(r->t, s);
        if (w) {
            w->exact = english;
            w->name = capital;
        }
        return;
    }
    if (english && contraction(r->t, low))
        return;
    if (english && n > 2 && low[n - 2] == '\'' && low[n - 1] == 's')
        n -= 2;
    for (size_t i = 0; i <= n; i++)
        if (i == n || (english && low[i] == '-')) {
            w = push(r->t, (struct str){ low + from, i - from });
            if (w)
                w->name = capital && r->started && !is_loud(s);
            from = i + 1;
        }
}

static bool
cut_front(struct str *s, const char *const *set, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_starts(*s, set[i])) {
            size_t k = strlen(set[i]);

            *s = (struct str){ s->p + k, s->n - k };
            return true;
        }
    return false;
}

static bool
cut_back(struct str *s, const char *const *set, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(set[i]);

        if (s->n >= k && memcmp(s->p + s->n - k, set[i], k) == 0) {
            s->n -= k;
            return true;
        }
    }
    return false;
}

#define CUT_FRONT(s, set) cut_front(s, set, sizeof(set) / sizeof *(set))
#define CUT_BACK(s, set) cut_back(s, set, sizeof(set) / sizeof *(set))

static void
part(struct reader *r, struct str s)
{
    char z[ALIKE_WORD_MAX];
    struct alike_word *w;

    if (s.n >= sizeof z) {
        r->t->over = true;
        return;
    }
    s = bare_apostrophes(s, z);
    if (!r->quoted && (number(r, s) || s.n == 0))
        return;
    if (!r->quoted && is_word(s)) {
        word(r, s);
        return;
    }
    w = push(r->t, s);
    if (w)
        w->exact = true;
}

/* Read a piece between white space. "!" is a mark of the whole question only, since sort! is not sort. */
static void
chunk(struct reader *r, struct str s, bool last)
{
    static const char *const loud[] = { "!", "！" };
    size_t before = r->t->n;
    bool broken = false, ended = false, sentence = false;

    while (CUT_FRONT(&s, opening))
        ;
    if (CUT_FRONT(&s, quotes))
        r->quoted = true;
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        sentence = sentence ||
                   (s.n > strlen(ending[i]) && cut_back(&(struct str){ s.p, s.n }, &ending[i], 1));
    while (CUT_BACK(&s, closing) || ((last || !r->started) && CUT_BACK(&s, loud)))
        broken = true;
    if (CUT_BACK(&s, quotes))
        ended = true;
    while (ended && CUT_BACK(&s, closing))
        broken = true;
    part(r, s);
    if (ended)
        r->quoted = false;
    r->started = true;
    if (broken && r->t->n > 0)
        r->t->v[r->t->n - 1].broken = true;
    if (broken && sentence && r->t->n > before)
        r->started = r->t->l != LANG_ENGLISH; /* the next word begins a sentence */
}

static void
split(struct reader *r, struct str text)
{
    size_t i = 0, end = text.n;

    while (end > 0 && isspace((unsigned char)text.p[end - 1]))
        end--;
    while (i < end) {
        size_t from = i;

        while (i < end && !isspace((unsigned char)text.p[i]))
            i++;
        if (i > from)
            chunk(r, (struct str){ text.p + from, i - from }, i == end);
        while (i < end && isspace((unsigned char)text.p[i]))
            i++;
    }
}

/* ---- ways of asking */

static void
drop_polite(struct alike_text *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (!t->v[i].exact && AMONG(t->v[i].z, polite)) {
            if (n > 0 && t->v[i].broken)
                t->v[n - 1].broken = true;
            continue;
        }
        t->v[n++] = t->v[i];
    }
    t->n = n;
}

/* Words of the phrase when it stands at v[0 …]; 0: it does not. */
static size_t
stands(const char *phrase, const struct alike_word *v, size_t n)
{
    for (size_t words = 0;;) {
        size_t len = strcspn(phrase, " ");

        if (words == n || (v[words].exact && words == 0) || strncmp(v[words].z, phrase, len) != 0 ||
            v[words].z[len] != '\0')
            return 0;
        words++;
        if (phrase[len] == '\0')
            return words;
        if (v[words - 1].broken)
            return 0;
        phrase += len + 1;
    }
}

static const struct change *
longest(const struct alike_text *t, size_t at, size_t *words)
{
    const struct change *best = NULL;

    *words = 0;
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        size_t n = phrases[i].l == t->l ? stands(phrases[i].from, t->v + at, t->n - at) : 0;

        if (n > *words) {
            *words = n;
            best = &phrases[i];
        }
    }
    return best;
}

static void
replace(struct alike_text *out, const char *to, bool broken)
{
    while (*to) {
        size_t n = strcspn(to, " ");

        if (*to == '?')
            out->marks |= ALIKE_YES_OR_NO;
        if ((*to == ',' || *to == '?') && out->n > 0)
            out->v[out->n - 1].broken = true;
        if (*to != ',' && *to != '?')
            push(out, (struct str){ to, n });
        to += n + (to[n] == ' ');
    }
    if (broken && out->n > 0)
        out->v[out->n - 1].broken = true;
}

/* A text that takes what is left of another one, which it replaces. */
static struct alike_text *
begin_next(const struct alike_text *t)
{
    struct alike_text *out = mem_new(sizeof *out);

    out->l = t->l;
    out->over = t->over;
    out->marks = t->marks;
    return out;
}

static void
end_next(struct alike_text **t, struct alike_text *out)
{
    mem_free(t);
    *t = out;
}

static void
change_phrases(struct alike_text **whole)
{
    const struct alike_text *t = *whole;
    struct alike_text *out = begin_next(t);

    for (size_t i = 0, words; i < t->n; i += words ? words : 1) {
        const struct change *c = longest(t, i, &words);

        if (c)
            replace(out, c->to, t->v[i + words - 1].broken);
        else if (out->n < ALIKE_WORDS_MAX)
            out->v[out->n++] = t->v[i];
        else
            out->over = true;
    }
    end_next(whole, out);
}

/* ---- what is asked for, and of what */

struct sorter {
    struct alike_text *out;
    struct alike_word pending; /* a preposition that has had no word yet; z "": none */
    enum alike_case in;
    int phrase;
    bool seen; /* a word that belongs to no preposition: what follows is no longer the wish */
};

static void
put(struct sorter *s, const struct alike_word *w, enum alike_case in)
{
    if (s->out->n == ALIKE_WORDS_MAX) {
        s->out->over = true;
        return;
    }
    s->out->v[s->out->n] = *w;
    s->out->v[s->out->n].in = in;
    s->out->v[s->out->n].phrase = in == CASE_NONE ? 0 : s->phrase;
    s->out->v[s->out->n++].group = w->exact ? -1 : alike_group(w->z);
}

/* A preposition that no word follows is one that says something by itself. */
static void
flush(struct sorter *s)
{
    if (s->pending.z[0])
        put(s, &s->pending, CASE_NONE);
    s->pending.z[0] = '\0';
    s->in = CASE_NONE;
}

/* "what the pump does" is not "what the pump is". */
static bool
is_last_do(const struct alike_word *w, bool last)
{
    return (last || w->broken) && (strcmp(w->z, "do") == 0 || strcmp(w->z, "does") == 0);
}

static void
sort_word(struct sorter *s, const struct alike_word *w, bool last)
{
    enum alike_case in = w->exact ? CASE_NONE : case_of(w->z);
    int mark = w->exact ? -1 : mark_of(w->z);

    if (!w->exact && AMONG(w->z, dropped) && !is_last_do(w, last)) {
        if (AMONG(w->z, verbs))
            flush(s);
    } else if (in != CASE_NONE) {
        flush(s);
        s->pending = *w;
        s->in = in;
        s->phrase++;
    } else if (mark >= 0 && !s->seen) {
        flush(s);
        s->out->marks |= 1u << mark;
    } else {
        put(s, w, s->in);
        s->pending.z[0] = '\0';
        s->seen = s->seen || s->in == CASE_NONE;
    }
    if (w->broken)
        flush(s);
}

static void
sort_words(struct alike_text **whole)
{
    const struct alike_text *t = *whole;
    struct alike_text *out = begin_next(t);
    struct sorter s = { .out = out };

    if (t->n > 0 && !t->v[0].exact && AMONG(t->v[0].z, askers))
        out->marks |= ALIKE_YES_OR_NO;
    for (size_t i = 0; i < t->n; i++)
        sort_word(&s, &t->v[i], i + 1 == t->n);
    flush(&s);
    end_next(whole, out);
}

struct alike_text *
alike_new(struct str text, enum language l)
{
    struct alike_text *t = mem_new(sizeof *t);
    struct reader r = { .t = t, .loud = is_loud(text) };

    t->l = language_of(text, 0, l);
    split(&r, text);
    if (t->l == LANG_ENGLISH)
        drop_polite(t);
    change_phrases(&t);
    if (t->l == LANG_ENGLISH)
        sort_words(&t);
    return t;
}

void
alike_free(struct alike_text **t)
{
    mem_free(t);
}
