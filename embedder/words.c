/* Words: valid UTF-8 → case-folded, unaccented (utf8proc: NFKC, casefold, marks stripped), split where the letters, marks and
 * digits end, stemmed (libstemmer, English; words of other languages mostly pass unchanged). Used by the built-in embedding
 * and the built-in answers; the retriever has its own. */
#include <ctype.h>
#include <libstemmer.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "embedder/embedder.h"

#define WORD_MAX 64
#define TEXT_MAX 65536          /* of one text; the rest is not looked at */

struct words {
    struct sb_stemmer *stemmer; /* not thread-safe: one each */
    struct buf text;            /* folded */
    size_t at;                  /* next byte to look at */
};

static const char *const stop_words[] = {
    "a",     "about", "after", "all",  "also", "an",    "and",   "any",   "are",  "as",    "at",    "be",    "because",
    "been",  "but",   "by",    "can",  "could", "did",  "do",    "does",  "don",  "each",  "for",   "from",  "get",
    "had",   "has",   "have",  "he",   "her",  "his",   "how",   "i",     "if",   "in",    "into",  "is",    "it",
    "its",   "just",  "long", "many",  "may",  "me",   "more",  "most",  "much",  "my",   "no",    "not",   "of",    "often", "on",
    "one",   "only",  "or",    "other", "our", "out",   "please", "s",    "she",  "should", "so",   "some",  "such",
    "t",     "tell",  "than",  "that", "the",  "their", "them",  "then",  "there", "these", "they", "this",  "to",
    "up",    "us",    "very",  "was",  "we",   "were",  "what",  "when",  "where", "which", "who",  "whose", "why",
    "will",  "with",  "would", "you",  "your",
};

static int
cmp_stop(const void *key, const void *row)
{
    const struct str *s = key;
    const char *z = *(const char *const *)row;
    size_t n = strlen(z);
    int c = memcmp(s->p, z, s->n < n ? s->n : n);

    return c != 0 ? c : s->n < n ? -1 : s->n > n;
}

struct words *
words_new(void)
{
    struct words *w = mem_new(sizeof *w);

    w->stemmer = sb_stemmer_new("english", "UTF_8");
    w->text = BUF_MAX(TEXT_MAX * 20);
    return w;
}

void
words_free(struct words **w)
{
    if (*w == NULL)
        return;
    if ((*w)->stemmer != NULL)
        sb_stemmer_delete((*w)->stemmer);
    buf_free(&(*w)->text);
    mem_free(w);
}

static void
fold_ascii(struct words *w, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_c(&w->text, (char)tolower((unsigned char)s.p[i]));
}

static bool
fold_unicode(struct words *w, struct str s)
{
    const utf8proc_option_t opt =
        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE;
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s.p;
    utf8proc_ssize_t n = utf8proc_decompose(p, (utf8proc_ssize_t)s.n, NULL, 0, opt);
    utf8proc_int32_t *cps = n > 0 ? mem_try(((size_t)n + 1) * sizeof *cps) : NULL;

    if (cps == NULL)
        return false;
    n = utf8proc_decompose(p, (utf8proc_ssize_t)s.n, cps, n, opt);
    if (n > 0)
        n = utf8proc_reencode(cps, n, opt);
    if (n > 0)
        buf_add(&w->text, cps, (size_t)n);
    mem_free(&cps);
    return n > 0;
}

void
words_set(struct words *w, struct str text)
{
    bool ascii = true;

    text = utf8_cut(text, TEXT_MAX);
    buf_reset(&w->text);
    w->at = 0;
    for (size_t i = 0; i < text.n && ascii; i++)
        ascii = (unsigned char)text.p[i] < 0x80;
    if (ascii || !fold_unicode(w, text))
        fold_ascii(w, text);
}

static bool
is_word(utf8proc_int32_t cp)
{
    utf8proc_category_t c;

    if (cp < 0x80)
        return isalnum((int)cp) != 0;
    c = utf8proc_category(cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO);
}

/* The next code point; its length. Malformed bytes count as one separator each. */
static size_t
step(const struct words *w, size_t at, utf8proc_int32_t *cp)
{
    utf8proc_ssize_t n;

    if ((unsigned char)w->text.p[at] < 0x80) {
        *cp = w->text.p[at];
        return 1;
    }
    n = utf8proc_iterate((const utf8proc_uint8_t *)w->text.p + at, (utf8proc_ssize_t)(w->text.n - at), cp);
    if (n > 0)
        return (size_t)n;
    *cp = ' ';
    return 1;
}

bool
words_next(struct words *w, struct word *out)
{
    utf8proc_int32_t cp = 0;
    size_t begin, n = 0;

    while (w->at < w->text.n && (n = step(w, w->at, &cp), !is_word(cp)))
        w->at += n;
    begin = w->at;
    while (w->at < w->text.n && (n = step(w, w->at, &cp), is_word(cp)))
        w->at += n;
    if (w->at == begin)
        return false;
    out->raw = utf8_cut((struct str){ w->text.p + begin, w->at - begin }, WORD_MAX);
    out->stem = out->raw;
    if (w->stemmer != NULL) {
        const sb_symbol *z = sb_stemmer_stem(w->stemmer, (const sb_symbol *)out->raw.p, (int)out->raw.n);

        if (z != NULL)
            out->stem = (struct str){ (const char *)z, (size_t)sb_stemmer_length(w->stemmer) };
    }
    out->stop = bsearch(&out->raw, stop_words, sizeof stop_words / sizeof stop_words[0], sizeof stop_words[0], cmp_stop);
    return true;
}
