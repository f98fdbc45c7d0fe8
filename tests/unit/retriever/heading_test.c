/* Headings and front matter: what a reader of the rendered page sees, whatever the source looks like. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "retriever/extract/front_matter.h"
#include "retriever/extract/heading.h"
#include "retriever/extract/markdown.h"

static void
a_heading_is_named_as_it_is_shown(void **state)
{
    static const struct {
        const char *source, *shown;
    } headings[] = {
        { "[1.2.0] - 2024-03-01", "[1.2.0] - 2024-03-01" },
        { "[2.0.0] - 2024-05-01", "2.0.0 - 2024-05-01" },
        { "Using argv[1] in C", "Using argv[1] in C" },
        { "[the guide](x) and more", "the guide and more" },
        { "The `--force` option", "The --force option" },
        { "*Very* **bold** ~~old~~ `a*b`", "Very bold old a*b" },
        { "snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4" },
        { "Setup {#setup}", "Setup" },
        { "C\\# and \\*stars\\*", "C# and *stars*" },
        { "AT&amp;T &lt;b&gt; &copy;", "AT&T <b> \xc2\xa9" },
        { "![Logo](logo.png) Footnote", "Logo Footnote" },
        { "A <sub>small</sub> step", "A small step" },
        { "Notes[^1]", "Notes" },
        { "The class `[^a]`", "The class [^a]" },
        { "<https://x.example>", "https://x.example" },
        { "[a][ref] and [b]", "[a][ref] and [b]" },
        { "Map{String}", "Map{String}" },
        { "", "" },
    };
    struct arena *a = arena_new((size_t)1 << 20);

    (void)state;
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        struct str got = heading_plain(STR("# x\n\n[2.0.0]: https://x.example/2\n"),
                                       str_of(headings[i].source), a);

        if (!str_is(got, headings[i].shown))
            print_message("%s -> %.*s\n", headings[i].source, (int)got.n, got.p);
        assert_true(str_is(got, headings[i].shown));
    }
    arena_free(&a);
}

static void
front_matter_gives_the_title_and_is_no_text(void **state)
{
    static const struct {
        const char *text, *title;
        bool is;
    } pages[] = {
        { "---\ntitle: Boats\n---\nText", "Boats", true },
        { "---\ntitle: >-\n  A folded\n  title\ntags: [a, b]\n---\nText", "A folded title", true },
        { "---\ntitle: >-\n  A\n    deeper line\n  end\n---\nText", "A deeper line end", true },
        { "---\ntitle: \"A\\0B\\x07C\\u202eD\\nE\"\n---\nText", "ABCD E", true },
        { "+++\ntitle = \"\"\"\nA\n  B\n\"\"\"\n+++\nText", "A B", true },
        { "---\ntitle: \"Quoted: yes\"\nnested:\n  title: no\n---\nText", "Quoted: yes", true },
        { "---\nauthors:\n  - name: title\n    title: Chief\ntitle: Real\n---\nText", "Real", true },
        { "---\ntitle: Boats: a guide\n---\nText", "Boats: a guide", true },
        { "+++\ntitle = \"TOML \\\"page\\\"\"\ndate = 2024-01-01\n+++\nText", "TOML \"page\"", true },
        { "+++\ntitle = 'literal \\ one'\n[extra]\ntitle = 'no'\n+++\nText", "literal \\ one", true },
        { "---\ntitle: Dots\n...\nText", "Dots", true },
        { "---\nNo settings here, only text between rules.\n---\nText", NULL, false },
        { "---\n- a list\n- of things\n---\nText", NULL, false },
        { "---\ntitle: never closed\n\nText", NULL, false },
        { "---\n---\nText", NULL, true },
        { "---\n\nNote: the boat leaks.\n\n---\nText", NULL, false },
        { "---\nThe boat leaks: mend it.\n---\nText", NULL, false },
        { "---\n# a comment\n\ntitle: Boats # another\n---\nText", "Boats", true },
        { "---  \ntitle: 'It''s a boat'\n---\t\nText", "It's a boat", true },
        { "---\ntitle: |\n  Two\n  lines\n---\nText", "Two lines", true },
        { "---\ntitle: \"Caf\\u00e9\"\n---\nText", "Caf\xc3\xa9", true },
        { "---\ntitle: 2024\n---\nText", "2024", true },
        { "+++\ntitle = \"\"\"\nA long\ntitle\"\"\"\n+++\nText", "A long title", true },
        { "{\n  \"title\": \"JSON } page\",\n  \"tags\": [\"a\"]\n}\nText", "JSON } page", true },
        { "{ \"title\": \"One line\" }\nText", "One line", true },
        { "{\n  \"draft\": true\n}\nText", NULL, true },
        { "{ \"a\": 1 }\nText", NULL, false },
        { "{name} is replaced.\n\n}\nText", NULL, false },
        { "{\n  \"title\": \"All there is\"\n}\n", NULL, false },
        { "Text\n---\ntitle: x\n---\n", NULL, false },
    };
    struct arena *a = arena_new((size_t)1 << 20);

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct str s = str_of(pages[i].text), t = front_matter_title(s, a);

        size_t want = pages[i].is ? (size_t)(strstr(pages[i].text, "\nText") + 1 - pages[i].text) : 0;

        if (front_matter(s) != want || !(pages[i].title ? str_is(t, pages[i].title) : t.n == 0))
            print_message("%s: %zu, %.*s\n", pages[i].text, front_matter(s), (int)t.n, t.p);
        assert_int_equal(front_matter(s), want);
        assert_true(pages[i].title ? str_is(t, pages[i].title) : t.n == 0);
    }
    arena_free(&a);
}

static void
long_front_matter_is_none_of_the_text(void **state)
{
    struct arena *a = arena_new((size_t)1 << 20);
    struct buf b = { 0 };

    (void)state;
    buf_z(&b, "---\ntitle: Long\n");
    for (int i = 0; i < 80; i++)
        buf_printf(&b, "key%d: value %d\n", i, i);
    buf_z(&b, "---\n");
    size_t n = b.n;

    buf_z(&b, "# Heading\n\nText");
    assert_int_equal(front_matter(buf_slice(&b)), n);
    assert_true(str_is(front_matter_title(buf_slice(&b), a), "Long"));
    assert_true(str_is(md_title(buf_slice(&b), a), "Heading"));
    buf_free(&b);
    arena_free(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heading_is_named_as_it_is_shown),
        cmocka_unit_test(front_matter_gives_the_title_and_is_no_text),
        cmocka_unit_test(long_front_matter_is_none_of_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
