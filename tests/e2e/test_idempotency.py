"""Idempotency-Key: a request that is sent again is not done again (docs/api.md; docs/faults.md F01, A35, invariant I3)."""
import threading
import time
import uuid

import pytest
import requests

from corpus_kit import Q_BUILT, Q_LAMP, Q_PUMP, add_corpus, check_problem
from suite import ADMIN_KEY, SLOW, Suite, new_session, parse_events, wait_for

CHAT, STREAM, DOCUMENTS = "/api/v1/chat/query", "/api/v1/chat/stream", "/api/v1/documents"


@pytest.fixture(scope="module")
def own():
    """A suite of its own: its gateway is killed."""
    with Suite(stub=True) as s:
        s.documents = add_corpus(s)
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


@pytest.fixture
def suite(own):
    own.stub.reset()
    yield own
    own.stub.reset()


def new_key():
    return "test-" + uuid.uuid4().hex


def post(suite, path, body, idem, key=None, **headers):
    return suite.request("POST", path, key=key, json=body, headers={"Idempotency-Key": idem, **headers})


def question(text=Q_BUILT, session=None, **fields):
    return {"question": text, "session_id": session or new_session(), **fields}


def replayed(r):
    return r.headers.get("Idempotency-Replayed") == "true"


def rows(suite, session):
    """(role, status) of every stored message of a session, and how many citations they have."""
    items = suite.history(session, limit=200)["items"]
    return [(m["role"], m.get("status")) for m in items], sum(len(m["sources"]) for m in items)


def in_background(fn):
    out = {}

    def run():
        try:
            out["r"] = fn()
        except requests.RequestException as e:
            out["e"] = e
    t = threading.Thread(target=run)
    t.start()
    return t, out


def test_a_repeated_question_gets_the_stored_answer_and_one_turn(suite):
    body, k = question(), new_key()
    first = post(suite, CHAT, body, k)
    assert first.status_code == 200 and not replayed(first)
    paid = suite.stub.stats()
    for _ in range(3):
        again = post(suite, CHAT, body, k)
        assert again.status_code == 200 and replayed(again)
        assert again.content == first.content and again.headers["Content-Type"] == "application/json"
    assert suite.stub.stats()["chat"] == paid["chat"]
    assert rows(suite, body["session_id"]) == ([("user", None), ("assistant", "complete")], len(first.json()["sources"]))
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_a_replay_does_not_need_the_gateway_that_answered(suite):
    body, k = question(Q_PUMP), new_key()
    first = post(suite, CHAT, body, k)
    assert suite.restart("gateway") == 0
    again = post(suite, CHAT, body, k)
    assert replayed(again) and again.content == first.content
    assert len(rows(suite, body["session_id"])[0]) == 2


def test_another_request_with_the_same_key_is_refused(suite):
    body, k = question(), new_key()
    assert post(suite, CHAT, body, k).status_code == 200
    check_problem(post(suite, CHAT, {**body, "question": Q_LAMP}, k), 422, "idempotency_mismatch")
    check_problem(post(suite, CHAT + "?x=1", body, k), 422, "idempotency_mismatch")
    assert not replayed(post(suite, STREAM, body, k)), "another route is another scope"
    assert replayed(post(suite, CHAT, body, k))


def test_a_malformed_key_is_refused(suite):
    for bad in ("", "two words", "x" * 256):
        check_problem(post(suite, CHAT, question(), bad), 400, "bad_request")
    assert post(suite, CHAT, question(), "x" * 255).status_code == 200


def test_another_session_with_the_same_key_is_independent(suite):
    k, a, b = new_key(), question(), question()
    ra, rb = post(suite, CHAT, a, k), post(suite, CHAT, b, k)
    assert ra.json()["session_id"] == a["session_id"] and rb.json()["session_id"] == b["session_id"]
    assert not replayed(rb) and ra.json()["message_id"] != rb.json()["message_id"]


