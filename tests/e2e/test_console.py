"""The console at /console in a real browser: each panel does what it says, strangers' texts are texts, and it says what is broken and what to do."""
import base64
import json
import os
import re
import shutil

import pytest

from console_kit import NOTHING, PANELS, Balancer, answer, clean, console_suite, filled, fresh, show, sign_in
from corpus_kit import add_corpus
from model_change_kit import BUILTIN, STUB, Changing
from suite import ADMIN_KEY, LOOPBACK, SANITIZED, TOP, Suite, free_port, wait_for
from widget_kit import AWAY, HOSTILE, SINKS

pytestmark = [pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
              pytest.mark.skipif(SANITIZED, reason="the page is the same in every build"), pytest.mark.limit(120)]
ROWS = "document.querySelectorAll('#%s tbody tr')"


@pytest.fixture(scope="module")
def world():
    with console_suite() as s:
        yield s
        assert not s.down()


@pytest.fixture
def page(browser, world):
    browser.size(1000, 900)
    browser.media(prefers_color_scheme="light")
    sign_in(browser, world.url)
    return browser


def row(page, list_id, text):
    """The selector of the row that holds the text."""
    n = page.js(f"[...{ROWS % list_id}].findIndex(r => r.innerText.includes({json.dumps(text)}))")
    assert n >= 0, (text, page.text("#" + list_id))
    return f"#{list_id} tbody tr:nth-child({n + 1})"


def press(page, list_id, text, words):
    """The button with these words in the row that holds the text, once nothing is being read that would draw it anew."""
    page.wait_js("underWay == 0")
    button = f"[...{ROWS % list_id}].find(r => r.innerText.includes({json.dumps(text)})).querySelectorAll('button')"
    page.js(f"[...{button}].find(b => b.textContent == {json.dumps(words)}).focus()")
    page.key("Enter")


def choose(page, *paths):
    node = page.call("DOM.querySelector", nodeId=page.call("DOM.getDocument")["root"]["nodeId"], selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=node, files=[str(p) for p in paths])


# ---- docs/console.md
# An hour of a gateway as it might be: a picture of one that was just started would show nothing.
AN_HOUR = """(g => { const wave = (i, n, size) => size * (1 + Math.sin(i / n) * .4 + ((i * 7919) % 13) / 26);
    g.points = Array.from({length: 360}, (_, i) => ({at: new Date(g.at - (359 - i) * 10000).toISOString(), requests: Math.round(wave(i, 40, 60)), failed: i > 330 && i < 344 ? i % 9 : 0, refused: i % 37 ? 0 : 3,
      questions: Math.round(wave(i, 40, 30)), cached: Math.round(wave(i, 55, 11)), p50_ms: wave(i, 30, 420), p95_ms: wave(i, 24, 1500), added_p95_ms: wave(i, 20, 30), cost_dollars: wave(i, 40, .0021),
      saved_dollars: wave(i, 55, .0009), outstanding: Math.round(wave(i, 12, 14)), queued: i > 330 && i < 344 ? 6 : 0, pool_active: Math.round(wave(i, 15, 3)), pool_max: 30, outbox: i > 336 && i < 342 ? 4 : 0}));
    drawOverview(); })(gateways.get(shown))"""


@pytest.mark.parametrize("panel, height", [("overview", 1150), ("errors", 620)])
def test_the_pictures_of_the_documents_can_be_made(page, panel, height):
    """FOOTNOTE_WRITE_DOCS=1 writes them."""
    page.size(1000, height)
    filled(page, panel)
    if panel == "overview":
        page.js("clearTimeout(timer)")
        page.js(AN_HOUR)
    page.js("scrollTo(0, 0)")
    picture = base64.b64decode(page.call("Page.captureScreenshot", format="webp", quality=55)["data"])
    path = os.path.join(TOP, "docs", f"console-{panel}.webp")
    if os.environ.get("FOOTNOTE_WRITE_DOCS"):
        with open(path, "wb") as f:
            f.write(picture)
    with open(os.path.join(TOP, "docs", "console.md"), encoding="utf-8") as f:
        assert os.path.basename(path) in f.read()
    assert os.path.getsize(path) < 90000 and picture[:4] == b"RIFF"


