"""Built-in answers and relevance by words: what is quoted, what never is, under which heading. R2, R6 and the small inputs of the
field's cases, each with neighbours. Built-in embedding and answers, nothing configured."""
import json
import os

import pytest

from suite import Suite

HELD = []
HERE = os.path.dirname(os.path.abspath(__file__))
NEIGHBOURS = [json.loads(line) for line in open(os.path.join(HERE, "answers", "neighbours.jsonl"), encoding="utf-8")]


@pytest.fixture(scope="module")
def suite():
    with Suite() as s:
        yield s


def answer(suite, question, text, kind="text/markdown", file="page.md"):
    """One document in a collection of its own, and what a question on it gets; excerpts are checked for their bytes."""
    name = f"c{len(HELD)}"
    HELD.append(name)
    r = suite.request("POST", f"/api/v1/documents?wait=1&collection={name}", data=text.encode(),
                      headers={"Content-Type": kind, "X-Filename": file})
    assert r.status_code == 200, r.text
    return again(suite, question, name)


def again(suite, question, name):
    a = suite.ask(question, collection=name).json()
    for s in a["sources"]:
        stored = suite.request("GET", f"/api/v1/documents/{s['document_id']}/text?start={s['start']}&end={s['end']}").text
        assert stored == s["content_excerpt"]
    return a


# ---- R2: common words are words, too
@pytest.mark.parametrize("text,question,right", [
    ("It works by comparing words.", "How does it work?", "comparing words"),
    ("# Limits\n\nA question may be 1 to 500 characters long.", "How long may a question be?", "500 characters"),
    ("Every answer names its sources. They are listed below it.", "What does an answer name?", "names its sources"),
])
def test_R2_a_question_of_common_words_is_answered(suite, text, question, right):
    a = answer(suite, question, text)
    assert a["grounded"] and right in a["answer"], a


GUIDE = ("# Parameters\n\nRead a parameter with `get_parameter`, which returns its current value.\n\n"
         "## Declaring\n\nA parameter is declared in the constructor of its node.\n\n"
         "## URDF\n\nURDF is an XML format that describes the links and joints of a robot.\n")


@pytest.mark.parametrize("question", [
    "How do I read a parameter?", "How do I simply read a parameter?", "How do I read a parameter afterwards?",
    "hi, can you tell me how do I read a parameter? thanks", "How do I read a parameter, for my homework?",
    "explain to me like I am five how to read a parameter", "roughly how do I read a parameter", "how do i read a paramter",
    "Good morning everybody, my flatmate wants to know how to read a parameter"])
def test_R2_chatty_unknown_and_misspelt_words_refuse_nothing(suite, question):
    a = answer(suite, question, GUIDE)
    assert a["grounded"] and "get_parameter" in a["answer"], a


OVEN = ("# Oven\n\n## Cooling\n\nThe oven needs a cooldown of ten minutes before it is opened.\n\n## Faults\n\nE42 means that the tank is empty. E17 means that the motor is too hot.\n\n"
        "## Search\n\nThe full text search looks at titles and bodies.\n")
LOGIN = ("# Server\n\n## Limits\n\nThe timeout of a request is 30 seconds. The login needs a password of twelve characters.\n\n## Dark mode\n\nDark mode is switched on in the settings. "
         "The dropdown shows three themes.\n")
PUMPE = ("# Gartenpumpe\n\n## Garantie\n\nDie Garantiezeit betr\u00e4gt zwei Jahre ab dem Kaufdatum.\n\n## Filter reinigen\n\nDer Filter wird alle drei Monate mit warmem Wasser gereinigt.\n\n"
         "## \u00d6ffnungszeiten\n\nDie Werkstatt \u00f6ffnet um neun Uhr.\n\n## R\u00fcckgabe\n\nDas R\u00fccksendeetikett liegt dem Paket bei.\n")


