/* A document: the first byte says how it was sent, the rest is its bytes. Extraction, front matter, headings, blocks, tables, chunks.
 * Properties: the stored text is UTF-8, and plain text stays itself when it is extracted again; blocks and chunks lie within it, in order, on borders of
 * characters, and no byte but white space is left out; titles and headings are within their limits. */
#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/extract/front_matter.h"
#include "retriever/extract/heading.h"
#include "retriever/extract/markdown.h"
#include "tests/fuzz/fuzz.h"

static bool
border(struct str s, size_t at)
{
    return at == s.n || ((unsigned char)s.p[at] & 0xc0) != 0x80;
}

static void
judge_blocks(struct str s, bool markdown, struct arena *a)
{
    struct block b;
    size_t at = 0, end = 0, n = 0;

    while (block_next(s, markdown, &at, &b)) {
        require(b.start >= end && b.start < b.end && b.end <= s.n && at >= b.end && border(s, b.start) && border(s, b.end));
        require(b.kind != BLOCK_HEADING || (b.level >= 1 && b.level <= 6 && inside(b.heading, s)));
        if (b.kind == BLOCK_HEADING && n++ < 20) {
            struct str plain = heading_plain(s, b.heading, a);

            require(plain.n <= 200 && utf8_valid(plain) && (plain.n == 0 || memchr(plain.p, '\n', plain.n) == NULL));
        }
        end = b.end;
    }
    for (size_t i = 0; i < s.n && i < 64; i++)
        require(inside(md_table_head(s, i), s));
}

static void
judge_chunks(struct str s, enum doc_format format, uint8_t how, struct arena *a)
{
    struct chunk_rules rules = { .target = how & 1 ? 64 : 700, .overlap = how & 2 ? 16 : 0 };
    struct pieces out = { NULL, 0 };
    size_t covered = 0, start = 0;

    if (!chunk_text(s, format, &rules, a, &out))
        return;
    for (size_t i = 0; i < out.n; i++) {
        const struct piece *p = &out.v[i];

        require(p->start < p->end && p->end <= s.n && border(s, p->start) && border(s, p->end));
        require(p->start >= start && utf8_valid(p->chapter) && utf8_valid(p->section));
        if (p->start > covered)
            require(text_trim((struct str){ s.p + covered, p->start - covered }).n == 0 || format == DOC_MARKDOWN);
        start = p->start;
        covered = p->end > covered ? p->end : covered;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct str mimes[] = { { "text/plain", 10 }, { "text/markdown", 13 } };
    struct str in = { (const char *)data, n < 20000 ? n : 20000 };
    uint8_t how = take_byte(&in);
    struct buf out = { 0 }, again = { 0 };
    enum doc_format format, same;
    char reason[256] = "";
    struct arena *a = arena_new(1u << 26);

    if (extract_text(mimes[how >> 2 & 1], in, &format, &out, reason) == NULL) {
        struct str text = { exact(buf_slice(&out)), out.n }, title;
        char *memory = (char *)(uintptr_t)text.p;

        require(utf8_valid(text) && memchr(text.p, '\r', text.n) == NULL && (text.n == 0 || memchr(text.p, 0, text.n) == NULL));
        if (extract_text(mimes[how >> 2 & 1], text, &same, &again, reason) == NULL) /* what is left of markup can be markup again */
            require(same == format && (format == DOC_MARKDOWN || str_eq(text, buf_slice(&again))));
        title = extract_title(text, format, a);
        require(title.n <= 250 && utf8_valid(title));
        require(front_matter(text) <= text.n && front_matter_title(text, a).n <= 250);
        judge_blocks(text, format == DOC_MARKDOWN, a);
        judge_chunks(text, format, how, a);
        mem_free(&memory);
    }
    arena_free(&a);
    buf_free(&out);
    buf_free(&again);
    return 0;
}
