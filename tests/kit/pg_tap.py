"""A relay in front of Postgres that understands the frontend's messages: what a client really sends.

    with Tap(pg.port) as tap:            a client connects to tap.port
        tap.take()                       [[names of the statements of a pipeline], …] since the last call

A pipeline is what ends in a Sync: one round trip. A statement is named by its prepared name, or by its text when it has none.
"""
import socket
import struct
import threading


class Tap:
    def __init__(self, port):
        self.server_port = port
        self._listen = socket.create_server(("127.0.0.1", 0))
        self.port = self._listen.getsockname()[1]
        self._lock, self._done, self._sockets = threading.Lock(), [], [self._listen]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listen.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            threading.Thread(target=self._copy, args=(client, server, Reader(self)), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, None), daemon=True).start()

    def _copy(self, source, to, reader):
        try:
            while data := source.recv(1 << 16):
                if reader:
                    reader.feed(data)
                to.sendall(data)
        except OSError:
            pass
        for s in (source, to):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def note(self, pipeline):
        with self._lock:
            self._done.append(pipeline)

    def take(self):
        with self._lock:
            got, self._done = self._done, []
        return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self._sockets:
            s.close()


class Reader:
    """The messages of one connection: startup packets have no type, all others a byte."""

    def __init__(self, tap):
        self.tap, self.data, self.typed, self.texts, self.now = tap, b"", False, {}, []

    def feed(self, data):
        self.data += data
        while True:
            head = 1 if self.typed else 0
            if len(self.data) < head + 4:
                return
            n = head + struct.unpack_from("!I", self.data, head)[0]
            if len(self.data) < n:
                return
            message, self.data = self.data[:n], self.data[n:]
            if self.typed:
                self.on_message(message[:1], message[5:])
            else:
                self.typed = struct.unpack_from("!I", message, 4)[0] >> 16 == 3   # not an SSL or GSS request

    def on_message(self, kind, body):
        if kind == b"P":                                # Parse: name, text
            name, text = body.split(b"\0")[:2]
            self.texts[name] = text.decode()
        elif kind == b"B":                              # Bind: portal, name
            name = body.split(b"\0")[1]
            self.now.append(name.decode() or self.texts.get(name, "?"))
        elif kind == b"Q":
            self.now.append(body[:-1].decode())
        if kind in (b"S", b"Q"):
            self.tap.note(self.now)
            self.now = []
