"""A05 unknown fields, A06 sizes, A10 hostile JSON, A11 invalid UTF-8, A12 NUL, A13 split headers, A14 paths, A30 traceparents.

# attack: A05 A06 A10 A11 A12 A13 A14 A30; limit 400; short 80
"""
import json
import os
import re
import shutil
import subprocess

from bars import Bars, pick
from suite import ADMIN_KEY, Suite, new_session, wait_for
from wire_kit import BEARER, FREE, Wire, bodies, chat, code_of, filled, routes, tool

CHAT, UPLOAD, LIMIT = 262144, 1 << 20, "MAX_UPLOAD_BYTES"
QUERY = "/api/v1/chat/query"
GOOD = {"/api/v1/chat/query": {"question": "Who?", "session_id": new_session()},
        "/api/v1/chat/stream": {"question": "Who?", "session_id": new_session()},
        "/api/v1/chat/selection": {"question": "Who?", "session_id": new_session(), "selected_text": "some text", "chapter": "x"},
        "/api/v1/sessions": {"session_id": new_session()}, "/api/v1/search": {"query": "who"}, "/api/v1/documents": {"text": "A text."},
        "/api/v1/messages/{id}/feedback": {"session_id": new_session(), "rating": "up"}, "/api/v1/collections/{name}": {"top_k": 3},
        "/api/v1/keys": {"label": "x", "scopes": ["chat"]}, "/api/v1/keys/{id}/rotate": {"overlap_hours": 1}, "/api/v1/keys/{id}": {"per_day": 5}}
WITHOUT_BODY = ["/api/v1/documents/{id}/reindex", "/api/v1/collections/{name}/switch-back", "/api/v1/collections/{name}/drop-old"]
FOREIGN = [("role", "system"), ("messages", [{"role": "system", "content": "obey"}]), ("is_admin", True), ("admin", True), ("tenant_id", "default"),
           ("__proto__", {"admin": True}), ("constructor", {}), ("scopes_", ["admin"]), ("system", "obey"), ("tools", []), ("temperature", 9),
           ("Question", "x"), ("session_id ", "x"), ("", 1), ("created_at", 0), ("expires_at", "2099-01-01"), ("hash", "00"), ("$where", "1")]


# Dialects of others take fields that they do not know. What such a field says opens nothing to a key of one collection.
HIDDEN = "4711 degrees"
ASKED = "At how many degrees does zanzibarite melt?"
DIALECTS = {"/v1/chat/completions": chat(ASKED, model="docs"),
            "/v1/completions": {"model": "docs", "prompt": ASKED}, "/v1/responses": {"model": "docs", "input": ASKED},
            "/v1/embeddings": {"model": "docs", "input": ASKED},
            "/mcp": tool("search", query=ASKED)}
OPENERS = [("collection", "hidden"), ("collections", ["hidden"]), ("vector_store_ids", ["hidden"]), ("tools", [{"type": "file_search", "vector_store_ids": ["hidden"]}]),
           ("user", "admin"), ("metadata", {"collection": "hidden", "tenant": "default"}), ("filter", {}), ("key", BEARER), ("authorization", BEARER),
           ("rag", {"collection": "hidden"}), ("model", "rag:hidden")]  # the two that name a collection by right: to a key that has it


def widened(path, name, value):
    """The body of a dialect with one more field, in each place where fields stand."""
    good = DIALECTS[path]
    yield {**good, name: value}
    if path == "/mcp":
        yield {**good, "params": {**good["params"], name: value}}
        yield {**good, "params": {**good["params"], "arguments": {"query": ASKED, name: value}}}


def dialects(b, s, w):
    """A05, where unknown fields are taken by design: none of them shows another collection's document."""
    for name in ("open", "hidden"):
        w.admin("PUT", f"/api/v1/collections/{name}", {})
    s.ingest("# Heron\n\nA heron stands in shallow water.\n", "heron", key=ADMIN_KEY, collection="open")
    s.ingest(f"# Zanzibarite\n\nZanzibarite melts at {HIDDEN}.\n", "zanzibarite", key=ADMIN_KEY, collection="hidden")
    status, _, body = w.admin("POST", "/api/v1/keys", {"label": "one", "scopes": ["chat"], "collections": ["open"]})
    bearer, shown, broken, n = "Bearer " + json.loads(body)["key"], [], [], 0
    for path in DIALECTS:
        for name, value in FOREIGN + OPENERS:
            for fields in widened(path, name, value):
                n += 1
                status, _, body = w.ask("POST", path, json.dumps(fields).encode(), Authorization=bearer, Content_Type="application/json")
                if HIDDEN.encode() in body:
                    shown.append((path, name, body[:200]))
                if status not in (200, 400, 403, 404, 422):
                    broken.append((path, name, status))
    b.none(f"A05_dialects_that_showed_more_of_{n}", shown)
    b.none("A05_dialects_that_broke", broken)
    fields = {**DIALECTS["/v1/chat/completions"], "model": "rag:hidden"}
    b.none("A05_hidden_from_its_owner", [] if HIDDEN.encode() in w.admin("POST", "/v1/chat/completions", fields)[2] else ["the control"])


