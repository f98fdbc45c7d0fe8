"""What makes the metrics move: one generator an event. Up to its yield an event brings about a state that lasts until the
test has looked (rows marked "while"); after it, everything is put right again. See test_metrics_move.py for the table."""
import contextlib
import hashlib
import json
import os
import resource
import select
import signal
import socket
import threading
import time
import uuid

import msgpack
import psycopg2
import requests

import busfake
from bad_worker import FINAL, HEARTBEAT, NACK, REQUEST, BadWorker
from corpus_kit import Q_BREAD, Q_LAMP, Q_NOTHING, Q_PUMP
from rerank_kit import Reranker
from tika_kit import Tika
from resume_kit import Reader, words_text
from suite import ADMIN_KEY, LOOPBACK, free_port, new_session, wait_for

EVENTS = {}
numbers = iter(range(1, 10000))


def event(says):
    """Registers a generator as the event that the table calls this."""
    def keep(fn):
        EVENTS[says] = fn
        return fn
    return keep


def fresh(text="Who built the lighthouse of Varnholm and when"):
    """A question that nobody asked before, and that the documents answer."""
    return text + "?" * next(numbers)


@contextlib.contextmanager
def beside(*calls):
    """Runs these at the same time as the body; their exceptions do not matter."""
    def quietly(call):
        with contextlib.suppress(Exception):
            call()
    threads = [threading.Thread(target=quietly, args=(c,), daemon=True) for c in calls]
    for t in threads:
        t.start()
    try:
        yield
    finally:
        for t in threads:
            t.join(30)


