"""The snippets of docs/widget.md, each as it stands there, in a real site of its generator: built, served with as strict a policy as its pages
allow, and read in Chromium. FOOTNOTE_SITES: which generators, with where install.sh put each: mkdocs=PYTHON docusaurus=DIR vitepress=DIR."""
import base64
import hashlib
import mimetypes
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import http_kit  # noqa: E402
from browser_kit import Browser  # noqa: E402
from corpus_kit import Q_BUILT, Q_LAMP, add_corpus  # noqa: E402
from suite import ADMIN_KEY, TOP, Suite  # noqa: E402
from widget_kit import W, ask, root, until  # noqa: E402

pytestmark = pytest.mark.limit(400)
TOOLS = dict(pair.split("=", 1) for pair in os.environ.get("FOOTNOTE_SITES", "").split())
PAGES = {"index.md": "# Harbour guide\n\nWelcome to the pier of Varnholm. Read of [the lamp](lamp.md).\n\n## Lights\n\nThe tower stands at the sea.\n",
         "lamp.md": "# The lamp\n\nIt is lit each evening by the keeper. Back to [the pier](index.md).\n"}
with open(TOP + "/docs/widget.md", encoding="utf-8") as f:
    MANUAL = f.read()


def snippets(heading, world, key):
    """{file: text} of the blocks below a heading: the file is the last name in the line before its block."""
    part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", MANUAL, re.M | re.S)[1]
    found = re.findall(r"`([^`\n]+)`[^`\n]*\n\n```\w+\n(.*?)```", part, re.S)
    assert found, heading
    return {name: text.replace("https://answers.example.org", world.url).replace("fn_…", key) for name, text in found}


def run(folder, *command):
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CI": "true", "NO_UPDATE_NOTIFIER": "1", "NODE_ENV": "production"}
    r = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=380)
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]


def write(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


# ---- the generators: a folder with the pages and the snippets -> the folder with the site
def plain(folder, said, origin):
    page = "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><main><h1>{0}</h1><p>{1}</p></main>\n{2}</html>"
    script = said["index.html"]
    write(folder, {"index.html": page.format("Harbour guide", "Welcome to the pier of Varnholm. Read of <a href=lamp.html>the lamp</a>.", script),
                   "lamp.html": page.format("The lamp", "It is lit each evening by the keeper.", script), "ask.html": page.format("Ask", "", said["ask.html"])})
    return folder


def mkdocs(theme, more=""):
    def build(folder, said, origin):
        config = f"site_name: Harbour guide\nsite_url: {origin}/\n" + said["mkdocs.yml"].replace("name: material", "name: " + theme) + more
        write(folder, {"mkdocs.yml": config, "overrides/main.html": said["overrides/main.html"], "docs/ask.md": "# Ask\n\n" + said["ask.md"],
                       **{"docs/" + name: text for name, text in PAGES.items()}})
        run(folder, TOOLS["mkdocs"], "-m", "mkdocs", "build", "--quiet", "--strict")
        return folder + "/site"
    return build


def docusaurus(folder, said, origin):
    config = f"""export default {{ title: "Harbour guide", url: "{origin}", baseUrl: "/", onBrokenLinks: "throw",
  presets: [["classic", {{ docs: {{ routeBasePath: "/" }}, blog: false }}]],\n{said["docusaurus.config.js"]}}};\n"""
    pages = dict(PAGES, **{"index.md": "---\nslug: /\n---\n" + PAGES["index.md"]})
    write(folder, {"docusaurus.config.js": config, "package.json": "{}", "docs/ask.md": "# Ask\n\n" + said["ask.md"],
                   **{"docs/" + name: text for name, text in pages.items()}})
    os.symlink(TOOLS["docusaurus"] + "/node_modules", folder + "/node_modules")
    run(folder, "node", "node_modules/@docusaurus/core/bin/docusaurus.mjs", "build")
    return folder + "/build"


def vitepress(folder, said, origin):
    write(folder, {"package.json": '{"type": "module"}', ".vitepress/config.js": said[".vitepress/config.js"], "ask.md": "# Ask\n\n" + said["ask.md"], **PAGES})
    os.symlink(TOOLS["vitepress"] + "/node_modules", folder + "/node_modules")
    run(folder, "node", "node_modules/vitepress/bin/vitepress.js", "build")
    return folder + "/.vitepress/dist"


# name: heading, how it is built, the pages' names end in, what its policy must allow besides its scripts' digests
TRUSTED = "require-trusted-types-for 'script'; trusted-types 'none'"
STYLES = "style-src 'self' 'unsafe-inline'"  # for the style attributes of the generator's own pages
BARE = "  highlightjs: false\n"  # otherwise from a host of its own
SITES = {"plain": ("Plain HTML", plain, ".html", TRUSTED),
         "mkdocs": ("MkDocs", mkdocs("mkdocs", BARE), "/", STYLES),
         "readthedocs": ("MkDocs", mkdocs("readthedocs", BARE), "/", STYLES),
         "material": ("MkDocs", mkdocs("material", "  font: false\n  features: [navigation.instant]\n"), "/", STYLES),
         "docusaurus": ("Docusaurus", docusaurus, "", STYLES),
         "vitepress": ("VitePress", vitepress, ".html", STYLES)}
TOOL = {"plain": None, "readthedocs": "mkdocs", "material": "mkdocs"}


class Site(http_kit.Server):
    """A folder on an origin of its own; each page has a policy that names the digests of the scripts that stand in it."""

    def __init__(self, gateway, more):
        site = self
        self.folder = None

        class Handler(http_kit.Handler):
            def do_GET(self):
                path = os.path.join(site.folder, self.path.split("?")[0].lstrip("/"))
                path = next((p for p in (path, path + ".html", os.path.join(path, "index.html")) if os.path.isfile(p)), None)
                if not path:
                    self.answer(204 if self.path == "/favicon.ico" else 404)
                    return
                with open(path, "rb") as f:
                    data = f.read()
                headers = {"Content_Security_Policy": site.policy(data.decode())} if path.endswith(".html") else {}
                self.answer(200, data, Content_Type=mimetypes.guess_type(path)[0] or "application/octet-stream", **headers)
        super().__init__(Handler)
        self.gateway, self.more, self.origin = gateway, more, self.url

    def policy(self, html):
        inline = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", html, re.S)
        digests = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in inline)
        return (f"default-src 'none'; script-src 'self' {self.gateway} {digests}; connect-src 'self' {self.gateway}; img-src 'self' data:; font-src 'self' data:; "
                f"base-uri 'none'; form-action 'none'; {self.more}")


