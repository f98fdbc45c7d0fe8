"""AUTH=on: keys, scopes, origins, and two tenants between whom there is a wall on every route of the table."""
import glob
import os
import re
import tempfile
import uuid

import pytest
import requests

from corpus_kit import Q_NOTHING, check_problem, check_sources
from suite import ADMIN_KEY, TOP, Suite, new_session, source_session, wait_for

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)

ORIGIN = "https://docs.example.org"
SECRET = {"a": "The password of the harbour gate is heliotrope-a.", "b": "The password of the harbour gate is heliotrope-b."}
QUESTION = "What is the password of the harbour gate?"


class Tenant:
    """A tenant with one key, one document and one conversation."""

    def __init__(self, suite, name):
        self.suite, self.name = suite, name
        made = suite.make_key(["chat", "ingest", "admin"], tenant="tenant-" + name)
        self.key, self.key_id = made["key"], made["id"]
        wait_for("the key works", lambda: self.get("/api/v1/collections").status_code == 200, 8)
        self.document = suite.ingest(f"# Gate {name}\n\n{SECRET[name]}\n", "gate", key=self.key)["document_id"]
        self.collection = "only-" + name
        assert self.send("PUT", f"/api/v1/collections/{self.collection}", json={"refusal": "none of " + name}).status_code == 200
        self.job = self.send("POST", "/api/v1/documents", json={"id": "second", "text": "A second text.",
                                                                "collection": self.collection}).json()["job_id"]
        self.session = new_session()
        self.answer = suite.answered(QUESTION, self.session, key=self.key)
        self.user = "user-of-" + name
        assert self.send("POST", "/api/v1/sessions", json={"session_id": self.session, "user_id": self.user}).status_code == 201

    def send(self, method, path, **kw):
        return self.suite.request(method, path, key=self.key, **kw)

    def get(self, path, **kw):
        return self.send("GET", path, **kw)


@pytest.fixture(scope="module")
def tenants(locked):
    return Tenant(locked, "a"), Tenant(locked, "b")


def without_id(r):
    """An answer without what names the request."""
    rid = r.headers["X-Request-ID"]
    return r.status_code, r.text.replace(rid, "RID"), r.headers.get("Content-Type")


def test_each_tenant_gets_its_own_answer(tenants):
    for t, other in (tenants, tenants[::-1]):
        assert "heliotrope-" + t.name in t.answer["answer"] and "heliotrope-" + other.name not in str(t.answer)
        check_sources(t.suite, t.answer, key=t.key)
        found = t.suite.search("password harbour gate", key=t.key, top_k=20)
        assert found and {h["document_id"] for h in found} == {t.document}


