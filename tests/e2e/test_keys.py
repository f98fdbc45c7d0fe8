"""API keys: how many there may be, what one may give, when one ends; and what a caller without one is never told."""
import datetime
import threading
import time
import uuid

import pytest

from corpus_kit import Q_NOTHING, check_problem
from suite import ADMIN_KEY, Suite, new_session, source_session, wait_for

KEYS, COLLECTIONS, SESSIONS = "/api/v1/keys", "/api/v1/collections", "/api/v1/sessions"


def status(s, key, path="/api/v1/documents", method="GET", **kw):
    """From an address of its own, so that no test is limited for another one's failures."""
    http = source_session(f"127.0.{uuid.uuid4().int % 200 + 20}.{uuid.uuid4().int % 250 + 1}")
    try:
        return http.request(method, s.url + path, headers={"Authorization": "Bearer " + key}, **kw).status_code
    finally:
        http.close()


def make(s, key, tenant=None, **fields):
    body = {"label": "t", **fields, **({"tenant": tenant} if tenant else {})}
    return s.request("POST", KEYS, key=key, json=body)


def everything(s, path, key, limit=None):
    """All items of a list, page by page."""
    items, cursor = [], None
    while True:
        r = s.request("GET", path, key=key, params={k: v for k, v in (("limit", limit), ("cursor", cursor)) if v})
        assert r.status_code == 200, r.text
        items += r.json()["items"]
        cursor = r.json()["next_cursor"]
        assert bool(cursor) == r.json()["has_more"]
        if not cursor:
            return items


def insert_keys(s, n, tenant, columns="", values=""):
    """Keys straight into the table, as a tenant would have made them in time."""
    return s.sql(f"INSERT INTO api_keys (hash, tenant, label, scopes{columns}) SELECT sha256(('key ' || i || %s)::bytea), %s, 'l',"
                 f" '{{chat}}'{values} FROM generate_series(1, {n}) i", (tenant, tenant))


# ---- how many
def test_more_keys_than_one_reply_holds_all_work_and_are_all_listed(locked):
    """1,500 of them, some 2 MB: neither their number nor their size hides one, here or of another tenant."""
    origins = ", ".join(f"'https://{'o' * 60}-{i}.example'" for i in range(16))
    insert_keys(locked, 1500, "many", ", origins", f", ARRAY[{origins}]")
    last = make(locked, ADMIN_KEY, "many", scopes=["chat"]).json()
    other = make(locked, ADMIN_KEY, "few", scopes=["chat"]).json()
    for k in (last, other):
        assert status(locked, k["key"]) == 200
    page = "&tenant=many"
    got = everything(locked, KEYS + "?x=1" + page, ADMIN_KEY)
    assert len(got) == len({k["id"] for k in got}) == 1501
    wait_for("all are known", lambda: locked.metrics("gateway").value("api_keys") >= 1502)
    assert locked.request("DELETE", f"{KEYS}/{last['id']}", key=ADMIN_KEY).status_code == 204
    assert status(locked, last["key"]) == 401
    locked.sql("DELETE FROM api_keys WHERE tenant = 'many'")
    wait_for("what SQL removed is forgotten", lambda: locked.metrics("gateway").value("api_keys") < 1400)


def test_a_revoked_key_is_refused_at_once_here_and_soon_by_sql(locked):
    for _ in range(20):
        k = make(locked, ADMIN_KEY, scopes=["chat"]).json()
        assert status(locked, k["key"]) == 200, "a new key counts before its answer is sent"
        assert locked.request("DELETE", f"{KEYS}/{k['id']}", key=ADMIN_KEY).status_code == 204
        assert status(locked, k["key"]) == 401
    k = make(locked, ADMIN_KEY, scopes=["chat"]).json()
    assert status(locked, k["key"]) == 200
    locked.sql("DELETE FROM api_keys WHERE hash = decode(%s, 'hex')", (k["id"],))
    wait_for("a key that SQL removed is refused", lambda: status(locked, k["key"]) == 401, 2)


