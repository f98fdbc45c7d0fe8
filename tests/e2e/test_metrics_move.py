"""Every metric moves when its event happens: a table, and a check that no metric of any process is missing from it.

docs/metrics.md is written from the same table and from what the processes say of themselves; this test fails when it is stale
(FOOTNOTE_WRITE_DOCS=1 writes it). The events are in metrics_kit.py."""
import contextlib
import os
import re

import pytest

from corpus_kit import add_corpus
from metrics_kit import EVENTS, kernel
from suite import ADMIN_KEY, LOOPBACK, SANITIZED, TOP, SERVICES, Suite, free_port, wait_for

pytestmark = [pytest.mark.skipif(SANITIZED, reason="waits for times that a sanitizer stretches"), pytest.mark.limit(60)]

Q = "POST /api/v1/chat/query"
# (event, process, [(metric, how it moves, labels)]). How: + grows, - falls, ~ changes; "while …": as long as the event lasts.
TABLE = [
    ("a question is answered", "gateway", [
        ("http_requests_total", "+", {"route": Q, "status": "200"}), ("http_request_seconds", "+", {"route": Q}),
        ("bus_requests_total", "+", {"kind": "chat"}), ("redis_calls_total", "+", {}), ("process_cpu_seconds_total", "+", {}),
        ("query_cache_total", "+", {"outcome": "miss"}), ("query_cache_total", "+", {"outcome": "stored"}),
        ("marks_total", "+", {}), ("citations_verbatim_total", "+", {}), ("question_added_seconds", "+", {"cached": "none"}),
        ("question_seconds", "+", {"cached": "none"}), ("question_tokens_total", "+", {"kind": "prompt"}),
        ("question_cost_dollars_total", "+", {"kind": "completion"})] +
        [("question_stage_seconds", "+", {"stage": n}) for n in
         ("auth", "cache", "begin", "embed", "search", "generate", "cite", "finish")]),
    ("a question is answered", "embedder", [
        ("embed_texts_total", "+", {"source": "model"}), ("embed_seconds", "+", {"result": "ok"}),
        ("embedding_cache_misses_total", "+", {}), ("upstream_calls_total", "+", {"route": "chat", "outcome": "ok"}),
        ("upstream_seconds", "+", {"route": "embed"}), ("upstream_tokens_total", "+", {"kind": "embedding"}),
        ("upstream_tokens_total", "+", {"kind": "prompt"}), ("upstream_tokens_total", "+", {"kind": "completion"}),
        ("upstream_cost_dollars_total", "+", {"kind": "embedding"}), ("upstream_cost_dollars_total", "+", {"kind": "prompt"}),
        ("upstream_cost_dollars_total", "+", {"kind": "completion"}), ("chat_answers_total", "+", {"source": "upstream"}),
        ("chat_first_token_seconds", "+", {}), ("bus_calls_total", "+", {"kind": "embed"}), ("bus_work_seconds", "+", {"kind": "chat"})]),
    ("a question is answered", "retriever", [
        ("retriever_search_seconds", "+", {})]),
    ("a question is answered", "store", [
        ("store_transaction_seconds", "+", {"kind": "turn.finish"}), ("store_statement_seconds", "+", {"statement": "COMMIT"}),
        ("store_groups_total", "+", {}), ("store_grouped_turns_total", "+", {})]),
    ("a question with an Idempotency-Key", "gateway", [("idempotency_total", "+", {"outcome": "stored"})]),
    ("Postgres ends a connection at work", "store", [
        ("store_retries_total", "+", {}), ("store_pool_closed_total", "+", {"reason": "lost"}), ("store_pool_opened_total", "+", {})]),
    ("the store starts with a larger pool", "store", [("store_pool_max", "while +", {}), ("store_migration", "while new", {})]),
    ("more requests than connections", "store", [
        ("store_pool_pings_total", "+", {}),
        ("store_pool_active", "while +", {}), ("store_pool_idle", "while -", {}), ("store_pool_waiting", "while +", {}),
        ("store_pool_overflow", "while +", {}), ("store_pool_longest_wait_seconds", "while +", {}),
        ("store_pool_wait_seconds", "+", {}), ("store_pool_timeouts_total", "+", {})]),
    ("Postgres stops", "store", [("store_postgres_up", "while -", {})]),
    # before the clean-up below, which holds a lock for half a minute
    ("a resumable stream is erased while it is written", "embedder", [("chat_frames_lost_total", "+", {})]),
    ("a clean-up that was missed", "janitor", [
        ("janitor_runs_total", "new", {}), ("janitor_deleted_rows_total", "new", {"job": "messages"}), ("janitor_batches_total", "new", {}),
        ("janitor_batch_seconds", "new", {}), ("janitor_last_success_timestamp_seconds", "new", {}),
        ("janitor_next_run_timestamp_seconds", "new", {})]),
    ("a clean-up that was missed", "store", [("store_cleaned_rows_total", "+", {})]),
    ("a clean-up that cannot go on", "janitor", [("janitor_running", "while new", {})]),
    ("the same question again", "gateway", [
        ("query_cache_total", "+", {"outcome": "hit"}), ("question_added_seconds", "+", {"cached": "query"}),
        ("turns_queued_total", "+", {"outcome": "queued"}), ("cache_saved_tokens_total", "+", {"cache": "query", "kind": "prompt"}),
        ("cache_saved_tokens_total", "+", {"cache": "query", "kind": "completion"}), ("cache_saved_dollars_total", "+", {"cache": "query"})]),
    ("the same question again", "gateway", [("query_cache_hits_total", "+", {"scope": "session"})]),
    ("a busy key asks the same again and again", "gateway", [
        ("near_cache_total", "+", {"outcome": "hit"}), ("near_cache_total", "+", {"outcome": "stored"}), ("near_cache_bytes", "while +", {}),
        ("near_cache_answers", "while +", {}), ("rate_limit_advance_total", "+", {"tokens": "taken"}),
        ("rate_limit_advance_total", "+", {"tokens": "spent"}), ("turn_trips_total", "+", {})]),
    ("the same question of a collection that shares", "gateway", [
        ("query_cache_hits_total", "+", {"scope": "collection"}), ("query_cache_shared_total", "+", {"outcome": "hit"}),
        ("query_cache_shared_total", "+", {"outcome": "miss"}), ("question_flights_total", "+", {"event": "led"})]),
    ("a near-identical question of a collection with near answers", "gateway", [
        ("query_cache_semantic_total", "+", {"outcome": "checked"}), ("query_cache_semantic_refused_total", "+", {"gate": "negation"}),
        ("query_cache_semantic_checks_total", "+", {"outcome": "agree"})]),
    ("the same question again", "store", [("store_outbox_saved_total", "+", {})]),
    ("the same question in another session", "embedder", [
        ("embedding_cache_hits_total", "+", {}), ("embed_texts_total", "+", {"source": "cache"}),
        ("cache_saved_tokens_total", "+", {"cache": "embedding"}), ("cache_saved_dollars_total", "+", {"cache": "embedding"})]),
    ("an answer is streamed", "gateway", [("question_first_token_seconds", "+", {})]),
    ("a question waits for the model server", "gateway", [
        ("http_in_flight", "while +", {}), ("http_busy", "while +", {}), ("http_streams", "while +", {}), ("bus_outstanding", "while +", {"service": "chat"})]),
    ("a question waits for the model server", "embedder", [
        ("upstream_active", "while +", {"route": "chat"}), ("bus_inflight", "while +", {})]),
    ("an embedding waits for the model server", "embedder", [("embed_flights", "while +", {})]),
    ("a stream's client leaves", "embedder", [("chat_cancelled_total", "+", {}), ("bus_cancelled_total", "+", {})]),
    ("a resumable stream is left and read on", "gateway", [("streams_resumable_total", "+", {"event": e}) for e in ("kept", "left", "resumed")]),
    ("a resumable stream is left and read on", "embedder", [("chat_frames", "while +", {})]),
    ("a question about nothing in the documents", "retriever", [("retriever_search_empty_total", "+", {})]),
    ("the model says that it does not know", "embedder", [("chat_refused_total", "+", {})]),
    ("the embedding model is another one", "retriever", [("retriever_reembedded_total", "+", {}), ("retriever_model_switches_total", "+", {})]),
    ("the embedding model is another one", "gateway", [("embedding_model_away_total", "+", {})]),
    ("the work on another model's vectors cannot be read", "retriever", [("retriever_reembed_faults_total", "+", {})]),
    ("a reranker puts passages in order", "gateway", [("reranks_total", "+", {"outcome": "ok"})]),
    ("the model cites a passage that there is not", "gateway", [("marks_dropped_total", "+", {}), ("marks_own_total", "+", {})]),
    ("the model cites a passage that says nothing of it", "gateway", [("marks_unsupported_total", "+", {})]),
    ("the reader of a file is killed", "retriever", [("retriever_reader_faults", "+", {})]),
    ("another server reads a document", "retriever", [("retriever_conversions_total", "while +", {"result": "ok"})]),
    ("a flood of paths that there are not", "gateway", [("http_unlogged_total", "+", {})]),
    ("the model gives its prompt away", "embedder", [("chat_leaks_total", "+", {})]),
    ("the model does not end", "embedder", [("chat_overlong_total", "+", {})]),
    ("an answer holds links and HTML", "gateway", [
        ("answer_removed_total", "+", {"kind": k}) for k in ("link", "image", "url", "tag")]),
    ("the model cites nothing but quotes", "gateway", [("marks_added_total", "+", {})]),
    ("a model without a price", "embedder", [("upstream_unpriced_tokens_total", "+", {"kind": "prompt"})]),
    ("a model without a price", "gateway", [("question_unpriced_tokens_total", "+", {"kind": "prompt"}), ("cache_saved_unpriced_tokens_total", "+", {"cache": "query"})]),
    ("an embedding model without a price", "embedder", [("cache_saved_unpriced_tokens_total", "while new", {"cache": "embedding"})]),
    ("a search by a filter that means nothing", "retriever", [("retriever_search_refused_total", "+", {})]),
    ("a question to somebody else's conversation", "store", [
        ("store_errors_total", "+", {"class": "refused"}), ("bus_calls_failed_total", "+", {"kind": "turn.begin"})]),
    ("a malformed request", "gateway", [("http_edge_refused_total", "+", {})]),
    ("headers that never end", "gateway", [("http_connections_cut_total", "while +", {})]),
    ("connections that wait", "gateway", [("http_connections", "while +", {}), ("http_threads", "while +", {})]),
    ("an answer that its client does not take", "gateway", [("http_connections_closing", "while +", {})]),
    ("more requests than a session may make", "gateway", [("rate_limited_total", "+", {"policy": "session"})]),
    ("a budget of the day is used up", "gateway", [
        ("budget_warnings_total", "+", {"of": "key"}), ("budget_refused_total", "+", {"why": "key"})]),
    ("a request without a key where one is needed", "gateway.lab", [("auth_failures_total", "+", {})]),
    ("a key is made", "gateway", [("api_keys", "+", {})]),
    ("somebody reads /metrics", "*", [("internal_requests_total", "+", {"path": "/metrics"}),
                                      ("process_resident_memory_bytes", "as the kernel says", {}),
                                      ("process_start_time_seconds", "as the kernel says", {}), ("build_info", "is 1", {})]),
    ("a process may open fewer files", "*", [("process_max_fds", "-", {})]),
    ("more connections to an internal port than it takes", "*", [
        ("process_open_fds", "while +", {}), ("internal_connections_closed_total", "+", {})]),
    ("Redis stops", "gateway", [
        ("redis_up", "while -", {}), ("redis_failures_total", "+", {}), ("redis_breaker_open", "while +", {}),
        ("rate_limit_local_total", "+", {})]),
    ("Redis stops", "embedder", [("embedding_cache_bypass_total", "+", {})]),
    ("Redis stops", "store", [("store_outbox_errors_total", "+", {})]),
    ("Redis wants another password", "gateway", [("redis_auth_errors_total", "while +", {})]),
    ("a cached embedding is damaged", "embedder", [("embedding_cache_bad_total", "+", {})]),
    ("a cached embedding belongs to another text", "embedder", [("cache_collision_total", "+", {})]),
    ("the first of two equal embeddings fails", "embedder", [("embed_promoted_total", "+", {})]),
    ("the model server fails", "embedder", [
        ("upstream_breaker", "while +", {}), ("chat_failed_total", "+", {}), ("upstream_calls_total", "+", {"outcome": "error"}),
        ("upstream_calls_total", "+", {"outcome": "blocked"})]),
    ("the model server fails", "gateway", [("bus_requests_failed_total", "+", {"kind": "chat"})]),
    ("the model server tells no tokens", "embedder", [("upstream_uncounted_total", "+", {"route": "chat"})]),
    ("a worker is killed", "gateway", [
        ("bus_workers", "while -", {"service": "retrieve"}), ("bus_capacity", "while -", {"service": "retrieve"}),
        ("bus_worker_lost_total", "+", {})]),
    ("a worker hangs", "gateway", [("change_feed_age_seconds", "while +", {}), ("api_keys_age_seconds", "while +", {})]),
    ("a worker hangs", "retriever", [("retriever_feed_age_seconds", "while +", {})]),
    ("a worker starts", "gateway", [("bus_worker_joined_total", "+", {}), ("bus_connections_total", "+", {"what": "accepted"})]),
    ("a worker starts", "embedder", [("bus_registrations_total", "new", {}), ("bus_hubs", "new", {})]),
    ("a request for a service that nobody offers", "gateway.lab", [("bus_no_worker_total", "+", {"service": "retrieve"})]),
    ("a worker declines, fails, and then answers", "gateway.lab", [
        ("bus_hub_nacks_total", "+", {"kind": "embed"}), ("bus_retries_total", "+", {"kind": "embed"})]),
    ("a worker answers too late", "gateway.lab", [
        ("bus_attempt_timeouts_total", "+", {"kind": "search"}), ("bus_dropped_replies_total", "+", {})]),
    ("a request garbles two workers", "gateway.lab", [("bus_poison_total", "+", {}), ("bus_hub_bad_frames_total", "+", {})]),
    ("more requests than a queue holds", "gateway.lab", [
        ("bus_queue_full_total", "+", {"service": "chat"}), ("bus_queued", "while +", {"service": "chat"}),
        ("bus_queue_expired_total", "+", {"service": "chat"})]),
    ("one of two workers fails five times", "gateway.lab", [("bus_worker_aside_total", "+", {"service": "embed"})]),
    ("a worker falls silent", "gateway.lab", [("bus_worker_expired_total", "+", {})]),
    ("a hub garbles, asks too late, and reads no answers", "embedder.lab", [
        ("bus_bad_frames_total", "while new", {}), ("bus_unsent_total", "while new", {}),
        ("bus_nacks_total", "while new", {"kind": "embed"}), ("bus_lost_hubs_total", "while new", {})]),
    ("a document is added", "gateway", [("change_feed_seq", "+", {})]),
    ("a document is added", "retriever", [
        ("retriever_feed_seq", "+", {}), ("retriever_index_documents", "+", {}), ("retriever_index_passages", "+", {}),
        ("retriever_index_bytes", "+", {}), ("retriever_jobs_total", "+", {"result": "done"}),
        ("retriever_job_seconds", "+", {"result": "done"}), ("retriever_chunks_total", "+", {}),
        ("retriever_chunks_embedded_total", "+", {}), ("bus_asked_total", "+", {"kind": "jobs.claim"})]),
    ("a document is deleted", "retriever", [("retriever_feed_deletes_total", "+", {})]),
    ("documents wait for a retriever", "retriever", [
        ("retriever_jobs_waiting", "while +", {}), ("retriever_jobs_running", "while +", {})]),
    ("an index that is too small, and chunks that cannot be read", "retriever.lab", [
        ("retriever_feed_pending", "while new", {}), ("retriever_feed_faults_total", "while new", {}),
        ("retriever_index_full_total", "new", {}), ("retriever_documents_aside", "new", {}),
        ("retriever_documents_put_aside_total", "new", {})]),
    ("turns wait for the database", "store", [("store_outbox_length", "while +", {})]),
    ("a queued turn of a session that was erased", "store", [("store_outbox_erased_total", "+", {})]),
    ("a queued turn that is none", "store", [("store_outbox_bad_total", "+", {})]),
    ("a clean-up is given up", "janitor", [("janitor_runs_failed_total", "new", {})]),
]
# Shown where the event can be made: file, and what it says of the metric there.
ELSEWHERE = {
    "trace_spans_total": ("tests/e2e/test_traces.py", "trace_spans_total", "spans that a collector takes, or does not"),
    "log_lines_dropped_total": ("tests/unit/common/log_test.c", "log_dropped", "a log reader that hangs"),
    "store_texts_plain_total": ("tests/service/store_texts.py", "store_texts_plain_total", "a store starts on texts that were stored compressed"),
    "retriever_reads_put_off_total": ("tests/service/retriever_ingest.py", "retriever_reads_put_off_total", "a host without descriptors"),
    "store_pool_resets_total": ("tests/unit/store/pool.c", "STAT_POOL_RESETS", "a connection that comes back in mid-transaction"),
    "chat_orphans_total": ("tests/faults/test_f46.py", "chat_orphans_total", "a resumable stream's gateway dies"),
    "retriever_cluster_faults_total": ("tests/opensearch/test_opensearch.py", "retriever_cluster_faults_total", "a search node that hangs"),
    "retriever_cluster_nodes_down": ("tests/opensearch/test_opensearch.py", "retriever_cluster_nodes_down", "a search node that hangs"),
    "retriever_cluster_changes_waiting": ("tests/opensearch/test_opensearch.py", "retriever_cluster_changes_waiting", "a delete while the search cluster hangs"),
    "retriever_search_fallbacks_total": ("tests/e2e/test_fallback.py", "retriever_search_fallbacks_total", "a question while the search cluster is down, with INDEX_FALLBACK"),
    "retriever_search_fallback": ("tests/e2e/test_fallback.py", "footnote_retriever_search_fallback", "the search cluster is down, with INDEX_FALLBACK"),
    "retriever_search_fallback_pending": ("tests/e2e/test_fallback.py", "retriever_search_fallback_pending", "documents come, with INDEX_FALLBACK"),
    "budget_unsettled_total": ("tests/e2e/test_budgets.py", "budget_unsettled_total", "no store is there when a request with a budget ends"),
    "bus_overrun_total": ("tests/unit/gateway/hub_test.c", "bus_overrun_total", "an answer that is not read"),
    "bus_worker_banned_total": ("tests/faults/test_a27.py", "bus_worker_banned_total", "a worker with a key that garbles, over CURVE"),
    "bus_worker_forbidden_total": ("tests/service/bus_curve_test.py", "bus_worker_forbidden_total", "a service that a key is not listed for, over CURVE"),
}
ORDER = list(dict.fromkeys(e for e, _, _ in TABLE))


