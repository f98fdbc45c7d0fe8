// Overview: what is broken, services with their credit, pool, the last hour. Each gateway tells of itself only; which one answers is the balancer's
// choice, so the page keeps the figures of each that it has met, by its id, and shows one at a time and says which.
const gateways = new Map(); // id → { figures, points, errors, seen }
const slow = { keys: [], documents: [], collections: [], at: 0 };
let shown = ""; // id of the gateway that is looked at
function take(answer, met) {
  const g = gateways.get(answer.gateway.id) || { points: [], errors: null };
  Object.assign(g, met, { who: answer.gateway, seen: Date.now(), at: Date.parse(answer.at) });
  gateways.set(answer.gateway.id, g);
  return g;
}
// The answer may be another gateway's than the one whose points are known: what is older than an hour goes, what comes twice is kept once.
function takePoints(f) {
  const g = take(f, { figures: f }), from = Date.parse(f.at) - HOUR, known = new Set(g.points.map(p => p.at));
  g.points = [...g.points, ...f.points.filter(p => !known.has(p.at))].filter(p => Date.parse(p.at) > from).sort((a, b) => a.at < b.at ? -1 : 1);
}
async function readFigures() {
  const g = gateways.get(shown), since = g && gateways.size === 1 && g.points.length ? Date.parse(last(g.points).at) : 0;
  const f = await call("GET", "figures" + (since ? "?since=" + since : ""));
  takePoints(f); // of a gateway that is met for the first time the hour before comes with the next answer: with two, all points are asked for
}
async function readErrors() {
  const e = await call("GET", "errors?limit=200");
  take(e, { errors: e });
  return e;
}
async function readSlow() {
  const [keys, documents, collections] = await Promise.all([pages("keys", 1000), call("GET", "documents?limit=200"), pages("collections", 1000)]);
  Object.assign(slow, { keys: keys.items, documents: documents.items, collections: collections.items, at: Date.now() });
}
function findings(g) {
  if (!g || !g.figures) return [];
  return [...serviceFindings(g.figures), ...storeFindings(g.figures), ...trafficFindings(g.figures, g.points, g.errors),
    ...documentFindings(slow.documents, slow.collections), ...keyFindings(slow.keys, g.at)].sort((a, b) => (a[0] === "warn") - (b[0] === "warn"));
}
function finding([level, what, todo, where]) {
  return el("li", { class: level }, words(what, "b"), words(todo, "span"), where ? " " : null,
    where ? el("a", { href: "#" + where }, "Show " + PANELS.find(p => p.id === where).title.toLowerCase()) : null);
}
function drawState(g) {
  const s = g && g.figures ? g.figures.status : "";
  $("state").hidden = !s;
  $("state").className = "pill " + (s === "ok" ? "ok" : s === "degraded" ? "warn" : "bad");
  $("state").textContent = s === "ok" ? "all well" : s === "degraded" ? "degraded" : s ? "down: " + g.figures.missing : "";
}
function drawFindings(found) {
  redraw($("findings"), found, list => list.length ? list.map(finding) : el("li", { class: "ok" }, el("b", null, "Nothing is broken."), "Services, database and Redis answer, and no request failed lately."));
}
function drawGateways(g) {
  const select = $("gateway"), ids = [...gateways.keys()].filter(id => gateways.get(id).figures);
  if (ids.join() !== [...select.options].map(o => o.value).join())
    select.replaceChildren(...ids.map(id => el("option", { value: id }, gateways.get(id).who.host + " · " + id.slice(0, 6))));
  select.value = shown;
  const age = Math.round((Date.now() - g.seen) / 1000);
  $("gateway-note").replaceChildren("Figures of the gateway " + g.who.host + " (" + shown.slice(0, 6) + "), version " + g.who.version + ", started ", clock(g.who.started_at),
    age > 15 ? ", as it was " + age + " s ago" : "", ". " + (ids.length > 1 ? "This page has met " + ids.length + " gateways; each tells of itself only." : "Of other gateways behind the same address it knows nothing until one of them answers it."));
}
const STATE = { ok: "ok", starting: "warn", down: "bad", unknown: "warn" };
function drawServices(f) {
  redraw($("services"), Object.entries(f.services), rows => table("Services", [["Service", false, ([name]) => words(name)], ["State", false, ([, s]) => pill(STATE[s.status] || "warn", s.status)],
    ["Workers", true, ([, s]) => number(s.workers)], ["Credit", true, ([, s]) => s.capacity == null ? "–" : number(Math.max(0, s.capacity - s.outstanding)) + " of " + number(s.capacity)],
    ["At work", true, ([, s]) => number(s.outstanding)], ["Queue", true, ([, s]) => number(s.queued)]], rows, "No service."));
  const p = f.pool;
  $("pool").textContent = p ? p.active + " at work, " + p.idle + " idle, of at most " + p.max + "; " + number(p.outbox) + " turns wait to be written; migration " + p.migration + ". Of the store that answered." : f.whole ? "No store answers." : "The pool and the last hour are of all tenants: they are for ADMIN_KEY, and for admins of the tenant default.";
}
const total = v => number(sum(v)), latest = tell => v => tell(last(v));
function drawCharts(g) {
  const p = g.points, draw = (title, lines, tell) => chart(title, p, lines, tell, g.at);
  const rate = v => sum(p.map(x => x.questions)) ? percent(sum(p.map(x => x.cached)) / sum(p.map(x => x.questions))) : "–";
  $("charts").replaceChildren(
    draw("Requests", [["answered", x => x.requests, total], ["failed (5xx)", x => x.failed, total], ["refused (4xx)", x => x.refused, total]], number),
    draw("Time of a question", [["half", x => x.p50_ms, latest(millis)], ["19 of 20", x => x.p95_ms, latest(millis)], ["without the model", x => x.added_p95_ms, latest(millis)]], millis),
    draw("From the query cache", [["share", x => x.questions ? x.cached / x.questions : null, rate]], percent),
    draw("Money for questions", [["cost", x => x.cost_dollars, v => dollars(sum(v))], ["saved by the cache", x => x.saved_dollars, v => dollars(sum(v))]], dollars),
    draw("Calls to services", [["at work", x => x.outstanding, latest(number)], ["queued", x => x.queued, latest(number)]], number),
    draw("Database", [["connections", x => x.pool_max ? x.pool_active : null, latest(number)], ["turns that wait", x => x.pool_max ? x.outbox : null, latest(number)]], number));
}
async function drawUsage() {
  const { items } = await call("GET", "usage?days=7");
  $("usage").replaceChildren(table("Questions by day", [["Day", false, d => d.day], ["Questions", true, d => number(d.questions)], ["With a source", true, d => percent(d.answers ? d.grounded / d.answers : null)],
    ["From the cache", true, d => percent(d.answers ? d.from_cache / d.answers : null)], ["Tokens in", true, d => number(d.prompt_tokens)], ["Tokens out", true, d => number(d.completion_tokens)]], items, "Nothing was asked lately."));
}
function drawOverview() {
  if (!gateways.has(shown)) shown = [...gateways.keys()].find(id => gateways.get(id).figures) || "";
  const g = gateways.get(shown);
  drawState(g);
  if (!g || !g.figures) return;
  drawFindings(findings(g));
  drawGateways(g);
  drawServices(g.figures);
  drawCharts(g);
}
let looks = 0;
async function lookAround() {
  try {
    await readFigures();
    if (looks++ % 3 === 0) await readErrors(); // not each time: a balancer that takes turns would give all figures of one gateway and all errors of another
    if (Date.now() - slow.at > 60000) await readSlow();
    trouble(null);
    drawOverview();
  } catch (e) {
    if (e.status === 0) { drawFindings([["bad", "The gateway cannot be reached.", e.message]]); drawState(null); }
    else trouble(e);
  }
}
panel("overview", "Overview", { every: 5000, again: lookAround, show: async () => { await lookAround(); await attempt(drawUsage); } });
$("gateway").addEventListener("change", e => { shown = e.target.value; drawOverview(); });
