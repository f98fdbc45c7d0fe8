#!/usr/bin/env python3
"""Writes the dashboards of deploy/grafana/dashboards/: what they show stands in the tables below, the JSON is made from it.

usage: make.py            write them
       make.py --check    exit 1 when a committed one differs

A panel: (title, kind, unit, what to see in it, {legend: PromQL}). Kinds: line, stack, stat, table. A row of panels shares the
width; "---" begins a new row. $__rate_interval is Grafana's: four scrapes at least.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = {"type": "prometheus", "uid": "footnote-prometheus"}
WIDTH, HEIGHT, STAT_HEIGHT = 24, 8, 4
ASKED = 'route!~"GET /(healthz|readyz)"'


def rate(metric, by="", **labels):
    inside = ",".join(f'{k}="{v}"' for k, v in labels.items())
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{inside}}}[$__rate_interval]))".replace("{}", "")


def quantile(q, metric, by="", where=""):
    le = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({le}) (rate({metric}_bucket{{{where}}}[$__rate_interval])))".replace("{}", "")


def percentiles(metric, where=""):
    return {f"p{int(q * 100)}": quantile(q, metric, where=where) for q in (0.5, 0.95, 0.99)}


OVERVIEW = [
    ("Services up", "stat", "short", "Processes that answer Prometheus, by service. 0, or a name that is missing: FootnoteInstanceDown.",
     {"{{job}}": 'sum by (job) (up{job=~"footnote-.+"})'}),
    ("Alerts on", "stat", "short", "Alerts that fire; docs/runbook.md has a section for each.",
     {"on": 'count(ALERTS{alertstate="firing"}) or vector(0)'}),
    ("Requests that fail", "stat", "percentunit", "Share of 5xx without health checks. The alert fires over 2 %.",
     {"5xx": f'sum(rate(footnote_http_requests_total{{status=~"5..",{ASKED}}}[5m])) / sum(rate(footnote_http_requests_total{{{ASKED}}}[5m]))'}),
    ("Postgres and Redis", "stat", "short", "1: every store reaches Postgres, every gateway Redis.",
     {"Postgres": "min(footnote_store_postgres_up)", "Redis": "min(footnote_redis_up)"}),
    "---",
    ("Requests by status", "stack", "reqps", "429: limits. 5xx: see Errors by route.",
     {"{{status}}": f'sum by (status) (rate(footnote_http_requests_total{{{ASKED}}}[$__rate_interval])) > 0'}),
    ("Time of a question", "line", "s", "From the request's arrival to the end of its answer; cache hits included.",
     percentiles("footnote_http_request_seconds", 'route=~"POST /api/v1/chat/(query|selection)"')),
    "---",
    ("Time to the first word", "line", "s", "Of a streamed answer that was not cached, from the question's arrival. p95 over 5 s: FootnoteFirstTokenSlow.",
     percentiles("footnote_question_first_token_seconds")),
    ("Stages of a question (p95)", "line", "s", "Which stage takes the time. cache: limits and query cache together; generate: the model's answer.",
     {"{{stage}}": quantile(0.95, "footnote_question_stage_seconds", "stage")}),
    ("What Footnote adds", "line", "s", "Time of a question without its calls to the model server. none: asked anew; query: from the query cache.",
     {"p50 {{cached}}": quantile(0.5, "footnote_question_added_seconds", "cached"),
      "p99 {{cached}}": quantile(0.99, "footnote_question_added_seconds", "cached")}),
    "---",
    ("Requests by route", "line", "reqps", "What people use.",
     {"{{route}}": f'sum by (route) (rate(footnote_http_requests_total{{{ASKED}}}[$__rate_interval])) > 0'}),
    ("Errors by route", "line", "reqps", "4xx and 5xx; 499: the client went away.",
     {"{{route}} {{status}}": f'sum by (route, status) (rate(footnote_http_requests_total{{status=~"[45]..",{ASKED}}}[$__rate_interval])) > 0'}),
    "---",
    ("Requests refused by a limit", "line", "reqps", "By policy. Over 5 % of all requests: FootnoteRateLimitHits.",
     {"{{policy}}": rate("footnote_rate_limited_total", "policy"), "counted without Redis": rate("footnote_rate_limit_local_total")}),
    ("In flight, streams, connections", "line", "short", "What the gateways hold open.",
     {"in flight": "sum(footnote_http_in_flight)", "streams": "sum(footnote_http_streams)", "connections": "sum(footnote_http_connections)"}),
    "---",
    ("Processor", "stack", "short", "Cores that are busy, by service.",
     {"{{job}}": 'sum by (job) (rate(process_cpu_seconds_total{job=~"footnote-.+"}[$__rate_interval]))'}),
    ("Memory", "line", "bytes", "Resident memory of each process.",
     {"{{job}} {{instance}}": 'process_resident_memory_bytes{job=~"footnote-.+"}'}),
    ("Descriptors", "line", "short", "Open descriptors of each process.",
     {"{{job}} {{instance}}": 'process_open_fds{job=~"footnote-.+"}'}),
]

BUS = [
    ("Workers", "line", "short", "Workers of each service, as the hubs see them; the lowest of all hubs.",
     {"{{service}}": "min by (service) (footnote_bus_workers{service!=\"rerank\"})"}),
    ("Waiting for a worker", "line", "short", "Above 0 for long: the service is too small, or gone.",
     {"{{service}}": "sum by (service) (footnote_bus_queued)"}),
    ("At work, of what is offered", "line", "percentunit", "Calls at workers over the calls they take at once.",
     {"{{service}}": "sum by (service) (footnote_bus_outstanding) / sum by (service) (footnote_bus_capacity)"}),
    "---",
    ("Requests on the bus", "line", "reqps", "By kind.", {"{{kind}}": f"{rate('footnote_bus_requests_total', 'kind')} > 0"}),
    ("Failures on the bus", "line", "reqps", "Requests that ended with an error, by kind.",
     {"{{kind}}": f"{rate('footnote_bus_requests_failed_total', 'kind')} > 0"}),
    ("Further attempts", "line", "reqps", "Retries, attempts that timed out, and those that a worker did not begin.",
     {"retried": rate("footnote_bus_retries_total"), "timed out": rate("footnote_bus_attempt_timeouts_total"),
      "not begun": rate("footnote_bus_hub_nacks_total")}),
    "---",
    ("Refused by the hub", "line", "reqps", "Queue full, waited too long, or no worker at all.",
     {"{{service}} full": rate("footnote_bus_queue_full_total", "service"), "{{service}} expired": rate("footnote_bus_queue_expired_total", "service"),
      "{{service}} no worker": rate("footnote_bus_no_worker_total", "service")}),
    ("Workers that come and go", "line", "short", "In the last five minutes. Lost: gone in any way but a drain; silent: given up.",
     {"joined": "sum(increase(footnote_bus_worker_joined_total[5m]))", "lost": "sum(increase(footnote_bus_worker_lost_total[5m]))",
      "silent": "sum(increase(footnote_bus_worker_expired_total[5m]))", "put aside": "sum(increase(footnote_bus_worker_aside_total[5m]))"}),
    ("What must not happen", "line", "short", "In the last five minutes: malformed messages, banned or forbidden keys, poison requests.",
     {"malformed": "sum(increase(footnote_bus_hub_bad_frames_total[5m]))", "banned": "sum(increase(footnote_bus_worker_banned_total[5m]))",
      "forbidden": "sum(increase(footnote_bus_worker_forbidden_total[5m]))", "poison": "sum(increase(footnote_bus_poison_total[5m]))"}),
    "---",
    ("Replies that nobody waited for", "line", "reqps", "By reason; after a retry or a cancelled request some are normal.",
     {"{{why}}": rate("footnote_bus_dropped_replies_total", "why")}),
    ("Connections to the bus", "line", "short", "In the last five minutes, by what became of them. Of an unknown key: somebody who is not listed tries.",
     {"{{what}}": "sum by (what) (increase(footnote_bus_connections_total[5m]))"}),
    "---",
    ("Log lines dropped", "line", "short", "In the last five minutes: a reader of the logs hangs.",
     {"{{job}}": "sum by (job) (increase(footnote_log_lines_dropped_total[5m]))"}),
    ("Change feed", "line", "s", "Since the feed of changes last answered each gateway: cached answers are used only while it is fresh.",
     {"{{instance}}": "footnote_change_feed_age_seconds"}),
]

RETRIEVAL = [
    ("Spent by the hour", "stat", "currencyUSD", "Dollars for the model server's tokens in the last hour, by MODEL_PRICES and the built-in table.",
     {"spent": "sum(increase(footnote_upstream_cost_dollars_total[1h]))"}),
    ("Saved by the hour", "stat", "currencyUSD", "Dollars that the caches saved in the last hour, by the same prices.",
     {"{{cache}}": "sum by (cache) (increase(footnote_cache_saved_dollars_total[1h]))"}),
    ("Tokens by the hour", "stat", "short", "Counted by the model server, in the last hour.",
     {"{{kind}}": "sum by (kind) (increase(footnote_upstream_tokens_total[1h]))"}),
    ("Query cache hits", "stat", "percentunit", "Questions answered without any model, in the last hour.",
     {"hits": 'sum(increase(footnote_query_cache_hits_total[1h])) / sum(increase(footnote_query_cache_total{outcome=~"hit|miss|stale"}[1h]))'}),
    ("Vectors from the cache", "stat", "percentunit", "Texts that did not have to be embedded, in the last hour.",
     {"hits": "sum(increase(footnote_embedding_cache_hits_total[1h])) / (sum(increase(footnote_embedding_cache_hits_total[1h])) + sum(increase(footnote_embedding_cache_misses_total[1h])))"}),
    "---",
    ("Calls to the model server", "line", "reqps", "By route and outcome; blocked: refused by our own breaker, not sent.",
     {"{{route}} {{outcome}}": f"{rate('footnote_upstream_calls_total', 'route, outcome')} > 0"}),
    ("Time of a call to the model server", "line", "s", "p95 by route.", {"{{route}}": quantile(0.95, "footnote_upstream_seconds", "route")}),
    ("Breaker and calls in flight", "line", "short", "Breaker: 0 closed, 1 one probe, 2 open.",
     {"breaker {{route}}": "max by (route) (footnote_upstream_breaker)", "in flight {{route}}": "sum by (route) (footnote_upstream_active)"}),
    "---",
    ("Time to the first piece of an answer", "line", "s", "As the embedder sees it, of every answer. p95 over 5 s: FootnoteFirstTokenSlow.",
     percentiles("footnote_chat_first_token_seconds")),
    ("Answers", "stack", "reqps", "By what wrote them; degraded: the built-in one for a failed model server.",
     {"{{source}}": rate("footnote_chat_answers_total", "source"), "no answer in the passages": rate("footnote_chat_refused_total"),
      "failed": rate("footnote_chat_failed_total"), "caller went away": rate("footnote_chat_cancelled_total")}),
    ("Tokens", "line", "short", "A second, by kind; saved: not asked for, because a cache had the answer or the vector.",
     {"{{kind}}": rate("footnote_upstream_tokens_total", "kind"), "saved: {{kind}}, {{cache}}": rate("footnote_cache_saved_tokens_total", "kind, cache")}),
    "---",
    ("Money spent", "stack", "currencyUSD", "Dollars an hour, by kind of token.",
     {"{{kind}}": f"3600 * {rate('footnote_upstream_cost_dollars_total', 'kind')}"}),
    ("Money saved", "stack", "currencyUSD", "Dollars an hour that the caches saved.",
     {"{{cache}}": f"3600 * {rate('footnote_cache_saved_dollars_total', 'cache')}"}),
    ("Budgets of the day", "line", "short", "Requests an hour that a budget refused, and budgets that came to BUDGET_WARN_PERCENT.",
     {"refused: {{why}}": "sum by (why) (increase(footnote_budget_refused_total[1h]))",
      "nearly used: {{of}}": "sum by (of) (increase(footnote_budget_warnings_total[1h]))",
      "not settled": "sum(increase(footnote_budget_unsettled_total[1h]))"}),
    ("Not in these amounts", "line", "short", "Tokens a second of models without a known price (MODEL_PRICES), and replies that did not say their tokens.",
     {"unpriced: {{kind}}": rate("footnote_upstream_unpriced_tokens_total", "kind"),
      "saved, unpriced: {{cache}}": rate("footnote_cache_saved_unpriced_tokens_total", "cache"),
      "uncounted replies: {{route}}": rate("footnote_upstream_uncounted_total", "route")}),
    "---",
    ("Time of a search", "line", "s", "In the retriever, waiting for a thread included.", percentiles("footnote_retriever_search_seconds")),
    ("Searches that found nothing", "line", "percentunit", "Nothing relevant: the answer says so, and no model is asked.",
     {"nothing relevant": "sum(rate(footnote_retriever_search_empty_total[$__rate_interval])) / sum(rate(footnote_retriever_search_seconds_count[$__rate_interval]))"}),
    ("Citations", "line", "reqps", "Dropped: marks of the model that pointed nowhere.",
     {"kept": rate("footnote_marks_total"), "added": rate("footnote_marks_added_total"),
      "dropped": rate("footnote_marks_dropped_total"), "verbatim": rate("footnote_citations_verbatim_total")}),
    "---",
    ("Index", "line", "short", "The same in every retriever.",
     {"documents": "max(footnote_retriever_index_documents)", "passages": "max(footnote_retriever_index_passages)"}),
    ("Index memory", "line", "bytes", "Near INDEX_MAX_BYTES new documents fail, and say so.", {"{{instance}}": "footnote_retriever_index_bytes"}),
    ("Ingestion", "line", "short", "Jobs by how they ended, and chunks, in the last five minutes.",
     {"{{result}}": "sum by (result) (increase(footnote_retriever_jobs_total[5m]))", "chunks": "sum(increase(footnote_retriever_chunks_total[5m]))",
      "changes waiting": "max(footnote_retriever_feed_pending)"}),
]

DATABASE = [
    ("Time of a transaction", "line", "s", "Without clean-up. p95 over 500 ms: FootnoteDatabaseSlow.",
     percentiles("footnote_store_transaction_seconds", 'kind!="cleanup"')),
    ("Time by kind (p95)", "line", "s", "Which request is slow.", {"{{kind}}": quantile(0.95, "footnote_store_transaction_seconds", "kind")}),
    ("Transactions", "stack", "reqps", "By kind.", {"{{kind}}": f"{rate('footnote_store_transaction_seconds_count', 'kind')} > 0"}),
    "---",
    ("Connections", "line", "short", "Of all stores. Active over 95 % of what there may be: FootnotePoolExhausted.",
     {"active": "sum(footnote_store_pool_active)", "idle": "sum(footnote_store_pool_idle)", "waiting": "sum(footnote_store_pool_waiting)",
      "overflow": "sum(footnote_store_pool_overflow)", "there may be": "sum(footnote_store_pool_max)"}),
    ("Wait for a connection", "line", "s", "Normally nothing: the store takes no more than it has connections.",
     {**percentiles("footnote_store_pool_wait_seconds"), "waiting now": "max(footnote_store_pool_longest_wait_seconds)"}),
    ("Connections opened and closed", "line", "short", "In the last five minutes, by reason.",
     {"opened": "sum(increase(footnote_store_pool_opened_total[5m]))",
      "closed: {{reason}}": "sum by (reason) (increase(footnote_store_pool_closed_total[5m]))"}),
    "---",
    ("Transactions that failed", "line", "reqps", "By class of error, and those that were run again.",
     {"{{class}}": rate("footnote_store_errors_total", "class"), "run again": rate("footnote_store_retries_total")}),
    ("Turns that wait for the database", "line", "short", "Length of fn:turns. Growing: FootnoteOutboxGrowing.",
     {"waiting": "max(footnote_store_outbox_length)"}),
    ("Queued turns", "line", "reqps", "Written, dropped because their session was erased, refused, and reads that failed.",
     {"written": rate("footnote_store_outbox_saved_total"), "erased": rate("footnote_store_outbox_erased_total"),
      "refused": rate("footnote_store_outbox_bad_total"), "failed reads": rate("footnote_store_outbox_errors_total")}),
    "---",
    ("Query cache", "stack", "reqps", "Look-ups and stores by outcome; bypass: Redis was away.",
     {"{{outcome}}": rate("footnote_query_cache_total", "outcome")}),
    ("Embedding cache", "stack", "reqps", "Look-ups of vectors.",
     {"hit": rate("footnote_embedding_cache_hits_total"), "miss": rate("footnote_embedding_cache_misses_total"),
      "refused": rate("footnote_embedding_cache_bad_total"), "without Redis": rate("footnote_embedding_cache_bypass_total")}),
    ("Redis", "line", "reqps", "Trips of each service, and those that failed, by what went wrong.",
     {"{{job}}": rate("footnote_redis_calls_total", "job"), "failed: {{kind}}": rate("footnote_redis_failures_total", "kind")}),
    "---",
    ("Clean-up", "line", "short", "Rows deleted in the last hour, by the janitor's job (Prometheus has a label job of its own, and calls ours exported_job).",
     {"{{exported_job}}": "sum by (exported_job) (increase(footnote_janitor_deleted_rows_total[1h]))"}),
    ("Since the last clean-up", "stat", "s", "Over two days: FootnoteJanitorStale.",
     {"age": "time() - max(footnote_janitor_last_success_timestamp_seconds > 0)"}),
    ("Clean-up runs", "line", "short", "Whole runs and runs that stopped early, in the last day.",
     {"whole": "sum(increase(footnote_janitor_runs_total[1d]))", "stopped early": "sum(increase(footnote_janitor_runs_failed_total[1d]))"}),
]

DASHBOARDS = {
    "overview": ("footnote-overview", "Footnote: overview", OVERVIEW),
    "bus": ("footnote-bus", "Footnote: services and bus", BUS),
    "retrieval": ("footnote-retrieval", "Footnote: retrieval and cost", RETRIEVAL),
    "database": ("footnote-database", "Footnote: database and caches", DATABASE),
}


def rows_of(table):
    rows = [[]]
    for panel in table:
        if panel == "---":
            rows.append([])
        else:
            rows[-1].append(panel)
    return rows


def field_config(kind, unit):
    custom = {"lineWidth": 1, "fillOpacity": 30 if kind == "stack" else 5, "showPoints": "never",
              "stacking": {"mode": "normal" if kind == "stack" else "none", "group": "A"}}
    return {"defaults": {"unit": unit, "min": 0, "custom": {} if kind == "stat" else custom}, "overrides": []}


def options(kind):
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "none", "graphMode": "area"}
    return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}


def panel(ident, place, spec):
    title, kind, unit, text, asked = spec
    targets = [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True}
               for i, (legend, expr) in enumerate(asked.items())]
    return {"id": ident, "title": title, "description": text, "type": "stat" if kind == "stat" else "timeseries",
            "datasource": SOURCE, "gridPos": place, "fieldConfig": field_config(kind, unit), "options": options(kind), "targets": targets}


def dashboard(uid, title, table):
    panels, y = [], 0
    for row in rows_of(table):
        height = STAT_HEIGHT if all(p[1] == "stat" for p in row) else HEIGHT
        for i, spec in enumerate(row):
            x, end = WIDTH * i // len(row), WIDTH * (i + 1) // len(row)
            panels.append(panel(len(panels) + 1, {"x": x, "y": y, "w": end - x, "h": height}, spec))
        y += height
    links = [{"type": "dashboards", "tags": ["footnote"], "title": "Footnote", "asDropdown": False, "includeVars": False, "keepTime": True}]
    return {"id": None, "uid": uid, "title": title, "tags": ["footnote"], "schemaVersion": 39, "version": 1, "editable": False,
            "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "browser", "links": links,
            "annotations": {"list": []}, "templating": {"list": []}, "panels": panels}


def main():
    stale = 0
    for name, (uid, title, table) in DASHBOARDS.items():
        path = os.path.join(HERE, "dashboards", name + ".json")
        text = json.dumps(dashboard(uid, title, table), indent=1, ensure_ascii=False) + "\n"
        if sys.argv[1:] == ["--check"]:
            if not os.path.exists(path) or open(path, encoding="utf-8").read() != text:
                print(f"{os.path.relpath(path)} is stale: run deploy/grafana/make.py", file=sys.stderr)
                stale = 1
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
