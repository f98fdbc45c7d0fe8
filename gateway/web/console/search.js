// Search: ranked passages with the scores that put them there.
const SCORES = [["score", "sure", "How sure we are that it answers"], ["vector_score", "meaning", "The cosine of both vectors"], ["lexical_score", "words", "BM25 of its words"]];
function scores(h, most) {
  return el("dl", { class: "scores" }, ...SCORES.filter(([k]) => h[k] != null).flatMap(([k, name, what]) => [el("dt", { title: what }, name),
    el("dd", null, el("meter", { min: 0, max: k === "lexical_score" ? most || 1 : 1, value: Math.max(0, h[k]), "aria-label": name + " " + h[k].toFixed(3) })), el("dd", null, h[k].toFixed(3))]));
}
function hit(h, most) {
  const title = words(h.title || h.external_id || h.document_id, "b"), where = [h.chapter, h.section].filter(Boolean).join(" › ");
  return el("li", null, h.link ? anchor(h.link, title) : title, el("span", { class: "soft" }, " ", words(where), " bytes " + h.start + "–" + h.end), scores(h, most), words(h.text, "p"));
}
async function search() {
  $("hits").setAttribute("aria-busy", "true");
  try {
    const { results, degraded } = await call("POST", "search", { json: { query: $("search-for").value, top_k: +$("search-most").value || 10, collection: $("search-in").value || undefined, explain: true } });
    const most = Math.max(...results.map(h => h.lexical_score || 0), 0);
    $("hits").replaceChildren(...results.map(h => hit(h, most)));
    $("search-note").textContent = number(results.length) + " passages, best first. “sure” is what an answer goes by: meaning (vectors) and words (BM25) together; weak ones are shown here, an answer leaves them out."
      + (degraded ? " Found by words only: no vector of the question could be had." : "");
  } finally { $("hits").setAttribute("aria-busy", "false"); }
}
panel("search", "Search", { show: () => attempt(() => collectionsInto($("search-in"))) });
$("search-form").addEventListener("submit", e => { e.preventDefault(); attempt(search, e.submitter); });
