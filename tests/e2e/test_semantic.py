"""Answers of near-identical questions (SEMANTIC_CACHE): who gets one, what sets questions apart, when it is gone, and how checks switch it off. Over
two gateways, with a model server that counts and whose vectors are like where words are."""
import time

import pytest

from corpus_kit import add_corpus, check_problem
from flight_kit import crowd, paid, spent, start_all
from shared_kit import Houses, by_mcp, by_query, by_stream, by_v1, explain
from suite import ADMIN_KEY, new_session, wait_for
from test_flight import answers, join_all
from test_shared import COLLECTIONS, ask, chats, erase_conversation, erase_session, keys_of, put

ENV = {"ANONYMOUS_COLLECTIONS": "docs", "SEMANTIC_CACHE": "on", "SEMANTIC_CACHE_THRESHOLD": "0.3", "SEMANTIC_CACHE_CHECK": "0"}
GATEWAYS = ("gateway", "gateway.2")
numbers = iter(range(100, 10**6))


@pytest.fixture(scope="module")
def two():
    with Houses(env=ENV) as s:
        s.documents = add_corpus(s)
        s.chat = s.make_key(["chat"])["key"]
        put(s, cache_scope="semantic")
        yield s
        assert not s.down()


@pytest.fixture(autouse=True)
def clean(request):
    if "two" in request.fixturenames:
        request.getfixturevalue("two").stub.reset()


def pair():
    """(a question, the same one in other words, its number)."""
    n = next(numbers)
    return f"Which oil does the lamp number {n} of Varnholm burn?", f"Hi, could you tell me what oil the lamp number {n} of Varnholm burns please?", n


def count(s, name, **labels):
    return sum(s.metrics(g).value("query_cache_semantic" + name, **labels) for g in GATEWAYS)


# ---- who gets it
def test_a_near_question_gets_the_answer_as_its_own_at_another_gateway(two):
    question, near, _ = pair()
    first, other = new_session(), new_session()
    a = ask(two, question, first)
    chat, hits = chats(two), count(two, "_total", outcome="hit")
    r = two.send(1, "POST", "/api/v1/chat/query", json={"question": near, "session_id": other})
    b = r.json()
    assert r.headers["X-Cache"] == "semantic" and b["cached"] == "semantic" and b["saved"] == "yes" and b["answer"] == a["answer"]
    assert chats(two) == chat and count(two, "_total", outcome="hit") == hits + 1
    assert not {a["message_id"], a["conversation_id"]} & {b["message_id"], b["conversation_id"]}
    # what the other one asked is shown to nobody
    items = two.history(other)["items"]
    assert [m["content"] for m in items] == [near, a["answer"]] and items[1]["cached"] == "query"
    assert question not in r.text and question not in str(explain(two, other, b["message_id"]))
    # it stays the other one's: a third session finds it the same way, and nothing was kept under the near question
    assert len(keys_of(two, other)) == 0 and ask(two, near, other)["cached"] == "semantic"
    assert ask(two, question)["cached"] == "query"


def test_of_many_who_ask_the_same_at_once_one_looks_for_near_answers(two):
    question, near, _ = pair()
    answers(two)
    before, looks = paid(two), count(two, "_total", outcome="miss")
    askers = start_all(crowd(two, 20, question))
    join_all(askers)
    assert count(two, "_total", outcome="miss") - looks == 1
    assert spent(two, before) == (1, 1) and [a.answer["cached"] for a in askers].count("none") == 1
    before = paid(two)
    askers = start_all(crowd(two, 20, near))
    join_all(askers)
    # a look that Redis is too slow for, on a machine that has too much to do, is given up: that one asks anew
    assert spent(two, before)[0] <= 1 and [a.answer["cached"] for a in askers].count("semantic") >= 19


@pytest.mark.parametrize("way", (by_query, by_stream))
def test_streams_have_it_too(two, way):
    question, near, _ = pair()
    a = ask(two, question)
    status, answer, cached = way(two, 1, None, near, new_session(), "docs")
    assert (status, answer, cached) == (200, a["answer"], "semantic")


@pytest.mark.parametrize("way", (by_v1, by_mcp))
def test_dialects_have_it_among_themselves(two, way):
    question, near, _ = pair()
    assert by_v1(two, 0, two.chat, question, new_session(), "docs")[2] == "none"
    status, answer, cached = way(two, 1, two.chat, near, new_session(), "docs")
    assert status == 200 and answer and cached == "semantic"


