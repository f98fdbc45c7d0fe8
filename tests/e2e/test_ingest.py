"""Documents come in, are found, are replaced, are gone; nothing is embedded twice."""
import json
import random
import time

import pytest

from corpus_kit import Q_BUILT, check_problem, check_sources
from suite import new_session, wait_for

WORDS = ("anchor barrel candle drawer engine feather garden hammer island jacket kettle ladder mirror needle orchard pebble "
         "quiver ribbon saddle timber urchin velvet window yellow zipper").split()


def long_text(seed, size=100_000):
    """Markdown with sections; each paragraph is different, so that no two passages are the same."""
    rnd, parts, n = random.Random(seed), [f"# Volume {seed}\n"], 0
    size -= len(parts[0])
    while size > 0:
        n += 1
        sentence = " ".join(rnd.choice(WORDS) for _ in range(12))
        part = f"\n## Section {seed}-{n}\n\nEntry {seed * 100000 + n} says: {sentence}. It was written by hand in room {n}.\n"
        parts.append(part)
        size -= len(part)
    return "".join(parts)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    for i in range(20):
        (folder / f"volume-{i:02}.md").write_text(long_text(i + 1))
    return folder


@pytest.mark.limit(150)
def test_20_documents_of_100_kb_are_ingested_with_progress_and_once_more_embeds_nothing(main, volumes):
    before = main.stub.stats()["texts"]
    r = main.cli("ingest", str(volumes), "--collection", "volumes")
    assert r.returncode == 0, (r.stdout, r.stderr)
    assert "20 of 20 files are searchable" in r.stdout
    steps = [line for line in r.stderr.splitlines() if "/20 files" in line]
    assert len(steps) >= 3, r.stderr  # progress, not only an end
    assert main.stub.stats()["texts"] - before > 1000
    found = main.search("Entry 700042 says", collection="volumes", top_k=3)
    assert found[0]["external_id"] == "volume-06.md" and "Entry 700042 says" in found[0]["text"]

    texts = main.stub.stats()["texts"]
    r = main.cli("ingest", str(volumes), "--collection", "volumes")
    assert r.returncode == 0 and "20 of 20 files are searchable" in r.stdout
    assert main.stub.stats()["texts"] == texts
    items = main.request("GET", "/api/v1/documents", params={"collection": "volumes", "limit": 100}).json()["items"]
    assert len(items) == 20 and {d["status"] for d in items} == {"ready"} and all(d["chunks"] > 50 for d in items)


def test_a_changed_document_embeds_only_what_changed(main):
    text = long_text(77, 20_000)
    main.ingest(text, "changing", collection="changes")
    before = main.stub.stats()["texts"]
    d = main.ingest(text + "\n## A new section\n\nThe new paragraph mentions the wobblegong.\n", "changing",
                    collection="changes")
    assert 1 <= main.stub.stats()["texts"] - before <= 3
    found = main.search("wobblegong", collection="changes")
    assert found[0]["document_id"] == d["document_id"] and "wobblegong" in found[0]["text"]


def test_a_deleted_documents_text_is_unfindable_and_its_cached_answers_stop_within_250_ms(main):
    d = main.ingest("# Grumbex\n\nThe grumbex is fed with seven turnips each morning.\n", "grumbex", collection="gone")
    session, question = new_session(), "With what is the grumbex fed?"
    first = main.answered(question, session, collection="gone")
    assert first["grounded"] and main.answered(question, session, collection="gone")["cached"] == "query"
    r = main.request("DELETE", f"/api/v1/documents/{d['document_id']}")
    assert r.status_code == 204
    time.sleep(0.25)  # the promise itself (timed in tests/service/retriever_ingest.py): after a quarter of a second it is over
    wait_for("it is unfindable", lambda: main.search("grumbex turnips", collection="gone") == [], 1)
    after = main.answered(question, session, collection="gone")
    assert after["cached"] == "none" and after["grounded"] is False and after["sources"] == []
    for path in ("", "/text"):
        check_problem(main.request("GET", f"/api/v1/documents/{d['document_id']}{path}"), 404, "not_found")
    check_problem(main.request("DELETE", f"/api/v1/documents/{d['document_id']}"), 404, "not_found")
    # what was said once stays in the history, with what it quoted
    assert main.messages(session, 2)[1]["sources"][0]["content_excerpt"]


def test_a_replaced_document_is_found_with_its_new_text_only(main):
    main.ingest("# Snorf\n\nThe snorf weighs four kilograms.\n", "snorf", collection="swap")
    session = new_session()
    assert "four" in main.answered("How many kilograms does the snorf weigh?", session, collection="swap")["answer"]
    main.ingest("# Snorf\n\nThe snorf weighs nine kilograms.\n", "snorf", collection="swap")
    a = main.answered("How many kilograms does the snorf weigh?", session, collection="swap")
    assert a["cached"] == "none" and "nine" in a["answer"] and "four" not in a["answer"]
    check_sources(main, a)
    items = main.request("GET", "/api/v1/documents", params={"collection": "swap"}).json()["items"]
    assert len(items) == 1


