#!/usr/bin/env python3
"""Callers without a key at the real gateway, alone: a proxy in front of AUTH=off, names that a stranger can point at us.

There are no services: who is let in gets 503 or 504, so that these tests see the door only. tests/e2e/test_strangers.py sees
what is behind it.
"""
import json
import os
import signal
import subprocess
import time
import unittest
import uuid

from gateway_edge_test import ADMIN, BIN, ORIGIN, Gateway, Redis, parse, wait_for

IN = (404, 503, 504)  # past the door
MARKS = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "docs.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443",
         "X-Forwarded-Server": "p", "Forwarded": "for=203.0.113.9", "Via": "1.1 nginx", "X-Real-IP": "203.0.113.9",
         "CF-Connecting-IP": "203.0.113.9", "True-Client-IP": "203.0.113.9", "X-Client-IP": "203.0.113.9",
         "X-Cluster-Client-IP": "203.0.113.9", "X-Original-Forwarded-For": "203.0.113.9", "Fly-Client-IP": "203.0.113.9"}


def raw(gw, line, *headers, body=b""):
    """One request with exactly these headers: (status, parsed body)."""
    head = "\r\n".join((line,) + headers + ("Connection: close", "X-Request-Timeout-Ms: 200"))
    if body:
        head += "\r\nContent-Type: application/json\r\nContent-Length: %d" % len(body)
    status, _, got = parse(gw.raw(head.encode() + b"\r\n\r\n" + body)[0])
    try:
        return status, json.loads(got)
    except ValueError:
        return status, {}


class NoKeysNeeded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(AUTH="off")

    @classmethod
    def tearDownClass(cls):
        assert cls.gw.stop() == 0

    def test_any_mark_of_a_proxy_is_refused_on_every_route_and_says_what_to_set(self):
        key = json.dumps({"label": "stranger", "scopes": ["chat", "ingest", "admin"]}).encode()
        for name, value in MARKS.items():
            for line, body in (("POST /api/v1/keys HTTP/1.1", key), ("GET /api/v1/documents HTTP/1.1", b""), ("GET / HTTP/1.1", b"")):
                with self.subTest(name + " " + line):
                    status, problem = raw(self.gw, line, "Host: 127.0.0.1:%d" % self.gw.port, name + ": " + value, body=body)
                    self.assertEqual((status, problem["code"]), (403, "forbidden"))
                    self.assertIn("AUTH=on", problem["detail"])
                    self.assertIn(name, problem["detail"])

    def test_a_key_does_not_open_the_door_to_a_proxy_either(self):
        status, problem = raw(self.gw, "GET /api/v1/keys HTTP/1.1", "Host: localhost", "Authorization: Bearer " + ADMIN,
                              "X-Forwarded-For: 203.0.113.9")
        self.assertEqual(status, 403)

    def test_nginx_that_says_nothing_of_itself_is_known_by_its_http_1_0(self):
        status, problem = raw(self.gw, "GET /api/v1/keys HTTP/1.0", "Host: 127.0.0.1:%d" % self.gw.port)
        self.assertEqual(status, 403)
        self.assertIn("HTTP/1.0", problem["detail"])

    def test_a_program_of_this_machine_is_still_served(self):
        self.assertIn(raw(self.gw, "GET /api/v1/keys HTTP/1.1", "Host: 127.0.0.1:%d" % self.gw.port)[0], IN)
        self.assertEqual(raw(self.gw, "GET / HTTP/1.1", "Host: localhost")[0], 200)