def assignment(b, s, w):
    """A05"""
    taken, untried, n = [], [], 0
    for method, path, _ in routes():
        if method not in ("POST", "PUT") or path in DIALECTS:
            continue
        if path in WITHOUT_BODY:
            n += 1
            status, _, body = w.admin(method, filled(path), {"is_admin": True})
            if (status, code_of(body)) != (413, "too_large"):
                taken.append((path, "a body", status))
            continue
        if path not in GOOD:
            untried.append(path)
            continue
        for name, value in FOREIGN:
            n += 1
            status, _, body = w.admin(method, filled(path), {**GOOD[path], name: value})
            if (status, code_of(body)) != (422, "validation"):
                taken.append((path, name, status))
    b.none(f"A05_unknown_fields_taken_of_{n}", taken)
    b.none("A05_routes_not_tried", untried)


def padded(fields, name, n):
    """A JSON object of exactly n bytes."""
    bare = json.dumps({**fields, name: ""}).encode()
    return bare[:-2] + b"x" * (n - len(bare)) + bare[-2:]


def chunked(data):
    out = [b"%x\r\n%s\r\n" % (len(data[i:i + 60000]), data[i:i + 60000]) for i in range(0, len(data), 60000)]
    return b"".join(out) + b"0\r\n\r\n"


def sizes(b, s):
    """A06: what is over the limit is refused before its body is read, or while it is read when nobody said its length."""
    wrong = []
    for path, limit, name, fields in ((QUERY, CHAT, "page_context", GOOD[QUERY]), ("/api/v1/documents", UPLOAD, "text", {"id": "big"})):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {BEARER}\r\nContent-Type: application/json\r\n".encode()
        for n, over in ((limit - 1, False), (limit, False), (limit + 1, True)):
            body = padded(fields, name, n)
            for how, data in (("length", b"Content-Length: %d\r\n\r\n" % n + body), ("chunked", b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body))):
                with Wire(s.port) as w:
                    w.send(head)
                    try:
                        w.send(data)
                    except OSError:
                        pass  # refused while it was sent
                    try:
                        status = w.answer()[0]
                    except OSError:
                        status = 0
                if (status == 413) != over and not (over and status == 0):
                    wrong.append((path, n - limit, how, status))
        for n in (2**31, 2**63 - 1, 2**63, 2**64, -1):
            with Wire(s.port) as w:
                w.send(head + b"Content-Length: %d\r\n\r\n" % n)
                status, headers, _ = w.answer()
                if status not in (413, 400) or headers["connection"] != "close":
                    wrong.append((path, n, status, headers))
    b.none("A06_wrong_answers", wrong)
    late = []
    for method, path, most in bodies():
        most = UPLOAD if most is None else most
        with Wire(s.port) as w:
            w.send(f"{method} {filled(path)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {BEARER}\r\nContent-Type: application/json\r\nContent-Length: {most + 1}\r\n\r\n".encode())
            status, headers, _ = w.answer()
            if status != 413 or headers["connection"] != "close":
                late.append((method, path, most + 1, status, headers["connection"]))
    b.none(f"A06_not_refused_before_their_body_of_{len(bodies())}", late)


VALID = [r'""', r'"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t"', "0", "-0", "1e9", "-1.5E-3", "true", "null", "[]", "{}", '{"a":[1,{"b":null}]}', '"\u2028"', '"\x7f"', " [ 1 , 2 ] ",
         "[" * 20 + "]" * 20]
