// API keys: make, rotate, revoke; when each was used last and when it ends.
const listed = text => text.split(/[\s,]+/).filter(Boolean);
function keyState(k) {
  const left = k.expires_at ? (Date.parse(k.expires_at) - Date.now()) / DAY : null;
  if (left != null && left <= 0) return pill("bad", "ended");
  if (k.replaced_by) return pill("warn", "replaced");
  return left != null && left < 14 ? pill("warn", "ends in " + Math.ceil(left) + " days") : pill("ok", "valid");
}
// The one time that a key is shown.
async function showKey(k, what) {
  const box = el("input", { id: "new-key", readonly: true, value: k.key, "aria-label": "The new key" });
  const copy = button("Copy", async () => { box.select(); try { await navigator.clipboard.writeText(k.key); copy.textContent = "Copied"; } catch { copy.textContent = "Copy it by hand"; } });
  await ask(what, [words(k.label || "", "p"), el("div", { class: "row" }, el("span", { class: "grow" }, box), copy), el("p", { class: "soft" }, "It is shown this once: only its SHA-256 is kept.")], "Close");
  $("ask-body").replaceChildren();
}
async function makeKey() {
  const body = { label: $("key-label").value, scopes: [...document.querySelectorAll("#key-form [name=scope]:checked")].map(x => x.value) };
  for (const [name, id] of [["expires_days", "key-days"], ["per_minute", "key-minute"]]) if ($(id).value) body[name] = +$(id).value;
  for (const [name, id] of [["collections", "key-collections"], ["origins", "key-origins"]]) if (listed($(id).value).length) body[name] = listed($(id).value);
  const made = await call("POST", "keys", { json: body });
  $("key-form").reset();
  await drawKeys();
  await showKey(made, "The new key");
}
async function rotateKey(k) {
  const hours = el("input", { id: "overlap", type: "number", min: 0, max: 720, value: 24 });
  if (!await ask("Make a successor of this key?", [words(k.label || k.id.slice(0, 8), "p"), el("div", { class: "row" }, el("label", null, "Hours that the old one works on", hours))], "Rotate")) return;
  const made = await call("POST", "keys/" + k.id + "/rotate", { json: { overlap_hours: +hours.value } });
  await drawKeys();
  await showKey(made, "Its successor");
}
async function revokeKey(k) {
  if (!await ask("Revoke this key?", [words(k.label || k.id.slice(0, 8), "p"), el("p", { class: "soft" }, "Last used: " + (k.last_used_on || "never") + ". Its callers are refused within a quarter of a second.")], "Revoke", true)) return;
  await call("DELETE", "keys/" + k.id);
  say("Revoked: " + (k.label || k.id.slice(0, 8)));
  await drawKeys();
}
async function drawKeys() {
  const { items } = await pages("keys", 1000);
  $("keys-list").replaceChildren(table("Keys", [["Key", false, k => [words(k.label || "–"), el("br"), el("code", { class: "soft" }, k.id.slice(0, 8))]], ["State", false, keyState], ["May", false, k => k.scopes.join(", ")],
    ["Only", false, k => words([...k.collections, ...k.origins].join(", ") || "–")], ["A minute", true, k => k.per_minute == null ? "usual" : number(k.per_minute)], ["Made", false, k => day(k.created_at)],
    ["Ends", false, k => day(k.expires_at)], ["Last used", false, k => k.last_used_on || "never"],
    ["What to do", false, k => [k.replaced_by ? null : button("Rotate", e => attempt(() => rotateKey(k), e.target)), button("Revoke", e => attempt(() => revokeKey(k), e.target), true)].filter(Boolean)]], items,
  "There is no key but ADMIN_KEY."));
}
panel("keys", "Keys", { show: () => attempt(drawKeys) });
$("key-form").addEventListener("submit", e => { e.preventDefault(); attempt(makeKey, e.submitter); });
