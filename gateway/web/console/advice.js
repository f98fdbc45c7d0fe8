// What is broken, and what to do: by the codes of errors, and by the figures of a gateway. Headings in quotes are sections of docs/runbook.md.
const UPSTREAM = "Look at the model server: OPENAI_BASE_URL, its log, its quota (runbook “FootnoteUpstreamBreakerOpen”).";
const ADVICE = {
  unauthorized: { todo: "Use ADMIN_KEY, or a key with the scope admin.", seen: "A caller's key is missing, wrong, revoked or has ended: Keys says which have." },
  forbidden: { todo: "Use ADMIN_KEY, or a key that may do this.", seen: "A caller's key has not the scope, the collection or the origin: Keys says what it may." },
  rate_limited: { todo: "Give the key higher limits (per_minute, per_hour) if this is a caller of yours (runbook “FootnoteRateLimitHits”)." },
  budget_exceeded: { todo: "Raise the budget of the key or its tenant if the use is right: footnote keys change (runbook “FootnoteBudgetRefuses”)." },
  model_unpriced: { todo: "Name the model's price in MODEL_PRICES, 0 for one of your own machine (runbook “FootnoteBudgetRefuses”)." },
  service_unavailable: { todo: "A service was away: Overview says which (runbook “FootnoteNoWorker”)." },
  store_unavailable: { todo: "Start Postgres, or mend the way to it; nothing else needs a restart (runbook “FootnoteDatabaseDown”)." },
  store_busy: { todo: "Postgres is slow or its pool too small (runbook “FootnotePoolExhausted”)." },
  store_full: { todo: "Give the database's disk room." },
  overloaded: { todo: "More came than the workers take: add workers of the service that queues (docs/operating.md, Scale)." },
  deadline_exceeded: { todo: "Something was slower than the request's time: compare the latencies on Overview." },
  upstream_error: { todo: UPSTREAM }, upstream_bad_reply: { todo: UPSTREAM }, upstream_refused: { todo: UPSTREAM }, upstream_interrupted: { todo: UPSTREAM },
  upstream_timeout: { todo: UPSTREAM }, upstream_rate_limited: { todo: "The model server limits us: raise its limits, or ask less." },
  upstream_quota: { todo: "Fill up the account of the model server, or set CHAT_FALLBACK=builtin." },
  limit_reached: { todo: "Delete something, or raise the MAX_…_PER_TENANT that it names." },
  index_full: { todo: "Give the retriever more memory (INDEX_MAX_BYTES)." },
  poison_request: { todo: "One request stops workers: keep its request id and the log of the service, and report it." },
  internal: { todo: "A fault of ours: the gateway's log has the request id. Please report it." },
  bad_message: { todo: "A worker sent what this gateway cannot read: compare the builds in Overview, and report it." },
  unsupported: { todo: "A worker is older than this gateway: update it (docs/restarts.md)." },
  draining: { todo: "A gateway is being stopped: nothing to do." },
};
const SERVICE_ADVICE = {
  embed: ["No embedder makes vectors.", "Questions that need a new vector are searched by words, documents wait. "],
  chat: ["No embedder answers.", "New questions get 503; answers of the cache still come. "],
  retrieve: ["No retriever searches.", "New questions get 503. "],
  store: ["No store is there.", "Nothing can be read or written, not even cached answers. "],
  janitor: ["No janitor runs.", "Readers notice nothing; expired rows stay. "],
  rerank: ["The reranker has gone.", "Passages come in the search's own order. "],
};
const PROGRAM = { embed: "embedder", chat: "embedder", retrieve: "retriever", store: "store", janitor: "janitor", rerank: "embedder" };
const LATELY = 300000; // five minutes
function serviceFindings(f) {
  const found = [];
  for (const [name, s] of Object.entries(f.services)) {
    const program = PROGRAM[name], [what, effect] = SERVICE_ADVICE[name] || [];
    if (!program) continue;
    if (s.status === "down") found.push([name === "janitor" || name === "rerank" ? "warn" : "bad", what, effect + "Start it: `make restart SERVICE=" + program + "`; `make logs SERVICE=" + program + "` says why it went."]);
    else if (s.status === "starting") found.push(["warn", "The " + program + " is starting.", "A retriever loads its index first. Longer than some minutes: `make logs SERVICE=" + program + "`."]);
    else if (s.queued > 0 && s.outstanding >= s.capacity) found.push(["warn", number(s.queued) + " calls wait for the service " + name + ".", "All " + s.capacity + " places of its " + s.workers + " workers are taken: add a worker (`docker-compose up -d --scale " + program + "=" + (s.workers + 1) + "`), unless what it waits for is slow."]);
  }
  return found;
}
function storeFindings(f) {
  const found = [], { services: s, pool } = f;
  if (s.postgres && s.postgres.status === "down") found.push(["bad", "Postgres cannot be reached.", "Start it, or mend DATABASE_URL and the way to it; nothing else needs a restart. Cached answers go on and are kept meanwhile."]);
  if (s.redis && s.redis.status === "down") found.push(["warn", "Redis cannot be reached.", "Answers come without the cache and each gateway counts limits by itself. Start it; it is used again within two seconds."]);
  if (pool && pool.max > 0 && pool.active >= pool.max) found.push(["warn", "All " + pool.max + " connections to the database are at work.", "Look for slow statements (footnote_store_statement_seconds); then DATABASE_POOL_SIZE (runbook “FootnotePoolExhausted”)."]);
  if (pool && pool.outbox > 0) found.push(["warn", number(pool.outbox) + " turns wait in Redis to be written.", "Normal for a moment. When it grows the database is away or slow (runbook “FootnoteOutboxGrowing”)."]);
  if (f.keys_age_seconds > 10) found.push(["bad", "API keys have not been heard of for " + Math.round(f.keys_age_seconds) + " s and are refused.", "Bring a store back (runbook “FootnoteKeysStale”). ADMIN_KEY goes on."]);
  if (f.embedding) found.push(["warn", "The embedding model is another one than the documents'.", sentence(f.embedding)]);
  return found;
}
function trafficFindings(f, points, errors) {
  const found = [], since = Date.parse(f.at) - LATELY, late = points.filter(p => Date.parse(p.at) > since);
  const failed = sum(late.map(p => p.failed)), answered = sum(late.map(p => p.requests));
  const codes = [...new Set((errors ? errors.failed : []).filter(x => Date.parse(x.at) > since).map(x => x.code))];
  if (failed > 0) found.push([failed * 50 > answered ? "bad" : "warn", number(failed) + " of " + number(answered) + " requests failed in the last five minutes" + (codes.length ? ": " + codes.join(", ") : "") + ".",
    (codes.map(c => ADVICE[c] && ADVICE[c].todo).find(Boolean) || "") + " Errors lists them.", "errors"]);
  const p95 = Math.max(0, ...late.map(p => p.p95_ms || 0)), own = Math.max(0, ...late.map(p => p.added_p95_ms || 0));
  if (p95 > 15000) found.push(["warn", "Questions take up to " + millis(p95) + ".", own * 2 < p95 ? "Most of it is the model server's time: look there." : "Most of it is our own time: look at queues, pool and Postgres."]);
  const now = last(points);
  if (now && now.in_flight * 10 > f.connections_most * 8) found.push(["bad", "The gateway is nearly full: " + now.in_flight + " of " + f.connections_most + " connections.", "Add a gateway, or look for who holds them (runbook “FootnoteConnectionsScarce”)."]);
  return found;
}
const DAY = 86400000;
function keyFindings(keys, now) {
  return keys.filter(k => k.expires_at && !k.replaced_by && Date.parse(k.expires_at) - now < 14 * DAY && Date.parse(k.expires_at) > now - 7 * DAY).map(k =>
    ["warn", "The key “" + (k.label || k.id.slice(0, 8)) + "” " + (Date.parse(k.expires_at) < now ? "ended" : "ends") + " on " + day(k.expires_at) + ".", "Rotate it, and give the new one to its caller.", "keys"]);
}
function documentFindings(documents, collections) {
  const found = [], failed = documents.filter(d => d.status === "failed"), waiting = documents.filter(d => d.status !== "ready" && d.status !== "failed" && d.error);
  if (failed.length) found.push(["warn", number(failed.length) + " of the newest " + documents.length + " documents could not be read.", "Documents says why of each.", "documents"]);
  if (waiting.length) found.push(["warn", number(waiting.length) + " documents wait: " + waiting[0].error + ".", "They are tried again by themselves (runbook “FootnoteIngestionStuck”).", "documents"]);
  for (const c of collections) if (c.embedding && c.embedding.error) found.push(["warn", "New vectors of “" + c.name + "” do not get on: " + c.embedding.error + ".", "Questions still use the model before.", "collections"]);
  return found;
}
