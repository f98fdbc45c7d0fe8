"""A network of machines that a test makes itself: a network namespace for each, joined by a bridge in one more.

    with Net(("test", "store", "postgres")) as net:
        with net["store"].inside():         # this thread, and what it starts, is on that machine
            …
        net.cut("store", "postgres")        # packets between them vanish; way="there": only those to the second one, "back": only its
        net.heal()

    with NetSuite() as s:                   # a FaultSuite of two gateways, each part on a machine of its own
        s.net.cut("gateway", "redis")

Namespaces have no names: this process holds their descriptors, and what runs inside holds them, too. So nothing of a network is seen
from outside, networks side by side never meet, and the kernel takes a network away when its processes have ended, however
they ended. The thread that makes the network moves to the machine "test" until close(); threads and processes that
it starts meanwhile are there, too. Packets vanish where they arrive (iptables, INPUT): the sender is told nothing.
"""
import contextlib
import ctypes
import os
import re
import shutil
import subprocess

import requests

import pg as kit_pg
from faults_kit import BIN, FaultSuite, Proxy
from suite import LOOPBACK, Redis, Service, Stub, free_port

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
MACHINES = ("test", "gateway", "gateway.2", "embedder", "retriever", "store", "janitor", "postgres", "postgres.2", "redis", "model",
            "proxy")
WAYS = ("both", "there", "back")


def here():
    """A descriptor of the namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def system(name, *args):
    if getattr(LIBC, name)(*args) != 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e), name)


def enter(fd):
    system("setns", fd, CLONE_NEWNET)


def new_namespace():
    """A descriptor of a new one; this thread stays where it is."""
    home = here()
    try:
        system("unshare", CLONE_NEWNET)
        fd = here()
        enter(home)
        return fd
    finally:
        os.close(home)


def tool(name, *args, fds=()):
    r = subprocess.run([shutil.which(name, path=SBIN) or name, *args], capture_output=True, text=True, pass_fds=fds)
    if r.returncode != 0:
        raise OSError(f"{name} {' '.join(args)}: {r.stderr}")


class Machine:
    def __init__(self, name, address):
        self.name, self.address, self.fd = name, address, new_namespace()

    @contextlib.contextmanager
    def inside(self):
        before = here()
        enter(self.fd)
        try:
            yield self
        finally:
            enter(before)
            os.close(before)

    def run(self, name, *args, fds=()):
        with self.inside():
            tool(name, *args, fds=fds)

    def port(self):
        with self.inside():
            return free_port(self.address)

    def close(self):
        os.close(self.fd)


class Net:
    def __init__(self, names):
        self.machines, self.home = {}, None  # home: where the thread was before it moved to "test"
        try:
            self.bridge = self.machines[""] = Machine("", "")
            self.bridge.run("ip", "link", "add", "joint", "type", "bridge")
            self.bridge.run("ip", "link", "set", "joint", "up")
            for i, name in enumerate(names, 1):
                self.machines[name] = Machine(name, f"10.77.0.{i}")
                self._join(i, self.machines[name])
        except BaseException:
            self.close()
            raise

    def _join(self, i, machine):
        far = f"/proc/self/fd/{machine.fd}"
        self.bridge.run("ip", "link", "add", f"port{i}", "type", "veth", "peer", "name", "eth0", "netns", far, fds=(machine.fd,))
        self.bridge.run("ip", "link", "set", f"port{i}", "master", "joint", "up")
        machine.run("ip", "addr", "add", f"{machine.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            machine.run("ip", "link", "set", link, "up")

    def __getitem__(self, name):
        return self.machines[name]

    def all(self):
        return [m for m in self.machines.values() if m.address]

    def cut(self, a, b, way="both"):
        for frm, to, ways in ((a, b, ("both", "there")), (b, a, ("both", "back"))):
            if way in ways:
                self[to].run("iptables", "-w", "-A", "INPUT", "-s", self[frm].address, "-j", "DROP")

    def lose(self, share):
        """Every machine loses so many of the packets that come to it."""
        for m in self.all():
            m.run("iptables", "-w", "-A", "INPUT", "-i", "eth0", "-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")

    def netem(self, *words):
        """Every machine sends as tc's netem is told: netem("delay", "20ms", "loss", "1%")."""
        for m in self.all():
            m.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", *words)

    def heal(self):
        for m in self.all():
            m.run("iptables", "-w", "-F", "INPUT")

    def calm(self):
        for m in self.all():
            m.run("tc", "qdisc", "del", "dev", "eth0", "root")

    def close(self):
        if self.home is not None:
            enter(self.home)
            os.close(self.home)
            self.home = None
        while self.machines:
            self.machines.popitem()[1].close()

    def __enter__(self):
        self.home = here()
        enter(self["test"].fd)
        return self

    def __exit__(self, *_):
        self.close()


def why_not(*tries):
    """Why this machine can make no such network, or cannot do this in one: a phrase, or nothing."""
    try:
        with Net(("test", "other")) as net:
            net.cut("test", "other")
            for t in tries:
                t(net)
    except OSError as e:
        return re.sub(r"\s+", " ", str(e)).strip()
    return ""


def http_session():
    """A client as a browser on the gateway's machine: without keys no other host's name is taken."""
    http = requests.Session()
    http.trust_env = False
    http.headers["Host"] = LOOPBACK
    return http