def test_an_expired_key_is_refused_by_the_gateway_itself(locked):
    """Its row stays: nobody has to tell the gateway."""
    k = make(locked, ADMIN_KEY, scopes=["chat"], expires_days=1).json()
    assert status(locked, k["key"]) == 200
    locked.sql("UPDATE api_keys SET expires_at = now() + interval '1500 ms' WHERE hash = decode(%s, 'hex')", (k["id"],))
    until = time.monotonic() + 1.5
    wait_for("the key ends", lambda: status(locked, k["key"]) == 401, 4)
    assert time.monotonic() > until - 0.1, "not before its time"
    assert locked.sql("SELECT count(*) FROM api_keys WHERE hash = decode(%s, 'hex')", (k["id"],)) == [(1,)]
    assert k["id"] not in {i["id"] for i in everything(locked, KEYS, ADMIN_KEY)}


def test_every_answer_says_when_its_key_ends(locked):
    """Also a refusal, a stream, and an answer to a page: its script may read the header."""
    k = make(locked, ADMIN_KEY, scopes=["chat"], expires_days=3).json()
    for method, path, code, kw in (("GET", "/api/v1/documents", 200, {}), ("GET", KEYS, 403, {}),
                                   ("GET", "/api/v1/documents/nothing", 404, {}), ("GET", "/v1/models", 200, {}), ("POST", "/api/v1/chat/stream", 200, {"json": {"question": Q_NOTHING, "session_id": new_session()}})):
        r = locked.request(method, path, key=k["key"], **kw)
        assert (r.status_code, r.headers.get("X-Key-Expires-At")) == (code, k["expires_at"]), path
    page = make(locked, ADMIN_KEY, scopes=["chat"], origins=["https://a.example"], expires_days=1).json()
    r = locked.request("GET", "/api/v1/documents", key=page["key"], headers={"Origin": "https://a.example"})
    assert r.headers["X-Key-Expires-At"] == page["expires_at"] and "X-Key-Expires-At" in r.headers["Access-Control-Expose-Headers"]
    for key in (make(locked, ADMIN_KEY, scopes=["chat"]).json()["key"], ADMIN_KEY, None):
        assert "X-Key-Expires-At" not in locked.request("GET", "/v1/models", key=key).headers
    for made in (k, page):  # other tests look at what ends soon
        assert locked.request("DELETE", f"{KEYS}/{made['id']}", key=ADMIN_KEY).status_code == 204


def rotate(s, id, key=ADMIN_KEY, **fields):
    return s.request("POST", f"{KEYS}/{id}/rotate", key=key, json=fields)


RIGHTS = ("label", "tenant", "scopes", "collections", "origins", "per_minute", "per_hour")


def left_h(at):
    return (datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() - time.time()) / 3600


def test_a_rotated_key_works_on_beside_its_successor_and_then_ends(locked):
    old = make(locked, ADMIN_KEY, "turn", scopes=["chat"], collections=["docs"], per_minute=70, per_hour=700, expires_days=20).json()
    r = rotate(locked, old["id"])
    assert r.status_code == 201, r.text
    new = r.json()
    assert new["key"] != old["key"] and new["id"] != old["id"] == new["replaces"] and {f: new[f] for f in RIGHTS} == {f: old[f] for f in RIGHTS}
    assert 23.9 < left_h(new["replaces_until"]) < 24.1, "the usual overlap"
    assert 24 * 19.9 < left_h(new["expires_at"]) < 24 * 20.1, "as long as the old one was made for"
    assert status(locked, old["key"]) == status(locked, new["key"]) == 200
    listed = {k["id"]: k for k in everything(locked, KEYS + "?tenant=turn", ADMIN_KEY)}
    assert listed[old["id"]]["replaced_by"] == new["id"] and listed[old["id"]]["expires_at"] == new["replaces_until"] and listed[new["id"]]["replaced_by"] is None
    check_problem(rotate(locked, old["id"]), 409, "conflict")
    # without an overlap the old one ends at once, and what never ended does not end
    for _ in range(5):
        plain = make(locked, ADMIN_KEY, "turn", scopes=["chat"]).json()
        next_ = rotate(locked, plain["id"], overlap_hours=0).json()
        assert next_["expires_at"] is None and status(locked, next_["key"]) == 200
        assert status(locked, plain["key"]) == 401
    assert 24 * 4.9 < left_h(rotate(locked, next_["id"], overlap_hours=720, expires_days=5).json()["expires_at"]) < 24 * 5.1
    soon = make(locked, ADMIN_KEY, "turn", scopes=["chat"], expires_days=1).json()
    assert rotate(locked, soon["id"], overlap_hours=48).json()["replaces_until"] == soon["expires_at"], "an overlap is no longer life"
    # a successor that was revoked may be followed by another
    assert locked.request("DELETE", f"{KEYS}/{new['id']}?tenant=turn", key=ADMIN_KEY).status_code == 204
    assert rotate(locked, old["id"]).status_code == 201


