"""Relevance: when a model is asked, when nothing was found. A scripted model server whose vectors know meanings (texts on one matter are
near each other, whatever their words), and a chat model that repeats its first passage. R1 and its neighbours."""
import hashlib
import json
import math
import random

import pytest

import http_kit
from suite import Suite

MATTERS = [("cancel", "subscription", "membership", "mitgliedschaft", "kündig", "résili", "abonnement", "adhésion", "退会", "解約", "членств",
            "подписк"),
           ("parking", "car", "garage", "auto abstellen", "stellplatz"),
           ("refund", "money back", "reimburse"),
           ("open", "hours", "closing time")]


def vector(text):
    """The matter's axis, and a fifth as much of the text's own."""
    low, dice = text.lower(), random.Random(hashlib.sha256(text.encode()).digest())
    v = [dice.gauss(0, 0.035) for _ in range(64)]
    for i, words in enumerate(MATTERS):
        v[i] += 0.3 * any(w in low for w in words)
    norm = math.sqrt(sum(x * x for x in v))
    return [x / norm for x in v]


def narrow(text):
    """Of a model whose vectors all point one way: any two texts have a cosine of some .7."""
    text = text.removeprefix("query: ").removeprefix("passage: ")
    v = [0.84, *(0.543 * x for x in vector(text))]
    norm = math.sqrt(sum(x * x for x in v))
    return [x / norm for x in v]


class Model(http_kit.Handler):
    asked = []

    def do_POST(self):
        body = json.loads(self.body())
        if self.path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            self.answer(200, {"model": body["model"], "data": [
                {"index": i, "embedding": (narrow if "e5" in body["model"] else vector)(t)} for i, t in enumerate(texts)], "usage": {"prompt_tokens": 1, "total_tokens": 1}},
                        Content_Type="application/json")
            return
        user = body["messages"][-1]["content"]
        Model.asked.append(user)
        text = user.split("[1]", 1)[1].split("\n", 1)[1].split("\n\n")[0].strip().rstrip(".") + " [1]."
        chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        self.answer(200, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n", Content_Type="text/event-stream")


def with_model(name):
    with http_kit.Server(Model) as server, \
            Suite(service_env={"embedder": {"OPENAI_BASE_URL": server.url + "/v1", "OPENAI_API_KEY": "sk-test", "OPENAI_EMBEDDING_MODEL": name}}) as s:
        yield s


@pytest.fixture(scope="module")
def suite():
    yield from with_model("meanings")


@pytest.fixture(scope="module")
def one_way():
    yield from with_model("e5-small-v2")


def add(suite, collection, *texts):
    for i, text in enumerate(texts):
        r = suite.request("POST", "/api/v1/documents?wait=1", json={"id": f"{collection}-{i}", "title": "", "text": text,
                                                                     "collection": collection})
        assert r.status_code == 200, r.text


def ask(suite, question, collection):
    before = len(Model.asked)
    a = suite.ask(question, collection=collection).json()
    return a, len(Model.asked) > before


PAIRS = [("en", "To end your membership, write to us.", "How do I cancel my subscription?"),
         ("de", "Ihre Mitgliedschaft endet, wenn Sie uns schreiben.", "Wie kann ich mein Abonnement loswerden?"),
         ("fr", "Pour résilier, écrivez-nous.", "Comment mettre fin à mon abonnement ?"),
         ("ja", "退会するには私たちに手紙を書いてください。", "サブスクリプションを解約したい"),
         ("ru", "Чтобы прекратить членство, напишите нам.", "Как отменить подписку?"),
         ("cross", "Your car may stay in the garage.", "Wo kann ich mein Auto abstellen?")]


@pytest.mark.parametrize("code,text,question", PAIRS, ids=[p[0] for p in PAIRS])
def test_R1_a_strong_vector_alone_passes_and_the_model_is_asked(suite, code, text, question):
    add(suite, f"r1-{code}", text)
    a, asked = ask(suite, question, f"r1-{code}")
    assert asked and a["grounded"] and a["sources"][0]["content_excerpt"] in text and a["confidence"] > 0.1, a


def test_R1_among_many_passages_the_near_one_is_found_without_a_common_word(suite):
    many = [f"Leaflet {i} tells of rivers, hills and the weather of county {i}." for i in range(60)]
    add(suite, "r1-many", *many, "To end your membership, write to us.")
    a, asked = ask(suite, "How do I cancel my subscription?", "r1-many")
    assert asked and "membership" in a["answer"], a
    a, asked = ask(suite, "Can I get a reimbursement?", "r1-many")
    assert not asked and not a["sources"], a


def test_R1_nothing_near_and_no_common_word_asks_no_model(suite):
    add(suite, "r1-off", "To end your membership, write to us.")
    for question in ("Who painted the ceiling of that chapel?", "Which wine goes with salmon?"):
        a, asked = ask(suite, question, "r1-off")
        assert not asked and not a["grounded"] and a["confidence"] == 0, a


def test_R1_words_alone_pass_where_the_vector_is_weak(suite):
    add(suite, "r1-words", "The zyx-17 valve is lubricated with graphite.")
    a, asked = ask(suite, "With what is the zyx-17 valve lubricated?", "r1-words")
    assert asked and a["grounded"], a


# ---- a model whose vectors all point one way
def test_R1_a_strong_vector_passes_also_where_all_cosines_are_high(one_way):
    add(one_way, "r1-narrow", "To end your membership, write to us.")
    a, asked = ask(one_way, "How do I cancel my subscription?", "r1-narrow")
    assert asked and a["grounded"], a


@pytest.mark.parametrize("others", [0, 5, 60])
def test_R1_high_cosines_of_everything_ask_no_model(one_way, others):
    name = f"r1-narrow-{others}"
    add(one_way, name, "To end your membership, write to us.", *(f"Leaflet {i} tells of rivers and hills of county {i}." for i in range(others)))
    a, asked = ask(one_way, "Which wine goes with salmon?", name)
    assert not asked and not a["grounded"] and a["confidence"] == 0, a
    a, asked = ask(one_way, "How do I cancel my subscription?", name)
    assert asked and "membership" in a["answer"], a


# ---- after a change of model
def test_R1_what_has_no_vector_of_the_new_model_counts_by_its_words_in_full(suite):
    add(suite, "r1-half", "The zyx-18 valve is lubricated with graphite.", "The opening hours of the museum are nine to five.")
    suite.service_extra["embedder"]["OPENAI_EMBEDDING_MODEL"] = "meanings-2"
    suite.restart("embedder")
    r = suite.request("POST", "/api/v1/documents?wait=1", json={"id": "new", "title": "", "text": "The car of the director stands in the garage.", "collection": "r1-half"})
    assert r.status_code == 200, r.text
    for question, right in (("With what is the zyx-18 valve lubricated?", "graphite"), ("Which opening hours does the museum have?", "nine to five"),
                            ("Where may I leave my auto abstellen?", "garage")):
        a, asked = ask(suite, question, "r1-half")
        assert asked and right in a["sources"][0]["content_excerpt"], a
