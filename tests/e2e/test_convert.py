"""EXTRACT_URL: another server reads the formats that it is given; what it says is read as a page, and its absence puts documents off."""
import pytest

from docling_kit import Docling
from suite import Suite, wait_for
from tika_kit import Tika

PAGE = ("<html><head><title>Zorbium handbook</title></head><body><h1>Zorbium handbook</h1><h2>Oil</h2><p>The zorbium pump takes eleven litres of "
        "amber oil every winter.</p><table><tr><th>Part</th><th>Price</th></tr><tr><td>Gasket G1</td><td>7 crowns</td></tr></table></body></html>").encode()
PDF = b"%PDF-1.7\nscanned pages, which only the other server can read\n"


@pytest.fixture(scope="module")
def served():
    server = Tika()
    with Suite(service_env={"retriever": {"EXTRACT_URL": server.url, "EXTRACT_FORMATS": "pdf, docx", "EXTRACT_TIMEOUT": "4"}}) as s:
        s.tika = server
        yield s
        bad = s.down()
        assert not bad
    server.close()


@pytest.fixture(autouse=True)
def fresh(request):
    if "served" in request.fixturenames:
        served = request.getfixturevalue("served")
        served.tika.status, served.tika.html = 200, PAGE
        served.tika.calls.clear()


def add(s, name, content, **params):
    r = s.request("POST", "/api/v1/documents", params=params, files={"file": (name, content, "application/octet-stream")})
    assert r.status_code in (200, 202), r.text
    return r.json()


def document(s, d):
    return s.request("GET", f"/api/v1/documents/{d['document_id']}").json()


def counted(s, result):
    return s.metrics("retriever").value("footnote_retriever_conversions_total", result=result)


def test_what_the_server_says_is_read_as_a_page(served):
    before = counted(served, "ok")
    d = add(served, "scan.pdf", PDF, wait="1", collection="pages")
    assert (d["status"], d["title"], d["content_type"]) == ("ready", "Zorbium handbook", "application/pdf")
    assert served.tika.calls == [("/tika", "application/pdf", "text/html", PDF)]
    text = served.request("GET", f"/api/v1/documents/{d['document_id']}/text").text
    assert "## Oil" in text and "| Part | Price |\n| --- | --- |\n| Gasket G1 | 7 crowns |" in text
    hit = served.search("How much amber oil does the pump take?", collection="pages")[0]
    assert "eleven litres" in hit["text"] and "Oil" in hit["section"]
    assert counted(served, "ok") == before + 1


def test_formats_that_are_not_listed_are_read_here(served):
    assert add(served, "page.html", PAGE, wait="1", collection="here")["status"] == "ready"
    assert add(served, "list.csv", b"a,b\n1,2\n", wait="1", collection="here")["status"] == "ready"
    assert not served.tika.calls


@pytest.mark.parametrize("status", [415, 422, 204])
def test_a_document_that_the_server_cannot_read_fails_with_that_reason(served, status):
    served.tika.status, before = status, counted(served, "refused")
    d = add(served, "bad.pdf", PDF + str(status).encode(), collection="bad")
    state = wait_for("it failed", lambda: (x := document(served, d))["status"] == "failed" and x, 20)
    assert "extraction server" in state["error"] and (status == 204 or f"status {status}" in state["error"]) and "Secret" not in state["error"]
    assert counted(served, "refused") == before + 1


@pytest.mark.limit(120)
@pytest.mark.parametrize("how", ["503", "404", "gone"])
def test_while_the_server_is_away_documents_wait_say_so_and_are_read_later(served, how):
    if how == "gone":
        served.tika.close()
    else:
        served.tika.status = int(how)
    before = counted(served, "away")
    d = add(served, "later.pdf", PDF + how.encode(), collection="later-" + how)
    try:
        state = wait_for("it says why it waits", lambda: (x := document(served, d))["error"] and x, 20)
        assert state["status"] == "pending" and "extraction server" in state["error"]
        assert counted(served, "away") == before + 1
        # others do not wait for it, and no attempt is used up
        assert add(served, "other.html", PAGE, wait="1", collection="later-" + how)["status"] == "ready"
        for n in range(2, 9):
            served.sql("UPDATE footnote.uploads SET not_before = now()")
            wait_for("another attempt", lambda: counted(served, "away") == before + n, 20)
            wait_for("it is put off", lambda: served.sql("SELECT 1 FROM footnote.uploads WHERE lease_owner IS NULL AND not_before > now() + interval '5 s'"))
        assert served.sql("SELECT attempts FROM footnote.uploads") == [(0,)]
    finally:
        if how == "gone":
            calls, served.tika = served.tika.calls, Tika(served.tika.port)
            served.tika.html, served.tika.calls = PAGE, calls
        served.tika.status = 200
    served.sql("UPDATE footnote.uploads SET not_before = now()")
    state = wait_for("it is read", lambda: (x := document(served, d))["status"] == "ready" and x, 30)
    assert not state.get("error"), state


