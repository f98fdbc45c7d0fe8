"""HTTP servers that tests write: a handler's do_GET, do_POST … say what is answered.

    class Handler(http_kit.Handler):
        def do_POST(self):
            self.answer(200, {"got": len(self.body())})
    with http_kit.Server(Handler) as s:
        … s.url …
"""
import http.server
import json
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    def head(self, status, size, **headers):
        """Of an answer of so many bytes. A header's _ is a -."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def answer(self, status, body=b"", **headers):
        """body: bytes and text as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.head(status, len(data), **headers)
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # who asked is gone: that is what some tests do
            super().handle_error(request, client_address)


class Server:
    """Serves from now on, each connection on a thread of its own. port 0: a free one."""

    def __init__(self, handler, port=0):
        self.listener = Listener(("127.0.0.1", port), handler)
        self.port = self.listener.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()