# ---- the key
def test_the_key_is_asked_for_kept_in_this_tab_only_and_stands_in_no_address(browser, world):
    fresh(browser, world.url)
    browser.wait_js("!document.querySelector('#sign-in').hidden && document.activeElement.id == 'key'")
    assert browser.errors == [] and not [u for u in browser.requests if "/api/" in u]  # nothing is tried without one
    browser.type("#key", "fn_wrong")
    browser.key("Enter")
    browser.wait_js("document.querySelector('#sign-in [role=alert]').innerText.includes('not valid')")
    browser.type("#key", ADMIN_KEY)
    browser.key("Enter")
    browser.wait_js("!document.querySelector('#console').hidden")
    assert browser.js("[localStorage.length, document.cookie, sessionStorage.length, document.querySelector('#key').value].join()") == "0,,1,"
    assert not [u for u in browser.requests if "fn_" in u]
    browser.open(world.url + "/console?reload")
    browser.wait_js("!document.querySelector('#console').hidden")
    browser.click("#sign-out")
    browser.wait_js("!document.querySelector('#sign-in').hidden")
    assert browser.js("sessionStorage.length") == 0


def test_a_key_without_the_scope_admin_is_told_so(browser, world):
    chat = world.make_key(["chat"])["key"]
    wait_for("the key works", lambda: world.request("GET", "/api/v1/documents", key=chat).status_code == 200)
    fresh(browser, world.url)
    browser.type("#key", chat)
    browser.click("#sign-in .go")
    browser.wait_js("document.querySelector('#sign-in [role=alert]')?.innerText.includes('scope admin')")


def test_an_admin_of_another_tenant_sees_what_is_its_own(browser, world):
    key = world.make_key(["admin", "chat", "ingest"], tenant="elsewhere")["key"]
    wait_for("the key works", lambda: world.request("GET", "/api/v1/keys", key=key).status_code == 200)
    sign_in(browser, world.url, key)
    browser.wait_js("document.querySelector('#pool').innerText.includes('tenant')")
    assert "lighthouse" not in browser.text("body") and browser.js(ROWS % "services" + ".length") >= 5
    show(browser, "errors")
    browser.wait_js("document.querySelector('#errors-failed').innerText.includes('Nothing failed')")


# ---- overview
def test_services_are_shown_with_their_credit_and_the_last_hour_in_charts(page, world):
    filled(page, "overview")
    text = page.text(row(page, "services", "embed"))
    assert "ok" in text and re.search(r"\d+ of 256", text), text
    assert "30" in page.text("#pool") and "idle" in page.text("#pool")
    gateway = world.request("GET", "/api/v1/figures", key=ADMIN_KEY).json()["gateway"]
    assert gateway["id"][:6] in page.text("#gateway-note") and gateway["host"] in page.text("#gateway-note")
    page.wait_js("[...document.querySelectorAll('#charts svg[role=img]')].every(s => !s.getAttribute('aria-label').includes('no figures yet'))", 15)
    page.wait_js("document.querySelector('#charts figure:nth-child(4) svg[role=img]').getAttribute('aria-label').startsWith('Money for questions, last hour: cost $0.')")
    assert "2026" in page.text("#usage") or re.search(r"\d{4}-\d\d-\d\d", page.text("#usage"))
    clean(page, world.url)


def test_what_is_broken_is_said_with_what_to_do_and_goes_when_it_is_mended(page, world):
    world.stop_service("retriever")
    page.wait_js("document.querySelector('#findings').innerText.includes('No retriever searches')", 15)
    told = page.text("#findings")
    assert "make restart SERVICE=retriever" in told and page.text("#state").startswith("down")
    assert "down" in page.text(row(page, "services", "retrieve"))
    world.start("retriever")
    world.wait_ready()
    page.wait_js("!document.querySelector('#findings').innerText.includes('No retriever') && document.querySelector('#state').innerText != 'down'", 15)
    world.expected_exit.discard("retriever")
    world.redis.stop()
    page.wait_js("document.querySelector('#findings').innerText.includes('Redis cannot be reached')", 15)
    world.redis.start()
    page.wait_js("!document.querySelector('#findings').innerText.includes('Redis cannot')", 15)
    assert "failed in the last five minutes: upstream_refused" in page.text("#findings")  # of console_suite()


