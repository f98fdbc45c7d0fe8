"""The widget, the page and the console as axe-core sees them (FOOTNOTE_AXE: its script): every state, light and dark, in both directions, at two widths."""
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from browser_kit import Browser  # noqa: E402
from console_kit import PANELS, console_suite, filled, fresh as fresh_console, show, sign_in  # noqa: E402
from corpus_kit import Q_BUILT  # noqa: E402
from widget_kit import MARKDOWN, W, ask, fresh, root, site_and_suite, until  # noqa: E402

pytestmark = pytest.mark.limit(120)
with open(os.environ["FOOTNOTE_AXE"], encoding="utf-8") as f:
    AXE = f.read()
RUN = """axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html.slice(0, 120) + ' ' + n.failureSummary)]))"""


@pytest.fixture(scope="module")
def world():
    with site_and_suite() as s:
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        b.call("Page.setBypassCSP", enabled=True)  # for axe-core, not for the widget: the other tests keep the policy
        yield b


def violations(browser):
    browser.call("Runtime.evaluate", expression=AXE)
    return browser.js(RUN)


def check(browser, state):
    found = violations(browser)
    assert found == [], (state, json.dumps(found, indent=1, ensure_ascii=False))


def test_a_picture_without_words_is_found(browser, world):
    browser.open(world.site.page("/bad", body='<img src="/x.png">') + "?bad")
    assert "image-alt" in [v[0] for v in violations(browser)]


@pytest.mark.parametrize("width, scheme, lang", [(1000, "light", "en"), (1000, "dark", "ar"), (320, "light", "de"), (320, "dark", "ja")])
def test_the_widget_has_no_violation_in_any_state(browser, world, width, scheme, lang):
    browser.size(width, 700)
    browser.media(prefers_color_scheme=scheme)
    world.stub.reset()
    fresh(browser, world, f"/axe-{lang}", lang=lang, attributes='data-theme="auto" data-suggestions="When was it built?|How tall is it?" data-intro="Ask about lights."')
    check(browser, "closed")
    browser.click(W + "#open")
    check(browser, "open")
    world.stub.script({"route": "chat", "text": MARKDOWN})
    ask(browser, Q_BUILT)
    check(browser, "answered")
    browser.click(W + "#list")
    until(browser, "w.querySelector('#past li')")
    check(browser, "conversations")
    browser.key("Escape")
    browser.js("window.real = fetch; window.fetch = async () => new Response('{}', {status: 429, headers: {'Retry-After': '9'}})")
    ask(browser, "And now?")
    check(browser, "failed")
    browser.js("window.fetch = real")
    browser.click(W + ".text .cite")
    until(browser, "w.querySelector('#source').open")
    check(browser, "source")
    root(browser, "(w.querySelector('#source').close(), 1)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_violation_in_any_state(browser, world, scheme):
    browser.size(1000, 800)
    browser.media(prefers_color_scheme=scheme)
    browser.open(f"{world.url}/?{scheme}")
    check(browser, "empty")
    browser.type("#question", Q_BUILT)
    browser.click("#go")
    browser.wait_js("document.querySelector('article:last-of-type .facts').innerText.length > 0")
    check(browser, "answered")
    browser.click("#library")
    browser.wait_js("!document.querySelector('#key-form').hidden")
    check(browser, "documents")
    browser.js("document.querySelector('#docs').close()")


@pytest.fixture(scope="module")
def deployment():
    with console_suite() as s:
        yield s


@pytest.mark.parametrize("width, scheme, dir", [(1280, "light", "ltr"), (640, "dark", "rtl"), (320, "dark", "ltr"), (320, "light", "rtl")])
def test_the_console_has_no_violation_in_any_panel(browser, deployment, width, scheme, dir):
    browser.size(width, 800)
    browser.media(prefers_color_scheme=scheme)
    fresh_console(browser, deployment.url)
    browser.js(f"document.documentElement.dir = {json.dumps(dir)}")
    browser.wait_js("!document.querySelector('#sign-in').hidden")
    check(browser, "signing in")
    browser.type("#key", "fn_wrong")
    browser.click("#sign-in .go")
    browser.wait_js("document.querySelector('#sign-in [role=alert]').innerText.includes('not valid')")
    check(browser, "a wrong key")
    sign_in(browser, deployment.url)
    browser.js(f"document.documentElement.dir = {json.dumps(dir)}")
    for panel in PANELS:
        filled(browser, panel)
        check(browser, panel)
    show(browser, "documents")
    browser.wait_js("underWay == 0")
    for words in ("Text", "Delete"):
        browser.js(f"[...document.querySelectorAll('#documents-list button')].find(b => b.textContent == '{words}').click()")
        browser.wait_js("document.querySelector('#ask').open")
        check(browser, words)
        browser.key("Escape")
        browser.wait_js("!document.querySelector('#ask').open && underWay == 0")
    browser.js("trouble(new Trouble('Something went wrong. Do this.', {})); progressLine('guide.md').set(0.4, '4 MB of 10 MB sent')")
    check(browser, "an error, and a file on its way")
    show(browser, "overview")
    browser.js("drawFindings([['bad', 'Postgres cannot be reached.', 'Start it.', 'errors'], ['warn', 'Redis cannot be reached.', 'Start it.']])")
    check(browser, "what is broken")
