"""A whole Footnote for tests: private Postgres, private Redis, the upstream stub and the five real services.

    with Suite(stub=True) as s:
        r = s.ask("What is a footnote?")
        assert r.json()["grounded"]

Everything lives in one private folder, on free ports and sockets of its own, so that several suites may run side by side.
What is started is stopped again by its pid, also after an exception or an interrupt. Waiting is always for a condition.
Programs come from FOOTNOTE_BIN (default build/release). On a failure the last log lines of each service are printed
(conftest.py). Service environment: Suite(env={...}) for all, Suite(service_env={"gateway": {...}}) for one.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import redis
import requests

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pg as kit_pg  # noqa: E402
from ports import free_port  # noqa: E402,F401 - many tests take it from here

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.path.join(TOP, os.environ.get("FOOTNOTE_BIN", "build/release"))
SERVICES = ("store", "embedder", "retriever", "janitor", "gateway")
ADMIN_KEY = "fn_test_admin_key_0123456789abcdef0123456789"
SANITIZED = any(v in os.path.basename(BIN) for v in ("asan", "tsan"))
SLOW = 4 if SANITIZED else 1  # how much longer everything may take
LOOPBACK = "127.0.0.1"


def wait_for(what, check, seconds=10.0, every=0.01):
    """The first true value of check(), or AssertionError that names what was waited for."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds * SLOW:.0f} s in vain for: {what}"
        time.sleep(every)


def new_session():
    return str(uuid.uuid4())


# ---- metrics -------------------------------------------------------------------------------------------------------
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?(?:[0-9.]+(?:e[+-]?[0-9]+)?)|NaN|[+-]Inf)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


class Metrics:
    """One scrape, parsed strictly: every sample has HELP and TYPE before it, no sample comes twice."""

    def __init__(self, text):
        self.types, self.samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                assert name not in self.types and kind in ("counter", "gauge", "histogram"), line
                self.types[name] = kind
            elif line and not line.startswith("# HELP "):
                assert not line.startswith("#"), line
                self._sample(line)

    def _sample(self, line):
        m = SAMPLE.match(line)
        assert m, f"not a sample: {line!r}"
        name, labels, rest = m.group(1), {}, m.group(2) or ""
        while rest:
            pair = LABEL.match(rest)
            assert pair, f"bad labels: {line!r}"
            labels[pair.group(1)] = pair.group(2)
            rest = rest[pair.end():]
        family = re.sub(r"_(bucket|sum|count)$", "", name) if name not in self.types else name
        assert family in self.types, f"no TYPE for {name}"
        key = (name, frozenset(labels.items()))
        assert key not in self.samples, f"twice: {line!r}"
        self.samples[key] = float(m.group(3))

    def value(self, name, **labels):
        """Sum of the samples of this name that carry these labels; names are matched with or without the footnote_ prefix."""
        want = set(labels.items())
        found = [v for (n, ls), v in self.samples.items() if (n == name or n.endswith("_" + name)) and want <= set(ls)]
        assert found, f"no such sample: {name} {labels}"
        return sum(found)


# ---- server-sent events --------------------------------------------------------------------------------------------
class Event:
    def __init__(self, kind, ident, data):
        self.kind, self.id, self.data = kind, ident, data

    def __repr__(self):
        return f"Event({self.kind!r}, {self.id!r}, {self.data!r})"


def parse_events(text):
    """Events of a stream as the WHATWG's HTML standard says (section 9.2.6)."""
    events, kind, data, ident = [], None, [], None
    for line in text.split("\n"):
        if line == "":
            if data:
                events.append(Event(kind or "message", ident, json.loads("\n".join(data))))
            kind, data = None, []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                kind = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                ident = value
    return events


