"""A15 SQL and A16 Redis injection in every field of text: nothing is changed, nothing fails, texts come back as they were. A33
operators of search languages and terms made to be slow. A34: a neighbour's vector is never the nearest.

# attack: A15 A16 A33 A34; limit 400; short 60
"""
import json
import re
import time
import uuid

from bars import Bars, pick
from suite import ADMIN_KEY, Suite, new_session, wait_for
from wire_kit import BEARER, FREE, Wire, chat, rpc, tool

SQL = ["'", "''", '"', "`", "\\", "\\'", "';", "' OR '1'='1", "' OR 1=1 --", "\" OR \"\"=\"", "') OR ('1'='1", "1; DROP TABLE footnote.messages; --",
       "'; DROP TABLE footnote.documents CASCADE; --", "'; DELETE FROM footnote.chunks; --", "'; UPDATE footnote.api_keys SET tenant='x'; --", "' UNION SELECT NULL,NULL,NULL --",
       "' AND 1=CAST((SELECT version()) AS int) --", "' AND pg_sleep(3) --", "'||pg_sleep(3)||'", "1 AND (SELECT 1 FROM pg_sleep(3)) IS NULL", "$1", "$$", "$$; SELECT 1; $$", "%s", "%(x)s",
       "{}", "{0}", ":name", "?", "--", "/*", "*/", "#", "E'\\x27'", "U&'\\0027'", "\u02bc OR 1=1", "\uff07 OR 1=1", "admin'--", "';COPY (SELECT 1) TO PROGRAM 'id';--", "x' ESCAPE '", "%", "_", "%' --"]
REDIS = ["\r\nFLUSHALL\r\n", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "\n", "a b", "a\tb", "%s%n%b%d", "*", "fn:*", "{slot}", "fn:turns", "'\"", "\u2028", "EVAL return redis.call('flushall') 0", "x" * 400]
TABLES = ("user_sessions", "conversations", "messages", "citations", "idempotency", "collections", "documents", "jobs", "uploads", "chunks", "changes", "api_keys")


def counts(s):
    return {t: s.sql(f"SELECT count(*) FROM {t}")[0][0] for t in TABLES}


def percent(text):
    return "".join(f"%{x:02x}" for x in text.encode())


def reads(text):
    """Requests that change nothing, with the text in each field: (method, target, fields)."""
    p, u = percent(text), str(uuid.uuid4())
    yield from (("GET", f"/api/v1/{path}", None) for path in (
        f"documents/{p}", f"documents/{p}/text", f"documents?collection={p}", f"documents?cursor={p}", f"documents?limit={p}", f"collections/{p}", f"collections?cursor={p}", f"jobs/{p}",
        f"sessions/{p}", f"sessions/{p}/export", f"messages/{p}/explain", f"keys?tenant={p}", f"usage?from={p}", f"chat/history?session_id={p}", f"chat/history?session_id={u}&cursor={p}",
        f"conversations?session_id={u}&cursor={p}", f"chat/history?session_id={u}&conversation_id={p}"))
    yield from (("DELETE", f"/api/v1/{path}", None) for path in (f"documents/x{p}", f"collections/x{p}", f"keys/{p}", f"conversations/{p}", f"users/x{p}"))
    yield "POST", "/api/v1/search", {"query": text}
    yield "POST", "/api/v1/search", {"query": "x", "collection": text}
    yield "POST", "/api/v1/search", {"query": "x", "filter": {text: text}}
    yield "POST", "/api/v1/search", {"query": "x", "filter": {"lang": [text]}}
    yield "POST", f"/api/v1/messages/{u}/feedback", {"session_id": u, "rating": "up", "comment": text}
    yield "POST", f"/api/v1/messages/{p}/feedback", {"session_id": u, "rating": text}
    yield from (("GET", target, None) for target in (f"/api/v1/report?collection={p}", f"/api/v1/report?days={p}", f"/api/v1/audit?cursor={p}",
                                                     f"/api/v1/figures?since={p}", f"/api/v1/errors?limit={p}",
                                                     f"/v1/models/{p}", f"/s/{p}", f"/s/{u}?t={p}", f"/docs?{p}"))
    yield from (("POST", f"/api/v1/collections/x{p}/{verb}", None) for verb in ("switch-back", "drop-old"))
    yield "POST", f"/api/v1/documents/x{p}/reindex", None
    yield "POST", "/v1/embeddings", {"input": text}
    yield "POST", "/v1/embeddings", {"input": "x", "encoding_format": text}
    yield "POST", "/v1/responses", {"input": "x", "previous_response_id": text}
    yield "POST", "/v1/chat/completions", chat("x", rag={"collection": "x" + text})
    yield "POST", "/v1/completions", {"prompt": "x", "model": "rag:x" + text}
    yield from (("POST", "/mcp", body) for body in (
        tool("search", query=text), tool("search", query="x", collection=text), tool("fetch", id=text), tool("ask", question="x", collection="x" + text),
        rpc("resources/read", uri="footnote://documents/" + text), rpc("resources/list", cursor=text), rpc(text)))


