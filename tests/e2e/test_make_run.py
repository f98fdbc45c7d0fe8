"""What README promises of `make run`: it ends with a cited answer; status, restart, ingest, psql, redis-cli, logs and stop work;
each service is given its own options only; the store is no superuser. In a folder of its own, beside whatever runs here."""
import os
import re
import socket
import subprocess

import pytest

from suite import BIN, TOP, SERVICES, free_port

SECRETS = {"ADMIN_KEY": "fn_admin_key-of-the-gateway-only", "OPENAI_API_KEY": "sk-key-of-the-embedder-only",
           "DEPLOYMENT_SECRET": "secret-of-the-gateways-only"}
KNOWS = {"ADMIN_KEY": {"gateway"}, "OPENAI_API_KEY": {"embedder"}, "DEPLOYMENT_SECRET": {"gateway"}, "DATABASE_URL": {"store"}}


class Run:
    limit = 100  # seconds for a command

    def __init__(self, folder, port=None):
        self.folder, self.port = str(folder), port or free_port()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "FOOTNOTE_BIN": os.path.abspath(BIN), "FOOTNOTE_RUN": self.folder,
                    "PORT": str(self.port), "EMBEDDING_PROVIDER": "builtin", "CHAT_PROVIDER": "builtin", "UNRELATED": "of-the-shell",
                    **SECRETS}

    def __call__(self, *args, **kw):
        r = subprocess.run([os.path.join(TOP, "deploy/run.sh"), *args], env=self.env, text=True, capture_output=True, timeout=self.limit, **kw)
        assert r.returncode == 0, r.stdout + r.stderr
        return r.stdout

    def pid(self, service):
        with open(os.path.join(self.folder, "pid", service)) as f:
            return int(f.read())

    def environment(self, service):
        with open(f"/proc/{self.pid(service)}/environ", "rb") as f:
            return dict(v.split("=", 1) for v in f.read().decode().split("\0") if v)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    r = Run(tmp_path_factory.mktemp("run"))
    try:
        r.said = r("up")
        yield r
    finally:
        r("stop", stdin=subprocess.DEVNULL)


def test_it_ends_with_a_cited_answer_and_the_address(run):
    assert re.search(r"^Q: .*\n.*\[1\]", run.said, re.M) and "bytes " in run.said and f":{run.port}" in run.said


def test_each_service_is_given_its_own_options_and_no_others(run):
    for s in SERVICES:
        own = subprocess.run([os.path.join(BIN, "footnote-" + s), "--help"], capture_output=True, text=True).stdout
        own = set(re.findall(r"[A-Z][A-Z0-9_]+", " ".join(re.findall(r"\[([A-Z][^\]]*)\]$", own, re.M))))
        env = run.environment(s)
        strange = {n for n in env if n not in own and n.removesuffix("_FILE") not in own} - {"PATH", "HOME"}
        strange -= {"GLIBC_TUNABLES"} if s == "gateway" else set()  # its own, for malloc
        assert not strange, (s, strange)
        for name, value in SECRETS.items():
            assert (value in env.values()) == (s in KNOWS[name]), (s, name)
        assert ("DATABASE_URL" in env) == (s == "store")
        assert "DATABASE_OWNER_URL" not in env


def test_the_store_is_no_superuser(run):
    out = run("psql", input="SELECT DISTINCT usename, usesuper FROM pg_stat_activity JOIN pg_user USING (usename)"
                            " WHERE application_name = 'footnote-store'")
    assert re.search(r"footnote_app \| f\b", out) and "(1 row)" in out, out


def test_status_restart_ingest_redis_cli_and_logs_work(run, tmp_path):
    for s in SERVICES:
        before = run.pid(s)
        assert run("restart", s) and run.pid(s) != before
    assert all(f"{s}: ready" in run("status") for s in SERVICES)
    (tmp_path / "zebra.md").write_text("# Zebra\n\nThe zebra of platform nine eats violet hay at noon.\n")
    run("ingest", str(tmp_path))
    assert run("redis-cli", input="PING").strip() == "PONG"
    assert "ready to work" in run("logs", "store")


@pytest.fixture
def taken():
    """Port 8080 of this machine belongs to somebody, if not to a Footnote, then to this test."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", 8080))
            s.listen()
        except OSError:
            pass
        yield


def test_a_second_clone_takes_free_ports_says_which_and_leaves_the_first_alone(run, taken, tmp_path):
    before = {s: run.pid(s) for s in SERVICES}
    second = Run(tmp_path / "second")
    del second.env["PORT"]
    second.env["SAMPLE_DOCUMENTS"] = "off"
    try:
        said = second("up")
        chosen = re.search(r"Port 8080 of 127\.0\.0\.1 is in use by another program: this Footnote takes (\d+)\.", said)
        assert chosen and f"answers at http://127.0.0.1:{chosen[1]}" in said, said
        pids = {s: second.pid(s) for s in SERVICES}
        assert f":{chosen[1]}" in second("status") and f":{chosen[1]}" in second("up")   # the same one again, and nothing is restarted
        assert {s: second.pid(s) for s in SERVICES} == pids
        assert all(f"{s}: ready" in run("status") for s in SERVICES)
    finally:
        second("stop", stdin=subprocess.DEVNULL)
    assert {s: run.pid(s) for s in SERVICES} == before and all(f"{s}: ready" in run("status") for s in SERVICES)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(run, tmp_path):
    other = Run(tmp_path / "other", run.port)
    r = subprocess.run([os.path.join(TOP, "deploy/run.sh"), "up"], env=other.env, text=True, capture_output=True, timeout=100)
    subprocess.run([os.path.join(TOP, "deploy/run.sh"), "stop"], env=other.env, capture_output=True, timeout=100)
    assert r.returncode == 1 and f"port {run.port} of 127.0.0.1 is in use" in r.stderr, r.stdout + r.stderr


def test_a_pid_file_that_outlived_its_process_ends_nobody_else(run, tmp_path):
    """After a reboot the number may be another program's."""
    other = Run(tmp_path / "stale")
    os.makedirs(os.path.join(other.folder, "pid"))
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        with open(os.path.join(other.folder, "pid", "gateway"), "w") as f:
            f.write(str(stranger.pid))
        other("stop", stdin=subprocess.DEVNULL)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