class LabSuite(Suite):
    """Beside the five: a gateway whose only workers are the tests' own."""

    def five(self):
        return [self.services[n] for n in SERVICES]

    def wait_ready(self, seconds=20):
        wait_for("the five are ready", lambda: all(p.ready() for p in self.five()) and self.gateway_ready(), seconds)

    def up(self):
        super().up()
        port, self.lab_hub = free_port(), free_port()
        self.lab_url = f"http://{LOOPBACK}:{port}"
        self.start("gateway", "gateway.lab", {"PORT": str(port), "HUB_BIND": f"tcp://{LOOPBACK}:{self.lab_hub}", "AUTH": "on",
                                              "ADMIN_KEY": ADMIN_KEY})
        add_corpus(self)


@pytest.fixture(scope="module")
def lab():
    small = {"store": {"DATABASE_POOL_SIZE": "2", "DATABASE_MAX_OVERFLOW": "2", "DATABASE_POOL_TIMEOUT": "1"},
             "gateway": {"HEADER_TIMEOUT": "1", "SEMANTIC_CACHE": "on", "SEMANTIC_CACHE_THRESHOLD": "0.3", "SEMANTIC_CACHE_CHECK": "1"}, "retriever": {"INGEST_JOBS": "1", "REEMBED_PROBE": "2"}}
    with LabSuite(stub=True, service_env=small) as s:
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


