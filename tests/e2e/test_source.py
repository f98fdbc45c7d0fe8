"""GET /s/{citation}: a source without a page of its own opens in its document, for whoever the answer was given to."""
import hashlib
import hmac
import html
import re
import shutil
import time
import uuid

import pytest

from suite import ADMIN_KEY, SANITIZED, Suite, new_session

LONG = ("# Ferry\n\n## Boats\n\nThe far end: heliotrope.\n\n" + "".join(f"Line {i} of the ferry's manual, größer & länger.\n" for i in range(2000)) +
        "\n## Levers\n\nMind the gap. The turquoise lever releases the anchor of the ferry. Keep dry.\n\n" +
        "".join(f"Line {i} behind the levers, größer & länger.\n" for i in range(2000)) + "\nThe last words: carmine.\n")
ASK = "What does the turquoise lever release?"
EVIL = ("The frobnicator <script>window.hacked = 1</script> is set to <img src=x onerror=\"window.hacked=1\"> seven notches &amp; \"more\" of 'it' @QUOTED@ @NONCE@.\n")


@pytest.fixture(scope="module")
def suite():
    with Suite(auth="on") as s:
        s.key = s.make_key(["chat", "ingest", "admin"])["key"]
        s.long = s.ingest(LONG, "long", key=s.key)["document_id"]
        yield s
        assert not s.down()


@pytest.fixture(scope="module")
def browser():
    if not shutil.which("chromium") or SANITIZED:
        pytest.skip("a page is the same in every build")
    from browser_kit import Browser
    with Browser() as b:
        yield b


def cited(suite, question=ASK, session=None, **kw):
    a = suite.answered(question, session or new_session(), **kw)
    assert a["sources"], a
    return a["sources"][0]


def get(suite, link, **kw):
    return suite.request("GET", link.split("#")[0], **kw)


def shown(r):
    """The document's text on the page, and the marked part of it."""
    box = re.search(r'<div class="text">(.*)</div>\s*<p class="more below">', r.text, re.S).group(1)
    plain = lambda s: html.unescape(re.sub(r"<[^>]*>", "", s))
    return plain(box), plain(re.search(r'<mark id="quote">(.*?)</mark>', box, re.S).group(1))


def more(r, where):
    state = re.search(r'<body class="([^"]*)">', r.text).group(1).split()
    link = html.unescape(re.search(rf'class="more {where}"><a rel="nofollow" href="([^"]*)"', r.text).group(1))
    return link if "has-" + where in state else None


def proof(session, citation, kind, until):
    key = hashlib.sha256(str(uuid.UUID(session)).encode()).digest()
    data = f"footnote viewer {kind} {until:x} ".encode() + uuid.UUID(citation).bytes
    return f"{kind}{until:x}-{hmac.new(key, data, hashlib.sha256).hexdigest()[:32]}"


def test_a_source_without_a_page_links_to_its_place_in_the_document(suite):
    s = cited(suite, key=suite.key)
    assert re.fullmatch(rf"/s/{s['id']}\?t=d[0-9a-f]+-[0-9a-f]{{32}}#quote", s["link"])
    r = get(suite, s["link"])
    assert r.status_code == 200 and r.headers["Content-Type"] == "text/html; charset=utf-8"
    text, mark = shown(r)
    assert mark == s["content_excerpt"] and text in LONG and "releases the anchor" in mark
    assert "Ferry" in re.search("<title>(.*)</title>", r.text).group(1) and "Levers" in r.text
    assert f"Bytes {s['start']} to {s['end']} of {len(LONG.encode())}" in r.text
    policy = r.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy and "connect-src" not in policy and "frame-ancestors 'none'" in policy
    assert "<script" not in r.text and r.headers["Referrer-Policy"] == "no-referrer" and r.headers["X-Robots-Tag"] == "noindex"
    assert "no-store" in r.headers["Cache-Control"]


