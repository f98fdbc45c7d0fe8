"""The store's question path: turns, history, sessions, idempotency, against a private Postgres."""
import hashlib

import pytest

from busfake import CODES, Service
from pg import Postgres
from store_kit import begin_req, citation, finish_req, new_id, session, turn


@pytest.fixture(scope="module", autouse=True)
def store(pg, hub):
    with Service("store", hub, DATABASE_URL=pg.url.replace("postgresql:", "postgresql+asyncpg:")) as s:
        yield s


def test_a_turn_is_stored_with_its_citations_and_read_back(hub):
    s = session()
    b = begin_req(s, page_context="page")
    rep = hub.ok("turn.begin", b)
    cites = [citation(1, external_id="e", chapter="C", section="S", url="https://x/"), citation(2)]
    hub.ok("turn.finish", finish_req(b, citations=cites, conversation_id=rep["conversation_id"]))
    items = hub.ok("history", {"session": s, "limit": 50})["items"]
    assert [m["role"] for m in items] == ["user", "assistant"]
    assert items[0]["content"] == b["question"] and items[1]["id"] == b["message_id"]
    assert items[1]["confidence"] == 0.75 and items[1]["grounded"] and items[1]["status"] == "complete"
    got = items[1]["citations"]
    assert [{k: g[k] for k in c} for g, c in zip(got, cites)] == cites


def test_a_repeated_begin_and_finish_change_nothing(hub, pg):
    s = session()
    b = begin_req(s)
    f = finish_req(b)
    first = hub.ok("turn.begin", b)
    assert hub.ok("turn.begin", b) == first
    for _ in range(3):
        hub.ok("turn.finish", f)
    assert len(hub.ok("history", {"session": s, "limit": 50})["items"]) == 2
    assert pg.value("select count(*) from citations where message_id = %s::uuid", b["message_id"].hex()) == 1


def test_a_conversation_of_another_session_or_tenant_is_not_found(hub):
    s, other = session(), session()
    conv = hub.ok("turn.begin", begin_req(s))["conversation_id"]
    assert hub.ask("turn.begin", begin_req(other, conversation_id=conv))[0] == CODES["NOT_FOUND"]
    assert hub.ask("turn.begin", begin_req(s, conversation_id=conv), tenant="acme")[0] == CODES["NOT_FOUND"]
    assert hub.ok("turn.begin", begin_req(s, conversation_id=conv))["conversation_id"] == conv
    assert hub.ok("history", {"session": s, "limit": 50}, tenant="acme")["items"] == []


def test_history_of_a_conversation_is_oldest_first_and_without_the_question(hub):
    s = session()
    _, rep = turn(hub, s, "one?")
    conv = rep["conversation_id"]
    turn(hub, s, "two?", conversation_id=conv)
    got = hub.ok("turn.begin", begin_req(s, "three?", conversation_id=conv, history=3))["history"]
    assert [(t["role"], t["content"]) for t in got] == [("assistant", "An answer [1]."), ("user", "two?"),
                                                       ("assistant", "An answer [1].")]


def test_an_answer_stands_behind_its_question_whatever_the_gateways_clock_says(hub):
    s, conv = session(), None
    for i in range(4):
        b = begin_req(s, f"question {i}", **({"conversation_id": conv} if conv else {}))
        conv = hub.ok("turn.begin", b)["conversation_id"]
        hub.ok("turn.finish", finish_req(b, answer=f"answer {i}", conversation_id=conv, created_ms=1_700_000_000_000))  # years ago
    items = hub.ok("history", {"session": s, "limit": 50})["items"]
    assert [m["content"] for m in items] == [f"{who} {i}" for i in range(4) for who in ("question", "answer")]


def test_a_selected_text_stays_with_its_question(hub):
    s, text = session(), "Selected: \u5149 [1]\n\nand more"
    _, rep = turn(hub, s, "explain?", selection=text)
    conv = rep["conversation_id"]
    got = hub.ok("turn.begin", begin_req(s, "why?", conversation_id=conv, history=6))["history"]
    assert [(t["role"], t.get("selection")) for t in got] == [("user", text), ("assistant", None)]
    b = begin_req(s)
    hub.ok("turn.finish", finish_req(b, question="queued?", selection=text))
    items = hub.ok("history", {"session": s, "limit": 10})["items"]
    assert [m.get("selection") for m in items] == [text, None, None, text, None]


