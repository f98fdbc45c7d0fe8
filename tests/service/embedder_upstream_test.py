"""The embedder against a model server: replies, faults, the cache, one call for many, cancel, the breaker."""
import os
import socket
import subprocess
import time

import pytest

from embedder_kit import BIN, Embedder, Redis, Stub, http, wait_for
from tcp_kit import silence

PASSAGES = [("Guide", "# Pool\n\nThe pool keeps ten connections. More text."), ("Other", "Rain is expected.")]
EMBED, CHAT = "embeddings", "chat"
UPSTREAM, REPLY, REFUSED, LIMITED, QUOTA, CUT, TIMEOUT, LOST = 40, 41, 42, 43, 44, 45, 46, 47  # LOST: in mid-work, so that it may have been billed


@pytest.fixture(scope="module")
def stub():
    s = Stub()
    yield s
    s.close()


@pytest.fixture(scope="module")
def redis():
    r = Redis()
    yield r
    r.close()


@pytest.fixture
def emb(stub, redis):
    redis.client.flushall()
    e = Embedder(OPENAI_BASE_URL=stub.url + "/v1", OPENAI_API_KEY="sk-test", REDIS_URL=redis.url)
    stub.reset()
    yield e
    e.close()


# ---- embeddings

def test_a_text_is_paid_for_once_and_kept_for_a_day(emb, stub, redis):
    a = emb.hub.embed("How many?", "How few?", "How many?").wait()
    assert a.code == 0 and a.rep["dims"] == 256 and a.rep["model"] == "text-embedding-3-small"
    assert a.vectors[0] == a.vectors[2] != a.vectors[1]
    assert stub.stats()[EMBED] == 1 and stub.stats()["texts"] == 2
    keys = redis.client.keys("fn:e:text-embedding-3-small:0:*")
    assert len(keys) == 2 and all(86390 <= redis.client.ttl(k) <= 86400 for k in keys)
    b = emb.hub.embed("How many?").wait()
    assert b.rep["cached"] == 1 and b.vectors[0] == a.vectors[0]
    assert stub.stats()[EMBED] == 1
    assert emb.stat("embedding_cache_hits_total") == 1


def free(emb, *texts):
    call = emb.hub.ask("embed.free", dict(texts=list(texts))).wait()
    assert call.code == 0, call.head
    return call


def test_a_call_that_may_cost_nothing_gets_what_is_cached_or_hears_that_it_would_cost(emb, stub, redis):
    misses = lambda: emb.stat("embedding_cache_misses_total")
    assert free(emb, "What for?").rep == {"model": "text-embedding-3-small", "dims": 0, "vectors": b""}
    a = emb.hub.embed("What for?").wait()
    assert stub.stats()[EMBED] == 1 and misses() == 1                  # it was looked for twice, and missing once
    b = free(emb, "What for?")
    assert b.rep["cached"] == 1 and b.vectors == a.vectors and stub.stats()[EMBED] == 1
    both = free(emb, "What for?", "What else?").rep
    assert (both["dims"], both["vectors"], both.get("cached", 0)) == (0, b"", 0)
    stub.script({"route": EMBED, "delay_ms": 1500, "times": 1})
    slow = emb.hub.embed("What else?")
    wait_for(lambda: stub.stats()["concurrent"] == 1)
    assert free(emb, "What else?").rep["dims"] == 0 and not slow.done.is_set()   # it waits for nobody's paid call, which may become its own
    assert slow.wait().code == 0 and stub.stats()[EMBED] == 2 and misses() == 2


def test_no_call_that_may_cost_nothing_has_the_model_asked_whether_the_cache_is_old(emb, stub, redis):
    a = emb.hub.embed("What for?").wait()
    with_new_process = Embedder(OPENAI_BASE_URL=stub.url + "/v1", OPENAI_API_KEY="sk-test", REDIS_URL=redis.url)
    try:
        assert free(with_new_process, "What for?").rep["dims"] == 0 and stub.stats()[EMBED] == 1
        assert with_new_process.hub.embed("What for?").wait().rep["cached"] == 1
        wait_for(lambda: stub.stats()[EMBED] == 2)                      # that one may
        assert free(with_new_process, "What for?").vectors == a.vectors and stub.stats()[EMBED] == 2
    finally:
        with_new_process.close()


