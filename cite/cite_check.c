/* Marks whose passage says nothing of what they stand for (cite_claim.c): a model that cites at random. The words decide,
 * so that they are asked only where they can know: answer and passage are clearly in the same language, and
 * there are a few of them. One word in common, in the passage or its headings, and the mark stays: how much
 * of the sentence the passage says is its support, shown in the trace. */
#include "cite/cite_int.h"

#include "text/language.h"

enum { CHECKED_WORDS = 4 };

/* The language that a text is clearly in. False: it does not say. */
static bool
clearly(struct str text, enum language *out)
{
    *out = language_of(text, 0, LANG_ENGLISH);
    return *out == language_of(text, 0, LANG_GERMAN);
}

/* Has the passage, or what stands above it, a word of the bag? */
static bool
says_some(struct citer *c, const struct hit *h)
{
    const struct str parts[] = { h->text, h->title, h->chapter, h->section, h->lead };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (cite_common(c, parts[i]) > 0)
            return true;
    return false;
}

size_t
cite_unsupported(struct citer *c, const struct marks *m, bool *refused)
{
    enum language said = LANG_ENGLISH, there;
    bool asked = false, clear = false;
    size_t n = 0;

    cite_leads(c, m);
    for (size_t i = 0; i < m->n && i < LOOKED_MAX; i++) {
        const struct hit *h = &c->req->hits.v[m->v[i].n - 1];

        if (cite_claim(c, m, i) < CHECKED_WORDS || !cite_usable(h))
            continue;
        clear = asked ? clear : clearly(c->answer, &said);
        asked = true;
        if (!clear)
            return 0;
        /* most marks have a word in common with their passage: its language is asked for last */
        refused[i] = !says_some(c, h) && clearly(h->text, &there) && there == said;
        n += refused[i];
    }
    return n;
}
