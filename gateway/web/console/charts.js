// Small charts of the last hour: lines in an SVG, whose words say the same.
const SVG = "http://www.w3.org/2000/svg";
function svg(tag, props, ...children) {
  const e = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(props)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}
const HOUR = 3600000, WIDTH = 360, HEIGHT = 60;
// A line: [name, value of a point or null, how its sum or latest is told]. Where there is no value the line has a gap, but a value alone is a dot's length.
function path(points, value, most, end) {
  let d = "", pen = false;
  for (const p of points) {
    const v = value(p);
    if (v == null) { pen = false; continue; }
    const x = (WIDTH * (1 - (end - Date.parse(p.at)) / HOUR)).toFixed(1), y = (HEIGHT - (HEIGHT - 2) * Math.min(v / most, 1) - 1).toFixed(1);
    d += pen ? "L" + x + " " + y : "M" + x + " " + y + "h.1";
    pen = true;
  }
  return d || "M0 0";
}
function chart(title, points, lines, tell, end) {
  const all = points.flatMap(p => lines.map(([, value]) => value(p))).filter(v => v != null), most = Math.max(...all, 0) || 1;
  const facts = lines.map(([name, value, summary]) => [name, summary(points.map(value).filter(v => v != null))]);
  const label = title + ", last hour: " + (points.length ? facts.map(f => f.join(" ")).join(", ") : "no figures yet");
  return el("figure", null, el("figcaption", null, title),
    el("ul", null, ...facts.map(([name, text], i) => el("li", null,
      svg("svg", { class: "swatch", viewBox: "0 0 16 6", "aria-hidden": "true" }, svg("path", { d: "M0 3h16", class: "key-" + i })), name + " ", el("b", null, text)))),
    svg("svg", { viewBox: "0 0 " + WIDTH + " " + HEIGHT, preserveAspectRatio: "none", role: "img", "aria-label": label },
      ...lines.map(([, value], i) => svg("path", { d: path(points, value, most, end), class: "key-" + i }))),
    el("div", { class: "axis" }, el("span", null, "60 min ago"), el("span", null, "most: " + tell(all.length ? most : null)), el("span", null, "now")));
}
const sum = v => v.reduce((a, b) => a + b, 0), last = v => v.length ? v[v.length - 1] : null;
