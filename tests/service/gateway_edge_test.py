#!/usr/bin/env python3
"""The gateway's edge over raw sockets: the real program, alone (no workers, no Redis unless a test starts one).

What any proxy in front could read differently must get one refusal and a closed connection: a second answer to one of
the smuggling forms is a failure. FOOTNOTE_BIN names the folder of the binaries (default build/release).
"""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, os.environ.get("FOOTNOTE_BIN", "build/release"))
sys.path.insert(0, os.path.join(ROOT, "tests", "kit"))
from ports import free_port  # noqa: E402

ADMIN = "an-admin-key-for-the-tests-0123456789"
ORIGIN = "https://docs.example"


def wait_for(what, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("waited in vain for %r" % what)


class Gateway:
    """One gateway process with its own ports; options as environment. files: its soft and hard limit of open files."""

    def __init__(self, files=None, **options):
        self.port, self.metrics, self.hub = free_port(), free_port(), free_port()
        self.log = tempfile.NamedTemporaryFile(prefix="gateway-", suffix=".log")
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
        env.update(PORT=str(self.port), METRICS_PORT=str(self.metrics), HUB_BIND="tcp://127.0.0.1:%d" % self.hub,
                   REDIS_URL="redis://127.0.0.1:1/0", ADMIN_KEY=ADMIN, ALLOWED_ORIGINS=ORIGIN, LOG_FORMAT="json",
                   MAX_CONN_PER_ADDR="1000")
        env.update({k: str(v) for k, v in options.items()})
        self.process = subprocess.Popen([os.path.join(BIN, "footnote-gateway")], env=env, stderr=self.log, stdout=subprocess.DEVNULL,
                                        preexec_fn=files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, files)))
        wait_for(self.listens)

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError("the gateway ended: " + self.text())
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def text(self):
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.log.close()
        return code

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def raw(self, data, seconds=5.0, shut=False):
        """Send bytes, read until the peer closes or nothing comes for a while. Returns (bytes, closed)."""
        with self.connect() as s:
            s.settimeout(seconds)
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            got = b""
            try:
                while True:
                    part = s.recv(65536)
                    if not part:
                        return got, True
                    got += part
            except socket.timeout:
                return got, False
            except OSError:
                return got, True

    def ask(self, method, path, body=None, **headers):
        """One well-formed request on its own connection: (status, headers, body)."""
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: 127.0.0.1", "Connection: close"]
        lines += ["%s: %s" % (k.replace("_", "-"), v) for k, v in headers.items()]
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        return parse(self.raw(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))[0])

    def metric(self, pattern):
        with socket.create_connection(("127.0.0.1", self.metrics), 5) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b""
            while True:
                part = s.recv(65536)
                if not part:
                    break
                text += part
        return sum(float(v) for v in re.findall(pattern + r"\S* ([0-9.e+]+)", text.decode()))


