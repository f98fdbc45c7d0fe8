"""Identical questions in flight, at any gateway, share one chat and one embedding call, streams included (docs/decisions/042): whole answers for all,
each saved as its own; a leader that dies, fails, leaves or is erased is replaced. FLIGHT_ASKERS=1000 is the long form of the first two."""
import os
import time
import uuid

import pytest

from corpus_kit import Q_NOTHING, add_corpus
from faults_kit import Run
from flight_kit import Asker, Flights, began, crowd, faults_of, flights, paid, spent, start_all
from resume_kit import words_text
from suite import ADMIN_KEY, SANITIZED, new_session, wait_for

MANY = int(os.environ.get("FLIGHT_ASKERS", "20" if SANITIZED else "100"))
LONG = MANY >= 1000
NAMES = ("gateway", "gateway.2")


@pytest.fixture(scope="module")
def two():
    with Flights(replicas={"embedder": 2}) as s:
        add_corpus(s, key=ADMIN_KEY)
        wait_for("the index has seen it", lambda: s.metrics("retriever").value("retriever_feed_seq") >= max(s.metrics(g).value("change_feed_seq") for g in NAMES))
        yield s
        assert not s.down()


@pytest.fixture(autouse=True)
def clean(two):
    two.stub.reset()
    yield
    two.stub.reset()
    for name in NAMES:
        two.start("gateway", name)
    for p in list(two.services.values()):
        two.start(p.service, p.name)
    two.wait_ready()
    two.wait_workers()


def fresh():
    return f"Which oil does the lamp number {uuid.uuid4().int % 10**9} of Varnholm burn?"


def answers(s, words=40, drip_ms=20, delay_ms=1500, **more):
    text = words_text(words)
    s.stub.script({"route": "chat", "times": 0, "text": text, "drip_ms": drip_ms, "delay_ms": delay_ms, **more})
    return text


def join_all(askers):
    for a in askers:
        a.join()


def bar(name, measured, most, ok):
    if LONG:
        run = Run("flight")
        run.bar(name, measured, most, ok)


def total_ok(name, measured, most):
    bar(name, measured, most, measured <= most)
    assert measured <= most, (name, measured)


# ---- one call for all
@pytest.mark.limit(600 if LONG else 120)
def test_of_many_identical_questions_at_two_gateways_one_is_asked(two):
    text, question, before = answers(two, delay_ms=8000 if LONG else 2500), fresh(), paid(two)
    led, followed = flights(two, "led"), flights(two, "followed")
    askers = start_all(crowd(two, MANY, question))
    join_all(askers)
    chats, embeddings = spent(two, before)
    total_ok("chat calls", chats, 1)
    total_ok("embedding calls", embeddings, 1)
    wrong = faults_of(two, askers, text)
    total_ok("answers that are not whole and saved once", len(wrong), 0)
    assert not wrong, "\n".join(wrong[:10])
    if LONG:
        print("seconds to the last answer", round(max(a.took for a in askers), 1))
    assert sorted({a.answer["cached"] for a in askers}) == ["none", "query"] and [a.answer["cached"] for a in askers].count("none") == 1
    assert flights(two, "led") - led == 1 and flights(two, "followed") - followed > MANY // 2
    assert sum(a.answer["usage"]["prompt_tokens"] > 0 for a in askers) == 1