@contextlib.contextmanager
def locked_table(s, name):
    c = s.postgres.connect()
    try:
        c.autocommit = False
        with c.cursor() as cur:
            cur.execute(f"LOCK TABLE footnote.{name} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        c.rollback()
        c.close()


def ask(s, question, session=None, headers=None, **kw):
    """Without the suite's own HTTP session, which belongs to one thread."""
    body = {"question": question, "session_id": session or new_session(), **kw}
    return requests.post(s.url + "/api/v1/chat/query", json=body, headers=headers, timeout=30)


@contextlib.contextmanager
def asking(s, question=Q_BREAD, session=None, headers=None):
    """Somebody asks one question after the other."""
    over = threading.Event()

    def go():
        while not over.is_set():
            ask(s, question, session, headers)
    with beside(go):
        try:
            yield
        finally:
            over.set()


# ---- questions
@event("a question is answered")
def question(s):
    s.answered(fresh())
    yield


def cached_session(s, question=Q_LAMP, **fields):
    """A session that has had this question answered from the cache (documents that were just added may cost a few tries)."""
    session = new_session()
    wait_for("a cached answer", lambda: s.answered(question, session, **fields)["cached"] == "query", 5)
    return session


@event("the same question again")
def cached(s):
    cached_session(s)
    yield


@event("a busy key asks the same again and again")
def near(s):
    key = s.make_key(["chat"], per_minute=1000000, per_hour=10000000)["key"]
    session = cached_session(s, key=key)

    def hits():
        return s.metrics("gateway").value("near_cache_total", outcome="hit")
    was = hits()
    # four threads ask, since answers are kept in memory only for a key with some 24 questions a second
    with contextlib.ExitStack() as askers:
        for _ in range(4):
            askers.enter_context(asking(s, Q_LAMP, session, {"Authorization": "Bearer " + key}))
        wait_for("an answer from memory", lambda: hits() > was, 30)
    yield


@event("the same question in another session")
def embedding_cached(s):
    s.answered(Q_BREAD)
    assert s.answered(Q_BREAD)["usage"]["embedding_cached"]
    yield


@event("the same question of a collection that shares")
def shared(s):
    question = fresh()
    assert s.request("PUT", "/api/v1/collections/docs", json={"cache_scope": "collection"}).status_code == 200
    s.answered(question)
    wait_for("another session has it, too", lambda: s.answered(question)["cached"] == "query")
    yield
    assert s.request("PUT", "/api/v1/collections/docs", json={}).status_code == 200


@event("a near-identical question of a collection with near answers")
def near_question(s):
    lamp = f"oil the lamp {next(numbers)} of Varnholm burns"
    checks = lambda: s.metrics("gateway").value("query_cache_semantic_checks_total", outcome="agree")
    assert s.request("PUT", "/api/v1/collections/docs", json={"cache_scope": "semantic"}).status_code == 200
    wait_for("its answer is kept", lambda: s.answered(f"Which {lamp}?")["cached"] == "query")
    before = checks()
    wait_for("one is checked", lambda: s.answered(f"Please tell me which {lamp}") and checks() > before)
    s.answered(f"Which {lamp} not?")
    yield
    assert s.request("PUT", "/api/v1/collections/docs", json={}).status_code == 200


@event("an answer is streamed")
def streamed(s):
    r, events = s.stream(fresh())
    assert r.status_code == 200 and events[-1].kind == "done"
    yield


@event("a question waits for the model server")
def slow(s):
    s.stub.script({"route": "chat", "delay_ms": 2500})
    with beside(lambda: requests.post(s.url + "/api/v1/chat/stream", timeout=30,
                                      json={"question": fresh(), "session_id": new_session()})):
        yield


@event("an embedding waits for the model server")
def slow_embedding(s):
    s.stub.script({"route": "embeddings", "delay_ms": 2500})
    with beside(lambda: ask(s, fresh())):
        yield


@event("a stream's client leaves")
def left(s):
    s.stub.script({"route": "chat", "delay_ms": 1500})
    body = json.dumps({"question": fresh(), "session_id": new_session()}).encode()
    with socket.create_connection((LOOPBACK, s.port)) as c:
        c.sendall(b"POST /api/v1/chat/stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n\r\n%s" % (s.port, len(body), body))
        got = b""
        while b"event: sources" not in got:
            got += c.recv(4096)
    yield


def left_stream(s, drip_ms):
    """A resumable stream that its client leaves in the middle."""
    s.stub.script({"route": "chat", "text": words_text(60), "drip_ms": drip_ms})
    r = Reader([s.port], fresh())
    r.stop_after = 4
    r.take(r.post(s.port))
    r.close()
    r.stop_after = None
    return r


@event("a resumable stream is left and read on")
def resumed(s):
    r = left_stream(s, 50)
    reader = threading.Thread(target=lambda: r.take(r.get(s.port)))
    reader.start()
    yield
    reader.join()


@event("a resumable stream is erased while it is written")
def erased_stream(s):
    r = left_stream(s, 50)
    answer = s.request("DELETE", "/api/v1/sessions/" + r.session, session=r.session)
    assert answer.status_code == 204, answer.text
    yield


@event("a question about nothing in the documents")
def nothing(s):
    assert not s.answered(Q_NOTHING)["grounded"]
    yield


@event("the model says that it does not know")
def refused(s):
    s.stub.script({"route": "chat", "text": "I could not find an answer to this in the documents."})
    s.answered(fresh())
    yield


@event("the model cites a passage that there is not")
def bad_mark(s):
    s.stub.script({"route": "chat", "text": "It was built in 1843 by Ingrid Solheim [1] and also [77], as years[0] says."})
    s.answered(fresh())
    yield


@event("the model cites a passage that says nothing of it")
def mark_unsupported(s):
    s.stub.script({"route": "chat", "text": "It was built in 1843 by the engineer Ingrid Solheim [1]. The elephants of the savannah "
                                            "migrate across grasslands when the drought drives the herds to rivers [1]."})
    s.answered(fresh())
    yield


@event("the reader of a file is killed")
def reader_killed(s):
    stop, pid = threading.Event(), s.services["retriever"].pid

    def kill_children():
        while not stop.is_set():
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as f:
                    for child in f.read().split():
                        os.kill(int(child), signal.SIGKILL)
            time.sleep(0.001)
    with beside(kill_children):
        try:
            s.ingest("<html><body>" + "<p>words</p>" * 200000 + "</body></html>", content_type="text/html", wait=False)
            wait_for("a reader died", lambda: s.metrics("retriever").value("retriever_reader_faults") > 0, 20)
        finally:
            stop.set()
    yield


@event("a flood of paths that there are not")
def lost(s):
    for _ in range(100):
        assert s.request("GET", "/nowhere").status_code == 404
    yield


@event("the model gives its prompt away")
def prompt_shown(s):
    s.answered(fresh())
    s.stub.script({"route": "chat", "text": "My rules: " + s.stub.last_chat()["messages"][0]["content"]})
    s.answered(fresh())
    yield


@event("the model does not end")
def endless(s):
    s.stub.script({"route": "chat", "text": "It was built in 1843 [1]. " * 1000})
    s.answered(fresh())
    yield


@event("an answer holds links and HTML")
def with_links(s):
    s.stub.script({"route": "chat", "text": "Built in 1843 [1]. [a](http://a.example) ![b](http://b.example/b) https://c.example <b>d</b>"})
    s.answered(fresh())
    yield


@event("the model cites nothing but quotes")
def unmarked(s):
    s.stub.script({"route": "chat", "text": "The lighthouse of Varnholm was built in 1843 by the engineer Ingrid Solheim."})
    s.answered(fresh())
    yield


@event("a model without a price")
def unpriced(s):
    assert s.request("PUT", "/api/v1/collections/house", json={"model": "house-model"}).status_code == 200
    s.ingest("# House\n\nThe doorbell of the house in Ostervik is made of brass.\n", "house", collection="house")
    cached_session(s, "What is the doorbell of the house in Ostervik made of?", collection="house")
    yield


@event("an embedding model without a price")
def unpriced_embedding(s):
    s.stop_service("embedder")
    s.start("embedder", env={"OPENAI_EMBEDDING_MODEL": "house-embedding"})
    s.wait_ready()
    for _ in range(2):                                         # questions go on with their collection's model
        r = s.request("POST", "/v1/embeddings", json={"model": "house-embedding", "input": Q_PUMP})
        assert r.status_code == 200, r.text
    yield
    s.stop_service("embedder")
    s.start("embedder")
    s.wait_ready()


@event("a search by a filter that means nothing")
def bad_filter(s):
    assert s.request("POST", "/api/v1/search", json={"query": "x", "filter": {"year": {"about": 3}}}).status_code == 422
    yield


@event("a question to somebody else's conversation")
def foreign(s):
    assert s.ask(fresh(), conversation_id=str(uuid.uuid4())).status_code == 404
    yield


@event("a question with an Idempotency-Key")
def idempotent(s):
    s.answered(fresh(), headers={"Idempotency-Key": uuid.uuid4().hex})
    yield


# ---- the edge
@event("a malformed request")
def malformed(s):
    assert b" 400 " in s.raw(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")[0]
    yield


@event("headers that never end")
def slow_headers(s):
    with socket.create_connection((LOOPBACK, s.port)) as c:
        c.sendall(b"GET / HTTP/1.1\r\nHost:")
        yield


@event("connections that wait")
def idle(s):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection((LOOPBACK, s.port)))
        yield


@event("an answer that its client does not take")
def unread(s):
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        c.connect((LOOPBACK, s.port))
        c.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % LOOPBACK.encode())
        yield


