/* Citations of an answer. For each mark: the sentence of the answer that carries it → the sentences of the passage that
 * support it best (a verbatim quote first, else common words weighted by how rare they are in the passage) → an excerpt.
 *
 * An answer without any mark gets marks by evidence: see mark_by_evidence. Never by guess.
 *
 *   confidence = the best of: score of the passage × (0.5 + 0.5 × share of the statement's words that the excerpt has) */
#include "cite/cite.h"

#include "common/text.h"
#include "cite/marks.h"
#include "cite/sentence.h"

enum { STATEMENT_WORDS = 256, SENTENCES_MAX = 512, QUOTE_MIN = 12, CITED_MAX = 200, LOOKED_MAX = 400,
       UNMARKED_MAX = 24, UNMARKED_WORDS = 3 };
#define UNMARKED_OVERLAP 0.75       /* of a statement's weight, in at most three sentences of one passage */
#define UNMARKED_LEAD 0.15          /* before the next passage */

struct bag {                        /* distinct words of a statement */
    uint64_t h[STATEMENT_WORDS];
    double weight[STATEMENT_WORDS];
    size_t n;
};

struct matcher {
    struct bag *bag;
    double sum;                     /* weights found */
    bool count;                     /* first pass: count sentences that have the word */
    bool seen[STATEMENT_WORDS];
};

struct support {                    /* the best place found for one n */
    struct span span;               /* in hit.text */
    double overlap;                 /* 0 … 1 */
    bool verbatim;
    bool set;
};

struct citer {
    const struct cite_req *req;
    struct words *words;
    struct arena *arena;
    struct str answer;              /* cleaned */
    struct bag bag;
    struct span sentences[SENTENCES_MAX]; /* of the passage at hand */
    struct support best[CITED_MAX]; /* by n − 1 */
};

static void
bag_add(void *arg, const struct word *w)
{
    struct bag *b = arg;

    if (w->cls == WORD_STOP || b->n == STATEMENT_WORDS)
        return;
    for (size_t i = 0; i < b->n; i++)
        if (b->h[i] == w->h)
            return;
    b->h[b->n++] = w->h;
}

static void
match_word(void *arg, const struct word *w)
{
    struct matcher *m = arg;

    if (w->cls == WORD_STOP)
        return;
    for (size_t i = 0; i < m->bag->n; i++) {
        if (m->bag->h[i] != w->h || m->seen[i])
            continue;
        m->seen[i] = true;
        m->sum += m->count ? 0 : m->bag->weight[i];
        m->bag->weight[i] += m->count;
        return;
    }
}

static double
match(struct citer *c, struct str text, bool count)
{
    struct matcher m = { .bag = &c->bag, .count = count };

    words_each(c->words, text, match_word, &m);
    return m.sum;
}

static struct str
slice(struct str s, struct span x)
{
    return (struct str){ s.p + x.start, x.end - x.start };
}

/* The statement a mark belongs to: the sentence of the cleaned answer that ends at, or runs over, the mark; marks cut. */
static struct span
statement_of(struct str answer, size_t mark)
{
    size_t from = mark > 1200 ? mark - 1200 : 0, at, e = mark;
    struct span x, last = { 0 };

    while (from && from < mark && ((unsigned char)answer.p[from] & 0xc0) == 0x80)
        from++;
    for (;;) {                      /* back over marks and spaces before this one */
        while (e > from && (space_byte(answer.p[e - 1]) || answer.p[e - 1] == ']'))
            e--;
        size_t b = e;

        while (b > from && ((answer.p[b - 1] >= '0' && answer.p[b - 1] <= '9') || answer.p[b - 1] == ',' ||
                            answer.p[b - 1] == ' '))
            b--;
        if (b == e || b == from || answer.p[b - 1] != '[')
            break;
        e = b - 1;
    }
    struct str before = { answer.p, e };

    at = from;
    while (sentence_next(before, &at, &x))
        last = x;
    return last;
}