@pytest.mark.parametrize("document,question,says", [
    (OVEN, "How long is the cool-down?", "ten minutes"), (OVEN, "What's E-17?", "motor is too hot"), (OVEN, "E-42", "tank is empty"), (OVEN, "How does full-text search work?", "titles and bodies"),
    (LOGIN, "How do I log in?", "twelve characters"), (LOGIN, "How long is the time out?", "30 seconds"), (LOGIN, "What does the drop down show?", "three themes"), (LOGIN, "darkmode", "settings"),
    (LOGIN, "How do I check in?", None), (LOGIN, "sunshade", None),
    (PUMPE, "Filterreinigung", "drei Monate"), (PUMPE, "Wie oft ist die Filterreinigung n\u00f6tig?", "drei Monate"), (PUMPE, "Wie lang ist die Garantiedauer?", "zwei Jahre"),
    (PUMPE, "Wo ist das R\u00fccksende-Etikett?", "liegt dem Paket bei"), (PUMPE, "Oeffnungszeiten", "neun Uhr"), (PUMPE, "wo ist das ruecksendeetikett", "liegt dem Paket bei"),
    (PUMPE, "Fensterreinigung", None), (PUMPE, "Wie geht der Batteriewechsel?", None), (OVEN, "What's E-99?", None)])
def test_R2_words_apart_or_together_are_the_same_words(suite, document, question, says):
    a = answer(suite, question, document)
    assert a["grounded"] == (says is not None) and (says or "") in a["answer"], a


def test_R2_whats_urdf(suite):
    a = answer(suite, "whats urdf", GUIDE)
    assert a["grounded"] and "XML format" in a["answer"] and a["sources"][0]["section"] == "URDF", a


@pytest.mark.parametrize("question", ["hello", "thank you so much", "Which wine goes with salmon?", "who won the 1998 world cup",
                                      "simply tell me a joke about cats please"])
def test_R2_what_the_document_does_not_answer_stays_refused(suite, question):
    a = answer(suite, question, GUIDE)
    assert not a["grounded"] and not a["sources"] and a["confidence"] == 0, a


# ---- questions in another language than the documents
RETREAT = ("# Retreat\n\nThe lack of supplies in the past forced the army to retreat, and the wine was sold.\n\n"
           "## Documents\n\nThe clerk of the client lists the documents by their date. The capital is kept in the safe, and the limit of the credit is low.\n\n"
           "## Ports\n\nThe port is a place where ships are unloaded, whatever the weather is like on the day.\n")


@pytest.mark.parametrize("question", ["Welcher Wein passt zu Lachs?",                      # no word of it is misspelt: not "lack", not "past"
                                      "Combien de documents un client peut-il envoyer ?",  # words that both languages have, and none that answers
                                      "Wie viele Dokumente darf ein Client hochladen?", "Quelle est la capitale du client ?"])
def test_R2_a_question_in_another_language_is_not_answered_by_words_alike(suite, question):
    a = answer(suite, question, RETREAT)
    assert not a["grounded"] and not a["sources"], a


@pytest.mark.parametrize("question", ["Was ist URDF?", "Qu'est-ce que URDF ?"])
def test_R2_a_name_is_explained_whatever_the_language_of_the_question(suite, question):
    a = answer(suite, question, GUIDE)
    assert a["grounded"] and "XML format" in a["answer"], a


# ---- R6: rows of tables
def stations(n):
    rows = "".join(f"| Station {i} | {'yes' if i % 2 else 'no'} | {i * 3} | Line {i % 7} |\n" for i in range(1, n + 1))
    return f"# Stations\n\nAll stations of the network.\n\n| Station | Lift | Steps | Line |\n|---|---|---|---|\n{rows}"


@pytest.mark.parametrize("i,lift", [(77, "yes"), (150, "no"), (100, "no")])
def test_R6_a_row_is_quoted_with_the_head_of_its_table(suite, i, lift):
    a = answer(suite, f"Does Station {i} have a lift?", stations(150))
    assert f"| Station {i} | {lift} |" in a["answer"].split("[")[0] and "| Station | Lift | Steps | Line |" in a["answer"], a
    assert any(s["content_excerpt"].startswith(f"| Station {i} ") for s in a["sources"]), a


def test_R6_a_small_table_in_prose(suite):
    a = answer(suite, "What is the boiling point of ethanol?", "# Liquids\n\n| Liquid | Boiling point |\n|---|---|\n| Water | 100 |\n"
               "| Ethanol | 78 |\n| Acetone | 56 |\n")
    assert "| Liquid | Boiling point |" in a["answer"] and "| Ethanol | 78 |" in a["answer"] and "Acetone" not in a["answer"], a


# ---- what is never quoted
URDF = ("# Robots\n\n## Goals\n\n- [ ] Define URDF and explain URDF structure\n- [x] Explain URDF to a friend\n\n"
        "## What is URDF?\n\nA tree of links and joints, written in XML, from which tools draw the machine.\n\n"
        "## Exercise\n\nExplain what URDF is in your own words.\n\n## Quiz\n\nWhat is URDF? Which tags does URDF have?\n")


