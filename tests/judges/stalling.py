"""Ranks that a job waits for in vain, or that a library preloaded into them (tests/support/Faults.c) makes fail: what tests of one
host, of several and of Slurm share."""

import os
import pathlib
import re
import signal
import subprocess
import time

import common
from PIL import Image

PHASE, RARE = 3, 90  # seconds: phase_timeout, rare_phase_timeout
JOB = {"model": "mlp", "epochs": 100000, "batch_size": 16, "threads_per_rank": 1, "export": "none", "log_every": 0.1, "eval_every": 40,
       "phase_timeout": f"{PHASE}s", "rare_phase_timeout": f"{RARE}s", "hosts_timeout": "30s"}
LATE = 5  # seconds after its deadline in which a job is over


def library(directory):
    """Compiles the faults."""
    path = pathlib.Path(directory) / "faults.so"
    if not path.exists():
        source = pathlib.Path(__file__).resolve().parents[1] / "support" / "Faults.c"
        flags = subprocess.run(["mpicc", "--showme:compile"], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", *flags, "-o", path, source, "-ldl"], check=True)
    return path


def fault(directory, kind, rank, at=0, file="/train/", milliseconds=0):
    """The environment in which it comes."""
    return {"LD_PRELOAD": str(library(directory)), "LOCKSTEP_FAULT": kind, "LOCKSTEP_FAULT_RANK": str(rank), "LOCKSTEP_FAULT_AT": str(at),
            "LOCKSTEP_FAULT_FILE": file, "LOCKSTEP_FAULT_MS": str(milliseconds)}


def channels(directory):
    """Small ones: a step is short. Pictures, of which each is read anew in every epoch."""
    found = {}
    for name, count in (("train", 64), ("validation", 16)):
        found[name] = pathlib.Path(directory) / name
        if found[name].exists():
            continue
        for label in range(10):
            (found[name] / str(label)).mkdir(parents=True)
        for i, (pixels, label) in enumerate(zip(*common.images(count))):
            Image.fromarray(pixels).save(found[name] / str(label) / f"{i}.png")
    return found


def arguments(directory, **changes):
    words = ["train", "--model_dir", directory / "model", "--output_dir", directory / "output"]
    for name, path in channels(directory).items():
        words += ["--channel", f"{name}={path}"]
    for name, value in {**JOB, **changes}.items():
        words += [f"--{name}", value]
    return [str(word) for word in words]


class Running:
    """A job in a process group of its own, whose output is kept."""

    def __init__(self, directory, command, environment=None):
        self.directory, self.log = pathlib.Path(directory), pathlib.Path(directory) / "log"
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=self.log.open("w"),
                                        stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}, start_new_session=True)

    def output(self):
        return self.log.read_text()

    def wait_for(self, text, seconds=40):
        end = time.monotonic() + seconds
        while text not in self.output():
            assert time.monotonic() < end and self.process.poll() is None, f"{text!r} was not said:\n{self.output()}"
            time.sleep(0.05)

    def ends(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"the job has not ended after {seconds} s:\n{self.output()}") from None

    def failure(self):
        path = self.directory / "output" / "failure"
        return path.read_text() if path.exists() else ""

    def report(self):
        return (self.directory / "output" / "data" / "hang.txt").read_text()


def in_time(failure, start):
    """Whether a job whose rank was stopped at `start` ends no later than it may after it has found that it stands still, however busy this
    machine is."""
    still = max(PHASE, float(re.search(r"stands still for ([\d.]+) s", failure).group(1)))
    return time.monotonic() - start < still + LATE


def says(failure, *texts):
    """What every such failure tells: rank, host, phase and collective."""
    for text in ("rank ", " on ", "phase ", "collective ", *texts):
        assert text in failure, f"{text!r} is not in {failure!r}"
