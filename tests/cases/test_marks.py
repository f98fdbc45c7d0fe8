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


@pytest.mark.parametrize("mark", ["[Source 1]", "[1-2]", "\uff3b1\uff3d", "[[1]]", "\\[1\\]", "[1 and 2]", "[1][2]", "[1, 2]", "\u30101\u2020source\u3011", "[^1]",
                                  "[source_1]", "[ID: 1]", "[1, p. 3]", "\u30141\u3015", "\u27e61\u27e7", "(Source 1)", "[citation:1]", "\u30101\u2020L1-L3\u3011",
                                  "[\u6765\u6e90 1]", "<sup>[1]</sup>", "**[1]**", "[1\u20132]", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]"])
def test_c4_c5_every_form_is_read(s, mark):
    a = said(s, f"It happens late {mark}.", f"When does the maple lose its leaves? {mark.encode().hex()[:60]}{len(mark)}")
    assert a["sources"] and a["sources"][0]["n"] == 1 and "[]" not in a["answer"] and "  " not in a["answer"]


def test_u1_thoughts_are_no_answer(s):
    a = said(s, "<think>maybe [2]</think>It happens late [1].", "When does the birch lose its leaves?")
    assert a["answer"] == "It happens late [1]." and [x["n"] for x in a["sources"]] == [1]


@pytest.mark.parametrize("text,left", [("It is so [1, 15] and [99].", "It is so [1]."), ("It is so ([15], [16]).", "It is so."), ("It is so [Source 15]; really.", "It is so; really."),
                                       ("Done\u301015\u2020source\u3011.", "Done."), ("It is so **[15]**.", "It is so.")])
def test_c3_what_was_not_sent_leaves_no_scar(s, text, left):
    assert said(s, text, f"When does the oak lose its leaves? {len(text)}{left[-7:-1]}")["answer"] == left


@pytest.mark.parametrize("text,question", [
    ("P lies in [0, 1] of the real line", "Where does P lie?"), ("The name stands in argv[0]", "Where does the name stand?"),
    ("See Smith v Jones [1932] AC 562", "What does Smith v Jones say?"), ("Light falls.[3] The cycle begins.[12][13]", "When does light fall?"),
    ("Call `f(x)[1]` for the name", "Where does the name stand then?"), ("The interval [2, 3) is half open", "Which interval is half open?")])
def test_c1_c2_a_bracket_of_the_text_stays_beside_a_mark(s, text, question):
    a = said(s, f"{text} [1].", question)
    assert text in a["answer"] and [x["n"] for x in a["sources"]] == [1], a


@pytest.mark.parametrize("mark", ["(1)", "\u00b9", "[S1]", "[Handbook, 1]", "[1: Trees]", "{1}", "[1](https://elsewhere.example/a)", "[1](#1)", "<sup>1</sup>", "<sup>[1]</sup>",
                                  "[\u0661]", "[ 1 ]", "[1\u00a0]", "\u30101:0\u2020source\u3011", "[Source 1: Trees]", "(see source 1)", "[Nr. 1]", "\u2460"])
def test_c4_a_sentence_of_a_passage_is_cited_whatever_stands_behind_it(s, mark):
    s.ingest("The keeper of the lighthouse counts the ships at dawn.", id="keeper", collection="keeper")
    s.stub.script({"route": "chat", "text": f"The keeper of the lighthouse counts the ships at dawn {mark}."})
    a = s.answered(f"When does the keeper count the ships? {mark.encode().hex()[:40]}", collection="keeper")
    assert a["answer"] == "The keeper of the lighthouse counts the ships at dawn [1]." and a["grounded"] and len(a["sources"]) == 1, a


def test_c4_marks_in_front_of_their_sentences_stand(s):
    for i, text in enumerate(("The keeper of the lighthouse counts the ships at dawn.", "Fishing boats leave the harbour shortly before midnight.")):
        s.ingest(text, id=f"port{i}", collection="port")
    for text in ("[1] The keeper counts the ships at dawn.\n[2] The fishing boats leave before midnight.", "As [1] says, he counts the ships. According to [2], the fishing boats leave before midnight.",
                 "| Source | Who | What |\n|---|---|---|\n| [1] | The keeper of the lighthouse | counts the ships at dawn |\n| [2] | The fishing boats | leave the harbour before midnight |"):
        question = f"What happens with keeper, ships and boats in the harbour before midnight, in {len(text)} words?"
        s.stub.script({"route": "chat", "text": "Yes [1]."})
        if "counts" not in s.answered(question, collection="port")["sources"][0]["content_excerpt"]:  # which one is first is the index's matter
            text = text.replace("[1]", "[x]").replace("[2]", "[1]").replace("[x]", "[2]")
        s.stub.script({"route": "chat", "text": text})
        a = s.answered(question, collection="port")
        assert {x["n"] for x in a["sources"]} == {1, 2} and a["answer"] == text, a


@pytest.mark.parametrize("text", ["I could not find an answer to this in the documents. [1]", "I could not find an answer to this in the documents [1].", "I\u2019m sorry, but I couldn\u2019t find the price of it [1].",
                                  "The passages do not mention what it costs [1].", "Unfortunately, the documents do not contain information about the price [1][2].", "Die Dokumente erw\u00e4hnen nicht, was es kostet [1]."])
def test_a_refusal_that_cites_is_a_refusal(s, text):
    a = said(s, text, f"When does the maple lose its leaves in October, refused in {len(text)} signs?")
    assert not a["grounded"] and a["sources"] == [] and a["confidence"] == 0 and "[1]" not in a["answer"], a


# ---- the built-in answers: no model server
@pytest.fixture(scope="module")
def plain():
    with Suite() as suite:
        yield suite


@pytest.mark.parametrize("text,question", [
    ("P lies in the closed interval [0, 1] of the real line.", "Where does P lie?"), ("The name stands in argv[0].", "Where does the name stand?"),
    ("Smith v Jones [1932] AC 562 says so.", "What does Smith v Jones say?"), ("The keeper feeds the seals at noon [1].", "When are the seals fed?"),
    ("The cycle begins.[12][13]", "When does the cycle begin?"), ("Set matrix[1][2] = 5 before the solver starts.", "What is set before the solver starts?"),
    ("The pump was invented by Ctesibius[^1] in Alexandria.", "Who invented the pump?"), ("\u8be5\u503c\u4f4d\u4e8e\u533a\u95f4 [0, 1] \u5185\u3002", "\u8be5\u503c\u4f4d\u4e8e\u54ea\u4e2a\u533a\u95f4?")])
def test_c1_c2_built_in_answers_keep_brackets_and_cite_their_own(plain, text, question):
    name = "b" + str(abs(hash(text)))
    plain.ingest(text, id="d", collection=name)
    a = plain.ask(question, collection=name).json()
    assert a["answer"] == f"{text} [1]" and [x["content_excerpt"] for x in a["sources"]] == [text], a


def test_c2_built_in_answers_from_four_documents_with_notes(plain):
    for k, tree in enumerate(("maple", "birch", "oak", "ash"), 1):
        plain.ingest(f"The {tree} loses its leaves in October [{k}].", id=tree, collection="trees")
    for k, tree in enumerate(("maple", "birch", "oak", "ash"), 1):
        a = plain.ask(f"When does the {tree} lose its leaves?", collection="trees").json()
        assert f"The {tree} loses its leaves in October [{k}]. [" in a["answer"] and a["sources"][0]["content_excerpt"].count("[") == 1, a
        assert all(f"[{x['n']}]" in a["answer"] for x in a["sources"]), a