# ---- the suite, a machine for each part -------------------------------------------------------------------------------
class NetService(Service):
    """Its internal port is loopback's of its own machine: no cut keeps the test from it."""

    def __init__(self, machine, *args):
        self.machine = machine
        super().__init__(*args)

    def start(self):
        with self.machine.inside():
            super().start()

    def admin(self, path, timeout=2):
        with self.machine.inside():
            return super().admin(path, timeout)


class NetStub(Stub):
    def __init__(self, machine, folder, args):
        self.machine = machine
        super().__init__(folder, ("--host", "0.0.0.0", *args))

    def start(self):
        with self.machine.inside():
            super().start()

    def _get(self, path):
        with self.machine.inside():
            return super()._get(path)

    def _post(self, path, body):
        with self.machine.inside():
            return super()._post(path, body)


class NetRedis(Redis):
    """The test's own client comes by the socket."""

    def __init__(self, machine, folder, port=None):
        self.machine, self.port = machine, port or machine.port()
        super().__init__(folder)
        self.url = f"redis://{machine.address}:{self.port}/0"

    def start(self, args=(), wait=True, seconds=10):
        with self.machine.inside():
            super().start(("--port", str(self.port), "--bind", "0.0.0.0", "--protected-mode", "no", *args), wait, seconds)


class NetPostgres(kit_pg.Postgres):
    def __init__(self, machine, **kw):
        self.machine = machine
        super().__init__(host=machine.address, **kw)

    def start(self, wait=True):
        with self.machine.inside():
            super().start(wait)


class NetSuite(FaultSuite):
    """Two gateways and one of each other part. A gateway that asks for no key listens on loopback only: a proxy on
    its machine takes its connections from outside."""

    def __init__(self, **kw):
        super().__init__(gateways=2, **kw)
        self.net, self.doors = None, {}
        self.http = http_session()

    def at(self, part):
        """The address that the others are told of that part."""
        return self.net[part].address

    def hubs(self):
        """host:port of each gateway's hub, as workers are told it."""
        return [f"{self.at(name)}:{port}" for name, port in zip(("gateway", "gateway.2"), self.hub_ports)]

    def urls(self):
        """{gateway: its public address}"""
        return {name: f"http://{self.net[name].address}:{door.port('public')}" for name, door in self.doors.items()}

    def up(self):
        self.net = Net(MACHINES).__enter__()
        for name, port in zip(("gateway", "gateway.2"), self.ports):
            with self.net[name].inside():
                self.doors[name] = Proxy(self.folder, {"public": port}, listen=self.net[name].address)
        self.url = self.urls()["gateway"]
        super().up()

    def down(self):
        if self.is_down:
            return {}
        try:
            if self.net:
                self.net.heal()
            return super().down()
        finally:
            for door in self.doors.values():
                door.end()
            if self.net:
                self.net.close()

    def start_neighbours(self):
        self.postgres = NetPostgres(self.net["postgres"])
        with self.net["store"].inside():
            self.postgres.migrate(os.path.join(BIN, "footnote-store"))
        self.redis = NetRedis(self.net["redis"], self.folder)
        self.stub = NetStub(self.net["model"], self.folder, self.stub_args)

    def database_url(self):
        return self.postgres.app_url

    def environment(self, service):
        env = super().environment(service)
        env.update(HUB_ENDPOINTS=",".join("tcp://" + hub for hub in self.hubs()), REDIS_URL=self.redis.url, DATABASE_URL=self.database_url())
        if service == "embedder":
            env["OPENAI_BASE_URL"] = f"http://{self.at('model')}:{self.stub.port}/v1"
        return env

    def new_service(self, name, service, metrics_port, env):
        return NetService(self.net[name], name, service, metrics_port, env, self.folder)

    def start(self, service, name=None, env=None):
        name = name or service
        if service == "gateway":
            i = list(self.doors).index(name)
            env = {"HUB_BIND": f"tcp://{self.net[name].address}:{self.hub_ports[i]}", **(env or {})}
        return super().start(service, name, env)

    def load(self, seed=1, **opts):
        return super().load(seed, targets=[url.removeprefix("http://") for url in self.urls().values()], **opts)


class SlowNetSuite(NetSuite):
    """What the parts say to each other goes through fault-proxy, on a machine of its own: s.slow.say("latency 20")."""
    slow = None

    def start_neighbours(self):
        super().start_neighbours()
        to = {f"hub{i}": (self.net[name].address, port) for i, (name, port) in enumerate(zip(self.doors, self.hub_ports))}
        to.update(redis=(self.net["redis"].address, self.redis.port), model=(self.net["model"].address, self.stub.port),
                  postgres=(self.net["postgres"].address, self.postgres.port))
        with self.net["proxy"].inside():
            self.slow = Proxy(self.folder, to, listen="0.0.0.0")

    def through(self, name):
        return f"{self.net['proxy'].address}:{self.slow.port(name)}"

    def hubs(self):
        return [self.through(f"hub{i}") for i in range(2)] if self.slow else super().hubs()

    def environment(self, service):
        env = super().environment(service)
        env["REDIS_URL"] = f"redis://{self.through('redis')}/0"
        env["DATABASE_URL"] = env["DATABASE_URL"].replace(f"{self.postgres.host}:{self.postgres.port}", self.through("postgres"))
        if service == "embedder":
            env["OPENAI_BASE_URL"] = f"http://{self.through('model')}/v1"
        return env

    def down(self):
        bad = super().down()
        if self.slow:
            self.slow.end()
            self.slow = None
        return bad


__all__ = ["LOOPBACK", "Net", "NetPostgres", "NetSuite", "SlowNetSuite", "WAYS", "http_session", "why_not"]