def test_while_the_first_one_runs_the_second_is_told_to_wait(suite):
    suite.stub.script({"route": "chat", "delay_ms": 1500 * SLOW})
    body, k = question(), new_key()
    before = suite.sql("select count(*) from footnote.messages")[0][0]
    t, out = in_background(lambda: requests.post(suite.url + CHAT, json=body, headers={"Idempotency-Key": k}, timeout=30))
    wait_for("the question is stored", lambda: suite.sql("select count(*) from footnote.messages")[0][0] > before, 5)
    busy = post(suite, CHAT, body, k)
    check_problem(busy, 409, "in_progress")
    assert busy.headers["Retry-After"] == "1"
    t.join()
    assert out["r"].status_code == 200
    again = post(suite, CHAT, body, k)
    assert replayed(again) and again.content == out["r"].content
    assert len(rows(suite, body["session_id"])[0]) == 2


def test_a_cache_hit_with_a_key_is_stored_and_replayed(suite):
    session = new_session()
    assert suite.answered(Q_LAMP, session)["cached"] == "none"
    body, k = question(Q_LAMP, session), new_key()
    hit = post(suite, CHAT, body, k)
    assert hit.json()["cached"] == "query" and hit.json()["saved"] == "yes" and hit.headers["X-Cache"] == "hit"
    again = post(suite, CHAT, body, k)
    assert replayed(again) and again.content == hit.content
    assert [role for role, _ in rows(suite, session)[0]] == ["user", "assistant"] * 2


def test_a_stream_is_replayed_as_meta_and_done(suite):
    body, k = question(), new_key()
    first = post(suite, STREAM, body, k)
    events = parse_events(first.content.decode())
    assert [e.kind for e in events][0] == "meta" and events[-1].kind == "done" and len(events) > 3
    again = post(suite, STREAM, body, k)
    assert replayed(again) and again.headers["Content-Type"].startswith("text/event-stream")
    replay = parse_events(again.content.decode())
    assert [e.kind for e in replay] == ["meta", "done"]
    assert replay[0].data == {**events[0].data, "model": replay[1].data["usage"]["model"]}
    assert replay[1].data == events[-1].data
    assert len(rows(suite, body["session_id"])[0]) == 2


def test_a_passing_failure_is_not_stored(suite):
    suite.stub.script({"route": "chat", "status": 400})
    body, k = question(), new_key()
    assert post(suite, CHAT, body, k).status_code >= 500
    suite.stub.reset()
    again = post(suite, CHAT, body, k)
    assert again.status_code == 200 and not replayed(again)
    assert [role for role, _ in rows(suite, body["session_id"])[0]] == ["user", "assistant"]


def test_a_final_refusal_is_stored(suite):
    body, k = question(conversation_id=str(uuid.uuid4())), new_key()
    check_problem(post(suite, CHAT, body, k), 404, "not_found")
    again = post(suite, CHAT, body, k)
    check_problem_body = again.json()
    assert again.status_code == 404 and replayed(again) and check_problem_body["code"] == "not_found"


def test_a_repeated_upload_makes_no_second_job_or_document(suite):
    body, k = {"text": "# Tides\n\nThe tide at Varnholm rises by two metres.", "content_type": "text/markdown"}, new_key()
    first = post(suite, DOCUMENTS, body, k)
    before = suite.sql("select count(*) from footnote.documents")
    again = post(suite, DOCUMENTS, body, k)
    assert first.status_code == 202 == again.status_code and replayed(again)
    assert again.content == first.content and again.headers["Location"] == first.headers["Location"]
    assert suite.sql("select count(*) from footnote.documents") == before
    check_problem(post(suite, DOCUMENTS, {**body, "title": "T"}, k), 422, "idempotency_mismatch")