@event("more requests than a session may make")
def limited(s):
    session = cached_session(s, Q_PUMP)
    assert any(s.ask(Q_PUMP, session).status_code == 429 for _ in range(75))
    yield


@event("a budget of the day is used up")
def budget(s):
    k = s.request("POST", "/api/v1/keys", json={"label": "x", "scopes": ["chat"], "tokens_per_day": 10**6}).json()
    assert s.answered(fresh(), key=k["key"])
    settled = lambda: s.sql("SELECT count(*) FROM budget_holds") == [(0,)]
    wait_for("it is settled", settled)
    s.sql("UPDATE budget_days SET tokens = 900000 WHERE owner = decode(%s, 'hex')", (k["id"],))
    assert s.answered(fresh(), key=k["key"])
    wait_for("it is settled", settled)
    s.sql("UPDATE budget_days SET tokens = 1000000 WHERE owner = decode(%s, 'hex')", (k["id"],))
    assert s.ask(fresh(), key=k["key"]).json()["code"] == "budget_exceeded"
    yield


@event("a request without a key where one is needed")
def no_key(s):
    assert requests.get(s.lab_url + "/api/v1/collections", timeout=5).status_code == 401
    yield


@event("a key is made")
def key_made(s):
    r = s.request("POST", "/api/v1/keys", json={"label": "x", "scopes": ["chat"]}, headers={"Authorization": "Bearer " + ADMIN_KEY})
    if r.status_code != 201:
        r = s.request("POST", "/api/v1/keys", json={"label": "x", "scopes": ["chat"]})
    assert r.status_code == 201, r.text
    yield


