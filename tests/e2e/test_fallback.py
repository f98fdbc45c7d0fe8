"""INDEX_FALLBACK=words: a search cluster that is down, silent or red costs bounded time; questions are answered by words, in the database,
and say so, until it is back."""
import os
import time

import pytest

from cluster_fake import FakeCluster
from suite import BIN, Suite, wait_for

SEA = "# Lights\n\nThe lighthouse of Skerry stands on a rock, and its lamp turns twice a minute.\n"
LAND = "# Mills\n\nThe windmill of Aldow grinds barley; its sails are mended each spring.\n"
OFF = {"INDEX_ENGINE": "opensearch", "OPENSEARCH_REPLICAS": "0", "OPENSEARCH_TIMEOUT": "2000"}
WORDS = {**OFF, "INDEX_FALLBACK": "words"}


@pytest.fixture
def cluster():
    with FakeCluster() as c:
        yield c


class Migrated(Suite):
    """Its owner makes the tables first, as in compose."""

    def start_neighbours(self):
        super().start_neighbours()
        self.postgres.migrate(os.path.join(BIN, "footnote-store"), INDEX_ENGINE="opensearch", INDEX_FALLBACK="words")


def suite_of(cluster, options=WORDS, **more):
    env = {**options, "OPENSEARCH_URL": cluster.url}
    return (Migrated if options is WORDS else Suite)(service_env={"retriever": env, "store": env}, **more)


def find(s, query, key=None, **fields):
    r = s.request("POST", "/api/v1/search", key=key, json={"query": query, **fields})
    assert r.status_code == 200, r.text
    return [x["document"]["title"] if "document" in x else x["title"] for x in r.json()["results"]], r.json()["degraded"]


def fallbacks(s):
    return s.metrics("retriever").value("footnote_retriever_search_fallbacks_total")


def health(s):
    return s.request("GET", "/api/v1/health").json()


def words_ready(s):
    wait_for("nothing waits", lambda: s.metrics("retriever").value("footnote_retriever_search_fallback_pending") == 0, 20, 0.05)
    wait_for("every change is among the words", lambda: s.postgres.value("SELECT i.seq = f.seq FROM index_layout i, feed_head f"), 20, 0.05)


def said(s, part):
    return [line for line in s.services["retriever"].log_lines() if part in line.get("msg", "")]


def back(s, query):
    return wait_for("it is used again", lambda: (lambda found: found if not found[1] else None)(find(s, query)), 20, 0.05)


@pytest.mark.limit(180)
def test_a_cluster_that_is_down_is_stood_in_for_by_words_until_it_is_back(cluster):
    with suite_of(cluster) as s:
        s.ingest(SEA, id="sea", title="Sea", metadata={"year": 2020})
        s.ingest(LAND, id="land", title="Land", metadata={"year": 2024})
        assert find(s, "where does the lighthouse stand?") == (find(s, "where does the lighthouse stand?")[0], False)
        assert fallbacks(s) == 0 and "search" not in health(s)
        words_ready(s)
        cluster.down()
        for _ in range(5):
            titles, degraded = find(s, "where does the lighthouse of Skerry stand?")
            assert titles[0] == "Sea" and degraded
        # filters hold before anything is ranked
        assert find(s, "windmill lighthouse", filter={"year": {"gte": 2021}}) == (["Land"], True)
        assert find(s, "windmill lighthouse", filter={"year": 1999}) == ([], True)
        answer = s.ask("Where does the lighthouse of Skerry stand?").json()
        assert answer["grounded"] and "rock" in answer["answer"] and answer["usage"]["degraded"], answer
        # what the words do not know at all, the cluster might: no refusal
        r = s.ask("Which zebras zigzag through Zanzibar?")
        assert r.status_code == 503 and r.json()["code"] == "service_unavailable", r.text
        assert fallbacks(s) >= 8
        h = health(s)
        assert h["status"] == "degraded" and "words only" in h["search"], h
        r = s.services["retriever"].admin("/readyz")
        assert r.status_code == 200 and "searched by words only" in r.text, r.text
        assert s.metrics("retriever").value("footnote_retriever_search_fallback") == 1
        # a document that goes is not found any more, one that comes is
        assert s.request("DELETE", "/api/v1/documents/land").status_code == 204
        wait_for("the deleted document is not found", lambda: find(s, "windmill of Aldow") == ([], True), 10)
        s.ingest("# Lights\n\nThe beacon of Holm was lit in spring.\n", id="holm", title="Holm")
        assert find(s, "beacon of Holm lit") == (["Holm"], True)
        cluster.up()
        assert back(s, "lighthouse of Skerry")[0][0] == "Sea"
        wait_for("what waited is written", lambda: find(s, "beacon of Holm lit")[0][:1] == ["Holm"], 20, 0.05)
        assert "Land" not in find(s, "windmill of Aldow")[0]
        # asked again: nothing degraded was kept
        answer = s.ask("Where does the lighthouse of Skerry stand?").json()
        assert answer["grounded"] and not answer["usage"]["degraded"], answer
        wait_for("health is well again", lambda: "search" not in health(s), 5)
        assert s.metrics("retriever").value("footnote_retriever_search_fallback") == 0
        # said once each, not for each question
        assert len(said(s, "the search engine is away")) == 1 and len(said(s, "the search engine is back")) == 1


