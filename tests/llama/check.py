"""Footnote against llama.cpp's server: asks questions about docs/ and a small manual, and checks the structure of what comes
back. Started by run.sh, which brings the models. Prints `name measured bar ok|SHORT`, a transcript of one streamed answer, and
exits 1 when a bar is missed.

Three ways to attach a model server, each with a Footnote of its own: two servers (chat, embeddings), the chat server with our
built-in embeddings, and one chat server that embeds, too.
"""
import argparse
import glob
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time

import requests

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "kit"))
from suite import LOOPBACK, Proc, Suite, free_port, new_session, parse_events, wait_for  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
EMBED_NAME = "all-minilm-l6-v2"
TOP_K = 3  # a small model on two cores reads three passages in a few seconds
QUESTIONS = (  # (question, the fact, its document) about tests/llama/manual.md and docs/
    ("How many litres does the water tank of the Kestrel 40 hold?", "2.4", "manual"),
    ("How often must the brew group be rinsed?", "50 cups", "manual"),
    ("What does fault code F7 mean?", "grinder", "manual"),
    ("How long does the warranty of the Kestrel 40 last?", "five years", "manual"),
    ("At what temperature does the boiler work?", "93", "manual"),
    ("Who designed the Kestrel 40?", "Lindqvist", "manual"),
    ("How many seconds does an espresso take?", "27", "manual"),
    ("How often does a comment line come in a stream?", "15", "api"),
)
NOWHERE = "Which zebra won the Venezuelan bicycle championship?"
MARK = re.compile(r"\[(\d+)\]")


class Bars:
    def __init__(self):
        self.short = 0

    def say(self, name, measured, bar, good):
        self.short += not good
        print(f"{name:<58} {measured!s:<22} {bar!s:<14} {'ok' if good else 'SHORT'}", flush=True)

    def least(self, name, measured, bar):
        self.say(name, measured, f">= {bar}", measured >= bar)

    def equal(self, name, measured, bar):
        self.say(name, measured, bar, measured == bar)


class Llama:
    """One llama.cpp server."""

    def __init__(self, args, folder, what, model, name, *more):
        self.port, self.name = free_port(), name
        self.url = f"http://{LOOPBACK}:{self.port}/v1"
        self.proc = Proc(what, [*args.server.split("\t"), "--model", model, "--port", str(self.port), "--alias", name, *more],
                         dict(os.environ), folder)

    def listens(self):
        assert self.proc.running(), "the model server ended:\n" + self.proc.tail(30)
        try:
            return requests.get(f"http://{LOOPBACK}:{self.port}/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def warm(self):
        """The first call maps the weights into memory."""
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        assert requests.post(self.url + "/chat/completions", json=body, timeout=120).status_code == 200


def upstream_calls(s, route):
    m = s.metrics("embedder")
    try:
        return int(m.value("upstream_calls_total", route=route))
    except AssertionError:  # none yet
        return 0


def ingest(s, full):
    """{name: document id}"""
    files = [os.path.join(HERE, "manual.md"), *sorted(glob.glob(os.path.join(TOP, "docs", "*.md")) if full else [])]
    more = os.environ.get("LLAMA_DOCS")  # a folder of more documents, for a larger haystack
    files += sorted(glob.glob(os.path.join(more, "*.md")))[:5] if more and full else []
    out = {}
    for path in files:
        name = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding="utf-8") as f:
            out[name] = s.ingest(f.read(), id=name, title=name, wait=False)["document_id"]

    def ready():
        docs = [s.request("GET", "/api/v1/documents/" + d).json() for d in out.values()]
        assert all(d["status"] != "failed" for d in docs), docs
        return all(d["status"] == "ready" for d in docs)
    begun = time.monotonic()
    wait_for("all documents are ready", ready, 300, 0.2)
    print(f"  {len(out)} documents embedded in {time.monotonic() - begun:.1f} s", flush=True)
    return out


