// <footnote-chat>: one conversation with the documents. Modes: launcher (a button in the corner opens it), inline (where it stands) and
// page (as large as its parent, without a shadow: the page at /). Ids are its own: they live in its shadow.
const SCRIPT = document.currentScript || document.querySelector('script[src*="widget.js"]');
const most = 500, count = s => [...s].length;
class Chat extends HTMLElement {
  static el = el;
  static sentence = sentence;
  connectedCallback() {
    if (this.root) return;
    // Frameworks keep some names, such as key, for themselves: each option may have data- before it.
    const option = this.option = name => this.getAttribute(name) || this.dataset[name];
    this.setAttribute("mode", this.mode = option("mode") || "inline");
    this.setAttribute("theme", option("theme") || "");
    this.lang_ = (option("lang") || (this.closest("[lang]") || document.documentElement).lang || navigator.language).slice(0, 2).toLowerCase();
    if (!WORDS[this.lang_]) this.lang_ = "en";
    this.words = wordsOf(this.lang_);
    this.client = new Client(new URL(option("api") ? option("api").replace(/\/?$/, "/") : "./", SCRIPT ? SCRIPT.src : location.href), option("key"));
    this.conversation = this.running = null;
    this.fresh = false; // the next question opens a conversation of its own
    this.about = null; // the selected text that the next question is about, and where it stands
    this.stick = true;
    this.root = this.mode === "page" ? this : this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(), home = this.mode === "page" ? document : this.root;
    sheet.replaceSync(CSS.supports("color", "light-dark(red, red)") ? STYLE : STYLE.replace(/light-dark\(([^,]+),[^)]+\)/g, "$1"));
    home.adoptedStyleSheets = [...home.adoptedStyleSheets, sheet];
    this.build(option);
    this.listenToKeys();
    this.selections(option("selection") !== "off");
    if (this.mode === "page") this.input.focus();
    if (this.mode !== "launcher") this.start();
    else if (keep.get("footnote-open", "sessionStorage")) this.open(false);
  }
  get session() { return this.client.session; }
  set session(id) { this.client.session = id; }
  $(id) { return this.root.querySelector("#" + id); }
  tell(name, detail) { this.dispatchEvent(new CustomEvent("footnote-" + name, { detail, bubbles: true, composed: true })); }

  // ---- what it is made of
  build(option) {
    const w = this.words, launcher = this.mode === "launcher", title = option("heading") || w.ask;
    const suggestions = (option("suggestions") || "").split("|").filter(s => s.trim());
    const button = (id, text, onclick, more) => el("button", { id, type: "button", class: "quiet", part: "button", onclick, ...more }, text);
    const icon = (id, sign, name, onclick, more) => button(id, sign, onclick, { "aria-label": name, title: name, ...more });
    const direction = getComputedStyle(this).direction === "rtl" || this.lang_ === "ar" ? "rtl" : "ltr";
    this.pick = button("pick", w.about, () => this.askAbout(), { class: "pick", hidden: true, onpointerdown: e => e.preventDefault() }); // the words stay selected
    const panel = el("section", { id: "panel", part: "panel", role: launcher ? "dialog" : "region", "aria-label": title, hidden: launcher },
      el("div", { class: "top", part: "header" }, el("h2", { id: "title" }, title),
        icon("list", "☰", w.list, () => this.listPast(), { "aria-expanded": "false", "aria-controls": "past" }),
        launcher ? icon("close", "✕", w.close, () => this.close()) : null),
      el("nav", { id: "past", part: "conversations", "aria-label": w.list, hidden: true }),
      el("div", { id: "scroll", tabindex: 0, onscroll: e => { const s = e.target; this.stick = s.scrollHeight - s.scrollTop - s.clientHeight < 80; } },
        el("div", { id: "empty", part: "empty" }, option("intro") ? el("p", null, option("intro")) : null,
          ...suggestions.map(s => el("button", { class: "suggestion", part: "suggestion", type: "button", onclick: () => this.ask(s.trim()) }, s.trim()))),
        el("div", { id: "log", part: "log", role: "log", "aria-live": "polite", "aria-label": title })),
      el("div", { class: "foot" },
        el("div", { id: "about", part: "about", hidden: true }, el("blockquote", { id: "about-text", "aria-label": w.picked }), icon("about-no", "✕", w.drop, () => { this.setAbout(null); this.input.focus(); })),
        el("form", { id: "ask", part: "form", onsubmit: e => { e.preventDefault(); this.submit(); } },
          this.input = el("textarea", { id: "question", part: "question", rows: 1, placeholder: w.hint, "aria-label": w.hint, autocomplete: "off", oninput: () => this.fit() }),
          el("button", { id: "go", part: "send", type: "submit", disabled: true }, w.ask)),
        el("div", { class: "under" }, el("span", { id: "talk", hidden: true }, button("anew", w.anew, () => this.anew())), el("span", { id: "count", "aria-live": "polite" }))));
    this.shell = el("div", { id: "shell", class: this.mode, dir: direction, lang: this.lang_ },
      launcher ? el("button", { id: "open", part: "launcher", type: "button", "aria-haspopup": "dialog", "aria-expanded": "false", "aria-controls": "panel", onclick: () => this.open() }, title) : null,
      panel, this.sourceDialog(), this.pick);
    this.root.append(this.shell);
    this.log = this.$("log"); this.scroller = this.$("scroll");
  }
  sourceDialog() {
    const close = () => this.$("source").close();
    return el("dialog", { id: "source", part: "source", "aria-labelledby": "source-title", onclick: e => { if (e.target.id === "source") close(); } },
      el("div", { class: "top" }, el("h2", { id: "source-title" }), el("button", { class: "quiet", type: "button", "data-close": "", onclick: close }, this.words.close)),
      el("div", { class: "body", tabindex: 0 }, el("div", { id: "source-text", part: "passage" }), el("p", { class: "facts", id: "source-facts" })));
  }
  start() { if (!this.started) { this.started = true; this.history(); this.fit(); } }
  open(focus = true) {
    if (this.mode !== "launcher") { if (focus) this.input.focus(); return; }
    this.$("panel").hidden = false;
    this.$("open").setAttribute("aria-expanded", "true");
    keep.set("footnote-open", "1", "sessionStorage");
    this.start();
    if (focus) this.input.focus();
  }
  close() {
    this.$("panel").hidden = true;
    this.$("open").setAttribute("aria-expanded", "false");
    keep.set("footnote-open", "", "sessionStorage");
    this.$("open").focus();
  }
  listenToKeys() {
    this.input.addEventListener("keydown", e => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); if (!this.running) this.submit(); }
    });
    this.shell.addEventListener("keydown", e => {
      if (e.key !== "Escape" || this.$("source").open) return;
      if (!this.$("past").hidden) { this.showPast(false); this.$("list").focus(); }
      else if (this.running) this.running.abort();
      else if (this.mode === "launcher") this.close();
      else return;
      e.stopPropagation();
    });
  }

  // ---- the box one asks in
  buttons() {
    const n = count(this.input.value.trim()), go = this.$("go");
    go.textContent = this.running ? this.words.stop : this.words.ask;
    go.disabled = !this.running && (n < 1 || n > most);
    this.$("count").textContent = n > most * .8 ? n + " / " + most : "";
    this.$("count").className = n > most ? "over" : "";
    this.$("talk").hidden = !this.conversation;
  }
  fit() { this.input.rows = Math.min(6, Math.max(1, this.input.value.split("\n").length, Math.ceil(this.input.value.length / (this.input.clientWidth / 8 || 60)))); this.buttons(); }
  submit() {
    const q = this.input.value.trim();
    if (this.running) this.running.abort();
    else if (q && count(q) <= most) { this.input.value = ""; this.fit(); this.ask(q); this.input.focus(); }
  }
  follow() { if (this.stick) this.scroller.scrollTop = this.scroller.scrollHeight; }

  // ---- one question with its answer
  begins() {
    const last = this.log.lastElementChild;
    if (last && last.className !== "begin") this.log.append(el("p", { class: "begin" }, this.words.anew));
  }
  turn(question, about) {
    this.$("empty").hidden = true;
    const text = el("div", { class: "text", part: "answer" }), list = el("ol", { class: "sources", part: "sources", "aria-label": this.words.sources, hidden: true });
    const facts = el("p", { class: "facts" }), tools = el("div", { class: "tools" }), card = el("div", { class: "card" }, text, list, facts, tools);
    const box = el("article", { class: "turn", part: "turn" }, about ? el("blockquote", { class: "selected" }, about.text) : null, el("p", { class: "asked" }, question), card);
    this.log.append(box);
    return { question, about, box, card, text, list, facts, tools, answer: "", sources: new Map() };
  }
  prose(t) {
    prose(t.text, t.answer, (n, said) => {
      const s = t.sources.get(n);
      return s && (said[0] === "[" || ![...t.sources.values()].some(s => s.content_excerpt?.includes(said))) && el("button", { class: "cite", part: "cite", type: "button", "aria-label": this.words.sources + " " + n + ": " + this.place(s), title: this.place(s), onclick: () => this.openSource(t, n) }, String(n));
    }, text => this.copier(() => text));
  }
  draw(t) {
    if (t.queued) return;
    t.queued = requestAnimationFrame(() => { t.queued = 0; if (!t.done) this.prose(t); this.follow(); });
  }
  listSources(t) {
    t.list.replaceChildren(...[...t.sources.values()].map(s => el("li", null,
      el("button", { class: "source", part: "source-link", type: "button", "aria-haspopup": "dialog", onclick: () => this.openSource(t, s.n) },
        el("b", null, "[" + s.n + "]"), el("span", { class: "where" }, this.place(s)), el("span", { class: "excerpt" }, s.content_excerpt)))));
    t.list.hidden = !t.sources.size;
  }
  finish(t, a) {
    t.done = true;
    t.text.classList.remove("wait");
    t.answer = a.answer;
    t.sources = new Map((a.sources || []).map(s => [s.n, s]));
    this.listSources(t);
    this.prose(t);
    const cut = a.status === "incomplete" || (a.finish && a.finish !== "stop"), id = a.message_id || a.id;
    t.facts.replaceChildren(...(cut || !a.grounded ? [el("span", null, cut ? this.words.cut : this.words.none)] : []));
    t.tools.replaceChildren(this.copier(() => t.answer.replaceAll("&lt;", "<") + [...t.sources.values()].map(s => "\n[" + s.n + "] " + this.place(s) + (s.link ? " " + this.linkOf(s) : "")).join("")),
      ...(id && a.saved !== "no" ? this.raters(id, a.feedback) : []));
    this.tell("answer", { turn: t, answer: a });
  }
  copier(text) {
    const b = el("button", { class: "quiet", part: "button", type: "button", onclick: async () => {
      try { await navigator.clipboard.writeText(text()); } catch { return; } // not allowed here
      b.textContent = "✓";
      setTimeout(() => { b.textContent = this.words.copy; }, 1500);
    } }, this.words.copy);
    return b;
  }
  raters(id, given) {
    const all = [["up", "▲", this.words.good], ["down", "▼", this.words.bad]].map(([rating, sign, name]) =>
      el("button", { class: "quiet rate", part: "button", type: "button", "data-rating": rating, "aria-label": name, title: name, "aria-pressed": String(!!given && given.rating === rating), onclick: () => this.rate(id, rating, all) }, sign));
    return all;
  }
  async rate(id, rating, all) {
    const press = r => all.forEach(b => b.setAttribute("aria-pressed", String(b.dataset.rating === r)));
    press(rating);
    for (let tries = 0; tries < 4; tries++) { // an answer that still waits to be saved is not there yet
      const r = await this.client.post("messages/" + id + "/feedback", { rating }).catch(() => null);
      if (r && r.ok) return;
      if (!r || r.status !== 404) break;
      await new Promise(done => setTimeout(done, 700));
    }
    press("");
  }
  // A question that failed is put back where it can be changed, and has a button to ask it again, when the server wants it.
  fail(t, message, again) {
    const w = this.words, retry = el("button", { class: "quiet retry", part: "button", type: "button", onclick: () => {
      if (this.running) return;
      if (this.input.value === t.question) this.input.value = "";
      t.box.remove(); this.setAbout(null); this.ask(t.question, t.about); this.fit(); this.input.focus();
    } }, w.retry);
    t.done = true;
    t.text.classList.remove("wait");
    t.list.hidden = !t.answer || t.list.hidden;
    t.card.append(el("div", { class: "problem", part: "problem", role: "alert" }, message), retry);
    if (again) this.countdown(retry, again);
    if (!this.input.value) { this.input.value = t.question; if (t.about && !this.about) this.setAbout(t.about); this.fit(); }
  }
  countdown(button, seconds) {
    const end = Date.now() + seconds * 1000, tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = this.words.retry + (left > 0 ? " (" + left + ")" : "");
      if (left > 0 && button.isConnected) setTimeout(tick, 250);
    };
    tick();
  }
  async listen(t, answer) {
    for await (const { name, data } of lasting(this.client, answer, this.running.signal)) {
      if (name === "meta") { this.conversation = data.conversation_id || this.conversation; this.fresh = false; }
      else if (name === "sources") { t.sources = new Map(data.sources.map(s => [s.n, s])); this.listSources(t); this.follow(); }
      else if (name === "delta") { t.answer += data.text; this.draw(t); }
      else if (name === "restart") t.answer = "";
      else if (name === "done") { this.conversation = data.conversation_id || this.conversation; this.finish(t, data); return; }
      else if (name === "error") { this.fail(t, sentence(data.detail || data.title)); return; }
    }
    this.fail(t, this.words.away);
  }
  // What is asked follows on from what was asked before, until a new conversation is begun.
  async send(body) {
    const post = () => this.client.post("chat/stream", body, this.running.signal), answer = await post();
    if (answer.status !== 404 || !body.conversation_id) return answer;
    this.conversation = null; // it has expired, or was erased elsewhere
    delete body.conversation_id;
    return post();
  }
  async ask(question, about = this.about) {
    if (this.running) return;
    this.open(false);
    const t = this.turn(question, about), body = { question, session_id: this.session, resumable: true }, collection = this.option("collection");
    this.setAbout(null);
    if (collection) body.collection = collection;
    if (about) Object.assign(body, { selected_text: about.text, chapter: about.chapter, section: about.section });
    else body.page_context = this.pageContext();
    if (this.conversation) body.conversation_id = this.conversation; else if (this.fresh) body.new_conversation = true;
    this.running = new AbortController();
    t.text.classList.add("wait");
    this.log.setAttribute("aria-busy", "true");
    this.buttons(); this.showPast(false); this.stick = true; this.follow();
    try {
      const answer = await this.send(body), p = answer.ok ? await this.listen(t, answer) : await problemOf(answer, this.words);
      if (p) this.fail(t, p.text, p.again);
    } catch (e) { this.fail(t, e && e.name === "AbortError" ? this.words.stopped : this.words.away); }
    this.running = null;
    this.log.removeAttribute("aria-busy");
    this.buttons(); this.follow();
  }
  // The text of the page that the reader is on: context="off", or the selector of the part that counts.
  pageContext() {
    const at = this.option("context") || (this.mode === "launcher" ? "" : "off");
    const e = at === "off" ? null : at ? document.querySelector(at) : document.querySelector("main, article") || document.body;
    return e ? [...(document.title + "\n" + e.innerText).replace(/[^\S\n]+/g, " ").replace(/[\0-\x08\x0b-\x1f\x7f]/g, "")].slice(0, 2000).join("").trim() : undefined;
  }

  // ---- a question about words that are selected, in an answer, a source or the page around
  selections(everywhere) {
    this.everywhere = everywhere && this.mode === "launcher";
    document.addEventListener("selectionchange", () => {
      const s = this.isConnected && this.selected();
      this.pick.hidden = !s;
      if (!s) return;
      s.home.append(this.pick); // over a dialog only what is in it can be seen
      this.pick.style.left = Math.max(8, Math.min(s.at.left, innerWidth - 160)) + "px";
      this.pick.style.top = Math.max(8, Math.min(s.at.bottom + 6, innerHeight - 48)) + "px";
    });
  }
  selected() {
    const inside = this.root.getSelection && this.root.getSelection(), s = inside && inside.rangeCount && !inside.isCollapsed ? inside : getSelection();
    if (!s.rangeCount || s.isCollapsed) return null;
    const range = s.getRangeAt(0), at = range.commonAncestorContainer, e = at.nodeType === 1 ? at : at.parentElement;
    const own = e && this.root.contains(e), box = e && (own ? e.closest(".turn .text, #source-text") : this.everywhere && !e.closest("input, textarea, [contenteditable]"));
    const text = box ? s.toString().trim() : "", n = count(text);
    return n >= 5 && n <= 5000 ? { text, home: own && e.closest("dialog") || this.shell, at: range.getBoundingClientRect(), ...(own ? null : this.headings(range)), clear: () => s.removeAllRanges() } : null;
  }
  // Of a selection on the page: the heading of the page, and the last one before the selection.
  headings(range) {
    let chapter, section;
    for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
      if (range.comparePoint(h, 0) > 0) break;
      const text = [...h.textContent.replace(/\s+/g, " ").trim()].slice(0, 200).join("");
      if (text && h.tagName === "H1") { chapter = text; section = undefined; } else if (text) section = text;
    }
    return { chapter, section };
  }
  askAbout() {
    const s = this.selected();
    if (!s) return;
    s.clear(); this.pick.hidden = true;
    if (s.home !== this.shell) s.home.close();
    this.open();
    this.setAbout(s);
    this.input.focus();
  }
  setAbout(s) {
    this.about = s && { text: s.text, chapter: s.chapter, section: s.section };
    this.$("about-text").textContent = s ? s.text : "";
    this.$("about").hidden = !s;
  }

  // ---- a source in its surroundings: only what an answer of this session cites is shown, to readers without a key too
  place(s) {
    const parts = [s.kind === "selection" ? this.words.picked : s.title, s.chapter, s.section].filter((p, i, all) => p && all.indexOf(p) === i);
    return (parts.length ? parts.join(" › ") : s.external_id || "–") + (s.page ? ", " + this.words.page + " " + s.page : "");
  }
  linkOf(s) { return /^\/s\//.test(s.link) ? new URL(s.link.slice(1), this.client.base).href : s.link; }
  async openSource(t, n) {
    const s = t.sources.get(n), text = this.$("source-text"), facts = this.$("source-facts"), say = (words, passage) => {
      if (words) facts.append(el("span", null, words));
      this.tell("source", { source: s, passage, facts });
    };
    if (!s) return;
    this.$("source-title").textContent = "[" + s.n + "] " + this.place(s);
    text.replaceChildren(el("mark", null, s.content_excerpt));
    facts.replaceChildren();
    if (s.link && safe(this.linkOf(s))) {
      const a = anchor(this.linkOf(s), this.words.open);
      if (this.mode === "launcher" && a.origin === location.origin) a.removeAttribute("target"); // the widget is on that page, too
      facts.append(a);
    }
    say();
    this.$("source").showModal();
    if (!t.done || !(s.end > s.start)) return; // not saved yet; or of an imported answer, or a text that no document has: no bytes are known
    try {
      const r = await this.client.call("citations/" + encodeURIComponent(s.id));
      if (!r.ok) return; // the excerpt stands already
      const c = await r.json();
      if (c.state !== "verified") say(c.state === "gone" && this.words.gone, c);
      if (c.state === "gone") return;
      const hit = el("mark", null, s.content_excerpt);
      text.replaceChildren((c.more_before ? "…" : "") + c.before, hit, c.after + (c.more_after ? "…" : ""));
      hit.scrollIntoView({ block: "center" });
    } catch { /* the excerpt stands already */ }
  }

  // ---- what this browser asked before
  anew() {
    if (this.running) this.running.abort();
    this.conversation = null; this.fresh = true;
    this.begins(); this.showPast(false); this.buttons(); this.input.focus();
  }
  clear() { this.log.replaceChildren(); this.$("empty").hidden = false; }
  async history(only) {
    try {
      const r = await this.client.call("chat/history?limit=" + (only ? "200&conversation_id=" + only : "50"));
      if (!r.ok) return;
      const time = m => m.created_at + (m.role === "user" ? 0 : 1);
      const items = (await r.json()).items.sort((a, b) => time(a).localeCompare(time(b)));
      if (this.running) return;
      if (only) this.clear();
      let t = null;
      for (const m of items) {
        if (this.conversation && m.conversation_id !== this.conversation && !only) this.begins();
        this.conversation = m.conversation_id;
        if (m.role === "user") t = this.turn(m.content, m.selected_text && { text: m.selected_text });
        else if (t) { this.finish(t, { ...m, answer: m.content }); t = null; }
      }
      this.buttons(); this.follow();
    } catch { /* the server will be missed soon enough */ }
  }
  showPast(shown) {
    this.$("past").hidden = !shown;
    this.$("list").setAttribute("aria-expanded", String(shown));
  }
  async listPast() {
    const box = this.$("past");
    this.showPast(box.hidden);
    if (box.hidden) return;
    let items = [];
    try {
      const r = await this.client.call("conversations?limit=100");
      if (r.ok) items = (await r.json()).items;
      else if (r.status !== 404) { box.replaceChildren(el("p", { class: "problem", role: "alert" }, await this.problem(r))); return; }
    } catch { box.replaceChildren(el("p", { class: "problem", role: "alert" }, this.words.away)); return; }
    const day = new Intl.DateTimeFormat(this.lang_, { dateStyle: "medium" });
    box.replaceChildren(items.length ? el("ul", null, ...items.map(c => el("li", null,
      el("button", { class: "past", type: "button", "aria-current": c.id === this.conversation ? "true" : null, onclick: () => this.choose(c.id) }, el("span", null, c.title || "–"), el("time", { datetime: c.updated_at }, day.format(new Date(c.updated_at)))),
      el("button", { class: "quiet", type: "button", "aria-label": this.words.drop + ": " + c.title, title: this.words.drop, onclick: e => this.drop(c.id, e.target) }, "✕")))) : el("p", null, "–"));
  }
  async choose(id) {
    if (this.running) this.running.abort();
    this.showPast(false);
    this.conversation = id; this.fresh = false; this.stick = true;
    await this.history(id);
    this.input.focus();
  }
  async drop(id, button) {
    const r = await this.client.call("conversations/" + id, { method: "DELETE" }).catch(() => null);
    if (!r || (!r.ok && r.status !== 404)) return;
    if (id === this.conversation) { this.conversation = null; this.fresh = true; this.clear(); this.buttons(); }
    const row = button.closest("li"), next = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    (next ? next.querySelector("button") : this.$("list")).focus();
  }
  async problem(answer) { return (await problemOf(answer, this.words)).text; }
  // Everything of this browser is erased, here and at the server. The problem, when it could not be.
  async forget() {
    try {
      const r = await this.client.call("sessions/" + this.session, { method: "DELETE" });
      if (!r.ok && r.status !== 404) return await this.problem(r);
    } catch { return this.words.away; }
    this.client.renew();
    this.conversation = null; this.fresh = false;
    this.clear(); this.showPast(false); this.buttons(); this.input.focus();
  }
}
customElements.define("footnote-chat", Chat);
// One script tag is enough: without a <footnote-chat> on the page there is a launcher, its attributes those of the script (data-title="…").
function launch() {
  if (document.querySelector("footnote-chat") || !SCRIPT || SCRIPT.dataset.launcher === "off") return;
  document.body.append(el("footnote-chat", { mode: "launcher", ...SCRIPT.dataset }));
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", launch); else launch();
