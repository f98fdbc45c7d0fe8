"""A partition between two machines of a NetSuite under load, and what is judged of it.

    p = Partition(run, suite, "F47_store_postgres", case)
    p.happen(); p.judge()
"""
import re
import threading
import time

import requests

from checker import check
from faults_kit import Background, ms_since, new_session, wait_for
from net_kit import http_session

QUESTION = "What does fault code E14 of the pump mean?"
HEAL_MS = 5000
NOTICED_S = 6


class Known:
    """Asks each gateway for an answer that is in the query cache, again and again. It must be that answer, and stored."""
    words = set()  # of all of them: their questions are stored as often as they were asked

    def __init__(self, suite, seed):
        self.suite, self.ending, self.records = suite, threading.Event(), []
        self.word = f"canary-{seed & 0xffff:04x}{time.monotonic_ns() & 0xffffffff:08x}"
        self.words.add(self.word)
        self.sessions = {name: new_session() for name in suite.urls()}
        suite.answered(f"{QUESTION} {self.word}")
        self.threads = [threading.Thread(target=self._ask, args=(name, url), daemon=True) for name, url in suite.urls().items()]
        for t in self.threads:
            t.start()

    def _ask(self, name, url):
        http = http_session()
        body = {"question": f"{QUESTION} {self.word}", "session_id": self.sessions[name]}
        while not self.ending.wait(0.25):
            begun = time.monotonic()
            try:
                r = http.post(url + "/api/v1/chat/query", json=body, timeout=40)
                self.records.append((name, begun, ms_since(begun), r.status_code, r.json()))
            except requests.RequestException as e:
                self.records.append((name, begun, ms_since(begun), 0, {"code": str(e)}))
        http.close()

    def end(self):
        self.ending.set()
        for t in self.threads:
            t.join(60)

    def wrong(self):
        return [(name, reply) for name, _, _, status, reply in self.records if status == 200 and
                (set(re.findall(r"canary-[0-9a-f]{12}", reply["answer"])) != {self.word} or self.sessions[name] not in str(reply))]

    def failed(self):
        return [(name, f"{ms:.0f} ms", status, reply.get("code")) for name, _, ms, status, reply in self.records if status != 200]

    def lost(self, seconds=2.0):
        """Answers that said saved, and are no row."""
        told = [reply["message_id"] for _, _, _, status, reply in self.records if status == 200 and reply.get("saved") in ("yes", "queued")]

        def missing():
            rows = {i for (i,) in self.suite.sql("SELECT id::text FROM messages WHERE id = ANY(%s::uuid[])", (told,))}
            return [i for i in told if i not in rows]
        end = time.monotonic() + seconds
        while missing() and time.monotonic() < end:
            time.sleep(0.1)
        return missing()


def findings(suite, load):
    """The checker's, without what is said of the known questions."""
    found = check(suite, load.records(), cuts_allowed=False)
    found["I3"] = [x for x in found["I3"] if x.split(" ")[0] not in Known.words]
    return found


def first_good_s(url, seconds):
    """From now until a new question is answered there."""
    begun, http, n = time.monotonic(), http_session(), 0
    while time.monotonic() < begun + seconds:
        n += 1
        try:
            body = {"question": f"{QUESTION} {begun} {n}", "session_id": new_session()}
            if http.post(url + "/api/v1/chat/query", json=body, headers={"X-Request-Timeout-Ms": "1500"}, timeout=3).status_code == 200:
                return time.monotonic() - begun
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for: {url} answers a question")


def is_well(suite):
    """Every service is ready, every gateway says so outside, uses Redis, and has all workers."""
    for url in suite.urls().values():
        r = requests.get(url + "/readyz", timeout=5)
        if r.status_code != 200 or r.json()["redis"] != "ok":
            return False
    return all(s.ready() for s in suite.services.values()) and all(
        suite.workers(name) == suite.expected() and suite.metrics(name).value("bus_workers", service="janitor") == 1
        for name in suite.urls())