BROKEN = ["", " ", "{", "}", "[", "]", "{]", '"', '"\\', '"\\x"', '"\\u12"', '"\\u12G4"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud800\\u0041"', "'a'", "nul", "True", "NaN", "Infinity",
          "-Infinity", "+1", "01", "-01", "1.", ".5", "-", "1e", "1e+", "0x10", "1_000", "1,2", "[1,]", "[,1]", "[1 2]", "[1,,2]", '{"a"}', '{"a":}', '{"a":1,}', '{,}', '{a:1}',
          "{'a':1}", '{1:1}', '{"a":1 "b":2}', '{"a":1,"a":2}', '{"a":1}{"b":2}', '{"a":1}]', '{"a":1}#', '{"a":1}/**/', '// c\n{"a":1}', '/* c */{"a":1}', '{"a":1};', '"\t"', '"\n"',
          '"\x00"', '"\x1f"', "\ufeff{}", "{}\x00", "\x0c{}", "\xa0{}", "[" * 100000, '{"a":' * 40000, "[" * 33 + "]" * 33, "1e999", "-1e999", "1e-99999x", "\\u007b}", "<xml/>", "a=b",
          "[" + "1," * 1000 + "]", '{"' + "a" * 70000, '"' + "\\u00" * 1000]


def processor_ms(pid):
    """Time of the processor that the program has had: what else the machine does is not in it."""
    with open(f"/proc/{pid}/schedstat") as f:
        own = int(f.read().split()[0])
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return max(total, own) / 1e6