def test_a_key_rotates_only_what_it_could_make(locked):
    whole = make(locked, ADMIN_KEY, "spin", scopes=["chat", "ingest", "admin"]).json()
    fast = make(locked, ADMIN_KEY, "spin", scopes=["chat"], per_hour=100000000).json()
    some = make(locked, ADMIN_KEY, "spin", scopes=["chat", "admin"], collections=["mine"], per_minute=50, expires_days=2).json()
    below = make(locked, some["key"], scopes=["chat"], per_minute=5).json()
    usual = make(locked, ADMIN_KEY, "spin", scopes=["chat"], collections=["mine"]).json()
    loader = make(locked, ADMIN_KEY, "spin", scopes=["chat", "ingest"], collections=["mine"], per_minute=5).json()
    stranger = make(locked, ADMIN_KEY, "spun", scopes=["chat", "ingest", "admin"]).json()["key"]
    for key, of, code in ((whole["key"], fast, 403), (some["key"], usual, 403), (some["key"], loader, 403), (some["key"], whole, 404), (some["key"], fast, 404),
                          (stranger, whole, 404), (stranger, below, 404), (below["key"], below, 403)):
        r = rotate(locked, of["id"], key)
        check_problem(r, code, "forbidden" if code == 403 else "not_found")
        assert status(locked, of["key"]) == 200
    assert all(k["replaced_by"] is None for k in everything(locked, KEYS + "?tenant=spin", ADMIN_KEY))
    made = rotate(locked, below["id"], some["key"], expires_days=3000).json()
    assert made["per_minute"] == 5 and made["expires_at"] == some["expires_at"], "no later than the end of who made it"
    assert rotate(locked, whole["id"], whole["key"]).status_code == 201, "its own, too"
    for bad in ("0" * 64, "x", "0" * 63):
        check_problem(rotate(locked, bad), 404, "not_found")
    check_problem(rotate(locked, usual["id"], ADMIN_KEY, overlap_hours=-1), 422, "validation")
    for fields in ({"overlap_hours": 721}, {"overlap_hours": "1"}, {"expires_days": 0}, {"scopes": ["admin"]}):
        check_problem(rotate(locked, usual["id"], **fields), 422, "validation")
    once = [locked.request("POST", f"{KEYS}/{usual['id']}/rotate", key=whole["key"], json={}, headers={"Idempotency-Key": "turn-1"}) for _ in range(2)]
    assert once[0].status_code == 201 and once[1].headers["Idempotency-Replayed"] == "true" and once[0].json() == once[1].json()
    did = trail(locked, whole["key"], limit=200)["items"]
    assert ("POST /api/v1/keys/{id}/rotate", 201, usual["id"]) in {(i["action"], i["status"], i["target"]) for i in did}
    assert once[0].json()["key"] not in str(did)


