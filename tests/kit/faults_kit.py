"""What the fault tests share: suites with several of everything, load, the proxy, and bars.

A test gets `run` (tests/faults/conftest.py): run.long says which form, run.pick(short, long) chooses a figure, run.seed is
printed with every bar, and run.bar(name, measured, bar, ok) records a line "name measured bar ok|SHORT".
"""
import json
import os
import re
import subprocess
import sys
import threading
import time

import requests

from suite import BIN, LOOPBACK, SERVICES, SLOW, Proc, Suite, free_port, new_session, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from corpus_kit import PUMP  # noqa: E402

NO_LIMITS = {"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "100000000", "RATE_LIMIT_ADDR_REQUESTS": "100000000",
             "MAX_CONN_PER_ADDR": "100000", "HTTP_THREADS": "2048", "MAX_REQUESTS": "2048", "LOG_LEVEL": "info"}
AS_SHIPPED = {"HTTP_THREADS": "1536", "MAX_REQUESTS": "256"}  # where the limits of a gateway matter: NO_LIMITS gives it more
BIN_JANITOR = os.path.join(BIN, "footnote-janitor")
SERVICE_NAMES = {"embedder": "embed", "retriever": "retrieve", "store": "store", "janitor": "janitor"}


class FaultSuite(Suite):
    """Suite(gateways=2, replicas={"embedder": 2}): workers connect to every gateway; names are gateway, gateway.2, …"""

    def __init__(self, gateways=1, replicas=None, stub=True, env=None, stub_args=(), proxied=False, **kw):
        super().__init__(stub=stub, stub_args=("--echo-canary", "1", "--threads", "600", *stub_args), **kw)
        self.ports = [self.port] + [free_port() for _ in range(gateways - 1)]
        self.hub_ports = [self.hub_port] + [free_port() for _ in range(gateways - 1)]
        self.extra = {**NO_LIMITS, **(env or {})}
        self.worker_hubs = self.hub_ports  # a proxy may stand before them
        self.replicas, self.own_env = replicas or {}, {}
        self.proxy, self.proxied, self.loads = None, proxied, []

    def environment(self, service):
        env = super().environment(service)
        env["HUB_ENDPOINTS"] = ",".join(f"tcp://{LOOPBACK}:{p}" for p in self.worker_hubs)
        return env

    def start(self, service, name=None, env=None):
        name = name or service
        if env:
            self.own_env.setdefault(name, {}).update(env)
        own = dict(self.own_env.get(name, {}))
        if service == "gateway":
            i = int(name.split(".")[1]) - 1 if "." in name else 0
            own = {"PORT": str(self.ports[i]), "HUB_BIND": f"tcp://{LOOPBACK}:{self.hub_ports[i]}", **own}
        return super().start(service, name, own)

    def up(self):
        if self.proxied:
            self.proxy = Proxy(self.folder, {f"hub{i}": port for i, port in enumerate(self.hub_ports)})
            self.worker_hubs = [self.proxy.port(f"hub{i}") for i in range(len(self.hub_ports))]
        super().up()
        for i in range(2, len(self.ports) + 1):
            self.start("gateway", f"gateway.{i}")
        for service, n in self.replicas.items():
            for i in range(2, n + 1):
                self.start(service, f"{service}.{i}")
        if set(self.to_start) == set(SERVICES):
            self.wait_ready()
            self.wait_workers()
            self.ingest(PUMP, "pump")
            self.answered("What does fault code E14 of the pump mean?")

    def down(self):
        for load in self.loads:
            load.end()
        bad = super().down()
        if self.proxy:
            self.proxy.end()
            self.proxy = None
        return bad

    def expected(self):
        """{service on the bus: workers} of what runs."""
        out = {}
        for s in self.services.values():
            if s.service != "gateway" and s.running():
                for name in {"embed", "chat"} if s.service == "embedder" else {SERVICE_NAMES[s.service]}:
                    out[name] = out.get(name, 0) + 1
        out.pop("janitor", None)
        return out

    def workers(self, gateway="gateway"):
        """{service: workers} as that gateway's hub sees them; {} when it does not answer."""
        try:
            m = self.services[gateway].metrics()
        except requests.RequestException:
            return {}
        return {name: int(m.value("bus_workers", service=name)) for name in ("embed", "chat", "retrieve", "store")}

    def wait_workers(self, seconds=10, gateways=None):
        for name in gateways or [s.name for s in self.services.values() if s.service == "gateway"]:
            wait_for(f"{name} has all workers", lambda: self.workers(name) == self.expected(), seconds)

    def gateway_names(self):
        return [s.name for s in self.services.values() if s.service == "gateway"]

    def load(self, seed=1, **opts):
        """loadgen in the background; no two loads of a suite ask the same questions."""
        load = Load(self, seed=seed * 1000 + len(self.loads), **opts)
        self.loads.append(load)
        return load

    def peak(self, seconds=4, closed=48, **opts):
        """Answers a second that this machine gives; twice, the better one."""
        return max(self.load(closed=closed, seconds=seconds, **opts).wait()["goodput"] for _ in range(2))


