"""Options as people get them wrong (case O2 and its neighbours): `--check-config` names each with a reason, all at once, before anything
starts, and a start says the same. Addresses with TLS work, or are refused with what they lack."""
import os
import subprocess

import pytest

from suite import BIN

KEY = "ab" * 32
PG = {"DATABASE_URL": "postgresql://u:p@h/d"}
NEEDED = {"store": PG, "gateway": {"AUTH": "off"}}


def check(service, env, *args):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **NEEDED.get(service, {}), **env}
    return subprocess.run([os.path.join(BIN, "footnote-" + service), *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def said(r):
    return [line.split(":")[0] for line in r.stderr.splitlines()]


def write(folder, name, content):
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.mark.parametrize("service", ["gateway", "embedder", "store"])
@pytest.mark.parametrize("url", ["rediss://h", "rediss://u:p@h:6380/1", "redis://h", "unix:///run/redis.sock"])
def test_O2_addresses_of_redis_with_and_without_tls_are_taken(service, url):
    r = check(service, {"REDIS_URL": url}, "--check-config")
    assert r.returncode == 0 and r.stderr == "", r.stderr


@pytest.mark.parametrize("service, env", [
    ("janitor", {"TZ": "Nowhere/City"}), ("janitor", {"TZ": "Europe"}), ("janitor", {"TZ": "../../etc/passwd"}), ("janitor", {"TZ": "europe/berlin "}),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 30 2 *"}), ("janitor", {"CLEANUP_SCHEDULE": "0 0 31 6,9 *"}), ("janitor", {"CLEANUP_SCHEDULE": "*/0 * * * *"}),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 * * 8"}), ("janitor", {"CLEANUP_SCHEDULE": "30-10 * * * *"}), ("janitor", {"CLEANUP_SCHEDULE": "0 2 * * * *"}),
    ("gateway", {"REDIS_URL": "rediss:/h"}), ("gateway", {"REDIS_URL": "rediss://h:6379/99999"}), ("store", {"REDIS_URL": "unix://run/redis.sock"}),
    ("gateway", {"HUB_BIND": "tcp://127.0.0.1:8080"}), ("gateway", {"HUB_BIND": "tcp://*:9101"}), ("gateway", {"METRICS_PORT": "8080"}),
    ("gateway", {"AUTH": "on", "ADMIN_KEY": "two words make no header"}), ("gateway", {"AUTH": "on", "ADMIN_KEY": "short"}),
    ("gateway", {"AUTH": "maybe"}), ("gateway", {"DEPLOYMENT_SECRET_FILE": "/nowhere"}), ("gateway", {"PORT": "70000"}), ("gateway", {"PORT": "80 80"}),
    ("retriever", {"CHUNK_OVERLAP": "9999"}), ("retriever", {"INDEX_MAX_BYTES": "2G"}), ("embedder", {"UPSTREAM_IDLE_TIMEOUT": "600"}),
    ("embedder", {"OPENAI_API_KEY": "sk with blanks"}), ("embedder", {"CHAT_FALLBACK": "model"}), ("store", {"DATABASE_URL": "postgresql://h/d?sslkey=/nowhere"}),
    ("store", {"DATABASE_MAX_OVERFLOW": "-1"}),
], ids=lambda v: v if isinstance(v, str) else " ".join(f"{k}={x}" for k, x in v.items()))
def test_O2_what_cannot_work_is_named_with_a_reason(service, env):
    name = [k for k in env if k != "AUTH"][-1] if len(env) > 1 else next(iter(env))
    r = check(service, env, "--check-config")
    assert r.returncode == 1 and said(r) == [name], r.stderr
    reason = r.stderr.split(":", 1)[1].strip()
    assert len(reason.split()) >= 4 and "p@h" not in r.stderr, r.stderr
    start = check(service, env)
    assert start.returncode == 2 and r.stderr.strip() in start.stderr


@pytest.mark.parametrize("content, right", [(b"You are a librarian. Cite with [n].\n", True), ("Ünïcode\n".encode(), True), (b"", False), (b"\xff\xfe\x00x", False),
                                            (b"x" * 70000, False)], ids=["text", "unicode", "empty", "binary", "large"])
def test_O2_a_prompt_file_is_read_when_it_is_checked(tmp_path, content, right):
    r = check("embedder", {"PROMPT_FILE": write(tmp_path, "prompt.txt", content)}, "--check-config")
    assert (r.returncode == 0) == right and said(r) == ([] if right else ["PROMPT_FILE"]), r.stderr


@pytest.mark.parametrize("content, right", [(f"{KEY} embed,chat # the embedders\n\n".encode(), True), (b"not a key\n", False), (f"{KEY} embd\n".encode(), False),
                                            (b"# nobody\n", False), (b"", False)], ids=["keys", "words", "service", "nobody", "empty"])
def test_O2_the_list_of_workers_is_read_when_it_is_checked(tmp_path, content, right):
    env = {"BUS_CURVE": "on", "HUB_SECRET_KEY": KEY, "HUB_ALLOW_FILE": write(tmp_path, "workers", content)}
    r = check("gateway", env, "--check-config")
    assert (r.returncode == 0) == right and said(r) == ([] if right else ["HUB_ALLOW_FILE"]), r.stderr


@pytest.mark.parametrize("files", [{"REDIS_CA_FILE": b"no certificate"}, {"REDIS_CERT_FILE": b"x", "REDIS_KEY_FILE": b"y"}], ids=["authority", "own"])
def test_O2_files_of_tls_are_read_when_they_are_checked(tmp_path, files):
    env = {"REDIS_URL": "rediss://h", **{k: write(tmp_path, k, v) for k, v in files.items()}}
    for service in ("gateway", "embedder", "store"):
        r = check(service, env, "--check-config")
        assert r.returncode == 1 and set(said(r)) <= set(files) and said(r), r.stderr


def test_O2_everything_is_said_at_once_and_in_order_of_nothing_else():
    env = {"TZ": "Nowhere/City", "CLEANUP_SCHEDULE": "0 2 30 2 *", "CLEANUP_BATCH": "none", "LOG_LEVEL": "loud", "METRICS_PORT": "99999", "HUB_ENDPOINTS": "tcp://h"}
    assert sorted(said(check("janitor", env, "--check-config"))) == sorted(env)
    env = {"PORT": "0", "REDIS_URL": "mysql://h", "PUBLIC_URL": "docs", "TRUSTED_PROXIES": "10.0.0.0/99", "MODEL_PRICES": "m", "HOST": "here", "BUS_CURVE": "on"}
    r = check("gateway", env, "--check-config")
    assert set(env) - {"BUS_CURVE"} | {"HUB_SECRET_KEY", "HUB_ALLOW_FILE"} <= set(said(r)), r.stderr
