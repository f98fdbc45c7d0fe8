"""Questions that nobody tuned anything to, over documents that none of us wrote and that stand on every Debian: the licences of
/usr/share/common-licenses. Built-in answers and n-gram vectors, nothing configured. In English, off the topic with words that licences have,
too, and in German and French: an answer in the documents' language, or a refusal, and no quote that says something else."""
import json
import os

import pytest

from suite import Suite

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = "/usr/share/common-licenses"
LICENCES = ("GPL-3", "Apache-2.0", "MPL-2.0", "GFDL-1.3", "Artistic", "CC0-1.0")
ASKED = [json.loads(line) for line in open(os.path.join(HERE, "answers", "licences.jsonl"), encoding="utf-8")]


@pytest.fixture(scope="module")
def answers():
    """kind → [(question, facts, answer)]"""
    got = {}
    with Suite(env={"RATE_LIMIT_REQUESTS": "100000"}) as s:
        for name in LICENCES:
            with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
                r = s.request("POST", "/api/v1/documents?wait=1", json={"id": name, "title": name, "text": f.read()})
            assert r.status_code == 200, r.text
        for q in ASKED:
            a = s.ask(q["text"]).json()
            got.setdefault(q["kind"], []).append((q["text"], q.get("fact"), a))
    return got


def says(a, fact):
    return a["grounded"] and " ".join(fact.split()).lower() in " ".join(a["answer"].split()).lower()


def test_what_a_licence_says_is_found_and_quoted(answers):
    refused = [q for q, _, a in answers["own"] if not a["grounded"]]
    wrong = [q for q, fact, a in answers["own"] if a["grounded"] and not says(a, fact)]
    assert len(answers["own"]) >= 20 and len(refused) <= 1 and len(wrong) <= 4, (refused, wrong)


def test_what_no_licence_says_is_refused(answers):
    answered = [(q, a["answer"][:200]) for q, _, a in answers["off"] if a["grounded"]]
    assert len(answers["off"]) >= 20 and len(answered) <= 1, answered


@pytest.mark.parametrize("language,word", [("de", "Dokument"), ("fr", "document")])
def test_a_question_in_another_language_gets_what_it_asks_for_or_a_refusal(answers, language, word):
    wrong = [(q, a["answer"][:200]) for q, fact, a in answers[language] if a["grounded"] and not (fact and says(a, fact))]
    assert len(answers[language]) >= 12 and not wrong, wrong
    refusals = [a["answer"] for _, _, a in answers[language] if not a["grounded"]]
    assert refusals and all(word in r for r in refusals), refusals
