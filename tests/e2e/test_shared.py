"""Answers that sessions share (QUERY_CACHE_SCOPE, cache_scope of a collection): who gets another session's answer, as whose it is
stored, what keeps it from being given, and when it is gone. Over two gateways, with a model server that counts."""
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from corpus_kit import Q_BREAD, Q_PUMP, add_corpus, check_problem, check_sources
from shared_kit import Houses, Stream, by_mcp, by_query, by_stream, by_v1, explain, given_late
from suite import ADMIN_KEY, SANITIZED, new_session, parse_events, wait_for

COLLECTIONS = "/api/v1/collections/"
fresh_text = (f"Which oil does the lamp number {n} of Varnholm burn and for how many nautical miles is it visible?" for n in range(10**6))


def put(s, name="docs", key=ADMIN_KEY, **fields):
    r = s.request("PUT", COLLECTIONS + name, key=key, json=fields)
    assert r.status_code == 200, r.text
    seen = r.json()["epoch"]
    wait_for("both gateways know", lambda: all(s.metrics(g).value("change_feed_seq") >= seen for g in ("gateway", "gateway.2")))
    wait_for("the index, too: what it has not seen is not cached", lambda: s.metrics("retriever").value("retriever_feed_seq") >= seen)
    return r.json()


@pytest.fixture(scope="module")
def two():
    with Houses(env={"ANONYMOUS_COLLECTIONS": "docs"}) as s:
        s.documents = add_corpus(s)
        s.chat = s.make_key(["chat"])["key"]
        put(s, cache_scope="collection")
        yield s
        assert not s.down()


@pytest.fixture(autouse=True)
def clean(two):
    two.stub.reset()


def chats(s):
    return s.stub.stats()["chat"]


def ask(s, question, session=None, i=0, key=None, headers=None, **fields):
    r = s.send(i, "POST", "/api/v1/chat/query", key, headers, json={"question": question, "session_id": session or new_session(), **fields})
    assert r.status_code == 200, r.text
    return r.json()


def asked(s, question, **kw):
    """(answer of a first session, that session)."""
    session = new_session()
    return ask(s, question, session, **kw), session


def history(s, session, key=None):
    return s.history(session, key=key)["items"]


def keys_of(s, session):
    return s.redis.client().smembers("fn:qs:" + hashlib.sha256(session.encode()).hexdigest())


# ---- who gets it
def test_another_session_gets_the_answer_as_its_own(two):
    question, other = next(fresh_text), new_session()
    a, first = asked(two, question)
    paid = two.stub.stats()
    r = two.send(1, "POST", "/api/v1/chat/query", json={"question": question, "session_id": other})
    b = r.json()
    assert r.headers["X-Cache"] == "hit" and b["cached"] == "query" and b["saved"] == "yes" and b["answer"] == a["answer"]
    assert [two.stub.stats()[k] for k in ("chat", "embeddings")] == [paid[k] for k in ("chat", "embeddings")]
    assert b["usage"]["prompt_tokens"] == 0 and b["grounded"] is True and b["confidence"] == a["confidence"]
    assert not {a["message_id"], a["conversation_id"]} & {b["message_id"], b["conversation_id"]}
    assert [x["content_excerpt"] for x in a["sources"]] == [x["content_excerpt"] for x in b["sources"]]
    assert not {x["id"] for x in a["sources"]} & {x["id"] for x in b["sources"]}
    check_sources(two, b, key=ADMIN_KEY)
    items = history(two, other)
    assert [m["content"] for m in items] == [question, a["answer"]] and items[1]["id"] == b["message_id"] and items[1]["cached"] == "query"
    assert items[0]["conversation_id"] == b["conversation_id"] and [x["id"] for x in items[1]["sources"]] == [x["id"] for x in b["sources"]]
    for session, found, of in ((other, 200, b), (first, 200, a), (other, 404, a), (first, 404, b)):
        r = two.send(0, "GET", "/api/v1/citations/" + of["sources"][0]["id"], headers={"X-Session-ID": session})
        assert r.status_code == found, r.text
    # and it may go on with it
    assert ask(two, "And how far?", other, conversation_id=b["conversation_id"])["conversation_id"] == b["conversation_id"]
    chat = chats(two)
    again = ask(two, question, other)
    assert again["cached"] == "query" and again["saved"] == "queued" and again["sources"] == b["sources"] and chats(two) == chat


