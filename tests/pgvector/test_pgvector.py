"""INDEX_ENGINE=pgvector: the promises of every engine, and the whole suite, over a Postgres that has pgvector (fetch.sh)."""
import os
import subprocess
import time

import pytest
import requests

from cluster_fake import FakeCluster
from model_change_kit import STUB, Asking, Changing, note, question
from pg import BIN as PG_BIN
from suite import BIN, TOP, Suite, wait_for

SEA = "# Lights\n\nThe lighthouse of Skerry stands on a rock, and its lamp turns twice a minute.\n"
LAND = "# Mills\n\nThe windmill of Aldow grinds barley; its sails are mended each spring.\n"
SHARE = subprocess.run([os.path.join(PG_BIN, "pg_config"), "--sharedir"], stdout=subprocess.PIPE, text=True).stdout.strip()

pytestmark = pytest.mark.skipif(not os.path.exists(os.path.join(SHARE, "extension", "vector.control")),
                                reason=f"{PG_BIN} has no pgvector: make test-pgvector fetches one that does")
ENGINE = {"INDEX_ENGINE": "pgvector"}


class Migrated:
    """Its owner makes the tables first, as in compose."""

    def start_neighbours(self):
        super().start_neighbours()
        self.postgres.migrate(os.path.join(BIN, "footnote-store"), **ENGINE)


class PgvectorSuite(Migrated, Suite):
    pass


class ChangingOnPgvector(Migrated, Changing):
    pass


def suite_of(**env):
    return PgvectorSuite(service_env={"retriever": {**ENGINE, **env}, "store": ENGINE})


@pytest.fixture(scope="module")
def suite():
    with suite_of() as s:
        yield s


def unready(r):
    """What /readyz of a service says; "" before it listens."""
    try:
        return r.admin("/readyz").text
    except requests.RequestException:
        return ""


def titles(s, query, **fields):
    return [r["document"]["title"] if "document" in r else r["title"] for r in s.search(query, **fields)]


