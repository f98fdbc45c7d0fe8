/* The built-in answers: extractive. The passages are cut into sentences; the one to three that cover the question's words best
 * are quoted verbatim (the very bytes of the passage), each followed by its mark " [n]". When nothing covers enough of the
 * question, the answer is the refusal text. Deterministic; computed on threads.
 *
 *   hits ─▶ lines ─▶ blocks: prose, list, table, code, (headings only as context) ─▶ sentences
 *   question ─▶ stems, rare ones weighing up to some 3 times the common ones       ─▶ coverage + place + hit score
 *
 * Sentences of prose and lists go first; rows of tables and lines of code are quoted only when no prose answers. */
#include <ctype.h>
#include <math.h>

#include "embedder/chat.h"

#define TERMS 32                 /* of the question */
#define SELECTION_TERMS 8        /* of the selected text, when the question has hardly any */
#define SENTENCES 1024           /* that are looked at */
#define SENTENCE_MAX 600         /* bytes; a longer one is not quoted */
#define SENTENCE_MIN 20
#define QUOTES 3
#define LEAST_COVERAGE 0.45
#define SURE 0.6                 /* a hit's score from which one of several words is enough */
#define ALSO 0.72                /* further quotes: at least this share of the best score */

enum block { BLOCK_PROSE, BLOCK_LIST, BLOCK_TABLE, BLOCK_CODE };

struct term {
    uint64_t h;
    unsigned seen;               /* sentences that have it */
    double weight;
};

struct sentence {
    struct str text;             /* slice of the hit */
    size_t hit;                  /* 0, 1, … */
    size_t ord;                  /* within the hit */
    enum block block;
    uint32_t terms;              /* bit i: has term i */
    uint32_t context;            /* bit i: its heading or title has term i */
    size_t words;
    bool digits;
    double coverage, score;
};

struct digest {
    const struct chat_req *req;
    struct tokens *tokens;
    enum language language;
    struct term terms[TERMS];
    size_t n_terms;
    struct sentence *s;          /* SENTENCES */
    size_t n;
    size_t hit, ord;             /* while cutting */
    uint32_t context;
    bool wants_number;
};

/* ---- words */
static uint32_t
terms_in(struct digest *d, struct str text, size_t *words)
{
    struct token w;
    uint32_t bits = 0;

    *words = 0;
    tokens_set(d->tokens, d->language, text);
    while (tokens_next(d->tokens, &w)) {
        (*words)++;
        for (size_t i = 0; i < d->n_terms; i++)
            if (w.h == d->terms[i].h)
                bits |= 1u << i;
    }
    return bits;
}

static void
add_term(struct digest *d, uint64_t h)
{
    for (size_t i = 0; i < d->n_terms; i++)
        if (h == d->terms[i].h)
            return;
    if (d->n_terms < TERMS)
        d->terms[d->n_terms++] = (struct term){ .h = h };
}

/* Terms of a text until there are max; least: the class that says least of those that are taken. */
static void
read_terms(struct digest *d, struct str text, enum word_class least, size_t max)
{
    static const char *const numeric[] = { "many", "much", "long", "often", "when", "large", "old", "fast", "big" };
    struct token w;

    tokens_set(d->tokens, d->language, text);
    while (d->n_terms < max && tokens_next(d->tokens, &w)) {
        for (size_t i = 0; i < sizeof numeric / sizeof numeric[0]; i++)
            d->wants_number |= str_is(w.folded, numeric[i]);
        if (w.cls <= least)
            add_term(d, w.h);
    }
}

