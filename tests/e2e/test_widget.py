"""The widget /widget.js on pages of another origin, in a real browser, under a strict Content-Security-Policy with Trusted Types: what it
does, at three widths, dark, from right to left, and with answers that attack it."""
import gzip
import json
import re
import shutil

import pytest
import requests

from corpus_kit import Q_BUILT, Q_NOTHING
from resume_kit import words_text
from suite import ADMIN_KEY, SANITIZED, TOP, wait_for
from widget_kit import HOSTILE, MARKDOWN, SINKS, W, ask, clean, fresh, root, site_and_suite, until

pytestmark = [pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
              pytest.mark.skipif(SANITIZED, reason="the widget is the same in every build"), pytest.mark.limit(120)]
LANGUAGES = "en de fr es it pt nl pl ru ja zh ar".split()


@pytest.fixture(scope="module")
def world():
    with site_and_suite() as s:
        yield s


@pytest.fixture
def page(browser, world):
    """A launcher on a page, open; a browser that was never here."""
    browser.errors.clear()
    browser.requests.clear()
    browser.dialogs.clear()
    browser.size(1000, 800)
    browser.media()
    world.stub.reset()
    fresh(browser, world)
    return browser


# ---- the file
def test_the_script_is_small_and_any_page_may_load_it(world):
    plain = requests.get(world.url + "/widget.js", headers={"Accept-Encoding": "identity"}, timeout=5)
    assert plain.status_code == 200 and plain.headers["Content-Type"] == "text/javascript; charset=utf-8"
    raw = requests.get(world.url + "/widget.js", headers={"Accept-Encoding": "gzip", "Origin": "https://anybody.example"}, stream=True, timeout=5)
    packed = raw.raw.read(decode_content=False)
    assert raw.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == plain.content
    assert len(packed) <= 15000
    assert raw.headers["Access-Control-Allow-Origin"] == "*" and raw.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "max-age" in raw.headers["Cache-Control"] and raw.headers["ETag"] != plain.headers["ETag"] and "Accept-Encoding" in raw.headers["Vary"]
    again = requests.get(world.url + "/widget.js", headers={"Accept-Encoding": "gzip", "If-None-Match": raw.headers["ETag"]}, timeout=5)
    assert again.status_code == 304 and again.content == b""
    none = requests.get(world.url + "/widget.js", headers={"Accept-Encoding": "gzip;q=0"}, timeout=5)
    assert "Content-Encoding" not in none.headers and none.content == plain.content
    assert requests.head(world.url + "/widget.js", timeout=5).headers["ETag"]


def test_nothing_of_it_parses_html_or_loads_code(world):
    text = requests.get(world.url + "/widget.js", timeout=5).text
    for sink in SINKS:
        assert sink not in text, sink


def test_it_speaks_twelve_languages_each_with_all_words(world):
    text = open(TOP + "/gateway/web/widget/words.js", encoding="utf-8").read()
    keys = re.search(r'KEYS = "([^"]+)"', text).group(1).split()
    lines = dict(re.findall(r'^  (\w\w): "([^"]+)",$', text, re.M))
    assert list(lines) and sorted(lines) == sorted(LANGUAGES)
    for lang, line in lines.items():
        words = line.split("|")
        assert len(words) == len(keys) and all(w.strip() == w and w for w in words), lang


# ---- what readers do
def test_one_script_tag_is_a_launcher_and_an_answer_with_its_source(page, world):
    assert root(page, "w.querySelector('#panel').hidden") and world.url + "/api/v1/chat/history?limit=50" not in page.requests
    page.click(W + "#open")
    until(page, "!w.querySelector('#panel').hidden && w.activeElement.id == 'question'")
    ask(page, Q_BUILT)
    assert "Ingrid Solheim" in page.text(W + ".text") and page.text(W + ".cite") == "1"
    page.click(W + ".cite")
    until(page, "w.querySelector('#source').open && w.querySelector('#source-text').innerText.includes('wooden beacon')")
    assert "Ingrid Solheim" in page.text(W + "#source mark") and "The lighthouse of Varnholm" in page.text(W + "#source-title")
    link = root(page, "w.querySelector('#source-facts a').href")
    assert link.startswith("https://docs.example.org/lighthouse")
    page.key("Escape")  # closes the source only, and the focus is where it was
    until(page, "!w.querySelector('#source').open && w.activeElement.className == 'cite' && !w.querySelector('#panel').hidden")
    page.js("document.querySelector('footnote-chat').shadowRoot.querySelector('#question').focus()")
    page.key("Escape")
    until(page, "w.querySelector('#panel').hidden && w.activeElement.id == 'open'")
    clean(page, world)