# ---- processes
def kernel(pid):
    """What the kernel says of a process: resident bytes, descriptors, when it started."""
    with open(f"/proc/{pid}/statm") as f:
        rss = int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    with open(f"/proc/{pid}/stat") as f:
        ticks = int(f.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/stat") as f:
        boot = next(int(line.split()[1]) for line in f if line.startswith("btime"))
    return {"rss": rss, "fds": len(os.listdir(f"/proc/{pid}/fd")), "start": boot + ticks / os.sysconf("SC_CLK_TCK")}


@event("somebody reads /metrics")
def scraped(s):
    for p in s.five():
        for _ in range(3):
            p.admin("/metrics", timeout=5)
    yield


@event("a process may open fewer files")
def fewer_files(s):
    for p in s.five():
        _, hard = resource.prlimit(p.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (min(1000, hard), hard))
    yield


@event("more connections to an internal port than it takes")
def internal(s):
    with contextlib.ExitStack() as stack:
        def more(n):
            return [[stack.enter_context(socket.create_connection((LOOPBACK, p.metrics_port))) for _ in range(n)]
                    for p in s.five()]
        more(10)
        yield
        for turned_away in more(40):
            wait_for("one is turned away", lambda: select.select(turned_away, [], [], 0)[0], 8)  # noqa: B023


# ---- Redis
def redis_back(s):
    """In use again by all that use it: a refused password is tried again after 8 s."""
    wait_for("Redis in use again", lambda: s.metrics("gateway").value("redis_up") == 1
             and all(s.metrics(n).value("redis_breaker_open") == 0 for n in ("gateway", "embedder", "store")), 20)


@event("Redis stops")
def redis_stops(s):
    s.redis.stop()
    with asking(s):
        yield
    s.redis.start()
    redis_back(s)


@event("Redis wants another password")
def redis_password(s):
    c = s.redis.client()
    c.config_set("requirepass", "other")
    c.auth("other")
    c.client_kill_filter(_type="normal", skipme=True)
    with asking(s):
        yield
    c.config_set("requirepass", "")
    redis_back(s)


@event("a cached embedding is damaged")
def bad_embedding(s):
    s.answered(Q_BREAD)
    r = s.redis.client()
    for k in r.keys("fn:e:*"):
        r.set(k, b"xx")
    s.answered(Q_BREAD)
    yield


@event("a cached embedding belongs to another text")
def collision(s):
    question = fresh("When was the lighthouse of Varnholm built")
    s.answered(question)
    r = s.redis.client()
    before = set(r.keys("fn:e:*"))
    s.answered(fresh("What was the lighthouse of Varnholm built of"))
    other = r.get((set(r.keys("fn:e:*")) - before).pop())
    for k in before:
        r.set(k, other)
    s.answered(question)
    yield
    for k in r.keys("fn:e:*"):
        r.delete(k)


# ---- the model server
@event("the first of two equal embeddings fails")
def promoted(s):
    question = fresh()
    s.stub.script({"route": "embeddings", "delay_ms": 1000, "status": 500})
    with beside(lambda: ask(s, question), lambda: ask(s, question)):
        yield


@event("the model server fails")
def upstream_down(s):
    s.stub.script({"route": "embeddings", "status": 500, "times": 0}, {"route": "chat", "status": 500, "times": 0})
    for _ in range(4):
        ask(s, Q_BREAD)
        ask(s, fresh())
    yield
    s.stub.reset()
    wait_for("the model server is asked again", lambda: ask(s, fresh()).status_code == 200, 15)


@event("the model server tells no tokens")
def no_usage(s):
    s.stub.script({"route": "chat", "reject_param": "stream_options"})
    s.answered(fresh())
    yield


# ---- workers of the bus
@event("a worker is killed")
def worker_killed(s):
    s.kill("retriever")
    yield
    s.start("retriever")
    s.wait_ready()


@event("a worker hangs")
def worker_hangs(s):
    s.stop("store")
    yield
    s.cont("store")
    s.wait_ready()


@event("a worker starts")
def worker_starts(s):
    s.restart("embedder")
    yield


def lab_ask(w, kind, payload, ttl_ms=8000):
    req = os.urandom(16)
    w.say(REQUEST, {"req": req, "attempt": 1, "ttl_ms": ttl_ms, "kind": kind, "tenant": "default"}, msgpack.packb(payload))
    return req


def lab_reply(w, head, code=0, payload=None, **more):
    w.say(FINAL, {"req": head["req"], "attempt": head["attempt"], "code": code, **more},
          msgpack.packb(payload or {}) if code == 0 else None)


def lab_garble(w, head):
    """An answer that is no whole value."""
    w.say(FINAL, {"req": head["req"], "attempt": head["attempt"], "code": 0}, b"\x93\x01")


EMBEDDED = {"model": "m", "dims": 1, "vectors": b"\0\0\x80\x3f"}
TEXT = {"texts": ["x"]}


@event("a request for a service that nobody offers")
def no_worker(s):
    with BadWorker(s.lab_hub, {"janitor": 1}) as asker:
        assert asker.register()
        lab_ask(asker, "search", {"query": "x", "collections": ["docs"]})
        assert asker.wait(FINAL)[1]["code"] != 0
        yield


@event("a worker declines, fails, and then answers")
def declines(s):
    with BadWorker(s.lab_hub, {"embed": 2}) as w, BadWorker(s.lab_hub, {"janitor": 1}) as asker:
        assert w.register() and asker.register()
        lab_ask(asker, "embed", TEXT)
        _, head, _ = w.wait(REQUEST)
        w.say(NACK, {"req": head["req"], "attempt": head["attempt"], "reason": "full"})
        _, head, _ = w.wait(REQUEST)
        lab_reply(w, head, busfake.CODES["UPSTREAM"], retryable=True)
        _, head, _ = w.wait(REQUEST)
        lab_reply(w, head, payload=EMBEDDED)
        asker.wait(FINAL)
        yield


@event("a worker answers too late")
def too_late(s):
    with BadWorker(s.lab_hub, {"retrieve": 2}) as w, BadWorker(s.lab_hub, {"janitor": 1}) as asker:
        assert w.register() and asker.register()
        lab_ask(asker, "search", {"query": "x", "collections": ["docs"]})
        _, first, _ = w.wait(REQUEST)
        _, second, _ = w.wait(REQUEST)
        lab_reply(w, second, payload={"hits": []})
        asker.wait(FINAL)
        lab_reply(w, first, payload={"hits": []})
        yield


@event("a request garbles two workers")
def poison(s):
    with BadWorker(s.lab_hub, {"embed": 1}) as a, BadWorker(s.lab_hub, {"embed": 1}) as b, \
            BadWorker(s.lab_hub, {"janitor": 1}) as asker:
        assert a.register() and b.register() and asker.register()
        lab_ask(asker, "embed", TEXT)
        left = [a, b]
        while left:
            for w in list(left):
                got = w.hear(0.05)
                if got and got[0] == REQUEST:
                    lab_garble(w, got[1])
                    left.remove(w)
        assert asker.wait(FINAL)[1]["code"] == busfake.CODES["POISON"]
        yield


@event("more requests than a queue holds")
def queue_full(s):
    with BadWorker(s.lab_hub, {"chat": 1}) as w, BadWorker(s.lab_hub, {"janitor": 1}) as asker:
        assert w.register() and asker.register()
        for _ in range(1100):
            lab_ask(asker, "chat", {"question": "x"})
        w.wait(REQUEST)
        yield
        wait_for("they waited too long", lambda: s.metrics("gateway.lab").value("bus_queue_expired_total") > 0, 6, 0.1)


@event("one of two workers fails five times")
def aside(s):
    with BadWorker(s.lab_hub, {"embed": 1}) as a, BadWorker(s.lab_hub, {"embed": 1}) as b, \
            BadWorker(s.lab_hub, {"janitor": 1}) as asker:
        assert a.register() and b.register() and asker.register()
        before = s.metrics("gateway.lab").value("bus_worker_aside_total")
        for _ in range(40):
            for w in (a, b, asker):
                w.say(HEARTBEAT, {"services": []})
            lab_ask(asker, "embed", TEXT)
            for w, code in ((a, busfake.CODES["UPSTREAM"]), (b, 0)) * 3:
                got = w.hear(0.03)
                if got and got[0] == REQUEST:
                    lab_reply(w, got[1], code, EMBEDDED, **({"retryable": True} if code else {}))
            if s.metrics("gateway.lab").value("bus_worker_aside_total") > before:
                break
        yield


@event("a worker falls silent")
def silent(s):
    with BadWorker(s.lab_hub, {"embed": 1}) as w:
        assert w.register()
        before = s.metrics("gateway.lab").value("bus_worker_expired_total")
        wait_for("the worker is given up", lambda: s.metrics("gateway.lab").value("bus_worker_expired_total") > before, 8, 0.1)
        yield


def flood(hub, worker, p):
    """Ask without ever reading an answer, until the worker cannot get rid of its own."""
    hub._stop = True
    hub._thread.join()
    n, payload = 0, msgpack.packb(TEXT)
    while p.metrics().value("bus_unsent_total") == 0 and n < 300000:
        for _ in range(2000):
            n += 1
            head = {"req": n.to_bytes(16, "big"), "attempt": 1, "ttl_ms": 5000, "kind": "embed", "tenant": "default"}
            hub.sock.send_multipart([worker, b"FN01", bytes([REQUEST]), msgpack.packb(head), payload])


@event("a hub garbles, asks too late, and reads no answers")
def bad_hub(s):
    with contextlib.ExitStack() as stack:
        hub = busfake.Hub()
        stack.callback(hub.close)
        p = s.start("embedder", "embedder.lab", {"HUB_ENDPOINTS": hub.endpoint})
        worker = hub.wait_worker("embed")
        assert hub.begin("embed", TEXT, worker=worker, ttl_ms=1).wait().code == "NACK"
        with hub._lock:
            hub._out.append([worker, b"FN01", bytes([REQUEST]), b"garbage"])
        wait_for("the garbage is counted", lambda: p.metrics().value("bus_bad_frames_total") > 0, 5, 0.05)
        flood(hub, worker, p)
        wait_for("the hub is left", lambda: p.metrics().value("bus_lost_hubs_total") > 0, 10, 0.1)
        yield
    s.stop_service("embedder.lab")
    del s.services["embedder.lab"]


# ---- documents
@event("a document is added")
def added(s):
    s.ingest(f"# Note\n\nThe {next(numbers)}th note is about an umbrella.\n", "note")
    yield


@event("a document is deleted")
def deleted(s):
    s.ingest("# Gone\n\nThe ladder is gone.\n", "gone")
    assert s.request("DELETE", "/api/v1/documents/gone").status_code == 204
    yield


@event("documents wait for a retriever")
def jobs_wait(s):
    s.stub.script({"route": "embeddings", "delay_ms": 700, "times": 3})
    for i in range(4):
        s.ingest(f"# Queue {i}\n\nThe {next(numbers)}th entry of the queue.\n", f"queue-{i}", wait=False)
    yield
    s.stub.reset()
    wait_for("all are done", lambda: s.metrics("retriever").value("retriever_jobs_running") == 0, 10)


def big_text():
    return "# Big\n\n" + "\n\n".join(f"## Part {i}\n\n" + " ".join(f"Word{i}x{k} of the long book is here." for k in range(40))
                                     for i in range(250))


@event("an index that is too small, and chunks that cannot be read")
def small_index(s):
    s.ingest(big_text(), "big")
    with locked_table(s, "chunks"):
        p = s.start("retriever", "retriever.lab", {"INDEX_MAX_BYTES": "1048576", "INGEST_JOBS": "0"})
        wait_for("it listens", lambda: p.running() and _up(p))
        yield
    wait_for("its index is full", lambda: p.metrics().value("retriever_index_full_total") > 0, 15)
    yield
    s.stop_service("retriever.lab")
    del s.services["retriever.lab"]
    s.request("DELETE", "/api/v1/documents/big")


def _up(p):
    with contextlib.suppress(requests.RequestException):
        return p.admin("/healthz").status_code == 200
    return False


# ---- Postgres
@event("Postgres ends a connection at work")
def cut(s):
    with locked_table(s, "messages"), beside(lambda: ask(s, fresh())):
        sql = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'footnote-store'"
               " AND wait_event_type = 'Lock'")
        wait_for("a backend waits and is ended", lambda: s.postgres.query(sql), 10)
    yield


