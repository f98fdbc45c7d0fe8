"""What is wrong with a field is said with the field's name: every rule of every route, found in the gateway's own sources."""
import glob
import os
import re
import uuid

import pytest

from refusal_kit import DIALECT, refused
from suite import TOP, Suite

LONG = "x" * 70000
SESSION = str(uuid.uuid4())
ASK = {"question": "What?", "session_id": SESSION}
DOC = {"text": "Text."}
KEY = {"label": "k", "scopes": ["chat"]}

# route: (a body that is right, field: values that are wrong)
BODIES = {
    "POST /api/v1/chat/query": (ASK, {"question": [None, "", 7, LONG, "a\0b"], "session_id": [None, "x", 7, LONG], "page_context": [7, LONG], "collection": [7, ""],
                                      "conversation_id": ["x", 7], "new_conversation": ["yes", 1], "top_k": [0, 21, "5", 1.5], "filter": ["x", [1]], "unknown_field": [1]}),
    "POST /api/v1/chat/stream": (ASK, {"question": [None, "", LONG], "top_k": [0], "session_id": ["x"], "resumable": ["yes", 1]}),
    "POST /api/v1/chat/selection": ({**ASK, "selected_text": "Some words", "chapter": "1"}, {"selected_text": [None, "abc", 7, LONG], "chapter": [None, "", 7, LONG],
                                                                                          "section": [7, LONG]}),
    "POST /api/v1/sessions": ({}, {"session_id": ["x", 7, ""], "user_id": [7, LONG, ""]}),
    "POST /api/v1/messages/" + str(uuid.uuid4()) + "/feedback": ({"rating": "up"}, {"rating": [None, "sideways", 7], "comment": [7, LONG], "session_id": [7, "x"]}),
    "PUT /api/v1/collections/fields": ({}, {"prompt": [7, LONG], "refusal": [7, LONG], "model": [7, LONG], "top_k": [0, 21, "x"], "threshold": [-1, 2, "x"],
                                            "retention_days": [0, 40000, "x"], "language": ["xx", 7, LONG], "cache_scope": ["", "all", 7], "colour": [1]}),
    "POST /api/v1/documents": (DOC, {"text": [None, "", 7, "a\0b"], "id": ["", 7, LONG], "title": [7, LONG], "url": [7, "javascript:x", "a b", LONG],
                                     "chapter": [7, LONG], "section": [7, LONG], "collection": ["", 7, LONG], "content_type": ["", 7, "image/png"],
                                     "metadata": ["x", [1], {"a": LONG}], "texts": ["x"]}),
    "POST /api/v1/search": ({"query": "x"}, {"query": [None, "", 7, LONG], "top_k": [0, 101, "x"], "collection": [7, ""], "filter": ["x", {"a": {"b": {"c": 1}}}],
                                             "explain": ["yes", 1]}),
    "POST /api/v1/keys": (KEY, {"label": [None, "", 7, LONG], "tenant": ["", 7, "a b"], "scopes": [None, [], "chat", ["root"], [7]], "collections": ["x", [], [7], ["a b"]],
                                "origins": ["x", ["ftp://h"], ["https://h/path"]], "per_minute": [0, "x"], "per_hour": [0, 1.5], "per_day": [0, "x"], "tokens_per_day": [0, 1.5],
                                "dollars_per_day": [0, -1, "x"], "expires_days": [0, 5000]}),
    "POST /api/v1/keys/" + "0" * 64 + "/rotate": ({}, {"overlap_hours": [-1, 721, "x", 1.5], "expires_days": [0, 5000, "x"], "scopes": [["chat"]]}),
}
# route: field of the query: values that are wrong
QUERIES = {
    "GET /api/v1/chat/history": {"cursor": ["x", "0" * 48], "page": ["0", "x", "-1", "100001"], "limit": ["0", "201", "x"], "conversation_id": ["x"], "session_id": ["x"]},
    "GET /api/v1/conversations": {"cursor": ["x"], "page": ["x"], "limit": ["0"]},
    "GET /api/v1/documents": {"cursor": ["x"], "page": ["x"], "limit": ["201"], "collection": ["a b"]},
    "GET /api/v1/collections": {"page": ["x"], "limit": ["0"]},
    "GET /api/v1/keys": {"cursor": ["x"], "page": ["x"], "limit": ["0"], "tenant": ["a b"]},
    "GET /api/v1/audit": {"page": ["x"], "limit": ["201"], "cursor": ["x", "é" * 200]},
    "GET /api/v1/usage": {"days": ["0", "32", "x"]},
    "POST /api/v1/documents": {"collection": ["a b"]},
    "GET /api/v1/documents/{document}/text": {"start": ["x", "-1"], "end": ["x", "0"]},
    "PUT /api/v1/collections/{bad}": {"name": [None]},
}


