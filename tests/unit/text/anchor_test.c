/* Anchors of headings: what each generator makes of them, by the words of its own tests and documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "text/anchor.h"

struct slug_case {
    const char *heading, *github, *mkdocs, *mdbook, *vitepress, *hugo;
};

static void
each_generator_makes_its_own_anchor_of_a_heading(void **state)
{
    static const struct slug_case cases[] = {
        { "Setup", "setup", "setup", "setup", "setup", "setup" },
        { "Drop & the anchor", "drop--the-anchor", "drop-the-anchor", "drop--the-anchor", "drop-the-anchor",
          "drop--the-anchor" },
        { "What's new?", "whats-new", "whats-new", "whats-new", "what-s-new", "whats-new" },
        { "What\xe2\x80\x99s new", "whats-new", "whats-new", "whats-new", "what-s-new", "whats-new" },
        { "footnote ingest --base-url", "footnote-ingest---base-url", "footnote-ingest-base-url",
          "footnote-ingest---base-url", "footnote-ingest-base-url", "footnote-ingest---base-url" },
        { "snake_case_name", "snake_case_name", "snake_case_name", "snake_case_name", "snake-case-name",
          "snake_case_name" },
        { "C++ / C#", "c--c", "c-c", "c--c", "c-c", "c--c" },
        { "v1.2.3", "v123", "v123", "v123", "v1-2-3", "v123" },
        { "1. First step", "1-first-step", "1-first-step", "1-first-step", "_1-first-step", "1-first-step" },
        { "foo.bar()", "foobar", "foobar", "foobar", "foo-bar", "foobar" },
        { "Über Größe", "über-größe", "uber-groe", "Über-größe", "uber-große", "über-größe" },
        { "ÜBER", "über", "uber", "Über", "uber", "über" },
        { "Žlutý kůň", "žlutý-kůň", "zluty-kun", "Žlutý-kůň", "zluty-kun", "žlutý-kůň" },
        { "Привет, мир", "привет-мир", "", "Привет-мир", "привет-мир", "привет-мир" },
        { "快速开始", "快速开始", "", "快速开始", "快速开始", "快速开始" },
        { "x² and ½", "x-and-", "x2-and-12", "x²-and-½",
          "x2-and-1\xe2\x81\x84"
          "2",
          "x-and-" },
        { "I \xe2\x99\xa5 unicode", "i--unicode", "i-unicode", "i--unicode", "i-\xe2\x99\xa5-unicode",
          "i--unicode" },
        { "- dashes -", "--dashes--", "-dashes-", "--dashes--", "dashes", "--dashes--" },
        { "a\xc2\xa0"
          "b",
          "ab", "a-b", "a-b", "a-b", "ab" },
        { "  blanks  ", "blanks", "blanks", "blanks", "blanks", "blanks" },
        { "???", "", "", "", "", "heading" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct slug_case *c = &cases[i];
        const char *want[] = {
            [ANCHOR_GITHUB] = c->github,       [ANCHOR_MKDOCS] = c->mkdocs, [ANCHOR_MDBOOK] = c->mdbook,
            [ANCHOR_VITEPRESS] = c->vitepress, [ANCHOR_HUGO] = c->hugo,     [ANCHOR_IDS] = ""
        };

        for (size_t s = 0; s < ANCHOR_STYLES; s++) {
            struct buf b = BUF_MAX(0);

            anchor_slug((enum anchor_style)s, str_of(c->heading), &b);
            if (!str_is(buf_slice(&b), want[s]))
                fail_msg("\"%s\", style %zu: \"" STR_FMT "\" is not \"%s\"", c->heading, s,
                         STR_ARG(buf_slice(&b)), want[s]);
            buf_free(&b);
        }
    }
}

struct page_case {
    enum anchor_style style;
    const char *heading[8], *id[8], *want[8];
};

static void
repeated_headings_get_the_generators_numbers(void **state)
{
    static const struct page_case cases[] = {
        { ANCHOR_GITHUB,
          { "Fixed", "Fixed", "Added", "Fixed" },
          { 0 },
          { "fixed", "fixed-1", "added", "fixed-2" } },
        /* a heading that is what a repeated one would be */
        { ANCHOR_GITHUB, { "Foo", "Foo 1", "Foo", "Foo" }, { 0 }, { "foo", "foo-1", "foo-2", "foo-3" } },
        { ANCHOR_GITHUB, { "Foo", "Foo", "Foo 1" }, { 0 }, { "foo", "foo-1", "foo-1-1" } },
        { ANCHOR_GITHUB, { "?", "!" }, { 0 }, { "", "-1" } },
        /* an id of one's own is not in the slugger's memory */
        { ANCHOR_GITHUB, { "A", "Setup" }, { "setup" }, { "setup", "setup" } },
        { ANCHOR_MKDOCS, { "Fixed", "Fixed", "Fixed" }, { 0 }, { "fixed", "fixed_1", "fixed_2" } },
        { ANCHOR_MKDOCS, { "Foo_1", "Foo_1", "Foo" }, { 0 }, { "foo_1", "foo_2", "foo" } },
        { ANCHOR_MKDOCS, { "快速", "开始", "x" }, { 0 }, { "_1", "_2", "x" } },
        { ANCHOR_MKDOCS, { "A", "Setup", "Setup" }, { "setup" }, { "setup", "setup_1", "setup_2" } },
        { ANCHOR_MDBOOK,
          { "Examples", "Examples", "Examples" },
          { 0 },
          { "examples", "examples-1", "examples-2" } },
        { ANCHOR_VITEPRESS, { "Foo", "Foo", "foo!" }, { 0 }, { "foo", "foo-1", "foo-2" } },
        { ANCHOR_VITEPRESS, { "A", "Setup" }, { "setup" }, { "setup", "setup-1" } },
        { ANCHOR_HUGO, { "Foo", "Foo", "???", "!!!" }, { 0 }, { "foo", "foo-1", "heading", "heading-1" } },
        { ANCHOR_HUGO, { "A", "B" }, { "My-Id" }, { "My-Id", "b" } },
        { ANCHOR_IDS, { "Foo", "Bar" }, { NULL, "bar-id" }, { "", "bar-id" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct page_case *c = &cases[i];
        struct arena *arena = arena_new(1 << 20);
        struct anchors a;

        anchors_init(&a, c->style, arena);
        for (size_t k = 0; c->heading[k]; k++) {
            struct str got = anchors_next(&a, str_of(c->heading[k]), str_of(c->id[k]));

            if (!str_is(got, c->want[k]))
                fail_msg("case %zu, heading %zu: \"" STR_FMT "\" is not \"%s\"", i, k, STR_ARG(got),
                         c->want[k]);
        }
        arena_free(&arena);
    }
}

