"""The page at / in a real browser: ask, see the answer, open the source. Text of documents is text, whatever it looks like."""
import shutil

import pytest

from corpus_kit import Q_BUILT, Q_NOTHING
from suite import SANITIZED, Suite, wait_for

pytestmark = [pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
              pytest.mark.skipif(SANITIZED, reason="the page is the same in every build"), pytest.mark.limit(90)]
EVIL = ("# Trap <script>window.hacked = 1</script>\n\nThe frobnicator is set to <img src=x onerror=\"window.hacked=1\"> seven "
        "<b>notches</b> of the frobnicator dial [link](javascript:window.hacked=1).\n")


@pytest.fixture
def page(browser, plain):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(plain.url + "/")
    browser.js("localStorage.clear()")  # a browser that was never here
    browser.open(plain.url + "/?fresh")
    return browser


def ask(page, question):
    n = page.js("document.querySelectorAll('article').length")
    page.type("#question", question)
    page.click("#go")
    page.wait_js(f"document.querySelectorAll('article').length == {n + 1}")
    page.wait_js("document.querySelector('article:last-of-type .facts').innerText.length > 0")


def test_a_question_is_asked_its_answer_and_the_cited_source_are_read(page, plain):
    ask(page, Q_BUILT)
    assert "Ingrid Solheim" in page.text("article:last-of-type .text")
    assert page.text("article:last-of-type .cite") == "1"
    page.click("article:last-of-type .cite")
    page.wait_js("document.querySelector('#source').open && document.querySelector('#source mark')")
    # the passage is shown in its surroundings, with the quoted bytes marked
    page.wait_js("document.querySelector('#source-text').innerText.includes('wooden beacon')")
    assert "Ingrid Solheim" in page.text("#source mark")
    assert "The lighthouse of Varnholm" in page.text("#source-title") and "bytes " in page.text("#source-facts")
    page.click("#source [data-close]")
    page.wait_js("!document.querySelector('#source').open")
    assert page.errors == []
    assert {u.split("/")[2] for u in page.requests if u.startswith("http")} == {plain.url[7:]}  # nothing from elsewhere


def test_a_reader_without_a_key_opens_the_cited_passage_too(browser):
    with Suite(auth="on") as s:
        admin = s.make_key(["ingest"])["key"]
        s.ingest("# Ferry\n\nThe first words are far away. " + "Filler. " * 300 + "\n\n## Levers\n\nMind the gap. The turquoise lever releases the anchor.\n\n"
                 "Keep dry.\n", "ferry", key=admin)
        browser.errors.clear()
        browser.open(s.url + "/")
        ask(browser, "What does the turquoise lever release?")
        browser.click("article:last-of-type .cite")
        browser.wait_js("document.querySelector('#source-text').innerText.includes('Keep dry')")
        assert "releases the anchor" in browser.text("#source mark") and "Mind the gap" in browser.text("#source-text")
        assert "far away" not in browser.text("#source-text") and browser.errors == []


def test_why_an_answer_is_as_it_is_can_be_opened(page, plain):
    ask(page, Q_BUILT)
    page.click("article:last-of-type .why summary")
    page.wait_js("document.querySelectorAll('article:last-of-type .why dt').length >= 6")
    told = page.text("article:last-of-type .why")
    assert "The lighthouse of Varnholm" in told and "cited" in told and "search" in told and "builtin-ngram-v2" in told
    page.js("conversation = null")  # what stands alone comes from the cache
    ask(page, Q_BUILT)
    page.js("document.querySelector('article:last-of-type .why').open = true")
    page.wait_js("(w => w.textContent.includes('copied from') || (w.textContent.includes('not saved yet') && (w.open = !w.open),"
                 " false))(document.querySelector('article:last-of-type .why'))")
    assert [e for e in page.errors if "404" not in e] == []