def test_a_list_says_on_which_day_a_key_was_last_used(locked):
    """One write a day, and however many requests."""
    k = make(locked, ADMIN_KEY, "used", scopes=["chat"], origins=["https://a.example"]).json()
    idle = make(locked, ADMIN_KEY, "used", scopes=["chat"]).json()
    assert k["last_used_on"] is None
    assert status(locked, k["key"]) == 403, "of another origin: that is no use"
    for key in (make(locked, ADMIN_KEY, "used", scopes=["chat"]).json()["key"], ADMIN_KEY):
        assert status(locked, key) == 200

    def days():
        return {i["id"]: i["last_used_on"] for i in everything(locked, KEYS + "?tenant=used", ADMIN_KEY)}
    wait_for("the first use is told", lambda: sum(d is not None for d in days().values()) == 1)
    assert days()[k["id"]] is days()[idle["id"]] is None
    use = lambda: locked.request("GET", "/api/v1/documents", key=k["key"], headers={"Origin": "https://a.example"}).status_code
    row = lambda: locked.sql("SELECT used_on::text, xmin::text, ctid::text FROM key_uses WHERE hash = decode(%s, 'hex')", (k["id"],))
    seq = locked.sql("SELECT seq FROM key_head")
    assert use() == 200
    today = {time.strftime("%Y-%m-%d", time.gmtime())}
    before = wait_for("it is told", row)
    today.add(time.strftime("%Y-%m-%d", time.gmtime()))
    assert days()[k["id"]] == before[0][0] and before[0][0] in today and days()[idle["id"]] is None
    assert locked.sql("SELECT seq FROM key_head") == seq, "a use is no change of a key"
    for _ in range(50):
        assert use() == 200
    make(locked, ADMIN_KEY, "used", scopes=["chat"])  # the keys are read once more
    third = make(locked, ADMIN_KEY, "used", scopes=["chat"]).json()
    assert status(locked, third["key"]) == 200
    wait_for("a later use is told", lambda: days()[third["id"]])
    assert row() == before or len(today) > 1
    assert locked.request("DELETE", f"{KEYS}/{k['id']}?tenant=used", key=ADMIN_KEY).status_code == 204
    assert row() == []


def test_a_tenant_has_no_more_than_it_may(small):
    """Exactly so many, however many ask at once; what is over is said, with what to do."""
    def fill(send, n):
        codes, lock = [], threading.Lock()

        def one(i):
            r = send(i)
            with lock:
                codes.append(r.status_code)
        threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sorted(codes)
    admin = make(small, ADMIN_KEY, "full", scopes=["chat", "ingest", "admin"]).json()
    got = fill(lambda i: make(small, admin["key"], scopes=["chat"]), 12)
    assert got == [201] * 4 + [409] * 8
    r = make(small, admin["key"], scopes=["chat"])
    check_problem(r, 409, "limit_reached")
    check_problem(rotate(small, everything(small, KEYS, admin["key"])[-1]["id"], admin["key"]), 409, "limit_reached")
    assert "MAX_KEYS_PER_TENANT" in r.json()["detail"] and "DELETE /api/v1/keys" in r.json()["detail"]
    assert make(small, ADMIN_KEY, "empty", scopes=["chat"]).status_code == 201, "another tenant has its own"
    one = everything(small, KEYS, admin["key"])[-1]
    assert small.request("DELETE", f"{KEYS}/{one['id']}", key=admin["key"]).status_code == 204
    assert make(small, admin["key"], scopes=["chat"]).status_code == 201, "there is room again"

    got = fill(lambda i: small.request("PUT", f"{COLLECTIONS}/c{i}", key=admin["key"], json={}), 12)
    assert got == [200] * 4 + [409] * 8
    have = [c["name"] for c in everything(small, COLLECTIONS, admin["key"])]
    assert len(have) == 4
    assert small.request("PUT", f"{COLLECTIONS}/{have[0]}", key=admin["key"], json={"top_k": 3}).status_code == 200
    r = small.request("POST", "/api/v1/documents", key=admin["key"], json={"text": "x", "collection": "one-more"})
    check_problem(r, 409, "limit_reached")
    assert "MAX_COLLECTIONS_PER_TENANT" in r.json()["detail"]
    docs, here = "/api/v1/documents", {"collection": have[1]}

    def put(i, text="x"):
        return small.request("POST", docs, key=admin["key"], json={"id": f"d{i}", "text": text, **here})
    assert fill(put, 12) == [202] * 6 + [409] * 6
    r = put("one more")
    check_problem(r, 409, "limit_reached")
    assert "MAX_DOCUMENTS_PER_TENANT" in r.json()["detail"]
    there = everything(small, docs, admin["key"])
    assert len(there) == 6
    mine = there[0]["external_id"]
    assert put(mine[1:], "y" * 500).status_code == 202, "another version of the same one is no more of them"
    r = put(mine[1:], "z" * 5000)
    check_problem(r, 409, "limit_reached")
    assert "MAX_BYTES_PER_TENANT" in r.json()["detail"]

    def told():
        return small.sql("SELECT documents, bytes FROM tenant_usage WHERE tenant = 'full'")[0]

    def stored():
        return small.sql("SELECT count(DISTINCT d.id), COALESCE(sum(octet_length(d.body)), 0)::int8 + (SELECT COALESCE(sum(octet_length(body)), 0)"
                         " FROM uploads WHERE tenant = 'full')::int8 FROM documents d WHERE d.tenant = 'full'")[0]
    wait_for("all are ingested", lambda: {d["status"] for d in everything(small, docs, admin["key"])} == {"ready"}, 20)
    assert told() == stored() == (6, 505)
    assert small.request("DELETE", f"{docs}/{mine}", key=admin["key"], params=here).status_code == 204
    assert told() == stored() == (5, 5)
    assert put("one more").status_code == 202
    assert small.request("DELETE", f"{COLLECTIONS}/{have[1]}", key=admin["key"]).status_code == 204
    assert told() == stored() == (0, 0)


