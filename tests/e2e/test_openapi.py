"""/openapi.json and /docs: whole, from the tables, and what docs/api.md says is what they say."""
import os
import re

import pytest

from refusal_kit import BODIES, refused
from suite import TOP

UNBOUNDED = {"EmbeddingBody": {"model"}}  # any value is taken

with open(os.path.join(TOP, "docs", "api.md")) as f:
    PAPER = f.read()


def test_every_route_is_in_it_and_every_reference_leads_somewhere(main):
    r = main.request("GET", "/openapi.json")
    d = r.json()
    with open(os.path.join(TOP, "gateway", "route.tbl")) as f:
        table = {(m.lower(), p) for m, p in re.findall(r'^ROUTE\(\w+,\s*(\w+),\s*"([^"]+)"', f.read(), re.M)}
    assert d["openapi"] == "3.1.0" and {(m, p) for p, methods in d["paths"].items() for m in methods} == table
    assert set(re.findall(r"#/components/schemas/(\w+)", r.text)) == set(d["components"]["schemas"])
    for path, methods in d["paths"].items():
        for method, op in methods.items():
            assert op["tags"] != [""] and op["summary"] and [s for s in op["responses"] if s < "300"], f"{method} {path} is not in call.tbl"
            assert set(re.findall(r"\{(\w+)\}", path)) == {p["name"] for p in op.get("parameters", []) if p["in"] == "path"}


def test_the_page_shows_every_route_and_asks_nobody_for_anything(main):
    r = main.request("GET", "/docs")
    assert "default-src 'none'" in r.headers["Content-Security-Policy"] and "<script" not in r.text
    assert re.findall(r'(?:src|href)="([^"]*)"', r.text) == ["/openapi.json"]
    for path in main.request("GET", "/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in r.text


def test_the_paper_names_every_route_and_no_other(main):
    d = main.request("GET", "/openapi.json").json()
    missing = [p for p in d["paths"] if p not in PAPER and p != "/"]
    assert missing == []
    for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/[^`\s?]*)", PAPER):
        path = path if path in d["paths"] else "/api/v1" + path
        assert method.lower() in d["paths"].get(path, {}), f"docs/api.md: {method} {path}"


def test_the_fields_of_a_query_in_the_paper_are_those_of_the_schema(main):
    schemas = main.request("GET", "/openapi.json").json()["components"]["schemas"]
    block = PAPER.split("| field | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in block.splitlines() if line.startswith("| `")))) == set(schemas["Query"]["properties"])
    for name in ("Answer", "Source", "Document", "Explanation"):
        for field in schemas[name]["properties"]:
            assert re.search(rf"\b{field}\b", PAPER), f"docs/api.md does not know {field} of {name}"


def test_every_body_of_a_request_is_tried(main):
    d = main.request("GET", "/openapi.json").json()
    bodies = {op["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
              for methods in d["paths"].values() for op in methods.values() if "application/json" in op.get("requestBody", {}).get("content", {})}
    assert bodies == set(BODIES) | {"RpcBody"}, "its members are the arguments of tools: test_mcp.py"


@pytest.mark.parametrize("name", BODIES)
def test_handlers_refuse_what_the_schemas_refuse(main, name):
    """A value beyond each bound of each field, and one of another type, is refused by the field's name."""
    schemas = main.request("GET", "/openapi.json").json()["components"]["schemas"]
    method, path, _ = BODIES[name]
    if name == "KeyPatch":  # a key that is there: its fields are judged beside what it has
        path = "/api/v1/keys/" + main.request("POST", "/api/v1/keys", json={"label": "x", "scopes": ["chat"]}).json()["id"]
    tried, taken = set(), []
    for pointer, value, body in refused(schemas, name):
        r = main.request(method, path, json=body)
        field = pointer.rpartition("/")[2]
        if not (r.status_code in (400, 422) or (field == "model" and r.status_code == 404)) or field not in r.text:
            taken.append((pointer, str(value)[:20], r.status_code, r.text[:200]))
        tried.add(pointer)
    assert taken == []
    assert set(schemas[name]["properties"]) - tried <= UNBOUNDED.get(name, set())


def test_what_the_state_of_a_thing_does_not_allow_is_an_answer_that_is_told(main):
    """Each POST says 409, with a body or without: here of a collection that has no second set of vectors."""
    d = main.request("GET", "/openapi.json").json()
    for path, methods in d["paths"].items():
        assert "409" in methods.get("post", {"responses": {"409": 0}})["responses"], path
    for call in ("switch-back", "drop-old"):
        assert main.request("POST", f"/api/v1/collections/docs/{call}").status_code == 409
