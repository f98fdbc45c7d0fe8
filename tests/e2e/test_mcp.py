"""The Model Context Protocol at /mcp, message by message. (The official clients: tests/clients.)"""
import json
import re
import threading
import time
import uuid

import msgpack
import requests

from bad_worker import FINAL, HEARTBEAT, REQUEST, BadWorker
from busfake import CODES
from corpus_kit import Q_BUILT, add_corpus
from refusal_kit import wrong_values
from suite import SLOW, Suite, wait_for


def post(s, body, key=None, **headers):
    data = body if isinstance(body, str) else json.dumps(body)
    return s.request("POST", "/mcp", key=key, data=data, headers={"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers})


def call(s, method, params=None, **kw):
    return post(s, {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params is not None else {})}, **kw)


def error(r, status, code):
    assert r.status_code == status and r.json()["error"]["code"] == code and r.json()["jsonrpc"] == "2.0", (r.status_code, r.text)


def test_the_revision_is_agreed_on(main):
    for asked, got in (("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("2030-01-01", "2025-11-25")):
        r = call(main, "initialize", {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}).json()["result"]
        assert r["protocolVersion"] == got and set(r["capabilities"]) == {"tools", "resources"} and r["serverInfo"]["name"] == "footnote"
    error(call(main, "ping", **{"MCP-Protocol-Version": "1999-01-01"}), 400, -32600)
    assert call(main, "ping", **{"MCP-Protocol-Version": "2025-06-18"}).json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_messages_that_are_none_are_told_so(main):
    error(post(main, "{"), 400, -32700)
    error(post(main, {"id": 1, "method": "ping"}), 200, -32600)
    error(post(main, {"jsonrpc": "2.0", "id": None, "method": "ping"}), 200, -32600)
    error(post(main, {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}), 200, -32600)
    error(call(main, "nothing/there"), 200, -32601)
    error(call(main, "tools/call", {"name": "nope"}), 200, -32602)
    error(call(main, "tools/call", {"name": "ask", "arguments": 7}), 200, -32602)
    error(call(main, "resources/read", {"uri": "file:///etc/passwd"}), 200, -32002)
    assert post(main, {"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
    assert post(main, {"jsonrpc": "2.0", "id": 7, "result": {}}).status_code == 202
    assert call(main, "ping", **{"Content-Type": "text/plain"}).status_code == 415
    r = main.request("GET", "/mcp")
    assert r.status_code == 405 and r.headers["Allow"] == "POST, OPTIONS" and main.request("DELETE", "/mcp").status_code == 405


GOOD = {"search": {"query": "lighthouse"}, "fetch": {"id": "lighthouse"}, "ask": {"question": Q_BUILT}}


def test_tools_refuse_what_their_schemas_refuse(main):
    """A value beyond each bound of each argument, and one of another type, is refused by the argument's name; so is what is required and missing."""
    tools = {t["name"]: t["inputSchema"] for t in call(main, "tools/list").json()["result"]["tools"]}
    assert set(tools) == set(GOOD)
    taken = []
    for tool, schema in tools.items():
        for argument, its in schema["properties"].items():
            wrong = [{**GOOD[tool], argument: value} for value in wrong_values(its)]
            assert len(wrong) >= 3, (tool, argument, "each argument has its bounds")
            if argument in schema["required"]:
                wrong.append({k: v for k, v in GOOD[tool].items() if k != argument})
            for arguments in wrong:
                r = call(main, "tools/call", {"name": tool, "arguments": arguments}).json()["result"]
                if not r.get("isError") or not re.match(rf"{argument}\b", r["content"][0]["text"]):
                    taken.append((tool, argument, str(arguments)[:60], str(r)[:200]))
    assert taken == []


def test_arguments_are_what_the_tool_says_it_takes(main):
    tools = {t["name"]: t["inputSchema"] for t in call(main, "tools/list").json()["result"]["tools"]}
    assert tools["search"] == {"type": "object", "required": ["query"], "additionalProperties": False, "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": 2000, "description": "What to look for, in words or as a question"},
        "collection": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Which documents; the default collection without it"},
        "top_k": {"type": "integer", "minimum": 1, "maximum": 50, "description": "Passages at most; 10 without it"}}}
    assert {name: (list(s["properties"]), s["required"]) for name, s in tools.items()} == {
        "search": (["query", "collection", "top_k"], ["query"]), "fetch": (["id", "start"], ["id"]), "ask": (["question", "collection"], ["question"])}
    for name, arguments, says in (("ask", {"question": "What?", "topk": 3}, "topk is no argument of ask, which takes question, collection"),
                                  ("search", {"q": "what"}, "q is no argument of search, which takes query, collection, top_k"),
                                  ("search", {"query": " "}, "query must have 1 to 2000 characters"),
                                  ("search", {"query": 5}, "query must be a string"),
                                  ("search", {"query": "x", "top_k": 10.5}, "top_k must be a whole number from 1 to 50"),
                                  ("search", {"query": "x", "top_k": 51.0}, "top_k must be a whole number from 1 to 50"),
                                  ("search", None, "query is required"), ("fetch", {"id": "x", "start": -1}, "start must be a whole number from 0 to 1099511627776")):
        r = call(main, "tools/call", {"name": name, "arguments": arguments}).json()["result"]
        assert r == {"content": [{"type": "text", "text": says}], "isError": True}, r
    found = call(main, "tools/call", {"name": "search", "arguments": {"query": Q_BUILT, "top_k": 1.0, "collection": None}}).json()["result"]
    assert len(found["structuredContent"]["results"]) == 1 and json.loads(found["content"][0]["text"]) == found["structuredContent"]


def test_a_batch_is_served_by_the_revision_that_has_batches(main):
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/x"}, {"jsonrpc": "2.0", "id": "b", "method": "nope"}]
    r = post(main, batch, **{"MCP-Protocol-Version": "2025-03-26"}).json()
    assert [m["id"] for m in r] == [1, "b"] and r[1]["error"]["code"] == -32601
    error(post(main, batch, **{"MCP-Protocol-Version": "2025-06-18"}), 400, -32600)
    error(post(main, batch * 6), 400, -32600)
    assert post(main, batch[1:2]).status_code == 202


def test_a_message_hears_what_is_wrong_with_it(main):
    for message, says in (({"id": 1, "method": "ping"}, 'jsonrpc must be "2.0"'), ({"jsonrpc": "2.0", "id": 1, "method": 5}, "method must be a string"),
                          ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, "id must be a string or a whole number"),
                          ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, "params must be an object")):
        r = post(main, message).json()
        assert r["error"] == {"code": -32600, "message": says} and r["id"] == (message["id"] if message["id"] == 1 else None), r
    assert post(main, {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": None}).json()["result"] == {}
    for body, why in (("", "empty"), ("{", "ends too early"), ('{"id": 1, "id": 2}', "a key is there twice"), ("[" * 40 + "]" * 40, "nested deeper"), (b'{"a": "\xff"}', "UTF-8")):
        r = main.request("POST", "/mcp", data=body, headers={"Content-Type": "application/json"})
        error(r, 400, -32700)
        assert why in r.json()["error"]["message"], r.text
    assert "2025-06-18" in call(main, "ping", **{"MCP-Protocol-Version": "1999-01-01"}).json()["error"]["message"]


def test_a_cursor_that_no_answer_gave_is_refused(main):
    for method, cursors in (("tools/list", ("x", 5)), ("resources/templates/list", ("x", 5)), ("resources/list", ("", 5, "x" * 300, "not one of ours"))):
        for cursor in cursors:
            error(call(main, method, {"cursor": cursor}), 200, -32602)
        assert "result" in call(main, method, {"cursor": None}).json()


def test_a_batch_is_charged_before_any_of_it_is_done():
    with Suite(auth="on", stub=True) as s:
        add_corpus(s, key=s.make_key(["ingest"])["key"])
        ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": {"question": Q_BUILT}}}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        few, enough = (s.make_key(["chat"], per_minute=n)["key"] for n in (2, 3))
        assert post(s, [ask, ping, ping], key=few).status_code == 429 and s.stub.stats()["chat"] == 0
        whole = post(s, [ask, ping, {**ping, "method": "initialize"}], key=enough).json()
        assert not whole[0]["result"]["isError"] and whole[1]["result"] == {} and whole[2]["error"] == {"code": -32600, "message": "initialize must not be part of a batch"}
        assert post(s, ping, key=enough).status_code == 429, "a question of a batch is charged once"
        assert s.stub.stats()["chat"] == 1 and not s.down()


def test_a_long_document_is_read_in_parts_that_join(main):
    text = "# Wörter\n\n" + "Übermäßig lange Wörter über Öl. " * 12000
    document = main.ingest(text, "long")["document_id"]
    start, whole = 0, ""
    for _ in range(5):
        part = call(main, "tools/call", {"name": "fetch", "arguments": {"id": document, "start": start}}).json()["result"]["structuredContent"]
        whole += part["text"]
        if "next_start" not in part["metadata"]:
            break
        start = part["metadata"]["next_start"]
    stored = main.request("GET", f"/api/v1/documents/{document}/text")
    stored.encoding = "utf-8"
    assert whole == stored.text and len(whole.encode()) == part["metadata"]["bytes"] > 262144
    uri = "footnote://documents/" + document
    resource = next(r for r in call(main, "resources/list").json()["result"]["resources"] if r["uri"] == uri)
    assert resource["size"] == len(whole.encode()) and resource["name"] == "long"
    assert call(main, "resources/read", {"uri": uri}).json()["result"] == {"contents": [{"uri": uri, "mimeType": "text/plain", "text": whole}]}
    main.request("DELETE", f"/api/v1/documents/{document}")


def test_keys_collections_and_origins_are_those_of_every_route():
    with Suite(auth="on", stub=True, env={"ALLOWED_ORIGINS": "https://docs.example.org"}) as s:
        one, two = (s.make_key(["chat", "ingest"], tenant=t)["key"] for t in ("tenant-a", "tenant-b"))
        document = s.ingest("# Gate\n\nThe password of the harbour gate is heliotrope-a.\n", "gate", key=one)["document_id"]
        ask = {"name": "ask", "arguments": {"question": "What is the password of the harbour gate?"}}
        assert call(s, "ping").status_code == 401 and call(s, "ping", key="fn_wrong").status_code == 401
        assert "heliotrope-a" in call(s, "tools/call", ask, key=one).text
        for key, params in ((two, ask), (two, {"name": "search", "arguments": {"query": "password harbour gate"}}), (two, {"name": "fetch", "arguments": {"id": document}})):
            assert "heliotrope-a" not in call(s, "tools/call", params, key=key).text
        error(call(s, "resources/read", {"uri": "footnote://documents/" + document}, key=two), 200, -32002)
        assert call(s, "resources/list", key=two).json()["result"]["resources"] == []
        other = s.make_key(["chat"], tenant="tenant-a", collections=["else"])["key"]
        assert call(s, "tools/call", {"name": "fetch", "arguments": {"id": document}}, key=other).json()["result"]["isError"]
        assert call(s, "tools/call", {"name": "ask", "arguments": {**ask["arguments"], "collection": "docs"}}, key=other).json()["result"]["isError"]
        assert call(s, "ping", key=one, Origin="https://evil.example").status_code == 403
        assert call(s, "ping", key=one, Origin="https://docs.example.org").status_code == 200
        limited = s.make_key(["chat"], per_minute=1)["key"]
        assert [call(s, "ping", key=limited).status_code for _ in range(2)] == [200, 429]
        assert not s.down()


def test_a_question_through_mcp_is_cached_and_counted_as_any_other(main):
    ask = {"name": "ask", "arguments": {"question": Q_BUILT}}
    first = call(main, "tools/call", ask).json()["result"]
    calls = main.stub.stats()["chat"]
    assert call(main, "tools/call", ask).json()["result"]["content"] == first["content"] and main.stub.stats()["chat"] == calls
    main.stub.script({"route": "chat", "status": 400, "times": 2})
    failed = call(main, "tools/call", {"name": "ask", "arguments": {"question": "Why is the tower made of granite?"}}).json()["result"]
    assert failed["isError"] and "structuredContent" not in failed
    main.stub.reset()


def test_a_message_that_fails_counts_against_the_limits_before_anything_is_looked_up():
    def tool(name, **arguments):
        return "tools/call", {"name": name, "arguments": arguments}
    with Suite(auth="on", stub=True) as s:
        for method, params in (tool("ask", question="What is it?", collection="nowhere"), tool("ask", question="What is it?", collection="not a name"), tool("ask"),
                               tool("search", query="what", collection="nowhere"), tool("search"), tool("fetch", id="nothing"), tool("nope"),
                               ("resources/read", {"uri": "footnote://documents/" + "0" * 32}), ("resources/read", {}), ("nothing/there", {})):
            key = s.make_key(["chat"], per_minute=1)["key"]
            first, second = (call(s, method, params, key=key) for _ in range(2))
            told = first.json()
            assert first.status_code == 200 and ("error" in told or told["result"]["isError"]), (method, params, first.text)
            assert second.status_code == 429 and second.json()["code"] == "rate_limited" and int(second.headers["Retry-After"]) > 0, (method, params, second.text)
        assert not s.down()


def test_a_tenant_without_documents_hears_that_nothing_was_found():
    with Suite(auth="on", stub=True) as s:
        key = s.make_key(["chat"], tenant="tenant-new")["key"]
        asked = call(s, "tools/call", {"name": "ask", "arguments": {"question": "Is anything here?"}}, key=key)
        assert asked.status_code == 200 and not asked.json()["result"]["isError"] and asked.json()["result"]["structuredContent"]["grounded"] is False
        assert call(s, "tools/call", {"name": "search", "arguments": {"query": "anything"}}, key=key).json()["result"]["structuredContent"] == {"results": []}
        assert not s.down()


def test_a_store_that_is_slow_to_tell_of_a_collection_keeps_no_search_from_its_passages(main):
    main.restart("gateway")  # it knows no settings then
    main.stop("store")
    try:
        begun = time.monotonic()
        found = call(main, "tools/call", {"name": "search", "arguments": {"query": Q_BUILT, "collection": "docs"}}).json()["result"]["structuredContent"]["results"]
        rows = main.search(Q_BUILT)
        assert "granite" in found[0]["text"] and "granite" in rows[0]["text"] and time.monotonic() - begun < 1.5 * SLOW
    finally:
        main.cont("store")
    main.wait_ready()


class DamagedStore:
    """A store with one document, whose text is no UTF-8, or another one."""

    def __init__(self, hub_port, document, text=b"fine \xff\xfe fine"):
        self.ends = threading.Event()
        self.says = {"document.get": {"items": [{"id": document.bytes, "collection": "docs", "status": "ready", "title": "Damaged"}]},
                     "document.text": {"text": text, "bytes": len(text)}}
        self.thread = threading.Thread(target=self.serve, args=(hub_port,))
        self.thread.start()

    def serve(self, hub_port):
        with BadWorker(hub_port, {"store": 8}) as w:
            assert w.register()
            while not self.ends.is_set():
                got = w.hear(0.1)
                if got and got[0] == REQUEST:
                    rep = self.says.get(got[1]["kind"])
                    w.say(FINAL, {"req": got[1]["req"], "attempt": got[1]["attempt"], "code": 0 if rep else CODES["UNSUPPORTED"]},
                          msgpack.packb(rep) if rep else None)
                else:
                    w.say(HEARTBEAT, {"services": []})

    def close(self):
        self.ends.set()
        self.thread.join()


def there(s, document):
    try:
        return s.request("GET", f"/api/v1/documents/{document}").status_code == 200
    except requests.RequestException:
        return False


def test_a_stored_text_that_is_damaged_is_told_as_such():
    document = uuid.uuid4()
    with Suite(start=("gateway",)) as s:
        store = DamagedStore(s.hub_port, document)
        try:
            wait_for("the gateway and the store are there", lambda: there(s, document), 10)
            read = call(s, "tools/call", {"name": "fetch", "arguments": {"id": str(document)}}).json()["result"]
            assert read["isError"] and read["content"][0]["text"] == "the stored text of this document is damaged"
            told = call(s, "resources/read", {"uri": f"footnote://documents/{document}"})
            error(told, 200, -32603)
            assert told.json()["error"]["message"] == "the stored text of this document is damaged"
        finally:
            store.close()
        assert not s.down()


def test_what_has_no_room_in_a_batch_is_an_error_of_its_own_message():
    document = uuid.uuid4()
    with Suite(start=("gateway",)) as s:
        store = DamagedStore(s.hub_port, document, b"\n" * 8000000)  # two bytes each in JSON
        try:
            wait_for("the gateway and the store are there", lambda: there(s, document), 10)
            read = {"jsonrpc": "2.0", "method": "resources/read", "params": {"uri": f"footnote://documents/{document}"}}
            r = post(s, [{**read, "id": i} for i in range(5)] + [{"jsonrpc": "2.0", "id": 5, "method": "ping"}])
            assert r.status_code == 200, r.text[:300]
            got = r.json()
            assert [m["id"] for m in got] == list(range(6)) and all(len(m["result"]["contents"][0]["text"]) == 8000000 for m in got[:4]) and got[5]["result"] == {}
            assert got[4]["error"] == {"code": -32603, "message": "the answers of this batch are too large together"}
        finally:
            store.close()
        assert not s.down()
