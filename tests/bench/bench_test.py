"""What `make bench` makes of its measurements: who else uses the processors, what is measured twice, what counts, the last run, the summary."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bench_busy import KERNEL, Others, Watch, share  # noqa: E402
from bench_kit import change  # noqa: E402
from bench_report import Report  # noqa: E402
from bench_runs import COLUMNS, LINES, Measured, Run, better, compared_with, last_results  # noqa: E402

ME = 100


class Machine:
    """A /proc that a test writes: 1,000 ticks pass at each tick(), of which as many are used as its processes and `elsewhere` say."""

    def __init__(self, folder):
        self.at, self.every, self.used, self.all = str(folder), 0, 0, {}

    def process(self, pid, parent, name="x", environ=b"", kernel=False):
        self.all[pid] = {"parent": parent, "name": name, "own": 0, "waited": 0, "environ": environ, "flags": KERNEL if kernel else 0}

    def ends(self, pid):
        """Its parent waits for it when it is there; else it is init's."""
        p = self.all.pop(pid)
        if p["parent"] in self.all:
            self.all[p["parent"]]["waited"] += p["own"] + p["waited"]
        for child in self.all.values():
            child["parent"] = 1 if child["parent"] == pid else child["parent"]
        os.remove(f"{self.at}/{pid}/stat"), os.remove(f"{self.at}/{pid}/environ"), os.rmdir(f"{self.at}/{pid}")

    def tick(self, elsewhere=0, **ticks):
        for name, n in ticks.items():
            next(p for p in self.all.values() if p["name"] == name)["own"] += n
        self.every, self.used = self.every + 1000, self.used + sum(ticks.values()) + elsewhere
        self.write(elsewhere)

    def write(self, stolen=0):
        self.stolen = getattr(self, "stolen", 0) + stolen
        with open(f"{self.at}/stat", "w") as f:
            idle = self.every - self.used
            f.write(f"cpu  {self.used - self.stolen} 0 0 {idle - idle // 2} {idle // 2} 0 0 {self.stolen} 0 0\ncpu0 9 9 9\n")
        for pid, p in self.all.items():
            os.makedirs(f"{self.at}/{pid}", exist_ok=True)
            with open(f"{self.at}/{pid}/stat", "w") as f:
                half = p["own"] // 2
                f.write(f"{pid} (a ({p['name']}) S {p['parent']} {pid} {pid} 0 -1 {p['flags']} 0 0 0 0 {half} {p['own'] - half} {p['waited']} 0 20 0 1 0 {7 * pid} 0\n")
            with open(f"{self.at}/{pid}/environ", "wb") as f:
                f.write(p["environ"])


@pytest.fixture
def machine(tmp_path):
    m = Machine(tmp_path)
    m.process(1, 0, "init")
    m.process(ME, 1, "bench")
    m.process(101, ME, "gateway")
    m.process(200, 1, "compiler")
    m.write()
    return m


def others(machine, *steps):
    """Percent after each step."""
    o, out = Others(machine.at, ME), []
    before = o.look()
    for step in steps:
        step()
        now = o.look()
        out.append(round(share(before, now), 6))
        before = now
    return out


def test_the_benchs_own_processes_are_nobody_else(machine):
    assert others(machine, lambda: machine.tick(bench=300, gateway=700), lambda: machine.tick(compiler=1)) == [0, 0.1]


def test_what_others_use_is_told_in_percent_of_all_processors(machine):
    assert others(machine, lambda: machine.tick(gateway=400, compiler=250)) == [25]


def test_stolen_time_counts(machine):
    assert others(machine, lambda: machine.tick(gateway=400, elsewhere=120)) == [12]


def test_threads_of_the_kernel_count_for_nobody(machine):
    machine.process(2, 0, "kthreadd", kernel=True)
    machine.process(9, 2, "ksoftirqd", kernel=True)
    machine.write()
    assert others(machine, lambda: machine.tick(gateway=400, ksoftirqd=300)) == [0]


def test_a_child_that_ended_stays_ours(machine):
    def child():
        machine.process(102, 101, "reader")
        machine.tick(reader=500)

    def ends():
        machine.ends(102)
        machine.tick(gateway=10)
    assert others(machine, child, ends) == [0, 0]


def test_a_server_that_went_to_the_background_stays_ours_and_after_its_end_too(machine):
    machine.process(103, 101, "server")
    machine.write()

    def orphaned():
        machine.ends(101)
        machine.tick(server=600)

    def ends():
        machine.ends(103)
        machine.all[1]["waited"] = 0
        machine.tick(compiler=100)
    assert others(machine, orphaned, ends) == [0, 10]


