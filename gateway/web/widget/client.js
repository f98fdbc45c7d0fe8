// Calls of the API. A random session id is the only secret of this browser; the key of a page is bound to its origin and no secret.
function uuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = b[6] & 15 | 64; b[8] = b[8] & 63 | 128;
  return Array.from(b, (x, i) => ([4, 6, 8, 10].includes(i) ? "-" : "") + x.toString(16).padStart(2, "0")).join("");
}
class Client {
  constructor(base, key) {
    const own = base.origin === location.origin && base.pathname === "/";
    this.base = base;
    this.key = key;
    this.place = "footnote-session" + (own ? "" : ":" + base.href);
    this.session = keep.get(this.place);
    if (!this.session) this.renew();
  }
  renew() { keep.set(this.place, this.session = uuid()); }
  url(path) { return new URL("api/v1/" + path, this.base).href; }
  headers(more) { return { "X-Session-ID": this.session, ...(this.key ? { Authorization: "Bearer " + this.key } : null), ...more }; }
  call(path, options) { return fetch(this.url(path), { ...options, headers: this.headers(options && options.headers) }); }
  post(path, body, signal) { return this.call(path, { method: "POST", body: JSON.stringify(body), signal, headers: { "Content-Type": "application/json" } }); }
}
// Events over as many connections as it takes: one that breaks is made again, and goes on behind the last id. Who stops reading stops the answer.
async function* lasting(client, answer, signal) {
  for (let tries = 0, last, path; !tries || path && tries < 7; tries++) {
    try {
      if (tries) answer = await client.call(path, { signal, headers: { "Last-Event-ID": last } });
      if (answer.ok) for await (const e of events(answer.body)) {
        if (e.data.resumable) path = "chat/stream/" + e.data.message_id;
        last = e.id; tries = 0;
        yield e;
      } else if (answer.status < 429) return;
    } catch (e) {
      if (!path || signal.aborted) { if (path) client.call(path, { method: "DELETE" }); throw e; }
    }
    if (path) await new Promise(done => setTimeout(done, 250 << tries));
  }
}
// What went wrong, in words, and in how many seconds to come again.
async function problemOf(answer, words) {
  let p = null;
  try { p = await answer.json(); } catch { /* not a problem object */ }
  const told = p && (p.detail || p.title);
  const again = answer.status === 429 || answer.status === 503 ? Math.ceil(+answer.headers.get("Retry-After")) || 1 : 0;
  if (answer.status === 429) return { text: words.wait, again };
  return { text: told ? sentence(told) : words.away + " (" + answer.status + ")", again };
}
// Server-sent events over fetch: EventSource cannot POST.
async function* events(stream) {
  const reader = stream.getReader(), decoder = new TextDecoder();
  for (let rest = "";;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    for (let at; (at = rest.indexOf("\n\n")) >= 0; rest = rest.slice(at + 2)) {
      let name = "message", data = "", id;
      for (const line of rest.slice(0, at).split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
        else if (line.startsWith("id: ")) id = line.slice(4);
      }
      if (data) yield { name, id, data: JSON.parse(data) };
    }
  }
}