def value(metrics, name, labels):
    """A counter's or gauge's value, a histogram's count; 0 when there is no such process or sample yet."""
    if metrics is None:
        return 0.0
    full = name if name.startswith("process_") else "footnote_" + name
    if metrics.types.get(full) == "histogram":
        full += "_count"
    return sum(v for (n, ls), v in metrics.samples.items() if n == full and set(labels.items()) <= set(ls))


def scrape(s, name):
    p = s.services.get(name)
    try:
        return p.metrics() if p is not None and p.running() else None
    except OSError:  # it is going, or coming
        return None


def has_moved(s, process, name, how, labels, before):
    now = scrape(s, process)
    if now is None:
        return False
    new = value(now, name, labels)
    if how == "as the kernel says":
        truth = kernel(s.services[process].pid)
        return abs(new - (truth["rss"] if "memory" in name else truth["start"])) <= (0.1 * truth["rss"] if "memory" in name else 2)
    old = value(before.get(process), name, labels)
    return {"+": new > old, "-": new < old, "~": new != old, "new": new > 0, "is 1": new == 1}[how]


def rows_of(event, s=None):
    """(process, metric, how, labels) of an event, "*" once for each of the five."""
    for e, process, rows in TABLE:
        for name, how, labels in rows if e == event else ():
            for p in SERVICES if process == "*" else (process,):
                yield p, name, how, labels


