/* Anchors of passages: a chunk carries one where the last part of its section does not tell it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "retriever/extract/chunk.h"
#include "retriever/extract/heading.h"

/* The anchors of the pieces, joined by spaces; "." is none. */
static void
assert_anchors(const char *url, const char *section, const char *text, const char *want)
{
    struct arena *a = arena_new(1 << 20);
    struct chunk_rules rules = { .target = 200, .url = str_of(url), .section = str_of(section) };
    struct buf got = BUF_MAX(4096);
    struct extracted x;
    struct pieces p;

    assert_null(extract(STR("text/markdown"), str_of(text), a, 100000, &x));
    assert_true(chunk_text(&x, &rules, a, &p));
    for (size_t i = 0; i < p.n; i++) {
        if (i > 0)
            buf_c(&got, ' ');
        buf_str(&got, p.v[i].anchor.n ? p.v[i].anchor : STR("."));
    }
    if (!str_is(buf_slice(&got), want))
        fail_msg("%s: \"" STR_FMT "\" is not \"%s\"", url, STR_ARG(buf_slice(&got)), want);
    buf_free(&got);
    extract_fini(&x);
    arena_free(&a);
}

static void
a_repeated_heading_and_an_id_of_its_own_are_carried(void **state)
{
    static const char text[] =
        "# Log\n\nIntro.\n\n## 1.1\n\n### Fixed\n\nOne.\n\n## 1.0\n\n### Fixed\n\nTwo.\n\n"
        "### Added {#new-things}\n\nThree.\n\n### Fixed\n\nFour.\n";

    (void)state;
    assert_anchors("https://d.example/log#", NULL, text, ". . fixed-1 new-things fixed-2");
    assert_anchors("https://d.example/log/#-", NULL, text, ". . fixed_1 new-things fixed_2");
    assert_anchors("https://d.example/log#{mdbook}", NULL, text, ". . fixed-1 new-things fixed-2");
    assert_anchors("https://d.example/log#{ids}", NULL, text, ". . . new-things .");
    assert_anchors("https://d.example/log", NULL, text, ". . . . .");
    assert_anchors(NULL, NULL, text, ". . . . .");
}

static void
headings_without_a_text_of_their_own_count_too(void **state)
{
    (void)state;
    assert_anchors("/a#", NULL, "## Setup\n\n### Setup\n\nText.\n\n### Setup\n\nMore.\n", "setup-1 setup-2");
}

static void
where_the_section_does_not_tell_the_heading_it_is_carried(void **state)
{
    (void)state;
    /* " > " parts the headings of a section, and stands in this one */
    assert_anchors("/a#", NULL, "# T\n\n## File > Open\n\nText.\n", "file--open");
    /* the second title of a page is a place on it, the first is the page */
    assert_anchors("/a#", NULL, "# One\n\nText.\n\n# Two\n\nText.\n", ". two");
    assert_anchors("/a#", "Setup", "# T\n\n## Setup\n\nText.\n", "setup");
    /* a section that does not fit */
    char text[2000] = "# T\n\n";
    size_t n = strlen(text);

    for (int l = 2; l <= 6; l++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s ", l, "######");
        memset(text + n, 'a' + l, 190);
        n += 190;
        n += (size_t)snprintf(text + n, sizeof text - n, "\n\n");
    }
    (void)snprintf(text + n, sizeof text - n, "Text.\n");
    char want[191] = { 0 };

    memset(want, 'g', 190);
    assert_anchors("/a#", NULL, text, want);
}

static void
the_anchor_of_a_long_heading_is_that_of_all_of_it(void **state)
{
    char text[700], want[301] = { 0 };

    (void)state;
    memset(want, 'w', 300);
    (void)snprintf(text, sizeof text, "# T\n\n## %s\n\nText.\n", want);
    assert_anchors("/a#", NULL, text, want);
}

static void
the_slug_is_of_what_the_page_shows(void **state)
{
    (void)state;
    /* twice, so that the second one is carried */
    assert_anchors("/a#", NULL, "## Use `make run` & *wait*\n\na\n\n## Use `make run` & *wait*\n\nb\n",
                   ". use-make-run--wait-1");
    assert_anchors("/a#", NULL,
                   "## [Links](http://x.example/) go\n\na\n\n## [Links](http://x.example/) go\n\nb\n",
                   ". links-go-1");
    assert_anchors("/a#", NULL, "Title\n=====\n\na\n\nSub\n---\n\nb\n\nSub\n---\n\nc\n", ". . sub-1");
    /* not headings */
    assert_anchors("/a#", NULL, "## A\n\n```\n## A\n```\n\n## A\n\nb\n", ". a-1");
}

static void
ids_are_read_in_every_common_form(void **state)
{
    static const struct {
        const char *heading, *id;
    } cases[] = {
        { "Setup {#install}", "install" },
        { "Setup {#install .wide}", "install" },
        { "Setup { #install }", "install" },
        { "Setup {: #install }", "install" },
        { "Setup {:#install}", "install" },
        { "Setup {.wide #install}", "install" },
        { "Setup {#a-b_c.d:e}", "a-b_c.d:e" },
        { "Setup {#приступая}", "приступая" },
        { "Setup", NULL },
        { "Setup {.wide}", NULL },
        { "Setup {install}", NULL },
        { "Setup {#install} now", NULL },
        { "Setup {#}", NULL },
        { "Setup {#a\"b}", NULL },
        { "Setup {#a<b>}", NULL },
        { "{}", NULL },
        { "}", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str id = heading_id(str_of(cases[i].heading));

        if (!str_eq(id, str_of(cases[i].id)))
            fail_msg("%s: \"" STR_FMT "\"", cases[i].heading, STR_ARG(id));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeated_heading_and_an_id_of_its_own_are_carried),
        cmocka_unit_test(headings_without_a_text_of_their_own_count_too),
        cmocka_unit_test(where_the_section_does_not_tell_the_heading_it_is_carried),
        cmocka_unit_test(the_anchor_of_a_long_heading_is_that_of_all_of_it),
        cmocka_unit_test(the_slug_is_of_what_the_page_shows),
        cmocka_unit_test(ids_are_read_in_every_common_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