def test_a_link_of_a_shared_answer_is_the_askers_own(two):
    question = "What is the pump P-77 primed with, as its manual says it first?"
    links = [ask(two, question)["sources"][0]["link"] for _ in range(2)]
    assert links[0] != links[1]
    for link in links:
        at = link[link.index("/s/"):].split("#")[0]
        assert two.send(0, "GET", at).status_code == 200, link
        assert two.send(0, "GET", at[:-1] + ("0" if at[-1] != "0" else "1")).status_code == 404


@pytest.mark.parametrize("typed", ("which oil does the lamp number {} of Varnholm burn and for how many nautical miles is it visible",
                                   "Which  oil does the lamp number {}\nof varnholm burn and for how many nautical miles is it visible??"))
def test_a_question_that_is_typed_a_little_differently_is_the_same(two, typed):
    question = next(fresh_text)
    a, _ = asked(two, question)
    chat = chats(two)
    b = ask(two, typed.format(question.split("number ")[1].split()[0]))
    assert b["cached"] == "query" and b["answer"] == a["answer"] and chats(two) == chat


@pytest.mark.parametrize("first", (by_query, by_stream, by_v1, by_mcp))
def test_it_goes_from_each_way_of_asking_to_those_that_ask_alike(two, first):
    """The chat API's answers and streams share; so do the dialects, whose prompts are another kind."""
    question = next(fresh_text)
    first(two, 0, two.chat, question, new_session(), "docs")
    chat = chats(two)
    for way in (by_query, by_stream) if first in (by_query, by_stream) else (by_v1, by_mcp):
        if way is first is by_mcp:
            continue    # its session is the key's and the question's: the same one
        status, answer, cached = way(two, 1, two.chat, question, new_session(), "docs")
        assert status == 200 and answer and cached in ("query", "hit"), (way, answer, cached)
    assert chats(two) == chat


def test_a_resumable_stream_of_it_is_kept_as_any_other(two):
    question, session = next(fresh_text), new_session()
    a, _ = asked(two, question)
    r = two.send(0, "POST", "/api/v1/chat/stream", json={"question": question, "session_id": session, "resumable": True})
    r.encoding = "utf-8"
    events = parse_events(r.text)
    assert [e.kind for e in events] == ["meta", "sources", "delta"] + ["citation"] * len(a["sources"]) + ["done"], events
    assert events[0].data["resumable"] is True and events[1].data["sources"] == events[-1].data["sources"]
    again = two.send(1, "GET", "/api/v1/chat/stream/" + events[0].data["message_id"], headers={"X-Session-ID": session, "Last-Event-ID": events[0].id})
    again.encoding = "utf-8"
    assert [(e.kind, e.data) for e in parse_events(again.text)] == [(e.kind, e.data) for e in events[1:]]


def test_an_idempotency_key_gets_the_same_copy_again(two):
    question, session, key = next(fresh_text), new_session(), {"Idempotency-Key": "shared-" + new_session()}
    asked(two, question, key=two.chat)
    chat = chats(two)
    b = ask(two, question, session, key=two.chat, headers=key)
    again = ask(two, question, session, key=two.chat, headers=key, i=1)
    assert b["cached"] == "query" and again == b and chats(two) == chat and len(history(two, session, two.chat)) == 2


def at_once(s, n, question, **kw):
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: s.send(0, "POST", "/api/v1/chat/query", json={"question": question, "session_id": new_session()}, **kw), range(n)))


def test_of_one_question_asked_many_times_at_once_one_answer_is_made(two):
    question, paid = next(fresh_text), two.stub.stats()
    two.stub.script({"route": "chat", "delay_ms": 1000})
    got = [r.json() for r in at_once(two, 24, question)]
    assert sorted(a["cached"] for a in got) == ["none"] + ["query"] * 23 and len({a["answer"] for a in got}) == 1
    assert len({a["message_id"] for a in got}) == len({a["conversation_id"] for a in got}) == 24
    assert [two.stub.stats()[k] - paid[k] for k in ("chat", "embeddings")] == [1, 1]
    assert two.metrics("gateway").value("query_cache_shared_total", outcome="waited") >= 23


def test_who_waits_for_an_answer_that_fails_asks_for_himself(two):
    question = next(fresh_text)
    two.stub.script({"route": "chat", "delay_ms": 1000, "status": 400, "times": 1})
    got = [r.status_code for r in at_once(two, 6, question)]
    assert got.count(200) == 5 and sum(c >= 500 for c in got) == 1, got


