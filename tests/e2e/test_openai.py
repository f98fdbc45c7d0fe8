"""The OpenAI dialect where its clients cannot see: one question path with the chat API's limits, cache, history, tenancy and errors.
(The clients themselves: tests/clients.)"""
import base64
import json
import struct
import uuid

import pytest

from corpus_kit import Q_BREAD, Q_BUILT, Q_LAMP, Q_NOTHING
from suite import Suite, new_session
from tiny_bert import TinyBert

ERROR_KEYS = {"message", "type", "param", "code"}


def chat(s, question, key=None, headers=None, session=None, **more):
    return s.request("POST", "/v1/chat/completions", key=key, session=session, headers=headers or {},
                     json={"model": "docs", "messages": [{"role": "user", "content": question}], **more})


def chunks(r):
    lines = [line for line in r.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines), "one line a chunk, and nothing that a client must skip"
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def check_error(r, status, code=None):
    assert r.status_code == status, (r.status_code, r.text)
    assert r.headers["Content-Type"] == "application/json" and set(r.json()) == {"error"} and set(r.json()["error"]) == ERROR_KEYS
    assert code is None or r.json()["error"]["code"] == code


def test_the_same_question_of_the_same_key_comes_from_the_query_cache_and_stands_in_the_history(main):
    question, session = "Who built the lighthouse of Varnholm?", new_session()
    first = chat(main, question, session=session).json()
    calls = main.stub.stats()["chat"]
    again = chat(main, question, session=session)
    assert again.headers["X-Cache"] == "hit" and again.json()["rag"]["cached"] == "query" and main.stub.stats()["chat"] == calls
    assert again.json()["choices"][0]["message"] == first["choices"][0]["message"] and again.json()["usage"]["total_tokens"] == 0
    items = main.messages(session, 2)
    assert items[0]["content"] == question and items[1]["content"] == first["choices"][0]["message"]["content"] and items[1]["sources"]


def test_the_conversation_is_what_the_client_tells_and_never_what_was_stored(main):
    session = new_session()
    chat(main, "The secret of this conversation is heliotrope-9.", session=session)
    chat(main, Q_LAMP, session=session, headers={"Cache-Control": "no-cache"})
    assert "heliotrope-9" not in json.dumps(main.stub.last_chat())
    r = main.request("POST", "/v1/chat/completions", json={"messages": [
        {"role": "user", "content": "Told-before-17."}, {"role": "assistant", "content": "Said-before-17."}, {"role": "user", "content": Q_LAMP}]})
    sent = json.dumps(main.stub.last_chat())
    assert r.status_code == 200 and "Told-before-17." in sent and "Said-before-17." in sent


def test_a_stream_has_role_content_annotations_finish_and_usage_in_this_order(main):
    r = chat(main, Q_BUILT, stream=True, stream_options={"include_usage": True})
    assert r.headers["Content-Type"].startswith("text/event-stream")
    all_ = chunks(r)
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in all_}) == 1 and all_[0]["object"] == "chat.completion.chunk"
    deltas = [c["choices"][0]["delta"] for c in all_[:-1]]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None} and deltas[-1] == {} and list(deltas[-2]) == ["annotations"]
    assert all(list(d) == ["content"] for d in deltas[1:-2])
    assert [c["choices"][0]["finish_reason"] for c in all_[:-1]] == [None] * (len(all_) - 2) + ["stop"]
    assert all_[-1]["choices"] == [] and all_[-1]["usage"]["total_tokens"] >= 0 and all(c["usage"] is None for c in all_[:-1])
    assert "usage" not in chunks(chat(main, Q_BUILT, stream=True))[0]


def test_a_streams_end_has_room_for_all_sources_and_is_repeated_as_it_was(main):
    long, said = "\x01" * 245, "The zephyr valve number {} is open, and so are those beside it, below it" + ", behind it" * 18 + "."
    for i in range(8):
        main.ingest(said.format(i), f"{i}-{2 * long}", collection="valves", title=long, chapter=long, section=long, url="https://docs.example.org/" + "x" * 470)
    main.stub.script({"route": "chat", "text": " ".join(said.format(i).replace(".", f" [{i + 1}].") for i in range(8)), "times": 1})
    ask = lambda: chunks(chat(main, "Which zephyr valve number is open?", model="rag:valves", stream=True, rag={"sources": True, "top_k": 8},
                              headers={"Idempotency-Key": "valves"}))
    first, again = ask()[-1], ask()[-1]
    assert first["choices"][0]["finish_reason"] == "stop" and len(json.dumps(first)) > 65536
    assert again["rag"] == first["rag"]


