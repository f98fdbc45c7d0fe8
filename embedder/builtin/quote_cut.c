/* Blocks → units. See quote.h.
 *
 * Headings, questions, exercises, check boxes, pictures and a lead-in of which nothing follows never become
 * units. Some blocks go together: a lead-in with its code, list, table or formula; a row with its table's
 * head; a sentence that begins with "It" with the one before. A heading or a question counts for what
 * stands directly under it. */
#include <ctype.h>

#include "text/section.h"
#include "text/sentence.h"
#include "embedder/builtin/quote.h"

enum { LEAST_BYTES = 6, ITEM_BYTES = 320, LABEL_BYTES = 100, LABEL_WORDS = 8, LABELS = 4 };

struct cutter {
    struct digest *d;
    const struct hit *hit;
    size_t n_hit, ord;
    struct block b[QUOTE_BLOCKS];
    size_t n;
    uint32_t title;      /* terms of the title, the chapter and the section */
    uint32_t context;    /* and of the heading at hand */
    uint32_t under;      /* terms of the heading or question that nothing stood under yet */
    uint32_t label;      /* terms of the labels right above */
    uint32_t defined;    /* … of the term that the paragraph explains, on its first line */
    struct str term;     /* from the first of them on, to be quoted with the sentence below */
    uint32_t lead;       /* terms of the sentence before a list or a table */
    bool exercise;       /* the heading says so */
    bool contents;       /* the passage is a table of contents */
    struct str above;    /* the heading at hand */
    struct asking asked; /* what the question has in common with it */
    bool quoted;         /* the block at hand is */
    bool question;       /* under is a question's in the text */
    struct unit *last;   /* the sentence before, for its neighbour */
    struct str before;   /* the sentence before in the same block; may be a question */
};

/* ---- adding */
static bool
has_digit(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (isdigit((unsigned char)s.p[i]))
            return true;
    return false;
}

static bool
has_name(struct str s)
{
    for (size_t i = 2; i < s.n; i++)
        if (isupper((unsigned char)s.p[i]) && s.p[i - 1] == ' ' && !strchr(".!?:", s.p[i - 2]))
            return true;
    return false;
}

static struct unit *
add_unit(struct cutter *c, enum unit_kind kind, struct str text, struct str key)
{
    struct digest *d = c->d;
    struct unit *u = &d->u[d->n];

    if (d->n == QUOTE_UNITS || text.n < LEAST_BYTES)
        return NULL;
    *u = (struct unit){ .kind = kind,
                        .text = text,
                        .key = key,
                        .hit = c->n_hit,
                        .ord = c->ord++,
                        .context = c->context,
                        .under = c->under,
                        .quoted = c->quoted,
                        .pointer = c->contents || quote_points(key) ||
                                   (kind == UNIT_SENTENCE && quote_is_label(key)),
                        .above = c->above,
                        .asked = c->asked };
    u->own = quote_bits(d, text, &u->words);
    u->digits = has_digit(text);
    u->name = has_name(text);
    if (u->words < 2)
        return NULL;
    for (size_t i = 0; i < d->n_terms; i++)
        d->terms[i].seen += u->own >> i & 1;
    d->n++;
    return u;
}

static struct str
span_of(struct str from, struct str to)
{
    return (struct str){ from.p, (size_t)(to.p + to.n - from.p) };
}

/* Sentences that stand beside each other say what the other is about. */
static void
neighbours(struct cutter *c, struct unit *u)
{
    if (!u)
        return;
    if (c->last) {
        u->near |= c->last->own;
        c->last->near |= u->own;
    }
    c->last = u;
}

/* A sentence longer than can be quoted: its pieces between semicolons, lines, or blanks. */
static void
add_pieces(struct cutter *c, struct str s, enum unit_kind kind)
{
    while (s.n > 0) {
        size_t n = s.n <= QUOTE_BYTES / 2 ? s.n : QUOTE_BYTES / 2, cut = 0;
        struct str piece;

        for (size_t i = n / 3; i < n && n < s.n; i++)
            if (s.p[i] == '\n' || s.p[i] == ';')
                cut = i + 1;
        for (size_t i = n; i > n / 2 && n < s.n && cut == 0; i--)
            if (s.p[i] == ' ')
                cut = i;
        piece = utf8_cut(s, cut ? cut : n);
        if (piece.n == 0)
            return;
        s = (struct str){ s.p + piece.n, s.n - piece.n };
        piece = quote_trim(piece);
        neighbours(c, add_unit(c, kind, piece, piece));
    }
}

