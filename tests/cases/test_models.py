"""Cases U1 to U16 and E1 to E6: what model servers send, through the whole suite. tests/service/dialects/ has their neighbours in number."""
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from dialect_kit import Server, plain_completion
from suite import BIN, SANITIZED, TOP, Suite, new_session, wait_for

sys.path.insert(0, os.path.join(TOP, "tests/e2e"))
Q = "When does the maple lose its leaves?"
TREES = ("maple", "birch", "oak", "ash")


def upstream(server, **more):
    return {"embedder": {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test", "UPSTREAM_IDLE_TIMEOUT": "120", **more}}


@pytest.fixture(scope="module")
def chat():
    """A suite whose answers come from a scripted server; it embeds by itself."""
    with Server() as server, Suite(service_env=upstream(server, EMBEDDING_PROVIDER="builtin"), env={"RATE_LIMIT_REQUESTS": "100000"}) as suite:
        for tree in TREES:
            suite.ingest(f"The {tree} loses its leaves in October.", id=tree)
        suite.server = server
        yield suite
        assert not suite.down()


@pytest.fixture
def s(chat):
    chat.redis.client().flushall()          # nothing is answered from the cache
    chat.server.script()
    return chat


def said(s, *rules, question=Q, **kw):
    s.server.script(*[{"route": "chat", **r} for r in rules])
    return s.answered(question, **kw)


def events(*contents):
    return [json.dumps({"choices": [{"index": 0, "delta": c}]}) for c in contents] + ["[DONE]"]


# ---- U: what chat servers send
THOUGHTS = {
    "in tags": {"says": ["<think>maybe [2]</think>It happens late [1]."]},
    "split over chunks": {"says": ["<th", "ink>may", "be [2]</th", "ink>It happens", " late [1]."]},
    "opened by the template": {"says": ["maybe [2]", "</think>\n\nIt happens late [1]."]},
    "in a field": {"events": events({"reasoning_content": "maybe [2]"}, {"content": "It happens late [1]."})},
    "in parts": {"events": events({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "maybe [2]"}]}]},
                                  {"content": [{"type": "text", "text": "It happens late [1]."}]})},
    "other tags": {"says": ["<reasoning>maybe [2]</reasoning>\nIt happens late [1]."]}}


@pytest.mark.parametrize("rule", THOUGHTS.values(), ids=THOUGHTS)
def test_u1_thoughts_are_neither_answer_nor_history_nor_marks(s, rule):
    session = new_session()
    a = said(s, rule, session=session)
    assert a["answer"] == "It happens late [1]." and [x["n"] for x in a["sources"]] == [1]
    assert [m["content"] for m in s.messages(session, 2)] == [Q, "It happens late [1]."]


def test_u1_a_stream_shows_no_thought(s):
    s.server.script({"route": "chat", **THOUGHTS["split over chunks"]})
    _, got = s.stream(Q)
    assert "".join(e.data["text"] for e in got if e.kind == "delta").startswith("It happens late")
    assert not [e for e in got if "maybe" in json.dumps(e.data)]


@pytest.mark.parametrize("nothing", ["data:", "null", "{}", ": keep-alive", "ping", "event: ping", "[]"])
def test_u3_empty_events_are_skipped(s, nothing):
    a = said(s, {"events": [nothing, *events({"content": "It happens "})[:1], nothing, nothing, *events({"content": "late [1]."})]})
    assert a["answer"] == "It happens late [1]." and a["grounded"]


PLAIN = {
    "plain JSON": {"body": plain_completion("It happens late [1].")},
    "plain JSON that calls itself a stream": {"type": "text/event-stream", "body": plain_completion("It happens late [1].")},
    "pieces of a message": {"events": [json.dumps({"choices": [{"message": {"content": c}}]}) for c in ("It happens ", "late [1].")] + ["[DONE]"]},
    "a message with all so far": {"events": [json.dumps({"choices": [{"message": {"content": c}}]}) for c in ("It", "It happens late [1].")] + ["[DONE]"]},
    "a list of chunks": {"body": json.dumps([{"choices": [{"delta": {"content": c}, "finish_reason": f}]} for c, f in (("It happens ", None), ("late [1].", "stop"))])}}


