"""A part of `make bench`: questions as people ask them, of a collection that shares its answers. First the stream of the part zipf again,
so that its calls and its money can be compared; then one of which each right answer is known (tests/kit/shared_kit.py): two
tenants, readers with and without keys and rights, documents that change meanwhile, over two gateways and in all dialects."""
import random
from concurrent.futures import ThreadPoolExecutor

from bench_corpus import zipf
from bench_kit import SHORT
from bench_lab import LIFTED, fresh_session
from bench_usual import STREAM, STREAM_SESSIONS, STREAM_TEXTS, money
from shared_kit import Houses, Stream, given_late

TEXTS = STREAM_TEXTS * STREAM // 10000    # as many draws of each as in a whole run
CHECKED = 600 if SHORT else 4000
ERASED = 100 if SHORT else 1000
DOCS = "/api/v1/collections/docs"


def scope(lab, **fields):
    r = lab.suite.request("PUT", DOCS, json=fields)
    assert r.status_code == 200, r.text
    lab.settle()


def shared(lab, report):
    texts = [f"{lab.opening('So', 'So now')} {q[0].lower()}{q[1:]}" for q in lab.texts[:TEXTS]]
    draw, sessions = random.Random(7), [fresh_session() for _ in range(STREAM_SESSIONS)]
    bodies = [{"question": texts[i], "session_id": draw.choice(sessions)} for i in zipf(STREAM, TEXTS)]
    scope(lab, cache_scope="collection")
    try:
        calls, before = lab.suite.stub.stats(), money(lab)
        r = lab.rival("ours").load(bodies).run(closed=16, count=STREAM, seconds=300)
        lab.settle()
        after, then = lab.suite.stub.stats(), money(lab)
    finally:
        scope(lab)
    spent = {k: then[k] - before[k] for k in then}
    chat, embeddings = after["chat"] - calls["chat"], after["embeddings"] - calls["embeddings"]
    saved = spent["saved_query"] + spent["saved_embedding"]
    for name, value in (("questions", STREAM), ("different texts", len({b["question"] for b in bodies})), ("calls of the chat model", chat),
                        ("calls of the embedding model", embeddings), ("dollars paid", round(spent["paid"], 6)), ("dollars saved", round(saved, 6))):
        report.row("shared", name, value=value)
    bars = report.bars
    bars.least("shared_model_calls_saved", 100 * (1 - (chat + embeddings) / (2 * STREAM)), 75, "%")
    bars.least("shared_dollars_saved", 100 * saved / (saved + spent["paid"]), 60, "%")
    bars.shown("shared_questions_a_second", r["rate"])
    bars.most("shared_bad_answers", r["bad"], 0)
    checked(report)


def checked(report):
    with Houses(env=LIFTED) as s:
        stream = Stream(s, questions=CHECKED, machines=60, sessions=300, edits=60).run()
        asked = [f"How many litres does the machine {stream.names[n % 20]} hold, asked {n} times?" for n in range(ERASED)]
        with ThreadPoolExecutor(4) as pool:
            late = list(filter(None, pool.map(lambda n: given_late(s, asked[n], n, "open"), range(ERASED))))
        s.down()
    for text in (stream.wrong + late)[:5]:
        print("#", text)
    report.row("shared", "questions whose right answer is known", value=stream.asked)
    report.row("shared", "of these answered from the query cache", value=stream.hits)
    report.bars.shown("shared_checked_hits", 100 * stream.hits / stream.asked, "%")
    report.bars.most("shared_wrong_answers", len(stream.wrong), 0)
    report.bars.most(f"shared_erased_given_after_250_ms_of_{ERASED}", len(late), 0)
