"""Who may call what (docs/faults.md A03): every route of gateway/route.tbl × every kind of caller, generated from the table.

What a route's row says ("who") gives the status of callers without the right; CALLS says how it is called for a thing of one's own, and
what must be 404 for another tenant and another session. A route without an entry there fails.
"""
import os
import re
import uuid

import pytest

from suite import ADMIN_KEY, TOP, Suite, new_session, source_session, wait_for

ORIGIN = "https://shop.example"
SCOPE = {"SESSION": "chat", "CHAT": "chat", "INGEST": "ingest", "ADMIN": "admin"}
QUESTION = {"question": "What is the password of the harbour gate?"}

# (method, path): (path of a thing of one's own, body, what another tenant gets, what another session of the same tenant gets)
# None: nothing of one's own is named there. EMPTY: 200 with nothing in it. OWN: it makes or changes a thing of its own.
EMPTY, OWN = "empty", "own"
CALLS = {
    "GET /": ("/", None, None, None),
    "GET /healthz": ("/healthz", None, None, None),
    "GET /readyz": ("/readyz", None, None, None),
    "GET /api/v1/health": ("/api/v1/health", None, None, None),
    "POST /api/v1/chat/query": ("/api/v1/chat/query", {**QUESTION, "conversation_id": "{conversation}"}, 404, 404),
    "POST /api/v1/chat/selection": ("/api/v1/chat/selection", {**QUESTION, "selected_text": "the harbour gate", "chapter": "1",
                                                               "conversation_id": "{conversation}"}, 404, 404),
    "POST /api/v1/chat/stream": ("/api/v1/chat/stream", {**QUESTION, "conversation_id": "{conversation}"}, 404, 404),
    "GET /api/v1/chat/history": ("/api/v1/chat/history", None, EMPTY, EMPTY),
    "POST /api/v1/sessions": ("/api/v1/sessions", {}, OWN, OWN),
    "GET /api/v1/sessions/{id}": ("/api/v1/sessions/{session}", None, 404, None),
    "GET /api/v1/sessions/{id}/export": ("/api/v1/sessions/{session}/export", None, 404, None),
    "GET /api/v1/conversations": ("/api/v1/conversations", None, EMPTY, EMPTY),
    "POST /api/v1/messages/{id}/feedback": ("/api/v1/messages/{message}/feedback", {"rating": "up"}, 404, 404),
    "GET /api/v1/messages/{id}/explain": ("/api/v1/messages/{message}/explain", None, 404, 404),
    "GET /api/v1/citations/{id}": ("/api/v1/citations/{citation}", None, 404, 404),
    "GET /api/v1/usage": ("/api/v1/usage", None, OWN, None),
    "GET /api/v1/collections": ("/api/v1/collections", None, OWN, None),
    "GET /api/v1/collections/{name}": ("/api/v1/collections/{collection}", None, 404, None),
    "PUT /api/v1/collections/{name}": ("/api/v1/collections/{collection}", {"refusal": "none"}, OWN, None),
    "GET /api/v1/documents": ("/api/v1/documents", None, EMPTY, None),
    "POST /api/v1/documents": ("/api/v1/documents", {"id": "more", "text": "More."}, OWN, None),
    "GET /api/v1/documents/{id}": ("/api/v1/documents/{document}", None, 404, None),
    "GET /api/v1/documents/{id}/text": ("/api/v1/documents/{document}/text", None, 404, None),
    "GET /api/v1/jobs/{id}": ("/api/v1/jobs/{job}", None, 404, None),
    "POST /api/v1/search": ("/api/v1/search", {"query": "password harbour gate"}, EMPTY, None),
    "GET /api/v1/keys": ("/api/v1/keys", None, OWN, None),
    "POST /api/v1/keys": ("/api/v1/keys", {"label": "made", "scopes": ["chat"]}, OWN, None),
    "GET /api/v1/audit": ("/api/v1/audit", None, OWN, None),
    # what destroys comes last
    "DELETE /api/v1/conversations/{id}": ("/api/v1/conversations/{conversation}", None, 404, 404),
    "DELETE /api/v1/sessions/{id}": ("/api/v1/sessions/{session}", None, 404, None),
    "DELETE /api/v1/users/{user_id}": ("/api/v1/users/{user}", None, 404, None),
    "DELETE /api/v1/documents/{id}": ("/api/v1/documents/{document}", None, 404, None),
    "DELETE /api/v1/collections/{name}": ("/api/v1/collections/{collection}", None, 404, None),
    "DELETE /api/v1/keys/{id}": ("/api/v1/keys/{key}", None, 404, None),
}


def table():
    with open(os.path.join(TOP, "gateway", "route.tbl")) as f:
        return {f"{m} {p}": who for m, p, who in re.findall(r'^ROUTE\(\w+,\s*(\w+),\s*"([^"]+)",\s*(\w+)', f.read(), re.M)}


