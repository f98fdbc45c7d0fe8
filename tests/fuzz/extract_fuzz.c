/* A document: the first byte says how it was sent, the rest is its bytes. Extraction, front matter, headings,
 * blocks, tables, chunks.
 * Properties: the stored text is UTF-8, and plain text stays itself when it is extracted again; blocks and
 * chunks lie within it, in order, on borders of characters, and no byte but white space is left out; titles
 * and headings are within their limits. */
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
        require(b.start >= end && b.start < b.end && b.end <= s.n && at >= b.end && border(s, b.start) &&
                border(s, b.end));
        require(b.kind != BLOCK_HEADING || (b.level >= 1 && b.level <= 6 && inside(b.heading, s)));
        if (b.kind == BLOCK_HEADING && n++ < 20) {
            struct str plain = heading_plain(s, b.heading, a);

            require(plain.n <= 200 && utf8_valid(plain) && (plain.n == 0 || !memchr(plain.p, '\n', plain.n)));
        }
        end = b.end;
    }
    for (size_t i = 0; i < s.n && i < 64; i++)
        require(inside(md_table_head(s, i), s));
}

static void
judge_chunks(const struct extracted *x, uint8_t how, struct arena *a)
{
    struct str s = buf_slice(&x->text);
    static const char *const urls[] = { NULL, "/a#", "/a#-", "/a#{vitepress}", "/a#{ids}" };
    struct chunk_rules rules = { .target = how & 1 ? 64 : 700,
                                 .overlap = how & 2 ? 16 : 0,
                                 .url = str_of(urls[how % 5]) };
    struct pieces out = { NULL, 0 };
    size_t covered = 0, start = 0;

    if (!chunk_text(x, &rules, a, &out))
        return;
    for (size_t i = 0; i < out.n; i++) {
        const struct piece *p = &out.v[i];

        require(p->start < p->end && p->end <= s.n && border(s, p->start) && border(s, p->end));
        require(p->start >= start && utf8_valid(p->chapter) && utf8_valid(p->section));
        require(p->anchor.n <= 512 && utf8_valid(p->anchor) && (rules.url.p || p->anchor.n == 0));
        if (p->start > covered)
            require(text_trim((struct str){ s.p + covered, p->start - covered }).n == 0 ||
                    x->by->heading != NULL);
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
    struct extracted x, again;
    struct arena *a = arena_new(1u << 26);

    if (!extract(mimes[how >> 2 & 1], in, a, 1u << 20, &x)) {
        struct str text = { exact(buf_slice(&x.text)), x.text.n };
        bool markdown = x.by->heading != NULL;
        char *memory = (char *)(uintptr_t)text.p;

        require(utf8_valid(text) && !memchr(text.p, '\r', text.n) &&
                (text.n == 0 || !memchr(text.p, 0, text.n)));
        /* what is left of markup can be markup again */
        if (!extract(mimes[how >> 2 & 1], text, a, 1u << 20, &again))
            require(again.by == x.by && (markdown || str_eq(text, buf_slice(&again.text))));
        extract_fini(&again);
        require(x.title.n <= 250 && utf8_valid(x.title));
        require(front_matter(text) <= text.n && front_matter_title(text, a).n <= 250);
        judge_blocks(text, markdown, a);
        judge_chunks(&x, how, a);
        mem_free(&memory);
    }
    extract_fini(&x);
    arena_free(&a);
    return 0;
}
