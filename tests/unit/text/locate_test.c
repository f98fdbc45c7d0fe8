/* A selection is found in the source that its page was made of, at its very bytes; what stands elsewhere only
 * in part is not found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/locate.h"

/* The bytes of text that the selection is found at; absent: none. */
static struct str
found(const char *text, const char *selection)
{
    struct str s = str_of(text);
    struct locator l;
    struct span x;
    bool ok;

    locator_init(&l, str_of(selection));
    ok = locate(&l, LOCATE_EXACT, s, &x) || locate(&l, LOCATE_LOOSE, s, &x);
    locator_fini(&l);
    return ok ? (struct str){ s.p + x.start, x.end - x.start } : STR_NONE;
}

static void
what_a_page_shows_is_found_in_its_source(void **state)
{
    static const struct {
        const char *text, *selection, *bytes;
    } rows[] = {
        { "One. The pool keeps ten. Two.", "The pool keeps ten.", "The pool keeps ten." },
        { "The pool\nkeeps\n   ten connections.", "The pool keeps ten connections.",
          "The pool\nkeeps\n   ten connections." },
        { "The **pool** keeps _ten_ `connections`.", "pool keeps ten connections.",
          "**pool** keeps _ten_ `connections`." },
        { "See **the pool** there.", "the pool", "the pool" },
        { "Read [the guide](https://x.example/a_(b)?c=d) first, please.", "Read the guide first",
          "Read [the guide](https://x.example/a_(b)?c=d) first" },
        { "Read [the guide][g] first, please.", "Read the guide first", "Read [the guide][g] first" },
        { "It ends with [a link](u). Next", "ends with a link.", "ends with [a link](u)." },
        { "Run it:\n\n```sh\nmake run\n```\n\nThen wait a while.", "Run it:\nmake run\nThen wait a while.",
          "Run it:\n\n```sh\nmake run\n```\n\nThen wait a while." },
        { "1. Open the door.\n2. Close the door.\n", "Open the door.\nClose the door.",
          "Open the door.\n2. Close the door." },
        { "- first thing\n- second thing\n", "first thing\nsecond thing", "first thing\n- second thing" },
        { "It's \"quoted\" - and so on...",
          "It\xe2\x80\x99s \xe2\x80\x9cquoted\xe2\x80\x9d \xe2\x80\x93 and so on\xe2\x80\xa6",
          "It's \"quoted\" - and so on" },
        { "Caf\xc3\xa9 au lait is coffee.", "Cafe\xcc\x81 au lait is coffee.",
          "Caf\xc3\xa9 au lait is coffee." },
        { "A<br>line with <b class=\"x\">tags</b> &amp; more.", "Aline with tags & more.",
          "A<br>line with <b class=\"x\">tags</b> &amp; more." },
        { "\xe5\x85\x89\xe5\x90\x88\xe4\xbd\x9c\xe7\x94\xa8**\xe6\x98\xaf**\xe4\xbb\x80\n\xe4\xb9\x88\xe3\x80\x82",
          "\xe4\xbd\x9c\xe7\x94\xa8\xe6\x98\xaf\xe4\xbb\x80\xe4\xb9\x88\xe3\x80\x82",
          "\xe4\xbd\x9c\xe7\x94\xa8**\xe6\x98\xaf**\xe4\xbb\x80\n\xe4\xb9\x88\xe3\x80\x82" },
        { "a = b + c;\nd = e;", "a = b + c;", "a = b + c;" },
        { "What \xf0\x9f\x98\x80 is it?", "What \xf0\x9f\x98\x80 is it?", "What \xf0\x9f\x98\x80 is it?" },
        { "The footnote answers questions from documents.", "ootnote answers questions fro",
          "ootnote answers questions fro" },
        { "Ask [them][x] first.\n\n[x]: https://x.example/y\n\n## Then\n\nGo on.",
          "Ask them first.\n\nThen\n\nGo on.",
          "Ask [them][x] first.\n\n[x]: https://x.example/y\n\n## Then\n\nGo on." },
        { "See:\n\n<Listing caption=\"Using the `?` of `Option<T>`\">\n\nThis is *it*.", "See:\nThis is it.",
          "See:\n\n<Listing caption=\"Using the `?` of `Option<T>`\">\n\nThis is *it*." },
        { "> Let's see.\n>\n> It holds a value between 0 and\n> 255. If *you* try",
          "between 0 and 255. If you try", "between 0 and\n> 255. If *you* try" },
        { "1. Open\n   the *door*.\n2. Close it.", "Open the door.\nClose it.",
          "Open\n   the *door*.\n2. Close it." },
        { "Of `Result<T, E>` and a < b <Listing n=\"1\">\nso *it* is.", "Of Result<T, E> and a < b so it is.",
          "Of `Result<T, E>` and a < b <Listing n=\"1\">\nso *it* is." },
        { "See [1] and [2] for more.", "[1] and [2] for", "[1] and [2] for" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str got = found(rows[i].text, rows[i].selection);

        if (!str_is(got, rows[i].bytes))
            fail_msg("row %zu: got \"" STR_FMT "\"", i, STR_ARG(got));
    }
}

static void
what_does_not_stand_there_is_not_found(void **state)
{
    static const struct {
        const char *text, *selection;
    } rows[] = {
        { "The pool keeps ten connections.", "The pool keeps twelve." },
        { "In 2012 it was.", "+ 1 +2" },
        { "The nowhere man.", "where" },
        { "x - y = z", "x + y = z" },
        { "", "something" },
        { "Some text.", "=====" },
        { "Some text.", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80" },
        { "[x](", "selected" },
        { "<!-- ", "a selected text" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (found(rows[i].text, rows[i].selection).p)
            fail_msg("row %zu was found", i);
}

static void
odd_texts_do_no_harm(void **state)
{
    static const char *const odd[] = { "](](](](", "<<<<<<a",   "&&&&amp",      "{#{#{#", "![![![",
                                       "```",      "1. 2. 3. ", "\xe3\x80\x82", "**",     "> > > ```" };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
            (void)found(odd[i], odd[k]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_page_shows_is_found_in_its_source),
        cmocka_unit_test(what_does_not_stand_there_is_not_found),
        cmocka_unit_test(odd_texts_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