def test_hits_are_counted_by_scope(two):
    count = lambda **labels: two.metrics("gateway").value("query_cache_hits_total", **labels)
    own, others, dollars = count(scope="session"), count(scope="collection"), two.metrics("gateway").value("cache_saved_dollars_total", cache="query")
    question, session = next(fresh_text), new_session()
    asked(two, question)
    ask(two, question, session)
    ask(two, question, session)
    assert (count(scope="session") - own, count(scope="collection") - others) == (1, 1)
    assert two.metrics("gateway").value("cache_saved_dollars_total", cache="query") > dollars


# ---- who does not
@pytest.mark.parametrize("fields", ({"page_context": "The page is about oil."}, {"filter": {"lang": "en"}}, {"new_conversation": True}, {"top_k": 3},
                                    {"selected_text": "The lamp burns colza oil", "chapter": "The lamp"}, {"chapter": "The lamp"}))
def test_a_question_that_more_than_its_text_shapes_is_answered_anew(two, fields):
    question = next(fresh_text)
    asked(two, question)
    chat = chats(two)
    assert ask(two, question, **fields)["cached"] == "none" and chats(two) == chat + 1
    if "top_k" not in fields:    # which is in the key: it shares with its like
        assert ask(two, question, **fields)["cached"] == "none" and chats(two) == chat + 2
    assert ask(two, question)["cached"] == "query"


def test_a_turn_of_a_conversation_and_a_request_without_the_cache_are_answered_anew(two):
    question, session = next(fresh_text), new_session()
    asked(two, question)
    conversation = ask(two, Q_BREAD, session)["conversation_id"]
    chat = chats(two)
    assert ask(two, question, session, conversation_id=conversation)["cached"] == "none"
    r = two.send(0, "POST", "/api/v1/chat/query", headers={"Cache-Control": "no-cache"}, json={"question": question, "session_id": new_session()})
    assert r.json()["cached"] == "none" and r.headers["X-Cache"] == "bypass" and chats(two) == chat + 2
    # nor is what they are told given to others
    only = next(fresh_text)
    ask(two, only, session, conversation_id=conversation)
    two.send(0, "POST", "/api/v1/chat/query", headers={"Cache-Control": "no-cache"}, json={"question": only, "session_id": new_session()})
    assert ask(two, only)["cached"] == "none"


def test_what_the_dialect_adds_to_the_prompt_leads_to_another_answer(two):
    question = next(fresh_text)

    def chat(*before, **more):
        r = two.send(0, "POST", "/v1/chat/completions", two.chat, headers={"X-Session-ID": new_session()},
                     json={"model": "rag:docs", "messages": [*before, {"role": "user", "content": question}], **more})
        assert r.status_code == 200, r.text
        return r.json()["rag"]["cached"]
    system = {"role": "system", "content": "Be brief."}
    assert [chat(), chat()] == ["none", "query"]
    assert [chat(system), chat(system)] == ["none", "query"]
    assert [chat(temperature=.7), chat(temperature=.7)] == ["none", "query"]
    assert chat({"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello!"}) == "none"


def test_a_key_with_fewer_rights_and_a_reader_without_a_key_have_answers_of_their_own(two):
    question = next(fresh_text)
    only = two.make_key(["chat"], collections=["docs"])["key"]
    assert ask(two, question, key=two.chat)["cached"] == "none"
    assert ask(two, question, key=only)["cached"] == "none" and ask(two, question, key=only)["cached"] == "none"
    assert ask(two, question)["cached"] == "none" and ask(two, question)["cached"] == "query"
    assert ask(two, question, key=two.make_key(["chat"])["key"])["cached"] == "query"


def test_tenants_and_collections_share_nothing(two):
    question = "How many litres does the vessel of the house hold?"
    foreign = two.make_key(["chat", "ingest", "admin"], tenant="vessels")["key"]
    for n, (key, collection) in enumerate(((ADMIN_KEY, "docs"), (foreign, "docs"), (foreign, "others"))):
        two.ingest(f"# Vessels\n\nThe vessel of the house holds {n}77 litres.\n", "vessel", key=key, collection=collection)
        put(two, collection, key=key, cache_scope="collection")
        for _ in range(2):
            assert f"holds {n}77 litres" in ask(two, question, key=key, collection=collection)["answer"]
    assert ask(two, question, key=foreign, collection="others")["cached"] == "query"


