"""Strangers at the bus's port: silent connections, clients of another mechanism, CURVE clients with random keys.

    flood.py PORT HUB_PUBLIC_KEY_HEX SILENT NULLS_PER_S KEYS      until SIGTERM; "ready" when all silent ones are connected

Prints what it saw in JSON: {"silent": silent connections that the hub closed, "null": …, "key": refusals of random keys}.
It runs with the lowest priority: an attacker's processor is not the hub's."""
import json
import os
import select
import signal
import socket
import sys
import time

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


class Flood:
    def __init__(self, port, server_key, silent, nulls_per_s, keys):
        self.address, self.server_key = ("127.0.0.1", port), server_key
        self.silent, self.nulls_per_s, self.keys = silent, nulls_per_s, keys
        self.seen = {"silent": 0, "null": 0, "key": 0}
        self.poll, self.open, self.stop = select.poll(), {}, False
        self.ctx, self.dealers = zmq.Context(), []

    def connect(self, kind):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.connect(self.address)
        except BlockingIOError:
            pass
        self.open[s.fileno()] = (kind, s)
        self.poll.register(s, select.POLLOUT | select.POLLIN if kind == "null" else select.POLLIN)

    def close(self, fd):
        self.poll.unregister(fd)
        kind, s = self.open.pop(fd)
        s.close()
        return kind

    def on_event(self, fd, events):
        kind, s = self.open[fd]
        try:
            if events & select.POLLOUT:
                s.send(GREETING)
                self.poll.modify(s, select.POLLIN)
                return
            if s.recv(4096):
                return  # the hub's own greeting
        except BlockingIOError:
            return
        except OSError:
            pass
        self.seen[self.close(fd)] += 1
        if kind == "silent":
            self.connect("silent")

    def dealer(self):
        s = self.ctx.socket(zmq.DEALER)
        s.linger, s.reconnect_ivl = 0, 100
        s.curve_publickey, s.curve_secretkey = zmq.curve_keypair()
        s.curve_serverkey = self.server_key
        monitor = s.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        s.connect("tcp://%s:%d" % self.address)
        self.dealers.append((s, monitor))

    def count_refusals(self):
        for s, monitor in self.dealers:
            while monitor.poll(0):
                recv_monitor_message(monitor)
                self.seen["key"] += 1

    def run(self):
        for _ in range(self.silent):
            self.connect("silent")
        for _ in range(self.keys):
            self.dealer()
        print("ready", flush=True)
        begun, nulls, looked = time.monotonic(), 0, 0
        while not self.stop:
            now = time.monotonic()
            while nulls < (now - begun) * self.nulls_per_s:
                self.connect("null")
                nulls += 1
            if now - looked > 0.2:
                looked = now
                self.count_refusals()
            for fd, events in self.poll.poll(10):
                self.on_event(fd, events)
        self.count_refusals()
        print(json.dumps(self.seen), flush=True)


def main():
    os.nice(19)
    port, key, silent, nulls_per_s, keys = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), *map(int, sys.argv[3:6])
    flood = Flood(port, z85.encode(key), silent, nulls_per_s, keys)

    def end(*_):
        flood.stop = True
    signal.signal(signal.SIGTERM, end)
    flood.run()
    os._exit(0)  # what is open is the kernel's to close


main()