@pytest.mark.limit(600)
@pytest.mark.parametrize("program, exact", [("engine_test", "10000"), ("engine_same_test", "10000"), ("engine_same_test", "0")])
def test_the_promises_of_every_engine_hold(program, exact):
    """The same programs as for the engine memory: the seam's promises, and the first ten of 500 questions, compared one by one, and by
    the graph alone."""
    with PgvectorSuite(service_env={"store": ENGINE}, start=("gateway", "store")) as s:
        wait_for("the store", s.services["store"].ready, 20)
        r = subprocess.run([os.path.join(BIN, "unit/retriever", program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           env={**os.environ, "ENGINE": "pgvector", "HUB_ENDPOINTS": s.environment("retriever")["HUB_ENDPOINTS"],
                                "PGVECTOR_EXACT": exact, "ENGINE_PASSAGES": os.environ.get("ENGINE_PASSAGES", "1000")})
        print(r.stdout)
        assert r.returncode == 0


@pytest.mark.limit(120)
def test_documents_are_found_answered_from_replaced_and_deleted(suite):
    s = suite
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


@pytest.mark.limit(120)
def test_a_large_document_goes_in_parts_and_all_of_it_is_found(suite):
    s = suite
    text = "".join(f"## Part {i}\n\n" + f"Sentence {i} speaks of the quark number q{i}x and of nothing else. " * 12 + "\n\n" for i in range(3000))
    s.ingest(text, id="large", title="Large")
    for i in (0, 1500, 2999):
        assert f"q{i}x" in s.search(f"quark number q{i}x")[0]["text"]
    there = s.postgres.value("SELECT count(*) FROM index_passages p JOIN documents d ON d.id = p.document_id WHERE d.external_id = 'large'")
    assert there == s.postgres.value("SELECT chunk_count FROM documents WHERE external_id = 'large'") > 2000
    assert s.request("DELETE", "/api/v1/documents/large").status_code == 204
    wait_for("nothing of it is left", lambda: s.postgres.value(
        "SELECT count(*) FROM index_passages p WHERE p.shown LIKE '%quark number%'") == 0, 20)


@pytest.mark.limit(120)
def test_tenants_never_mix_even_where_their_names_and_words_do():
    with PgvectorSuite(auth="on", service_env={"retriever": ENGINE, "store": ENGINE}) as s:
        one, two = (s.make_key(["chat", "ingest"], tenant=t)["key"] for t in ("one", "two"))
        s.ingest(SEA, id="sea", title="Of one", key=one)
        s.ingest(SEA, id="sea", title="Of two", key=two)
        assert titles(s, "lighthouse of Skerry", key=one) == ["Of one"]
        assert titles(s, "lighthouse of Skerry", key=two) == ["Of two"]


@pytest.mark.limit(120)
def test_a_retriever_begins_where_the_index_is_and_stays_small(suite):
    s = suite
    for i in range(40):
        s.ingest(f"# Page {i}\n\n" + f"Chapter {i} tells of the number {i} and its neighbours. " * 20, id=f"p{i}", title=f"Page {i}", wait=i == 39)
    wait_for("the checkpoint", lambda: s.postgres.value("SELECT i.seq = f.seq FROM index_layout i, feed_head f"), 20, 0.1)
    s.stop_service("retriever")
    began = time.monotonic()
    r = s.start("retriever")
    wait_for("the retriever is ready", r.ready, 10, 0.005)
    took = time.monotonic() - began
    print(f"ready after {took:.3f} s")
    assert took < 0.2 or os.getloadavg()[0] > os.cpu_count()
    assert titles(s, "what does chapter 7 tell of?")
    for i in range(200):
        s.search(f"what does chapter {i % 40} tell of the number {i}?")
    with open(f"/proc/{r.pid}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    print(f"resident: {rss / 1024:.1f} MB")
    assert rss < 30 * 1024
    documents = s.postgres.value("SELECT count(*) FROM documents")
    wait_for("the documents are counted", lambda: r.metrics().value("footnote_retriever_index_documents") == documents, 10, 0.1)
    assert not [line for line in r.log_lines() if line.get("msg") == "chunks could not be read"]


@pytest.mark.limit(120)
def test_two_retrievers_write_one_index_and_agree(suite):
    s = suite
    s.add_replica("retriever", env={})
    s.wait_ready()
    for i in range(20):
        s.ingest(f"# Twin {i % 5}\n\nThe twin lighthouse of bay {i % 5} has version v{i}w.\n", id=f"twin{i % 5}", title=f"Twin {i % 5}", wait=i >= 15)
    for i in range(15, 20):
        assert f"v{i}w" in s.search(f"twin lighthouse of bay {i % 5}")[0]["text"]
    s.request("DELETE", "/api/v1/documents/twin3")
    for _ in range(20):
        wait_for("it is gone in both", lambda: "Twin 3" not in titles(s, "twin lighthouse of bay 3"), 5)
    assert s.postgres.value("SELECT count(*) FROM index_documents i WHERE i.passages > 0 AND NOT EXISTS (SELECT FROM documents d WHERE d.id = i.document_id)") == 0
    s.stop_service("retriever.2")


@pytest.mark.limit(120)
def test_a_document_that_the_database_refuses_is_put_aside_and_holds_up_no_other(suite):
    s = suite
    s.ingest("# Odd\n\nThe odd lighthouse of Ness was well.\n", id="odd", title="Odd")
    assert "Odd" in titles(s, "odd lighthouse of Ness")
    s.postgres.psql("SET search_path = footnote; CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.shown LIKE '%poison%' THEN"
                    " RAISE EXCEPTION 'no' USING ERRCODE = 'XX001'; END IF; RETURN NEW; END $$;"
                    "CREATE TRIGGER refuse_it BEFORE INSERT ON index_passages FOR EACH ROW EXECUTE FUNCTION refuse_it()")
    s.ingest("# Odd\n\nThe odd lighthouse of Ness has poison.\n", id="odd", title="Odd", wait=False)
    s.ingest("# Even\n\nThe even lighthouse of Ness is well.\n", id="even", title="Even")
    assert "Even" in titles(s, "even lighthouse of Ness")
    wait_for("it is put aside", lambda: s.metrics("retriever").value("footnote_retriever_documents_aside") == 1, 20, 0.1)
    assert "Odd" not in titles(s, "odd lighthouse of Ness")
    s.postgres.psql("SET search_path = footnote; DROP TRIGGER refuse_it ON index_passages; DROP FUNCTION refuse_it()")
    wait_for("it is found after all", lambda: "Odd" in titles(s, "odd lighthouse of Ness poison"), 30, 0.2)


@pytest.mark.limit(240)
def test_another_embedding_model_takes_over_without_a_gap():
    with ChangingOnPgvector(rate=200, env=ENGINE) as s:
        s.add_notes(200)
        with Asking(s, range(0, 100, 7)) as asking:
            s.give_key()
            s.wait_switched(STUB, seconds=120)
            asked = asking.asked
            wait_for("questions after the switch", lambda: asking.asked > asked + 30, 60)
            s.ingest(note(9001), id="n9001", collection="notes")
            assert s.decide("switch-back").status_code == 200
            wait_for("questions after the way back", lambda: asking.asked > asked + 60, 60)
        assert not asking.bad, asking.bad[:3]
        assert "Note 9001 of" in s.search(question(9001), collection="notes", top_k=3)[0]["text"]
        assert s.postgres.value("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'index\\_v\\_%%'") == 2


@pytest.mark.limit(120)
def test_a_database_that_is_away_costs_bounded_time_and_is_used_again():
    with suite_of() as s:
        s.ingest(SEA, id="sea", title="Sea")
        s.postgres.stop("immediate")
        began = time.monotonic()
        r = s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"})
        print(f"{r.status_code} after {time.monotonic() - began:.2f} s")
        assert r.status_code in (503, 504) and time.monotonic() - began < 10
        s.postgres.start()
        wait_for("it is used again", lambda: s.request("POST", "/api/v1/search", json={"query": "lighthouse of Skerry"}).status_code == 200, 30, 0.1)
        s.ingest(LAND, id="land", title="Land")
        assert titles(s, "windmill of Aldow")[0] == "Land"


@pytest.mark.limit(120)
def test_what_is_missing_is_said_with_what_to_do_and_used_once_it_is_there():
    """The store's role may make no tables: a retriever says so, the rest of the suite serves, and the owner's --migrate is seen."""
    with Suite(service_env={"retriever": ENGINE}, start=("gateway", "store", "embedder", "retriever")) as s:
        r = s.services["retriever"]
        wait_for("the store says that it has none", lambda: "INDEX_ENGINE=pgvector is missing there" in unready(r), 20)
        s.stop_service("store")
        s.start("store", env=ENGINE)
        wait_for("the extension is missing", lambda: "create extension vector" in unready(r), 20)
        s.postgres.psql("CREATE EXTENSION vector")
        wait_for("the owner's work is missing", lambda: "footnote-store --migrate with INDEX_ENGINE=pgvector" in unready(r), 20)
        assert s.services["store"].running() and r.running()
        assert s.request("GET", "/api/v1/documents").status_code == 200
        s.postgres.migrate(os.path.join(BIN, "footnote-store"), **ENGINE)
        wait_for("the retriever is ready", r.ready, 20)
        s.ingest(SEA, id="sea", title="Sea")
        assert titles(s, "lighthouse of Skerry") == ["Sea"]


@pytest.mark.limit(180)
def test_tables_that_words_came_into_are_made_anew_with_vectors():
    """INDEX_FALLBACK=words, then this engine: the words' documents have no vectors. And back: the words use what is there."""
    with FakeCluster() as cluster:
        words = {"INDEX_ENGINE": "opensearch", "INDEX_FALLBACK": "words", "OPENSEARCH_URL": cluster.url, "OPENSEARCH_REPLICAS": "0"}
        with Suite(service_env={"retriever": words, "store": words}, start=("gateway", "embedder", "janitor")) as s:
            def move(env):
                for name in ("retriever", "store"):
                    if name in s.services and s.services[name].running():
                        s.stop_service(name)
                s.postgres.migrate(os.path.join(BIN, "footnote-store"), **env)
                for name in ("store", "retriever"):
                    s.start(name, env=env)
                s.wait_ready()

            def vectors():
                return s.postgres.value("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'index\\_v\\_%%'")

            def there(n):
                wait_for("they are in the tables", lambda: s.postgres.value("SELECT count(*) FROM index_documents WHERE passages > 0") == n, 20, 0.05)
            move(words)
            s.ingest(SEA, id="sea", title="Sea")
            there(1)
            assert vectors() == 0
            off = {"INDEX_FALLBACK": "off"}
            move({**ENGINE, **off})
            there(1)
            assert vectors() == 1 and titles(s, "lighthouse of Skerry") == ["Sea"]
            move({**ENGINE, **off})  # as they are
            s.ingest(LAND, id="land", title="Land")
            assert titles(s, "windmill of Aldow")[0] == "Land"
            move(words)
            there(2)
            assert vectors() == 1
            cluster.down()
            r = s.request("POST", "/api/v1/search", json={"query": "windmill of Aldow"}).json()
            assert r["degraded"] and "windmill" in r["results"][0]["text"], r


def test_wrong_options_are_refused():
    env = {"PATH": os.environ["PATH"], "INDEX_ENGINE": "pgvektor"}
    r = subprocess.run([os.path.join(TOP, BIN, "footnote-retriever"), "--check-config"], env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    assert r.returncode != 0 and "pgvector" in r.stdout