def test_a_collection_decides_for_itself_and_without_it_the_deployment(two):
    two.ingest("# Masts\n\nThe mast is 14 metres high.\n", "mast", collection="masts")
    question, of = "How high is the mast?", lambda: ask(two, question, key=two.chat, collection="masts")["cached"]
    assert two.request("GET", COLLECTIONS + "masts", key=ADMIN_KEY).json()["cache_scope"] is None
    assert [of(), of()] == ["none", "none"]
    assert put(two, "masts", cache_scope="collection")["cache_scope"] == "collection"
    assert [of(), of()] == ["none", "query"]
    assert put(two, "masts", cache_scope="session")["cache_scope"] == "session"
    assert [of(), of()] == ["none", "none"]
    for bad in ("everybody", "", 7):
        r = two.request("PUT", COLLECTIONS + "masts", key=ADMIN_KEY, json={"cache_scope": bad})
        check_problem(r, 422, "validation")


# ---- when it is another answer
def test_a_changed_document_prompt_model_or_language_ends_it_within_250_ms(two):
    two.ingest("# Sails\n\nThe sail has 11 square metres.\n", "sail", collection="sails")
    scope = {"cache_scope": "collection"}
    put(two, "sails", **scope)
    question = "How many square metres does the sail have?"
    of = lambda i: ask(two, question, key=two.chat, collection="sails", i=i)
    assert [of(0)["cached"], of(1)["cached"]] == ["none", "query"]
    for n, change in enumerate((lambda: two.ingest("# Sails\n\nThe sail has 12 square metres.\n", "sail", collection="sails"),
                                lambda: two.request("PUT", COLLECTIONS + "sails", key=ADMIN_KEY, json={**scope, "prompt": "Be brief."}),
                                lambda: two.request("PUT", COLLECTIONS + "sails", key=ADMIN_KEY, json={**scope, "model": "gpt-4o"}),
                                lambda: two.request("PUT", COLLECTIONS + "sails", key=ADMIN_KEY, json={**scope, "language": "de"}),
                                lambda: two.request("PUT", COLLECTIONS + "sails", key=ADMIN_KEY, json={**scope, "threshold": .01}))):
        change()
        time.sleep(.25)
        a = of(n % 2)
        assert a["cached"] == "none" and "has 12 square metres" in a["answer"], n
        wait_for("kept again", lambda: of(1)["cached"] == "query")
    two.request("DELETE", "/api/v1/documents/" + two.request("GET", "/api/v1/documents", key=ADMIN_KEY, params={"collection": "sails"}).json()["items"][0]["document_id"], key=ADMIN_KEY)
    time.sleep(.25)
    assert of(0)["cached"] == of(1)["cached"] == "none" and not of(1)["grounded"]


# ---- when it is erased
def erase_session(s, session, a):
    return s.send(0, "DELETE", "/api/v1/sessions/" + session)


def erase_conversation(s, session, a):
    return s.send(1, "DELETE", "/api/v1/conversations/" + a["conversation_id"], headers={"X-Session-ID": session})


@pytest.mark.parametrize("erase", (erase_session, erase_conversation))
def test_an_erased_answer_is_given_to_nobody_after_250_ms_and_copies_stay(two, erase):
    question, other = next(fresh_text), new_session()
    a, first = asked(two, question)
    b = ask(two, question, other)
    shared = keys_of(two, first)
    assert len(shared) == 2 and len(keys_of(two, other)) == 1 and b["cached"] == "query"
    assert erase(two, first, a).status_code == 204
    time.sleep(.25)
    assert two.redis.client().exists(*shared) == 0
    assert ask(two, question, i=1)["cached"] == "none"
    # who was told it before keeps it, with its citations and how it came about
    items = history(two, other)
    assert [m["content"] for m in items] == [question, a["answer"]] and ask(two, question, other)["cached"] == "query"
    assert two.send(0, "GET", "/api/v1/citations/" + b["sources"][0]["id"], headers={"X-Session-ID": other}).status_code == 200
    e = explain(two, other, b["message_id"])
    assert e["cache"]["message_id"] is None and e["cache"]["age_seconds"] >= 0 and e["trace"]["retrieval"]["collection"] == "docs"
    for word in (a["message_id"], a["conversation_id"], first):
        assert word not in json.dumps([items, e])
        for table in ("messages", "citations", "conversations"):
            assert two.sql(f"select count(*) from {table} t where t::text like %s", (f"%{word}%",)) == [(0,)], (table, word)