@pytest.fixture(scope="module")
def world():
    with Suite(auth="on", stub=True) as s:
        add_corpus(s, key=ADMIN_KEY)
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        b.call("Page.addScriptToEvaluateOnNewDocument", source="""window.sent = []; (f => { window.fetch = (u, o) => {
            if (o && typeof o.body === 'string') sent.push(JSON.parse(o.body)); return f(u, o); }; })(window.fetch)""")
        yield b


@pytest.fixture(params=[name for name in SITES if TOOL.get(name, name) in (None, *TOOLS)])
def site(request, world, browser, tmp_path):
    heading, build, ending, more = SITES[request.param]
    s = Site(world.url, more)
    key = world.make_key(["chat"], origins=[s.origin], per_minute=10000, per_hour=10000)["key"]
    s.folder, s.ending = build(str(tmp_path), snippets(heading, world, key), s.origin), ending
    browser.size(1200, 800)
    browser.errors.clear()
    browser.requests.clear()
    yield s
    s.close()


def answered(browser, question, words):
    ask(browser, question)
    assert words in browser.text(W + "article:last-of-type .text"), browser.text(W + "article:last-of-type")
    browser.click(W + "article:last-of-type .text .cite")
    until(browser, "w.querySelector('#source').open && w.querySelector('#source-text').innerText.includes('wooden beacon')")
    assert words in browser.text(W + "#source mark")
    browser.key("Escape")
    until(browser, "!w.querySelector('#source').open")


def test_the_snippet_of_the_manual_makes_a_chat_that_answers_and_cites(site, browser, world):
    browser.open(site.origin + "/")
    until(browser, "w.querySelector('#open')")
    browser.click(W + "#open")
    answered(browser, Q_BUILT, "Ingrid Solheim")
    # another page, as the generator's own script or the browser loads it: the chat is there once, open, and knows the page
    browser.js("[...document.querySelectorAll('main a, .container a, [role=main] a, article a')].find(a => a.innerText === 'the lamp').click()")
    browser.wait_js("[...document.querySelectorAll('h1')].some(h => h.innerText.includes('The lamp')) && document.querySelectorAll('footnote-chat').length === 1")
    until(browser, "!w.querySelector('#panel').hidden && w.querySelectorAll('article').length == 1")
    answered(browser, Q_LAMP, "colza oil")
    assert "lit each evening by the keeper" in browser.js("sent.at(-1).page_context") and "Welcome to the pier" not in browser.js("sent.at(-1).page_context")
    # the element in a page
    browser.open(site.origin + "/ask" + site.ending)
    until(browser, "!w.querySelector('#open') && w.querySelectorAll('article').length == 2")
    assert root(browser, "w.querySelector('#title').innerText") == "Ask the handbook" and browser.js("document.querySelectorAll('footnote-chat').length") == 1
    browser.click(W + "#anew")
    answered(browser, Q_BUILT, "Ingrid Solheim")
    assert browser.errors == [] and browser.dialogs == [], "\n".join(browser.errors)
    assert {u.split("/")[2] for u in browser.requests if u.startswith("http")} == {world.url[7:], site.origin[7:]}


def test_a_page_whose_policy_does_not_name_the_gateway_has_no_chat(browser, world, tmp_path):
    s = Site("http://127.0.0.1:1", TRUSTED)
    s.folder = plain(str(tmp_path), snippets("Plain HTML", world, "fn_x"), s.origin)
    browser.open(s.origin + "/")
    assert browser.js("document.querySelector('footnote-chat')") is None and any("Content Security Policy" in e for e in browser.errors)
    s.close()