/* A quoted piece or the whole statement, found byte for byte in the passage. */
static bool
find_verbatim(struct str text, struct str statement, struct span *out)
{
    static const char *const open[] = { "\"", "\xe2\x80\x9c" }, *const close[] = { "\"", "\xe2\x80\x9d" };

    for (size_t q = 0; q < 2; q++) {
        const char *b = memmem(statement.p, statement.n, open[q], strlen(open[q]));

        if (!b)
            continue;
        b += strlen(open[q]);
        const char *e = memmem(b, (size_t)(statement.p + statement.n - b), close[q], strlen(close[q]));
        const char *at = e && e - b >= QUOTE_MIN ? memmem(text.p, text.n, b, (size_t)(e - b)) : NULL;

        if (at) {
            *out = (struct span){ (size_t)(at - text.p), (size_t)(at - text.p) + (size_t)(e - b) };
            return true;
        }
    }
    while (statement.n && strchr("-*># \"", statement.p[0])) {
        statement.p++;
        statement.n--;
    }
    while (statement.n && strchr(".\" *", statement.p[statement.n - 1]))
        statement.n--;
    const char *at = statement.n >= QUOTE_MIN ? memmem(text.p, text.n, statement.p, statement.n) : NULL;

    if (at)
        *out = (struct span){ (size_t)(at - text.p), (size_t)(at - text.p) + statement.n };
    return at != NULL;
}

static size_t
split(struct str text, struct span *v)
{
    size_t n = 0, at = 0;

    while (n < SENTENCES_MAX && sentence_next(text, &at, &v[n]))
        n++;
    return n;
}

/* Whole sentences around a quote, as long as they fit. */
static struct span
widen(struct str text, const struct span *v, size_t n, struct span x)
{
    struct span wide = x;

    for (size_t i = 0; i < n; i++)
        if (v[i].end > x.start && v[i].start < x.end) {
            wide.start = v[i].start < wide.start ? v[i].start : wide.start;
            wide.end = v[i].end > wide.end ? v[i].end : wide.end;
        }
    return utf8_count(slice(text, wide)) <= CITE_EXCERPT_CHARS ? wide : x;
}

/* Rare words say more: weight = 1 / sentences that have the word (and little when no sentence does). */
static double
weigh(struct citer *c, struct str text, const struct span *v, size_t n)
{
    double all = 1e-9;

    memset(c->bag.weight, 0, sizeof(c->bag.weight));
    for (size_t i = 0; i < n; i++)
        (void)match(c, slice(text, v[i]), true);
    for (size_t k = 0; k < c->bag.n; k++) {
        c->bag.weight[k] = c->bag.weight[k] > 0 ? 1 / (0.5 + 0.5 * c->bag.weight[k]) : 1;
        all += c->bag.weight[k];
    }
    return all;
}

/* The sentence that shares most with the statement, and its neighbour when that adds to it and both fit. */
static struct support
best_sentences(struct citer *c, struct str text, const struct span *v, size_t n)
{
    struct support s = { .set = true };
    double all = weigh(c, text, v, n), top = -1;
    size_t best = 0;

    for (size_t i = 0; i < n; i++) {
        double got = match(c, slice(text, v[i]), false);

        if (got > top) {
            top = got;
            best = i;
        }
    }
    s.span = n ? v[best] : (struct span){ 0, text.n };
    for (size_t k = 0; n && k < 2; k++) {
        if ((k == 0 && best + 1 >= n) || (k == 1 && best == 0))
            continue;
        struct span wide = k == 0 ? (struct span){ s.span.start, v[best + 1].end }
                                  : (struct span){ v[best - 1].start, s.span.end };
        double got = match(c, slice(text, wide), false);

        if (got > top * 1.2 && utf8_count(slice(text, wide)) <= CITE_EXCERPT_CHARS) {
            top = got;
            s.span = wide;
        }
    }
    s.overlap = top > 0 ? top / all : 0;
    return s;
}

static struct support
support_for(struct citer *c, const struct hit *h, struct str statement)
{
    struct span *v = c->sentences, quote;
    struct support s;
    size_t n = split(h->text, v);

    if (find_verbatim(h->text, statement, &quote))
        return (struct support){ widen(h->text, v, n, quote), 1, true, true };
    c->bag.n = 0;
    words_each(c->words, statement, bag_add, &c->bag);
    s = best_sentences(c, h->text, v, n);
    if (s.overlap > 0)
        return s;
    /* The answer's own words are not there (another language, pure paraphrase): show what the question points at. */
    c->bag.n = 0;
    words_each(c->words, c->req->question, bag_add, &c->bag);
    s = best_sentences(c, h->text, v, n);
    s.overlap = 0;
    return s;
}

