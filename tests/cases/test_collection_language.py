"""A collection's `language`: the stemmer and the stop words that its documents and questions are read with."""
import uuid

import pytest

from suite import Suite, wait_for
from test_documents import footnote


@pytest.fixture(scope="module")
def suite():
    with Suite(env={"EMBEDDING_MODEL": ""}) as s:
        yield s


def fresh():
    return "lang-" + uuid.uuid4().hex[:8]


def put_collection(suite, name, **settings):
    r = suite.request("PUT", f"/api/v1/collections/{name}", json=settings)
    assert r.status_code == 200, r.text
    return r.json()


def put(suite, collection, **texts):
    for key, text in texts.items():
        r = suite.request("POST", "/api/v1/documents?wait=1", json={"id": key, "text": text, "collection": collection})
        assert r.status_code == 200, r.text


def lexical(suite, collection, query):
    """Words alone: the best passage's score by its words; 0 when none has one."""
    r = suite.request("POST", "/api/v1/search", json={"query": query, "collection": collection, "top_k": 5, "explain": True})
    assert r.status_code == 200, r.text
    return max([h.get("lexical_score") or h.get("lexical") or 0 for h in r.json()["results"]] or [0])


# German without function words: nothing tells it from English, whose stemmer keeps singular and plural apart (by more than a misspelling)
DOC, QUERY = "Verankerungen Bootsbeladungen Schiffsmeldungen", "Verankerung"


def test_language_is_an_option_of_the_collection(suite):
    name = fresh()
    assert put_collection(suite, name)["language"] is None
    assert put_collection(suite, name, language="de")["language"] == "de"
    assert put_collection(suite, name, language="de-AT")["language"] == "de"
    assert suite.request("GET", f"/api/v1/collections/{name}").json()["language"] == "de"
    assert [c["language"] for c in suite.request("GET", "/api/v1/collections").json()["items"] if c["name"] == name] == ["de"]
    assert put_collection(suite, name, language=None)["language"] is None
    assert put_collection(suite, name, language="")["language"] is None


@pytest.mark.parametrize("value", ["xx", "german", "e", "de_", 7, ["de"], "x" * 60])
def test_an_unknown_language_is_refused_with_the_known_ones(suite, value):
    r = suite.request("PUT", f"/api/v1/collections/{fresh()}", json={"language": value})
    if value == "de_":
        assert r.status_code == 200
        return
    assert r.status_code == 422 and r.json()["errors"][0]["pointer"] == "/language" and r.json()["detail"].startswith("language: "), r.text
    if isinstance(value, str) and len(value) < 35:
        assert all(f"{code}," in r.text for code in ("en", "de", "fr", "ru", "zh", "th", "ar")), r.text


def test_the_language_chooses_the_stemmer_for_index_and_question(suite):
    name = fresh()
    put(suite, name, a=DOC)
    before = lexical(suite, name, QUERY)
    put_collection(suite, name, language="de")
    wait_for("the documents are read in German", lambda: lexical(suite, name, QUERY) > 0)
    assert before == 0


def test_stop_words_are_those_of_the_language(suite):
    """"Die" is an article in German and a verb in English."""
    name = fresh()
    put(suite, name, a="Die Roboter", b="Batteries")
    put_collection(suite, name, language="en")
    wait_for("read in English", lambda: lexical(suite, name, "die") > 0)
    put_collection(suite, name, language="de")
    wait_for("read in German", lambda: lexical(suite, name, "die") == 0)
    assert lexical(suite, name, "Roboter") > 0


def test_a_change_loses_nothing_while_it_lasts(suite):
    name = fresh()
    put(suite, name, **{f"d{i}": f"Document {i} tells of the harbour number{i}." for i in range(40)})
    for language in ("de", "fr", None, "en"):
        put_collection(suite, name, language=language)
        for i in range(0, 40, 3):
            assert lexical(suite, name, f"number{i}") > 0, (language, i)
    info = suite.request("GET", f"/api/v1/collections/{name}").json()
    assert info["documents"] == 40 and info["chunks"] == 40


def test_a_put_without_a_change_reads_nothing_again(suite):
    name = fresh()
    put(suite, name, a=DOC)
    put_collection(suite, name, language="de")
    epoch = put_collection(suite, name, language="de", top_k=3)["epoch"]
    assert put_collection(suite, name, language="de", top_k=4)["epoch"] == epoch + 1


def test_documents_that_come_later_are_read_in_it_too(suite):
    name = fresh()
    put_collection(suite, name, language="de")
    put(suite, name, a=DOC)
    assert lexical(suite, name, QUERY) > 0


def test_cached_answers_of_before_are_not_given_any_more(suite):
    name = fresh()
    put(suite, name, a=DOC)
    put_collection(suite, name, language="en")
    suite.ask(QUERY + "?", collection=name)
    put_collection(suite, name, language="de")
    assert suite.ask(QUERY + "?", collection=name).json()["cached"] == "none"


def test_refusals_keep_the_language_of_the_question(suite):
    name = fresh()
    put_collection(suite, name, language="de")
    put(suite, name, a="Die Ankerkette wird monatlich geprüft.")
    assert "could not find" in suite.ask("What is the capital of Peru?", collection=name).json()["answer"]
    assert "keine Antwort" in suite.ask("Was ist die Hauptstadt von Peru?", collection=name).json()["answer"]


def test_it_outlives_a_restart_and_every_retriever_follows(suite):
    name = fresh()
    put(suite, name, a=DOC)
    put_collection(suite, name, language="de")
    suite.restart("retriever")
    suite.wait_ready()
    assert lexical(suite, name, QUERY) > 0
    suite.add_replica("retriever")
    put_collection(suite, name, language="en")
    wait_for("both read it in English", lambda: all(lexical(suite, name, QUERY) == 0 for _ in range(8)))
    put_collection(suite, name, language="de")
    wait_for("both read it in German", lambda: all(lexical(suite, name, QUERY) > 0 for _ in range(8)))


def test_the_client_sets_it_and_keeps_the_other_settings(suite):
    name = fresh()
    put(suite, name, a=DOC)
    put_collection(suite, name, refusal="Nein \"das\" weiß ich nicht.", top_k=7, retention_days=30, cache_scope="collection")
    r = footnote(suite, "collection", "--language", "de", name)
    assert r.returncode == 0 and "1 documents" in r.stdout and "language de" in r.stdout, r.stderr
    now = suite.request("GET", f"/api/v1/collections/{name}").json()
    assert (now["language"], now["refusal"], now["top_k"], now["retention_days"], now["cache_scope"]) == ("de", "Nein \"das\" weiß ich nicht.", 7, 30, "collection")
    r = footnote(suite, "collection", "--cache-scope", "session", name)
    assert r.returncode == 0 and "language de, cached answers for the session" in r.stdout, r.stderr
    assert footnote(suite, "collection", "--cache-scope", "auto", name).returncode == 0
    now = suite.request("GET", f"/api/v1/collections/{name}").json()
    assert (now["language"], now["top_k"], now["cache_scope"]) == ("de", 7, None)
    assert footnote(suite, "collection", "--cache-scope", "everybody", name).returncode == 1
    r = footnote(suite, "collection", "--language", "xx", name)
    assert r.returncode == 1 and "known are en" in r.stderr
    assert footnote(suite, "collection", "--language", "auto", name).returncode == 0
    assert "auto" in footnote(suite, "collection", name).stdout
    assert footnote(suite, "collection", "nobody").returncode == 1
    assert footnote(suite, "collection", "--language", "fr", fresh()).returncode == 0