def test_all_of_a_users_answers_go_with_the_user(two):
    question, user, session = next(fresh_text), "shared-" + new_session(), new_session()
    two.send(0, "POST", "/api/v1/sessions", two.chat, json={"session_id": session, "user_id": user})
    ask(two, question, session, key=two.chat)
    assert ask(two, question, key=two.chat)["cached"] == "query"
    assert two.send(0, "DELETE", "/api/v1/users/" + user, two.chat).status_code == 204
    assert ask(two, question, key=two.chat, i=1)["cached"] == "none"


def test_what_redis_did_not_hear_of_is_not_given_either(two):
    """The store says whether an answer still stands: what stands in Redis is not enough."""
    question, r = next(fresh_text), two.redis.client()
    a, first = asked(two, question)
    kept = {k: r.get(k) for k in keys_of(two, first)}
    gone = lambda: sum(two.metrics(g).value("query_cache_shared_total", outcome="gone") for g in ("gateway", "gateway.2"))
    before = gone()
    assert erase_session(two, first, a).status_code == 204
    for k, v in kept.items():
        r.set(k, v, ex=600)
    assert ask(two, question)["cached"] == "none" and gone() == before + 1
    assert ask(two, question)["cached"] == "query"    # the answer that was made then


def test_who_has_a_copy_takes_nothing_away_from_others(two):
    question, other = next(fresh_text), new_session()
    asked(two, question)
    b = ask(two, question, other)
    assert erase_session(two, other, b).status_code == 204
    assert ask(two, question, i=1)["cached"] == "query"


@pytest.mark.skipif(SANITIZED, reason="holds 250 ms")
def test_at_no_moment_is_an_erased_answer_given_later_than_250_ms(two):
    with ThreadPoolExecutor(4) as pool:
        late = list(pool.map(lambda n: given_late(two, next(fresh_text), n), range(60)))
    assert not any(late), "\n".join(filter(None, late))


def test_a_revoked_key_gets_no_shared_answer(two):
    question, k = next(fresh_text), two.make_key(["chat"])
    ask(two, question, key=two.chat)
    wait_for("both know it", lambda: two.send(1, "GET", "/v1/models", k["key"]).status_code == 200)
    assert ask(two, question, key=k["key"], i=1)["cached"] == "query"
    assert two.request("DELETE", "/api/v1/keys/" + k["id"], key=ADMIN_KEY).status_code == 204
    time.sleep(.25)
    for i in range(2):
        assert two.send(i, "POST", "/api/v1/chat/query", k["key"], json={"question": question, "session_id": new_session()}).status_code == 401


# ---- whose it is
def test_each_rates_its_own_copy(two):
    question, other = next(fresh_text), new_session()
    a, first = asked(two, question)
    b = ask(two, question, other)
    rate = lambda session, of, rating: two.send(0, "POST", f"/api/v1/messages/{of['message_id']}/feedback", headers={"X-Session-ID": session}, json={"rating": rating}).status_code
    assert [rate(other, a, "down"), rate(first, b, "down"), rate(other, b, "down"), rate(first, a, "up")] == [404, 404, 204, 204]
    assert [history(two, s)[1]["feedback"]["rating"] for s in (first, other)] == ["up", "down"]


def test_a_value_of_another_question_or_a_damaged_one_is_not_given(two):
    r, question, another = two.redis.client(), next(fresh_text), Q_PUMP
    shared = {}
    for q in (question, another):
        _, session = asked(two, q)
        own = {k for k in keys_of(two, session)}
        before = {k: r.get(k) for k in own}
        shared[q] = next(k for k, v in before.items() if b"\x00\x00\x00\x00" == v[84:88])   # it has no answer as JSON
    r.set(shared[question], r.get(shared[another]), ex=600)
    a = ask(two, question)
    assert a["cached"] == "none" and "E14" not in a["answer"]
    good = r.get(shared[question])
    r.set(shared[question], good[:-3] + b"\x00\x00\x00", ex=600)
    assert ask(two, question)["cached"] == "none"
    assert ask(two, question)["cached"] == "query"


@pytest.mark.skipif(SANITIZED, reason="holds 250 ms")
@pytest.mark.limit(120)
def test_of_a_stream_of_questions_none_is_answered_that_another_answer_belongs_to():
    with Houses() as s:
        stream = Stream(s, machines=15).run()
        assert not stream.wrong, "\n".join(stream.wrong[:20])
        assert stream.asked == 400 and stream.hits > 60 and stream.refused < 60, (stream.asked, stream.hits, stream.refused)
        assert not s.down()