@pytest.fixture(scope="module")
def suite():
    with Suite(env={"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "1000000"}) as s:
        yield s


def fields_of_sources(dialects):
    """Names in text rules, option tables and calls of field_*(): of the other dialects (gateway/openai, gateway/mcp), or of the gateway's own API."""
    found = set()
    for path in glob.glob(os.path.join(TOP, "gateway", "**", "*.c"), recursive=True) + glob.glob(os.path.join(TOP, "gateway", "openai", "option.tbl")):
        if (os.path.basename(os.path.dirname(path)) in ("openai", "mcp")) != dialects:
            continue
        with open(path) as f:
            text = f.read()
        found |= set(re.findall(r'\b\w+ = \{ "(\w+)", [\w]+, [\w]+, (?:true|false), (?:true|false) \}', text)) | set(re.findall(r'^OPTION\("(\w+)"', text, re.M))
        if os.path.basename(path) != "field.c":
            found |= set(re.findall(r'field_\w+\([\w>-]+, "(\w+)"', text)) | set(re.findall(r'fault_set\(\w+, "(\w+)"', text))
            found |= set(re.findall(r'reply_invalid\(r, "/(\w+)"', text))
    return found


def test_every_field_that_has_a_rule_is_tried_here():
    tried = {f for _, fields in BODIES.values() for f in fields} | {f for fields in QUERIES.values() for f in fields}
    assert fields_of_sources(False) - tried == {"form"}, "add what is missing; 'form' is tried in test_pages.py"


def test_every_field_of_the_other_dialects_is_in_a_schema_whose_members_are_tried(suite):
    """test_openapi.py tries each member of the schemas of bodies, test_mcp.py each argument of the tools."""
    schemas = suite.request("GET", "/openapi.json").json()["components"]["schemas"]
    tried = {pointer.rpartition("/")[2] for name in DIALECT for pointer, _, _ in refused(schemas, name)}
    tools = suite.request("POST", "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).json()["result"]["tools"]
    tried |= {argument for t in tools for argument in t["inputSchema"]["properties"]}
    # there are no conversations to name: whatever is said there is refused
    for value in ("conv_1", {"id": "conv_1"}, 7):
        r = suite.request("POST", "/v1/responses", json={"input": "x", "conversation": value})
        assert r.status_code == 400 and "conversation" in r.text, r.text[:300]
    assert fields_of_sources(True) - tried == {"conversation"}, "add it to gateway/spec/schema.tbl or gateway/mcp/tool.tbl"


def is_named(r, field):
    assert r.status_code == 422, (field, r.status_code, r.text[:300])
    body = r.json()
    assert re.match(re.escape(field) + r"\b", body["detail"]), (field, body["detail"])
    assert body["errors"] and body["errors"][0]["pointer"].startswith("/" + field) and body["errors"][0]["detail"], body


@pytest.mark.parametrize("route", BODIES)
def test_a_wrong_member_of_a_body_is_named(suite, route):
    method, path = route.split()
    right, fields = BODIES[route]
    for field, values in fields.items():
        for value in values:
            body = {k: v for k, v in {**right, field: value}.items() if v is not None}
            r = suite.request(method, path, json=body, session=None if field == "session_id" else SESSION)
            is_named(r, field)


@pytest.mark.parametrize("route", QUERIES)
def test_a_wrong_parameter_of_a_query_is_named(suite, route):
    document = suite.request("POST", "/api/v1/documents?wait=1", json={"id": "fields", "text": "Text."}).json()["document_id"]
    method, path = route.replace("{document}", document).replace("{bad}", "a%20b").split()
    for field, values in QUERIES[route].items():
        for value in values:
            session = None if field == "session_id" else SESSION
            body = {"text": "Text."} if method == "POST" else {} if method == "PUT" else None
            is_named(suite.request(method, path, params={} if value is None else {field: value}, session=session, json=body), field)


@pytest.mark.parametrize("lines, field", [('{"text": ""}', "text"), ('{"text": "a", "title": 7}', "title"), ('{"text": "a", "colour": 1}', "colour"), ('{"text": "a", "url": "data:x"}', "url")])
def test_a_wrong_member_of_a_line_is_named(suite, lines, field):
    r = suite.request("POST", "/api/v1/documents", data=lines + "\n" + lines, headers={"Content-Type": "application/jsonl"})
    assert r.status_code == 422 and f'"/{field}"' in r.json()["detail"] and '"line":2' in r.json()["detail"], r.text
