"""A site of another origin with the widget on it, what its readers do, and answers that attack the page; what a script must not hold that
shows them safely."""
import contextlib

import http_kit
from corpus_kit import add_corpus
from suite import ADMIN_KEY, Suite

W = "footnote-chat >>> "
GUIDE = """<h1>Harbour guide</h1><p>Welcome to the pier.</p><h2>Lights</h2><p id="para">The lighthouse of Varnholm was built in 1843.</p>"""
MARKDOWN = """# The lighthouse

Built in **1843** by *Ingrid Solheim* [1], see [the site](https://docs.example.org/lighthouse) and `a_b * c`.

| year | event |
|:-----|------:|
| 1843 | built \\| lit |

1. first
   - inner
2. second

```python
if a < b:
    print("[1] **no**")
```

> quoted
"""


class Site(http_kit.Server):
    """A documentation site on an origin of its own: pages are made on the way, each with a strict policy."""

    def __init__(self, api):
        self.api, self.pages = api, {"/empty": "<!doctype html><title>Empty</title>"}
        site = self

        class Handler(http_kit.Handler):
            protocol_version = "HTTP/1.0"

            def do_GET(self):
                html = site.pages.get(self.path.split("?")[0])
                self.answer(200 if html else 204, html or "", Content_Type="text/html; charset=utf-8", Cross_Origin_Embedder_Policy="require-corp",
                            Content_Security_Policy=f"default-src 'none'; script-src {site.api}; connect-src {site.api}; base-uri 'none'; form-action 'none'; "
                                                    "require-trusted-types-for 'script'; trusted-types 'none'")
        super().__init__(Handler)
        self.origin = self.url

    def page(self, path, tag="", attributes="", lang="en", head="", body="", main=GUIDE):
        """tag: a <footnote-chat>, or the script alone makes a launcher."""
        self.pages[path] = (f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Guide</title>{head}'
                            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
                            f'<script src="{self.api}/widget.js" {attributes} defer></script></head><body><main>{main}</main>{tag}{body}</body></html>')
        return self.origin + path


@contextlib.contextmanager
def site_and_suite():
    """The suite with keys on, the site, and a key of the site's origin."""
    with Suite(auth="on", stub=True) as s:
        s.site = Site(s.url)
        add_corpus(s, key=ADMIN_KEY)
        s.page_key = s.make_key(["chat"], origins=[s.site.origin], per_minute=100000, per_hour=100000)["key"]
        yield s
        s.site.close()


def fresh(browser, world, path="/guide", **kw):
    kw.setdefault("attributes", "")
    kw["attributes"] += f' data-key="{world.page_key}"'
    url = world.site.page(path, **kw)
    browser.open(world.site.origin + "/empty")
    browser.js("localStorage.clear(); sessionStorage.clear()")
    browser.open(url + "?" + str(len(browser.requests)))
    browser.wait_js("document.querySelector('footnote-chat') && document.querySelector('footnote-chat').shadowRoot")


def root(page, expression):
    return page.js(f"(w => {expression})(document.querySelector('footnote-chat').shadowRoot)")


def until(page, expression, seconds=10):
    page.wait_js(f"(w => {expression})(document.querySelector('footnote-chat').shadowRoot)", seconds)


def ask(page, question, done=True):
    n = root(page, "w.querySelectorAll('article').length")
    page.type(W + "#question", question)
    page.click(W + "#go")
    until(page, f"w.querySelectorAll('article').length == {n + 1}")
    if done:
        until(page, "!w.querySelector('#log').hasAttribute('aria-busy')")


def clean(page, world):
    """Nothing went wrong, nothing was asked of anybody else."""
    assert page.errors == [] and page.dialogs == []
    hosts = {u.split("/")[2] for u in page.requests if u.startswith("http")}
    assert hosts <= {world.url[7:], world.site.origin[7:]}, hosts


# ---- attacks
SINKS = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "createContextualFragment", "DOMParser",
         "srcdoc", "importScripts", "setHTML", "import(")
RUN = "window.hacked=1"
AWAY = "http://evil.invalid/"
HOSTILE = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"<iframe src=javascript:{RUN}></iframe>",
    f"<body onload={RUN}>",
    f"<a href=javascript:{RUN}>go</a>",
    f"<style>@import url({AWAY})</style>",
    f"<link rel=stylesheet href={AWAY}x.css>",
    f"<meta http-equiv=refresh content=0;url={AWAY}>",
    f"<base href={AWAY}>",
    f"<form action={AWAY}><button>send</button></form>",
    f"<object data={AWAY}></object><embed src={AWAY}>",
    f"<video src={AWAY} autoplay onerror={RUN}></video>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<template><script>{RUN}</script></template>",
    f"<footnote-chat api={AWAY} mode=inline></footnote-chat>",
    f"<slot onslotchange={RUN}></slot>",
    f"</textarea><img src=x onerror={RUN}>",
    f"--><img src=x onerror={RUN}>",
    f"]]><svg/onload={RUN}>",
    f"&lt;img src=x onerror={RUN}>",
    f"&#60;img src=x onerror={RUN}&#62;",
    f"\\<img src=x onerror={RUN}\\>",
    f"[go](javascript:{RUN})",
    f"[go](JaVaScRiPt:{RUN})",
    f"[go](java\tscript:{RUN})",
    f"[go](\x01javascript:{RUN})",
    f"[go](<javascript:{RUN}>)",
    "[go](data:text/html,<script>window.hacked=1</script>)",
    "[go](vbscript:msgbox)",
    f"[go](blob:{AWAY})",
    "[go](file:///etc/passwd)",
    f"[go](view-source:{AWAY})",
    f"[1](javascript:{RUN})",
    f"[**bold**](javascript:{RUN})",
    f"[a](b\" onclick=\"{RUN})",
    f"![x]({AWAY}x.png)",
    f"![x](javascript:{RUN})",
    f"![<img src=x onerror={RUN}>]({AWAY}y.png)",
    f"[![x]({AWAY}z.png)](javascript:{RUN})",
    f"| <img src=x onerror={RUN}> | b |\n|---|---|\n| [x](javascript:{RUN}) | ![i]({AWAY}t.png) |",
    f"```\"><img src=x onerror={RUN}>\n</code></pre><img src=x onerror={RUN}>\n```",
    f"```html\n<script>{RUN}</script>",
    f"`<img src=x onerror={RUN}>`",
    f"> <img src=x onerror={RUN}>\n> [x](javascript:{RUN})",
    f"1. <img src=x onerror={RUN}>\n   - <svg onload={RUN}>\n     - [x](javascript:{RUN})",
    f"# <img src=x onerror={RUN}>",
    f"**<img src=x onerror={RUN}>** *<svg onload={RUN}>* ~~<b onclick={RUN}>x</b>~~",
    f"{{{{constructor.constructor('{RUN}')()}}}} ${{{RUN}}} <%= {RUN} %> [1][2][999] \u202e<img src=x onerror={RUN}>",
]
assert len(HOSTILE) == 50 == len(set(HOSTILE))