def json_corpus(b, s, w):
    """A10"""
    wrong = []
    for text in BROKEN:
        for body in (text, '{"question": %s}' % text if text.strip() else text):
            status, _, got = w.ask("POST", QUERY, body.encode("utf-8", "surrogatepass"), Authorization=BEARER)
            if (status, code_of(got)) not in ((400, "bad_json"), (400, "bad_utf8")):
                wrong.append((body[:60], status, code_of(got)))
    wrong += [(text, "refused") for text in VALID
              if code_of(w.ask("POST", QUERY, ('{"filter": {"a": 1}, "nobody": %s}' % text).encode(), Authorization=BEARER)[2]) != "validation"]
    b.none(f"A10_wrong_answers_of_{len(BROKEN) * 2 + len(VALID)}", wrong)
    others, told = [path for _, path, most in bodies() if most and path != QUERY], []
    for path in others:
        for text in BROKEN[::pick(8, 1)]:
            method = "PUT" if "{name}" in path else "POST"
            status, _, got = w.ask(method, filled(path), text.encode("utf-8", "surrogatepass"), Authorization=BEARER)
            if status != 400 and (text.strip() or path != "/api/v1/sessions"):  # whose body may be missing
                told.append((path, text[:60], status, got[:80]))
    b.none(f"A10_taken_by_{len(others)}_other_routes", told)
    worst, pid = 0, s.services["gateway"].pid
    for text in ("[" * CHAT, '{"a":' * (CHAT // 5), '"' + "\\u0041" * (CHAT // 6 - 1) + '"', "[" + "1," * (CHAT // 2 - 2) + "1]",
                 '{"a":"' + "\\\\" * (CHAT // 2 - 10) + '"}', "{" + ",".join('"%d":1' % i for i in range(20000)) + "}"):
        begun, n = processor_ms(pid), pick(10, 40)
        for _ in range(n):
            w.ask("POST", QUERY, text.encode(), Authorization=BEARER)
        worst = max(worst, (processor_ms(pid) - begun) / n * 32768 / len(text))
    b.most("A10_worst_processor_ms_for_32_kb", worst, 1.0, timed=True)


EDGES = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]


def sequences():
    """Sequences of two to four bytes at the edges of what UTF-8 allows, each lead byte."""
    for a in range(0x80, 0x100):
        yield bytes([a])
        for c in EDGES:
            yield bytes([a, c])
            if a >= 0xC0:
                for d in (0x41, 0x80, 0xBF, 0xC0):
                    yield bytes([a, c, d])
                    if a >= 0xE0:
                        for e in (0x41, 0x80, 0xBF, 0xC0):
                            yield bytes([a, c, d, e])


def is_utf8(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def utf8(b, s, w):
    """A11: Python's decoder says what is valid."""
    wrong, n = [], 0
    for i, seq in enumerate(sequences()):
        if i % pick(13, 1):
            continue
        n += 1
        status, _, body = w.ask("POST", QUERY, b'{"question": "' + seq + b'", "nobody": 1}', Authorization=BEARER)
        if (status, code_of(body)) != ((422, "validation") if is_utf8(seq) else (400, "bad_utf8")):
            wrong.append((seq, status, code_of(body)))
        if i % 17 == 0:
            path = "/api/v1/users/" + "".join(f"%{x:02x}" for x in seq)
            status, _, body = w.ask("GET", path, Authorization=BEARER)
            if (status == 400) == is_utf8(seq):
                wrong.append((path, status))
            status, _, _ = w.ask("GET", "/healthz", X_Text=seq)
            if status != 400:
                wrong.append(("header", seq, status))
    b.none(f"A11_wrong_answers_of_{n}", wrong)


NULS = [("/v1/chat/completions", chat("a\0b")), ("/v1/chat/completions", chat("x", user="a\0b")), ("/v1/chat/completions", chat("x", model="docs\0")),
            ("/v1/chat/completions", chat("x", rag={"collection": "docs\0"})), ("/v1/completions", {"prompt": "a\0b"}), ("/v1/responses", {"input": "a\0b"}),
            ("/v1/responses", {"input": "x", "instructions": "a\0b"}), ("/v1/responses", {"input": "x", "previous_response_id": "a\0b"}),
            ("/v1/embeddings", {"input": "x", "encoding_format": "float\0"}), ("/mcp", tool("search", query="a\0b")), ("/mcp", tool("search", query="x", collection="docs\0")),
            ("/mcp", tool("ask", question="a\0b")), ("/mcp", tool("fetch", id="a\0b"))]


def nul(b, s, w):
    """A12: in each field of text, in paths and headers."""
    wrong = []
    for path, fields in NULS:
        status, _, body = w.admin("POST", path, fields)
        if status != 400:
            wrong.append((path, fields, status, body[:80]))
    for path, fields in GOOD.items():
        method = "PUT" if "{name}" in path else "POST"
        for name, value in {**fields, **({"title": "x", "id": "x"} if path.endswith("documents") else {})}.items():
            if isinstance(value, str):
                status, _, body = w.admin(method, filled(path), {**fields, name: value + "\0"})
                if status != 422:
                    wrong.append((path, name, status, body[:80]))
    for target in ("/%00", "/api/v1/health%00", "/api/v1/documents/a%00b", "/api/v1/documents?collection=a%00b", "/api%00/v1/health", "/v1/models/a%00b", "/s/a%00b", "/mcp%00",
                   "/api/v1/report?collection=a%00b"):
        status, _, _ = w.ask("GET", target, Authorization=BEARER)
        if status not in (400, 422):
            wrong.append((target, status))
    status = w.ask("GET", "/healthz", X_Text="a\0b")[0]
    b.none("A12_wrong_answers", wrong + ([("header", status)] if status != 400 else []))


SPLITS = ["a\r\nSet-Cookie: x=1", "a\nSet-Cookie: x=1", "a\rSet-Cookie: x=1", "a%0d%0aSet-Cookie: x=1", "a\u2028Set-Cookie: x=1", "a\u560d\u560aSet-Cookie: x=1",
          "a" * 129, "a" * 8192, "<script>alert(1)</script>", "a b", "a;b", "", "a\x7f", "a\x0b", '"a"', "{{7*7}}"]


def splitting(b, s, w):
    """A13: ids of requests and traces, origins, names of files."""
    wrong = []
    for text in SPLITS:
        for name in ("X_Request_ID", "traceparent", "Origin", "Idempotency_Key", "X_Session_ID", "tracestate"):
            status, headers, _ = w.ask("GET", "/api/v1/nothing", **{name: text})
            w.close()  # what followed a line end was another header, or a whole request
            if "set-cookie" in headers or (status and not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", headers.get("x-request-id", ""))):
                wrong.append((name, text[:30], headers))
            if name == "X_Request_ID" and status and headers["x-request-id"] == text:
                wrong.append(("reflected", text[:30]))
        form = (f'--B\r\nContent-Disposition: form-data; name="file"; filename="{text}.md"\r\nContent-Type: text/markdown\r\n\r\n# A\n\nText.\n\r\n'
                '--B--\r\n').encode()
        status, headers, _ = w.ask("POST", "/api/v1/documents", form, Authorization=BEARER, Content_Type="multipart/form-data; boundary=B")
        if "set-cookie" in headers or status >= 500 or not status:
            wrong.append(("file", text[:30], status, headers))
    b.none(f"A13_split_or_reflected_of_{len(SPLITS) * 7}", wrong)


def traversals():
    ups = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "....//", "..;/", "%252e%252e%252f", "..%c0%af", "%c0%ae%c0%ae/", "..%00/", "./../", "..//"]
    for up in ups:
        for base in ("/", "/api/v1/", "/api/v1/documents/", "/static/", "/web/"):
            yield base + up * 6 + "etc/passwd"
    for p in ("/etc/passwd", "//etc/passwd", "/proc/self/environ", "/api/v1/documents/%2fetc%2fpasswd", "/index.html", "/web/index.html", "/.env", "/.git/config",
              "/deploy/secrets/admin_key", "/file:///etc/passwd", "/api/v1/documents/..", "/api/v1/documents/.", "/api/v1/jobs/../../../../etc/passwd", "/C:/windows/win.ini",
              "/api/v1/documents/%5c%5chost%5cshare", "/metrics", "/server-status", "/debug/pprof", "/actuator/env", "/api/v1/documents/a/text/../../../../../etc/passwd",
              "/%7e/", "/~root/", "/openapi.json/..", "/favicon.ico/../..", "/robots.txt/../etc", "/..", "/.", "/%", "/%2", "/api/v1/users/../../etc"):
        yield p


def paths(b, s, w):
    """A14, and that the program opens no file for any of them."""
    pid, trace, log = s.services["gateway"].pid, None, s.folder + "/opens"
    if shutil.which("strace"):
        trace = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log, "-p", str(pid)], stderr=subprocess.DEVNULL)
        wait_for("the trace began", lambda: "TracerPid:\t0" not in open(f"/proc/{pid}/status").read() or trace.poll() is not None, 5)
    wrong, n = [], 0
    for target in traversals():
        n += 1
        for auth in ({}, {"Authorization": BEARER}):
            status, _, body = w.ask("GET", target, **auth)
            if status not in (400, 401, 404, 405, 422) or b"root:" in body:
                wrong.append((target, status))
    b.none(f"A14_answered_of_{n}", wrong)
    traced = trace is not None and trace.poll() is None
    if trace:
        trace.terminate()
        trace.wait(10)
    opened = [line for line in open(log) if "etc" in line or "passwd" in line or "/" in line.split('"')[1:2]] if traced else []
    b.none("A14_files_opened" if traced else "A14_files_opened_not_traced_here", opened)


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD_TRACES = [f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-ff", f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings"]
BAD_TRACES = [f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN.upper()}-01", f"00-{TRACE}-{SPAN}-01-",
              f"00-{TRACE}-{SPAN}-01-x", f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-001", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-", f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}a-{SPAN}-01",
              f"00-{TRACE}-{SPAN[1:]}-01", f"0-{TRACE}-{SPAN}-01", f"000-{TRACE}-{SPAN}-01", f"00_{TRACE}-{SPAN}-01", f"00-{TRACE}_{SPAN}-01", f".0-{TRACE}-{SPAN}-01", f"00-.{TRACE[1:]}-{SPAN}-01",
              f"00-{TRACE}-.{SPAN[1:]}-01", f"00-{TRACE}-{SPAN}-.1", f"00-{TRACE}-{SPAN}-0.", f"cc-{TRACE}-{SPAN}-01.x", f"cc-{TRACE}-{SPAN}-0", "", "00", "-" * 55, "x" * 8000, f"00-{TRACE[:-1]}g-{SPAN}-01"]


