"""Who may call what (docs/faults.md A03): every route of gateway/route.tbl × every kind of caller, generated from the table.

What a route's row says ("who") gives the status of callers without the right; CALLS says how it is called for a thing of one's own, and
what must be 404 for another tenant and another session. A route without an entry there fails.
"""
import itertools
import os
import re
import uuid

import pytest

from suite import ADMIN_KEY, TOP, Suite, new_session, source_session, wait_for

ORIGIN = "https://shop.example"
ONCE = ("/rotate",)   # a key is replaced once
NO_OTHER_SET = ("/switch-back", "/drop-old")   # of a collection that has one set of vectors
SCOPE = {"SESSION": "chat", "CHAT": "chat", "INGEST": "ingest", "ADMIN": "admin"}
QUESTION = {"question": "What is the password of the harbour gate?"}
MESSAGES = [{"role": "user", "content": QUESTION["question"]}]

# (method, path): (path of a thing of one's own, body, what another tenant gets, what another session of the same tenant gets)
# None: nothing of one's own is named there. EMPTY: 200 with nothing in it. OWN: it makes or changes a thing of its own.
EMPTY, OWN = "empty", "own"
CALLS = {
    "GET /": ("/", None, None, None),
    "GET /widget.js": ("/widget.js", None, None, None),
    "GET /console": ("/console", None, None, None),
    "GET /healthz": ("/healthz", None, None, None),
    "GET /readyz": ("/readyz", None, None, None),
    "GET /api/v1/health": ("/api/v1/health", None, None, None),
    "POST /api/v1/chat/query": ("/api/v1/chat/query", {**QUESTION, "conversation_id": "{conversation}"}, 404, 404),
    "POST /api/v1/chat/selection": ("/api/v1/chat/selection", {**QUESTION, "selected_text": "the harbour gate", "chapter": "1",
                                                               "conversation_id": "{conversation}"}, 404, 404),
    "POST /api/v1/chat/stream": ("/api/v1/chat/stream", {**QUESTION, "conversation_id": "{conversation}"}, 404, 404),
    "GET /api/v1/chat/stream/{id}": ("/api/v1/chat/stream/{stream}", None, 404, 404),
    "GET /api/v1/chat/history": ("/api/v1/chat/history", None, EMPTY, EMPTY),
    "POST /api/v1/sessions": ("/api/v1/sessions", {}, OWN, OWN),
    "GET /api/v1/sessions/{id}": ("/api/v1/sessions/{session}", None, 404, None),
    "GET /api/v1/sessions/{id}/export": ("/api/v1/sessions/{session}/export", None, 404, None),
    "GET /api/v1/conversations": ("/api/v1/conversations", None, EMPTY, EMPTY),
    "POST /api/v1/messages/{id}/feedback": ("/api/v1/messages/{message}/feedback", {"rating": "up"}, 404, 404),
    "GET /api/v1/messages/{id}/explain": ("/api/v1/messages/{message}/explain", None, 404, 404),
    "GET /api/v1/citations/{id}": ("/api/v1/citations/{citation}", None, 404, 404),
    "GET /api/v1/usage": ("/api/v1/usage", None, OWN, None),
    "GET /api/v1/report": ("/api/v1/report", None, OWN, None),
    "GET /api/v1/figures": ("/api/v1/figures", None, OWN, None),
    "GET /api/v1/errors": ("/api/v1/errors", None, OWN, None),
    "GET /api/v1/collections": ("/api/v1/collections", None, OWN, None),
    "GET /api/v1/collections/{name}": ("/api/v1/collections/{collection}", None, 404, None),
    "POST /api/v1/collections/{name}/switch-back": ("/api/v1/collections/{collection}/switch-back", None, 404, None),
    "POST /api/v1/collections/{name}/drop-old": ("/api/v1/collections/{collection}/drop-old", None, 404, None),
    "PUT /api/v1/collections/{name}": ("/api/v1/collections/{collection}", {"refusal": "none"}, OWN, None),
    "GET /api/v1/documents": ("/api/v1/documents", None, EMPTY, None),
    "POST /api/v1/documents": ("/api/v1/documents", {"id": "more", "text": "More."}, OWN, None),
    "GET /api/v1/documents/{id}": ("/api/v1/documents/{document}", None, 404, None),
    "GET /api/v1/documents/{id}/text": ("/api/v1/documents/{document}/text", None, 404, None),
    "POST /api/v1/documents/{id}/reindex": ("/api/v1/documents/{document}/reindex", None, 404, None),
    "GET /api/v1/jobs/{id}": ("/api/v1/jobs/{job}", None, 404, None),
    "POST /api/v1/search": ("/api/v1/search", {"query": "password harbour gate"}, EMPTY, None),
    "GET /api/v1/keys": ("/api/v1/keys", None, OWN, None),
    "POST /api/v1/keys": ("/api/v1/keys", {"label": "made", "scopes": ["chat"]}, OWN, None),
    "GET /api/v1/audit": ("/api/v1/audit", None, OWN, None),
    "POST /v1/chat/completions": ("/v1/chat/completions", {"messages": MESSAGES}, OWN, None),
    "POST /v1/completions": ("/v1/completions", {"prompt": QUESTION["question"]}, OWN, None),
    "POST /v1/responses": ("/v1/responses", {"input": QUESTION["question"], "previous_response_id": "{response}"}, 404, None),
    "POST /v1/embeddings": ("/v1/embeddings", {"input": "gate"}, OWN, None),
    "GET /v1/models": ("/v1/models", None, OWN, None),
    "GET /v1/models/{id}": ("/v1/models/rag:{collection}", None, 404, None),
    "GET /s/{id}": ("{page}", None, None, None),
    "POST /mcp": ("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "fetch", "arguments": {"id": "{document}"}}}, EMPTY, None),
    "GET /openapi.json": ("/openapi.json", None, None, None),
    "GET /docs": ("/docs", None, None, None),
    # what destroys comes last
    "DELETE /api/v1/chat/stream/{id}": ("/api/v1/chat/stream/{stream}", None, 404, 404),
    "DELETE /api/v1/conversations/{id}": ("/api/v1/conversations/{conversation}", None, 404, 404),
    "DELETE /api/v1/sessions/{id}": ("/api/v1/sessions/{session}", None, 404, None),
    "DELETE /api/v1/users/{user_id}": ("/api/v1/users/{user}", None, 404, None),
    "DELETE /api/v1/documents/{id}": ("/api/v1/documents/{document}", None, 404, None),
    "DELETE /api/v1/collections/{name}": ("/api/v1/collections/{collection}", None, 404, None),
    "PATCH /api/v1/keys/{id}": ("/api/v1/keys/{key}", {"label": "other"}, 404, None),
    "POST /api/v1/keys/{id}/rotate": ("/api/v1/keys/{rotated}/rotate", {"overlap_hours": 1}, 404, None),
    "DELETE /api/v1/keys/{id}": ("/api/v1/keys/{key}", None, 404, None),
}


def table():
    with open(os.path.join(TOP, "gateway", "route.tbl")) as f:
        return {f"{m} {p}": who for m, p, who in re.findall(r'^ROUTE\(\w+,\s*(\w+),\s*"([^"]+)",\s*(\w+)', f.read(), re.M)}


@pytest.fixture(scope="module")
def world():
    """Tenant a with one of everything, and the keys of all kinds of callers."""
    with Suite(auth="on", env={"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "1000000", "RATE_LIMIT_ADDR_REQUESTS": "1000000"}) as s:
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
        stream = s.stream("What is the password of the gate?", session, key=key["own"], resumable=True)[1][0].data["message_id"]
        later = new_session()
        s.request("POST", "/api/v1/sessions", key=key["own"], json={"session_id": later, "user_id": user})
        s.request("PUT", "/api/v1/collections/only-a", key=key["own"], json={"refusal": "none"})
        job = s.request("POST", "/api/v1/documents", key=key["own"], json={"id": "x", "text": "X."}).json()["job_id"]
        response = s.request("POST", "/v1/responses", key=key["own"], json={"input": QUESTION["question"]}).json()["id"]
        note = s.request("POST", "/v1/chat/completions", key=key["own"], json={"messages": MESSAGES}).json()["choices"][0]["message"]["annotations"][0]
        page = note["url_citation"]["url"].removeprefix(s.url)
        spare, rotated = (s.make_key(["chat"], tenant="tenant-a")["id"] for _ in range(2))
        things = {"conversation": answer["conversation_id"], "message": answer["message_id"], "citation": answer["sources"][0]["id"], "session": session, "user": user,
                  "document": document, "collection": "only-a", "job": job, "key": spare, "rotated": rotated, "response": response, "page": page,
                  "stream": stream}
        wait_for("the expired key is refused", lambda: s.request("GET", "/api/v1/documents", key=key["expired"]).status_code in (401, 429), 10, 0.7)
        yield s, key, things
        assert not s.down()


def call(world, route, key=None, session=None, origin=None, http=None):
    s, _, things = world
    fill = lambda t: t.format(**things)
    path, body, *_ = CALLS[route]
    headers = {"X-Session-ID": session or things["session"]}
    headers.update({"Authorization": "Bearer " + key} if key else {}, **({"Origin": origin} if origin else {}))
    inside = lambda v: fill(v) if isinstance(v, str) else {k: inside(x) for k, x in v.items()} if isinstance(v, dict) else v
    body = None if body is None else inside(body)
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


def names(route):
    """Its call names a thing."""
    return re.search(r"\{\w+\}", str(CALLS[route][:2])) is not None


def gives_nothing(r, things):
    named = [v for k, v in things.items() if k in ("conversation", "message", "citation", "document", "job", "key")]
    return not any(v in r.text for v in named) and "heliotrope-a" not in r.text


def judge(r, want, things, nobody, missing, route):
    """None, or what is wrong. What names a thing gets the same status and bytes as for a thing that nobody has."""
    if want in (EMPTY, OWN) and not (r.status_code < 300 and gives_nothing(r, things)):
        return r.status_code, "2xx without anything of the other"
    if want not in (EMPTY, OWN) and r.status_code != want:
        return r.status_code, want
    if want == OWN or not names(route):
        return None

    def plain(x):
        text = x.text.replace(x.headers["X-Request-ID"], "RID")
        # the dialect of /v1 says again what was asked for: that is the request's own
        for name in ("response", "collection") if " /v1/" in route else ():
            text = text.replace(things[name], "NAME").replace(nobody[name], "NAME")
        return x.status_code, text
    none = missing()
    return None if plain(r) == plain(none) else ("other than for what nobody has", plain(r), plain(none))


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
            if route in ("POST /api/v1/sessions", "POST /v1/chat/completions", "POST /v1/completions"):
                how = {**how, "session": new_session()}  # the same id in another tenant would be a session of its own
            named = {**things, "collection": "of-b"} if route.startswith("PUT") else things  # what is made there is the maker's own
            wrong = judge(call((s, key, named), route, **how), want, things, nobody, lambda: call((s, key, nobody), route, **how), route)
            if wrong:
                found.append((route, caller, *wrong))
    assert found == [], "\n".join(map(repr, found))


def test_the_owner_gets_all_of_it(world):
    s, key, _ = world
    found = []
    for route in CALLS:
        if route in table():
            r = call(world, route, key=key["own"])
            none = (404,) if route.startswith("DELETE /api/v1/sessions") else (409,) if route.endswith(NO_OTHER_SET) else ()
            if r.status_code >= 300 and r.status_code not in none:
                found.append((route, r.status_code, r.text[:200]))
    assert found == []


# ---- two tenants × two sessions × each other's things
SHARED = ("document", "collection", "job", "key", "rotated")             # of a tenant: its keys see them, whatever the session
OF_SESSION = ("conversation", "message", "citation", "response")
OF_KEY = ("POST /v1/responses",)                               # and of one key
OF_ADMINS = ("GET /api/v1/report", "GET /api/v1/audit", "GET /api/v1/usage", "GET /api/v1/keys")   # of the whole tenant, on purpose; audit has what was asked for


def owner(s, name):
    """A session of tenant name[0] with one of everything; everything of it has its name in it."""
    key = s.make_key(["chat", "ingest", "admin"], tenant="crowd-" + name[0])["key"]
    wait_for("the key works", lambda: s.request("GET", "/api/v1/documents", key=key).status_code == 200, 10, 0.1)
    session, word = new_session(), f"viola-{name}"
    spare, rotated = (s.make_key(["chat"], tenant="crowd-" + name[0])["id"] for _ in range(2))
    document = s.ingest(f"# Gate {name}\n\nThe password of gate {name} is {word}.\n", "gate-" + name, key=key)["document_id"]
    answer = s.answered(f"What is the password of gate {name}?", session, key=key)
    assert word in answer["answer"], answer
    stream = s.stream(f"What is the password of the gate {name}?", session, key=key, resumable=True)[1][0].data["message_id"]
    s.request("POST", "/api/v1/sessions", key=key, json={"session_id": session, "user_id": "user-" + name})
    s.request("PUT", "/api/v1/collections/crowd-of-" + name, key=key, json={"refusal": "none"})
    job = s.request("POST", "/api/v1/documents", key=key, json={"id": "x-" + name, "text": "X."}).json()["job_id"]
    response = s.request("POST", "/v1/responses", key=key, json={"input": f"What is the password of gate {name}?"}).json()["id"]
    return {"name": name, "bearer": key, "conversation": answer["conversation_id"], "message": answer["message_id"], "citation": answer["sources"][0]["id"],
            "session": session, "user": "user-" + name, "document": document, "collection": "crowd-of-" + name, "job": job, "key": spare, "rotated": rotated,
            "response": response, "page": "/", "word": word, "stream": stream}


def test_two_tenants_and_two_sessions_each_try_each_others_things_on_every_route(world):
    """Own and allowed: 2xx. Another's: the status and the bytes of what nobody has, and nothing of it anywhere."""
    s, _, _ = world
    owners = [owner(s, n) for n in ("a1", "a2", "b1", "b2")]
    nobody = {**{k: str(uuid.uuid4()) for k in owners[0]}, "collection": "nobody-s", "user": "nobody", "key": "0" * 64, "rotated": "0" * 64, "page": "/"}
    found, tried = [], 0

    def ask(me, things, route):
        """Under my key and in my session; what is made is my own."""
        named = {**things, "collection": "of-" + me["name"]} if route.startswith("PUT") else things
        return call((s, None, named), route, key=me["bearer"], session=me["session"])

    for route, (_, _, tenant, session) in CALLS.items():
        if table().get(route) in (None, "PUBLIC"):
            continue
        destroys = route.startswith("DELETE") or route.endswith(NO_OTHER_SET + ONCE)
        for me, other in itertools.product(owners, owners):
            mine = other["name"][0] == me["name"][0]
            want = None if other is me else tenant if not mine or route in OF_KEY else session
            if destroys and want is None:
                continue  # test_the_owner_gets_all_of_it
            r = ask(me, other, route)
            tried += 1
            wrong = None
            if want is None or not names(route):
                wrong = None if r.status_code < 300 else (r.status_code, r.text[:200])
            elif want != OWN:
                wrong = judge(r, want, other, nobody, lambda: ask(me, nobody, route), route)
            hidden = [v for o in owners if o["name"][0] != me["name"][0] for k, v in o.items() if k in (*SHARED, *OF_SESSION, "word")]
            hidden += [o[k] for o in owners for k in OF_SESSION if o["name"][0] == me["name"][0] and o is not me and (o is not other or want is not None) and
                       route not in OF_ADMINS]
            own_words = {other["response"], other["collection"]} if " /v1/" in route else {o["collection"] for o in owners} if route in OF_ADMINS else ()
            told = [v for v in hidden if v in r.text and v not in own_words]
            found += [(route, me["name"], other["name"], *x) for x in (wrong, told) if x]
    assert found == [], "\n".join(map(repr, found))
    assert tried > 400, tried
    assert [s.request("GET", "/api/v1/documents/" + o["document"], key=o["bearer"]).status_code for o in owners] == [200] * 4
    assert [len(s.history(o["session"], key=o["bearer"])["items"]) >= 2 for o in owners] == [True] * 4
