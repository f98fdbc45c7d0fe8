"""The client's commands for who runs a suite (doctor, status, keys, sessions), its chat, and what completes it in a shell."""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import threading
import time
import uuid
from email.utils import formatdate

import pytest

import http_kit
from corpus_kit import Q_BUILT
from resume_kit import words_text
from suite import ADMIN_KEY, BIN, free_port, new_session, wait_for


def checks(r):
    """{(check, grade)} of a text of findings."""
    return {tuple(reversed(m)) for m in re.findall(r"^(ok|note|warn|fail) +(\S+)", r.stdout, re.M)}


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, argv, **env):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {"PATH": os.environ["PATH"], "TERM": "dumb", "ASAN_OPTIONS": "exitcode=99", **env})

    def write(self, keys):
        os.write(self.fd, keys.encode())

    def say(self, line):
        self.write(line + "\n")

    def until(self, words, seconds=20):
        """What came until these words, which are waited for."""
        end = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < end, (words, self.seen)
            if select.select([self.fd], [], [], 0.2)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace").replace("\r\n", "\n")
        before, _, self.seen = self.seen.partition(words)
        return before + words

    def end(self):
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code


# ---- doctor

def test_the_doctor_finds_nothing_wrong_with_a_suite_that_is_well(main):
    ports = ",".join(f"127.0.0.1:{s.metrics_port}" for s in main.services.values())
    r = main.cli("doctor", "--metrics", ports)
    assert r.returncode == 0 and "All is well." in r.stdout, (r.stdout, r.stderr)
    got = checks(r)
    assert got >= {("gateway", "ok"), ("clock", "ok"), ("embed", "ok"), ("store", "ok"), ("postgres", "ok"), ("redis", "ok"), ("ready", "ok"),
                   ("limits", "ok"), ("model", "ok"), ("metrics", "ok"), ("key", "note")}, r.stdout
    assert r.stdout.count("has nothing to complain of") == len(main.services)
    v = json.loads(main.cli("doctor", "--json").stdout)
    assert v["status"] == "ok" and {c["grade"] for c in v["checks"]} == {"ok", "note"}
    assert [c for c in v["checks"] if c["check"] == "gateway"][0]["advice"] is None


def test_the_doctor_says_what_to_do_about_keys(locked):
    r = locked.cli("doctor")
    assert r.returncode == 1 and ("key", "fail") in checks(r) and "FOOTNOTE_KEY" in r.stdout and ("model", "ok") not in checks(r)
    r = locked.cli("doctor", env={"FOOTNOTE_KEY": "fn_" + "x" * 43})
    assert r.returncode == 1 and "(or no longer) valid" in r.stdout
    chat = locked.make_key(["chat"], label="a reader")
    r = locked.cli("doctor", env={"FOOTNOTE_KEY": chat["key"]})
    assert "it is no admin's" in r.stdout and ("key", "ok") in checks(r)
    r = locked.cli("doctor", env={"FOOTNOTE_KEY": locked.make_key(["ingest"])["key"]})
    assert r.returncode == 0 and "lacks the scope chat" in r.stdout and "model" not in {c for c, _ in checks(r)}
    plain = locked.make_key(["chat"], label="a reader for three days", expires_days=3)
    r = locked.cli("doctor", env={"FOOTNOTE_KEY": plain["key"]})
    assert r.returncode == 0 and ("key", "warn") in checks(r) and "the key in use ends in 2 days" in r.stdout and "whoever made it" in r.stdout
    locked.request("DELETE", f"/api/v1/keys/{plain['id']}", key=ADMIN_KEY)
    soon = locked.make_key(["chat", "admin"], label="ends soon", expires_days=3)
    r = locked.cli("doctor", "--json", env={"FOOTNOTE_KEY": soon["key"]})
    v = json.loads(r.stdout)
    found = [c for c in v["checks"] if c["check"] == "key" and c["grade"] == "warn"]
    assert r.returncode == 0 and v["status"] == "warn" and len(found) == 1, r.stdout
    assert 'the key in use, "ends soon"' in found[0]["finding"] and "ends in 2 days" in found[0]["finding"] and "footnote keys create" in found[0]["advice"]
    assert chat["key"] not in r.stdout and soon["key"] not in r.stdout
    locked.request("DELETE", f"/api/v1/keys/{soon['id']}", key=ADMIN_KEY)


