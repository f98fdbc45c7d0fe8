// Documents: add (with the progress of sending and of reading), find, read the text, re-index, delete.
const shelf = { items: [], cursor: null, more: false, collections: [] };
const TEXT_SHOWN = 65536;
const nameOf = d => d.title || d.external_id || d.document_id;
const ill = d => d.status === "failed" || !!d.error;
async function readDocuments(anew) {
  const box = $("documents-list"), of = $("documents-of").value;
  box.setAttribute("aria-busy", "true");
  try {
    const page = await call("GET", "documents?limit=100" + (of ? "&collection=" + encodeURIComponent(of) : "") + (!anew && shelf.cursor ? "&cursor=" + encodeURIComponent(shelf.cursor) : ""));
    shelf.items = anew ? page.items : [...shelf.items, ...page.items];
    Object.assign(shelf, { cursor: page.next_cursor, more: page.has_more });
    drawDocuments();
  } finally { box.setAttribute("aria-busy", "false"); }
}
function documentState(d) {
  const kind = d.status === "failed" || (d.status === "ready" && d.error) ? "bad" : d.status === "ready" ? "ok" : "warn";
  return [pill(kind, d.status), ...(d.error ? [el("br"), words(d.error, "span")] : [])];
}
function documentName(d) {
  const name = words(nameOf(d));
  return [d.url && safe(d.url) ? anchor(d.url, name) : name, el("br"), el("span", { class: "soft" }, words(d.external_id || d.document_id))];
}
function drawDocuments() {
  const holds = $("documents-holds").value.trim().toLowerCase(), bad = $("documents-bad").checked;
  const rows = shelf.items.filter(d => (!bad || ill(d)) && (!holds || (nameOf(d) + " " + (d.external_id || "")).toLowerCase().includes(holds)));
  $("documents-list").replaceChildren(table("Documents", [["Document", false, documentName], ["Collection", false, d => words(d.collection)], ["State", false, documentState], ["Passages", true, d => number(d.chunks)],
    ["Text", true, d => bytes(d.bytes)], ["Changed", false, d => clock(d.updated_at)], ["What to do", false, d => [button("Text", e => attempt(() => showText(d), e.target)),
      button("Re-index", e => attempt(() => reindex(d), e.target)), button("Delete", e => attempt(() => deleteDocument(d), e.target), true)]]], rows,
    shelf.items.length ? "None of the documents that were read is like that." : "There are no documents here."));
  $("documents-more").hidden = !shelf.more;
  $("documents-count").textContent = number(rows.length) + " of " + number(shelf.items.length) + " that were read" + (shelf.more ? "; there are more" : "");
}
async function showText(d) {
  const r = await send("GET", "documents/" + d.document_id + "/text?end=" + TEXT_SHOWN), whole = +r.headers.get("X-Text-Bytes");
  const text = new TextDecoder().decode(await r.arrayBuffer());
  await ask(nameOf(d), [el("p", { class: "soft" }, "The stored text, which citations point into" + (whole > TEXT_SHOWN ? ": its first 64 KB of " + bytes(whole) : "") + "."), el("pre", { dir: "auto", tabindex: 0 }, text)], "Close");
}
async function deleteDocument(d) {
  if (!await ask("Delete this document?", [words(nameOf(d), "p"), el("p", { class: "soft" }, "Within a quarter of a second nothing finds it any more. It cannot be had back but by adding it again.")], "Delete", true)) return;
  await call("DELETE", "documents/" + d.document_id);
  shelf.items = shelf.items.filter(x => x.document_id !== d.document_id);
  drawDocuments();
  say("Deleted: " + nameOf(d));
}
async function reindex(d) {
  const line = progressLine(nameOf(d)), { job_id } = await call("POST", "documents/" + d.document_id + "/reindex").catch(e => { line.box.remove(); throw e; });
  await watchJob(job_id, line);
  await readDocuments(true);
}
// A line with a bar: what is being done to what, and how far it is.
function progressLine(name) {
  const bar = el("progress", { "aria-label": name, max: 1 }), text = el("span", null, "…"), box = el("p", { class: "soft" }, words(name), " ", bar, " ", text);
  $("uploads").prepend(box);
  while ($("uploads").children.length > 8) $("uploads").lastChild.remove();
  return { box, set(share, what) { if (share == null) bar.removeAttribute("value"); else bar.value = share; text.textContent = what; }, end(what) { bar.remove(); text.textContent = what; } };
}
async function watchJob(id, line) {
  for (;;) {
    const j = await call("GET", "jobs/" + id), done = j.files_done + j.files_failed;
    line.set(j.files ? done / j.files : null, number(done) + " of " + number(j.files) + " read, " + number(j.chunks) + " passages");
    if (j.status !== "running") {
      line.end(j.files_failed ? number(j.files_failed) + " of " + number(j.files) + " could not be read: " + (j.error || "no reason was told") : "searchable: " + number(j.chunks) + " new passages");
      return;
    }
    await pause(400);
  }
}
async function addFiles(files) {
  if (!$("upload-form").reportValidity()) return;
  const line = progressLine(files.length === 1 ? files[0].name : files.length + " files"), form = new FormData();
  form.append("collection", $("upload-into").value);
  for (const f of files) form.append("file", f, f.webkitRelativePath || f.name);
  try {
    const taken = await upload(form, (sent, all) => line.set(sent / all, bytes(sent) + " of " + bytes(all) + " sent"));
    line.set(null, "waits to be read");
    if (taken.job_id) await watchJob(taken.job_id, line); else line.end("nothing new");
  } catch (e) { line.end("not taken"); trouble(e); return; }
  await attempt(async () => { await readShelves(); await readDocuments(true); });
}
async function readShelves() {
  shelf.collections = await collectionsInto($("documents-of"), "all");
  $("collection-names").replaceChildren(...shelf.collections.map(c => el("option", { value: c.name })));
}
panel("documents", "Documents", { show: () => attempt(async () => { await readShelves(); await readDocuments(true); }) });
$("documents-of").addEventListener("change", () => attempt(() => readDocuments(true)));
$("documents-holds").addEventListener("input", drawDocuments);
$("documents-bad").addEventListener("change", drawDocuments);
$("documents-more").addEventListener("click", e => attempt(() => readDocuments(false), e.target));
for (const id of ["upload-form", "documents-filter"]) $(id).addEventListener("submit", e => e.preventDefault());
$("file").addEventListener("change", e => { if (e.target.files.length) addFiles([...e.target.files]); e.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) $("drop").addEventListener(kind, e => { e.preventDefault(); $("drop").classList.add("on"); });
for (const kind of ["dragleave", "drop"]) $("drop").addEventListener(kind, () => $("drop").classList.remove("on"));
$("drop").addEventListener("drop", e => { e.preventDefault(); if (e.dataTransfer.files.length) addFiles([...e.dataTransfer.files]); });
