"""A cited passage in its surroundings, for whoever may read the answer: readers without a key, keys, the page."""
import uuid

import pytest

from suite import Suite, new_session, wait_for

PAGE = ("# Ferry\n\n## Boats\n\nSecret of the far end: heliotrope.\n\n" + "Filler of the ferry's manual. " * 200 +
        "\n\n## Levers\n\nÜber der Brücke stehen Möwen. The turquoise lever releases the anchor of the ferry. Das Öl läuft.\n\n" +
        "More filler of the manual. " * 200 + "\n\nThe last words: carmine.\n")
ASK = "What does the turquoise lever release?"


@pytest.fixture(scope="module")
def suite():
    with Suite(auth="on") as s:
        yield s


@pytest.fixture(scope="module")
def admin(suite):
    return suite.make_key(["chat", "ingest", "admin"])["key"]


@pytest.fixture()
def page(suite, admin):
    doc = "page-" + uuid.uuid4().hex[:8]
    r = suite.request("POST", "/api/v1/documents?wait=1", key=admin, json={"id": doc, "text": PAGE, "content_type": "text/markdown", "url": "https://d.example/f"})
    assert r.status_code == 200, r.text
    yield r.json()["document_id"]
    suite.request("DELETE", f"/api/v1/documents/{r.json()['document_id']}", key=admin)


def source(suite, session, **kw):
    a = suite.answered(ASK, session, **kw)
    assert a["sources"], a
    return a["sources"][0]


def look(suite, s, session, key=None):
    return suite.request("GET", f"/api/v1/citations/{s['id']}", key=key, session=session)


def test_a_reader_without_a_key_sees_the_citation_and_what_stands_around_it(suite, page):
    session = new_session()
    s = source(suite, session)
    assert suite.request("GET", f"/api/v1/documents/{s['document_id']}/text", session=session).status_code == 401
    r = look(suite, s, session)
    assert r.status_code == 200, r.text
    c = r.json()
    stored = PAGE.encode()
    assert c["stands"] and c["state"] == "verified" and (c["start"], c["end"]) == (s["start"], s["end"]) and c["source"] == s and s["section"] == "Levers" and s["title"] == "Ferry" and s["link"] == "https://d.example/f"
    assert (c["before"] + s["content_excerpt"] + c["after"]).encode() in stored and "Möwen" in c["before"] and "Öl" in c["after"]
    assert stored[:s["start"]].endswith(c["before"].encode()) and stored[s["end"]:].startswith(c["after"].encode())
    assert c["more_before"] and c["more_after"] and "heliotrope" not in r.text and "carmine" not in r.text


def test_another_sessions_citation_is_missing(suite, page, admin):
    session = new_session()
    s = source(suite, session)
    missing = look(suite, {"id": str(uuid.uuid4())}, session)
    for other in (new_session(), None):
        r = look(suite, s, other)
        assert r.status_code in (404, 422) and PAGE[-30:] not in r.text and s["content_excerpt"] not in r.text
    assert look(suite, s, new_session()).json()["detail"] == missing.json()["detail"]
    other_tenant = suite.make_key(["chat"], tenant="elsewhere")["key"]
    assert look(suite, s, session, key=other_tenant).status_code == 404
    for bad in ("x", "0", s["id"][:-1]):
        assert look(suite, {"id": bad}, session).status_code in (404, 405)


def test_keys_see_their_citations_too(suite, page, admin):
    session, chat = new_session(), suite.make_key(["chat"])["key"]
    s = source(suite, session, key=chat)
    assert look(suite, s, session, key=chat).json()["stands"]
    narrow = suite.make_key(["chat"], collections=["other"])["key"]
    assert look(suite, s, session, key=narrow).status_code == 404


def test_cached_and_streamed_answers_have_citations_of_their_own(suite, page):
    first, second = new_session(), new_session()
    a, b = source(suite, first), source(suite, second)
    assert a["id"] != b["id"] and look(suite, b, second).json()["stands"] and look(suite, a, second).status_code == 404
    third = new_session()
    _, events = suite.stream(ASK, third)
    s = [e for e in events if e.kind == "done"][-1].data["sources"][0]
    assert look(suite, s, third).json()["source"]["content_excerpt"] == s["content_excerpt"]


def test_it_works_after_a_restart_and_goes_with_the_session(suite, page):
    session = new_session()
    s = source(suite, session)
    for name in ("gateway", "store"):
        suite.restart(name)
    suite.wait_ready()
    assert look(suite, s, session).json()["stands"]
    assert suite.request("DELETE", f"/api/v1/sessions/{session}", session=session).status_code == 204
    assert look(suite, s, session).status_code == 404


