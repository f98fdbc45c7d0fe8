/* The chunker. Blocks are packed greedily; a chunk is closed before a block that would overfill it, and
 * before every heading, so that its label is the heading its bytes stand under (headings without a text of
 * their own go with what follows). A paragraph that is a question counts as one below all others. A block that leads to the next one (a term above its definition, words that end in a colon) goes
 * with that. Too long blocks are cut at lines (fences) or sentences. */
#include "retriever/extract/chunk.h"

#include "text/anchor.h"
#include "text/section.h"
#include "text/sentence.h"
#include "common/text/text.h"

enum { LEVELS = 6, HEADING_MAX = 200, SLUGGED_BYTES = 1000, ANCHOR_BYTES = 500, LEADING_MAX = 200 };

struct chunker {
    const struct extracted *x;       /* the document */
    const struct extractor *by;      /* of it */
    size_t page;                     /* of its pages: the one at hand, plus one */
    struct str text;                 /* the whole document */
    const struct chunk_rules *rules; /* the sizes asked for */
    struct arena *arena;             /* of lists and strings */
    struct str path[LEVELS + 1];     /* headings above, by level */
    struct str asked; /* the question above, a paragraph of its own; absent: none since the last heading */
    bool anchored;    /* the document's address wants anchors */
    struct anchors anchors; /* of the headings so far */
    struct str anchor;      /* of the last one; absent: none yet */
    size_t headings;        /* so far */
    struct pieces out;      /* made so far */
    size_t cap;             /* room in out.v */
    struct piece cur;       /* being filled; empty when start == end */
    bool body;              /* cur has more than headings */
    size_t leading;         /* where the last blocks of cur begin that may lead to the next one */
    bool leads;             /* there are such blocks, and others before them */
    bool failed;            /* the arena is full */
};

/* The head of the table, or the first line of the fence, that a piece begins in the middle of: stored with it, so that what is
 * embedded, indexed and shown has the same one. One that is too long goes with none of them. */
static struct str
lead_of(const struct chunker *c, size_t at)
{
    struct str head = c->cur.lead.n > 0   ? c->cur.lead
                      : c->by->table_head ? c->by->table_head(c->x, at)
                                          : STR_NONE;

    return head.n <= EXTRACT_LEAD_MAX ? head : STR_NONE;
}

static void
push(struct chunker *c)
{
    struct span x = span_trim(c->text, (struct span){ c->cur.start, c->cur.end });

    c->body = c->leads = false;
    c->cur.start = c->cur.end;
    if (x.start >= x.end || c->failed)
        return;
    if (c->out.n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 32;
        struct piece *v = arena_alloc(c->arena, cap * sizeof *v);

        if (!v) {
            c->failed = true;
            return;
        }
        if (c->out.n)
            memcpy(v, c->out.v, c->out.n * sizeof *v);
        c->out.v = v;
        c->cap = cap;
    }
    c->out.v[c->out.n] = c->cur;
    c->out.v[c->out.n].start = x.start;
    c->out.v[c->out.n].lead = lead_of(c, x.start);
    c->out.v[c->out.n++].end = x.end;
}

/* The anchor of the heading above, where the last part of the section does not tell it. */
static struct str
own_anchor(const struct chunker *c, int level)
{
    struct buf usual = BUF_MAX(4 * SLUGGED_BYTES);
    bool same;

    if (c->anchor.p && c->asked.n > 0) /* which has none itself */
        return c->anchor.n > ANCHOR_BYTES ? STR_NONE : c->anchor;
    if (!c->anchor.p || c->headings == 1)
        return STR_NONE; /* the page itself */
    if (level < 2)
        return c->anchor;
    anchor_slug(c->anchors.style, c->path[level], &usual);
    same = str_eq(buf_slice(&usual), c->anchor) && !str_has(c->path[level], " > ") &&
           !str_eq(c->path[level], c->rules->section);
    buf_free(&usual);
    return same || c->anchor.n > ANCHOR_BYTES ? STR_NONE : c->anchor;
}

/* Names of the chunk that is begun now. */
static void
name_cur(struct chunker *c)
{
    struct buf b = BUF_MAX(900);
    int last = 0;

    c->cur.chapter = c->rules->chapter.n ? c->rules->chapter : c->path[1];
    buf_str(&b, c->rules->section);
    for (int l = 2; l <= LEVELS; l++) {
        last = c->path[l].n ? l : last;
        if (c->path[l].n == 0 || str_eq(c->path[l], c->rules->section))
            continue;
        if (b.n)
            buf_z(&b, " > ");
        buf_str(&b, c->path[l]);
    }
    if (c->asked.n > 0)
        buf_printf(&b, "%s" STR_FMT, b.n ? " > " : "", STR_ARG(c->asked));
    c->cur.section = b.n ? arena_str(c->arena, buf_slice(&b)) : STR_NONE;
    c->cur.anchor = b.failed ? c->anchor : own_anchor(c, last);
    buf_free(&b);
}

