// Markdown becomes elements and text nodes, one by one: nothing is parsed as HTML, and nothing is loaded (a picture becomes a link to it).
const INLINE = /(`{1,3})(.+?)\1(?!`)|\[(\d{1,3})\](?!\()|!?\[([^\[\]]{0,500})\]\(<?([^\s()<>]{1,2000}(?:\([^\s()]{0,200}\)[^\s()<>]{0,500})?)>?(?:\s+"[^"]{0,200}")?\)|\*\*(?=\S)(.{1,900}?)\*\*|\*(?=[^\s*])([^*]{1,900}?)\*|https?:\/\/[^\s<>"'`|]*[^\s<>"'`|.,:;!?)\]]|\\([!-\/:-@\[-`{-~])|&lt;/g;
// cite(n, said): the mark of a source as an element, or nothing: a bracket that a source has behind the same words is its own.
function inline(box, text, cite) {
  let at = 0;
  for (const m of text.matchAll(INLINE)) {
    const [all, , code, n, label, url, strong, soft, escaped] = m;
    const sub = (tag, words) => { const e = el(tag); inline(e, words, cite); return e; };
    let node = all;
    if (code) node = el("code", null, code);
    else if (n) node = cite(+n, text.slice(0, m.index).slice(-12) + all) || all;
    else if (url) { node = anchor(url); if (label) inline(node, label, () => null); else node.append(url); }
    else if (strong) node = sub("strong", strong);
    else if (soft) node = sub("em", soft);
    else if (escaped) node = escaped;
    else if (all === "&lt;") node = "<";
    else if (all.startsWith("http")) node = anchor(all, all);
    box.append(text.slice(at, m.index), node);
    at = m.index + all.length;
  }
  box.append(text.slice(at));
}
const ITEM = /^(\s*)(?:[-*+•]|(\d{1,9})[.)])\s+(.*)/, FENCE = /^(\s*)(`{3,}|~{3,})\s*([^\s`]*)/, RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
// Of a line without blanks at its ends. Nowhere may two parts of a pattern share signs in many ways: a long line would cost the square of its length.
const BAR = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$/;
const cells = line => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map(c => c.trim().replaceAll("\\|", "|"));
function table(lines, cite) {
  const side = cells(lines[1]).map(c => c.endsWith(":") ? c[0] === ":" ? "center" : "end" : "");
  const row = (line, tag) => el("tr", null, ...cells(line).slice(0, side.length).map((c, i) => {
    const e = el(tag, tag === "th" ? { scope: "col" } : null);
    e.style.textAlign = side[i];
    inline(e, c, cite);
    return e;
  }));
  return el("div", { class: "wide", tabindex: 0 }, el("table", null, el("thead", null, row(lines[0], "th")),
    el("tbody", null, ...lines.slice(2).map(l => row(l, "td")))));
}
function list(lines, cite) {
  const open = [];
  let first, item;
  for (const line of lines) {
    const m = ITEM.exec(line);
    if (!m) { item.append(" "); inline(item, line.trim(), cite); continue; }
    const deep = m[1].replaceAll("\t", "    ").length;
    while (open.length > 1 && open.at(-1).deep > deep) open.pop();
    if (!open.length || deep > open.at(-1).deep + 1) {
      const box = el(m[2] ? "ol" : "ul", m[2] ? { start: m[2] } : null);
      if (item) item.append(box); else first = box;
      open.push({ box, deep });
    }
    item = el("li");
    inline(item, m[3], cite);
    open.at(-1).box.append(item);
  }
  return first;
}
function codeBlock(text, lang, tool) {
  return el("div", { class: "code" }, el("pre", { tabindex: 0, "data-lang": lang }, el("code", null, text)), tool(text));
}
function quote(lines, cite) {
  const q = el("blockquote");
  lines.forEach((l, i) => { if (i) q.append(el("br")); inline(q, l.replace(/^\s*> ?/, ""), cite); });
  return q;
}
function paragraph(lines, cite) {
  const p = el("p");
  inline(p, lines.map(l => l.trim()).join(" "), cite);
  return p;
}
// The blocks of a text: [its lines, how they become an element].
function blocks(text, tool) {
  const lines = text.split("\n"), out = [];
  for (let i = 0; i < lines.length;) {
    const from = i, line = lines[i], m = FENCE.exec(line);
    const till = stop => { for (i++; i < lines.length && !stop(lines[i]); i++); return lines.slice(from, i); };
    if (!line.trim()) { i++; continue; }
    const head = /^ {0,3}#{1,6}\s+(.*[^\s#])?[\s#]*$/.exec(line);
    if (m) {
      const body = till(l => l.trim().startsWith(m[2]) && !l.trim().replaceAll(m[2][0], "")).slice(1).map(l => l.startsWith(m[1]) ? l.slice(m[1].length) : l);
      i++;
      out.push([lines.slice(from, i), () => codeBlock(body.join("\n"), m[3], tool)]);
    } else if (head) { i++; out.push([[line], (_, cite) => { const s = el("strong"); inline(s, head[1] || "", cite); return el("p", { class: "head" }, s); }]);
    } else if (RULE.test(line)) { i++; out.push([[line], () => el("hr")]);
    } else if (line.includes("|") && BAR.test((lines[i + 1] || "").trim()) && lines[i + 1].includes("-")) out.push([till(l => !l.includes("|")), table]);
    else if (/^\s*>/.test(line)) out.push([till(l => !/^\s*>/.test(l)), quote]);
    else if (ITEM.test(line)) out.push([till(l => FENCE.test(l) || (!l.trim() && !ITEM.test(lines[i + 1] || "")) || (lines[i - 1].trim() === "" && !ITEM.test(l))).filter(l => l.trim()), list]);
    else out.push([till(l => !l.trim() || ITEM.test(l) || FENCE.test(l) || /^\s*>|^ {0,3}#{1,6}\s/.test(l)), paragraph]);
  }
  return out;
}
// Draw a text; what has not changed since it was last drawn stays the same element, with its focus and its selection.
function prose(box, text, cite, tool) {
  const old = box.drawn || [];
  box.drawn = blocks(text, tool).map(([lines, make], i) => {
    const key = lines.join("\n").replace(/\[(\d{1,3})\]/g, (all, n, at, s) => all + !!cite(+n, s.slice(0, at).slice(-12) + all));
    if (old[i] && old[i].key === key) return old[i];
    const node = make(lines, cite);
    if (old[i]) old[i].node.replaceWith(node); else box.append(node);
    return { key, node };
  });
  for (const gone of old.slice(box.drawn.length)) gone.node.remove();
}