def test_a_gateway_that_cannot_be_reached_is_said_and_found_again(page, world):
    filled(page, "overview")
    world.stop_service("gateway")
    page.wait_js("document.querySelector('#findings').innerText.includes('The gateway cannot be reached')", 20)
    assert "make status" in page.text("#findings")
    world.start("gateway")
    page.wait_js("!document.querySelector('#findings').innerText.includes('cannot be reached')", 20)
    world.wait_ready()


# ---- documents
def test_documents_are_added_read_indexed_again_and_deleted(page, world, tmp_path):
    filled(page, "documents")
    assert page.js("document.querySelector('#documents-list a').href") == "https://docs.example.org/lighthouse"
    (tmp_path / "quill.md").write_text("# Quill\n\nThe quill of the console is violet.\n")
    choose(page, tmp_path / "quill.md")
    page.wait_js("document.querySelector('#uploads').innerText.includes('searchable: 1')")
    page.wait_js("document.querySelector('#documents-list').innerText.includes('Quill')")
    assert world.search("violet quill", key=ADMIN_KEY)[0]["external_id"] == "quill.md"
    press(page, "documents-list", "quill.md", "Text")
    page.wait_js("document.querySelector('#ask pre')?.innerText.includes('is violet')")
    page.key("Escape")
    page.wait_js("!document.querySelector('#ask').open")
    before = world.sql("SELECT generation FROM documents WHERE external_id = 'quill.md'")[0][0]
    press(page, "documents-list", "quill.md", "Re-index")
    wait_for("it is read again", lambda: world.sql("SELECT generation FROM documents WHERE external_id = 'quill.md'")[0][0] == before + 1)
    page.wait_js("document.querySelectorAll('#uploads p').length == 2 && !document.querySelector('#uploads progress')")
    press(page, "documents-list", "quill.md", "Delete")
    answer(page, yes=False)
    assert world.request("GET", "/api/v1/documents/quill.md", key=ADMIN_KEY).status_code == 200
    press(page, "documents-list", "quill.md", "Delete")
    answer(page)
    page.wait_js("document.querySelector('#said').innerText == 'Deleted: Quill'")
    assert world.request("GET", "/api/v1/documents/quill.md", key=ADMIN_KEY).status_code == 404
    clean(page, world.url)


def test_a_large_upload_shows_how_much_is_sent(page, world, tmp_path):
    filled(page, "documents")
    page.js("""window.seen = []; new MutationObserver(() => { const p = document.querySelector('#uploads progress');
               if (p && p.hasAttribute('value')) seen.push(p.value); }).observe(document.querySelector('#uploads'), {attributes: true, subtree: true, childList: true, characterData: true})""")
    (tmp_path / "long.txt").write_text("".join(f"Line {i} of a long text about rope {i * 7}.\n\n" for i in range(40000)))
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=1500000)
    choose(page, tmp_path / "long.txt")
    page.wait_js("document.querySelector('#uploads').innerText.includes(' sent')")
    page.wait_js("document.querySelector('#uploads').innerText.includes('searchable')", 60)
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    seen = page.js("seen")
    assert any(0 < x < 1 for x in seen), seen
    world.request("DELETE", "/api/v1/documents/long.txt", key=ADMIN_KEY)


