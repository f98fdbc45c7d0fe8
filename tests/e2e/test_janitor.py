"""Clean-up: `janitor --once` removes what has expired, through the store, and nothing else."""
import os
import subprocess

from corpus_kit import Q_BUILT, Q_PUMP
from suite import BIN, SLOW, new_session, wait_for


def run_once(suite):
    env = {**suite.environment("janitor"), "METRICS_PORT": "0"}
    return subprocess.run([os.path.join(BIN, "footnote-janitor"), "--once"], env=env, capture_output=True, text=True,
                          timeout=40 * SLOW, stdin=subprocess.DEVNULL)


def test_once_removes_expired_rows_through_the_store_and_leaves_the_others(plain):
    old, young = new_session(), new_session()
    for session in (old, young):
        plain.answered(Q_BUILT, session)
        plain.answered(Q_PUMP, session)
    conversation = plain.history(old)["items"][0]["conversation_id"]
    past = "SET expires_at = now() - interval '1 hour'"
    plain.sql(f"UPDATE messages {past} WHERE conversation_id = %s", (conversation,))
    plain.sql(f"UPDATE conversations {past} WHERE id = %s", (conversation,))
    plain.sql(f"UPDATE user_sessions {past} WHERE id = (SELECT user_session_id FROM conversations WHERE id = %s)", (conversation,))
    assert plain.sql("SELECT count(*) FROM messages WHERE conversation_id = %s", (conversation,)) == [(4,)]
    cleaned = plain.metrics("store").value("store_cleaned_rows_total")
    r = run_once(plain)
    assert r.returncode == 0, r.stderr
    assert plain.metrics("store").value("store_cleaned_rows_total") - cleaned >= 6
    assert plain.sql("SELECT count(*) FROM messages WHERE conversation_id = %s", (conversation,)) == [(0,)]
    assert plain.sql("SELECT count(*) FROM conversations WHERE id = %s", (conversation,)) == [(0,)]
    assert plain.sql("SELECT count(*) FROM citations c WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = c.message_id)") == [(0,)]
    assert plain.history(old)["items"] == [] and len(plain.history(young)["items"]) == 4
    assert "deleted" in r.stderr or "cleaned" in r.stderr or "rows" in r.stderr


def test_documents_past_their_collections_retention_are_not_found_any_more(plain):
    r = plain.request("PUT", "/api/v1/collections/news", json={"retention_days": 30})
    assert r.status_code == 200, r.text
    text = "# Bulletin\n\nThe drawbridge of Ostervik opens at noon, bulletin {}.\n"
    old = [plain.ingest(text.format(i), f"old-{i}", collection="news") for i in range(3)]
    plain.ingest(text.format("young"), "young", collection="news")
    plain.sql("UPDATE documents SET updated_at = now() - interval '31 days' WHERE id = ANY (%s::uuid[])",
              ([d["document_id"] for d in old],))
    assert run_once(plain).returncode == 0
    for d in old:
        assert plain.request("GET", "/api/v1/documents/" + d["document_id"]).status_code == 404
    wait_for("the index without them", lambda: {h["external_id"] for h in plain.search("drawbridge of Ostervik",
                                                                                      collection="news")} == {"young"}, 2)


def test_once_more_finds_nothing_to_do_and_ends_with_0(plain):
    assert run_once(plain).returncode == 0


def test_once_without_a_store_fails_within_its_time(plain):
    env = {**plain.environment("janitor"), "METRICS_PORT": "0", "HUB_ENDPOINTS": "tcp://127.0.0.1:1"}
    p = subprocess.Popen([os.path.join(BIN, "footnote-janitor"), "--once"], env=env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert p.wait(60 * SLOW) != 0
    finally:
        p.kill()
        p.wait()
