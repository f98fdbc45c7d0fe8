"""Bad input at the edge: the status of docs/api.md, a problem object, exactly one log line, and the connection closed where the
framing was wrong. And the good manners: HEAD, OPTIONS, CORS, Allow, deadlines."""
import json
import re
import uuid

import pytest

from corpus_kit import PROBLEM_FIELDS, Q_BUILT, check_problem
from suite import new_session, wait_for

QUERY = "/api/v1/chat/query"


def access_lines(suite, rid):
    """Log lines of the gateway about this request, debug ones aside."""
    return [line for line in suite.lines_with(rid, "gateway") if line["level"] != "debug"]


def check_one_line(suite, rid, status):
    lines = wait_for("the log line", lambda: access_lines(suite, rid), 2)
    assert len(lines) == 1, lines
    assert lines[0]["msg"] == "request" and lines[0]["status"] == status, lines


def body(**fields):
    return json.dumps({"question": "Who?", "session_id": new_session(), **fields})


BAD_BODIES = [
    ("nothing", "", 400, "bad_json", None),
    ("no_json", "{question: 1}", 400, "bad_json", None),
    ("cut_json", '{"question": "x"', 400, "bad_json", None),
    ("json_and_more", body() + "{}", 400, "bad_json", None),
    ("a_list", "[]", 400, "bad_json", None),
    ("a_string", '"question"', 400, "bad_json", None),
    ("too_deep", "[" * 100000, 400, "bad_json", None),
    ("a_key_twice", '{"question":"a","question":"b","session_id":"%s"}' % uuid.uuid4(), 400, "bad_json", None),
    ("bad_utf8", b'{"question": "\xff\xfe"}', 400, "bad_utf8", None),
    ("surrogate_utf8", b'{"question": "\xed\xa0\x80"}', 400, "bad_utf8", None),
    ("no_question", json.dumps({"session_id": str(uuid.uuid4())}), 422, "validation", "/question"),
    ("question_is_a_number", body(question=7), 422, "validation", "/question"),
    ("question_is_null", body(question=None), 422, "validation", "/question"),
    ("question_is_empty", body(question=""), 422, "validation", "/question"),
    ("question_is_blank", body(question=" \n\t "), 422, "validation", "/question"),
    ("501_characters", body(question="x" * 501), 422, "validation", "/question"),
    ("501_wide_characters", body(question="ü" * 501), 422, "validation", "/question"),
    ("nul_in_the_question", body(question="a\0b"), 422, "validation", "/question"),
    ("no_session", json.dumps({"question": "x"}), 422, "validation", "/session_id"),
    ("session_is_no_uuid", body(session_id="me"), 422, "validation", "/session_id"),
    ("session_is_a_uuid_of_version_1", body(session_id="c232ab00-9414-11ec-b3c8-9f6bdeced846"), 422, "validation", "/session_id"),
    ("conversation_is_no_uuid", body(conversation_id="7"), 422, "validation", "/conversation_id"),
    ("top_k_is_text", body(top_k="3"), 422, "validation", "/top_k"),
    ("top_k_is_too_large", body(top_k=1000), 422, "validation", "/top_k"),
    ("filter_is_text", body(filter="x"), 422, "validation", "/filter"),
    ("unknown_field", body(temperature=1), 422, "validation", "/temperature"),
    ("collection_name", body(collection="../x"), 422, "validation", "/collection"),
]


@pytest.mark.parametrize("data,status,code,pointer", [b[1:] for b in BAD_BODIES], ids=[b[0] for b in BAD_BODIES])
def test_a_bad_body_is_refused_and_logged_once(plain, data, status, code, pointer):
    rid = "bad-" + uuid.uuid4().hex
    data = data.encode() if isinstance(data, str) else data
    r = plain.request("POST", QUERY, data=data, headers={"X-Request-ID": rid, "Content-Type": "application/json"})
    check_problem(r, status, code, pointer)
    assert r.headers.get("Retry-After") is None and r.headers["x-should-retry"] == "false"
    check_one_line(plain, rid, status)


def test_500_characters_are_a_question(plain):
    assert plain.ask("lighthouse " * 45 + "wide").status_code == 200
    assert plain.ask("ü" * 500).status_code == 200