class KeysNeeded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(PUBLIC_URL="https://docs.example.org", ALLOWED_HOSTS="docs.lan")

    @classmethod
    def tearDownClass(cls):
        assert cls.gw.stop() == 0

    def ask(self, host, *more, line="GET /api/v1/chat/history HTTP/1.1", body=b""):
        return raw(self.gw, line, "Host: " + host, "X-Session-ID: " + str(uuid.uuid4()), *more, body=body)

    def test_a_page_whose_name_server_points_at_us_reads_nothing(self):
        question = json.dumps({"question": "What?"}).encode()
        for host in ("evil.example", "evil.example:8380", "docs.example.org.evil.example", "127.0.0.1.nip.io"):
            for more in ((), ("Origin: http://" + host,)):
                for line, body in (("GET /api/v1/chat/history HTTP/1.1", b""), ("POST /api/v1/chat/query HTTP/1.1", question),
                                   ("POST /api/v1/chat/stream HTTP/1.1", question), ("POST /api/v1/sessions HTTP/1.1", b"{}")):
                    with self.subTest("%s %s %s" % (host, line, more)):
                        status, problem = self.ask(host, *more, line=line, body=body)
                        self.assertEqual(status, 403)
                        self.assertIn("PUBLIC_URL", problem["detail"])

    def test_the_refusal_does_not_let_that_page_read_the_answer(self):
        got = self.gw.raw(b"GET /api/v1/chat/history HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n"
                          b"Connection: close\r\n\r\n")[0]
        self.assertNotIn("access-control-allow-origin", parse(got)[1])

    def test_our_own_names_and_addresses_are_served(self):
        for host in ("localhost", "127.0.0.1:%d" % self.gw.port, "192.168.7.7:8080", "[::1]", "docs.example.org",
                     "docs.example.org:443", "gateway:8080", "docs.lan"):
            self.assertIn(self.ask(host)[0], IN, host)

    def test_the_page_of_an_allowed_origin_vouches_for_the_name(self):
        self.assertIn(self.ask("api.example.com", "Origin: " + ORIGIN)[0], IN)

    def test_a_key_needs_no_name(self):
        self.assertIn(self.ask("api.example.com", "Authorization: Bearer " + ADMIN)[0], IN)


class Floods(unittest.TestCase):
    def test_paths_that_lead_nowhere_and_failed_keys_are_charged_to_the_address_and_get_few_log_lines(self):
        gw = Gateway(RATE_LIMIT_ADDR_REQUESTS=40)
        try:
            begun, passed = time.monotonic(), 0
            for path, first in (("/nowhere", 404), ("/api/v1/chat/query", 405)):
                codes = [gw.ask("GET", path)[0] for _ in range(60)]
                self.assertLessEqual(set(codes), {first, 429})
                passed += codes.count(first)
            self.assertGreaterEqual(passed, 40)
            self.assertLessEqual(passed, 41 + (time.monotonic() - begun) * 40 / 60)  # what time gives back
            codes = [gw.ask("GET", "/api/v1/keys", Authorization="Basic %d" % i)[0] for i in range(30)]
            self.assertLessEqual(set(codes), {401, 429})
            refused = 150
            counted = lambda: (gw.text().count('"msg":"request"'), gw.metric("footnote_http_unlogged_total"))
            wait_for(lambda: sum(counted()) == refused)
            left_out = counted()[1]
            self.assertGreater(left_out, 0)
            self.assertEqual(gw.ask("GET", "/healthz")[0], 200)
            self.assertNotEqual(gw.ask("GET", "/api/v1/keys", Authorization="Bearer " + ADMIN, X_Request_Timeout_Ms="100")[0], 401)
        finally:
            self.assertEqual(gw.stop(), 0)

    def test_bad_requests_are_charged_to_the_address_on_every_route_that_takes_its_limits_later(self):
        """A wrong key has a limit of its own, 10 a minute, and the address's behind it."""
        key, json_type = {"Authorization": "Bearer " + ADMIN}, {"Content-Type": "application/json"}
        bad = {"no JSON": (json_type, b"{", (400,)), "a field too long": (json_type, json.dumps({"question": "x" * 600000}).encode(), (413, 422, 400)),
               "another type": ({"Content-Type": "text/plain"}, b"hello", (400, 415)), "a field missing": (json_type, b"{}", (400, 422)),
               "a wrong deadline": (dict(json_type, **{"X-Request-Timeout-Ms": "1"}), b"{}", (400,))}
        for path in ("/api/v1/chat/query", "/api/v1/chat/selection", "/api/v1/chat/stream", "/v1/chat/completions", "/chat/completions",
                     "/v1/completions", "/v1/responses", "/mcp"):
            gw = Gateway(RATE_LIMIT_ADDR_REQUESTS=20)
            try:
                begun, codes = time.monotonic(), {}
                for name, (headers, body, expected) in bad.items():
                    if path == "/mcp" and name in ("a field missing", "a field too long"):
                        continue  # a message that is none: the limits have been taken
                    codes[name] = [gw.ask("POST", path, body, **{k.replace("-", "_"): v for k, v in {**key, **headers}.items()})
                                   for _ in range(8)]
                    self.assertLessEqual({c[0] for c in codes[name]}, {429, *expected}, (path, name))
                    self.assertIn("address", codes[name][0][1].get("ratelimit-policy", ""), (path, name))
                codes["wrong method"] = [gw.ask("DELETE", path) for _ in range(8)]
                codes["no such route"] = [gw.ask("POST", path + "/x", b"{}") for _ in range(8)]
                passed = sum(c[0] != 429 for each in codes.values() for c in each)
                self.assertGreaterEqual(passed, 20, path)
                self.assertLessEqual(passed, 21 + (time.monotonic() - begun) * 20 / 60, path)
                self.assertEqual(gw.ask("GET", "/healthz")[0], 200)
            finally:
                self.assertEqual(gw.stop(), 0)

    def test_a_redis_that_goes_away_is_no_second_quota(self):
        with Redis() as redis:
            gw = Gateway(REDIS_URL=redis.url)
            try:
                ask = lambda s: gw.ask("GET", "/api/v1/chat/history", X_Session_ID=s, X_Request_Timeout_Ms="100")[0]
                session = str(uuid.uuid4())
                self.assertNotIn(429, [ask(session) for _ in range(50)])
                os.kill(redis.process.pid, signal.SIGKILL)
                wait_for(lambda: redis.command(b"PING\r\n") == b"")
                passed = sum(ask(session) != 429 for _ in range(40))
                self.assertGreater(gw.metric("footnote_rate_limit_local_total"), 0)
                self.assertLessEqual(passed, 30)  # 10 that were left, and one a second since
            finally:
                self.assertEqual(gw.stop(), 0)

    def test_a_session_id_in_the_query_string_works_and_is_in_no_log(self):
        gw = Gateway(LOG_LEVEL="debug")
        try:
            session = str(uuid.uuid4())
            paths = ("/api/v1/chat/history", "/api/v1/conversations", "/api/v1/messages/%s/explain" % uuid.uuid4())
            for path in paths:
                by_query = gw.ask("GET", path + "?session_id=" + session, X_Request_Timeout_Ms="100")
                by_header = gw.ask("GET", path, X_Session_ID=session, X_Request_Timeout_Ms="100")
                self.assertEqual(by_query[0], by_header[0])
                self.assertIn(by_query[0], (503, 504))
            self.assertEqual(gw.ask("DELETE", "/api/v1/conversations/%s" % uuid.uuid4(), X_Session_ID=session,
                                    X_Request_Timeout_Ms="100")[0], by_header[0])
            gw.ask("GET", "/nowhere?session_id=" + session)
            gw.ask("GET", "/api/v1/sessions/" + session, X_Request_Timeout_Ms="100")
            self.assertNotIn(session, gw.text())
        finally:
            self.assertEqual(gw.stop(), 0)


