/* Front matter, between its two lines: the first byte says which kind.
 * Properties: what it takes ends at a line's end within the text; a title is UTF-8, on one line, within its limit. */
#include "common/text/text.h"
#include "retriever/extract/front_matter.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n < 8000 ? n : 8000 }, s;
    const char *rule = take_byte(&in) & 1 ? "+++\n" : "---\n";
    struct buf b = { 0 };
    struct arena *a = arena_new(1u << 20);
    char *memory;
    size_t end;

    buf_z(&b, rule);
    buf_str(&b, in);
    buf_printf(&b, "\n%s# Title\n", rule);
    s = (struct str){ exact(buf_slice(&b)), b.n };
    memory = (char *)(uintptr_t)s.p;
    if (utf8_valid(s)) { /* the extractor gives nothing else */
        struct str title = front_matter_title(s, a);

        end = front_matter(s);
        require(end <= s.n && (end == 0 || end == s.n || s.p[end - 1] == '\n'));
        require(title.n <= 250 && utf8_valid(title));
        for (size_t i = 0; i < title.n; i++)
            require((unsigned char)title.p[i] >= 32 && title.p[i] != 127);
    }
    mem_free(&memory);
    buf_free(&b);
    arena_free(&a);
    return 0;
}