def test_S1_text_under_the_heading_that_is_the_question(suite):
    a = answer(suite, "What is URDF?", URDF)
    assert a["grounded"] and "tree of links and joints" in a["answer"], a
    for never in ("[ ]", "[x]", "Explain", "?", "#"):
        assert never not in a["answer"], a
    assert a["sources"][0]["section"] == "What is URDF?"


@pytest.mark.parametrize("question,text,right", [
    ("What is a bus?", "# Notes\n\n**What is a bus?**\nA set of wires that several parts share.\n\nWhat is a bus good for? Think about it.", "set of wires"),
    ("What is torque?", "# Physics\n\nQ: What is torque?\n\nA: The turning effect of a force about an axis.\n", "turning effect"),
])
def test_S1_a_question_in_the_text_is_a_heading_not_an_answer(suite, question, text, right):
    a = answer(suite, question, text)
    assert right in a["answer"] and "?" not in a["answer"], a


# ---- what goes together
@pytest.mark.parametrize("question,text,parts", [
    ("How do I compute the inertia of a solid cylinder?",
     "# Inertia\n\n**Solid sphere** (radius R, mass M):\n\n```\nI = 2/5 * M * R**2\n```\n\n**Solid cylinder** (radius R, mass M):\n\n"
     "```\nIz = 1/2 * M * R**2\n```\n", ["**Solid cylinder** (radius R, mass M):", "Iz = 1/2"]),
    ("How do I start the service?", "# Service\n\nTo start the service, run:\n\n```\nmake run\n```\n", ["To start the service, run:", "make run"]),
    ("What does the kit contain?", "# Kit\n\nThe kit contains:\n\n- a red pump\n- two hoses\n- a filter\n", ["The kit contains:", "two hoses", "a filter"]),
    ("What is the area of a circle?", "# Area\n\nThe area of a circle is:\n\n$$\nA = \\pi r^2\n$$\n", ["The area of a circle is:", "\\pi r^2"]),
])
def test_S2_a_lead_in_comes_with_what_it_leads_in(suite, question, text, parts):
    a = answer(suite, question, text)
    assert a["grounded"] and all(p in a["answer"] for p in parts), a
    assert "2/5" not in a["answer"], a


def test_S2_a_bare_lead_in_is_no_answer(suite):
    a = answer(suite, "What are the colours of the flag?", "# Flag\n\nThe colours of the flag are:\n")
    assert not a["grounded"], a


def test_S3_an_error_as_heading(suite):
    a = answer(suite, "ModuleNotFoundError: No module named rclpy how do I fix it?",
               "# Help\n\n## ModuleNotFoundError: No module named rclpy\n\nSource the setup file of your installation in every new shell.\n\n"
               "## Segmentation fault\n\nUpdate the driver.\n")
    assert "Source the setup file" in a["answer"] and "driver" not in a["answer"], a


def test_S4_a_table_is_the_answer_not_the_exercise_that_repeats_the_question(suite):
    a = answer(suite, "What is the difference between a topic and a service?",
               "# Talking\n\n| Topic | Service |\n|---|---|\n| many to many | one to one |\n| no reply | a reply |\n\n"
               "## Exercise\n\nExplain the difference between a topic and a service to a friend.\n")
    assert "| Topic | Service |" in a["answer"] and "many to many" in a["answer"] and "friend" not in a["answer"], a


# ---- under which heading
@pytest.mark.parametrize("question,section", [("With what is the red pump cleaned?", "Cleaning"), ("At which pressure does the red pump open?", "Opening pressure"),
                                              ("Who repairs the red pump?", "Repair")])
def test_S5_the_section_is_the_one_whose_bytes_are_quoted(suite, question, section):
    a = answer(suite, question, "# Pumps\n\n## Opening pressure\n\nThe red pump opens at 3 bar.\n\n## Cleaning\n\nThe red pump is cleaned with vinegar."
               "\n\n## Repair\n\nThe red pump is repaired by its maker.\n")
    assert a["sources"][0]["section"] == section, a


# ---- sentences that stand alone
def test_S6_a_sentence_that_leans_back_brings_the_one_before(suite):
    a = answer(suite, "What voltage does the relay need?", "# Parts\n\nThe relay sits beside the fuse. It needs a voltage of 12 V.\n")
    assert "The relay sits beside the fuse. It needs a voltage of 12 V." in a["answer"], a