@pytest.mark.parametrize("rule", PLAIN.values(), ids=PLAIN)
def test_u5_no_stream_of_deltas(s, rule):
    assert said(s, rule)["answer"] == "It happens late [1]."


@pytest.mark.parametrize("reason, finish", [("length", "length"), ("MAX_TOKENS", "length"), ("content_filter", "content_filter"), ("SAFETY", "content_filter")])
def test_u9_a_cut_answer_says_so_and_is_not_cached(s, reason, finish):
    session = new_session()
    rule = {"says": ["It happens late [1]. Then"], "finish": reason}
    a = said(s, rule, session=session)
    assert a["finish"] == finish and a["grounded"] and a["cached"] == "none"
    again = s.answered(Q, session)
    assert again["cached"] == "none" and len(s.server.asked("chat")) == 2
    answers = [m for m in s.messages(session, 4) if m["role"] == "assistant"]
    assert [m["finish"] for m in answers] == [finish] * 2 and {m["status"] for m in answers} == {"complete"}
    _, got = s.stream(Q)
    assert [e.data["finish"] for e in got if e.kind == "done"] == [finish]
    export = s.request("GET", f"/api/v1/sessions/{session}/export", session=session)
    assert export.status_code == 200 and export.text.replace(" ", "").count(f'"finish":"{finish}"') == 2


def test_u9_a_whole_answer_says_that_and_is_cached(s):
    session = new_session()
    a = said(s, {"says": ["It happens late [1]."], "finish": "eos_token"}, session=session)
    assert a["finish"] == "stop"
    b = s.answered(Q, session)
    assert b["finish"] == "stop" and b["cached"] == "query" and len(s.server.asked("chat")) == 1
    assert [m["finish"] for m in s.messages(session, 4) if m["role"] == "assistant"] == ["stop", "stop"]


@pytest.mark.parametrize("stream", [(), ("--stream",)], ids=["whole", "stream"])
@pytest.mark.parametrize("finish, words", [("length", "greatest length"), ("content_filter", "content filter"), ("stop", "")])
def test_u9_the_client_says_it(s, stream, finish, words):
    s.server.script({"route": "chat", "says": ["It happens late [1]."], "finish": finish})
    run = s.cli("ask", *stream, Q)
    assert run.returncode == 0 and "It happens late [1]." in run.stdout
    assert ("cut off" in run.stderr) == (words != "") and words in run.stderr


@pytest.mark.limit(90)
@pytest.mark.skipif(SANITIZED or not shutil.which("chromium"), reason="the page is the same in every build")
def test_u9_the_page_says_it_when_it_is_asked_and_in_its_history(s):
    from browser_kit import Browser
    s.server.script({"route": "chat", "says": ["It happens late [1]. Then"], "finish": "length"})
    with Browser() as page:
        page.open(s.url + "/")
        page.type("#question", Q)
        page.click("#go")
        page.wait_js("document.querySelector('article:last-of-type .facts')?.innerText.includes('cut off: the answer reached its greatest length')")
        page.open(s.url + "/?again")
        page.wait_js("document.querySelector('article:last-of-type .facts')?.innerText.includes('cut off: the answer reached its greatest length')")
        assert page.errors == []


UNKNOWN = {
    "detail as a list": (422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}, "stream_options"),
    "detail as a string": (400, {"detail": "unknown parameter: temperature"}, "temperature"),
    "error as a string": (400, {"error": "stream_options is not supported"}, "stream_options"),
    "errors by field": (422, {"errors": {"temperature": ["is unknown"]}}, "temperature"),
    "a message around a detail": (422, {"object": "error", "message": {"detail": [{"loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs are not permitted"}]}}, "stream_options")}


