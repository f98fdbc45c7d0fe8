/* A model's text, in any pieces, against the sanitizer of answers. An input's byte is a token of
 * Markdown that can hurt, or itself. Properties: pieces give the same as the whole; what cmark-gfm makes
 * of the outcome, plain and with the extensions that widgets use, has no HTML, no image or link but
 * those that the rules allow. */
#include <stdlib.h>
#include <strings.h>

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>

#include "gateway/safe/sanitize.h"

static const char *const tokens[] = {
    "[",
    "]",
    "(",
    ")",
    "](",
    "![",
    "!",
    "<",
    ">",
    "`",
    "``",
    "```",
    "~~~",
    "\n",
    "\n\n",
    " ",
    "    ",
    "  ",
    "   ",
    "\t",
    "- ",
    "1. ",
    "2. ",
    "> ",
    "* ",
    ":",
    "]:",
    "]: ",
    "http://evil.example/a",
    "https://good.example/b",
    "javascript:x",
    "data:x",
    "//evil.example",
    "www.evil.example",
    "a",
    "b c",
    "\\",
    "\"",
    "'",
    "<script>",
    "</b>",
    "<!--",
    "-->",
    "<http://evil.example>",
    "<a href=\"http://evil.example\">",
    "[x](http://evil.example)",
    "[](http://e.x)",
    "![](http://e.x/i)",
    "[r]",
    "[r]: http://evil.example\n",
    "é",
    "http:",
    "//e.x",
    "ht",
    "tp://e.x",
    "java",
    "script:",
    "&#58;",
    "&colon;",
    "*",
    "**",
    "_",
    "#",
    "---\n",
    "|",
    "| - |\n",
    "+ ",
    "<T>",
    "localhost",
    "[1]",
    "[^1]",
    "[^1]: ",
    "f",
    "h",
    "w",
    "ww.e.x",
    "ftp://e.x",
    "1",
    "\r",
    "<?",
    "<![CDATA[",
    "(http://e.x)",
    "(javascript:a)",
    "```\n",
    "~~~\n",
    "    ```\n",
    "   ```\n",
    " ```\n",
    "  - ",
    "  ~~~\n",
    "\"t\"",
    "$",
    "\xc2\xa0",
    "&lt;",
    "&",
    ";",
    "=",
    "/",
    ".",
};
#define TOKENS (sizeof tokens / sizeof *tokens)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
require(bool ok)
{
    if (!ok)
        abort();
}

/* By rules of our own: the one listed host, this machine, or an address without scheme and host. */
static bool
fine(const char *url)
{
    size_t scheme = strcspn(url, ":/?#");

    if (strncasecmp(url, "https://good.example", 20) == 0 && (url[20] == 0 || strchr("/?#:", url[20])))
        return true;
    if (strncasecmp(url, "http://localhost", 16) == 0 || strncasecmp(url, "https://localhost", 17) == 0 ||
        strstr(url, "mailto:") != NULL || strchr(url, '@'))
        return true;
    if (url[scheme] == ':' || url[0] == '\\' || (url[0] == '/' && (url[1] == '/' || url[1] == '\\')))
        return false;
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ')
            return false;
    return true;
}

static void
look(cmark_node *doc)
{
    cmark_iter *it = cmark_iter_new(doc);
    cmark_event_type e;

    while ((e = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
        cmark_node *x = cmark_iter_get_node(it);
        cmark_node_type t = cmark_node_get_type(x);

        if (e != CMARK_EVENT_ENTER)
            continue;
        require(t != CMARK_NODE_HTML_BLOCK && t != CMARK_NODE_HTML_INLINE);
        require((t != CMARK_NODE_LINK && t != CMARK_NODE_IMAGE) || fine(cmark_node_get_url(x)));
    }
    cmark_iter_free(it);
}

static void
render(struct str text, bool extended)
{
    static const char *const names[] = { "table", "autolink", "strikethrough" };
    cmark_parser *p = cmark_parser_new(CMARK_OPT_UNSAFE | (extended ? CMARK_OPT_FOOTNOTES : 0));
    cmark_node *doc;

    for (size_t i = 0; extended && i < 3; i++)
        cmark_parser_attach_syntax_extension(p, cmark_find_syntax_extension(names[i]));
    cmark_parser_feed(p, text.p, text.n);
    doc = cmark_parser_finish(p);
    look(doc);
    cmark_node_free(doc);
    cmark_parser_free(p);
}

static void
in_pieces(const struct link_rules *rules, struct str text, unsigned seed, struct buf *out)
{
    struct sanitizer s;

    sanitizer_init(&s, rules);
    for (size_t i = 0, step; i < text.n; i += step) {
        seed = seed * 1103515245u + 12345u;
        step = 1 + (seed >> 16) % 7;
        step = step < text.n - i ? step : text.n - i;
        sanitizer_feed(&s, (struct str){ text.p + i, step }, out);
    }
    sanitizer_end(&s, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char *good[] = { "good.example" };
    static const struct names hosts = { good, 1, false };
    struct link_rules rules = { .hosts = &hosts, .public_url = "" };
    struct buf text = BUF_MAX(0), whole = BUF_MAX(0), pieces = BUF_MAX(0);

    cmark_gfm_core_extensions_ensure_registered();
    for (size_t i = 0; i < n && i < 4096; i++)
        if (data[i] >= 128 && data[i] - 128u < TOKENS)
            buf_z(&text, tokens[data[i] - 128]);
        else
            buf_c(&text, (char)(data[i] & 127));
    sanitize(&rules, buf_slice(&text), &whole, NULL);
    in_pieces(&rules, buf_slice(&text), n > 0 ? data[0] : 0, &pieces);
    require(str_eq(buf_slice(&whole), buf_slice(&pieces)));
    render(buf_slice(&whole), false);
    render(buf_slice(&whole), true);
    buf_free(&text);
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
