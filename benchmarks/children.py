"""Commands that leave nothing behind: with a command ends all that it has started, whatever groups and sessions that has made.

An endless training that outlives its benchmark would hold the machine's GPU for whoever comes next."""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)
GRACE = 10  # seconds that a command has to end when it is asked to, and after that to be gone when it is killed

prctl = ctypes.CDLL(None).prctl


def leave(number, _):
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # what follows tidies up
    raise SystemExit(128 + number)


@contextlib.contextmanager
def none_left():
    """Around a program's main. A signal that ends the program becomes SystemExit; after it nothing runs that it has started."""
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what loses its parent becomes ours and not init's
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, leave)
    try:
        yield
    finally:
        kill(set())


@contextlib.contextmanager
def started(command, **options):
    """subprocess.Popen of it. Afterwards it has ended, and what it had started: asked to with SIGTERM, then killed."""
    others = below()
    process = subprocess.Popen(list(map(str, command)), process_group=0, preexec_fn=end_with_parent, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)  # mpirun ends its ranks when it is asked to, not when it is killed
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        kill(others)
        process.poll()


def end_with_parent():
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # when this program is killed and can end nothing


def below():
    """All that descends from this process and runs."""
    children, found = {}, set()
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(path.parent.name))
    queue = [os.getpid()]
    while queue:
        mine = children.get(queue.pop(), [])
        found.update(mine)
        queue += mine
    return found


def kill(others):
    """All below this process but `others`, again until nothing is left: while it is killed it may start more."""
    deadline = time.monotonic() + GRACE
    while left := below() - others:
        if time.monotonic() > deadline:
            print(f"still running though killed: {sorted(left)}", file=sys.stderr, flush=True)
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def peak_mib(process):
    """VmHWM of the largest process that a command has started: a rank, as launchers are smaller."""
    found, peak = [process.pid], 0
    for pid in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found += children.read_text().split()
            peak = max(peak, mib_held(pid))
    return peak


def mib_held(pid="self"):
    """The most that a process has held at any time."""
    held = re.search(r"VmHWM:\s*(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(held.group(1)) / 1024 if held else 0