class Load:
    """One run of loadgen. Options as its flags: rate=50, seconds=5, streams=0.33, attempts=8 …"""

    def __init__(self, suite, targets=None, **opts):
        self.path = os.path.join(suite.folder, f"load-{time.monotonic_ns()}.jsonl")
        targets = targets or [f"{LOOPBACK}:{p}" for p in suite.ports]
        argv = [os.path.join(BIN, "loadgen"), "--targets", ",".join(targets), "--record", self.path]
        for k, v in opts.items():
            argv += ["--" + k.replace("_", "-"), str(v)]
        self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                      start_new_session=True)
        self.result = None

    def wait(self, seconds=None):
        if self.result is None:
            out, _ = self.popen.communicate(timeout=seconds)
            assert self.popen.returncode == 0, f"loadgen ended with {self.popen.returncode}"
            self.result = json.loads(out)
        return self.result

    def end(self):
        """Begin nothing more; the summary once what is open has ended."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.result

    def records(self):
        self.wait()
        with open(self.path) as f:
            return [json.loads(line) for line in f]

    def failed(self):
        """Requests without a whole good answer, as {code: number}."""
        return {k: v for k, v in self.wait()["codes"].items() if k != "ok"}


class Proxy:
    """fault-proxy before some ports (or (host, port)s). say("hub0 latency 100"); stats()."""

    def __init__(self, folder, targets, host=LOOPBACK, seed=1, listen=LOOPBACK):
        self.ports = {name: free_port() for name in targets}
        argv = [os.path.join(BIN, "fault-proxy"), "--seed", str(seed), "--host", listen]
        for name, to in targets.items():
            there, port = to if isinstance(to, tuple) else (host, to)
            argv += ["--map", f"{name}={self.ports[name]}:{there}:{port}"]
        self.log = open(os.path.join(folder, "fault-proxy.log"), "ab")
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                      bufsize=1, start_new_session=True)
        self.lock = threading.Lock()
        assert self.popen.stdout.readline().strip() == "ready"

    def port(self, name):
        return self.ports[name]

    def say(self, line):
        with self.lock:
            self.popen.stdin.write(line + "\n")
            self.popen.stdin.flush()
            reply = json.loads(self.popen.stdout.readline())
        assert "error" not in reply, (line, reply)
        return reply

    def stats(self):
        return self.say("stats")

    def end(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            self.popen.wait(10)
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.log.close()


class Run:
    """Bars of one test; the fixture `run` fails the test when one is short. Times and rates depend on what else the machine
    does, so `make test` (FAULTS_TIMED=0) shows them and judges only what happened; `make faults` judges them too."""
    FILE = os.environ.get("FAULTS_BARS")
    TIMED = os.environ.get("FAULTS_TIMED") != "0"
    A_TIME = re.compile(r"_(ms|s|ms_\w+|throughput\w*)$")

    def __init__(self, test):
        self.long = os.environ.get("FAULTS_LONG") == "1"
        self.seed = int(os.environ.get("FAULTS_SEED", "1"))
        self.test, self.short = test, []

    def pick(self, short, long):
        return long if self.long else short

    def bar(self, name, measured, bar, ok):
        if isinstance(measured, float):
            measured = f"{measured:.3g}" if measured < 1000 else f"{measured:.0f}"
        excused = not ok and not self.TIMED and self.A_TIME.search(name)
        verdict = "ok" if ok else "slow" if excused else "SHORT"
        line = f"{name} {measured} {bar} {verdict} seed={self.seed}".replace("\n", " ")
        print(line)
        if self.FILE:
            with open(self.FILE, "a") as f:
                f.write(line + "\n")
        if verdict == "SHORT":
            self.short.append(line)

    def most(self, name, measured, most, unit=""):
        self.bar(name, f"{measured:.4g}{unit}", f"<={most}{unit}", measured <= most * SLOW)

    def least(self, name, measured, least, unit=""):
        self.bar(name, f"{measured:.4g}{unit}", f">={least}{unit}", measured >= least)

    def none(self, name, what):
        """Nothing may be in this list or dict; the first few are shown."""
        n = sum(what.values()) if isinstance(what, dict) else len(what)
        shown = (str(what) if isinstance(what, dict) else str(what[:3])) if n else ""
        self.bar(name, f"{n}{' ' if n else ''}{shown}", "0", n == 0)

    def clean(self, prefix, found):
        """The checker's findings, a bar for each invariant."""
        for k in sorted(found):
            self.none(f"{prefix}_{k}", found[k])


class Background:
    """Calls that run on threads of their own; results in order."""

    def __init__(self, *calls):
        self.results = [None] * len(calls)
        self.threads = [threading.Thread(target=self._one, args=(i, c)) for i, c in enumerate(calls)]
        for t in self.threads:
            t.start()

    def _one(self, i, call):
        try:
            self.results[i] = call()
        except Exception as e:
            self.results[i] = e

    def wait(self, seconds=60):
        for t in self.threads:
            t.join(seconds * SLOW)
        return self.results


def ms_since(begun):
    return (time.monotonic() - begun) * 1e3


__all__ = ["BIN", "BIN_JANITOR", "Background", "FaultSuite", "LOOPBACK", "Load", "Proc", "Proxy", "Run", "free_port", "ms_since", "new_session",
           "wait_for"]
