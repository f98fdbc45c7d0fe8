/* Marks by evidence: sentences that a passage says, which the model did not mark. */
#include "cite/cite_int.h"

enum { UNMARKED_MAX = 24, UNMARKED_WORDS = 3, OPEN_MAX = 3 };
#define UNMARKED_OVERLAP 0.75 /* of a statement's weight, in at most three sentences of one passage */
#define UNMARKED_LEAD 0.15    /* before the next passage */

struct facts { /* facts that must agree beside the words */
    struct str text;
    uint64_t number[32];
    size_t n;
    bool negated;
};

/* Folded, as text/words.h has them. */
static const char *const denials[] = {
    "no",     "not",    "never",  "nor",     "none",   "neither", "nobody",  "cannot",  "without", "nicht",
    "kein",   "keine",  "keinen", "keinem",  "keiner", "nie",     "niemals", "ohne",    "ne",      "pas",
    "jamais", "sans",   "aucun",  "aucune",  "nunca",  "sin",     "ningun",  "ninguna", "jamas",   "non",
    "mai",    "senza",  "nessun", "nessuna", "nao",    "sem",     "nenhum",  "nenhuma", "niet",    "geen",
    "nooit",  "zonder", "bez",    "не",      "нет",    "без",     "никогда", "inte",    "ingen",   "aldrig",
    "utan",   "ikke",   "aldri",  "uten",    "uden",   "ei",      "ilman",   "nu",      "fara",    "degil",
    "لا",     "ليس",    "لم",     "नहीं",
};

static void
fact_add(void *arg, const struct word *w)
{
    struct facts *f = arg;
    struct str s = { f->text.p + w->start, w->end - w->start };
    bool digit = false;

    f->negated = f->negated || str_is_any(w->folded, denials, sizeof denials / sizeof *denials);
    for (size_t i = 0; i < s.n; i++)
        digit = digit || (s.p[i] >= '0' && s.p[i] <= '9');
    if (digit && f->n < sizeof f->number / sizeof *f->number)
        f->number[f->n++] = w->h;
}

static void
facts_of(struct citer *c, struct str text, struct facts *f)
{
    *f = (struct facts){ .text = text };
    words_each(c->words, text, fact_add, f);
    f->negated = f->negated || str_has(text, "n't") || str_has(text, "n’t") || str_has(text, "不") ||
                 str_has(text, "没") || str_has(text, "ません") || str_has(text, "ない");
}

/* Every number of the statement is there, and both deny something or neither does. */
static bool
agrees(struct citer *c, const struct facts *said, struct str text)
{
    struct facts there;

    facts_of(c, text, &there);
    for (size_t i = 0; i < said->n; i++) {
        bool found = false;

        for (size_t k = 0; k < there.n; k++)
            found = found || there.number[k] == said->number[i];
        if (!found)
            return false;
    }
    return said->negated == there.negated;
}

/* Overlapping passages of one document, or the same words twice, are one piece of evidence. */
static bool
same_place(const struct hit *a, struct span x, const struct hit *b, struct span y)
{
    if (uuid_eq(&a->document_id, &b->document_id) &&
        a->start + (int64_t)x.start < b->start + (int64_t)y.end &&
        b->start + (int64_t)y.start < a->start + (int64_t)x.end)
        return true;
    return str_eq(cite_slice(a->text, x), cite_slice(b->text, y));
}

/* The one passage (from 1) that says what the statement says; 0: none does, or several do in different words. */
static long
passage_of(struct citer *c, struct str statement)
{
    const struct hit *hits = c->req->hits.v;
    struct support best = { 0 };
    struct facts said;
    double next = 0;
    size_t at = 0;

    cite_bag(c, statement);
    if (c->bag.n < UNMARKED_WORDS)
        return 0;
    facts_of(c, statement, &said);
    for (size_t i = 0; i < c->req->hits.n && i < CITED_MAX; i++) {
        if (!cite_usable(&hits[i]))
            continue;
        struct support s = cite_best_sentences(c, hits[i].text, c->sentences,
                                               cite_split(hits[i].text, c->sentences));
        bool same = best.set && same_place(&hits[at], best.span, &hits[i], s.span);

        if (!agrees(c, &said, cite_slice(hits[i].text, s.span)))
            continue;
        if (s.overlap > best.overlap) {
            next = same ? next : best.overlap;
            best = s;
            at = i;
        } else if (!same && s.overlap > next) {
            next = s.overlap;
        }
    }
    return best.overlap >= UNMARKED_OVERLAP && best.overlap - next >= UNMARKED_LEAD ? (long)at + 1 : 0;
}

