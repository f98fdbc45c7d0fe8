"""A worker of the bus that embeds: words and their trigrams, hashed into 256 numbers. usage: HUB_ENDPOINTS=tcp://…[,…] embed_worker.py"""
import math, os, signal, struct, time, zlib
import msgpack, zmq

READY, REQUEST, FINAL, HEARTBEAT, DISCONNECT, DRAIN = 1, 2, 4, 5, 6, 8
DIMS, CAPACITY, UNSUPPORTED, LIFE = 256, 4, 69, os.urandom(16)

def vector(text):
    v = [0.0] * DIMS
    for word in text.lower().split() or [text]:
        for part in [word] + [f"_{word}_"[i:i + 3] for i in range(len(word))]:
            v[zlib.crc32(part.encode()) % DIMS] += 1.0
    length = math.sqrt(sum(x * x for x in v))
    return struct.pack(f"<{DIMS}f", *(x / length for x in v))

def embed(request):
    vectors = b"".join(vector(t) for t in request["texts"])
    return {"model": "python-trigrams", "dims": DIMS, "vectors": vectors}

class Hub:
    def __init__(self, endpoint):
        self.endpoint, self.sock, self.done, self.left = endpoint, None, 0, False
        self.register()

    def register(self):  # always with a new socket and a new instance
        if self.sock:
            self.sock.close()
        self.sock = zmq.Context.instance().socket(zmq.DEALER)
        self.sock.linger, self.sock.maxmsgsize = 100, 67200000
        self.sock.connect(self.endpoint)
        self.epoch, self.heard, self.beat = None, time.monotonic(), time.monotonic()
        self.send(READY, {"services": [{"name": "embed", "capacity": CAPACITY}], "instance": os.urandom(16),
                          "life": LIFE, "version_min": 1, "version_max": 1})

    def send(self, command, head, *payload):  # three frames, a FINAL four
        self.sock.send_multipart([b"FN01", bytes([command]), msgpack.packb(head), *payload])

    def receive(self):
        _, command, head, *payload = self.sock.recv_multipart()
        command, head, self.heard = command[0], msgpack.unpackb(head), time.monotonic()
        if command == DISCONNECT or self.epoch and head.get("hub_epoch", self.epoch) != self.epoch:
            time.sleep(0.25)
            self.register()
        elif command == HEARTBEAT:
            self.epoch = head["hub_epoch"]
        elif command == DRAIN:
            self.left = True  # no work comes after it
        elif command == REQUEST:
            final = {"req": head["req"], "attempt": head["attempt"], "code": 0}
            if head["kind"] == "embed":
                self.send(FINAL, final, msgpack.packb(embed(msgpack.unpackb(payload[0]))))
            else:
                self.send(FINAL, {**final, "code": UNSUPPORTED}, b"")
            self.done += 1

    def tick(self, now):
        if now - self.heard > (5 if self.epoch else 1):
            self.register()
        elif self.epoch and now - self.beat > 0.9:
            self.beat = now
            self.send(HEARTBEAT, {"services": [{"name": "embed", "free": CAPACITY, "done_total": self.done}]})

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(time.monotonic()))
hubs = [Hub(e) for e in os.environ["HUB_ENDPOINTS"].split(",")]
asked = False
while not asked or not all(h.left for h in hubs) and time.monotonic() - stopping[0] < 1:
    if stopping and not asked:
        asked = True
        for h in hubs:
            h.send(DRAIN, {"hub_epoch": h.epoch} if h.epoch else {})
    ready = zmq.select([h.sock for h in hubs], [], [], 0.1)[0]
    for h in hubs:
        if h.sock in ready:
            h.receive()
        h.tick(time.monotonic())
for h in hubs:
    h.send(DISCONNECT, {"reason": "stopped"})
    h.sock.close()
