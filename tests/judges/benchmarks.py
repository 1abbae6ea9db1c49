"""Benchmarks in their small forms on the CPU: every row is there and is a speed, and what is said of them follows from them; what never ends is ended."""

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

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "gpu" / "training.py"


def training_steps():
    with common.temporary_directory() as name:
        path = pathlib.Path(name) / "result.json"
        run = subprocess.run([sys.executable, SCRIPT, "--device", "cpu", "--small", "--bin", common.BIN, "--repeats", "2",
                              "--windows", "2", "--seconds", "0.05", "--threads", "1", "--output", path],
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
        run = endless(directory, "--limit", "4")
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


def run(script, *arguments):
    result = subprocess.run([sys.executable, BENCHMARKS / script, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                            env={**os.environ, "LOCKSTEP_BIN": str(common.BIN)})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@common.in_directory(pathlib.Path)
def where_a_step_goes(directory):
    """The kinds make up the steps, as their own spans have them; products are of the program's layers, forward and backward, and of nothing else."""
    path = directory / "where.json"
    run("where.py", "--models", "mlp", "cnn", "--steps", 3, "--warm_up", 2, "--output", path)
    result = json.loads(path.read_text())
    assert result["flops_per_second"] > 1e8 and result["bytes_per_second"] > 1e8
    rows = {row["model"]: row for row in result["results"]}
    # 2 × (128 × 128 × 8 + 128 × 10) × 64 samples forward, and twice that backward but for the first layer's input.
    assert rows["mlp"]["flops"] == 2 * 64 * (3 * (128 * 128 * 8 + 128 * 10) - 128 * 128), rows["mlp"]["flops"]
    for row in rows.values():
        assert abs(sum(row["kinds_ms"].values()) - row["step_ms"]) < 1e-6 and row["untraced_step_ms"] > 0
        assert 0.5 < row["step_ms"] / row["traced_step_ms"] < 2, row
        for kind, time in row["kinds_ms"].items():
            assert time >= 0 or kind == "no core" and time > -0.2 * row["step_ms"], (kind, time)
        assert row["kinds_ms"]["products"] > 0.02 * row["step_ms"] and row["kinds_ms"]["dispatch"] > 0, row["kinds_ms"]
        by_kind = {kind: sum(each["ms"] for each in row["operators_ms"] if each["kind"] == kind) for kind in ("products", "operators")}
        assert all(abs(row["kinds_ms"][kind] - time) < 1e-6 for kind, time in by_kind.items()), (row["kinds_ms"], by_kind)
    products = {each["name"] for each in rows["cnn"]["operators_ms"] if each["kind"] == "products"}
    assert any("convolution_backward" in name for name in products), products


def a_trace_that_lacks_steps_is_refused():
    account = "import where; where.account([{'pid': 1, 'cat': 'steps', 'name': 'step 1', 'dur': 1.0}], 2)"
    result = subprocess.run([sys.executable, "-c", account], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "the trace of rank 1 is full: it holds 1 of 2 steps; give fewer --steps" in result.stderr, result.stderr


@common.in_directory(pathlib.Path)
def what_has_become_slower_is_named(directory):
    """Measured once; to what is kept then, the same is compared again."""
    path = directory / "quick.json"
    arguments = ["--models", "mlp", "--turns", "1", "--windows", "1", "--seconds", "0.3", "--figures", str(path)]
    said = run("quick/run.py", *arguments, "--write")
    assert "nothing was compared: --write keeps these" in said and "slower" not in said, said
    (kind, known), = json.loads(path.read_text()).items()
    path.unlink()
    measured = {name: known["mlp"][name] for name in ("ratio", "rate", "ddp_rate", "peak_mib", "ddp_peak_mib")}
    for figure in measured.values():
        assert 0 < figure["least"] <= figure["median"] <= figure["most"], known

    def again(*more):
        code = f"import quick.run as quick; quick.measure = lambda *_: {measured}; quick.main()"
        result = subprocess.run([sys.executable, "-c", code, *arguments, *more], cwd=BENCHMARKS, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    assert "nothing was compared: --write keeps these" in again() and not path.exists()
    for factor, expected in ((100, "slower beside DDP by more than the spread: mlp"), (0.01, "nothing is slower beside DDP")):
        of = {name: {key: value * factor for key, value in figure.items()} for name, figure in measured.items()} | {"date": "2001"}
        path.write_text(json.dumps({kind: {"mlp": known["mlp"] | of, "cnn": known["mlp"] | of}}))
        said = again(*(["--write"] if factor < 1 else []))
        assert expected in said and ("SLOWER" in said) == (factor > 1) and (", faster" in said) == (factor < 1), said
    kept = json.loads(path.read_text())[kind]
    assert kept["cnn"]["date"] == "2001" < kept["mlp"]["date"], kept


def the_page_has_what_agreeing_costs():
    """Every number of its table is one of the results, and the fits are as near to those as it says."""
    results = json.loads((BENCHMARKS / "results" / "agreement.json").read_text())
    part = (BENCHMARKS.parent / "docs" / "measurements.md").read_text().split("## Agreeing")[1].split("\n## ")[0]
    shown = [line.strip("| ").split(" | ")[1:] for line in part.splitlines() if "× ranks^" in line]
    nearness = []
    for row, (name, seconds) in zip(shown, results["seconds"].items(), strict=True):
        factor, power = results["fitted"][name]
        assert row == [*(f"{value * 1e3:.3f}" for value in seconds.values()), f"{factor * 1e3:.4f} × ranks^{power:.2f}"], (name, row)
        nearness += [factor * int(ranks)**power / value for ranks, value in seconds.items() if int(ranks) > 1]
    said = re.search(r"between ([\d.]+) and ([\d.]+) of the medians", part).groups()
    assert said == (f"{min(nearness):.2f}", f"{max(nearness):.2f}"), (said, nearness)
    assert min(nearness) > 0.5 and max(nearness) < 2, nearness


if __name__ == "__main__":
    common.main(the_page_has_what_agreeing_costs, training_steps, where_a_step_goes, a_trace_that_lacks_steps_is_refused, what_has_become_slower_is_named, a_turn_that_never_ends_is_over_in_time, its_own_end_ends_the_training)