def test_S6_all_lower_case_text_is_answered(suite):
    a = answer(suite, "when does the ferry leave?", "the ferry leaves at nine. the bus waits for it. dogs travel for free.")
    assert a["grounded"] and "the ferry leaves at nine" in a["answer"], a


# ---- confidence
def test_confidence_falls_where_the_question_asks_for_something_else(suite):
    text = "# Town\n\nThe bridge over the Wern was built in 1893 by the engineer Anna Holl.\n"
    sure = answer(suite, "Who built the bridge over the Wern?", text)
    other = again(suite, "Who did not build the bridge over the Wern?", HELD[-1])
    elsewhere = again(suite, "Who built the bridge over the Saale?", HELD[-1])
    assert sure["grounded"] and sure["confidence"] > 0.5, sure
    assert other["confidence"] < sure["confidence"] and elsewhere["confidence"] < sure["confidence"], (other, elsewhere)


# ---- neighbours of all kinds: what the answer says, what it never has; says null: refused
@pytest.mark.parametrize("n", NEIGHBOURS, ids=[n["id"] for n in NEIGHBOURS])
def test_a_neighbour_is_answered_right(suite, n):
    a = answer(suite, n["question"], n["text"])
    if n["says"] is None:
        assert not a["grounded"] and not a["sources"] and a["confidence"] == 0, a
        return
    assert a["grounded"] and a["sources"], a
    assert [x for x in n["says"] if x not in a["answer"]] == [] and [x for x in n["never"] if x in a["answer"]] == [], a


# ---- what a passage begins in the middle of
def test_a_passage_that_begins_within_a_fence_knows_what_is_code(suite):
    lines = "".join(f"pump.step({i})  // the hook of step {i} runs here\n" for i in range(60))
    text = f"# Steps\n\nThese are all steps:\n\n```js\n{lines}```\n\nThe callback is not available when the pump is asynchronous.\n"
    a = answer(suite, "When is the callback not available?", text)
    assert a["grounded"] and "The callback is not available when the pump is asynchronous." in a["answer"] and "pump.step" not in a["answer"], a


def test_a_row_is_never_cut(suite):
    rows = "".join(f"| E{i} | The pump of line {i} has lost its water. | Fill the pump of line {i} again. | #{i} |\n" for i in range(100, 160))
    a = answer(suite, "What does E147 mean?", f"# Faults\n\n| Code | Fault | Remedy | Note |\n|---|---|---|---|\n{rows}")
    row = "| E147 | The pump of line 147 has lost its water. | Fill the pump of line 147 again. | #147 |"
    assert row in a["answer"] and a["sources"][0]["content_excerpt"] == row, a


# ---- terms of definition lists, directives
HTML = ("<h1>Options</h1><dl><dt>AUTO_CD</dt><dd>Change to the directory that is named.</dd><dt>?</dt><dd>Matches any character.</dd>"
        "<dt>**</dt><dt>pow</dt><dd>exponentiation</dd></dl>")


@pytest.mark.parametrize("question,right", [
    ("What does AUTO_CD do?", "AUTO_CD\nChange to the directory that is named."),
    ("What does the ? operator match?", "?\nMatches any character."),
    ("What is the ** operator?", "**\npow\nexponentiation"),
])
def test_a_term_is_quoted_with_what_explains_it(suite, question, right):
    a = answer(suite, question, HTML, "text/html", "page.html")
    assert a["grounded"] and right in a["answer"], a