@pytest.fixture(scope="module")
def small():
    """Limits that a test can reach."""
    with Suite(auth="on", service_env={"store": {"MAX_KEYS_PER_TENANT": "5", "MAX_COLLECTIONS_PER_TENANT": "4",
                                                     "MAX_DOCUMENTS_PER_TENANT": "6", "MAX_BYTES_PER_TENANT": "2000"}}) as s:
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


# ---- collections
def test_more_collections_than_one_reply_holds_all_answer(locked):
    """1,200 with prompts of some 2 MB together: each takes questions, has its settings, and is listed."""
    key = make(locked, ADMIN_KEY, "shelf", scopes=["chat", "ingest", "admin"], per_minute=100000, per_hour=10000000).json()["key"]
    locked.sql("INSERT INTO collections (tenant, name, prompt, refusal) SELECT 'shelf', 'c' || lpad(i::text, 4, '0'), repeat('p', 2000),"
               " 'no answer from ' || i FROM generate_series(1, 1200) i")
    for i in (1, 66, 999, 1000, 1001, 1200):
        name = f"c{i:04}"
        a = locked.ask(Q_NOTHING, new_session(), key=key, collection=name)
        assert a.status_code == 200 and a.json()["answer"] == f"no answer from {i}", (name, a.text)
        assert locked.request("GET", f"{COLLECTIONS}/{name}", key=key).status_code == 200
    check_problem(locked.ask(Q_NOTHING, key=key, collection="c1201"), 404, "not_found")
    assert [c["name"] for c in everything(locked, COLLECTIONS, key, 100)] == [f"c{i:04}" for i in range(1, 1201)]
    r = locked.request("GET", COLLECTIONS, key=key, params={"page": 2, "limit": 7}).json()
    assert [c["name"] for c in r["items"]] == [f"c{i:04}" for i in range(8, 15)] and r["page"] == 2 and r["has_more"]
    # settings that change, and a collection that goes, count at once
    assert locked.request("PUT", f"{COLLECTIONS}/c1200", key=key, json={"refusal": "other words"}).status_code == 200
    assert locked.ask(Q_NOTHING, new_session(), key=key, collection="c1200").json()["answer"] == "other words"
    assert locked.request("DELETE", f"{COLLECTIONS}/c1200", key=key).status_code == 204
    check_problem(locked.ask(Q_NOTHING, key=key, collection="c1200"), 404, "not_found")
    locked.sql("UPDATE collections SET refusal = 'by hand' WHERE tenant = 'shelf' AND name = 'c0001'")
    assert locked.request("PUT", f"{COLLECTIONS}/c1200", key=key, json={}).status_code == 200
    assert locked.ask(Q_NOTHING, new_session(), key=key, collection="c1200").status_code == 200