@event("the store starts with a larger pool")
def larger_pool(s):
    s.stop_service("store")
    s.start("store", env={"DATABASE_POOL_SIZE": "3"})
    s.wait_ready()
    yield
    s.stop_service("store")
    s.start("store")
    s.wait_ready()


@contextlib.contextmanager
def slow_inserts(s, seconds):
    s.sql(f"CREATE FUNCTION footnote.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds});"
          " RETURN NULL; END $$; CREATE TRIGGER slow BEFORE INSERT ON footnote.messages EXECUTE FUNCTION footnote.slow()")
    try:
        yield
    finally:
        s.sql("DROP FUNCTION footnote.slow() CASCADE")


@event("more requests than connections")
def exhausted(s):
    with beside(*[lambda: ask(s, fresh())] * 4):
        pass
    session = cached_session(s)
    s.stop("retriever")  # with one who polls less the second connection
    time.sleep(1.2)      # is idle for over a second: it is pinged before it is used
    s.cont("retriever")
    with slow_inserts(s, 1.8):
        for again in range(4):
            with beside(*[lambda: ask(s, fresh())] * 8):
                for _ in range(8):
                    s.answered(Q_LAMP, session)  # the outbox wants connections, too: more than the hub would give calls to
                if again == 0:
                    yield
            if s.metrics("store").value("store_pool_timeouts_total") > 0:
                break


