"""INDEX_ENGINE=pgvector: its tests in short, where a Postgres with pgvector is installed; and what is said where none is."""
import os
import subprocess

import pytest

from pg import BIN as PG_BIN
from suite import TOP, Suite, wait_for

ENGINE = {"INDEX_ENGINE": "pgvector"}
SHARE = subprocess.run([os.path.join(PG_BIN, "pg_config"), "--sharedir"], stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.mark.limit(300)
def test_the_suite_works_on_an_index_in_postgres():
    found = subprocess.run([os.path.join(TOP, "tests/pgvector/fetch.sh"), "--installed"], stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        pytest.skip("no Postgres with pgvector (Debian 12 has none): make test-pgvector fetches one of 25 MB")
    r = subprocess.run([os.path.join(TOP, "tests/kit/run_py.sh"), "tests/pgvector", "--", "-k", "not engine_same"],
                       env={**os.environ, "PG_BIN": found.stdout.strip(), "FOOTNOTE_SHARDS": "1", "ENGINE_PASSAGES": "500"}, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    assert r.returncode == 0, r.stdout


@pytest.mark.skipif(os.path.exists(os.path.join(SHARE, "extension", "vector.control")), reason="this Postgres has pgvector")
def test_without_the_extension_the_suite_says_what_to_do_and_lives():
    with Suite(service_env={"retriever": ENGINE, "store": ENGINE}, start=("gateway", "store", "embedder", "retriever")) as s:
        store, retriever = s.services["store"], s.services["retriever"]
        wait_for("the store is ready", store.ready, 20)
        wait_for("the retriever listens", lambda: retriever.running() and retriever.log_lines() and [
            line for line in retriever.log_lines() if "create extension vector" in str(line)], 20)
        assert "create extension vector" in retriever.admin("/readyz").text and retriever.admin("/healthz").status_code == 200
        assert [line for line in store.log_lines() if "the database has no pgvector" in str(line)]
        assert s.request("GET", "/api/v1/documents").status_code == 200
        r = s.request("POST", "/api/v1/search", json={"query": "anything"})
        assert r.status_code == 503, r.text
        assert s.postgres.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'index\\_%%'") == 0
        assert store.running() and retriever.running()
