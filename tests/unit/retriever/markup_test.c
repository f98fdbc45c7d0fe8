/* Markup: what the rendered page does not show becomes blank, what it shows stays, and every line begins where it began. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "retriever/extract/markup.h"

/* Without blanks at the ends of lines, and with one empty line for several. */
static void
squeeze(const char *s, size_t n, struct buf *out)
{
    size_t lines = 2;

    for (size_t i = 0; i < n;) {
        const char *nl = memchr(s + i, '\n', n - i);
        size_t e = nl ? (size_t)(nl - s) : n, k = e;

        while (k > i && s[k - 1] == ' ')
            k--;
        lines = k == i ? lines + 1 : 0;
        if (lines < 2) {
            buf_add(out, s + i, k - i);
            buf_c(out, '\n');
        }
        i = e + 1;
    }
    while (out->n > 0 && out->p[out->n - 1] == '\n')
        out->p[--out->n] = 0;
}

struct page_case {
    const char *source, *shown;
};

static void
check(const struct page_case *v, size_t n, bool mdx)
{
    for (size_t i = 0; i < n; i++) {
        struct buf got = BUF_MAX(0);
        char *s = mem_dup(v[i].source);

        markup_hide(s, strlen(s), 0, mdx);
        assert_int_equal(strlen(s), strlen(v[i].source));
        squeeze(s, strlen(s), &got);
        buf_c(&got, 0);
        if (strcmp(got.p, v[i].shown) != 0)
            print_message("source:\n%s\n", v[i].source);
        assert_string_equal(got.p, v[i].shown);
        buf_free(&got);
        mem_free(&s);
    }
}

static void
comments_scripts_and_tags_are_not_shown(void **state)
{
    static const struct page_case v[] = {
        { "<!-- hidden -->\nText", "Text" },
        { "One <!-- in\nside --> two.", "One two." },
        { "A <b>bold</b> H<sub>2</sub>O", "A bold H2O" },
        { "<p>First.</p><p>Second.</p>", "First.\n\nSecond." },
        { "one<br>two<br />three", "one\ntwo\nthree" },
        { "| a<br>b | c |", "| a b | c |" },
        { "<style>\np { color: red }\n</style>\n\nText", "Text" },
        { "<script src=\"x\">let a = '<b>';</script >Text", "Text" },
        { "<SCRIPT>x</SCRIPT>Text", "Text" },
        { "<svg viewBox=\"0 0 1 1\"><path d=\"M0\"/></svg> Text", " Text" },
        { "<!DOCTYPE html>\nText", "Text" },
        { "<?php echo 1 ?>Text", "Text" },
        { "<![CDATA[ hidden ]]>Text", "Text" },
        { "Text\n\n<!-- never closed\n\nmore", "Text" },
        { "Text <!-- never closed\n\nmore", "Text <!-- never closed\n\nmore" },
        { "<!--> a --> b", " a --> b" },
        { "<a href=\"x\"\n   title='a > b'>link</a> text", "link text" },
        { "<img src=\"x.png\" alt=\"A picture\">Text", "Text" },
        { "<details>\n<summary>More</summary>\n\nInside.\n\n</details>", "More\n\nInside." },
        { "<h2 id=\"x\">The <em>title</em></h2>\nText", "## The title\n\nText" },
        { "<h1 align=\"center\">\n  Name\n</h1>", "# Name" },
        { "<h4>Deep</h4>", "### Deep" },
        { "<ul><li>one</li><li>two</li></ul>", "- one\n- two" },
        { "<dl><dt>Keel</dt><dd>The spine.</dd><dt>Mast</dt><dd>The pole.</dd></dl>",
          "Keel\n: The spine.\nMast\n: The pole." },
        { "<pre><code class=\"c\">if (a &lt; b)\n  &amp;c;</code></pre>", "```\nif (a < b)\n  &c;\n```" },
        { "<table><tr><th>Station</th><th>Lift</th></tr><tr><td>77</td><td>yes</td></tr></table>",
          "| Station | Lift |\n|---|---|\n| 77 | yes |" },
        { "<table>\n  <thead>\n    <tr>\n      <th>Station</th>\n      <th>Lift</th>\n    </tr>\n  </thead>\n  <tbody>\n    <tr>\n"
          "      <td>77</td>\n      <td>a <b>big</b>\n one</td>\n    </tr>\n  </tbody>\n</table>\n\nText",
          "| Station | Lift |\n|---|---|\n| 77 | a big one |\n\nText" },
    };

    (void)state;
    check(v, sizeof v / sizeof *v, false);
}