class Sick(http_kit.Handler):
    """A gateway where much is wrong, and a service's internal port."""
    skew, ready, health, metrics = 0, (200, {"status": "ready", "missing": ""}), {}, ""

    def version_string(self):
        return "test"

    def send_response(self, code, message=None):
        self.send_response_only(code, message)
        if self.skew is not None:
            self.send_header("Date", formatdate(time.time() + self.skew, usegmt=True))

    def do_GET(self):
        if self.path == "/api/v1/health":
            self.answer(200, self.health)
        elif self.path == "/readyz":
            self.answer(*self.ready)
        elif self.path == "/metrics":
            self.answer(200, self.metrics)
        elif self.path.startswith("/api/v1/collections"):
            self.answer(200, {"items": []}, X_RateLimit_Limit="600", X_RateLimit_Remaining="3")
        else:
            self.answer(403, {"title": "forbidden"})

    def do_POST(self):
        self.body()
        self.answer(502, {"title": "the model server failed", "detail": "\x1b[31mquota"})


@pytest.fixture
def sick():
    kind = type("Mine", (Sick,), {})
    with http_kit.Server(kind) as server:
        kind.url = server.url
        yield kind


def client(url, *args, **env):
    return subprocess.run([os.path.join(BIN, "footnote"), *args], env={"PATH": os.environ["PATH"], "FOOTNOTE_URL": url, "ASAN_OPTIONS": "exitcode=99", **env},
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_the_doctor_names_each_illness_with_its_advice(sick):
    sick.skew = -75
    sick.ready = (503, {"status": "not_ready", "missing": "embed, draining, descriptors"})
    sick.health = {"status": "down", "version": "0.0.1", "build": "x", "embedding": "degraded: another model", "services": {
        "embed": {"status": "down", "workers": 0, "capacity": 0, "queued": 0}, "chat": {"status": "starting", "workers": 1, "capacity": 0, "queued": 0},
        "retrieve": {"status": "ok", "workers": 1, "capacity": 4, "queued": 9}, "janitor": {"status": "down", "workers": 0},
        "postgres": {"status": "unknown"}, "redis": {"status": "down"}}}
    sick.metrics = "\n".join(("# HELP x", 'footnote_build_info{version="9.9.9",build="y"} 1', 'footnote_upstream_breaker{route="chat"} 2',
                              'footnote_upstream_breaker{route="embed"} 0', "footnote_bus_hubs 0", "process_open_fds 95", "process_max_fds 100",
                              f"process_start_time_seconds {time.time() + 100}", "nonsense", "")) + "\n"
    r = client(sick.url, "doctor", "--metrics", f"{sick.url.split('//')[1]},127.0.0.1:{free_port()}")
    assert r.returncode == 1 and "\x1b" not in r.stdout, r.stdout
    assert checks(r) >= {("version", "warn"), ("clock", "fail"), ("embed", "fail"), ("embed", "warn"), ("chat", "warn"), ("retrieve", "warn"), ("janitor", "warn"),
                         ("postgres", "note"), ("redis", "warn"), ("ready", "fail"), ("limits", "warn"), ("model", "fail"), ("metrics", "fail"), ("metrics", "warn"),
                         ("clock", "warn")}, r.stdout
    for words in ("75 s behind", "start footnote-embedder", "9 calls wait, and 4 are worked on", "REDIS_URL", "takes no questions: draining", "LimitNOFILE",
                  "3 of 600 requests are left", "OPENAI_BASE_URL", 'footnote_upstream_breaker{route="chat"} 2', "HUB_ENDPOINTS", "95 of 100 files", "9.9.9",
                  "its clock is ahead", "is the service running"):
        assert words in r.stdout, (words, r.stdout)
    assert 'route="embed"' not in r.stdout and "takes no questions: keys" not in r.stdout
    # every warning and failure of ours says what to do
    v = json.loads(client(sick.url, "doctor", "--json").stdout)
    assert v["status"] == "fail" and all(c["advice"] for c in v["checks"] if c["grade"] in ("warn", "fail")), v


def test_no_word_of_a_gateway_is_a_control_sequence(sick):
    sick.health = {"status": "ok\x1b[31m", "version": "\x9b31m1", "build": "x", "services": {"\x1b[2Jstore": {"status": "\x1b]0;x\x07"}}}
    for command in ("doctor", "status", "health"):
        r = client(sick.url, command)
        assert "store" in r.stdout and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", r.stdout + r.stderr), (command, r.stdout, r.stderr)


def test_the_doctor_without_a_gateway_says_so_and_looks_at_what_it_can(sick):
    sick.metrics = 'footnote_build_info{version="1",build="y"} 1\n'
    r = client(f"http://127.0.0.1:{free_port()}", "doctor", "--metrics", sick.url)
    assert r.returncode == 1 and "is it running?" in r.stdout and "has nothing to complain of" in r.stdout and len(checks(r)) == 2
    sick.metrics = "<html>"
    assert "shows no metrics of Footnote" in client(sick.url, "doctor", "--metrics", sick.url).stdout


# ---- status

def test_status_is_a_table_and_with_watch_another_one(main):
    r = main.cli("status")
    lines = r.stdout.splitlines()
    assert r.returncode == 0 and lines[2].split()[0] == "SERVICE" and {line.split()[0] for line in lines[3:]} >= {"embed", "chat", "retrieve", "store", "postgres", "redis"}
    at = lines[2].index("WORKERS")
    assert all(line[at].isdigit() for line in lines[3:] if line.split()[0] in ("embed", "store")), r.stdout
    assert json.loads(main.cli("status", "--json").stdout)["services"]["store"]["status"] == "ok"
    p = subprocess.Popen([os.path.join(BIN, "footnote"), "status", "--watch", "--json", "--url", main.url], stdout=subprocess.PIPE, text=True)
    assert [json.loads(p.stdout.readline())["status"] for _ in range(2)] == ["ok", "ok"]
    p.send_signal(signal.SIGINT)
    assert p.wait(10) == -signal.SIGINT
    r = client(f"http://127.0.0.1:{free_port()}", "status")
    assert r.returncode == 1 and "is it running?" in r.stderr


# ---- keys

def test_keys_are_made_listed_and_revoked(locked):
    admin = {"FOOTNOTE_KEY": ADMIN_KEY}
    r = locked.cli("keys", "create", "--label", "the site", "--scopes", "chat,ingest", "--collection", "docs, blog", "--expires", "30", "--per-minute", "70", env=admin)
    assert r.returncode == 0 and re.fullmatch(r"fn_[A-Za-z0-9_-]{43}\n", r.stdout) and "shown this once" in r.stderr, (r.stdout, r.stderr)
    key = r.stdout.strip()
    made = [k for k in locked.request("GET", "/api/v1/keys?limit=200", key=ADMIN_KEY).json()["items"] if k["label"] == "the site"][0]
    assert made["scopes"] == ["chat", "ingest"] and made["collections"] == ["docs", "blog"] and made["per_minute"] == 70 and made["expires_at"]
    assert made["id"][:12] in r.stderr and locked.cli("documents", env={"FOOTNOTE_KEY": key}).returncode == 0
    today = wait_for("its use is told", lambda: [k for k in locked.request("GET", "/api/v1/keys?limit=200", key=ADMIN_KEY).json()["items"]
                                                 if k["label"] == "the site"][0]["last_used_on"])
    r = locked.cli("keys", env=admin)
    row = [line for line in r.stdout.splitlines() if line.startswith(made["id"][:12])][0]
    assert r.stdout.splitlines()[0].split() == ["ID", "SCOPES", "COLLECTIONS", "TENANT", "ENDS", "USED", "TODAY", "ORIGINS", "LABEL"]
    assert re.split(r"  +", row) == [made["id"][:12], "chat ingest", "docs blog", "default", made["expires_at"][:10], today, "-", "-", "the site"] and key not in r.stdout
    assert any(k["id"] == made["id"] for k in json.loads(locked.cli("keys", "list", "--json", env=admin).stdout.splitlines()[0])["items"])
    # a beginning that several have is none, and so is the key itself
    for bad in ("", "abc", "xyz123", key, "f" * 65):
        assert locked.cli("keys", "revoke", bad, env=admin).returncode == 2, bad
    assert "there is no key" in locked.cli("keys", "revoke", "000000000000", env=admin).stderr
    r = locked.cli("keys", "revoke", made["id"][:12], env=admin)
    assert r.returncode == 0 and "revoked" in r.stdout
    wait_for("the key is refused", lambda: locked.cli("documents", env={"FOOTNOTE_KEY": key}).returncode == 1, 2)
    v = json.loads(locked.cli("keys", "create", "--json", "--origins", "https://docs.example.org", env=admin).stdout)
    assert v["key"].startswith("fn_") and v["origins"] == ["https://docs.example.org"] and v["scopes"] == ["chat"]
    assert json.loads(locked.cli("keys", "revoke", v["id"], "--json", env=admin).stdout) == {"id": v["id"], "revoked": True}


def test_a_key_is_rotated_and_the_list_and_the_doctor_know(locked):
    admin = {"FOOTNOTE_KEY": ADMIN_KEY}
    old = locked.make_key(["chat", "admin"], label="turning")
    r = locked.cli("keys", "rotate", old["id"][:12], "--overlap", "48", "--expires", "90", env=admin)
    assert r.returncode == 0 and re.fullmatch(r"fn_[A-Za-z0-9_-]{43}\n", r.stdout) and "the old one ends at 20" in r.stderr, (r.stdout, r.stderr)
    assert locked.cli("documents", env={"FOOTNOTE_KEY": r.stdout.strip()}).returncode == 0
    row = [line for line in locked.cli("keys", env=admin).stdout.splitlines() if line.startswith(old["id"][:12])][0]
    assert "(in 1 days, replaced)" in row
    said = locked.cli("doctor", env={"FOOTNOTE_KEY": old["key"]}).stdout
    assert "its successor is made" in said and "ends in 1 days" in said
    assert old["id"][:12] not in locked.cli("doctor", env=admin).stdout, "others' keys that are replaced need nothing"
    v = json.loads(locked.cli("keys", "rotate", locked.make_key(["chat"])["id"], "--json", "--overlap", "0", env=admin).stdout)
    assert v["key"].startswith("fn_") and v["replaces"] != v["id"]
    again = locked.cli("keys", "rotate", old["id"], env=admin)
    assert again.returncode == 1 and "replaced already" in again.stderr and again.stdout == ""
    for bad in (("rotate",), ("rotate", "abc"), ("rotate", old["id"], "--overlap", "-1"), ("rotate", old["id"], "--overlap", "soon")):
        assert locked.cli("keys", *bad, env=admin).returncode == 2, bad
    assert locked.cli("keys", "rotate", old["id"], "--overlap", "721", env=admin).returncode == 1


@pytest.mark.parametrize("args, code", [(("make",), 2), (("create", "x"), 2), (("revoke",), 2), (("create", "--expires", "soon"), 2), (("create", "--scopes", "root"), 1)])
def test_what_is_no_call_of_keys_is_said(locked, args, code):
    r = locked.cli("keys", *args, env={"FOOTNOTE_KEY": ADMIN_KEY})
    assert r.returncode == code and r.stderr.startswith("footnote: ") and r.stdout == ""


# ---- collections

def test_a_collection_is_shown_as_json_too(main):
    main.ingest("# A\n\nThe lever is puce.\n", "a", collection="shown")
    v = json.loads(main.cli("collection", "shown", "--json").stdout)
    assert v["name"] == "shown" and v["documents"] == 1
    v = json.loads(main.cli("collection", "shown", "--language", "de", "--json").stdout)
    assert v["name"] == "shown" and v["language"] == "de"
    assert "shown: 1 documents" in main.cli("collection", "shown").stdout and main.cli("collection", "hidden", "--json").stdout == ""


def test_a_change_of_one_of_many_collections_keeps_its_other_settings(main):
    for name in [f"long-{i:02}" for i in range(60)] + ["long-zz"]:
        assert main.request("PUT", f"/api/v1/collections/{name}", json={"prompt": "p" * 16000}).status_code == 200
    v = json.loads(main.cli("collection", "long-zz", "--language", "de", "--json").stdout)
    assert (v["language"], v["prompt"]) == ("de", "p" * 16000)


# ---- sessions

def test_a_session_is_given_out_whole_and_erased(main):
    session = new_session()
    main.answered(Q_BUILT, session)
    main.messages(session, 2)
    r = main.cli("sessions", "export", "--session", session)
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    assert r.returncode == 0 and lines[0]["type"] == "session" and lines[-1]["type"] == "end" and Q_BUILT in r.stdout
    assert main.cli("sessions", "erase").returncode == 2 and main.cli("sessions", "burn", "--session", session).returncode == 2
    r = main.cli("sessions", "erase", "--session", session)
    assert r.returncode == 0 and "erased" in r.stdout and Q_BUILT not in main.cli("history", "--session", session).stdout
    r = main.cli("sessions", "export", "--session", session)
    assert r.returncode == 1 and "404" in r.stderr and r.stdout == ""


# ---- completion

def completed(words):
    """What bash would offer for the last of the words."""
    script = 'source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _footnote; printf "%s\\n" "${COMPREPLY[@]}"'
    r = subprocess.run(["bash", "-c", script, os.path.join(BIN, "footnote"), "footnote", *words], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0 and r.stderr == "", r.stderr
    return r.stdout.split()


def test_bash_completes_commands_words_options_and_files(tmp_path):
    assert {"ask", "chat", "doctor", "keys", "--version"} <= set(completed([""])) and completed(["doc"]) == ["documents", "doctor"]
    assert completed(["keys", ""]) == ["list", "create", "change", "rotate", "revoke"] and completed(["keys", "r"]) == ["rotate", "revoke"] and completed(["keys", "rev"]) == ["revoke"]
    assert completed(["sessions", ""]) == ["export", "erase"] and completed(["collection", "s"]) == ["show", "switch-back"]
    assert completed(["status", "--"]) == ["--url", "--key", "--key-file", "--json", "--watch", "--help"]
    assert completed(["ingest", "docs", "--routes", "m"]) == ["mkdocs", "mdbook"] and completed(["keys", "create", "--scopes", ""]) == ["chat", "ingest", "admin"]
    assert completed(["ask", "--session", ""]) == [] and completed(["nonsense", "--"]) == []
    (tmp_path / "one file.md").write_text("x")
    for words in (["ingest"], ["sync"], ["documents", "--key-file"], ["sync", "--state"]):
        assert completed([*words, str(tmp_path) + "/"]) == [str(tmp_path) + "/one", "file.md"], words
    # every command and every option of each is known
    for line in subprocess.run([os.path.join(BIN, "footnote"), "--help"], capture_output=True, text=True).stdout.splitlines():
        if line.startswith("  "):
            name = line.split()[0]
            help_text = subprocess.run([os.path.join(BIN, "footnote"), name, "--help"], capture_output=True, text=True).stdout
            assert sorted(completed([name, "--"])) == sorted(re.findall(r"^  (--[a-z-]+)", help_text, re.M)), name
    assert client("http://127.0.0.1:9", "completion", "tcsh").returncode == 2
    if subprocess.run(["which", "shellcheck"], capture_output=True).returncode == 0:
        (tmp_path / "footnote.bash").write_text(client("http://127.0.0.1:9", "completion", "bash").stdout)
        r = subprocess.run(["shellcheck", "-s", "bash", str(tmp_path / "footnote.bash")], capture_output=True, text=True)
        assert r.returncode == 0, r.stdout


def test_fish_completes_commands_words_options_and_files(tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    env = {"PATH": BIN + ":" + os.environ["PATH"], "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    (tmp_path / "one file.md").write_text("x")

    def offered(line):
        r = subprocess.run(["fish", "-c", "footnote completion fish | source; complete -C $argv[1]", line], capture_output=True, text=True, timeout=20, env=env, cwd=tmp_path)
        assert r.returncode == 0 and r.stderr == "", r.stderr
        return [found.split("\t")[0] for found in r.stdout.splitlines()]
    assert {"ask", "chat", "doctor", "keys"} <= set(offered("footnote ")) and sorted(offered("footnote doc")) == ["doctor", "documents"]
    assert sorted(offered("footnote keys ")) == ["change", "create", "list", "revoke", "rotate"] and sorted(offered("footnote sessions e")) == ["erase", "export"]
    assert sorted(offered("footnote status --")) == ["--help", "--json", "--key", "--key-file", "--url", "--watch"]
    assert sorted(offered("footnote ingest docs --routes m")) == ["mdbook", "mkdocs"] and offered("footnote ask --session ") == [] == offered("footnote ask o")
    assert offered("footnote ingest o") == ["one\\ file.md"] == offered("footnote ask --key-file o") or offered("footnote ingest o") == ["one file.md"]


def test_zsh_completes_commands_words_options_and_files(tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    (tmp_path / "one.md").write_text("x")
    (tmp_path / ".zshrc").write_text(f"PS1='% '; cd {tmp_path}; autoload -Uz compinit; compinit -u -D; source <({BIN}/footnote completion zsh)\n"
                                     "footnote() { print -r - \"got $*.\" }; print ready\n")
    t = Terminal(["zsh", "-i"], TERM="dumb", ZDOTDIR=str(tmp_path), HOME=str(tmp_path))
    t.until("ready")
    for typed, words in (("footnote doc\t\t", ["doctor", "documents"]), ("footnote keys \t\t", ["create", "list", "revoke", "rotate"]),
                         ("footnote ingest x --routes m\t\t", ["mdbook", "mkdocs"])):
        t.write(typed)
        for word in words:
            t.until(word)
        t.write("\x15")
    for typed, whole in (("doct\t", "doctor ."), ("status --w\t", "status --watch ."), ("ingest on\t", "ingest one.md ."), ("keys create --scopes in\t", "keys create --scopes ingest ."),
                         ("keys --key-file on\t", "keys --key-file one.md .")):
        t.write("footnote " + typed + "\n")
        t.until("got " + whole.replace(" .", "."))
    t.write("exit\n")
    t.end()


# ---- chat

def at_terminal(suite, *args, **env):
    return Terminal([os.path.join(BIN, "footnote"), *args], FOOTNOTE_URL=suite.url, **env)


def test_a_streamed_answer_goes_on_when_its_gateway_is_killed_and_started_again(main):
    s, text = main, words_text(60)
    s.stub.script({"route": "chat", "text": text, "drip_ms": 80})
    out = {}
    asking = threading.Thread(target=lambda: out.update(r=s.cli("ask", "--stream", "When was the lighthouse built?", timeout=60)))
    asking.start()
    wait_for("the text is being written", lambda: s.redis.client().keys("fn:f:*:t") and s.redis.client().strlen(s.redis.client().keys("fn:f:*:t")[0]) > 60)
    s.kill("gateway")
    s.start("gateway")
    asking.join()
    s.wait_ready()
    r = out["r"]
    assert r.returncode == 0 and text in r.stdout and r.stdout.count("w0030") == 1, (r.stdout, r.stderr)


def test_a_chat_streams_answers_and_opens_what_they_cite(main, tmp_path):
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat\n")
    pager.chmod(0o755)
    t = at_terminal(main, "chat", PAGER=str(pager))
    t.until("> ")
    t.say("[1]")
    t.until("has no source [1]")
    t.until("\n> ")  # its prompt: what is said before would be taken for an answer's end
    t.say(Q_BUILT)
    t.until(Q_BUILT)
    answer = t.until("\n> ")
    assert "Ingrid Solheim" in answer and "\nSources\n[1] " in answer
    quote = re.search(r'\[1\] .* — "(.*)" \(document', answer).group(1)
    t.say("[1]")
    t.until("PAGED")
    passage = t.until("\n> ")
    assert "»" in passage and "«" in passage and quote.split()[0] in passage and "The lighthouse of Varnholm" in passage
    t.say("[77]")
    t.until("has no source [77]")
    t.say("/sources")
    assert "[1] " in t.until("bytes")
    t.say("/nonsense")
    t.until("there is no /nonsense")
    t.say("/quit")
    assert t.end() == 0


def test_a_chat_of_a_file_of_questions_needs_no_terminal(main):
    session = new_session()
    r = subprocess.run([os.path.join(BIN, "footnote"), "chat", "--session", session], input=f"{Q_BUILT}\n\n/session\n[1]\n", capture_output=True, text=True, timeout=60,
                       env={"PATH": os.environ["PATH"], "FOOTNOTE_URL": main.url})
    assert r.returncode == 0 and "Ingrid Solheim" in r.stdout and session in r.stdout and "»" in r.stdout and "> " not in r.stdout, (r.stdout, r.stderr)
    assert Q_BUILT in [m["content"] for m in main.messages(session, 2)]
    r = subprocess.run([os.path.join(BIN, "footnote"), "chat"], input="What?\n", capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], "FOOTNOTE_URL": f"http://127.0.0.1:{free_port()}"})
    assert r.returncode == 1 and "is it running?" in r.stderr


def test_each_question_of_a_chat_follows_on_from_those_before(sick):
    asked, conversation = [], new_session()

    def stream(self):
        asked.append(json.loads(self.body()))
        if asked[-1]["question"] == "Erased?":
            return self.answer(404, {"title": "not found"})
        done = json.dumps({"answer": "Yes.", "sources": [], "conversation_id": conversation})
        self.answer(200, f"event: done\ndata: {done}\n\n", Content_Type="text/event-stream")
    sick.do_POST = stream
    r = subprocess.run([os.path.join(BIN, "footnote"), "chat"], input="First?\nAnd then?\nErased?\nAgain?\nAnd then?\n/new\nAnew?\n", capture_output=True, text=True, timeout=60,
                       env={"PATH": os.environ["PATH"], "FOOTNOTE_URL": sick.url})
    assert r.returncode == 0, r.stderr
    assert [q.get("conversation_id") for q in asked] == [None, conversation, conversation, None, conversation, None]
    assert len({q["session_id"] for q in asked[:5]}) == 1 and asked[5]["session_id"] != asked[0]["session_id"]


def test_an_interrupt_stops_the_answer_and_at_the_prompt_the_chat(sick):
    began = threading.Event()

    def stream(self):
        self.body()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b'event: delta\ndata: {"text":"It begins"}\n\n')
        self.wfile.flush()
        began.set()
        time.sleep(5)
        self.close_connection = True
    sick.do_POST = stream
    t = at_terminal(sick, "chat")
    t.until("> ")
    t.say("What?")
    t.until("It begins")
    os.write(t.fd, b"\x03")
    t.until("stopped", 3)
    t.until("\n> ")
    os.write(t.fd, b"\x03")
    assert t.end() in (0, 1)


def test_the_doctor_names_a_service_that_does_not_run(main):
    main.kill("embedder")
    r = main.cli("doctor")
    main.start("embedder")
    assert r.returncode == 1 and r.stdout.count("start the embedder") == 2 and "OPENAI_BASE_URL" not in r.stdout, r.stdout


def test_documents_are_read_once_more(main):
    for i in range(40):
        main.ingest(f"# Page {i}\n\nThe amber crank number {i} turns to the left.\n", f"crank-{i}", collection="crank")
    main.ingest("Another.", "other", collection="crank-other")
    listed = lambda: {d["external_id"]: (d["document_id"], d["status"], d["chunks"]) for d in main.request("GET", "/api/v1/documents?collection=crank&limit=200").json()["items"]}
    before = listed()
    r = main.cli("reindex", "--collection", "crank")
    assert r.returncode == 0 and "40 of 40 documents were read again (40 chunks)" in r.stdout and "40/40 files, 40 chunks, 0 failed\n" in r.stderr, (r.stdout, r.stderr)
    assert listed() == before
    v = json.loads(main.cli("reindex", "--collection", "crank", "--json").stdout)
    assert v == {"documents": 40, "searchable": 40, "chunks": 40, "stopped": False, "failures": []}
    r = main.cli("reindex", "--collection", "nothing")
    assert r.returncode == 0 and "0 of 0 documents" in r.stdout, (r.stdout, r.stderr)
    main.kill("retriever")
    waiting = threading.Thread(target=lambda: main.start("retriever"))
    waiting.start()
    assert "40 of 40 documents" in main.cli("reindex", "--collection", "crank").stdout, "what waits for a retriever is waited for"
    waiting.join()


def test_a_list_whose_pages_are_too_large_for_a_reply_is_whole(main):
    ids = {f"heavy-{i}" for i in range(20)}
    for i in ids:
        main.ingest("The heavy one.", i, wait=False, collection="heavy", metadata={"all": "x" * 60000})
    page = main.request("GET", "/api/v1/documents?collection=heavy&limit=200").json()
    assert len(page["items"]) < 20 and page["has_more"]
    r = main.cli("documents", "--collection", "heavy")
    assert r.returncode == 0 and {w for w in r.stdout.split() if w.startswith("heavy-")} == ids, (r.stdout, r.stderr)


def test_an_answer_on_a_terminal_has_no_entities(main):
    main.ingest("# Vendor\n\nThe crimson vendor command copies everything to <path> of the project.\n", "vendor", collection="vendor")
    main.stub.script({"route": "chat", "text": "It copies everything to <path> & more [1].", "times": 2})
    for how in ((), ("--json",)):
        r = main.cli("ask", "Where does the crimson vendor command copy everything?", "--collection", "vendor", *how)
        assert r.returncode == 0 and ("&lt;path> & more" if how else "It copies everything to <path> & more [1].") in r.stdout, r.stdout


# ---- what other programs read

def test_files_that_are_added_are_told_as_one_object(main, tmp_path):
    folder, run = tmp_path / "docs", lambda *a: main.cli(*a, "--collection", "told", "--json")
    folder.mkdir()
    (folder / "a.md").write_text("# a\n\nText of a.\n")
    (folder / "bad.md").write_bytes(b"# Bad\n\n\xff\xfe\n")
    (folder / "tool.exe").write_bytes(b"MZ\0\0")
    r = run("ingest", str(folder))
    v = json.loads(r.stdout)
    assert r.returncode == 1 and (v["files"], v["searchable"], v["stopped"]) == (2, 1, False) and v["chunks"] >= 1 and v["ms"] >= 0, r.stdout
    assert [f["id"] for f in v["failures"]] == [str(folder / "bad.md")] and "not UTF-8" in v["failures"][0]["error"], v
    assert v["skipped"] == [str(folder / "tool.exe")] and "missing" not in v
    (folder / "bad.md").unlink()
    (folder / "b.md").write_text("# b\n\nText of b.\n")
    assert run("ingest", str(folder)).returncode == 0
    (folder / "b.md").unlink()
    v = json.loads(run("ingest", str(folder)).stdout)
    assert (v["files"], v["missing"], v["deleted"], v["failures"]) == (1, ["b.md"], 0, [])
    (folder / "c.md").write_text("# c\n\nText of c.\n")
    v = json.loads(run("sync", str(folder), "--dry-run").stdout)
    assert v["dry_run"] and (v["files"], v["new"], v["unchanged"], v["gone"], v["changed"], v["failed"]) == (2, 1, 1, 1, 0, 0)
    assert v["items"] == [{"id": "c.md", "state": "new"}, {"id": "b.md", "state": "gone"}]
    v = json.loads(run("sync", str(folder)).stdout)
    assert (v["searchable"], v["missing"], v["deleted"]) == (2, ["b.md"], 1)
    v = json.loads(run("delete", "c.md").stdout)
    assert v["deleted"] is True and re.fullmatch(r"[0-9a-f-]{36}", v["document_id"])
    r = run("delete", "c.md")
    assert r.returncode == 1 and r.stdout == "" and "footnote documents" in r.stderr


def test_a_run_that_cannot_begin_is_an_object_too(tmp_path):
    (tmp_path / "a.md").write_text("# a\n\nText of a.\n")
    r = client(f"http://127.0.0.1:{free_port()}", "ingest", str(tmp_path), "--json")
    v = json.loads(r.stdout)
    assert r.returncode == 1 and v["stopped"] and v["searchable"] == 0 and "no gateway answers" in v["failures"][0]["error"] and "is it running?" in r.stderr


# ---- what went wrong is said once, and with it what to do

def test_each_error_says_what_to_do(locked, tmp_path):
    chat, admin = locked.make_key(["chat"])["key"], {"FOOTNOTE_KEY": ADMIN_KEY}

    def said(*args, code=1, **env):
        r = locked.cli(*args, env=env)
        assert r.returncode == code and r.stdout == "" and len(r.stderr.splitlines()) == 1, (r.stdout, r.stderr)
        return r.stderr
    assert "FOOTNOTE_KEY" in said("documents")
    once = said("keys", FOOTNOTE_KEY=chat)
    assert "footnote keys create" in once and once.count("may not do that") == 1
    assert said("report", "--days", "x", **admin).count("must be a whole number from 1 to 366") == 1
    lost = str(uuid.uuid4())
    assert f"there is no session {lost} here" in said("sessions", "erase", "--session", lost, **admin) and "expired" in said("sessions", "export", "--session", lost, "--json", **admin)
    assert "footnote documents" in said("delete", "nope", **admin) and "--collection nope" in said("collection", "show", "nope", **admin)
    assert "--session UUID" in said("sessions", "look", code=2) and "footnote keys" in said("keys", "revoke", code=2)
    assert "No such file" in said("ingest", str(tmp_path / "none"), **admin)
    assert "footnote ingest" in locked.cli("documents", "--collection", "empty", env=admin).stdout