def test_what_was_asked_is_there_again_after_a_reload(page, plain):
    ask(page, Q_BUILT)
    page.open(plain.url + "/?again")
    page.wait_js("document.querySelectorAll('article').length == 1 && document.querySelectorAll('article .cite').length == 1")
    assert Q_BUILT in page.text("article") and "Ingrid Solheim" in page.text("article")
    assert page.errors == []


def test_a_question_about_nothing_says_so_and_has_no_source(page):
    ask(page, Q_NOTHING)
    assert "not answered by the documents" in page.text("article:last-of-type .facts")
    assert page.js("document.querySelectorAll('article:last-of-type .cite').length") == 0
    assert page.errors == []


def test_markup_in_a_document_is_shown_as_text_and_never_run(page, plain):
    d = plain.ingest(EVIL, "evil", title="Trap <img src=x onerror=window.hacked=1>", content_type="text/plain")  # of a page its tags would be gone
    try:
        ask(page, "To how many notches of the dial is the frobnicator set?")
        page.click("article:last-of-type .cite")
        page.wait_js("document.querySelector('#source').open")
        page.wait_js("document.querySelector('#source-text').innerText.includes('onerror')")
        assert "<img src=x onerror" in page.text("#source-text") and "<img" in page.text("#source-title")
        assert "onerror" in page.text("article:last-of-type .text")
        assert page.js("document.querySelectorAll('article img, article b.x, #source img, #source-text script').length") == 0
        assert page.js("document.querySelectorAll('a[href^=\"javascript\"]').length") == 0
        assert page.js("window.hacked === undefined") and page.dialogs == [] and page.errors == []
    finally:
        plain.request("DELETE", f"/api/v1/documents/{d['document_id']}")


def test_the_page_allows_only_its_own_script_and_no_frame(plain):
    a, b = plain.request("GET", "/"), plain.request("GET", "/")
    policy = a.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert f'nonce="{nonce}"' in a.text and nonce not in b.text
    assert a.headers["Content-Type"] == "text/html; charset=utf-8"


def test_an_error_is_told_in_words(page):
    page.js("session = 'not-a-uuid'")
    page.type("#question", "Does this fail?")
    page.click("#go")
    page.wait_js("document.querySelector('article:last-of-type .problem')")
    assert "session_id" in page.text("article:last-of-type .problem").lower()


def test_documents_are_listed_and_added_on_the_page(page, plain):
    page.click("#library")
    page.wait_js("document.querySelector('#docs').open && document.querySelectorAll('#files li').length >= 3")
    assert "The lighthouse of Varnholm" in page.text("#files")
    page.js("""upload([new File(['# Quill\\n\\nThe quill of the page is violet.\\n'], 'quill.md', {type: 'text/markdown'})])""")
    page.wait_js("document.querySelector('#files').innerText.includes('Quill')")
    wait_for("it is found", lambda: [h for h in plain.search("quill violet") if h["external_id"] == "quill.md"], 5)
    plain.request("DELETE", "/api/v1/documents/quill.md")
    assert page.errors == []


def test_a_question_that_failed_stays_in_the_box(page, plain):
    page.js("window.fetch = () => Promise.reject(new TypeError('down'))")
    page.type("#question", "What was it again?")
    page.click("#go")
    page.wait_js("document.querySelector('article:last-of-type .problem')")
    assert page.js("document.querySelector('#question').value") == "What was it again?"
    page.open(plain.url + "/?fresh")


