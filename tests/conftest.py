"""What all Python tests share: the kit on the path, a time limit for every test, the services' last log lines on a failure.

FOOTNOTE_TEST_LIMIT: seconds for one test (default 60; a sanitizer build gets four times as much). On a machine that has far
more to do than it can, a test gets its time again, three times at most: the limit is there for hangs, and judges no speed.
FOOTNOTE_TEST_NOW: a file that always names the test that runs, for run_py.sh to print when all of pytest hangs.
"""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "kit"))
LIMIT = float(os.environ.get("FOOTNOTE_TEST_LIMIT", "60"))
if any(v in os.environ.get("FOOTNOTE_BIN", "") for v in ("asan", "tsan")):
    LIMIT *= 4


class Hang(BaseException):
    """Not an Exception: a test that catches everything must end, too."""


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): this test may take longer than the others")


def limit_of(item):
    mark = item.get_closest_marker("limit")
    return mark.args[0] * (LIMIT / 60 if LIMIT > 60 else 1) if mark else LIMIT


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    now = os.environ.get("FOOTNOTE_TEST_NOW")
    if now:
        with open(now, "w") as f:
            f.write(item.nodeid + "\n")
    yield


def overloaded():
    return os.getloadavg()[0] > 3 * os.cpu_count()


def limited(item, what):
    given = 1

    def on_alarm(*_):
        nonlocal given
        if given < 4 and overloaded():
            given += 1
            signal.setitimer(signal.ITIMER_REAL, limit_of(item))
            return
        raise Hang(f"{item.nodeid}: {what} took longer than {given * limit_of(item):.0f} s")
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, limit_of(item))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    limited(item, "its setup")
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    limited(item, "it")
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.when == "call":
        for name, value in getattr(item, "funcargs", {}).items():
            services = getattr(value, "services", None)
            if isinstance(services, dict):
                for s in services.values():
                    report.sections.append((f"last log lines of {s.name} ({name})", s.tail(10)))
