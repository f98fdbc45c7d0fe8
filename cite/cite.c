/* Citations of an answer. For each mark: the sentence of the answer that carries it → the sentences of the passage that
 * support it best (a verbatim quote first, else common words weighted by how rare they are in the passage) → an excerpt.
 *
 * An answer without any mark gets marks by evidence: see cite_evidence.c. A sentence that stands word for word in a passage
 * that nothing cites gets its mark, too. Never by guess.
 *
 *   confidence = the best of: score of the passage × (0.5 + 0.5 × share of the statement's words that the excerpt has) */
#include "cite/cite_int.h"

#include "common/text/text.h"

enum { EVIDENCE_BYTES = 8 << 20 };

struct matcher {
    struct bag *bag;
    double sum; /* weights found */
    bool count; /* first pass: count sentences that have the word */
    bool seen[STATEMENT_WORDS];
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

void
cite_bag_more(struct citer *c, struct str statement)
{
    words_each(c->words, statement, bag_add, &c->bag);
}

void
cite_bag(struct citer *c, struct str statement)
{
    c->bag.n = 0;
    cite_bag_more(c, statement);
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

double
cite_common(struct citer *c, struct str text)
{
    for (size_t i = 0; i < c->bag.n; i++)
        c->bag.weight[i] = 1;
    return match(c, text, false);
}

struct str
cite_slice(struct str s, struct span x)
{
    return (struct str){ s.p + x.start, x.end - x.start };
}

size_t
cite_split(struct str text, struct span *v)
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
    return utf8_count(cite_slice(text, wide)) <= CITE_EXCERPT_CHARS ? wide : x;
}

/* Rare words say more: weight = 1 / sentences that have the word (and little when no sentence does). */
static double
weigh(struct citer *c, struct str text, const struct span *v, size_t n)
{
    double all = 1e-9;

    memset(c->bag.weight, 0, sizeof c->bag.weight);
    for (size_t i = 0; i < n; i++)
        (void)match(c, cite_slice(text, v[i]), true);
    for (size_t k = 0; k < c->bag.n; k++) {
        c->bag.weight[k] = c->bag.weight[k] > 0 ? 1 / (0.5 + 0.5 * c->bag.weight[k]) : 1;
        all += c->bag.weight[k];
    }
    return all;
}

/* The sentence that shares most with the statement, and its neighbour when that adds to it and both fit. */
struct support
cite_best_sentences(struct citer *c, struct str text, const struct span *v, size_t n)
{
    struct support s = { .set = true };
    double all = weigh(c, text, v, n), top = -1;
    size_t best = 0;

    for (size_t i = 0; i < n; i++) {
        double got = match(c, cite_slice(text, v[i]), false);

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
        double got = match(c, cite_slice(text, wide), false);

        if (got > top * 1.2 && utf8_count(cite_slice(text, wide)) <= CITE_EXCERPT_CHARS) {
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
    size_t n = cite_split(h->text, v);

    if (cite_verbatim(h->text, statement, &quote))
        return (struct support){ widen(h->text, v, n, quote), 1, true, true };
    cite_bag(c, statement);
    s = cite_best_sentences(c, h->text, v, n);
    if (s.overlap > 0)
        return s;
    /* The answer's own words are not there (another language, pure paraphrase): show what the question points at. */
    cite_bag(c, c->req->question);
    s = cite_best_sentences(c, h->text, v, n);
    s.overlap = 0;
    return s;
}

/* The end of the last sentence that begins at or behind start and is over at end; start: there is none. */
static size_t
sentences_until(struct str text, size_t start, size_t end)
{
    size_t at = start, last = start;
    struct span x;

    while (sentence_next(text, &at, &x) && x.end <= end)
        last = x.end;
    return last;
}

/* Exactly the passage's bytes, at most 300 characters, cut behind a sentence, else at a space, else between characters. */
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
    if (i == x.end)
        return x;
    size_t whole = sentences_until(text, x.start, i);

    if (whole > x.start + (i - x.start) / 3)
        i = whole;
    else if (space > x.start + (i - x.start) * 3 / 4)
        i = space;
    return span_trim(text, (struct span){ x.start, i });
}

bool
cite_usable(const struct hit *h)
{
    return h->text.n > 0 && h->end - h->start == (int64_t)h->text.n && h->start >= 0 && utf8_valid(h->text);
}

static void
write_citation(const struct citer *c, size_t i, struct citation *out)
{
    const struct hit *h = &c->req->hits.v[i];
    struct span x = fit(h->text, c->best[i].span);
    double score = h->score > 1 ? 1 : h->score > 0 ? h->score : 0;

    *out = (struct citation){ .id = uuid_v7(),
                              .n = (int64_t)i + 1,
                              .document_id = h->document_id,
                              .chunk_id = h->chunk_id,
                              .external_id = h->external_id,
                              .title = h->title,
                              .chapter = h->chapter,
                              .section = h->section,
                              .url = h->url,
                              .excerpt = cite_slice(h->text, x),
                              .start = h->start + (int64_t)x.start,
                              .end = h->start + (int64_t)x.end,
                              .page = h->page,
                              .score = score * (0.5 + 0.5 * c->best[i].overlap) };
}

/* The bytes behind a mark of the answer that go on in the passage at i, in whole lines: code and lists
 * behind their lead-in. */
static size_t
goes_on(struct str answer, size_t mark, struct str text, size_t i)
{
    size_t from = cite_mark_end(answer, mark), n = 0, line = 0;

    for (; from + n < answer.n && i + n < text.n && answer.p[from + n] == text.p[i + n]; n++)
        line = text.p[i + n] == '\n' ? n : line;
    return from + n == answer.n || i + n == text.n ? n : line;
}

/* The marks belong to quotes: all between the mark before and this one stands in the passage, as one piece,
 * or behind an empty line. */
static bool
quoted_span(const struct citer *c, const struct marks *m, size_t i, struct str text, struct span *out)
{
    size_t end = m->v[i].at, sentences = 0, at = 0;
    size_t from = i > 0 ? cite_mark_end((struct str){ c->answer.p, end }, m->v[i - 1].at) : 0;
    struct span x, all;

    for (int k = 0; k < 2; k++) {
        all = span_trim(c->answer, (struct span){ from, end });
        struct str piece = cite_slice(c->answer, all);
        const char *hit = piece.n >= QUOTE_MIN ? memmem(text.p, text.n, piece.p, piece.n) : NULL;

        if (hit) {
            *out = (struct span){ (size_t)(hit - text.p), (size_t)(hit - text.p) + piece.n };
            while (sentence_next(piece, &at, &x))
                sentences++;
            out->end += goes_on(c->answer, m->v[i].at, text, out->end);
            return sentences != 2 || utf8_count(piece) <= CITE_EXCERPT_CHARS; /* of two the second is meant */
        }
        for (size_t b = all.start; b + 1 < all.end; b++)
            from = c->answer.p[b] == '\n' && c->answer.p[b + 1] == '\n' ? b : from;
    }
    return false;
}

static void
look_up(struct citer *c, const struct marks *m, struct cite_counts *counts)
{
    cite_leads(c, m);
    for (size_t i = 0; i < m->n && i < LOOKED_MAX; i++) {
        const struct hit *h = &c->req->hits.v[m->v[i].n - 1];
        struct support *best = &c->best[m->v[i].n - 1];

        if (!cite_usable(h))
            continue;
        struct support s = { .overlap = 1, .verbatim = true, .set = true };

        if (!c->req->marked || !quoted_span(c, m, i, h->text, &s.span))
            s = support_for(c, h, cite_statement(c, m, i));
        counts->support[counts->n_support++] = (struct mark_support){ m->v[i].n, s.overlap };
        if (s.set && !best->verbatim && (!best->set || s.verbatim || s.overlap > best->overlap))
            *best = s;
    }
}

static enum err
resolve(struct citer *c, struct marks *m, struct cite_rep *rep, struct cite_counts *counts)
{
    counts->support = arena_alloc(c->arena, LOOKED_MAX * sizeof *counts->support);
    if (!counts->support)
        return ERR_INTERNAL;
    look_up(c, m, counts);
    rep->citations.v = arena_alloc(c->arena, (c->req->hits.n + 1) * sizeof *rep->citations.v);
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

/* ---- the whole */

/* All that a bracket of the answer may have been copied from. */
static bool
evidence_of(const struct cite_req *req, struct arena *a, struct evidence *e)
{
    struct str *v = arena_alloc(a, (4 * req->hits.n + 3) * sizeof *v);

    *e = (struct evidence){ .text = v, .budget = EVIDENCE_BYTES };
    if (!v)
        return false;
    for (size_t i = 0; i < req->hits.n; i++) {
        const struct hit *h = &req->hits.v[i];

        v[e->n++] = h->text;
        v[e->n++] = h->title;
        v[e->n++] = h->chapter;
        v[e->n++] = h->section;
    }
    v[e->n++] = req->question;
    v[e->n++] = req->selection;
    v[e->n++] = req->page_context;
    return true;
}

/* refused: of the marks that were found before, those that are taken out now; NULL: none. */
static bool
find_marks(const struct cite_req *req, const bool *refused, struct arena *a, struct buf *clean,
           struct marks *marks)
{
    struct evidence evidence;
    struct marks_in in = { .answer = req->answer,
                           .hits = req->refused ? 0 : req->hits.n,
                           .evidence = &evidence,
                           .refused = refused,
                           .n_refused = refused ? LOOKED_MAX : 0,
                           .have_given = req->marked,
                           .n_given = req->marks.n };
    struct mark *given = arena_alloc(a, (req->marks.n + 1) * sizeof *given);

    if (!given || !evidence_of(req, a, &evidence))
        return false;
    for (size_t i = 0; i < req->marks.n; i++)
        given[i] = (struct mark){ (long)req->marks.v[i].n,
                                  (size_t)(req->marks.v[i].at < 0 ? 0 : req->marks.v[i].at) };
    in.given = given;
    return marks_find(&in, clean, a, marks);
}

/* A sentence loses the marks of passages that say nothing of it. */
static bool
check_marks(struct citer *c, struct buf *clean, struct marks *marks, struct cite_counts *counts)
{
    bool refused[LOOKED_MAX] = { 0 };

    counts->unsupported = cite_unsupported(c, marks, refused);
    if (counts->unsupported == 0)
        return true;
    buf_reset(clean);
    if (!find_marks(c->req, refused, c->arena, clean, marks))
        return false;
    c->answer = arena_str(c->arena, buf_slice(clean));
    return c->answer.p != NULL;
}

enum err
cite_answer(const struct cite_req *req, struct words *w, struct arena *a, struct cite_rep *rep,
            struct cite_counts *counts)
{
    struct citer *c = arena_alloc(a, sizeof *c);
    struct buf clean = BUF_MAX(2 * req->answer.n + 64), marked = BUF_MAX(2 * req->answer.n + 1024);
    struct marks marks = { 0 };
    enum err err = ERR_INTERNAL;

    *rep = (struct cite_rep){ 0 };
    *counts = (struct cite_counts){ 0 };
    if (!c || !find_marks(req, NULL, a, &clean, &marks))
        goto out;
    counts->dropped = marks.dropped;
    counts->own = marks.own;
    rep->answer = arena_str(a, buf_slice(&clean));
    if (!rep->answer.p)
        goto out;
    c->req = req;
    c->words = w;
    words_language(w, language_given(req->hits.n > 0 ? req->hits.v[0].language : STR_NONE, req->answer,
                                     language_of(req->question, 0, LANG_ENGLISH)));
    c->arena = a;
    c->answer = rep->answer;
    if (!req->marked && !req->refused && req->hits.n > 0) {
        if (!check_marks(c, &clean, &marks, counts) || !cite_by_evidence(c, &marked, &marks, &counts->added))
            goto out;
        rep->answer = c->answer;
    }
    err = marks.n ? resolve(c, &marks, rep, counts) : ERR_OK;
out:
    buf_free(&marked);
    buf_free(&clean);
    return err;
}
