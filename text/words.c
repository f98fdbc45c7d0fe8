/* Words: text → stems → hashes. See words.h. Owns stemmers, made when they are first needed, and the words that were met.
 * Freed ones are kept for the next who needs one, and count on: short texts, too, such as questions and answers, are mostly of words that
 * were met before. */
#include "text/words.h"

#include <libstemmer.h>
#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#include "text/fold.h"
#include "text/inflect.h"
#include "common/hash.h"
#include "common/mem.h"

enum { CLUSTERS_MARKS = 8 }; /* marks of one letter of a dense script that are looked at */
enum { MEMOS = 2048, MEMO_BYTES = 24, MEMO_FROM = 256 };

/* A folded word, with zeros behind it: compared and hashed as three numbers. */
struct memo_key {
    uint64_t v[MEMO_BYTES / 8];
};

/* A word that was met before: what stemming and the lists of function words made of it. */
struct memo {
    struct memo_key word;
    uint64_t h;        /* of the stem */
    uint8_t n, stem_n; /* bytes; n 0: free */
    uint8_t language, cls;
    char stem[MEMO_BYTES];
};

struct words {
    enum language language;
    struct memo *memo; /* MEMOS of them, from the MEMO_FROM-th word on */
    size_t seen;       /* words until then */
    struct sb_stemmer *stem[LANGUAGES];
    bool looked[LANGUAGES];      /* stem is made, or there is none */
    char last[FOLD_MAX];         /* the word before, folded, for joins */
    size_t last_n;               /* its length; 0: none */
    size_t last_start, last_end; /* where it stands */
    bool last_stop;              /* it is a stop word: never joined */
    struct str text;             /* at hand */
    word_fn fn;
    void *arg;
};

/* The role of a code point in a word. */
enum cp_kind { CP_OTHER, CP_WORD, CP_MARK, CP_JOINER };

struct cp {
    int32_t c;
    size_t n; /* bytes */
    enum cp_kind kind;
    enum script script;
};

/* ---- those that nobody needs at the moment */

#ifdef __SANITIZE_ADDRESS__
enum { SPARES = 0 };
#else
enum { SPARES = 8 };
#endif
static struct {
    pthread_mutex_t lock;
    struct words *v[SPARES + 1];
    int n; /* signed: SPARES may be none */
} spare = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct words *
words_new(void)
{
    struct words *w = NULL;

    (void)pthread_mutex_lock(&spare.lock);
    if (spare.n > 0)
        w = spare.v[--spare.n];
    (void)pthread_mutex_unlock(&spare.lock);
    if (!w)
        return mem_new(sizeof *w);
    words_language(w, LANG_ENGLISH);
    return w;
}

void
words_free(struct words **w)
{
    bool kept = false;

    if (!*w)
        return;
    (void)pthread_mutex_lock(&spare.lock);
    if (spare.n < SPARES) {
        spare.v[spare.n++] = *w;
        kept = true;
    }
    (void)pthread_mutex_unlock(&spare.lock);
    if (kept) {
        *w = NULL;
        return;
    }
    for (int l = 0; l < LANGUAGES; l++)
        if ((*w)->stem[l])
            sb_stemmer_delete((*w)->stem[l]);
    mem_free(&(*w)->memo);
    mem_free(w);
}

void
words_language(struct words *w, enum language l)
{
    w->language = l;
}

/* A final mix (public domain): a term is known by its hash alone. */
static uint64_t
hash_bytes(const char *p, size_t n)
{
    uint64_t h = hash_str((struct str){ p, n });

    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

static struct sb_stemmer *
stemmer(struct words *w, enum language l)
{
    if (!w->looked[l]) {
        w->looked[l] = true;
        w->stem[l] = language_stemmer(l) ? sb_stemmer_new(language_stemmer(l), "UTF_8") : NULL;
    }
    return w->stem[l];
}

static bool
has_digit(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= '0' && s.p[i] <= '9')
            return true;
    return false;
}

static void
emit(struct words *w, struct word *out)
{
    out->h = hash_bytes(out->stem.p, out->stem.n);
    w->fn(w->arg, out);
}

/* A folded word in its language. z: where its stem may stand. */
static void
emit_stemmed(struct words *w, struct str folded, enum language l, struct word *out, char z[FOLD_MAX])
{
    struct sb_stemmer *stem = stemmer(w, l);
    struct str base = inflect_before(l, folded, z);

    out->folded = folded;
    out->stem = base;
    out->cls = language_class(l, folded);
    if (stem && base.n > 2 && !has_digit(base)) {
        const sb_symbol *r = sb_stemmer_stem(stem, (const sb_symbol *)base.p, (int)base.n);

        if (r && sb_stemmer_length(stem) > 0)
            out->stem = (struct str){ (const char *)r, (size_t)sb_stemmer_length(stem) };
    }
    out->stem = inflect_after(l, out->stem);
    emit(w, out);
}