def test_a_document_with_a_page_of_its_own_keeps_its_link(suite):
    suite.ingest("# Pool\n\nThe violet valve fills the pool.\n", "pool", key=suite.key, url="https://d.example/pool")
    assert cited(suite, "What does the violet valve fill?", key=suite.key)["link"] == "https://d.example/pool"


def test_streams_history_and_the_citation_itself_have_the_link_too(suite):
    session = new_session()
    _, events = suite.stream(ASK, session, key=suite.key)
    link = [e for e in events if e.kind == "done"][-1].data["sources"][0]["link"]
    assert get(suite, link).status_code == 200
    message = suite.request("GET", "/api/v1/chat/history", key=suite.key, session=session).json()["items"][-1]
    assert message["sources"][0]["link"] == link
    citation = suite.request("GET", f"/api/v1/citations/{message['sources'][0]['id']}", key=suite.key, session=session).json()
    assert citation["source"]["link"] == link
    again = suite.answered(ASK, session, key=suite.key)  # from the cache
    assert get(suite, again["sources"][0]["link"]).status_code == 200


def test_a_long_document_is_read_window_by_window(suite):
    link = cited(suite, key=suite.key)["link"].split("#")[0]
    base, r = link.split("?")[0], get(suite, link)
    text, mark = shown(r)
    assert 8000 < len(text.encode()) < 20000 and "heliotrope" not in text and "carmine" not in text
    while (up := more(r, "above")) is not None:
        assert up.endswith("#up")
        r = get(suite, base + up)
        wider, _ = shown(r)
        assert wider in LONG and len(wider.encode()) <= 262144 + 8 and 'id="up"' in r.text
        # what was the first line stands where the browser scrolls to
        assert html.unescape(re.search(r'<span id="up"></span>(.{60})', r.text, re.S).group(1)).startswith(text[:20])
        text = wider
    assert text.startswith("# Ferry") and "heliotrope" in text and mark in text
    while (down := more(r, "below")) is not None:
        r = get(suite, base + down)
        assert shown(r)[0] in LONG
    assert shown(r)[0].endswith("carmine.\n")
    r = get(suite, f"{link}&from=0&till=1000")  # the quoted words are elsewhere
    assert "away" in re.search(r'<body class="([^"]*)">', r.text).group(1) and shown(r)[0] == LONG[:len(shown(r)[0])] and shown(r)[1] == ""
    for bad in ("from=5", "from=x&till=y", "from=9&till=9", "from=-1&till=5", "from=99999999999999&till=99999999999999999"):
        assert shown(get(suite, f"{link}&{bad}"))[1] == mark  # the usual window
    beyond = get(suite, f"{link}&from=2000000000&till=2000000010")
    assert beyond.status_code == 200 and shown(beyond)[0] == ""


def test_a_window_never_cuts_a_character(suite):
    link = cited(suite, key=suite.key)["link"].split("#")[0]
    at = LONG.encode().index("größer".encode()) + 3  # inside of the ö
    assert LONG.encode()[at] & 0xC0 == 0x80
    for a, b in ((at, at + 40), (at - 20, at), (at, at + 1)):
        text, _ = shown(get(suite, f"{link}&from={a}&till={b}"))
        assert "\ufffd" not in text and text in LONG and len(text.encode()) >= b - a - 3


def test_readers_without_a_key_see_what_stands_around_it_and_no_more(suite):
    session = new_session()
    s = cited(suite, session=session)
    assert "?t=c" in s["link"]
    r = get(suite, s["link"])
    text, mark = shown(r)
    assert mark == s["content_excerpt"] and "Mind the gap" in text and len(text.encode()) < 3000 and more(r, "above") is more(r, "below") is None
    citation = suite.request("GET", f"/api/v1/citations/{s['id']}", session=session).json()
    assert citation["before"] + s["content_excerpt"] + citation["after"] == text
    assert shown(get(suite, s["link"].split("#")[0] + "&from=0&till=100000"))[0] == text
    # its kind is part of the proof
    assert get(suite, s["link"].replace("?t=c", "?t=d")).status_code == 404


