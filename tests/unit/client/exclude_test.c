/* Files and pages that are no documents though their format is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "client/files/exclude.h"

static void
a_header_is_said_to_everybody_or_to_one(void **state)
{
    static const struct {
        const char *header;
        bool out;
    } cases[] = {
        { "", false },
        { "noindex", true },
        { "NoIndex, nofollow", true },
        { " nofollow ,noindex", true },
        { "none", true },
        { "all", false },
        { "nofollow", false },
        { "noindexed", false },
        { "googlebot: noindex", false },
        { "googlebot: nofollow, noindex", false },
        { "footnote: noindex", true },
        { "googlebot: noindex, Footnote: none", true },
        { "unavailable_after: 25 Jun 2030 15:00:00 PST", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (exclude_tag(cases[i].header) != cases[i].out)
            fail_msg("\"%s\" is read as %d", cases[i].header, !cases[i].out);
}

static void
a_page_says_it_in_its_head(void **state)
{
    static const struct {
        const char *page;
        bool out;
    } cases[] = {
        { "<!doctype html><title>a</title><meta name=\"robots\" content=\"noindex\"><p>text", true },
        { "<html><head><META NAME=Robots CONTENT='follow, NOINDEX'></head><body>x</body></html>", true },
        { "<meta content=none name=robots>", true },
        { "<meta name=footnote content=noindex>", true },
        { "<meta name=googlebot content=noindex>", false },
        { "<meta name=robots content='index, follow'>", false },
        { "<!-- <meta name=robots content=noindex> --><p>x", false },
        { "<p>&lt;meta name=robots content=noindex&gt;", false },
        { "<body><p>x<meta name=robots content=noindex></body>", false },
        { "<script>'<meta name=robots content=noindex>'</script><p>x", false },
        { "<meta http-equiv=refresh content='0; url=/new/'>", true },
        { "<meta http-equiv=Refresh content='0;URL=https://x.example/'>", true },
        { "<meta http-equiv=refresh content=300><p>a page that is read anew", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if ((exclude_page((struct str){ cases[i].page, strlen(cases[i].page) }) != NULL) != cases[i].out)
            fail_msg("%s is read as %d", cases[i].page, !cases[i].out);
}

/* The file of that name with n times the text. */
static const char *
excluded(const char *name, bool site, const char *text, size_t n)
{
    char path[] = "/tmp/exclude_test.XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    const char *why;

    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        fputs(text, f);
    fclose(f);
    why = exclude_file(path, name, site);
    unlink(path);
    return why;
}

static void
a_file_is_known_by_its_name_or_its_lines(void **state)
{
    (void)state;
    assert_non_null(excluded("404.html", false, "<p>x", 1));
    assert_non_null(excluded("searchindex-7a90acc2.js", false, "x", 1));
    assert_non_null(excluded("jQuery.MIN.js", false, "x", 1));
    assert_null(excluded("search.html", false, "<p>How the search works", 1));
    assert_null(excluded("404.md", false, "x", 1));
    assert_non_null(excluded("app.js", false, "var a=1;", 2000)); /* one line of 16,000 bytes */
    assert_null(excluded("app.js", false, "var a = 1;\n", 2000));
    assert_non_null(excluded("app.js", true, "var a = 1;\n", 20));
    assert_non_null(excluded("look.CSS", true, "a { b: c }\n", 20));
    assert_null(excluded("example.py", true, "a = 1\n", 20));
    assert_null(excluded("data.json", false, "{\"a\":1}", 2000)); /* usual there */
    assert_null(excluded("notes.md", false, "one long line ", 2000));
    assert_null(exclude_file("/nowhere/a.html", "a.html", true));
}

static void
a_long_line_among_many_is_somebodys(void **state)
{
    char path[] = "/tmp/exclude_test.XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");

    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 600; i++)
        fputs("int value = 7;\n", f);
    for (int i = 0; i < 1200; i++)
        fputs("0x17, ", f);
    fclose(f);
    assert_null(exclude_file(path, "table.c", false));
    unlink(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_said_to_everybody_or_to_one),
        cmocka_unit_test(a_page_says_it_in_its_head),
        cmocka_unit_test(a_file_is_known_by_its_name_or_its_lines),
        cmocka_unit_test(a_long_line_among_many_is_somebodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
