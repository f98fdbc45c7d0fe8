"""A worker in another language, made after proto/PROTOCOL.md alone: the suite embeds with it as with its own, and survives its end."""
import os
import signal
import sys

import pytest

from suite import LOOPBACK, SERVICES, TOP, Proc, Suite, new_session

WORKER = os.path.join(TOP, "tests", "kit", "embed_worker.py")
TEXT = "# The archive\n\nThe lighthouse keeper of Varnholm writes the log in green ink.\n"
QUESTION = "Who writes the log in green ink?"


def other_worker(suite, name="other-worker"):
    """The worker's process, with nothing but its endpoint."""
    return Proc(name, [sys.executable, WORKER], {"HUB_ENDPOINTS": f"tcp://{LOOPBACK}:{suite.hub_port}"}, suite.folder)


@pytest.fixture(scope="module")
def mixed():
    """No embeddings but the other worker's: our embedder only chats."""
    with Suite(service_env={"embedder": {"EMBEDDER_ROLE": "chat"}}, start=[s for s in SERVICES if s != "gateway"]) as s:
        worker = other_worker(s)
        try:
            s.start("gateway")
            s.wait_ready()
            s.other = worker
            yield s
        finally:
            s.other.end()
        assert not s.down()


def embedding_of(suite, session, answer):
    r = suite.request("GET", f"/api/v1/messages/{answer['message_id']}/explain", session=session)
    assert r.status_code == 200, r.text
    return r.json()["trace"]["models"]["embedding"]


def test_the_protocol_prints_the_worker_that_is_tested():
    with open(os.path.join(TOP, "proto/PROTOCOL.md"), encoding="utf-8") as f:
        printed = f.read().split("```python\n")[1:]
    with open(WORKER, encoding="utf-8") as f:
        assert [p.split("```")[0] for p in printed] == [f.read()]


def test_documents_and_questions_are_embedded_by_it(mixed):
    mixed.ingest(TEXT, "archive")
    vectors = mixed.sql("SELECT DISTINCT model, octet_length(embedding) FROM chunks")
    assert [tuple(v) for v in vectors] == [("python-trigrams", 4 * 256)], vectors
    session = new_session()
    a = mixed.answered(QUESTION, session)
    assert a["grounded"] and "green ink" in a["answer"], a
    assert embedding_of(mixed, session, a) == "python-trigrams"


def test_it_drains_and_the_next_one_takes_over(mixed):
    assert mixed.other.end() == 0, mixed.other.tail()
    assert mixed.other.tail() == "", "it said something on its way"
    mixed.other = other_worker(mixed, "other-worker-2")
    session = new_session()
    a = mixed.answered("Which ink does the keeper of Varnholm write with?", session)
    assert embedding_of(mixed, session, a) == "python-trigrams"


def test_a_killed_one_is_replaced_and_no_question_fails(mixed):
    mixed.other.signal(signal.SIGKILL)
    mixed.other.popen.wait()
    mixed.other = other_worker(mixed, "other-worker-3")
    assert mixed.answered("What does the keeper of Varnholm write in green?")["answer"]
