"""Traces: the spans of a question over all services, as a collector of OpenTelemetry gets them."""
import json
import os

import pytest
import requests

import http_kit
from corpus_kit import Q_LAMP, Q_PUMP, add_corpus
from otlp_kit import Collector
from suite import LOOPBACK, Suite, new_session, wait_for

CANARY = "sesquipedalian lamplight"


class Model(http_kit.Server):
    """A chat model that says one sentence, and remembers the contexts that it was called with."""

    def __init__(self):
        self.contexts = []
        outer = self

        class Handler(http_kit.Handler):
            def do_POST(self):
                self.body()
                outer.contexts.append(self.headers.get("traceparent"))
                self.answer(200, json.dumps({"object": "chat.completion", "model": "scripted", "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"{CANARY} [1]."}}],
                    "usage": {"prompt_tokens": 70, "completion_tokens": 7, "total_tokens": 77}}).encode(), Content_Type="application/json")
        super().__init__(Handler)


@pytest.fixture(scope="module")
def lab():
    collector, model = Collector(), Model()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{collector.port}/", "OTEL_EXPORTER_OTLP_HEADERS": "X-Team=docs,X-Other=a b",
           "EMBEDDING_PROVIDER": "ngram"}
    with Suite(env=env, service_env={"embedder": {"OPENAI_BASE_URL": f"http://{LOOPBACK}:{model.port}/v1", "CHAT_PROVIDER": "openai",
                                                   "OPENAI_MODEL": "scripted"}}) as s:
        add_corpus(s)
        s.collector, s.model = collector, model
        yield s
    collector.close()
    model.close()


def ask(s, question, **headers):
    r = requests.post(s.url + "/api/v1/chat/query", json={"question": question}, headers={"X-Session-ID": new_session(), **headers}, timeout=20)
    assert r.status_code == 200, r.text
    return r


def trace_of(s, response, least=("gateway", "embedder", "retriever", "store")):
    """All spans of an answer, once its root and those of these services have come."""
    trace, root = response.headers["traceparent"].split("-")[1:3]

    def whole():
        spans = s.collector.spans(trace)
        ids = {x.id for x in spans}
        served = {x.parent for x in spans}    # a service's spans may come at two times
        return spans if root in ids and {x.service for x in spans} >= set(least) and all(x.parent in ids for x in spans if x.id != root) and all(
            x.id in served for x in of(spans, "gateway", None, 3)) else None
    return wait_for("the whole trace", whole, 15), root


def of(spans, service, name, kind=None):
    return [s for s in spans if s.service == service and name in (None, s.name) and kind in (None, s.kind)]


def test_a_question_is_one_trace_over_all_services(lab):
    mine = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    r = ask(lab, Q_PUMP, traceparent=f"00-{mine[0]}-{mine[1]}-00")
    version, trace, _, flags = r.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", mine[0], "01")
    spans, root = trace_of(lab, r)
    by_id = {s.id: s for s in spans}
    assert by_id[root].parent == mine[1] and by_id[root].kind == 2
    assert by_id[root].attributes["http.response.status_code"] == 200 and by_id[root].attributes["http.request.method"] == "POST"
    assert by_id[root].attributes["footnote.request_id"] == r.headers["X-Request-ID"]
    for kind in ("embed.free", "search", "chat", "turn.begin", "turn.finish"):
        call, = of(spans, "gateway", kind, 3)
        served, = [s for s in spans if s.name == kind and s.kind == 2]
        assert call.parent == root and served.parent == call.id, kind
        # one machine, one clock
        assert call.start <= served.start + 1_000_000 and served.end <= call.end + 1_000_000, kind
    assert not any(s.failed for s in spans)


def test_what_a_model_was_asked_stands_by_opentelemetrys_names(lab):
    spans, _ = trace_of(lab, ask(lab, Q_LAMP))
    call, = of(spans, "embedder", "chat scripted", 3)
    assert call.attributes["gen_ai.operation.name"] == "chat" and call.attributes["gen_ai.request.model"] == "scripted"
    assert call.attributes["gen_ai.usage.input_tokens"] == 70 and call.attributes["gen_ai.usage.output_tokens"] == 7
    assert call.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    # the server goes on with the same trace, below that very span
    assert f"00-{call.trace}-{call.id}-01" in lab.model.contexts
    embed, = of(spans, "embedder", "embed.free", 2)
    assert embed.attributes["gen_ai.operation.name"] == "embeddings" and embed.attributes["footnote.texts"] == 1
    search, = of(spans, "retriever", "search", 2)
    ids, scores = search.attributes["footnote.document_ids"], search.attributes["footnote.scores"]
    known = {d["document_id"] for d in requests.get(lab.url + "/api/v1/documents", timeout=10).json()["items"]}
    assert ids and set(ids) <= known and len(scores) == len(ids) == search.attributes["footnote.passages"]
    assert scores == sorted(scores, reverse=True)


