"""The benchmark of training steps, in its small form on the CPU: every row is there and is a speed."""

import json
import math
import pathlib
import subprocess
import sys

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
    assert result["environment"]["device"] == "cpu" and result["environment"]["torch"], result["environment"]
    expected = {(model, contender) for model in ("resnet50", "gpt2", "mlp") for contender in ("lockstep", "pytorch")}
    assert {(row["model"], row["contender"]) for row in result["results"]} == expected, run.stdout
    for row in result["results"]:
        assert len(row["windows"]) == 4 and min(row["windows"]) > 0 and row["rate"] > 0 and math.isfinite(row["loss"]), row


if __name__ == "__main__":
    common.main(training_steps)
