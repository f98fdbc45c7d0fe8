"""A08: 5,000 connections from one address, and as many short ones one after the other.

# attack: A08; limit 120; short 40
"""
import resource
import socket

from bars import Bars, pick
from suite import LOOPBACK, Suite, source_session, wait_for

LIMIT = 64           # MAX_CONN_PER_ADDR
FLOODER = "127.0.8.1"


def connect(s):
    c = socket.socket()
    c.bind((FLOODER, 0))
    c.settimeout(5)
    c.connect((LOOPBACK, s.port))
    return c


def held(connections):
    """Those of them that the gateway has not closed."""
    n = 0
    for c in connections:
        c.settimeout(0)
        try:
            n += c.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            n += 1
        except OSError:
            pass
    return n


def flood(s, n):
    """n connections in waves that fit the listen queue; those that are kept."""
    kept = []
    while n > 0:
        wave = [connect(s) for _ in range(min(n, 200))]
        n -= len(wave)
        wait_for("refused ones are closed", lambda: held(kept + wave) <= LIMIT, 10)
        for c in wave:
            if held([c]):
                kept.append(c)
            else:
                c.close()
    return kept


with Bars() as b, Suite(env={"MAX_CONN_PER_ADDR": str(LIMIT)}) as s:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    before = s.metrics("gateway").value("process_open_fds")
    kept = flood(s, pick(1000, 5000))
    honest = source_session("127.0.8.2")
    failed = [r.status_code for r in (honest.get(s.url + "/healthz") for _ in range(200)) if r.status_code != 200]
    b.most("A08_connections_kept_of_one_address", len(kept), LIMIT)
    b.none("A08_honest_requests_failed", failed)
    for c in kept:
        c.close()
    wait_for("descriptors come back", lambda: s.metrics("gateway").value("process_open_fds") <= before + 8, 20)
    b.most("A08_descriptors_left", s.metrics("gateway").value("process_open_fds") - before, 8)
    b.none("A08_services_that_ended_badly", s.down())