def test_of_a_document_that_changed_or_went_nothing_else_is_shown(suite, page, admin):
    session = new_session()
    s = source(suite, session)
    doc = suite.request("GET", f"/api/v1/documents/{page}", key=admin).json()["external_id"]
    suite.request("POST", "/api/v1/documents?wait=1", key=admin, json={"id": doc, "text": "New words of a confidential kind. " * 300})
    c = look(suite, s, session).json()
    assert not c["stands"] and c["state"] == "gone" and c["start"] is c["end"] is None and c["before"] == c["after"] == "" and c["source"]["content_excerpt"] == s["content_excerpt"]
    suite.request("DELETE", f"/api/v1/documents/{page}", key=admin)
    wait_for("it is gone", lambda: suite.request("GET", f"/api/v1/documents/{page}", key=admin).status_code == 404)
    c = look(suite, s, session).json()
    assert not c["stands"] and c["before"] == "" and not c["more_after"]


def test_a_collection_that_is_closed_is_closed_here_too(suite, page, admin):
    suite.request("POST", "/api/v1/documents?wait=1", key=admin, json={"id": "inner", "collection": "inner", "text": "The ochre lever lifts the inner gate."})
    session = new_session()
    s = suite.answered("What does the ochre lever lift?", session, key=admin, collection="inner")["sources"][0]
    assert look(suite, s, session, key=admin).status_code == 200 and look(suite, s, session).status_code == 404


FACT = "The ochre lever lifts the inner gate of the ferry, slowly and with a hum."


@pytest.mark.parametrize("text, moved", [
    ("# Gate\n\nA new paragraph.\n\n" + FACT + "\n", True),  # behind
    (FACT + "\n", True),  # before
    ("# Gate\n\n" + FACT + "\n\nMore words.\n", False),  # where it was
    ("# Gate\n\n" + "ä" * 999 + " " + FACT + " " + "\U0001f6a2" * 800, True),  # bytes, and no character is cut
    ("# Tor\n\n" + FACT + "\n\n# Again\n\n" + FACT + "\n", True),  # the nearest behind its old place
    ("# Gate\n\n" + FACT.replace("ochre", "green") + "\n", None), ("# Gate\n\nShort.\n", None),
    ("# Gate\n\n" + FACT.replace(" and ", "\nand ") + "\n", None)])
def test_a_citation_says_whether_it_is_verified_moved_or_gone(suite, admin, text, moved):
    put = lambda t: suite.request("POST", "/api/v1/documents?wait=1", key=admin, json={"id": "gate", "text": t, "content_type": "text/markdown"})
    assert put("# Gate\n\n" + FACT + "\n").status_code == 200
    session = new_session()
    s = suite.answered("What does the ochre lever lift?", session)["sources"][0]
    assert s["content_excerpt"] == FACT
    document = put(text).json()["document_id"]
    c = look(suite, s, session).json()
    assert c["state"] == {True: "moved", False: "verified", None: "gone"}[moved] and c["stands"] == (moved is False)
    stored = suite.request("GET", f"/api/v1/documents/{document}/text", key=admin).content
    if moved is None:
        assert c["start"] is c["end"] is None and c["before"] == c["after"] == ""
    else:
        assert stored[c["start"]:c["end"]].decode() == FACT
        assert stored[:c["start"]].endswith(c["before"].encode()) and stored[c["end"]:].startswith(c["after"].encode())
        assert c["more_before"] == (not c["start"] == len(c["before"].encode())) and c["more_after"] == (c["end"] + len(c["after"].encode()) < len(stored))
    assert c["source"]["start"] == s["start"]  # what the answer said stays
    suite.request("DELETE", f"/api/v1/documents/{document}", key=admin)
    wait_for("it is gone", lambda: look(suite, s, session).json()["state"] == "gone")


def test_a_few_bytes_are_no_proof_that_they_moved(suite, admin):
    put = lambda t: suite.request("POST", "/api/v1/documents?wait=1", key=admin, json={"id": "few", "text": t, "content_type": "text/markdown"}).json()
    document = put("# Gate\n\n" + FACT + "\n")["document_id"]
    session = new_session()
    s = suite.answered("What does the ochre lever lift?", session)["sources"][0]
    suite.sql("UPDATE citations SET excerpt = left(excerpt, 9), end_byte = start_byte + 9 WHERE id = %s", (s["id"],))  # "The ochre"
    assert look(suite, s, session).json()["state"] == "verified"
    put("# Paint\n\nAnother text. The ochre paint is sold out.\n")
    assert look(suite, s, session).json()["state"] == "gone"
    suite.request("DELETE", f"/api/v1/documents/{document}", key=admin)
