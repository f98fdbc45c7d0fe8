"""Bodies of requests by the schemas of /openapi.json: a right one of each, and for each member values that its schema refuses.

    for pointer, value, body in refused(schemas, "SearchBody"): …     pointer: "top_k", "rag/top_k", …
"""
import uuid

SESSION = "5f0c8a0e-6f4e-4f5a-9d7e-0f3b1c2d4e5f"
ASKED = {"question": "What?", "session_id": SESSION}
# schema: (method, path, a body that is right)
BODIES = {
    "Query": ("POST", "/api/v1/chat/query", ASKED),
    "Stream": ("POST", "/api/v1/chat/stream", ASKED),
    "Selection": ("POST", "/api/v1/chat/selection", {**ASKED, "selected_text": "Some words", "chapter": "1"}),
    "SessionBody": ("POST", "/api/v1/sessions", {}),
    "FeedbackBody": ("POST", f"/api/v1/messages/{uuid.uuid4()}/feedback", {"rating": "up", "session_id": SESSION}),
    "CollectionBody": ("PUT", "/api/v1/collections/bounds", {}),
    "DocumentBody": ("POST", "/api/v1/documents", {"text": "x"}),
    "SearchBody": ("POST", "/api/v1/search", {"query": "x"}),
    "KeyBody": ("POST", "/api/v1/keys", {"label": "x"}),
    "KeyPatch": ("PATCH", "/api/v1/keys/" + "0" * 64, {}),
    "RotateBody": ("POST", "/api/v1/keys/" + "0" * 64 + "/rotate", {}),
    "CompletionBody": ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    "TextBody": ("POST", "/v1/completions", {"prompt": "x"}),
    "ResponseBody": ("POST", "/v1/responses", {"input": "x"}),
    "EmbeddingBody": ("POST", "/v1/embeddings", {"input": "x"}),
}
DIALECT = tuple(name for name, (_, path, _) in BODIES.items() if path.startswith("/v1/"))


def named(schema):
    """The schema that a reference names, or None."""
    return schema.get("$ref", "").rpartition("/")[2] or next((n for s in schema.get("oneOf", ()) if (n := named(s))), None)


def wrong_values(schema):
    """Values beyond each bound, and one of another type."""
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    if "enum" in schema:
        yield "sideways"
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        yield ""
    if schema.get("minItems"):
        yield []
    if {"integer", "number", "boolean", "object"} & types:
        yield "x"
    elif {"string", "array"} & types or "oneOf" in schema or "$ref" in schema:
        yield 7


def refused(schemas, name):
    """(pointer, wrong value, the right body with it) for every member of this schema, and of the objects inside of it."""
    good = BODIES[name][2]
    for member, schema in schemas[name]["properties"].items():
        for value in wrong_values(schema):
            yield member, value, {**good, member: value}
        if named(schema) and "properties" in schemas[named(schema)]:
            for inner, its in schemas[named(schema)]["properties"].items():
                for value in wrong_values(its):
                    yield f"{member}/{inner}", value, {**good, member: {inner: value}}