/* The end of the blocks behind block k that belong to a lead-in at its end: a fence, a table, a formula, or
 * the items of a list. */
static size_t
led_in(const struct cutter *c, size_t k)
{
    size_t i = k + 1;

    if (i < c->n && c->b[i].kind == BLOCK_ITEM) {
        size_t least = c->b[k].kind == BLOCK_ITEM ? c->b[k].indent + 1
                                                  : 0; /* below an item only what is deeper */

        while (i + 1 < c->n &&
               ((c->b[i + 1].kind == BLOCK_ITEM && c->b[i + 1].indent >= least) ||
                (c->b[i + 1].kind == BLOCK_CODE && i + 2 < c->n && c->b[i + 2].kind == BLOCK_ITEM)))
            i++;
        return i;
    }
    return i < c->n && (c->b[i].kind == BLOCK_CODE || c->b[i].kind == BLOCK_TABLE ||
                        c->b[i].kind == BLOCK_FORMULA)
               ? i
               : k;
}

/* As many whole blocks as fit behind a lead-in; the end of the first that does not fit at a line. Code is never cut. */
static struct str
fit_blocks(const struct cutter *c, struct str lead, size_t from, size_t to)
{
    struct str all = lead;

    for (size_t i = from; i <= to; i++) {
        struct str more = span_of(lead, c->b[i].text);

        if (more.n <= QUOTE_BLOCK_BYTES) {
            all = more;
            continue;
        }
        if (c->b[i].kind != BLOCK_TABLE || all.p + all.n > c->b[i].text.p)
            break;
        more.n = QUOTE_BLOCK_BYTES;
        while (more.n > 0 && more.p[more.n - 1] != '\n')
            more.n--;
        all = more.p + more.n > c->b[i].text.p ? quote_trim(more) : all;
        break;
    }
    return all;
}

/* A lead-in with what it leads in; false: nothing that could be quoted stands there. */
static bool
add_led_in(struct cutter *c, size_t k, struct str lead)
{
    size_t to = led_in(c, k), words;
    struct str text;
    struct unit *u;

    if (to == k ||
        (!c->b[k + 1].whole && (c->b[k + 1].kind == BLOCK_CODE || c->b[k + 1].kind == BLOCK_FORMULA)))
        return false;
    text = fit_blocks(c, lead, k + 1, to);
    if (text.n == lead.n || !(u = add_unit(c, UNIT_BLOCK, text, lead)))
        return false;
    u->near |= u->own;
    u->own = quote_bits(c->d, lead, &words);
    return true;
}

/* ---- blocks */
/* Does what follows belong to a sentence at the end of block k that has no colon: code right behind it, or
 * behind a sentence without an end, or the items below an item? */
static bool
leads_on(const struct cutter *c, size_t k, struct str s)
{
    const struct block *next = k + 1 < c->n ? &c->b[k + 1] : NULL;

    if (!next)
        return false;
    if (next->kind == BLOCK_ITEM)
        return c->b[k].kind == BLOCK_ITEM && next->indent > c->b[k].indent + 1 && s.n <= ITEM_BYTES;
    return (next->kind == BLOCK_CODE && (!next->apart || quote_is_open(s))) ||
           ((next->kind == BLOCK_TABLE || next->kind == BLOCK_FORMULA) && quote_is_open(s));
}

static bool
has_notes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (quote_note_end(s, i) > i)
            return true;
    return false;
}

/* The paragraph from a sentence on, when it can be quoted whole: a mark of a footnote in it would be read as one of ours. */
static struct str
rest_of(const struct cutter *c, size_t k, struct str s)
{
    struct str rest = span_of(s, c->b[k].text);

    return c->b[k].kind == BLOCK_TEXT && rest.n <= QUOTE_BYTES && rest.n > s.n && !quote_is_lead_in(rest) &&
                   !sentence_asks(rest) && !has_notes(rest)
               ? rest
               : STR_NONE;
}