class Start(unittest.TestCase):
    def check(self, **options):
        env = {"PATH": os.environ["PATH"], **options}
        done = subprocess.run([os.path.join(BIN, "footnote-gateway"), "--check-config"], env=env, capture_output=True, timeout=10)
        start = 0 if done.returncode == 0 else subprocess.run([os.path.join(BIN, "footnote-gateway")], env=env,
                                                              capture_output=True, timeout=10).returncode
        self.assertEqual(start != 0, done.returncode != 0)
        return done.returncode, done.stderr.decode()

    def test_auth_off_with_the_options_of_a_deployment_behind_a_proxy_does_not_start(self):
        for options in ({"TRUSTED_PROXIES": "127.0.0.1"}, {"PUBLIC_URL": "https://docs.example.org"}, {"PUBLIC_URL": "http://docs.lan"},
                        {"PUBLIC_URL": "https://localhost"}):
            code, said = self.check(AUTH="off", **options)
            self.assertNotEqual(code, 0, options)
            self.assertIn(next(iter(options)) + ":", said)
            self.assertIn("AUTH=on", said)
        self.assertEqual(self.check(AUTH="off", PUBLIC_URL="http://localhost:8080")[0], 0)
        self.assertEqual(self.check(AUTH="on", PUBLIC_URL="https://docs.example.org", TRUSTED_PROXIES="127.0.0.1")[0], 0)

    def test_a_list_that_is_no_list_of_names_is_refused(self):
        for options in ({"ANONYMOUS_COLLECTIONS": "docs,a/b"}, {"ALLOWED_HOSTS": "http://docs.lan"}):
            code, said = self.check(**options)
            self.assertNotEqual(code, 0)
            self.assertIn(next(iter(options)), said)
        self.assertEqual(self.check(ANONYMOUS_COLLECTIONS="*", ALLOWED_HOSTS="*")[0], 0)


if __name__ == "__main__":
    unittest.main()
