// The latest errors of every gateway that this page has met: what they are, and what to do about each.
function errorTable(caption, rows, empty) {
  return table(caption, [["Code", false, x => [el("b", null, words(x.code)), el("br"), words(x.title, "span")]], ["When", false, x => clock(x.at)], ["Route", false, x => words(x.route)], ["Status", true, x => String(x.status)],
    ["After", true, x => millis(x.ms)], ["Tenant", false, x => words(x.tenant || "–")], ["Request", false, x => el("code", null, x.request_id)], ["Gateway", false, x => words(x.gateway)]], rows, empty);
}
function known(kind) {
  return [...gateways.values()].filter(g => g.errors).flatMap(g => g.errors[kind].map(x => ({ ...x, gateway: g.who.host + " · " + g.who.id.slice(0, 6) }))).sort((a, b) => a.at < b.at ? 1 : -1);
}
const todoOf = code => ADVICE[code] ? ADVICE[code].seen || ADVICE[code].todo : "The caller must mend its request.";
async function drawErrors() {
  const e = await readErrors(), failed = known("failed"), refused = known("refused"), all = [...failed, ...refused], codes = [...new Set(all.map(x => x.code))];
  $("errors-of").textContent = "The latest 200 of each kind of " + ([...gateways.values()].filter(g => g.errors).length === 1 ? "the gateway " + e.gateway.host + " (" + e.gateway.id.slice(0, 6) + ")" : "each gateway that this page has met")
    + ", since its start. A request's id finds its lines in the logs of all services.";
  redraw($("errors-sums"), codes.map(c => [c, all.filter(x => x.code === c).length]), () => table("Errors by code", [["Code", false, c => el("b", null, words(c))], ["Times", true, c => number(all.filter(x => x.code === c).length)],
    ["Last", false, c => clock(all.filter(x => x.code === c).map(x => x.at).sort().at(-1))], ["What to do", false, todoOf]], codes, "No error since the gateway started."));
  redraw($("errors-failed"), failed, rows => errorTable("Failed", rows, "Nothing failed."));
  redraw($("errors-refused"), refused, rows => errorTable("Refused", rows, "Nothing was refused."));
}
panel("errors", "Errors", { every: 10000, again: () => attempt(drawErrors), show: () => attempt(drawErrors) });
