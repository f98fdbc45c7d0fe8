"""Start a whole Footnote with keys, the stub model server and the corpus, and run a command beside it: with_suite.py COMMAND…

The command finds in its environment FOOTNOTE_URL, FOOTNOTE_KEY (all scopes, no limits to speak of), FOOTNOTE_CHAT_KEY (chat only),
FOOTNOTE_SLOW_KEY (60 requests a minute) and STUB_URL (the stub's script). Its exit code is ours, unless the suite ended badly.
"""
import os
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", d) for d in ("kit", "e2e")]
from corpus_kit import add_corpus  # noqa: E402
from suite import Suite  # noqa: E402

GATEWAY = {"MODEL_ALIASES": "gpt-4o=docs,gpt-4o-mini=raw", "MAX_CONCURRENT_PER_KEY": "1000"}

with Suite(auth="on", stub=True, service_env={"gateway": GATEWAY}) as s:
    wide = {"per_minute": 1000000, "per_hour": 100000000}
    key = s.make_key(["chat", "ingest", "admin"], **wide)["key"]
    add_corpus(s, key=key)
    env = dict(os.environ, FOOTNOTE_URL=s.url, FOOTNOTE_KEY=key, FOOTNOTE_CHAT_KEY=s.make_key(["chat"], **wide)["key"],
               FOOTNOTE_SLOW_KEY=s.make_key(["chat"], per_minute=60)["key"], STUB_URL=f"http://127.0.0.1:{s.stub.port}",
               OPENAI_API_KEY="unused", NO_PROXY="127.0.0.1", DO_NOT_TRACK="1", ANONYMIZED_TELEMETRY="false")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        env.pop(name, None)
    code = subprocess.run(sys.argv[1:], env=env, stdin=subprocess.DEVNULL).returncode
    bad = s.down()
if bad:
    print(f"services that did not end with 0: {bad}", file=sys.stderr)
sys.exit(code or bool(bad))
