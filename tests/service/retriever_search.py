"""SEARCH and CITE of the real retriever: walls, filters, thresholds, bad requests, citations."""
import struct

import pytest

from busfake import CODES, Service, wait_for
from retriever_kit import DIMS, Backend, vector


@pytest.fixture(scope="module")
def back():
    with Backend() as b:
        yield b


@pytest.fixture(scope="module", autouse=True)
def retriever(back):
    docs = [back.put("# Otters\n\nOtters hold hands while they sleep.", metadata='{"year": 2021, "tags": ["sea", "fur"]}',
                     external_id="otters"),
            back.put("# Beavers\n\nBeavers build dams of wood and mud.", metadata='{"year": 2023}', external_id="beavers"),
            back.put("# Secret\n\nThe vault code of the otters is 4711.", tenant="acme"),
            back.put("# Other\n\nOtters in the other collection.", collection="more")]
    with Service("retriever", back.hub) as s:
        wait_for("all indexed", lambda: all(d["status"] == "ready" for d in docs) and
                 s.metric("retriever_index_documents") == 4)
        yield s


def names(back, query, **kw):
    return {h.get("external_id", "") for h in back.hits(query, **kw)}


def test_no_tenant_sees_another(back):
    assert names(back, "otters sleep", all=True) == {"otters"}
    assert all("vault" not in h["text"] for h in back.hits("vault code of the otters", all=True, top_k=200))
    assert back.hits("vault code", tenant="acme")[0]["text"].endswith("4711.")
    assert back.hits("otters", tenant="nobody", all=True) == []
    assert back.hits("otters", tenant="", all=True) == []


def test_collections_are_searched_as_asked(back):
    assert len(back.hits("otters", all=True)) == 1
    assert len(back.hits("otters", collections=("docs", "more", "docs"), all=True)) == 2
    assert back.hits("otters", collections=("none",), all=True) == []


def test_filters_narrow_the_search(back):
    everything = "otters beavers"
    assert names(back, everything, all=True) == {"otters", "beavers"}
    assert names(back, everything, all=True, filter='{"year":{"gte":2022}}') == {"beavers"}
    assert names(back, everything, all=True, filter='{"tags":"fur"}') == {"otters"}
    assert names(back, everything, all=True, filter='{"document":["beavers"]}') == {"beavers"}
    assert names(back, everything, all=True, filter='{"chapter":"Otters"}') == {"otters"}
    assert names(back, everything, all=True, filter='{"year":1999}') == set()


@pytest.mark.parametrize("bad", [
    {"filter": "{"}, {"filter": '{"a":{"near":1}}'}, {"vector": b"abc"}, {"vector": bytes(4 * DIMS)},
    {"vector": struct.pack("<f", float("nan")) * DIMS}, {"threshold": float("nan")}])
def test_a_bad_search_is_refused_and_counted(back, retriever, bad):
    before = retriever.metric("retriever_search_refused_total")
    req = {"query": "otters", "collections": ["docs"], "vector": vector("otters"), "model": back.model, **bad}
    assert back.hub.ask("search", req)[0] == CODES["VALIDATION"]
    retriever.counted(before + 1, "retriever_search_refused_total")


def test_a_search_by_words_alone_works(back):
    rep = back.hub.ok("search", {"query": "Who builds dams?", "collections": ["docs"]})
    assert rep["hits"][0]["external_id"] == "beavers"
    assert rep["hits"][0].get("vector", 0) == 0


def place(back, selection, **kw):
    got = back.search("what is this?", selection=selection, **kw).get("selected", [])
    return got[0] if got else None


def test_a_selected_text_is_found_at_its_bytes(back):
    p = place(back, "hold hands while they sleep.")
    assert p["external_id"] == "otters" and p["text"] == "hold hands while they sleep." and p["score"] == 1
    assert p["end"] - p["start"] == len(p["text"]) and p["chapter"] == "Otters"
    assert place(back, "Otters sleep while they hold hands.") is None           # the words are there, the text is not
    assert place(back, "The vault code of the otters is 4711.") is None         # another tenant's
    assert place(back, "The vault code of the otters is 4711.", tenant="acme")["text"].endswith("4711.")
    assert place(back, "Beavers build dams", filter='{"year": 2021}') is None   # what may not be searched is not found either
    assert place(back, "while they") is not None                                # of words that no index has
    assert "selected" not in back.search("otters")