/* Exactly the passage's bytes, at most 300 characters, cut between characters (at a space when one is near). */
static struct span
fit(struct str text, struct span x)
{
    size_t i = x.start, chars = 0, space = 0;

    x = span_trim(text, x);
    i = x.start;
    while (i < x.end && chars < CITE_EXCERPT_CHARS) {
        if (space_byte(text.p[i]))
            space = i;
        i++;
        while (i < x.end && ((unsigned char)text.p[i] & 0xc0) == 0x80)
            i++;
        chars++;
    }
    if (i < x.end && space > x.start + (i - x.start) * 3 / 4)
        i = space;
    return span_trim(text, (struct span){ x.start, i });
}

static bool
usable(const struct hit *h)
{
    return h->text.n > 0 && h->end - h->start == (int64_t)h->text.n && h->start >= 0 && utf8_valid(h->text);
}

static void
write_citation(const struct citer *c, size_t i, struct citation *out)
{
    const struct hit *h = &c->req->hits.v[i];
    struct span x = fit(h->text, c->best[i].span);
    double score = h->score > 1 ? 1 : h->score > 0 ? h->score : 0;

    *out = (struct citation){ .id = uuid_v7(), .n = (int64_t)i + 1, .document_id = h->document_id,
        .chunk_id = h->chunk_id, .external_id = h->external_id, .title = h->title, .chapter = h->chapter,
        .section = h->section, .url = h->url, .excerpt = slice(h->text, x), .start = h->start + (int64_t)x.start,
        .end = h->start + (int64_t)x.end, .score = score * (0.5 + 0.5 * c->best[i].overlap) };
}

static void
look_up(struct citer *c, const struct marks *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct hit *h = &c->req->hits.v[m->v[i].n - 1];
        struct support *best = &c->best[m->v[i].n - 1];

        if (best->verbatim || !usable(h) || i >= LOOKED_MAX)
            continue;
        struct support s = support_for(c, h, slice(c->answer, statement_of(c->answer, m->v[i].at)));

        if (s.set && (!best->set || s.verbatim || s.overlap > best->overlap))
            *best = s;
    }
}

static enum err
resolve(struct citer *c, struct marks *m, struct cite_rep *rep, struct cite_counts *counts)
{
    look_up(c, m);
    rep->citations.v = arena_alloc(c->arena, (c->req->hits.n + 1) * sizeof(*rep->citations.v));
    if (!rep->citations.v)
        return ERR_INTERNAL;
    for (size_t i = 0; i < c->req->hits.n && i < CITED_MAX; i++) {
        if (!c->best[i].set)
            continue;
        struct citation *out = &rep->citations.v[rep->citations.n++];

        write_citation(c, i, out);
        counts->verbatim += c->best[i].verbatim;
        if (out->score > rep->confidence)
            rep->confidence = out->score;
    }
    counts->marks = m->n;
    rep->grounded = rep->citations.n > 0;
    return ERR_OK;
}

/* ---- an answer without marks ---- */

struct facts {                      /* what must agree beside the words */
    struct str text;
    uint64_t number[32];
    size_t n;
    bool negated;
};

static void
fact_add(void *arg, const struct word *w)
{
    static const char *const no[] = { "no", "not", "never", "nor", "none", "neither", "cannot", "without" };
    struct facts *f = arg;
    struct str s = { f->text.p + w->start, w->end - w->start };
    bool digit = false;

    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        f->negated = f->negated || (strlen(no[i]) == s.n && strncasecmp(no[i], s.p, s.n) == 0);
    for (size_t i = 0; i < s.n; i++)
        digit = digit || (s.p[i] >= '0' && s.p[i] <= '9');
    if (digit && f->n < sizeof(f->number) / sizeof(*f->number))
        f->number[f->n++] = w->h;
}

