"""A01: a thousand keys that are almost right, and whether the time of a refusal tells how right. A02: every route in 50 other
spellings, without a key. A24: 30 origins that are almost allowed.

# attack: A01 A02 A24; limit 400; short 60
"""
import json
import statistics
import time

from bars import Bars, pick
from suite import ADMIN_KEY, Suite, new_session
from wire_kit import FREE, Wire, filled, routes

ORIGIN = "https://docs.example.org"


def almost(rng):
    """A key that is not the key."""
    k = ADMIN_KEY
    i = rng.randrange(len(k))
    kind = rng.randrange(14)
    return [k[:i], k[:i] + k[i + 1:], k[:i] + "x" + k[i:], k[:i] + chr(ord(k[i]) ^ 1) + k[i + 1:], k + "x" * rng.randrange(1, 600), k + k,
            k.upper(), k[::-1], "fn_" + "".join(rng.choices("0123456789abcdef", k=64)), k + "\0", k[:i] + "\0" + k[i:], k + ",x",
            '"' + k + '"', k[3:]][kind]


def header(rng):
    key = almost(rng)
    return rng.choices(["Bearer " + key, "Basic " + ADMIN_KEY, ADMIN_KEY, "Bearer" + ADMIN_KEY, "Token " + ADMIN_KEY, "Bearer",
                        "Bearer a " + ADMIN_KEY, "Bearer " + key + " " + ADMIN_KEY], [60, 3, 3, 3, 3, 2, 3, 3])[0]


def refusal(got):
    status, headers, body = got
    return body.replace(headers.get("x-request-id", "-").encode(), b"RID"), headers.get("www-authenticate")


def keys(b, s):
    """Ten failures a minute are what an address has: each ten come from another one."""
    n, taken, bodies, challenges, other = pick(200, 1000), [], set(), set(), {}
    for i in range(n):
        if i % 10 == 0:
            w = Wire(s.port, f"127.1.{i // 2500}.{i // 10 % 250 + 1}")
        h = header(b.rng)
        got = w.ask("GET", "/api/v1/keys", Authorization=h)
        if got[0] == 401:
            body, challenge = refusal(got)
            bodies.add(body)
            challenges.add(challenge)
        elif got[0] == 400 and "\0" in h:
            pass  # a NUL is no header at all
        elif got[0] < 300:
            taken.append(h)
        else:
            other[got[0]] = other.get(got[0], 0) + 1
        if i % 10 == 9:
            w.close()
    b.none(f"A01_keys_taken_of_{n}", taken)
    b.equal("A01_other_answers", other or 0, 0)
    b.most("A01_different_refusals", len(bodies), 1)
    b.equal("A01_challenge", challenges, {"Bearer"})


def timing(b, s):
    """Welch's t between the time of keys that begin right and keys that begin wrong, a tenth of the slowest left out."""
    times = {True: [], False: []}
    for a in range(pick(60, 600)):
        with Wire(s.port, f"127.3.{a // 250}.{a % 250 + 1}") as w:
            w.ask("GET", "/healthz")
            for i in range(10):
                near = b.rng.random() < 0.5
                key = ADMIN_KEY[:-1] + "x" if near else "".join(b.rng.choices("abcdef0123456789", k=len(ADMIN_KEY)))
                begun = time.perf_counter()
                status, _, _ = w.ask("GET", "/api/v1/keys", Authorization="Bearer " + key)
                if status == 401 and i:
                    times[near].append(time.perf_counter() - begun)
    cut = sorted(times[True] + times[False])[int(0.9 * (len(times[True]) + len(times[False])))]
    x, y = ([t for t in times[k] if t <= cut] for k in (True, False))
    t = (statistics.mean(x) - statistics.mean(y)) / (statistics.variance(x) / len(x) + statistics.variance(y) / len(y)) ** 0.5
    b.most(f"A01_timing_t_of_{len(x) + len(y)}", abs(t), 4.5, timed=True)


PATHS = [lambda p: p.upper(), lambda p: p.title(), lambda p: "/" + p, lambda p: p.replace("/v1", "//v1"), lambda p: p + "/", lambda p: p + ".",
         lambda p: p + ";x=1", lambda p: p + ";jsessionid=1", lambda p: p + "/.", lambda p: p + "/..", lambda p: p.replace("/v1", "/./v1"),
         lambda p: p.replace("/v1", "/x/../v1"), lambda p: p.replace("/v1", "/%2e/v1"), lambda p: p.replace("/v1", "/x/%2e%2e/v1"),
         lambda p: p.replace("/v1", "%2fv1"), lambda p: p.replace("/v1", "\\v1"), lambda p: p.replace("/v1", "%5cv1"), lambda p: p + "%00",
         lambda p: p + "%20", lambda p: p + "%0a", lambda p: p + ".json", lambda p: p + "?", lambda p: p + "?key=" + ADMIN_KEY,
         lambda p: p + "?access_token=" + ADMIN_KEY, lambda p: p.replace("a", "%61", 1), lambda p: p.replace("a", "%2561", 1), lambda p: p + "%ff",
         lambda p: p.replace("/v1", "%c0%afv1"), lambda p: p.replace("api", "\uff41pi"), lambda p: "http://127.0.0.1" + p, lambda p: "http://other.example" + p,
         lambda p: p + "#x", lambda p: p + "%23", lambda p: p.removeprefix("/v1"), lambda p: "/v1" + p.removeprefix("/v1"), lambda p: "/api" + p,
         lambda p: p.replace("m", "%6d", 1), lambda p: "/./" + p[1:], lambda p: "/x/.." + p, lambda p: "/%2e" + p, lambda p: "/s/.." + p, lambda p: "/docs" + p]
