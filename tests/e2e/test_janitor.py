"""Clean-up: `janitor --once` removes what has expired, through the store, and nothing else."""
import glob
import os
import re
import subprocess
import time

import pytest

from corpus_kit import Q_BUILT, Q_PUMP
from suite import BIN, SLOW, Proc, new_session, wait_for

JANITOR = os.path.join(BIN, "footnote-janitor")
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
TABLES = ("user_sessions", "conversations", "messages")
FILL = """
INSERT INTO user_sessions (id, tenant, session_id, expires_at)
  SELECT gen_random_uuid(), 'past', sha256((random()::text || i)::bytea), now() - interval '1 day' FROM generate_series(1, %(n)s) i;
INSERT INTO conversations (id, tenant, user_session_id, is_open, created_at, expires_at)
  SELECT gen_random_uuid(), 'past', id, true, created_at, expires_at FROM user_sessions WHERE tenant = 'past';
INSERT INTO messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at)
  SELECT gen_random_uuid(), 'past', c.id, 'assistant', 'old words', 'complete', c.created_at, c.expires_at
  FROM conversations c, generate_series(1, 5) k WHERE c.tenant = 'past';
INSERT INTO citations (id, tenant, message_id, n, document_id, chunk_id, excerpt, start_byte, end_byte, score)
  SELECT gen_random_uuid(), 'past', m.id, 1, m.id, m.id, 'words', 0, 5, 0.5 FROM messages m WHERE m.tenant = 'past';
ANALYZE messages;
"""


def janitor_env(suite, **more):
    return {**suite.environment("janitor"), "METRICS_PORT": "0", **more}


def run_once(suite, *args, **more):
    return subprocess.run([JANITOR, "--once", *args], env=janitor_env(suite, **more), capture_output=True, text=True,
                          timeout=40 * SLOW, stdin=subprocess.DEVNULL)


def past_rows(suite):
    return [suite.sql(f"SELECT count(*) FROM {t} WHERE tenant = 'past'")[0][0] for t in (*TABLES, "citations")]


def counts_of(stdout):
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", stdout, re.M)}


def faked(suite, offset, **more):
    return janitor_env(suite, LD_PRELOAD=FAKETIME, FAKETIME=offset, FAKETIME_DONT_FAKE_MONOTONIC="1", **more)


def test_a_dry_run_counts_what_a_run_then_deletes_and_deletes_nothing(plain):
    plain.sql(FILL, {"n": 2500})
    dry = run_once(plain, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert past_rows(plain) == [2500, 2500, 12500, 12500]
    said = counts_of(dry.stdout)
    assert said["messages"] >= 12500 and said["conversations"] >= 2500 and said["sessions"] >= 2500
    before = [plain.sql(f"SELECT count(*) FROM {t}")[0][0] for t in TABLES]
    r = run_once(plain)
    assert r.returncode == 0 and past_rows(plain) == [0, 0, 0, 0], r.stderr
    after = [plain.sql(f"SELECT count(*) FROM {t}")[0][0] for t in TABLES]
    assert [b - a for b, a in zip(before, after)] == [said["sessions"], said["conversations"], said["messages"]]
    line = [entry for entry in r.stderr.splitlines() if "cleaned up expired data" in entry]
    assert len(line) == 1 and '"rows":' in line[0], r.stderr
    assert "more than half of a table" in r.stderr, "12,500 of hardly more rows are most of a table of over 10,000"
    wait_for("its VACUUM", lambda: any(e.get("msg") == "vacuumed" for e in plain.services["store"].log_lines()), 10)


def test_two_janitors_at_once_never_double_the_work(plain):
    plain.sql(FILL, {"n": 1500})
    cleaned = plain.metrics("store").value("store_cleaned_rows_total")
    two = [Proc(f"janitor-{i}", [JANITOR, "--once"], janitor_env(plain, CLEANUP_BATCH="200"), plain.folder) for i in range(2)]
    assert [p.wait(40) for p in two] == [0, 0], two[0].tail() + two[1].tail()
    assert past_rows(plain) == [0, 0, 0, 0]
    rows = [sum(e.get("rows", 0) for e in p.log_lines() if e.get("msg") == "cleaned up expired data") for p in two]
    assert sum(rows) == plain.metrics("store").value("store_cleaned_rows_total") - cleaned >= 1500 * 7
    assert min(rows) > 0, "each had its share"


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
def test_a_real_janitor_sees_two_o_clock_and_cleans_up(plain):
    assert run_once(plain).returncode == 0      # nothing to catch up
    plain.sql(FILL, {"n": 3})
    left = 86400 - (time.time() - 2 * 3600) % 86400
    p = Proc("janitor-two", [JANITOR], faked(plain, f"+{int(left) - 3}s", TZ="UTC", CLEANUP_MAX_CLOCK_SKEW="86400"), plain.folder)
    try:
        # by its own clock the last run may be a day ago: what it catches up is not what is waited for
        wait_for("02:00", lambda: any(e.get("msg") == "cleaned up expired data" and "T02:00:0" in e["ts"]
                                      for e in p.log_lines()), 20)
        assert past_rows(plain) == [0, 0, 0, 0]
    finally:
        assert p.end() == 0


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
@pytest.mark.parametrize("offset", ["+1h", "-1h", "+1y", "-1y"])
def test_a_clock_that_differs_from_the_databases_stops_the_run_before_it_deletes(plain, offset):
    plain.sql(FILL, {"n": 1})
    r = subprocess.run([JANITOR, "--once"], env=faked(plain, offset), capture_output=True, text=True, timeout=40 * SLOW,
                       stdin=subprocess.DEVNULL)
    assert r.returncode == 1 and "clock" in r.stderr, r.stderr
    assert past_rows(plain)[0] >= 1
    assert run_once(plain).returncode == 0 and past_rows(plain) == [0, 0, 0, 0]


def test_the_last_run_is_remembered_and_told_in_the_metrics(plain):
    assert run_once(plain).returncode == 0
    before = plain.sql("SELECT max(last_run) FROM cleanup_runs")[0][0]
    j = plain.add_replica("janitor")
    try:
        m = wait_for("the last run", lambda: (lambda v: v.value("janitor_last_success_timestamp_seconds") > 0 and v)(j.metrics()))
        assert abs(m.value("janitor_last_success_timestamp_seconds") - before.timestamp()) < 2
        assert m.value("janitor_next_run_timestamp_seconds") > time.time()
        assert m.value("janitor_running") == 0 and m.value("janitor_runs_total") == 0, "no run was missed"
    finally:
        assert plain.stop_service(j.name) == 0
        del plain.services[j.name]


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


def test_once_without_a_gateway_fails_within_seconds_and_says_what_to_do(plain):
    begun = time.monotonic()
    r = run_once(plain, HUB_ENDPOINTS="tcp://127.0.0.1:1")
    assert r.returncode == 1 and time.monotonic() - begun < 8 * SLOW
    assert "start a gateway" in r.stderr and "HUB_ENDPOINTS" in r.stderr, r.stderr