def broke(target, status, body):
    """/mcp tells of its own faults in answers of 200."""
    return status >= 500 or status == 0 or (target == "/mcp" and b"-32603" in body)


def injections(b, s, w):
    failed, slow, n, before = [], [], 0, counts(s)
    texts = (SQL + REDIS)[::pick(6, 1)]
    for text in texts:
        for method, target, fields in reads(text):
            n += 1
            begun = time.monotonic()
            status, _, body = w.admin(method, target, fields)
            if broke(target, status, body):
                failed.append((method, target, fields, status, body[:150]))
            if time.monotonic() - begun >= 2.9:
                slow.append((method, target))
    b.none(f"A15_failed_of_{n}", failed)
    b.none("A15_slept", slow)
    after = counts(s)
    b.none("A15_tables_with_other_counts", [(t, before[t], after[t]) for t in TABLES if after[t] != before[t]])


def plain(text):
    """Blanks and line ends may be tidied up on their way."""
    return " ".join((text or "").split())


def kept(b, s, w):
    """What is stored comes back; what is asked makes keys of one shape."""
    wrong, texts = [], (SQL + REDIS)[::pick(6, 1)]
    for i, text in enumerate(texts):
        text = text if text.strip() else "x" + text
        body = f"# T\n\nBefore {text} after.\n"
        ident, session = f"d{i}", new_session()
        status, _, got = w.admin("POST", "/api/v1/documents?wait=1", {"id": ident, "text": body, "title": text, "metadata": {"k": text}})
        if status not in (200, 202, 422):
            wrong.append(("document", text[:30], status, got[:120]))
        elif status != 422:
            doc = json.loads(w.admin("GET", f"/api/v1/documents/{ident}")[2])
            stored = w.admin("GET", f"/api/v1/documents/{ident}/text")[2].decode()
            if plain(doc.get("title", "")) != plain(text):
                wrong.append(("title", text[:30], doc.get("title")))
            if plain(text) not in plain(stored):
                wrong.append(("text", text[:30], stored[:60]))
        for path, fields in (("/api/v1/chat/query", {"question": text, "session_id": session}), ("/api/v1/sessions", {"session_id": session, "user_id": text[:100]}),
                             ("/v1/chat/completions", chat(text, user=text[:100])), ("/v1/completions", {"prompt": text}), ("/v1/responses", {"input": text}),
                             ("/mcp", tool("ask", question=text))):
            status, _, got = w.admin("POST", path, fields)
            if status not in ((200, 400) if path.startswith("/v1/") else (200, 201, 422)) or broke(path, status, got):
                wrong.append((path, text[:30], status, got[:120]))
        status, _, got = w.admin("PUT", f"/api/v1/collections/c{i}", {"prompt": text, "refusal": text})
        if status in (200, 201) and plain(json.loads(w.admin("GET", f"/api/v1/collections/c{i}")[2]).get("prompt", "")) != plain(text):
            wrong.append(("prompt", text[:30]))
    b.none(f"A15_changed_or_failed_of_{len(texts)}", wrong)
    b.equal("A15_documents_of_the_corpus", w.admin("GET", "/api/v1/documents/keeper")[0], 200)
    r = s.redis.client()
    shapes = re.compile(rb"fn:(q:[a-z0-9_.-]+:[0-9a-f]{32}|e:[^\s]+:\d+:[0-9a-f]{32}|rl:[a-z]:[0-9a-f.:/]+|qs:[0-9a-f]{64}|[a-z]+(:[a-z0-9_.:-]+)?)")
    b.none("A16_keys_of_another_shape", [k for k in r.keys("*") if not shapes.fullmatch(k)])
    status, _, _ = w.ask("POST", "/api/v1/search", json.dumps({"query": "x" * 250000}).encode(), Authorization=BEARER)
    b.bar("A16_a_query_of_250_kb", status, "4xx", 400 <= status < 500)