# ---- what sets questions apart
@pytest.mark.parametrize("gate, typed", (
    ("number", "Which oil does the lamp number {}0 of Varnholm burn?"),
    ("name", "Which oil does the lamp number {} of Varnheim burn?"),
    ("negation", "Which oil does the lamp number {} of Varnholm not burn?"),
    ("quantity", "Which oil does the last lamp number {} of Varnholm burn?"),
    ("wish", "When does the oil lamp number {} of Varnholm burn?"),
    ("wish", "Why which oil does the lamp number {} of Varnholm burn?"),
    ("order", "Which lamp does the oil number {} of Varnholm burn?"),
    ("words", "Which oil does the lamp number {} of Varnholm store?")))
def test_a_question_that_is_only_like_it_is_answered_anew(two, gate, typed):
    question, _, n = pair()
    ask(two, question)
    chat, refused = chats(two), sum(count(two, "_refused_total", gate=g) for g in ("number", "name", "negation", "quantity", "wish", "order", "words"))
    assert ask(two, typed.format(n), i=1)["cached"] == "none" and chats(two) == chat + 1
    assert sum(count(two, "_refused_total", gate=g) for g in ("number", "name", "negation", "quantity", "wish", "order", "words")) > refused, gate


def test_another_language_is_answered_anew(two):
    question, near, n = pair()
    ask(two, question)
    chat = chats(two)
    assert ask(two, f"Welches Öl brennt die Lampe number {n} of Varnholm?")["cached"] == "none" and chats(two) == chat + 1


@pytest.mark.parametrize("fields", ({"page_context": "The page is about oil."}, {"filter": {"lang": "en"}}, {"new_conversation": True}, {"top_k": 3}, {"chapter": "The lamp"}))
def test_a_question_that_more_than_its_text_shapes_is_answered_anew(two, fields):
    question, near, _ = pair()
    ask(two, question)
    assert ask(two, near, **fields)["cached"] == "none"
    assert ask(two, near)["cached"] in ("semantic", "query")


# ---- whose it is
def test_a_key_with_fewer_rights_and_a_reader_without_a_key_have_none_of_each_others(two):
    question, near, _ = pair()
    only = two.make_key(["chat"], collections=["docs"])["key"]
    ask(two, question, key=two.chat)
    assert ask(two, near, key=only)["cached"] == "none"
    assert ask(two, near)["cached"] == "none"
    assert ask(two, near, key=two.make_key(["chat"])["key"])["cached"] == "semantic"


def test_tenants_and_collections_have_none_of_each_others(two):
    foreign = two.make_key(["chat", "ingest", "admin"], tenant="vessels")["key"]
    for n, (key, collection) in enumerate(((ADMIN_KEY, "docs"), (foreign, "docs"), (foreign, "others"))):
        two.ingest(f"# Vessels\n\nThe vessel of the house holds {n}77 litres.\n", "vessel", key=key, collection=collection)
        put(two, collection, key=key, cache_scope="semantic")
        got = [ask(two, q, key=key, collection=collection) for q in ("How many litres does the vessel of the house hold?", "please tell me how many litres the vessel of the house holds")]
        assert all(f"holds {n}77 litres" in a["answer"] for a in got) and [a["cached"] for a in got] == ["none", "semantic"]


def test_a_collection_decides_for_itself(two):
    two.ingest("# Masts\n\nThe mast is 14 metres high.\n", "mast", collection="masts")
    of = lambda scope: [put(two, "masts", cache_scope=scope), *(ask(two, q, key=two.chat, collection="masts")["cached"] for q in ("How high is the mast of the ship?", "how high is the ship's mast"))][1:]
    assert [of("semantic"), of("collection"), of("session"), of(None)] == [["none", "semantic"]] + [["none", "none"]] * 3
    check_problem(two.request("PUT", COLLECTIONS + "masts", key=ADMIN_KEY, json={"cache_scope": "near"}), 422, "validation")


# ---- when it is gone
def test_a_changed_document_or_setting_ends_it_within_250_ms(two):
    two.ingest("# Sails\n\nThe sail has 11 square metres.\n", "sail", collection="sails")
    put(two, "sails", cache_scope="semantic")
    asked = ("How many square metres does the sail have?", "please tell me how many square metres the sail has")
    of = lambda i, q: ask(two, q, key=two.chat, collection="sails", i=i)
    assert [of(0, asked[0])["cached"], of(1, asked[1])["cached"]] == ["none", "semantic"]
    for n, change in enumerate((lambda: two.ingest("# Sails\n\nThe sail has 12 square metres.\n", "sail", collection="sails"),
                                lambda: two.request("PUT", COLLECTIONS + "sails", key=ADMIN_KEY, json={"cache_scope": "semantic", "prompt": "Be brief."}))):
        change()
        time.sleep(.25)
        a = of(n, asked[1])
        assert a["cached"] == "none" and "has 12 square metres" in a["answer"], n
        wait_for("kept again", lambda: of(1, asked[0])["cached"] in ("semantic", "query"))


