// Questions without an answer, the most frequent first.
function question(q) {
  return [words(q.question), ...q.wordings.flatMap(w => [el("br"), el("span", { class: "soft" }, "also: ", words(w))]), ...(q.comment ? [el("br"), el("span", { class: "soft" }, "a reader wrote: ", words(q.comment))] : [])];
}
async function drawQuestions() {
  const of = $("questions-of").value, r = await call("GET", "report?limit=200&days=" + $("questions-days").value + (of ? "&collection=" + encodeURIComponent(of) : ""));
  $("questions-list").replaceChildren(table("Unanswered questions", [["Question", false, question], ["Collection", false, q => words(q.collection || "–")], ["Unanswered", true, q => number(q.unanswered)],
    ["Rated down", true, q => number(q.rated_down)], ["Last", false, q => clock(q.last_at)], ["What to do", false, q => button("Search for it", () => lookFor(q))]], r.items,
  "Every question of that time was answered."), el("p", { class: "soft" }, r.has_more ? "There are more; footnote report --limit shows up to 1000." : ""));
}
async function lookFor(q) {
  $("search-for").value = q.question;
  location.hash = "search";
  await attempt(async () => { await collectionsInto($("search-in")); if (q.collection) $("search-in").value = q.collection; await search(); });
}
panel("questions", "Questions", { show: () => attempt(async () => { await collectionsInto($("questions-of"), "all"); await drawQuestions(); }) });
for (const id of ["questions-days", "questions-of"]) $(id).addEventListener("change", () => attempt(drawQuestions));
$("questions-form").addEventListener("submit", e => e.preventDefault());
