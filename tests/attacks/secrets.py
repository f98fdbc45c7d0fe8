"""A04 what a dump of the database and Redis shows, A31 what logs show: canaries in every place that must not be written down, and
bytes that could forge a line. A32 which doors are open. A36 what a process of the suite may do.

# attack: A04 A31 A32 A36; limit 200; short 60
"""
import json
import re
import subprocess
import uuid

from bars import Bars
from suite import ADMIN_KEY, LOOPBACK, Suite, new_session
from wire_kit import BEARER, FREE, Wire, chat, tool

UPSTREAM = "sk-test-upstream-key-canary"
FORGED = "\n{\"level\":\"error\",\"msg\":\"forged\"}"


def dump(s):
    """Everything that the database and Redis hold, as text."""
    c = s.pg()
    out = []
    with c.cursor() as cur:
        cur.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
        for schema, table in cur.fetchall():
            cur.execute(f'SELECT t::text FROM "{schema}"."{table}" t')
            out += [r[0] for r in cur.fetchall()]
    c.close()
    r = s.redis.client()
    for key in r.keys("*"):
        out.append(key.decode("latin-1"))
        kind = r.type(key)
        value = r.get(key) if kind == b"string" else r.xrange(key) if kind == b"stream" else r.hgetall(key) if kind == b"hash" else r.smembers(key) if kind == b"set" else \
            r.zrange(key, 0, -1) if kind == b"zset" else r.lrange(key, 0, -1)
        out.append(value.decode("latin-1") if isinstance(value, bytes) else str(value))
    return "\n".join(out)


def stands_in(secret, text):
    """As it is, as the bytes of a column, as the bytes of a UUID."""
    return secret in text or secret.encode().hex() in text or secret.replace("-", "") in text


def traffic(s, sessions, secrets, question):
    with Wire(s.port) as w:
        made = json.loads(w.admin("POST", "/api/v1/keys", {"label": "canary", "scopes": ["chat", "ingest"]})[2])
        secrets["a made key"] = made["key"]
        for session in sessions:
            w.admin("POST", "/api/v1/sessions", {"session_id": session, "user_id": "a-user"})
            for path in ("query", "stream"):
                w.admin("POST", "/api/v1/chat/" + path, {"question": question, "session_id": session})
            w.admin("POST", "/v1/chat/completions", chat(question), X_Session_ID=session)
            w.admin("POST", "/v1/completions", {"prompt": question}, X_Session_ID=session)
            w.admin("POST", "/mcp", tool("ask", question=question), X_Session_ID=session)
            w.admin("GET", f"/api/v1/chat/history?session_id={session}")
            w.admin("GET", f"/api/v1/sessions/{session}/export")
            w.ask("GET", f"/api/v1/nothing?session_id={session}&question={secrets['a query']}")
        w.admin("POST", "/api/v1/documents?wait=1", {"text": secrets["a body"], "id": "canary"})
        for path in ("/api/v1/search", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/mcp"):
            w.ask("POST", path, b"{" + secrets["a broken body"].encode(), Authorization=BEARER)
        w.admin("POST", "/v1/embeddings", {"input": secrets["a text to embed"]})
        w.admin("POST", "/mcp", tool("search", query=secrets["a search"]))
        w.admin("POST", "/v1/responses", {"input": "x", "previous_response_id": secrets["a response that is none"]})
        w.ask("GET", "/s/" + str(uuid.uuid4()) + "?t=" + secrets["a proof"])
        secrets["a response"] = json.loads(w.admin("POST", "/v1/responses", {"input": question})[2])["id"]
        w.ask("GET", "/api/v1/keys", Authorization="Bearer " + secrets["a wrong key"])
        w.ask("GET", "/api/v1/keys", Authorization="Basic " + secrets["another scheme"])
        w.ask("GET", "/api/v1/keys", Cookie="s=" + secrets["a cookie"])
        w.ask("GET", "/" + secrets["a path"])
        w.ask("GET", "/api/v1/documents?key=" + secrets["a key in a URL"])
        w.ask("GET", "/healthz", User_Agent=secrets["a client's name"], Referer="https://x.example/?s=" + secrets["a referrer"])
        for name in ("X_Request_ID", "traceparent", "User_Agent", "Origin", "X_Forwarded_For", "Idempotency_Key"):
            w.ask("GET", "/api/v1/nothing", **{name: "x" + FORGED})
            w.close()
            w.ask("GET", "/api/v1/nothing", **{name: "x\x1b[2J\u2028\\n{\"msg\":\"forged\"}"})
        for path in ("documents", "collections"):
            w.admin("GET", f"/api/v1/{path}/x%0a%7b%22msg%22%3a%22forged%22%7d")
        w.admin("POST", "/api/v1/documents", {"text": "A text.", "id": "x", "title": "t" + FORGED})


def logs(s):
    return "".join(open(p.log_path, errors="replace").read() for p in s.services.values())


def doors(s):
    """(process, address) of sockets that listen elsewhere than on loopback."""
    out = subprocess.run(["ss", "-H", "-ltnp"], capture_output=True, text=True).stdout
    pids = {str(p.pid): n for n, p in s.services.items()}
    return [(pids[m], line.split()[3]) for line in out.splitlines() for m in re.findall(r"pid=(\d+)", line)
            if m in pids and not line.split()[3].startswith(LOOPBACK)]


def rights(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


with Bars() as b, Suite(auth="on", stub=True, env=FREE) as s:
    sessions = [new_session() for _ in range(5)]
    names = ("a body", "a broken body", "a wrong key", "another scheme", "a cookie", "a path", "a key in a URL", "a client's name", "a referrer", "a query",
             "a text to embed", "a search", "a response that is none", "a proof")
    secrets = {name: "canary" + uuid.uuid4().hex for name in names}
    question = "What is " + "canary" + uuid.uuid4().hex + "?"
    traffic(s, sessions, secrets, question)
    held, written = dump(s), logs(s)
    keys = {"a response": secrets["a response"], "the admin key": ADMIN_KEY, "a made key": secrets["a made key"], "the upstream's key": UPSTREAM, "the deployment's secret": "test-deployment-secret"}
    ids = {f"session {i}": v for i, v in enumerate(sessions)}
    b.none("A04_secrets_in_the_dump", [n for n, v in {**keys, **ids}.items() if stands_in(v, held)])
    b.bar("A04_the_dump_has_what_was_stored", "yes" if stands_in(secrets["a body"], held) else "no", "yes", stands_in(secrets["a body"], held))
    b.none("A31_secrets_in_the_logs", [n for n, v in {**keys, **ids, **secrets, "the question": question}.items() if v in written])
    broken = [line for p in s.services.values() for line in p.log_lines() if "raw" in line or line.get("msg") == "forged"]
    b.none("A31_forged_lines", broken)
    b.none("A31_control_characters", re.findall(r"[\x00-\x09\x0b-\x1f\x7f\u2028]", written))
    b.none("A32_doors_that_are_not_on_loopback", doors(s))
    with Wire(s.port) as w:
        b.none("A32_metrics_on_the_public_port", [t for t in ("/metrics", "/api/v1/metrics", "/debug") if w.ask("GET", t, Authorization=BEARER)[0] == 200])
    b.none("A36_capabilities_that_were_not_there", [n for n, p in s.services.items() if int(rights(p.pid)["CapAmb"], 16)])
    b.none("A31_services_that_ended_badly", s.down())
