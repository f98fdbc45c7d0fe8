"""INDEX_ENGINE=opensearch: the whole suite over a real node of OpenSearch with k-NN."""
import os
import subprocess
import time

import pytest

from opensearch_kit import Cluster
from suite import BIN, TOP, Suite, wait_for

SEA = "# Lights\n\nThe lighthouse of Skerry stands on a rock, and its lamp turns twice a minute.\n"
LAND = "# Mills\n\nThe windmill of Aldow grinds barley; its sails are mended each spring.\n"


def warm(c):
    """Its first calls take seconds, in which classes are loaded: no test should wait for that."""
    c.put("/warm", {"settings": {"index.knn": True, "number_of_replicas": 0}, "mappings": {"properties": {"v": {
        "type": "knn_vector", "dimension": 2, "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}}}}})
    c.put("/warm/_doc/1?refresh=true", {"v": [1, 0], "w": "a word"})
    c.post("/warm/_search", {"query": {"knn": {"v": {"vector": [1, 0], "k": 1, "filter": {"match": {"w": "word"}}}}}})
    c.delete("/warm")


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as c:
        warm(c)
        yield c


def suite_of(cluster, index, **env):
    return Suite(service_env={"retriever": {"INDEX_ENGINE": "opensearch", "OPENSEARCH_URL": cluster.url, "OPENSEARCH_INDEX": index,
                                            "OPENSEARCH_REPLICAS": "0", "OPENSEARCH_TIMEOUT": "20000", **env}})


def titles(s, query, **fields):
    return [r["document"]["title"] if "document" in r else r["title"] for r in s.search(query, **fields)]


@pytest.mark.limit(300)
@pytest.mark.parametrize("program", ["engine_test", "engine_same_test"])
def test_the_promises_of_every_engine_hold(cluster, program):
    """The same programs as for the engine memory: the seam's promises, and the first ten of 500 questions."""
    r = subprocess.run([os.path.join(BIN, "unit/retriever", program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       env={**os.environ, "ENGINE": "opensearch", "OPENSEARCH_URL": cluster.url,
                            "ENGINE_PASSAGES": os.environ.get("ENGINE_PASSAGES", "1000")})
    print(r.stdout)
    assert r.returncode == 0


@pytest.mark.limit(180)
def test_documents_are_found_answered_from_replaced_and_deleted(cluster):
    with suite_of(cluster, "e2e-life") as s:
        s.ingest(SEA, id="sea", title="Sea", metadata={"year": 2020})
        s.ingest(LAND, id="land", title="Land", metadata={"year": 2024})
        assert titles(s, "where does the lighthouse stand?")[0] == "Sea"
        assert titles(s, "windmill lighthouse", filter={"year": {"gte": 2021}}) == ["Land"]
        answer = s.ask("Where does the lighthouse of Skerry stand?").json()
        assert answer["grounded"] and "rock" in answer["answer"]
        s.ingest("# Lights\n\nThe beacon of Skerry was moved to the harbour.\n", id="sea", title="Sea")
        assert "harbour" in s.search("beacon of Skerry")[0]["text"]
        assert not [r for r in s.search("lighthouse of Skerry lamp") if "lamp" in r["text"]]
        assert s.request("DELETE", "/api/v1/documents/land").status_code == 204
        began = time.monotonic()
        wait_for("the deleted document is not found", lambda: "Land" not in titles(s, "windmill of Aldow"), 10)
        print(f"unfindable after {time.monotonic() - began:.3f} s")


@pytest.mark.limit(180)
def test_a_retriever_begins_where_the_index_is_and_stays_small(cluster):
    with suite_of(cluster, "e2e-restart") as s:
        for i in range(40):
            s.ingest(f"# Page {i}\n\n" + f"Chapter {i} tells of the number {i} and its neighbours. " * 20, id=f"p{i}", title=f"Page {i}",
                     wait=i == 39)
        wait_for("the checkpoint", lambda: cluster.get("/e2e-restart-v1/_doc/checkpoint").get("_source", {}).get("seq", 0) >= 40, 20, 0.1)
        s.stop_service("retriever")
        began = time.monotonic()
        r = s.start("retriever")
        wait_for("the retriever is ready", r.ready, 10, 0.005)
        took = time.monotonic() - began
        print(f"ready after {took:.3f} s")
        assert took < 0.2 or os.getloadavg()[0] > 2 * os.cpu_count()
        assert titles(s, "what does chapter 7 tell of?")
        with open(f"/proc/{r.pid}/status") as f:
            rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        print(f"resident: {rss / 1024:.1f} MB")
        assert rss < 30 * 1024
        wait_for("the documents are counted", lambda: r.metrics().value("footnote_retriever_index_documents") == 40, 10, 0.1)


@pytest.mark.limit(180)
def test_a_cluster_that_is_away_costs_bounded_time_is_told_and_used_again(cluster):
    with suite_of(cluster, "e2e-away", OPENSEARCH_TIMEOUT="1000") as s:
        s.ingest(SEA, id="sea", title="Sea")
        s.ingest(LAND, id="land", title="Land")
        cluster.nodes[0].pause()

        def moved(name):
            s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
            return s.metrics("retriever").value("footnote_" + name) > 0
        try:
            began = time.monotonic()
            r = s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
            print(f"{r.status_code} after {time.monotonic() - began:.2f} s")
            assert r.status_code in (503, 504) and time.monotonic() - began < 15
            s.request("DELETE", "/api/v1/documents/land")
            for name in ("retriever_cluster_faults_total", "retriever_cluster_changes_waiting", "retriever_cluster_nodes_down"):
                wait_for(name, lambda n=name: moved(n), 30, 0.1)
            r = s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
            assert r.status_code in (503, 504) and r.json()["code"] in ("service_unavailable", "deadline_exceeded"), r.text
            wait_for("health says so", lambda: "search cluster down" in s.services["retriever"].admin("/readyz").text, 30, 0.1)
        finally:
            cluster.nodes[0].resume()
        wait_for("it is used again", lambda: s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
                 .status_code == 200, 30, 0.1)
        wait_for("the delete has arrived", lambda: s.metrics("retriever").value("footnote_retriever_cluster_changes_waiting") == 0, 30, 0.1)
        assert "Land" not in titles(s, "windmill of Aldow") and titles(s, "lighthouse of Skerry") == ["Sea"]


@pytest.mark.limit(240)
def test_a_node_that_hangs_is_stood_in_for_by_words_until_it_is_back(cluster):
    """INDEX_FALLBACK=words: tests/e2e/test_fallback.py over the real thing."""
    env = {"INDEX_ENGINE": "opensearch", "INDEX_FALLBACK": "words", "OPENSEARCH_URL": cluster.url, "OPENSEARCH_INDEX": "e2e-words",
           "OPENSEARCH_REPLICAS": "0", "OPENSEARCH_TIMEOUT": "20000"}

    class Migrated(Suite):
        def start_neighbours(self):
            super().start_neighbours()
            self.postgres.migrate(os.path.join(BIN, "footnote-store"), INDEX_ENGINE="opensearch", INDEX_FALLBACK="words")

    with Migrated(service_env={"retriever": env, "store": env}) as s:
        def found():
            r = s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
            assert r.status_code == 200, r.text
            return r.json()["degraded"], [x["document"]["title"] if "document" in x else x["title"] for x in r.json()["results"]]
        s.ingest(SEA, id="sea", title="Sea")
        s.ingest(LAND, id="land", title="Land")
        wait_for("the cluster answers in time", lambda: found() == (False, ["Sea"]), 60, 0.1)
        wait_for("the words are there", lambda: s.postgres.value("SELECT i.seq = f.seq FROM index_layout i, feed_head f"), 20, 0.05)
        cluster.nodes[0].pause()
        try:
            for _ in range(6):
                began = time.monotonic()
                assert found() == (True, ["Sea"])
                print(f"by words after {time.monotonic() - began:.3f} s")
            assert s.ask("Where does the lighthouse of Skerry stand?").json()["usage"]["degraded"]
            assert s.request("DELETE", "/api/v1/documents/land").status_code == 204
            r = s.services["retriever"].admin("/readyz")
            assert r.status_code == 200 and "searched by words only" in r.text
        finally:
            cluster.nodes[0].resume()
        began = time.monotonic()
        wait_for("it is used again", lambda: found() == (False, ["Sea"]), 60, 0.05)
        print(f"used again after {time.monotonic() - began:.1f} s")
        assert not s.ask("Where does the lighthouse of Skerry stand?").json()["usage"]["degraded"]


@pytest.mark.limit(180)
def test_another_number_of_shards_is_built_beside_and_searched_from_one_moment_on(cluster):
    with suite_of(cluster, "e2e-shards") as s:
        s.ingest(SEA, id="sea", title="Sea")
        wait_for("the checkpoint", lambda: cluster.get("/e2e-shards-v1/_doc/checkpoint").get("_source", {}).get("seq", 0) > 0, 20, 0.1)
        s.stop_service("retriever")
        s.start("retriever", env={"OPENSEARCH_SHARDS": "3"})
        s.wait_ready()
        assert titles(s, "lighthouse of Skerry") == ["Sea"]
        wait_for("the alias is switched", lambda: list(cluster.get("/_alias/e2e-shards-v1")) == ["e2e-shards-v1-000002"], 30, 0.1)
        assert titles(s, "lighthouse of Skerry") == ["Sea"]
        s.ingest(LAND, id="land", title="Land")
        assert titles(s, "windmill of Aldow")[0] == "Land"


def test_wrong_options_are_refused():
    env = {"PATH": os.environ["PATH"], "INDEX_ENGINE": "opensearch", "OPENSEARCH_URL": "ftp://x,http://u@h", "OPENSEARCH_INDEX": "UP"}
    r = subprocess.run([os.path.join(TOP, BIN, "footnote-retriever"), "--check-config"], env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    assert r.returncode != 0 and "OPENSEARCH_URL" in r.stdout and "OPENSEARCH_INDEX" in r.stdout


@pytest.mark.limit(300)
def test_a_node_that_is_killed_takes_no_answer_with_it():
    """Two nodes, each with all: questions go on, and what is found stays whole."""
    with Cluster(nodes=2) as c:
        warm(c)
        with suite_of(c, "e2e-nodes", OPENSEARCH_REPLICAS="1", OPENSEARCH_SHARDS="2", OPENSEARCH_TIMEOUT="5000") as s:
            for i in range(10):
                s.ingest(f"# Page {i}\n\nThe lighthouse number {i} stands on rock {i}.\n", id=f"p{i}", title=f"Page {i}", wait=i == 9)
            wait_for("green", lambda: c.get("/_cluster/health")["status"] == "green", 60, 0.2)
            before = titles(s, "lighthouse number on rock", top_k=10)
            assert len(before) == 10
            c.nodes[1].kill()
            bad, began = [], time.monotonic()
            while time.monotonic() - began < 10:
                r = s.request("POST", "/api/v1/search", json={"query": "lighthouse number on rock", "top_k": 10})
                if r.status_code != 200:
                    bad.append((round(time.monotonic() - began, 2), r.status_code))
                else:
                    assert len(r.json()["results"]) == 10
            print(f"failed after the kill: {bad}")
            assert not bad