def test_annotations_count_code_points_and_name_each_source_once(main):
    main.ingest("# Öl\n\nÄußerst schönes Öl 🌻 brennt im Leuchtfeuer von Örebro.\n", "oel", title="Öl", url="https://docs.example.org/oel")
    main.stub.script({"route": "chat", "text": "🌻 Schönes Öl brennt dort [1]. Ja, dort [1].", "times": 1})
    said = chat(main, "Was brennt im Leuchtfeuer von Örebro?").json()["choices"][0]["message"]
    (note,) = said["annotations"]
    at = note["url_citation"]
    assert said["content"][at["start_index"]:at["end_index"]] == "[1]" and said["content"].index("[1]") == at["start_index"]


def test_a_text_ends_with_its_sources_where_the_models_name_asks_for_them(main):
    main.ingest("# Tap\n\n## Opening [it]\n\nThe cobalt tap opens to the left.\n", "tap", collection="taps", title="Taps *and* <valves>",
                url="https://docs.example.org/tap-(1)/")
    ask = lambda **more: chat(main, "Where does the cobalt tap open to?", **{"model": "rag:taps+sources", **more})
    plain = ask(model="rag:taps").json()["choices"][0]["message"]
    r = ask().json()
    said = r["choices"][0]["message"]
    text, rows = said["content"].split("\n\n---\n")
    (note,) = said["annotations"]
    assert r["model"] == "rag:taps+sources" and text == plain["content"] and said["annotations"] == plain["annotations"]
    assert rows.startswith("- [1] [Taps \\*and\\* \\<valves\\> · ") and "](https://docs.example.org/tap-%281%29/" in rows and "\n" not in rows
    streamed = chunks(ask(stream=True))
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in streamed) == said["content"]
    assert [c["choices"][0]["delta"]["annotations"] for c in streamed if "annotations" in c["choices"][0]["delta"]] == [[note]]
    for stream in (False, True):
        first, again = [ask(headers={"Idempotency-Key": f"taps-{stream}"}, stream=stream) for _ in range(2)]
        words = lambda r: "".join(c["choices"][0]["delta"].get("content", "") for c in chunks(r)) if stream else r.json()["choices"][0]["message"]["content"]
        assert words(first) == words(again) == said["content"] and again.headers["Idempotency-Replayed"] == "true"
    body = {"prompt": "Where does the cobalt tap open to?", "model": "rag:taps+sources"}
    assert main.request("POST", "/v1/completions", json=body).json()["choices"][0]["text"] == said["content"]
    body = {"input": "Where does the cobalt tap open to?", "model": "rag:taps+sources"}
    whole = main.request("POST", "/v1/responses", json=body).json()["output"][1]["content"][0]["text"]
    events = [json.loads(line[6:]) for line in main.request("POST", "/v1/responses", json={**body, "stream": True}).text.split("\n") if line.startswith("data: {")]
    done = [e["text"] for e in events if e["type"] == "response.output_text.done"]
    assert whole == said["content"] and "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == done[0] == whole
    ask(messages=[{"role": "user", "content": "Which taps?"}, {"role": "assistant", "content": said["content"]}, {"role": "user", "content": "And how is it opened?"}])
    assert plain["content"] in json.dumps(main.stub.last_chat()) and rows[:8] not in json.dumps(main.stub.last_chat()), "no list in the history"
    assert main.request("GET", "/v1/models/rag:taps+sources").json()["id"] == "rag:taps+sources"
    check_error(ask(model="raw+sources"), 404, "model_not_found")
    refused = chat(main, Q_NOTHING, model="docs+sources").json()["choices"][0]["message"]
    assert not refused["annotations"] and "---" not in refused["content"]


def test_a_source_without_a_page_has_a_signed_one_that_shows_the_passage_and_nothing_else(main):
    url = chat(main, Q_BREAD).json()["choices"][0]["message"]["annotations"][0]["url_citation"]["url"]
    assert url.startswith(main.url + "/s/")
    url, fragment = url.split("#")
    r = main.http.get(url, timeout=20)
    assert r.status_code == 200 and f'<mark id="{fragment}">' in r.text and '<body class="verified">' in r.text and "240 degrees" in r.text and "default-src 'none'" in r.headers["Content-Security-Policy"]
    path, ticket = url.split("?t=")
    swapped = ticket[:-2] + ("AA" if ticket[-2:] != "AA" else "BB")
    for wrong in (path, f"{path}?t={swapped}", f"{main.url}/s/{uuid.uuid4()}?t={ticket}", f"{main.url}/s/x?t={ticket}"):
        assert main.http.get(wrong, timeout=20).status_code == 404


