"""The nemesis: every few seconds something happens to one process of a suite, drawn from a seed.

    with Nemesis(suite, seed=7, every=(2, 5), names=[…]) as n:
        … load …
    n.log     [(monotonic seconds, what, name)]

kill: SIGKILL, started again after `down` seconds. stop: SIGSTOP, SIGCONT after `stopped` seconds. term: SIGTERM, started
again when it has ended. At the end everything that was stopped is continued, everything that is down is started.
"""
import random
import signal
import threading
import time


class Beside:
    """with …: _run() in a thread beside the block, whose end sets _stop. What it fails of, the block fails of."""

    def __init__(self):
        self.failure = None
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._guarded)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def _guarded(self):
        try:
            self._run()
        except Exception as e:  # told to the test's thread
            self.failure = e


class Nemesis(Beside):
    def __init__(self, suite, seed, every=(2, 5), names=None, actions=("kill", "stop", "term"), down=(0.1, 1.0),
                 stopped=(0.5, 5.0)):
        super().__init__()
        self.suite, self.rng = suite, random.Random(seed)
        self.every, self.actions, self.down, self.stopped = every, actions, down, stopped
        self.names = names or [n for n in suite.services]
        self.log = []

    def _run(self):
        while not self._stop.wait(self.rng.uniform(*self.every)):
            what, name = self.rng.choice(self.actions), self.rng.choice(self.names)
            self.log.append((time.monotonic(), what, name))
            {"kill": self._kill, "stop": self._pause, "term": self._term}[what](name)

    def _kill(self, name):
        self.suite.kill(name)
        self._stop.wait(self.rng.uniform(*self.down))
        self.suite.start(self.suite.services[name].service, name)

    def _pause(self, name):
        self.suite.stop(name)
        self._stop.wait(self.rng.uniform(*self.stopped))
        self.suite.cont(name)

    def _term(self, name):
        s = self.suite.services[name]
        s.signal(signal.SIGTERM)
        while s.popen.poll() is None:
            time.sleep(0.01)
        code = s.popen.returncode
        self.suite.expected_exit.add(name)
        assert code == 0, f"{name} ended with {code} after SIGTERM:\n{s.tail()}"
        self.suite.start(s.service, name)

    def counts(self):
        out = {}
        for _, what, _name in self.log:
            out[what] = out.get(what, 0) + 1
        return out
