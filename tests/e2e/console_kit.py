"""The console in a browser: signing in, its panels, and what the suite must have to show in them."""
import contextlib
import itertools
import json

import requests

import http_kit
from corpus_kit import Q_BUILT, add_corpus
from suite import ADMIN_KEY, Suite, new_session

PANELS = ("overview", "documents", "collections", "search", "questions", "keys", "errors")
NOTHING = "What is the speed of neutrinos in the cellar?"


@contextlib.contextmanager
def console_suite():
    """With keys on, documents, answered and unanswered questions, a failure, a refusal."""
    with Suite(auth="on", stub=True, env={"RATE_LIMIT_REQUESTS": "100000", "RATE_LIMIT_PER_HOUR": "100000"}) as s:
        add_corpus(s, key=ADMIN_KEY)
        session = new_session()
        s.answered(Q_BUILT, session, key=ADMIN_KEY)
        for _ in range(3):
            s.answered(NOTHING, new_session(), key=ADMIN_KEY)
        s.stub.script({"route": "chat", "status": 400})
        assert s.ask(Q_BUILT + " Again?", key=ADMIN_KEY).status_code == 502
        s.stub.reset()
        s.request("GET", "/api/v1/jobs/nothing", key=ADMIN_KEY)
        yield s


def fresh(browser, url):
    """A browser that was never here."""
    browser.open(url + "/console")
    browser.js("localStorage.clear(); sessionStorage.clear()")
    browser.open("about:blank")  # what the page before still asks for ends here
    browser.errors.clear()
    browser.requests.clear()
    browser.open(url + "/console?" + str(len(browser.dialogs)) + new_session())


def sign_in(browser, url, key=ADMIN_KEY):
    fresh(browser, url)
    browser.wait_js("!document.querySelector('#sign-in').hidden")
    browser.type("#key", key)
    browser.click("#sign-in .go")
    browser.wait_js("!document.querySelector('#console').hidden")


def show(browser, panel):
    browser.click("#nav-" + panel)
    browser.wait_js(f"!document.querySelector('#{panel}').hidden && now && now.id == {json.dumps(panel)}")


def filled(browser, panel):
    """The panel has what the suite of console_suite() has for it."""
    show(browser, panel)
    if panel == "search":
        browser.js("document.querySelector('#search-for').value = 'lighthouse built'")
        browser.click("#search-form .go")
    browser.wait_js({"overview": "document.querySelectorAll('#charts figure').length == 6 && document.querySelector('#usage table')",
                     "documents": "document.querySelectorAll('#documents-list tbody tr').length >= 3", "collections": "document.querySelector('#collections-list tbody tr')",
                     "search": "document.querySelectorAll('#hits li').length >= 1", "questions": "document.querySelector('#questions-list tbody tr')",
                     "keys": "document.querySelector('#keys-list').innerText.length > 5", "errors": "document.querySelector('#errors-refused tbody tr')"}[panel])


def answer(browser, yes=True):
    """The dialog's question."""
    browser.wait_js("document.querySelector('#ask').open")
    browser.click("#ask-yes" if yes else "#ask-no")
    browser.wait_js("!document.querySelector('#ask').open")


def clean(browser, url):
    assert browser.errors == [] and browser.dialogs == []
    assert {u.split("/")[2] for u in browser.requests if u.startswith("http")} <= {url[7:]}


class Balancer(http_kit.Server):
    """Each request to the next of several gateways."""

    def __init__(self, urls):
        turn = itertools.cycle(urls)

        class Handler(http_kit.Handler):
            def do_GET(self):
                r = requests.get(next(turn) + self.path, headers={k: v for k, v in self.headers.items() if k in ("Authorization", "Accept")}, timeout=20)
                self.answer(r.status_code, r.content, Content_Type=r.headers["Content-Type"], Content_Security_Policy=r.headers.get("Content-Security-Policy", ""))
        super().__init__(Handler)
