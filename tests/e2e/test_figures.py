"""GET /figures and GET /errors: what the console is drawn from, of one gateway, and who may see how much of it."""
import uuid

import pytest

from corpus_kit import Q_BUILT, add_corpus
from suite import ADMIN_KEY, Suite, new_session, wait_for

CHAT = "POST /api/v1/chat/query"


@pytest.fixture(scope="module")
def world():
    with Suite(auth="on", stub=True, env={"RATE_LIMIT_REQUESTS": "100000", "RATE_LIMIT_PER_HOUR": "100000"}) as s:
        add_corpus(s, key=ADMIN_KEY)
        yield s
        assert not s.down()


def figures(s, key=ADMIN_KEY, **params):
    r = s.request("GET", "/api/v1/figures", key=key, params=params)
    assert r.status_code == 200, r.text
    return r.json()


def errors(s, key=ADMIN_KEY, **params):
    r = s.request("GET", "/api/v1/errors", key=key, params=params)
    assert r.status_code == 200, r.text
    return r.json()


def total(points, member):
    return sum(p[member] for p in points)


def test_a_point_every_ten_seconds_says_what_was_asked_how_long_it_took_and_what_it_cost(world):
    before = figures(world)
    assert before["status"] == "ok" and before["whole"] and before["pool"]["max"] == 30 and before["services"]["store"]["workers"] == 1
    session = new_session()
    world.answered(Q_BUILT, session, key=ADMIN_KEY)
    wait_for("it is kept for others", lambda: world.ask(Q_BUILT, session, key=ADMIN_KEY).json()["cached"] == "query")
    world.ask("x" * 501, key=ADMIN_KEY)  # 422

    def later():
        points = figures(world, since=int(1000 * stamp(before["at"])))["points"]
        return points if total(points, "cached") else None
    points = wait_for("the next point", later, 25, 0.2)
    assert total(points, "questions") >= 2 and total(points, "refused") >= 1 and total(points, "failed") == 0
    timed = [p for p in points if p["questions"]]
    assert all(0 < p["p50_ms"] <= p["p95_ms"] < 60000 and p["added_p95_ms"] > 0 for p in timed)
    assert total(points, "cost_dollars") > 0 and total(points, "saved_dollars") > 0
    assert points[0]["at"] > before["at"] and len(figures(world)["points"]) > len(points)


def stamp(at):
    import datetime
    return datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


def test_a_failure_is_kept_with_its_code_route_and_request_id_and_without_its_question(world):
    world.stub.reset()
    world.stub.script({"route": "chat", "status": 400})
    r = world.ask("Who built the lighthouse of the secret canary?", key=ADMIN_KEY)
    assert r.status_code == 502
    got = errors(world)["failed"][0]
    assert got == {"at": got["at"], "ms": got["ms"], "code": "upstream_refused", "title": "the model server refused the request", "status": 502, "route": CHAT,
                   "tenant": "default", "request_id": r.headers["X-Request-ID"]}
    assert "canary" not in world.request("GET", "/api/v1/errors", key=ADMIN_KEY).text
    world.stub.reset()


def test_a_stream_that_ends_with_an_error_is_a_failure(world):
    world.stub.reset()
    world.stub.script({"route": "chat", "status": 400})
    r, events = world.stream("Who built the lighthouse of Varnholm, as a stream?", key=ADMIN_KEY)
    assert events[-1].kind == "error"
    got = errors(world)["failed"][0]
    assert (got["status"], got["route"], got["request_id"]) == (200, "POST /api/v1/chat/stream", r.headers["X-Request-ID"])
    world.stub.reset()


def test_a_flood_of_refused_requests_pushes_no_failure_out(world):
    world.stub.script({"route": "chat", "status": 400})
    failed = world.ask("Who built the lighthouse in a flood?", key=ADMIN_KEY).headers["X-Request-ID"]
    world.stub.reset()
    for _ in range(230):
        assert world.request("GET", f"/api/v1/jobs/{uuid.uuid4()}", key=ADMIN_KEY).status_code == 404
    got = errors(world, limit=200)
    assert len(got["refused"]) == 200 and failed in [x["request_id"] for x in got["failed"]]
    assert len(errors(world)["refused"]) == 50


