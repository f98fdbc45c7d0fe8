"""A07: clients that are slow on purpose, from 20 addresses and from one, and honest ones with a fresh connection each beside them.

  unread    an address asks for the page with `Connection: close` 1, 5 and 50 times a second and reads no answer
  headers   1,000 connections that send a byte of a head now and then
  bodies    1,000 that announce a body and send a byte of it now and then
  readers   1,000 that ask for more than fits between them and us, and read 200 bytes every 3 s

Whoever is cut comes again at once, so that all of them are there all the time. `SLOW_KINDS="headers readers"`: only those.
The gateway runs alone, as shipped but for the rate limits: what is measured is the edge, not answers.

# attack: A07; limit 300; short 60
"""
import heapq
import multiprocessing
import os
import resource
import select
import socket
import sys
import time

from bars import SHORT, Bars, pick

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "service"))
from gateway_edge_test import Gateway, wait_for  # noqa: E402

N, ADDRESSES = pick(200, 1000), 20
CALM_S, ATTACK_S = pick(1, 8), pick(3, 22)
GONE_S = 10.2
PAGE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BEGIN = {
    "headers": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    "bodies": b"POST /api/v1/chat/query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{",
    "readers": (PAGE + b"\r\n") * 100,
    "unread": PAGE + b"Connection: close\r\n\r\n",
}


def honest(port, address, seconds, out):
    """Fresh connections, one after the other: how long each took, ms, and what failed."""
    took, failed, end = [], [], time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), 5, (address, 0)) as c:
                c.settimeout(5)
                c.sendall(PAGE + b"Connection: close\r\n\r\n")
                got = b""
                while part := c.recv(65536):
                    got += part
                head, _, body = got.partition(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                if not got.startswith(b"HTTP/1.1 200 ") or len(body) != int(length[0].split(b":")[1]):
                    failed.append(got[:60])
        except OSError as e:
            failed.append(repr(e))
        took.append((time.monotonic() - begun) * 1000)
        time.sleep(0.01)
    out.send((took, failed))


class Beside:
    """Three honest addresses, each a process of its own, while the block runs."""

    def __init__(self, port, seconds):
        self.parts = [multiprocessing.Pipe(False) for _ in range(3)]
        self.processes = [multiprocessing.Process(target=honest, args=(port, f"127.0.7.{i + 1}", seconds, w))
                          for i, (_, w) in enumerate(self.parts)]

    def __enter__(self):
        for p in self.processes:
            p.start()
        return self

    def __exit__(self, *_):
        got = [r.recv() for r, _ in self.parts]
        for p in self.processes:
            p.join()
        self.took = sorted(ms for took, _ in got for ms in took)
        self.failed = [f for _, failed in got for f in failed]
        self.p99 = self.took[int(len(self.took) * 0.99)]


class Slow:
    """Connections of one kind. Each has its address; `lives` are how long the ones that are gone were there."""

    def __init__(self, port, kind):
        self.port, self.kind, self.poll, self.all, self.lives = port, kind, select.epoll(), {}, []
        self.due, self.opened = [], 0      # a heap of (when, fd, which connection): looking at all of them would cost a core

    def open(self, address):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        s.bind((address, 0))
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", self.port))
        self.opened += 1
        self.all[s.fileno()] = [s, self.opened, time.monotonic(), None]
        self.poll.register(s.fileno(), select.EPOLLOUT)

    def begun(self, fd):
        c = self.all[fd]
        try:
            c[0].send(BEGIN[self.kind])
        except OSError:
            return self.gone(fd)
        c[2] = c[3] = time.monotonic()
        if self.kind != "unread":
            heapq.heappush(self.due, (c[2] + 1, fd, c[1]))
        watch = select.EPOLLRDHUP | (0 if self.kind in ("readers", "unread") else select.EPOLLIN)
        return self.poll.modify(fd, watch)

    def gone(self, fd):
        s, _, since, begun = self.all.pop(fd)
        if begun:
            self.lives.append(time.monotonic() - since)
        s.close()

    def drip(self, now):
        """A byte more of what is sent, or 200 less of what has come."""
        while self.due and self.due[0][0] <= now:
            _, fd, which = heapq.heappop(self.due)
            c = self.all.get(fd)
            if c is None or c[1] != which:
                continue
            heapq.heappush(self.due, (now + (3 if self.kind == "readers" else 1), fd, which))
            try:
                if self.kind == "readers":
                    c[0].recv(200)
                else:
                    c[0].send(b"x")
            except BlockingIOError:
                pass
            except OSError:
                self.gone(fd)

    def turn(self, wait):
        for fd, what in self.poll.poll(wait):
            if fd not in self.all:
                continue
            if what & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP | select.EPOLLIN):
                self.gone(fd)
            elif self.all[fd][3] is None:
                self.begun(fd)
        self.drip(time.monotonic())

    def hold(self, n, seconds):
        """Keep n connections for so long, from all addresses alike."""
        end, i = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            new = min(n - len(self.all), 100)
            for _ in range(new):
                self.open(f"127.0.9.{i % ADDRESSES + 1}")
                i += 1
            self.turn(0.02)

    def ask(self, rate, seconds):
        """From one address, so many a second."""
        begun = time.monotonic()
        asked = 0
        while (passed := time.monotonic() - begun) < seconds:
            if asked < rate * passed:
                self.open("127.0.9.1")
                asked += 1
            self.turn(min(0.5 / rate, 0.1))
        return asked

    def oldest(self):
        """How long any of them was there, or is."""
        now = time.monotonic()
        return max(self.lives + [now - c[2] for c in self.all.values() if c[3]], default=0)

    def close(self):
        for s, *_ in self.all.values():
            s.close()
        self.all = {}