/* Does the span open a bracket that it does not close? "[Nr. 1]" looks like the end of a sentence. */
static bool
is_open(struct str answer, struct span x)
{
    int depth = 0;

    for (size_t i = x.start; i < x.end; i++) {
        if (answer.p[i] == '[' || answer.p[i] == '(')
            depth++;
        else if ((answer.p[i] == ']' || answer.p[i] == ')') && depth > 0)
            depth--;
    }
    return depth > 0;
}

/* The next sentence, with those that a bracket in it holds together. */
static bool
next_whole(struct str answer, size_t *at, struct span *x)
{
    struct span more;

    if (!sentence_next(answer, at, x))
        return false;
    for (int i = 0; i < OPEN_MAX && is_open(answer, *x); i++) {
        size_t on = *at;

        if (!sentence_next(answer, &on, &more) || memchr(answer.p + x->end, '\n', more.start - x->end))
            break;
        x->end = more.end;
        *at = on;
    }
    return true;
}

/* Bytes of the stop that ends at byte end; 0: none does. */
static size_t
stop_before(struct str answer, size_t from, size_t end)
{
    static const char *const stops[] = { ".", "!", "。", "！", "।", "۔" };

    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        size_t n = strlen(stops[i]);

        if (end >= from + n && memcmp(answer.p + end - n, stops[i], n) == 0)
            return n;
    }
    return 0;
}

/* The place of a mark in a sentence of prose: before its full stop. 0: it states nothing, or a
 * mark would break it. */
static size_t
mark_place(struct str answer, struct span x)
{
    size_t end = x.end, ticks = 0;

    if (x.start == end || strchr("?:|", answer.p[end - 1]) || strchr("|#", answer.p[x.start]))
        return 0;
    for (size_t n; (n = stop_before(answer, x.start, end)) > 0;)
        end -= n;
    for (size_t i = x.start; i < end; i++)
        ticks += answer.p[i] == '`';
    return ticks % 2 || is_open(answer, x) ? 0 : end;
}

static bool
in_fence(struct str answer, size_t end)
{
    const char *at = answer.p, *last = answer.p + end;
    bool open = false;

    while ((at = memmem(at, (size_t)(last - at), "```", 3)) != NULL) {
        open = !open;
        at += 3;
    }
    return open;
}

/* Are the bytes a whole sentence of the passage, or the end of one? */
static bool
ends_sentence(struct str text, struct span x)
{
    bool begins = x.start == 0 || space_byte(text.p[x.start - 1]) || strchr("*_\"(", text.p[x.start - 1]) ||
                  (unsigned char)text.p[x.start - 1] >= 0x80;
    bool wide = x.end < text.n && (unsigned char)text.p[x.end] >= 0xe0; /* 。 and its like */

    return begins && (x.end == text.n || wide || strchr(".!?;:\n\r\"*_)", text.p[x.end]));
}

/* The first passage (from 1) that has the sentence word for word; 0: none, or one that is cited already. */
static long
quoted_passage(const struct citer *c, struct str statement, const bool *cited)
{
    struct span x;
    long n = 0;

    for (size_t i = 0; i < c->req->hits.n && i < CITED_MAX; i++) {
        const struct hit *h = &c->req->hits.v[i];

        if (!cite_usable(h) || !cite_verbatim(h->text, statement, &x) || !ends_sentence(h->text, x))
            continue;
        if (cited[i])
            return 0;
        n = n ? n : (long)i + 1;
    }
    return n;
}

/* Does a mark stand in the sentence, or right behind it? */
static bool
has_mark(const struct marks *m, size_t *next, struct span x, size_t next_start)
{
    while (*next < m->n && m->v[*next].at < x.start)
        (*next)++;
    return *next < m->n && m->v[*next].at < (next_start > x.end + 4 ? x.end + 4 : next_start);
}

struct marking {
    struct buf *out;
    struct marks *old;    /* as the answer has them */
    struct marks all;     /* with those that are put in */
    size_t copied, taken; /* bytes of the answer, marks of old */
    size_t added;
    bool cited[CITED_MAX]; /* by n - 1 */
};

