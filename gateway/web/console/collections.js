// Collections: how much is in them, the model of their vectors and its change.
const MODEL_STATES = { steady: "", building: "is being made", kept: "is kept, so that you can switch back", dropping: "is being deleted" };
function vectors(c) {
  const e = c.embedding, out = [];
  if (!e) return "none yet";
  out.push(e.model ? words(e.model.name + ", " + e.model.dimensions + " dimensions") : "none");
  if (!e.other) return out;
  out.push(el("br"), el("span", { class: "soft" }, words(e.other.name), " " + MODEL_STATES[e.state]));
  if (e.state === "building") out.push(el("br"), el("progress", { max: c.chunks || 1, value: e.chunks_done || 0, "aria-label": "Vectors of " + c.name }), " " + number(e.chunks_done) + " of " + number(c.chunks));
  if (e.compared) out.push(el("br"), el("span", { class: "soft" }, "The ten best passages are the same by both to " + percent(e.overlap_at_10) + ", over " + number(e.compared) + " questions."));
  if (e.error) out.push(el("br"), el("span", { class: "bad" }, words(e.error)));
  return out;
}
function collectionActions(c) {
  const s = c.embedding && c.embedding.other ? c.embedding.state : "";
  return [s === "kept" || s === "building" ? button(s === "kept" ? "Switch back" : "Stop the change", e => attempt(() => changeModel(c, "switch-back"), e.target)) : null,
    s === "kept" ? button("Drop the old vectors", e => attempt(() => changeModel(c, "drop-old"), e.target)) : null,
    button("Delete", e => attempt(() => deleteCollection(c), e.target), true)].filter(Boolean);
}
async function changeModel(c, how) {
  const other = c.embedding.other.name, back = how === "switch-back";
  if (!await ask(back ? "Use the vectors of the other model?" : "Drop the old vectors?", [words(c.name, "p"), el("p", { class: "soft" }, back ? "Questions are compared with the vectors of " + other + " again; none is lost."
    : "The vectors of " + other + " go. Switching back is not possible any more.")], back ? "Switch" : "Drop", !back)) return;
  await call("POST", "collections/" + encodeURIComponent(c.name) + "/" + how);
  say(back ? "Switched: " + c.name : "The old vectors are being deleted: " + c.name);
  await drawCollections();
}
async function deleteCollection(c) {
  if (!await ask("Delete this collection with its " + number(c.documents) + " documents?", [words(c.name, "p"), el("p", { class: "soft" }, "It cannot be had back but by adding its documents again.")], "Delete all of it", true)) return;
  await call("DELETE", "collections/" + encodeURIComponent(c.name));
  say("Deleted: " + c.name);
  await drawCollections();
}
async function drawCollections() {
  const { items } = await pages("collections", 1000);
  redraw($("collections-list"), items, rows => table("Collections", [["Collection", false, c => words(c.name)], ["Documents", true, c => number(c.documents)], ["Passages", true, c => number(c.chunks)],
    ["Vectors", false, vectors], ["Language", false, c => c.language || "found out"], ["What to do", false, collectionActions]], rows, "There is no collection yet: the first document makes one."));
}
panel("collections", "Collections", { every: 2000, again: () => attempt(drawCollections), show: () => attempt(drawCollections) });