def test_an_answer_goes_on_when_its_gateway_is_killed_and_started_again(page, world):
    text = words_text(60)
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": text, "drip_ms": 80})
    ask(page, Q_BUILT, done=False)
    until(page, "w.querySelector('.text').textContent.includes('w0005')")
    world.kill("gateway")
    world.start("gateway")
    until(page, "!w.querySelector('#log').hasAttribute('aria-busy')", 30)
    assert root(page, "w.querySelector('.text').textContent").replace("1", "").split() == text.replace("[1]", "").replace("1", "").split()
    assert root(page, "w.querySelectorAll('.problem').length") == 0
    page.errors.clear()  # the connections that broke


def test_sources_are_shown_while_the_answer_is_being_written_and_it_can_be_stopped(page, world):
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": "Ingrid Solheim built the lighthouse of Varnholm in 1843 [1]. " * 6, "drip_ms": 150})
    ask(page, Q_BUILT, done=False)
    until(page, "w.querySelector('.text.wait') && w.querySelectorAll('.source').length > 0 && w.querySelector('.text .cite')")
    assert page.text(W + "#go") == "Stop"
    root(page, "(w.querySelector('.text .cite').focus(), w.kept = w.querySelector('.text .cite'), 1)")
    length = root(page, "w.querySelector('.text').innerText.length")
    until(page, f"w.querySelector('.text').innerText.length > {length + 60}")
    page.click(W + "#go")
    until(page, "w.querySelector('.problem') && !w.querySelector('.wait')")
    assert "Stopped." in page.text(W + ".problem") and page.text(W + "#go") == "Ask"
    assert root(page, "w.querySelector('#question').value") == Q_BUILT and "Ingrid" in page.text(W + ".text")  # what came stays
    page.click(W + ".retry")
    until(page, "w.querySelectorAll('article').length == 1 && w.querySelector('[data-rating]')", 20)
    assert root(page, "w.querySelector('#question').value") == ""
    clean(page, world)


def test_a_bracket_of_the_document_itself_is_no_button(page, world):
    world.ingest("The seals of Varnholm are fed at noon [1]. They sleep at night.", id="seals", key=ADMIN_KEY)
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": "The seals of Varnholm are fed at noon [1]. [1, 1]"})
    ask(page, "When are the seals of Varnholm fed?")
    until(page, "w.querySelector('.text .cite')")
    assert page.text(W + ".text p").replace("\u00a0", " ").startswith("The seals of Varnholm are fed at noon [1].")
    assert root(page, "w.querySelectorAll('.text .cite').length") == 2
    clean(page, world)


def test_blocks_that_have_not_changed_stay_while_the_rest_is_written(page, world):
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": "The lighthouse was built in 1843 [1].\n\nIts builder was Ingrid Solheim, an engineer [1].\n\n" + "It stands in Varnholm. " * 8, "drip_ms": 60})
    ask(page, Q_BUILT, done=False)
    until(page, "w.querySelectorAll('.text > p').length >= 2 && w.querySelector('.text .cite')")
    root(page, "(w.first = w.querySelector('.text > p'), w.querySelector('.text .cite').focus(), 1)")
    until(page, "!w.querySelector('.wait')")
    assert root(page, "w.first === w.querySelector('.text > p') && w.activeElement.className == 'cite'")
    clean(page, world)


