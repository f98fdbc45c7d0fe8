/* Tokens. See tokens.h. Used by the built-in embedding and the built-in answers. */
#include "embedder/tokens.h"

#include "common/mem.h"
#include "common/text/text.h"

#define TEXT_MAX 65536      /* bytes of one text; the rest is not looked at */
#define LANGUAGE_BYTES 4096 /* of it that its language is told from */

struct place {
    uint64_t h;
    enum word_class cls;
    size_t at, n;
};

struct tokens {
    struct words *words;
    struct place *v;
    size_t n, cap, next;
    struct buf text; /* folded words */
};

struct tokens *
tokens_new(void)
{
    struct tokens *t = mem_new(sizeof *t);

    t->words = words_new();
    t->text = BUF_MAX(TEXT_MAX * 20);
    return t;
}

void
tokens_free(struct tokens **t)
{
    if (!*t)
        return;
    words_free(&(*t)->words);
    buf_free(&(*t)->text);
    mem_free(&(*t)->v);
    mem_free(t);
}

static void
add(void *arg, const struct word *w)
{
    struct tokens *t = arg;

    if (t->n == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 64;
        t->v = mem_resize(t->v, t->cap * sizeof *t->v);
    }
    t->v[t->n++] = (struct place){ w->h, w->cls, t->text.n, w->folded.n };
    buf_str(&t->text, w->folded);
}

void
tokens_set(struct tokens *t, enum language l, struct str text)
{
    t->n = t->next = 0;
    buf_reset(&t->text);
    words_language(t->words, l);
    words_each(t->words, utf8_cut(text, TEXT_MAX), add, t);
}

size_t
tokens_count(const struct tokens *t)
{
    return t->n;
}

bool
tokens_next(struct tokens *t, struct token *out)
{
    const struct place *p = &t->v[t->next];

    if (t->next == t->n)
        return false;
    t->next++;
    *out = (struct token){ .h = p->h, .cls = p->cls, .folded = { t->text.p + p->at, p->n } };
    return true;
}

enum language
tokens_language(struct str text, enum language otherwise)
{
    return language_of(utf8_cut(text, LANGUAGE_BYTES), 0, otherwise);
}