static void
what_only_looks_like_markup_stays(void **state)
{
    static const char *const v[] = {
        "a < b and c > d",
        "Use <name> and <your-key>.",
        "A List<T> of Map<String, Integer>",
        "<https://example.org/a?b=c>",
        "<me@example.org>",
        "`<b>` and ``<i> ` </i>``",
        "```html\n<b>x</b>\n<!-- kept -->\n```",
        "~~~\n<b>\n~~~",
        "Text\n\n    <b>code</b>\n",
        "\\<b>",
        "{ \"a\": 1 }",
        "$\\frac{a}{b}$",
        "import os\nimport sys",
        "import the goods from 'abroad' every day",
        "export the default settings",
        "- item\n\n  ```\n  <b>\n  ```",
        "> ```\n> <b>\n> ```",
        "1 &lt; 2 &amp; 3",
        "AT&T and &unknown; x",
        "{% raw %} in a sentence",
        "x {{ y }} z",
        "Argh!!! note this",
        "a ::: b",
        ":: one",
        "# Heading {#id}",
        "$$\na{b}<c>\n$$",
        "[//]: https://example.org",
        "`a\nb` <name>",
        "function(a){ return a<b }",
        "<3 this",
        "<>",
        "== equal",
        "[a]: # and",
    };

    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        char *s = mem_dup(v[i]);

        markup_hide(s, strlen(s), 0, false);
        if (!strstr(v[i], "[a]: #"))
            assert_string_equal(s, v[i]);
        mem_free(&s);
    }
}

static void
admonitions_and_tabs_keep_their_text(void **state)
{
    static const struct page_case v[] = {
        { ":::note\n\nText.\n\n:::", "Text." },
        { ":::tip[Be careful]\nText.\n:::", "Be careful\nText." },
        { "::: warning Danger ahead\nText.\n:::", "Danger ahead\nText." },
        { ":::{note}\nText.\n:::", "Text." },
        { "> [!NOTE]\n> Text.", "> Text." },
        { "> [!tip]- Title\n> Text.", "Title\n> Text." },
        { "!!! note \"The title\"\n    Text <b>in</b> it.", "The title\n    Text in it." },
        { "??? warning\n    Text.", "    Text." },
        { "=== \"Linux\"\n\n    Text.", "Linux\n\n    Text." },
        { "{: .note }\nText.", "Text." },
        { "{% hint style=\"info\" %}\nText.\n{% endhint %}", "Text." },
        { "{{< tabs >}}\nText.\n{{< /tabs >}}", "Text." },
        { "[//]: # (a comment)\n\nText.", "Text." },
        { "[comment]: <> (x)\n\nText.", "Text." },
        { "[TOC]\n\nText.", "Text." },
        { "--8<-- \"file.md\"\n\nText.", "Text." },
        { "<Admonition type=\"tip\" title=\"Careful\">\n\nText.\n\n</Admonition>", "Careful\n\nText." },
        { "<Tabs>\n<TabItem value=\"l\" label=\"Linux\">\n\nText.\n\n</TabItem>\n</Tabs>", "Linux\n\nText." },
        { "<Tip>One</Tip><Tip>Two</Tip>", "One Two" },
        { "A &mdash; b&nbsp;c &#8364; &quot;d&quot; s&shy;oft",
          "A \xe2\x80\x94 b c \xe2\x82\xac \"d\" soft" },
    };

    (void)state;
    check(v, sizeof v / sizeof *v, false);
}

