"""What else uses the processors while a benchmark runs: time of /proc/stat (steal included) less that of the benchmark's own processes.

    with Watch(Others()) as watch:       # looks at once, and then every two seconds; says when it begins
        mark = watch.mark()
        …
        watch.since(mark)                # percent of all processors that others used since then

Ours are this process (with FOOTNOTE_BENCH_ROOT another one, above it) and all below it; a process whose parent ended (a server that went
to the background) is told by what stands in its environment, if it was not seen before. Threads of the kernel count for nobody: they work for whoever loads the machine. Of processes that this one cannot see
(another container's) the time counts as others', but nobody can name them."""
import os
import threading
import time

MARK = "FOOTNOTE_BENCH"        # in the environment of all that a benchmark starts
KERNEL = 0x200000              # PF_KTHREAD of linux/sched.h, in the flags of /proc/PID/stat
BUSY = 5.0                     # percent of all processors: so much is said, and marks the run
EVERY = 2.0                    # seconds
QUIET = 3                      # looks without others: then they are said again when they come


class Seen:
    """A process as /proc/PID/stat told it; ticks: its own time and that of the children it waited for."""
    __slots__ = ("parent", "name", "ticks", "key", "kernel")

    def __init__(self, pid, line):
        head, _, rest = line.rpartition(")")
        f = rest.split()
        self.parent, self.name, self.kernel = int(f[1]), head.partition("(")[2], bool(int(f[6]) & KERNEL)
        self.ticks = sum(map(int, f[11:15]))
        self.key = (pid, f[19])     # with its start: a number comes again


class Look:
    """One look: ticks of all processors, those that were used, and of these ours and the kernel's; who else there is."""

    def __init__(self, every, used, ours, kernel, others):
        self.every, self.used, self.ours, self.kernel, self.others = every, used, ours, kernel, others


def share(a, b):
    """Percent of all processors that others used between two looks."""
    every = b.every - a.every
    if every <= 0:
        return 0.0
    return min(100.0, max(0.0, 100.0 * ((b.used - a.used) - (b.ours - a.ours) - (b.kernel - a.kernel)) / every))


def names(a, b, most=3):
    """Who they are: [(name, percent)], the largest first; what ended counts for who waited for it."""
    every, sums = max(b.every - a.every, 1), {}
    for key, (name, ticks) in b.others.items():
        sums[name] = sums.get(name, 0) + ticks - a.others.get(key, (name, 0))[1]
    found = sorted(((100.0 * t / every, n) for n, t in sums.items()), reverse=True)
    return [(n, p) for p, n in found[:most] if p >= 0.5]


class Others:
    def __init__(self, proc="/proc", me=None):
        self.proc, self.me = proc, os.getpid() if me is None else me
        self.mark = f"{MARK}={self.me}".encode()
        self.ours = {}      # key -> (ticks, whether the parent was ours) of our processes at the last look
        self.gone = 0       # ticks of ours that ended and for which none of ours waited
        self.strange = {}   # key -> False: its environment was looked at

    def begin(self):
        """What is started from now on can be told."""
        os.environ[MARK] = str(self.me)

    def _processors(self):
        with open(f"{self.proc}/stat") as f:
            t = [int(x) for x in f.readline().split()[1:9]]    # user nice system idle iowait irq softirq steal
        return sum(t), sum(t) - t[3] - t[4]

    def _processes(self):
        found = {}
        for pid in filter(str.isdigit, os.listdir(self.proc)):
            try:
                with open(f"{self.proc}/{pid}/stat", errors="replace") as f:
                    found[int(pid)] = Seen(int(pid), f.read())
            except (OSError, IndexError):
                continue    # it ended meanwhile
        return found

    def _marked(self, pid, key):
        if key not in self.strange:
            try:
                with open(f"{self.proc}/{pid}/environ", "rb") as f:
                    self.strange[key] = self.mark in f.read().split(b"\0")
            except OSError:
                self.strange[key] = False
        return self.strange[key]

    def _is_ours(self, pid, all_of_them, told):
        if pid not in told:
            p = all_of_them.get(pid)
            told[pid] = False      # a circle cannot be, but must not hang
            told[pid] = p is not None and not p.kernel and (pid == self.me or p.key in self.ours or self._is_ours(p.parent, all_of_them, told)
                                                            or self._marked(pid, p.key))
        return told[pid]

    def look(self):
        every, used = self._processors()
        seen, told = self._processes(), {}
        ours = {p.key: (p.ticks, self._is_ours(p.parent, seen, told)) for pid, p in seen.items() if self._is_ours(pid, seen, told)}
        self.gone += sum(ticks for key, (ticks, waited) in self.ours.items() if key not in ours and not waited)
        self.ours = ours
        self.strange = {p.key: self.strange[p.key] for p in seen.values() if p.key in self.strange}
        return Look(every, used, self.gone + sum(t for t, _ in ours.values()), sum(p.ticks for p in seen.values() if p.kernel),
                    {p.key: (p.name, p.ticks) for p in seen.values() if p.key not in ours and not p.kernel})


def told(percent, who=()):
    return f"something else uses {percent:.0f} % of the processors" + (f" ({', '.join(f'{n} {p:.0f} %' for n, p in who)})" if who else "")


class Watch:
    """Looks now and then, on a thread of its own, and says at once when somebody else works; again when it comes again."""

    def __init__(self, others, say, every=EVERY):
        self.others, self.say, self.every = others, say, every
        self.looks, self.quiet, self.lock = [], QUIET, threading.Lock()
        self.ends, self.thread = threading.Event(), None

    def __enter__(self):
        self.others.begin()
        self.step()
        time.sleep(self.every)
        self.step()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        if self.thread:
            self.thread.join()

    def _run(self):
        while not self.ends.wait(self.every):
            self.step()

    def step(self):
        """One look, and what it says."""
        with self.lock:
            now = self.others.look()
            before = self.looks[-1] if self.looks else None
            self.looks = [*self.looks[-1:], now]
            if before is None:
                return now
            percent = share(before, now)
            if percent < BUSY:
                self.quiet += 1
            else:
                if self.quiet >= QUIET:
                    self.say(told(percent, names(before, now)))
                self.quiet = 0
            return now

    mark = step

    def since(self, mark):
        return share(mark, self.step())
