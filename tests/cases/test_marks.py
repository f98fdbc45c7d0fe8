"""Cases C1 to C5 and U1, U11: what is a mark is decided where it stands."""
import pytest

from suite import Suite


@pytest.fixture(scope="module")
def s():
    with Suite(stub=True) as suite:
        for i, text in enumerate(("P lies in the closed interval [0, 1] of the real line.", "The name stands in argv[0].",
                                  "Smith v Jones [1932] AC 562 says so.", "Light falls.[3] The cycle begins.[12][13] See also note [2].")):
            suite.ingest(text, id=f"d{i}")
        for k, tree in enumerate(("maple", "birch", "oak", "ash"), 1):
            suite.ingest(f"The {tree} loses its leaves in October [{k}].", id=tree)
        yield suite
        assert not suite.down()


def said(s, text, question="When does the maple lose its leaves in October?"):
    s.stub.script({"route": "chat", "text": text})
    return s.answered(question)


@pytest.mark.parametrize("text", ["P lies in the closed interval [0, 1] of the real line.", "The name stands in argv[0].",
                                  "Smith v Jones [1932] AC 562 says so."])
def test_c1_brackets_of_documents_stay(s, text):
    assert text.rstrip(".") in said(s, text + " [1]", text + "?")["answer"]


def test_c2_a_copied_note_is_no_citation(s):
    a = said(s, "The ash loses its leaves in October [4].", "When does the ash lose its leaves?")
    assert "October [4]" in a["answer"] and {x["external_id"] for x in a["sources"] if "external_id" in x} <= {"ash"}
    assert all("ash" in x["content_excerpt"] for x in a["sources"])


def test_c3_only_what_was_sent_can_be_cited(s):
    a = said(s, "It is so [15].")
    assert "[15]" not in a["answer"] and a["sources"] == []


@pytest.mark.parametrize("mark", ["[Source 1]", "[1-2]", "\uff3b1\uff3d", "[[1]]", "\\[1\\]", "[1 and 2]", "[1][2]", "[1, 2]", "\u30101\u2020source\u3011", "[^1]"])
def test_c4_c5_every_form_is_read(s, mark):
    a = said(s, f"It happens late {mark}.", f"When does the maple lose its leaves? {mark[:3].encode().hex()}{len(mark)}")
    assert a["sources"] and a["sources"][0]["n"] == 1 and "[]" not in a["answer"] and "  " not in a["answer"]


def test_u1_thoughts_are_no_answer(s):
    a = said(s, "<think>maybe [2]</think>It happens late [1].", "When does the birch lose its leaves?")
    assert a["answer"] == "It happens late [1]." and [x["n"] for x in a["sources"]] == [1]