METHODS = ["HEAD", "TRACE", "PATCH", "PROPFIND", "get", "CONNECT", "OPTIONS"]
HEADERS = [{"X_HTTP_Method_Override": "GET"}, {"X_Method_Override": "DELETE"}, {"X_Original_URL": "/healthz"}, {"X_Rewrite_URL": "/healthz"},
           {"X_Forwarded_Host": "localhost"}, {"X_Forwarded_For": "127.0.0.1"}, {"X_Real_IP": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"},
           {"Cookie": "key=" + ADMIN_KEY}, {"X_API_Key": ADMIN_KEY}, {"Proxy_Authorization": "Bearer " + ADMIN_KEY}]


def mutated(method, path):
    for change in PATHS:
        yield method, change(path), {}
    for other in METHODS:
        yield other, path, {}
    for more in HEADERS:
        yield method, path, more


def spellings(b, s):
    """A refusal names what is missing; nothing is given, nothing is done."""
    answered, n, address = [], 0, 0
    counted = s.sql("SELECT count(*) FROM documents"), s.sql("SELECT count(*) FROM api_keys")
    private = [(m, p) for m, p, who in routes() if who != "PUBLIC"]
    for method, path in private:
        address += 1
        with Wire(s.port, f"127.4.0.{address}") as w:
            for m, target, more in mutated(method, filled(path)):
                n += 1
                body = b"{}" if m in ("POST", "PUT", "PATCH") else None
                status, headers, _ = w.ask(m, target, body, **more)
                fine = status in (0, 400, 401, 404, 405, 429, 501) or (status == 204 and m == "OPTIONS" and "access-control-allow-origin" not in headers)
                if not fine:
                    answered.append((status, m, target, more))
                if status == 405 and "allow" not in headers:
                    answered.append(("no Allow", m, target))
    b.none(f"A02_answered_of_{n}", answered)
    b.equal("A02_rows_changed", (s.sql("SELECT count(*) FROM documents"), s.sql("SELECT count(*) FROM api_keys")) != counted, False)


FOREIGN = ["null", "https://evil.example", "http://docs.example.org", "https://docs.example.org.evil.example", "https://evildocs.example.org",
           "https://docs.example.org:444", "https://docs.example.org:443x", "https://DOCS.example.org.", "https://docs.example.org.",
           "https://docs.example.org/", "https://docs.example.org/x", "https://docs.example.org@evil.example", "https://user@docs.example.org",
           "https://docs.example.org%60.evil.example", "https://docs.example.org%00.evil.example", "https://docsXexample.org", "https://docs.example.orgx",
           "https://xn--dcs-fna.example.org", "https://xdocs.example.org", "https://sub.docs.example.org", "//docs.example.org", "docs.example.org",
           "file://", "file:///etc/passwd", "chrome-extension://abcdefgh", "https://docs.example.org, https://evil.example",
           "https://evil.example https://docs.example.org", "*", "https://*.example.org", "https://[::1]", "javascript://docs.example.org", "https://docs.example.org?x"]


def origins(b, s):
    allowed, wild, unsaid = [], [], []
    for origin in FOREIGN:
        with Wire(s.port) as w:
            for m, body, more in (("POST", json.dumps({"question": "What?", "session_id": new_session()}).encode(), {}),
                                  ("OPTIONS", None, {"Access_Control_Request_Method": "POST"})):
                status, headers, _ = w.ask(m, "/api/v1/chat/query", body, Origin=origin, **more)
                if "access-control-allow-origin" in headers or status == 200:
                    allowed.append((origin, m, status, headers.get("access-control-allow-origin")))
                wild += [origin for k, v in headers.items() if k.startswith("access-control-") and (v == "*" or "credentials" in k)]
                unsaid += [origin] if status and "origin" not in headers.get("vary", "").lower() else []
    b.none(f"A24_allowed_of_{len(FOREIGN)}", allowed)
    b.none("A24_wildcards_or_credentials", wild)
    b.none("A24_without_vary", unsaid)
    with Wire(s.port) as w:
        _, headers, _ = w.ask("OPTIONS", "/api/v1/chat/query", Origin=ORIGIN, Access_Control_Request_Method="POST")
    b.equal("A24_the_listed_one", headers.get("access-control-allow-origin"), ORIGIN)
    b.equal("A24_max_age", headers.get("access-control-max-age"), "600")


with Bars() as b, Suite(auth="on", env={**FREE, "ANONYMOUS_CHAT": "off", "ALLOWED_ORIGINS": ORIGIN}) as s:
    keys(b, s)
    timing(b, s)
    spellings(b, s)
    origins(b, s)
    with Wire(s.port) as w:
        b.equal("A01_the_right_key_afterwards", w.admin("GET", "/api/v1/keys")[0], 200)
    b.none("A02_services_that_ended_badly", s.down())