def test_an_answer_stands_for_others_until_it_is_erased_or_expires(hub, pg):
    s, other = session(), session()
    b, rep = turn(hub, s, "shared?")
    stands = lambda origin, **kw: hub.ok("turn.begin", begin_req(other, origin_id=origin), **kw).get("stands", False)
    assert stands(b["message_id"]) is True
    assert stands(b["question_id"]) is False and stands(new_id()) is False and stands(b["message_id"], tenant="acme") is False
    assert "stands" not in hub.ok("turn.begin", begin_req(other))
    pg.query("update messages set expires_at = now() - interval '1 s' where id = %s::uuid", b["message_id"].hex())
    assert stands(b["message_id"]) is False
    for erase in ("conversation.delete", "session.delete"):
        b, rep = turn(hub, s, "shared again?")
        assert stands(b["message_id"]) is True
        hub.ok(erase, {"session": s, **({"conversation_id": rep["conversation_id"]} if erase == "conversation.delete" else {})})
        assert stands(b["message_id"]) is False


def test_a_fresh_question_opens_a_conversation_of_its_own(hub):
    s = session()
    first = hub.ok("turn.begin", begin_req(s, "one?"))["conversation_id"]
    b = begin_req(s, "two?", fresh=True)
    second = hub.ok("turn.begin", b)["conversation_id"]
    assert second != first
    assert hub.ok("turn.begin", b)["conversation_id"] == second  # a repeated call changes nothing
    assert hub.ok("turn.begin", begin_req(s, "three?"))["conversation_id"] == second  # it is the open one now
    assert hub.ok("turn.begin", begin_req(s, "four?", conversation_id=first, fresh=True))["conversation_id"] == first
    other = session()
    assert hub.ok("turn.begin", begin_req(other, "five?", fresh=True))["conversation_id"] not in (first, second)
    assert hub.ok("turn.begin", begin_req(s, "six?"))["conversation_id"] == second  # another session's is left alone


def test_an_idempotency_key_runs_once_and_replays_its_answer(hub):
    s = session()
    idem = {"idem_key": "k1", "idem_scope": "key/route", "idem_hash": b"h" * 32, "idem_lease_ms": 60000}
    b = begin_req(s, **idem)
    hub.ok("turn.begin", b)
    hub.ok("turn.begin", b)                                              # the same request, sent again by the hub
    assert hub.ask("turn.begin", begin_req(s, **idem))[0] == CODES["IN_PROGRESS"]
    assert hub.ask("turn.begin", begin_req(s, **{**idem, "idem_hash": b"x" * 32}))[0] == CODES["IDEMPOTENCY"]
    hub.ok("turn.finish", finish_req(b, idem_key="k1", idem_scope="key/route", idem_body=b"{}", idem_status=200))
    rep = hub.ok("turn.begin", begin_req(s, **idem))
    assert rep["stored"] == b"{}" and rep["stored_status"] == 200
    assert len(hub.ok("history", {"session": s, "limit": 50})["items"]) == 2
    assert "stored" not in hub.ok("turn.begin", begin_req(s, **idem), tenant="acme")


def test_a_lapsed_lease_lets_the_next_one_run(hub):
    s = session()
    idem = {"idem_key": "k2", "idem_scope": "r", "idem_hash": b"h" * 32, "idem_lease_ms": 0}
    hub.ok("turn.begin", begin_req(s, **idem))
    assert not hub.ok("turn.begin", begin_req(s, **idem)).get("stored")


def claim(key="c1", body=b"h", **kw):
    return {"scope": "key/route", "key": key, "hash": hashlib.sha256(body).digest(), "holder": new_id(), "lease_ms": 60000, **kw}


def finish_of(c, status=200, body=b"sealed", **kw):
    return {"scope": c["scope"], "key": c["key"], "holder": c["holder"], "status": status, "body": body, **kw}


def test_a_claimed_key_is_held_answered_and_replayed(hub):
    c = claim()
    seed = hub.ok("idem.claim", c)["seed"]
    assert hub.ok("idem.claim", c)["seed"] == seed                       # sent again by the hub
    assert hub.ask("idem.claim", claim())[0] == CODES["IN_PROGRESS"]
    assert hub.ask("idem.claim", claim(body=b"other"))[0] == CODES["IDEMPOTENCY"]
    assert hub.ok("idem.finish", finish_of(claim(), body=b"foreign")).get("count", 0) == 0
    assert hub.ok("idem.finish", finish_of(c, 202))["count"] == 1
    got = hub.ok("idem.claim", claim())
    assert got["stored"] == b"sealed" and got["status"] == 202
    assert hub.ask("idem.claim", claim(body=b"other"))[0] == CODES["IDEMPOTENCY"]
    assert not hub.ok("idem.claim", claim(body=b"other"), tenant="acme").get("stored")


def test_a_freed_or_lapsed_key_runs_again_with_the_same_seed(hub):
    first = claim("c2")
    seed = hub.ok("idem.claim", first)["seed"]
    hub.ok("idem.finish", finish_of(first, 0))
    second = claim("c2", lease_ms=0)
    assert hub.ok("idem.claim", second)["seed"] == seed
    third = claim("c2")
    assert hub.ok("idem.claim", third)["seed"] == seed
    assert hub.ok("idem.finish", finish_of(second)).get("count", 0) == 0  # it lost the lease
    assert hub.ask("idem.claim", claim("c2"))[0] == CODES["IN_PROGRESS"]


