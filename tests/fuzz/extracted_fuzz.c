/* Frames that footnote-extract might say, if somebody took it over. Property: an extraction that is taken is
 * wholly a refusal or wholly a text, within its limits; blocks and pages are of the text, in order, on borders
 * of characters; the frames that are made of it are taken again. */
#include "common/utf8.h"
#include "proto/extracted.h"
#include "tests/fuzz/fuzz.h"

static bool
border(struct str s, size_t at)
{
    return at == s.n || (at < s.n && ((unsigned char)s.p[at] & 0xc0) != 0x80);
}

static bool
is_text(struct str s, size_t most)
{
    return s.n <= most && utf8_valid(s) && (s.n == 0 || !memchr(s.p, 0, s.n));
}

static void
judge(const struct extraction *e)
{
    require((e->reason.p != NULL) != (e->text.p != NULL));
    require(!e->reason.p || (!e->title.p && e->n_blocks == 0 && e->n_pages == 0));
    require(is_text(e->text, EXTRACTED_TEXT) && is_text(e->title, EXTRACTED_TITLE) &&
            is_text(e->reason, EXTRACTED_REASON));
    require(e->n_blocks <= EXTRACTED_BLOCKS && e->n_pages <= EXTRACTED_PAGES);
    for (size_t i = 0; i < e->n_blocks; i++) {
        const struct extracted_block *b = &e->blocks[i];

        require(b->kind < EXTRACTED_KINDS && b->start < b->end && b->end <= e->text.n);
        require(i == 0 || b->start >= e->blocks[i - 1].end);
        require(border(e->text, b->start) && border(e->text, b->end));
        if (b->kind == EXTRACTED_HEADING) {
            require(b->level >= 1 && b->level <= 6);
            require(b->start <= b->from && b->from <= b->to && b->to <= b->end);
            require(border(e->text, b->from) && border(e->text, b->to));
        }
    }
    for (size_t i = 0; i < e->n_pages; i++) {
        require(e->pages[i].start <= e->text.n && e->pages[i].number > 0);
        require(i == 0 || e->pages[i].start >= e->pages[i - 1].start);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { exact((struct str){ (const char *)data, n }), n };
    struct arena *a = arena_new(1 << 22);
    char *memory = (char *)(uintptr_t)in.p;
    struct extraction e, again;
    struct buf made = BUF_MAX(EXTRACTED_BYTES);
    const char *why;

    if (extracted_decode(in, a, &e, &why)) {
        judge(&e);
        extracted_encode(&e, &made);
        require(extracted_decode(buf_slice(&made), a, &again, &why));
        require(str_eq(again.text, e.text) && str_eq(again.reason, e.reason) &&
                again.n_blocks == e.n_blocks && again.n_pages == e.n_pages);
    } else {
        require(why && *why);
    }
    buf_free(&made);
    mem_free(&memory);
    arena_free(&a);
    return 0;
}
