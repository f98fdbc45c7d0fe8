"""A28: malformed messages, from strangers and from a registered worker: bombs of five bytes, too many frames, headers over 1 KB.
They are counted, and memory stays. (What a decoder does with them: tests/unit/proto/msg_test.c, tests/fuzz; known workers in
the middle of their work: test_f38.py.)"""
import msgpack
import pytest
import requests

from bad_worker import DISCONNECT, FINAL, MAGIC, READY, REQUEST, BadWorker
from faults_kit import FaultSuite, wait_for

BOMBS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
HEAD = msgpack.packb({"req": bytes(range(16)), "attempt": 1, "code": 0})
ASK = msgpack.packb({"req": bytes(range(16)), "attempt": 1, "ttl_ms": 1000, "kind": "nothing.known"})
FORMS = {
    **{f"header_bomb_{i}": [MAGIC, bytes([FINAL]), b] for i, b in enumerate(BOMBS)},
    **{f"ready_bomb_{i}": [MAGIC, bytes([READY]), b"\x81\xa8services" + b] for i, b in enumerate(BOMBS)},
    "nine_frames": [MAGIC, bytes([FINAL]), HEAD] + [b"x"] * 6,
    "a_thousand_frames": [MAGIC, bytes([FINAL]), HEAD] + [b"x"] * 997,
    "header_over_1_kb": [MAGIC, bytes([FINAL]), HEAD + bytes(1024)],
    "an_id_of_zeros": [MAGIC, bytes([REQUEST]), msgpack.packb({"req": bytes(16), "attempt": 1, "ttl_ms": 1000, "kind": "no"})],
    "one_frame": [MAGIC],
    "no_header": [MAGIC, bytes([FINAL])],
    "wrong_magic": [b"XX99", bytes([FINAL]), HEAD],
    "no_such_command": [MAGIC, b"\x63", HEAD],
}


def serves(gateway):
    try:
        return gateway.admin("/healthz").status_code == 200
    except requests.RequestException:
        return False


def memory(s):
    with open(f"/proc/{s.services['gateway'].pid}/status") as f:
        rows = dict(line.split(":", 1) for line in f)
    return {k: int(rows[k].split()[0]) for k in ("VmSize", "VmPeak", "VmRSS", "VmHWM")}


def bad_frames(s):
    return s.metrics("gateway").value("bus_hub_bad_frames_total")


def send_all(s, known):
    """Each form from a worker of its own: a known one is told to go after the first."""
    before, workers = bad_frames(s), [BadWorker(s.hub_port, {"janitor": 1}) for _ in FORMS]
    for w, frames in zip(workers, FORMS.values()):
        if known:
            assert w.register()
        w.frames(frames)
    wait_for("all are counted", lambda: bad_frames(s) >= before + len(FORMS), 5)
    for w in workers:
        if known:
            w.wait(DISCONNECT)
        w.close()


@pytest.mark.limit(200)
def test_malformed_messages_reserve_nothing(run):
    with FaultSuite(start=("gateway",), stub=False) as s:
        wait_for("the gateway serves", lambda: serves(s.services["gateway"]))
        for _ in range(run.pick(20, 60)):  # the allocator has then touched what it will use
            send_all(s, False)
            send_all(s, True)
        before, rounds = memory(s), run.pick(3, 30)
        for _ in range(rounds):
            send_all(s, False)
            send_all(s, True)
        with BadWorker(s.hub_port, {"janitor": 1}) as w:  # payloads that are bombs, of a worker that is let in
            assert w.register()
            for b in BOMBS * 25:
                w.frames([MAGIC, bytes([REQUEST]), ASK, b])
                w.wait(FINAL)
        after = memory(s)
        for k, name in (("VmSize", "vsz"), ("VmPeak", "vsz_peak"), ("VmRSS", "rss"), ("VmHWM", "rss_peak")):
            run.bar(f"A28_{name}_growth_kb", after[k] - before[k], "0" if "vsz" in name else "<=128",
                    after[k] - before[k] <= (0 if "vsz" in name else 128))
        run.bar("A28_malformed_messages", 2 * rounds * len(FORMS), "-", True)
