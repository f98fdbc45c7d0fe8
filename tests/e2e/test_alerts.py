"""Alerts and dashboards: what deploy/prometheus and deploy/grafana say is true of the running suite.

The rules are tested by promtool (tests/alerts), and against the real thing: Debian's Prometheus scrapes five services, Redis
stops, and the alert fires. Only what would make that slow is changed in a copy: the intervals, `for:`, and where the
processes are (127.0.0.1 instead of compose's names)."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import requests
import yaml

from corpus_kit import Q_PUMP, add_corpus
from suite import LOOPBACK, TOP, Metrics, Proc, Suite, free_port, wait_for

PROMETHEUS = os.path.join(TOP, "deploy", "prometheus")
ALERTS = os.path.join(PROMETHEUS, "alerts.yml")
GRAFANA = os.path.join(TOP, "deploy", "grafana")
DASHBOARDS = sorted(glob.glob(os.path.join(GRAFANA, "dashboards", "*.json")))
NOT_OURS = {"up", "ALERTS"}  # Prometheus's own
SELECTOR = re.compile(r'\b((?:footnote|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?')
MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
TARGET_LABELS = {"job", "instance"}


def read_yaml(path):
    with open(path) as f:
        return yaml.safe_load(f)


def rules():
    return [r for g in read_yaml(ALERTS)["groups"] for r in g["rules"]]


def panels():
    """(dashboard's file, panel) of every panel that shows something."""
    out = []
    for path in DASHBOARDS:
        with open(path) as f:
            out += [(os.path.basename(path), p) for p in json.load(f)["panels"] if p["type"] != "row"]
    return out


def expressions():
    """(where, PromQL) of every alert and every panel; Grafana's own variables given a value."""
    out = [(r["alert"], r["expr"]) for r in rules()]
    for name, p in panels():
        out += [(f"{name}: {p['title']}", t["expr"].replace("$__rate_interval", "1m")) for t in p["targets"]]
    return out


def promtool(*args):
    r = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=50)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout + r.stderr


# ---- the files ------------------------------------------------------------------------------------------------------
def test_every_alert_fires_when_it_should_and_not_when_it_is_near():
    promtool("test", "rules", *sorted(glob.glob(os.path.join(TOP, "tests", "alerts", "*_test.yml"))))


def test_no_alert_is_without_a_case_that_fires_and_one_that_does_not():
    fires, quiet = set(), set()
    for path in glob.glob(os.path.join(TOP, "tests", "alerts", "*_test.yml")):
        for case in read_yaml(path)["tests"]:
            alert, verb = case["name"].split()[:2]
            fired = {m for e in case["promql_expr_test"] for s in e["exp_samples"]
                     for m in re.findall(r'alertname="(\w+)"', s["labels"])}
            assert fired == ({alert} if verb == "fires:" else set()), case["name"]
            (fires if fired else quiet).add(alert)
    assert fires == quiet == {r["alert"] for r in rules()}


def test_rules_and_configuration_are_clean():
    assert "SUCCESS" in promtool("check", "rules", ALERTS)
    assert "SUCCESS" in promtool("check", "config", os.path.join(PROMETHEUS, "prometheus.yml"))