# ---- processes -----------------------------------------------------------------------------------------------------
class Proc:
    """One program that was started: its log, its pid, its end."""

    def __init__(self, name, argv, env, folder, log=None):
        self.name, self.argv, self.env = name, argv, env
        self.log_path = log or os.path.join(folder, name + ".log")
        self.popen = None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, sig):
        if self.running():
            os.kill(self.pid, sig)

    def wait(self, seconds):
        """Exit code, or None when it still runs after this time."""
        try:
            return self.popen.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            return None

    def end(self, seconds=15, signalled=False):
        """SIGTERM (unless it was sent already), wait, SIGKILL if need be. The exit code; -9 when it had to be killed."""
        if not signalled:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        code = self.wait(seconds)
        if code is None:
            self.signal(signal.SIGKILL)
            code = self.popen.wait()
        return code

    def log_lines(self):
        """Parsed JSON lines; what is not JSON (a sanitizer's report) as {"raw": line}."""
        out = []
        with open(self.log_path, errors="replace") as f:
            for line in f:
                try:
                    out.append(json.loads(line))
                except ValueError:
                    out.append({"raw": line.rstrip("\n")})
        return out

    def tail(self, n=12):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-n:])


class Service(Proc):
    """One of the five, with its internal port."""

    def __init__(self, name, service, metrics_port, env, folder):
        self.service, self.metrics_port = service, metrics_port
        super().__init__(name, [os.path.join(BIN, "footnote-" + service)], env, folder)

    def admin(self, path, timeout=2):
        return requests.get(f"http://{LOOPBACK}:{self.metrics_port}{path}", timeout=timeout)

    def ready(self):
        try:
            return self.running() and self.admin("/readyz").status_code == 200
        except requests.RequestException:
            return False

    def metrics(self):
        r = self.admin("/metrics", timeout=5)
        assert r.status_code == 200
        return Metrics(r.text)


class Stub:
    """The model server: tests/kit/upstream_stub.c."""

    def __init__(self, folder, args=()):
        self.log_path = os.path.join(folder, "upstream-stub.log")
        self.port = free_port()
        self.args = list(args)
        self.proc = None
        self.folder = folder
        self.start()

    def start(self):
        self.proc = Proc("upstream-stub", [os.path.join(BIN, "upstream-stub"), "--port", str(self.port), "--threads", "64",
                                           *self.args], dict(os.environ), self.folder)
        wait_for("the upstream stub listens", self._listens)

    def _listens(self):
        assert self.proc.running(), "the upstream stub ended: " + self.proc.tail()
        try:
            return self._get("/_stub/stats").status_code == 200
        except requests.RequestException:
            return False

    def _get(self, path):
        return requests.get(f"http://{LOOPBACK}:{self.port}{path}", timeout=5)

    def _post(self, path, body):
        return requests.post(f"http://{LOOPBACK}:{self.port}{path}", json=body, timeout=5)

    def stats(self):
        return self._get("/_stub/stats").json()

    def last_chat(self):
        r = self._get("/_stub/last")
        return r.json() if r.status_code == 200 else None

    def script(self, *rules):
        assert self._post("/_stub/script", list(rules)).status_code == 200

    def reset(self):
        assert self._post("/_stub/reset", {}).status_code == 200

    def stop(self):
        self.proc.signal(signal.SIGKILL)
        self.proc.popen.wait()


