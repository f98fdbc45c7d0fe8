"""The five as processes: they start in any order, say what they are, drain, restart under a user's eyes, and keep secrets."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
import requests

from corpus_kit import Q_BREAD, Q_BUILT, Q_LAMP, Q_PUMP, add_corpus, check_problem, check_sources
from suite import ADMIN_KEY, BIN, SERVICES, SLOW, Suite, free_port, new_session, wait_for


@pytest.mark.parametrize("service", SERVICES)
def test_after_a_restart_of_a_service_the_next_question_is_answered(plain, service):
    assert plain.restart(service) == 0
    a = plain.answered(Q_BUILT, headers={"Cache-Control": "no-cache"})
    assert a["grounded"] and "Ingrid Solheim" in a["answer"]
    check_sources(plain, a)


@pytest.mark.parametrize("service", ("embedder", "retriever", "store"))
def test_a_question_asked_while_a_service_restarts_waits_for_it(plain, service):
    got = []

    def ask():
        got.append(plain.ask(Q_LAMP, headers={"Cache-Control": "no-cache"}))
    assert plain.stop_service(service) == 0
    t = threading.Thread(target=ask)
    t.start()
    plain.start(service)
    t.join(20 * SLOW)
    plain.wait_ready()
    # queued for up to 2 s at the hub; without any worker of that service it may be refused, but never wrongly answered
    assert got and got[0].status_code in (200, 503), got[0].text
    if got[0].status_code == 503:
        check_problem(got[0], 503)
    assert plain.answered(Q_LAMP)["grounded"]


def test_a_retriever_that_still_loads_its_index_is_not_ready_and_said_so(plain):
    plain.stop_service("retriever")
    plain.stop("store")
    try:
        plain.start("retriever")
        def missing():
            r = plain.request("GET", "/readyz")
            return r.status_code == 503 and r.json()["missing"]
        wait_for("it is there and takes nothing", lambda: "retrieve: starting" in (missing() or ""), 10)
        health = plain.request("GET", "/api/v1/health").json()
        assert health["status"] == "down" and health["services"]["retrieve"]["status"] == "starting"
        assert health["services"]["retrieve"]["workers"] == 1 and health["services"]["retrieve"]["capacity"] == 0
    finally:
        plain.cont("store")
    plain.wait_ready()
    assert plain.request("GET", "/api/v1/health").json()["services"]["retrieve"]["status"] == "ok"


def test_a_killed_service_is_missed_and_found_again(plain):
    plain.kill("retriever")
    wait_for("readyz says what is missing", lambda: "retrieve" in plain.request("GET", "/readyz").json()["missing"], 6)
    r = plain.ask(Q_PUMP)
    check_problem(r, 503, "service_unavailable")
    assert plain.request("GET", "/api/v1/health").json()["status"] == "down"
    plain.start("retriever")
    plain.wait_ready()
    assert plain.answered(Q_PUMP)["grounded"]


def test_of_a_killed_store_the_store_is_missing_and_nobody_says_how_its_database_is(plain):
    plain.kill("store")
    wait_for("readyz names the store", lambda: plain.request("GET", "/readyz").json()["missing"] == "store", 6)
    services = plain.request("GET", "/api/v1/health").json()["services"]
    assert services["store"]["status"] == "down" and services["postgres"]["status"] == "unknown"
    plain.start("store")
    plain.wait_ready()
    assert plain.request("GET", "/api/v1/health").json()["services"]["postgres"]["status"] == "ok"


def test_replicas_share_the_work_and_one_may_go(plain):
    plain.add_replica("embedder")
    wait_for("the hub sees two", lambda: plain.request("GET", "/api/v1/health").json()["services"]["embed"]["workers"] == 2, 3)
    for _ in range(6):
        assert plain.answered(Q_BREAD, headers={"Cache-Control": "no-cache"})["grounded"]
    assert plain.stop_service("embedder.2") == 0
    assert plain.answered(Q_BREAD)["grounded"]
    wait_for("the hub sees one", lambda: plain.request("GET", "/api/v1/health").json()["services"]["embed"]["workers"] == 1, 6)


def test_history_and_documents_are_there_after_a_restart_of_all(plain):
    session = new_session()
    first = plain.answered(Q_PUMP, session)
    assert plain.answered(Q_PUMP, session)["cached"] == "query"
    before = plain.messages(session, 4, 2.0)
    for service in ("gateway", "janitor", "retriever", "embedder", "store"):
        assert plain.stop_service(service) == 0, service
    for service in SERVICES:
        plain.start(service)
    plain.wait_ready()
    assert plain.history(session, limit=200)["items"] == before
    again = plain.ask(Q_PUMP, session, headers={"Cache-Control": "no-cache"}).json()
    assert again["answer"] == first["answer"] and again["cached"] == "none"
    check_sources(plain, again)


def test_a_cached_answer_survives_a_restart_of_the_gateway(plain):
    session = new_session()
    plain.answered(Q_BREAD, session)
    assert plain.restart("gateway") == 0
    wait_for("the change feed is fresh", lambda: plain.answered(Q_BREAD, session)["cached"] == "query", 3, every=0.3)


def test_every_process_is_alive_ready_and_measured(plain):
    for s in plain.services.values():
        if not s.running():
            continue
        assert s.admin("/healthz").status_code == 200 and s.admin("/readyz").status_code == 200
        m = s.metrics()
        assert m.value("process_resident_memory_bytes") > 0 and m.value("process_open_fds") > 5
        assert m.value("build_info") == 1 and m.value("log_lines_dropped_total") == 0
    g = plain.metrics("gateway")
    assert g.value("http_requests_total", route="POST /api/v1/chat/query", status="200") > 0
    assert g.value("query_cache_total", outcome="hit") >= 0 and g.value("bus_workers", service="store") == 1
    assert plain.metrics("store").value("store_postgres_up") == 1
    assert plain.metrics("retriever").value("retriever_index_documents") >= 3


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_wrong_with_any_processes_metrics(plain):
    for s in plain.services.values():
        if s.running():
            text = s.admin("/metrics").content
            r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=20)
            assert r.returncode == 0, (s.name, r.stdout, r.stderr)


@pytest.mark.parametrize("service", SERVICES)
def test_a_program_explains_itself(service, tmp_path):
    program = os.path.join(BIN, "footnote-" + service)
    clean = {"PATH": os.environ["PATH"]}

    def run(*args, **env):
        return subprocess.run([program, *args], env={**clean, **env}, capture_output=True, text=True, timeout=10 * SLOW)
    r = run("--help")
    assert r.returncode == 0 and r.stdout.startswith(f"usage: footnote-{service}") and "--metrics-port" in r.stdout
    r = run("--version")
    assert r.returncode == 0 and re.match(rf"footnote-{service} \d+\.\d+\.\d+ \(build \w+\)$", r.stdout)
    r = run("--check-config", DATABASE_URL="postgresql://u:hushhush@127.0.0.1/x", METRICS_PORT="19999")
    assert r.returncode == 0, r.stdout + r.stderr
    assert re.search(r"^METRICS_PORT=19999\s+#.*environment", r.stdout, re.M), r.stdout
    assert "hushhush" not in r.stdout + r.stderr
    r = run("--check-config", METRICS_PORT="many")
    assert r.returncode == 1 and "METRICS_PORT" in r.stderr
    r = run("--no-such-flag")
    assert r.returncode == 2 and "--no-such-flag" in r.stderr
    r = run("--health", METRICS_PORT=str(free_port()), DATABASE_URL="postgresql://127.0.0.1/x")
    assert r.returncode == 1, r.stderr


def test_health_of_the_program_asks_the_running_process(plain):
    for s in plain.services.values():
        if s.running():
            for flag in ("--health", "--ready"):
                r = subprocess.run([s.argv[0], flag], env=s.env, capture_output=True, timeout=10 * SLOW)
                assert r.returncode == 0, (s.name, flag, r.stderr)


def test_each_service_starts_with_everything_else_down_and_is_ready_later():
    with Suite(start=()) as s:
        s.redis.stop()
        s.postgres.stop()
        for service in SERVICES:
            s.start(service)
            wait_for(f"{service} is alive", lambda: s.services[service].running() and alive(s.services[service]), 5)
            assert s.services[service].admin("/readyz").status_code == 503 or service in ("embedder", "gateway"), service
        assert s.request("GET", "/readyz").status_code == 503
        # the store joins after 2 s without a database, to say so
        wait_for("readyz names postgres", lambda: "postgres" in s.request("GET", "/readyz").json()["missing"], 6)
        s.postgres.start()
        s.redis.start()
        s.wait_ready()
        add_corpus(s)
        assert s.answered(Q_BUILT)["grounded"]
        bad = s.down()
        assert not bad, bad


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_all_alone_lives_and_ends_with_0(service):
    with Suite(start=()) as s:
        s.redis.stop()
        s.postgres.stop()
        s.start(service)
        wait_for(f"{service} is alive", lambda: alive(s.services[service]), 5)
        begun = time.monotonic()
        assert s.stop_service(service) == 0
        assert time.monotonic() - begun < 3 * SLOW


def alive(s):
    try:
        return s.admin("/healthz").status_code == 200
    except requests.RequestException:
        assert s.running(), s.tail()
        return False


def test_a_gateway_whose_port_is_taken_says_so_and_ends_with_1(plain):
    for _ in range(3):  # its bus runs by then, and must be taken down in order
        taken = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": str(plain.port), "METRICS_PORT": str(free_port()), "LOG_FORMAT": "json",
                 "HUB_BIND": f"tcp://127.0.0.1:{free_port()}", "AUTH": "off", "DEPLOYMENT_SECRET": "test-deployment-secret"}
        p = subprocess.run([os.path.join(BIN, "footnote-gateway")], env=taken, capture_output=True, text=True, timeout=20 * SLOW)
        assert p.returncode == 1, (p.returncode, p.stdout, p.stderr)
        assert "cannot listen; is the port in use?" in p.stdout + p.stderr and "Assertion" not in p.stderr


def test_a_gateway_that_drains_finishes_what_it_began_and_refuses_what_is_new():
    with Suite(stub=True) as s:
        add_corpus(s)
        s.stub.script({"route": "chat", "delay_ms": 1500, "times": 0})
        got = []
        threads = [threading.Thread(target=lambda: got.append(s.ask(Q_BUILT))) for _ in range(4)]
        threads.append(threading.Thread(target=lambda: got.append(s.stream(Q_LAMP)[0])))
        for t in threads:
            t.start()
        wait_for("five answers are being written", lambda: s.stub.stats()["concurrent"] == 5, 5)
        s.services["gateway"].signal(signal.SIGTERM)
        wait_for("readyz says draining", lambda: "draining" in s.request("GET", "/readyz").text, 2)
        r = s.ask(Q_PUMP)
        check_problem(r, 503, "draining")
        assert r.headers["Connection"] == "close" and int(r.headers["Retry-After"]) == 2
        assert s.request("GET", "/healthz").status_code == 200
        for t in threads:
            t.join(20 * SLOW)
        assert s.services["gateway"].wait(5) == 0
        assert [r.status_code for r in got] == [200] * 5
        assert all(len(r.content) == int(r.headers["Content-Length"]) for r in got if "Content-Length" in r.headers)
        assert any("event: done" in r.text for r in got)
        s.expected_exit.add("gateway")


@pytest.mark.parametrize("store_hangs", (False, True))
def test_an_idle_gateway_ends_at_once_on_sigterm(store_hangs):
    """Also with a connection that waits for its next request, and with threads that wait for a service that is silent."""
    with Suite() as s:
        assert s.http.get(s.url + "/healthz").status_code == 200  # its connection stays open
        gateway = s.services["gateway"]
        if store_hangs:
            s.services["store"].signal(signal.SIGSTOP)
            wait_for("the gateway waits for the store", lambda: not gateway.ready(), 5)
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(10) == 0
        assert time.monotonic() - began < 1.5 * SLOW
        s.expected_exit.add("gateway")


def test_a_second_sigterm_ends_each_process_within_a_second():
    with Suite(stub=True) as s:
        add_corpus(s)
        s.stub.script({"route": "chat", "hang": True, "times": 0})
        def ask():
            try:
                s.ask(Q_BUILT, headers={"X-Request-Timeout-Ms": "8000"})
            except requests.RequestException:
                pass  # cut: nobody gave it more time
        t = threading.Thread(target=ask)
        t.start()
        wait_for("the model hangs", lambda: s.stub.stats()["concurrent"] == 1, 5)
        for name in ("embedder", "retriever", "janitor", "store", "gateway"):
            p = s.services[name]
            p.signal(signal.SIGTERM)
            if name == "embedder":
                assert p.wait(0.5) is None, f"{name} did not wait for the work in flight"
            # two signals at once would be one
            wait_for("the first is noticed", lambda: not p.running() or any(x.get("msg") == "draining" for x in p.log_lines()), 3)
            p.signal(signal.SIGTERM)
            begun = time.monotonic()
            assert p.wait(3) is not None and time.monotonic() - begun < 1.2 * SLOW, name
            s.expected_exit.add(name)
        t.join(20 * SLOW)


def test_no_secret_is_in_any_log():
    canary = "canary" + os.urandom(6).hex()
    with Suite(stub=True, auth="on", env={"DEPLOYMENT_SECRET": "deploy-" + canary, "OPENAI_API_KEY": "sk-" + canary},
               service_env={"gateway": {"ADMIN_KEY": "fn_admin_" + canary}}) as s:
        admin, session = "fn_admin_" + canary, new_session()
        add_corpus(s, key=admin)
        body = {"label": "x", "scopes": ["chat"]}
        made = s.request("POST", "/api/v1/keys", key=admin, json=body).json()
        question = f"{Q_BUILT} {canary}q"
        s.answered(question, session, key=admin)
        s.stream(question + "?", session, key=admin)
        s.history(session)
        s.request("GET", f"/api/v1/chat/history?session_id={session}")
        s.request("GET", f"/api/v1/sessions/{session}", key=admin)
        s.request("GET", "/api/v1/documents", key="fn_wrong_" + canary)
        s.request("GET", "/api/v1/documents?api_key=" + canary)
        s.stub.script({"route": "chat", "status": 500, "message": "told " + canary, "times": 0})
        s.ask(Q_PUMP, session, key=admin)
        s.restart("store")
        secrets = [canary, session, session.replace("-", ""), made["key"], s.postgres.url, "Ingrid Solheim", ADMIN_KEY]
        for name, service in s.services.items():
            with open(service.log_path, errors="replace") as f:
                text = f.read()
            for secret in secrets:
                assert secret not in text, f"{name} logs a secret: {[x for x in text.splitlines() if secret in x][:2]}"