@pytest.mark.limit(180)
def test_a_session_that_asks_again_gets_the_engines_answer(cluster):
    """The query cache of the very session: an answer by words is not in it."""
    with suite_of(cluster) as s:
        s.ingest(SEA, id="sea", title="Sea")
        words_ready(s)
        cluster.down()
        first = s.ask("Where does the lighthouse of Skerry stand?", session="6f0c7b3e-6f4e-4d0e-8f6e-0d1f5a1c9a10")
        assert first.json()["usage"]["degraded"] and first.headers.get("X-Cache") != "hit"
        again = s.ask("Where does the lighthouse of Skerry stand?", session="6f0c7b3e-6f4e-4d0e-8f6e-0d1f5a1c9a10")
        assert again.headers.get("X-Cache") != "hit" and again.json()["usage"]["degraded"]
        cluster.up()
        back(s, "lighthouse of Skerry")
        third = s.ask("Where does the lighthouse of Skerry stand?", session="6f0c7b3e-6f4e-4d0e-8f6e-0d1f5a1c9a10")
        assert third.headers.get("X-Cache") != "hit" and not third.json()["usage"]["degraded"]
        fourth = s.ask("Where does the lighthouse of Skerry stand?", session="6f0c7b3e-6f4e-4d0e-8f6e-0d1f5a1c9a10")
        assert fourth.headers.get("X-Cache") == "hit"


@pytest.mark.limit(180)
@pytest.mark.parametrize("how", ["silent", "red"])
def test_a_cluster_that_answers_nothing_or_without_its_shards_costs_bounded_time(cluster, how):
    with suite_of(cluster) as s:
        s.ingest(SEA, id="sea", title="Sea")
        assert find(s, "lighthouse of Skerry") == (["Sea"], False)
        words_ready(s)
        if how == "silent":
            cluster.silent()
        else:
            cluster.mode = "red"
        for _ in range(4):
            assert find(s, "lighthouse of Skerry") == (["Sea"], True)  # within the attempt of the hub: no 504
        assert len(said(s, "the search engine is away")) == 1
        # now at once: no question waits for the cluster
        before, asked = cluster.searches, fallbacks(s)
        began = time.monotonic()
        for _ in range(20):
            assert find(s, "lighthouse of Skerry") == (["Sea"], True)
        looks = 2 + int(time.monotonic() - began)
        assert fallbacks(s) == asked + 20 and cluster.searches <= before + looks
        cluster.well()
        assert back(s, "lighthouse of Skerry") == (["Sea"], False)
        assert len(said(s, "the search engine is back")) == 1