static void
a_page_of_equal_headings_costs_linear_time(void **state)
{
    static const enum anchor_style styles[] = { ANCHOR_GITHUB, ANCHOR_MKDOCS, ANCHOR_VITEPRESS };

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        struct arena *arena = arena_new((size_t)64 << 20);
        struct str got = STR_NONE;
        struct anchors a;

        anchors_init(&a, styles[s], arena);
        for (int i = 0; i < 100000; i++) /* quadratic: minutes */
            got = anchors_next(&a, STR("Fixed"), STR_NONE);
        assert_true(str_is(got, styles[s] == ANCHOR_MKDOCS ? "fixed_99999" : "fixed-99999"));
        arena_free(&arena);
    }
}

static void
a_full_arena_gives_no_anchor(void **state)
{
    struct arena *arena = arena_new(64);
    struct anchors a;

    (void)state;
    anchors_init(&a, ANCHOR_GITHUB, arena);
    assert_null(anchors_next(&a, STR("Setup"), STR_NONE).p);
    arena_free(&arena);
}

static void
an_address_says_whose_anchors_it_wants(void **state)
{
    static const struct {
        const char *url, *page;
        enum anchor_style style;
    } wanted[] = {
        { "https://d.example/a#", "https://d.example/a", ANCHOR_GITHUB },
        { "https://d.example/a/#-", "https://d.example/a/", ANCHOR_MKDOCS },
        { "https://d.example/a/#{mkdocs}", "https://d.example/a/", ANCHOR_MKDOCS },
        { "https://d.example/a.html#{mdbook}", "https://d.example/a.html", ANCHOR_MDBOOK },
        { "/docs/a#{vitepress}", "/docs/a", ANCHOR_VITEPRESS },
        { "/docs/a#{hugo}", "/docs/a", ANCHOR_HUGO },
        { "/docs/a#{ids}", "/docs/a", ANCHOR_IDS },
    };
    static const char *const others[] = { "https://d.example/a",
                                          "https://d.example/a#top",
                                          "",
                                          "#",
                                          "/a#{x}",
                                          "/a#{}",
                                          "/a#{github",
                                          "/a#{github} ",
                                          "#{github}" };
    enum anchor_style style;
    struct str page;

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_true(anchor_wanted(str_of(wanted[i].url), &style, &page));
        assert_true(str_is(page, wanted[i].page));
        assert_int_equal(style, wanted[i].style);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(anchor_wanted(str_of(others[i]), &style, &page));
    assert_false(anchor_wanted(STR_NONE, &style, &page));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_generator_makes_its_own_anchor_of_a_heading),
        cmocka_unit_test(repeated_headings_get_the_generators_numbers),
        cmocka_unit_test(a_page_of_equal_headings_costs_linear_time),
        cmocka_unit_test(a_full_arena_gives_no_anchor),
        cmocka_unit_test(an_address_says_whose_anchors_it_wants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