/* Add [start, end) to the current chunk, or begin one with it. */
static void
take(struct chunker *c, size_t start, size_t end, bool body)
{
    if (c->cur.start == c->cur.end) {
        c->cur.start = start;
        c->cur.lead = STR_NONE;
        name_cur(c);
    } else if (!c->body)
        name_cur(c);
    if (!c->body)
        c->cur.page = c->page ? c->x->pages[c->page - 1].number : 0;
    c->cur.end = end;
    c->body = c->body || body;
}

static size_t
cur_size(const struct chunker *c)
{
    return c->cur.end - c->cur.start;
}

static struct str
heading_of(const struct chunker *c, const struct block *b)
{
    return c->by->heading ? c->by->heading(c->text, b->heading, c->arena)
                          : utf8_cut(b->heading, SLUGGED_BYTES);
}

static void
on_heading(struct chunker *c, const struct block *b)
{
    if (c->body)
        push(c); /* a chunk has one label: what stands under another heading never shares it */
    struct str whole = heading_of(c, b);

    c->path[b->level] = text_trim(utf8_cut(whole, HEADING_MAX));
    c->headings++;
    c->asked = STR_NONE;
    if (c->anchored)
        c->anchor = anchors_next(&c->anchors, whole, b->id);
    for (int l = b->level + 1; l <= LEVELS; l++)
        c->path[l] = STR_NONE;
    take(c, b->start, b->end, false);
}

static struct str
block_text(const struct chunker *c, const struct block *b)
{
    return (struct str){ c->text.p + b->start, b->end - b->start };
}

/* Words of a paragraph as a heading has them: on one line, without markup. */
static struct str
words_of(const struct chunker *c, struct str s)
{
    struct buf line = BUF_MAX(SLUGGED_BYTES);
    struct str kept;

    for (size_t i = 0; i < s.n; i++)
        if (!space_byte(s.p[i]) || (line.n > 0 && line.p[line.n - 1] != ' '))
            buf_c(&line, space_byte(s.p[i]) ? ' ' : s.p[i]);
    kept = arena_str(c->arena, buf_slice(&line));
    buf_free(&line);
    if (kept.p && c->by->heading)
        kept = c->by->heading(c->text, kept, c->arena);
    return text_trim(utf8_cut(kept, HEADING_MAX));
}

/* Bytes of a question that the block begins with, and *asked; 0: none that stands over an answer. */
static size_t
question_of(const struct chunker *c, const struct block *b, struct str *asked)
{
    size_t end, at = b->end;
    struct block next;
    bool goes_on;

    if (b->kind != BLOCK_TEXT || section_question(block_text(c, b), &end).n == 0) /* nearly all of them */
        return 0;
    goes_on = c->by->next(c->x, &at, &next) && next.kind != BLOCK_HEADING;
    *asked = section_over_answer(block_text(c, b), goes_on ? block_text(c, &next) : STR_NONE, &end);
    if (asked->n > 0)
        *asked = words_of(c, *asked);
    return asked->n > 0 ? end : 0;
}

/* End of a cut at or before limit: a white space if there is one in the last half, else a character border. */
static size_t
hard_cut(struct str s, size_t start, size_t limit)
{
    for (size_t i = limit; i > start + (limit - start) / 2; i--)
        if (space_byte(s.p[i - 1]))
            return i;
    while (limit > start && ((unsigned char)s.p[limit] & 0xc0) == 0x80)
        limit--;
    return limit;
}

/* The next small part of a block: a line of a fence, or a sentence; at most the target. It looks at no more than twice
 * that much, so that a document without any border costs no more than one with many. */
static size_t
part_end(const struct chunker *c, enum block_kind kind, size_t at, size_t end)
{
    size_t look = 2 * c->rules->target, e = at;

    end = end - at > look ? at + look : end;
    struct str s = { c->text.p, end };

    if (kind == BLOCK_FENCE || kind == BLOCK_TABLE) {
        const char *nl = memchr(s.p + at, '\n', end - at);

        e = nl ? (size_t)(nl - s.p) + 1 : end;
    } else {
        struct span x;

        if (!sentence_next(s, &e, &x))
            e = end;
    }
    return e - at > c->rules->target ? hard_cut(s, at, at + c->rules->target) : e;
}

/* The beginning of the overlap: the start of the last sentences of [from, end) that fit. */
static size_t
overlap_start(const struct chunker *c, size_t from, size_t end)
{
    struct str s = { c->text.p, end };
    struct span x;
    size_t at = from, best = end;

    while (sentence_next(s, &at, &x))
        if (end - x.start <= c->rules->overlap) {
            best = x.start;
            break;
        }
    return best;
}