class Redis:
    """A private redis-server on a socket."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "redis")
        os.makedirs(self.folder, exist_ok=True)
        self.socket = os.path.join(folder, "redis.sock")
        self.url = "unix://" + self.socket
        self.proc = None
        self.start()

    def start(self, args=(), wait=True, seconds=10):
        self.proc = Proc("redis", ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder,
                                   "--save", "", "--appendonly", "yes", *args], dict(os.environ), os.path.dirname(self.socket))
        if wait:
            wait_for("Redis answers", self._answers, seconds)

    def _answers(self):
        try:
            return self.client().ping()
        except redis.RedisError:
            return False

    def client(self):
        return redis.Redis(unix_socket_path=self.socket)

    def stop(self):
        self.proc.end(10)


# ---- the suite -----------------------------------------------------------------------------------------------------
class Suite:
    def __init__(self, auth="off", stub=False, env=None, service_env=None, stub_args=(), start=SERVICES):
        self.auth, self.with_stub, self.stub_args = auth, stub, stub_args
        self.extra, self.service_extra, self.to_start = env or {}, service_env or {}, start
        self.services = {}          # name -> Service; replicas as "embedder.2"
        self.is_down = False
        self.expected_exit = set()  # names that a test killed on purpose
        self.folder = tempfile.mkdtemp(prefix="footnote-e2e-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        self.port, self.hub_port = free_port(), free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.http = requests.Session()
        self.http.trust_env = False
        self.postgres = self.redis = self.stub = None
        self._lock = threading.Lock()

    # -- starting and stopping
    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.print_logs()
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def up(self):
        self.start_neighbours()
        for name in self.to_start:
            self.start(name)
        if set(self.to_start) == set(SERVICES):
            self.wait_ready()

    def start_neighbours(self):
        """What the five need and is not ours."""
        self.postgres = kit_pg.Postgres()
        self.postgres.migrate(os.path.join(BIN, "footnote-store"),
                                      **{k: v for k, v in self.extra.items() if k == "MESSAGES_PARTITIONED"})
        self.redis = Redis(self.folder)
        if self.with_stub:
            self.stub = Stub(self.folder, self.stub_args)

    def new_service(self, name, service, metrics_port, env):
        return Service(name, service, metrics_port, env, self.folder)

    def environment(self, service):
        """What one service is given: nothing of the caller's own options leaks in."""
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "MESSAGES_PARTITIONED")}
        env.update(LOG_LEVEL="debug", LOG_FORMAT="json", HUB_ENDPOINTS=f"tcp://{LOOPBACK}:{self.hub_port}",
                   REDIS_URL=self.redis.url, DATABASE_URL=self.postgres.app_url, DEPLOYMENT_SECRET="test-deployment-secret",
                   RATE_LIMIT_ADDR_REQUESTS="1000000",
                   ASAN_OPTIONS="abort_on_error=0:exitcode=99", UBSAN_OPTIONS="print_stacktrace=1",
                   TSAN_OPTIONS="suppressions=" + os.path.join(TOP, "tests/kit/tsan.supp"))
        if service == "gateway":
            env.update(HOST=LOOPBACK, PORT=str(self.port), HUB_BIND=f"tcp://{LOOPBACK}:{self.hub_port}", AUTH=self.auth)
            if self.auth == "on":
                env["ADMIN_KEY"] = ADMIN_KEY
        if service == "embedder" and self.stub:
            env.update(OPENAI_BASE_URL=f"http://{LOOPBACK}:{self.stub.port}/v1", OPENAI_API_KEY="sk-test-upstream-key-canary")
        env.update(self.extra)
        env.update(self.service_extra.get(service, {}))
        return env

    def start(self, service, name=None, env=None):
        """Start one service (or another replica of it) without waiting."""
        name = name or service
        old = self.services.get(name)
        if old is not None and old.running():
            return old
        port = old.metrics_port if old is not None else free_port()
        full = self.environment(service)
        full["METRICS_PORT"] = str(port)
        full.update(env or {})
        with self._lock:
            self.expected_exit.discard(name)
            self.services[name] = self.new_service(name, service, port, full)
        return self.services[name]

    def add_replica(self, service, env=None):
        name = f"{service}.{sum(1 for s in self.services.values() if s.service == service) + 1}"
        self.start(service, name, env)
        wait_for(f"{name} is ready", self.services[name].ready, 15)
        return self.services[name]

    def gateway_ready(self):
        try:
            return self.http.get(self.url + "/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def wait_ready(self, seconds=20):
        def all_ready():
            for s in self.services.values():
                assert s.running() or s.name in self.expected_exit, f"{s.name} ended with {s.popen.poll()}:\n{s.tail()}"
            return all(s.ready() for s in self.services.values() if s.running()) and self.gateway_ready()
        wait_for("all services are ready", all_ready, seconds)

    def stop_service(self, name, sig=signal.SIGTERM):
        """Stop one service; its exit code."""
        s = self.services[name]
        if sig == signal.SIGTERM:
            code = s.end()
        else:
            s.signal(sig)
            code = s.popen.wait()
        self.expected_exit.add(name)
        return code

    def kill(self, name):
        return self.stop_service(name, signal.SIGKILL)

    def stop(self, name):
        self.services[name].signal(signal.SIGSTOP)

    def cont(self, name):
        self.services[name].signal(signal.SIGCONT)

    def restart(self, service, sig=signal.SIGTERM):
        """Stop and start one service; returns its exit code. The next question may come at once."""
        code = self.stop_service(service, sig)
        self.start(service)
        self.wait_ready()
        return code

    def down(self):
        """Stop everything. {name: exit code} of the services that did not end with 0."""
        if self.is_down:
            return {}
        self.is_down, bad = True, {}
        order = ("gateway", "janitor", "retriever", "embedder", "store")
        ending = sorted(self.services.values(), key=lambda s: order.index(s.service))
        for s in ending:
            s.signal(signal.SIGCONT)
            s.signal(signal.SIGTERM)
        deadline = time.monotonic() + 15 * SLOW
        for s in ending:
            code = s.end(max(deadline - time.monotonic(), 0.1) / SLOW, signalled=True)
            if code != 0 and s.name not in self.expected_exit:
                bad[s.name] = code
        reports = self.sanitizer_reports()
        ends = [part.stop for part in (self.stub, self.redis) if part] + ([self.postgres.close] if self.postgres else [])
        for end in ends:
            try:
                end()
            except Exception as e:  # the others must be stopped, too
                print(f"could not stop everything: {e}", file=sys.stderr)
        self.http.close()
        if bad or reports:
            self.print_logs()
        shutil.rmtree(self.folder, ignore_errors=True)
        if reports:
            bad["sanitizer"] = reports[:5]
        return bad

    def sanitizer_reports(self):
        words = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")
        return [line["raw"] for s in self.services.values() for line in s.log_lines()
                if "raw" in line and any(w in line["raw"] for w in words)]

    def print_logs(self, n=15):
        for s in self.services.values():
            print(f"--- last lines of {s.name}:\n{s.tail(n)}", file=sys.stderr)

    # -- asking
    def request(self, method, path, key=None, session=None, **kw):
        headers = dict(kw.pop("headers", {}))
        if key:
            headers["Authorization"] = "Bearer " + key
        if session:
            headers["X-Session-ID"] = session
        kw.setdefault("timeout", 40)
        return self.http.request(method, self.url + path, headers=headers, **kw)

    def ask(self, question, session=None, key=None, headers=None, path="/api/v1/chat/query", **fields):
        body = {"question": question, "session_id": session or new_session(), **fields}
        return self.request("POST", path, key=key, json=body, headers=headers or {})

    def answered(self, question, session=None, **kw):
        """The answer as a dict; fails when it is not 200."""
        r = self.ask(question, session, **kw)
        assert r.status_code == 200, (r.status_code, r.text)
        return r.json()

    def stream(self, question, session=None, key=None, **fields):
        """(response, events) of a whole stream."""
        body = {"question": question, "session_id": session or new_session(), **fields}
        r = self.request("POST", "/api/v1/chat/stream", key=key, json=body)
        r.encoding = "utf-8"
        return r, parse_events(r.text) if r.status_code == 200 else []

    def search(self, query, key=None, **fields):
        r = self.request("POST", "/api/v1/search", key=key, json={"query": query, **fields})
        assert r.status_code == 200, (r.status_code, r.text)
        return r.json()["results"]

    def fits(self, name, value):
        """The members that /openapi.json says of name are those of value: all that must be there, and no others."""
        schema = self.request("GET", "/openapi.json").json()["components"]["schemas"][name]
        return set(schema["required"]) <= set(value) <= set(schema["properties"])

    def ingest(self, text, id=None, key=None, wait=True, content_type="text/markdown", **fields):
        """Add one document and wait until it can be found; the document as a dict."""
        body = {"text": text, "content_type": content_type, **fields}
        if id:
            body["id"] = id
        r = self.request("POST", "/api/v1/documents" + ("?wait=1" if wait else ""), key=key, json=body)
        assert r.status_code == (200 if wait else 202), (r.status_code, r.text)
        return r.json()

    def text(self, document_id, key=None):
        r = self.request("GET", f"/api/v1/documents/{document_id}/text", key=key)
        assert r.status_code == 200, (r.status_code, r.text)
        return r.content

    def history(self, session, key=None, **params):
        r = self.request("GET", "/api/v1/chat/history", key=key, session=session, params=params)
        assert r.status_code == 200, (r.status_code, r.text)
        return r.json()

    def messages(self, session, n, seconds=2.0):
        """The session's messages as soon as there are n of them."""
        def enough():
            items = self.history(session, limit=200)["items"]
            return items if len(items) >= n else None
        return wait_for(f"{n} messages in the history", enough, seconds, every=0.1)  # a session has 60 requests a minute

    def make_key(self, scopes, tenant=None, **fields):
        """A new API key that works already."""
        body = {"label": "test", "scopes": scopes, **fields}
        if tenant:
            body["tenant"] = tenant
        r = self.request("POST", "/api/v1/keys", key=ADMIN_KEY, json=body)
        assert r.status_code == 201, (r.status_code, r.text)
        return r.json()

    def metrics(self, name):
        return self.services[name].metrics()

    def pg(self):
        """A connection to the suite's database, schema footnote."""
        return self.postgres.connect()

    def sql(self, text, args=None):
        c = self.pg()
        try:
            with c.cursor() as cur:
                cur.execute(text, args)
                return cur.fetchall() if cur.description else cur.rowcount
        finally:
            c.close()

    def cli(self, *args, stdin=None, timeout=120, env=None):
        """Run the client `footnote`."""
        full = {**{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}, "FOOTNOTE_URL": self.url,
                "ASAN_OPTIONS": "exitcode=99", **(env or {})}
        return subprocess.run([os.path.join(BIN, "footnote"), *args], env=full, text=True, capture_output=True,
                              timeout=timeout * SLOW, stdin=subprocess.DEVNULL)

    def lines_with(self, request_id, service=None):
        """Log lines that carry this request id."""
        return [line for s in self.services.values() if service in (None, s.service) for line in s.log_lines()
                if line.get("request_id") == request_id]

    # -- HTTP byte by byte
    def raw(self, data, seconds=5.0, half_close=False):
        """Send bytes; everything that comes back until the server closes or is silent for 0.4 s. (bytes, closed)"""
        with socket.create_connection((LOOPBACK, self.port), timeout=seconds * SLOW) as c:
            c.sendall(data)
            if half_close:
                c.shutdown(socket.SHUT_WR)
            got, closed = b"", False
            while True:
                try:
                    piece = c.recv(65536)
                except socket.timeout:
                    break
                except ConnectionResetError:
                    closed = True
                    break
                if not piece:
                    closed = True
                    break
                got += piece
                c.settimeout(0.4 * SLOW)
            return got, closed


def source_session(address):
    """A client that comes from another loopback address: 127.0.0.0/8 is all ours."""
    class FromAdapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args, **kw):
            kw["source_address"] = (address, 0)
            super().init_poolmanager(*args, **kw)

    s = requests.Session()
    s.trust_env = False
    s.mount("http://", FromAdapter())
    return s
