"""F08: kill -9 and SIGTERM of the janitor in the middle of a clean-up: nothing is left half, the next run finishes."""
import os
import random
import signal
import time

import pytest

from faults_kit import BIN_JANITOR, Proc, wait_for

FILL = """
INSERT INTO user_sessions (id, tenant, session_id, created_at, expires_at)
  SELECT gen_random_uuid(), 'old', sha256(i::text::bytea), now() - interval '60 days', now() - interval '1 day'
  FROM generate_series(1, %(n)s) i;
INSERT INTO conversations (id, tenant, user_session_id, is_open, created_at, expires_at)
  SELECT gen_random_uuid(), 'old', id, true, created_at, expires_at FROM user_sessions WHERE tenant = 'old';
INSERT INTO messages (id, tenant, conversation_id, role, content, status, timestamp, expires_at)
  SELECT gen_random_uuid(), 'old', c.id, CASE k %% 2 WHEN 0 THEN 'user' ELSE 'assistant' END, 'old words', 'complete',
         c.created_at, c.expires_at FROM conversations c, generate_series(0, 3) k WHERE c.tenant = 'old';
"""
ORPHANS = """SELECT (SELECT count(*) FROM messages m WHERE NOT EXISTS (SELECT 1 FROM conversations c WHERE c.id = m.conversation_id))
 + (SELECT count(*) FROM conversations c WHERE NOT EXISTS (SELECT 1 FROM user_sessions s WHERE s.id = c.user_session_id))
 + (SELECT count(*) FROM citations t WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = t.message_id))"""


@pytest.mark.limit(400)
def test_a_janitor_killed_in_mid_batch_leaves_no_orphans_and_the_next_run_finishes(run, one):
    rng, kept, orphans, kills = random.Random(run.seed), one.sql("SELECT count(*) FROM messages")[0][0], 0, 0
    one.sql(FILL, {"n": run.pick(10000, 200000)})
    env = {**one.environment("janitor"), "METRICS_PORT": "0", "CLEANUP_BATCH": str(run.pick(500, 5000))}
    for i in range(200):
        left = one.sql("SELECT count(*) FROM messages WHERE tenant = 'old'")[0][0]
        p = Proc(f"janitor-once-{i}", [BIN_JANITOR, "--once"], env, one.folder)
        wait_for("rows go", lambda: not p.running() or one.sql("SELECT count(*) FROM messages WHERE tenant = 'old'")[0][0] < left, 20)
        time.sleep(rng.uniform(0, 0.05))
        if kills >= run.pick(4, 20) or not p.running():
            code = p.wait(200)
            break
        p.signal(rng.choice((signal.SIGKILL, signal.SIGTERM)))
        p.wait(20)
        kills += 1
        orphans += one.sql(ORPHANS)[0][0]
        os.unlink(p.log_path)
    run.bar("F08_last_run_exit_code", code, 0, code == 0)
    run.bar(f"F08_orphans_after_{kills}_kills", orphans, 0, orphans == 0)
    left = one.sql("SELECT (SELECT count(*) FROM user_sessions WHERE tenant = 'old') + (SELECT count(*) FROM messages WHERE tenant = 'old')")[0][0]
    run.bar("F08_expired_rows_left", left, 0, left == 0)
    now = one.sql("SELECT count(*) FROM messages")[0][0]
    run.bar("F08_living_rows_lost", kept - now, 0, now >= kept)
