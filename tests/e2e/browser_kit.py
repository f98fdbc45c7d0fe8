"""Debian's chromium, headless, driven over its DevTools protocol on a pipe: no driver program, no port.

    with Browser() as b:
        b.open(url)
        b.js("document.title")
        b.type("#question", "Who?"); b.click("#go")
        b.wait_js("document.querySelectorAll('.cite').length > 0")
        b.errors      console errors, exceptions and failed loads so far;  b.requests   every URL that was asked for
"""
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--disable-default-apps", "--disable-extensions", "--no-default-browser-check", "--window-size=1000,900",
         "--remote-debugging-pipe")


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="footnote-chromium-")
        self.errors, self.requests, self.dialogs = [], [], []
        self._n, self._rest, self._answers = 0, b"", {}
        child_in, self._out = os.pipe()
        self._in, child_out = os.pipe()
        env = {"PATH": os.environ["PATH"], "HOME": self.folder, "XDG_CONFIG_HOME": self.folder, "XDG_CACHE_HOME": self.folder}
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{child_in} 4>&{child_out}', "chromium", "chromium", *FLAGS,
             "--user-data-dir=" + self.folder, "about:blank"],
            pass_fds=(child_in, child_out), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(child_in)
        os.close(child_out)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # the group is ours: its leader is the process started here
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the protocol
    def call(self, method, seconds=20, **params):
        self._n += 1
        n, message = self._n, {"id": self._n, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while n not in self._answers:
            self._read(end, method)
        answer = self._answers.pop(n)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _read(self, end, what):
        left = end - time.monotonic()
        ready = select.select([self._in], [], [], max(left, 0))[0] if left > 0 else []
        assert ready, f"chromium did not answer in time: {what}"
        piece = os.read(self._in, 1 << 20)
        assert piece, f"chromium ended during {what}"
        *whole, self._rest = (self._rest + piece).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._event(message["method"], message["params"])

    def _event(self, method, p):
        if method == "Runtime.exceptionThrown":
            self.errors.append(p["exceptionDetails"].get("text", "") + " " + str(p["exceptionDetails"].get("exception")))
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.errors.append(str([a.get("value", a.get("description")) for a in p["args"]]))
        elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.errors.append(p["entry"]["text"] + " " + p["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(p["message"])

    # ---- the page
    def js(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in r, r["exceptionDetails"]
        return r["result"].get("value")

    def wait_js(self, expression, seconds=15):
        end = time.monotonic() + seconds
        while not self.js(f"!!({expression})"):
            assert time.monotonic() < end, f"in vain: {expression}; the page says: {self.js('document.body.innerText')[:800]}"
            time.sleep(0.02)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait_js(f"document.readyState == 'complete' && location.href.startsWith({json.dumps(url)})")

    @staticmethod
    def find(selector):
        """The element as an expression; "host >>> inner" is what stands in a host's shadow."""
        return "document" + ".shadowRoot".join(f".querySelector({json.dumps(s)})" for s in selector.split(" >>> "))

    def key(self, key, modifiers=0):
        """Press and release one key, such as Enter, Escape or Tab, where the focus is."""
        more = {"text": "\r"} if key == "Enter" else {}
        codes = {"Enter": 13, "Escape": 27, "Tab": 9}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], modifiers=modifiers,
                      **(more if kind == "keyDown" else {}))

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """For example prefers_color_scheme="dark"."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": k.replace("_", "-"), "value": v} for k, v in features.items()])

    def click(self, selector):
        """A real mouse click in the middle of the element, once it stays where it is: what covers it would be hit instead."""
        box = self.js(f"""(async () => {{ for (let was = '';;) {{
                              const e = {self.find(selector)}; e.scrollIntoView({{block: 'center'}});
                              const r = e.getBoundingClientRect(), now = r.x + ' ' + r.y;
                              if (now === was) return [r.x + r.width / 2, r.y + r.height / 2];
                              was = now; await new Promise(done => setTimeout(done, 50)); }} }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, selector, text):
        self.js(self.find(selector) + ".focus()")
        self.call("Input.insertText", text=text)

    def text(self, selector):
        return self.js(self.find(selector) + ".innerText")