def test_a_document_that_cannot_be_read_says_why_and_is_found_by_its_trouble(page, world, tmp_path):
    filled(page, "documents")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    choose(page, tmp_path / "broken.pdf")
    page.wait_js("document.querySelector('#uploads').innerText.includes('could not be read')")
    page.click("#documents-bad")
    page.wait_js(f"{ROWS % 'documents-list'}.length == 1")
    assert "failed" in page.text("#documents-list") and "broken.pdf" in page.text("#documents-list")
    press(page, "documents-list", "broken.pdf", "Re-index")
    page.wait_js("document.querySelector('#trouble').innerText.includes('send it again')")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    choose(page, tmp_path / "picture.png")
    page.wait_js("document.querySelector('#uploads').innerText.includes('not taken') && document.querySelector('#trouble').innerText.includes('picture.png')")
    world.request("DELETE", "/api/v1/documents/broken.pdf", key=ADMIN_KEY)


# ---- collections, without keys
def test_another_model_of_the_vectors_is_watched_switched_back_and_dropped(browser):
    with Changing(rate=20) as s:
        s.add_notes(300)
        browser.size(1000, 900)
        fresh(browser, s.url)
        browser.wait_js("!document.querySelector('#console').hidden && document.querySelector('#sign-out').hidden")  # AUTH=off: nobody is asked
        show(browser, "collections")
        browser.wait_js(f"document.querySelector('#collections-list').innerText.includes('{BUILTIN}')")
        s.give_key()
        wait_for("the second set grows", lambda: s.done() > 2, 30, every=0.05)
        show(browser, "keys")
        show(browser, "collections")
        browser.wait_js(f"document.querySelector('#collections-list progress')?.value > 0 && document.querySelector('#collections-list').innerText.includes('{STUB}')")
        browser.wait_js("document.querySelector('#collections-list').innerText.includes('is kept')", 40)
        press(browser, "collections-list", "notes", "Switch back")
        answer(browser)
        browser.wait_js("document.querySelector('#said').innerText == 'Switched: notes'")
        wait_for("it is the old one again", lambda: s.embedding()["model"]["name"] == BUILTIN)
        press(browser, "collections-list", "notes", "Drop the old vectors")
        answer(browser)
        wait_for("the other set is gone", lambda: s.embedding()["other"] is None or s.embedding()["state"] == "dropping")
        press(browser, "collections-list", "notes", "Delete")
        answer(browser)
        browser.wait_js("document.querySelector('#said').innerText == 'Deleted: notes'")
        clean(browser, s.url)


# ---- search, questions, keys, errors
def test_a_search_shows_the_scores_that_put_each_passage_there(page, world):
    filled(page, "search")
    found = world.search("lighthouse built", key=ADMIN_KEY, explain=True)[0]
    told = page.text("#hits li")
    assert all(f"{found[k]:.3f}" in told for k in ("score", "vector_score", "lexical_score")) and "Ingrid Solheim" in told, told
    assert page.js("document.querySelectorAll('#hits li:first-child meter').length") == 3
    clean(page, world.url)


def test_an_unanswered_question_is_listed_and_searched_for(page, world):
    filled(page, "questions")
    mine = row(page, "questions-list", NOTHING)
    assert "\t3\t" in page.text(mine)
    press(page, "questions-list", NOTHING, "Search for it")
    page.wait_js("!document.querySelector('#search').hidden && document.querySelector('#search-note').innerText.includes('passages')")
    assert page.js("document.querySelector('#search-for').value") == NOTHING