def test_links_of_a_cached_answer_open_though_hits_are_not_saved():
    with Suite(stub=True, env={"SAVE_CACHE_HITS": "off"}) as s:
        s.ingest("# Ferry\n\nThe turquoise lever releases the anchor of the ferry.\n", "ferry")
        ask = lambda **more: chat(s, "What does the turquoise lever release?", rag={"sources": True}, **more)
        for how in ({}, {}, {"headers": {"Idempotency-Key": "k-1"}}):
            r = ask(**how)
            links = [r.json()["choices"][0]["message"]["annotations"][0]["url_citation"]["url"], r.json()["rag"]["sources"][0]["link"]]
            links += [c["choices"][0]["delta"]["annotations"][0]["url_citation"]["url"] for c in chunks(ask(stream=True)) if "annotations" in c["choices"][0]["delta"]]
            assert len(links) == 3
            for link in links:
                assert "turquoise lever" in s.http.get(link.split("#")[0], timeout=20).text
        assert r.json()["rag"]["cached"] == "query"
        assert not s.down()


def test_rag_options_choose_documents_and_show_sources(main):
    main.ingest("# Gate\n\nThe password of the harbour gate is heliotrope.\n", "gate", collection="harbour")
    question = "What is the password of the harbour gate?"
    assert not chat(main, question).json()["rag"]["grounded"]
    for how in ({"model": "rag:harbour"}, {"rag": {"collection": "harbour"}}):
        r = chat(main, question, **how).json()
        assert "heliotrope" in r["choices"][0]["message"]["content"] and "sources" not in r["rag"]
    r = chat(main, question, rag={"collection": "harbour", "sources": True}).json()
    assert r["rag"]["sources"][0]["external_id"] == "gate"
    for rag, status, code, param in (({"top_k": 99}, 400, "validation", "rag.top_k"), ({"collection": "a/b"}, 400, "validation", "rag.collection"),
                                     ({"collection": "nothing"}, 404, "collection_not_found", "rag.collection")):
        r = chat(main, question, rag=rag)
        check_error(r, status, code)
        assert r.json()["error"]["param"] == param
    assert "'nothing'" in r.json()["error"]["message"]


def test_errors_have_the_dialects_shape_on_every_way(main):
    check_error(main.request("GET", "/v1/nothing"), 404, "not_found")
    check_error(main.request("GET", "/v1/chat/completions"), 405, "method_not_allowed")
    check_error(main.request("POST", "/v1/chat/completions", data="{", headers={"Content-Type": "application/json"}), 400, "bad_json")
    check_error(main.request("POST", "/v1/chat/completions", data="x", headers={"Content-Type": "text/plain"}), 415)
    check_error(main.request("POST", "/v1/chat/completions", json={}), 400, "validation")
    check_error(chat(main, "x" * (1 << 20)), 413, "too_large")
    check_error(chat(main, Q_BUILT, model="rag:nothing"), 404, "model_not_found")
    check_error(chat(main, Q_BUILT, temperature=9), 400, "validation")
    for path, value, said in (("/v1/embeddings", [], "a list of"), ("/v1/embeddings", None, "a list of"), ("/v1/embeddings", {"a": 1}, "a list of"),
                              ("/v1/embeddings", ["a", ""], "text 1 "), ("/v1/responses", 7, "or a list"), ("/v1/responses", None, "required")):
        r = main.request("POST", path, json={"input": value})
        check_error(r, 400, "validation")
        assert r.json()["error"]["param"] == "input" and said in r.json()["error"]["message"]
    r = main.request("POST", "/chat/completions", json={"messages": 7})  # without the prefix, too
    check_error(r, 400, "validation")
    assert r.json()["error"]["param"] == "messages"
    assert main.request("GET", "/api/v1/nothing").headers["Content-Type"] == "application/problem+json"


def test_unknown_members_are_taken_and_odd_ones_refused_by_name(main):
    assert chat(main, Q_BUILT, tools=[{"type": "function", "function": {"name": "f"}}], logit_bias={"1": 2}, service_tier="auto", metadata={"a": "b"},
                user="u-1", chat_id="x", session_id="y", background_tasks={"title_generation": True}).status_code == 200
    for messages, param in (([], "messages"), ([{"role": "user", "content": 7}], "messages[0].content"), ([{"role": "admin", "content": "x"}], "messages[0].role"),
                            ([{"role": "user", "content": "  "}], "messages"), (["x"], "messages[0]"), ([{"role": "system", "content": "x"}], "messages")):
        r = main.request("POST", "/v1/chat/completions", json={"messages": messages})
        check_error(r, 400, "validation")
        assert r.json()["error"]["param"] == param


