"""A fake hub, a private Redis, the upstream stub and the real embedder, for the embedder's service tests.

Everything listens on free ports of 127.0.0.1, lives in a private folder and is stopped by its pid.
"""
import atexit
import json
import os
import signal
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid

import msgpack
import zmq

from ports import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, os.environ.get("FOOTNOTE_BIN", "build/release"))
READY, REQUEST, PARTIAL, FINAL, HEARTBEAT, DISCONNECT, CANCEL, DRAIN, NACK, CREDIT = range(1, 11)


def start(args, **how):
    """A child that does not outlive the tests, however they end."""
    child = subprocess.Popen(args, **how)
    atexit.register(lambda: child.poll() is None and child.kill())
    return child


def wait_for(what, seconds=10):
    """The first true value of what(); fails after some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("waited in vain for " + getattr(what, "__name__", "it"))


def http(url, body=None, timeout=10):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=timeout) as r:
        return r.read().decode()


class Call:
    def __init__(self):
        self.id, self.parts, self.head, self.rep = uuid.uuid4().bytes, [], None, None
        self.done, self.begun, self.ended = threading.Event(), time.monotonic(), None

    def wait(self, seconds=15):
        assert self.done.wait(seconds), "no answer"
        return self

    @property
    def code(self):
        return self.head["code"]

    @property
    def seconds(self):
        return self.ended - self.begun

    @property
    def vectors(self):
        n = self.rep["dims"]
        floats = struct.unpack("<%df" % (len(self.rep["vectors"]) // 4), self.rep["vectors"])
        return [floats[i:i + n] for i in range(0, len(floats), n)]


class Hub:
    """Binds a ROUTER, registers one worker, sends it requests and collects its answers."""

    def __init__(self):
        self.ctx = zmq.Context()
        self.sock = self.ctx.socket(zmq.ROUTER)
        self.sock.linger = 0
        self.port = self.sock.bind_to_random_port("tcp://127.0.0.1")
        self.epoch, self.workers, self.offers, self.commands = os.urandom(16), [], {}, []
        self.calls, self.out, self.lock, self.stop = {}, [], threading.Lock(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        last = 0.0
        while not self.stop:
            with self.lock:
                out, self.out = self.out, []
            for frames in out:
                self.sock.send_multipart(frames)
            if time.monotonic() - last > 0.5:
                last = time.monotonic()
                for w in self.workers:
                    self.send_now(w, HEARTBEAT, {"hub_epoch": self.epoch})
            if self.sock.poll(2):
                self.on_frames(self.sock.recv_multipart())

    def send_now(self, worker, cmd, head, payload=None):
        frames = [worker, b"FN01", bytes([cmd]), msgpack.packb(head)]
        self.sock.send_multipart(frames + ([] if payload is None else [payload]))

    def on_frames(self, frames):
        worker, magic, cmd, head = frames[0], frames[1], frames[2][0], msgpack.unpackb(frames[3])
        assert magic == b"FN01"
        self.commands.append((cmd, head))
        if cmd == READY:
            self.workers = [worker]
            self.offers = {s["name"]: s["capacity"] for s in head["services"]}
            self.send_now(worker, HEARTBEAT, {"hub_epoch": self.epoch})
        elif cmd == DRAIN:
            self.send_now(worker, DRAIN, {"hub_epoch": self.epoch})
        call = self.calls.get(head.get("req"))
        if call and cmd == PARTIAL:
            assert head["seq"] == len(call.parts)
            call.parts.append(msgpack.unpackb(frames[4])["text"])
        elif call and cmd in (FINAL, NACK):
            assert not call.done.is_set(), "answered twice"
            call.head, call.ended = head, time.monotonic()
            call.rep = msgpack.unpackb(frames[4]) if len(frames) > 4 and cmd == FINAL and head["code"] == 0 else None
            call.done.set()

    def post(self, cmd, head, payload=None):
        frames = [self.workers[0], b"FN01", bytes([cmd]), msgpack.packb(head)]
        with self.lock:
            self.out.append(frames + ([] if payload is None else [payload]))

    def ask(self, kind, req, ttl_ms=8000):
        call = Call()
        self.calls[call.id] = call
        head = {"req": call.id, "attempt": 1, "ttl_ms": ttl_ms, "kind": kind, "trace": "test", "tenant": "default"}
        self.post(REQUEST, head, msgpack.packb(req))
        return call

    def embed(self, *texts, ttl_ms=8000, **more):
        return self.ask("embed", dict(texts=list(texts), **more), ttl_ms)

    def chat(self, question, hits=(), ttl_ms=20000, **more):
        return self.ask("chat", dict(question=question, hits=[hit(*h) for h in hits], **more), ttl_ms)

    def cancel(self, call):
        self.post(CANCEL, {"req": call.id, "attempt": 1})

    def close(self):
        self.stop = True
        self.thread.join()
        self.sock.close()
        self.ctx.term()


def hit(title, text, score=0.8):
    return {"chunk_id": uuid.uuid4().bytes, "document_id": uuid.uuid4().bytes, "collection": "docs", "title": title,
            "text": text, "start": 0, "end": len(text.encode()), "score": score}


class Stub:
    def __init__(self, *flags):
        self.proc = start([os.path.join(BIN, "upstream-stub"), *flags], stdout=subprocess.PIPE)
        self.url = "http://127.0.0.1:%d" % int(self.proc.stdout.readline())

    def script(self, *rules):
        http(self.url + "/_stub/script", list(rules))

    def stats(self):
        return json.loads(http(self.url + "/_stub/stats"))

    def last(self):
        return json.loads(http(self.url + "/_stub/last"))

    def reset(self):
        http(self.url + "/_stub/reset", {})

    def close(self):
        self.proc.kill()
        self.proc.wait()


class Redis:
    def __init__(self):
        self.dir, self.port = tempfile.TemporaryDirectory(), free_port()
        self.proc = start(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.dir.name],
            stdout=subprocess.DEVNULL)
        import redis
        self.client = redis.Redis(port=self.port)
        wait_for(self.ping)
        self.url = "redis://127.0.0.1:%d" % self.port

    def ping(self):
        try:
            return self.client.ping()
        except Exception:
            return False

    def close(self):
        self.proc.kill()
        self.proc.wait()
        self.dir.cleanup()


class Embedder:
    """The real process, registered with its own hub."""

    def __init__(self, **env):
        self.hub, self.metrics_port = Hub(), free_port()
        self.log = tempfile.TemporaryFile("a+b") # append: reading must not move where the child writes
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "EMBED", "CHAT_", "REDIS_"))}
        clean.update(HUB_ENDPOINTS="tcp://127.0.0.1:%d" % self.hub.port, METRICS_PORT=str(self.metrics_port),
                     **dict(dict(REDIS_URL=""), **env))
        self.proc = start([os.path.join(BIN, "footnote-embedder")], env=clean, stderr=self.log)
        wait_for(lambda: self.hub.offers)
        wait_for(self.is_ready)

    def is_ready(self):
        try:
            return http("http://127.0.0.1:%d/readyz" % self.metrics_port) is not None
        except Exception:
            return False

    def stat(self, name):
        """Value of one line of /metrics, such as 'embed_texts_total{source="cache"}'; 0 when it is not there."""
        for line in http("http://127.0.0.1:%d/metrics" % self.metrics_port).splitlines():
            if line.startswith("footnote_" + name + " "):
                return float(line.split()[-1])
        return 0.0

    def logs(self):
        self.log.seek(0)
        return self.log.read().decode()

    def terminate(self):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(15)

    def close(self):
        if self.proc.poll() is None:
            code = self.terminate()
            assert code == 0, self.logs()
        self.hub.close()
