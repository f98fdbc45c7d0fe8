// Calls of the API with an admin's key. sessionStorage keeps the key, and nothing else does: this tab alone reads it, it ends with the tab, and a
// reload in the night does not ask again. It goes into the header Authorization only, never into an address, which logs and histories would keep.
const KEY_AT = "footnote-console-key";
const admin = { key: keep.get(KEY_AT, "sessionStorage") || "" };
function useKey(key) {
  admin.key = key;
  if (key) keep.set(KEY_AT, key, "sessionStorage"); else try { sessionStorage.removeItem(KEY_AT); } catch { /* it was not kept */ }
}
class Trouble extends Error {
  constructor(text, more) { super(text); Object.assign(this, more); }
}
const AWAY = "The gateway cannot be reached. Is it running? `make status` says so, `make logs SERVICE=gateway` why not; this page tries again by itself.";
function headers(more) { return { ...(admin.key ? { Authorization: "Bearer " + admin.key } : null), ...more }; }
// What went wrong, and what to do about it (advice.js).
function troubleOf(status, problem, again) {
  const p = problem || {}, code = p.code || "", todo = ADVICE[code] ? ADVICE[code].todo : "";
  const text = sentence(p.detail || p.title || "The gateway answered with " + status) + (again ? " Again in " + again + " s." : "") + (todo ? " " + todo : "");
  return new Trouble(text + (p.request_id ? " (request " + p.request_id + ")" : ""), { status, code, again });
}
const againOf = r => r.status === 429 || r.status === 503 ? Math.ceil(+r.headers.get("Retry-After")) || 1 : 0;
async function send(method, path, { json, more } = {}) {
  let r;
  try {
    r = await fetch("api/v1/" + path, { method, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", body: json === undefined ? undefined : JSON.stringify(json),
      headers: headers({ ...(json === undefined ? null : { "Content-Type": "application/json" }), ...more }) });
  } catch { throw new Trouble(AWAY, { status: 0, code: "away" }); }
  if (r.ok) return r;
  const problem = await r.json().catch(() => null);
  if (r.status === 401) signIn("That key is not valid (any more).");
  throw troubleOf(r.status, problem, againOf(r));
}
async function call(method, path, options) {
  const r = await send(method, path, options);
  return r.status === 204 ? null : r.json();
}
// Of fetch no progress of what is sent can be had.
function upload(form, progress) {
  return new Promise((ok, no) => {
    const x = new XMLHttpRequest();
    x.open("POST", "api/v1/documents");
    for (const [k, v] of Object.entries(headers())) x.setRequestHeader(k, v);
    x.upload.addEventListener("progress", e => progress(e.loaded, e.total));
    x.addEventListener("error", () => no(new Trouble(AWAY, { status: 0, code: "away" })));
    x.addEventListener("load", () => {
      let answer = null;
      try { answer = JSON.parse(x.responseText); } catch { /* not an answer of ours */ }
      if (x.status >= 200 && x.status < 300) ok(answer); else no(troubleOf(x.status, answer, 0));
    });
    x.send(form);
  });
}
