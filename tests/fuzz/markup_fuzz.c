/* Documents of strangers: bytes → text → title. An input's byte is a token of Markdown, HTML, MDX or front
 * matter, or itself. Properties: hiding markup changes no length, reads and writes within the text, and costs
 * no more than its length allows; titles are cut UTF-8. */
#include <stdlib.h>
#include <string.h>

#include "common/text/text.h"
#include "retriever/extract/extract.h"
#include "retriever/extract/markup.h"

static const char *const tokens[] = {
    "<",
    ">",
    "</",
    "/>",
    "<b>",
    "</b>",
    "<td>",
    "</td>",
    "<tr>",
    "</tr>",
    "<table>",
    "</table>",
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
    "~~~",
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
    "&#8364;",
    "&mdash;",
    ":::",
    "> [!NOTE]",
    "!!! note",
    "=== \"",
    "| a |",
    "$$",
    "\\",
    "<br>",
    "<script>",
    "</script>",
    "<?",
    "?>",
    "<![CDATA[",
    "]]>",
    "<!D",
    "---\n",
    "+++\n",
    "title: ",
    "title = ",
    "{\n\"title\": \"",
    "\"\n}\n",
    "- ",
    "1. ",
    "> ",
    "# ",
    "[",
    "]",
    "](",
    "{#id}",
    "<https://e.x>",
    "{% x %}",
    "{{< x >}}",
    "[//]: # (",
    "<Tab label=\"x\">",
    "</Tab>",
    "<li>",
    "<p>",
    "\r\n",
    "\f",
    "\xef\xbb\xbf",
};
#define TOKENS (sizeof tokens / sizeof *tokens)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
require(bool ok)
{
    if (!ok)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf source = BUF_MAX(65536);
    struct arena *a = arena_new((size_t)1 << 20);
    struct extracted x;

    for (size_t i = 1; i < n; i++)
        if (data[i] < TOKENS)
            buf_z(&source, tokens[data[i]]);
        else
            buf_c(&source, (char)data[i]);
    bool mdx = n > 0 && data[0] & 1;

    if (!extract(mdx ? STR("text/mdx") : STR("text/markdown"), buf_slice(&source), a, 131072, &x))
        require(utf8_valid(buf_slice(&x.text)) && utf8_valid(x.title) && x.title.n <= 250 &&
                !(x.title.n && memchr(x.title.p, '\n', x.title.n)));
    extract_fini(&x);
    if (source.n > 0) {
        size_t before = source.n;

        markup_hide(source.p, source.n, 0, mdx);
        require(strlen(source.p) <= before && source.p[before] == 0);
    }
    buf_free(&source);
    arena_free(&a);
    return 0;
}