def test_a_key_that_ran_out_begins_anew(hub, pg):
    first = claim("c3")
    seed = hub.ok("idem.claim", first)["seed"]
    hub.ok("idem.finish", finish_of(first))
    assert pg.value("select expires_at - now() between interval '23 hours 59 minutes' and interval '24 hours'"
                    " from idempotency where key = 'c3'")
    pg.query("update idempotency set expires_at = now() where key = 'c3'")
    got = hub.ok("idem.claim", claim("c3", b"other"))
    assert "stored" not in got and got["seed"] != seed


def test_a_turn_that_runs_again_has_the_same_rows_and_a_cut_answer_is_made_whole(hub, pg):
    s, c = session(), claim("c4", lease_ms=0)
    seed = hub.ok("idem.claim", c)["seed"]

    def idem(who):
        return {"idem_key": "c4", "idem_scope": who["scope"], "idem_holder": who["holder"]}

    def begin(who):
        return {**begin_req(s), "question_id": seed, "message_id": b"m" * 16, "idem_hash": who["hash"], "idem_lease_ms": 0, **idem(who)}
    b = begin(c)
    hub.ok("turn.begin", b)
    hub.ok("turn.finish", finish_req(b, answer="An ans", status="incomplete", citations=[]))
    again = claim("c4", lease_ms=60000)
    assert hub.ok("idem.claim", again)["seed"] == seed
    b = begin(again)
    hub.ok("turn.begin", {**b, "idem_lease_ms": 60000})
    assert hub.ask("turn.begin", begin(c))[0] == CODES["IN_PROGRESS"]    # the first run has lost it
    hub.ok("turn.finish", finish_req(b, idem_body=b"sealed", idem_status=200, **idem(again)))
    hub.ok("turn.finish", finish_req(b, answer="Something else.", citations=[]))
    items = hub.ok("history", {"session": s, "limit": 50})["items"]
    assert [(m["role"], m["content"]) for m in items] == [("user", b["question"]), ("assistant", "An answer [1].")]
    assert items[1]["status"] == "complete" and len(items[1]["citations"]) == 1
    assert hub.ok("idem.claim", claim("c4"))["stored"] == b"sealed"
    hub.ok("session.delete", {"session": s})                             # the stored answer goes, too
    assert pg.value("select count(*) from idempotency where key = 'c4'") == 0


def test_pages_and_cursors_show_every_message_once(hub, pg):
    s = session()
    convs = []
    for i in range(3):
        b, rep = turn(hub, s, f"q{i}")
        convs.append(rep["conversation_id"])
        for k in range(3):
            turn(hub, s, f"q{i}.{k}", conversation_id=convs[-1])
        pg.query("update conversations set is_open = false, created_at = now() - %s * interval '1 hour'"
                 " where id = %s::uuid", 3 - i, convs[-1].hex())
    whole = hub.ok("history", {"session": s, "limit": 200})["items"]
    assert len(whole) == 24 and [m["conversation_id"] for m in whole[::8]] == convs[::-1]
    assert [m["content"] for m in whole[:8:2]] == ["q2", "q2.0", "q2.1", "q2.2"]
    cursor, seen = {}, []
    while True:
        rep = hub.ok("history", {"session": s, "limit": 5, **cursor})
        seen += rep["items"]
        if not rep.get("has_more"):
            break
        cursor = {"cursor": rep["next_cursor"]}
    assert seen == whole
    pages = [hub.ok("history", {"session": s, "limit": 5, "page": p})["items"] for p in range(1, 6)]
    assert sum(pages, []) == whole
    one = hub.ok("history", {"session": s, "limit": 200, "conversation_id": convs[1]})["items"]
    assert {m["conversation_id"] for m in one} == {convs[1]} and len(one) == 8


def test_a_bad_cursor_or_limit_is_refused(hub):
    for bad in ({"cursor": "zz"}, {"limit": 0}, {"limit": 201}, {"page": -1}):
        assert hub.ask("history", {"session": session(), "limit": 5, **bad})[0] in (CODES["VALIDATION"], CODES["BAD_FRAME"])
    assert hub.ask("history", {"session": b"short", "limit": 5})[0] == CODES["VALIDATION"]


def test_a_queued_answer_brings_its_question_and_conversation(hub):
    s = session()
    b = begin_req(s, "from the cache?")
    hub.ok("turn.finish", finish_req(b, question=b["question"], from_cache=True, created_ms=1700000000000))
    items = hub.ok("history", {"session": s, "limit": 5})["items"]
    assert [m["content"] for m in items] == ["from the cache?", "An answer [1]."]
    assert items[1]["from_cache"] and items[0]["created_ms"] == 1700000000000


