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


# ---- questions that are paragraphs: (kind, text), each beside a page that has the same words
PARAGRAPHS = {
    "numbers": ("text/html", """<!doctype html><title>Ferry: questions</title><h1>Ferry</h1><h2>Frequently asked questions</h2>
<ol><li><a href="#q1">How do I change or cancel a booking for the ferry?</a></li><li><a href="#q2">Is the ferry stormproof?</a></li>
<li><a href="#q3">My ticket got wet. Is it still good?</a></li></ol>
<a name="q1"></a><p><b>(1) How do I change or cancel a booking for the ferry?</b></p><blockquote><p>Ring the office on the evening before. Nothing is charged.</p>
<p>On the day itself half of the price is kept.</p></blockquote>
<a name="q2"></a><p><b>(2) Is the ferry stormproof?</b></p><blockquote>She stays in up to wind force nine.</blockquote>
<a name="q3"></a><p><b>(3) My ticket got wet. Is it still good?</b></p><blockquote>As long as its number can be read.</blockquote>"""),
    "terms": ("text/html", """<!doctype html><title>Ferry: questions</title><h1>Ferry</h1><dl>
<dt>How do I change or cancel a booking for the ferry?</dt><dd>Ring the office on the evening before. Nothing is charged.</dd>
<dt>Is the ferry stormproof?</dt><dd><p>She stays in up to wind force nine.</p></dd>
<dt>My ticket got wet. Is it still good?</dt><dd>As long as its number can be read.</dd></dl>"""),
    "letters": ("text/plain", """Ferry: questions

Q: How do I change or cancel a booking for the ferry?
A: Ring the office on the evening before. Nothing is charged.

Q: Is the ferry stormproof?

A: She stays in up to wind force nine.

Q: My ticket got wet. Is it still good?
A: As long as its number can be read.
"""),
    "bold": ("text/markdown", """# Ferry

**How do I change or cancel a booking for the ferry?**

Ring the office on the evening before. Nothing is charged.

**Is the ferry stormproof?**
She stays in up to wind force nine.

**My ticket got wet. Is it still good?**

As long as its number can be read.
"""),
}
BESIDE = """# Booking the ferry

When changing a booking that has vehicles, or when cancelling bookings of groups for the ferry, all existing bookings must be read by the office.
The booking of a ferry can be changed, and a change of the ferry books again. A ticket that got wet is a ticket still.
"""
PARAGRAPHS_ASKED = [("How do I change or cancel a ferry booking?", "How do I change or cancel a booking for the ferry?", "Ring the office on the evening before. Nothing is charged. ["),
                    ("Is the ferry stormproof?", "Is the ferry stormproof?", "She stays in up to wind force nine. ["),
                    ("My ticket got wet, is it still good?", "My ticket got wet. Is it still good?", "As long as its number can be read. [")]


@pytest.fixture(scope="module")
def paragraphs():
    with Suite() as s:
        for name, (kind, text) in PARAGRAPHS.items():
            put(s, text, name, kind=kind, doc_id="faq")
            put(s, BESIDE, name, doc_id="beside")
        yield s


@pytest.mark.parametrize("name", PARAGRAPHS)
def test_a_question_that_is_a_paragraph_names_the_passage_of_its_answer(paragraphs, name):
    for question, section, first in PARAGRAPHS_ASKED:
        a = paragraphs.ask(question, collection=name).json()
        assert a["grounded"] and a["answer"].startswith(first), a["answer"]
        n = int(re.search(r"\[(\d+)\]", a["answer"]).group(1))
        assert next(s for s in a["sources"] if s["n"] == n)["section"].split(" > ")[-1] == section, a["sources"]