@pytest.fixture(scope="module")
def world():
    """Tenant a with one of everything, and the keys of all kinds of callers."""
    with Suite(auth="on") as s:
        keys = {"own": s.make_key(["chat", "ingest", "admin"], tenant="tenant-a"),
                "other tenant": s.make_key(["chat", "ingest", "admin"], tenant="tenant-b"),
                "expired": s.make_key(["chat", "ingest", "admin"], tenant="tenant-a")}
        keys.update({scope: s.make_key([scope], tenant="tenant-a") for scope in ("chat", "ingest", "admin")})
        keys["page"] = s.make_key(["chat"], tenant="tenant-a", origins=[ORIGIN])
        key = {name: k["key"] for name, k in keys.items()}
        s.sql("UPDATE api_keys SET expires_at = now() - interval '1 minute' WHERE encode(hash, 'hex') = %s", (keys["expired"]["id"],))
        document = s.ingest("# Gate\n\nThe password of the harbour gate is heliotrope-a.\n", "gate", key=key["own"])["document_id"]
        session, user = new_session(), "reader-7"
        answer = s.answered(QUESTION["question"], session, key=key["own"])
        later = new_session()
        s.request("POST", "/api/v1/sessions", key=key["own"], json={"session_id": later, "user_id": user})
        s.request("PUT", "/api/v1/collections/only-a", key=key["own"], json={"refusal": "none"})
        job = s.request("POST", "/api/v1/documents", key=key["own"], json={"id": "x", "text": "X."}).json()["job_id"]
        spare = s.make_key(["chat"], tenant="tenant-a")["id"]
        things = {"conversation": answer["conversation_id"], "message": answer["message_id"], "citation": answer["sources"][0]["id"], "session": session, "user": user,
                  "document": document, "collection": "only-a", "job": job, "key": spare}
        wait_for("the expired key is refused", lambda: s.request("GET", "/api/v1/documents", key=key["expired"]).status_code in (401, 429), 10, 0.7)
        yield s, key, things
        assert not s.down()


def call(world, route, key=None, session=None, origin=None, http=None):
    s, _, things = world
    fill = lambda t: t.format(**things)
    path, body, *_ = CALLS[route]
    headers = {"X-Session-ID": session or things["session"]}
    headers.update({"Authorization": "Bearer " + key} if key else {}, **({"Origin": origin} if origin else {}))
    body = None if body is None else {k: fill(v) if isinstance(v, str) else v for k, v in body.items()}
    return (http or s.http).request(route.split()[0], s.url + fill(path), headers=headers, json=body, timeout=40)


def test_every_route_of_the_table_is_in_the_matrix():
    assert set(table()) - set(CALLS) == set(), "say in CALLS how the new route is called, and what others get of it"


def test_callers_without_the_right_are_turned_away_on_every_route(world):
    s, key, _ = world
    found = []
    for i, (route, who) in enumerate(table().items()):
        http = source_session(f"127.0.{100 + i}.1")  # ten bad keys a minute and address
        want = {"none": 200 if who in ("PUBLIC", "SESSION") else 401, "wrong": 401, "expired": 401, "page elsewhere": 403}
        got = {"none": call(world, route, http=http, session=new_session()) if who != "SESSION" else None,
               "wrong": call(world, route, key="fn_wrong", http=http), "expired": call(world, route, key=key["expired"], http=http),
               "page elsewhere": call(world, route, key=key["page"], origin="https://evil.example", http=http)}
        for scope in ("chat", "ingest", "admin"):
            if who != "PUBLIC" and SCOPE[who] != scope:
                want[scope], got[scope] = 403, call(world, route, key=key[scope], http=http)
        if who not in ("PUBLIC", "SESSION", "CHAT"):
            want["page"], got["page"] = 403, call(world, route, key=key["page"], origin=ORIGIN, http=http)
        for caller, r in got.items():
            expected = 200 if who == "PUBLIC" else want[caller]
            if r is not None and r.status_code != expected:
                found.append((route, caller, r.status_code, expected))
        http.close()
    assert found == []


def gives_nothing(r, things):
    named = [v for k, v in things.items() if k in ("conversation", "message", "document", "job", "key")]
    return not any(v in r.text for v in named) and "heliotrope-a" not in r.text


def judge(r, want, things, missing):
    """None, or what is wrong."""
    if want in (EMPTY, OWN):
        return None if r.status_code < 300 and gives_nothing(r, things) else (r.status_code, "2xx without anything of the other")
    if r.status_code != want:
        return r.status_code, want
    plain = lambda x: x.text.replace(x.headers["X-Request-ID"], "RID")
    return None if plain(r) == plain(missing()) else ("other bytes than for what nobody has", plain(r))


def test_another_tenant_another_session_and_strangers_get_nothing_of_it(world):
    s, key, things = world
    nobody = {**{k: str(uuid.uuid4()) for k in things}, "collection": "nobody-s", "user": "nobody", "key": "0" * 64}
    found = []
    for route, (_, _, tenant, other) in CALLS.items():
        who = table().get(route)
        if who in (None, "PUBLIC"):
            continue
        callers = [("other tenant", tenant, {"key": key["other tenant"]})]
        if other is not None:
            callers.append(("other session", other, {"key": key["own"], "session": new_session()}))
        if who == "SESSION":
            callers.append(("stranger", tenant, {}))  # with the session's own id, but in tenant default
        for caller, want, how in callers:
            if want is None:
                continue
            if route == "POST /api/v1/sessions":
                how = {**how, "session": new_session()}  # the same id in another tenant would be a session of its own
            named = {**things, "collection": "of-b"} if route.startswith("PUT") else things  # what is made there is the maker's own
            wrong = judge(call((s, key, named), route, **how), want, things, lambda: call((s, key, nobody), route, **how))
            if wrong:
                found.append((route, caller, *wrong))
    assert found == [], "\n".join(map(repr, found))


def test_the_owner_gets_all_of_it(world):
    s, key, _ = world
    found = []
    for route in CALLS:
        if route in table():
            r = call(world, route, key=key["own"])
            if r.status_code >= 300 and not (route.startswith("DELETE /api/v1/sessions") and r.status_code == 404):
                found.append((route, r.status_code, r.text[:200]))
    assert found == []
