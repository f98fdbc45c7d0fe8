"""Many small documents at once: good and bad ones mixed, while what ingests them is killed."""
import json

import pytest

from suite import Suite, wait_for

DOCUMENTS, EVERY = 1500, 100          # of every EVERY one has control characters only, which are no text


def text(n):
    return "\x01\x02" if n % EVERY == 7 else f"# Note {n}\n\nNote {n} of the harbour tells of pier {7 * n + 1} and nothing else.\n"


def states(s):
    return dict(s.sql("SELECT status, count(*) FROM footnote.documents WHERE collection = 'lots' GROUP BY 1"))


@pytest.mark.limit(180)
def test_nothing_of_a_large_upload_is_lost_or_there_twice_when_what_ingests_it_is_killed():
    with Suite(env={"LOG_LEVEL": "info", "RATE_LIMIT_REQUESTS": "1000000"}) as s:
        s.add_replica("retriever")
        jobs = []
        for at in range(0, DOCUMENTS, 300):
            body = "".join(json.dumps({"id": f"n{i}", "text": text(i)}) + "\n" for i in range(at, at + 300))
            r = s.request("POST", "/api/v1/documents?collection=lots", data=body.encode(), headers={"Content-Type": "application/jsonl"}, timeout=60)
            assert r.status_code == 202 and r.json()["refused"] == 0, r.text[:300]
            jobs.append(r.json()["job_id"])
            for name in ("retriever", "embedder") if at == 300 else ("retriever.2", "store") if at == 900 else ():
                s.kill(name)                                   # -9, in the middle of its lots
                s.start(s.services[name].service, name)
            if at in (300, 900):
                wait_for("the store is back", lambda: s.services["store"].ready() and s.gateway_ready(), 30)
        bad = sum(n % EVERY == 7 for n in range(DOCUMENTS))
        wait_for("everything has ended", lambda: states(s).get("pending", 0) == 0, 120, every=0.2)
        assert states(s) == {"ready": DOCUMENTS - bad, "failed": bad}
        done = [s.request("GET", f"/api/v1/jobs/{j}").json() for j in jobs]
        assert sum(j["files_done"] for j in done) == DOCUMENTS - bad and sum(j["files_failed"] for j in done) == bad
        assert all("no text" in j["error"] for j in done)
        assert s.sql("SELECT count(*), count(DISTINCT document_id) FROM footnote.chunks") == [(DOCUMENTS - bad, DOCUMENTS - bad)]
        assert s.sql("SELECT count(*) FROM footnote.uploads") == [(0,)]
        assert s.sql("SELECT count(DISTINCT seq) FROM footnote.changes WHERE op = 'ready'") == [(DOCUMENTS - bad,)]
        wait_for("both indexes have it", lambda: all(s.metrics(r).value("retriever_index_passages") == DOCUMENTS - bad
                                                     for r in ("retriever", "retriever.2")), 30)
        for n in range(0, DOCUMENTS, 97):
            if n % EVERY != 7:
                found = s.search(f"What does note {n} of the harbour tell of pier {7 * n + 1}?", collection="lots", top_k=3)
                assert any(f"Note {n} of" in h["text"] for h in found), (n, found)
