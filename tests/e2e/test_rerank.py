"""A reranker between search and answer: both shapes of servers, order, rescue of weak passages, and life without it."""
import threading

import pytest

from corpus_kit import Q_BREAD, Q_BUILT, add_corpus
from rerank_kit import Reranker
from suite import Suite, new_session, wait_for


@pytest.fixture(scope="module", params=["documents", "texts"])
def ranked(request):
    server = Reranker(request.param)
    with Suite(service_env={"embedder": {"RERANK_URL": server.url, "RERANK_API_KEY": "rr-key", "RERANK_MODEL": "rr-1",
                                         "RERANK_TIMEOUT": "400"}}) as s:
        s.documents = add_corpus(s)
        s.reranker = server
        yield s
        bad = s.down()
        assert not bad
    server.close()


@pytest.fixture(autouse=True)
def fresh(ranked):
    ranked.reranker.fault, ranked.reranker.score = None, lambda query, text: 0.5
    ranked.reranker.calls.clear()
    # a breaker that an earlier test opened is closed again by its probe
    wait_for("a reranked search", lambda: ranked.search("lighthouse tower", explain=True)[0].get("rerank_score"), 12)
    ranked.reranker.calls.clear()


def test_passages_come_in_the_order_of_the_reranker(ranked):
    ranked.reranker.score = lambda query, text: 0.9 if "colza" in text else 0.2
    rows = ranked.search("lighthouse of Varnholm", top_k=3, explain=True)
    assert "colza" in rows[0]["text"] and abs(rows[0]["rerank_score"] - 0.9) < 1e-3 and abs(rows[0]["score"] - 0.9) < 1e-3
    assert ranked.fits("Hit", rows[0]), rows[0]
    path, body, headers = ranked.reranker.calls[-1]
    assert path == "/rerank" and body["query"] == "lighthouse of Varnholm" and headers["Authorization"] == "Bearer rr-key"
    assert len(body[ranked.reranker.shape]) > 3, "more candidates than wanted are ranked"
    assert ranked.reranker.shape == "texts" or (body["model"] == "rr-1" and body["top_n"] == len(body["documents"]))


def test_a_weak_passage_is_rescued_by_a_reranker_that_is_sure_of_it(ranked):
    question = "Which illuminant feeds the beacon?"
    ranked.reranker.score = lambda query, text: 0.01
    before = ranked.ask(question, new_session()).json()
    assert not before["grounded"] and not before["sources"]
    ranked.reranker.score = lambda query, text: 0.97 if "beacon" in text else 0.01
    found = ranked.ask(question, new_session()).json()
    assert [b["query"] for _, b, _ in ranked.reranker.calls] == [question] * 2, ranked.reranker.calls
    explained = ranked.request("GET", f"/api/v1/messages/{found['message_id']}/explain", session=found["session_id"]).json()
    assert explained["trace"]["retrieval"]["passages"] and explained["trace"]["retrieval"]["passages"][0]["rerank_score"] > 0.9, (explained, found)


def test_what_the_search_finds_by_itself_is_never_lost_to_a_reranker(ranked):
    ranked.reranker.score = lambda query, text: 0.0
    a = ranked.ask(Q_BUILT, new_session()).json()
    assert a["grounded"] and a["sources"], a


def test_health_shows_a_reranker_that_is_there_or_was(ranked):
    def status():
        return ranked.request("GET", "/api/v1/health").json()["services"]["rerank"]["status"]
    assert status() == "ok"
    ranked.kill("embedder")
    try:
        wait_for("it is missed", lambda: status() == "down", 6)
    finally:
        ranked.start("embedder")
    ranked.wait_ready()
    wait_for("it is back", lambda: status() == "ok", 6)


def test_logits_are_read_too(ranked):
    ranked.reranker.score = lambda query, text: 4.0 if "colza" in text else -7.5
    row = ranked.search("lighthouse of Varnholm", explain=True)[0]
    assert "colza" in row["text"] and 0.97 < row["rerank_score"] < 1


@pytest.mark.parametrize("fault", [
    lambda body: (500, {"error": "out of memory"}), lambda body: (200, b"no JSON"), lambda body: (200, {"results": []}),
    lambda body: (200, [{"index": 99, "score": 0.5}]), lambda body: (200, [{"index": 0, "score": 1}, {"index": 0, "score": 1}]),
    lambda body: (429, {"error": "slow down"}), lambda body: (401, {"error": "no such key"})],
    ids=["500", "no_json", "empty", "index", "twice", "429", "401"])
def test_a_reranker_that_fails_costs_nothing_but_its_order(ranked, fault):
    ranked.reranker.fault = fault
    failed = ranked.metrics("gateway").value("footnote_reranks_total", outcome="failed")
    a = ranked.ask(Q_BREAD, new_session()).json()
    assert a["sources"] and a["grounded"]
    wait_for("the failure is counted", lambda: ranked.metrics("gateway").value("footnote_reranks_total", outcome="failed") > failed)


def test_a_slow_reranker_is_not_waited_for(ranked):
    stop = threading.Event()
    ranked.reranker.fault = lambda body: (stop.wait(20), (200, []))[1]
    try:
        a = ranked.ask(Q_BREAD, new_session())
        assert a.status_code == 200 and a.json()["sources"] and a.elapsed.total_seconds() < 2.5
    finally:
        stop.set()


def test_the_tool_search_of_mcp_is_reranked_as_any_search(ranked):
    ranked.reranker.score = lambda query, text: 0.9 if "colza" in text else 0.6 if "beacon" in text else 0.01
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "lighthouse of Varnholm"}}}
    found = ranked.request("POST", "/mcp", json=body).json()["result"]["structuredContent"]["results"]
    assert "colza" in found[0]["text"], found
    assert ranked.reranker.calls[-1][1]["query"] == "lighthouse of Varnholm"


@pytest.mark.parametrize("how", ["silent", "begun"])
def test_a_reranker_that_hangs_is_left_alone_after_five_calls(ranked, how):
    """Also one that says 200 and begins its answer."""
    def blocked():
        return ranked.metrics("embedder").value("footnote_upstream_calls_total", route="rerank", outcome="blocked")
    stop, before = threading.Event(), blocked()
    ranked.reranker.fault = lambda body: (stop.wait(20), (200, []))[1]
    ranked.reranker.stalls = stop if how == "begun" else None
    if how == "begun":
        ranked.reranker.fault = None
    try:
        for _ in range(5):
            assert ranked.search("lighthouse tower")
        assert len(ranked.reranker.calls) == 5 and blocked() == before
        assert ranked.search("lighthouse tower")
        assert len(ranked.reranker.calls) == 5
        wait_for("the sixth call is not sent", lambda: blocked() == before + 1)
    finally:
        ranked.reranker.stalls = None
        stop.set()