@pytest.mark.parametrize("erase", (erase_session, erase_conversation))
def test_an_erased_answer_is_given_to_nobody(two, erase):
    question, near, _ = pair()
    first = new_session()
    a = ask(two, question, first)
    assert ask(two, near, i=1)["cached"] == "semantic"
    texts = [k for k in keys_of(two, first) if question.encode() in (two.redis.client().get(k) or b"")]
    assert len(texts) == 1    # what was asked stands in one place, which goes with the session
    assert erase(two, first, a).status_code == 204
    time.sleep(.25)
    assert two.redis.client().exists(*texts) == 0
    chat = chats(two)
    assert ask(two, near, i=1)["cached"] == "none" and chats(two) == chat + 1


def test_what_redis_did_not_hear_of_is_not_given_either(two):
    question, near, _ = pair()
    r, first = two.redis.client(), new_session()
    a = ask(two, question, first)
    kept = {k: r.get(k) for k in keys_of(two, first)}
    gone = count(two, "_total", outcome="gone")
    assert erase_session(two, first, a).status_code == 204
    for k, v in kept.items():
        r.set(k, v, ex=600)
    assert ask(two, near)["cached"] == "none" and count(two, "_total", outcome="gone") == gone + 1


def test_a_ring_that_is_damaged_or_leads_elsewhere_leads_to_nothing(two):
    question, near, _ = pair()
    foreign, _, _ = pair()
    r = two.redis.client()
    before = set(r.keys("fn:q:*"))
    ask(two, foreign, top_k=3)
    other = [k for k in set(r.keys("fn:q:*")) - before if foreign.encode() in r.get(k)]
    ask(two, question)
    for ring in r.keys("fn:sr:*"):
        if ring.endswith(b":n"):
            continue
        value, size = r.get(ring), 16 + 256
        assert len(value) % size == 0
        # each record leads to the answer of another kind of question
        r.set(ring, b"".join(bytes.fromhex(other[0].decode().rsplit(":", 1)[1]) + value[i + 16:i + size] for i in range(0, len(value), size)), ex=600)
    assert ask(two, near)["cached"] == "none"
    for ring in r.keys("fn:sr:*"):
        if not ring.endswith(b":n"):
            r.set(ring, b"\x00\xff" * 999, ex=600)
    question, near, _ = pair()
    assert ask(two, near)["cached"] == "none"


# ---- checks
def test_checks_that_find_other_sources_switch_it_off_until_the_epoch_changes():
    env = {**ENV, "SEMANTIC_CACHE_CHECK": "1", "SEMANTIC_CACHE_WINDOW": "4", "SEMANTIC_CACHE_BUDGET": "30"}
    with Houses(env=env) as s:
        s.documents = add_corpus(s)
        put(s, cache_scope="semantic")
        question, near, _ = pair()
        ask(s, question)
        # two that agree: each is answered anew, and near answers stay on
        for i in range(2):
            assert ask(s, near, i=i)["cached"] == "none"
            s.redis.client().delete(*[k for k in s.redis.client().keys("fn:q:*") if near.encode() in s.redis.client().get(k)])
        assert count(s, "_checks_total", outcome="agree") == 2 and count(s, "_total", outcome="checked") == 2
        # two that do not: what the model says then cites nothing
        for i in range(2):
            s.stub.reset()
            ask(s, f"Which oil does the lamp number {i} of Varnholm burn?")
            s.stub.script({"route": "chat", "times": 1, "text": "Nothing of that is said."})
            ask(s, f"please tell me what oil the lamp number {i} of Varnholm burns", i=i)
        assert count(s, "_checks_total", outcome="differ") == 2
        wait_for("one gateway has said so", lambda: count(s, "_total", outcome="switched_off") == 1)
        off = count(s, "_total", outcome="off")
        for i in range(2):    # at both gateways
            ask(s, f"Hello, what oil does the lamp number {i} of Varnholm burn?", i=i)
        assert count(s, "_total", outcome="off") == off + 2
        assert len([line for g in GATEWAYS for line in s.services[g].log_lines() if "near-identical questions are off" in str(line)]) == 1
        put(s, cache_scope="semantic")    # the operator says so: the epoch moves
        ask(s, question)
        ask(s, near, i=1)
        assert count(s, "_checks_total", outcome="agree") == 3
        assert not s.down()
