"""A collector of OpenTelemetry in tests: takes OTLP over HTTP, parses it strictly, and keeps the spans."""
import json
import re

import http_kit

HEX = {"traceId": r"[0-9a-f]{32}", "spanId": r"[0-9a-f]{16}", "parentSpanId": r"[0-9a-f]{16}"}
VALUES = {"stringValue": str, "intValue": str, "doubleValue": (int, float), "boolValue": bool, "arrayValue": dict}


def value_of(v):
    (kind, x), = v.items()
    assert isinstance(x, VALUES[kind]), v
    return [value_of(i) for i in x["values"]] if kind == "arrayValue" else int(x) if kind == "intValue" else x


def attributes_of(listed):
    keys = [a["key"] for a in listed]
    assert len(keys) == len(set(keys)), f"an attribute stands twice: {keys}"
    return {a["key"]: value_of(a["value"]) for a in listed}


class Span:
    def __init__(self, service, s):
        for key, form in HEX.items():
            assert key not in s and key == "parentSpanId" or re.fullmatch(form, s[key]), s
        assert set(s) <= {"traceId", "spanId", "parentSpanId", "name", "kind", "flags", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status"}, s
        self.service, self.name, self.kind = service, s["name"], s["kind"]
        self.trace, self.id, self.parent = s["traceId"], s["spanId"], s.get("parentSpanId")
        self.start, self.end = int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"])
        assert self.start <= self.end and s["kind"] in (1, 2, 3)
        self.attributes, self.failed = attributes_of(s["attributes"]), s["status"].get("code") == 2

    def __repr__(self):
        return f"<{self.service} {self.name} {self.id} under {self.parent}>"


class Collector(http_kit.Server):
    def __init__(self, port=0):
        self.bodies, self.headers, self.status = [], [], 200
        outer = self

        class Handler(http_kit.Handler):
            def do_POST(self):
                data = self.body()
                if self.path == "/v1/traces" and outer.status == 200:
                    outer.bodies.append(data.decode())
                    outer.headers.append(dict(self.headers))
                self.answer(outer.status if self.path == "/v1/traces" else 404, b"{}", Content_Type="application/json")
        super().__init__(Handler, port)

    def spans(self, trace=None):
        found = []
        for body in list(self.bodies):
            for resource in json.loads(body)["resourceSpans"]:
                about = attributes_of(resource["resource"]["attributes"])
                for scope in resource["scopeSpans"]:
                    found += [Span(about["service.name"].removeprefix("footnote-"), s) for s in scope["spans"]]
        return [s for s in found if trace is None or s.trace == trace]