def test_follow_ups_go_on_and_conversations_are_kept_listed_chosen_and_deleted(page, world):
    page.click(W + "#open")
    ask(page, Q_BUILT)
    ask(page, "And who was it named after?")
    page.click(W + "#anew")
    until(page, "w.querySelectorAll('.begin').length == 1")
    ask(page, "How tall is the lighthouse of Varnholm?")
    page.open(world.site.origin + "/guide?again")  # the panel is open again, and all is there
    until(page, "!w.querySelector('#panel').hidden && w.querySelectorAll('article').length == 3 && w.querySelectorAll('.begin').length == 1")
    page.click(W + "#list")
    until(page, "w.querySelectorAll('#past li').length == 2")
    assert root(page, "w.querySelector('#past [aria-current]').innerText").startswith("How tall")
    page.click(W + "#past li:last-child .past")
    until(page, "w.querySelectorAll('article').length == 2 && w.querySelector('#past').hidden")
    assert Q_BUILT in page.text(W + "article") and root(page, "w.querySelectorAll('.cite').length") > 0
    page.click(W + "#list")
    until(page, "w.querySelectorAll('#past li').length == 2")
    page.click(W + "#past li:last-child .quiet")
    until(page, "w.querySelectorAll('#past li').length == 1 && w.querySelectorAll('article').length == 0 && w.activeElement.className == 'past'")
    page.key("Escape")
    until(page, "w.querySelector('#past').hidden && w.activeElement.id == 'list'")
    clean(page, world)


def test_words_selected_on_the_page_are_asked_about(page, world):
    page.js("getSelection().selectAllChildren(document.querySelector('#para'))")
    until(page, "!w.querySelector('#pick').hidden")
    page.click(W + "#pick")
    until(page, "!w.querySelector('#about').hidden && w.activeElement.id == 'question'")
    assert page.text(W + "#about-text") == "The lighthouse of Varnholm was built in 1843."
    ask(page, "Explain this in simple words")
    assert "built in 1843" in page.text(W + ".selected") and root(page, "w.querySelector('#about').hidden")
    root(page, "(getSelection().removeAllRanges(), w.getSelection().selectAllChildren(w.querySelector('.text')), 1)")  # and words of an answer
    until(page, "!w.querySelector('#pick').hidden")
    page.click(W + "#pick")
    until(page, "!w.querySelector('#about').hidden")
    page.click(W + "#about-no")
    until(page, "w.querySelector('#about').hidden")
    clean(page, world)


SENT = "window.sent = []; (f => { window.fetch = (u, o) => { if (o && o.body) sent.push(JSON.parse(o.body)); return f(u, o); }; })(window.fetch)"


def test_the_page_the_reader_is_on_and_the_collection_go_with_the_question(browser, page, world):
    page.js(SENT)
    page.click(W + "#open")
    ask(page, Q_BUILT)
    assert page.js("sent[0].page_context").startswith("Guide\nHarbour guide\n\nWelcome to the pier.") and "Ask" not in page.js("sent[0].page_context")
    page.js("getSelection().selectAllChildren(document.querySelector('#para'))")
    until(page, "!w.querySelector('#pick').hidden")
    page.click(W + "#pick")
    ask(page, "What is this?")
    assert page.js("[sent[1].chapter, sent[1].section, sent[1].page_context ?? null]") == ["Harbour guide", "Lights", None]
    fresh(browser, world, "/plain", attributes='data-context="off" data-collection="docs"')
    page.js(SENT)
    page.click(W + "#open")
    ask(page, Q_BUILT)
    assert page.js("[sent[0].page_context ?? null, sent[0].collection]") == [None, "docs"]
    clean(page, world)


def test_an_answer_is_rated_and_the_rating_is_there_again(page, world):
    page.click(W + "#open")
    ask(page, Q_BUILT)
    page.click(W + "[data-rating=down]")
    page.click(W + "[data-rating=up]")
    session = page.js("document.querySelector('footnote-chat').session")

    def rated():
        r = requests.get(world.url + "/api/v1/chat/history", headers={"X-Session-ID": session, "Authorization": "Bearer " + world.page_key, "Origin": world.site.origin}, timeout=5)
        return [m["feedback"]["rating"] for m in r.json()["items"] if m.get("feedback")] == ["up"]
    wait_for("the rating is kept", rated, 5)
    page.open(world.site.origin + "/guide?rated")
    until(page, "w.querySelector('[data-rating=up]') && w.querySelector('[data-rating=up]').getAttribute('aria-pressed') == 'true'")
    assert root(page, "w.querySelector('[data-rating=down]').getAttribute('aria-pressed')") == "false"
    page.errors[:] = [e for e in page.errors if "/feedback" not in e]  # of an answer that was not saved yet
    clean(page, world)


