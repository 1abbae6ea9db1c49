"""The benchmark of training steps, in its small form on the CPU: every row is there and is a speed; what never ends is ended."""

import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import common

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "gpu" / "training.py"


def training_steps():
    with common.temporary_directory() as name:
        path = pathlib.Path(name) / "result.json"
        run = subprocess.run([sys.executable, SCRIPT, "--device", "cpu", "--small", "--bin", common.BIN, "--repeats", "2",
                              "--windows", "2", "--seconds", "0.2", "--threads", "1", "--output", path],
                             capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, run.stdout + run.stderr
        result = json.loads(path.read_text())
    assert result["environment"]["card"] == "none: on the CPU" and result["environment"]["torch"], result["environment"]
    expected = {(model, contender) for model in ("resnet50", "gpt2", "mlp") for contender in ("lockstep", "pytorch")}
    assert {(row["model"], row["contender"]) for row in result["results"]} == expected, run.stdout
    for row in result["results"]:
        assert len(row["windows"]) == 4 and min(row["windows"]) > 0 and row["rate"] > 0 and math.isfinite(row["loss"]), row


def endless(directory, *options):
    """A window that never ends, so that no contender gives a figure. What it starts can be told by its environment."""
    return subprocess.Popen([sys.executable, SCRIPT, "--device", "cpu", "--small", "--bin", common.BIN, "--models", "mlp", "--repeats", "1",
                             "--windows", "1", "--seconds", "1e9", "--threads", "1", *options], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env=os.environ | {"ENDLESS": directory})


def a_turn_that_never_ends_is_over_in_time():
    with common.temporary_directory() as directory:
        run = endless(directory, "--limit", "8")
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 1 and not common.running_with(directory), output
        assert re.search(r"mlp, lockstep: no result within \d s; mlp, pytorch: no result within \d s\n", output), output


def its_own_end_ends_the_training():
    """The ranks, too: they lead groups of their own."""
    with common.temporary_directory() as directory:
        run = endless(directory)
        while not any("lockstep-rank" in command for command in common.running_with(directory).values()):
            assert run.poll() is None, run.communicate()
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 128 + signal.SIGTERM and not common.running_with(directory), output


if __name__ == "__main__":
    common.main(training_steps, a_turn_that_never_ends_is_over_in_time, its_own_end_ends_the_training)