static struct memo_key
memo_key(struct str folded)
{
    struct memo_key k = { { 0 } };

    memcpy(k.v, folded.p, folded.n);
    return k;
}

/* The place of a word, or NULL: too long, or the texts were short so far. */
static struct memo *
memo_of(struct words *w, const struct memo_key *k, enum language l)
{
    uint64_t h = (k->v[0] ^ k->v[1] * 0x9e3779b97f4a7c15u ^ k->v[2] * 0xbf58476d1ce4e5b9u ^ (uint64_t)l) *
                 0xff51afd7ed558ccdu;

    if (!w->memo && ++w->seen < MEMO_FROM)
        return NULL;
    if (!w->memo)
        w->memo = mem_new(MEMOS * sizeof *w->memo);
    return &w->memo[(h >> 32) % MEMOS];
}

/* As emit_stemmed; most words of a text were met before. */
static void
emit_word(struct words *w, struct str folded, enum language l, struct word *out)
{
    struct memo_key k = { { 0 } };
    struct memo *m = NULL;
    char z[FOLD_MAX];

    if (folded.n <= MEMO_BYTES) {
        k = memo_key(folded);
        m = memo_of(w, &k, l);
    }
    if (m && m->n == folded.n && m->language == (uint8_t)l && memcmp(&m->word, &k, sizeof k) == 0) {
        out->folded = folded;
        out->stem = (struct str){ m->stem, m->stem_n };
        out->cls = (enum word_class)m->cls;
        out->h = m->h;
        w->fn(w->arg, out);
        return;
    }
    emit_stemmed(w, folded, l, out, z);
    if (!m || out->stem.n > MEMO_BYTES)
        return;
    *m = (struct memo){ .word = k,
                        .h = out->h,
                        .n = (uint8_t)folded.n,
                        .stem_n = (uint8_t)out->stem.n,
                        .language = (uint8_t)l,
                        .cls = (uint8_t)out->cls };
    memcpy(m->stem, out->stem.p, out->stem.n);
}

/* One word [start, end) of text; joined to the one before when a single hyphen stands between them. */
static void
word_found(struct words *w, size_t start, size_t end, enum script script)
{
    char z[FOLD_MAX], joined[2 * FOLD_MAX];
    enum language l = language_of_word(script, w->language);
    struct word out = { .start = start, .end = end };
    size_t n = fold_word((struct str){ w->text.p + start, end - start }, z);

    if (n == 0)
        return;
    emit_word(w, (struct str){ z, n }, l, &out);
    bool stop = out.cls == WORD_STOP && n > 1;
    if (w->last_n && !w->last_stop && !stop && start == w->last_end + 1 && w->text.p[w->last_end] == '-' &&
        w->last_n + n < FOLD_MAX) {
        struct word both = { .start = w->last_start, .end = end };

        memcpy(joined, w->last, w->last_n);
        memcpy(joined + w->last_n, z, n + 1);
        emit_word(w, (struct str){ joined, w->last_n + n }, l, &both);
    }
    memcpy(w->last, z, n + 1);
    w->last_n = n;
    w->last_start = start;
    w->last_end = end;
    w->last_stop = stop;
}

/* ASCII: most of most texts. */
enum { ASCII_OTHER, ASCII_LETTER, ASCII_DIGIT };
static const uint8_t ascii[256] = { ['0' ... '9'] = ASCII_DIGIT,
                                    ['A' ... 'Z'] = ASCII_LETTER,
                                    ['a' ... 'z'] = ASCII_LETTER };

static struct cp
cp_at(struct str s, size_t i)
{
    struct cp r = { .n = 1 };

    if (i >= s.n)
        return (struct cp){ 0 };
    if ((unsigned char)s.p[i] < 0x80) {
        uint8_t what = ascii[(uint8_t)s.p[i]];

        r.c = s.p[i];
        r.script = what == ASCII_LETTER ? SCRIPT_LATIN : SCRIPT_NONE;
        r.kind = what == ASCII_OTHER ? CP_OTHER : CP_WORD;
        return r;
    }
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i),
                                          &r.c);

    if (n <= 0)
        return r;
    r.n = (size_t)n;
    r.script = script_of(r.c);
    utf8proc_category_t k = utf8proc_category(r.c);

    if (r.c == 0x200c || r.c == 0x200d || r.c == 0xad || r.c == 0x2060 || r.c == 0xfeff ||
        (r.c >= 0xfe00 && r.c <= 0xfe0f))
        r.kind = CP_JOINER;
    else if (k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME)
        r.kind = CP_MARK;
    else if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO)
        r.kind = CP_WORD;
    if (k == UTF8PROC_CATEGORY_ND)
        r.script = SCRIPT_NONE; /* digits of a script without spaces stand together like others */
    return r;
}

