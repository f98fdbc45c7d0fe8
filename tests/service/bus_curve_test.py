"""CURVE on the bus (docs/faults.md A26, A27): only listed keys get in, each only with the services it is listed for."""
import os
import signal
import socket
import subprocess
import sys
import threading

import msgpack
import pytest
import requests
import zmq
from zmq.utils import z85

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kit"))
from bad_worker import FINAL, HEARTBEAT, BadWorker  # noqa: E402
from suite import LOOPBACK, Suite, wait_for  # noqa: E402


def pair():
    """(public, secret) as hex."""
    public, secret = zmq.curve_keypair()
    return z85.decode(public).hex(), z85.decode(secret).hex()


HUB, JANITOR, WRONG, STRANGER = pair(), pair(), pair(), pair()


def serves(service):
    try:
        return service.admin("/healthz").status_code == 200
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    allow = tmp_path_factory.mktemp("curve") / "workers"
    allow.write_text(f"# the workers of this test\n{JANITOR[0]} janitor\n{WRONG[0]} embed,chat  # not what it will offer\n")
    env = {"BUS_CURVE": "on", "HUB_PUBLIC_KEY": HUB[0]}
    gateway = {"HUB_SECRET_KEY": HUB[1], "HUB_ALLOW_FILE": str(allow)}
    with Suite(start=("gateway",), env=env, service_env={"gateway": gateway}) as s:
        wait_for("the gateway serves", lambda: serves(s.services["gateway"]))
        s.allow = allow
        yield s


@pytest.fixture
def gateway(suite):
    return suite.services["gateway"]


def workers(gateway):
    return gateway.metrics().value("bus_workers", service="janitor")


def janitor(suite, name, secret):
    return suite.start("janitor", name, {"BUS_SECRET_KEY": secret})


def test_the_gateway_proves_at_start_that_a_random_key_is_refused(gateway):
    assert any("a random key is refused" in line.get("msg", "") for line in gateway.log_lines())


def test_a_listed_key_gets_in(suite, gateway):
    j = janitor(suite, "janitor.listed", JANITOR[1])
    wait_for("the worker is registered", lambda: workers(gateway) == 1)
    assert j.end() == 0
    wait_for("it left", lambda: workers(gateway) == 0)


def test_an_unlisted_key_stays_out(suite, gateway):
    j = janitor(suite, "janitor.stranger", STRANGER[1])
    wait_for("the refusal is logged",
             lambda: any("not listed was refused" in line.get("msg", "") for line in gateway.log_lines()))
    assert workers(gateway) == 0
    assert j.end() == 0


def test_a_key_listed_for_another_service_is_refused(suite, gateway):
    before = gateway.metrics().value("bus_worker_forbidden_total")
    j = janitor(suite, "janitor.wrong", WRONG[1])
    wait_for("it is counted", lambda: gateway.metrics().value("bus_worker_forbidden_total") > before)
    assert workers(gateway) == 0
    assert j.end() == 0


def test_a_worker_without_curve_stays_out(suite, gateway):
    j = suite.start("janitor", "janitor.plain", {"BUS_CURVE": "off"})
    listed = janitor(suite, "janitor.listed2", JANITOR[1])
    wait_for("the listed one is registered", lambda: workers(gateway) == 1)
    assert not j.ready()
    j.end()
    listed.end()


def test_the_list_is_read_again_on_sighup(suite, gateway):
    j = janitor(suite, "janitor.later", STRANGER[1])
    suite.allow.write_text(f"{JANITOR[0]} janitor\n{STRANGER[0]} janitor\n")
    gateway.signal(signal.SIGHUP)
    wait_for("the worker is registered now", lambda: workers(gateway) == 1)
    suite.allow.write_text("nonsense\n")
    gateway.signal(signal.SIGHUP)
    wait_for("the bad list is refused", lambda: any("a line must be" in line.get("msg", "") for line in gateway.log_lines()))
    assert workers(gateway) == 1
    j.end()


def test_silent_sockets_and_plain_clients_are_let_go(suite, gateway):
    before = gateway.metrics().value("process_open_fds")
    silent = [socket.create_connection((LOOPBACK, suite.hub_port)) for _ in range(100)]
    wait_for("they are connected", lambda: gateway.metrics().value("process_open_fds") >= before + 90)
    wait_for("they are let go", lambda: gateway.metrics().value("process_open_fds") < before + 10, 10)
    for s in silent:
        s.close()


