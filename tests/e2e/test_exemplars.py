"""Exemplars: with traces on, a bucket of a latency histogram names the trace of one of its observations. Prometheus itself scrapes them."""
import os
import re

import pytest
import requests
import yaml

from corpus_kit import Q_LAMP, Q_PUMP, add_corpus
from otlp_kit import Collector
from suite import LOOPBACK, Proc, Suite, free_port, new_session, wait_for

OPEN = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
SERVICES = ("gateway", "embedder", "retriever", "store", "janitor")
SHOWN = re.compile(r'^(\w+)_bucket\{(.*)le="([^"]+)"\} (\d+) # \{trace_id="([0-9a-f]{32})"\} (\S+) (\d+\.\d{3})$')
# histogram -> who has it; each gets an exemplar from a question
ASKED = {"http_request_seconds": "gateway", "question_seconds": "gateway", "question_added_seconds": "gateway", "question_stage_seconds": "gateway",
         "embed_seconds": "embedder", "bus_work_seconds": "retriever", "retriever_search_seconds": "retriever",
         "store_transaction_seconds": "store", "store_pool_wait_seconds": "store"}


def scrape(s, name, accept=OPEN):
    r = requests.get(f"http://{LOOPBACK}:{s.services[name].metrics_port}/metrics", headers={"Accept": accept} if accept else {"Accept": None}, timeout=5)
    assert r.status_code == 200
    return r


def exemplars(s, name):
    """[(histogram, labels, bound, trace, seconds)]"""
    found = []
    for line in scrape(s, name).text.splitlines():
        if " # {" in line:
            m = SHOWN.match(line)
            assert m, line
            found.append((m[1].removeprefix("footnote_"), m[2], float(m[3]), m[5], float(m[6])))
    return found


def ask(s, question):
    r = requests.post(s.url + "/api/v1/chat/query", json={"question": question}, headers={"X-Session-ID": new_session()}, timeout=20)
    assert r.status_code == 200, r.text
    return r.headers["traceparent"].split("-")[1]


@pytest.fixture(scope="module")
def lab():
    collector = Collector()
    with Suite(env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{collector.port}"}) as s:
        add_corpus(s)
        s.collector = collector
        yield s
        bad = s.down()   # also what a sanitizer reports
    collector.close()
    assert not bad, f"services that did not end with 0: {bad}"


@pytest.fixture(scope="module")
def plain():
    """No traces."""
    with Suite() as s:
        add_corpus(s)
        yield s
        bad = s.down()
    assert not bad, f"services that did not end with 0: {bad}"


def test_a_questions_latencies_name_its_trace_in_every_service(lab):
    trace = ask(lab, Q_PUMP)

    def all_of_them():
        seen = {(n, h) for n in SERVICES for h, _, _, t, _ in exemplars(lab, n) if t == trace}
        missing = {(n, h) for h, n in ASKED.items()} - seen
        return not missing
    wait_for("each histogram has an exemplar of the question", all_of_them, 10)
    for n in SERVICES:
        for h, labels, bound, _, seconds in exemplars(lab, n):
            assert seconds <= bound, (h, labels, bound, seconds)


def test_the_trace_of_an_exemplar_is_one_that_the_collector_has(lab):
    ask(lab, Q_LAMP)
    traces = {t for n in SERVICES for _, _, _, t, _ in exemplars(lab, n)}
    assert traces
    wait_for("the collector has them", lambda: traces <= {x.trace for x in lab.collector.spans()}, 15)


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain;version=0.0.4", "text/html,*/*;q=0.8", "application/openmetrics-text;q=0.1,text/plain"])
def test_who_does_not_ask_for_openmetrics_gets_the_text_without_exemplars(lab, accept):
    ask(lab, Q_PUMP)
    r = scrape(lab, "gateway", accept)
    assert r.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert " # {" not in r.text and "# EOF" not in r.text and 'le="1"' in r.text
    assert scrape(lab, "gateway").headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_a_trace_that_is_not_kept_is_no_exemplar(lab):
    lab.stop_service("gateway")
    lab.start("gateway", env={"OTEL_TRACES_SAMPLER_ARG": "0"})
    lab.wait_ready()
    trace = ask(lab, Q_PUMP)
    assert not exemplars(lab, "gateway") and trace not in {t for n in SERVICES for _, _, _, t, _ in exemplars(lab, n)}
    assert scrape(lab, "gateway").headers["Content-Type"].startswith("application/openmetrics-text")
    lab.stop_service("gateway")
    lab.start("gateway")
    lab.wait_ready()


def test_without_traces_everybody_gets_what_there_was_before(plain):
    ask(plain, Q_PUMP)
    for n in SERVICES:
        r = scrape(plain, n)
        assert r.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8" and "# {" not in r.text and "# EOF" not in r.text


class Prometheus:
    """Debian's, which keeps exemplars, on a private port and in the suite's folder."""

    def __init__(self, s):
        folder = os.path.join(s.folder, "prometheus-exemplars")
        os.makedirs(folder)
        self.url = f"http://{LOOPBACK}:{free_port()}"
        jobs = [{"job_name": n, "static_configs": [{"targets": [f"{LOOPBACK}:{s.services[n].metrics_port}"]}]} for n in SERVICES]
        with open(os.path.join(folder, "prometheus.yml"), "w") as f:
            yaml.safe_dump({"global": {"scrape_interval": "500ms"}, "scrape_configs": jobs}, f)
        self.proc = Proc("prometheus-exemplars", [
            "prometheus", "--config.file", os.path.join(folder, "prometheus.yml"), "--storage.tsdb.path", os.path.join(folder, "data"),
            "--enable-feature=exemplar-storage", "--web.listen-address", self.url.removeprefix("http://")], dict(os.environ), s.folder)

    def get(self, path, **params):
        try:
            r = requests.get(self.url + path, params=params, timeout=5)
        except requests.RequestException:
            assert self.proc.running(), self.proc.tail()
            return []
        return r.json()["data"] if r.status_code == 200 else []

    def up(self):
        """{service: whether its last scrape was read}; what breaks the format is not."""
        got = self.get("/api/v1/query", query="up")
        return {r["metric"]["job"]: r["value"][1] == "1" for r in got["result"]} if got else {}

    def exemplars(self, query):
        now = "2000000000"
        return {e["labels"]["trace_id"] for series in self.get("/api/v1/query_exemplars", query=query, start="0", end=now) for e in series["exemplars"]}


def test_prometheus_reads_all_five_and_keeps_the_exemplars(lab):
    p = Prometheus(lab)
    try:
        trace = ask(lab, Q_PUMP)
        wait_for("every service is scraped", lambda: p.up() == dict.fromkeys(SERVICES, True), 30, 0.1)
        for name, service in ASKED.items():
            wait_for(f"the exemplar of {name}", lambda name=name, service=service: trace in p.exemplars(f'footnote_{name}_bucket{{job="{service}"}}'), 15, 0.1)
        targets = p.get("/api/v1/targets")["activeTargets"]
        assert len(targets) == 5 and not [t for t in targets if t["lastError"]]
        types = p.get("/api/v1/metadata", metric="footnote_http_requests")    # as OpenMetrics names the family
        assert [m["type"] for m in types["footnote_http_requests"]] == ["counter"]
    finally:
        p.proc.end(10)