@pytest.mark.limit(600 if LONG else 120)
def test_a_leading_gateway_that_is_killed_takes_no_follower_along(two):
    text, question, before = answers(two, 120, 180 if LONG else 40), fresh(), paid(two)
    leader = start_all([Asker(two, "stream", 0, question)])
    began(leader)
    # those at the dead gateway that cannot be resumed end with it
    resumed = start_all([Asker(two, "resumable", 0, question) for _ in range(MANY // 20)])
    askers = start_all(crowd(two, MANY, question, gateways=(1,)))
    streams = [a for a in askers + resumed if a.reader]
    wait_for("they read along", lambda: all(len(a.shown().split()) > 3 for a in streams), 60)
    two.kill("gateway")
    join_all(leader + askers + resumed)
    two.start("gateway")
    two.wait_ready()
    chats, embeddings = spent(two, before)
    total_ok("chat calls where the leading gateway is killed", chats, 2)
    total_ok("embedding calls where the leading gateway is killed", embeddings, 2)
    wrong = faults_of(two, askers + resumed, text)
    total_ok("followers without a whole answer that is saved once", len(wrong), 0)
    assert not wrong, "\n".join(wrong[:10])
    assert leader[0].answer is None


@pytest.mark.parametrize("first", ("query", "stream", "resumable"))
def test_late_comers_get_what_was_said_and_the_rest(two, first):
    text, question, before = answers(two, 60, 40, 0), fresh(), paid(two)
    leader = start_all([Asker(two, first, 0, question)])
    wait_for("it is being written", lambda: spent(two, before)[0] == 1)
    askers = start_all(crowd(two, 8, question))
    began(askers, 20)
    askers += start_all(crowd(two, 8, question))
    join_all(leader + askers)
    assert spent(two, before) == (1, 1)
    assert not (wrong := faults_of(two, leader + askers, text)), "\n".join(wrong)
    # the cache has it, for those who come later and for whoever asks again
    late = Asker(two, "query", 1, question).start().join()
    again = Asker(two, "query", 0, question, askers[0].session).start().join()
    assert late.answer["cached"] == again.answer["cached"] == "query" and spent(two, before) == (1, 1)


def test_a_refusal_without_a_passage_is_each_ones_own_and_costs_one_embedding(two):
    two.stub.script({"route": "embeddings", "times": 0, "delay_ms": 1000})
    before, question = paid(two), Q_NOTHING + " " + str(uuid.uuid4().int % 1000)
    askers = start_all(crowd(two, 8, question))
    join_all(askers)
    assert len({a.answer["answer"] for a in askers}) == 1 and not any(a.answer["grounded"] for a in askers)
    assert spent(two, before)[0] in (0, 1) and spent(two, before)[1] == 1, spent(two, before)
    for a in askers:
        assert [m["role"] for m in two.messages(a.session, 2)] == ["user", "assistant"]


# ---- another leader
def test_a_leader_that_dies_before_it_has_passages_promotes_one_follower(two):
    text, question = answers(two, delay_ms=1000), fresh()
    two.stub.script({"route": "embeddings", "times": 1, "delay_ms": 60000}, {"route": "chat", "times": 0, "text": text, "delay_ms": 1000})
    before, promoted = paid(two), flights(two, "promoted", NAMES[1:])
    leader = start_all([Asker(two, "query", 0, question)])
    wait_for("it embeds", lambda: spent(two, before)[1] == 1)
    askers = start_all(crowd(two, 12, question, gateways=(1,)))
    wait_for("they wait", lambda: two.metrics(NAMES[1]).value("query_cache_shared_total", outcome="waited") >= 12)
    two.kill("gateway")
    join_all(leader + askers)
    two.start("gateway")
    two.wait_ready()
    assert not (wrong := faults_of(two, askers, text)), "\n".join(wrong)
    assert spent(two, before)[0] == 1 and spent(two, before)[1] <= 2 and flights(two, "promoted", NAMES[1:]) == promoted + 1


def test_a_failed_answer_fails_its_leader_and_another_one_is_asked(two):
    question, text = fresh(), words_text(20)
    two.stub.script({"route": "chat", "times": 1, "status": 400, "delay_ms": 1500}, {"route": "chat", "times": 0, "text": text, "delay_ms": 1000})
    before = paid(two)
    leader = start_all([Asker(two, "query", 0, question)])
    wait_for("it is asked", lambda: spent(two, before)[0] == 1)
    askers = start_all(crowd(two, 12, question))
    join_all(leader + askers)
    assert leader[0].status >= 500 and not (wrong := faults_of(two, askers, text)), "\n".join(wrong)
    assert spent(two, before)[0] == 2


@pytest.mark.parametrize("kind", ("query", "stream", "resumable"))
def test_a_leader_whose_client_leaves_goes_on_for_those_who_read_along(two, kind):
    text, question, before = answers(two, 80, 40, 0), fresh(), paid(two)
    leader = Asker(two, kind, 0, question)
    conn = leave_later(two, leader)
    wait_for("it is asked", lambda: spent(two, before)[0] == 1)
    askers = start_all(crowd(two, 8, question))
    began(askers, 10)
    conn.close()
    join_all(askers)
    assert not (wrong := faults_of(two, askers, text)), "\n".join(wrong)
    assert spent(two, before) == (1, 1)
    assert "w0079ü" in two.messages(leader.session, 2, 10)[1]["content"]


def leave_later(s, asker):
    """The question is sent; the connection is the caller's to close."""
    import http.client
    import json
    conn = http.client.HTTPConnection("127.0.0.1", s.ports[asker.gateway], timeout=60)
    path = "/api/v1/chat/query" if asker.kind == "query" else "/api/v1/chat/stream"
    body = {"question": asker.question, "session_id": asker.session, **({"resumable": True} if asker.kind == "resumable" else {})}
    conn.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return conn


def test_a_leader_whose_client_leaves_and_whom_nobody_reads_is_cancelled(two):
    answers(two, 400, 40, 0)
    question, cancelled = fresh(), lambda: sum(two.metrics(n).value("chat_cancelled_total") for n in ("embedder", "embedder.2"))
    before, calls = cancelled(), paid(two)
    conn = leave_later(two, Asker(two, "stream", 0, question))
    wait_for("it is asked", lambda: spent(two, calls)[0] == 1)
    conn.close()
    wait_for("its call is cancelled", lambda: cancelled() == before + 1)


def test_the_writers_death_is_made_good_by_another_one(two):
    text, question = answers(two, 80, 40, 0), fresh()
    leader = start_all([Asker(two, "stream", 0, question)])
    began(leader)
    askers = start_all(crowd(two, 8, question))
    began([a for a in askers if a.reader], 6)
    writer = max(("embedder", "embedder.2"), key=lambda n: two.metrics(n).value("chat_frames"))
    two.kill(writer)
    join_all(leader + askers)
    assert not (wrong := faults_of(two, askers, text)), "\n".join(wrong)


def test_another_text_than_the_one_that_was_shown_is_not_put_behind_it(two):
    question = fresh()
    answers(two, 80, 40, 0)
    leader = start_all([Asker(two, "stream", 0, question)])
    began(leader)
    askers = start_all([Asker(two, "stream", i % 2, question) for i in range(4)])
    wait_for("they read along", lambda: all(len(a.shown().split()) > 5 for a in askers))
    writer = max(("embedder", "embedder.2"), key=lambda n: two.metrics(n).value("chat_frames"))
    two.stub.reset()
    two.stub.script({"route": "chat", "times": 0, "text": "another text [1]"})
    two.kill(writer)
    join_all(leader + askers)
    for a in askers:
        assert a.reader.events[-1][0] == "error" and "another" not in a.shown(), a.reader.events[-2:]


# ---- erasure
@pytest.mark.parametrize("kind", ("query", "stream", "resumable"))
def test_an_erased_leaders_answer_is_relayed_to_nobody_and_followers_get_one_of_their_own(two, kind):
    text, question, before, r = answers(two, 150, 40, 0), fresh(), paid(two), two.redis.client()
    older = {k for what in ("fn:f:default:l:*", "fn:l:*") for k in r.scan_iter(what)}
    leader = start_all([Asker(two, kind, 0, question)])
    wait_for("it is asked", lambda: spent(two, before)[0] == 1)
    askers = start_all(crowd(two, 8, question))
    began(askers, 6)
    relayed, leases = ([k for k in r.scan_iter(what) if k not in older] for what in ("fn:f:default:l:*", "fn:l:*"))
    assert len(relayed) == 2 and len(leases) == 1, (relayed, leases)
    assert two.send(1, "DELETE", "/api/v1/sessions/" + leader[0].session).status_code == 204
    assert not r.exists(*relayed)    # a new lease may stand already
    wait_for("there is another leader", lambda: spent(two, before)[0] == 2, .25 if not SANITIZED else 5)
    join_all(leader + askers)
    assert not (wrong := faults_of(two, askers, text)), "\n".join(wrong)
    assert spent(two, before)[0] == 2 and not two.history(leader[0].session)["items"]


@pytest.mark.parametrize("kind", ("stream", "resumable"))
def test_an_erased_follower_ends_and_nobody_else(two, kind):
    text, question, before = answers(two, 150, 40, 0), fresh(), paid(two)
    leader = start_all([Asker(two, "stream", 0, question)])
    began(leader)
    gone, askers = Asker(two, kind, 1, question).start(), start_all(crowd(two, 6, question))
    began([gone], 6)
    assert two.send(0, "DELETE", "/api/v1/sessions/" + gone.session).status_code == 204
    wait_for("its stream ends", lambda: gone.reader.ended, .25 if not SANITIZED else 5)
    assert gone.reader.events[-1][0] == "error" and len(gone.shown().split()) < 150
    join_all(leader + askers + [gone])
    assert not (wrong := faults_of(two, leader + askers, text)), "\n".join(wrong)
    assert spent(two, before)[0] == 1 and not two.history(gone.session)["items"]


def test_an_erased_follower_that_waits_for_the_whole_answer_ends_and_nothing_of_it_is_stored(two):
    session = Asker(two, "query", 1, fresh()).start().join().session
    text, question = answers(two, 150, 40, 0), fresh()
    leader = start_all([Asker(two, "stream", 0, question)])
    began(leader)
    waited = two.metrics(NAMES[1]).value("query_cache_shared_total", outcome="waited")
    before = paid(two)
    gone = Asker(two, "query", 1, question, session).start()
    wait_for("it waits", lambda: two.metrics(NAMES[1]).value("query_cache_shared_total", outcome="waited") > waited)
    assert two.send(0, "DELETE", "/api/v1/sessions/" + gone.session).status_code == 204
    wait_for("its answer ends", lambda: not gone.thread.is_alive(), .25 if not SANITIZED else 5)
    assert gone.status == 404 and not leader[0].reader.ended
    join_all(leader)
    assert not (wrong := faults_of(two, leader, text)), "\n".join(wrong)
    assert spent(two, before)[0] == 0 and not two.history(session)["items"]


def test_a_session_that_was_erased_and_asks_again_is_answered(two):
    text, question, session = answers(two, 40, 20, 0), fresh(), new_session()
    leader = start_all([Asker(two, "stream", 0, question)])
    began(leader)
    Asker(two, "query", 1, fresh(), session).start().join()
    assert two.send(0, "DELETE", "/api/v1/sessions/" + session).status_code == 204
    asker = Asker(two, "stream", 1, question, session).start().join()
    leader[0].join()
    assert not (wrong := faults_of(two, [asker], text)), "\n".join(wrong)


# ---- who may not
@pytest.mark.parametrize("fields", ({"page_context": "The page is about oil."}, {"top_k": 3}, {"new_conversation": True}))
def test_what_does_not_share_is_asked_by_itself(two, fields):
    answers(two)
    question, before = fresh(), paid(two)
    askers = start_all([Asker(two, "query", 0, question), Asker(two, "stream", 1, question, **fields)])
    join_all(askers)
    assert spent(two, before)[0] == 2


def test_readers_with_and_without_a_key_have_flights_of_their_own(two):
    answers(two)
    question, before, key = fresh(), paid(two), two.make_key(["chat"])["key"]
    only = two.make_key(["chat"], collections=["docs"])["key"]
    join_all(start_all([Asker(two, "query", 0, question, key=k) for k in (None, key, only, only)]))
    assert spent(two, before)[0] == 4


# ---- Redis away
def test_without_redis_each_asks_for_itself(two):
    text, question, before = answers(two, 10, 0, 500), fresh(), paid(two)
    two.redis.stop()
    try:
        askers = start_all(crowd(two, 8, question))
        join_all(askers)
    finally:
        two.redis.start()
        wait_for("Redis is used again", lambda: all(two.metrics(g).value("redis_up") == 1 for g in NAMES), 20)
    assert spent(two, before)[0] == 8
    assert not (wrong := faults_of(two, askers, text)), "\n".join(wrong)