@pytest.mark.parametrize("value", [b"", b"x" * 40, b"FE\x02\x00" + b"\0" * 2000, b"FE\x01\x00\x00\x01\x00\x00" + b"\0" * 1056, "list"])
def test_a_broken_cached_value_is_a_miss_and_replaced(emb, stub, redis, value):
    good = emb.hub.embed("text").wait()
    (key,) = redis.client.keys("fn:e:*")
    redis.client.delete(key)
    redis.client.rpush(key, "x") if value == "list" else redis.client.set(key, value)
    again = emb.hub.embed("text").wait()
    assert again.code == 0 and again.vectors == good.vectors and not again.rep.get("cached")
    assert stub.stats()[EMBED] == 2 and redis.client.strlen(key) == 40 + 4 * 256 + 4  # head, vector, tokens


def test_a_model_that_gives_other_dimensions_is_believed_and_older_cached_vectors_are_misses(emb, stub, redis):
    old = emb.hub.embed("what was cached").wait()
    assert old.rep["dims"] == 256
    stub.script({"route": EMBED, "times": 0, "wrong_dims": True})  # from now on one less
    probe = emb.hub.embed("what was cached", fresh=True).wait()
    assert probe.rep["dims"] == 255 and not probe.rep.get("cached")
    assert emb.hub.embed("what was cached").wait().rep["dims"] == 255
    stub.reset()
    emb.hub.embed("what was cached", fresh=True).wait()            # 256 again, in the cache
    stub.script({"route": EMBED, "times": 0, "wrong_dims": True})
    emb.hub.embed("another", fresh=True).wait()
    redis.client.delete("fn:d:text-embedding-3-small:0")           # as a release before left the cache
    both = emb.hub.embed("what was cached", "what is new").wait()  # neither failed nor mixed
    assert both.code == 0 and both.rep["dims"] == 255 and not both.rep.get("cached")
    cached = emb.hub.embed("what is new").wait()
    assert cached.rep["dims"] == 255 and cached.rep["cached"] == 1
    assert emb.hub.embed("what was cached").wait().rep["cached"] == 1  # the new vector took the old one's place
    stub.reset()                                                  # and back again: a probe finds it out, caches follow
    assert emb.hub.embed("what is new", fresh=True).wait().rep["dims"] == 256
    assert emb.hub.embed("what was cached").wait().rep["dims"] == 256


def test_two_texts_with_one_md5_get_two_vectors(emb, stub, redis):
    emb.hub.embed("text one").wait()
    emb.hub.embed("text two").wait()
    k1, k2 = redis.client.keys("fn:e:*")
    redis.client.rename(k1, "x"), redis.client.rename(k2, k1), redis.client.rename("x", k2)
    emb.hub.embed("text one", "text two").wait()
    assert stub.stats()[EMBED] == 3
    assert emb.stat("cache_collision_total") == 2


def test_many_equal_questions_at_once_cost_one_call(emb, stub):
    stub.script({"route": EMBED, "times": 1, "delay_ms": 300})
    calls = [emb.hub.embed("the same question") for _ in range(200)]
    assert all(c.wait().code == 0 for c in calls)
    assert len({c.rep["vectors"] for c in calls}) == 1
    assert stub.stats()[EMBED] == 1
    assert emb.stat('embed_texts_total{source="shared"}') == 199


def test_a_leaders_passing_failure_promotes_one_follower(emb, stub):
    stub.script({"route": EMBED, "status": 500, "delay_ms": 300}, {"route": EMBED, "delay_ms": 50})
    calls = [emb.hub.embed("the same question") for _ in range(50)]
    codes = sorted(c.wait().code for c in calls)
    assert codes == [0] * 49 + [UPSTREAM]
    assert stub.stats()[EMBED] == 2


