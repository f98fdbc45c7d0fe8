"""Questions as many people ask them, of houses whose facts differ, over two gateways; who asks what is drawn by Zipf's law. The
right answer of each is known: it has the number that the house's own document had while the question was asked.

    with Houses(gateways=2) as s:
        stream = Stream(s, questions=400)
        stream.run()          -> .wrong (list of texts), .asked, .hits, .calls (of both models), .edits

A house is a tenant, a collection, its language, and who may ask it. The same machines stand in each, with other numbers, and the
same question is asked of all of them, so that an answer of the wrong tenant, collection or time has a number that is not right.
A machine's number changes while questions are asked: the old one is right until 250 ms after the new one can be found."""
import itertools
import json
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import faults_kit
from suite import ADMIN_KEY, new_session, parse_events

SEEN_S = 0.25   # a change is seen by every gateway
HOUSES = {      # tenant, collection, language, scope, who may ask
    "open": ("default", "open", None, "collection", ("anyone", "key", "only-open")),
    "staff": ("default", "staff", None, "collection", ("key",)),
    "hof": ("default", "hof", "de", "collection", ("anyone", "key")),
    "quiet": ("default", "quiet", None, "session", ("anyone", "key")),
    "acme": ("acme", "open", None, "collection", ("acme",)),
}
ASKERS = {"anyone": None, "key": "default", "only-open": "default", "acme": "acme"}
WEIGHTS = {"open": 50, "acme": 20, "staff": 15, "hof": 10, "quiet": 5}
QUESTIONS = ("How many litres does the machine {} hold?", "how many litres does the machine {} hold", "How many  litres does the machine {} hold ",
             "How many litres does the Machine {} hold??")
ENV = {"ANONYMOUS_COLLECTIONS": "open,hof,quiet", "EMBEDDING_CACHE_TTL": "86400", "MODEL_PRICES": "gpt-4o-mini=0.15/0.6,text-embedding-3-small=0.02"}


def names(n, seed=11):
    """Made-up names of machines, each of one word."""
    draw, found = random.Random(seed), {}
    while len(found) < n:
        found["".join(draw.choice("bdfgklmnprstv") + draw.choice("aeiou") for _ in range(4)).capitalize()] = True
    return list(found)


def zipf(n, of, seed):
    weights = list(itertools.accumulate(1 / k for k in range(1, of + 1)))
    return random.Random(seed).choices(range(of), cum_weights=weights, k=n)


class Houses(faults_kit.FaultSuite):
    """Two gateways that ask for keys, and the houses with their scopes."""

    def __init__(self, **kw):
        super().__init__(**{"gateways": 2, "auth": "on", **kw, "env": {**ENV, **kw.pop("env", {})}})

    def ingest(self, text, id=None, key=None, **kw):
        return super().ingest(text, id, key=key or ADMIN_KEY, **kw)

    def answered(self, question, session=None, **kw):
        return super().answered(question, session, **{"key": ADMIN_KEY, **kw})

    def send(self, i, method, path, key=None, headers=None, **kw):
        """To gateway i."""
        own = {**({"Authorization": "Bearer " + key} if key else {}), **(headers or {})}
        return self.http.request(method, f"http://127.0.0.1:{self.ports[i % len(self.ports)]}" + path, headers=own, timeout=60, **kw)


def by_query(s, i, key, question, session, collection):
    r = s.send(i, "POST", "/api/v1/chat/query", key, json={"question": question, "session_id": session, "collection": collection})
    a = r.json() if r.status_code == 200 else {}
    return r.status_code, a.get("answer"), a.get("cached")


def by_stream(s, i, key, question, session, collection):
    r = s.send(i, "POST", "/api/v1/chat/stream", key, json={"question": question, "session_id": session, "collection": collection, "resumable": True})
    r.encoding = "utf-8"
    events = parse_events(r.text) if r.status_code == 200 else []
    done = events[-1].data if events and events[-1].kind == "done" else {}
    shown = "".join(e.data["text"] for e in events if e.kind == "delta")
    assert not done or shown.strip() == done["answer"].strip(), (shown, done)
    return r.status_code, done.get("answer"), done.get("cached")