# ---- nobody gives what they have not
def test_a_key_makes_only_what_it_has_itself(locked):
    for c in ("pub", "priv"):
        locked.ingest(f"# {c}\n\nThe secret of {c} is mallow-{c}.\n", "one", key=ADMIN_KEY, collection=c)
    admin = make(locked, ADMIN_KEY, scopes=["chat", "admin"], collections=["pub"], per_minute=50, per_hour=500, expires_days=2).json()
    key = admin["key"]
    for fields in ({"scopes": ["chat", "ingest"]}, {"scopes": ["ingest"]}, {"scopes": ["chat"], "collections": ["priv"]},
                   {"scopes": ["chat"], "collections": ["pub", "priv"]}, {"scopes": ["chat"], "per_minute": 51},
                   {"scopes": ["chat"], "per_hour": 501}, {"scopes": ["chat"], "tenant": "another"}):
        r = make(locked, key, **fields)
        check_problem(r, 403, "forbidden")
        assert "/" in r.json()["detail"] or "tenant" in r.json()["detail"], r.text
    made = make(locked, key, scopes=["chat", "admin"], expires_days=3000).json()
    assert made["collections"] == ["pub"] and made["per_minute"] == 50 and made["per_hour"] == 500
    assert made["expires_at"] == admin["expires_at"]
    less = make(locked, key, scopes=["chat"], collections=["pub"], per_minute=5, expires_days=1).json()
    assert less["per_minute"] == 5 and less["expires_at"] < admin["expires_at"]
    for k in (key, made["key"], less["key"]):
        r = locked.request("POST", "/api/v1/search", key=k, json={"query": "secret mallow", "collection": "priv"})
        check_problem(r, 404, "not_found")
    # an admin of its own tenant with the usual rate makes no faster key
    plain = make(locked, ADMIN_KEY, "rates", scopes=["chat", "admin"]).json()["key"]
    check_problem(make(locked, plain, scopes=["chat"], per_hour=100000000), 403, "forbidden")
    assert make(locked, plain, scopes=["chat"], per_minute=600).status_code == 201


def test_an_admin_of_some_collections_manages_those_only(locked):
    own = make(locked, ADMIN_KEY, scopes=["chat", "ingest", "admin"], collections=["mine", "ours"]).json()
    whole = make(locked, ADMIN_KEY, scopes=["chat"]).json()
    other = make(locked, ADMIN_KEY, scopes=["chat"], collections=["theirs"]).json()
    wider = make(locked, ADMIN_KEY, scopes=["chat"], collections=["mine", "theirs"]).json()
    below = make(locked, own["key"], scopes=["chat"], collections=["ours"]).json()
    key = own["key"]
    assert {k["id"] for k in everything(locked, KEYS, key)} == {own["id"], below["id"]}
    for k in (whole, other, wider):
        check_problem(locked.request("DELETE", f"{KEYS}/{k['id']}", key=key), 404, "not_found")
        assert status(locked, k["key"]) == 200
    check_problem(locked.request("GET", KEYS, key=key, params={"tenant": "few"}), 403, "forbidden")
    check_problem(locked.request("GET", "/api/v1/usage", key=key), 403, "forbidden")
    check_problem(locked.request("DELETE", "/api/v1/users/somebody", key=key), 403, "forbidden")
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        check_problem(locked.request(method, f"{COLLECTIONS}/theirs", key=key, json=body), 404, "not_found")
    assert locked.request("PUT", f"{COLLECTIONS}/mine", key=key, json={}).status_code == 200
    check_problem(locked.request("POST", "/api/v1/documents", key=key, json={"text": "x", "collection": "theirs"}), 404, "not_found")
    assert locked.request("DELETE", f"{KEYS}/{below['id']}", key=key).status_code == 204
    assert status(locked, below["key"]) == 401


# ---- secrets are minted for one
def test_a_session_is_never_replayed_to_somebody_without_a_key(locked):
    """Two strangers behind one address, one of whom guesses the other's Idempotency-Key."""
    page = make(locked, ADMIN_KEY, scopes=["chat"], origins=["https://a.example"]).json()["key"]
    for headers in ({}, {"Authorization": "Bearer " + page, "Origin": "https://a.example"}):
        got = []
        for _ in range(2):
            r = locked.http.post(locked.url + SESSIONS, json={}, headers={"Idempotency-Key": "1", **headers})
            assert r.status_code == 201 and "Idempotency-Replayed" not in r.headers, r.text
            got.append(r.json()["session_id"])
        assert got[0] != got[1]
    # with a chosen session a repetition is the same session by itself
    mine = new_session()
    for _ in range(2):
        r = locked.http.post(locked.url + SESSIONS, json={"session_id": mine}, headers={"Idempotency-Key": "1"})
        assert r.status_code == 201 and r.json()["session_id"] == mine
    # and a stranger's use of a header's value is nobody else's mismatch
    r = locked.http.post(locked.url + "/api/v1/chat/query", json={"question": Q_NOTHING, "session_id": new_session()},
                         headers={"Idempotency-Key": "1"})
    assert r.status_code == 200


