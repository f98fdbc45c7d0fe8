// The beginnings that the widget and the console share. Text becomes text nodes, one by one: nothing is parsed as HTML.
function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v); else if (v != null && v !== false) e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.filter(c => c != null));
  return e;
}
// Where an address leads, when a click may follow it.
function safe(url) {
  try {
    const u = new URL(url, document.baseURI);
    return /^(https?|mailto):$/.test(u.protocol) ? u.href : null;
  } catch { return null; }
}
function anchor(url, ...children) {
  const href = safe(url);
  return href ? el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children) : el("span", null, ...children);
}
// Storage may be forbidden: then what is kept lives as long as the page.
const keep = {
  get(name, area = "localStorage") { try { return window[area].getItem(name); } catch { return null; } },
  set(name, value, area = "localStorage") { try { window[area].setItem(name, value); } catch { /* kept until the page is left */ } },
};
function sentence(s) { s = String(s); s = s[0].toUpperCase() + s.slice(1); return /[.!?。]$/.test(s) ? s : s + "."; }
