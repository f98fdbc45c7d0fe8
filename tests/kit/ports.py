"""Ports for the servers of tests. The kernel gives outgoing connections ports of its own range (32768 and up), at any time, so one of
these, asked for with bind(0) and given back, can be taken before its server listens."""
import random
import socket

_given_out = set()


def free_port(address="127.0.0.1"):
    """A port that nobody listens on, below the range that outgoing connections are given; each is given out once."""
    while True:
        port = random.SystemRandom().randint(12000, 31999)
        if port in _given_out:
            continue
        with socket.socket() as s:
            try:
                s.bind((address, port))
            except OSError:
                continue
        _given_out.add(port)
        return port
