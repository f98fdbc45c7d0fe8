/* The frames of footnote-extract (extracted.h). */
#include "proto/extracted.h"

#include "common/text/text.h"

enum { BLOCK_BYTES = 20, PAGE_BYTES = 8, HEAD_BYTES = 5 };
static const char magic[4] = { 'F', 'N', 'X', '1' };

static void
put_u32(struct buf *out, uint32_t v)
{
    const unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                                 (unsigned char)(v >> 24) };

    buf_add(out, b, sizeof b);
}

static uint32_t
get_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void
begin(struct buf *out, char kind, size_t n)
{
    buf_c(out, kind);
    put_u32(out, (uint32_t)n);
}

static void
frame(struct buf *out, char kind, struct str s)
{
    begin(out, kind, s.n);
    buf_str(out, s);
}

void
extracted_head(const struct extraction *e, struct buf *out)
{
    buf_add(out, magic, sizeof magic);
    if (e->title.n > 0)
        frame(out, 'T', e->title);
    begin(out, 'X', e->text.n);
}

void
extracted_tail(const struct extraction *e, struct buf *out)
{
    begin(out, 'B', BLOCK_BYTES * e->n_blocks);
    for (size_t i = 0; i < e->n_blocks; i++) {
        const struct extracted_block *b = &e->blocks[i];

        put_u32(out, (uint32_t)b->kind | (uint32_t)b->level << 8);
        put_u32(out, b->start);
        put_u32(out, b->end);
        put_u32(out, b->from);
        put_u32(out, b->to);
    }
    begin(out, 'P', PAGE_BYTES * e->n_pages);
    for (size_t i = 0; i < e->n_pages; i++) {
        put_u32(out, e->pages[i].start);
        put_u32(out, e->pages[i].number);
    }
    begin(out, '.', 0);
}

void
extracted_encode(const struct extraction *e, struct buf *out)
{
    if (e->reason.p) {
        buf_add(out, magic, sizeof magic);
        frame(out, 'E', e->reason);
        begin(out, '.', 0);
        return;
    }
    extracted_head(e, out);
    buf_str(out, e->text);
    extracted_tail(e, out);
}

/* ---- reading: what was written by a program that read a stranger's file */

static bool
border(struct str s, size_t at)
{
    return at == s.n || (at < s.n && ((unsigned char)s.p[at] & 0xc0) != 0x80);
}

static bool
block_ok(const struct extracted_block *b, struct str text, size_t after)
{
    bool heading = b->kind == EXTRACTED_HEADING;

    return b->kind < EXTRACTED_KINDS && b->start >= after && b->start < b->end && b->end <= text.n &&
           border(text, b->start) && border(text, b->end) &&
           (!heading || (b->level >= 1 && b->level <= 6 && b->from >= b->start && b->from <= b->to &&
                         b->to <= b->end && border(text, b->from) && border(text, b->to)));
}

static const char *
take_blocks(struct str s, struct arena *a, struct extraction *out)
{
    size_t n = s.n / BLOCK_BYTES, after = 0;

    if (s.n % BLOCK_BYTES || n > EXTRACTED_BLOCKS || out->blocks)
        return "blocks of a wrong length";
    out->blocks = arena_alloc(a, (n + 1) * sizeof *out->blocks);
    if (!out->blocks)
        return "too many blocks";
    for (size_t i = 0; i < n; i++) {
        const char *p = s.p + BLOCK_BYTES * i;
        uint32_t head = get_u32(p);

        out->blocks[i] = (struct extracted_block){ (uint8_t)head,  (uint8_t)(head >> 8), get_u32(p + 4),
                                                   get_u32(p + 8), get_u32(p + 12),      get_u32(p + 16) };
        if (head >> 16 || !block_ok(&out->blocks[i], out->text, after))
            return "a block out of place";
        after = out->blocks[i].end;
    }
    out->n_blocks = n;
    return NULL;
}

static const char *
take_pages(struct str s, struct arena *a, struct extraction *out)
{
    size_t n = s.n / PAGE_BYTES;

    if (s.n % PAGE_BYTES || n > EXTRACTED_PAGES || out->pages)
        return "pages of a wrong length";
    out->pages = arena_alloc(a, (n + 1) * sizeof *out->pages);
    if (!out->pages)
        return "too many pages";
    for (size_t i = 0; i < n; i++) {
        out->pages[i] = (struct extracted_page){ get_u32(s.p + PAGE_BYTES * i),
                                                 get_u32(s.p + PAGE_BYTES * i + 4) };
        if (out->pages[i].start > out->text.n || out->pages[i].number == 0 ||
            (i > 0 && out->pages[i].start < out->pages[i - 1].start))
            return "a page out of place";
    }
    out->n_pages = n;
    return NULL;
}

static const char *
take_string(struct str s, size_t max, struct str *out)
{
    if (out->p || s.n > max || !utf8_valid(s) || str_has_byte(s, 0))
        return "a string that is twice there, too long or no text";
    *out = s;
    return NULL;
}

static const char *
take_frame(char kind, struct str s, struct arena *a, struct extraction *out)
{
    switch (kind) {
    case 'E': return take_string(s, EXTRACTED_REASON, &out->reason);
    case 'T': return take_string(s, EXTRACTED_TITLE, &out->title);
    case 'X': return take_string(s, EXTRACTED_TEXT, &out->text);
    case 'B': return out->text.p ? take_blocks(s, a, out) : "blocks before the text";
    case 'P': return out->text.p ? take_pages(s, a, out) : "pages before the text";
    default: return "an unknown frame";
    }
}

bool
extracted_decode(struct str s, struct arena *a, struct extraction *out, const char **why)
{
    memset(out, 0, sizeof *out);
    *why = s.n < sizeof magic || memcmp(s.p, magic, sizeof magic) != 0 ? "no stream of frames" : NULL;
    s = *why ? s : (struct str){ s.p + sizeof magic, s.n - sizeof magic };
    while (!*why) {
        char kind = s.n > 0 ? s.p[0] : 0;
        size_t n = s.n >= HEAD_BYTES ? get_u32(s.p + 1) : 0;

        if (s.n < HEAD_BYTES || n > s.n - HEAD_BYTES) {
            *why = "a frame that does not end";
        } else if (kind == '.') {
            bool alone = out->reason.p && !out->text.p && !out->title.p;

            *why = n > 0 || s.n > HEAD_BYTES        ? "bytes behind the end"
                   : !out->text.p && !out->reason.p ? "neither text nor reason"
                   : out->reason.p && !alone        ? "text beside a reason"
                                                    : NULL;
            break;
        } else {
            *why = take_frame(kind, (struct str){ s.p + HEAD_BYTES, n }, a, out);
            s = (struct str){ s.p + HEAD_BYTES + n, s.n - HEAD_BYTES - n };
        }
    }
    return !*why;
}