def test_a_final_failure_is_shared(emb, stub):
    stub.script({"route": EMBED, "status": 401, "delay_ms": 300})
    calls = [emb.hub.embed("the same question") for _ in range(20)]
    assert {c.wait().code for c in calls} == {REFUSED}
    assert stub.stats()[EMBED] == 1


def test_a_cancelled_leader_leaves_the_call_to_its_followers(emb, stub):
    stub.script({"route": EMBED, "delay_ms": 400})
    leader = emb.hub.embed("the same question")
    wait_for(lambda: stub.stats()["concurrent"] == 1)
    follower = emb.hub.embed("the same question")
    wait_for(lambda: emb.stat("embed_flights") == 1)
    emb.hub.cancel(leader)
    assert leader.wait().code == 67 and follower.wait().code == 0
    assert stub.stats()[EMBED] == 1 and stub.stats()["aborted"] == 0


def test_a_cancelled_call_is_dropped_upstream_at_once(emb, stub):
    stub.script({"route": EMBED, "hang": True})
    call = emb.hub.embed("nobody waits")
    wait_for(lambda: stub.stats()["concurrent"] == 1)
    asked = time.monotonic()
    emb.hub.cancel(call)
    assert call.wait().code == 67 and call.ended - asked < 1
    wait_for(lambda: stub.stats()["aborted"] == 1)


@pytest.mark.parametrize("fault, code", [
    ({"garbage": True}, REPLY), ({"nan": True}, REPLY), ({"drop_last": True}, REPLY), ({"bad_index": True}, REPLY),
    ({"redirect": "http://169.254.169.254/"}, REPLY), ({"status": 500}, UPSTREAM), ({"status": 503}, UPSTREAM),
    ({"cut_after_bytes": 100}, LOST), ({"cut_after_bytes": 0}, LOST), ({"status": 401}, REFUSED),
    ({"status": 404, "code": "model_not_found"}, REFUSED), ({"status": 504}, TIMEOUT)])
def test_each_upstream_fault_has_its_code_and_is_not_cached(emb, stub, redis, fault, code):
    stub.script(dict(fault, route=EMBED))
    bad = emb.hub.embed("text", "more").wait()
    assert bad.code == code and "scripted" not in bad.head.get("text", "")
    assert redis.client.keys("fn:e:*") == []
    assert emb.hub.embed("text", "more").wait().code == 0


def test_other_dimensions_than_before_are_believed_when_a_second_reply_agrees(emb, stub):
    assert emb.hub.embed("first").wait().rep["dims"] == 256
    stub.script({"route": EMBED, "wrong_dims": True})
    assert emb.hub.embed("second").wait().rep["dims"] == 256
    stub.script({"route": EMBED, "wrong_dims": True, "times": 0})
    assert emb.hub.embed("third").wait().rep["dims"] == 255
    assert emb.hub.embed("first").wait().rep["dims"] == 255 # the cached one is left alone


def test_a_slow_server_times_out_at_the_deadline(emb, stub):
    stub.script({"route": EMBED, "hang": True})
    call = emb.hub.embed("slow", ttl_ms=400).wait()
    assert call.code in (TIMEOUT, 65) and call.seconds < 2


def test_a_rate_limit_passes_its_wait_on(emb, stub):
    stub.script({"route": EMBED, "status": 429, "retry_after": "2"})
    call = emb.hub.embed("text").wait()
    assert call.code == LIMITED and call.head["retry_after_ms"] == 2000 and call.head["retryable"]


def test_a_billing_error_stops_all_calls_for_a_while(emb, stub):
    stub.script({"route": EMBED, "status": 429, "code": "insufficient_quota", "times": 0})
    calls = [emb.hub.embed("text %d" % i).wait() for i in range(20)]
    assert {c.code for c in calls} == {QUOTA} and not calls[0].head.get("retryable")
    assert stub.stats()[EMBED] == 1


