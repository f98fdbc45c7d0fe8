"""Everything that `make bench` runs beside each other, on one machine, one Postgres, one Redis (TCP) and one model server:

    ours       the suite as shipped: LOG_LEVEL=info, hits saved; only the rate limits are lifted
    ours.off   a second gateway on the same bus, SAVE_CACHE_HITS=off
    cold, cold.off   the same two without the near cache
    fastapi    baselines/fastapi, one uvicorn process; its own database on the same server
    litellm    its proxy, the cache in its own memory
    fastapi.cores, litellm.cores   the same with as many workers as there are cores
    nothing    civetweb that answers "ok";  redis: civetweb and one pipelined trip to Redis (bare_http.c)

Each but the suite is started by the first part that needs it."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid

import requests

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "kit"))

from bench_corpus import documents, questions  # noqa: E402
from bench_kit import BIN, TICK_US, TOP, Load  # noqa: E402
from suite import Proc, Suite, free_port, wait_for  # noqa: E402

CHAT = "/api/v1/chat/query"
LIFTED = {"RATE_LIMIT_REQUESTS": "1000000", "RATE_LIMIT_PER_HOUR": "100000000", "RATE_LIMIT_ADDR_REQUESTS": "100000000"}
SHIPPED = {"RATE_LIMIT_REQUESTS": "60", "RATE_LIMIT_PER_HOUR": "1000", "RATE_LIMIT_ADDR_REQUESTS": "600"}
TEXTS = 500            # of the uncached questions: their embeddings are cached
SESSIONS = 500


def fresh_session():
    return str(uuid.uuid4())


def cores():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


class Rival:
    """One program that is measured: where it listens, the processes it consists of (with all below them), how it is asked."""

    def __init__(self, name, port, pids, path=CHAT):
        self.name, self.port, self.pids, self.path = name, port, pids, path

    def load(self, bodies):
        return Load(f"127.0.0.1:{self.port}", self.path, bodies)


class Lab:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="footnote-bench-", dir="/tmp")
        self.procs, self.rivals, self.suite = [], {}, None
        self.texts = questions()
        self.sessions = [fresh_session() for _ in range(SESSIONS)]
        self.hits = []             # (question, session) that the query cache holds (bench_parts.py)
        self.asked = {}            # rival -> how many of its uncached pairs are used up
        self.fresh = {}            # rival -> texts whose embedding it was not asked for yet (bench_usual.py)
        self.again = False         # this part is measured for the second time

    def __enter__(self):
        try:
            self._up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for p in reversed(self.procs):
            p.end(10)
        if self.suite:
            self.suite.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def proc(self, name, argv, env=None):
        p = Proc(name, argv, {**os.environ, **(env or {})}, self.folder)
        self.procs.append(p)
        return p

    def listening(self, p, url, seconds=30):
        def answers():
            assert p.running(), f"{p.name} ended: {p.tail()}"
            try:
                return requests.get(url, timeout=2).status_code == 200
            except requests.RequestException:
                return False
        wait_for(f"{p.name} answers", answers, seconds, 0.05)

    def _up(self):
        self.redis_port = free_port()
        self.redis = self.proc("redis", ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--dir", self.folder,
                                         "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
        self.off_hub, self.cold_hub, self.cold_off_hub = (free_port() for _ in range(3))
        env = {"LOG_LEVEL": "info", "LOG_FORMAT": "text", "REDIS_URL": self.redis_url(0), **LIFTED}
        self.suite = s = Suite(stub=True, env=env, stub_args=("--threads", "600"))   # a thread a connection: those of all rivals
        env["HUB_ENDPOINTS"] = ",".join(f"tcp://127.0.0.1:{p}" for p in (s.hub_port, self.off_hub, self.cold_hub, self.cold_off_hub))
        s.up()
        for d in documents():
            s.ingest(d["text"], d["id"], title=d["title"])
        self.corpus = os.path.join(self.folder, "corpus.jsonl")
        with open(self.corpus, "w") as f:
            f.writelines(json.dumps(d) + "\n" for d in documents())
        self.rivals["ours"] = Rival("ours", s.port, self.suite_pids())

    def redis_url(self, db):
        return f"redis://127.0.0.1:{self.redis_port}/{db}"

    def suite_pids(self, gateway="gateway"):
        pids = {"gateway": self.suite.services[gateway].pid}
        pids.update({n: self.suite.services[n].pid for n in ("embedder", "retriever", "store", "janitor")})
        return {**pids, **self.shared_pids()}

    def shared_pids(self):
        return {"redis": self.redis.pid, "postgres": self.suite.postgres.pid, "model": self.suite.stub.proc.pid}

    # ---- the others
    def rival(self, name):
        """A Rival, started when it does not run yet; None when it cannot be."""
        if name not in self.rivals:
            self.rivals[name] = {"ours.off": self._off, "cold": self._cold, "cold.off": self._cold_off, "fastapi": self._fastapi, "litellm": self._litellm,
                                 "fastapi.cores": self._fastapi_cores, "litellm.cores": self._litellm_cores,
                                 "nothing": self._nothing, "redis": self._bare_redis}[name]()
        return self.rivals[name]

    def gateway(self, name, hub_port, **env):
        """One more gateway of the suite."""
        port = free_port()
        self.suite.start("gateway", name, {"PORT": str(port), "HUB_BIND": f"tcp://127.0.0.1:{hub_port}", **env})
        self.listening(self.suite.services[name], f"http://127.0.0.1:{port}/readyz")
        return Rival(name, port, self.suite_pids(name))

    def _off(self):
        return self.gateway("ours.off", self.off_hub, SAVE_CACHE_HITS="off")

    def _cold(self):
        return self.gateway("cold", self.cold_hub, NEAR_CACHE_BYTES="0")

    def _cold_off(self):
        return self.gateway("cold.off", self.cold_off_hub, NEAR_CACHE_BYTES="0", SAVE_CACHE_HITS="off")

    def limited(self):
        """A gateway with the limits as shipped, in the place of the second one; the caller ends it."""
        if self.rivals.pop("ours.off", None):
            self.suite.stop_service("ours.off")
        return self.gateway("limited", self.off_hub, **SHIPPED)

    def _fastapi_cores(self):
        return self._fastapi("fastapi.cores", cores(), "baseline_cores", 2)

    def _litellm_cores(self):
        return self._litellm("litellm.cores", cores())

    def _fastapi(self, name="fastapi", workers=1, database="baseline", redis_db=1):
        self.suite.postgres.psql(f"CREATE DATABASE {database}", db="postgres")
        port, base = free_port(), os.path.join(HERE, "baselines", "fastapi")
        python = os.path.join(TOP, "build", "bench", "venv-fastapi", "bin", "python")
        p = self.proc(name, [python, "-m", "uvicorn", "app:app", "--app-dir", base, "--port", str(port), "--loop", "uvloop",
                                  "--http", "httptools", "--no-access-log", "--log-level", "warning", "--workers", str(workers)],
                      {"DATABASE_URL": self.suite.postgres.url.rpartition("/")[0] + f"/{database}", "REDIS_URL": self.redis_url(redis_db),
                       "OPENAI_BASE_URL": self.model_url() + "/", "RATE_LIMIT": "100000000", "CORPUS": self.corpus})
        self.listening(p, f"http://127.0.0.1:{port}/health")
        return Rival(name, port, {"fastapi": p.pid, **self.shared_pids()})

    def _litellm(self, name="litellm", workers=1):
        venv = os.path.join(TOP, "build", "bench", "venv-litellm", "bin")
        if not os.path.exists(os.path.join(venv, "..", "installed.txt")):
            return None
        port = free_port()
        p = self.proc(name, [os.path.join(venv, "litellm"), "--host", "127.0.0.1", "--port", str(port), "--num_workers", str(workers),
                                  "--config", os.path.join(HERE, "baselines", "litellm", "config.yaml")],
                      {"OPENAI_BASE_URL": self.model_url(), "OPENAI_API_KEY": "sk-bench", "LITELLM_LOG": "ERROR",
                       "LITELLM_LOCAL_MODEL_COST_MAP": "True"})
        self.listening(p, f"http://127.0.0.1:{port}/health/liveliness", 90)
        return Rival(name, port, {"litellm": p.pid, **self.shared_pids()}, "/v1/chat/completions")

    def _bare(self, name, *args):
        port = free_port()
        p = self.proc("bare-" + name, [os.path.join(BIN, "bench", "bare_http"), "--port", str(port), *args])
        self.listening(p, f"http://127.0.0.1:{port}/")
        return Rival(name, port, {"bare": p.pid, "redis": self.redis.pid})

    def _nothing(self):
        return self._bare("nothing")

    def _bare_redis(self):
        """The value is as long as an answer of ours."""
        size = len(self.suite.ask(self.texts[0]).content)
        return self._bare("redis", "--redis", str(self.redis_port), "--value-bytes", str(size))

    def model_url(self):
        return f"http://127.0.0.1:{self.suite.stub.port}/v1"

    # ---- questions
    def opening(self, first, second):
        """What tells a part's second measurement from its first: its logs have other names, its questions are new to the caches, too."""
        return second if self.again else first

    def uncached(self, rival, n):
        """n questions, never asked before in their session; their texts come from the first TEXTS, whose embeddings are cached."""
        at = self.asked.get(rival.name, 0)
        self.asked[rival.name] = at + n
        return [{"question": self.texts[(i + i // SESSIONS) % TEXTS], "session_id": self.sessions[i % SESSIONS]}
                for i in range(at, at + n)]

    def settle(self):
        """Until the turns of cached answers are in the database: they must not cost what is measured next."""
        import redis
        r = redis.Redis(port=self.redis_port)
        wait_for("queued turns are saved", lambda: r.xlen("fn:turns") == 0, 60, 0.02)


def used_us(roots):
    """{name: processor time of this process and all below it}. Ended children count where their parent has waited for them."""
    used, parent = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue   # it ended meanwhile
        used[int(pid)], parent[int(pid)] = sum(map(int, fields[11:15])) * TICK_US, int(fields[1])
    sums, names = dict.fromkeys(roots, 0.0), {pid: name for name, pid in roots.items()}
    for pid, us in used.items():
        at = pid
        while at and at not in names:
            at = parent.get(at, 0)
        if at:
            sums[names[at]] += us
    return sums


def measure(rival, load, **options):
    """Load.run, and "cpu": processor time of each process of the rival in microseconds a request."""
    before = used_us(rival.pids)
    got = load.run(**options)
    after = used_us(rival.pids)
    got["cpu"] = {name: (after[name] - before[name]) / max(got["requests"], 1) for name in rival.pids}
    return got
