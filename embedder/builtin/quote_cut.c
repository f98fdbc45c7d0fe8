/* Blocks → units. See quote.h.
 *
 * What never becomes a unit: headings, questions, exercises, check boxes, pictures, a lead-in of which nothing follows. What goes
 * together: a lead-in with its code, list, table or formula; a row with its table's head; a sentence that begins with "It" with the one
 * before. A heading or a question counts for what stands directly under it. */
#include <ctype.h>

#include "text/sentence.h"
#include "embedder/builtin/quote.h"

enum { LEAST_BYTES = 6, ITEM_BYTES = 320 };

struct cutter {
    struct digest *d;
    const struct hit *hit;
    size_t n_hit, ord;
    struct block b[QUOTE_BLOCKS];
    size_t n;
    uint32_t title;              /* terms of the title, the chapter and the section */
    uint32_t context;            /* and of the heading at hand */
    uint32_t under;              /* terms of the heading or question that nothing stood under yet */
    uint32_t lead;               /* terms of the sentence before a list or a table */
    bool exercise;               /* the heading says so */
    bool asked;                  /* the question has all words of the heading at hand */
    struct unit *last;           /* the sentence before, for its neighbour */
    struct str before;           /* the sentence before in the same block; may be a question */
};

/* "- ", "* ", "3. ", "> " before a text are marks, not text. */
static struct str
skip_marks(struct str s)
{
    for (;;) {
        size_t k = 0;

        while (k < s.n && isdigit((unsigned char)s.p[k]))
            k++;
        if (k > 0 && k + 1 < s.n && (s.p[k] == '.' || s.p[k] == ')') && s.p[k + 1] == ' ')
            k += 2;
        else if (k == 0 && s.n > 2 && strchr("-*+>", s.p[0]) != NULL && s.p[1] == ' ')
            k = 2;
        else
            return s;
        s = quote_trim((struct str){ s.p + k, s.n - k });
    }
}

