"""A fake hub for tests of single services: a ROUTER that speaks proto/PROTOCOL.md's frames, and a real service beside it.

    with Hub() as hub, Service("store", hub, DATABASE_URL=pg.url) as store:
        code, rep = hub.ask("session.get", {"session": b"…32 bytes…"}, tenant="default")

ask() sends one request to a worker that offers the kind's service and waits for its FINAL; begin() does not wait.
Values are plain Python: str, bytes for bin and id, int, float, bool, list, dict.
"""
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import msgpack
import zmq

from pg import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, os.environ.get("FOOTNOTE_BIN", "build/release"))
SLOW = 4 if any(v in os.path.basename(BIN) for v in ("asan", "tsan")) else 1
READY, REQUEST, PARTIAL, FINAL, HEARTBEAT, DISCONNECT, CANCEL, DRAIN, NACK, CREDIT = range(1, 11)
WITH_PAYLOAD = (REQUEST, PARTIAL, FINAL)  # always four frames; the other commands have three


def frames_of(command, head, payload=None):
    """A message of the bus; what must have a payload and has none gets an empty one."""
    return [b"FN01", bytes([command]), msgpack.packb(head)] + \
        ([payload or b""] if command in WITH_PAYLOAD or payload is not None else [])


def table(name, macro):
    """Rows of a .tbl file: the arguments of each MACRO(…) line, stripped."""
    with open(os.path.join(ROOT, "proto", name)) as f:
        rows = re.findall(r"^%s\((.*?)\)\s*(?:/\*.*)?$" % macro, f.read(), re.M)
    return [[a.strip().strip('"') for a in row.split(",")] for row in rows]


SERVICE_OF = {row[1]: row[2].lower() for row in table("kind.tbl", "KIND")}
CODES = {row[0]: int(row[1]) for row in table("err.tbl", "ERR")}
NAMES = {int(row[1]): row[0] for row in table("err.tbl", "ERR")}


