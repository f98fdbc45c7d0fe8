"""Model servers as they are: one file of dialects/ describes what a server sends, and what must come out of the real embedder.

A file is a list of cases, each with an embedder and a server of its own (tests/kit/dialect_kit.py has the rules of servers):

    case     what it is about                            env     options of the embedder, {origin} is http://host:port
    base     what stands behind the origin in the base URL, default /v1
    server   rules of the server                         calls   what is asked, one after the other:

    chat     the question           model, history, long (bytes of passages), ttl_ms, whole, page_context, selection: as in chat_req
      says   the whole answer       finish, tokens [prompt, completion], refused, degraded: as in chat_rep
      parts  false: what was streamed is more than the answer (it turned out to be a thought)
    embed    texts; a number: so many short ones         model, documents, fresh, dims, ttl_ms: as in embed_req
      size   dimensions that come back, default 8    cached   how many came from the cache
      cut    only so many letters of each text were embedded  before  what stands before each text    vectors  what comes back, as it is
    rerank   a number: so many passages, the n-th of which the server gives the score n / 1000; RERANK_URL is {origin}/v1/rerank
    fails    error of proto/err.tbl; because: words of the explanation; never: words that must not be in it
    within   seconds that it may take
    asked    how many requests of this route the server got for it
    sent     of the last of them: has, without, equal {member: value}, path, header {name: value, null: not there}, roles, longest
    logs     words of the embedder's log after it            silent  words that are not in it
    server   other rules from this call on; at_once: so many equal calls at once; wait: seconds before it
"""
import os
import re
import struct
import time

import pytest
import yaml

from dialect_kit import DIMS, Server, vector
from embedder_kit import ROOT, Embedder, Redis, wait_for

HERE = os.path.join(ROOT, "tests/service/dialects")
ERRORS = {m[1]: int(m[2]) for m in re.finditer(r"^ERR\((\w+),\s*(\d+)", open(os.path.join(ROOT, "proto/err.tbl")).read(), re.M)}
HITS = [("Guide", "It is so, says the guide."), ("Other", "Rain is expected.")]
CALL_KEYS = {"chat", "embed", "model", "history", "ttl_ms", "whole", "documents", "fresh", "dims", "says", "finish", "tokens",
             "refused", "degraded", "parts", "size", "cached", "fails", "because", "never", "within", "asked", "sent", "server", "at_once",
             "wait", "cut", "long", "before", "vectors", "page_context", "selection", "retry_after_ms", "rerank", "logs", "silent"}


def cases():
    for name in sorted(os.listdir(HERE)):
        with open(os.path.join(HERE, name)) as f:
            for case in yaml.safe_load(f):
                assert set(case) <= {"case", "env", "base", "server", "calls", "redis"}, (name, set(case))
                yield pytest.param(case, id=f"{name.removesuffix('.yaml')}: {case['case']}")


@pytest.fixture(scope="module")
def redis():
    r = Redis()
    yield r
    r.close()