def by_v1(s, i, key, question, session, collection):
    r = s.send(i, "POST", "/v1/chat/completions", key, headers={"X-Session-ID": session},
               json={"model": "rag:" + collection, "messages": [{"role": "user", "content": question}]})
    a = r.json() if r.status_code == 200 else {}
    return r.status_code, a and a["choices"][0]["message"]["content"], a and a["rag"]["cached"]


def by_mcp(s, i, key, question, session, collection):
    r = s.send(i, "POST", "/mcp", key, headers={"Accept": "application/json, text/event-stream"}, json={
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": {"question": question, "collection": collection}}})
    result = r.json().get("result", {}) if r.status_code == 200 else {}
    good = r.status_code == 200 and not result.get("isError") and "structuredContent" in result
    return r.status_code if good or r.status_code != 200 else 404, result.get("structuredContent", {}).get("answer"), r.headers.get("X-Cache")


class Facts:
    """The number of each house's machine, and from when until when an answer may have it."""

    def __init__(self, seed=3):
        self.draw, self.lock, self.known = random.Random(seed), threading.Lock(), {}

    def begin(self, house, name):
        """A number that none had before; it may be seen from now on."""
        with self.lock:
            number = self.draw.randrange(1000, 1000000)
            while any(number == n for spans in self.known.values() for n, _, _ in spans):
                number += 1
            self.known.setdefault((house, name), []).append([number, time.monotonic(), None])
            return number

    def stands(self, house, name):
        """The last one can be found: those before it end."""
        with self.lock:
            for span in self.known[house, name][:-1]:
                span[2] = span[2] or time.monotonic() + SEEN_S

    def right(self, house, name, since, until):
        with self.lock:
            return {n for n, a, b in self.known[house, name] if a <= until and (b is None or b >= since)}


class Stream:
    def __init__(self, s, questions=400, machines=40, sessions=60, edits=30, threads=4, seed=5):
        self.s, self.facts, self.names, self.threads, self.edits = s, Facts(), names(machines), threads, edits
        self.draw = random.Random(seed)
        self.sessions = {who: [new_session() for _ in range(sessions)] for who in ASKERS}
        self.wrong, self.asked, self.hits, self.refused = [], 0, 0, 0
        self.lock = threading.Lock()
        self.keys = {"anyone": None, "key": s.make_key(["chat"])["key"], "acme": s.make_key(["chat"], tenant="acme")["key"],
                     "only-open": s.make_key(["chat"], collections=["open"])["key"]}
        self.admin = {"default": ADMIN_KEY, "acme": s.make_key(["admin", "ingest"], tenant="acme")["key"]}
        self.items = [self.item(k) for k in zipf(questions, machines * len(QUESTIONS), seed)]

    def item(self, k):
        house = self.draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        who = self.draw.choice(list(ASKERS)) if self.draw.random() < .1 else self.draw.choice(HOUSES[house][4])
        ways = {"anyone": (by_query, by_stream), "only-open": (by_query, by_stream, by_v1)}.get(who, (by_query, by_stream, by_v1, by_mcp))
        return house, who, self.names[k % len(self.names)], self.draw.choice(QUESTIONS), self.draw.choice(ways), self.draw.randrange(2), \
            new_session() if who == "only-open" else self.draw.choice(self.sessions[who])

    def write(self, house, name):
        tenant, collection = HOUSES[house][:2]
        number = self.facts.begin(house, name)
        self.s.ingest(f"# The machine {name}\n\nThe machine {name} holds {number} litres of water.\n", f"{house}-{name}", key=self.admin[tenant],
                      collection=collection, title=name)
        self.facts.stands(house, name)

    def furnish(self):
        for house, (tenant, collection, language, scope, _) in HOUSES.items():
            r = self.s.request("PUT", f"/api/v1/collections/{collection}", key=self.admin[tenant],
                               json={"cache_scope": scope, **({"language": language} if language else {})})
            assert r.status_code == 200, r.text
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pair: self.write(*pair), [(h, n) for h in HOUSES for n in self.names]))

    def judge(self, item, status, answer, cached, since):
        house, who, name, question, way, gateway, _ = item
        # a key of another tenant has a collection of this name, or none
        of = house if who in HOUSES[house][4] else next((h for h, v in HOUSES.items() if v[1] == HOUSES[house][1] and who in v[4]), None)
        what = f"{who} asks {house} by {way.__name__} at {gateway}: {question.format(name)}: {status} {answer!r} cached {cached}"
        with self.lock:
            self.asked += 1
            self.hits += cached in ("query", "hit")
            self.refused += status != 200
            if of is None:
                if status == 200:
                    self.wrong.append("no access: " + what)
            elif status != 200:
                self.wrong.append("refused: " + what)
            elif not {int(n) for n in re.findall(r"holds (\d+) litres", answer or "")} & self.facts.right(of, name, since, time.monotonic()):
                self.wrong.append(f"not {self.facts.right(of, name, since, time.monotonic())}: " + what)
            elif who == "only-open" and cached in ("query", "hit"):
                self.wrong.append("another's access: " + what)

    def ask(self, item):
        house, who, name, question, way, gateway, session = item
        since = time.monotonic()
        got = way(self.s, gateway, self.keys[who], question.format(name), session, HOUSES[house][1])
        self.judge(item, *got, since)

    def edit(self, ended):
        draw = random.Random(9)
        for _ in range(self.edits):
            if ended.wait(.02):
                return
            # what is asked most changes most
            self.write(draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0], self.names[min(int(draw.expovariate(.6)), len(self.names) - 1)])

    def run(self):
        self.furnish()
        before, ended = self.s.stub.stats(), threading.Event()
        editor = threading.Thread(target=self.edit, args=(ended,))
        editor.start()
        try:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(self.ask, self.items))
        finally:
            ended.set()
            editor.join()
        after = self.s.stub.stats()
        self.calls = {k: after[k] - before[k] for k in ("chat", "embeddings")}
        return self


