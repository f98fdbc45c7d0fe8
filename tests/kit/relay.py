"""A relay between a real worker and the real hub that understands frames: a worker that misbehaves at the bus's level.

    relay = Relay(hub_port); the worker is started with HUB_ENDPOINTS=relay.endpoint
    relay.from_worker = lambda frames: [(delay_s, frames), …]     what goes on to the hub instead; [] drops
    relay.count                                                   {command: messages of the worker}

frames: [magic, command, header, payload?], bytes each. A worker that comes with a new socket gets a new one to the hub."""
import heapq
import itertools
import threading
import time

import zmq

from suite import LOOPBACK, free_port

DISCONNECT = 6


def as_it_is(frames):
    return [(0, frames)]


class Relay:
    def __init__(self, hub_port):
        self.ctx, self.hub = zmq.Context(), f"tcp://{LOOPBACK}:{hub_port}"
        self.front = self.ctx.socket(zmq.ROUTER)
        self.front.linger = 0
        self.port = free_port()
        self.endpoint = f"tcp://{LOOPBACK}:{self.port}"
        self.front.bind(self.endpoint)
        self.from_worker, self.count, self.to_worker = as_it_is, {}, {}
        self._backs, self._later, self._order = {}, [], itertools.count()
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _back(self, worker):
        if worker not in self._backs:
            s = self.ctx.socket(zmq.DEALER)
            s.linger = 0
            s.connect(self.hub)
            self._backs[worker] = s
        return self._backs[worker]

    def _run(self):
        poller = zmq.Poller()
        poller.register(self.front, zmq.POLLIN)
        while not self._stop:
            for sock, _ in poller.poll(5):
                if sock is self.front:
                    worker, *frames = sock.recv_multipart()
                    known = worker in self._backs
                    back = self._back(worker)
                    if not known:
                        poller.register(back, zmq.POLLIN)
                    if len(frames) > 1:
                        self.count[frames[1][0]] = self.count.get(frames[1][0], 0) + 1
                    for delay, out in self.from_worker(frames):
                        heapq.heappush(self._later, (time.monotonic() + delay, next(self._order), back, out))
                else:
                    worker = next(w for w, b in self._backs.items() if b is sock)
                    frames = sock.recv_multipart()
                    if len(frames) > 1 and frames[1]:
                        self.to_worker[frames[1][0]] = self.to_worker.get(frames[1][0], 0) + 1
                    self.front.send_multipart([worker, *frames])
                    if frames[1:2] and frames[1][:1] == bytes([DISCONNECT]):  # the worker comes again with a new socket
                        poller.unregister(sock)
                        del self._backs[worker]
                        sock.close()
            while self._later and self._later[0][0] <= time.monotonic():
                _, _, back, out = heapq.heappop(self._later)
                if not back.closed:
                    back.send_multipart(out)

    def close(self):
        self._stop = True
        self._thread.join()
        for s in [self.front, *self._backs.values()]:
            s.close()
        self.ctx.term()
