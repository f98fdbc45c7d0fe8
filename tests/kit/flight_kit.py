"""Many who ask the same at once, over several gateways: half of them by streams, half of these resumable ones."""
import http.client
import threading
import time

from resume_kit import Reader, check_whole
from shared_kit import Houses
from suite import SLOW, new_session, wait_for

KINDS = ("query", "stream", "query", "resumable")


class Asker:
    """One question at one gateway. ports: that one; of a resumable stream those that it may go on at, too."""

    def __init__(self, s, kind, gateway, question, session=None, key=None, **fields):
        self.s, self.kind, self.gateway, self.question, self.key, self.fields = s, kind, gateway, question, key, fields
        self.session, self.answer, self.status, self.took = session or new_session(), None, None, None
        self.reader = None
        if kind != "query":
            ports = s.ports[gateway:] + s.ports[:gateway] if kind == "resumable" else [s.ports[gateway]]
            self.reader = Reader(ports, question, self.session, key, resumable=kind == "resumable", **fields)

    def run(self):
        since = time.monotonic()
        if self.reader:
            if self.kind == "resumable":
                self.reader.run()
            else:    # one connection, to its end
                try:
                    self.reader.take(self.reader.post(self.reader.ports[0]))
                except (OSError, http.client.HTTPException) as e:
                    self.reader.error = e
            done = self.reader.of("done")
            self.status, self.answer = self.reader.status, done[0][2] if done else None
        else:
            try:
                r = self.s.send(self.gateway, "POST", "/api/v1/chat/query", self.key,
                                json={"question": self.question, "session_id": self.session, **self.fields})
                self.status, self.answer = r.status_code, r.json()
            except OSError:
                self.status = 0
        self.took = time.monotonic() - since

    def start(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def shown(self):
        return self.reader.text() if self.reader else ""

    def join(self, seconds=90):
        self.thread.join(seconds * SLOW)
        assert not self.thread.is_alive(), (self.kind, self.gateway, self.reader and self.reader.events[-3:])
        return self


def crowd(s, n, question, gateways=(0, 1), **kw):
    return [Asker(s, KINDS[i // len(gateways) % len(KINDS)], gateways[i % len(gateways)], question, **kw) for i in range(n)]


def start_all(askers):
    for a in askers:
        a.start()
    return askers


def faults_of(s, askers, text, saved=True):
    """What is wrong with their answers: each is whole, in order, once, and saved once under its own ids."""
    wrong, ids = [], []
    for a in askers:
        try:
            assert a.status == 200 and a.answer, (a.status, a.answer, a.reader and (a.reader.error, a.reader.events[-2:]))
            if a.reader:
                check_whole(a.reader, text) if a.kind == "resumable" else check_stream(a.reader, text)
            assert a.answer["answer"].split(" [1]")[0].split() == text.split(" [1]")[0].split() and a.answer["session_id"] == a.session
            ids += [a.answer["message_id"], a.answer["conversation_id"]]
            if saved:
                items = s.messages(a.session, 2, 20)
                assert [m["role"] for m in items] == ["user", "assistant"] and items[0]["content"] == a.question, items
                assert items[1]["id"] == a.answer["message_id"] and items[1]["content"] == a.answer["answer"], items
                assert [x["id"] for x in items[1]["sources"]] == [x["id"] for x in a.answer["sources"]] and items[1]["sources"]
        except AssertionError as e:
            wrong.append(f"{a.kind} at {a.gateway}: {str(e)[:600]}")
    if len(set(ids)) != len(ids):
        wrong.append("two answers have one id")
    return wrong


def check_stream(reader, text):
    kinds = [e[0] for e in reader.events]
    assert kinds[:2] == ["meta", "sources"] and kinds[-1] == "done" and kinds.count("done") == kinds.count("meta") == 1, kinds
    assert [int(e[1].split(":")[1]) for e in reader.events] == list(range(len(kinds))), [e[1] for e in reader.events]
    assert reader.text() == text, reader.text()
    assert {c["source_id"] for _, _, c in reader.of("citation")} <= {x["id"] for x in reader.of("sources")[0][2]["sources"]}


def flights(s, event, names=("gateway", "gateway.2")):
    return sum(s.metrics(g).value("question_flights_total", event=event) for g in names)


def paid(s):
    """Calls of both models so far."""
    stats = s.stub.stats()
    return stats["chat"], stats["embeddings"]


def spent(s, before):
    return tuple(a - b for a, b in zip(paid(s), before))


def began(askers, words=3):
    wait_for("the answer is being written", lambda: any(len(a.shown().split()) >= words for a in askers), 30)


class Flights(Houses):
    def __init__(self, **kw):
        super().__init__(**{**kw, "env": {"ANONYMOUS_COLLECTIONS": "docs", "QUERY_CACHE_SCOPE": "collection", **kw.get("env", {})}})
