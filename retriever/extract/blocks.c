/* Blocks that are kept as a list (blocks.h), in the order of the text: looked up by halves; and how sources make one. */
#include "retriever/extract/blocks.h"
#include "retriever/extract/plain.h"

/* The first block that begins at or behind at. */
static size_t
block_from(const struct extracted *x, size_t at)
{
    size_t from = 0, to = x->n_blocks;

    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (x->blocks[mid].start < at)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

bool
blocks_next(const struct extracted *x, size_t *at, struct block *out)
{
    static const enum block_kind kinds[EXTRACTED_KINDS] = { [EXTRACTED_PARAGRAPH] = BLOCK_TEXT,
                                                            [EXTRACTED_CODE] = BLOCK_FENCE,
                                                            [EXTRACTED_HEADING] = BLOCK_HEADING,
                                                            [EXTRACTED_TABLE] = BLOCK_TABLE };
    size_t i = block_from(x, *at);

    if (i == x->n_blocks)
        return false;
    *out = (struct block){ .kind = kinds[x->blocks[i].kind],
                           .start = x->blocks[i].start,
                           .end = x->blocks[i].end,
                           .level = x->blocks[i].level,
                           .heading = { x->text.p + x->blocks[i].from,
                                        x->blocks[i].to - x->blocks[i].from } };
    *at = out->end;
    return true;
}

/* The first two lines of the table that byte at is in the middle of. */
struct str
blocks_table_head(const struct extracted *x, size_t at)
{
    size_t i = block_from(x, at + 1);
    const struct extracted_block *b = i > 0 ? &x->blocks[i - 1] : NULL;
    const char *line, *dashes;

    if (!b || b->kind != EXTRACTED_TABLE || b->end <= at)
        return STR_NONE;
    line = memchr(x->text.p + b->start, '\n', b->end - b->start);
    dashes = line ? memchr(line + 1, '\n', (size_t)(x->text.p + b->end - line - 1)) : NULL;
    if (!dashes || x->text.p + at <= dashes)
        return STR_NONE;
    return (struct str){ x->text.p + b->start, (size_t)(dashes - (x->text.p + b->start)) };
}

/* ---- sources, line by line */

/* The list becomes the document's, in its arena. NULL, or why not. */
static const char *
keep(struct scan *s)
{
    struct str kept = arena_str(s->x->arena, buf_slice(&s->list));

    s->x->blocks = (const struct extracted_block *)(const void *)kept.p;
    s->x->n_blocks = s->list.n / sizeof *s->x->blocks;
    return kept.p && !s->list.failed ? NULL : "the document has too many parts";
}

const char *
scan_blocks(struct str body, struct extracted *x, void (*hide)(struct extracted *x),
            void (*step)(struct scan *s, void *own), void *own)
{
    const char *why = plain_read(body, x);
    struct scan s = { .x = x, .list = BUF_MAX((size_t)EXTRACTED_BLOCKS * sizeof(struct extracted_block)) };

    if (why)
        return why;
    hide(x);
    s.l.text = buf_slice(&x->text);
    for (size_t next = 0; lines_at(&s.l, next); next = lines_next(&s.l))
        if (s.l.line.n > 0)
            step(&s, own);
    why = keep(&s);
    buf_free(&s.list);
    return why;
}

void
scan_hide(struct extracted *x, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < x->text.n; i++)
        if (x->text.p[i] != '\n')
            x->text.p[i] = ' ';
}

static void
add(struct scan *s, enum extracted_kind kind, size_t level, size_t start, struct str words)
{
    size_t end = s->l.at + s->l.line.n, from = words.p ? (size_t)(words.p - s->l.text.p) : 0;
    const struct extracted_block b = { (uint8_t)kind, (uint8_t)level, (uint32_t)start,
                                       (uint32_t)end, (uint32_t)from, (uint32_t)(from + words.n) };

    if (end > start)
        buf_add(&s->list, &b, sizeof b);
}

void
scan_add(struct scan *s, enum extracted_kind kind, size_t start)
{
    add(s, kind, 0, start, STR_NONE);
}

void
scan_heading(struct scan *s, size_t level, size_t start, struct str words)
{
    add(s, EXTRACTED_HEADING, level, start, words);
    if (level == 1 && !s->x->title.p)
        s->x->title = arena_str(s->x->arena, utf8_cut(text_trim(words), 250));
}

void
scan_paragraph(struct scan *s, bool (*ends)(struct str line))
{
    size_t start = s->l.at, last = start;

    for (size_t next = lines_next(&s->l); lines_at(&s->l, next) && s->l.line.n > 0;
         next = lines_next(&s->l)) {
        if (ends && ends(s->l.line))
            break;
        last = s->l.at;
    }
    (void)lines_at(&s->l, last);
    add(s, EXTRACTED_PARAGRAPH, 0, start, STR_NONE);
}