static void
cut_sentence(struct cutter *c, size_t k, struct str s, bool last)
{
    struct str whole = s;
    struct unit *u;
    size_t words;

    if (quote_is_sign(s)) {
        c->term = s;
        c->label = quote_bits(c->d, s, &words);
        return;
    }
    if (sentence_asks(s)) {
        c->under = quote_bits(c->d, s, &words);
        c->question = true;
        c->before = s;
        return;
    }
    if (c->exercise || quote_is_exercise(s))
        return;
    if (last && (quote_is_lead_in(s) || leads_on(c, k, s))) {
        c->lead = quote_bits(c->d, s, &words);
        if (add_led_in(c, k, s)) {
            c->under = 0;
            return;
        }
        if (quote_is_lead_in(s))
            return;
    }
    if (s.n > QUOTE_BYTES) {
        add_pieces(c, s, c->b[k].kind == BLOCK_ITEM ? UNIT_ITEM : UNIT_SENTENCE);
        c->before = STR_NONE;
        c->under = 0;
        return;
    }
    if (quote_leans_back(s) && c->before.n > 0 && span_of(c->before, s).n <= QUOTE_BYTES &&
        !sentence_asks(c->before))
        whole = span_of(c->before, s);
    if (c->term.n > 0 && span_of(c->term, s).n <= QUOTE_BYTES)
        whole = span_of(c->term, s);
    u = add_unit(c, c->b[k].kind == BLOCK_ITEM ? UNIT_ITEM : UNIT_SENTENCE, whole, s);
    if (u)
        u->under |= c->defined & ~u->own;
    if (u && c->under != 0)
        u->rest = rest_of(c, k, s);
    if (u && whole.n > s.n) {
        u->near |= u->own;
        u->own = quote_bits(c->d, s, &words) | (whole.p == c->term.p ? c->label : 0);
    }
    c->term = STR_NONE;
    if (u && u->kind == UNIT_ITEM)
        u->near |= c->lead;
    neighbours(c, u);
    c->before = s;
    c->under = 0;
    c->question = false;
}

/* A term on a line of its own above the paragraph that explains it: a heading in all but its mark, and no answer by itself. Directly
 * under a heading or a question that was asked for a line may be one. */
static bool
is_label(const struct cutter *c, size_t k)
{
    bool item = c->b[k].kind == BLOCK_ITEM;
    struct str s = item ? quote_skip_marks(c->b[k].text) : c->b[k].text;
    size_t next = k + 1, words;

    if ((item ? !quote_is_label(s) : c->b[k].kind != BLOCK_TEXT) ||
        (c->under != 0 && (c->asked.in_full || c->question)) || s.n > LABEL_BYTES || str_has_byte(s, '\n') ||
        str_has(s, "://") || !quote_is_open(s) || quote_is_lead_in(s))
        return false;
    while (next < c->n && next < k + LABELS && c->b[next].kind == BLOCK_TEXT &&
           quote_is_open(c->b[next].text) && !quote_is_lead_in(c->b[next].text))
        next++;
    (void)quote_bits(c->d, s, &words);
    return words <= LABEL_WORDS && next < c->n && c->b[next].kind == BLOCK_TEXT && c->b[next].apart &&
           (!quote_is_open(c->b[next].text) || quote_is_lead_in(c->b[next].text));
}

static void
cut_label(struct cutter *c, size_t k)
{
    struct str text = quote_skip_marks(c->b[k].text);
    size_t words;

    if (c->term.n == 0 && !str_eq(text, c->hit->title)) /* which the citation names */
        c->term = text;
    c->label |= quote_bits(c->d, c->b[k].text, &words);
    c->context |= c->label;
    c->lead = 0;
    c->last = NULL;
}

/* A heading, or a question that counts as one. */
static void
stand_under(struct cutter *c, struct str s)
{
    size_t words;

    c->under = quote_bits(c->d, s, &words);
    c->context = c->title | c->under;
    c->above = s;
    c->asked = quote_asks(c->d, s);
    c->lead = 0;
    c->last = NULL;
}