@pytest.mark.parametrize("event", ORDER)
def test_what_an_event_moves(lab, event):
    rows = list(rows_of(event))
    before = {name: scrape(lab, name) for name in {p for p, _, _, _ in rows}}
    states = EVENTS[event](lab)
    next(states)
    try:
        for p, name, how, labels in rows:
            if how.startswith("while "):
                wait_for(f"{name}{labels} of {p} to move ({how}) while {event}",
                         lambda: has_moved(lab, p, name, how[6:], labels, before), 8)
        for _ in states:  # what follows, until all is put right again
            for p, name, how, labels in rows:
                if p.endswith(".lab") and not how.startswith("while "):
                    wait_for(f"{name}{labels} of {p} to move ({how}) when {event}",
                             lambda: has_moved(lab, p, name, how, labels, before), 8)
    finally:
        with contextlib.suppress(Exception):
            for _ in states:  # after a failure, too
                pass
    for p, name, how, labels in rows:
        if not how.startswith("while ") and p in lab.services:
            wait_for(f"{name}{labels} of {p} to move ({how}) when {event}",
                     lambda: has_moved(lab, p, name, how, labels, before), 8)


def families(s):
    """{metric: (type, help, {label: values}, processes)} of all that the five say."""
    out = {}
    for p in s.five():
        text = p.admin("/metrics", timeout=5).text
        for full, said in re.findall(r"^# HELP (\S+) (.*)$", text, re.M):
            kind = re.search(rf"^# TYPE {full} (\w+)$", text, re.M)[1]
            labels = {}
            for found in re.findall(rf"^{full}(?:_count)?{{(.*)}} ", text, re.M):
                for k, v in re.findall(r'(\w+)="([^"]*)"', found):
                    if v not in labels.setdefault(k, []):
                        labels[k].append(v)
            was = out.get(full)
            if was:
                for k, vs in was[2].items():
                    labels[k] = vs + [v for v in labels.get(k, []) if v not in vs]
            out[full] = (kind, said, labels, (was[3] if was else []) + [p.service])
    return out