static void
facts_of(struct citer *c, struct str text, struct facts *f)
{
    *f = (struct facts){ .text = text };
    words_each(c->words, text, fact_add, f);
    f->negated = f->negated || memmem(text.p, text.n, "n't", 3) || memmem(text.p, text.n, "n\xe2\x80\x99t", 5);
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
    if (uuid_eq(&a->document_id, &b->document_id) && a->start + (int64_t)x.start < b->start + (int64_t)y.end &&
        b->start + (int64_t)y.start < a->start + (int64_t)x.end)
        return true;
    return str_eq(slice(a->text, x), slice(b->text, y));
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

    facts_of(c, statement, &said);
    for (size_t i = 0; i < c->req->hits.n && i < CITED_MAX; i++) {
        c->bag.n = 0;
        words_each(c->words, statement, bag_add, &c->bag);
        if (c->bag.n < UNMARKED_WORDS)
            return 0;
        if (!usable(&hits[i]))
            continue;
        struct support s = best_sentences(c, hits[i].text, c->sentences, split(hits[i].text, c->sentences));
        bool same = best.set && same_place(&hits[at], best.span, &hits[i], s.span);

        if (!agrees(c, &said, slice(hits[i].text, s.span)))
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

/* Where a mark belongs in a sentence of prose: before its full stop. 0: it states nothing, or a mark would break it. */
static size_t
mark_place(struct str answer, struct span x)
{
    size_t end = x.end, ticks = 0;

    if (x.start == end || strchr("?:|", answer.p[end - 1]) || strchr("|#", answer.p[x.start]))
        return 0;
    while (end > x.start && strchr(".!", answer.p[end - 1]))
        end--;
    for (size_t i = x.start; i < end; i++)
        ticks += answer.p[i] == '`';
    return ticks % 2 ? 0 : end;
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

/* Small models cite badly. A sentence whose words stand nearly all in one passage, numbers and denials alike, and in no
 * other passage as well, gets that passage's mark. What nothing supports stays as it is, and ungrounded. */
static bool
mark_by_evidence(struct citer *c, struct buf *out, struct marks *m)
{
    size_t at = 0, copied = 0;
    struct span x;

    m->v = arena_alloc(c->arena, UNMARKED_MAX * sizeof(*m->v));
    if (!m->v)
        return false;
    for (size_t i = 0; i < UNMARKED_MAX && sentence_next(c->answer, &at, &x); i++) {
        size_t place = in_fence(c->answer, x.end) ? 0 : mark_place(c->answer, x);
        long n = place > x.start ? passage_of(c, slice(c->answer, x)) : 0;

        if (n == 0)
            continue;
        buf_add(out, c->answer.p + copied, place - copied);
        m->v[m->n++] = (struct mark){ n, out->n + 1 };
        buf_printf(out, " [%ld]", n);
        copied = place;
    }
    buf_add(out, c->answer.p + copied, c->answer.n - copied);
    c->answer = arena_str(c->arena, buf_slice(out));
    return c->answer.p && !out->failed;
}

enum err
cite_answer(const struct cite_req *req, struct words *w, struct arena *a, struct cite_rep *rep,
            struct cite_counts *counts)
{
    struct citer *c = arena_alloc(a, sizeof(*c));
    struct buf clean = BUF_MAX(2 * req->answer.n + 64), marked = BUF_MAX(2 * req->answer.n + 1024);
    struct marks marks = { 0 };
    enum err err = ERR_INTERNAL;

    *rep = (struct cite_rep){ 0 };
    *counts = (struct cite_counts){ 0 };
    if (!c || !marks_find(req->answer, req->refused ? 0 : req->hits.n, &clean, a, &marks))
        goto out;
    counts->dropped = marks.dropped;
    rep->answer = arena_str(a, buf_slice(&clean));
    if (!rep->answer.p)
        goto out;
    c->req = req;
    c->words = w;
    words_language(w, language_of(req->answer, 0, language_of(req->question, 0, LANG_ENGLISH)));
    c->arena = a;
    c->answer = rep->answer;
    if (marks.n == 0 && !req->refused && req->hits.n > 0) {
        if (!mark_by_evidence(c, &marked, &marks))
            goto out;
        rep->answer = c->answer;
        counts->added = marks.n;
    }
    err = marks.n ? resolve(c, &marks, rep, counts) : ERR_OK;
out:
    buf_free(&marked);
    buf_free(&clean);
    return err;
}
