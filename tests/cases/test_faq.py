"""Questions and answers as people keep them: headings that are questions, asked in other words; a term that is asked for; a list of
contents beside them. The right section answers, and its own first words come first."""
import re
import uuid

import pytest

from suite import Suite
from test_documents import put

FAQ = """# Questions about the harbour

Here is what guests ask most, and what the harbour office answers.

## What is this list?

It is kept by the office and printed every spring.

## How do I pronounce the name Fleetwich, and where does it come from?

Say "flit-itch". The name is a contraction of fleet and wich, a place of trade.

## Which berths does the harbour offer?

There are forty berths for guests, all of them along the western pier, and two for the ferry. Berths are given by the harbour office.

## What is a guest berth?

A guest berth is a place at the pier that is free for one night. Whoever stays longer asks the harbour office.

## What about the "Merle"?

The Merle or lightship is the vessel on which most pilots wait. The name "Merle" also comes from a song: Merle was the smith's daughter.

## Why do I get "pump 7: cannot open valve -kx" when I fill my tank?

The cap of the tank is still closed. Open it, then wait for ten seconds.

## Must I leave the berth before I fill the tank?

Ships are filled where they lie, even in a row. [4] Only the ferry goes to the pump.

## How can I keep a list of the ships I have seen?

Most guests write them down by hand. Note that the office sells books for it.

## Can I sell fish at the pier?

Go ahead. Nobody needs permission to sell what they have caught.

## Why do the boxes of the office have such long names?

A box is named after the pier, the berth and the year: `<pier>_<berth>-<year>`.
"""
CONTENTS = "# Harbour guide\n\n" + "\n".join(f"{i // 4 + 1}.{i % 4 + 1}. {h}" for i, h in enumerate(re.findall("(?m)^## (.*)", FAQ))) + "\n"
ASKED = [("What is a berth for guests?", "What is a guest berth?", "A guest berth is a place at the pier"),
         ("What is Merle?", 'What about the "Merle"?', "The Merle or lightship is the vessel"),
         ("How is Fleetwich pronounced?", "How do I pronounce the name", 'Say "flit-itch".'),
         ("Which berths are there in the harbour?", "Which berths does the harbour offer?", "There are forty berths"),
         ("Why does pump 7 say cannot open valve -kx?", "Why do I get", "The cap of the tank is still closed."),
         ("Do I have to leave my berth for filling the tank?", "Must I leave the berth", "Ships are filled where they lie, even in a row."),
         ("May I sell fish at the pier?", "Can I sell fish", "Go ahead."),
         ("Why are the names of boxes so long?", "Why do the boxes", "A box is named after the pier"),
         ("How do I keep a list of ships?", "How can I keep a list", "Most guests write them down by hand.")]


@pytest.fixture(scope="module")
def faq():
    with Suite() as s:
        name = f"faq-{uuid.uuid4().hex[:8]}"
        put(s, FAQ, name, doc_id="faq")
        put(s, CONTENTS, name, doc_id="contents")
        yield s, name


@pytest.mark.parametrize("question, section, first", ASKED, ids=lambda v: re.sub(r"\W+", "-", v)[:24])
def test_a_question_in_other_words_than_the_heading_is_answered_by_what_stands_below_it(faq, question, section, first):
    suite, name = faq
    a = suite.ask(question, collection=name).json()
    assert a["grounded"] and a["answer"].startswith(first), a["answer"]
    n = int(re.search(r"\[(\d+)\]", a["answer"]).group(1))
    assert next(s for s in a["sources"] if s["n"] == n)["section"].startswith(section), a["sources"]


def test_what_the_list_does_not_answer_stays_unanswered(faq):
    suite, name = faq
    for question in ("What is a sextant?", "How do I cook mussels?", "Why does the crane stop at night?"):
        a = suite.ask(question, collection=name).json()
        assert not a["grounded"], (question, a["answer"])