def test_what_the_store_keeps_shows_no_session_and_no_key(suite):
    body, k = question(), new_key()
    answer = post(suite, CHAT, body, k)
    assert answer.status_code == 200
    secrets = [body["session_id"].encode(), k.encode(), *(('"%s"' % name).encode() for name in answer.json())]
    assert all(s in answer.content or s == k.encode() for s in secrets), "what is looked for stands in the answer as it is sent"
    for scope, key, stored in suite.sql("select scope, key, body from footnote.idempotency where body is not null"):
        assert k not in key and body["session_id"] not in scope
        assert [s for s in secrets if s in bytes(stored)] == []


def test_an_erased_session_takes_its_stored_answers_with_it(suite):
    body, k = question(), new_key()
    post(suite, CHAT, body, k)
    n = suite.sql("select count(*) from footnote.idempotency")[0][0]
    assert suite.request("DELETE", "/api/v1/sessions/" + body["session_id"]).status_code == 204
    assert suite.sql("select count(*) from footnote.idempotency")[0][0] == n - 1


def test_a_search_takes_no_key(suite):
    k = new_key()
    for _ in range(2):
        r = post(suite, "/api/v1/search", {"query": "lighthouse"}, k)
        assert r.status_code == 200 and not replayed(r)


def test_a_question_whose_gateway_was_killed_runs_again_with_one_row_each(suite):
    suite.stub.script({"route": "chat", "delay_ms": 8000})
    body, k = question(), new_key()
    before = suite.sql("select count(*) from footnote.messages")[0][0]
    t, out = in_background(lambda: requests.post(suite.url + CHAT, json=body, timeout=30, headers={"Idempotency-Key": k}))
    wait_for("the question is stored", lambda: suite.sql("select count(*) from footnote.messages")[0][0] > before, 5)
    time.sleep(2)  # its lease has been renewed
    suite.kill("gateway")
    killed = time.monotonic()
    t.join()
    suite.start("gateway")
    suite.wait_ready()
    assert "e" in out, "the connection was cut"
    suite.stub.reset()
    early = post(suite, CHAT, body, k)
    if time.monotonic() - killed < 3:
        check_problem(early, 409, "in_progress")
    r = wait_for("the lease lapsed", lambda: (r := post(suite, CHAT, body, k)).status_code != 409 and r, 20, every=0.2)
    assert time.monotonic() - killed < 8 * SLOW, "a killed gateway holds its keys for one lease of 5 s"
    assert r.status_code == 200 and not replayed(r), r.text
    again = post(suite, CHAT, body, k)
    assert replayed(again) and again.content == r.content
    assert [role for role, _ in rows(suite, body["session_id"])[0]] == ["user", "assistant"]
    assert suite.sql("select count(*) from footnote.citations c join footnote.messages m on m.id = c.message_id"
                     " where m.id = %s", [r.json()["message_id"]])[0][0] == len(r.json()["sources"])


def test_a_question_that_runs_longer_than_a_lease_keeps_its_key(suite):
    suite.stub.script({"route": "chat", "delay_ms": 7500})
    body, k = question(), new_key()
    t, out = in_background(lambda: requests.post(suite.url + CHAT, json=body, timeout=30, headers={"Idempotency-Key": k}))
    begun, codes = time.monotonic(), []
    time.sleep(0.5)
    while time.monotonic() - begun < 6.5:
        codes.append(post(suite, CHAT, body, k).status_code)
        time.sleep(0.3)
    t.join()
    suite.stub.reset()
    assert set(codes) == {409}, codes
    first, again = out["r"], post(suite, CHAT, body, k)
    assert first.status_code == 200 and replayed(again) and again.content == first.content


def test_a_cut_stream_runs_again_and_its_answer_is_made_whole(suite):
    suite.stub.script({"route": "chat", "drip_ms": 300, "text": "It is " + "very " * 40 + "old [1]."})
    body, k = question(), new_key()
    with requests.post(suite.url + STREAM, json=body, headers={"Idempotency-Key": k}, stream=True, timeout=30) as r:
        for line in r.iter_lines():
            if line.startswith(b"event: delta"):
                break
    suite.stub.reset()
    r = wait_for("the cut stream was noticed", lambda: (r := post(suite, STREAM, body, k)).status_code == 200 and r, 20, every=0.2)
    done = parse_events(r.content.decode())[-1]
    assert done.kind == "done" and not replayed(r)
    assert rows(suite, body["session_id"])[0] == [("user", None), ("assistant", "complete")]
    assert suite.history(body["session_id"])["items"][1]["content"] == done.data["answer"]


