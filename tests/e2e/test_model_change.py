"""Another embedding model without a gap: started with the built-in one, a key set later, everything found all the time."""
import pytest

from model_change_kit import BUILTIN, STUB, Asking, Changing, ask_some, is_note, note, question
from suite import new_session, wait_for

NOTES = 600


@pytest.mark.limit(240)
def test_a_key_that_is_set_later_changes_the_model_without_a_gap_over_a_kill_and_back_again():
    with Changing(rate=100) as s:
        s.add_notes(NOTES)
        ask_some(s, range(0, 100, 10))
        e = s.embedding()
        assert e["model"] == {"name": BUILTIN, "dimensions": 384} and e["state"] == "steady" and e["other"] is None
        with Asking(s, range(0, 100, 7)) as asking:
            s.give_key()
            wait_for("the second set grows", lambda: s.done() > 50, 30, every=0.05)
            e = s.embedding()
            assert e["state"] == "building" and e["model"]["name"] == BUILTIN and e["other"] == {"name": STUB, "dimensions": 256}, e
            shown = s.cli("collection", "show", "notes").stdout
            assert "being made of text-embedding-3-small" in shown and "passages (" in shown, shown
            # documents come, change and go meanwhile
            s.ingest(note(9001), id="n9001", collection="notes")
            s.ingest(note(9002), id="n3", collection="notes")
            gone = s.request("GET", "/api/v1/documents?collection=notes&limit=200").json()["items"]
            gone = next(d for d in gone if d["external_id"] == f"n{NOTES - 1}")
            assert s.request("DELETE", f"/api/v1/documents/{gone['document_id']}").status_code == 204
            for n in (9001, 9002):
                assert any(is_note(h["text"], n) for h in s.search(question(n), collection="notes", top_k=3))
            before = s.done()
        assert not asking.bad and asking.asked > 50, asking.bad[:3]
        s.kill("retriever")
        s.start("retriever")
        s.wait_ready(30)
        assert s.done() >= before, "what was made is kept"
        with Asking(s, range(0, 100, 7)) as asking:
            e = s.wait_switched(STUB)
            wait_for("questions after the switch", lambda: asking.asked > 100, 30)
        assert not asking.bad, asking.bad[:3]
        assert e["state"] == "kept" and e["other"]["name"] == BUILTIN and e["compared"] >= 5 and 0 <= e["overlap_at_10"] <= 1, e
        embedded = s.sql("SELECT count(*) FROM footnote.vectors v JOIN footnote.documents d ON d.id = v.document_id AND d.generation = v.generation "
                         "WHERE v.model = %s", (STUB,))
        assert embedded == [(NOTES,)], embedded                       # all of them: one more, one less
        for n in (9001, 9002, 5):
            assert any(is_note(h["text"], n) for h in s.search(question(n), collection="notes", top_k=3, explain=True))
        # what comes after the switch is embedded by the new model alone; going back makes the old vectors of it first
        s.ingest(note(9003), id="n9003", collection="notes")
        with Asking(s, [*range(0, 100, 7), 9001, 9002, 9003]) as asking:
            r = s.decide("switch-back")
            assert r.status_code == 200, r.text
            e = s.wait_switched(BUILTIN)
            wait_for("questions after the way back", lambda: asking.asked > 100, 30)
            assert e["state"] == "kept" and e["held"] and e["other"]["name"] == STUB
            again = s.cli("collection", "switch-back", "notes")        # and forward once more, at once: nothing is missing
            assert again.returncode == 0 and STUB in again.stdout, (again.stdout, again.stderr)
            assert s.embedding()["model"]["name"] == STUB
            wait_for("more questions", lambda: asking.asked > 200, 30)
            assert s.cli("collection", "drop-old", "notes").returncode == 0
            e = s.wait_state("steady")
            wait_for("still more questions", lambda: asking.asked > 300, 30)
        assert not asking.bad, asking.bad[:3]
        assert e["model"]["name"] == STUB and e["other"] is None
        assert s.sql("SELECT count(*) FROM footnote.vectors") == [(0,)]
        assert s.sql("SELECT DISTINCT model FROM footnote.chunks") == [(STUB,)]
        assert s.decide("drop-old").status_code == 409
        s.restart("retriever")
        with Asking(s, [*range(0, 100, 7), 9001, 9002, 9003]) as asking:
            wait_for("questions of an index that was loaded anew", lambda: asking.asked > 60, 30)
        assert not asking.bad, asking.bad[:3]