def test_a_follow_up_needs_nothing_but_to_be_asked(page, plain):
    assert page.js("document.querySelector('#talk').hidden")  # nothing to follow on from yet
    page.js("window.sent = []; (f => { window.fetch = (u, o) => { if (o && o.body) sent.push(JSON.parse(o.body)); return f(u, o); }; })(window.fetch)")
    ask(page, Q_BUILT)
    assert page.text("#anew") == "New conversation"
    ask(page, "And who was it named after?")
    ask(page, "When was that built?")
    assert "Ingrid Solheim" in page.text("article:last-of-type .text")
    session = page.js("session")
    items = plain.messages(session, 6)
    assert len({m["conversation_id"] for m in items}) == 1
    page.click("#anew")
    page.wait_js("document.querySelector('#talk').hidden && document.querySelectorAll('.begin').length == 1")
    ask(page, "When was that built?")
    sent = page.js("sent")
    assert [s.get("conversation_id") for s in sent] == [None, items[0]["conversation_id"], items[0]["conversation_id"], None]
    assert [s.get("new_conversation") for s in sent] == [None, None, None, True]
    items = plain.messages(session, 8)
    assert len({m["conversation_id"] for m in items}) == 2 and len(items) == 8
    page.open(plain.url + "/?again")  # the last conversation goes on, and where it began can be seen
    page.wait_js("document.querySelectorAll('article').length == 4 && document.querySelectorAll('.begin').length == 1")
    ask(page, "Who built the lighthouse of Varnholm?")
    assert [m["conversation_id"] for m in plain.messages(session, 10)][:4] == [items[0]["conversation_id"]] * 4
    assert page.errors == []


def test_a_conversation_that_is_gone_is_begun_anew(page, plain):
    ask(page, Q_BUILT)
    gone = page.js("conversation")
    assert plain.request("DELETE", f"/api/v1/conversations/{gone}", session=page.js("session")).status_code == 204
    ask(page, Q_BUILT)
    assert "Ingrid Solheim" in page.text("article:last-of-type .text") and page.js("conversation") != gone
    page.errors.clear()  # the browser notes the 404


def test_a_selected_text_is_shown_as_what_it_is(page, plain):
    selected = "Kites <img src=x onerror=\"window.hacked=1\"> fly because the wind pushes against them. They need a string."
    r = plain.ask("Explain this in simple words", page.js("session"), path="/api/v1/chat/selection", selected_text=selected, chapter="Toys")
    assert r.json()["sources"][0]["kind"] == "selection"
    page.open(plain.url + "/?selected")
    page.wait_js("document.querySelectorAll('article .cite').length > 0")
    assert page.text("article .selected") == selected and "The selected text › Toys" in page.text("article .sources")
    page.click("article .cite")
    page.wait_js("document.querySelector('#source').open")
    assert "no document has it" in page.text("#source-facts") and "bytes" not in page.text("#source-facts")
    ask_more = "why?"
    page.click("#source [data-close]")
    ask(page, ask_more)  # the selection is known to what follows
    assert "The selected text" in page.text("article:last-of-type .sources")
    assert page.js("window.hacked === undefined") and page.errors == []


def test_words_of_a_source_are_selected_and_asked_about(page, plain):
    ask(page, Q_BUILT)
    page.click("article:last-of-type .cite")
    page.wait_js("document.querySelector('#source-text').innerText.includes('wooden beacon')")  # the surroundings are there
    page.js("getSelection().selectAllChildren(document.querySelector('#source mark'))")
    selected = page.js("getSelection().toString().trim()")
    page.wait_js("!document.querySelector('#pick').hidden")
    page.click("#pick")
    page.wait_js("!document.querySelector('#source').open && !document.querySelector('#about').hidden")
    assert page.text("#about-text") == selected and page.js("document.querySelector('#pick').hidden")
    ask(page, "Explain this in simple words")
    assert page.text("article:last-of-type .selected") == selected and page.js("document.querySelector('#about').hidden")
    assert "The lighthouse of Varnholm" in page.text("article:last-of-type .sources")
    said = page.js("document.querySelector('article:last-of-type .text').innerText.length")
    assert said > 10 and "not answered" not in page.text("article:last-of-type .facts")
    page.js("getSelection().selectAllChildren(document.querySelector('article:last-of-type .text'))")
    page.wait_js("!document.querySelector('#pick').hidden")
    page.click("#pick")
    page.wait_js("!document.querySelector('#about').hidden")
    page.click("#about-no")
    page.wait_js("document.querySelector('#about').hidden")
    assert page.errors == []