def test_a_cached_answer_has_the_links_of_who_asks(suite):
    for first in (None, suite.key):
        session = new_session()
        for key in (first, suite.key if first is None else None) * 2:
            a = suite.answered(ASK, session, key=key)
            assert f"?t={'d' if key else 'c'}" in a["sources"][0]["link"] and get(suite, a["sources"][0]["link"]).status_code == 200
        assert a["cached"] == "query"


def test_only_the_right_link_opens_it(suite):
    session = new_session()
    s, other = cited(suite, session=session, key=suite.key), cited(suite, key=suite.key)
    good, soon = s["link"].split("#")[0], int(time.time()) + 1000
    assert get(suite, f"/s/{s['id']}?t={proof(session, s['id'], 'd', soon)}").status_code == 200  # how a proof is made
    bad = {"none": f"/s/{s['id']}", "empty": f"/s/{s['id']}?t=", "of another citation": f"/s/{s['id']}?{other['link'].split('#')[0].split('?')[1]}",
           "of another session": f"/s/{s['id']}?t={proof(new_session(), s['id'], 'd', soon)}", "a digit less": good[:-1], "a digit more": good + "0",
           "another digit": good[:-1] + ("0" if good[-1] != "0" else "1"), "old": f"/s/{s['id']}?t={proof(session, s['id'], 'd', int(time.time()) - 1)}",
           "longer": good.replace("?t=d", "?t=df"), "no such citation": f"/s/{uuid.uuid4()}?{good.split('?')[1]}", "no id": f"/s/x?{good.split('?')[1]}",
           "capitals": good.upper().replace("/S/", "/s/").replace("?T=D", "?t=d") if re.search("[a-f]", good.split("-")[-1]) else f"/s/{s['id']}"}
    for why, path in bad.items():
        r = suite.request("GET", path)
        assert r.status_code == 404 and "No such source" in r.text and "turquoise" not in r.text, why
    # neither a key nor a session make up for it
    assert suite.request("GET", f"/s/{s['id']}", key=ADMIN_KEY, session=session).status_code == 404


def test_markup_of_a_document_is_text(suite):
    suite.ingest(EVIL, "evil", key=suite.key, content_type="text/plain", title="Trap <img src=x onerror=window.hacked=1> \"q\"")
    s = cited(suite, "To how many notches is the frobnicator set?", key=suite.key)
    r = get(suite, s["link"])
    text, _ = shown(r)
    assert text == EVIL.rstrip("\n") or text == EVIL
    assert "<script" not in r.text and "<img" not in r.text and r.text.count("@QUOTED@") == 1


def test_history_that_was_imported_says_that_it_was_cited_before_the_move(suite):
    """Its citations have no bytes of a document here: nowhere are they bytes 0 to 0."""
    session = new_session()
    s = cited(suite, session=session, key=suite.key)
    assert suite.request("GET", "/api/v1/chat/history", key=suite.key, session=session).json()["items"][-1]["sources"][0]["id"] == s["id"]
    suite.sql("UPDATE citations SET document_id = gen_random_uuid(), chunk_id = gen_random_uuid(), start_byte = 0, end_byte = 0 WHERE id = %s", (s["id"],))
    kept = suite.request("GET", "/api/v1/chat/history", key=suite.key, session=session).json()["items"][-1]["sources"][0]
    assert (kept["start"], kept["end"], kept["kind"], kept["content_excerpt"]) == (None, None, "document", s["content_excerpt"])
    c = suite.request("GET", f"/api/v1/citations/{s['id']}", key=suite.key, session=session).json()
    assert (c["source"]["start"], c["source"]["end"], c["state"], c["start"], c["end"], c["stands"]) == (None, None, "gone", None, None, False)
    r = get(suite, kept["link"])
    assert r.status_code == 200 and 'class="imported"' in r.text and "Bytes" not in shown(r)[0] and shown(r)[1] == s["content_excerpt"]
    said = suite.cli("history", "--session", session, env={"FOOTNOTE_KEY": suite.key}).stdout
    assert "(cited before the move)" in said and "bytes 0" not in said and s["content_excerpt"][:20] in said