def wait_for(what, check, seconds=10.0):
    """The first true value of check(), or AssertionError that names what was waited for."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.01)


class Call:
    """One request; code is None until the FINAL (or "NACK") came."""

    def __init__(self, kind):
        self.id, self.kind, self.parts = os.urandom(16), kind, []
        self.head, self.rep, self.code = None, None, None
        self.begun, self.ended, self.done = time.monotonic(), None, threading.Event()

    def wait(self, seconds=15):
        assert self.done.wait(seconds * SLOW), f"no answer to {self.kind}"
        return self

    @property
    def seconds(self):
        return self.ended - self.begun

    @property
    def name(self):
        """Name of the error, "OK" when there is none."""
        return NAMES.get(self.code, self.code)


class Hub:
    def __init__(self, port=None):
        self.ctx = zmq.Context()
        self.sock = self.ctx.socket(zmq.ROUTER)
        self.sock.linger = 0
        self.sock.maxmsgsize = 67200000
        self.port = port or free_port()
        self.sock.bind(f"tcp://127.0.0.1:{self.port}")
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.epoch = os.urandom(16)
        self.workers = {}          # service → {routing id: capacity}
        self.commands = []         # (command, header) of everything that came
        self.calls = {}            # req → Call
        self.requests = []         # what workers asked of us: (worker, header, payload)
        self.answer = None         # f(kind, payload) → (code, reply) for these; None: no answer
        self._out, self._lock, self._stop = [], threading.Lock(), False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- the hub's thread
    def _run(self):
        beat = 0.0
        while not self._stop:
            with self._lock:
                out, self._out = self._out, []
            for frames in out:
                self.sock.send_multipart(frames)
            if time.monotonic() - beat > 0.5:
                beat = time.monotonic()
                for worker in {w for ws in self.workers.values() for w in ws}:
                    self._send_now(worker, HEARTBEAT, {"hub_epoch": self.epoch})
            if self.sock.poll(2):
                self._on_frames(self.sock.recv_multipart())

    def _send_now(self, worker, command, head, payload=None):
        self.sock.send_multipart([worker, *frames_of(command, head, payload)])

    def _forget(self, worker):
        for ws in self.workers.values():
            ws.pop(worker, None)

    def _on_frames(self, frames):
        worker, magic, command, head = frames[0], frames[1], frames[2][0], msgpack.unpackb(frames[3])
        payload = msgpack.unpackb(frames[4], unicode_errors="surrogateescape") if frames[4:] and frames[4] else None
        assert magic == b"FN01", magic
        self.commands.append((command, head))
        if command == READY:
            for s in head["services"]:
                self.workers.setdefault(s["name"], {})[worker] = s["capacity"]
            self._send_now(worker, HEARTBEAT, {"hub_epoch": self.epoch})
        elif command in (DRAIN, DISCONNECT):
            self._forget(worker)
            if command == DRAIN:
                self._send_now(worker, DRAIN, {"hub_epoch": self.epoch})
        elif command == REQUEST:
            self.requests.append((worker, head, payload))
            answer = self.answer and self.answer(head["kind"], payload)
            if answer:
                self._send_now(worker, FINAL, {"req": head["req"], "attempt": head["attempt"], "code": answer[0]},
                               msgpack.packb(answer[1]) if answer[0] == 0 else None)
        elif command in (PARTIAL, FINAL, NACK):
            self._on_answer(command, head, payload)

    def _on_answer(self, command, head, payload):
        call = self.calls.get(head["req"])
        if not call:
            return
        if command == PARTIAL:
            call.parts.append(payload)
            return
        call.head, call.rep, call.ended = head, payload, time.monotonic()
        call.code = head["code"] if command == FINAL else "NACK"
        call.done.set()

    # ---- what tests use
    def send(self, worker, command, head, payload=None):
        with self._lock:
            self._out.append([worker, *frames_of(command, head, payload)])

    def wait_worker(self, service, seconds=15, n=1):
        return wait_for(f"{n} {service} at the hub", lambda: len(self.workers.get(service, {})) >= n and
                        list(self.workers[service])[-1], seconds)

    def begin(self, kind, req=None, tenant="default", ttl_ms=5000, trace="test", worker=None, raw=None):
        call = Call(kind)
        worker = worker or self.wait_worker(SERVICE_OF[kind])
        self.calls[call.id] = call
        head = {"req": call.id, "attempt": 1, "ttl_ms": ttl_ms, "kind": kind, "trace": trace, "tenant": tenant}
        self.send(worker, REQUEST, head, raw if raw is not None else msgpack.packb(req or {}))
        return call

    def ask(self, kind, req=None, seconds=15, **kw):
        """(code, reply); code 0 is success."""
        call = self.begin(kind, req, **kw).wait(seconds)
        return call.code, call.rep

    def ok(self, kind, req=None, **kw):
        """The reply of a request that must succeed."""
        call = self.begin(kind, req, **kw).wait()
        assert call.code == 0, f"{kind}: {call.name} {call.head.get('text')}"
        return call.rep

    def close(self):
        self._stop = True
        self._thread.join()
        self.sock.close()
        self.ctx.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Service:
    """A real service process, configured by environment; stopped with SIGTERM, which must end it with 0. folder: its programs.
    MESSAGES_PARTITIONED of the tests' own environment is theirs: so whole files run with messages by month."""

    def __init__(self, name, hub=None, args=(), wait=True, folder=BIN, **env):
        self.name, self.port = name, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile(prefix=f"fn-{name}-")
        full = {"PATH": os.environ["PATH"], "METRICS_PORT": str(self.port), "LOG_LEVEL": "debug",
                "HUB_ENDPOINTS": hub.endpoint if hub else "tcp://127.0.0.1:9"}
        full.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "MESSAGES_PARTITIONED"})
        full.update({k: str(v) for k, v in env.items()})
        self.process = subprocess.Popen([os.path.join(folder, f"footnote-{name}"), *args], env=full,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        if wait:
            try:
                wait_for(f"{name} ready", self.ready)
            except BaseException:
                print(self.text()[-4000:])
                self.kill()
                raise

    def _get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)

    def ready(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: {self.text()[-3000:]}"
        return self._get("/readyz")[0] == 200

    def readyz(self):
        return self._get("/readyz")

    def metric(self, name, **labels):
        """Value of footnote_NAME with these labels; 0 when it is not there."""
        for line in self._get("/metrics")[1].splitlines():
            m = re.match(r"footnote_(\w+)(?:\{(.*)\})? (\S+)$", line)
            if m and m[1] == name and dict(re.findall(r'(\w+)="([^"]*)"', m[2] or "")) == labels:
                return float(m[3])
        return 0.0

    def counted(self, value, name, **labels):
        """Waits until the metric has this value: a count may follow the effect that a test has just seen."""
        wait_for(f"{name}{labels or ''} to be {value}, not {self.metric(name, **labels)}",
                 lambda: self.metric(name, **labels) == value)

    def text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self, sig=signal.SIGKILL):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, sig)
        return self.process.wait(30 * SLOW)

    def stop(self, seconds=20):
        """Ends it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            code = self.stop()
        finally:
            if kind or self.process.returncode not in (0, None):
                print(self.text()[-6000:])
            self.log.close()
        assert kind or code == 0, f"{self.name} ended with {code}"