def test_a_key_is_replayed_to_its_maker_only_and_sealed_at_rest(locked):
    maker = make(locked, ADMIN_KEY, scopes=["chat", "admin"]).json()["key"]
    body, idem = {"label": "once", "scopes": ["chat"]}, "predictable-1"

    def send(key):
        return locked.request("POST", KEYS, key=key, json=body, headers={"Idempotency-Key": idem})
    first, again, stranger = send(maker), send(maker), send(ADMIN_KEY)
    assert again.headers["Idempotency-Replayed"] == "true" and again.json() == first.json()
    assert "Idempotency-Replayed" not in stranger.headers and stranger.json()["key"] != first.json()["key"]
    secret = first.json()["key"].encode()
    dump = b"".join(bytes(r[0]) for r in locked.sql("SELECT body FROM idempotency WHERE body IS NOT NULL"))
    assert len(dump) > 0 and secret not in dump


# ---- what a thief of the database finds
def test_made_up_sessions_leave_nothing_in_the_database(locked):
    before = locked.sql("SELECT count(*) FROM erased_sessions")[0][0]
    for _ in range(20):
        check_problem(locked.http.delete(f"{locked.url}{SESSIONS}/{new_session()}"), 404, "not_found")
    assert locked.sql("SELECT count(*) FROM erased_sessions")[0][0] == before
    mine = new_session()
    assert locked.ask(Q_NOTHING, mine).status_code == 200
    assert locked.http.delete(f"{locked.url}{SESSIONS}/{mine}").status_code == 204
    assert locked.sql("SELECT count(*) FROM erased_sessions")[0][0] == before + 1


def traces(secret):
    """A secret as a dump might show it: as it is, and a bytea of its text or of a UUID's own bytes in hex."""
    forms = [secret, secret.encode().hex()]
    try:
        u = uuid.UUID(secret)
        forms += [u.hex, u.hex.upper()]
    except ValueError:
        forms.append(secret.removeprefix("fn_"))
    return forms


def test_no_session_id_and_no_key_is_in_a_dump_or_in_a_log(locked):
    """Everything that takes a secret, then every table, every value in Redis, and every log, searched for every secret."""
    key = make(locked, ADMIN_KEY, scopes=["chat", "ingest", "admin"]).json()["key"]
    locked.ingest("# Lamp\n\nThe lamp on the pier burns from dusk to dawn.\n", "pier", key=key)
    secrets = [key, ADMIN_KEY]
    for k in (key, None):
        for headers in ({}, {"Idempotency-Key": "dump-" + uuid.uuid4().hex}):
            made = locked.request("POST", SESSIONS, key=k, json={"user_id": "dumped"} if k else {}, headers=headers)
            s = made.json()["session_id"]
            for _ in range(2):                                       # the second one comes from the cache
                a = locked.ask("How long does the lamp on the pier burn?", s, key=k, headers=headers)
                assert a.status_code == 200, a.text
            fb = {"rating": "up"}
            locked.request("POST", f"/api/v1/messages/{a.json()['message_id']}/feedback", key=k, session=s, json=fb)
            for path in (f"{SESSIONS}/{s}", f"{SESSIONS}/{s}/export", "/api/v1/conversations", "/api/v1/chat/history"):
                assert locked.request("GET", path, key=k, session=s).status_code == 200
            locked.request("GET", "/api/v1/chat/history", key=k, params={"session_id": s})
            secrets.append(s)
            if k:
                r = make(locked, k, scopes=["chat"])
                secrets.append(r.json()["key"])
                body = {"label": "again", "scopes": ["chat"]}
                secrets.append(locked.request("POST", KEYS, key=k, json=body, headers={"Idempotency-Key": "dump"}).json()["key"])
    locked.request("DELETE", f"{SESSIONS}/{secrets[2]}", key=key)
    status(locked, secrets[-1] + "x")                                # a wrong key is no more to be logged than a right one
    secrets.append(secrets[-1] + "x")

    heaps = {}
    for (table,) in locked.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'footnote'"):
        heaps[table] = "\n".join(r[0] for r in locked.sql(f"SELECT t::text FROM {table} t"))
    assert "dumped" in heaps["user_sessions"] and len(heaps["messages"]) > 500
    client = locked.redis.client()
    for name in client.scan_iter():
        heaps["redis " + name.decode("latin-1")] = name.decode("latin-1") + client.dump(name).decode("latin-1")
    for name, service in locked.services.items():
        with open(service.log_path, errors="replace") as f:
            heaps["log of " + name] = f.read()
    found = {(where, secret[:8]) for where, text in heaps.items() for secret in secrets for form in traces(secret) if form in text}
    assert not found, found


