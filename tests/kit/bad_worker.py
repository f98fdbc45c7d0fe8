"""A worker of the bus's protocol in the hands of a test: it registers, and then says whatever the test wants.

    with BadWorker(hub_port, {"embed": 1}, keys=keys, key="evil") as w:
        command, head, payload = w.wait(REQUEST)
        w.say(FINAL, {...}, payload); w.frames([...])
"""
import os
import time

import msgpack
import zmq

from busfake import CANCEL, CREDIT, DISCONNECT, DRAIN, FINAL, HEARTBEAT, NACK, READY, REQUEST, frames_of
from suite import LOOPBACK, SLOW

MAGIC = b"FN01"


class BadWorker:
    def __init__(self, hub_port, services, keys=None, key=None):
        self.sock = zmq.Context.instance().socket(zmq.DEALER)
        self.sock.linger = 0
        if keys:
            keys.dress(self.sock, key)
        self.sock.connect(f"tcp://{LOOPBACK}:{hub_port}")
        self.services, self.epoch = services, None

    def register(self):
        """True when the hub takes it, False when it is told to go."""
        self.say(READY, {"services": [{"name": n, "capacity": c} for n, c in self.services.items()],
                         "instance": os.urandom(16), "version_min": 1, "version_max": 1})
        command, head, _ = self.wait(HEARTBEAT, DISCONNECT)
        self.epoch = head.get("hub_epoch")
        return command == HEARTBEAT

    def frames(self, frames):
        self.sock.send_multipart(frames)

    def say(self, command, head, payload=None):
        self.frames(frames_of(command, head, payload))

    def hear(self, seconds):
        """(command, header, payload) of the next message; None when there is none."""
        if not self.sock.poll(int(seconds * 1000)):
            return None
        frames = self.sock.recv_multipart()
        return frames[1][0], msgpack.unpackb(frames[2]), frames[3] if len(frames) > 3 else None

    def wait(self, *commands, seconds=10):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            got = self.hear(0.1)
            if got and got[0] in commands:
                return got
            if self.epoch:
                self.say(HEARTBEAT, {"services": []})
        raise AssertionError(f"the hub said none of {commands} in {seconds} s")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


__all__ = ["BadWorker", "CANCEL", "CREDIT", "DISCONNECT", "DRAIN", "FINAL", "HEARTBEAT", "MAGIC", "NACK", "READY", "REQUEST"]