def test_an_answer_to_an_erased_session_is_not_found(hub):
    s = session()
    b = begin_req(s)
    hub.ok("turn.begin", b)
    hub.ok("session.delete", {"session": s})
    assert hub.ask("turn.finish", finish_req(b))[0] == CODES["NOT_FOUND"]


def test_erasing_a_session_removes_everything_below_it(hub, pg):
    s = session()
    idem = {"idem_key": "gone", "idem_scope": "r", "idem_hash": b"h" * 32, "idem_lease_ms": 1}
    b, _ = turn(hub, s, **idem)
    hub.ok("session.put", {"session": s, "user_id": "u1", "expiry_days": 3})
    got = hub.ok("session.get", {"session": s})
    assert got["user_id"] == "u1" and got["conversations"] == 1 and got["messages"] == 2
    assert hub.ok("session.delete", {"session": s})["messages"] == 2
    assert hub.ask("session.get", {"session": s})[0] == CODES["NOT_FOUND"]
    assert hub.ask("session.delete", {"session": s})[0] == CODES["NOT_FOUND"]
    for sql in ("select count(*) from messages where id = %s::uuid", "select count(*) from citations where message_id = %s::uuid"):
        assert pg.value(sql, b["message_id"].hex()) == 0
    assert pg.value("select count(*) from idempotency where key = 'gone'") == 0


def expire(pg, sess, **when):
    """Moves the expiry of a session's rows: table → interval from now."""
    for table, interval in when.items():
        which = {"user_sessions": "id", "conversations": "user_session_id"}.get(table)
        ids = "select id from user_sessions where session_id = %s"
        where = f"{which} in ({ids})" if which else f"conversation_id in (select id from conversations where user_session_id in ({ids}))"
        assert pg.query(f"update {table} set expires_at = now() + interval '{interval}' where {where}", sess) > 0


def test_an_expired_session_is_not_there_though_its_row_is(hub, pg):
    s = session()
    turn(hub, s)
    expire(pg, s, user_sessions="1 minute")
    assert hub.ok("session.get", {"session": s})["messages"] == 2
    expire(pg, s, user_sessions="-1 second")
    assert hub.ask("session.get", {"session": s})[0] == CODES["NOT_FOUND"]
    assert pg.value("select count(*) from user_sessions where session_id = %s", s) == 1


def test_clean_up_takes_nothing_before_its_time_and_parents_only_when_they_are_empty(hub, pg):
    s = session()
    turn(hub, s)

    def cleaned():
        for job in ("messages", "conversations", "sessions"):
            hub.ok("cleanup", {"job": job, "limit": 1000})
        ids = "select id from user_sessions where session_id = %s"
        return (pg.value(f"select count(*) from messages where conversation_id in (select id from conversations where user_session_id in ({ids}))", s),
                pg.value(f"select count(*) from conversations where user_session_id in ({ids})", s),
                pg.value("select count(*) from user_sessions where session_id = %s", s))

    expire(pg, s, messages="1 minute", conversations="1 minute", user_sessions="1 minute")
    assert cleaned() == (2, 1, 1)
    expire(pg, s, user_sessions="-1 second")
    assert cleaned() == (2, 1, 1)
    expire(pg, s, conversations="-1 second")
    assert cleaned() == (2, 1, 1)
    expire(pg, s, messages="-1 second")
    assert cleaned() == (0, 0, 0)


def test_expiry_slides_and_never_shrinks(hub):
    s = session()
    a = hub.ok("session.put", {"session": s, "expiry_days": 10})["expires_ms"]
    assert hub.ok("session.put", {"session": s, "expiry_days": 5})["expires_ms"] == a
    assert hub.ok("session.put", {"session": s, "expiry_days": 20})["expires_ms"] > a


def test_text_that_postgres_cannot_hold_is_a_validation_error(hub, store):
    before = store.metric("store_errors_total", **{"class": "data"})
    assert hub.ask("turn.begin", begin_req(session(), "nul \0 here"))[0] == CODES["VALIDATION"]
    store.counted(before + 1, "store_errors_total", **{"class": "data"})


def test_the_indexes_have_the_guides_names(pg):
    want = {f"ix_{t}_{c}" for t, cols in (("user_sessions", ("session_id", "user_id", "expires_at")),
                                          ("conversations", ("user_session_id", "created_at", "expires_at")),
                                          ("messages", ("conversation_id", "timestamp", "expires_at"))) for c in cols}
    assert want <= {r[0] for r in pg.query("select indexname from pg_indexes where schemaname = 'footnote'")}
