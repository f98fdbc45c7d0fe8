"""GET /api/v1/report and `footnote report`: what the documents lack."""
import pytest

from suite import ADMIN_KEY, Suite, new_session


@pytest.fixture(scope="module")
def suite():
    with Suite(auth="on") as s:
        s.key = s.make_key(["chat", "ingest", "admin"])["key"]
        s.ingest("# Ferry\n\nThe turquoise lever releases the anchor of the ferry.\n", "ferry", key=s.key)
        s.ingest("# Inner\n\nThe ochre lever lifts the inner gate.\n", "inner", key=s.key, collection="inner")
        for q in ("How do I reset the zeppelin pump?", "resetting the zeppelin pumps?", "how to reset a ZEPPELIN pump"):
            assert s.answered(q, key=s.key)["grounded"] is False
        assert s.answered("Where are quantum marmalades brewed?", key=s.key, collection="inner")["grounded"] is False
        session = new_session()
        a = s.answered("What does the turquoise lever release?", session, key=s.key)
        assert a["grounded"]
        s.bad = a["message_id"]
        r = s.request("POST", f"/api/v1/messages/{a['message_id']}/feedback", key=s.key, session=session, json={"rating": "down", "comment": "Which\x1b[31m ferry?"})
        assert r.status_code == 204
        yield s
        assert not s.down()


def report(suite, key=None, **params):
    return suite.request("GET", "/api/v1/report", key=key or suite.key, params=params)


def test_questions_with_the_same_words_are_one(suite):
    r = report(suite).json()
    assert r["days"] == 7 and r["has_more"] is False and r["limit"] == 50
    first = r["items"][0]
    assert (first["unanswered"], first["rated_down"], first["collection"]) == (3, 0, "docs") and "pump" in first["question"]
    assert len(first["wordings"]) == 2 and first["last_at"] and first["message_id"]
    rest = {i["question"]: i for i in r["items"][1:]}
    assert set(rest) == {"Where are quantum marmalades brewed?", "What does the turquoise lever release?"}
    bad = rest["What does the turquoise lever release?"]
    assert (bad["unanswered"], bad["rated_down"], bad["comment"], bad["message_id"]) == (0, 1, "Which\x1b[31m ferry?", suite.bad)
    assert {c["collection"]: (c["questions"], c["unanswered"], c["rated_down"]) for c in r["collections"]} == {"docs": (2, 3, 1), "inner": (1, 1, 0)}


def test_collection_and_limit_choose(suite):
    r = report(suite, collection="inner").json()
    assert [i["collection"] for i in r["items"]] == ["inner"] and len(r["collections"]) == 1
    r = report(suite, limit=1).json()
    assert len(r["items"]) == 1 and r["has_more"] and r["items"][0]["unanswered"] == 3 and len(r["collections"]) == 2
    assert report(suite, days=1).json()["days"] == 1


def test_it_is_for_admins_of_the_whole_tenant(suite):
    for scopes in (["chat"], ["ingest"]):
        assert report(suite, key=suite.make_key(scopes)["key"]).status_code == 403
    assert report(suite, key=suite.make_key(["admin"], collections=["docs"])["key"]).status_code == 403
    assert report(suite, key=suite.make_key(["admin"], tenant="elsewhere")["key"]).json()["items"] == []
    assert suite.request("GET", "/api/v1/report").status_code == 401
    assert report(suite, key=ADMIN_KEY).status_code == 200


@pytest.mark.parametrize("params", [{"days": 0}, {"days": 367}, {"days": "x"}, {"limit": 0}, {"limit": 1001}, {"collection": "a b"}])
def test_what_is_no_range_is_said(suite, params):
    r = report(suite, **params)
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/" + next(iter(params))


def test_the_client_prints_it_as_a_table(suite):
    r = suite.cli("report", env={"FOOTNOTE_KEY": suite.key})
    assert r.returncode == 0, r.stderr
    lines = r.stdout.splitlines()
    assert lines[0].split() == ["unanswered", "rated", "down", "last", "collection,", "question"]
    assert lines[1].split()[:2] == ["3", "0"] and "asked in other words, too" in lines[1]
    assert any("turquoise" in line and "ferry?" in line and "\x1b" not in line for line in lines)
    assert "collection docs: 2 questions, 3 times unanswered, 1 answers rated down" in r.stdout
    r = suite.cli("report", "--collection", "nothing", env={"FOOTNOTE_KEY": suite.key})
    assert r.returncode == 0 and "Every question" in r.stdout
    r = suite.cli("report", "--json", "--days", "1", env={"FOOTNOTE_KEY": suite.key})
    assert r.returncode == 0 and r.stdout.startswith("{")
    r = suite.cli("report", "--days", "0", env={"FOOTNOTE_KEY": suite.key})
    assert r.returncode == 1 and "days: must be" in r.stderr
    r = suite.cli("report", env={"FOOTNOTE_KEY": suite.make_key(["chat"])["key"]})
    assert r.returncode == 1 and "403" in r.stderr
