"""Pages as sites build them (cases D2 to D8 and their neighbours): what the rendered page does not show is never found, quoted or named;
what it shows stays. What "shown" means is asked of cmark-gfm where it can say."""
import ctypes
import html
import re
import uuid

import pytest

from suite import Suite
from test_documents import form, listed, put

FACT = "The turquoise lever releases the anchor of the ferry."
ASK = "What does the turquoise lever release?"


@pytest.fixture(scope="module")
def suite():
    with Suite() as s:
        yield s


def fresh(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def text_of(suite, document):
    return suite.request("GET", f"/api/v1/documents/{document['document_id']}/text").content


def ask(suite, collection, question=ASK, source=None):
    """An answer; every excerpt is the bytes that it names."""
    a = suite.ask(question, collection=collection).json()
    for s in a["sources"]:
        stored = suite.request("GET", f"/api/v1/documents/{s['document_id']}/text").content
        assert stored[s["start"]:s["end"]].decode() == s["content_excerpt"]
        assert source is None or source.encode()[s["start"]:s["end"]].decode() == s["content_excerpt"]
    return a


@pytest.mark.parametrize("hidden", [
    "<!-- The turquoise lever releases Ms Canary. -->", "<!--\nThe turquoise lever\n\nreleases Ms Canary.\n-->",
    "<style>\n.turquoise.lever::releases { content: 'Canary' }\n</style>", "<script>\nconst lever = 'turquoise lever releases Canary';\n</script>",
    "import { Lever } from '@site/turquoise-canary'\nimport Releases from 'canary'",
    "export const lever = {\n  turquoise: 'lever releases Canary',\n\n  more: [1]\n}", "{/* The turquoise lever releases Canary. */}",
    "<Lever turquoise=\"canary\" releases={{ canary: 'The turquoise lever releases Canary.' }} />",
    "<svg viewBox=\"0 0 9 9\"><title>The turquoise lever releases Canary.</title></svg>", "<?lever releases canary ?>",
    "[//]: # (The turquoise lever releases Canary.)", "{% comment \"turquoise lever releases Canary\" %}", "<template><p>Canary lever</p></template>",
], ids=lambda h: re.sub(r"\W+", "-", h)[:24])
@pytest.mark.parametrize("kind", ["text/markdown", "text/mdx"])
def test_D11_what_is_not_shown_is_not_found(suite, hidden, kind):
    collection, source = fresh("hidden"), f"# Manual\n\n{hidden}\n\n## Levers\n\n{FACT}\n\n{hidden}\n"
    d = put(suite, source, collection, kind=kind)
    assert "anary" not in text_of(suite, d).decode() and len(text_of(suite, d)) == len(source)
    a = ask(suite, collection, source=source)
    assert a["grounded"] and FACT in a["answer"] and a["sources"][0]["section"] == "Levers"
    r = suite.request("POST", "/api/v1/search", json={"query": "canary", "collection": collection, "top_k": 5})
    assert "anary" not in r.text


@pytest.mark.parametrize("page, answer", [
    (":::note\n\n{}\n\n:::", FACT), (":::warning[Mind the anchor]\n{}\n:::", FACT), ("> [!NOTE]\n> {}", FACT), ("!!! note \"Levers\"\n    {}", FACT),
    ("??? tip\n    {}", FACT), ("<Admonition type=\"tip\" title=\"Levers\">\n\n{}\n\n</Admonition>", FACT), ("<Admonition type=\"tip\">{}</Admonition>", FACT),
    ("<details>\n<summary>Levers</summary>\n\n{}\n\n</details>", FACT), ("<details><summary>Levers</summary><p>{}</p></details>", FACT),
    ("<Tabs groupId=\"os\">\n  <TabItem value=\"linux\" label=\"Linux\">\n\n{}\n\n  </TabItem>\n</Tabs>", FACT), ("=== \"Linux\"\n\n    {}", FACT),
    ("{{% hint style=\"info\" %}}\n{}\n{{% endhint %}}", FACT), ("{{{{< tab >}}}}\n{}\n{{{{< /tab >}}}}", FACT), ("<p align=\"center\">{}</p>", FACT),
    ("<div class=\"x\">\n\n{}\n\n</div>", FACT), ("<blockquote>{}</blockquote>", FACT), ("<ul><li>{}</li><li>Other</li></ul>", FACT),
], ids=lambda v: re.sub(r"\W+", "-", v)[:24] if "{}" in v else "")
def test_D11_what_stands_in_boxes_is_found(suite, page, answer):
    collection = fresh("box")
    put(suite, "# Manual\n\n" + page.format(FACT) + "\n", collection)
    a = ask(suite, collection)
    assert a["grounded"] and answer in a["answer"], a["answer"]
    for mark in (":::", "[!", "!!!", "???", "===", "<", "&lt;", "{%", "{{"):
        assert mark not in a["answer"] and all(mark not in s["content_excerpt"] for s in a["sources"])


@pytest.mark.parametrize("source, shown", [
    ("<p>The turquoise <b>lever</b> releases the <a href=\"https://x.example/a\"\n title=\"x\">anchor</a> of the ferry.</p>", FACT),
    ("The turquoise <kbd>lever</kbd> rel<wbr>eases the anchor&nbsp;of the ferry.", FACT),
    ("<!-- a --><p>The turquoise lever releases the anchor of the ferry.<!-- b --></p>", FACT),
    ("<h2 id=\"levers\">Levers</h2><p>The turquoise lever releases the anchor of the ferry.</p><p>Another thing.</p>", FACT),
], ids=["paragraph", "inline", "comments at the edges", "heading"])
def test_tags_stay_out_of_quotes(suite, source, shown):
    collection = fresh("tags")
    put(suite, "# Manual\n\n" + source + "\n", collection)
    a = ask(suite, collection)
    assert shown in " ".join(a["answer"].split()), a["answer"]
    assert all("<" not in s["content_excerpt"] and "-->" not in s["content_excerpt"] for s in a["sources"])


@pytest.mark.parametrize("link", [
    '<a class="headerlink" href="#x" title="Permalink to this heading">¶</a>', '<a class="headerlink" href="#x">&para;</a>', '<a href="#x">#</a>', '<a href="#x">§</a>',
    '<a class="hash-link" href="#x">&#8203;</a>', '<a href="#x">🔗</a>', '<a class="header-anchor" href="#x" aria-hidden="true">&#xe157;</a>', '<a href="#top">↑</a>'])
def test_the_permanent_link_of_a_heading_is_none_of_its_words(suite, link):
    name = fresh("permalink")
    d = put(suite, f"<!doctype html><h1 id=x>Lever{link}</h1><h2>Use{link}</h2><p>{FACT}</p><dl><dt>Oil{link}</dt><dd>It is kept in a can.</dd></dl>", name, kind="text/html")
    text = text_of(suite, d).decode()
    assert text == f"# Lever\n\n## Use\n\n{FACT}\n\nOil\nIt is kept in a can.", text
    (source,) = ask(suite, name)["sources"]
    assert (source["title"], source["section"]) == ("Lever", "Use"), source


LINKS = "".join(f'<li><a href="{p}.html">{p.title()}</a></li>' for p in ("home", "about", "download", "support"))
INTO = "".join(f'<li><a href="#s{i}">{i}. Section {i}</a></li>' for i in range(1, 6))


@pytest.mark.parametrize("frame", [
    f'<div class="menu mainmenu"><ul>{LINKS}</ul></div>', f'<div id="sidebar"><h3>Pages</h3><ul>{LINKS}</ul></div>', f'<ul class="breadcrumbs">{LINKS}</ul>',
    '<div class="navheader"><table><tr><th colspan="3">5.4. Levers</th></tr><tr><td><a href="a.html">Prev</a></td><td>Chapter 5. Ferries</td><td><a href="b.html">Next</a></td></tr></table></div>',
    f'<div class="site-footer"><p>Made by the crew. <a href="x.html">Imprint</a></p></div>', f"<ul>{INTO}</ul>", f'<div class="toc"><b>Table of Contents</b><ol>{INTO}</ol></div>'])
@pytest.mark.parametrize("where", ["{0}{1}", "{1}{0}", "<div>{0}</div><div class=content>{1}</div>"])
def test_what_a_site_puts_around_its_text_is_no_text(suite, frame, where):
    text = f"<h1>Lever</h1><p>{FACT}</p>"
    d = put(suite, "<!doctype html><body class='has-sidebar toc-left'>" + where.format(frame, text), fresh("frame"), kind="text/html")
    assert text_of(suite, d).decode() == f"# Lever\n\n{FACT}"


@pytest.mark.parametrize("part, words", [
    ('<div class="menu"><h2>Lunch</h2><p>Soup, bread and fish from the ferry, every day at noon; <a href="order.html">order</a> by nine.</p></div>', "Soup, bread and fish"),
    ('<div class="sidebar-layout"><h1>Anchor</h1><p><a href="a.html">Chain and shackle of the anchor</a></p></div>', "Chain and shackle"),
    ('<ul><li><a href="#a">Chain</a></li><li><a href="#b">Shackle</a></li></ul>', "Shackle"),
    ('<ul><li><a href="#a">Chain</a>: holds the anchor, and is looked at each year</li><li><a href="#b">Shackle</a>: joins both of them, and is oiled</li>'
     '<li><a href="#c">Buoy</a>: shows where it lies, and is red</li></ul>', "holds the anchor"),
    ("<ul><li><a href='https://a.example/'>Chain works</a></li><li><a href='https://b.example/'>Shackle works</a></li><li><a href='https://c.example/'>Buoys</a></li></ul>", "Buoys"),
    ('<p class="toolbar">Press the lever twice.</p>', "Press the lever twice.")])
def test_what_only_looks_like_a_frame_stays(suite, part, words):
    d = put(suite, f"<!doctype html><body><h2>Lever</h2><p>{FACT} It stands at the bow, and only the mate may touch it.</p>{part}", fresh("noframe"), kind="text/html")
    assert words in text_of(suite, d).decode()


def test_a_page_of_links_keeps_its_table_of_contents(suite):
    d = put(suite, f'<!doctype html><title>Ferries</title><h1>Ferries</h1><div class="toc"><ul>{LINKS}</ul></div>', fresh("index"), kind="text/html")
    assert "Download" in text_of(suite, d).decode()


@pytest.mark.parametrize("title, first, want", [
    ("Levers of a ferry", "1. Overview", "Levers of a ferry"), ("Install | Ferry", "Install", "Install"), ("", "Install", "Install"),
    ("Ferry: Install the lever", "Install <em>the lever</em>", "Install the lever")])
def test_a_page_with_several_main_headings_has_its_own_title(suite, title, first, want):
    head = f"<title>{title}</title>" if title else ""
    name = fresh("title")
    put(suite, f"<!doctype html><head>{head}</head><h1>{first}</h1><p>{FACT}</p><h1>2. Details</h1><p>Nothing.</p>", name, kind="text/html")
    (d,) = listed(suite, name)
    assert d["title"] == want


@pytest.mark.parametrize("blank", ["", "\n", "<!-- -->", "\n<!-- -->\n"])
def test_a_term_stands_above_its_explanation_and_apart_from_the_one_before(suite, blank):
    terms = blank.join(["<dl>", "<dt>oil_level (integer)</dt>", "<dd>Sets how much oil is taken.</dd>", "<dt>wick (string)</dt>", "<dt>-w</dt>",
                        "<dd><p>Names the wick.</p><p>It is cut daily.</p></dd>", "</dl>"])
    d = put(suite, f"<!doctype html><h1>Lamp</h1>{terms}", fresh("terms"), kind="text/html")
    assert text_of(suite, d).decode() == "# Lamp\n\noil_level (integer)\nSets how much oil is taken.\n\nwick (string)\n-w\nNames the wick.\n\nIt is cut daily."


@pytest.mark.parametrize("first, want", [("1. Overview", "Levers"), ("2026. A year", "2026. A year"), ("Overview", "Overview"), ("3. Levers", "Levers")])
def test_a_numbered_main_heading_is_a_section(suite, first, want):
    name = fresh("numbered")
    put(suite, f"<!doctype html><title>Levers</title><h1>{first}</h1><p>{FACT}</p>", name, kind="text/html")
    (d,) = listed(suite, name)
    assert d["title"] == want


@pytest.mark.parametrize("table, shown", [
    ('<table summary="Callout list"><tr><td><p><img alt="1" src="1.png"/></p></td><td><p>Pull the lever.</p></td></tr>'
     '<tr><td><p><img alt="2" src="2.png"/></p></td><td><p>Let it go.</p></td></tr></table>', "Pull the lever.\n\nLet it go."),
    ('<table><tr><td class="icon"><div class="title">Note</div></td><td>Pull it twice.</td></tr></table>', "Note\n\nPull it twice."),
    ('<table><tr><td>Oil</td><td>2</td></tr><tr><td>Wick</td><td>1</td></tr></table>', "| Oil | 2 |"),
    ('<table><tr><th></th><th>Spring</th></tr><tr><td></td><td>3</td></tr></table>', "Spring")], ids=["placed", "one row", "without heads", "with heads"])
def test_a_table_that_only_places_its_text_is_none(suite, table, shown):
    d = put(suite, f"<!doctype html><h1>Lever</h1><p>{FACT}</p>{table}", fresh("layout"), kind="text/html")
    assert shown in text_of(suite, d).decode(), text_of(suite, d).decode()


@pytest.mark.parametrize("link", ['<a href="#x">Öl</a>', '<a href="#x">[1]</a>', '<a href="#x">オイル</a>', '<a class=header href="#x">Oil</a>', '<a href="#x">Ж</a>'])
def test_a_link_within_a_page_that_has_words_keeps_them(suite, link):
    d = put(suite, f"<!doctype html><h1>Lever</h1><p>{FACT} {link}</p>", fresh("inner"), kind="text/html")
    assert re.search(">(.*)<", link).group(1) in text_of(suite, d).decode()


def test_a_table_of_html_is_read_by_its_rows(suite):
    rows = "".join(f"  <tr>\n    <td>Station {i}</td>\n    <td>{'a lift' if i % 2 else 'stairs only'}</td>\n  </tr>\n" for i in range(1, 60))
    collection = fresh("table")
    put(suite, f"# Stations\n\n<table>\n<thead>\n<tr><th>Name</th><th>Access</th></tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n", collection)
    a = ask(suite, collection, "Does Station 37 have a lift?")
    assert a["grounded"] and "Station 37" in a["answer"] and "a lift" in a["answer"] and "&lt;" not in a["answer"], a["answer"]


@pytest.mark.parametrize("code", ["```html\n<!-- kept --> <b>turquoise lever</b>\n```", "    <b>turquoise lever</b>", "`<b>turquoise lever</b>`",
                                  "Write <lever> for the turquoise one.", "A List<Lever> is turquoise.", "if lever < 3 and lever > 1"])
def test_code_and_what_only_looks_like_a_tag_stay(suite, code):
    d = put(suite, f"# Code\n\nText\n\n{code}\n", fresh("code"))
    assert text_of(suite, d).decode() == f"# Code\n\nText\n\n{code}\n"


# ---- front matter

@pytest.mark.parametrize("front, title", [
    ("---\n# a comment\ntitle: 'Ferry''s manual'\n---  \n", "Ferry's manual"), ("---\r\ntitle: \"Ferry\\u0027s manual\"\r\n---\r\n", "Ferry's manual"),
    ("---\ntitle: |\n  Ferry's\n  manual\n...\n", "Ferry's manual"), ("---\ntitle: Ferry's manual # it\n\nlist:\n  - a: b\n---\n", "Ferry's manual"),
    ("---\n" + "".join(f"turquoise{i}: [lever, releases]\n" for i in range(200)) + "title: Ferry's manual\n---\n", "Ferry's manual"),
    ("+++\ntitle = '''Ferry's manual'''\n[params]\nlever = 'turquoise'\n+++\n", "Ferry's manual"), ("+++\ntitle = \"Ferry\\u0027s manual\"\n+++\n", None),
    ("{\n  \"title\": \"Ferry's manual\",\n  \"lever\": [\"turquoise\", {\"a\": \"}\"}]\n}\n", "Ferry's manual"),
    ("\ufeff---\ntitle: Ferry's manual\n---\n", "Ferry's manual"),
], ids=["comment", "crlf", "literal", "list", "long", "toml", "toml-escape", "json", "bom"])
def test_D5_front_matter_in_every_form(suite, front, title):
    collection = fresh("front")
    d = put(suite, front + "\n" + FACT + "\n", collection)
    assert title is None or listed(suite, collection)[0]["title"] == title
    a = ask(suite, collection)
    text = text_of(suite, d).decode()
    assert a["sources"] and all(s["start"] >= len(text.encode()) - len(FACT) - 1 for s in a["sources"]) and "turquoise1" not in a["answer"]


@pytest.mark.parametrize("top", ["---\n\nNote: {}\n\n---\n\nMore.", "---\n{}\n\n---\n", "{{lever}} is replaced.\n\n{}\n", "+++\n{}\n+++\n", "***\n\n{}\n\n***"])
def test_D5_a_rule_at_the_top_is_no_front_matter(suite, top):
    collection = fresh("rule")
    put(suite, top.format(FACT) + "\n", collection)
    assert "releases the anchor" in ask(suite, collection)["answer"]


# ---- headings, as cmark-gfm renders them

def rendered(markdown):
    cmark = ctypes.CDLL("libcmark-gfm.so")
    cmark.cmark_markdown_to_html.restype = ctypes.c_void_p
    cmark.cmark_markdown_to_html.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    source = markdown.encode()
    page = ctypes.string_at(cmark.cmark_markdown_to_html(source, len(source), 1 << 17)).decode()
    heading = re.search(r"<h2>(.*?)</h2>", page, re.S).group(1)
    return " ".join(html.unescape(re.sub(r"<!--.*?-->|<[^>]+>", "", heading)).split())


@pytest.mark.parametrize("heading", [
    "## The *big* **red** `--flag` ##", "## [Guide](x \"t\") and [ref] and <https://x.example>", "## A \\# B \\[c\\] \\*d\\*", "## AT&amp;T &rarr; &#8364; &lt;b&gt;",
    "A setext\n--------", "A *setext* `one`\n---", "## Press <kbd>Ctrl</kbd> + <b>C</b>", "## <a name=\"x\"></a>Named", "## Trailing hash\\#", "## C# and F#", "   ## Three blanks",
    "##\tA tab", "## snake_case_name and 2 * 3", "## `a | b` and `` ` ``", "## Two  blanks", "## x <!-- hidden --> y", "## argv[0] and [0, 1]", "## ¿Qué? &ndash; «Übersicht»",
])
def test_D4_headings_are_named_as_cmark_renders_them(suite, heading):
    collection = fresh("head")
    put(suite, f"# Manual\n\n{heading}\n\n{FACT}\n", collection)
    a = ask(suite, collection)
    assert a["sources"] and a["sources"][0]["section"] == rendered(f"# Manual\n\n{heading}\n\n{FACT}\n")


# ---- letters that nobody sees

@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x85", "\u2029", "\r", "\r\n", "\x1c"])
@pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
def test_D8_words_stay_apart_in_every_type(suite, between, kind):
    d = put(suite, f"Our cook is Marta Keller{between}Telephone numbers hang in the galley.", fresh("d8"), kind=kind)
    assert "Keller\nTelephone" in text_of(suite, d).decode()


@pytest.mark.parametrize("text", ["\ufeff# A\n\n" + FACT, "# A\n\n\ufeff" + FACT, "# A\n\ufeff\n" + FACT, "# A\n\nThe turq\ufeffuoise lever releases the anchor of the ferry."])
def test_D8_a_byte_order_mark_goes_wherever_it_stands(suite, text):
    collection = fresh("bom")
    d = put(suite, text, collection)
    assert "\ufeff" not in text_of(suite, d).decode() and FACT in ask(suite, collection)["answer"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_D8_utf16_is_refused_by_name(suite, encoding):
    collection = fresh("utf16")
    boundary = uuid.uuid4().hex
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"good.md\"\r\n\r\n# A\n\n{FACT}\r\n--{boundary}\r\n"
            "Content-Disposition: form-data; name=\"file\"; filename=\"wide page.md\"\r\n\r\n").encode() + FACT.encode(encoding) + f"\r\n--{boundary}--\r\n".encode()
    r = suite.request("POST", f"/api/v1/documents?collection={collection}&wait=1", data=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert r.status_code == 422 and "wide page.md" in r.text and "UTF-16" in r.text and listed(suite, collection) == []


# ---- names

@pytest.mark.parametrize("parameter, name", [
    ("filename*=ISO-8859-1'en'%DCbersicht.md", "Übersicht.md"), ("filename*=\"UTF-8''a%20b.md\"", "a b.md"), ("filename=\"a%22b.md\"", "a\"b.md"),
    ("filename=\"=?UTF-8?B?w5xiZXJzaWNodC5tZA==?=\"", "Übersicht.md"), ("filename=plain.md", "plain.md"), ("filename=\"x.md\"; filename*=broken", "x.md"),
    ("filename*=utf-8''guide%2Findex.md", "guide/index.md"), ("FILENAME*=UTF-8''%E6%96%87.md", "文.md"),
])
def test_D2_names_in_every_form(suite, parameter, name):
    collection = fresh("d2")
    r = form(suite, collection, (parameter, "# A\n\nText of the page."))
    assert r.status_code == 200 and [d["external_id"] for d in listed(suite, collection)] == [name], r.text


def test_D2_a_path_that_is_too_long_is_refused_by_name(suite):
    collection, name = fresh("long"), "folder/" + "x" * 500 + ".md"
    r = form(suite, collection, ('filename="a.md"', "# A\n\nText."), (f'filename="{name}"', "# B\n\nText."))
    assert r.status_code == 422 and "folder/xxx" in r.text and "500 characters" in r.text and listed(suite, collection) == []
    assert form(suite, collection, (f'filename="{name[7:-3][:497]}.md"', "# B\n\nText.")).status_code == 200


def test_titles_at_and_over_the_limit(suite):
    collection = fresh("title")
    put(suite, FACT, collection, title="é" * 250)
    r = suite.request("POST", "/api/v1/documents", json={"id": "x", "text": FACT, "title": "é" * 251, "collection": collection})
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/title" and r.json()["detail"].startswith("title")
    put(suite, "# " + "Long title " * 40 + "\n\n" + FACT, collection, doc_id="found")
    assert any(d["title"].startswith("Long title Long") and len(d["title"].encode()) <= 200 for d in listed(suite, collection))


@pytest.mark.parametrize("filename, content, why", [("picture.png", "PNG", "picture.png"), ("empty.md", "", "empty.md"), ("blank.md", " \n ", "blank.md")])
def test_a_file_that_cannot_be_taken_is_named(suite, filename, content, why):
    r = form(suite, fresh("named"), ('filename="good.md"', "# A\n\nText."), (f'filename="{filename}"', content))
    assert r.status_code in (415, 422) and why in r.json()["detail"], r.text


def test_a_page_that_shows_nothing_says_so(suite):
    r = suite.request("POST", "/api/v1/documents?wait=1", json={"id": "x", "text": "<!-- nothing -->", "content_type": "text/markdown", "collection": fresh("none")})
    assert r.status_code == 422 and "no text" in r.text