/* Copy the answer up to a place; the marks in it move along. */
static void
carry(const struct citer *c, struct marking *k, size_t to)
{
    for (; k->taken < k->old->n && k->old->v[k->taken].at < to; k->taken++)
        k->all.v[k->all.n++] = (struct mark){ k->old->v[k->taken].n,
                                              k->out->n + k->old->v[k->taken].at - k->copied };
    buf_add(k->out, c->answer.p + k->copied, to - k->copied);
    k->copied = to;
}

static long
proven(struct citer *c, const struct marking *k, struct str statement, bool none)
{
    long n = quoted_passage(c, statement, k->cited);

    return n == 0 && none ? passage_of(c, statement) : n;
}

/* Does the passage have the likely mark, too, behind the same letters? Then it is none. */
static bool
has_likely(const struct citer *c, long n, size_t from, const struct likely *l)
{
    size_t b = l->start, in = b;
    struct str text = c->req->hits.v[n - 1].text;

    while (b > from && l->start - b < 4)
        b--;
    while (in < l->end && c->answer.p[in] == ' ')
        in++;
    if (in < l->end && c->answer.p[in] == '[' &&
        l->end - in > 5 && /* "[Version 1]", where it says "Version 1" */
        memmem(text.p, text.n, c->answer.p + in + 1, l->end - in - 2))
        return true;
    return memmem(text.p, text.n, c->answer.p + b, l->end - b) != NULL;
}

/* The passage (from 1) that a sentence proves, 0: none does. Its mark will stand at *place. A likely mark in front of that says
 * nothing beside it: when both have one number *place moves to where it begins. */
static long
prove(struct citer *c, const struct marking *k, struct span x, bool none, size_t *place)
{
    struct str s = cite_slice(c->answer, x);
    struct likely l = { 0 };
    bool likely = mark_likely(c->answer, x.start, *place, &l);
    long n = proven(c, k, s, none);
    size_t lead;

    if (n == 0 && likely) {
        s.n = l.start - x.start;
        n = proven(c, k, s, none);
    }
    if (n == 0 && (lead = mark_lead(s)) > 0)
        n = proven(c, k, (struct str){ s.p + lead, s.n - lead }, none);
    if (n > 0 && likely && l.n == n && !has_likely(c, n, x.start, &l))
        *place = l.start;
    return n;
}

/* Small models cite badly. In an answer without marks, a sentence whose words stand nearly all in one passage, numbers and
 * denials alike, and in no other passage as well, gets that passage's mark. In any answer, a sentence that stands in a passage
 * word for word gets its mark, when nothing cites that passage. A sentence that nothing
 * supports stays as it is. */
bool
cite_by_evidence(struct citer *c, struct buf *out, struct marks *m, size_t *added)
{
    struct marking k = { .out = out, .old = m };
    bool none = m->n == 0;
    size_t at = 0, next = 0;
    struct span x;

    k.all.v = arena_alloc(c->arena, (m->n + UNMARKED_MAX) * sizeof *m->v);
    if (!k.all.v)
        return false;
    for (size_t i = 0; i < m->n; i++)
        k.cited[m->v[i].n - 1] = true;
    for (size_t i = 0; i < LOOKED_MAX && k.added < UNMARKED_MAX && next_whole(c->answer, &at, &x); i++) {
        size_t place = in_fence(c->answer, x.end) ? 0 : mark_place(c->answer, x), behind = place;

        if (place <= x.start || has_mark(m, &next, x, at))
            continue;
        long n = prove(c, &k, x, none, &place);

        if (n == 0)
            continue;
        carry(c, &k, place);
        k.all.v[k.all.n++] = (struct mark){ n, out->n + 1 };
        k.added++;
        buf_printf(out, " [%ld]", n);
        k.copied = behind;
    }
    carry(c, &k, c->answer.n);
    for (; k.taken < m->n; k.taken++)
        k.all.v[k.all.n++] = (struct mark){ m->v[k.taken].n, out->n };
    *added = k.added;
    k.all.dropped = m->dropped;
    k.all.own = m->own;
    *m = k.all;
    c->answer = arena_str(c->arena, buf_slice(out));
    return c->answer.p && !out->failed;
}