def crosswise(me, other):
    """(route, how I ask for the other's thing, how I ask for a thing that nobody has). Every route with a name in it."""
    nobody = str(uuid.uuid4())
    query = {"question": QUESTION, "session_id": new_session()}
    select = dict(query, selected_text="some selected text", chapter="One")
    pairs = {
        "GET /api/v1/documents/{id}": ("GET", "/api/v1/documents/%s", other.document, nobody, {}),
        "GET /api/v1/documents/{id}/text": ("GET", "/api/v1/documents/%s/text", other.document, nobody, {}),
        "POST /api/v1/documents/{id}/reindex": ("POST", "/api/v1/documents/%s/reindex", other.document, nobody, {}),
        "DELETE /api/v1/documents/{id}": ("DELETE", "/api/v1/documents/%s", other.document, nobody, {}),
        "GET /api/v1/jobs/{id}": ("GET", "/api/v1/jobs/%s", other.job, nobody, {}),
        "GET /api/v1/collections/{name}": ("GET", "/api/v1/collections/%s", other.collection, "nobody-s", {}),
        "DELETE /api/v1/collections/{name}": ("DELETE", "/api/v1/collections/%s", other.collection, "nobody-s", {}),
        "POST /api/v1/collections/{name}/switch-back": ("POST", "/api/v1/collections/%s/switch-back", other.collection, "nobody-s", {}),
        "POST /api/v1/collections/{name}/drop-old": ("POST", "/api/v1/collections/%s/drop-old", other.collection, "nobody-s", {}),
        "GET /api/v1/sessions/{id}": ("GET", "/api/v1/sessions/%s", other.session, nobody, {}),
        "DELETE /api/v1/sessions/{id}": ("DELETE", "/api/v1/sessions/%s", other.session, nobody, {}),
        "GET /api/v1/sessions/{id}/export": ("GET", "/api/v1/sessions/%s/export", other.session, nobody, {}),
        "DELETE /api/v1/users/{user_id}": ("DELETE", "/api/v1/users/%s", other.user, nobody, {}),
        "GET /api/v1/chat/stream/{id}": ("GET", "/api/v1/chat/stream/%s", other.answer["message_id"], nobody, {}),
        "DELETE /api/v1/chat/stream/{id}": ("DELETE", "/api/v1/chat/stream/%s", other.answer["message_id"], nobody, {}),
        "DELETE /api/v1/conversations/{id}": ("DELETE", "/api/v1/conversations/%s", other.answer["conversation_id"], nobody, {}),
        "POST /api/v1/messages/{id}/feedback": ("POST", "/api/v1/messages/%s/feedback", other.answer["message_id"], nobody,
                                                {"rating": "up"}),
        "GET /api/v1/messages/{id}/explain": ("GET", "/api/v1/messages/%s/explain", other.answer["message_id"], nobody, {}),
        "GET /api/v1/citations/{id}": ("GET", "/api/v1/citations/%s", other.answer["sources"][0]["id"], nobody, {}),
        "POST /api/v1/keys/{id}/rotate": ("POST", "/api/v1/keys/%s/rotate", other.key_id, "0" * 64, {"overlap_hours": 1}),
        "PATCH /api/v1/keys/{id}": ("PATCH", "/api/v1/keys/%s", other.key_id, "0" * 64, {"per_day": 1}),
        "DELETE /api/v1/keys/{id}": ("DELETE", "/api/v1/keys/%s", other.key_id, "0" * 64, {}),
        "POST /api/v1/chat/query": ("POST", "/api/v1/chat/query", other.answer["conversation_id"], nobody, query),
        "POST /api/v1/chat/selection": ("POST", "/api/v1/chat/selection", other.answer["conversation_id"], nobody, select),
        "POST /api/v1/chat/stream": ("POST", "/api/v1/chat/stream", other.answer["conversation_id"], nobody, query),
    }
    for route, (method, path, theirs, none, fields) in pairs.items():
        def ask(thing):
            if "%s" not in path:
                return me.send(method, path, json={**fields, "conversation_id": thing})
            # even with the other's session, under my key
            return me.send(method, path % thing, json=fields or None, headers={"X-Session-ID": other.session})
        yield route, lambda: ask(theirs), lambda: ask(none)


def test_what_belongs_to_the_other_tenant_is_404_with_the_same_bytes_as_what_nobody_has(tenants):
    for me, other in (tenants, tenants[::-1]):
        for route, theirs, none in crosswise(me, other):
            a, b = theirs(), none()
            assert a.status_code == 404, (route, a.status_code, a.text)
            assert without_id(a) == without_id(b), route
    # and nothing of it was harmed
    for t in tenants:
        assert t.get(f"/api/v1/documents/{t.document}").status_code == 200
        assert t.get(f"/api/v1/collections/{t.collection}").status_code == 200
        assert len(t.suite.history(t.session, key=t.key)["items"]) == 2
        assert t.get(f"/api/v1/sessions/{t.session}").json()["messages"] == 2


def test_lists_searches_and_history_show_nothing_of_the_other_tenant(tenants):
    for me, other in (tenants, tenants[::-1]):
        seen = {
            "GET /api/v1/documents": me.get("/api/v1/documents", params={"limit": 200}),
            "GET /api/v1/collections": me.get("/api/v1/collections"),
            "GET /api/v1/keys": me.get("/api/v1/keys"),
            "POST /api/v1/search": me.send("POST", "/api/v1/search", json={"query": "password harbour gate", "top_k": 100}),
            "GET /api/v1/chat/history": me.get("/api/v1/chat/history", headers={"X-Session-ID": other.session}),
            "GET /api/v1/conversations": me.get("/api/v1/conversations", headers={"X-Session-ID": other.session}),
        }
        for route, r in seen.items():
            assert r.status_code == 200, (route, r.text)
            for secret in (other.document, other.collection, other.key_id, other.job, "heliotrope-" + other.name,
                           other.answer["conversation_id"], other.answer["message_id"]):
                assert secret not in r.text, (route, secret)
        # the same session id under another tenant is another session
        assert me.send("POST", "/api/v1/sessions", json={"session_id": other.session}).json()["messages"] == 0
        assert me.suite.ask(QUESTION, me.session, key=me.key, collection=other.collection).status_code == 404


def test_a_document_of_the_same_id_is_each_tenants_own(tenants):
    a, b = tenants
    ids = [t.get("/api/v1/documents/gate").json()["document_id"] for t in tenants]
    assert ids == [a.document, b.document] and ids[0] != ids[1]


def test_an_admin_of_one_tenant_cannot_name_another(tenants):
    a, _ = tenants
    check_problem(a.send("POST", "/api/v1/keys", json={"label": "x", "scopes": ["chat"], "tenant": "tenant-b"}), 403, "forbidden")
    check_problem(a.get("/api/v1/keys", params={"tenant": "tenant-b"}), 403, "forbidden")