def test_a_server_whose_parent_was_never_seen_is_told_by_its_environment(machine):
    def comes():
        machine.process(104, 1, "late", environ=b"PATH=/bin\0FOOTNOTE_BENCH=%d\0" % ME)
        machine.process(105, 1, "stranger", environ=b"FOOTNOTE_BENCH=%d0\0" % ME)
        machine.tick(late=300, stranger=200)
    assert others(machine, comes) == [20]


def test_others_are_said_at_once_by_name_and_again_only_when_they_come_again(machine):
    said = []
    w = Watch(Others(machine.at, ME), said.append)
    w.step()
    machine.tick(gateway=500, compiler=400)
    w.step()
    assert said == ["something else uses 40 % of the processors (a (compiler 40 %)"]
    for use in (400, 30, 400, 0, 0, 0):
        machine.tick(compiler=use)
        w.step()
    assert len(said) == 1
    machine.tick(compiler=300)
    w.step()
    assert len(said) == 2


def test_a_measurement_knows_what_others_used_in_the_whole_of_it(machine):
    w = Watch(Others(machine.at, ME), lambda text: None)
    mark = w.mark()
    machine.tick(compiler=400)
    w.step()
    machine.tick(gateway=900)
    assert w.since(mark) == 20


# ---- parts -----------------------------------------------------------------------------------------------------------
class Shares:
    """In place of a Watch: what others use in each measurement."""

    def __init__(self, *percents):
        self.percents = list(percents)

    def mark(self):
        return None

    def since(self, _):
        return self.percents.pop(0)


def work(*rates, spreads=(), bar=10):
    """A part that measures these values, one after the other."""
    values, spreads = list(rates), list(spreads)

    def run(report, again):
        report.bars.least("rate", values.pop(0), bar, "x")
        if spreads:
            report.row("hit", "ours", spread=spreads.pop(0))
        report.notes["again"] = again
    return run


def ran(work, *percents, last=None):
    said = []
    run = Run(last, said.append, Shares(*percents))
    run.part("hit", work)
    return run, said


def test_a_part_without_a_short_bar_is_measured_once(capsys):
    run, said = ran(work(11.0), 0.0)
    assert said == [] and run.whole.bars.lines == [("rate", "11x", ">=10x", "ok")] and run.whole.bars.end() == 0
    assert capsys.readouterr().out == "rate 11x >=10x ok\n"


def test_a_short_bar_is_measured_once_more_and_no_more(capsys):
    run, said = ran(work(9.0, 8.0, 12.0), 0.0, 0.0)
    assert capsys.readouterr().out == "rate 9x >=10x SHORT\nrate 8x >=10x SHORT\n"
    assert said == ["# hit: short: rate; once more", "#   rate: first 9x SHORT, second 8x SHORT", "# hit: the second counts: as quiet as the first, and all is warm"]
    assert run.whole.bars.lines == [("rate", "8x", ">=10x", "SHORT")] and run.whole.bars.end() == 1 and run.whole.notes["again"] is True


def test_the_quieter_measurement_counts_also_when_it_is_the_short_one():
    run, said = ran(work(9.0, 12.0), 1.0, 30.0)
    assert run.whole.bars.lines[0][1] == "9x" and run.whole.bars.end() == 1
    assert said[-1] == "# hit: the first counts: something else used 1 % of the processors the first time, 30 % the second"


def test_of_two_as_quiet_that_whose_rounds_agree_counts():
    run, said = ran(work(9.0, 12.0, spreads=(0.02, 0.2)), 1.0, 2.0)
    assert run.whole.bars.lines[0][1] == "9x" and "its rounds agree more (± 2% the first time, ± 20% the second)" in said[-1]


def test_of_two_as_quiet_whose_rounds_agree_as_much_the_second_counts():
    run, said = ran(work(9.0, 12.0, spreads=(0.10, 0.11)), 1.0, 2.0)
    assert run.whole.bars.lines[0][1] == "12x" and said[-1] == "# hit: the second counts: as quiet as the first, and all is warm"


def test_what_failed_does_not_count_before_what_did_not():
    def once(report, again):
        report.bars.line("hit_failed" if not again else "rate", "1", "2", again)
    run, _ = ran(once, 0.0, 50.0)
    assert run.whole.bars.lines == [("rate", "1", "2", "ok")]


def test_only_the_measurement_that_counts_stands_in_the_tables():
    run, _ = ran(work(9.0, 12.0, spreads=(0.2, 0.1)), 0.0, 0.0)
    assert run.whole.tables == {"hit": [{"name": "ours", "spread": 0.1}]}