def test_keys_are_made_shown_once_rotated_and_revoked(page, world):
    show(page, "keys")
    page.type("#key-label", "night shift")
    page.type("#key-days", "10")
    page.click("#key-form .go")
    page.wait_js("document.querySelector('#new-key')")
    made = page.js("document.querySelector('#new-key').value")
    wait_for("it works", lambda: world.request("GET", "/api/v1/collections", key=made).status_code == 200)
    answer(page)
    assert page.js("document.body.textContent").count(made) == 0 and not page.js("document.querySelector('#new-key')")
    wait_for("its use is known", lambda: [k for k in world.request("GET", "/api/v1/keys", key=ADMIN_KEY).json()["items"] if k["label"] == "night shift" and k["last_used_on"]], 30)
    show(page, "errors")
    show(page, "keys")
    # the list that stood there before goes on until the new one is there
    page.wait_js("[...document.querySelectorAll('#keys-list tr')].some(r => r.innerText.includes('night shift') && !r.innerText.includes('never'))")
    told = page.text(row(page, "keys-list", "night shift"))
    assert "ends in 10 days" in told and "never" not in told, told
    press(page, "keys-list", "night shift", "Rotate")
    answer(page)
    page.wait_js("document.querySelector('#new-key')")
    new = page.js("document.querySelector('#new-key').value")
    answer(page)
    page.wait_js("document.querySelector('#keys-list').innerText.includes('replaced')")
    wait_for("the new one works", lambda: world.request("GET", "/api/v1/collections", key=new).status_code == 200)
    press(page, "keys-list", "replaced", "Revoke")
    answer(page)
    page.wait_js("document.querySelector('#said').innerText == 'Revoked: night shift' && !document.querySelector('#keys-list').innerText.includes('replaced')")
    wait_for("the old one is refused", lambda: world.request("GET", "/api/v1/collections", key=made).status_code == 401)
    clean(page, world.url)


def test_every_error_that_its_caller_cannot_mend_has_its_advice():
    """transfer_coding is a client's own request, too."""
    with open(os.path.join(TOP, "proto", "err.tbl"), encoding="utf-8") as f:
        codes = {code: int(status) for status, code in re.findall(r'^ERR\(\w+,\s*\d+,\s*(\d+),\s*\w+,\s*"(\w+)"', f.read(), re.M)}
    with open(os.path.join(TOP, "gateway", "web", "console", "advice.js"), encoding="utf-8") as f:
        advice = f.read()
    assert len(codes) > 40 and "overloaded" in codes
    lacks = {c for c, status in codes.items() if (status >= 500 or status in (401, 403, 429)) and not re.search(rf"\b{c}: {{", advice)}
    assert lacks == {"transfer_coding"}


def test_errors_are_listed_with_what_to_do_and_their_request(page, world):
    world.stub.script({"route": "chat", "status": 400})
    assert world.ask("Who built the lighthouse, once more?", key=ADMIN_KEY).status_code == 502
    world.stub.reset()
    filled(page, "errors")
    assert "upstream_refused" in page.text("#errors-failed") and "OPENAI_BASE_URL" in page.text(row(page, "errors-sums", "upstream_refused"))
    last = world.request("GET", "/api/v1/errors", key=ADMIN_KEY).json()["failed"][0]["request_id"]
    assert last in page.text("#errors-failed") and "POST /api/v1/chat/query" in page.text("#errors-failed")
    clean(page, world.url)


def test_with_two_gateways_the_page_says_whose_figures_it_shows(browser):
    hubs = f"tcp://{LOOPBACK}:{free_port()}", f"tcp://{LOOPBACK}:{free_port()}"
    with Suite(auth="on", env={"HUB_ENDPOINTS": ",".join(hubs)}, service_env={"gateway": {"HUB_BIND": hubs[0]}}) as s:
        add_corpus(s, key=ADMIN_KEY)
        port = free_port()
        other = f"http://{LOOPBACK}:{port}"
        s.start("gateway", "gateway.2", {"PORT": str(port), "HUB_BIND": hubs[1]})
        wait_for("the second one is ready", s.services["gateway.2"].ready, 20)
        with Balancer((s.url, other)) as b:
            sign_in(browser, b.url)
            browser.wait_js("document.querySelectorAll('#gateway option').length == 2 && document.querySelector('#gateway-note').innerText.includes('has met 2 gateways')", 20)
            ids = {s.request("GET", "/api/v1/figures", key=ADMIN_KEY).json()["gateway"]["id"],
                   s.http.get(other + "/api/v1/figures", headers={"Authorization": "Bearer " + ADMIN_KEY}).json()["gateway"]["id"]}
            assert set(browser.js("[...document.querySelectorAll('#gateway option')].map(o => o.value)")) == ids
            for one in ids:
                browser.js(f"(g => {{ g.value = '{one}'; g.dispatchEvent(new Event('change')) }})(document.querySelector('#gateway'))")
                browser.wait_js(f"document.querySelector('#gateway-note').innerText.includes('({one[:6]})')")
                browser.wait_js(f"gateways.get('{one}').figures.gateway.id == '{one}' && new Set(gateways.get('{one}').points.map(p => p.at)).size == gateways.get('{one}').points.length")
            clean(browser, b.url)


