/* Answers on their way out: what leaves them, what stays, and that pieces make no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/safe/sanitize.h"

static char *listed[] = { "good.example", ".below.example" };
static const struct names hosts = { listed, 2, false };

static struct link_rules
rules(void)
{
    struct link_rules r = { .hosts = &hosts, .public_url = "https://own.example:8443" };

    link_rules_add(&r, STR("https://source.example/guide?x=1"));
    link_rules_add(&r, STR("javascript:alert(1)"));
    return r;
}

static void
check(const char *text, const char *want)
{
    struct link_rules r = rules();

    for (size_t piece = 0; piece <= strlen(text); piece = piece ? 2 * piece : 1) {
        struct buf out = BUF_MAX(0);
        struct sanitizer s;

        sanitizer_init(&s, &r);
        for (size_t i = 0; piece > 0 && i < strlen(text); i += piece)
            sanitizer_feed(&s, (struct str){ text + i, strlen(text) - i < piece ? strlen(text) - i : piece },
                           &out);
        if (piece == 0)
            sanitizer_feed(&s, str_of(text), &out);
        sanitizer_end(&s, &out);
        assert_string_equal(out.p ? out.p : "", want);
        buf_free(&out);
    }
}

#define SAME(text) check(text, text)

static void
links_and_images_outside_the_rules_leave_their_text(void **s)
{
    (void)s;
    check("See ![x](http://evil.example/p.png?q=secret) and [click](http://evil.example \"t\").",
          "See x and click.");
    check("[![alt](http://a.example/b.png)](http://c.example/d)", "alt");
    check("![](https://evil.example/a) ![r](/logout)", " r");
    check("[a](//evil.example) [b](/\\evil.example) [c](<http://evil.example>) [d]( http://e.example )",
          "a b c d");
    check(
        "[a](http://good.example.evil.example) [b](http://good.example@evil.example) [c](http://xgood.example)",
        "a b c");
    check("[two\nlines](http://evil.example)", "two\nlines");
}

static void
no_disguise_lets_a_script_through(void **s)
{
    static const char *const bad[] = { "javascript:alert(1)",
                                       "JaVaScRiPt:x",
                                       "data:text/html,x",
                                       "vbscript:x",
                                       "&#106;avascript:x",
                                       "javascript&colon;x",
                                       "&#x6A;avascript:x",
                                       "file:///etc/passwd",
                                       "blob:x",
                                       "<javascript:x>",
                                       "mailto:a@b.c",
                                       "ftp://e.example",
                                       "x:y" };
    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128], image[128];

        snprintf(text, sizeof text, "a [b](%s) c", bad[i]);
        check(text, "a b c");
        snprintf(image, sizeof image, "a ![b](%s) c", bad[i]);
        check(image, "a b c");
    }
}

static void
listed_hosts_own_pages_and_the_passages_addresses_stay(void **s)
{
    (void)s;
    SAME(
        "[a](https://good.example/x?y#z) ![b](https://good.example/b.png) [c](http://a.below.example) [d](https://own.example/d)");
    SAME(
        "[a](https://source.example/guide?x=1) [b](https://source.example/guide?x=1#part) https://source.example/guide?x=1.");
    SAME("<https://good.example/a> https://good.example/a, http://localhost:8080/x and http://127.0.0.1:9/");
    check("![a](https://source.example/guide?x=1) [b](https://source.example/guide?x=2)", "a b");
    check("![a](http://localhost:8080/x)", "a");
    SAME("[relative](guide/setup.md#part) [root](/docs/x) [frag](#top)");
}

static void
definitions_define_nothing_outside_the_rules(void **s)
{
    (void)s;
    check("See [the page][p].\n\n[p]: http://evil.example \"t\"\n",
          "See [the page][p].\n\np: evil.example \"t\"\n");
    check("[p]:\n  javascript:x\n", "p:\n  javascript:x\n");
    check("> - [p]: data:x", "> - p: data:x");
    check("[p]: <javascript:x>", "p: &lt;javascript:x>");
    SAME("[p]: https://good.example/x \"t\"\n[1]: See the manual.\n");
}

static void
bare_addresses_lose_what_makes_them_links(void **s)
{
    (void)s;
    check(
        "Get it from https://nodejs.org/en/download. Or <http://evil.example/x>, www.gnu.org, FTP://e.example/f.",
        "Get it from nodejs.org/en/download. Or evil.example/x, gnu.org, e.example/f.");
    check("http://http://evil.example hthttp://tp://evil.example", "evil.example ht tp://evil.example");
    SAME("redis://127.0.0.1:6379 and a@b.example and the www of old and https: alone");
}

static void
html_is_text(void **s)
{
    (void)s;
    check("<script>alert(1)</script> <img src=x onerror=a> <!-- c --> <?x?> List<String>",
          "&lt;script>alert(1)&lt;/script> &lt;img src=x onerror=a> &lt;!-- c --> &lt;?x?> List&lt;String>");
    SAME("a < b, 3<4, x <- y, <= and <3");
}

static void
marks_and_the_documents_own_brackets_stay(void **s)
{
    (void)s;
    SAME(
        "It is so [1][2], [3, 4] and argv[0] in [0, 1]; Smith v Jones [1932] AC 562; f[i](x) and [[1]] \\[1\\] [^1].");
    check("It is so [1](http://evil.example).", "It is so 1.");
}

static void
code_keeps_its_bytes(void **s)
{
    (void)s;
    SAME("Run `curl http://evil.example/<T>` and ``a ` [x](http://e.example)``.");
    SAME(
        "Do:\n\n```bash\ncurl https://api.example/v1 -o <file>\n[x](http://e.example)\n\n![y](http://e.example)\n```\n\nDone [1].\n");
    SAME("~~~\n<b>http://e.example</b>\n~~~\n");
    SAME(
        "1. First:\n    ```\n    curl http://e.example\n    ```\n2. Then:\n   ```\n   wget http://e.example\n   ```\n- last\n  ~~~\n  <x>\n  ~~~\n");
    SAME("```\nunfinished http://e.example <x>");
    SAME("```html\n<a href=\"http://e.example\">``` no end\n~~~\n```   \nafter\n");
}

static void
what_only_looks_like_code_is_text(void **s)
{
    (void)s;
    check("` ![x](http://evil.example)", "` x");
    check("`a\n- ![x](http://evil.example) `", "`a\n- x `");
    check("\\` ![x](http://evil.example) `", "\\` x `");
    check("> ```\n\n![x](http://evil.example)\n", "> ```\n\nx\n");
    check("- ```\n  code\n  ```\n![x](http://evil.example)", "- ```\n  code\n  ```\nx");
    check("text\n    ```\n![x](http://evil.example)", "text\n    ```\nx");
    check("   ```\ncode\n   ```\n![x](http://evil.example)", "   ```\ncode\n   ```\nx");
    check("```\ncode\n```\n![x](http://evil.example)", "```\ncode\n```\nx");
    check("    ![x](http://evil.example)", "    x");
}

static void
taking_one_thing_away_makes_no_other(void **s)
{
    (void)s;
    check("<[script](http://b.example)>", "< script>");
    check("[t][](http://b.example)(javascript:x)", "[t] (javascript:x)");
    check("h[](http://b.example)ttp://evil.example", "h ttp://evil.example");
    check("[http:](http://b.example)//evil.example", "evil.example");
    check("[a][](http://b.example): javascript:x", "[a] : javascript:x");
    check("[x](http://e.example`) `code`", "[x] (e.example`) `code`");
}

static void
what_is_held_back_is_bounded(void **s)
{
    static const char *const open[] = {
        "[", "![", "[x](", "[x](http://e.example/", "`", "<http:", "http://", "[x]: ", "```", "- -"
    };
    struct link_rules r = rules();

    (void)s;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        struct buf out = BUF_MAX(0);
        struct sanitizer t;

        sanitizer_init(&t, &r);
        sanitizer_feed(&t, str_of(open[i]), &out);
        for (size_t n = 0; n < 20000; n++)
            sanitizer_feed(&t, STR("a"), &out);
        assert_true(t.hold.n < 4096);
        assert_true(out.n > 15000);
        sanitizer_end(&t, &out);
        buf_free(&out);
    }
}

static void
a_line_without_constructs_waits_for_nothing(void **s)
{
    struct link_rules r = rules();
    struct buf out = BUF_MAX(0);
    struct sanitizer t;

    (void)s;
    sanitizer_init(&t, &r);
    sanitizer_feed(&t, STR("**Bold** and plain text [1] of an ans"), &out);
    assert_string_equal(out.p, "**Bold** and plain text [1] of an ans");
    sanitizer_end(&t, &out);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_and_images_outside_the_rules_leave_their_text),
        cmocka_unit_test(no_disguise_lets_a_script_through),
        cmocka_unit_test(listed_hosts_own_pages_and_the_passages_addresses_stay),
        cmocka_unit_test(definitions_define_nothing_outside_the_rules),
        cmocka_unit_test(bare_addresses_lose_what_makes_them_links),
        cmocka_unit_test(html_is_text),
        cmocka_unit_test(marks_and_the_documents_own_brackets_stay),
        cmocka_unit_test(code_keeps_its_bytes),
        cmocka_unit_test(what_only_looks_like_code_is_text),
        cmocka_unit_test(taking_one_thing_away_makes_no_other),
        cmocka_unit_test(what_is_held_back_is_bounded),
        cmocka_unit_test(a_line_without_constructs_waits_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