def short(full):
    return full[len("footnote_"):] if full.startswith("footnote_") else full


def test_every_metric_of_every_process_has_its_event(lab):
    told = {name for _, _, rows in TABLE for name, _, _ in rows}
    for name, (path, word, _) in ELSEWHERE.items():
        with open(os.path.join(TOP, path)) as f:
            assert word in f.read(), f"{path} says nothing of {name}"
    have = {short(full) for full in families(lab)}
    assert have - told - set(ELSEWHERE) == set(), "metrics without an event in the table"
    assert told | set(ELSEWHERE) <= have, "rows of metrics that there are not"


def unit(name):
    for end, says in (("_seconds_total", "seconds"), ("_seconds", "seconds"), ("_bytes", "bytes"), ("_dollars_total", "US dollars"),
                      ("_tokens_total", "tokens")):
        if name.endswith(end):
            return says
    return ""


def page(s):
    moved = {}
    for event, _, rows in TABLE:
        for name, _, _ in rows:
            moved.setdefault(name, event)
    moved.update({name: says for name, (_, _, says) in ELSEWHERE.items()})
    lines = ["# Metrics", "",
             "Every metric of the five processes, as `/metrics` on their internal ports gives it. This page is written by",
             "`tests/e2e/test_metrics_move.py` from what the processes say and from the table by which it proves that each metric moves;",
             "the test fails when the page is stale. Histograms have buckets from 25 µs to 60 s. Labels are closed lists; lists over ten",
             "are cut here. With traces on a scraper that asks for OpenMetrics gets it, with exemplars: docs/operating.md, docs/decisions/046.", "",
             "| metric | kind | unit | labels | of | meaning | moves, for example, when |", "|---|---|---|---|---|---|---|"]
    for full, (kind, said, labels, processes) in sorted(families(s).items()):
        told = "; ".join(f"`{k}`: " + (", ".join(v[:10]) + (f", … ({len(v)})" if len(v) > 10 else "")) for k, v in sorted(labels.items()))
        if full == "footnote_build_info":
            told = "`version`, `build`"
        of = "all" if len(processes) == len(SERVICES) else ", ".join(sorted(processes))
        lines.append(f"| `{full}` | {kind} | {unit(full)} | {told} | {of} | {said.replace('|', '/')} | {moved.get(short(full), '')} |")
    return "\n".join(lines) + "\n"


def test_the_page_of_metrics_is_true(lab):
    path, want = os.path.join(TOP, "docs", "metrics.md"), page(lab)
    if os.environ.get("FOOTNOTE_WRITE_DOCS") == "1":
        with open(path, "w") as f:
            f.write(want)
    with open(path) as f:
        assert f.read() == want, "docs/metrics.md is stale: FOOTNOTE_WRITE_DOCS=1 writes it"