# ---- strangers' texts
def test_fifty_attacks_in_names_titles_questions_and_labels_are_shown_as_texts(page, world):
    for i, text in enumerate(HOSTILE):
        world.request("POST", "/api/v1/documents", key=ADMIN_KEY, json={"id": f"{i} {text}"[:500].replace("\x01", " "), "title": text[:250].replace("\x01", " "), "text": "Rope. " + text.replace("\x01", " "),
                                                                       "collection": "hostile", "content_type": "text/plain"})
        world.ask("Neutrino " + text[:480], key=ADMIN_KEY, collection="hostile")
        if i < 20:
            world.make_key(["chat"], label=text[:100].replace("\x01", " "))
    wait_for("they are read", lambda: world.request("GET", "/api/v1/collections/hostile", key=ADMIN_KEY).json()["chunks"] >= 50, 30)
    world.make_key(["chat"], label="<img src=x onerror=window.hacked=1>", expires_days=3)
    sign_in(page, world.url)
    filled(page, "overview")
    for panel in PANELS[1:]:
        filled(page, panel)
    show(page, "documents")
    page.wait_js(f"{ROWS % 'documents-list'}.length >= 50")
    page.wait_js("document.querySelector('#documents-list').getAttribute('aria-busy') == 'false'")
    for i in (1, 9, 24, 49):
        press(page, "documents-list", f"{i} {HOSTILE[i][:12]}", "Text")
        page.wait_js("document.querySelector('#ask pre')")
        answer(page)
    show(page, "search")

    def all_found():
        """The panel's list of collections comes anew when it is shown, and takes the choice back."""
        page.js("document.querySelector('#search-in').value = 'hostile'; document.querySelector('#search-most').value = 100; document.querySelector('#search-for').value = 'rope'")
        page.click("#search-form .go")
        page.wait_js("document.querySelector('#hits').getAttribute('aria-busy') == 'false'")
        return page.js("document.querySelectorAll('#hits li').length") >= 50
    wait_for("every document is found", all_found, 20, every=0.5)
    harmless(page)
    assert HOSTILE[1] in page.text("#hits")
    clean(page, world.url)


def harmless(page):
    assert page.js("window.hacked === undefined") and page.dialogs == []
    assert page.js("document.querySelectorAll('script:not([nonce]), iframe, img, object, embed, video, base, template, body link, body style, body form[action]').length") == 0
    assert page.js("[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on')).length") == 0
    assert page.js("[...document.querySelectorAll('a')].every(a => /^(https?|mailto):/.test(a.protocol))")
    assert not [u for u in page.requests if AWAY in u or "evil" in u]


def test_fifty_attacks_in_every_text_of_every_answer_and_in_errors_do_nothing(page, world):
    """Every string of every answer becomes the attack: error texts, codes, routes, hosts, model names, tenants."""
    page.js("""window.attack = ''; window.failing = false; const real = fetch;
               const keep_ = new Set(['at', 'started_at', 'status', 'state', 'next_cursor', 'created_at', 'updated_at', 'expires_at', 'last_at', 'day', 'link', 'url']);
               const spoil = (v, k) => typeof v == 'string' ? (keep_.has(k) ? (k == 'link' || k == 'url' ? 'javascript:window.hacked=1' : v) : attack + ' ' + v.length)
                 : Array.isArray(v) ? v.map(x => spoil(x, k)) : v && typeof v == 'object' ? Object.fromEntries(Object.entries(v).map(([a, b]) => [a, spoil(b, a)])) : v;
               window.fetch = async (...a) => { const r = await real(...a);
                 if (failing) return new Response(JSON.stringify({detail: attack, title: attack, code: attack, request_id: attack}), {status: 503, headers: {'Retry-After': '3'}});
                 return attack && (r.headers.get('content-type') || '').includes('json') ? new Response(JSON.stringify(spoil(await r.json())), {status: r.status}) : r; }""")
    for i, text in enumerate(HOSTILE):
        page.js(f"""(async () => {{ attack = {json.dumps(text)}; failing = false; gateways.clear(); shown = ''; slow.at = 0;
                     const until = async f => {{ for (let i = 0; i < 400 && !f(); i++) await new Promise(d => setTimeout(d, 5)); }};
                     for (const p of PANELS) {{ await p.show(); }}
                     document.querySelector('#search-for').value = 'lighthouse'; await attempt(search);
                     failing = true; await attempt(drawKeys); }})()""")
        assert text.replace("\t", " ")[:8].strip() in page.js("document.querySelector('#trouble').textContent").replace("\t", " ")
        page.js("failing = false; trouble(new Trouble(attack, {})); say(attack)")
        harmless(page)
    page.js("window.fetch = real")
    assert page.dialogs == [] and {u.split("/")[2] for u in page.requests if u.startswith("http")} <= {world.url[7:]}