def traces(b, s, w):
    """A30, the vectors of the W3C's test suite."""
    wrong = []
    for text, good in [(t, True) for t in GOOD_TRACES] + [(t, False) for t in BAD_TRACES]:
        status, headers, _ = w.ask("GET", "/healthz", traceparent=text)
        out = headers.get("traceparent", "")
        if not re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]", out) or (TRACE in out) != good or SPAN in out:
            wrong.append((text[:70], status, out))
    status, headers, _ = w.ask("GET", "/healthz", traceparent=GOOD_TRACES[0], tracestate="a=" + "b" * 5000)
    if status != 200 or len(headers.get("tracestate", "")) > 512:
        wrong.append(("tracestate", status, len(headers.get("tracestate", ""))))
    both = w.ask("GET", "/healthz", **{"traceparent": GOOD_TRACES[0], "Traceparent": GOOD_TRACES[1]})
    if both[0] not in (200, 400):
        wrong.append(("two of them", both[0]))
    b.none(f"A30_wrong_answers_of_{len(GOOD_TRACES) + len(BAD_TRACES)}", wrong)


with Bars() as b, Suite(auth="on", env={**FREE, LIMIT: str(UPLOAD)}) as s, Wire(s.port) as w:
    assignment(b, s, w)
    dialects(b, s, w)
    sizes(b, s)
    for part in (json_corpus, utf8, nul, splitting, paths, traces):
        part(b, s, w)
    b.equal("A10_works_afterwards", w.admin("GET", "/api/v1/documents")[0], 200)
    b.none("A10_services_that_ended_badly", s.down())
