/* Phrases around a question. See asking.h. Words are runs of letters and digits; apostrophes inside are left out. */
#include "text/asking.h"

#include <ctype.h>

enum { TOKENS = 96, TOKEN_MAX = 16 };

static const char *const phrases[] = {
#define ASKING(phrase) phrase,
#include "text/asking.tbl"
#undef ASKING
};

struct token {
    char z[TOKEN_MAX]; /* folded; empty: longer than any word of the table */
    size_t start, end; /* bytes of the question */
};

static bool
word_byte(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Bytes of an apostrophe inside a word at i; 0: none. */
static size_t
apostrophe(struct str s, size_t i)
{
    size_t n = s.p[i] == '\'' ? 1 : i + 3 < s.n && memcmp(s.p + i, "\xe2\x80\x99", 3) == 0 ? 3 : 0;

    return n && i + n < s.n && isalpha((unsigned char)s.p[i + n]) ? n : 0;
}

static size_t
split(struct str s, struct token *v)
{
    size_t n = 0, i = 0;

    while (i < s.n && n < TOKENS) {
        struct token *t = &v[n];
        size_t k = 0, skip;

        if (!word_byte(s.p[i]) || apostrophe(s, i)) {
            i++;
            continue;
        }
        t->start = i;
        while (i < s.n && ((skip = apostrophe(s, i)) || word_byte(s.p[i]))) {
            if (!skip && k < TOKEN_MAX)
                t->z[k++] = (char)tolower((unsigned char)s.p[i]);
            i += skip ? skip : 1;
        }
        t->z[k < TOKEN_MAX ? k : 0] = '\0';
        t->end = i;
        n++;
    }
    return n;
}

/* Words of the phrase when it stands at v[0 …]; 0: it does not. Nearly all of them begin otherwise. */
static size_t
stands(const char *phrase, const struct token *v, size_t n)
{
    size_t words = 0;

    if (phrase[0] != v[0].z[0])
        return 0;
    for (;;) {
        size_t len = words < n ? strlen(v[words].z) : 0;

        if (len == 0 || strncmp(phrase, v[words].z, len) != 0 || (phrase[len] != ' ' && phrase[len] != '\0'))
            return 0;
        words++;
        if (phrase[len] == '\0')
            return words;
        phrase += len + 1;
    }
}

void
asking_core(struct str question, struct buf *out)
{
    struct token v[TOKENS];
    size_t from = out->n, n = split(question, v), left = n;

    buf_str(out, question);
    if (out->failed || out->n - from != question.n)
        return;
    for (size_t i = 0; i < n;) {
        size_t longest = 0;

        for (size_t k = 0; k < sizeof phrases / sizeof *phrases; k++) {
            size_t words = stands(phrases[k], v + i, n - i);

            longest = words > longest ? words : longest;
        }
        if (longest)
            memset(out->p + from + v[i].start, ' ', v[i + longest - 1].end - v[i].start);
        left -= longest;
        i += longest ? longest : 1;
    }
    if (left == 0 && question.n)
        memcpy(out->p + from, question.p, question.n);
}