def test_a_run_on_a_busy_machine_is_marked_and_its_bars_count_all_the_same():
    run, said = ran(work(11.0), 43.0)
    assert said == ["# hit: marked: busy machine: something else used 43 % of the processors"]
    assert run.busy == 43.0 and "marked: busy machine: something else used hit 43 %" in run.summary("x") and run.whole.bars.lines[0][3] == "ok"
    quiet, _ = ran(work(11.0), 4.0)
    assert quiet.busy == 0 and not any("busy" in line for line in quiet.summary("x"))


def test_which_counts_never_depends_on_what_was_measured():
    def measured(value, others):
        r = Report()
        r.bars.line("rate", value, ">=10x", value > 10)
        return Measured(r, others, 1)
    for a, b in ((1.0, 99.0), (99.0, 1.0)):
        assert better(measured(a, 0), measured(b, 50))[0] == 0 and better(measured(a, 50), measured(b, 0))[0] == 1 and better(measured(a, 0), measured(b, 1))[0] == 1


# ---- the last run ----------------------------------------------------------------------------------------------------
def test_each_bar_stands_beside_the_last_runs(tmp_path, capsys):
    path = str(tmp_path / "bench" / "last.json")
    assert last_results(path, "whole") == {} and compared_with({}) == ""
    ran(work(20.0), 0.0)[0].keep(path, "whole", "abc")
    last = last_results(path, "whole")
    assert last["rate"]["measured"] == "20x" and compared_with(last).endswith("build abc")
    capsys.readouterr()
    ran(work(15.0), 0.0, last=last)
    assert capsys.readouterr().out == "rate 15x >=10x ok (was 20x, -25 %)\n"


def test_a_short_run_is_not_compared_with_a_whole_one_and_a_part_keeps_the_others(tmp_path):
    path = str(tmp_path / "last.json")
    ran(work(20.0), 0.0)[0].keep(path, "whole", "abc")
    assert last_results(path, "short") == {}
    run, _ = ran(lambda report, again: report.bars.shown("other", 1.5, "s"), 30.0)
    run.keep(path, "whole", "def")
    last = last_results(path, "whole")
    assert set(last) == {"rate", "other"} and last["other"]["busy"] == 30 and compared_with(last).endswith("build def, marked: busy machine")


def test_a_file_that_is_no_result_compares_with_nothing(tmp_path):
    for text in ("", "[1]", '{"whole": '):
        (tmp_path / "last.json").write_text(text)
        assert last_results(str(tmp_path / "last.json"), "whole") == {}


@pytest.mark.parametrize("measured, was, said", [
    ("1.5x", {"measured": "1x"}, "(was 1x, +50 %)"), ("1.5x", {"measured": "1x", "busy": 40}, "(was 1x on a busy machine, +50 %)"),
    (3, {"measured": "0"}, "(was 0)"), ("on", {"measured": "on"}, "(was on)"), ("1e-3ms", {"measured": "2e-3ms"}, "(was 2e-3ms, -50 %)"), ("1x", None, ""),
])
def test_a_change_is_told_in_percent(measured, was, said):
    assert change(measured, was) == said


# ---- the summary -----------------------------------------------------------------------------------------------------
def crowded(report, again):
    for i in range(40):
        report.bars.least(f"a_bar_with_a_name_that_is_rather_long_{i}", 5.0, 10, "x")
        report.bars.shown(f"shown_{i}", float(i + 2), "us")


def test_the_summary_fits_one_screen_however_much_is_short():
    last = {f"shown_{i}": {"measured": "1us", "busy": 40, "when": "2026-11-30 10:00", "build": "abc", "verdict": "ok"} for i in range(40)}
    run = Run(last, lambda text: None, Shares(*[50.0] * 20))
    for name in ("limits", "hit", "near", "uncached", "trace", "usual", "zipf", "shared", "start"):
        run.part(name, crowded)
    lines = run.summary("make bench " + "x" * 200, compared_with(last))
    assert len(lines) <= LINES == 24 and max(map(len, lines)) <= COLUMNS == 100
    assert lines[-1] == "360 bars: 0 ok, 360 SHORT (on a busy machine)" and any(line.startswith("  and ") for line in lines)
    assert sum(line.startswith("  a_bar") for line in lines) >= 3 and "ok, and changed most since the last run:" in lines


def test_the_summary_names_each_short_bar_with_its_change_and_what_was_measured_twice():
    run, _ = ran(work(9.0, 8.0), 0.0, 0.0, last={"rate": {"measured": "16x", "when": "", "build": ""}})
    text = "\n".join(run.summary("make bench"))
    assert "measured twice, the second counts" in text and "(was 16x, -50 %)" in text and text.endswith("1 bars: 0 ok, 1 SHORT")
