"""`make mutate`: faults that are put into a copy of the tree on purpose, one at a time; the tests that should notice each are run.
A line per fault, "NAME PART caught|SURVIVED|stale|broken seconds", and at the end the bar: at least 95 % are caught.

usage: mutate.py [NAME…]     some of them, by name or by the beginning of one (auth, cite…)
       mutate.py --check     only: does each snippet of table.py stand exactly once in its file? (for `make test`)

The table is table.py: name, file, snippet, what stands there instead, the promise that it breaks, the tests. A snippet that no longer
stands exactly once is stale, a fault that does not compile is broken, and both fail the run: the table has to follow the code. A
fault that survives is a test that is missing. Tests that fail on the tree as it is catch nothing: each is run there first.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from table import MUTATIONS

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LEAST = 0.95
BUILD_SECONDS, TEST_SECONDS = 900, 600


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def stale(m, top=TOP):
    """What is wrong with a line of the table; None: nothing."""
    path = os.path.join(top, m.file)
    n = text_of(path).count(m.old) if os.path.exists(path) else -1
    if n != 1:
        return "its file is gone" if n < 0 else f"its snippet stands {n} times in {m.file}"
    if m.old == m.new:
        return "it changes nothing"
    for spec in m.tests:
        words = spec.split()
        path = f"tests/unit/{words[1]}.c" if words[0] == "unit" else words[1]
        if words[0] not in ("unit", "py") or not os.path.exists(os.path.join(top, path)):
            return f"no such test: {spec}"
    return None


def copy():
    """A copy of what git would take, in a folder of its own."""
    folder = tempfile.mkdtemp(prefix="footnote-mutate-", dir="/tmp")
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        source, target = os.path.join(TOP, name), os.path.join(folder, name)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)
    os.chmod(folder, 0o755)  # the tests' Postgres runs as an account of its own
    return folder


class Tree:
    def __init__(self):
        self.top = copy()
        self.env = dict(os.environ, FOOTNOTE_BIN="build/release", FAULTS_TIMED="0", PYTHONDONTWRITEBYTECODE="1",
                        CCACHE_BASEDIR=self.top, CCACHE_NOHASHDIR="1")
        for name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
            self.env.pop(name, None)
        if os.path.isdir("/usr/lib/ccache"):
            self.env["PATH"] = "/usr/lib/ccache:" + self.env["PATH"]
        self.good = {}  # test → does it pass without a fault?
        self.log = ""

    def close(self):
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, argv, seconds):
        """Did it end with 0 in its time? A test that hangs has noticed something, too."""
        p = subprocess.Popen(argv, cwd=self.top, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", start_new_session=True)
        try:
            self.log, _ = p.communicate(timeout=seconds)
        except BaseException as e:  # too long, or we are told to stop: what it started must end, too
            os.killpg(p.pid, signal.SIGINT)
            try:
                self.log, _ = p.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                self.log, _ = p.communicate()
            if not isinstance(e, subprocess.TimeoutExpired):
                raise
            return False
        return p.returncode == 0

    def build(self, tests):
        targets = ["build", "kit"] if any(t.startswith("py") for t in tests) else []
        targets += [f"build/release/unit/{t.split()[1]}" for t in tests if t.startswith("unit")]
        return self.run(["make", "--no-print-directory", "-s", f"-j{os.cpu_count()}", "BUILD_ID=mutate", *targets], BUILD_SECONDS)

    def passes(self, spec):
        kind, rest = spec.split(None, 1)
        if kind == "unit":
            return self.run(["tests/kit/run_unit.sh", f"build/release/unit/{rest}"], TEST_SECONDS)
        return self.run(["bash", "-c", f"exec tests/kit/run_py.sh {rest}"], TEST_SECONDS)

    def put(self, m, old, new):
        path = os.path.join(self.top, m.file)
        text = text_of(path)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new, 1))

    def noticed_by(self, m):
        """The first of its tests that fails with the fault and not without it; None. "broken": it does not compile."""
        failing = []
        self.put(m, m.old, m.new)
        try:
            if not self.build(m.tests):
                return "broken"
            for spec in m.tests:
                if not self.passes(spec):
                    failing.append(spec)
                    break
        finally:
            self.put(m, m.new, m.old) if m.new and text_of(os.path.join(self.top, m.file)).count(m.new) == 1 else shutil.copy(
                os.path.join(TOP, m.file), os.path.join(self.top, m.file))
        for spec in failing:
            if spec not in self.good:
                self.build([spec])
                self.good[spec] = self.passes(spec)
            if self.good[spec]:
                return spec
        return "broken test" if failing else None


def chosen(names):
    found = [m for m in MUTATIONS if not names or any(m.name == n or m.name.startswith(n + "_") for n in names)]
    assert found, f"none is called so: {names}"
    return found


def check():
    """Every line of the table fits the tree, and no two have one name."""
    wrong = [(m.name, stale(m)) for m in MUTATIONS if stale(m)]
    twice = {m.name for m in MUTATIONS if sum(n.name == m.name for n in MUTATIONS) > 1}
    for name, why in wrong:
        print(f"{name}: stale: {why}")
    for name in twice:
        print(f"{name}: two have this name")
    print(f"mutate: {len(MUTATIONS) - len(wrong)} passed, {len(wrong) + len(twice)} failed")
    return not wrong and not twice


def line(m, how, begun):
    print(f"{m.name:<34} {m.file:<28} {how:<9} {time.monotonic() - begun:.0f}s" + ("" if how == "caught" else f"  ({m.promise})"), flush=True)


def run(names):
    todo, tree = chosen(names), Tree()
    outcome = {"caught": 0, "SURVIVED": 0, "stale": 0, "broken": 0}
    try:
        for m in todo:
            begun, why = time.monotonic(), stale(m, tree.top)
            by = None if why else tree.noticed_by(m)
            how = "stale" if why else "SURVIVED" if by is None else "broken" if by.startswith("broken") else "caught"
            outcome[how] += 1
            line(m, how, begun)
            if why:
                print(f"    {why}")
            elif how == "broken":
                print(f"    {by}\n" + "\n".join("    " + x[:200] for x in tree.log.splitlines()[-15:]))
    finally:
        tree.close()
    print(" ".join(f"{k}={v}" for k, v in outcome.items()))
    good = outcome["caught"] >= LEAST * len(todo) and not outcome["stale"] and not outcome["broken"]
    print(f"mutations_caught {outcome['caught']}/{len(todo)} >={LEAST:.0%} {'ok' if good else 'SHORT'}")
    return good


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(0 if (check() if "--check" in sys.argv else run(sys.argv[1:])) else 1)