def test_two_tenants_and_two_keys_with_the_same_idempotency_key_are_independent(locked):
    acme, acme2, zeta = (locked.make_key(["chat", "ingest"], tenant=t)["key"] for t in ("acme", "acme", "zeta"))
    k, body = new_key(), {"text": "Tides rise.", "content_type": "text/plain", "id": "tides"}
    jobs = [post(locked, DOCUMENTS, body, k, key=key) for key in (acme, acme2, zeta)]
    assert [r.status_code for r in jobs] == [202] * 3 and not any(map(replayed, jobs))
    for key, first in zip((acme, acme2, zeta), jobs):
        again = post(locked, DOCUMENTS, body, k, key=key)
        assert replayed(again) and again.json() == first.json()
    assert jobs[0].json()["document_id"] == jobs[1].json()["document_id"] != jobs[2].json()["document_id"]


def test_visitors_of_a_page_do_not_share_the_idempotency_keys_of_its_publishable_key(locked):
    origin = "https://shop.example"
    key, k = locked.make_key(["chat"], origins=[origin])["key"], new_key()
    for body in (question(Q_PUMP), question(Q_LAMP)):  # a session each
        first, again = (post(locked, CHAT, body, k, key=key, Origin=origin) for _ in range(2))
        assert first.status_code == 200 and not replayed(first) and first.json()["session_id"] == body["session_id"]
        assert replayed(again) and again.json()["message_id"] == first.json()["message_id"]
    made = [post(locked, "/api/v1/sessions", {}, k, key=key, Origin=origin) for _ in range(2)]
    assert [r.status_code for r in made] == [201] * 2 and not any(map(replayed, made))
    assert made[0].json()["session_id"] != made[1].json()["session_id"]


def test_a_key_that_is_made_twice_is_one_key_and_its_secret_is_not_in_the_database(locked):
    k, body = new_key(), {"label": "twice", "scopes": ["chat"], "tenant": "twice"}
    first, again = (post(locked, "/api/v1/keys", body, k, key=ADMIN_KEY) for _ in range(2))
    assert first.status_code == 201 == again.status_code and replayed(again) and first.json() == again.json()
    assert locked.sql("select count(*) from footnote.api_keys where tenant = 'twice'")[0][0] == 1
    stored = locked.sql("select body from footnote.idempotency where http_status = 201")
    assert stored and all(first.json()["key"].encode() not in bytes(b) for b, in stored)


def test_a_session_that_is_made_twice_is_one_session(locked):
    k, key = new_key(), locked.make_key(["chat"], tenant="acme")["key"]
    first, again = (post(locked, "/api/v1/sessions", {"user_id": "u1"}, k, key=key) for _ in range(2))
    assert first.status_code == 201 and replayed(again) and first.json() == again.json()


def test_by_month_the_answer_to_a_repeated_request_lies_in_the_month_of_its_question():
    with Suite(stub=True, env={"MESSAGES_PARTITIONED": "on"}) as s:
        add_corpus(s)
        session, key = new_session(), new_key()
        first = post(s, CHAT, question(session=session), key)
        assert first.status_code == 200 and replayed(post(s, CHAT, question(session=session), key))
        got = s.sql("SELECT role, tableoid::regclass::text, id::text FROM messages ORDER BY timestamp")
        month = got[0][1]
        assert month.split("_")[-1].isdigit() and [(r, m) for r, m, _ in got] == [("user", month), ("assistant", month)]
        assert got[0][2][:13] == got[1][2][:13] and got[0][2] != got[1][2]
