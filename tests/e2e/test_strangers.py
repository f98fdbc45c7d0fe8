"""What callers without a key reach of the whole suite: the collections of ANONYMOUS_COLLECTIONS, and of these nothing but chat."""
import pytest

from corpus_kit import check_problem
from suite import ADMIN_KEY, Suite, new_session

SALARY = "What is the salary of Alice Example?"


@pytest.fixture(scope="module")
def secrets(locked):
    locked.ingest("# Staff\n\nThe salary of Alice Example is 4711 crowns.\n", "staff", key=ADMIN_KEY, collection="hr-internal")
    locked.ingest("# Canteen\n\nThe canteen opens at eleven.\n", "canteen", key=ADMIN_KEY)
    return locked


def same(r):
    return r.status_code, r.headers["Content-Type"], r.text.replace(r.headers["X-Request-ID"], "RID")


def test_a_collection_that_is_not_open_to_strangers_is_like_one_that_does_not_exist(secrets):
    select = {"path": "/api/v1/chat/selection", "selected_text": "some selected text", "chapter": "One"}
    for way in ({}, {"path": "/api/v1/chat/stream"}, select):
        hidden, none = (secrets.ask(SALARY, collection=c, **way) for c in ("hr-internal", "nobody-s"))
        check_problem(hidden, 404, "not_found")
        assert same(hidden) == same(none), way
    assert secrets.answered(SALARY, key=ADMIN_KEY, collection="hr-internal")["grounded"]


def test_a_stranger_asks_docs_and_no_filter_leads_out_of_it(secrets):
    answer = secrets.answered("When does the canteen open?")
    assert answer["grounded"] and answer["sources"][0]["title"] == "Canteen"
    for filter in ({"collection": "hr-internal"}, {"title": "Staff"}, {"external_id": "staff"}):
        r = secrets.ask(SALARY, filter=filter)
        assert r.status_code != 200 or (not r.json()["grounded"] and "4711" not in r.text), (filter, r.text)


def test_a_conversation_of_a_hidden_collection_is_not_gone_on_with_by_naming_it(secrets):
    session = new_session()
    first = secrets.answered(SALARY, session, key=ADMIN_KEY, collection="hr-internal")
    r = secrets.ask("And again?", session, collection="hr-internal", conversation_id=first["conversation_id"])
    check_problem(r, 404, "not_found")


def test_the_operator_opens_other_collections_or_all():
    with Suite(auth="on", service_env={"gateway": {"ANONYMOUS_COLLECTIONS": "manual"}}) as s:
        for name in ("manual", "docs"):
            s.ingest(f"# The {name}\n\nThe word of {name} is heliotrope.\n", name, key=ADMIN_KEY, collection=name)
        assert s.answered("What is the word of manual?", collection="manual")["grounded"]
        assert s.answered("What is the word of manual?")["sources"][0]["title"] == "The manual"  # the default is the first that is open
        check_problem(s.ask("What is the word of docs?", collection="docs"), 404, "not_found")
        s.stop_service("gateway")
        s.start("gateway", env={"ANONYMOUS_COLLECTIONS": "*"})
        s.wait_ready()
        assert s.answered("What is the word of docs?")["sources"][0]["title"] == "The docs"
        assert s.answered("What is the word of manual?", collection="manual")["grounded"]
        assert not s.down()