def test_an_answer_and_its_code_are_copied(page, world):
    page.js("navigator.clipboard.writeText = async t => { window.copied = t; }")
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": "The lighthouse was built in 1843 [1]:\n\n```sh\nls <dir>\n```"})
    ask(page, Q_BUILT)
    page.click(W + ".code .quiet")
    page.wait_js("window.copied === 'ls <dir>'")
    page.click(W + ".tools .quiet")
    page.wait_js("window.copied.startsWith('The lighthouse was built in 1843 [1]')")
    assert "\n[1] The lighthouse of Varnholm" in page.js("copied") and "https://docs.example.org/lighthouse" in page.js("copied")
    until(page, "w.querySelector('.tools .quiet').innerText == '✓'")
    clean(page, world)


def test_a_question_that_failed_stays_in_the_box_and_is_asked_again(page, world):
    page.click(W + "#open")
    page.js("window.real = fetch; window.fetch = () => Promise.reject(new TypeError('down'))")
    ask(page, Q_BUILT)
    assert "cannot be reached" in page.text(W + ".problem") and root(page, "w.querySelector('#question').value") == Q_BUILT
    page.js("window.fetch = real")
    page.click(W + ".retry")
    until(page, "w.querySelector('.cite')")
    assert root(page, "w.querySelector('#question').value") == "" and root(page, "w.querySelectorAll('article').length") == 1
    clean(page, world)


def test_too_many_questions_count_down_until_they_may_be_asked_again(page, world):
    page.click(W + "#open")
    page.js("window.real = fetch; window.fetch = async () => new Response('{}', {status: 429, headers: {'Retry-After': '2'}})")
    ask(page, Q_BUILT)
    assert "Too many questions" in page.text(W + ".problem") and page.text(W + ".retry") == "Try again (2)"
    assert root(page, "w.querySelector('.retry').disabled")
    page.js("window.fetch = real")
    until(page, "w.querySelector('.retry').innerText == 'Try again (1)'")
    until(page, "!w.querySelector('.retry').disabled && w.querySelector('.retry').innerText == 'Try again'")
    page.click(W + ".retry")
    until(page, "w.querySelector('.cite')")
    clean(page, world)


def test_suggestions_are_asked_with_one_click(browser, page, world):
    fresh(browser, world, "/suggest", attributes=f'data-suggestions="{Q_BUILT}|How tall is it?" data-intro="Ask about lights."')
    page.click(W + "#open")
    assert page.text(W + "#empty p") == "Ask about lights." and root(page, "w.querySelectorAll('.suggestion').length") == 2
    page.click(W + ".suggestion")
    until(page, "w.querySelector('.cite') && w.querySelector('#empty').hidden")
    assert page.text(W + ".asked") == Q_BUILT
    clean(page, world)


def test_markdown_becomes_tables_lists_code_and_links(page, world):
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": MARKDOWN})
    ask(page, Q_BUILT)
    assert root(page, "[...w.querySelectorAll('.text th')].map(e => e.innerText)") == ["year", "event"]
    assert root(page, "[...w.querySelectorAll('.text td')].map(e => e.innerText)") == ["1843", "built | lit"]
    assert root(page, "w.querySelector('.text td:last-child').style.textAlign") == "end"
    assert root(page, "w.querySelector('.text ol > li > ul > li').innerText") == "inner" and root(page, "w.querySelectorAll('.text ol > li').length") == 2
    assert root(page, "w.querySelector('.text pre code').textContent") == 'if a < b:\n    print("[1] **no**")'
    assert root(page, "w.querySelector('.text p code').textContent") == "a_b * c" and page.text(W + ".text blockquote") == "quoted"
    assert root(page, "[w.querySelector('.text strong').innerText, w.querySelector('.text em').innerText]") == ["The lighthouse", "Ingrid Solheim"]
    a = root(page, "(a => [a.innerText, a.href, a.target, a.rel])(w.querySelector('.text a'))")
    assert a[:3] == ["the site", "https://docs.example.org/lighthouse", "_blank"] and "noopener" in a[3]
    clean(page, world)