def test_no_text_leaves_unless_it_is_asked_for(lab):
    trace_of(lab, ask(lab, "Who keeps the pump of Varnholm in order, and where?"))
    everything = "".join(lab.collector.bodies)
    assert CANARY not in everything and "Varnholm" not in everything
    lab.stop_service("embedder")
    lab.start("embedder", env={"OTEL_CAPTURE_CONTENT": "on"})
    lab.wait_ready()
    spans, _ = trace_of(lab, ask(lab, "Who paints the lamp of the lighthouse of Varnholm?"))
    call, = of(spans, "embedder", "chat scripted", 3)
    assert CANARY in call.attributes["gen_ai.output.messages"] and "Varnholm" in call.attributes["gen_ai.input.messages"]


def test_the_collector_gets_the_headers_that_it_wants(lab):
    trace_of(lab, ask(lab, Q_PUMP))
    assert all(h["X-Team"] == "docs" and h["X-Other"] == "a b" and h["Content-Type"] == "application/json" for h in lab.collector.headers)


def test_a_failure_is_said_in_its_span(lab):
    r = requests.get(lab.url + "/api/v1/documents/" + "0" * 8 + "-0000-4000-8000-" + "0" * 12, timeout=10)
    assert r.status_code == 404
    spans, root = trace_of(lab, r, ("gateway", "store"))
    refused = [s for s in spans if s.failed]
    assert refused and all(s.attributes["error.type"] == "not_found" for s in refused)
    assert not next(s for s in spans if s.id == root).failed  # a 404 is the client's own


def test_log_lines_name_the_trace(lab):
    r = ask(lab, Q_PUMP)
    trace = r.headers["traceparent"].split("-")[1]

    def lines():
        with open(lab.services["gateway"].log_path, encoding="utf-8", errors="replace") as f:
            return [x for x in map(json.loads, filter(lambda t: t.startswith("{"), f)) if x.get("request_id") == r.headers["X-Request-ID"]]
    found = wait_for("the access log's line", lambda: [x for x in lines() if x["msg"] == "request"])
    assert found[0]["trace_id"] == trace


def spans_total(s, service, outcome):
    return s.metrics(service).value("footnote_trace_spans_total", outcome=outcome) or 0


def test_a_dead_collector_costs_nothing_but_its_spans(lab):
    wait_for("spans were sent", lambda: spans_total(lab, "gateway", "sent") > 0)
    before = spans_total(lab, "gateway", "dropped")
    lab.collector.status = 503
    try:
        for _ in range(3):
            ask(lab, Q_PUMP)
        wait_for("spans are dropped and counted", lambda: spans_total(lab, "gateway", "dropped") > before, 20)

        def only_the_first_is_missed():
            """A question has seven spans in the gateway. While it rests, there is not even the first."""
            dropped = spans_total(lab, "gateway", "dropped")
            ask(lab, Q_LAMP)
            return spans_total(lab, "gateway", "dropped") - dropped == 1
        wait_for("no spans are begun after a failure", only_the_first_is_missed, 20, every=0.3)
    finally:
        lab.collector.status = 200
    services = ("gateway", "embedder", "retriever", "store")
    sent = {name: spans_total(lab, name, "sent") for name in services}

    def all_send():
        """Each rests for seconds after its own failure."""
        ask(lab, Q_PUMP)
        return all(spans_total(lab, name, "sent") > sent[name] for name in services)
    wait_for("every service sends spans again", all_send, 30, every=0.5)


def test_who_keeps_a_trace_is_decided_here(lab):
    lab.stop_service("gateway")
    lab.start("gateway", env={"OTEL_TRACES_SAMPLER_ARG": "0"})
    lab.wait_ready()
    r = ask(lab, Q_PUMP, traceparent="00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01")
    trace = r.headers["traceparent"].split("-")[1]
    lab.stop_service("gateway")
    lab.start("gateway")
    lab.wait_ready()
    trace_of(lab, ask(lab, Q_PUMP))  # what came before has been sent by now
    assert trace == "0af7651916cd43dd8448eb211c80319d" and lab.collector.spans(trace) == []


@pytest.mark.parametrize("env,said", [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT: must be http(s)://"),
    ({"OTEL_EXPORTER_OTLP_HEADERS": "novalue"}, "OTEL_EXPORTER_OTLP_HEADERS: each must be name=value"),
    ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG")])
def test_options_that_cannot_work_are_refused(env, said):
    import subprocess
    from suite import BIN
    ran = subprocess.run([os.path.join(BIN, "footnote-janitor"), "--check-config"], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and said in ran.stderr