def stream(s, question, session):
    """(seconds, event) of a streamed answer, as they come."""
    body = {"question": question, "session_id": session, "top_k": TOP_K}
    begun, text, out = time.monotonic(), "", []
    with s.request("POST", "/api/v1/chat/stream", json=body, stream=True, timeout=130) as r:
        assert r.status_code == 200, (r.status_code, r.text)
        r.encoding = "utf-8"
        for piece in r.iter_content(None):
            text += piece.decode()
            *whole, text = text.split("\n\n")
            out += [(time.monotonic() - begun, e) for e in parse_events("\n\n".join([*whole, ""]))]
    return out


def show(question, events):
    """The transcript for the note: what came when."""
    print(f"\n--- streamed\n> {question}")
    line, since = "", None
    for at, e in events:
        if e.kind == "delta":
            since = at if since is None else since
            line += e.data["text"]
            continue
        if line:
            print(f"{since:6.2f} s  delta …    {line!r}")
            line, since = "", None
        data = e.data
        if e.kind == "sources":
            data = [{"n": x["n"], "section": x.get("section")} for x in (data.get("sources", data) if isinstance(data, dict) else data)]
        print(f"{at:6.2f} s  {e.kind:<9}  {json.dumps(data, ensure_ascii=False)}")
    print("---\n")


def check_sources(s, done):
    """Problems of an answer's marks and sources; none: []"""
    bad, marks = [], {int(n) for n in MARK.findall(done["answer"])}
    if marks != {x["n"] for x in done["sources"]}:
        bad.append(f"marks {marks} and sources differ")
    for x in done["sources"]:
        held = s.text(x["document_id"])[x["start"]:x["end"]].decode()
        if held != x["content_excerpt"]:
            bad.append(f"[{x['n']}] is not what the document holds")
        if not 1 <= x["n"] <= TOP_K:
            bad.append(f"[{x['n']}] was not given")
    return bad


class Count:
    def __init__(self):
        self.cited = self.facts = self.right = self.slices = self.streamed = self.metered = self.named = self.marked = 0
        self.best = None


def ask_all(s, c, documents, name, questions):
    for question, fact, document in questions:
        session = new_session()
        events = stream(s, question, session)
        done = [e.data for _, e in events if e.kind == "done"]
        if len(done) != 1:
            print(f"  no answer: {question} {events[-1:]}", flush=True)
            continue
        done = done[0]
        times = [at for at, e in events if e.kind == "delta"]
        raw = "".join(e.data["text"] for _, e in events if e.kind == "delta")
        bad = check_sources(s, done)
        good = done["grounded"] and bool(done["sources"]) and not bad
        c.cited += good
        c.marked += bool(MARK.search(raw))
        c.slices += not bad
        here = good and any(x["document_id"] == documents[document] for x in done["sources"])
        supported = here and fact in done["answer"] and any(fact in x["content_excerpt"] for x in done["sources"])
        c.right += here
        c.facts += supported
        c.streamed += len(times) >= 3 and times[-1] - times[0] >= 0.05
        c.metered += done["usage"]["prompt_tokens"] > 0 and done["usage"]["completion_tokens"] > 0
        c.named += any(e.kind == "meta" for _, e in events) and done.get("model", name) == name
        # the last one: the first may come before the cache knows the last document; a cut answer is not cached
        if supported and len(times) >= 3 and done["finish"] == "stop":
            c.best = (question, events, session, done)
        print(f"  {times[0] if times else 0:5.1f} s {events[-1][0]:5.1f} s {len(times):4d} deltas  {'right' if supported else 'cited' if good else '-----'} "
              f"{question}\n      {done['answer']!r} {'; '.join(bad)}", flush=True)


def check_again(s, bars, c):
    """History, the cache, and a question about nothing: what must not call the model."""
    question, events, session, done = c.best
    items = s.messages(session, 2)
    answer = items[-1]
    bars.equal("history holds the answer with its citations",
               (answer["content"] == done["answer"], len(answer.get("citations") or answer.get("sources") or [])),
               (True, len(done["sources"])))
    before = upstream_calls(s, "chat"), upstream_calls(s, "embed")
    again = s.ask(question, session, top_k=TOP_K).json()
    bars.equal("asked again: cached", again.get("cached", again.get("code")), "query")
    bars.equal("asked again: same answer", again.get("answer") == done["answer"], True)
    bars.equal("asked again: model calls", (upstream_calls(s, "chat") - before[0], upstream_calls(s, "embed") - before[1]), (0, 0))