/* Virama signs that stack the next letter under this one: Khmer coeng, Burmese. */
static bool
stacks(int32_t c)
{
    return c == 0x17d2 || c == 0x1039;
}

/* The end of the letter of a dense script that begins at i, with its marks. */
static size_t
cluster_end(struct str s, size_t i)
{
    struct cp c = cp_at(s, i);
    bool stacked = false;

    i += c.n;
    for (int k = 0; k < CLUSTERS_MARKS; k++) {
        c = cp_at(s, i);
        if (!(c.kind == CP_MARK || c.kind == CP_JOINER || (stacked && script_is_dense(c.script))))
            break;
        stacked = stacks(c.c);
        i += c.n;
    }
    return i;
}

static bool
hiragana(int32_t c)
{
    return c >= 0x3041 && c <= 0x309f;
}

/* A neighbour in a run of a dense script. */
struct cluster {
    size_t start, end;
    bool function; /* inside of a function word */
    bool hiragana; /* of Japanese grammar, mostly */
};

static void
emit_pair(struct words *w, const struct cluster *a, const struct cluster *b)
{
    char z[FOLD_MAX];
    struct word out = { .start = a->start, .end = b->end };

    out.folded = (struct str){ z, fold_word((struct str){ w->text.p + a->start, b->end - a->start }, z) };
    out.stem = out.folded;
    out.cls = a->function || b->function ? WORD_STOP : a->hiragana && b->hiragana ? WORD_WEAK : WORD_CONTENT;
    if (out.folded.n)
        emit(w, &out);
}

/* A run of a script without spaces: each pair of neighbours is a word; a single one between function words stands alone. */
static size_t
dense_run(struct words *w, size_t at)
{
    struct cluster prev = { .function = true }, now;
    size_t i = at, function_until = at;
    bool alone = false; /* prev is in no pair yet that is more than a stop word */

    for (struct cp c = cp_at(w->text, i); c.kind == CP_WORD && script_is_dense(c.script);
         c = cp_at(w->text, i)) {
        if (i >= function_until)
            function_until = i + language_function_word((struct str){ w->text.p + i, w->text.n - i });
        now = (struct cluster){ i, cluster_end(w->text, i), i < function_until, hiragana(c.c) };
        if (alone && now.function)
            emit_pair(w, &prev, &prev);
        if (i > at)
            emit_pair(w, &prev, &now);
        alone = !now.function && prev.function;
        prev = now;
        i = now.end;
    }
    if (alone)
        emit_pair(w, &prev, &prev);
    w->last_n = 0;
    return i;
}

/* Endings of Korean verbs and particles of nouns, each list the longest first. A verb keeps two syllables, a noun one. */
static const char *const endings[] = {
    "했습니다", "됐습니다", "있습니까", "있습니다", "되었습니다", "하였다", "되었다", "이었다", "합니까",
    "합니다",   "됩니까",   "됩니다",   "하나요",   "되나요",     "인가요", "입니까", "입니다", "했나요",
    "됐나요",   "하려면",   "하면서",   "하는가",   "습니까",     "습니다", "하는지", "한다",   "하다",
    "했다",     "하는",     "하여",     "해야",     "해요",       "하고",   "하면",   "하기",   "하지",
    "된다",     "되다",     "됐다",     "되는",     "되고",       "되면",   "였다",   "었다",   "았다",
    "나요",     "는가",     "인가",     "할",       "한",         "해",     "될",     "된",
};
static const char *const particles[] = {
    "에서는", "에게서", "으로는", "으로서", "으로써", "이란", "에서", "에게", "한테", "께서", "으로",
    "까지",   "부터",   "처럼",   "보다",   "마다",   "조차", "밖에", "이나", "이며", "이고", "이다",
    "이라",   "에는",   "에도",   "와의",   "과의",   "로는", "라는", "은",   "는",   "이",   "가",
    "을",     "를",     "에",     "의",     "로",     "와",   "과",   "도",   "만",   "나",   "란",
};

static struct str
without(struct str z, const char *const *list, size_t n, size_t keeps)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);

        if (z.n >= len + (len >= 6 ? 3 : keeps) && memcmp(z.p + z.n - len, list[i], len) == 0)
            return (struct str){ z.p, z.n - len };
    }
    return z;
}

