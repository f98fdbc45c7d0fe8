"""The documents of the end-to-end tests, and checks that many tests share. Facts are made up, so that no model knows them."""
import re
import uuid

LIGHTHOUSE = """# The lighthouse of Varnholm

## History

The lighthouse of Varnholm was built in 1843 by the engineer Ingrid Solheim. It replaced a wooden beacon that had burnt
down twice. The tower is 41 metres high and is made of grey granite from the quarry at Brekke.

## The lamp

The lamp burns colza oil and is visible for 23 nautical miles. The keeper trims the wick every four hours. A clockwork
motor turns the lens once in ninety seconds; it must be wound up by hand each evening.

## Visiting

Visitors may climb the 198 steps between May and September. Tickets cost four crowns. Dogs are not admitted to the tower.
"""

BREAD = """# Bread for the bakery course

## Sourdough

The sourdough starter is fed with rye flour every twelve hours. At 26 degrees it doubles within five hours. A starter
that smells of acetone is hungry and has to be fed twice.

## Baking

The loaf is baked at 240 degrees for fifty minutes. Steam is released after the first twelve minutes, otherwise the crust
stays pale. The loaf is done when it sounds hollow.
"""

PUMP = """# Service manual of the pump P-77

## Priming

The pump P-77 is primed with two litres of glycol before the first start. A dry start destroys the ceramic seal within
forty seconds.

## Faults

Fault code E14 means that the inlet strainer is blocked. Close the valve, remove the strainer and rinse it with clean
water. Fault code E22 means that the bearing is too hot.
"""

DOCUMENTS = (
    ("lighthouse", LIGHTHOUSE, {"title": "The lighthouse of Varnholm", "url": "https://docs.example.org/lighthouse",
                                "metadata": {"lang": "en", "year": 1843, "tags": ["sea", "stone"]}}),
    ("bread", BREAD, {"title": "Bread", "chapter": "Course", "metadata": {"lang": "en", "year": 2021, "tags": ["food"]}}),
    ("pump", PUMP, {"title": "Pump P-77", "metadata": {"lang": "en", "year": 2019, "tags": ["machine"]}}),
)
Q_BUILT = "Who built the lighthouse of Varnholm and when?"
Q_LAMP = "Which oil does the lamp burn and for how many nautical miles is it visible?"
Q_BREAD = "At how many degrees is the loaf baked and for how many minutes?"
Q_PUMP = "What does fault code E14 of the pump mean?"
# Plain questions whose answer stands in the corpus, in other words than the text's own.
PLAIN = (("How far is the lamp of the lighthouse visible?", "23 nautical miles"),
         ("How hot must it be when the loaf is baked?", "240 degrees"),
         ("How often is the sourdough starter fed?", "twelve hours"))
Q_NOTHING = "Which zorblatt governs the quixotic parliament of Neptune?"

ANSWER_FIELDS = {"answer", "sources", "session_id", "message_id", "conversation_id", "confidence", "cached", "grounded",
                 "saved", "usage"}
SOURCE_FIELDS = {"id", "n", "document_id", "chunk_id", "chapter", "section", "title", "content_excerpt", "start", "end",
                 "link", "confidence_score"}
PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}


def is_uuid(text):
    return isinstance(text, str) and str(uuid.UUID(text)) == text


def marks(answer):
    return {int(n) for n in re.findall(r"\[(\d+)\]", answer)}


def check_sources(suite, a, key=None):
    """Every source is cited, every mark has its source, and the bytes [start, end) of the stored text are the excerpt."""
    assert a["sources"], a
    assert marks(a["answer"]) == {s["n"] for s in a["sources"]}, a
    for s in a["sources"]:
        assert SOURCE_FIELDS <= set(s), s
        assert is_uuid(s["id"]) and is_uuid(s["document_id"]) and is_uuid(s["chunk_id"])
        assert 0 < len(s["content_excerpt"]) <= 300
        assert 0 <= s["confidence_score"] <= 1
        text = suite.text(s["document_id"], key=key)
        assert text[s["start"]:s["end"]].decode() == s["content_excerpt"], s


def check_problem(r, status, code=None, pointer=None):
    """A problem object of docs/api.md, "Errors"."""
    assert r.status_code == status, (r.status_code, r.text)
    assert r.headers["Content-Type"] == "application/problem+json"
    p = r.json()
    assert set(p) == PROBLEM_FIELDS, p
    assert p["status"] == status and p["request_id"] == r.headers["X-Request-ID"]
    assert r.headers["Cache-Control"] == "no-store"
    if code:
        assert p["code"] == code, p
    if pointer:
        assert [e["pointer"] for e in p["errors"]] == [pointer], p
    if status in (429, 503):
        assert int(r.headers["Retry-After"]) >= 1
    return p


def add_corpus(suite, key=None):
    """The three documents; {external id: document id}."""
    return {name: suite.ingest(text, id=name, key=key, **fields)["document_id"] for name, text, fields in DOCUMENTS}