# ---- options of programs
OPTIONS = {
    "html": ("text/html", "<h1>press(1)</h1><h2>Options</h2><dl><dt>-j N</dt><dt>--jobs N</dt><dd>How many plates are pressed at once.</dd><dt>--frozen</dt>"
             "<dd>Equivalent to specifying both --locked and --cold.</dd><dt>--locked</dt><dd>Keeps the plate that is in. Without this flag it is changed.</dd></dl>"
             "<h2>Locking</h2><p>A locked plate is one that is held. The lock is locked by hand. A frozen river carries.</p>"),
    "man": ("text/plain", "press(1)\n\nOPTIONS\n\n-j N, --jobs N\n    How many plates are pressed at once.\n\n--frozen\n    Equivalent to specifying both --locked and --cold.\n\n"
            "--locked\n    Keeps the plate that is in. Without this flag it is changed.\n\nA locked plate is one that is held. The lock is locked by hand. A frozen river carries.\n"),
    "md": ("text/markdown", "# press\n\n## Options\n\n- `-j N`, `--jobs N`: how many plates are pressed at once\n- `--frozen`: equivalent to specifying both `--locked` and `--cold`\n"
           "- `--locked`: keeps the plate that is in. Without this flag it is changed.\n\n## Locking\n\nA locked plate is one that is held. The lock is locked by hand.\n"),
    "table": ("text/markdown", "# press\n\n| option | meaning |\n|---|---|\n| `-j N`, `--jobs N` | how many plates are pressed at once |\n| `--frozen` | equivalent to specifying both --locked and --cold |\n"
              "| `--locked` | keeps the plate that is in |\n\n## Locking\n\nA locked plate is one that is held. The lock is locked by hand.\n"),
}


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("question,right", [
    ("What does --frozen do?", "quivalent to specifying both"), ("what is --locked", "eeps the plate that is in"), ("What does the -j option mean?", "many plates"),
    ("What is `--jobs`?", "many plates"), ("What does --jobs=4 do?", "many plates"), ("What does --foo do?", None)])
def test_an_option_is_explained_by_its_own_line(suite, kind, question, right):
    media, text = OPTIONS[kind]
    a = answer(suite, question, text, media)
    assert a["grounded"] == (right is not None), a
    if right:
        assert right in a["answer"] and a["answer"].index(right) < 70 and "river" not in a["answer"], a


def test_no_sentence_is_quoted_twice(suite):
    flag = "Prevents the press from using the mains. Without this flag, the press stops when the mains are needed. With this flag, it goes on by hand."
    pages = "".join(f"<h2>press {v}</h2><p>The {v} command has this:</p><dl><dt>--by-hand</dt><dd>{flag}</dd></dl>" for v in ("up", "down", "hold"))
    a = answer(suite, "How do I keep the press from using the mains?", f"<h1>press</h1>{pages}", "text/html", "press.html")
    assert a["grounded"] and "--by-hand\nPrevents the press" in a["answer"], a
    assert all(a["answer"].count(s) <= 1 for s in flag.split(". ")), a


RST = ("Paths\n=====\n\n.. index:: pair: pattern; matching of a path\n\n.. method:: Path.rglob(pattern)\n\n   Find all files below this path that match the pattern.\n\n"
       "   .. versionadded:: 3.4\n\n   >>> Path().rglob('*.py')\n   [PosixPath('setup.py')]\n\n.. method:: Path.match(pattern)\n\n   Match this path against the pattern.\n\n"
       "A path is joined like this::\n\n   base / 'name'\n\nThe drive letter is kept.\n")


@pytest.mark.parametrize("question,right,never", [
    ("What does Path.rglob do?", "Path.rglob(pattern)\n\n   Find all files below this path that match the pattern.", ".. "),
    ("How is a path joined?", "A path is joined like this::\n\n   base / 'name'", "letter"),
    ("What is matched against the pattern?", "Match this path against the pattern.", ".. index"),
])
def test_directives_are_no_sentences(suite, question, right, never):
    a = answer(suite, question, RST, "text/x-rst", "page.rst")
    assert a["grounded"] and right in a["answer"].replace(" [1]", "") and never not in a["answer"], a


# ---- excerpts: what is quoted, not only its last sentence
def test_an_excerpt_is_the_whole_quote_where_it_fits(suite):
    a = answer(suite, "What is URDF?", "# Robots\n\n## What is URDF?\n\nA tree of links and joints. Tools draw the machine from it.\n")
    assert a["sources"][0]["content_excerpt"] == "A tree of links and joints. Tools draw the machine from it.", a
    a = answer(suite, "How do I start the service?", "# Service\n\nTo start the service, run:\n\n```\nmake run\n```\n")
    assert a["sources"][0]["content_excerpt"] == "To start the service, run:\n\n```\nmake run\n```", a


def test_an_excerpt_is_cut_behind_a_sentence(suite):
    long = " ".join(f"Part {w} of the {w} kiln stands on its own brick floor." for w in ("red", "blue", "green", "grey", "black", "white", "brown", "pink"))
    a = answer(suite, "What is a kiln floor?", f"# Kilns\n\n## What is a kiln floor?\n\n{long}\n")
    assert a["sources"] and all(s["content_excerpt"].endswith(".") for s in a["sources"]), a