/* A paragraph that asks, over what does not; bytes of it that are the question. */
static size_t
cut_question(struct cutter *c, size_t k)
{
    const struct block *next = k + 1 < c->n && c->b[k + 1].kind != BLOCK_HEADING ? &c->b[k + 1] : NULL;
    size_t end;
    struct str s = section_over_answer(c->b[k].text, next ? next->text : STR_NONE, &end);

    if (s.n == 0)
        return 0;
    stand_under(c, s);
    c->question = true;
    return end;
}

static void
cut_text(struct cutter *c, size_t k, size_t from)
{
    struct str all = c->b[k].text, text = { all.p + from, all.n - from };
    struct span x;
    bool item = c->b[k].kind == BLOCK_ITEM && from == 0;
    size_t at, words;

    text = quote_skip_marks(quote_trim(text));
    if (c->question && c->under != 0)
        text = section_answer(text);
    at = (size_t)(text.p - all.p);
    c->defined = quote_bits(c->d, quote_term_above(text), &words);
    if (!item)
        c->lead = 0;
    c->before = STR_NONE;
    if (item && text.n <= ITEM_BYTES && !sentence_asks(text) && !quote_is_lead_in(text)) {
        cut_sentence(c, k, text, true); /* a short item is quoted whole */
        return;
    }
    while (sentence_next(all, &at, &x)) {
        struct str s = quote_skip_marks((struct str){ all.p + x.start, x.end - x.start });

        s = x.start > 0 ? quote_skip_notes(s) : s;
        if (s.n > 0)
            cut_sentence(c, k, s, at >= all.n);
    }
}

static struct str
line_of(const struct cutter *c, struct str *rest)
{
    const char *nl = memchr(rest->p, '\n', rest->n);
    size_t n = !nl ? rest->n : (size_t)(nl - rest->p), mark = c->quoted ? quote_mark(*rest, 0) : 0;
    struct str line = { rest->p + mark, n - mark };

    *rest = !nl ? (struct str){ rest->p + n, 0 } : (struct str){ nl + 1, rest->n - n - 1 };
    return quote_trim(line);
}

static bool
is_delimiter(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (!strchr("|:- \t", line.p[i]))
            return false;
    return str_has_byte(line, '-');
}

/* The two lines above the rows; of a passage that begins within its table they come along with the hit. */
static struct str
table_head(const struct cutter *c, struct str *rows)
{
    struct str rest = *rows, first = line_of(c, &rest), second = line_of(c, &rest);

    if (is_delimiter(second)) {
        *rows = rest;
        return span_of(first, second);
    }
    if (is_delimiter(first)) {
        *rows = (struct str){ second.p, (size_t)(rows->p + rows->n - second.p) };
        return STR_NONE;
    }
    return fence_opens(c->hit->lead) ? STR_NONE : c->hit->lead;
}

/* Terms of the cell that names the row. */
static uint32_t
first_cell(struct digest *d, struct str row)
{
    size_t words, from = row.n > 0 && row.p[0] == '|';
    const char *bar = from < row.n ? memchr(row.p + from, '|', row.n - from) : NULL;

    return quote_bits(d, (struct str){ row.p + from, !bar ? row.n - from : (size_t)(bar - row.p) - from },
                      &words);
}

static void
cut_table(struct cutter *c, size_t k)
{
    struct str rows = c->b[k].text, head = table_head(c, &rows);
    size_t words;
    uint32_t named = quote_bits(c->d, head, &words);

    if (c->exercise)
        return;
    if (head.p == c->b[k].text.p && c->b[k].text.n <= QUOTE_BLOCK_BYTES) {
        struct unit *u = add_unit(c, UNIT_BLOCK, c->b[k].text,
                                  head); /* the table as a whole, for what only its head names */

        if (u) {
            u->near |= u->own | c->lead;
            u->own = named;
        }
    }
    while (rows.n > 0) {
        struct str row = line_of(c, &rows);
        struct unit *u = row.n <= QUOTE_BYTES ? add_unit(c, UNIT_ROW, row, row) : NULL;

        if (!u)
            continue;
        u->first = first_cell(c->d, row) & u->own;
        u->column = named & ~u->own;
        u->head = head;
        u->near |= c->lead;
        u->own |= u->own ? named : 0; /* the head is quoted along */
        u->near |= named;
    }
    c->under = 0;
}

