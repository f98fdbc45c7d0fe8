/* Words: text → stems → hashes. See words.h. Owns nothing but a stemmer; allocates only for words outside ASCII. */
#include "cite/words.h"

#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "common/mem.h"

enum { WORD_MAX = 64 };     /* folded bytes of a word that count */

struct words {
    struct sb_stemmer *stem;    /* English */
    char last[WORD_MAX];        /* the word before, folded, for joins */
    size_t last_n;              /* its length; 0: none */
    size_t last_start, last_end; /* where it stands */
    bool last_stop;             /* it is a stop word: never joined */
};

/* Sorted, folded, unstemmed. */
static const char *const stop_words[] = {
    "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "aren", "as", "at", "be", "because",
    "been", "before", "being", "both", "but", "by", "can", "could", "couldn", "d", "did", "didn", "do", "does", "doesn",
    "doing", "don", "dont", "each", "etc", "for", "from", "further", "had", "hadn", "has", "hasn", "have", "haven",
    "having", "he", "her", "here", "hers", "herself", "him", "himself", "his", "how", "i", "if", "in", "into", "is",
    "isn", "it", "its", "itself", "just", "ll", "m", "may", "me", "might", "more", "most", "must", "my", "myself", "no",
    "nor", "not", "now", "of", "off", "on", "once", "only", "or", "other", "our", "ours", "out", "over", "own", "please",
    "re", "s", "same", "shall", "she", "should", "shouldn", "so", "some", "such", "t", "than", "that", "the", "their",
    "theirs", "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "until", "upon", "us",
    "ve", "very", "was", "wasn", "we", "were", "weren", "what", "when", "where", "which", "while", "who", "whom",
    "whose", "why", "will", "with", "won", "would", "wouldn", "you", "your", "yours", "yourself",
};
static const char *const weak_words[] = {
    "according", "add", "allow", "allowed", "another", "answer", "around", "become", "best", "better", "between",
    "bring", "call", "called", "cause", "caused", "change", "come", "common", "compare", "consider", "considered",
    "contain", "create", "define", "definition", "describe", "described", "difference", "different", "discuss",
    "ever", "every", "example", "examples", "exist", "explain", "find", "first", "following", "found", "gave", "general",
    "get", "give", "given", "go", "good", "got", "happen", "happened", "happens", "help", "idea", "important", "include",
    "included", "instead", "involve", "keep", "kind", "kinds", "know", "known", "let", "like", "list", "long", "look",
    "made", "main", "make", "makes", "many", "mean", "meaning", "means", "mention", "mentioned", "method", "much",
    "name", "named", "need", "needed", "new", "number", "often", "old", "one", "part", "people", "person", "possible",
    "provide", "provided", "purpose", "put", "question", "reason", "reasons", "refer", "referred", "related", "result",
    "role", "said", "say", "says", "see", "set", "show", "start", "still", "suppose", "take", "talk", "tell", "term",
    "thing", "things", "think", "true", "try", "two", "type", "types", "understand", "use", "used", "uses", "using",
    "value", "want", "way", "ways", "well", "went", "without", "work", "working", "works", "year", "years",
};

struct words *
words_new(void)
{
    struct words *w = mem_new(sizeof(*w));

    w->stem = sb_stemmer_new("english", "UTF_8");
    return w;
}

void
words_free(struct words **w)
{
    if (*w == NULL)
        return;
    sb_stemmer_delete((*w)->stem);
    mem_free(w);
}

static int
word_cmp(const void *key, const void *row)
{
    return strcmp(key, *(const char *const *)row);
}

static bool
in_list(const char *z, const char *const *list, size_t n)
{
    return bsearch(z, list, n, sizeof(*list), word_cmp) != NULL;
}

/* FNV-1a with a final mix (both public domain). */
static uint64_t
hash_bytes(const char *p, size_t n)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)p[i]) * 1099511628211u;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

/* Fold raw into out (NUL-terminated); returns its length and whether it is plain ASCII letters. */
static size_t
fold(struct str raw, char out[WORD_MAX], bool *letters)
{
    size_t n = 0;
    bool ascii = true;

    *letters = true;
    for (size_t i = 0; i < raw.n && n < WORD_MAX - 1; i++) {
        unsigned char c = (unsigned char)raw.p[i];

        if (c >= 0x80)
            ascii = false;
        if (c == ',')
            continue;
        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c + 32);
        if (c < 'a' || c > 'z')
            *letters = false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    if (ascii)
        return n;
    utf8proc_uint8_t *map = NULL;
    utf8proc_ssize_t got = utf8proc_map((const utf8proc_uint8_t *)raw.p, (utf8proc_ssize_t)raw.n, &map,
        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE);
    if (got >= 0) {
        n = (size_t)got < WORD_MAX - 1 ? (size_t)got : WORD_MAX - 1;
        memcpy(out, map, n);
        out[n] = '\0';
        *letters = true;
        for (size_t i = 0; i < n; i++)
            *letters = *letters && out[i] >= 'a' && out[i] <= 'z';
    }
    mem_free(&map);
    return n;
}