/* The line that opens a fence; absent: it is another block, or has none. */
static struct str
opening(const struct chunker *c, const struct block *b)
{
    const char *p = c->text.p + b->start, *nl = memchr(p, '\n', b->end - b->start);

    if (b->kind != BLOCK_FENCE || !nl || !fence_opens((struct str){ p, (size_t)(nl - p) }))
        return STR_NONE;
    return (struct str){ p, (size_t)(nl - p) };
}

static void
cut_block(struct chunker *c, const struct block *b)
{
    size_t at = b->start;
    struct str fence = opening(c, b);

    while (at < b->end) {
        size_t e = part_end(c, b->kind, at, b->end);

        if (c->body && e - c->cur.start > c->rules->target) {
            size_t from = c->cur.start > b->start ? c->cur.start : b->start;
            size_t start = b->kind == BLOCK_TEXT ? overlap_start(c, from, at) : at;

            push(c);
            at = start < at && e - start <= c->rules->target ? start : at;
            take(c, at, e, true);
            c->cur.lead = fence;
        } else
            take(c, at, e, true);
        at = e;
    }
}

/* Does the end of cur lead to the block? A colon says so, and a short line right above it that is neither an item of a
 * list nor a sentence: the term of a definition. */
static bool
leads_to(const struct chunker *c, const struct block *b)
{
    return c->leads && (c->text.p[c->cur.end - 1] == ':' || b->start == c->cur.end + 1);
}

/* The chunk ends before the block, and before what leads to that. */
static void
push_before(struct chunker *c, const struct block *b)
{
    size_t end = c->cur.end, from = leads_to(c, b) ? c->leading : end;

    c->cur.end = from;
    push(c);
    if (from < end)
        take(c, from, end, true);
}

/* A block that is about to be taken may lead to the next one, by itself or together with those before it. */
static void
note_leading(struct chunker *c, const struct block *b)
{
    struct str s = text_trim((struct str){ c->text.p + b->start, b->end - b->start });
    bool may = b->kind == BLOCK_TEXT && s.n > 0 && s.n <= LEADING_MAX && !str_starts(s, "- ") &&
               !strchr(".!?", s.p[s.n - 1]);

    if (may && !leads_to(c, b))
        c->leading = b->start;
    c->leads = may && (c->body || c->leads);
}

/* A question on its own goes with what follows; one that has its answer in the same paragraph begins a chunk. */
static bool
on_question(struct chunker *c, const struct block *b)
{
    struct str asked;
    size_t end = question_of(c, b, &asked);

    if (end == 0)
        return false;
    if (c->body)
        push(c);
    c->asked = asked;
    if (end < b->end - b->start)
        return false;
    take(c, b->start, b->end, false);
    return true;
}

static void
on_body(struct chunker *c, const struct block *b)
{
    size_t target = c->rules->target, n = b->end - b->start, all = b->end - c->cur.start;

    if (c->body && all > target && (n <= target || cur_size(c) >= target / 3 || all > 2 * target))
        push_before(c, b);
    if (n <= target || (b->kind == BLOCK_FENCE && n <= target + target / 2)) {
        note_leading(c, b);
        take(c, b->start, b->end, true);
    } else {
        c->leads = false;
        cut_block(c, b);
    }
}

/* A chunk stands on one page, so that its citation can name it. */
static void
turn_page(struct chunker *c, size_t at)
{
    size_t page = c->page;

    while (page < c->x->n_pages && c->x->pages[page].start <= at)
        page++;
    if (page == c->page)
        return;
    if (c->body)
        push(c);
    c->page = page;
}

bool
chunk_text(const struct extracted *x, const struct chunk_rules *rules, struct arena *a, struct pieces *out)
{
    struct chunker c = { .x = x, .by = x->by, .text = buf_slice(&x->text), .rules = rules, .arena = a };
    enum anchor_style style;
    struct str page;
    size_t at = 0;
    struct block b;

    c.anchored = x->n_pages == 0 && anchor_wanted(rules->url, &style, &page);
    if (c.anchored)
        anchors_init(&c.anchors, style, a);
    while (x->by->next(x, &at, &b)) {
        turn_page(&c, b.start);
        if (b.kind == BLOCK_HEADING)
            on_heading(&c, &b);
        else if (!on_question(&c, &b))
            on_body(&c, &b);
    }
    push(&c);
    *out = c.out;
    return !c.failed;
}

void
chunk_passage(struct buf *out, struct str title, struct str chapter, struct str section, struct str lead,
              struct str text)
{
    const struct str head[] = { title, str_eq(title, chapter) ? STR_NONE : chapter, section, lead };

    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        if (head[i].n == 0)
            continue;
        buf_str(out, head[i]);
        buf_c(out, '\n');
    }
    buf_str(out, text);
}