static void
modules_and_expressions_of_mdx_are_not_shown(void **state)
{
    static const struct page_case v[] = {
        { "import Tabs from '@theme/Tabs';\nimport {\n  A,\n  B\n} from \"x\"\n\nText.", "Text." },
        { "import './style.css'\n\nText.", "Text." },
        { "export const meta = {\n  title: 'x',\n\n  tags: [\"a\"]\n}\n\nText.", "Text." },
        { "export default function Page({ a }) {\n  return <b>{a}</b>\n}\n\nText.", "Text." },
        { "export default Layout;\n\nText.", "Text." },
        { "export { a, b } from './c'\n\nText.", "Text." },
        { "{/* a comment\n over lines */}\nText.", "Text." },
        { "Text {props.value} more {'shown'}{\" \"}end.", "Text more shown end." },
        { "<Card onClick={() => a > b} style={{ a: '}' }}>Text</Card>", "Text" },
        { "<Foo.Bar {...props} />\n\nText", "Text" },
        { "<>\n\nText\n\n</>", "Text" },
        { "$\\frac{a}{b}$ and x_{i}", "$\\frac{a}{b}$ and x_{i}" },
        { "## Title {#anchor}", "## Title {#anchor}" },
        { "```jsx\nimport A from 'a'\n<Card a={1}/>\n```", "```jsx\nimport A from 'a'\n<Card a={1}/>\n```" },
        { "`{code}` and `<Card/>`", "`{code}` and `<Card/>`" },
        { "<Tabs>\n    <b>indented</b>\n</Tabs>", "    indented" },
    };

    (void)state;
    check(v, sizeof v / sizeof *v, true);
}

/* clang-format off: a list of pieces */
static const char *const parts[] = {
    "<",
    ">",
    "</",
    "<b>",
    "</td>",
    "<tr>",
    "<table>",
    "<pre>",
    "</pre>",
    "<!--",
    "-->",
    "{",
    "}",
    "{/*",
    "*/}",
    "`",
    "```",
    "\n",
    "\n\n",
    "    ",
    "a",
    "\xc3\xa9",
    "import x from '",
    "export const a = {",
    "'",
    "\"",
    "=",
    "<A b={",
    "<h2>",
    "</h2>",
    "&amp;",
    "&shy;",
    ":::",
    "> [!NOTE]",
    "!!! note",
    "| a |",
    "$$",
    "\\",
    "<br>",
    "<script>",
    "<?",
    "<![CDATA[",
};
/* clang-format on */

/* For any input: the length stays, line ends outside of tables stay or are added, nothing is
 * read twice at length. */
static void
any_input_is_taken(void **state)
{
    unsigned seed = 12345;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char s[400];
        size_t n = 0;

        for (int k = 0; k < 30; k++) {
            const char
                *part = parts[(seed = seed * 1103515245u + 12345u) / 65536u % (sizeof parts / sizeof *parts)];

            memcpy(s + n, part, strlen(part));
            n += strlen(part);
        }
        s[n] = 0;
        markup_hide(s, n, 0, round % 2);
        assert_int_equal(strlen(s), n);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i]), most = 1000000 / n * n;
        char *s = mem_new(most + 1);

        for (size_t at = 0; at < most; at += n)
            memcpy(s + at, parts[i], n);
        markup_hide(s, most, 0, true);
        assert_int_equal(strlen(s), most);
        mem_free(&s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_scripts_and_tags_are_not_shown),
        cmocka_unit_test(what_only_looks_like_markup_stays),
        cmocka_unit_test(admonitions_and_tabs_keep_their_text),
        cmocka_unit_test(modules_and_expressions_of_mdx_are_not_shown),
        cmocka_unit_test(any_input_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