def explain(s, session, message, key=None, i=0):
    r = s.send(i, "GET", f"/api/v1/messages/{message}/explain", key, headers={"X-Session-ID": session})
    assert r.status_code == 200, r.text
    return json.loads(r.text)


def given_late(s, question, seed, collection="docs"):
    """A session's answer is erased at a random moment while others ask the same, and somebody asks 250 ms later. What is wrong, or ""."""
    draw, first, late = random.Random(seed), new_session(), new_session()

    def ask(session, i):
        return s.send(i, "POST", "/api/v1/chat/query", json={"question": question, "session_id": session, "collection": collection})
    a = ask(first, seed).json()
    made = explain(s, first, a["message_id"])["created_at"]
    plan = [(draw.random() * .02, draw.randrange(2)) for _ in range(3)]
    asking = [threading.Thread(target=lambda p=p, i=i: (time.sleep(p), ask(new_session(), i))) for p, i in plan]
    for t in asking:
        t.start()
    time.sleep(draw.random() * .02)
    gone = s.send(draw.randrange(2), "DELETE", "/api/v1/sessions/" + first).status_code
    time.sleep(SEEN_S)
    r = ask(late, seed + 1)
    for t in asking:
        t.join()
    if gone != 204 or r.status_code != 200 or not a["grounded"]:
        return f"{question}: {gone} {r.status_code} {r.text}"
    if r.json()["cached"] == "none" or explain(s, late, r.json()["message_id"])["cache"]["answered_at"] > made:
        return ""    # made anew, or of one who asked meanwhile and found nothing of the erased one
    return f"{question}: the erased answer of {made}"