/* Without the quotes, brackets and emphasis that may close it. */
static struct str
bare_end(struct str s)
{
    while (s.n > 0 && strchr("\"')]*_` \n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

static bool
ends_with(struct str s, const char *z)
{
    size_t n = strlen(z);

    return s.n >= n && memcmp(s.p + s.n - n, z, n) == 0;
}

static bool
is_question(struct str s)
{
    static const char *const marks[] = { "?", "\xef\xbc\x9f", "\xd8\x9f", "\xcd\xbe", "\xe2\x80\xbd" };

    s = bare_end(s);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (ends_with(s, marks[i]))
            return true;
    return false;
}

static bool
is_lead_in(struct str s)
{
    s = bare_end(s);
    return ends_with(s, ":") || ends_with(s, "\xef\xbc\x9a");
}

static bool
letter(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* "On Fedora, run": what the sentence is about stands in the code or table behind it. */
static bool
is_open(struct str s)
{
    s = bare_end(s);
    return s.n > 0 && strchr(".!?;", s.p[s.n - 1]) == NULL && (unsigned char)s.p[s.n - 1] < 0xe0;
}

/* Does the text, without signs before its first letter, begin with one of these words? */
static bool
begins_with(struct str s, const char *const *list, size_t n)
{
    while (s.n > 0 && !letter(s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);

        if (s.n >= len && strncasecmp(s.p, list[i], len) == 0 && (s.n == len || (unsigned char)s.p[0] >= 0xe0 || !letter(s.p[len])))
            return true;
    }
    return false;
}

/* What a reader is told to do with a text, instead of what the text says. */
static bool
is_exercise(struct str s)
{
    static const char *const verbs[] = { "explain", "define", "describe", "discuss", "compare and contrast", "summarise", "summarize",
        "do some research", "do a little research", "find out", "think about", "reflect on", "in your own words", "can you",
        "name one", "name two", "name three", "list two", "list three", "give an example", "give two", "give three",
        "understand what", "understand how", "understand why", "learn what", "learn how", "after this lesson you",
        "after this chapter you", "by the end of this lesson", "by the end of this chapter", "at the end of this lesson", "erkläre", "erklären sie", "beschreibe", "beschreiben sie",
        "nenne", "nennen sie", "definiere", "diskutiere", "expliquez", "explique", "définissez", "décrivez", "citez", "discutez",
        "explica", "nombra", "descreva", "defina", "spiega", "descrivi", "definisci", "leg uit", "beschrijf",
        "wyjaśnij", "opisz", "vysvětli", "popište", "açıklayın", "объясните", "Объясните", "Опишите" };

    return begins_with(s, verbs, sizeof verbs / sizeof verbs[0]);
}

static bool
is_exercise_heading(struct str s)
{
    static const char *const names[] = { "exercise", "exercises", "quiz", "challenge", "challenges", "assignment", "assignments",
        "homework", "review questions", "discussion questions", "check your understanding", "test yourself", "test your knowledge",
        "knowledge check", "learning objectives", "learning goals", "practice problems", "pre-lecture quiz", "post-lecture quiz",
        "learning outcomes", "self-check", "self check", "study questions", "questions for review", "übung", "Übung", "übungen", "Übungen",
        "hausaufgabe", "hausaufgaben", "lernziele", "exercice", "exercices", "devoirs", "ejercicio", "ejercicios", "deberes", "exercício",
        "exercícios", "esercizio", "esercizi", "oefening", "oefeningen", "leerdoelen", "ćwiczenie", "ćwiczenia", "Ćwiczenia", "cvičení",
        "alıştırma", "övning", "Övning", "Упражнение", "Упражнения", "练习", "練習", "演習", "연습" };

    return begins_with(s, names, sizeof names / sizeof names[0]);
}

/* Words at the beginning that point to what was said before. */
static bool
leans_back(struct str s)
{
    static const char *const words[] = { "it", "its", "it's", "they", "their", "them", "he", "his", "she", "her", "this", "these", "those",
        "that", "such", "both", "but", "however", "therefore", "thus", "hence", "then", "so", "otherwise", "instead", "also",
        "moreover", "furthermore", "consequently", "afterwards", "in this", "in that", "in these", "in both", "the former", "the latter",
        "in addition", "as a result", "for this", "because of this", "one of them", "neither", "either" };

    return isalpha((unsigned char)s.p[0]) && begins_with(s, words, sizeof words / sizeof words[0]);
}

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
        if (isupper((unsigned char)s.p[i]) && s.p[i - 1] == ' ' && strchr(".!?:", s.p[i - 2]) == NULL)
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
    *u = (struct unit){ .kind = kind, .text = text, .key = key, .hit = c->n_hit, .ord = c->ord++, .context = c->context, .under = c->under, .asked = c->asked };
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
    if (u == NULL)
        return;
    if (c->last != NULL) {
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

/* What follows block k and belongs to a lead-in at its end: a fence, a table, a formula, or the items of a list; its end. */
static size_t
led_in(const struct cutter *c, size_t k)
{
    size_t i = k + 1;

    if (i < c->n && c->b[i].kind == BLOCK_ITEM) {
        size_t least = c->b[k].kind == BLOCK_ITEM ? c->b[k].indent + 1 : 0; /* below an item only what is deeper */

        while (i + 1 < c->n && ((c->b[i + 1].kind == BLOCK_ITEM && c->b[i + 1].indent >= least) ||
                                (c->b[i + 1].kind == BLOCK_CODE && i + 2 < c->n && c->b[i + 2].kind == BLOCK_ITEM)))
            i++;
        return i;
    }
    return i < c->n && (c->b[i].kind == BLOCK_CODE || c->b[i].kind == BLOCK_TABLE || c->b[i].kind == BLOCK_FORMULA) ? i : k;
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

    if (to == k || (!c->b[k + 1].whole && (c->b[k + 1].kind == BLOCK_CODE || c->b[k + 1].kind == BLOCK_FORMULA)))
        return false;
    text = fit_blocks(c, lead, k + 1, to);
    if (text.n == lead.n || (u = add_unit(c, UNIT_BLOCK, text, lead)) == NULL)
        return false;
    u->near |= u->own;
    u->own = quote_bits(c->d, lead, &words);
    return true;
}

/* ---- blocks */
/* Does what follows belong to a sentence at the end of block k that has no colon: code right behind it, or behind a sentence without an
 * end, or the items below an item? */
static bool
leads_on(const struct cutter *c, size_t k, struct str s)
{
    const struct block *next = k + 1 < c->n ? &c->b[k + 1] : NULL;

    if (next == NULL)
        return false;
    if (next->kind == BLOCK_ITEM)
        return c->b[k].kind == BLOCK_ITEM && next->indent > c->b[k].indent + 1 && s.n <= ITEM_BYTES;
    return (next->kind == BLOCK_CODE && (!next->apart || is_open(s))) || ((next->kind == BLOCK_TABLE || next->kind == BLOCK_FORMULA) && is_open(s));
}

/* The paragraph from a sentence on, when it can be quoted whole. */
static struct str
rest_of(const struct cutter *c, size_t k, struct str s)
{
    struct str rest = span_of(s, c->b[k].text);

    return c->b[k].kind == BLOCK_TEXT && rest.n <= QUOTE_BYTES && rest.n > s.n && !is_lead_in(rest) && !is_question(rest) ? rest : STR_NONE;
}

static void
cut_sentence(struct cutter *c, size_t k, struct str s, bool last)
{
    struct str whole = s;
    struct unit *u;
    size_t words;

    if (is_question(s)) {
        c->under = quote_bits(c->d, s, &words);
        c->before = s;
        return;
    }
    if (c->exercise || is_exercise(s))
        return;
    if (last && (is_lead_in(s) || leads_on(c, k, s))) {
        c->lead = quote_bits(c->d, s, &words);
        if (add_led_in(c, k, s)) {
            c->under = 0;
            return;
        }
        if (is_lead_in(s))
            return;
    }
    if (s.n > QUOTE_BYTES) {
        add_pieces(c, s, c->b[k].kind == BLOCK_ITEM ? UNIT_ITEM : UNIT_SENTENCE);
        c->before = STR_NONE;
        c->under = 0;
        return;
    }
    if (leans_back(s) && c->before.n > 0 && span_of(c->before, s).n <= QUOTE_BYTES && !is_question(c->before))
        whole = span_of(c->before, s);
    u = add_unit(c, c->b[k].kind == BLOCK_ITEM ? UNIT_ITEM : UNIT_SENTENCE, whole, s);
    if (u != NULL && c->under != 0)
        u->rest = rest_of(c, k, s);
    if (u != NULL && whole.n > s.n) {
        u->near |= u->own;
        u->own = quote_bits(c->d, s, &words);
    }
    if (u != NULL && u->kind == UNIT_ITEM)
        u->near |= c->lead;
    neighbours(c, u);
    c->before = s;
    c->under = 0;
}

static void
cut_text(struct cutter *c, size_t k)
{
    struct str text = skip_marks(c->b[k].text);
    struct span x;
    size_t at = 0;
    bool item = c->b[k].kind == BLOCK_ITEM;

    if (!item)
        c->lead = 0;
    c->before = STR_NONE;
    if (item && text.n <= ITEM_BYTES && !is_question(text) && !is_lead_in(text)) {
        cut_sentence(c, k, text, true); /* a short item is quoted whole */
        return;
    }
    while (sentence_next(text, &at, &x)) {
        struct str s = skip_marks((struct str){ text.p + x.start, x.end - x.start });

        if (s.n > 0)
            cut_sentence(c, k, s, at >= text.n);
    }
}

static struct str
line_of(struct str *rest)
{
    const char *nl = memchr(rest->p, '\n', rest->n);
    size_t n = nl == NULL ? rest->n : (size_t)(nl - rest->p);
    struct str line = { rest->p, n };

    *rest = nl == NULL ? (struct str){ rest->p + n, 0 } : (struct str){ nl + 1, rest->n - n - 1 };
    return quote_trim(line);
}

static bool
is_delimiter(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (strchr("|:- \t", line.p[i]) == NULL)
            return false;
    return line.n > 0 && memchr(line.p, '-', line.n) != NULL;
}

/* The two lines above the rows; of a passage that begins within its table they come along with the hit. */
static struct str
table_head(const struct cutter *c, struct str *rows)
{
    struct str rest = *rows, first = line_of(&rest), second = line_of(&rest);

    if (is_delimiter(second)) {
        *rows = rest;
        return span_of(first, second);
    }
    if (is_delimiter(first)) {
        *rows = (struct str){ second.p, (size_t)(rows->p + rows->n - second.p) };
        return STR_NONE;
    }
    return c->hit->lead;
}

/* Terms of the cell that names the row. */
static uint32_t
first_cell(struct digest *d, struct str row)
{
    size_t words, from = row.n > 0 && row.p[0] == '|';
    const char *bar = from < row.n ? memchr(row.p + from, '|', row.n - from) : NULL;

    return quote_bits(d, (struct str){ row.p + from, bar == NULL ? row.n - from : (size_t)(bar - row.p) - from }, &words);
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
        struct unit *u = add_unit(c, UNIT_BLOCK, c->b[k].text, head); /* the table as a whole, for what only its head names */

        if (u != NULL) {
            u->near |= u->own | c->lead;
            u->own = named;
        }
    }
    while (rows.n > 0) {
        struct str row = line_of(&rows);
        struct unit *u = row.n <= QUOTE_BYTES ? add_unit(c, UNIT_ROW, row, row) : NULL;

        if (u == NULL)
            continue;
        u->first = first_cell(c->d, row) & u->own;
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
        struct str first = line_of(&rest);

        (void)add_unit(c, UNIT_CODE, c->b[k].text, first);
        c->under = 0;
        return;
    }
    if (c->b[k].kind == BLOCK_FORMULA)
        return;
    (void)line_of(&rest); /* the fence */
    while (rest.n > 0) {
        struct str line = line_of(&rest);

        if (line.n <= QUOTE_BYTES && !str_starts(line, "```") && !str_starts(line, "~~~"))
            (void)add_unit(c, UNIT_CODE, line, line);
    }
}

/* The list that stands directly under a heading, as a whole: the steps of what the heading names. */
static void
add_list(struct cutter *c, size_t first)
{
    struct str lead = { c->b[first].text.p, 0 }, text = fit_blocks(c, lead, first, led_in(c, first - 1));
    struct unit *u = led_in(c, first - 1) > first && !is_question(c->b[first].text) && !is_exercise(skip_marks(c->b[first].text)) ? add_unit(c, UNIT_BLOCK, text, text) : NULL;

    if (u == NULL)
        return;
    u->near |= u->own;
    u->own = 0;
    c->under = 0; /* the heading names the list, not its first item */
}

static void
cut_heading(struct cutter *c, size_t k)
{
    struct str s = c->b[k].text;
    size_t words;

    while (s.n > 0 && (s.p[0] == '#' || s.p[0] == ' '))
        s = (struct str){ s.p + 1, s.n - 1 };
    c->under = quote_bits(c->d, s, &words);
    c->context = c->title | c->under;
    c->asked = quote_asks(c->d, s);
    c->exercise = is_exercise_heading(s);
    c->lead = 0;
    c->last = NULL;
    if (k + 1 < c->n && c->b[k + 1].kind == BLOCK_ITEM && c->under != 0 && !c->exercise)
        add_list(c, k + 1);
}

static void
cut_hit(struct cutter *c)
{
    c->n = quote_blocks(c->hit->text, c->b, QUOTE_BLOCKS);
    for (size_t k = 0; k < c->n; k++) {
        switch (c->b[k].kind) {
        case BLOCK_HEADING: cut_heading(c, k); break;
        case BLOCK_TABLE: cut_table(c, k); break;
        case BLOCK_CODE:
        case BLOCK_FORMULA: cut_code(c, k); break;
        case BLOCK_TEXT:
        case BLOCK_ITEM: cut_text(c, k); break;
        case BLOCK_IDLE: break;
        }
    }
}

/* The last part of "A > B > C". */
static struct str
own_section(struct str section)
{
    for (size_t i = section.n; i > 2; i--)
        if (memcmp(section.p + i - 3, " > ", 3) == 0)
            return (struct str){ section.p + i, section.n - i };
    return section;
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
        c->under = c->lead = 0;
        c->title = quote_bits(d, h->title, &words) | quote_bits(d, h->chapter, &words) | quote_bits(d, h->section, &words);
        c->context = c->title;
        c->exercise = is_exercise_heading(own_section(h->section));
        c->asked = quote_asks(d, own_section(h->section));
        cut_hit(c);
    }
    mem_free(&c);
}