def test_every_route_of_the_table_was_tried_crosswise(tenants):
    """A new route must be added above before this passes."""
    with open(os.path.join(TOP, "gateway", "route.tbl")) as f:
        routes = {f"{m} {p}" for m, p in re.findall(r'^ROUTE\(\w+,\s*(\w+),\s*"([^"]+)"', f.read(), re.M)}
    tried = {route for route, *_ in crosswise(*tenants)}
    lists = {"GET /api/v1/documents", "GET /api/v1/collections", "GET /api/v1/keys", "POST /api/v1/search",
             "GET /api/v1/chat/history", "GET /api/v1/conversations", "POST /api/v1/sessions", "POST /api/v1/keys"}
    own_only = {"PUT /api/v1/collections/{name}", "POST /api/v1/documents"}  # make one's own thing of that name
    own_sum = {"GET /api/v1/usage", "GET /api/v1/audit", "GET /api/v1/report",  # store_usage.py, test_keys.py, store_report.py: of one's own tenant only
               "GET /api/v1/figures", "GET /api/v1/errors"}                     # test_figures.py
    public = {"GET /", "GET /healthz", "GET /readyz", "GET /api/v1/health", "GET /openapi.json", "GET /docs",
              "GET /widget.js", "GET /console", "GET /s/{id}"}                                                  # test_source.py: the link is the right
    doors = {r for r in routes if r.split()[1].startswith("/v1/") or r == "POST /mcp"}  # test_openai.py, test_mcp.py, test_matrix.py
    assert routes == tried | lists | own_only | own_sum | public | doors


# ---- keys and the keyless
def test_a_route_that_needs_a_key_is_401_without_a_good_one(locked):
    # from an address of its own: after ten failures a minute it would be 429
    http = source_session("127.0.9.1")
    bad = ["Bearer fn_wrong", "Bearer " + ADMIN_KEY[:-1], "Bearer", "Basic " + ADMIN_KEY, "Bearer " + ADMIN_KEY + "x"]
    answers = [http.get(locked.url + "/api/v1/documents", headers={"Authorization": h} if h else {}) for h in [None] + bad]
    for r in answers:
        check_problem(r, 401, "unauthorized")
        assert r.headers["WWW-Authenticate"] == "Bearer"
    assert len({without_id(r) for r in answers}) == 1
    r = http.post(locked.url + "/api/v1/documents", json={"text": "x"})
    check_problem(r, 401, "unauthorized")
    http.close()


def test_more_than_ten_bad_keys_a_minute_from_one_address_are_429(locked):
    http = source_session("127.0.9.2")
    got = [http.get(locked.url + "/api/v1/documents", headers={"Authorization": f"Bearer fn_{i}"}).status_code for i in range(12)]
    assert got[:10] == [401] * 10 and got[11] == 429, got
    http.close()


def test_a_key_in_a_url_is_refused(locked):
    http = source_session("127.0.9.3")
    check_problem(http.get(locked.url + "/api/v1/documents", params={"api_key": ADMIN_KEY}), 401, "unauthorized")
    # also beside a good one, and where no key is needed: it would stand in the logs of every proxy
    good = {"Authorization": "Bearer " + ADMIN_KEY}
    check_problem(http.get(locked.url + "/api/v1/documents", params={"key": "x"}, headers=good), 401, "unauthorized")
    check_problem(http.get(locked.url + "/api/v1/chat/history", params={"token": "x"}, headers={"X-Session-ID": new_session()}), 401, "unauthorized")
    http.close()


def answers(s, path):
    try:
        return s.request("GET", path, key=ADMIN_KEY).status_code == 200
    except requests.RequestException:
        return False


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
def test_an_expired_key_is_refused_by_a_gateway_that_still_knows_it():
    """The gateway's clock goes two days ahead, the database's does not: so nobody but the gateway can see that it has expired."""
    with tempfile.NamedTemporaryFile("w", prefix="footnote-clock-") as clock:
        clock.write("+0\n")
        clock.flush()
        fake = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock.name, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        with Suite(auth="on", start=("store", "gateway"), service_env={"gateway": fake}) as s:
            wait_for("keys can be made", lambda: answers(s, "/api/v1/keys"), 15, 0.1)
            day, ever = s.make_key(["chat"], expires_days=1)["key"], s.make_key(["chat"])["key"]
            for key in (day, ever):
                wait_for("the key works", lambda: s.request("GET", "/api/v1/collections", key=key).status_code == 200, 8)
            clock.seek(0)
            clock.write("+2d\n")
            clock.flush()
            check_problem(s.request("GET", "/api/v1/collections", key=day), 401, "unauthorized")
            assert s.request("GET", "/api/v1/collections", key=ever).status_code == 200


