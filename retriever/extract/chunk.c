/* The chunker. Blocks are packed greedily; a chunk is closed before a block that would overfill it, and before every heading, so
 * that its label is the heading its bytes stand under (headings without a text of their own go with what follows). Too long blocks are cut at lines (fences) or sentences. */
#include "retriever/extract/chunk.h"

#include "text/sentence.h"
#include "common/text/text.h"
#include "retriever/extract/markdown.h"
#include "retriever/extract/front_matter.h"
#include "retriever/extract/heading.h"

enum { LEVELS = 6 };

struct chunker {
    struct str text;                 /* the whole document */
    const struct chunk_rules *rules; /* what was asked for */
    struct arena *arena;             /* of lists and strings */
    struct str path[LEVELS + 1];     /* headings above, by level */
    struct pieces out;               /* made so far */
    size_t cap;                      /* room in out.v */
    struct piece cur;                /* being filled; empty when start == end */
    bool body;                       /* cur has more than headings */
    bool failed;                     /* the arena is full */
};

static void
push(struct chunker *c)
{
    struct span x = span_trim(c->text, (struct span){ c->cur.start, c->cur.end });

    c->body = false;
    c->cur.start = c->cur.end;
    if (x.start >= x.end || c->failed)
        return;
    if (c->out.n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 32;
        struct piece *v = arena_alloc(c->arena, cap * sizeof(*v));

        if (!v) {
            c->failed = true;
            return;
        }
        if (c->out.n)
            memcpy(v, c->out.v, c->out.n * sizeof(*v));
        c->out.v = v;
        c->cap = cap;
    }
    c->out.v[c->out.n] = c->cur;
    c->out.v[c->out.n].start = x.start;
    c->out.v[c->out.n++].end = x.end;
}

/* Names of the chunk that is begun now. */
static void
name_cur(struct chunker *c)
{
    struct buf b = BUF_MAX(900);

    c->cur.chapter = c->rules->chapter.n ? c->rules->chapter : c->path[1];
    buf_str(&b, c->rules->section);
    for (int l = 2; l <= LEVELS; l++) {
        if (c->path[l].n == 0 || str_eq(c->path[l], c->rules->section))
            continue;
        if (b.n)
            buf_z(&b, " > ");
        buf_str(&b, c->path[l]);
    }
    c->cur.section = b.n ? arena_str(c->arena, buf_slice(&b)) : STR_NONE;
    buf_free(&b);
}

/* Add [start, end) to the current chunk, or begin one with it. */
static void
take(struct chunker *c, size_t start, size_t end, bool body)
{
    if (c->cur.start == c->cur.end) {
        c->cur.start = start;
        name_cur(c);
    } else if (!c->body)
        name_cur(c);
    c->cur.end = end;
    c->body = c->body || body;
}

static size_t
cur_size(const struct chunker *c)
{
    return c->cur.end - c->cur.start;
}

static void
on_heading(struct chunker *c, const struct block *b)
{
    if (c->body)
        push(c); /* a chunk has one label: what stands under another heading never shares it */
    c->path[b->level] = heading_plain(c->text, b->heading, c->arena);
    for (int l = b->level + 1; l <= LEVELS; l++)
        c->path[l] = STR_NONE;
    take(c, b->start, b->end, false);
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

    if (kind == BLOCK_FENCE) {
        const char *nl = memchr(s.p + at, '\n', end - at);

        e = nl ? (size_t)(nl - s.p) + 1 : end;
    } else {
        struct span x;

        if (!sentence_next(s, &e, &x))
            e = end;
    }
    return e - at > c->rules->target ? hard_cut(s, at, at + c->rules->target) : e;
}

/* Where the overlap begins: the start of the last sentences of [from, end) that fit. */
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

static void
cut_block(struct chunker *c, const struct block *b)
{
    size_t at = b->start;

    while (at < b->end) {
        size_t e = part_end(c, b->kind, at, b->end);

        if (c->body && e - c->cur.start > c->rules->target) {
            size_t from = c->cur.start > b->start ? c->cur.start : b->start;
            size_t start = b->kind == BLOCK_TEXT ? overlap_start(c, from, at) : at;

            push(c);
            at = start < at && e - start <= c->rules->target ? start : at;
            take(c, at, e, true);
        } else
            take(c, at, e, true);
        at = e;
    }
}

static void
on_body(struct chunker *c, const struct block *b)
{
    size_t target = c->rules->target, n = b->end - b->start;

    if (c->body && b->end - c->cur.start > target && (n <= target || cur_size(c) >= target / 3))
        push(c);
    if (n <= target || (b->kind == BLOCK_FENCE && n <= target + target / 2))
        take(c, b->start, b->end, true);
    else
        cut_block(c, b);
}

bool
chunk_text(struct str text, enum doc_format format, const struct chunk_rules *rules, struct arena *a,
           struct pieces *out)
{
    struct chunker c = { .text = text, .rules = rules, .arena = a };
    bool markdown = format == DOC_MARKDOWN;
    size_t at = markdown ? front_matter(text) : 0;
    struct block b;

    while (block_next(text, markdown, &at, &b)) {
        if (b.kind == BLOCK_HEADING)
            on_heading(&c, &b);
        else
            on_body(&c, &b);
    }
    push(&c);
    *out = c.out;
    return !c.failed;
}

void
chunk_passage(struct buf *out, struct str title, struct str chapter, struct str section, struct str lead, struct str text)
{
    const struct str head[] = { title, str_eq(title, chapter) ? STR_NONE : chapter, section, lead };

    for (size_t i = 0; i < sizeof(head) / sizeof(*head); i++) {
        if (head[i].n == 0)
            continue;
        buf_str(out, head[i]);
        buf_c(out, '\n');
    }
    buf_str(out, text);
}