LONG = 60000
LONG_LINES = ("# " + "#" * LONG + "x", "#" * LONG, "# " + " " * LONG + "x", "a | b\n" + " " * LONG + "-x", "a | b\n---" + " " * LONG + "x", "a | b\n" + "|-" * LONG + "x",
              "- " * LONG + "x", " " * LONG + "- x", " " * LONG + "```", "*" * LONG, "`" * LONG + "x", "[" * LONG, "[a](" * (LONG // 4), "[a](x" + " " * LONG, "http://" + "." * LONG, "~" * LONG)


def test_a_long_line_costs_no_more_than_its_length(page, world):
    """An answer is drawn again with each piece of it: with a pattern that tries every beginning and every end the page would hang."""
    for line in LONG_LINES:
        took = page.js("(text => { const e = document.querySelector('footnote-chat'), since = performance.now(); e.prose({ text: document.createElement('div'), answer: text, sources: new Map() }); "
                       f"return performance.now() - since; }})({json.dumps(line)})")
        assert took < 1500, (line[:10], took)
    shown = page.js("(text => { const box = document.createElement('div'); document.querySelector('footnote-chat').prose({ text: box, answer: text, sources: new Map() }); return box.textContent; })"
                    "('## Lights ##\\n\\n# C#\\n\\n### #\\n\\n  a|b  \\n | :-: | -- |  \\n1|2')")
    assert shown == "LightsC" + "ab12", shown
    clean(page, world)


def test_a_question_about_nothing_says_so(page, world):
    page.click(W + "#open")
    ask(page, Q_NOTHING)
    assert "not answered by the documents" in page.text(W + ".facts") and root(page, "w.querySelectorAll('.cite').length") == 0
    clean(page, world)


def test_it_is_worked_by_keys_alone(page, world):
    page.js("document.querySelector('footnote-chat').shadowRoot.querySelector('#open').focus()")
    page.key("Enter")
    until(page, "w.activeElement && w.activeElement.id == 'question'")
    page.call("Input.insertText", text=Q_BUILT)
    page.key("Enter")
    until(page, "w.querySelector('.cite') && !w.querySelector('#log').hasAttribute('aria-busy')")
    seen = []
    for _ in range(12):
        page.key("Tab", modifiers=8)
        seen.append(root(page, "w.activeElement && (w.activeElement.id || w.activeElement.className || w.activeElement.tagName)"))
    assert {"cite", "source", "quiet rate", "list", "close"} <= set(seen), seen
    log = root(page, "(l => [l.getAttribute('role'), l.getAttribute('aria-live'), l.getAttribute('aria-label')])(w.querySelector('#log'))")
    assert log == ["log", "polite", "Ask"]
    clean(page, world)


# ---- how it looks where
def overflow(page):
    """What is wider than the window, or cut off beyond its edges."""
    return root(page, """[...w.querySelectorAll('#panel *:not(.wide *):not(pre *)')].filter(e => { const r = e.getBoundingClientRect();
        return r.width && (r.left < -1 || r.right > innerWidth + 1); }).map(e => e.tagName + '.' + e.className + '#' + e.id)""")


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_it_fits_every_width_scheme_and_direction(browser, page, world, width, scheme, direction):
    browser.size(width, 700)
    browser.media(prefers_color_scheme=scheme)
    fresh(browser, world, f"/fit-{direction}", lang="ar" if direction == "rtl" else "en", attributes='data-theme="auto" data-heading="Ask the harbour"')
    page.click(W + "#open")
    world.stub.script({"route": "chat", "text": MARKDOWN + "\n" + "averylongwordwithoutanyend" * 12 + " [1]"})
    ask(page, Q_BUILT)
    assert overflow(page) == [] and page.js("document.documentElement.scrollWidth <= innerWidth")
    box = root(page, "(r => [r.left, r.right, r.width])(w.querySelector('#panel').getBoundingClientRect())")
    assert box[2] == width if width <= 480 else (box[0] == 20 if direction == "rtl" else box[1] == width - 20)
    ink, paper = root(page, "[getComputedStyle(w.querySelector('.text')).color, getComputedStyle(w.querySelector('#panel')).backgroundColor]")
    light = [sum(map(int, re.findall(r"\d+", c)[:3])) / 3 for c in (ink, paper)]
    assert (light[0] > 200 and light[1] < 60) if scheme == "dark" else (light[0] < 60 and light[1] > 200)
    assert root(page, "getComputedStyle(w.querySelector('.text')).direction") == direction
    page.click(W + ".text .cite")
    until(page, "w.querySelector('#source').open")
    d = root(page, "(r => [r.left, r.right])(w.querySelector('#source').getBoundingClientRect())")
    assert d[0] >= 0 and d[1] <= width
    clean(page, world)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_speaks_the_language_of_the_page(browser, page, world, lang):
    fresh(browser, world, "/lang-" + lang, lang=lang + "-XX")
    words = dict(re.findall(r'^  (\w\w): "([^"]+)",$', open(TOP + "/gateway/web/widget/words.js", encoding="utf-8").read(), re.M))[lang].split("|")
    page.click(W + "#open")
    assert page.text(W + "#go") == words[0] and root(page, "w.querySelector('#question').placeholder") == words[2]
    assert root(page, "w.querySelector('#shell').dir") == ("rtl" if lang == "ar" else "ltr")
    clean(page, world)


def test_nothing_moves_for_those_who_do_not_want_it(browser, page, world):
    page.click(W + "#open")
    animated = "getComputedStyle(w.querySelector('.wait'), '::after').animationName"
    for wish, name in (("no-preference", "blink"), ("reduce", "none")):
        browser.media(prefers_reduced_motion=wish)
        world.stub.script({"route": "chat", "text": "Built in 1843 [1].", "delay_ms": 700})
        ask(page, Q_BUILT if wish == "reduce" else "When was the lighthouse built?", done=False)
        until(page, "w.querySelector('.wait')")
        assert root(page, animated) == name
        until(page, "!w.querySelector('.wait')")
    clean(page, world)


def test_inline_it_stands_where_it_is_put_and_is_styled_from_outside(browser, page, world):
    fresh(browser, world, "/inline", tag=f'<div id="here"><footnote-chat data-key="{world.page_key}" data-theme="light" heading="Ask us"></footnote-chat></div>')
    page.js("""(s => { s.replaceSync('footnote-chat { --footnote-accent: rgb(1, 2, 3); --footnote-height: 333px } footnote-chat::part(question) { letter-spacing: 7px }');
               document.adoptedStyleSheets = [s]; })(new CSSStyleSheet())""")
    assert page.js("document.querySelectorAll('footnote-chat').length") == 1 and root(page, "w.querySelector('#open')") is None
    assert root(page, "w.querySelector('#panel').getBoundingClientRect().height") == 333
    assert root(page, "getComputedStyle(w.querySelector('#question')).letterSpacing") == "7px"
    ask(page, Q_BUILT)
    assert "Ingrid Solheim" in page.text(W + ".text") and root(page, "getComputedStyle(w.querySelector('.cite')).color") == "rgb(1, 2, 3)"
    clean(page, world)


# ---- what must not happen
def answer_events(text):
    source = {"id": "00000000-0000-4000-8000-000000000001", "n": 1, "kind": "document", "title": text, "chapter": text, "section": text, "external_id": text,
              "content_excerpt": text, "start": 0, "end": 0, "link": "javascript:window.hacked=1", "page": None}
    done = {"answer": text, "sources": [source, {**source, "n": 2, "link": text}], "grounded": True, "confidence": 1, "message_id": source["id"],
            "conversation_id": None, "saved": "yes", "finish": "stop", "cached": "none"}
    events = [("meta", {"conversation_id": None}), ("sources", {"sources": done["sources"]}), ("delta", {"text": text}), ("done", done)]
    return "".join(f"event: {k}\ndata: {json.dumps(v)}\n\n" for k, v in events)


HARMLESS = """(() => { const bad = [...w.querySelectorAll('script, img, svg, iframe, object, embed, video, style, link, meta, base, form:not(#ask), template, math, details, slot, footnote-chat')].map(e => e.outerHTML);
  for (const e of w.querySelectorAll('*')) for (const a of e.attributes)
    if (/^on/.test(a.name) || (/^(href|src|action|srcdoc|data|style)$/.test(a.name) && !/^(https?:|mailto:|text-align)/.test(a.value))) bad.push(e.tagName + ' ' + a.name + '=' + a.value);
  return bad; })()"""


def test_fifty_hostile_answers_stay_text_when_nobody_cleaned_them(page, world):
    """The server's own cleaning is left out: the stream, its sources and their titles bring everything as it is."""
    page.click(W + "#open")
    page.js("window.real = fetch; window.fetch = async (u, o) => u.includes('/stream') ? new Response(window.body) : new Response('{}', {status: 404})")
    for i, text in enumerate(HOSTILE):
        page.js("window.body = " + json.dumps(answer_events(text)))
        ask(page, f"Hostile {i}?")
        assert root(page, HARMLESS) == [], text
        root(page, "(w.querySelector('article:last-of-type .source').click(), w.querySelectorAll('article:last-of-type .text a').forEach(a => a.addEventListener('click', e => { if (/^http/.test(a.href)) e.preventDefault(); }) || a.click()), 1)")
        assert root(page, HARMLESS) == [], text
        root(page, "(w.querySelector('#source').close(), 1)")
        assert page.js("window.hacked === undefined"), text
    assert root(page, "w.querySelectorAll('article').length") == 50
    clean(page, world)


def test_fifty_hostile_answers_stay_text_through_the_server_and_its_history(browser, page, world):
    page.click(W + "#open")
    for i, text in enumerate(HOSTILE):
        world.stub.script({"route": "chat", "text": "The lighthouse of Varnholm was built in 1843 [1].\n\n" + text})
        ask(page, f"When was the lighthouse built, for the {i + 1}th time?")
        assert page.js("window.hacked === undefined"), text
        assert not root(page, "w.querySelector('article:last-of-type .problem')"), text
    assert root(page, HARMLESS) == []
    page.open(world.site.origin + "/guide?hostile")
    until(page, "w.querySelectorAll('article').length >= 25")
    assert root(page, HARMLESS) == [] and page.js("window.hacked === undefined")
    clean(page, world)


def test_a_key_of_another_origin_is_told_in_words(browser, page, world):
    other = world.make_key(["chat"], origins=["https://elsewhere.example"])["key"]
    url = world.site.page("/other", attributes=f'data-key="{other}"')
    browser.open(url)
    browser.wait_js("document.querySelector('footnote-chat')")
    page.click(W + "#open")
    ask(page, Q_BUILT)
    assert "origin" in page.text(W + ".problem")


def test_the_first_words_are_seen_at_once(page, world):
    """From the first bytes of a stream to the frame in which they stand on the page: the best of five, since the machine may be busy."""
    page.click(W + "#open")
    page.js("""window.times = []; window.fetch = async u => { if (!u.includes('/stream')) return new Response('{}', {status: 404});
        const text = new TextEncoder(); return new Response(new ReadableStream({ start(c) { setTimeout(() => {
            const at = performance.now(), w = document.querySelector('footnote-chat').shadowRoot, seen = () => {
              if (w.querySelector('article:last-of-type .text').innerText.includes('Quickly')) { times.push(performance.now() - at); c.close(); } else requestAnimationFrame(seen); };
            c.enqueue(text.encode('event: delta\\ndata: {"text": "Quickly"}\\n\\n')); requestAnimationFrame(seen); }, 50); } })); }""")
    for i in range(5):
        ask(page, f"Question {i}?")
        page.js("document.querySelector('footnote-chat').shadowRoot.querySelector('#question').value = ''")
    assert min(page.js("times")) <= 50, page.js("times")