def check_nowhere(s, bars, question):
    before = upstream_calls(s, "chat")
    nothing = s.answered(question, top_k=TOP_K)
    bars.equal("not in the documents: grounded, sources, chat calls",
               (nothing["grounded"], len(nothing["sources"]), upstream_calls(s, "chat") - before), (False, 0, 0))


def run(bars, title, env, name, questions, full):
    print(f"== {title}")
    c, n = Count(), len(questions)
    with Suite(env={"TOP_K": str(TOP_K), "RATE_LIMIT_REQUESTS": "10000"}, service_env={"embedder": env}) as s:
        documents = ingest(s, full)
        ask_all(s, c, documents, name, questions)
        bars.least("answers with a mark that leads to a given passage", c.cited, (n + 1) // 2)
        bars.equal("excerpts equal the document's bytes [start, end)", c.slices, n)
        bars.least("cited from the document that holds the answer", c.right, (n + 1) // 2)
        bars.least("the fact is in the answer and in a cited excerpt", c.facts, max(1, n // 2))
        bars.equal("answers that came in pieces over time", c.streamed, n)
        bars.equal("answers with the server's token counts", c.metered, n)
        print(f"  ({c.marked} of {n} were marked by the model itself, the others by evidence)")
        models = {line.get("chat") for line in s.services["embedder"].log_lines() if line.get("msg") == "models"}
        bars.equal("chat model in use", ",".join(str(x) for x in models), name)
        bars.say("a streamed, cited answer to show", bool(c.best), True, bool(c.best))
        if full and c.best:
            show(c.best[0], c.best[1])
            check_again(s, bars, c)
            check_nowhere(s, bars, NOWHERE)
        bad = s.down()
        bars.equal("services that did not end with 0", len(bad), 0)


def finish(bars, begun):
    print(f"test-llama: {bars.short} bars missed, {time.monotonic() - begun:.0f} s")
    return 1 if bars.short else 0


def main():
    parser = argparse.ArgumentParser()
    for option in ("--server", "--model", "--name", "--embed"):
        parser.add_argument(option, required=True)
    args, bars, servers = parser.parse_args(), Bars(), []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
    folder = tempfile.mkdtemp(prefix="footnote-llama-")
    begun, ways = time.monotonic(), os.environ.get("LLAMA_WAYS", "two builtin one").split()
    try:
        chat = Llama(args, folder, "chat", args.model, args.name, "--ctx-size", "8192")
        servers.append(chat)
        embed = Llama(args, folder, "embed", args.embed, EMBED_NAME, "--pooling", "mean", "--ctx-size", "512")
        servers.append(embed)
        for server in servers:
            wait_for("the model server listens", server.listens, 120, 0.1)
        chat.warm()
        base = {"OPENAI_BASE_URL": chat.url, "OPENAI_MODEL": args.name, "MAX_OUTPUT_TOKENS": "48", "TEMPERATURE": "0"}
        if "two" in ways:
            run(bars, f"two servers: {args.name} and {EMBED_NAME}",
                {**base, "OPENAI_EMBEDDING_BASE_URL": embed.url, "OPENAI_EMBEDDING_MODEL": EMBED_NAME}, args.name, QUESTIONS, True)
        if "builtin" in ways:
            run(bars, f"chat server {args.name}, built-in embeddings", {**base, "EMBEDDING_PROVIDER": "builtin"}, args.name,
                QUESTIONS[:3], True)
        if "one" not in ways:
            return finish(bars, begun)
        servers.pop(0).proc.end()
        both = Llama(args, folder, "both", args.model, args.name, "--pooling", "last", "--ctx-size", "8192")
        servers.append(both)
        wait_for("the model server listens", both.listens, 120, 0.1)
        run(bars, f"one server for both: {args.name}",
            {**base, "OPENAI_BASE_URL": both.url, "OPENAI_EMBEDDING_MODEL": args.name}, args.name, QUESTIONS[:2], False)
    finally:
        for server in servers:
            server.proc.end()
        shutil.rmtree(folder, ignore_errors=True)
    return finish(bars, begun)


sys.exit(main())