def test_a_selection_over_several_chunks_has_its_bytes_and_no_text(back, retriever):
    long = "".join(f"## Part {i}\n\n" + f"Sentence number {i} of the walrus tells something **bold** about ice. " * 8 + "\n\n" for i in range(6))
    doc = back.put("# Walrus\n\n" + long, external_id="walrus")
    copy = back.put("# Copy\n\nSentence number 3 of the walrus tells something bold about ice.", external_id="copy")
    wait_for("indexed", lambda: doc["status"] == copy["status"] == "ready" and retriever.metric("retriever_index_documents") == 6)
    shown = "Sentence number 2 of the walrus tells something bold about ice.\nPart 3\nSentence number 3 of the walrus tells something bold"
    p = place(back, shown)
    source = doc["text"][p["start"]:p["end"]].decode()
    assert p["external_id"] == "walrus" and p["text"] == ""
    assert source.startswith("Sentence number 2") and "## Part 3" in source and source.endswith("bold**")
    one = "Sentence number 3 of the walrus tells something bold about ice."
    assert place(back, one, chapter="Copy")["external_id"] == "copy" and place(back, one, chapter="Walrus")["external_id"] == "walrus"
    for d in (doc, copy):
        back.delete(d)
    wait_for("gone", lambda: retriever.metric("retriever_index_documents") == 4)


def test_what_is_near_to_the_selection_alone_is_found_too(back):
    assert names(back, "explain", selection="Beavers build dams of wood and mud.") == {"beavers"}


def test_the_threshold_decides_what_counts_as_an_answer(back):
    assert back.hits("Which animals build dams of wood?")
    assert back.hits("Which animals build dams of wood?", threshold=0.999) == []
    assert back.hits("tungsten boiling") == []  # shares no word with a document, and no cell of the vector
    assert back.hits("otters and tungsten boiling chemistry points", all=True)


def test_an_answer_gets_its_citations(back):
    hits = back.hits("How do otters sleep? And do beavers build dams?", all=True)
    n = [h["external_id"] for h in hits].index("otters") + 1
    rep = back.hub.ok("cite", {"question": "How do otters sleep?", "hits": hits,
                               "answer": f"They hold hands while they sleep [{n}]. Nothing else is known [99]."})
    assert rep["answer"] == f"They hold hands while they sleep [{n}]. Nothing else is known."
    [c] = rep["citations"]
    doc = back.docs[c["document_id"]]
    assert c["excerpt"].encode() == doc["text"][c["start"]:c["end"]] and c["n"] == n
    assert c["excerpt"] == "Otters hold hands while they sleep."
    assert rep["grounded"] and 0 < rep["confidence"] <= 1
    rep = back.hub.ok("cite", {"question": "?", "hits": hits, "answer": "I do not know [1].", "refused": True})
    assert not rep.get("grounded") and rep["citations"] == [] and rep["confidence"] == 0


def test_a_search_after_a_switch_waits_until_the_index_has_reached_it(back):
    """The vectors that it is compared with came before the switch: an index that has not read so far would find half of them."""
    late = back.put("# Herons\n\nHerons stand on one leg in the reeds.", external_id="herons")
    wait_for("indexed", lambda: late["status"] == "ready" and names(back, "herons reeds", all=True) >= {"herons"})
    assert back.hits("herons reeds", all=True, after=back.seq)
    call = back.hub.begin("search", {"query": "herons reeds", "collections": ["docs"], "all": True, "after": back.seq + 1}, tenant="default")
    back.hub.ok("search", {"query": "herons reeds", "collections": ["docs"], "all": True}, tenant="default")
    assert call.code is None, "another search overtakes it"
    back.change(late, "ready")
    wait_for("it is answered", lambda: call.code == 0, 5)