# ---- the audit trail
def trail(s, key, **params):
    r = s.request("GET", "/api/v1/audit", key=key, params=params)
    assert r.status_code == 200, r.text
    return r.json()


def test_an_admin_reads_who_did_what_in_their_own_tenant_and_no_secret(locked):
    admin = make(locked, ADMIN_KEY, "audited", scopes=["chat", "ingest", "admin"]).json()
    key, session = admin["key"], new_session()
    made = make(locked, key, scopes=["chat"]).json()
    assert locked.request("POST", SESSIONS, key=key, json={"session_id": session, "user_id": "a person"}).status_code == 201
    locked.request("PUT", f"{COLLECTIONS}/kept", key=key, json={})
    doc = locked.ingest("# A\n\nWords.\n", "a", key=key, collection="kept")["document_id"]
    for path, code in ((f"/api/v1/documents/{doc}", 204), (f"{COLLECTIONS}/kept", 204), (f"{SESSIONS}/{session}", 204),
                       (f"{KEYS}/{made['id']}", 204), (f"{KEYS}/{made['id']}", 404)):
        assert locked.request("DELETE", path, key=key).status_code == code
    chat = make(locked, key, scopes=["chat"]).json()
    check_problem(locked.request("GET", KEYS, key=chat["key"]), 403, "forbidden")
    assert status(locked, "fn_wrong", KEYS) == 401

    def all_there():
        items = trail(locked, key)["items"]
        return items if len(items) >= 9 else None
    items = wait_for("the trail", all_there)
    did = [(i["action"], i["status"], i["target"]) for i in reversed(items)]
    k = "DELETE /api/v1/keys/{id}"
    assert did[:4] == [("POST /api/v1/keys", 201, made["id"]), ("PUT /api/v1/collections/{name}", 200, "kept"),
                       ("DELETE /api/v1/documents/{id}", 204, doc), ("DELETE /api/v1/collections/{name}", 204, "kept")]
    assert did[4][:2] == ("DELETE /api/v1/sessions/{id}", 204) and did[4][2].startswith("sha256:")
    assert did[5:] == [(k, 204, made["id"]), (k, 404, made["id"]), ("POST /api/v1/keys", 201, chat["id"]), ("GET /api/v1/keys", 403, None)]
    assert {i["actor"] for i in items} == {admin["id"], chat["id"]} and {i["address"] for i in items} == {"127.0.0.1"}
    text = str(items)
    assert session not in text and "a person" not in text and key not in text
    # pages, walls, and the log
    first = trail(locked, key, limit=4)
    rest = trail(locked, key, limit=200, cursor=first["next_cursor"])
    assert first["has_more"] and not rest["has_more"] and first["items"] + rest["items"] == items
    other = make(locked, ADMIN_KEY, "unaudited", scopes=["chat", "admin"]).json()["key"]
    assert trail(locked, other)["items"] == []
    some = make(locked, ADMIN_KEY, "audited", scopes=["admin"], collections=["kept"]).json()["key"]
    for who in (chat["key"], some):
        check_problem(locked.request("GET", "/api/v1/audit", key=who), 403, "forbidden")
    lines = [x for x in locked.services["gateway"].log_lines() if x.get("msg") == "audit"]
    assert {"actor", "action", "target", "address", "status", "tenant"} <= set(lines[-1])
    assert any(x["status"] == 401 and x["actor"] == "anonymous" for x in lines), "of a caller without a key in the log only"


def test_refusals_fill_the_audit_trail_no_faster_than_one_a_second(locked):
    admin = make(locked, ADMIN_KEY, "flooded", scopes=["chat", "admin"]).json()["key"]
    chat = make(locked, admin, scopes=["chat"]).json()["key"]
    for _ in range(150):
        assert locked.request("GET", KEYS, key=chat).status_code == 403
    assert 60 <= len(everything(locked, "/api/v1/audit", admin, 200)) <= 75