def parse(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(lines[0].split()[1]), headers, body


def answers(data):
    return len(re.findall(rb"HTTP/1\.1 \d\d\d ", data))


HIDDEN = b"GET /healthz?hidden HTTP/1.1\r\nHost: h\r\n\r\n"


def request(*headers, line=b"POST /api/v1/search HTTP/1.1", body=b"", eol=b"\r\n"):
    return eol.join((line,) + headers) + eol + eol + body


H = b"Host: h"
SMUGGLING = {
    "length_and_chunked": request(H, b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunked_and_length": request(H, b"Transfer-Encoding: chunked", b"Content-Length: 60", body=b"0\r\n\r\n" + HIDDEN),
    "two_lengths": request(H, b"Content-Length: 0", b"Content-Length: 44", body=HIDDEN),
    "two_equal_lengths": request(H, b"Content-Length: 5", b"Content-Length: 5", body=b"aaaaa" + HIDDEN),
    "hexadecimal_length": request(H, b"Content-Length: 0x25", body=HIDDEN),
    "signed_length": request(H, b"Content-Length: +5", body=b"aaaaa" + HIDDEN),
    "negative_length": request(H, b"Content-Length: -1", body=HIDDEN),
    "list_of_lengths": request(H, b"Content-Length: 5, 5", body=b"aaaaa" + HIDDEN),
    "length_with_letters": request(H, b"Content-Length: 5x", body=b"aaaaa" + HIDDEN),
    "empty_length": request(H, b"Content-Length:", body=HIDDEN),
    "length_overflow": request(H, b"Content-Length: 18446744073709551616", body=HIDDEN),
    "two_codings": request(H, b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + HIDDEN),
    "identity_then_chunked": request(H, b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked",
                                     body=b"0\r\n\r\n" + HIDDEN),
    "coding_list": request(H, b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n" + HIDDEN),
    "identity": request(H, b"Transfer-Encoding: identity", b"Content-Length: 3", body=b"abc" + HIDDEN),
    "unknown_coding": request(H, b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN),
    "coding_in_http_1_0": request(H, b"Transfer-Encoding: chunked", line=b"POST /api/v1/search HTTP/1.0",
                                  body=b"0\r\n\r\n" + HIDDEN),
    "space_before_colon": request(H, b"Content-Length : 5", body=b"aaaaa" + HIDDEN),
    "tab_before_colon": request(H, b"Content-Length\t: 5", body=b"aaaaa" + HIDDEN),
    "bare_line_feeds": request(H, b"Content-Length: 0", body=HIDDEN, eol=b"\n"),
    "one_bare_line_feed": b"POST /api/v1/search HTTP/1.1\r\nHost: h\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "folded_header": request(H, b"X-A: b", b" Content-Length: 44", body=HIDDEN),
    "folded_first_line": b"POST /api/v1/search HTTP/1.1\r\n Content-Length: 44\r\nHost: h\r\n\r\n" + HIDDEN,
    "no_host": request(b"Content-Length: 0", body=HIDDEN),
    "two_hosts": request(H, b"Host: other", b"Content-Length: 0", body=HIDDEN),
    "host_with_path": request(b"Host: h/evil", b"Content-Length: 0", body=HIDDEN),
    "length_behind_64_headers": request(H, *[b"X-%d: y" % i for i in range(64)], b"Content-Length: 44", body=HIDDEN),
    "no_colon": request(H, b"nonsense", b"Content-Length: 0", body=HIDDEN),
    "empty_name": request(H, b": empty", b"Content-Length: 0", body=HIDDEN),
    "nul_in_header": request(H, b"X-A: a\0b", b"Content-Length: 0", body=HIDDEN),
    "carriage_return_in_value": request(H, b"X-A: a\rContent-Length: 44", body=HIDDEN),
    "bytes_over_127": request(H, b"X-A: \xc3\xa4", b"Content-Length: 0", body=HIDDEN),
    "spaces_in_request_line": request(H, b"Content-Length: 0", line=b"POST  /api/v1/search  HTTP/1.1", body=HIDDEN),
    "absolute_target": request(H, b"Content-Length: 0", line=b"POST http://other/api/v1/search HTTP/1.1", body=HIDDEN),
    "http_2_0": request(H, b"Content-Length: 0", line=b"POST /api/v1/search HTTP/2.0", body=HIDDEN),
    "http_0_9": b"GET /healthz\r\n\r\n" + HIDDEN,
    "two_authorizations": request(H, b"Authorization: Bearer a", b"Authorization: Bearer b", b"Content-Length: 0",
                                  body=HIDDEN),
    "unknown_expectation": request(H, b"Expect: 200-ok", b"Content-Length: 0", body=HIDDEN),
    "encoded_nul": request(H, line=b"GET /healthz%00y HTTP/1.1", body=HIDDEN),
    "encoded_slash": request(H, line=b"GET /api%2fv1/health HTTP/1.1", body=HIDDEN),
    "dots": request(H, line=b"GET /api/v1/../v1/health HTTP/1.1", body=HIDDEN),
    "encoded_dots": request(H, line=b"GET /%2e%2e/healthz HTTP/1.1", body=HIDDEN),
    "backslash": request(H, line=b"GET /api\\v1 HTTP/1.1", body=HIDDEN),
    "double_slash": request(H, line=b"GET //healthz HTTP/1.1", body=HIDDEN),
    "space_before_the_request_line": b" GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "tab_before_the_request_line": b"\tGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "form_feed_before_the_request_line": b"\x0cGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "space_after_an_empty_line": b"\r\n GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "bare_line_feed_before_the_request_line": b"\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "length_with_a_second_one_behind_a_blank": request(H, b"Content-Length: 5 5", body=b"aaaaa" + HIDDEN),
    "length_with_a_tab_inside": request(H, b"Content-Length: 4\t4", body=HIDDEN),
    "length_and_a_form_feed": request(H, b"Content-Length: 5\x0c", body=b"aaaaa" + HIDDEN),
    "length_and_a_vertical_tab_before_it": request(H, b"Content-Length:\x0b5", body=b"aaaaa" + HIDDEN),
    "head_of_32_kb": request(H, b"X-A: " + b"y" * 32768, b"Content-Length: 0", body=HIDDEN),
}


class Edge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway()

    @classmethod
    def tearDownClass(cls):
        code = cls.gw.stop()
        assert code == 0, "exit code %d" % code

    def problem(self, got, status, code):
        self.assertEqual(got[0], status)
        self.assertEqual(got[1]["content-type"], "application/problem+json")
        body = json.loads(got[2])
        self.assertEqual((body["status"], body["code"]), (status, code))
        for key in ("type", "title", "detail", "instance", "request_id", "errors"):
            self.assertIn(key, body)
        self.assertEqual(body["request_id"], got[1]["x-request-id"])
        return body

    def test_every_smuggling_form_gets_one_refusal_and_a_closed_connection(self):
        for name, data in SMUGGLING.items():
            with self.subTest(name):
                got, closed = self.gw.raw(data, seconds=4)
                self.assertLessEqual(answers(got), 1, got[:2000])
                self.assertNotIn(b"hidden", got)
                self.assertTrue(closed, "left open: %r" % got[:300])
                if got:
                    self.assertIn(parse(got)[0], (400, 408, 413, 431, 501), got[:300])
                    self.assertEqual(parse(got)[1]["connection"], "close")

    def test_the_program_still_works_after_all_of_them_and_counts_them(self):
        self.gw.raw(SMUGGLING["two_lengths"])
        self.assertEqual(self.gw.ask("GET", "/healthz")[0], 200)
        self.assertGreater(self.gw.metric("footnote_http_edge_refused_total"), 0)

    def test_a_chunked_body_never_leaves_room_for_a_second_request(self):
        for body in (b"0\r\n\r\n", b"5;x=y\r\naaaaa\r\n0\r\n\r\n", b"0x5\r\naaaaa\r\n0\r\n\r\n", b"+5\r\naaaaa\r\n0\r\n\r\n",
                     b"5\naaaaa\n0\n\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\n\r\n", b"zz\r\n\r\n"):
            with self.subTest(body):
                got, closed = self.gw.raw(request(H, b"Authorization: Bearer " + ADMIN.encode(),
                                                  b"Transfer-Encoding: chunked", body=body + HIDDEN), shut=True)
                self.assertLessEqual(answers(got), 1, got[:2000])
                self.assertTrue(closed)

    def test_two_pipelined_requests_are_two_answers(self):
        one = request(H, line=b"GET /healthz HTTP/1.1")
        last = request(H, b"Connection: close", line=b"GET /healthz HTTP/1.1")
        got, closed = self.gw.raw(one + one + last)
        self.assertEqual(answers(got), 3)
        self.assertTrue(closed)

    def test_an_empty_line_before_a_request_is_passed_over_and_nothing_else_is(self):
        good = request(H, line=b"GET /healthz HTTP/1.1")
        got, _ = self.gw.raw(b"\r\n" + good + b"\r\n\r\n" + request(H, b"Connection: close", line=b"GET /healthz HTTP/1.1"))
        self.assertEqual(answers(got), 2)
        self.assertEqual(got.count(b" 200 OK"), 2)
        got, closed = self.gw.raw(good + b" " + good + good)   # also of a second request that came with the first
        self.assertEqual((answers(got), got.count(b" 200 OK"), closed), (2, 1, True))
        self.problem(parse(self.gw.raw(SMUGGLING["space_before_the_request_line"])[0]), 400, "bad_request")

    def test_white_space_around_a_value_is_no_part_of_it(self):
        def ask(line, *headers, body=b""):
            return parse(self.gw.raw(request(H, b"Connection: close", *headers, line=line, body=body))[0])[0]

        key = b"Authorization:%sBearer " + ADMIN.encode() + b"%s"
        for before, after in ((b" ", b""), (b"", b" "), (b"\t", b"\t"), (b"  ", b" \t  "), (b" \t ", b"")):
            with self.subTest((before, after)):
                self.assertIn(ask(b"GET /api/v1/keys HTTP/1.1", key % (before, after)), (503, 504))
                length = b"Content-Length:" + before + b"2" + after
                self.assertEqual(ask(b"POST /api/v1/chat/query HTTP/1.1", b"Content-Type: application/json" + after, length,
                                     body=b"{}"), 422)
                self.assertEqual(parse(self.gw.raw(b"GET /healthz HTTP/1.1\r\nHost:%sh%s\r\nConnection: close\r\n\r\n"
                                                   % (before, after))[0])[0], 200)

    def test_tabs_are_blanks_in_headers_only_and_in_a_body_stay_tabs(self):
        def ask(head, body):
            return parse(self.gw.raw(head.replace(b"LENGTH", b"%d" % len(body)) + body)[0])

        bad = b'{"question":"a\tb"}'  # JSON has no tabs in strings, but blanks
        head = (b"POST /api/v1/chat/query HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type:\tapplication/json\t\r\n"
                b"Content-Length:\tLENGTH\r\n\r\n")
        self.problem(ask(head, bad), 400, "bad_json")
        self.problem(ask(head, bad.replace(b"\t", b" ")), 422, "validation")
        got, closed = self.gw.raw(b"GET\t/healthz HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN)
        self.assertEqual((answers(got), parse(got)[0], closed), (1, 400, True))

    def test_a_head_over_16_kb_is_431_wherever_it_is_large(self):
        for head in (request(H, b"X-A: " + b"y" * 17000, line=b"GET /healthz HTTP/1.1"),
                     request(H, *[b"X-%d: %s" % (i, b"y" * 900) for i in range(20)], line=b"GET /healthz HTTP/1.1"),
                     request(H, line=b"GET /healthz?" + b"q" * 20000 + b" HTTP/1.1"),
                     request(H, *[b"X-%d: y" % i for i in range(70)], line=b"GET /healthz HTTP/1.1")):
            with self.subTest(head[:40]):
                got, closed = self.gw.raw(head)
                self.problem(parse(got), 431, "headers_too_large")
                self.assertTrue(closed)
        got, _ = self.gw.raw(request(H, b"Connection: close", b"X-A: " + b"y" * 16000, line=b"GET /healthz HTTP/1.1"))
        self.assertEqual(parse(got)[0], 200)

    def test_an_answer_says_who_it_was_and_what_is_left(self):
        status, headers, _ = self.gw.ask("GET", "/healthz", X_Request_ID="abc.DEF-1_2",
                                         traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
        self.assertEqual(status, 200)
        self.assertEqual(headers["x-request-id"], "abc.DEF-1_2")
        self.assertTrue(headers["traceparent"].startswith("00-" + "1" * 32 + "-"))
        self.assertNotIn("2" * 16, headers["traceparent"])
        for name in ("ratelimit-policy", "ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"):
            self.assertIn(name, headers)
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["cache-control"], "no-store")

    def test_a_request_id_that_could_split_a_header_is_replaced(self):
        for bad in ("a b", "x" * 129, "a;b", "a/b"):
            status, headers, _ = self.gw.ask("GET", "/healthz", X_Request_ID=bad)
            self.assertEqual(status, 200)
            self.assertNotEqual(headers["x-request-id"], bad)

    def test_head_has_the_headers_of_get_and_no_body(self):
        status, headers, body = self.gw.ask("HEAD", "/healthz")
        self.assertEqual((status, body), (200, b""))
        self.assertEqual(int(headers["content-length"]), len(self.gw.ask("GET", "/healthz")[2]))

    def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow(self):
        for path in ("/nope", "/API/v1/health", "/healthz/", "/healthz;x", "/api/v1/health.", "/api/v1/sessions/"):
            self.problem(self.gw.ask("GET", path), 404, "not_found")
        got = self.gw.ask("DELETE", "/api/v1/chat/query")
        self.problem(got, 405, "method_not_allowed")
        self.assertEqual(got[1]["allow"], "POST, OPTIONS")
        got = self.gw.ask("POST", "/api/v1/health", b"", X_HTTP_Method_Override="GET")
        self.assertEqual(got[1]["allow"], "GET, HEAD, OPTIONS")

    def test_a_preflight_of_an_allowed_origin_is_answered_and_another_is_not(self):
        status, headers, _ = self.gw.ask("OPTIONS", "/api/v1/chat/query", Origin=ORIGIN,
                                         Access_Control_Request_Method="POST")
        self.assertEqual(status, 204)
        self.assertEqual(headers["access-control-allow-origin"], ORIGIN)
        self.assertIn("POST", headers["access-control-allow-methods"])
        self.assertEqual(headers["access-control-max-age"], "600")
        self.assertEqual(headers["vary"], "Origin")
        for origin in ("https://docs.example.evil", "http://docs.example", "https://docs.example:8443", "null",
                       "https://evil", "https://docs.example.", "https://xdocs.example"):
            status, headers, _ = self.gw.ask("OPTIONS", "/api/v1/chat/query", Origin=origin,
                                             Access_Control_Request_Method="POST")
            self.assertNotIn("access-control-allow-origin", headers, origin)
            self.assertNotIn("access-control-allow-methods", headers, origin)

    def test_a_body_over_its_limit_is_refused_before_it_is_read(self):
        for length in (262145, 2 ** 31, 2 ** 63 - 1, 10 ** 17):
            head = request(H, b"Content-Length: %d" % length, line=b"POST /api/v1/chat/query HTTP/1.1")
            got, closed = self.gw.raw(head)
            self.assertIn(parse(got)[0], (413, 400))
            self.assertEqual(parse(got)[1]["connection"], "close")
            self.assertTrue(closed)

    def test_a_chunked_body_is_counted_while_it_is_read(self):
        chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
        got, closed = self.gw.raw(request(H, b"Transfer-Encoding: chunked", b"Content-Type: application/json",
                                          line=b"POST /api/v1/chat/query HTTP/1.1", body=chunk * 20 + b"0\r\n\r\n"))
        self.problem(parse(got), 413, "too_large")
        self.assertTrue(closed)

    def test_expect_gets_100_and_then_the_answer(self):
        body = b"{}"
        with self.gw.connect() as s:
            s.settimeout(5)
            s.sendall(request(H, b"Content-Length: %d" % len(body), b"Content-Type: application/json",
                              b"Expect: 100-continue", b"Connection: close", line=b"POST /api/v1/chat/query HTTP/1.1"))
            self.assertEqual(s.recv(4096), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(body)
            self.assertEqual(parse(s.recv(65536))[0], 422)

    def test_expect_with_too_large_a_body_gets_413_at_once(self):
        got, closed = self.gw.raw(request(H, b"Content-Length: 9999999", b"Expect: 100-continue",
                                          line=b"POST /api/v1/chat/query HTTP/1.1"))
        self.problem(parse(got), 413, "too_large")
        self.assertTrue(closed)

    def test_what_is_not_json_is_said_to_be_so(self):
        def ask(body, kind="application/json"):
            return self.gw.ask("POST", "/api/v1/chat/query", body, Content_Type=kind)

        for bad in (b"", b"{", b"[1]", b'"x"', b"{}x", b'{"a":1,"a":2}', b"[" * 100000, b'{"question":\xff}',
                    b"\xef\xbb\xbf{}", b"{'a':1}", b"{\"question\":1e999}"):
            self.assertIn(ask(bad)[0], (400, 422), bad[:40])
        self.problem(ask(b"{"), 400, "bad_json")
        self.problem(ask(b'{"question":"\xc0\xaf"}'), 400, "bad_utf8")
        self.problem(ask(b"a=b", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")
        got = self.problem(ask(b'{"role":"system"}'), 422, "validation")
        self.assertEqual(got["errors"][0]["pointer"], "/role")

    def test_who_has_no_key_gets_401_and_who_has_one_in_the_url_too(self):
        got = self.gw.ask("GET", "/api/v1/keys")
        self.problem(got, 401, "unauthorized")
        self.assertEqual(got[1]["www-authenticate"], "Bearer")
        self.problem(self.gw.ask("GET", "/api/v1/keys?api_key=" + ADMIN), 401, "unauthorized")
        self.problem(self.gw.ask("GET", "/api/v1/keys", Authorization="Basic abc"), 401, "unauthorized")
        self.assertNotIn(ADMIN, self.gw.text())

    def test_the_admin_key_works_while_the_store_is_away(self):
        got = self.gw.ask("GET", "/api/v1/keys", Authorization="Bearer " + ADMIN)
        self.assertIn(got[0], (503, 504))
        self.assertIn("retry-after", got[1] if got[0] == 503 else {"retry-after": 1})

    def test_anonymous_chat_is_for_allowed_and_own_origins(self):
        body = json.dumps({"question": "x", "session_id": str(uuid.uuid4())}).encode()

        def ask(origin):
            return self.gw.ask("POST", "/api/v1/chat/query", body, Content_Type="application/json", Origin=origin)[0]

        self.assertEqual(ask("https://evil.example"), 403)
        self.assertEqual(ask("null"), 403)
        self.assertNotEqual(ask(ORIGIN), 403)
        self.assertNotEqual(ask("http://127.0.0.1"), 403)

    def test_a_connection_is_kept_for_the_next_request_and_closed_on_demand(self):
        with self.gw.connect() as s:
            s.settimeout(5)
            for _ in range(3):
                s.sendall(request(H, line=b"GET /healthz HTTP/1.1"))
                self.assertIn(b"keep-alive", s.recv(65536))
            s.sendall(request(H, b"Connection: close", line=b"GET /healthz HTTP/1.1"))
            self.assertIn(b"Connection: close", s.recv(65536))
            self.assertEqual(s.recv(1), b"")

    def test_a_body_that_nobody_read_is_no_answer_and_no_second_request(self):
        body = b"a" * 40000
        with self.gw.connect() as s:
            s.settimeout(5)
            s.sendall(request(H, b"Content-Length: %d" % len(body), b"X-Request-ID: unread-1",
                              line=b"POST /nothing HTTP/1.1", body=body))
            got = s.recv(65536)
            self.assertEqual(parse(got)[0], 404)
            s.sendall(request(H, b"Connection: close", line=b"GET /healthz HTTP/1.1"))
            got = b""
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
        self.assertEqual((answers(got), parse(got)[0]), (1, 200))

    def test_a_target_elsewhere_and_a_method_of_no_route_are_told_so(self):
        got, closed = self.gw.raw(SMUGGLING["absolute_target"])
        self.assertEqual((answers(got), parse(got)[0], closed), (1, 400, True))
        got, closed = self.gw.raw(request(H, b"X-Request-ID: trace-1", line=b"TRACE /healthz HTTP/1.1", body=HIDDEN))
        self.assertEqual((answers(got), closed), (1, True))
        self.problem(parse(got), 405, "method_not_allowed")
        self.assertEqual(parse(got)[1]["x-request-id"], "trace-1")

    def test_health_is_probed_and_ready_says_what_is_missing(self):
        status, _, body = self.gw.ask("GET", "/api/v1/health")
        self.assertEqual((status, json.loads(body)["status"]), (200, "down"))
        status, headers, body = self.gw.ask("GET", "/readyz")
        self.assertEqual(status, 503)
        self.assertIn("store", json.loads(body)["missing"])
        self.assertIn("retry-after", headers)

    def test_the_log_names_routes_and_never_paths_queries_or_sessions(self):
        session = str(uuid.uuid4())
        self.gw.ask("GET", "/api/v1/chat/history?session_id=" + session)
        self.gw.ask("GET", "/api/v1/sessions/" + session)
        wait_for(lambda: "GET /api/v1/sessions/{id}" in self.gw.text())
        self.assertNotIn(session, self.gw.text())


class Limits(unittest.TestCase):
    def burst(self, gw, n, **options):
        session = str(uuid.uuid4())
        body = json.dumps({"question": "x", "session_id": session}).encode()
        head = request(H, b"Content-Type: application/json", b"X-Request-Timeout-Ms: 100",
                       b"Content-Length: %d" % len(body), b"Origin: " + ORIGIN.encode(), b"Connection: close",
                       line=b"POST /api/v1/chat/query HTTP/1.1")
        got = []
        threads = [threading.Thread(target=lambda: got.append(parse(gw.raw(head + body)[0]))) for _ in range(n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return got

    def check_70(self, gw):
        """How many of the 70 were decided without Redis."""
        local = -gw.metric("footnote_rate_limit_local_total")
        got = self.burst(gw, 70)
        limited = [g for g in got if g[0] == 429]
        local += gw.metric("footnote_rate_limit_local_total")   # Redis may miss a request's 40 ms
        self.assertTrue(60 <= 70 - len(limited) <= 62 + (local if local < 7 else 0), len(limited))
        for _, headers, body in limited:
            self.assertEqual(json.loads(body)["code"], "rate_limited")
            self.assertEqual(headers["access-control-allow-origin"], ORIGIN)
            self.assertIn("Retry-After", headers["access-control-expose-headers"])
            self.assertGreaterEqual(int(headers["retry-after"]), 1)
            self.assertGreater(int(headers["retry-after-ms"]), 0)
            self.assertIn('"session";q=60;w=60, "hour";q=1000;w=3600', headers["ratelimit-policy"])
            self.assertIn('"session";r=0', headers["ratelimit"])
        return local

    def test_of_70_questions_at_once_60_pass_while_redis_is_away(self):
        gw = Gateway()
        try:
            self.assertGreater(self.check_70(gw), 0)
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_of_70_questions_at_once_60_pass_with_redis_over_two_gateways(self):
        with Redis() as redis:
            one, two = Gateway(REDIS_URL=redis.url), Gateway(REDIS_URL=redis.url)
            try:
                # a busy machine may miss 100 ms, and five times are the end of asking for a while: then once more
                for _ in range(4):
                    wait_for(lambda: b"degraded" not in one.ask("GET", "/readyz")[2])
                    local = self.check_70(one)
                    if local < 7:
                        break
                self.assertLess(local, 7)
                session = str(uuid.uuid4())
                codes = [gw.ask("GET", "/api/v1/chat/history", X_Session_ID=session, X_Request_Timeout_Ms="100")[0]
                         for _ in range(35) for gw in (one, two)]
                self.assertIn(70 - codes.count(429), (60, 61, 62, 63, 64, 65, 66))
                self.assertGreater(codes.count(429), 0)
            finally:
                self.assertEqual((one.stop(), two.stop()), (0, 0))

    def test_fresh_sessions_do_not_buy_a_fresh_address_limit(self):
        gw = Gateway(RATE_LIMIT_ADDR_REQUESTS=20)
        try:
            codes = [gw.ask("GET", "/api/v1/chat/history", X_Session_ID=str(uuid.uuid4()), X_Request_Timeout_Ms="100",
                            X_Forwarded_For="10.0.0.%d" % i)[0] for i in range(40)]
            self.assertGreaterEqual(codes.count(429), 15)
        finally:
            gw.stop()

    def test_the_entry_of_the_proxy_counts_however_much_stands_before_it(self):
        """A proxy appends to the client's own X-Forwarded-For, in its line or in one of its own."""
        gw = Gateway(RATE_LIMIT_ADDR_REQUESTS=20, TRUSTED_PROXIES="127.0.0.1")
        try:
            for joint, client in ((", ", "203.0.113.7"), ("\r\nX-Forwarded-For: ", "203.0.113.8")):
                long = "10.9.9.9, " * 408
                codes = [gw.ask("GET", "/api/v1/chat/history", X_Session_ID=str(uuid.uuid4()), X_Request_Timeout_Ms="100",
                                X_Forwarded_For="%s10.0.1.%d%s%s" % (long, i, joint, client))[0] for i in range(40)]
                self.assertGreaterEqual(codes.count(429), 15)
            self.assertNotEqual(gw.ask("GET", "/api/v1/chat/history", X_Session_ID=str(uuid.uuid4()), X_Request_Timeout_Ms="100",
                                       X_Forwarded_For="203.0.113.9")[0], 429)  # another client of the same proxy
        finally:
            gw.stop()

    def test_more_than_ten_bad_keys_a_minute_are_429(self):
        gw = Gateway()
        try:
            codes = [gw.ask("GET", "/api/v1/keys", Authorization="Basic %d" % i)[0] for i in range(14)]
            self.assertEqual(codes[:10], [401] * 10)
            self.assertIn(429, codes[10:])
            self.assertIn(gw.ask("GET", "/api/v1/keys", Authorization="Bearer " + ADMIN,
                                 X_Request_Timeout_Ms="100")[0], (503, 504))
        finally:
            gw.stop()


class Redis:
    """A private server that ends with the block."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="redis-")
        port = free_port()
        self.url = "redis://127.0.0.1:%d/0" % port
        self.process = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--dir", self.dir],
                                        stdout=subprocess.DEVNULL)
        self.port = port
        wait_for(lambda: self.command(b"PING\r\n").startswith(b"+PONG"))
        return self

    def command(self, line):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(line)
                return s.recv(4096)
        except OSError:
            return b""

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir)


class Guard(unittest.TestCase):
    def test_a_gateway_that_stood_still_cuts_nobody(self):
        gw = Gateway(HEADER_TIMEOUT=1, BODY_TIMEOUT=1)
        try:
            with gw.connect() as s:
                s.settimeout(8)
                body = b'{"question":'
                s.sendall(request(H, b"Content-Length: %d" % len(body), b"Content-Type: application/json",
                                  line=b"POST /api/v1/chat/query HTTP/1.1") + body[:4])
                wait_for(lambda: gw.metric("footnote_http_in_flight") >= 1)
                os.kill(gw.process.pid, signal.SIGSTOP)
                stopped = time.monotonic()
                wait_for(lambda: time.monotonic() > stopped + 2.5)
                s.sendall(body[4:])
                os.kill(gw.process.pid, signal.SIGCONT)
                self.assertNotEqual(parse(s.recv(65536))[0], 408)
            self.assertEqual(gw.metric('footnote_http_connections_cut_total{reason="slow'), 0)
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_slow_headers_are_cut_and_slow_bodies_get_408(self):
        gw = Gateway(HEADER_TIMEOUT=1, BODY_TIMEOUT=1)
        try:
            with gw.connect() as s:
                s.settimeout(8)
                s.sendall(b"GET /healthz HTTP/1.1\r\nHo")
                begun = time.monotonic()
                while s.recv(65536):
                    pass
                self.assertLess(time.monotonic() - begun, 4)
            with gw.connect() as s:
                s.settimeout(8)
                s.sendall(request(H, b"Content-Length: 100", b"Content-Type: application/json",
                                  line=b"POST /api/v1/chat/query HTTP/1.1"))
                begun, got = time.monotonic(), b""
                stop = threading.Event()

                def drip():
                    while not stop.wait(0.2):
                        try:
                            s.send(b" ")
                        except OSError:
                            return

                t = threading.Thread(target=drip)
                t.start()
                try:
                    while True:
                        part = s.recv(65536)
                        if not part:
                            break
                        got += part
                except OSError:
                    pass
                finally:
                    stop.set()
                    t.join()
                self.assertEqual(parse(got)[0], 408)
                self.assertLess(time.monotonic() - begun, 5)
            self.assertGreaterEqual(gw.metric('footnote_http_connections_cut_total{reason="slow'), 2)
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_a_trusted_proxy_may_hold_more_connections_than_one_address(self):
        gw = Gateway(MAX_CONN_PER_ADDR=4, TRUSTED_PROXIES="127.0.0.0/8")
        held = []
        try:
            for _ in range(20):
                s = gw.connect()
                s.sendall(request(H, line=b"GET /healthz HTTP/1.1"))
                held.append(s)
                self.assertEqual(parse(s.recv(65536))[0], 200)
            self.assertEqual(gw.metric('footnote_http_connections_cut_total{reason="address"'), 0)
        finally:
            for s in held:
                s.close()
            self.assertEqual(gw.stop(), 0)

    def test_a_low_soft_limit_of_open_files_is_raised_and_what_cannot_be_served_is_said(self):
        hard = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        for files, threads, short in (((300, hard), 1000, False), ((300, 1024), 1536, True)):
            gw = Gateway(files=files, HTTP_THREADS=threads)
            try:
                self.assertEqual(gw.metric("process_max_fds(?= )"), files[1])
                lines = [json.loads(line) for line in gw.text().splitlines()]
                self.assertEqual([x["descriptors"] for x in lines if x["msg"] == "started"], [files[1]])
                said = [(x["option"], x["value"], x["wanted"], x["limit"]) for x in lines if x["level"] == "warn" and "option" in x]
                self.assertEqual(said, [("HTTP_THREADS", threads, (threads + 50) * 10 // 8, files[1])] if short else [])
            finally:
                self.assertEqual(gw.stop(), 0)

    def test_malloc_keeps_little_for_each_thread_unless_an_operator_says_otherwise(self):
        for given, wanted in ({}, "glibc.malloc.tcache_max=128"), ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}, "glibc.malloc.arena_max=4"):
            gw = Gateway(**given)
            try:
                with open("/proc/%d/environ" % gw.process.pid, "rb") as f:  # as the process began: it is the same one
                    env = dict(x.split(b"=", 1) for x in f.read().split(b"\0") if b"=" in x)
                with open("/proc/%d/comm" % gw.process.pid, encoding="utf-8") as f:
                    self.assertEqual(f.read(), "footnote-gatewa\n")
                if "san" not in os.path.basename(BIN):
                    self.assertEqual(env.get(b"GLIBC_TUNABLES", b"").decode(), wanted)
            finally:
                self.assertEqual(gw.stop(), 0)

    def test_when_descriptors_run_out_new_connections_are_closed_and_those_at_work_go_on(self):
        gw = Gateway(files=(256, 256))
        held = []
        try:
            with gw.connect() as working:
                working.settimeout(5)
                body = b"{}"
                working.sendall(request(H, b"Content-Length: 2", b"Content-Type: application/json",
                                        line=b"POST /api/v1/chat/query HTTP/1.1"))
                wait_for(lambda: gw.metric("footnote_http_in_flight(?= )") == 1)
                held = [gw.connect() for _ in range(400)]
                wait_for(lambda: gw.metric('footnote_http_connections_cut_total{reason="descriptors"') >= 400 - 204)
                self.assertLess(gw.metric("process_open_fds"), 256 * 0.9)
                working.sendall(body)
                self.assertEqual(parse(working.recv(65536))[0], 422)
            for s in held:
                s.close()
            held = []
            wait_for(lambda: gw.metric("footnote_http_connections(?= )") == 0)
            self.assertEqual(gw.ask("GET", "/healthz")[0], 200)
        finally:
            for s in held:
                s.close()
            self.assertEqual(gw.stop(), 0)

    def slow_reader(self, gw, n, *more):
        """A client with hardly any room that asks for the page n times and reads nothing."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        s.connect(("127.0.0.1", gw.port))
        s.sendall(request(H, *more, line=b"GET / HTTP/1.1") * n)
        return s

    def test_readers_that_take_nothing_are_cut_off_whether_their_answer_is_being_written_or_written(self):
        gw = Gateway(WRITE_TIMEOUT=1)
        try:
            cut = 'footnote_http_connections_cut_total{reason="slow_reader"'
            held = [self.slow_reader(gw, 20), self.slow_reader(gw, 1), self.slow_reader(gw, 1, b"Connection: close")]
            wait_for(lambda: gw.metric("footnote_http_connections_closing") == 1)
            wait_for(lambda: gw.metric(cut) == 3)
            for s in held:
                s.settimeout(5)
                with self.assertRaises(ConnectionResetError):
                    while s.recv(65536):
                        pass
                s.close()
            wait_for(lambda: gw.metric("footnote_http_connections(?= )") == 0)
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_requests_in_advance_of_a_client_that_does_not_read_are_not_worked_on(self):
        gw = Gateway(WRITE_TIMEOUT=1)
        try:
            s = self.slow_reader(gw, 100)
            wait_for(lambda: gw.metric('footnote_http_connections_cut_total{reason="slow_reader"') == 1)
            wait_for(lambda: gw.metric("footnote_http_connections(?= )") == 0)
            self.assertLess(gw.metric('footnote_http_requests_total{route="GET /"'), 10)
            s.close()
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_slow_bodies_hold_no_place_of_a_request_that_is_worked_on(self):
        gw = Gateway(HTTP_THREADS=64, MAX_REQUESTS=2)
        held = []
        try:
            for _ in range(20):
                s = gw.connect()
                s.sendall(request(H, b"Content-Length: 9", b"Content-Type: application/json",
                                  line=b"POST /api/v1/chat/query HTTP/1.1"))
                held.append(s)
            wait_for(lambda: gw.metric("footnote_http_in_flight(?= )") == 20)
            self.assertEqual(gw.metric("footnote_http_busy"), 0)
            self.assertEqual(gw.ask("POST", "/api/v1/chat/query", b"{}", Content_Type="application/json")[0], 422)
        finally:
            for s in held:
                s.close()
            self.assertEqual(gw.stop(), 0)

    def test_one_address_holds_no_more_than_its_connections(self):
        gw = Gateway(MAX_CONN_PER_ADDR=8)
        held = []
        try:
            for _ in range(20):
                held.append(gw.connect())
            wait_for(lambda: gw.metric('footnote_http_connections_cut_total{reason="address"') >= 12)
            for s in held:
                s.close()
            held = []
            wait_for(lambda: gw.metric("footnote_http_connections(?= )") == 0)
            self.assertEqual(gw.ask("GET", "/healthz")[0], 200)
        finally:
            for s in held:
                s.close()
            gw.stop()

    def test_idle_connections_make_room_when_threads_run_out(self):
        gw = Gateway(HTTP_THREADS=8)
        held = []
        try:
            for _ in range(8):
                s = gw.connect()
                s.sendall(request(H, line=b"GET /healthz HTTP/1.1"))
                self.assertTrue(s.recv(4096))
                held.append(s)
            for _ in range(4):
                self.assertEqual(gw.ask("GET", "/healthz")[0], 200)
        finally:
            for s in held:
                s.close()
            gw.stop()


    def test_requests_that_wait_for_a_thread_are_not_cut_as_idle(self):
        gw = Gateway(HTTP_THREADS=4)
        held = []
        try:
            os.kill(gw.process.pid, signal.SIGSTOP)
            for _ in range(12):
                s = gw.connect()
                s.settimeout(20)
                s.sendall(request(H, b"Content-Length: 2", b"Content-Type: application/json", b"Connection: close",
                                  line=b"POST /api/v1/chat/query HTTP/1.1") + b"{}")
                held.append(s)
            os.kill(gw.process.pid, signal.SIGCONT)
            got = {parse(s.recv(65536))[0] for s in held}
            self.assertLessEqual(got, {422, 503})
        finally:
            for s in held:
                s.close()
            self.assertEqual(gw.stop(), 0)

    def test_when_every_thread_works_the_next_connection_gets_503_at_once(self):
        gw = Gateway(HTTP_THREADS=4)
        held = []
        try:
            for _ in range(4):
                s = gw.connect()
                s.sendall(request(H, b"Content-Length: 9", b"Content-Type: application/json",
                                  line=b"POST /api/v1/chat/query HTTP/1.1"))
                held.append(s)
                wait_for(lambda: gw.metric("footnote_http_in_flight(?= )") == len(held))
            wait_for(lambda: gw.metric("footnote_http_connections(?= )") == 4)
            begun = time.monotonic()
            with gw.connect() as s:
                s.settimeout(5)
                got = parse(s.recv(4096))
            self.assertLess(time.monotonic() - begun, 1)
            self.assertEqual((got[0], json.loads(got[2])["code"], got[1]["retry-after"]), (503, "overloaded", "1"))
            for s in held:
                s.close()
            held = []
            wait_for(lambda: gw.ask("GET", "/healthz")[0] == 200)
        finally:
            for s in held:
                s.close()
            self.assertEqual(gw.stop(), 0)


class Life(unittest.TestCase):
    def test_without_keys_it_starts_only_on_loopback(self):
        env = {"PATH": os.environ["PATH"], "AUTH": "off", "HOST": "0.0.0.0"}
        done = subprocess.run([os.path.join(BIN, "footnote-gateway")], env=env, capture_output=True, timeout=10)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"AUTH", done.stderr)

    def test_without_keys_it_answers_to_its_own_name_only(self):
        gw = Gateway(AUTH="off")
        try:
            def ask(host, *more):
                return parse(gw.raw(request(b"Host: " + host, b"Connection: close", b"X-Request-Timeout-Ms: 100", *more,
                                            line=b"GET /api/v1/keys HTTP/1.1"))[0])[0]

            self.assertEqual(ask(b"evil.example"), 403)
            self.assertIn(ask(b"localhost:%d" % gw.port), (503, 504))
            self.assertEqual(ask(b"localhost", b"Origin: https://evil.example"), 403)
            self.assertIn(ask(b"127.0.0.1", b"Origin: http://127.0.0.1"), (503, 504))
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_with_keys_it_is_not_ready_before_it_has_read_them(self):
        for auth in ("on", "off"):
            gw = Gateway(AUTH=auth)
            try:
                missing = json.loads(gw.ask("GET", "/readyz")[2])["missing"].split(", ")
                self.assertEqual("keys" in missing, auth == "on")
                self.assertIn("store", missing)
                self.assertNotIn("postgres", missing)  # which only a store could tell
            finally:
                self.assertEqual(gw.stop(), 0)

    def test_sigterm_finishes_what_is_in_flight_and_refuses_the_rest(self):
        gw = Gateway()
        session = str(uuid.uuid4())
        body = json.dumps({"question": "x", "session_id": session}).encode()
        got = []
        slow = gw.connect()
        slow.settimeout(10)
        slow.sendall(request(H, b"Content-Length: %d" % len(body), b"Content-Type: application/json",
                             line=b"POST /api/v1/chat/query HTTP/1.1"))
        wait_for(lambda: gw.metric("footnote_http_in_flight") == 1)
        gw.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in gw.text())
        new = gw.ask("GET", "/api/v1/chat/history", X_Session_ID=session)
        self.assertEqual((new[0], json.loads(new[2])["code"]), (503, "draining"))
        self.assertEqual((new[1]["retry-after"], new[1]["connection"]), ("2", "close"))
        self.assertEqual(gw.ask("GET", "/healthz")[0], 200)
        self.assertEqual(gw.ask("GET", "/readyz")[0], 503)
        slow.sendall(body)
        got = slow.recv(65536)
        self.assertEqual(parse(got)[0], 503)
        self.assertEqual(len(parse(got)[2]), int(parse(got)[1]["content-length"]))
        slow.close()
        self.assertEqual(gw.process.wait(10), 0)
        gw.log.close()


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