@pytest.mark.limit(120)
def test_a_document_at_which_the_server_fails_is_tried_five_times(served):
    served.tika.status, before = 500, counted(served, "failed")
    d = add(served, "killer.pdf", PDF + b"killer", collection="killer")
    state = wait_for("it failed", lambda: (x := document(served, d))["status"] == "failed" and x, 60)
    assert "failed at the document (status 500)" in state["error"]
    assert len(served.tika.calls) == 5 and counted(served, "failed") == before + 5


def test_formats_and_addresses_are_checked(served):
    import os
    import subprocess
    program = os.path.join(os.environ.get("FOOTNOTE_BIN", "build/release"), "footnote-retriever")
    for env, words in (({"EXTRACT_URL": "ftp://x"}, "EXTRACT_URL"), ({"EXTRACT_FORMATS": "pdf md"}, 'EXTRACT_FORMATS: "md"'),
                       ({"EXTRACT_FORMATS": "pdf,,nonsense-of-a-long-ending"}, "EXTRACT_FORMATS")):
        r = subprocess.run([program, "--check-config"], env={**os.environ, **env}, capture_output=True, text=True, check=False)
        assert r.returncode == 1 and words in r.stdout + r.stderr, (r.stdout, r.stderr)


# ---- docling-serve
@pytest.fixture(scope="module")
def docling():
    server = Docling()
    with Suite(service_env={"retriever": {"EXTRACT_URL": server.url + "/v1/convert/file", "EXTRACT_FORMATS": "pdf, docx", "EXTRACT_TIMEOUT": "4"}}) as s:
        s.server = server
        yield s
    server.close()


@pytest.fixture(autouse=True)
def fresh_docling(request):
    if "docling" in request.fixturenames:
        d = request.getfixturevalue("docling").server
        d.http, d.status, d.html = 200, "success", PAGE.decode()
        d.calls.clear()


def test_docling_serve_is_given_a_form_and_its_html_is_read_as_a_page(docling):
    d = add(docling, "scan.pdf", PDF, wait="1", collection="pages")
    assert (d["status"], d["title"], d["content_type"]) == ("ready", "Zorbium handbook", "application/pdf")
    [(path, form)] = docling.server.calls
    assert path == "/v1/convert/file" and form["files"] == ("document.pdf", "application/pdf", PDF)
    assert form["to_formats"][2] == b"html" and form["image_export_mode"][2] == b"placeholder"
    text = docling.request("GET", f"/api/v1/documents/{d['document_id']}/text").text
    assert "## Oil" in text and "| Part | Price |\n| --- | --- |\n| Gasket G1 | 7 crowns |" in text


@pytest.mark.parametrize("status,html,why", [("failure", "", "cannot read the document"), ("success", "", "no text"), ("skipped", "", "cannot read")])
def test_a_document_that_docling_serve_cannot_read_fails_with_that_reason(docling, status, html, why):
    docling.server.status, docling.server.html = status, html
    d = add(docling, "bad.pdf", PDF + status.encode() + why.encode(), collection="bad")
    state = wait_for("it failed", lambda: (x := document(docling, d))["status"] == "failed" and x, 20)
    assert why in state["error"] and "Secret" not in state["error"]


@pytest.mark.limit(120)
def test_while_docling_serve_is_busy_documents_wait(docling):
    docling.server.http = 503
    d = add(docling, "later.pdf", PDF + b"busy", collection="later")
    state = wait_for("it says why it waits", lambda: (x := document(docling, d))["error"] and x, 20)
    assert state["status"] == "pending" and "takes no documents now" in state["error"]
    docling.server.http = 200
    wait_for("it is read", lambda: document(docling, d)["status"] == "ready", 60)
