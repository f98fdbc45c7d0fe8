"""Keys for a suite whose bus is encrypted.

    keys = Keys(evil="embed,chat"); FaultSuite(**keys.options())
    keys.dress(sock, "evil")      a zmq socket of a test as that worker; a name that is not listed gets a random key
"""
import tempfile

import zmq
from zmq.utils import z85

LISTED = {"embedder": "embed,chat", "retriever": "retrieve", "store": "store", "janitor": "janitor"}


def pair():
    """(public, secret), 40 characters of Z85 each as bytes."""
    return zmq.curve_keypair()


def as_hex(key):
    return z85.decode(key).hex()


class Keys:
    def __init__(self, **more):
        self.hub, self.listed = pair(), {**LISTED, **more}
        self.own = {name: pair() for name in self.listed}
        self.file = tempfile.NamedTemporaryFile("w", prefix="footnote-keys-")
        self.file.write("".join(f"{as_hex(self.own[n][0])} {services}\n" for n, services in self.listed.items()))
        self.file.flush()

    def options(self):
        service_env = {name: {"BUS_SECRET_KEY": as_hex(self.own[name][1])} for name in LISTED}
        service_env["gateway"] = {"HUB_SECRET_KEY": as_hex(self.hub[1]), "HUB_ALLOW_FILE": self.file.name}
        return {"env": {"BUS_CURVE": "on", "HUB_PUBLIC_KEY": as_hex(self.hub[0])}, "service_env": service_env}

    def dress(self, sock, name=None):
        sock.curve_publickey, sock.curve_secretkey = self.own.get(name) or pair()
        sock.curve_serverkey = self.hub[0]
        return sock