def test_what_moved_is_shown_at_its_new_place_and_what_went_as_it_was_quoted(suite):
    fact = "The ochre lever lifts the inner gate of the ferry, slowly."
    suite.ingest(f"# Gate\n\n{fact}\n", "gate", key=suite.key)
    s = cited(suite, "What does the ochre lever lift?", key=suite.key)
    assert fact in s["content_excerpt"]
    suite.ingest(f"# Gate\n\nA new paragraph stands above.\n\n{fact}\n", "gate", key=suite.key)
    r = get(suite, s["link"])
    text, mark = shown(r)
    assert 'class="moved' in r.text and mark == s["content_excerpt"] and "new paragraph" in text
    suite.ingest("# Gate\n\nThe secret of the new version.\n", "gate", key=suite.key)
    r = get(suite, s["link"])
    assert 'class="gone"' in r.text and shown(r) == (s["content_excerpt"], s["content_excerpt"]) and "secret" not in r.text
    d = suite.request("GET", "/api/v1/documents/gate?collection=docs", key=suite.key).json()["document_id"]
    suite.request("DELETE", f"/api/v1/documents/{d}", key=suite.key)
    assert 'class="gone"' in get(suite, s["link"]).text


def test_the_link_ends_with_its_session_and_with_its_collection(suite):
    session = new_session()
    s = cited(suite, session=session)
    assert get(suite, s["link"]).status_code == 200
    suite.request("DELETE", f"/api/v1/sessions/{session}", session=session)
    assert get(suite, s["link"]).status_code == 404
    # an answer of a collection that is not open (any more): the link of a reader without a key is nothing
    suite.ingest("The carmine lever sounds the horn of the ferry.", "horn", key=suite.key, collection="inner")
    session = new_session()
    s = cited(suite, "What does the carmine lever sound?", session=session, key=suite.key, collection="inner")
    assert get(suite, s["link"]).status_code == 200
    assert get(suite, f"/s/{s['id']}?t={proof(session, s['id'], 'c', int(time.time()) + 1000)}").status_code == 404


def test_a_browser_scrolls_to_the_words_on_any_screen(suite, browser):
    link = cited(suite, key=suite.key)["link"]
    visible = ("(r => r.top >= 0 && r.bottom <= innerHeight && r.width > 0)(document.getElementById('quote').getBoundingClientRect())")
    for width in (320, 1000):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=640, deviceScaleFactor=1, mobile=width < 500)
        for scheme, lightness in (("light", "> 600"), ("dark", "< 200")):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.errors.clear()
            browser.requests.clear()
            browser.open("about:blank")
            browser.open(suite.url + link)
            browser.wait_js(visible)
            assert "releases the anchor" in browser.text("mark")
            assert browser.js("document.documentElement.scrollWidth <= innerWidth"), width
            assert browser.js(f"getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) {lightness}")
            assert browser.errors == [] and {u.split("/")[2] for u in browser.requests if u.startswith("http")} == {suite.url[7:]}
    browser.click(".more.above a")
    browser.wait_js("location.search.includes('edge=') && document.readyState == 'complete'")
    browser.wait_js("(r => r.top >= 0 && r.top < innerHeight)(document.getElementById('up').getBoundingClientRect())")
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert browser.errors == []


def test_the_page_at_root_leads_there(suite, browser):
    browser.errors.clear()
    browser.open(suite.url + "/?source")
    browser.type("#question", ASK)
    browser.click("#go")
    browser.wait_js("document.querySelector('article:last-of-type .facts')?.innerText.length > 0")  # the answer is whole
    browser.click("article:last-of-type .cite")
    browser.wait_js("document.querySelector('#source').open && document.querySelector('#source-facts a')")
    assert browser.text("#source-facts a") == "Open the document" and "/s/" in browser.js("document.querySelector('#source-facts a').href")
    assert browser.errors == []
