"""A model server whose every byte is written down: rules say what it sends, and it remembers what it was sent.

    with Server([{"route": "chat", "says": ["It is ", "so."]}]) as s:
        … OPENAI_BASE_URL=s.url …
        s.requests[-1].body["max_tokens"]

A rule is a dict; the first one that applies and is not used up answers, and without one the server answers as OpenAI's does.

    when it applies   route   chat, embed or rerank
                      has     members that the request must have            without   and must not have
                      match   {member: value} that must be equal            above     more input texts than this
                      longer  the longest text (or message) has more bytes than this
                      busy    at least so many other requests are being answered
                      mixed   true: the roles behind the system message do not alternate, from user to user
                      times   how often it answers (default: always)
    what it sends     status, type (Content-Type), headers {…}              default: 200 and what fits the body
                      body    bytes as they are; a list is sent piece by piece, a number in it is a pause in seconds
                      events  like body, each piece as one event "data: …"; one that begins with ":" or "event:" as it stands
                      says    like events, each piece as the text of a chunk in OpenAI's form, then finish and [DONE]
                      finish  finish_reason of says, default stop           usage  [prompt, completion]
                      eol     line ends of events: lf, crlf, cr             bom    begins with a byte order mark
                      bytes   so many bytes are sent at a time              pause  seconds before the reply begins
                      encoding  of body and events, default utf-8
                      cut     the connection breaks after the body          vectors  see vectors_of
"""
import base64
import hashlib
import json
import math
import socket
import struct
import threading
import time

DIMS = 8