@pytest.mark.limit(240)
def test_several_retrievers_share_the_collections_and_switch_together():
    with Changing(rate=30) as s:                                     # slow enough for both to be at work, whoever begins
        s.add_replica("retriever")
        for c in ("a", "b"):
            s.add_notes(300, collection=c)
        with Asking(s, range(0, 100, 7), "a") as a, Asking(s, range(0, 100, 11), "b") as b:
            s.give_key()
            wait_for("both collections are worked on at once, by one retriever each", lambda: s.sql(
                "SELECT count(*), count(DISTINCT lease_owner) FROM footnote.collection_models WHERE state = 'building' AND lease_until > now()") == [(2, 2)], 30,
                every=0.02)
            s.kill("retriever.2")                                     # the other one takes its collection over
            for c in ("a", "b"):
                s.wait_switched(STUB, c, 90)
            s.start("retriever", "retriever.2")
            s.wait_ready(30)
            wait_for("questions after the switch", lambda: a.asked > 100 and b.asked > 100, 60)
        assert not a.bad and not b.bad, (a.bad[:2], b.bad[:2])
        assert sum(s.metrics(r).value("retriever_model_switches_total") for r in ("retriever", "retriever.2")) >= 1


@pytest.mark.limit(240)
def test_a_server_that_fails_for_a_while_is_asked_again_and_the_reason_is_shown():
    with Changing(rate=200) as s:
        s.add_notes(300)
        s.give_key()
        wait_for("the second set grows", lambda: s.done() > 30, 30, every=0.02)
        with Asking(s, range(0, 100, 7)) as asking:
            s.stub.script({"route": "embeddings", "times": 0, "status": 500})
            e = wait_for("the reason is shown", lambda: (lambda x: x if x["error"] else None)(s.embedding()), 40, every=0.1)
            assert e["state"] == "building" and s.metrics("retriever").value("retriever_reembed_faults_total") >= 1
            assert "does not get on" in s.cli("collection", "notes").stdout
            s.stub.reset()
            s.wait_switched(STUB, seconds=120)
        assert not asking.bad, asking.bad[:3]
        assert s.embedding()["error"] is None


@pytest.mark.limit(240)
def test_a_model_that_begins_to_give_other_dimensions_is_another_model():
    with Changing(rate=300, stub_args=("--dims", "256")) as s:
        s.give_key()
        s.add_notes(200)
        assert s.embedding()["model"] == {"name": STUB, "dimensions": 256}
        with Asking(s, range(0, 100, 7)) as asking:
            wait_for("questions before", lambda: asking.asked > 20, 20)
            s.give_key(EMBEDDING_DIMENSIONS="128")
            e = wait_for("switched", lambda: (lambda x: x if x["model"]["dimensions"] == 128 else None)(s.embedding()), 60, every=0.05)
            assert e["state"] == "kept" and e["other"] == {"name": STUB, "dimensions": 256}
            n = asking.asked
            wait_for("questions after", lambda: asking.asked > n + 50, 30)
        assert not asking.bad, asking.bad[:3]


@pytest.mark.limit(240)
def test_without_the_model_before_questions_are_searched_by_words_until_the_switch_and_health_says_so():
    with Changing(rate=40) as s:
        s.give_key()
        s.add_notes(200)
        s.take_key()                                                  # nobody can make the vectors of the server's model any more
        s.wait_state("building")
        for n in (3, 50):
            a = s.answered(question(n), collection="notes")
            assert a["grounded"] and a["usage"]["degraded"], a
        h = s.request("GET", "/api/v1/health").json()
        assert h["status"] == "degraded" and "words only" in h["embedding"], h
        assert s.metrics("gateway").value("embedding_model_away_total") >= 2
        s.ingest(note(9001), id="n9001", collection="notes")          # found by its words at once, by its vector after the switch
        assert any(is_note(h["text"], 9001) for h in s.search(question(9001), collection="notes", top_k=3))
        s.wait_switched(BUILTIN, seconds=60)
        wait_for("the gateway knows", lambda: not s.answered(question(7), collection="notes")["usage"]["degraded"], 5)
        with Asking(s, [3, 50, 9001]) as asking:
            wait_for("questions by vectors", lambda: asking.asked > 50, 20)
        assert not asking.bad, asking.bad[:3]


@pytest.mark.limit(180)
def test_cached_answers_stand_while_vectors_are_made_and_go_with_the_switch():
    with Changing(rate=40) as s:
        s.add_notes(200)
        s.give_key()
        s.wait_state("building")
        session = new_session()
        first = s.ask(question(5), session, collection="notes")
        assert first.status_code == 200 and first.headers["X-Cache"] == "miss"
        done = s.done()
        wait_for("vectors came", lambda: s.done() > done + 20, 30)
        assert s.ask(question(5), session, collection="notes").headers["X-Cache"] == "hit", "nothing that it was made from has changed"
        s.wait_switched(STUB)
        wait_for("the answer of the model before goes", lambda: s.ask(question(5), session, collection="notes").headers["X-Cache"] == "miss", 5)
