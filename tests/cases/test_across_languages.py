"""A question in one language over documents in another, found by meaning: a model server whose vectors say what a text is
about and not in which language, as multilingual models' do; own passages in Russian, German and Japanese, questions in English."""
import json
import math
import os
import random

import pytest

from dialect_kit import Server
from suite import Suite, new_session

HERE = os.path.dirname(os.path.abspath(__file__))
PAIRS = [json.loads(line) for line in open(os.path.join(HERE, "languages", "across.jsonl"), encoding="utf-8")]
ELSEWHERE = ["What does a ticket to Mars cost?", "Who composed the ninth symphony?", "Which enzyme breaks down lactose?",
             "How do I compile the kernel?", "What is the capital of Peru?", "When was the treaty of Utrecht signed?",
             "How many moons has Saturn?", "Why does my violin go out of tune?"]
DIMS = 96


def unit(seed, dims=DIMS):
    r = random.Random(seed)
    v = [r.gauss(0, 1) for _ in range(dims)]
    n = math.sqrt(sum(x * x for x in v))
    return [x / n for x in v]


class Meanings:
    """Vectors as a multilingual model gives them. same: the cosine of a question with its answer, about; common: what any two
    texts share (models whose vectors all point one way have .7)."""

    def __init__(self, same, common):
        self.same, self.common = same, common

    def topic(self, text):
        """(index, share of the topic): a question and the sentence that answers it are nearest, the passage's others less so."""
        for i, p in enumerate(PAIRS):
            # a passage comes with its title before it, a sentence of it under its title
            if p["question"] in text:
                return i, self.same
            if p["text"] in text or any(t in text for t in p["text"].replace("。", "。 ").replace(". ", ".|").replace("。 ", "。|").split("|")):
                return i, self.same if p["fact"] in text else self.same / 3
        return None, 0

    def __call__(self, text, dims=DIMS):
        (topic, same), own = self.topic(text), unit(text)
        share = math.sqrt(same)
        v = own if topic is None else [share * t + math.sqrt(1 - share * share) * o for t, o in zip(unit(topic), own)]
        return [math.sqrt(self.common) * c + math.sqrt(1 - self.common) * x for c, x in zip(unit("everything"), v)]


@pytest.fixture(scope="module", params=[("spread", .5, 0.0), ("narrow", .5, .7)], ids=lambda p: p[0])
def server(request):
    _, same, common = request.param
    with Server() as s:
        s.script({"route": "embed", "vectors": {"of": Meanings(same, common), "dims": DIMS}})
        yield s


def documents(suite):
    for i, p in enumerate(PAIRS):
        body = {"id": f"d{i}", "title": p["title"], "text": p["text"]}
        assert suite.request("POST", "/api/v1/documents?wait=1", json=body).status_code == 200


@pytest.fixture(scope="module")
def quoting(server):
    """Vectors of the server, answers of the suite's own."""
    env = {"EMBEDDING_PROVIDER": "openai", "CHAT_PROVIDER": "builtin", "OPENAI_BASE_URL": server.url, "EMBEDDING_MODEL": "multi-1",
           "EMBEDDING_DIM": str(DIMS), "RATE_LIMIT_REQUESTS": "100000"}
    with Suite(env=env) as s:
        documents(s)
        yield s


def test_L4_the_passage_is_found_by_its_meaning(quoting):
    wrong = [p["question"] for i, p in enumerate(PAIRS) if (got := quoting.search(p["question"])[0]["external_id"]) != f"d{i}"]
    assert len(wrong) <= .1 * len(PAIRS), wrong


def test_L4_the_question_is_answered_and_cited(quoting):
    wrong = []
    for p in PAIRS:
        a = quoting.ask(p["question"], new_session()).json()
        if not (a["grounded"] and p["fact"] in a["answer"] and a["sources"]):
            wrong.append((p["question"], a["answer"]))
    assert len(wrong) <= .2 * len(PAIRS), wrong


def test_L4_what_no_passage_means_is_refused(quoting):
    wrong = [q for q in ELSEWHERE if quoting.ask(q, new_session()).json()["grounded"]]
    assert len(wrong) <= 1, wrong


def test_L4_explain_names_both_languages(quoting):
    session = new_session()
    a = quoting.ask(PAIRS[0]["question"], session).json()
    trace = quoting.request("GET", f"/api/v1/messages/{a['message_id']}/explain", session=session).json()
    assert trace["trace"]["retrieval"]["language"] == "en", trace
    assert trace["trace"]["retrieval"]["passages"][0]["language"] == "ru", trace


def test_L4_sentences_that_cannot_be_measured_are_not_quoted(server, quoting):
    rules = [dict(r) for r in server.rules]
    quoting.redis.client().flushall()                 # their vectors were kept
    server.script({"route": "embed", "above": 1, "status": 500, "body": '{"error":{"message":"no"}}'}, *rules)
    try:
        a = quoting.ask(PAIRS[5]["question"] + " Really?", new_session())
        assert a.status_code == 200 and not a.json()["grounded"] and a.json()["sources"] == []
    finally:
        server.script(*rules)
