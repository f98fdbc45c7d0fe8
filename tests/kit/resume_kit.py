"""A client of resumable streams: it takes what comes, and when the connection breaks it goes on at another gateway from the last id."""
import http.client
import json
import socket
import threading
import time

from suite import LOOPBACK, SLOW, new_session

WORDS = 120


def words_text(words=WORDS):
    """A text whose words are all different: a missing or a doubled one shows. Its end cites the first passage."""
    return " ".join(f"w{i:04d}ü" for i in range(words)) + " [1]"


class Reader:
    """One stream. ports: the gateways that it may use, in this order, again and again."""

    def __init__(self, ports, question, session=None, key=None, **fields):
        self.ports, self.session, self.key = list(ports), session or new_session(), key
        self.body = {"question": question, "session_id": self.session, "resumable": True, **fields}
        self.events, self.status, self.last_id, self.resumes, self.error = [], None, None, 0, None
        self.connected = threading.Event()
        self.conn = None
        self.stop_after = None  # so many events, then the connection is closed by us
        self.statuses = []

    # -- what came
    def of(self, kind):
        return [e for e in self.events if e[0] == kind]

    @property
    def meta(self):
        return self.of("meta")[0][2]

    @property
    def message_id(self):
        return self.meta["message_id"]

    def text(self):
        """The text as the client shows it: a restart forgets what came before it."""
        out = ""
        for kind, _, data in self.events:
            out = "" if kind == "restart" else out + data["text"] if kind == "delta" else out
        return out

    @property
    def ended(self):
        return bool(self.events) and self.events[-1][0] in ("done", "error")

    # -- connections
    def _headers(self):
        h = {"Content-Type": "application/json", "X-Session-ID": self.session}
        if self.key:
            h["Authorization"] = "Bearer " + self.key
        return h

    def post(self, port):
        self.conn = http.client.HTTPConnection(LOOPBACK, port, timeout=60 * SLOW)
        self.conn.request("POST", "/api/v1/chat/stream", json.dumps(self.body).encode(), self._headers())
        return self.conn.getresponse()

    def get(self, port, last_id=None, message_id=None, session=None, key=None):
        self.conn = http.client.HTTPConnection(LOOPBACK, port, timeout=60 * SLOW)
        headers = self._headers()
        del headers["Content-Type"]
        if session:
            headers["X-Session-ID"] = session
        if key:
            headers["Authorization"] = "Bearer " + key
        last = self.last_id if last_id is None else last_id
        if last:
            headers["Last-Event-ID"] = last
        self.conn.request("GET", f"/api/v1/chat/stream/{message_id or self.message_id}", headers=headers)
        return self.conn.getresponse()

    def take(self, answer):
        """Events until the end of the connection, or until stop_after of them are there."""
        self.status = answer.status
        self.statuses.append(answer.status)
        if answer.status != 200:
            return
        kind = ident = None
        data = []
        while self.stop_after is None or len(self.events) < self.stop_after:
            line = answer.readline()
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            if line == "":
                if data:
                    self.events.append((kind, ident, json.loads("\n".join(data))))
                    self.last_id = ident or self.last_id
                    self.connected.set()
                kind, data = None, []
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("id: "):
                ident = line[4:]
            elif line.startswith("data: "):
                data.append(line[6:])

    def close(self):
        if self.conn:
            self.conn.close()

    def run(self, seconds=60):
        """To the end, over as many connections as it takes."""
        end = time.monotonic() + seconds * SLOW
        turn = 0
        while not self.ended and time.monotonic() < end:
            port = self.ports[turn % len(self.ports)]
            try:
                if self.events:
                    self.resumes += 1
                    self.take(self.get(port))
                else:
                    self.take(self.post(port))
                if self.status not in (200, 429, 503):
                    break
            except (http.client.HTTPException, OSError, socket.timeout) as e:
                self.error = e
            self.close()
            turn += 1
            time.sleep(0 if self.ended else 0.05)
        return self

    def start(self, **kw):
        self.thread = threading.Thread(target=self.run, kwargs=kw, daemon=True)
        self.thread.start()
        return self


def check_whole(reader, text, restarts=0):
    """Every event once, numbers that grow, no word missing or doubled, and a done that says the same."""
    assert reader.ended and reader.events[-1][0] == "done", (reader.status, reader.error, reader.events[-2:])
    kinds = [e[0] for e in reader.events]
    assert kinds[:2] == ["meta", "sources"] and kinds.count("meta") == kinds.count("sources") == kinds.count("done") == 1, kinds
    assert kinds.count("restart") in (restarts if isinstance(restarts, tuple) else (restarts,)), kinds
    message = reader.message_id
    numbers = [int(e[1].split(":")[1]) for e in reader.events]
    assert all(e[1].startswith(message + ":") for e in reader.events) and numbers == sorted(set(numbers)), numbers
    assert reader.text() == text, first_difference(reader.text(), text)
    done = reader.of("done")[0][2]
    assert done["message_id"] == message
    return done


def first_difference(got, wanted):
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return f"byte {at}: …{got[max(0, at - 30):at + 30]!r} instead of …{wanted[max(0, at - 30):at + 30]!r}"