def test_base64_vectors_are_the_floats_and_a_hit_costs_nothing(main):
    body = {"model": "any", "input": ["one text of its own", "another text of its own"]}
    floats = main.request("POST", "/v1/embeddings", json=body).json()
    packed = main.request("POST", "/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    for a, b in zip(floats["data"], packed["data"]):
        raw = base64.b64decode(b["embedding"])
        assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(a["embedding"], abs=1e-7)
    assert floats["usage"]["total_tokens"] > 0 and packed["usage"]["total_tokens"] == 0


def test_token_numbers_are_refused_for_what_they_are_however_many(main):
    for name, path, values in (("input", "/v1/embeddings", ([1, 2], [[1, 2], [3]], [[7] * 8000] * 40)), ("prompt", "/v1/completions", ([1, 2], [[1, 2]]))):
        for value in values:
            r = main.request("POST", path, json={"model": "any" if name == "input" else "docs", name: value})
            check_error(r, 400, "validation")
            assert r.json()["error"]["param"] == name and "send the text itself" in r.json()["error"]["message"]


def test_dimensions_that_a_model_does_not_have_are_refused_by_their_name(tmp_path):
    model = TinyBert(hidden=32, layers=1, heads=2, inner=64)
    assert model.convert(str(tmp_path / "in"), str(tmp_path / "tiny.model")).returncode == 0
    with Suite(service_env={"embedder": {"EMBEDDING_MODEL_FILE": str(tmp_path / "tiny.model"), "EMBEDDING_PROVIDER": "minilm"}}) as s:
        ask = lambda n: s.request("POST", "/v1/embeddings", json={"input": "rain in the north", "dimensions": n})
        assert len(ask(32).json()["data"][0]["embedding"]) == 32
        r = ask(31)
        check_error(r, 400, "validation")
        assert r.json()["error"]["param"] == "dimensions"
        assert not s.down()


def test_a_chain_of_responses_is_a_conversation_of_its_own(main):
    ask = lambda text, **more: main.request("POST", "/v1/responses", json={"input": text, **more})
    a, b = ask(Q_BUILT).json(), ask(Q_BUILT).json()
    assert a["rag"]["conversation_id"] != b["rag"]["conversation_id"] and a["id"] != b["id"]
    then = ask("And how high is the tower of it, canary-aaaaaaaaaaaa?", previous_response_id=a["id"]).json()
    assert then["rag"]["conversation_id"] == a["rag"]["conversation_id"]
    ask("And what is it made of?", previous_response_id=b["id"])
    assert "canary-aaaaaaaaaaaa" not in json.dumps(main.stub.last_chat()["messages"]), "the other chain's question"
    check_error(ask("Why?", previous_response_id=a["id"][:-3] + "AAA"), 404, "previous_response_not_found")
    r = ask("Why?", conversation="conv_1")
    check_error(r, 400, "validation")
    assert r.json()["error"]["param"] == "conversation" and ask("Why?", conversation=None).status_code == 200


def test_what_a_user_asked_is_erased_with_the_user(main):
    user = "reader-" + uuid.uuid4().hex[:8]
    main.request("POST", "/v1/responses", json={"input": Q_BUILT, "user": user})
    r = main.request("POST", "/v1/responses", json={"input": Q_LAMP, "user": user}).json()
    assert main.request("DELETE", f"/api/v1/users/{user}").status_code == 204
    check_error(main.request("POST", "/v1/responses", json={"input": "Why?", "previous_response_id": r["id"]}), 404, "previous_response_not_found")


def test_the_model_alone_needs_a_model_server(plain):
    check_error(chat(plain, "Write a title.", model="raw"), 400, "validation")
    assert chat(plain, Q_BUILT).json()["rag"]["grounded"] and not chat(plain, Q_NOTHING).json()["rag"]["grounded"]


def test_another_key_another_tenant_and_no_key():
    with Suite(auth="on", stub=True) as s:
        one, two = (s.make_key(["chat", "ingest"], tenant=t)["key"] for t in ("tenant-a", "tenant-b"))
        s.ingest("# Gate\n\nThe password of the harbour gate is heliotrope-a.\n", "gate", key=one)
        question = "What is the password of the harbour gate?"
        check_error(chat(s, question), 401, "invalid_api_key")
        check_error(chat(s, question, key="fn_wrong"), 401, "invalid_api_key")
        assert "heliotrope-a" in chat(s, question, key=one).text and "heliotrope-a" not in chat(s, question, key=two).text
        check_error(chat(s, question, key=s.make_key(["ingest"], tenant="tenant-a")["key"]), 403, "forbidden")
        limited = s.make_key(["chat"], per_minute=1)["key"]
        assert s.request("GET", "/v1/models", key=limited).status_code == 200
        r = s.request("GET", "/v1/models", key=limited)
        check_error(r, 429, "rate_limit_exceeded")
        assert r.headers["Retry-After"] and r.headers["retry-after-ms"]
        only = s.make_key(["chat"], collections=["docs"])["key"]
        check_error(s.request("GET", "/v1/models/rag:other", key=only), 404, "model_not_found")
        check_error(chat(s, question, key=only, model="rag:other"), 404)
        assert not s.down()