class Case:
    """Between whom, which packets vanish, what clients may be told meanwhile and within which time. cached: answers from the query cache
    go on, too; a gateway that has heard nothing of changes for a second gives none, since it cannot know whether they are still right."""

    def __init__(self, a, b, way="both", told=(), most_ms=3000, then_ms=2100, cached=True):
        self.a, self.b, self.way, self.told, self.cached = a, b, way, set(told), cached
        self.most_ms, self.then_ms = most_ms, then_ms  # an answer or a refusal, at first; a refusal that is asked for after NOTICED_S
        self.name = f"{a}_{b}" + ("" if way == "both" else f"_{way}")
        self.other_serves = a == "gateway"


class Partition:
    def __init__(self, run, suite, case, seconds):
        self.run, self.suite, self.case, self.seconds = run, suite, case, seconds
        self.name = f"F47_{case.name}"

    def happen(self):
        s, c = self.suite, self.case
        self.known = Known(s, self.run.seed)
        self.load = s.load(rate=self.run.pick(6, 8), seconds=300, streams=0.33, attempts=60, patience_ms=60000, keys=1, seed=self.run.seed)
        begun = len(self.known.records)
        wait_for("questions are answered", lambda: len(self.known.records) > begun + 4, 10)
        self.cut_at = time.monotonic()
        s.net.cut(c.a, c.b, c.way)
        time.sleep(self.seconds)  # how long it lasts
        s.net.heal()
        self.healed_at = time.monotonic()
        good = Background(*[lambda url=url: first_good_s(url, 30) for url in s.urls().values()])
        wait_for("all is well", lambda: is_well(s), 30, every=0.02)
        self.well_s = time.monotonic() - self.healed_at
        self.good_s = good.wait()
        assert all(isinstance(x, float) for x in self.good_s), self.good_s
        self.late_from = self.healed_at + max(HEAL_MS / 1000, 0 if self.run.TIMED else self.well_s + 1)
        time.sleep(max(0, self.late_from + self.run.pick(1, 3) - time.monotonic()))
        self.known.end()
        self.load.end()

    def attempts(self):
        return [(r, a) for r in self.load.records() for a in r["attempts"]]

    def judge(self):
        run, s, c, name = self.run, self.suite, self.case, self.name
        run.most(f"{name}_well_after_ms", self.well_s * 1e3, HEAL_MS)
        run.most(f"{name}_answers_after_ms", max(self.good_s) * 1e3, HEAL_MS)
        refused = [(a["gateway"], a["status"], a["error"] or a["code"], round(a["ended"] - a["begun"])) for _, a in self.attempts()
                   if a["error"] or a["code"] != "ok"]
        took = [a["ended"] - a["begun"] for _, a in self.attempts()]
        # a trivial client takes a 504, and an error in a stream that has begun, for the end
        run.none(f"{name}_refused_for_good", [r["code"] for r in self.load.records() if r["status"] == 503])
        run.none(f"{name}_told_otherwise", [x for x in refused if x[2] not in c.told])
        run.most(f"{name}_answer_worst_ms", max(took), c.most_ms)
        then = [a["ended"] - a["begun"] for _, a in self.attempts()
                if (a["error"] or a["code"] != "ok") and self.cut_at + NOTICED_S < a["begun"] / 1e3 < self.healed_at]
        if then:
            run.most(f"{name}_refused_then_worst_ms", max(then), c.then_ms)
        run.none(f"{name}_failed_later", [a["code"] for _, a in self.attempts()
                                          if a["begun"] / 1e3 > self.late_from and (a["error"] or a["code"] != "ok")])
        if c.other_serves:
            run.none(f"{name}_failed_at_the_other_gateway", [x for x in refused if x[0] == 1])
        run.clean(name, findings(s, self.load))
        run.none(f"{name}_cached_failed", [x for x in self.known.failed() if c.cached or (c.other_serves and x[0] != c.a)])
        run.none(f"{name}_cached_wrong", self.known.wrong())
        run.none(f"{name}_cached_lost", self.known.lost())
        counts = {}
        for x in refused:
            counts[x[2]] = counts.get(x[2], 0) + 1
        run.bar(f"{name}_meanwhile", f"{len(took) - len(refused)} answered, refused {counts or 0}", "-", True)


__all__ = ["Case", "HEAL_MS", "Known", "Partition", "QUESTION", "findings", "first_good_s", "is_well"]
