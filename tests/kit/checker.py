"""The history checker: what users were told (loadgen's record) against what is in Postgres. Invariants of docs/faults.md.

    found = check(suite, records)         {"I1": [...], "I2": [...], "I3": [...], "I4": [...], "codes": [...]}
    before = footprint(suite); …; found = check_footprint(suite, before)        {"I6": [...]}

I1  an attempt ends with one whole answer or a closed connection, at most a second after its deadline
I2  an answer that said saved: yes is a row; queued: within 2 s; its text is what the user was given
I3  no question, answer or citation is stored twice: an attempt's canary is in one question at most, a question has at most
    one answer, a message has each citation once; a request with an Idempotency-Key (loadgen --keys 1) is one turn however
    often it was sent: its canary is the same each time, and an answer that was lost is the one that is given later
I4  an answer holds no other request's canary, and question and answer stand in one conversation of one session
I6  no process leaks: open descriptors and resident memory of each are back to what they were, +-2 %
codes  every failure carries a documented code (proto/err.tbl) with the status that belongs to it, 503 with Retry-After
"""
import os
import re
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def documented():
    """{wire name: {statuses}}"""
    out = {"ok": {200}}
    with open(os.path.join(TOP, "proto/err.tbl")) as f:
        for status, name in re.findall(r'^ERR\(\w+,\s*\d+,\s*(\d+),\s*\w+,\s*"(\w+)"', f.read(), re.M):
            out.setdefault(name, set()).add(int(status))
    return out


def check_answers(records, deadline_ms, cuts_allowed):
    found, known = {"I1": [], "I4": [], "codes": []}, documented()
    for r in records:
        if r["foreign"]:
            found["I4"].append(f"a foreign canary in the answer to {r['id']}")
        for a in r["attempts"]:
            error, status = a.get("error"), a["status"]
            if a["ended"] - a["begun"] > deadline_ms + 1000:
                found["I1"].append(f"{r['id']}: {a['ended'] - a['begun']:.0f} ms")
            if error == "timeout" or (error not in (None, "lost") and not cuts_allowed):
                found["I1"].append(f"{r['id']}: {error}")
            elif error in (None, "lost") and status not in known.get(a["code"], ()) and not (r["kind"] == "stream" and status == 200):
                found["codes"].append(f"{r['id']}: {status} {a['code']}")
    return found


def rows_of(suite):
    """(questions by canary, answers by id, answers by question id)"""
    canaries, answers, by_question = {}, {}, {}
    for ident, question, conversation, role, content in suite.sql(
            "SELECT id::text, question_id::text, conversation_id::text, role, content FROM messages"):
        if role == "user":
            for c in re.findall(r"canary-[0-9a-f]{12}", content):
                canaries.setdefault(c, []).append((ident, conversation))
        else:
            answers[ident] = (question, conversation, content)
            by_question.setdefault(question, []).append(ident)
    return canaries, answers, by_question


def told(records):
    """What was acknowledged: {message id: record}."""
    return {r["message_id"]: r for r in records if r["status"] == 200 and r["code"] == "ok" and not r["short"] and
            r.get("saved") in ("yes", "queued")}


def check_repeats(records):
    """An answer that was lost and asked for again is the same answer."""
    return [f"{r['id']}: {a['message_id']} was lost, {r.get('message_id')} came" for r in records for a in r["attempts"]
            if a["error"] == "lost" and r["code"] == "ok" and r["kind"] in ("query", "stream") and a["message_id"] != r.get("message_id")]


def footprint(suite):
    """{process: (open descriptors, resident bytes)}; of processes that run."""
    out = {}
    for s in suite.services.values():
        if s.running():
            m = s.metrics()
            out[s.name, s.pid] = m.value("process_open_fds"), m.value("process_resident_memory_bytes")
    return out


def check_footprint(suite, before, wait=10.0):
    """I6 against an earlier footprint, taken after the same load; a few descriptors and 1 MB are no leak in a small process."""
    end = time.monotonic() + wait
    while True:
        now, leaks = footprint(suite), []
        for key, (fds, rss) in before.items():
            f, r = now.get(key, (0, 0))
            if f > fds * 1.02 + 4:
                leaks.append(f"{key[0]} has {f:.0f} descriptors, had {fds:.0f}")
            if r > rss * 1.02 + 1e6:
                leaks.append(f"{key[0]} has {r / 1e6:.1f} MB, had {rss / 1e6:.1f}")
        if not leaks or time.monotonic() > end:
            return {"I6": leaks}
        time.sleep(0.1)


def check_rows(suite, records, wait=2.0):
    found, promised, end = {"I2": [], "I3": [], "I4": []}, told(records), time.monotonic() + wait
    while True:
        canaries, answers, by_question = rows_of(suite)
        lost = [m for m in promised if m not in answers]
        if not lost or time.monotonic() > end:
            break
        time.sleep(0.1)
    found["I2"] += [f"{promised[m]['id']} ({promised[m]['saved']}) has no row" for m in lost]
    for m, r in promised.items():
        if m not in answers:
            continue
        question, conversation, content = answers[m]
        own = [q for a in r["attempts"] for q in canaries.get(a["canary"], ())]
        if content != r.get("answer"):
            found["I2"].append(f"{r['id']} was given another text than what is stored")
        if question and (question, conversation) not in own:
            found["I4"].append(f"the answer of {r['id']} stands under another question")
    found["I3"] += [f"{c} was stored {len(q)} times" for c, q in canaries.items() if len(q) > 1]
    found["I3"] += [f"question {q} has {len(a)} answers" for q, a in by_question.items() if q and len(a) > 1]
    found["I3"] += [f"message {m} has citation {n} {k} times" for m, n, k in suite.sql(
        "SELECT message_id::text, n, count(*) FROM citations GROUP BY 1, 2 HAVING count(*) > 1")]
    sessions = suite.sql("SELECT count(*) FROM (SELECT c.id FROM messages m JOIN conversations c ON c.id = m.conversation_id"
                         " WHERE m.content LIKE %s GROUP BY c.id HAVING count(DISTINCT m.tenant) > 1) x", ("%canary-%",))
    found["I4"] += ["a conversation of two tenants"] * sessions[0][0]
    return found


def check(suite, records, deadline_ms=30000, cuts_allowed=True, wait=2.0):
    """All of it; lists of what is wrong, empty when nothing is."""
    found = check_answers(records, deadline_ms, cuts_allowed)
    for k, v in {**check_rows(suite, records, wait), "repeats": check_repeats(records)}.items():
        found.setdefault("I3" if k == "repeats" else k, []).extend(v)
    return found