def test_the_page_has_a_strict_policy_and_nothing_that_parses_text(world):
    r = world.request("GET", "/console")
    policy = r.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy and "require-trusted-types-for 'script'" in policy
    assert r.headers["Referrer-Policy"] == "no-referrer"
    assert [w for w in (*SINKS, "localStorage.setItem", "document.cookie", "style=") if w in r.text] == []
    assert re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", r.text) == [] and "@file" not in r.text and "@NONCE@" not in r.text and "@AUTH@" not in r.text


# ---- for everybody
@pytest.mark.parametrize("width", [1280, 640, 320])
@pytest.mark.parametrize("scheme, dir", [("light", "ltr"), ("dark", "rtl")])
def test_every_panel_fits_its_width_in_both_directions_and_colours(browser, world, width, scheme, dir):
    browser.size(width, 800)
    browser.media(prefers_color_scheme=scheme)
    sign_in(browser, world.url)
    browser.js(f"document.documentElement.dir = {json.dumps(dir)}")
    for panel in PANELS:
        filled(browser, panel)
        assert browser.js("document.documentElement.scrollWidth <= innerWidth"), (panel, browser.js("document.documentElement.scrollWidth"))
        assert browser.js("[...document.querySelectorAll('main button, nav a, header button')].filter(b => b.offsetParent && !b.closest('.wide')).every(b => { const r = b.getBoundingClientRect();"
                          " return r.left >= 0 && r.right <= innerWidth && r.height >= 24 })"), panel
    dark = browser.js("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] < 100")
    assert dark == (scheme == "dark")
    assert browser.js("document.getAnimations().length") == 0


def test_nothing_moves(world):
    html = world.request("GET", "/console").text
    assert not re.search(r"\b(transition|animation|@keyframes|scroll-behavior|\.animate\()\b", html.replace("no transitions, no animations", ""))


def test_it_is_worked_by_the_keyboard_alone(page, world):
    page.open(world.url + "/console?again")
    page.wait_js("document.querySelector('#usage table')")
    seen = []
    for _ in range(12):
        page.key("Tab")
        seen.append(page.js("document.activeElement.id || document.activeElement.className"))
    assert seen[:2] == ["skip", "sign-out"] and ["nav-" + p for p in PANELS] == [x for x in seen if x.startswith("nav-")], seen
    page.js("document.querySelector('#nav-documents').focus()")
    page.key("Enter")
    page.wait_js("document.activeElement.id == 'documents-h'")
    page.wait_js(f"{ROWS % 'documents-list'}.length >= 3")
    page.js("document.querySelector('#documents-list tbody tr:last-child button').focus()")
    page.key("Enter")
    page.wait_js("document.querySelector('#ask').open && document.querySelector('#ask').contains(document.activeElement)")
    page.key("Escape")
    page.wait_js("!document.querySelector('#ask').open && document.activeElement.textContent == 'Text'")
    assert page.js("document.title") == "Documents · Footnote console" and page.js("location.hash") == "#documents"