@pytest.mark.parametrize("env, names", [
    ({"HUB_SECRET_KEY": ""}, "HUB_SECRET_KEY"),
    ({"HUB_ALLOW_FILE": "/nowhere"}, "HUB_ALLOW_FILE"),
])
def test_a_gateway_with_half_of_its_keys_does_not_start_and_says_why(suite, env, names):
    from suite import BIN, free_port
    full = dict(suite.services["gateway"].env, PORT=str(free_port()), METRICS_PORT=str(free_port()),
                HUB_BIND=f"tcp://{LOOPBACK}:{free_port()}", **env)
    run = subprocess.run([os.path.join(BIN, "footnote-gateway")], env=full, capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert names in run.stderr


# ---- on the way
class Wire:
    """A connection to the hub whose frames can be changed on their way: change(flags, body) → flags. CURVE's own frames are seen
    from the outside: flags, length, sealed body."""

    def __init__(self, hub_port, change):
        self.change, self.hub_port = change, hub_port
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        self.worker, _ = self.listener.accept()
        self.hub = socket.create_connection((LOOPBACK, self.hub_port))
        threading.Thread(target=self._back, daemon=True).start()
        f = self.worker.makefile("rb")
        try:
            for _ in range(64):  # the greeting, each part of which waits for the other side's
                self.hub.sendall(f.read(1))
            while head := f.read(1):
                size = f.read(8 if head[0] & 2 else 1)
                body = f.read(int.from_bytes(size, "big"))
                self.hub.sendall(bytes([self.change(head[0], body)]) + size + body)
        except OSError:
            pass

    def _back(self):
        try:
            while data := self.hub.recv(65536):
                self.worker.sendall(data)
        except OSError:
            pass

    def close(self):
        for s in (self.listener, self.worker, self.hub):
            s.close()


class Dress:
    def __init__(self, public, secret):
        self.keys = {"curve_publickey": public, "curve_secretkey": secret, "curve_serverkey": HUB[0]}

    def dress(self, sock, _):
        for name, key in self.keys.items():
            setattr(sock, name, z85.encode(bytes.fromhex(key)))


def listed(suite, gateway):
    """A new key that the hub lets in: one that sent three malformed messages would be banned."""
    key, read = pair(), "worker keys read"
    before = sum(line.get("msg") == read for line in gateway.log_lines())
    suite.allow.write_text(f"{JANITOR[0]} janitor\n{key[0]} janitor\n")
    gateway.signal(signal.SIGHUP)
    wait_for("the list is read", lambda: sum(line.get("msg") == read for line in gateway.log_lines()) > before)
    return key


SEALED = 33             # a frame of n bytes is one of 33 + n
COMMAND = 4             # flag of ZMTP 3: not a frame of a message, but a command of the library
HEAD_OF_FINAL = msgpack.packb({"req": bytes(range(16)), "attempt": 1, "code": 0})
PAYLOAD = msgpack.packb({"text": "x" * 100})


@pytest.mark.parametrize("gone", [4, 1, len(HEAD_OF_FINAL), len(PAYLOAD)], ids=["magic", "command", "header", "payload"])
def test_a_message_whose_frame_was_taken_out_on_its_way_reaches_no_decoder(suite, gateway, gone):
    """libzmq drops what is flagged as a command outside of CURVE's seal: the message then has a frame less."""
    armed = []

    def change(flags, body):
        if armed and len(body) == SEALED + gone:
            armed.clear()
            return flags | COMMAND
        return flags

    def bad():
        return gateway.metrics().value("bus_hub_bad_frames_total")
    wire = Wire(suite.hub_port, change)
    w = BadWorker(wire.port, {"janitor": 1}, Dress(*listed(suite, gateway)))
    try:
        assert w.register()
        before, lines = bad(), len(gateway.log_lines())
        armed.append(True)
        w.say(FINAL, {"req": bytes(range(16)), "attempt": 1, "code": 0}, PAYLOAD)
        w.say(HEARTBEAT, {"services": []})  # without its last frame a message ends with the next one's
        wait_for("it is counted", lambda: bad() == before + 1)
        assert not armed
        told = [line for line in gateway.log_lines()[lines:] if "malformed message" in line.get("msg", "")]
        assert [line["why"] for line in told] == ["wrong frames"]
    finally:
        w.close()
        wire.close()
