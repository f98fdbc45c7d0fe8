// The beginning: the key, the panels, and which of them is looked at. The address names the panel (#keys) and never anything else.
let now = null, timer = 0;
function signIn(why) {
  stopLooking();
  useKey("");
  $("console").hidden = true;
  $("sign-out").hidden = true;
  $("state").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-why").textContent = why;
  $("key").focus();
}
function stopLooking() { clearTimeout(timer); now = null; }
async function lookAgain(p) {
  if (now !== p) return;
  if (!document.hidden) await p.again();
  if (now === p) timer = setTimeout(lookAgain, p.every, p);
}
async function openPanel(focus) {
  const p = PANELS.find(x => "#" + x.id === location.hash) || PANELS[0];
  if (now === p) return;
  stopLooking();
  now = p;
  say("");
  trouble(null);
  for (const x of PANELS) {
    $(x.id).hidden = x !== p;
    $("nav-" + x.id)[x === p ? "setAttribute" : "removeAttribute"]("aria-current", "page");
  }
  document.title = p.title + " · Footnote console";
  if (focus) $(p.id + "-h").focus();
  await p.show();
  if (p.every && now === p) timer = setTimeout(lookAgain, p.every, p);
}
// Is it an admin's? Every admin may list keys.
async function enter() {
  if (!admin.key && document.body.dataset.auth === "on") { signIn(""); return; }
  try {
    await call("GET", "keys?limit=1");
  } catch (e) {
    if (e.status === 401) signIn("That key is not valid (any more).");
    else if (e.status === 403) signIn("That key has not the scope admin.");
    else signIn(e.message);
    return;
  }
  $("sign-in").hidden = true;
  $("console").hidden = false;
  $("sign-out").hidden = !admin.key;
  await openPanel(false);
}
$("nav").append(...PANELS.map(p => el("a", { href: "#" + p.id, id: "nav-" + p.id }, p.title)));
$("sign-in").addEventListener("submit", e => {
  e.preventDefault();
  useKey($("key").value.trim());
  $("key").value = "";
  enter();
});
$("sign-out").addEventListener("click", () => { gateways.clear(); signIn(""); });
addEventListener("hashchange", () => { if (!$("console").hidden) openPanel(true); });
enter();
