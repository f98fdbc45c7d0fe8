"""F20: while Postgres is away cached answers are still given and kept, new questions fail soon and cost nothing; F07: a
store that dies between its commit and its reply; F22: also when Postgres dies without a word."""
import os
import threading
import time

import pytest

from corpus_kit import Q_BUILT, Q_LAMP, Q_PUMP, add_corpus, check_problem
from suite import SLOW, Suite, new_session, wait_for


@pytest.fixture(scope="module")
def s():
    with Suite(stub=True, service_env={"gateway": {"RATE_LIMIT_REQUESTS": "100000", "RATE_LIMIT_PER_HOUR": "100000"}}) as suite:
        add_corpus(suite)
        yield suite
        bad = suite.down()
        assert not bad, bad


@pytest.fixture(autouse=True)
def everything_is_there_before(s):
    yield
    if s.postgres.pid is None:
        s.postgres.start()
    s.wait_ready()


def paid(s):
    stats = s.stub.stats()
    return stats["chat"], stats["embeddings"]


def messages(s, session):
    return s.sql("select count(*) from messages m join conversations c on c.id = m.conversation_id join user_sessions u"
                 " on u.id = c.user_session_id where u.session_id = sha256(%s::bytea)", (session,))[0][0]


def test_without_postgres_no_answer_goes_to_another_session(s):
    """The store says whether it still stands, and cannot."""
    question, own = "Which oil does the lamp burn, and who trims its wick?", new_session()
    assert s.request("PUT", "/api/v1/collections/docs", json={"cache_scope": "collection"}).status_code == 200
    try:
        wait_for("it is shared", lambda: s.answered(question)["cached"] == "query")
        wait_for("its own copy is cached", lambda: s.answered(question, own)["saved"] == "queued")
        before = paid(s)
        s.postgres.stop("fast")
        assert s.answered(question, own)["cached"] == "query"
        check_problem(s.ask(question), 503, "store_unavailable")
        s.postgres.start()
        s.wait_ready()
        wait_for("it is shared again", lambda: s.ask(question).json().get("cached") == "query", 5)
        assert paid(s) == before
    finally:
        if s.postgres.pid is None:
            s.postgres.start()
            s.wait_ready()
        assert s.request("PUT", "/api/v1/collections/docs", json={}).status_code == 200
        wait_for("the index has seen the change, and answers are cached again", lambda: s.answered(Q_LAMP, own)["cached"] == "query")


@pytest.mark.limit(90)
@pytest.mark.parametrize("how", ["fast", "kill"])
def test_without_postgres_cached_answers_go_on_and_new_questions_fail_soon_and_free(s, how):
    session = new_session()
    # the gateway may not have heard the feed again since Postgres was away in the test before: until then nothing is cached
    answers = []
    wait_for("a cached answer", lambda: answers.append(s.answered(Q_BUILT, session)) or answers[-1]["cached"] == "query", 5)
    first, asked = answers[0], len(answers)
    before = paid(s)
    s.postgres.stop(how)
    try:
        gone = time.monotonic()
        while time.monotonic() - gone < 4 * SLOW:                     # also long after the feed's last news
            hit = s.answered(Q_BUILT, session)
            assert hit["cached"] == "query" and hit["saved"] == "queued" and hit["answer"] == first["answer"], hit
            asked += 1
            begun = time.monotonic()
            wait_for("a moment", lambda: time.monotonic() - begun > 0.05 * SLOW)
            begun = time.monotonic()
            r = s.ask(Q_PUMP, new_session())
            assert time.monotonic() - begun < 2.1 * SLOW, r.text
            check_problem(r, 503, "store_unavailable")
            assert int(r.headers["Retry-After"]) >= 1
        assert paid(s) == before
        assert asked > 2
    finally:
        s.postgres.start()
    accepts = time.monotonic()
    wait_for("a new answer", lambda: s.ask(Q_PUMP, new_session()).status_code == 200, 5)
    assert time.monotonic() - accepts < 2 * SLOW
    wait_for("the queued turns", lambda: messages(s, session) == 2 * asked, max(0.5, 3 - (time.monotonic() - accepts)))
    assert {m["content"] for m in s.history(session, limit=200)["items"]} == {Q_BUILT, first["answer"]}


def test_a_change_made_just_before_postgres_dies_is_not_forgotten(s):
    session = new_session()
    s.ingest("# Ferries\n\nThe ferry to Brekke leaves at seven in the morning.\n", "ferry")
    question = "When does the ferry to Brekke leave?"
    s.answered(question, session)
    assert s.answered(question, session)["cached"] == "query"
    assert s.request("DELETE", "/api/v1/documents/ferry").status_code == 204
    s.postgres.stop("kill")
    try:
        assert s.ask(question, session).status_code == 503
    finally:
        s.postgres.start()
        s.wait_ready()


def test_a_silent_store_is_still_no_news(s):
    session = new_session()
    # the database may have come back a moment ago: nothing is cached before the feed is fresh again
    wait_for("the answer is cached", lambda: s.answered(Q_LAMP, session)["cached"] == "query")
    s.stop("store")
    try:
        wait_for("the epochs to grow old", lambda: s.metrics("gateway").value("feed_age_seconds") > 1.1)
        r = s.ask(Q_LAMP, session, headers={"X-Request-Timeout-Ms": "1000"})
        assert r.status_code in (503, 504), r.text
    finally:
        s.cont("store")
        s.wait_ready()


class Supervisor(threading.Thread):
    """Starts the store again when it has died, as docker or systemd do."""

    def __init__(self, suite, env):
        super().__init__()
        self.suite, self.env, self.over = suite, env, threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            if self.suite.services["store"].popen.poll() is not None:
                self.suite.start("store", env=self.env)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.mark.limit(60)
@pytest.mark.parametrize("stores", [1, 2])
def test_a_store_that_dies_between_commit_and_reply_has_stored_the_turn_once(s, stores, tmp_path):
    env = {"FAULT_AFTER_COMMIT": "abort", "FAULT_ONCE_FILE": str(tmp_path / "once")}
    s.expected_exit.add("store")
    s.stop_service("store")
    s.start("store", env=env)
    s.wait_ready()
    if stores == 2:
        s.add_replica("store")
    session = key = None
    with Supervisor(s, env):
        died = time.monotonic()
        while True:
            if key is None:
                session, key = new_session(), "f07-" + new_session()
            r = s.ask(Q_PUMP, session, headers={"Idempotency-Key": key, "X-Request-Timeout-Ms": "4000"})
            assert r.status_code in (200, 409, 503), r.text
            if r.status_code == 200 and os.path.exists(env["FAULT_ONCE_FILE"]):
                break
            if r.status_code == 200:
                key = None                                           # the other store did it all
            assert r.status_code != 503 or r.json()["code"] in ("store_unavailable", "service_unavailable"), r.text
            assert time.monotonic() - died < 30 * SLOW, r.text
    s.wait_ready()
    assert "FAULT_AFTER_COMMIT" in open(s.services["store"].log_path).read()
    assert [m["content"] for m in s.messages(session, 2)] == [Q_PUMP, r.json()["answer"]]
    assert messages(s, session) == 2
    if stores == 2:
        s.stop_service("store.2")
        del s.services["store.2"]
