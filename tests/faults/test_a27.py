"""A27: a worker whose key is good answers for others. It knows how ids are made, so it guesses those of its neighbours: what it
says is never taken, it is told to go, its key stays out. (A key with the wrong service: tests/service/bus_curve_test.py; the
rule by itself: tests/unit/gateway/hub_core_test.c and tests/sim.)"""
import os
import struct

import msgpack
import pytest

from bad_worker import DISCONNECT, FINAL, NACK, REQUEST, BadWorker
from curve_kit import Keys
from faults_kit import FaultSuite, wait_for

FORGED = msgpack.packb({"text": "FORGED", "model": "forged"})


def dropped(s, why):
    return s.metrics("gateway").value("bus_dropped_replies_total", why=why)


def near(req):
    """Ids that stand beside this one: the hub's epoch, then generation and slot."""
    handle, = struct.unpack("<Q", req[8:])
    slot, generation = handle & 0xffffffff, handle >> 32
    for s in range(max(0, slot - 16), slot + 17):
        for g in range(max(1, generation - 40), generation + 41):
            yield req[:8] + struct.pack("<Q", g << 32 | s)


def forge_until_sent_off(w):
    """Gets work like any other, gives it back, and answers what it was not asked. True when the hub tells it to go."""
    for _ in range(20):
        got = w.wait(REQUEST, DISCONNECT)
        if got[0] == DISCONNECT:
            return True
        head = got[1]
        w.say(NACK, {"req": head["req"], "attempt": head["attempt"], "reason": "busy"})
        for req in near(head["req"]):
            if req != head["req"]:
                w.say(FINAL, {"req": req, "attempt": 1, "code": 0}, FORGED)
        while got := w.hear(0.2):
            if got[0] == DISCONNECT:
                return True
    return False


@pytest.mark.limit(100)
def test_a_worker_that_answers_for_others_is_dropped_and_banned(run):
    keys = Keys(evil="embed,chat")
    with FaultSuite(**keys.options()) as s:
        s.stub.script({"route": "chat", "delay_ms": 300, "times": 0})
        load = s.load(closed=12, seconds=run.pick(5, 20), attempts=1, seed=run.seed)
        with BadWorker(s.hub_port, {"chat": 1}, keys, "evil") as w:
            assert w.register()
            for _ in range(1000):
                w.say(FINAL, {"req": os.urandom(16), "attempt": 1, "code": 0}, FORGED)
            wait_for("ids of nobody are counted", lambda: dropped(s, "epoch") >= 1000, 5)
            sent_off = forge_until_sent_off(w)
        with BadWorker(s.hub_port, {"chat": 1}, keys, "evil") as again:
            back = again.register()
        load.wait()
        m = s.metrics("gateway")
        run.bar("A27_sent_off", sent_off, "True", sent_off)
        run.least("A27_foreign_answers_counted", dropped(s, "foreign"), 1)
        run.least("A27_banned", m.value("bus_worker_banned_total"), 1)
        run.bar("A27_back_within_the_minute", back, "False", not back)
        run.none("A27_forged_answers_given", [r["id"] for r in load.records() if "FORGED" in str(r.get("answer"))])
        run.none(f"A27_failed_of_{load.wait()['requests']}", load.failed())
        assert s.workers() == s.expected()