def calm(gw, seconds):
    with Beside(gw.port, seconds) as h:
        time.sleep(seconds)
    return h.p99


def bars_of(b, name, h, before):
    b.none(f"A07_{name}_honest_failed", h.failed)
    b.most(f"A07_{name}_honest_p99_ms", h.p99, 2 * before, timed=True)
    b.least(f"A07_{name}_honest_requests", len(h.took), 20)


def gateway():
    return Gateway(MAX_CONN_PER_ADDR=64, RATE_LIMIT_ADDR_REQUESTS=100000000, LOG_LEVEL="warn")


def unread(b):
    for rate in pick((50,), (1, 5, 50)):
        gw = gateway()
        before = calm(gw, CALM_S)
        slow = Slow(gw.port, "unread")
        with Beside(gw.port, ATTACK_S) as h:
            slow.ask(rate, ATTACK_S)
        bars_of(b, f"unread_{rate}_a_second", h, before)
        slow.close()
        b.equal(f"A07_unread_{rate}_a_second_exit_code", gw.stop(), 0)


def many(b, kind):
    gw = gateway()
    before = calm(gw, CALM_S)
    slow = Slow(gw.port, kind)
    with Beside(gw.port, ATTACK_S) as h:
        slow.hold(N, ATTACK_S)
    held = len(slow.all)
    bars_of(b, kind, h, before)
    b.least(f"A07_{kind}_held", held, N * 0.8, timed=True)
    if not SHORT:
        b.most(f"A07_{kind}_gone_within_s", round(slow.oldest(), 2), GONE_S, timed=True)
        b.least(f"A07_{kind}_cut", len(slow.lives), N)
        print("  lives: " + " ".join(f"{x:.2f}" for x in sorted(slow.lives)[::max(1, len(slow.lives) // 12)]))
        print("  cut by the gateway: " + "  ".join(
            f"{why} {gw.metric('footnote_http_connections_cut_total{reason=.' + why):.0f}"
            for why in ("slow_header", "slow_body", "slow_reader", "scarce", "idle", "saturated", "address")))
    slow.close()
    wait_for(lambda: gw.metric("footnote_http_connections(?= )") == 0)
    b.equal(f"A07_{kind}_exit_code", gw.stop(), 0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    KINDS = os.environ.get("SLOW_KINDS", "unread headers bodies readers").split()
    with Bars() as bars:
        if "unread" in KINDS:
            unread(bars)
        for k in ("headers", "bodies", "readers"):
            if k in KINDS:
                many(bars, k)