def test_a_browser_without_a_key_may_chat_from_an_allowed_origin_only(locked):
    locked.ingest("# Ferry\n\nThe ferry to Osmund leaves at noon.\n", "ferry", key=ADMIN_KEY)
    session = new_session()
    r = locked.ask("When does the ferry to Osmund leave?", session, headers={"Origin": ORIGIN})
    assert r.status_code == 200 and r.json()["grounded"], r.text
    assert r.headers["Access-Control-Allow-Origin"] == ORIGIN and "Origin" in r.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in r.headers
    for origin in ("https://evil.example", "http://docs.example.org", "https://docs.example.org.evil.example", "null",
                   "https://docs.example.org:444"):
        r = locked.ask(Q_NOTHING, headers={"Origin": origin})
        check_problem(r, 403, "forbidden")
        assert "Access-Control-Allow-Origin" not in r.headers
    assert len(locked.history(session)["items"]) == 2


def test_a_preflight_tells_what_is_allowed(locked):
    ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    r = locked.request("OPTIONS", "/api/v1/chat/query", headers=ask)
    assert r.status_code == 204 and r.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in r.headers["Access-Control-Allow-Methods"] and r.headers["Access-Control-Max-Age"] == "600"
    assert "content-type" in r.headers["Access-Control-Allow-Headers"].lower()
    r = locked.request("OPTIONS", "/api/v1/chat/query", headers=dict(ask, Origin="https://evil.example"))
    assert "Access-Control-Allow-Origin" not in r.headers and "Access-Control-Allow-Methods" not in r.headers


def test_scopes_limit_what_a_key_may_do(locked):
    chat = locked.make_key(["chat"])
    wait_for("the key works", lambda: locked.request("GET", "/api/v1/documents", key=chat["key"]).status_code == 200, 8)
    check_problem(locked.request("POST", "/api/v1/documents", key=chat["key"], json={"text": "x"}), 403, "forbidden")
    check_problem(locked.request("GET", "/api/v1/keys", key=chat["key"]), 403, "forbidden")
    check_problem(locked.request("PUT", "/api/v1/collections/x", key=chat["key"], json={}), 403, "forbidden")
    assert locked.ask(Q_NOTHING, key=chat["key"]).status_code == 200
    assert locked.request("DELETE", f"/api/v1/keys/{chat['id']}", key=ADMIN_KEY).status_code == 204
    http = source_session("127.0.9.4")
    wait_for("the key is revoked", lambda: http.get(locked.url + "/api/v1/documents", headers={
        "Authorization": "Bearer " + chat["key"]}).status_code in (401, 429), 8, every=0.7)
    http.close()


def test_a_publishable_key_chats_from_its_own_origins_only(locked):
    key = locked.make_key(["chat"], origins=["https://shop.example"])["key"]
    wait_for("the key works", lambda: locked.ask(Q_NOTHING, key=key, headers={"Origin": "https://shop.example"}).status_code == 200, 8)
    r = locked.ask(Q_NOTHING, key=key, headers={"Origin": "https://shop.example"})
    assert r.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    check_problem(locked.ask(Q_NOTHING, key=key, headers={"Origin": ORIGIN}), 403, "forbidden")
    check_problem(locked.ask(Q_NOTHING, key=key), 403, "forbidden")


def test_a_key_limited_to_a_collection_sees_no_other(locked):
    locked.ingest("# Inner\n\nThe inner word is wistaria.\n", "inner", key=ADMIN_KEY, collection="inner")
    locked.ingest("# Outer\n\nThe outer word is wistaria, too.\n", "outer", key=ADMIN_KEY, collection="outer")
    key = locked.make_key(["chat", "ingest"], collections=["inner"])["key"]
    wait_for("the key works", lambda: locked.request("GET", "/api/v1/collections", key=key).status_code == 200, 8)
    assert [c["name"] for c in locked.request("GET", "/api/v1/collections", key=key).json()["items"]] == ["inner"]
    assert locked.search("wistaria", key=key, collection="inner")
    r = locked.request("POST", "/api/v1/search", key=key, json={"query": "wistaria", "collection": "outer"})
    check_problem(r, 404, "not_found")
    check_problem(locked.request("GET", "/api/v1/documents/outer", key=key, params={"collection": "outer"}), 404, "not_found")


def test_keys_are_stored_as_sha256_and_shown_once(locked):
    made = locked.make_key(["chat"])
    assert made["key"].startswith("fn_") and len(made["key"]) >= 46
    assert locked.sql("SELECT count(*) FROM api_keys t WHERE t::text LIKE %s", ("%" + made["key"] + "%",)) == [(0,)]
    assert made["key"] not in locked.request("GET", "/api/v1/keys", key=ADMIN_KEY).text