def vector(text, dims=DIMS):
    """The vector that the server makes of a text: unit length, another one for each text."""
    raw = hashlib.sha256(text.encode()).digest() * (dims // 32 + 1)
    v = [raw[i] / 255 - 0.5 for i in range(dims)]
    n = math.sqrt(sum(x * x for x in v))
    return [x / n for x in v]


def vectors_of(texts, how, asked):
    """The reply of /embeddings. how: of (a function of text and dims), dims, index (list, none, zero, reverse, shuffle, one, string, null), form (as asked, float,
    base64, string, nested, bare, ollama), bad (nan, infinity, null, zero, short, mixed, fewer, more, only the first), usage, extra {member: value}."""
    dims, form, index, bad = how.get("dims", DIMS), how.get("form"), how.get("index", "list"), how.get("bad")
    form = form or ("base64" if asked.get("encoding_format") == "base64" else "float")
    rows = []
    for i, text in enumerate(texts):
        v = how.get("of", vector)(text, dims - 1 if bad == "short" or (bad == "mixed" and i == 1) else dims)
        if bad in ("nan", "infinity", "null"):
            v[1] = {"nan": float("nan"), "infinity": float("inf"), "null": None}[bad]
        if bad == "zero":
            v = [0.0] * dims
        if form == "base64":
            v = base64.b64encode(struct.pack("<%df" % len(v), *v)).decode()
        elif form == "string":
            v = ["%.8f" % x for x in v]
        elif form == "nested":
            v = [v]
        row = {"object": "embedding", "index": i, "embedding": v}
        if index in ("none", "zero", "one", "string", "null"):
            row.pop("index")
        if index != "none" and index in ("zero", "one", "string", "null"):
            row["index"] = {"zero": 0, "one": i + 1, "string": str(i), "null": None}[index]
        rows.append(v if form in ("bare", "ollama") else row)
    if index == "reverse":
        rows.reverse()
    if index == "shuffle":
        rows = rows[1::2] + rows[::2]
    if bad == "fewer":
        rows = rows[1:]
    if bad == "only":
        rows = rows[:1]
    if bad == "more":
        rows = rows + rows[:1]
    reply = {"model": asked.get("model"), "embeddings" if form == "ollama" else "data": rows}
    if form == "bare":
        return json.dumps(rows)
    if how.get("usage", True):
        reply["usage"] = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    reply.update(how.get("extra", {}))
    return json.dumps(reply)


ROUTES = {"/chat/completions": "chat", "/embeddings": "embed", "/rerank": "rerank"}


def scores_of(texts):
    """The n-th passage is worth n / 1000."""
    rows = [{"index": i, "relevance_score": int(t.split()[-1]) / 1000} for i, t in enumerate(texts)]
    return json.dumps({"results": rows[::-1], "usage": {"total_tokens": len(texts)}})


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        route = path.split("?")[0]
        self.route = next((r for end, r in ROUTES.items() if route.endswith(end)), route)
        self.begun, self.ended, self.whole = time.monotonic(), None, False

    @property
    def texts(self):
        given = self.body.get("input", self.body.get("documents", self.body.get("texts", [])))
        return [given] if isinstance(given, str) else given

    @property
    def longest(self):
        return max([len(t.encode()) for t in self.texts] + [len(m["content"].encode()) for m in self.body.get("messages", [])] + [0])

    @property
    def alternates(self):
        roles = [m["role"] for m in self.body.get("messages", [])]
        roles = roles[1:] if roles[:1] == ["system"] else roles
        return len(roles) % 2 == 1 and all(r == ("user", "assistant")[i % 2] for i, r in enumerate(roles))


def chunk(model, delta, finish=None):
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
                       "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def says_events(rule, asked):
    model, events = asked.get("model", "m"), []
    for piece in rule["says"]:
        events.append(piece if isinstance(piece, (int, float)) else chunk(model, {"content": piece}))
    events.append(chunk(model, {}, rule.get("finish", "stop")))
    if "usage" in rule:
        p, c = rule["usage"]
        events.append(json.dumps({"choices": [], "usage": {"prompt_tokens": p, "completion_tokens": c, "total_tokens": p + c}}))
    return events + ["[DONE]"]


def plain_completion(text, finish="stop"):
    return json.dumps({"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                                                                 "finish_reason": finish}]})


def pieces_of(rule, asked):
    """[bytes or seconds …] of the body, and its type."""
    eol = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}[rule.get("eol", "lf")]
    if "body" in rule:
        body = rule["body"] if isinstance(rule["body"], list) else [rule["body"]]
        kind = "application/json" if str(body[0]).lstrip("\ufeff \r\n")[:1] in ("{", "[") else "text/event-stream"
    elif "vectors" in rule:
        body, kind = [vectors_of([t for t in asked["texts"]], rule["vectors"], asked)], "application/json"
    elif "query" in asked and "events" not in rule:
        body, kind = [scores_of(asked["texts"])], "application/json"
    elif "events" not in rule and "says" not in rule:
        return pieces_of({**rule, **DEFAULTS["embed" if "input" in asked else "chat"]}, asked)
    else:
        body, kind = [], "text/event-stream"
        for e in rule["events"] if "events" in rule else says_events(rule, asked):
            if isinstance(e, str):
                e = e if e.startswith((":", "event:", "id:", "retry:", "data:", "error:")) else "data: " + e
                e = e.replace("\n", eol) + eol * (1 if e.startswith("event:") else 2)
            body.append(e)
    if rule.get("bom"):
        body = ["\ufeff", *body]
    return [p if isinstance(p, (int, float)) else p.encode(rule.get("encoding", "utf-8")) for p in body], kind


DEFAULTS = {"chat": {"says": ["It is ", "so. [1]"], "usage": [7, 3]}, "embed": {"vectors": {}}, "rerank": {}}


class Server:
    def __init__(self, rules=(), host="127.0.0.1"):
        self.rules, self.requests, self.lock = [dict(r) for r in rules], [], threading.Lock()
        self.now, self.most = 0, 0                  # requests that are being answered, and the most there ever were
        self.listener = socket.create_server((host, 0))
        self.origin = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.url = self.origin + "/v1"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self.listener.close()

    def script(self, *rules):
        """Other rules from now on; what was asked before is forgotten."""
        with self.lock:
            self.rules, self.requests, self.most = [dict(r) for r in rules], [], 0

    def asked(self, route):
        with self.lock:
            return [r for r in self.requests if r.route == route]

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        f = c.makefile("rb")
        try:
            while self.one(c, f):
                pass
        except (OSError, ValueError):
            pass
        finally:
            f.close()
            c.close()

    def one(self, c, f):
        line = f.readline().decode().split()
        if len(line) < 2:
            return False
        headers = {}
        while True:
            h = f.readline().decode().rstrip("\r\n")
            if not h:
                break
            name, _, value = h.partition(":")
            headers[name.lower()] = value.strip()
        body = json.loads(f.read(int(headers.get("content-length", 0))) or b"{}")
        r = Request(line[1], headers, body)
        with self.lock:
            self.requests.append(r)
            rule = self.rule_for(r)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self.answer(c, r, rule)
        finally:
            r.ended = time.monotonic()
            with self.lock:
                self.now -= 1

    def rule_for(self, r):
        for rule in self.rules:
            if self.applies(rule, r):
                if "times" in rule:
                    rule["times"] -= 1
                return rule
        return DEFAULTS.get(r.route, {"status": 404, "body": '{"error":{"message":"no such route"}}'})

    def applies(self, rule, r):
        b = r.body
        return (rule.get("times", 1) > 0 and rule.get("route", r.route) == r.route and all(k in b for k in rule.get("has", ()))
                and not any(k in b for k in rule.get("without", ())) and all(b.get(k) == v for k, v in rule.get("match", {}).items())
                and rule.get("path", r.path) == r.path and len(r.texts) > rule.get("above", -1) and r.longest > rule.get("longer", -1)
                and self.now >= rule.get("busy", 0) and (not rule.get("mixed") or not r.alternates))

    def answer(self, c, r, rule):
        pieces, kind = pieces_of(rule, {**r.body, "texts": r.texts})
        time.sleep(rule.get("pause", 0))
        head = "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n" % rule.get("status", 200)
        kind = rule.get("type", kind)
        head += "Content-Type: %s\r\n" % kind if kind else ""
        c.sendall((head + "".join("%s: %s\r\n" % h for h in rule.get("headers", {}).items()) + "\r\n").encode())
        for p in pieces:
            if isinstance(p, (int, float)):
                time.sleep(p)
                continue
            n = rule.get("bytes", len(p)) or 1
            for at in range(0, len(p), n):
                part = p[at:at + n]
                c.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        if rule.get("cut"):
            return False
        c.sendall(b"0\r\n\r\n")
        r.whole = True
        return True