static struct str
without_particle(struct str z)
{
    struct str verb = without(z, endings, sizeof endings / sizeof *endings, 6);

    return verb.n < z.n ? verb : without(z, particles, sizeof particles / sizeof *particles, 3);
}

/* A Korean word: what its particle leaves, as pairs of syllables. after: a name or number of another script stands before it. */
static void
hangul_found(struct words *w, size_t start, size_t end, bool after)
{
    char z[FOLD_MAX];
    struct word out = { .start = start, .end = end };
    struct str s = { z, fold_word((struct str){ w->text.p + start, end - start }, z) },
               bare = without_particle(s);

    if (s.n == 0)
        return;
    out.cls = language_class(LANG_KOREAN, s);
    if (out.cls == WORD_CONTENT)
        out.cls = language_class(LANG_KOREAN, bare);
    if (after && str_is_any(s, particles, sizeof particles / sizeof *particles))
        out.cls = WORD_STOP;
    if (out.cls != WORD_STOP)
        s = bare;
    out.folded = out.stem = s;
    if (s.n <= 6 || out.cls == WORD_STOP) {
        emit(w, &out);
        return;
    }
    for (size_t i = 0; i + 6 <= s.n; i += 3) {
        out.folded = out.stem = (struct str){ s.p + i, 6 }; /* a syllable is three bytes */
        emit(w, &out);
    }
}

static bool
digit_at(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

/* Does the run of letters that began in that script go on at i? Hangul ends what is not Hangul, and the other way round. */
static bool
goes_on(struct str s, size_t i, const struct cp *c, bool korean)
{
    if (c->kind == CP_MARK || c->kind == CP_JOINER)
        return true;
    if (c->kind == CP_WORD)
        return !script_is_dense(c->script) && (c->script == SCRIPT_HANGUL) == korean;
    return !korean && (s.p[i] == '.' || s.p[i] == ',') && digit_at(s, i - 1) && digit_at(s, i + 1);
}

/* The end of the letters and digits of ASCII that stand at i; *letters: there is a letter among them. */
static size_t
ascii_end(struct str s, size_t i, bool *letters)
{
    unsigned seen = 0;

    for (; i < s.n && ascii[(uint8_t)s.p[i]]; i++)
        seen |= ascii[(uint8_t)s.p[i]];
    *letters = (seen & ASCII_LETTER) != 0;
    return i;
}

/* The rest of a run from i on; *script: of its first letter, as far as it is known. */
static size_t
run_end(struct str s, size_t i, bool korean, enum script *script)
{
    struct cp c;

    while (i < s.n && (c = cp_at(s, i), goes_on(s, i, &c, korean))) {
        if (*script == SCRIPT_NONE)
            *script = c.script;
        i += c.n;
    }
    return i;
}

static size_t
latin_run(struct words *w, size_t at)
{
    bool letters;
    size_t i = ascii_end(w->text, at, &letters);
    enum script script = letters ? SCRIPT_LATIN : SCRIPT_NONE;

    if (i < w->text.n && ((uint8_t)w->text.p[i] >= 0x80 || w->text.p[i] == '.' || w->text.p[i] == ','))
        i = run_end(w->text, i, false, &script);
    word_found(w, at, i, script);
    return i;
}

static size_t
word_run(struct words *w, size_t at)
{
    struct cp c = cp_at(w->text, at);
    bool korean = c.script == SCRIPT_HANGUL, after = korean && w->last_n && w->last_end == at;
    enum script script = c.script;
    size_t i = run_end(w->text, at + c.n, korean, &script);

    if (korean) {
        hangul_found(w, at, i, after);
        w->last_n = 0;
    } else {
        word_found(w, at, i, script);
    }
    return i;
}

void
words_each(struct words *w, struct str text, word_fn fn, void *arg)
{
    w->last_n = 0;
    w->text = text;
    w->fn = fn;
    w->arg = arg;
    for (size_t i = 0; i < text.n;) {
        uint8_t b = (uint8_t)text.p[i];
        struct cp c;

        if (b < 0x80) {
            i = ascii[b] ? latin_run(w, i) : i + 1;
            continue;
        }
        c = cp_at(text, i);
        if (c.kind != CP_WORD)
            i += c.n;
        else
            i = script_is_dense(c.script) ? dense_run(w, i) : word_run(w, i);
    }
}

static void
take_hash(void *arg, const struct word *w)
{
    *(uint64_t *)arg = w->cls == WORD_STOP ? 0 : w->h;
}

uint64_t
words_hash(struct words *w, struct str word)
{
    uint64_t h = 0;

    words_each(w, word, take_hash, &h);
    return h;
}
