"""`--check-config` says what a start would: every option that cannot work, all at once, each by its name; and a start says the same."""
import os
import subprocess

import pytest

from busfake import BIN

KEY = "ab" * 32
PG = {"DATABASE_URL": "postgresql://u:p@h/d"}
LOCAL = {"AUTH": "off"}

# service, what is set, the options that are named; nothing: it is right
CASES = [
    ("janitor", {"TZ": "Nowhere/City"}, ["TZ"]),
    ("janitor", {"TZ": "Europe/Berln"}, ["TZ"]),
    ("janitor", {"TZ": "/etc/hostname"}, ["TZ"]),
    ("janitor", {"TZ": "CET"[:2]}, ["TZ"]),
    ("janitor", {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}, []),
    ("janitor", {"TZ": "<+0330>-3:30"}, []),
    ("janitor", {"TZ": "UTC"}, []),
    ("janitor", {"TZ": ""}, []),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 30 2 *"}, ["CLEANUP_SCHEDULE"]),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 31 4,6,9,11 *"}, ["CLEANUP_SCHEDULE"]),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 29 2 *"}, []),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 30 2 mon"}, []),          # either day may match
    ("janitor", {"CLEANUP_SCHEDULE": "0 24 * * *"}, ["CLEANUP_SCHEDULE"]),
    ("janitor", {"CLEANUP_SCHEDULE": "0 2 * *", "TZ": "Mars/Base", "CLEANUP_BATCH": "0", "LOG_LEVEL": "loud", "HUB_ENDPOINTS": "gateway:5555"},
     ["CLEANUP_SCHEDULE", "TZ", "CLEANUP_BATCH", "LOG_LEVEL", "HUB_ENDPOINTS"]),
    ("janitor", {"BUS_CURVE": "on"}, ["BUS_SECRET_KEY", "HUB_PUBLIC_KEY"]),
    ("janitor", {"BUS_CURVE": "on", "BUS_SECRET_KEY": KEY, "HUB_PUBLIC_KEY": "x" * 64}, ["HUB_PUBLIC_KEY"]),
    ("janitor", {"BUS_CURVE": "on", "BUS_SECRET_KEY": KEY, "HUB_PUBLIC_KEY": KEY}, []),
    ("janitor", {"HUB_ENDPOINTS": "tcp://a:5555, tcp://b:5555"}, []),
    ("janitor", {"HUB_ENDPOINTS": "tcp://a:5555,tcp://b:0"}, ["HUB_ENDPOINTS"]),
    ("janitor", {"HUB_ENDPOINTS": "tcp://a:99999"}, ["HUB_ENDPOINTS"]),
    ("janitor", {"HUB_ENDPOINTS": "tcp://:5555"}, ["HUB_ENDPOINTS"]),
    ("janitor", {"HUB_ENDPOINTS": " , "}, ["HUB_ENDPOINTS"]),
    ("janitor", {"METRICS_HOST": "http://0.0.0.0"}, ["METRICS_HOST"]),
    ("janitor", {"METRICS_HOST": "::1"}, []),
    ("retriever", {"VECTOR_WEIGHT": "-0.5"}, ["VECTOR_WEIGHT"]),
    ("retriever", {"INDEX_ENGINE": "memry"}, ["INDEX_ENGINE"]),
    ("retriever", {"INDEX_ENGINE": "memory"}, []),
    ("retriever", {"INDEX_ENGINE": "memory", "INDEX_FALLBACK": "words"}, ["INDEX_FALLBACK"]),
    ("retriever", {"CHUNK_BYTES": "100", "INGEST_JOBS": "many", "LOG_FORMAT": "xml"}, ["CHUNK_BYTES", "INGEST_JOBS", "LOG_FORMAT"]),
    ("retriever", {"HUB_ENDPOINTS": "ipc:///tmp/x"}, ["HUB_ENDPOINTS"]),
    ("embedder", {"OPENAI_BASE_URL": "localhost:8000/v1"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "http://"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "http://:8000/v1"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "http://h:80000/v1"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "http://h:port/v1"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "https://a b/v1"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "https://me:secret@h/v1"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_EMBEDDING_BASE_URL": "ftp://h"}, ["OPENAI_EMBEDDING_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "https://n.openai.azure.com/openai/deployments/d"}, ["OPENAI_BASE_URL"]),
    ("embedder", {"OPENAI_BASE_URL": "https://n.openai.azure.com/openai/deployments/d?api-version=2024-06-01"}, []),
    ("embedder", {"OPENAI_BASE_URL": "https://n.openai.azure.com"}, []),
    ("embedder", {"OPENAI_BASE_URL": "http://[::1]:8000/v1", "OPENAI_EMBEDDING_BASE_URL": "https://x.example.com/openai?api-version=1"}, []),
    ("embedder", {"PROMPT_FILE": "/nowhere/prompt.txt"}, ["PROMPT_FILE"]),
    ("embedder", {"PROMPT_FILE": "/etc"}, ["PROMPT_FILE"]),
    ("embedder", {"REDIS_URL": "http://h"}, ["REDIS_URL"]),
    ("embedder", {"REDIS_URL": "rediss://h", "REDIS_CA_FILE": "/nowhere/ca.crt"}, ["REDIS_CA_FILE"]),
    ("embedder", {"REDIS_URL": "rediss://h", "REDIS_CERT_FILE": "/etc/hostname"}, ["REDIS_KEY_FILE"]),
    ("embedder", {"CHAT_PROVIDER": "openai"}, ["OPENAI_API_KEY"]),
    ("embedder", {"EMBEDDING_PROVIDER": "opnai", "CHAT_PROVIDER": "off"}, ["EMBEDDING_PROVIDER", "CHAT_PROVIDER"]),
    ("embedder", {"CHAT_FALLBACK": "openai"}, ["CHAT_FALLBACK"]),
    ("embedder", {"MODEL_PRICES": "m=cheap"}, ["MODEL_PRICES"]),
    ("gateway", {**LOCAL, "REDIS_STATE_URL": "redis://h:0"}, ["REDIS_STATE_URL"]),
    ("gateway", {**LOCAL, "TRUSTED_PROXIES": "10.0.0.0/33"}, ["TRUSTED_PROXIES"]),
    ("gateway", {**LOCAL, "TRUSTED_PROXIES": "10.0.0/8"}, ["TRUSTED_PROXIES"]),
    ("gateway", {**LOCAL, "ALLOWED_ORIGINS": "https://a.example/path"}, ["ALLOWED_ORIGINS"]),
    ("gateway", {**LOCAL, "PUBLIC_URL": "docs.example.org"}, ["PUBLIC_URL"]),
    ("gateway", {**LOCAL, "HOST": "localhost"}, ["HOST"]),
    ("gateway", {"AUTH": "off", "HOST": "0.0.0.0"}, ["AUTH"]),
    ("gateway", {**LOCAL, "PORT": "8080", "METRICS_PORT": "8080"}, ["METRICS_PORT"]),
    ("gateway", {**LOCAL, "HUB_BIND": "5555"}, ["HUB_BIND"]),
    ("gateway", {**LOCAL, "HUB_BIND": "tcp://*:5555"}, []),
    ("gateway", {**LOCAL, "BUS_CURVE": "on"}, ["HUB_SECRET_KEY", "HUB_ALLOW_FILE"]),
    ("gateway", {**LOCAL, "BUS_CURVE": "on", "HUB_SECRET_KEY": KEY, "HUB_ALLOW_FILE": "/nowhere/list"}, ["HUB_ALLOW_FILE"]),
    ("gateway", {**LOCAL, "ADMIN_KEY_FILE": "/nowhere/key", "RATE_LIMIT_REQUESTS": "-1", "REDIS_URL": "x"},
     ["ADMIN_KEY_FILE", "RATE_LIMIT_REQUESTS", "REDIS_URL"]),
    ("store", {}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h/d", "INDEX_FALLBACK": "wrods"}, ["INDEX_FALLBACK"]),
    ("store", {"DATABASE_URL": "postgresql://h/d", "INDEX_FALLBACK": "words"}, []),
    ("store", {"DATABASE_URL": "mysql://h/d"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h:99999/d"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h:x/d"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://a:1,b:2,c/d"}, []),
    ("store", {"DATABASE_URL": "postgresql://h/d?sslmode=always"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h/d?sslmode=verify-full"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h/d?sslmode=verify-full&sslrootcert=/nowhere/ca"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h/d?sslmode=verify-full&sslrootcert=/etc/hostname"}, []),
    ("store", {"DATABASE_URL": "postgresql://h/d?target_session_attrs=fast"}, ["DATABASE_URL"]),
    ("store", {"DATABASE_URL": "postgresql://h/d?connect_timeout=soon"}, ["DATABASE_URL"]),
    ("store", {**PG, "DATABASE_OWNER_URL": "x://y"}, ["DATABASE_OWNER_URL"]),
    ("store", {**PG, "DATABASE_SCHEMA": "a-b", "DATABASE_POOL_SIZE": "0", "REDIS_URL": "rediss://"},
     ["DATABASE_SCHEMA", "DATABASE_POOL_SIZE", "REDIS_URL"]),
    ("store", {**PG, "REDIS_STATE_URL": "redis://h:6379/x"}, ["REDIS_STATE_URL"]),
]


@pytest.mark.parametrize("service,env,named", CASES, ids=[f"{s}-{' '.join(f'{k}={v}' for k, v in e.items())[:60]}" for s, e, _ in CASES])
def test_every_option_that_cannot_work_is_named_at_once_and_a_start_says_the_same(service, env, named):
    program = os.path.join(BIN, "footnote-" + service)
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}
    run = lambda *args: subprocess.run([program, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    r = run("--check-config")
    said = [line.split(":")[0] for line in r.stderr.splitlines()]
    assert r.returncode == (1 if named else 0), r.stderr
    missing = [n for n in named if not any(n in s for s in said)]
    assert not missing and (named or not said), r.stderr
    assert all(any(n in s for n in named) for s in said), r.stderr
    assert "secret@" not in r.stderr
    if named:
        start = run()
        assert start.returncode == 2 and all(line in start.stderr for line in r.stderr.splitlines())