static void
emit(struct words *w, const char *z, size_t n, bool letters, struct word *out, word_fn fn, void *arg)
{
    struct str s = { z, n };

    out->cls = in_list(z, stop_words, sizeof(stop_words) / sizeof(*stop_words))   ? WORD_STOP
               : in_list(z, weak_words, sizeof(weak_words) / sizeof(*weak_words)) ? WORD_WEAK
                                                                                  : WORD_CONTENT;
    if (letters && n > 2 && w->stem) {
        const sb_symbol *r = sb_stemmer_stem(w->stem, (const sb_symbol *)z, (int)n);

        if (r)
            s = (struct str){ (const char *)r, (size_t)sb_stemmer_length(w->stem) };
    }
    out->h = hash_bytes(s.p, s.n);
    fn(arg, out);
}

/* One word [start, end) of text; joined to the one before when a single hyphen stands between them. */
static void
word_found(struct words *w, struct str text, size_t start, size_t end, word_fn fn, void *arg)
{
    char z[WORD_MAX], joined[2 * WORD_MAX];
    bool letters;
    struct word out = { .start = start, .end = end };
    size_t n = fold((struct str){ text.p + start, end - start }, z, &letters);

    if (n == 0)
        return;
    emit(w, z, n, letters, &out, fn, arg);
    bool stop = out.cls == WORD_STOP && n > 1;
    if (w->last_n && !w->last_stop && !stop && start == w->last_end + 1 && text.p[w->last_end] == '-' &&
        w->last_n + n < WORD_MAX) {
        struct word both = { .start = w->last_start, .end = end };

        memcpy(joined, w->last, w->last_n);
        memcpy(joined + w->last_n, z, n + 1);
        emit(w, joined, w->last_n + n, letters, &both, fn, arg);
    }
    memcpy(w->last, z, n + 1);
    w->last_n = n;
    w->last_start = start;
    w->last_end = end;
    w->last_stop = stop;
}

enum cp_kind { CP_OTHER, CP_WORD, CP_DENSE };

/* Scripts without spaces: kana, Han, Thai. */
static enum cp_kind
cp_kind(utf8proc_int32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? CP_WORD : CP_OTHER;
    if ((c >= 0x3041 && c <= 0x30fa) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) ||
        (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3134f) || (c >= 0x0e01 && c <= 0x0e4e))
        return CP_DENSE;
    utf8proc_category_t k = utf8proc_category(c);

    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO) ? CP_WORD : CP_OTHER;
}

static bool
digit_at(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static size_t
cp_at(struct str s, size_t i, enum cp_kind *kind)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &c);

    *kind = n > 0 ? cp_kind(c) : CP_OTHER;
    return n > 0 ? (size_t)n : 1;
}

/* A run of a script without spaces: each pair of neighbours is a word; a single one stands alone. */
static size_t
dense_run(struct words *w, struct str text, size_t at, word_fn fn, void *arg)
{
    enum cp_kind kind;
    size_t prev = at, i = at + cp_at(text, at, &kind), count = 1;

    while (i < text.n) {
        size_t n = cp_at(text, i, &kind);

        if (kind != CP_DENSE)
            break;
        word_found(w, text, prev, i + n, fn, arg);
        prev = i;
        i += n;
        count++;
    }
    if (count == 1)
        word_found(w, text, at, i, fn, arg);
    return i;
}

void
words_each(struct words *w, struct str text, word_fn fn, void *arg)
{
    enum cp_kind kind;

    w->last_n = 0;
    for (size_t i = 0; i < text.n;) {
        size_t n = cp_at(text, i, &kind), start = i;

        if (kind == CP_DENSE) {
            i = dense_run(w, text, i, fn, arg);
            continue;
        }
        i += n;
        if (kind == CP_OTHER)
            continue;
        while (i < text.n) {
            n = cp_at(text, i, &kind);
            if (kind != CP_WORD &&
                !((text.p[i] == '.' || text.p[i] == ',') && digit_at(text, i - 1) && digit_at(text, i + 1)))
                break;
            i += n;
        }
        word_found(w, text, start, i, fn, arg);
    }
}
