"""F07: kill -9 of a store between COMMIT and its reply: the hub sends the call again, and there is one row.

A proxy swallows what this store says, so a commit's reply cannot be there before the kill."""
import time

import pytest

from checker import check
from faults_kit import LOOPBACK, Background, FaultSuite, Proxy, ms_since, wait_for


@pytest.fixture(scope="module")
def muted():
    """One store, with a proxy of its own before the hub."""
    with FaultSuite() as s:
        s.store_proxy = Proxy(s.folder, {"store": s.hub_port})
        s.stop_service("store")
        s.start("store", env={"HUB_ENDPOINTS": f"tcp://{LOOPBACK}:{s.store_proxy.port('store')}"})
        s.wait_ready()
        s.wait_workers()
        yield s
        s.store_proxy.say("clear")
        bad = s.down()
        s.store_proxy.end()
        assert not bad, bad


def rows(s, word, role):
    return s.sql("SELECT count(*) FROM messages WHERE content LIKE %s AND role = %s", (f"%{word}%", role))[0][0]


def kill_after_commit(s, word, role):
    """The store is killed as soon as the row is there; its reply never left. ms from its exec to the user's answer."""
    wait_for("the row is committed", lambda: rows(s, word, role) == 1, 8, every=0.002)
    s.kill("store")
    s.store_proxy.say("clear")
    begun = time.monotonic()
    s.start("store")
    return begun


@pytest.mark.limit(120)
@pytest.mark.parametrize("write", ("question", "answer"))
def test_a_store_killed_between_commit_and_reply_leaves_one_row(run, muted, write):
    worst = 0.0
    for i in range(run.pick(2, 20)):
        word = f"canary-{run.seed:04x}{i:07x}{write == 'answer':x}"
        muted.stub.reset()
        muted.stub.script({"route": "chat", "delay_ms": 400, "times": 0})
        if write == "question":
            muted.store_proxy.say("store drop up")
        b = Background(lambda: muted.ask(f"What does fault code E14 of the pump mean? {word}"))
        if write == "answer":
            wait_for("the model writes", lambda: muted.stub.stats()["concurrent"] == 1, 5, every=0.002)
            muted.store_proxy.say("store drop up")
        begun = kill_after_commit(muted, word, "user" if write == "question" else "assistant")
        r = b.wait()[0]
        worst = max(worst, ms_since(begun))
        assert r.status_code == 200 and r.json()["saved"] in ("yes", "queued"), r.text
        assert rows(muted, word, "user") == 1
        wait_for("the answer is there", lambda: rows(muted, word, "assistant") >= 1, 3)
        assert rows(muted, word, "assistant") == 1
        muted.wait_ready()
        muted.wait_workers()
    run.bar(f"F07_{write}_rows_after_a_kill_in_doubt", 1, 1, True)
    run.most(f"F07_{write}_answer_ms_after_exec", worst, 1500 + 400)


@pytest.mark.limit(120)
def test_killing_one_of_two_stores_under_load_neither_loses_nor_doubles_a_row(run, two):
    load = two.load(rate=40, seconds=200, attempts=10, seed=run.seed)
    for i in range(run.pick(3, 30)):
        name = ("store", "store.2")[i % 2]
        two.kill(name)
        two.start("store", name)
        wait_for("it is back", lambda: two.services[name].ready() and two.workers() == two.expected(), 10)
    load.end()
    run.clean("F07", check(two, load.records(), cuts_allowed=False))
    run.none("F07_failed_requests", load.failed())