/* ---- cutting */
static struct str
trim(struct str s)
{
    while (s.n > 0 && isspace((unsigned char)s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

/* "- ", "* ", "3. ", "> " at the start of a block are marks, not text. */
static struct str
skip_marks(struct str s, enum block *block)
{
    size_t k = 0;

    while (k < s.n && isdigit((unsigned char)s.p[k]))
        k++;
    if (k > 0 && k + 1 < s.n && (s.p[k] == '.' || s.p[k] == ')') && s.p[k + 1] == ' ') {
        *block = BLOCK_LIST;
        return trim((struct str){ s.p + k + 2, s.n - k - 2 });
    }
    if (s.n > 2 && strchr("-*+>", s.p[0]) != NULL && s.p[1] == ' ') {
        *block = s.p[0] == '>' ? *block : BLOCK_LIST;
        return trim((struct str){ s.p + 2, s.n - 2 });
    }
    return s;
}

static void
add_sentence(struct digest *d, struct str text, enum block block)
{
    struct sentence *s = &d->s[d->n];

    text = trim(text);
    if (d->n == SENTENCES || text.n < SENTENCE_MIN || text.n > SENTENCE_MAX)
        return;
    *s = (struct sentence){ .text = text, .hit = d->hit, .ord = d->ord++, .block = block, .context = d->context };
    s->terms = terms_in(d, text, &s->words);
    for (size_t i = 0; i < text.n && !s->digits; i++)
        s->digits = isdigit((unsigned char)text.p[i]) != 0;
    for (size_t i = 0; i < d->n_terms; i++)
        d->terms[i].seen += s->terms >> i & 1;
    if (s->words >= 3)
        d->n++;
}

/* Does a sentence end after p[i]? A terminator (with closing quotes), then space, then no lower-case letter. */
static bool
ends_at(struct str s, size_t i)
{
    size_t k = i + 1;

    if (strchr(".!?", s.p[i]) == NULL)
        return false;
    while (k < s.n && strchr("\"')]*_`", s.p[k]) != NULL)
        k++;
    if (k >= s.n)
        return true;
    if (!isspace((unsigned char)s.p[k]))
        return false;
    if (s.p[i] == '.' && i >= 2 && (s.p[i - 2] == '.' || s.p[i - 2] == ' ') && isalpha((unsigned char)s.p[i - 1]))
        return false; /* "e.g. ", " A. " */
    while (k < s.n && isspace((unsigned char)s.p[k]))
        k++;
    return k >= s.n || !islower((unsigned char)s.p[k]);
}

static void
cut_block(struct digest *d, struct str text, enum block block)
{
    size_t from = 0;

    text = trim(text);
    if (text.n == 0)
        return;
    text = skip_marks(text, &block);
    for (size_t i = 0; i < text.n; i++) {
        size_t k = i + 1;

        if (!ends_at(text, i))
            continue;
        while (k < text.n && strchr("\"')]*_`", text.p[k]) != NULL)
            k++;
        add_sentence(d, (struct str){ text.p + from, k - from }, block);
        from = k;
    }
    if (from < text.n)
        add_sentence(d, (struct str){ text.p + from, text.n - from }, block);
}

static bool
is_underline(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] != line.p[0])
            return false;
    return line.n >= 2 && (line.p[0] == '=' || line.p[0] == '-');
}

static bool
begins_item(struct str line)
{
    enum block b = BLOCK_PROSE;

    return skip_marks(line, &b).p != line.p;
}

static void
cut_hit(struct digest *d, struct str text)
{
    const char *p = text.p, *end = text.p + text.n, *block = p;
    uint32_t title = d->context;
    size_t words;
    bool code = false;

    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *next = nl == NULL ? end : nl + 1;
        struct str raw = { p, (size_t)(next - p) }, line = trim(raw);
        bool fence = str_starts(line, "```") || str_starts(line, "~~~");
        bool apart = line.n == 0 || fence || line.p[0] == '#' || line.p[0] == '|' || is_underline(line) || code;

        if (apart || begins_item(line)) {
            if (!is_underline(line) || line.p[0] == '-')
                cut_block(d, (struct str){ block, (size_t)(p - block) }, BLOCK_PROSE);
            block = apart ? next : p;
        }
        if (!code && line.n > 0 && line.p[0] == '#')
            d->context = title | terms_in(d, line, &words);
        else if (code && !fence)
            add_sentence(d, line, BLOCK_CODE);
        else if (line.n > 0 && line.p[0] == '|')
            add_sentence(d, line, BLOCK_TABLE);
        if (fence)
            code = !code;
        p = next;
    }
    cut_block(d, (struct str){ block, (size_t)(end - block) }, BLOCK_PROSE);
}

static void
cut_all(struct digest *d)
{
    size_t n = prompt_passages(d->req), words;

    for (d->hit = 0; d->hit < n; d->hit++) {
        const struct hit *h = &d->req->hits.v[d->hit];

        d->ord = 0;
        d->context = terms_in(d, h->title, &words) | terms_in(d, h->chapter, &words) | terms_in(d, h->section, &words);
        cut_hit(d, h->text);
    }
}

/* ---- choosing */
/* Rare words weigh more; a word that no sentence has weighs as the rarest of the others. Returns the sum. */
static double
weigh_terms(struct digest *d)
{
    double total = 0, most = 1;

    for (size_t i = 0; i < d->n_terms; i++) {
        struct term *t = &d->terms[i];

        t->weight = t->seen == 0 ? 0 : 1.0 + 0.5 * log(1.0 + (double)d->n / (1.0 + t->seen));
        most = t->weight > most ? t->weight : most;
    }
    for (size_t i = 0; i < d->n_terms; i++) {
        d->terms[i].weight = d->terms[i].seen == 0 ? most : d->terms[i].weight;
        total += d->terms[i].weight;
    }
    return total;
}

static void
weigh(struct digest *d)
{
    double total = weigh_terms(d);

    for (size_t k = 0; k < d->n; k++) {
        struct sentence *s = &d->s[k];
        const struct hit *h = &d->req->hits.v[s->hit];
        double sum = 0, score;

        for (size_t i = 0; i < d->n_terms; i++)
            sum += d->terms[i].weight * ((s->terms >> i & 1) ? 1.0 : (s->context >> i & 1) ? 0.4 : 0.0);
        s->coverage = s->terms == 0 || total <= 0 ? 0 : sum / total;
        score = s->coverage + 0.1 / (1.0 + (double)s->ord) + 0.1 / (1.0 + (double)s->hit);
        score += 0.2 * (h->score < 0 ? 0 : h->score > 1 ? 1 : h->score);
        score += d->wants_number && s->digits ? 0.1 : 0;
        score -= s->words > 45 ? 0.1 : 0;
        score -= islower((unsigned char)s->text.p[0]) && s->block == BLOCK_PROSE ? 0.1 : 0; /* cut off by the chunk's border */
        score -= s->text.p[s->text.n - 1] == '?' || s->text.p[s->text.n - 1] == ':' ? 0.2 : 0;
        s->score = score;
    }
}