def ask(emb, call):
    more = {k: call[k] for k in ("model", "history", "whole", "documents", "fresh", "dims", "page_context", "selection") if k in call}
    ttl = call.get("ttl_ms", 15000)
    if "chat" in call:
        hits = [("Guide", "0123456789 " * (call["long"] // 11))] if "long" in call else HITS
        return emb.hub.chat(call["chat"], hits, ttl_ms=ttl, **more)
    if "rerank" in call:
        return emb.hub.ask("rerank", {"query": "why", "texts": [f"passage {i}" for i in range(call["rerank"])]}, ttl)
    return emb.hub.embed(*texts_of(call), ttl_ms=ttl, **more)


def texts_of(call):
    e = call["embed"]
    return [f"text {i} of {e}" for i in range(e)] if isinstance(e, int) else e


def check_failure(call, got):
    text = got.head.get("text") or ""
    assert got.code == ERRORS[call["fails"]], (got.code, text, got.rep)
    assert call.get("because", "") in text and "scripted" not in text, text
    assert not [w for w in call.get("never", []) if w in text], text
    assert "retry_after_ms" not in call or got.head.get("retry_after_ms") == call["retry_after_ms"], got.head
    assert got.seconds < call.get("within", 20), got.seconds


def check_chat(call, got):
    assert got.code == 0, (got.code, got.head.get("text"))
    assert got.rep["text"] == call["says"], got.rep
    if call.get("parts", True) and not call.get("whole"):
        assert "".join(got.parts) == call["says"], got.parts
    assert got.rep.get("finish_reason", "stop") == call.get("finish", "stop"), got.rep
    assert bool(got.rep.get("refused")) == call.get("refused", False) and bool(got.rep.get("degraded")) == call.get("degraded", False), got.rep
    if "tokens" in call:
        assert [got.rep.get("prompt_tokens", 0), got.rep.get("completion_tokens", 0)] == call["tokens"], got.rep


def check_vectors(call, got):
    assert got.code == 0, (got.code, got.head.get("text"))
    size = call.get("size", len(call["vectors"][0]) if "vectors" in call else DIMS)
    assert got.rep["dims"] == size
    expected = call.get("vectors") or [vector(call.get("before", "") + text[:call.get("cut")], size) for text in texts_of(call)]
    for text, v, e in zip(texts_of(call), got.vectors, expected):
        assert v == pytest.approx(e, abs=1e-5), text
    if "cached" in call:
        assert got.rep.get("cached", 0) == call["cached"], got.rep


def check_scores(call, got):
    assert got.code == 0, (got.code, got.head.get("text"))
    assert struct.unpack("<%df" % call["rerank"], got.rep["scores"]) == pytest.approx([i / 1000 for i in range(call["rerank"])], abs=1e-6)


def check_sent(sent, r):
    assert all(k in r.body for k in sent.get("has", [])) and not any(k in r.body for k in sent.get("without", [])), list(r.body)
    for k, v in sent.get("equal", {}).items():
        assert r.body.get(k) == v, (k, r.body.get(k))
    assert r.path == sent.get("path", r.path), r.path
    for k, v in sent.get("header", {}).items():
        assert r.headers.get(k) == v, (k, r.headers.get(k))
    if "roles" in sent:
        assert [m["role"] for m in r.body["messages"]] == sent["roles"]
    assert r.longest <= sent.get("longest", r.longest), r.longest


def run_call(emb, server, call):
    assert set(call) <= CALL_KEYS, set(call) - CALL_KEYS
    route = next(r for r in ("chat", "embed", "rerank") if r in call)
    if "server" in call:
        server.script(*call["server"])
    time.sleep(call.get("wait", 0))
    before = len(server.asked(route))
    for got in [ask(emb, call) for _ in range(call.get("at_once", 1))]:
        got.wait(30)
        if "fails" in call:
            check_failure(call, got)
        elif route == "chat":
            check_chat(call, got)
            assert got.seconds < call.get("within", 30), got.seconds
        elif route == "embed":
            check_vectors(call, got)
        else:
            check_scores(call, got)
    asked = server.asked(route)
    if "asked" in call:
        assert len(asked) - before == call["asked"], [r.body for r in asked[before:]]
    if "sent" in call:
        check_sent(call["sent"], asked[-1])
    assert call.get("logs", "") in emb.logs()
    assert "silent" not in call or call["silent"] not in emb.logs()


@pytest.mark.parametrize("case", cases())
def test_dialect(case, redis):
    redis.client.flushall()
    with Server(case.get("server", ())) as server:
        env = {"OPENAI_BASE_URL": server.origin + case.get("base", "/v1"), "OPENAI_API_KEY": "sk-test"}
        if case.get("redis"):
            env["REDIS_URL"] = redis.url
        env.update({k: str(v).replace("{origin}", server.origin) for k, v in case.get("env", {}).items()})
        emb = Embedder(**env)
        try:
            for call in case["calls"]:
                run_call(emb, server, call)
            wait_for(lambda: server.now == 0, 20)
            assert "scripted" not in emb.logs() and "sk-test" not in emb.logs()
        finally:
            emb.close()
