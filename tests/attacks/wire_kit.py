"""HTTP byte by byte for attacks: one connection that sends what it is told, and a pool of senders.

    with Wire(s.port) as w: status, headers, body = w.ask("GET", "/healthz")
"""
import json
import os
import re
import socket
import sys

from suite import ADMIN_KEY, LOOPBACK, TOP

sys.path.insert(0, os.path.join(TOP, "tests", "service"))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
FREE = {"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "100000000", "RATE_LIMIT_ADDR_REQUESTS": "100000000",
        "MAX_CONN_PER_ADDR": "10000"}
BEARER = "Bearer " + ADMIN_KEY


def as_bytes(v):
    return v if isinstance(v, bytes) else str(v).encode("utf-8", "surrogateescape")


class Wire:
    """A connection that is opened anew when the server has closed it. address: where it comes from."""

    def __init__(self, port, address=None, seconds=20):
        self.port, self.address, self.seconds, self.sock, self.rest = port, address, seconds, None, b""

    def open(self):
        self.close()
        self.sock = socket.create_connection((LOOPBACK, self.port), self.seconds, (self.address, 0) if self.address else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def more(self):
        got = self.sock.recv(65536)
        if not got:
            raise ConnectionResetError("closed")
        self.rest += got

    def answer(self, method=b"GET"):
        """The next answer: (status, headers in small letters, body). An answer of 100 is passed over."""
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status == 100:
            return self.answer(method)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        n = 0 if method == b"HEAD" or status == 204 else int(headers.get("content-length", "0"))
        while len(self.rest) < n:
            self.more()
        body, self.rest = self.rest[:n], self.rest[n:]
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body

    def send(self, data):
        if not self.sock:
            self.open()
        self.sock.sendall(data)

    def ask(self, method, target, body=None, again=True, host=True, **headers):
        """One request. (0, {}, b"") when the server closed without an answer."""
        lines = [as_bytes(method) + b" " + as_bytes(target) + b" HTTP/1.1"]
        lines += [b"Host: 127.0.0.1:%d" % self.port] if host else []
        lines += [as_bytes(k.replace("_", "-")) + b": " + as_bytes(v) for k, v in headers.items()]
        if body is not None:
            lines += [b"Content-Length: %d" % len(body)]
            if "Content_Type" not in headers:
                lines += [b"Content-Type: application/json"]
        kept = self.sock is not None
        try:
            self.send(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
            return self.answer(as_bytes(method))
        except OSError:
            self.close()
            if kept and again:  # the server may have closed an idle one
                return self.ask(method, target, body, False, host, **headers)
            return 0, {}, b""

    def admin(self, method, path, fields=None, **headers):
        body = None if fields is None else json.dumps(fields).encode()
        return self.ask(method, path, body, Authorization=BEARER, **headers)


def code_of(body):
    try:
        return json.loads(body).get("code")
    except (ValueError, AttributeError):
        return None


def routes():
    """(method, path, who) of every route of the table."""
    with open(os.path.join(TOP, "gateway", "route.tbl")) as f:
        return re.findall(r'^ROUTE\(\w+,\s*(\w+),\s*"([^"]+)",\s*(\w+),', f.read(), re.M)


def bodies():
    """(method, path, most bytes of its body as the table has them) of every route that may have one by its method."""
    most = {"0": 0, "BODY_CHAT": 262144, "BODY_OPENAI": 1 << 20, "BODY_EMBED": 8 << 20}
    with open(os.path.join(TOP, "gateway", "route.tbl")) as f:
        return [(m, p, most.get(n)) for m, p, n in re.findall(r'^ROUTE\(\w+,\s*(POST|PUT),\s*"([^"]+)",\s*\w+,\s*(\w+),', f.read(), re.M)]


def rpc(method, **params):
    """A message for /mcp."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def tool(name, **arguments):
    return rpc("tools/call", name=name, arguments=arguments)


def chat(text, **more):
    """A body for /v1/chat/completions."""
    return {"messages": [{"role": "user", "content": text}], **more}


def filled(path):
    """A path with something in its places."""
    return path.replace("{id}", "6f1c2f9e-1c0b-4f57-9a43-0d2c3b7c1a55").replace("{name}", "docs").replace("{user_id}", "someone")