@pytest.mark.limit(180)
def test_a_retriever_that_starts_without_its_cluster_is_ready_by_words(cluster):
    with suite_of(cluster) as s:
        s.ingest(SEA, id="sea", title="Sea")
        words_ready(s)
        s.stop_service("retriever")
        cluster.down()
        r = s.start("retriever")
        wait_for("the retriever is ready", r.ready, 20)
        s.wait_ready()
        assert find(s, "lighthouse of Skerry") == (["Sea"], True)
        s.ingest(LAND, id="land", title="Land")
        assert find(s, "windmill of Aldow") == (["Land"], True)
        cluster.up()
        assert back(s, "lighthouse of Skerry")[0][0] == "Sea"
        wait_for("what came meanwhile is there, too", lambda: find(s, "windmill of Aldow")[0][:1] == ["Land"], 20, 0.05)


@pytest.mark.limit(180)
def test_two_retrievers_keep_one_index_of_words_and_the_death_of_one_is_not_noticed(cluster):
    with suite_of(cluster) as s:
        s.ingest(SEA, id="sea", title="Sea")
        other = s.add_replica("retriever")
        words_ready(s)
        cluster.down()
        for i in range(6):
            s.ingest(f"# Twin\n\nThe twin lighthouse has version v{i}w.\n", id="twin", title="Twin")
        assert s.postgres.value("SELECT count(*) FROM index_passages WHERE shown LIKE '%%twin lighthouse%%'") == 1
        s.kill(other.name)
        for _ in range(30):
            titles, degraded = find(s, "twin lighthouse version v5w")
            assert titles[0] == "Twin" and degraded
        assert [x["text"] for x in s.request("POST", "/api/v1/search", json={"query": "twin lighthouse version"}).json()["results"] if "v5w" in x["text"]]


@pytest.mark.limit(180)
def test_words_cross_no_wall_between_tenants_and_collections(cluster):
    with suite_of(cluster, auth="on") as s:
        one, two = (s.make_key(["chat", "ingest"], tenant=t)["key"] for t in ("one", "two"))
        s.ingest(SEA, id="sea", title="Of one", key=one)
        s.ingest(SEA, id="sea", title="Of two", key=two)
        s.ingest(SEA, id="other", title="Elsewhere", key=two, collection="attic")
        words_ready(s)
        cluster.down()
        assert find(s, "lighthouse of Skerry", key=one) == (["Of one"], True)
        assert find(s, "lighthouse of Skerry", key=two) == (["Of two"], True)
        assert find(s, "lighthouse of Skerry", key=two, collection="attic") == (["Elsewhere"], True)


@pytest.mark.limit(120)
def test_without_the_option_questions_get_503_and_the_database_has_no_tables_of_words(cluster):
    with suite_of(cluster, OFF) as s:
        s.ingest(SEA, id="sea", title="Sea")
        assert s.postgres.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'index\\_%%'") == 0
        cluster.down()
        r = s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
        assert r.status_code == 503 and r.json()["code"] == "service_unavailable", r.text
        assert s.ask("Where does the lighthouse of Skerry stand?").status_code == 503
        wait_for("the retriever says so", lambda: "search cluster down" in s.services["retriever"].admin("/readyz").text, 20)
        assert s.services["retriever"].admin("/readyz").status_code == 503


@pytest.mark.limit(120)
def test_a_retriever_that_is_stopped_while_its_first_load_is_on_its_way_ends_well(cluster):
    """What is freed then must offer searches to nobody."""
    with Suite() as s:
        s.ingest(SEA, id="sea", title="Sea")
        s.stop_service("retriever")
        cluster.mode = "full"
        r = s.start("retriever", env={**OFF, "OPENSEARCH_URL": cluster.url})
        wait_for("a change waits", lambda: r.running() and r.log_lines() and "took no changes" in str(r.log_lines()), 20, 0.05)
        assert s.stop_service("retriever") == 0


@pytest.mark.limit(120)
def test_a_store_without_the_option_is_told_of(cluster):
    env = {**WORDS, "OPENSEARCH_URL": cluster.url}
    with Suite(service_env={"retriever": env}) as s:
        r = s.services["retriever"]
        wait_for("what is missing", lambda: "INDEX_FALLBACK=words is missing there" in r.admin("/readyz").text, 20)
        assert r.ready()  # the cluster is there
        s.ingest(SEA, id="sea", title="Sea")
        assert find(s, "lighthouse of Skerry") == (["Sea"], False)
