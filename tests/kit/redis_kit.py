"""What the Redis rows of the fault tests share: a suite whose sessions have a small limit, and users that ask steadily."""
import os
import threading
import time

import redis
import requests

from faults_kit import LOOPBACK, FaultSuite, Proxy, free_port, new_session
from suite import Redis

LIMIT, WINDOW = 10, 60  # questions of one session in so many seconds
QUESTION = "What does fault code E14 of the pump mean?"


class RedisSuite(FaultSuite):
    """One of each. limit: questions a session may ask in WINDOW seconds (None: as many as it likes)."""

    def __init__(self, limit=None, **kw):
        env = {"RATE_LIMIT_REQUESTS": str(limit), "RATE_LIMIT_WINDOW": str(WINDOW)} if limit else {}
        super().__init__(env={**env, **kw.pop("env", {})}, **kw)

    def readyz(self):
        r = requests.get(self.url + "/readyz", timeout=5)
        return r.status_code, r.json()["redis"]

    def degraded(self):
        return self.readyz() == (200, "degraded")

    def whole(self):
        return self.readyz() == (200, "ok")

    def counter(self, name, **labels):
        return self.metrics("gateway").value(name, **labels)

    def redis_lines(self, words=("redis call failed", "redis is left alone for a while", "redis is back")):
        return [line for line in self.services["gateway"].log_lines() if line.get("msg") in words]

    def keys(self, pattern):
        return list(self.redis.client().scan_iter(pattern, count=1000))

    def cached_question(self, session=None, text=QUESTION):
        """A session whose question is in the cache."""
        session = session or new_session()
        self.answered(text, session)
        return session


class SlowRedisSuite(RedisSuite):
    """Redis is reached through a proxy: s.between.say("redis latency 500")."""
    between = None

    def environment(self, service):
        if self.between is None:
            port = free_port()
            self.redis.client().config_set("port", port)
            self.between = Proxy(self.folder, {"redis": port})
        return {**super().environment(service), "REDIS_URL": f"redis://{LOOPBACK}:{self.between.port('redis')}/0"}

    def down(self):
        bad = super().down()
        if self.between:
            self.between.end()
            self.between = None
        return bad


class TwoRedisSuite(RedisSuite):
    """Limits and turns on a second server (REDIS_STATE_URL) that evicts nothing, as in the compose stack: s.state."""
    state = None

    def environment(self, service):
        if self.state is None:
            self.state = Redis(os.path.join(self.folder, "state"))
        return {**super().environment(service), "REDIS_STATE_URL": self.state.url}

    def down(self):
        bad = super().down()
        if self.state:
            self.state.stop()
            self.state = None
        return bad


class Asker:
    """Asks one question of one session again and again until end(): (begun, status, X-Cache, text) in records."""

    def __init__(self, suite, question, session=None, every=0.2, headers=None):
        self.suite, self.question, self.session, self.every = suite, question, session or new_session(), every
        self.headers, self.records, self.ending = headers or {}, [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        http = requests.Session()
        http.trust_env = False
        body = {"question": self.question, "session_id": self.session}
        while not self.ending.is_set():
            begun = time.monotonic()
            try:
                r = http.post(self.suite.url + "/api/v1/chat/query", json=body, headers=self.headers, timeout=40)
                self.records.append((begun, r.status_code, r.headers.get("X-Cache"), r.text))
            except requests.RequestException as e:
                self.records.append((begun, 0, None, str(e)))
            self.ending.wait(max(0, self.every - (time.monotonic() - begun)))
        http.close()

    def end(self):
        self.ending.set()
        self.thread.join(60)
        return self.records

    def statuses(self):
        return [r[1] for r in self.records]

    def allowed(self):
        return sum(1 for r in self.records if r[1] == 200)


def over_the_limit(asker, seconds):
    """How many more were let through than the limit gives in this time."""
    return asker.allowed() - LIMIT * (1 + seconds / WINDOW)


def config(client, **options):
    for k, v in options.items():
        client.config_set(k.replace("_", "-"), v)


__all__ = ["Asker", "LIMIT", "QUESTION", "RedisSuite", "SlowRedisSuite", "TwoRedisSuite", "WINDOW", "config", "new_session", "over_the_limit", "redis"]