static void
cut_code(struct cutter *c, size_t k)
{
    struct str rest = c->b[k].text;

    if (c->exercise)
        return;
    if (c->b[k].whole && rest.n <= QUOTE_BLOCK_BYTES) {
        struct str first = line_of(c, &rest);

        (void)add_unit(c, UNIT_CODE, c->b[k].text, first);
        c->under = 0;
        return;
    }
    if (c->b[k].kind == BLOCK_FORMULA)
        return;
    (void)line_of(c, &rest); /* the fence */
    while (rest.n > 0) {
        struct str line = line_of(c, &rest), code = quote_skip_comment(line);
        struct unit *u = code.n > 0 && line.n <= QUOTE_BYTES && !str_starts(line, "```") &&
                                 !str_starts(line, "~~~")
                             ? add_unit(c, UNIT_CODE, line, line)
                             : NULL;
        size_t words;

        if (u) /* a comment beside the code is about more than that line */
            u->own = quote_bits(c->d, code, &words);
    }
}

/* The list that stands directly under a heading, as a whole: the steps of what the heading names. */
static void
add_list(struct cutter *c, size_t first)
{
    struct str lead = { c->b[first].text.p, 0 }, text = fit_blocks(c, lead, first, led_in(c, first - 1));
    struct unit *u = led_in(c, first - 1) > first && !sentence_asks(c->b[first].text) &&
                             !quote_is_exercise(quote_skip_marks(c->b[first].text))
                         ? add_unit(c, UNIT_BLOCK, text, text)
                         : NULL;

    if (!u)
        return;
    u->near |= u->own;
    u->own = 0;
    c->under = 0; /* the heading names the list, not its first item */
}

static void
cut_heading(struct cutter *c, size_t k)
{
    struct str s = c->b[k].text;

    while (s.n > 0 && strchr("#> ", s.p[0]) != NULL)
        s = (struct str){ s.p + 1, s.n - 1 };
    stand_under(c, s);
    c->question = false;
    c->exercise = quote_is_exercise_heading(s);
    if (k + 1 < c->n && c->b[k + 1].kind == BLOCK_ITEM && c->under != 0 && !c->exercise)
        add_list(c, k + 1);
}

static void
cut_hit(struct cutter *c)
{
    c->n = quote_blocks(c->hit->text, c->hit->lead, c->b, QUOTE_BLOCKS);
    for (size_t k = 0; k < c->n; k++) {
        size_t asked;

        c->quoted = c->b[k].quoted;
        switch (c->b[k].kind) {
        case BLOCK_HEADING: cut_heading(c, k); break;
        case BLOCK_TABLE: cut_table(c, k); break;
        case BLOCK_CODE:
        case BLOCK_FORMULA: cut_code(c, k); break;
        case BLOCK_TEXT:
        case BLOCK_ITEM:
            if (is_label(c, k)) {
                cut_label(c, k);
                continue;
            }
            c->under |= c->label;
            asked = cut_question(c, k);
            if (asked < c->b[k].text.n)
                cut_text(c, k, asked);
            break;
        case BLOCK_IDLE: break;
        }
        c->label = 0;
        c->term = STR_NONE;
    }
}

void
quote_cut(struct digest *d)
{
    struct cutter *c = mem_new(sizeof *c);
    size_t n = prompt_passages(d->req), words;

    for (c->n_hit = 0; c->n_hit < n; c->n_hit++) {
        const struct hit *h = &d->req->hits.v[c->n_hit];

        c->d = d;
        c->hit = h;
        c->ord = 0;
        c->last = NULL;
        c->under = c->label = c->lead = 0;
        c->term = STR_NONE;
        c->question = false;
        c->contents = quote_is_contents(h->text);
        c->title = quote_bits(d, h->title, &words) | quote_bits(d, h->chapter, &words) |
                   quote_bits(d, h->section, &words);
        c->context = c->title;
        c->above = section_last(h->section);
        c->exercise = quote_is_exercise_heading(c->above);
        c->asked = quote_asks(d, c->above);
        cut_hit(c);
    }
    mem_free(&c);
}