def test_a_stranger_finds_the_runbook_of_each_alert():
    with open(os.path.join(TOP, "docs", "runbook.md")) as f:
        sections = {h.strip().lower(): body for h, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", f.read(), re.M)}
    for r in rules():
        assert r["labels"]["severity"] in ("critical", "warning"), r["alert"]
        assert set(r["annotations"]) == {"summary", "description", "runbook_url"}, r["alert"]
        path, _, anchor = r["annotations"]["runbook_url"].partition("#")
        assert path == "docs/runbook.md" and anchor == r["alert"].lower(), r["alert"]
        for part in ("For users", "First look", "Usual causes", "What to do", "What not to do"):
            assert f"**{part}" in sections[anchor], f"{r['alert']}: the runbook does not say: {part}"


def test_dashboards_are_what_their_generator_makes():
    r = subprocess.run([sys.executable, os.path.join(GRAFANA, "make.py"), "--check"], capture_output=True, text=True, timeout=50)
    assert r.returncode == 0, r.stdout + r.stderr


def test_dashboards_can_be_provisioned():
    uids, provisioned = set(), read_yaml(os.path.join(GRAFANA, "provisioning", "datasources", "prometheus.yml"))
    source = provisioned["datasources"][0]["uid"]
    assert len(DASHBOARDS) == 4
    for path in DASHBOARDS:
        with open(path) as f:
            d = json.load(f)
        assert d["uid"] not in uids and d["title"] and d["schemaVersion"] >= 36 and d["id"] is None
        uids.add(d["uid"])
        assert len({p["id"] for p in d["panels"]}) == len(d["panels"]), path
        cells = set()
        for p in d["panels"]:
            g = p["gridPos"]
            mine = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
            assert g["x"] + g["w"] <= 24 and not mine & cells, f"{path}: {p['title']} lies on another panel"
            cells |= mine
            if p["type"] != "row":
                assert p["datasource"]["uid"] == source and p["targets"], p["title"]
                assert p["fieldConfig"]["defaults"]["unit"] and p["description"], p["title"]


def test_compose_watches_only_when_it_is_told_to_and_with_no_default_password(tmp_path):
    compose = read_yaml(os.path.join(TOP, "docker-compose.yml"))
    watching = {n: s for n, s in compose["services"].items() if "monitoring" in s.get("profiles", [])}
    assert set(watching) == {"prometheus", "grafana"}
    for name, s in watching.items():
        assert s["profiles"] == ["monitoring"] and s["read_only"] and s["cap_drop"] == ["ALL"], name
        assert re.search(r":-[a-z/]+:v?\d+\.\d+\.\d+\}$", s["image"]), f"{name}: no pinned version"
        assert all(p.startswith("127.0.0.1:") for p in s.get("ports", [])), name
    assert "ports" not in watching["prometheus"] and compose["networks"]["watch"] == {"internal": True}
    grafana = watching["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    assert grafana["secrets"] == ["grafana_password"] and "back" not in grafana["networks"]
    mounted = {v.split(":")[0] for s in watching.values() for v in s["volumes"] if v.startswith("./")}
    assert all(os.path.isdir(os.path.join(TOP, m)) for m in mounted)
    targets = {n: c["dns_sd_configs"][0] for c in read_yaml(os.path.join(PROMETHEUS, "prometheus.yml"))["scrape_configs"]
               for n in c["dns_sd_configs"][0]["names"]}
    for name, port in (("gateway", 9101), ("embedder", 9102), ("retriever", 9103), ("store", 9104), ("janitor", 9105)):
        assert targets[name]["port"] == port and "back" in compose["services"][name]["networks"]
    (tmp_path / "env").write_text("")
    tool = shutil.which("docker-compose")  # where Docker is installed; make test-compose always has it
    for profile in ([], ["--profile", "monitoring"], ["--profile", "local"]) if tool else []:
        r = subprocess.run([tool, "--env-file", str(tmp_path / "env"), *profile, "config", "-q"], cwd=TOP, capture_output=True, text=True,
                           timeout=50)
        assert r.returncode == 0, r.stderr


def test_every_expression_of_a_dashboard_is_promql(tmp_path):
    asked = [{"record": f"dashboard:{i}", "expr": expr} for i, (_, expr) in enumerate(expressions())]
    path = tmp_path / "expressions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": asked}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", str(path))


# ---- the running suite ----------------------------------------------------------------------------------------------
class Prometheus:
    """Debian's, on a private port and in the suite's folder."""

    def __init__(self, suite):
        self.folder = os.path.join(suite.folder, "prometheus")
        os.makedirs(self.folder)
        self.url = f"http://{LOOPBACK}:{free_port()}"
        self._config(suite)
        self.proc = Proc("prometheus", ["prometheus", "--config.file", os.path.join(self.folder, "prometheus.yml"),
                                        "--storage.tsdb.path", os.path.join(self.folder, "data"), "--web.listen-address",
                                        self.url.removeprefix("http://")], dict(os.environ), self.folder)
        try:
            wait_for("Prometheus is ready", self._ready, 20)
        except BaseException:
            self.end()
            raise

    def _config(self, suite):
        c = read_yaml(os.path.join(PROMETHEUS, "prometheus.yml"))
        c["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        for job in c["scrape_configs"]:
            name = job.pop("dns_sd_configs")[0]["names"][0]
            job["static_configs"] = [{"targets": [f"{LOOPBACK}:{suite.services[name].metrics_port}"]}]
        groups = read_yaml(ALERTS)
        for g in groups["groups"]:
            for r in g["rules"]:
                r["for"] = "1s"
        for name, content in (("prometheus.yml", c), ("alerts.yml", groups)):
            with open(os.path.join(self.folder, name), "w") as f:
                yaml.safe_dump(content, f)

    def _ready(self):
        assert self.proc.running(), self.proc.tail()
        try:
            return requests.get(self.url + "/-/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def query(self, expr):
        r = requests.get(self.url + "/api/v1/query", params={"query": expr}, timeout=5).json()
        assert r["status"] == "success", (expr, r)
        return r["data"]["result"]

    def alerts(self):
        return requests.get(self.url + "/api/v1/alerts", timeout=5).json()["data"]["alerts"]

    def firing(self):
        """{(alert's name, job)}"""
        return {(a["labels"]["alertname"], a["labels"].get("job")) for a in self.alerts() if a["state"] == "firing"}

    def end(self):
        self.proc.end(10)


@pytest.fixture(scope="module")
def watched():
    with Suite() as s:
        add_corpus(s)
        prometheus = Prometheus(s)
        s.prometheus = prometheus
        try:
            yield s
        finally:
            prometheus.end()
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


def unknown_labels(scrapes, name, matchers):
    """Label matchers that no sample of this metric could meet."""
    labels = [dict(ls) for m in scrapes for (n, ls) in m.samples if n == name]
    for label, op, value in MATCHER.findall(matchers or ""):
        if label in TARGET_LABELS or op.startswith("!"):
            fits = label in TARGET_LABELS or any(label in ls for ls in labels)
        else:
            fits = any(re.fullmatch(value if op == "=~" else re.escape(value), ls[label]) for ls in labels if label in ls)
        if not fits:
            yield f'{label}{op}"{value}"'


def test_every_metric_that_an_alert_or_a_dashboard_uses_is_exposed(watched):
    scrapes = [Metrics(s.admin("/metrics").text) for s in watched.services.values()]
    exposed = {n for m in scrapes for n, _ in m.samples}
    wrong = []
    for where, expr in expressions():
        found = SELECTOR.findall(expr)
        assert found or any(n in expr for n in NOT_OURS), f"{where} asks for nothing: {expr}"
        wrong += [f"{where}: nobody exposes {name}" for name, _ in found if name not in exposed]
        wrong += [f"{where}: {name} has no {bad}" for name, ms in found if name in exposed
                  for bad in unknown_labels(scrapes, name, ms)]
    assert not wrong, "\n".join(wrong)


def test_prometheus_scrapes_all_five_services_and_no_alert_fires(watched):
    p = watched.prometheus
    wait_for("five targets are up", lambda: len(p.query("up == 1")) == 5)
    wait_for("no alert is on", lambda: not p.alerts())
    health = p.query("footnote_build_info")
    assert {r["metric"]["job"] for r in health} == {f"footnote-{s}" for s in ("gateway", "embedder", "retriever", "store", "janitor")}


def test_every_dashboard_expression_is_answered_by_prometheus(watched):
    for _, expr in expressions():
        watched.prometheus.query(expr)


def test_redis_stops_and_the_cache_alert_fires_and_ends_when_it_is_back(watched):
    p = watched.prometheus
    wait_for("no alert is on", lambda: not p.alerts())
    watched.redis.stop()
    # without any question asked: the store reads its queue
    wait_for("the cache alert fires", lambda: ("FootnoteCacheUnavailable", "footnote-store") in p.firing(), 15)
    assert watched.ask(Q_PUMP).status_code == 200
    wait_for("it fires for the gateway, too", lambda: ("FootnoteCacheUnavailable", "footnote-gateway") in p.firing(), 15)
    assert {name for name, _ in p.firing()} == {"FootnoteCacheUnavailable"}
    told = [a["annotations"] for a in p.alerts() if a["labels"]["job"] == "footnote-gateway"][0]
    assert told["summary"].startswith("footnote-gateway 127.0.0.1:") and "<error" not in json.dumps(told)
    watched.redis.start()
    watched.answered(Q_PUMP)
    wait_for("it ends for the gateway", lambda: ("FootnoteCacheUnavailable", "footnote-gateway") not in p.firing(), 15)
