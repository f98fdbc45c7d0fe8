#!/usr/bin/python3
"""A command with a time limit that leaves no process: contained.py LIMIT GRACE COMMAND…

After LIMIT seconds, or when this program gets INT or TERM, the command's process group gets INT, once, so that the fixtures of a test run
their ends undisturbed. After GRACE seconds more the command is killed. Processes that the command leaves, also those in sessions of their own
(servers that tests start), come to this program as their nearest subreaper: they get TERM, and after TERM_SECONDS KILL.
The exit code is the command's: 124 when the time was over, 128 and the signal's number when a signal ended it.
"""
import ctypes
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
TERM_SECONDS = 10
LIMIT, GRACE, COMMAND = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]


def below():
    """{process below this one: its name}; those that have ended and wait for their parent are left out."""
    children, names = {}, {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat", errors="replace") as f:
                head, _, rest = f.read().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        state, parent = rest.split()[:2]
        children.setdefault(int(parent), []).append(int(p))
        if state not in "ZX":
            names[int(p)] = head.partition("(")[2]
    found, todo = {}, [os.getpid()]
    while todo:
        for p in children.get(todo.pop(), ()):
            todo.append(p)
            if p in names:
                found[p] = names[p]
    return found


def tell(pids, *signals):
    for p in pids:
        for s in signals:
            try:
                os.kill(p, s)
            except ProcessLookupError:
                pass


def reap():
    """Takes the ends of all that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def sweep():
    left = below()
    if left:
        print("left behind, and ended now: " + ", ".join(f"{name} {p}" for p, name in sorted(left.items())), file=sys.stderr, flush=True)
        tell(left, signal.SIGTERM, signal.SIGCONT)
    end = time.monotonic() + TERM_SECONDS
    while below():
        if time.monotonic() > end:
            tell(below(), signal.SIGKILL)
        reap()
        time.sleep(0.02)


def main():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command, timed_out, asked = None, False, False

    def end(number, _):
        nonlocal timed_out, asked
        if number == signal.SIGALRM:
            timed_out = timed_out or not asked
            if asked:
                return tell(below(), signal.SIGKILL)
        if not asked:
            asked = True
            signal.setitimer(signal.ITIMER_REAL, GRACE, 1)
            os.killpg(command, signal.SIGINT)
        return None
    ended_by = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    signal.pthread_sigmask(signal.SIG_BLOCK, ended_by)
    for s in ended_by:
        signal.signal(s, end)
    # a shell starts its background jobs with INT ignored; whom INT is to end must not inherit that
    command = os.posix_spawnp(COMMAND[0], COMMAND, os.environ, setsid=True, setsigmask=(),
                              setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ))
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ended_by)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == command:
            break
    signal.setitimer(signal.ITIMER_REAL, 0)
    for s in ended_by:
        signal.signal(s, signal.SIG_IGN)
    sweep()
    code = os.waitstatus_to_exitcode(status)
    return 124 if timed_out else code if code >= 0 else 128 - code


sys.exit(main())
