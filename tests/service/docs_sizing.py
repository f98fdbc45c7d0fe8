"""docs/sizing.md says what docs/sizing.py computes, and the model answers as a model should."""
import os
import re
import subprocess
import sys

import pytest

from sql_kit import ROOT

SCRIPT = os.path.join(ROOT, "docs", "sizing.py")
sys.path.insert(0, os.path.dirname(SCRIPT))
import sizing  # noqa: E402


def run(*args):
    return subprocess.run([sys.executable, SCRIPT, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)


def given(**figures):
    f = sizing.options().parse_args([])
    for k, v in figures.items():
        setattr(f, k, v)
    return f


def test_the_page_has_the_tables_that_the_script_makes():
    r = run("--check")
    assert r.returncode == 0, r.stderr
    page = sizing.PAGE.read_text()
    assert sizing.filled(page.replace("| 100,000 |", "| 100,001 |"), sizing.sections(given())) == page
    other = sizing.filled(page, sizing.sections(given(gateway_us=2000)))
    assert other != page


def test_own_figures_change_the_tables_and_wrong_ones_are_refused():
    plain, own = run("--questions", "5000"), run("--questions", "5000", "--redis-us", "1000")
    assert plain.returncode == own.returncode == 0 and plain.stdout != own.stdout and "| 5,000 |" in own.stdout
    for wrong in (["--use", "0"], ["--hits", "1"], ["--pool", "-1"], ["--questions", "0"], ["--questions", "many"]):
        assert run(*wrong).returncode == 2, wrong
    assert re.search(r"--postgres-us µs\s+Postgres, a turn \(default 1240\)", run("--help").stdout)


def test_every_measured_figure_names_its_source():
    for x in sizing.FIGURES:
        assert x.source, x.name
        page = re.search(r"docs/(?!decisions)[\w/]+\.\w+", x.source)
        assert not page or os.path.exists(os.path.join(ROOT, page[0])), x


@pytest.mark.parametrize("q", (1, 10, 500, 20000))
def test_more_questions_never_need_less(q):
    f = given()
    few, many = sizing.services(f, q), sizing.services(f, 3 * q)
    assert all(few[k] <= many[k] for k in few if k != "why") and sizing.cells(f, q) <= sizing.cells(f, 3 * q)
    assert many["postgres"] == pytest.approx(3 * few["postgres"])


def test_a_corpus_that_no_retriever_holds_or_scans_in_time_goes_to_the_cluster():
    f = given()
    assert sizing.search(f, 10, 1e5)[0] == "memory" and sizing.search(f, 10, 1e7)[0] == "opensearch"
    assert sizing.search(given(retriever_gb=.1), 10, 1e5)[0] == "opensearch" and sizing.search(given(search_ms=1000), 10, 1e6)[0] == "memory"