def test_five_failures_open_the_breaker_and_a_probe_closes_it(emb, stub):
    stub.script({"route": EMBED, "status": 500, "times": 5})
    codes = [emb.hub.embed("text %d" % i).wait().code for i in range(30)]
    assert set(codes) == {UPSTREAM} and stub.stats()[EMBED] == 5
    assert emb.stat('upstream_breaker{route="embed"}') == 2
    assert emb.stat('upstream_calls_total{route="embed",outcome="blocked"}') == 25
    wait_for(lambda: emb.hub.embed("text").wait().code == 0, 3)
    assert stub.stats()[EMBED] == 6


def test_a_server_without_base64_is_asked_again_for_numbers(emb, stub):
    stub.script({"route": EMBED, "reject_param": "encoding_format", "times": 0})
    assert emb.hub.embed("text").wait().code == 0
    assert emb.hub.embed("other").wait().code == 0
    assert stub.stats()[EMBED] == 3


def test_a_server_that_ignores_base64_is_understood(emb, stub):
    stub.script({"route": EMBED, "floats": True, "times": 0})
    for i in range(3):
        call = emb.hub.embed(*["text %d of %d" % (k, i) for k in range(256)]).wait()
        assert call.code == 0 and len(call.vectors) == 256


def test_without_redis_all_is_answered(stub):
    stub.reset()
    e = Embedder(OPENAI_BASE_URL=stub.url + "/v1", OPENAI_API_KEY="k", REDIS_URL="redis://127.0.0.1:1")
    assert e.hub.embed("text").wait().code == 0
    assert e.stat("embedding_cache_bypass_total") == 1
    e.close()


def test_a_server_without_embeddings_is_named_at_start(stub):
    stub.reset()
    stub.script({"route": EMBED, "status": 501})
    e = Embedder(OPENAI_BASE_URL=stub.url + "/v1")
    wait_for(lambda: "EMBEDDING_PROVIDER=builtin" in e.logs())
    e.close()


def test_a_kept_connection_that_was_closed_costs_nothing():
    first = Stub()
    e = Embedder(OPENAI_BASE_URL=first.url + "/v1", OPENAI_API_KEY="k")
    assert e.hub.embed("one").wait().code == 0
    first.close()
    second = Stub("--port", first.url.rsplit(":", 1)[1])
    assert e.hub.embed("two").wait().code == 0
    assert e.hub.chat("q?", PASSAGES).wait().code == 0
    second.close()
    refused = e.hub.embed("three").wait()
    assert refused.code == UPSTREAM and refused.head["retryable"] and refused.seconds < 2
    e.close()


def test_a_wrong_configuration_is_named_and_refused():
    for env, word in (({"EMBEDDING_PROVIDER": "openai"}, "OPENAI_API_KEY"), ({"EMBEDDER_ROLE": "x"}, "EMBEDDER_ROLE"),
                      ({"OPENAI_BASE_URL": "ftp://x"}, "http://"), ({"CHAT_FALLBACK": "maybe"}, "CHAT_FALLBACK")):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "EMBED", "CHAT_"))}
        run = subprocess.run([os.path.join(BIN, "footnote-embedder"), "--check-config"], env=dict(clean, **env),
                             capture_output=True, text=True)
        assert run.returncode == 1 and word in run.stdout + run.stderr


# ---- chat

def test_an_answer_streams_and_is_cited(emb, stub):
    stub.script({"route": CHAT, "drip_ms": 10})
    c = emb.hub.chat("How many?", PASSAGES, history=[{"role": "user", "content": "hi"}]).wait()
    assert c.code == 0 and c.rep["text"] == "The pool keeps ten connections. [1]" == "".join(c.parts)
    assert len(c.parts) > 3 and c.rep["finish_reason"] == "stop" and c.rep["model"] == "gpt-4o-mini"
    assert c.rep["prompt_tokens"] > 0 and c.rep["completion_tokens"] > 0
    sent = stub.last()
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["stream"] and sent["max_tokens"] == 1024 and "[2] Other" in sent["messages"][-1]["content"]


