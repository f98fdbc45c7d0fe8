"""The built-in answers ask the model server which sentence is near to a question: an answer waits three seconds for that and no
longer, whatever the server does, and nobody else is worse off for it."""
import time

import pytest

from dialect_kit import Server
from embedder_kit import Embedder, Redis, wait_for

HITS = [(f"Part {i}", " ".join(f"Item {i}{k} lies {w} the garden wall since spring." for k, w in enumerate("at by near under over behind beyond along".split() * 2)))
        for i in range(4)]
QUESTION = "Wo wohnt eigentlich der Gärtner?"


@pytest.fixture
def server():
    with Server() as s:
        yield s


@pytest.fixture
def emb(server):
    e = Embedder(OPENAI_BASE_URL=server.url, EMBEDDING_PROVIDER="openai", CHAT_PROVIDER="builtin", EMBEDDING_MODEL="multi-1",
                 EMBEDDING_DIM="8", EMBEDDING_TIMEOUT="30")
    yield e
    e.close()


def test_sentences_are_asked_for_with_the_question(emb, server):
    assert emb.hub.chat(QUESTION, HITS).wait().code == 0
    texts = [t for r in server.asked("embed") for t in r.texts]
    assert QUESTION in texts and len(texts) == 49


def test_sentences_are_paid_for_once(server):
    redis = Redis()
    e = Embedder(OPENAI_BASE_URL=server.url, EMBEDDING_PROVIDER="openai", CHAT_PROVIDER="builtin", EMBEDDING_MODEL="multi-1",
                 REDIS_URL=redis.url)
    try:
        first = e.hub.chat(QUESTION, HITS).wait()
        asked = len(server.asked("embed"))
        again = e.hub.chat(QUESTION, HITS).wait()
        assert (again.code, again.rep["text"], again.rep["refused"]) == (0, first.rep["text"], first.rep["refused"])
        assert len(server.asked("embed")) == asked > 0
        other = "Wem gehört denn das Fahrrad?"
        assert e.hub.embed(other).wait().code == 0           # as the gateway does, to search
        server.script()
        assert e.hub.chat(other, HITS).wait().code == 0 and server.asked("embed") == []
    finally:
        e.close()
        redis.close()


def test_an_answer_whose_sentences_come_late_is_given_after_three_seconds(emb, server):
    server.script({"route": "embed", "above": 1, "pause": 6})
    call = emb.hub.chat(QUESTION, HITS).wait()
    assert call.code == 0 and call.rep["refused"] and 2.5 < call.seconds < 4, call.seconds
    assert emb.hub.embed("one").wait().code == 0


def test_an_answer_waits_no_longer_behind_passages(emb, server):
    """The server takes one call at a time, and passages have it: the sentences are not sent at all."""
    limited = {"status": 429, "body": '{"error":{"message":"too many"}}'}
    server.script({"route": "embed", "busy": 1, **limited}, {"route": "embed", "pause": 8})
    passages = emb.hub.embed("a passage", documents=True, ttl_ms=20000)
    wait_for(lambda: server.now == 1)
    assert emb.hub.embed("a question", ttl_ms=500).wait().code != 0  # now it is known
    call = emb.hub.chat(QUESTION, HITS).wait()
    assert call.code == 0 and call.rep["refused"] and call.seconds < 4, call.seconds
    assert passages.wait().code == 0


def test_a_cancelled_answer_drops_its_calls_at_once(emb, server):
    server.script({"route": "embed", "above": 1, "pause": 6})
    call = emb.hub.chat(QUESTION, HITS)
    wait_for(lambda: server.now > 5)
    begun = time.monotonic()
    emb.hub.cancel(call)
    call.wait()
    assert call.code != 0 and time.monotonic() - begun < 1
    assert emb.stat('upstream_calls_total{route="embed",outcome="cancelled"}') > 5