BAD_REQUESTS = [
    ("unknown_route", "GET", "/api/v1/nothing", {}, 404, "not_found"),
    ("trailing_slash", "GET", "/api/v1/health/", {}, 404, "not_found"),
    ("other_case", "GET", "/API/v1/health", {}, 404, "not_found"),
    ("path_parameters", "GET", "/api/v1/health;x=1", {}, 404, "not_found"),
    ("double_slash", "GET", "//api/v1/health", {}, 404, "not_found"),
    ("wrong_method", "GET", QUERY, {}, 405, "method_not_allowed"),
    ("patch", "PATCH", "/api/v1/health", {}, 405, "method_not_allowed"),
    ("method_override", "PUT", QUERY, {"X-HTTP-Method-Override": "POST"}, 405, "method_not_allowed"),
    ("wrong_type", "POST", QUERY, {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ("document_type", "POST", "/api/v1/documents", {"Content-Type": "application/x-tar"}, 415, "unsupported_media_type"),
    ("bad_timeout", "POST", QUERY, {"X-Request-Timeout-Ms": "never"}, 400, "bad_request"),
]


@pytest.mark.parametrize("method,path,headers,status,code", [b[1:] for b in BAD_REQUESTS], ids=[b[0] for b in BAD_REQUESTS])
def test_a_bad_request_is_refused_and_logged_once(plain, method, path, headers, status, code):
    rid = "bad-" + uuid.uuid4().hex
    data = body() if method in ("POST", "PUT") else None
    r = plain.http.request(method, plain.url + path, data=data, headers={"X-Request-ID": rid, **headers}, timeout=10)
    if path.startswith("//"):  # the client must not tidy the path up
        got, _ = plain.raw(f"GET {path} HTTP/1.1\r\nHost: {plain.url[7:]}\r\nX-Request-ID: {rid}2\r\n\r\n".encode())
        assert got.startswith(b"HTTP/1.1 404 ") or got.startswith(b"HTTP/1.1 400 "), got
        return
    if r.status_code == 405:
        allowed = r.headers["Allow"].split(", ")
        assert "OPTIONS" in allowed and ("POST" if path == QUERY else "GET") in allowed
    check_problem(r, status, code)
    check_one_line(plain, rid, status)


def test_a_body_that_is_too_large_is_413(plain):
    rid = "bad-" + uuid.uuid4().hex
    r = plain.request("POST", QUERY, data=b'{"question": "' + b"x" * 300000 + b'"}', headers={"X-Request-ID": rid})
    check_problem(r, 413, "too_large")
    check_one_line(plain, rid, 413)


def head(suite, *lines, rid=None):
    rid = rid or "raw-" + uuid.uuid4().hex
    return rid, (f"POST {QUERY} HTTP/1.1\r\nHost: {suite.url[7:]}\r\nX-Request-ID: {rid}\r\n"
                 "Content-Type: application/json\r\n" + "".join(f"{x}\r\n" for x in lines) + "\r\n").encode()


HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMINGS = [
    ("content_length_and_transfer_encoding", ("Content-Length: 4", "Transfer-Encoding: chunked"), b"0\r\n\r\n", (400,)),
    ("two_content_lengths", ("Content-Length: 4", "Content-Length: 5"), b"abcde", (400,)),
    ("two_equal_content_lengths", ("Content-Length: 4", "Content-Length: 4"), b"abcd", (400,)),
    ("content_length_list", ("Content-Length: 4, 4",), b"abcd", (400,)),
    ("content_length_with_sign", ("Content-Length: +4",), b"abcd", (400,)),
    ("content_length_in_hexadecimal", ("Content-Length: 0x25",), b"x" * 37, (400,)),
    ("negative_content_length", ("Content-Length: -1",), b"", (400,)),
    ("two_transfer_encodings", ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), b"0\r\n\r\n", (400, 501)),
    ("unknown_transfer_coding", ("Transfer-Encoding: gzip",), b"", (400, 501)),
    ("identity_then_chunked", ("Transfer-Encoding: identity, chunked",), b"0\r\n\r\n", (400, 501)),
    ("space_before_the_colon", ("Content-Length : 4",), b"abcd", (400,)),
    ("folded_header", ("X-Folded: a", " b", "Content-Length: 0"), b"", (400,)),
    ("70_headers_and_a_length", tuple(f"X-{i}: 1" for i in range(70)) + ("Content-Length: 4",), b"abcd", (400, 431)),
    ("two_hosts", ("Host: elsewhere.example", "Content-Length: 0"), b"", (400,)),
    ("control_byte_in_a_header", ("X-Bad: a\x01b", "Content-Length: 0"), b"", (400,)),
]


@pytest.mark.parametrize("lines,data,statuses", [f[1:] for f in FRAMINGS], ids=[f[0] for f in FRAMINGS])
def test_wrong_framing_is_refused_once_and_the_connection_is_closed(plain, lines, data, statuses):
    rid, first = head(plain, *lines)
    got, closed = plain.raw(first + data + HIDDEN)
    assert got.count(b"HTTP/1.1 ") == 1, got  # no second request ran
    status = int(got.split()[1])
    assert status in statuses, got
    headers, _, text = got.partition(b"\r\n\r\n")
    assert b"connection: close" in headers.lower() and closed
    assert b"application/problem+json" in headers
    assert set(json.loads(text)) == PROBLEM_FIELDS and json.loads(text)["status"] == status
    lines = access_lines(plain, json.loads(text)["request_id"])
    assert len(lines) == 1 and lines[0]["status"] == status, lines


RAW = [
    ("bare_line_feeds", "GET /healthz HTTP/1.1\nHost: {host}\n\n"),
    ("no_host", "GET /healthz HTTP/1.1\r\n\r\n"),
    ("two_spaces", "GET  /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("nul_in_the_path", "GET /healthz%00x HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("encoded_slash", "GET /api%2fv1/health HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("dot_dot", "GET /api/../healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("encoded_dot_dot", "GET /api/%2e%2e/healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("backslash", "GET /api\\v1 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("bad_percent", "GET /%zz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("bad_utf8_in_the_path", "GET /%ff HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("trace", "TRACE /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("http_9", "GET /healthz HTTP/9.9\r\nHost: {host}\r\n\r\n"),
    ("not_http", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
]


@pytest.mark.parametrize("text", [r[1] for r in RAW], ids=[r[0] for r in RAW])
def test_a_malformed_request_line_or_head_is_refused_and_closed(plain, text):
    got, closed = plain.raw(text.format(host=plain.url[7:]).encode("latin-1") + HIDDEN)
    assert got.count(b"HTTP/1.1 ") == 1 and got.split()[1] in (b"400", b"405", b"505"), got
    assert closed


def test_an_absolute_target_elsewhere_is_never_served(plain):
    got, closed = plain.raw(b"GET http://other.example/healthz HTTP/1.1\r\nHost: other.example\r\n\r\n" + HIDDEN)
    assert closed and b"HTTP/1.1 200" not in got


def test_a_refusal_of_the_body_keeps_the_connection_in_step(plain):
    rid, first = head(plain, "Content-Length: 2")
    got, closed = plain.raw(first + b"[]" + HIDDEN.replace(b"Host: x", b"Host: " + plain.url[7:].encode()))
    assert [m.group(1) for m in re.finditer(rb"HTTP/1\.1 (\d+)", got)] == [b"400", b"200"] and not closed


def test_expect_100_continue_is_answered_before_the_body(plain):
    rid, first = head(plain, "Content-Length: 2", "Expect: 100-continue")
    got, _ = plain.raw(first, seconds=2)
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"), got


def test_a_chunked_body_is_read(plain):
    data = json.dumps({"question": Q_BUILT, "session_id": new_session()}).encode()

    def pieces():
        for i in range(0, len(data), 7):
            yield data[i:i + 7]
    r = plain.request("POST", QUERY, data=pieces(), headers={"Content-Type": "application/json"})
    assert r.status_code == 200 and r.json()["grounded"]


def test_a_slow_body_is_cut_with_408(plain):
    # BODY_TIMEOUT is 2 s in this suite: a client that says how long it will be and then sends nothing is told
    rid, first = head(plain, "Content-Length: 400")
    got, closed = plain.raw(first + b"{", seconds=15)
    assert got.startswith(b"HTTP/1.1 408 ") and closed, got


def test_head_has_the_headers_of_get_and_no_body(plain):
    host = plain.url[7:]
    got, _ = plain.raw(f"HEAD /api/v1/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    headers, _, text = got.partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200") and text == b""
    assert int(re.search(rb"Content-Length: (\d+)", headers).group(1)) > 50
    got, _ = plain.raw(f"HEAD /api/v1/nothing HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 404") and got.partition(b"\r\n\r\n")[2] == b""


def test_every_answer_has_the_headers_that_browsers_and_clients_need(plain):
    for r in (plain.request("GET", "/healthz"), plain.request("GET", "/api/v1/nothing"), plain.ask(Q_BUILT)):
        assert r.headers["X-Content-Type-Options"] == "nosniff" and "Origin" in r.headers["Vary"]
        assert r.headers["X-Request-ID"] and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", r.headers["traceparent"])
        assert r.headers["Content-Length"] == str(len(r.content))
        assert "Server" not in r.headers


def test_a_deadline_of_the_client_is_kept(stub_suite, main):
    main.stub.script({"route": "chat", "delay_ms": 3000, "times": 1})
    r = main.ask("How high is the tower of Varnholm?", headers={"X-Request-Timeout-Ms": "700"})
    check_problem(r, 504)
    assert r.elapsed.total_seconds() < 1.7
    main.stub.reset()


def test_foreign_origins_and_hosts_are_refused_when_auth_is_off(plain):
    r = plain.ask(Q_BUILT, headers={"Origin": "https://evil.example"})
    check_problem(r, 403, "forbidden")
    assert "Access-Control-Allow-Origin" not in r.headers
    r = plain.ask(Q_BUILT, headers={"Host": "rebound.example"})
    check_problem(r, 403, "forbidden")
    assert plain.ask(Q_BUILT, headers={"Origin": plain.url}).status_code == 200


def test_health_names_every_service_and_readyz_its_reasons(plain):
    h = plain.request("GET", "/api/v1/health").json()
    assert h["status"] == "ok" and h["version"]
    for name in ("embed", "chat", "retrieve", "store", "janitor", "postgres", "redis"):
        assert h["services"][name]["status"] == "ok", h
    assert "rerank" not in h["services"], "what is optional and was never there is not down"
    r = plain.request("GET", "/readyz")
    assert r.status_code == 200 and r.json()["missing"] == "" and r.json()["redis"] == "ok"