def test_an_upload_is_a_job_whose_progress_can_be_read_as_json_and_as_events(main):
    r = main.request("POST", "/api/v1/documents", json={"id": "job-1", "title": "Job", "text": long_text(5, 30_000),
                                                        "collection": "jobs"})
    assert r.status_code == 202 and r.headers["Location"].startswith("/api/v1/jobs/")
    events = main.request("GET", r.headers["Location"], headers={"Accept": "text/event-stream"})
    assert events.status_code == 200 and "event: done" in events.text
    job = main.request("GET", r.headers["Location"]).json()
    assert job["status"] == "done" and job["files"] == job["files_done"] == 1 and job["files_failed"] == 0
    assert job["chunks"] > 5


def test_documents_come_as_json_lines_raw_text_and_forms_too(main):
    lines = "\n".join(json.dumps({"id": f"line-{i}", "text": f"The flurgle number {i} is blue.", "collection": "forms"})
                      for i in range(3))
    r = main.request("POST", "/api/v1/documents?wait=1", data=lines, headers={"Content-Type": "application/jsonl"})
    assert r.status_code == 200 and r.json()["documents"] == 3, r.text
    r = main.request("POST", "/api/v1/documents?wait=1&collection=forms&id=raw-1", data="# Raw\n\nThe raw trundle is green.\n",
                     headers={"Content-Type": "text/markdown"})
    assert r.status_code == 200 and r.json()["external_id"] == "raw-1", r.text
    r = main.request("POST", "/api/v1/documents?wait=1&collection=forms",
                     files=[("file", ("a.md", b"# A\n\nThe form wimble is red.\n", "text/markdown")),
                            ("file", ("b.txt", b"The form gandy is white.\n", "text/plain"))])
    assert r.status_code == 200 and r.json()["documents"] == 2, r.text
    for words, what in (("flurgle number 2", "line-2"), ("raw trundle", "raw-1"), ("form wimble", "a.md"), ("form gandy", "b.txt")):
        assert main.search(words, collection="forms")[0]["external_id"] == what


def test_a_document_shows_its_state_and_its_stored_text_byte_for_byte(main):
    text = "# Ünïcode\n\nDer Leuchtturm heißt „Größe“ — 灯台 🗼.\n"
    d = main.ingest(text, "unicode", collection="bytes")
    assert d["status"] == "ready" and d["chunks"] == 1 and d["error"] is None
    stored = main.text(d["document_id"])
    assert stored.decode() == text and d["bytes"] in (len(stored), len(text.encode()))
    part = main.request("GET", f"/api/v1/documents/{d['document_id']}/text", params={"start": 2, "end": 11})
    assert part.content == stored[2:11]
    by_name = main.request("GET", "/api/v1/documents/unicode", params={"collection": "bytes"})
    assert by_name.json()["document_id"] == d["document_id"]
    a = main.answered("Heißt der Leuchtturm Größe?", collection="bytes")
    check_sources(main, a)


def test_collections_shape_their_answers_with_prompt_and_refusal(main):
    r = main.request("PUT", "/api/v1/collections/shaped", json={"prompt": "You are the PROMPTCANARY of this course.",
                                                                "refusal": "Ask the front desk, please.", "top_k": 2})
    assert r.status_code == 200, r.text
    main.ingest("# Keys\n\nThe locker keys hang behind the counter.\n", "keys", collection="shaped")
    wait_for("the settings are in force", lambda: main.request("GET", "/api/v1/collections/shaped").json()["top_k"] == 2)
    a = main.answered("Where do the locker keys hang?", collection="shaped")
    assert a["grounded"] and "PROMPTCANARY" in json.dumps(main.stub.last_chat())
    a = main.answered("Which zorblatt governs the quixotic parliament?", collection="shaped")
    assert a["answer"] == "Ask the front desk, please." and a["grounded"] is False
    names = [c["name"] for c in main.request("GET", "/api/v1/collections").json()["items"]]
    assert "shaped" in names and "docs" in names
    assert main.request("DELETE", "/api/v1/collections/shaped").status_code == 204
    check_problem(main.request("GET", "/api/v1/collections/shaped"), 404, "not_found")

    def unfindable():
        r = main.request("POST", "/api/v1/search", json={"query": "locker keys", "collection": "shaped"})
        return r.status_code == 404 or r.json()["results"] == []
    wait_for("the collection's documents are gone", unfindable, 2)


def test_a_question_to_a_collection_that_does_not_exist_is_404(main):
    check_problem(main.ask(Q_BUILT, collection="no-such-collection"), 404, "not_found")


def test_a_folder_without_documents_and_a_file_that_is_not_utf8_are_told(main, tmp_path):
    r = main.cli("ingest", str(tmp_path))
    assert r.returncode == 1 and "nothing to ingest" in r.stdout + r.stderr
    (tmp_path / "bad.md").write_bytes(b"# Bad\n\n\xff\xfe is not UTF-8\n")
    r = main.cli("ingest", str(tmp_path))
    assert r.returncode == 1 and "not UTF-8" in r.stderr


def test_the_client_asks_searches_lists_and_prints_sources(main):
    r = main.cli("ask", Q_BUILT)
    assert r.returncode == 0 and "[1]" in r.stdout and "Ingrid Solheim" in r.stdout, (r.stdout, r.stderr)
    assert "The lighthouse of Varnholm" in r.stdout
    assert main.cli("search", "colza oil").stdout.count("colza") >= 1
    assert "lighthouse" in main.cli("documents").stdout
    session = new_session()
    main.answered(Q_BUILT, session)
    main.messages(session, 2)
    assert Q_BUILT in main.cli("history", "--session", session).stdout
    assert main.cli("health").returncode == 0
