/* Signs: which ones a question asks for, and where they stand in a text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/sign.h"

static void
a_question_asks_for_signs_and_not_for_its_own_punctuation(void **state)
{
    static const struct {
        const char *question, *sign; /* NULL: none */
    } rows[] = {
        { "What does the ? operator do?", "?" },
        { "what is ->?", "->" },
        { "What does `!` mean?", "!" },
        { "What does the - option do?", "-" },
        { "What does \"::\" mean", "::" },
        { "Comment annuler ?", NULL },
        { "Is it red - or blue?", NULL },
        { "What is this & that?", NULL },
        { "Really?!", NULL },
        { "What is C++?", NULL },
        { "What does nargs='?' do?", "?" },
        { "What does HEAD^2 mean?", NULL },
        { "?", NULL },
        { "", NULL },
        { "What does --frozen do?", "--frozen" },
        { "what is -j", "-j" },
        { "What does the `--dry-run` flag do?", "--dry-run" },
        { "Is (--offline) the same?", "--offline" },
        { "What is --jobs=4 for?", "--jobs" },
        { "Is it -5 degrees?", NULL },
        { "a well-known --", NULL },
        { "pre- and post-install", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str v[2];
        size_t n = signs_asked(str_of(rows[i].question), v, 2);

        if (n != (rows[i].sign ? 1u : 0u) || (n && !str_is(v[0], rows[i].sign)))
            fail_msg("%s: %zu", rows[i].question, n);
    }
}

static void
a_sign_stands_by_itself(void **state)
{
    (void)state;
    assert_true(sign_stands(STR("| `?` | none |"), STR("?")));
    assert_true(sign_stands(STR("?"), STR("?")));
    assert_true(sign_stands(STR("\u2018\?\u2019"), STR("\?")));
    assert_false(sign_stands(STR("Is it so?"), STR("?")));
    assert_false(sign_stands(STR("a ->> b"), STR("->")));
    assert_false(sign_stands(STR(""), STR("->")));
    assert_true(sign_stands(STR("use **--jobs**, or --jobs=4"), STR("--jobs")));
    assert_true(sign_stands(STR("-v/--verbose"), STR("--verbose")));
    assert_false(sign_stands(STR("use --jobserver"), STR("--jobs")));
    assert_false(sign_stands(STR("a--jobs"), STR("--jobs")));
}

static void
count(void *arg, const struct word *w)
{
    size_t *n = arg;

    assert_true(w->h == sign_hash(w->folded) && w->end - w->start == w->folded.n);
    (*n)++;
}

static void
what_structures_a_text_is_no_sign(void **state)
{
    size_t n = 0;

    (void)state;
    signs_each(STR("# Head\n\n* one\n> two\n\n| `?` | - |\n|---|---|\n\nx != y, **bold**. Really?\n!\n"),
               count, &n);
    assert_int_equal(n, 3); /* ?, !=, ! */
}

/* Counted words of an option: where it stands, and where a line begins with it. */
struct options {
    const char *option;
    size_t stands, defined;
};

static void
count_option(void *arg, const struct word *w)
{
    struct options *o = arg;

    o->stands += w->h == sign_hash(str_of(o->option));
    o->defined += w->h == sign_defined_hash(str_of(o->option));
}

static void
an_option_is_explained_where_a_line_begins_with_it(void **state)
{
    static const struct {
        const char *text;
        size_t stands, defined;
    } rows[] = {
        { "--jobs N\nHow many.", 1, 1 },
        { "# Options\n\n-j, --jobs N\n    How many.", 1, 1 },
        { "- `-j N`, `--jobs <N>`: how many", 1, 1 },
        { "* **--jobs**\n", 1, 1 },
        { "| `--jobs` | how many |", 1, 1 },
        { "### --jobs", 1, 1 },
        { "-j or --jobs\nHow many.", 1, 1 },
        { "--plates-at-once or --jobs", 1, 1 },
        { "-j behaves like --jobs", 1, 0 },
        { "or --jobs", 1, 0 },
        { "Without --jobs it uses all.", 1, 0 },
        { "See --jobs", 1, 0 },
        { "cargo build --jobs 4", 1, 0 },
        { "--jobserver N", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options o = { .option = "--jobs" };

        signs_each(str_of(rows[i].text), count_option, &o);
        if (o.stands != rows[i].stands || o.defined != rows[i].defined)
            fail_msg("%s: %zu, %zu", rows[i].text, o.stands, o.defined);
        assert_int_equal(sign_defined(str_of(rows[i].text), STR("--jobs")), rows[i].defined > 0);
    }
}

static void
a_manual_page_is_of_a_command(void **state)
{
    static const struct {
        const char *question, *title;
        bool is;
    } rows[] = {
        { "What does set -x do?", "set - display and change variables", true },
        { "What does set -x do?", "argparse - parse options", false },
        { "What does cargo build -j do?", "cargo-build(1)", true },
        { "What does cargo -j do?", "cargo-build(1)", false },
        { "what is string match -r", "string-match - match substrings", true },
        { "What does setup -x do?", "set - display and change variables", false },
        { "What does -x do?", "", false },
        { "What does -x do?", "-x", true },
        { "What does --all do?", "Options of the press", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (sign_commands(str_of(rows[i].question), str_of(rows[i].title)) != rows[i].is)
            fail_msg("%s: %s", rows[i].question, rows[i].title);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_asks_for_signs_and_not_for_its_own_punctuation),
        cmocka_unit_test(a_sign_stands_by_itself),
        cmocka_unit_test(what_structures_a_text_is_no_sign),
        cmocka_unit_test(a_manual_page_is_of_a_command),
        cmocka_unit_test(an_option_is_explained_where_a_line_begins_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
