"""What the tests of the clients share: where Footnote is, and the stub model server's script."""
import json
import os
import urllib.request

URL, KEY, CHAT_KEY, SLOW_KEY = (os.environ[n] for n in ("FOOTNOTE_URL", "FOOTNOTE_KEY", "FOOTNOTE_CHAT_KEY", "FOOTNOTE_SLOW_KEY"))
BASE = URL + "/v1"
QUESTION = "Who built the lighthouse of Varnholm and when?"
ANSWER = "The lighthouse of Varnholm was built in 1843 by the engineer Ingrid Solheim."
PAGE = "https://docs.example.org/lighthouse"
NOTHING = "What is the capital of Mongolia?"


def post(path, body):
    r = urllib.request.Request(os.environ["STUB_URL"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert urllib.request.urlopen(r, timeout=5).status == 200


def script(*rules):
    """The stub's next answers (tests/kit/upstream_stub.c)."""
    post("/_stub/script", rules)


def last_chat():
    return json.load(urllib.request.urlopen(os.environ["STUB_URL"] + "/_stub/last", timeout=5))