@event("Postgres stops")
def postgres_stops(s):
    s.postgres.stop("immediate")
    yield
    s.postgres.start()
    s.wait_ready(30)


@event("turns wait for the database")
def outbox_waits(s):
    session = cached_session(s)
    with locked_table(s, "user_sessions"):
        for _ in range(5):
            s.answered(Q_LAMP, session)
        yield


@event("a queued turn of a session that was erased")
def outbox_erased(s):
    session = cached_session(s)
    s.sql("INSERT INTO footnote.erased_sessions (tenant, session_id, erased_at) VALUES ('default', %s, now() + interval '30 s')",
          (psycopg2.Binary(hashlib.sha256(session.encode()).digest()),))
    s.answered(Q_LAMP, session)
    yield


@event("a queued turn that is none")
def outbox_bad(s):
    s.redis.client().xadd("fn:turns", {"q": b"garbage"})
    yield


@event("a clean-up that was missed")
def clean(s):
    s.stop_service("janitor")
    session = new_session()
    s.answered(fresh(), session)
    s.sql("UPDATE footnote.messages SET expires_at = now() - interval '1 hour' WHERE conversation_id IN (SELECT c.id FROM"
          " footnote.conversations c JOIN footnote.user_sessions u ON u.id = c.user_session_id WHERE u.session_id = %s)",
          (psycopg2.Binary(hashlib.sha256(session.encode()).digest()),))
    s.sql("UPDATE footnote.cleanup_runs SET last_run = now() - interval '3 days'")
    s.start("janitor")
    s.wait_ready()
    yield