def test_an_admin_of_another_tenant_sees_its_own_errors_and_no_figures_of_all(world):
    key = world.make_key(["admin", "chat", "ingest"], tenant="other")["key"]
    wait_for("the key works", lambda: world.request("GET", "/api/v1/keys", key=key).status_code == 200)
    mine = world.request("GET", f"/api/v1/jobs/{uuid.uuid4()}", key=key).headers["X-Request-ID"]
    world.request("GET", f"/api/v1/jobs/{uuid.uuid4()}", key=ADMIN_KEY)
    got = errors(world, key)
    assert [x["request_id"] for x in got["refused"]] == [mine] and got["failed"] == []
    told = figures(world, key)
    assert (told["whole"], told["pool"], told["points"]) == (False, None, []) and told["services"]["store"]["status"] == "ok"
    one = world.make_key(["admin"], collections=["docs"])["key"]
    wait_for("the key works", lambda: world.request("GET", "/api/v1/keys", key=one).status_code == 200)
    assert world.request("GET", "/api/v1/errors", key=one).status_code == 403 and not figures(world, one)["whole"]


def test_what_leads_to_no_route_is_not_kept(world):
    before = errors(world, limit=200)
    world.request("GET", "/nowhere", key=ADMIN_KEY)
    assert errors(world, limit=200)["refused"] == before["refused"]


def test_two_gateways_say_which_they_are(world):
    assert figures(world)["gateway"] == errors(world)["gateway"]
    was = figures(world)["gateway"]["id"]
    world.restart("gateway")
    now = figures(world)
    assert now["gateway"]["id"] != was and errors(world)["failed"] == []


# ---- a document is read again
def test_a_document_is_read_again_from_its_original(world):
    d = world.ingest("# Ferry\n\nThe ferry to Brekke leaves at seven.\n", "ferry", key=ADMIN_KEY)["document_id"]
    generation = world.sql("SELECT generation FROM documents WHERE id = %s", (d,))[0][0]
    world.sql("UPDATE documents SET text = convert_to('spoiled', 'UTF8') WHERE id = %s", (d,))
    r = world.request("POST", f"/api/v1/documents/{d}/reindex", key=ADMIN_KEY)
    assert r.status_code == 202 and r.json()["document_id"] == d
    job = wait_for("it is read", lambda: (j := world.request("GET", "/api/v1/jobs/" + r.json()["job_id"], key=ADMIN_KEY).json())["status"] != "running" and j)
    assert (job["status"], job["files"], job["files_done"], job["embedded"]) == ("done", 1, 1, 0)
    assert world.text(d, key=ADMIN_KEY).startswith(b"# Ferry")
    assert world.sql("SELECT generation FROM documents WHERE id = %s", (d,))[0][0] == generation + 1
    again = world.request("POST", "/api/v1/documents", key=ADMIN_KEY, json={"id": "ferry", "text": "# Ferry\n\nThe ferry to Brekke leaves at seven.\n", "content_type": "text/markdown"}).json()
    assert again["unchanged"] == 1  # its owner's next upload of the same is still known


def test_a_document_without_an_original_cannot_be_read_again(world):
    broken = world.request("POST", "/api/v1/documents?filename=broken.pdf&id=broken", key=ADMIN_KEY, data=b"%PDF-1.7 nothing", headers={"Content-Type": "application/pdf"}).json()
    wait_for("it failed", lambda: world.request("GET", "/api/v1/documents/" + broken["document_id"], key=ADMIN_KEY).json()["status"] == "failed")
    r = world.request("POST", f"/api/v1/documents/{broken['document_id']}/reindex", key=ADMIN_KEY)
    assert r.status_code == 409 and "send it again" in r.json()["detail"]
    assert world.request("POST", f"/api/v1/documents/{uuid.uuid4()}/reindex", key=ADMIN_KEY).status_code == 404
