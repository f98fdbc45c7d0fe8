/* Do two questions ask the same? (alike.h). The world is closed: what one has and the other has not must be known to make no difference
 * (alike.tbl), so that a number, a name, a negation, a quantity, an opposite or a word that nobody thought of sets them apart alike. An
 * answer that is not shared costs a model call, one that is shared wrongly is wrong.
 *
 * Words may stand in another order only where their prepositions say what they belong to: "set the limit in Redis" is "in Redis, set the
 * limit", and "backup of Postgres" is "Postgres backup"; "PDF to HTML" is not "HTML to PDF". Pure. */
#include "text/alike_int.h"

#include <ctype.h>
#include <string.h>

enum {
    LEAST = 2
}; /* words that a question must have besides what it asks for: "who are you" is not "who am I" */

static const char *const fixed[] = {
#define ALIKE_FIXED(word) word,
#include "text/alike.tbl"
};
static const char *const nots[] = {
#define ALIKE_NOT(word) word,
#include "text/alike.tbl"
};
static const char *const much[] = {
#define ALIKE_MUCH(word) word,
#include "text/alike.tbl"
};

#define STANDS_IN(w, set) stands_in(w, set, sizeof(set) / sizeof *(set))

static bool
stands_in(const struct alike_word *w, const char *const *set, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(w->z, set[i]) == 0)
            return true;
    return false;
}

static bool
same_word(const struct alike_word *a, const struct alike_word *b, enum language l)
{
    if (strcmp(a->z, b->z) == 0)
        return a->exact == b->exact || l != LANG_ENGLISH;
    if (a->exact || b->exact || l != LANG_ENGLISH)
        return false;
    if (a->group >= 0 && a->group == b->group)
        return true;
    return !a->name && !b->name && (alike_inflected(a->z, b->z) || alike_mistyped(a->z, b->z));
}

/* ---- what sets them apart */

static enum alike
name_of(const struct alike_word *w)
{
    if (alike_is_number(w->group))
        return ALIKE_NUMBER;
    for (const char *z = w->z; *z; z++)
        if (isdigit((unsigned char)*z))
            return ALIKE_NUMBER;
    if (STANDS_IN(w, nots) || strncmp(w->z, "non", 3) == 0)
        return ALIKE_NEGATION;
    if (STANDS_IN(w, much))
        return ALIKE_QUANTITY;
    return w->exact || w->name ? ALIKE_NAME : ALIKE_WORDS;
}

/* at[i]: where the word i of a stands in b; every word of b is taken once. */
static enum alike
match(const struct alike_text *a, const struct alike_text *b, size_t *at)
{
    bool taken[ALIKE_WORDS_MAX] = { false };
    enum alike why = ALIKE_SAME, is;

    for (size_t i = 0; i < a->n; i++) {
        size_t j = 0;

        while (j < b->n && (taken[j] || !same_word(&a->v[i], &b->v[j], a->l)))
            j++;
        at[i] = j;
        if (j < b->n)
            taken[j] = true;
        else if ((is = name_of(&a->v[i])) < why || why == ALIKE_SAME)
            why = is;
    }
    for (size_t j = 0; j < b->n; j++)
        if (!taken[j] && ((is = name_of(&b->v[j])) < why || why == ALIKE_SAME))
            why = is;
    return why;
}

/* ---- order */

static bool
is_loose(enum alike_case c)
{
    return c == CASE_OF || c == CASE_FOR;
}

/* May a word that belongs to the one preposition belong to the other? */
static bool
cases_agree(enum alike_case a, enum alike_case b)
{
    return a == b || (is_loose(a) && is_loose(b)) || (a == CASE_FOR && b == CASE_LOC) ||
           (a == CASE_LOC && b == CASE_FOR);
}

struct pair { /* a word in both texts */
    const struct alike_word *a, *b;
    bool bent; /* "backup of Postgres" in one, "Postgres backup" in the other */
};

static bool
is_repeated(const struct alike_text *t, enum alike_case c)
{
    int first = 0;

    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].in == c && first == 0)
            first = t->v[i].phrase;
        else if (t->v[i].in == c && t->v[i].phrase != first)
            return true;
    return false;
}

/* The words x and y of a stand the other way round in b. */
static bool
may_turn(const struct alike_text *a, const struct alike_text *b, const struct pair *x, const struct pair *y)
{
    const struct pair *moved = x->a->in != CASE_NONE ? x : y;

    if (STANDS_IN(x->a, fixed) || STANDS_IN(y->a, fixed))
        return false;
    if (x->bent != y->bent)
        return !(x->bent ? y : x)->a->in && !(x->bent ? y : x)->b->in;
    if (x->bent || x->a->in != x->b->in || y->a->in != y->b->in || moved->a->in == CASE_NONE)
        return false;
    if (x->a->in == y->a->in)
        return false;
    return !is_repeated(a, moved->a->in) && !is_repeated(b, moved->a->in);
}

static enum alike
orders(const struct alike_text *a, const struct alike_text *b, const size_t *at)
{
    bool turned[ALIKE_WORDS_MAX] = { false };
    struct pair v[ALIKE_WORDS_MAX];
    int bends = 0; /* bit 0: of a's words to none in b, bit 1: the other way */

    for (size_t i = 0; i < a->n; i++) {
        v[i] = (struct pair){ &a->v[i], &b->v[at[i]], false };
        if (!cases_agree(v[i].a->in, v[i].b->in)) {
            if ((v[i].a->in != CASE_NONE && v[i].b->in != CASE_NONE) || !is_loose(v[i].a->in + v[i].b->in))
                return ALIKE_ORDER;
            v[i].bent = true;
            bends |= v[i].a->in ? 1 : 2;
        }
    }
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = i + 1; j < a->n; j++)
            if (at[j] < at[i]) {
                if (!may_turn(a, b, &v[i], &v[j]))
                    return ALIKE_ORDER;
                turned[i] = turned[j] = true;
            }
    for (size_t i = 0; i < a->n; i++)
        if (v[i].bent && !turned[i])
            return ALIKE_ORDER;
    return bends == 3 ? ALIKE_ORDER : ALIKE_SAME;
}

static enum alike
in_order(const struct alike_text *a, const size_t *at)
{
    for (size_t i = 0; i < a->n; i++)
        if (at[i] != i)
            return ALIKE_ORDER;
    return ALIKE_SAME;
}

enum alike
alike_judge(const struct alike_text *a, const struct alike_text *b)
{
    size_t at[ALIKE_WORDS_MAX];
    enum alike why;

    if (a->l != b->l)
        return ALIKE_LANGUAGE;
    if (a->over || b->over || a->n < LEAST || b->n < LEAST)
        return ALIKE_WORDS;
    why = match(a, b, at);
    if (why != ALIKE_SAME)
        return why;
    if (a->marks != b->marks)
        return ALIKE_WISH;
    return a->l == LANG_ENGLISH ? orders(a, b, at) : in_order(a, at);
}