def test_what_arrives_together_is_one_part(emb, stub):
    c = emb.hub.chat("How many?", PASSAGES).wait()
    assert c.code == 0 and "".join(c.parts) == c.rep["text"] and len(c.parts) < 4


def test_whoever_waits_for_the_whole_answer_gets_no_parts(emb, stub):
    c = emb.hub.chat("How many?", PASSAGES, whole=True).wait()
    assert c.code == 0 and c.parts == [] and c.rep["text"].endswith("[1]")


def test_a_refusal_is_recognised(emb, stub):
    stub.script({"route": CHAT, "text": "Not in here."})
    c = emb.hub.chat("q?", PASSAGES, refusal="Not in here.").wait()
    assert c.code == 0 and c.rep["refused"] is True


def test_refused_parameters_are_dropped(emb, stub):
    stub.script({"route": CHAT, "reject_param": "stream_options", "times": 0},
                {"route": CHAT, "reject_param": "temperature", "times": 0},
                {"route": CHAT, "reject_param": "max_tokens", "times": 0,
                 "message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."})
    assert emb.hub.chat("q?", PASSAGES).wait().code == 0
    assert stub.stats()[CHAT] == 4
    assert stub.last()["max_completion_tokens"] == 1024
    assert emb.hub.chat("q?", PASSAGES).wait().code == 0
    assert stub.stats()[CHAT] == 5


@pytest.mark.parametrize("fault, code", [
    ({"garbage": True}, REPLY), ({"content_type": "text/html"}, REPLY), ({"redirect": "http://169.254.169.254/"}, REPLY),
    ({"status": 500}, UPSTREAM), ({"error_after": 0}, UPSTREAM), ({"cut_after_bytes": 20}, LOST),
    ({"status": 401}, REFUSED), ({"status": 429}, LIMITED), ({"status": 429, "code": "insufficient_quota"}, QUOTA)])
def test_a_failure_before_the_first_token_has_its_code(emb, stub, fault, code):
    stub.script(dict(fault, route=CHAT))
    c = emb.hub.chat("q?", PASSAGES).wait()
    assert c.code == code and c.parts == [] and "scripted" not in c.head.get("text", "")


@pytest.mark.parametrize("fault", [{"error_after": 3}, {"junk_after": 3}, {"no_done": True}])
def test_a_failure_after_the_first_token_is_an_interruption(emb, stub, fault):
    stub.script(dict(fault, route=CHAT))
    c = emb.hub.chat("q?", PASSAGES).wait()
    assert c.code == CUT and len(c.parts) > 0 and not c.head.get("retryable")


def test_a_stream_cut_at_any_byte_never_passes_for_whole(emb, stub):
    text = "One two three. [1]"
    whole = len(http(stub.url + "/v1/chat/completions", {"model": "gpt-4o-mini", "stream": True, "messages": [],
                                                         "stream_options": {"include_usage": True}}))
    for at in range(0, 1500, 37):
        stub.script({"route": CHAT, "text": text, "cut_after_bytes": at})
        c = emb.hub.chat("q?", PASSAGES).wait()
        if c.code == 0:
            assert c.rep["text"] == text and at > 800, at
        else:
            assert c.code == (CUT if c.parts else LOST), at
        if c.code == LOST and not c.parts:
            assert emb.hub.chat("q?", PASSAGES).wait().code == 0 # keeps the breaker closed
    assert whole > 0


def test_a_cancelled_stream_is_dropped_upstream_at_once(emb, stub):
    stub.script({"route": CHAT, "drip_ms": 100, "text": "word " * 200})
    c = emb.hub.chat("q?", PASSAGES)
    wait_for(lambda: len(c.parts) > 2)
    asked = time.monotonic()
    emb.hub.cancel(c)
    assert c.wait().code == 67 and c.ended - asked < 1
    wait_for(lambda: stub.stats()["aborted"] == 1)
    assert stub.stats()["concurrent"] <= 1 and emb.stat("chat_cancelled_total") == 1