@pytest.mark.parametrize("status, body, name", UNKNOWN.values(), ids=UNKNOWN)
def test_u10_a_parameter_that_is_not_known_is_left_out_and_that_is_remembered_for_the_model(s, status, body, name, request):
    model = "m" + str(list(UNKNOWN).index(request.node.callspec.id))
    assert s.request("PUT", f"/api/v1/collections/{model}", json={"model": model}).status_code in (200, 201)
    s.ingest("The maple loses its leaves in October.", collection=model)
    s.server.script({"route": "chat", "match": {"model": model}, "has": [name], "status": status, "body": json.dumps(body)})
    assert s.answered(Q, collection=model)["answer"] == "It is so. [1]"
    assert s.answered(Q + " Tell me.", collection=model)["answer"] == "It is so. [1]"
    assert s.answered(Q)["answer"] == "It is so. [1]"                                    # another model
    sent = [r.body for r in s.server.asked("chat")]
    assert [name in b for b in sent] == [True, False, False, True]
    assert all("max_tokens" in b and b["stream"] for b in sent)


LARGE = {"openai": {"error": {"message": "max_tokens is too large for the context", "param": "max_tokens", "code": "invalid_value"}},
         "vllm": {"object": "error", "message": "'max_tokens' is too large: 1024. This model's maximum context length is 2048 tokens.", "code": 400},
         "tgi": {"error": "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1235 `inputs` tokens and 1024 `max_new_tokens`", "error_type": "validation"}}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_u11_a_limit_that_is_too_large_once_is_halved_once(s, body):
    assert said(s, {"times": 1, "status": 400, "body": json.dumps(body)}, {"says": ["It happens late [1]."]})["answer"] == "It happens late [1]."
    s.answered(Q + " Please.")
    assert [r.body["max_tokens"] for r in s.server.asked("chat")] == [1024, 512, 1024]
    assert all("temperature" in r.body and "stream_options" in r.body for r in s.server.asked("chat"))


STRICT = {"route": "chat", "mixed": True, "status": 400, "body": '{"object":"error","message":"Conversation roles must alternate user/assistant/user/assistant/..."}'}


@pytest.mark.parametrize("failures", [1, 2], ids=["one turn fails", "two turns fail"])
def test_u13_a_conversation_goes_on_after_a_turn_that_failed(s, failures):
    session = new_session()
    first = said(s, STRICT, session=session)
    for i in range(failures):
        s.server.script({"route": "chat", "status": 401, "body": "{}"})
        assert s.ask(f"And the birch, {i}?", session, conversation_id=first["conversation_id"]).status_code == 502
    s.server.script(STRICT)
    for tree in ("oak", "ash"):
        a = s.answered(f"When does the {tree} lose its leaves?", session, conversation_id=first["conversation_id"])
        assert a["answer"] == "It is so. [1]" and s.server.requests[-1].alternates
    assert len(s.server.asked("chat")) == 2


def test_u13_an_answer_that_broke_off_is_no_turn_out_of_order(s):
    session = new_session()
    first = said(s, STRICT, session=session)
    s.server.script({"route": "chat", "cut": True, "events": events({"content": "It happens"})[:1]})
    s.ask("And the birch?", session, conversation_id=first["conversation_id"])
    s.server.script(STRICT)
    a = s.answered("When does the oak lose its leaves?", session, conversation_id=first["conversation_id"])
    assert a["answer"] == "It is so. [1]" and len(s.server.asked("chat")) == 1