static bool
may_quote(const struct digest *d, const struct sentence *s, bool prose)
{
    uint32_t any = s->terms | s->context;
    bool enough = d->n_terms == 1 || (any & (any - 1)) != 0 || d->req->hits.v[s->hit].score >= SURE;

    return s->terms != 0 && enough && s->coverage >= LEAST_COVERAGE && (s->block <= BLOCK_LIST) == prose;
}

static bool
is_news(const struct sentence *s, const struct sentence *const *have, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (have[i] == s || str_eq(have[i]->text, s->text))
            return false;
    return true;
}

static size_t
choose(const struct digest *d, bool prose, const struct sentence **out)
{
    size_t n = 0;

    while (n < QUOTES) {
        const struct sentence *best = NULL;

        for (size_t k = 0; k < d->n; k++) {
            const struct sentence *s = &d->s[k];

            if (may_quote(d, s, prose) && is_news(s, out, n) && (best == NULL || s->score > best->score))
                best = s;
        }
        if (best == NULL || (n > 0 && best->score < out[0]->score * ALSO))
            break;
        out[n++] = best;
    }
    return n;
}

static void
order(const struct sentence **q, size_t n)
{
    for (size_t i = 1; i < n; i++) /* the best stays first; what follows reads in the order of the documents */
        for (size_t k = i; k > 1; k--) {
            const struct sentence *a = q[k - 1], *b = q[k];

            if (a->hit < b->hit || (a->hit == b->hit && a->ord < b->ord))
                break;
            q[k - 1] = b;
            q[k] = a;
        }
}

void
builtin_answer(const struct chat_req *req, struct buf *out, struct chat_marks *marks, bool *refused)
{
    struct digest d = { .req = req, .tokens = tokens_new(), .s = mem_new(SENTENCES * sizeof *d.s) };
    const struct sentence *q[QUOTES];
    size_t n;

    d.language = tokens_language(req->hits.n > 0 ? req->hits.v[0].text : STR_NONE, tokens_language(req->question, LANG_ENGLISH));
    read_terms(&d, req->question, WORD_CONTENT, TERMS);
    if (d.n_terms < 2 && req->selection.n > 0)
        read_terms(&d, req->selection, WORD_CONTENT, SELECTION_TERMS); /* "What does this mean?" */
    if (d.n_terms == 0)
        read_terms(&d, req->question, WORD_WEAK, TERMS);
    if (d.n_terms == 0)
        read_terms(&d, req->question, WORD_STOP, TERMS);
    cut_all(&d);
    weigh(&d);
    n = choose(&d, true, q);
    if (n == 0)
        n = choose(&d, false, q);
    order(q, n);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_c(out, q[i]->block == BLOCK_LIST || q[i]->block == BLOCK_TABLE ? '\n' : ' ');
        buf_str(out, q[i]->text);
        (void)chat_mark(out, marks, q[i]->hit + 1);
    }
    *refused = n == 0;
    if (n == 0)
        buf_str(out, prompt_refusal(req));
    mem_free(&d.s);
    tokens_free(&d.tokens);
}

/* ---- as a provider */
struct quote_job {
    struct chat_run *run;
    struct buf text;
    struct chat_marks marks;
    bool refused;
};

static void
work(void *arg)
{
    struct quote_job *j = arg;

    builtin_answer(j->run->call->req, &j->text, &j->marks, &j->refused);
}

/* Streamed in parts of some words, as a model would. */
static void
finished(void *arg)
{
    struct quote_job *j = arg;
    struct chat_run *r = j->run;
    struct str left = buf_slice(&j->text);

    while (left.n > 0 && !r->cancelled) {
        struct str part = utf8_cut(left, 64);

        while (part.n < left.n && left.p[part.n] != ' ')
            part.n++;
        if (!chat_emit(r, part))
            break;
        chat_flush(r);
        left = (struct str){ left.p + part.n, left.n - part.n };
    }
    r->refused = j->refused;
    r->marked = true;
    r->marks = j->marks;
    r->passages = prompt_passages(r->call->req);
    memcpy(r->finish, "stop", sizeof "stop");
    buf_free(&j->text);
    mem_free(&j);
    chat_finish(r, BUILTIN_CHAT_MODEL);
}

void
chat_builtin_run(struct chat_run *r)
{
    struct quote_job *j = mem_new(sizeof *j);

    j->run = r;
    j->text = BUF_MAX(65536);
    if (threads_run(r->e->threads, work, finished, j) == 0)
        return;
    mem_free(&j);
    chat_fail(r, ERR_BUSY, 500, "the built-in answers have too much to do");
}