def test_with_the_fallback_a_failed_server_is_stood_in_for(stub):
    e = Embedder(OPENAI_BASE_URL=stub.url + "/v1", OPENAI_API_KEY="k", CHAT_FALLBACK="builtin")
    stub.reset()
    stub.script({"route": CHAT, "status": 500}, {"route": CHAT, "error_after": 3})
    c = e.hub.chat("How many connections does the pool keep?", PASSAGES).wait()
    assert c.code == 0 and c.rep["degraded"] is True and c.rep["text"].startswith("The pool keeps ten connections. [1]")
    assert e.stat('chat_answers_total{source="degraded"}') == 1
    assert e.hub.chat("q?", PASSAGES).wait().code == CUT # after the first token there is no second voice
    e.close()


def header_of_one_request(listener):
    """What a client sends before it is cut off."""
    c, _ = listener.accept()
    c.settimeout(5)
    got = b""
    while b"\r\n\r\n" not in got:
        got += c.recv(65536)
    c.close()
    return got.split(b"\r\n\r\n")[0].decode().lower()


def test_embeddings_may_have_a_server_of_their_own(stub):
    other = Stub()
    e = Embedder(OPENAI_BASE_URL=stub.url + "/v1", OPENAI_API_KEY="k", OPENAI_EMBEDDING_BASE_URL=other.url + "/v1")
    stub.reset()
    other.reset()
    assert e.hub.embed("How many?").wait().code == 0
    assert e.hub.chat("q?", PASSAGES).wait().code == 0
    assert (stub.stats()[EMBED], stub.stats()[CHAT]) == (0, 1)
    assert (other.stats()[EMBED], other.stats()[CHAT]) == (1, 0)
    e.close()
    other.close()


@pytest.mark.parametrize("own", ["", "sk-of-the-other"])
def test_the_embedding_server_never_gets_the_chat_servers_key(stub, own):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        e = Embedder(OPENAI_BASE_URL=stub.url + "/v1", OPENAI_API_KEY="sk-of-chat", OPENAI_EMBEDDING_API_KEY=own,
                     OPENAI_EMBEDDING_BASE_URL="http://127.0.0.1:%d/v1" % listener.getsockname()[1])
        e.hub.embed("How many?")
        header = header_of_one_request(listener)
        assert "post /v1/embeddings" in header and "sk-of-chat" not in header
        assert ("authorization: bearer " + own in header) if own else ("authorization" not in header)
        e.close()


def test_sigterm_lets_a_stream_finish(emb, stub):
    stub.script({"route": CHAT, "drip_ms": 50, "text": "word " * 20})
    c = emb.hub.chat("q?", PASSAGES)
    wait_for(lambda: len(c.parts) > 1)
    assert emb.terminate() == 0
    assert c.wait().code == 0 and c.rep["text"] == "word " * 20


def test_a_silent_server_is_asked_whether_its_machine_is_there(emb, stub):
    """F47: without that a call on a connection that the network took away waits for as long as a server may think."""
    port = int(stub.url.rsplit(":", 1)[1])
    stub.script({"route": CHAT, "delay_ms": 1500})
    call = emb.hub.chat("q?", PASSAGES)
    wait_for(lambda: [ours for ours, _ in silence(emb.proc.pid, port) if ours and ours <= 5.1])
    assert call.wait().code == 0


def test_neither_key_nor_texts_are_logged(emb, stub):
    stub.script({"route": CHAT, "status": 500, "message": "upstream-words"})
    emb.hub.chat("a secret question", PASSAGES).wait()
    assert not [w for w in ("sk-test", "secret question", "upstream-words") if w in emb.logs()]


def test_a_thousand_streams_at_once(emb, stub):
    stub.script({"route": CHAT, "delay_ms": 3000, "times": 0})
    calls = [emb.hub.chat("q %d?" % i, PASSAGES) for i in range(1000)]
    assert all(c.wait(60).code == 0 for c in calls)
    assert stub.stats()["concurrent_max"] > 500
