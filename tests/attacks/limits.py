"""A17: X-Forwarded-For and fresh sessions buy nothing. A18: a key with 50 left lets exactly 50 of 1,600 pass that come at once over two
gateways, and a restart of Redis at most a whole quota again. A35: one Idempotency-Key of two callers.

# attack: A17 A18 A35; limit 300; short 90
"""
import threading
import time
import uuid

from bars import Bars, pick
from faults_kit import FaultSuite
from suite import ADMIN_KEY, Suite, wait_for
from wire_kit import Wire, chat

LEFT = 50  # requests that a key may still make
ADDRESS = 100


def many(ports, n, senders, ask, address=None):
    """n requests from threads that begin together; the statuses."""
    got, gate, lock = [], threading.Barrier(senders), threading.Lock()

    def sender(k):
        with Wire(ports[k % len(ports)], address, 40) as w:
            w.ask("GET", "/healthz")
            gate.wait()
            mine = [ask(w, k + i * senders)[0] for i in range(n // senders)]
        with lock:
            got.extend(mine)
    threads = [threading.Thread(target=sender, args=(k,)) for k in range(senders)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return got


def forwarded(b):
    """The address's limit is a minute's: while the requests are sent some come back."""
    env = {"RATE_LIMIT_ADDR_REQUESTS": str(ADDRESS), "RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "100000000", "MAX_CONN_PER_ADDR": "1000"}
    with Suite(auth="on", env=env) as s:
        n, own = pick(300, 1000), {"Authorization": "Bearer " + ADMIN_KEY}
        for address, name, ask in (
                ("127.0.5.1", "A17_passed_with_other_forwarded", lambda w, i: w.ask("GET", "/api/v1/documents", X_Forwarded_For=f"10.{i % 250}.{i // 250}.1", **own)),
                ("127.0.5.2", "A17_passed_with_fresh_sessions", lambda w, i: w.ask("GET", "/api/v1/chat/history", X_Session_ID=str(uuid.uuid4())))):
            begun = time.monotonic()
            got = many([s.port], n, 10, ask, address)
            passed = sum(status < 400 for status in got)
            back = (time.monotonic() - begun) * ADDRESS / 60
            b.bar(f"{name}_of_{n}", passed, f"{ADDRESS}..{ADDRESS + back + 2:.0f}", ADDRESS - 2 <= passed <= ADDRESS + back + 2)
        b.none("A17_services_that_ended_badly", s.down())


def parallel(b):
    """A key with 50 left of its day, and one of 50 a minute, of which some come back while the requests are sent."""
    with FaultSuite(gateways=2, auth="on", env={"RATE_LIMIT_ADDR_REQUESTS": "100000000", "RATE_LIMIT_PER_HOUR": "100000000"}, start=("store", "gateway")) as s:
        wait_for("the keys are known", lambda: all(works(p, ADMIN_KEY) for p in s.ports), 20)
        n = pick(400, 1600)
        key = day_key(s, 2 * LEFT)
        used = many(s.ports, LEFT, 2, lambda w, i: w.ask("GET", "/api/v1/collections", Authorization="Bearer " + key))
        b.equal("A18_used_before", [len(used), sum(status == 200 for status in used)], [LEFT, LEFT])
        got = many(s.ports, n, 16, lambda w, i: w.ask("GET", "/api/v1/collections", Authorization="Bearer " + key))
        b.equal(f"A18_passed_of_{n}_over_two_gateways_with_{LEFT}_left", sum(status == 200 for status in got), LEFT)
        b.none("A18_neither_passed_nor_429", [status for status in got if status not in (200, 429)])
        s.redis.stop()
        s.redis.start()
        got = many(s.ports, n // 4, 16, lambda w, i: w.ask("GET", "/api/v1/collections", Authorization="Bearer " + key))
        b.most("A18_passed_after_a_restart_of_redis", sum(status == 200 for status in got), 2 * LEFT)
        minute(b, s, n)
        b.none("A18_services_that_ended_badly", s.down())


def day_key(s, per_day):
    """Its day's limit is the only one that it can meet. None of it is used."""
    key = s.make_key(["chat"], per_minute=1000000, per_hour=10000000, per_day=per_day)["key"]
    fresh(s, key)
    return key


def fresh(s, key):
    """It works everywhere, and what finding that out has cost is forgotten."""
    wait_for("the key works", lambda: all(works(p, key) for p in s.ports), 10)
    s.redis.client().delete(*s.redis.client().keys("fn:rl:*"))


def minute(b, s, n):
    key = s.make_key(["chat"], per_minute=LEFT, per_hour=10000000)["key"]
    fresh(s, key)
    begun = time.monotonic()
    got = many(s.ports, n, 16, lambda w, i: w.ask("GET", "/api/v1/collections", Authorization="Bearer " + key))
    back = (time.monotonic() - begun) * LEFT / 60
    passed = sum(status == 200 for status in got)
    b.bar(f"A18_passed_of_{n}_of_{LEFT}_a_minute", passed, f"{LEFT}..{LEFT + back + 1:.0f}", LEFT <= passed <= LEFT + back + 1)


def works(port, key):
    with Wire(port) as w:
        return w.ask("GET", "/api/v1/collections", Authorization="Bearer " + key)[0] in (200, 429)


def idempotency(b):
    with Suite(auth="on", env={"RATE_LIMIT_ADDR_REQUESTS": "100000"}) as s:
        keys = [s.make_key(["chat", "ingest"], tenant=t)["key"] for t in ("one", "two")]
        for key in keys:
            wait_for("the key works", lambda: works(s.port, key), 10)
        same = {"Idempotency-Key": "1"}
        ids = [s.request("POST", "/api/v1/documents", key=k, json={"text": "A text."}, headers=same) for k in keys]
        b.equal("A35_independent_of_two_tenants", len({r.json().get("job_id") for r in ids}), 2)
        b.none("A35_replayed_to_another", [r.status_code for r in ids if r.headers.get("Idempotency-Replayed")])
        for path, body in (("/v1/chat/completions", chat("Who?")), ("/v1/completions", {"prompt": "Who?"}), ("/v1/responses", {"input": "Who?"})):
            said = [s.request("POST", path, key=k, json=body, headers={"Idempotency-Key": path}) for k in (*keys, keys[0])]
            b.equal(f"A35_independent_{path.rpartition('/')[2]}", [len({r.json()["id"] for r in said[:2]}), [bool(r.headers.get("Idempotency-Replayed")) for r in said]],
                    [2, [False, False, True]])
        other = s.request("POST", "/api/v1/documents", key=keys[0], json={"text": "Another."}, headers=same)
        b.equal("A35_another_body", other.status_code, 422)
        long = [s.request("POST", "/api/v1/documents", key=keys[0], json={"text": "A."}, headers={"Idempotency-Key": k}).status_code for k in ("x" * 256, "a b\x7f", "x" * 8000)]
        b.none("A35_keys_taken_that_are_none", [c for c in long if c < 400])
        b.none("A35_services_that_ended_badly", s.down())


with Bars() as b:
    forwarded(b)
    parallel(b)
    idempotency(b)