@event("a clean-up that cannot go on")
def clean_hangs(s):
    s.stop_service("janitor")
    s.sql("UPDATE footnote.cleanup_runs SET last_run = now() - interval '3 days'")
    s.lock = contextlib.ExitStack()
    s.lock.enter_context(locked_table(s, "idempotency"))
    s.start("janitor")
    wait_for("it listens", lambda: _up(s.services["janitor"]))
    yield


@event("a clean-up is given up")
def clean_fails(s):
    """That one: it is tried for half a minute, in which other events happen."""
    wait_for("the run is given up", lambda: s.metrics("janitor").value("janitor_runs_failed_total") > 0, 40, 0.1)
    s.lock.close()
    yield


@event("a reranker puts passages in order")
def reranked(s):
    server = Reranker("documents")
    replica = s.add_replica("embedder", env={"RERANK_URL": server.url})
    try:
        wait_for("the reranker is used", lambda: s.ask(fresh()) and server.calls)
        yield
    finally:
        s.stop_service(replica.name)
        server.close()


@event("another server reads a document")
def converted(s):
    server = Tika()
    s.service_extra.setdefault("retriever", {})["EXTRACT_URL"] = server.url
    s.restart("retriever")
    s.wait_ready()
    try:
        r = s.request("POST", "/api/v1/documents", params={"wait": "1"}, files={"file": ("scan.pdf", b"%PDF-1.7 scanned", "application/pdf")})
        assert r.json()["status"] == "ready", r.text
        yield
    finally:
        del s.service_extra["retriever"]["EXTRACT_URL"]
        s.restart("retriever")
        s.wait_ready()
        server.close()


@event("the embedding model is another one")
def other_model(s):
    def models():
        return s.sql("SELECT DISTINCT active_dims FROM footnote.collection_models WHERE collection = 'docs'")
    before = models()
    s.service_extra.setdefault("embedder", {})["EMBEDDING_PROVIDER"] = "builtin"
    s.restart("embedder")
    s.search("lighthouse")                                     # whose vectors nobody can compare any more
    wait_for("the switch", lambda: models() not in ([], before), 40, 0.1)
    yield
    del s.service_extra["embedder"]["EMBEDDING_PROVIDER"]
    s.restart("embedder")
    wait_for("the switch back", lambda: models() == before, 40, 0.1)


@event("the work on another model's vectors cannot be read")
def models_locked(s):
    faults = "retriever_reembed_faults_total"
    before = s.metrics("retriever").value(faults)
    with locked_table(s, "collection_models"):
        wait_for("a claim is given up", lambda: s.metrics("retriever").value(faults) > before, 30, 0.2)
    yield
