// What panels are made of: texts, times, tables, questions to the operator.
const $ = id => document.getElementById(id);
const pause = ms => new Promise(done => setTimeout(done, ms));
const number = n => n == null ? "–" : n.toLocaleString("en");
const percent = x => x == null ? "–" : Math.round(100 * x) + " %";
const dollars = d => d == null ? "–" : d === 0 ? "$0" : d < 0.01 ? "$" + d.toPrecision(2) : "$" + d.toFixed(2);
const millis = ms => ms == null ? "–" : ms < 10 ? ms.toFixed(1) + " ms" : ms < 10000 ? Math.round(ms) + " ms" : (ms / 1000).toFixed(1) + " s";
function bytes(n) { for (const unit of ["B", "KB", "MB"]) { if (n < 1000) return Math.round(n) + " " + unit; n /= 1000; } return n.toFixed(1) + " GB"; }
// Of people's texts: their direction is found out, whatever the page's is.
const words = (text, tag = "bdi") => el(tag, { dir: "auto" }, text == null ? "" : String(text));
function clock(at) { return at ? el("time", { datetime: at, title: at }, new Date(at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" })) : "–"; }
function day(at) { return at ? at.slice(0, 10) : "–"; }
const pill = (kind, text) => el("span", { class: "pill " + kind }, text);
const button = (text, onclick, danger) => el("button", { type: "button", class: "quiet" + (danger ? " danger" : ""), onclick }, text);
// A table: columns [head, is a number, how a cell is made of a row]. Every row has its head in its first cell.
function table(caption, columns, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const cell = (row, [, n, make], i) => el(i ? "td" : "td", { class: n ? "n" : null }, ...[make(row)].flat());
  return el("div", { class: "wide", tabindex: 0, role: "group", "aria-label": caption }, el("table", { "aria-label": caption },
    el("thead", null, el("tr", null, ...columns.map(([head, n]) => el("th", { scope: "col", class: n ? "n" : null }, head)))),
    el("tbody", null, ...rows.map(row => el("tr", null, ...columns.map((c, i) => cell(row, c, i)))))));
}
function say(text) { $("said").textContent = text; }
function trouble(e) {
  const text = e ? e.message || String(e) : "";
  if (e && !(e instanceof Trouble)) console.error(e);
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}
// Something that may fail: what went wrong is said on top, and the button does not do it twice. It is not disabled, which would take the focus from it.
let underWay = 0;
async function attempt(work, by) {
  if (by && by.getAttribute("aria-disabled")) return undefined;
  trouble(null);
  if (by) by.setAttribute("aria-disabled", "true");
  underWay++;
  try { return await work(); } catch (e) { trouble(e); return undefined; } finally { underWay--; if (by) by.removeAttribute("aria-disabled"); }
}
// Drawn anew when there is something new: the focus and the selection in what is the same stay.
function redraw(box, data, make) {
  const text = JSON.stringify(data);
  if (box.drawn === text) return;
  box.drawn = text;
  box.replaceChildren(...[make(data)].flat());
}
// A question to the operator in a dialog; the answer is whether it was yes.
function ask(title, body, yes, danger) {
  const box = $("ask");
  $("ask-title").textContent = title;
  $("ask-body").replaceChildren(...body);
  $("ask-yes").textContent = yes;
  $("ask-yes").className = "go" + (danger ? " danger" : "");
  $("ask-no").hidden = yes === "Close";
  box.returnValue = "no";
  box.showModal();
  return new Promise(done => box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true }));
}
// All pages of a list, up to so many items. {items, more}
async function pages(path, most) {
  const items = [];
  for (let cursor = null;;) {
    const page = await call("GET", path + (path.includes("?") ? "&" : "?") + "limit=200" + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
    items.push(...page.items);
    cursor = page.next_cursor;
    if (!page.has_more || !cursor || items.length >= most) return { items, more: page.has_more };
  }
}
// The collections in a select; the first entry stands for what is said.
async function collectionsInto(select, first) {
  const was = select.value, { items } = await pages("collections", 1000);
  select.replaceChildren(...(first ? [el("option", { value: "" }, first)] : []), ...items.map(c => el("option", { value: c.name }, c.name)));
  if ([...select.options].some(o => o.value === was)) select.value = was;
  return items;
}
const PANELS = [];
// title: of its link. show(): it is looked at; every: its milliseconds between calls of again(), while it is.
function panel(id, title, what) { PANELS.push({ id, title, ...what }); }
