"""The embedder with nothing configured: built-in vectors and quoted answers."""
import math

import pytest

from embedder_kit import Embedder, Redis, wait_for

GUIDE = ("Operating", "# Pool\n\nThe store keeps ten database connections open. More are opened when they are needed.\n")


@pytest.fixture(scope="module")
def emb():
    e = Embedder()
    yield e
    e.close()


def test_both_services_are_offered_with_four_calls_a_thread(emb):
    assert set(emb.hub.offers) == {"embed", "chat"}
    assert emb.hub.offers["embed"] % 4 == 0 and emb.hub.offers["embed"] > 0


def test_vectors_are_unit_length_deterministic_and_counted(emb):
    before = emb.stat('embed_texts_total{source="model"}')
    a = emb.hub.embed("How many connections?", "bananas").wait()
    b = emb.hub.embed("How many connections?", documents=True).wait()
    assert a.code == 0 and a.rep["model"] == "builtin-ngram-v2" and a.rep["dims"] == 384 and len(a.vectors) == 2
    assert a.vectors[0] == b.vectors[0]
    assert all(abs(math.fsum(x * x for x in v) - 1) < 1e-4 for v in a.vectors)
    assert emb.stat('embed_texts_total{source="model"}') - before == 3


def test_a_call_that_may_cost_nothing_is_embedded(emb):
    a = emb.hub.ask("embed.free", dict(texts=["How many connections?"])).wait()
    assert a.code == 0 and a.vectors == emb.hub.embed("How many connections?").wait().vectors
    assert emb.hub.ask("embed.free", dict(texts=[])).wait().code == 22


def test_a_large_batch_is_embedded_whole_and_in_order(emb):
    texts = ["text number %d of the batch" % (i % 700) for i in range(2000)]
    big = emb.hub.embed(*texts, documents=True).wait(30)
    assert big.code == 0 and len(big.vectors) == 2000
    assert big.vectors[5] == big.vectors[705] == emb.hub.embed(texts[5]).wait().vectors[0]
    assert big.vectors[5] != big.vectors[6]


@pytest.mark.parametrize("req", [dict(texts=[]), dict(texts=["a", ""]), dict(texts=["a"], model="other")])
def test_a_wrong_request_is_refused_with_a_reason(emb, req):
    call = emb.hub.ask("embed", req).wait()
    assert call.code == 22 and call.head["text"]


def test_asked_dimensions_are_kept(emb):
    assert emb.hub.embed("a", dims=100).wait().rep["dims"] == 100


def test_an_answer_quotes_verbatim_with_marks_and_streams(emb):
    before = emb.stat('chat_answers_total{source="builtin"}')
    c = emb.hub.chat("How many database connections are kept open?", [("Other", "Rain is expected."), GUIDE]).wait()
    assert c.code == 0 and c.rep["model"] == "builtin-extractive-v1"
    assert c.rep["text"].startswith("The store keeps ten database connections open. [2]")
    assert "".join(c.parts) == c.rep["text"] and len(c.parts) >= 1
    assert not c.rep.get("refused") and not c.rep.get("degraded")
    assert emb.stat('chat_answers_total{source="builtin"}') - before == 1


def test_nothing_to_the_point_is_refused_with_the_given_text(emb):
    before = emb.stat("chat_refused_total")
    c = emb.hub.chat("Who wrote the opera about penguins?", [GUIDE], refusal="Not in here.").wait()
    assert c.code == 0 and c.rep["text"] == "Not in here." and c.rep["refused"] is True
    assert emb.stat("chat_refused_total") - before == 1


def test_sigterm_ends_it_with_exit_code_0_within_a_second():
    e = Embedder(EMBEDDER_ROLE="embed")
    assert set(e.hub.offers) == {"embed"}
    assert e.terminate() == 0
    assert any(cmd == 6 for cmd, _ in e.hub.commands) or wait_for(lambda: any(cmd == 8 for cmd, _ in e.hub.commands))
    e.close()


def test_questions_are_cached_and_documents_are_not_when_the_model_is_free():
    r = Redis()
    try:
        e = Embedder(REDIS_URL=r.url)
        e.hub.embed("a question").wait()
        e.hub.embed("a document", documents=True).wait()
        keys = r.client.keys("fn:e:*")
        assert len(keys) == 1 and keys[0].startswith(b"fn:e:builtin-ngram-v2:384:")
        assert 86390 <= r.client.ttl(keys[0]) <= 86400
        again = e.hub.embed("a question").wait()
        assert again.rep["cached"] == 1
        e.close()
    finally:
        r.close()