OPERATORS = ["a AND b", "NOT a", "a OR", '"unclosed', "title:x", "a*", "*", "?", "a~9", "a^9", "[a TO b]", "(" * 200, ")" * 200, "a & b | !c <-> d", ":*", "\\", "-a +b", "NEAR(a b, 9)",
             "a" * 4000, " ".join(["word%d" % i for i in range(700)]), "a " * 2000, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!" * 100, "\u0300" * 1500, "e\u0301" * 1000, "\U0001f468\u200d\U0001f469\u200d" * 200,
             "(a+)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "\u202e\u2066x", "\ufeff\u200b", "x\u00ad" * 900, "ß" * 1500, "\u0130" * 1500, "1" * 3000, "., ; : ! " * 300]


def operators(b, s, w):
    """A33: operators are words; the time is that of the search itself, as the retriever measures it."""
    def spent():
        m = s.metrics("retriever")
        return m.value("bus_work_seconds_sum", kind="search"), m.value("bus_work_seconds_count", kind="search")
    failed, worst = [], 0
    for text in OPERATORS:
        times = []
        for _ in range(pick(2, 5)):
            before = spent()
            status, _, body = w.admin("POST", "/api/v1/search", {"query": text})
            after = spent()
            if status not in (200, 422):
                failed.append((text[:30], status, body[:100]))
            status, _, body = w.admin("POST", "/mcp", tool("search", query=text))
            if status != 200 or broke("/mcp", status, body):
                failed.append(("mcp", text[:30], status, body[:100]))
            if after[1] > before[1]:
                times.append((after[0] - before[0]) / (after[1] - before[1]))
        worst = max([worst, *([min(times)] if times else [])])
    b.none(f"A33_failed_of_{len(OPERATORS)}", failed)
    b.most("A33_worst_search_ms", worst * 1e3, 5.0, timed=True)


def neighbours(b, s):
    """A34: two tenants with the same texts, and questions that are each other's texts."""
    tenants = {}
    for name in ("near", "far"):
        key = s.make_key(["chat", "ingest"], tenant=name)["key"]
        wait_for("the key works", lambda: s.request("GET", "/api/v1/documents", key=key).status_code == 200, 8, 0.1)
        ids = {s.ingest(f"# Note {i}\n\nThe {name} harbour has {i} cranes and a tower of {i} metres.\n", f"n{i}", key=key)["document_id"] for i in range(pick(3, 20))}
        tenants[name] = key, ids
    foreign, n = [], 0
    for name, (key, ids) in tenants.items():
        for query in ("near harbour cranes", "far harbour cranes", "tower of 7 metres", "x"):
            for hit in s.search(query, key=key, top_k=100):
                n += 1
                if hit["document_id"] not in ids:
                    foreign.append((name, query, hit["document_id"]))
            told = s.request("POST", "/mcp", key=key, json=tool("search", query=query, top_k=50)).json()["result"]["structuredContent"]["results"]
            n += len(told)
            foreign += [("mcp", name, query, hit["id"]) for hit in told if hit["id"] not in ids]
    b.none(f"A34_foreign_hits_of_{n}", foreign)
    b.least("A34_own_hits", n, 1)


with Bars() as b, Suite(auth="on", env=FREE) as s, Wire(s.port) as w:
    s.ingest("# Keeper\n\nThe keeper of the archive is Mr Ulven.\n", "keeper", key=ADMIN_KEY)
    for part in (injections, kept, operators):
        part(b, s, w)
    neighbours(b, s)
    b.none("A15_services_that_ended_badly", s.down())