@pytest.mark.limit(120)
def test_u15_25_seconds_until_the_first_token_are_waited_for(s):
    """All at once: silent, with comments, with thoughts; asked as a whole and as a stream."""
    late = {"silent": [25, *events({"content": "It happens late [1]."})],
            "comments": [": wait", 9, ": wait", 9, ": wait", 7, *events({"content": "It happens late [1]."})],
            "thoughts": [*events({"reasoning_content": "hm"})[:1], 12, *events({"reasoning_content": "hm"})[:1], 13, *events({"content": "It happens late [1]."})]}
    s.server.script(*[{"route": "chat", "match": {"model": name}, "events": e} for name, e in late.items()])
    for name in late:
        assert s.request("PUT", f"/api/v1/collections/{name}", json={"model": name}).status_code in (200, 201)
        s.ingest("The maple loses its leaves in October.", collection=name)
    got = {}

    def ask(name, stream):
        if stream:
            got[name, stream] = [e.data for e in s.stream(Q, collection=name)[1] if e.kind in ("done", "error")]
        else:
            r = s.ask(Q, collection=name)
            got[name, stream] = [r.json()]
    threads = [threading.Thread(target=ask, args=(n, how)) for n in late for how in (False, True)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {k: [v.get("answer", v) for v in vs] for k, vs in got.items()} == {k: ["It happens late [1]."] for k in got} and len(got) == 6


@pytest.mark.parametrize("base, path, headers", [
    ("/openai/deployments/x?api-version=2024-06-01", "/openai/deployments/x/chat/completions?api-version=2024-06-01", {"api-key": "sk-test"}),
    ("/v1/?team=a", "/v1/chat/completions?team=a", {"authorization": "Bearer sk-test"})])
def test_u16_a_query_of_the_base_url_stays_behind_the_path(base, path, headers):
    with Server() as server, Suite(service_env=upstream(server, OPENAI_BASE_URL=server.origin + base, EMBEDDING_PROVIDER="builtin")) as suite:
        suite.ingest("The maple loses its leaves in October.")
        assert suite.answered(Q)["answer"] == "It is so. [1]"
        r = server.requests[-1]
        assert r.path == path and {k: v for k, v in r.headers.items() if k in ("api-key", "authorization")} == headers


@pytest.mark.parametrize("base", ["ftp://x/v1", "x.example/v1", "http://", "http:///v1", "http://x.example:99999/v1", "http://x.example/v1#y", "http://me:pw@x.example/v1", "http://x example/v1"])
def test_u16_check_config_refuses_what_cannot_work(base):
    env = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": base, "HUB_ENDPOINTS": "tcp://127.0.0.1:1", "REDIS_URL": ""}
    run = subprocess.run([os.path.join(BIN, "footnote-embedder"), "--check-config"], env=env, capture_output=True, text=True)
    assert run.returncode == 1 and "OPENAI_BASE_URL" in run.stdout + run.stderr


# ---- E: what embedding servers send

def embedding_suite(server, **more):
    return Suite(service_env=upstream(server, EMBEDDING_PROVIDER="openai", CHAT_PROVIDER="builtin", **more), env={"RATE_LIMIT_REQUESTS": "100000"})


def upload(suite, n, name="d"):
    body = "".join(json.dumps({"id": f"{name}{i}", "text": f"{name} {i}: the tree number {i} loses its leaves in month {i}."}) + "\n" for i in range(n))
    r = suite.request("POST", "/api/v1/documents", data=body.encode(), headers={"Content-Type": "application/jsonl"})
    assert r.status_code == 202 and r.json()["refused"] == 0, r.text
    wait_for("the job is done", lambda: suite.request("GET", f"/api/v1/jobs/{r.json()['job_id']}").json()["status"] == "done", 60, every=0.05)
    assert suite.sql("SELECT count(*) FROM footnote.documents WHERE status <> 'ready'")[0][0] == 0


def assert_own_vectors(suite, server, n, name="d"):
    """Each passage has the vector that the server made of it, not its neighbour's: asked for by its own words it is as near as can be."""
    passages = {t for r in server.asked("embed") for t in r.texts if f"{name} " in t}
    for i in range(n):
        words = max((t for t in passages if f"{name} {i}:" in t), key=len)
        best = max(suite.search(words, explain=True, top_k=20), key=lambda x: x["vector_score"])
        assert f"{name} {i}:" in best["text"] and best["vector_score"] > 0.98, (i, best)


@pytest.mark.parametrize("how", [{"index": "none"}, {"index": "zero"}, {"index": "reverse"}, {"index": "one", "form": "float"}],
                         ids=["no index", "all of them 0", "in reverse", "from 1"])
def test_e1_each_text_has_its_own_vector(how):
    with Server([{"route": "embed", "vectors": {"dims": 64, **how}}]) as server, embedding_suite(server) as suite:
        upload(suite, 8)
        assert max(len(r.texts) for r in server.asked("embed")) > 1
        assert_own_vectors(suite, server, 8)


@pytest.mark.parametrize("most, status, body", [
    (32, 413, '{"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"}'),
    (10, 400, '{"error":{"message":"Value error, batch size is invalid, it should not be larger than 10."}}'),
    (10, 422, '{"detail":[{"type":"too_long","loc":["body","input"],"msg":"List should have at most 10 items after validation, not 16"}]}'),
    (1, 400, "no")], ids=["32 with 413", "10 with 400", "10 with 422", "1 without a reason"])
def test_e3_batches_are_what_the_server_takes(most, status, body):
    n = 30 if most == 1 else 200
    with Server([{"route": "embed", "above": most, "status": status, "body": body}]) as server, embedding_suite(server) as suite:
        refused = uploads = 0
        while refused == 0 and uploads < 8:      # how many texts come together depends on the machine
            upload(suite, n, f"d{uploads}")
            uploads += 1
            refused = sum(len(r.texts) > most for r in server.asked("embed"))
        assert 0 < refused < 12
        upload(suite, n, "e")
        assert sum(len(r.texts) > most for r in server.asked("embed")) <= refused + 1 or most == 1
        assert sum(len(r.texts) for r in server.asked("embed") if len(r.texts) <= most) < (uploads + 1) * n + 20     # hardly any text twice


def test_e3_the_option_says_it_beforehand():
    with Server([{"route": "embed", "above": 10, "status": 413, "body": ""}]) as server, embedding_suite(server, EMBEDDING_BATCH="10") as suite:
        upload(suite, 100)
        assert max(len(r.texts) for r in server.asked("embed")) == 10


@pytest.mark.limit(120)
def test_e4_twelve_seconds_are_waited_for():
    with Server() as server, embedding_suite(server, EMBEDDING_TIMEOUT="30") as suite:
        upload(suite, 1)
        server.script({"route": "embed", "pause": 12})
        made = suite.request("POST", "/api/v1/documents", json={"id": "late", "text": "The maple loses its leaves in October."})
        assert made.status_code == 202
        got = suite.answered("When does the maple lose its leaves, would you say?")      # its own vector takes as long
        assert "upstream" not in json.dumps(got)
        wait_for("the document is ready", lambda: suite.sql("SELECT count(*) FROM footnote.documents WHERE status = 'ready'")[0][0] == 2, 60)
        texts = [t for r in server.asked("embed") for t in r.texts]
        assert len(texts) == len(set(texts))                                             # nothing was asked for twice


@pytest.mark.parametrize("before, after", [(64, 32), (32, 256)])
def test_e6_a_model_that_changes_its_dimensions_is_believed(before, after):
    with Server([{"route": "embed", "vectors": {"dims": before}}]) as server, embedding_suite(server) as suite:
        upload(suite, 6)
        suite.search("tree number 3")
        server.script({"route": "embed", "vectors": {"dims": after}})
        upload(suite, 6, "e")                                                            # Redis still holds the old vectors
        assert suite.search("tree number 3")                                             # a question that was embedded before
        assert suite.search("e 4: the tree number 4", top_k=3)
        suite.ingest("d 3: the tree number 3 loses its leaves in month 3.", id="again")   # a text that has an old vector
        assert_own_vectors(suite, server, 6, "e")
        assert suite.sql("SELECT count(*) FROM footnote.documents WHERE status <> 'ready'")[0][0] == 0
