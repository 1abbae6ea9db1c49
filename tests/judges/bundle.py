"""What goes to a machine with a GPU, rehearsed here on the CPU: the bundle of this build, and its check, also when what it starts
never ends, floods its log or does not listen, and when it is ended itself."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import common

ROOT = pathlib.Path(__file__).resolve().parents[2]

HOSTILE = """#!/usr/bin/env python3
import os, signal, subprocess, sys, time
words = sys.argv[1:]
text = " ".join(words)
if "mlp fp32" in text:  # floods
    while True:
        os.write(1, b"x" * (1 << 20))
if "cnn fp64" in text:  # hangs, does not listen, and has a child out of reach of its group
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    open(__file__ + ".hangs", "w").close()
    time.sleep(1000)
if "gpt2" in text:  # really trains, and has no window
    words[words.index("--log_every") + 1] = "1e9"
real = __file__ + ".real"
os.execv(real, [real, *words])
"""


class Rehearsal:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.bundle, self.archive = self.directory / "bundle", self.directory / "results" / "check.tar.gz"
        self.programs = self.bundle / "bin"
        subprocess.run([ROOT / "tests" / "gpu" / "bundle", self.bundle, "--build", common.BIN.parent, "--small"], check=True)

    def start(self, *arguments, **variables):
        self.archive.unlink(missing_ok=True)
        return subprocess.Popen([sys.executable, self.bundle / "check", *arguments, "--output", self.archive], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=os.environ | variables)

    def check(self, *arguments, expect, **variables):
        """What it printed. Nothing of it may run on."""
        run = self.start(*arguments, **variables)
        output, _ = run.communicate(timeout=300)
        assert run.returncode == expect, f"exit status {run.returncode}, expected {expect}:\n{output}"
        assert not self.running(), self.running()
        return output

    def results(self):
        return json.loads(self.file("results.json"))

    def file(self, name):
        with tarfile.open(self.archive) as archive:
            return archive.extractfile(f"check-results/{name}").read().decode()

    def running(self):
        return common.running_with(self.programs)

    def be_hostile(self):
        (self.programs / "lockstep").rename(self.programs / "lockstep.real")
        (self.programs / "lockstep").write_text(HOSTILE)
        (self.programs / "lockstep").chmod(0o755)


def outcomes(results):
    return {name: part["outcome"] for name, part in results["parts"].items()}


def graphs_become_the_programs_that_export_writes(rehearsal):
    import torch

    sys.path.insert(0, str(ROOT / "benchmarks"))
    import programs

    whole, made = rehearsal.directory / "gpt2-small.pt2", rehearsal.directory / "made.pt2"
    programs.SMALL["gpt2"].export(whole)
    programs.SMALL["gpt2"].complete(rehearsal.bundle / "graphs" / whole.name, made)
    with zipfile.ZipFile(whole) as expected, zipfile.ZipFile(made) as found:
        assert sorted(found.namelist()) == sorted(expected.namelist())
        for name in expected.namelist():
            if "/data/weights/" in name:
                assert found.read(name) == expected.read(name), name
    logits = [torch.export.load(path).module()(torch.arange(16).reshape(1, 16)) for path in (whole, made)]
    assert torch.equal(*logits)


def what_it_lacks_is_said(rehearsal):
    output = rehearsal.check(expect=77, CUDA_VISIBLE_DEVICES="")
    assert "no GPU" in output and not rehearsal.archive.exists(), output
    output = rehearsal.check("--device", "cpu", "--limit", "gpt3=5", expect=2)
    assert "gpt2" in output, output


def all_passes_here(rehearsal):
    tools = rehearsal.directory / "tools"
    tools.mkdir()
    (tools / "compute-sanitizer").write_text("#!/bin/sh\necho '========= Error: Device not supported'\nexit 1\n")
    (tools / "compute-sanitizer").chmod(0o755)
    output = rehearsal.check("--device", "cpu", "sanitizer", "ranks", "training", expect=0, PATH=f"{tools}:{os.environ['PATH']}")
    results = rehearsal.results()
    assert outcomes(results) == {"ranks": "passed", "training": "passed", "sanitizer": "not run"}, output
    assert list(results["parts"]) == ["ranks", "training", "sanitizer"], output
    assert "Device not supported" in results["parts"]["sanitizer"]["summary"], results
    assert 0 <= results["parts"]["ranks"]["figures"]["cnn fp64, difference"] <= common.tolerance(steps=20), results
    assert results["parts"]["training"]["figures"]["bf16"]["test_accuracy"] > 0.5, results
    assert results["commit"] and results["torch"] and results["card"] == "none: on the CPU", results


def what_never_ends_is_ended(rehearsal):
    """And keeps nothing else from being tried."""
    begin = time.monotonic()
    output = rehearsal.check("--device", "cpu", "ranks", "steps", "--limit", "ranks=4", "--limit", "mlp=200", "--limit", "resnet50=0",
                            "--limit", "gpt2=12", expect=1)
    results = rehearsal.results()
    ranks, steps = results["parts"]["ranks"], results["parts"]["steps"]
    assert outcomes(results) == {"ranks": "failed", "steps": "failed"}, output
    assert "printed" in output and "had not ended after" in output, output
    assert {(row["model"], row["contender"]) for row in steps["figures"]["results"]} >= {("mlp", "lockstep"), ("mlp", "pytorch")}, output
    # The benchmark ends the turn, or, where it came late to it, check the benchmark.
    assert "gpt2, lockstep: no result within" in output or "gpt2: training.py had not ended" in output, output
    assert "resnet50: training.py had not ended" in output, output
    assert ranks["seconds"] < 60 and time.monotonic() - begin < 200, results
    assert 64 << 10 < len(rehearsal.file("ranks.log")) < 1 << 20 and rehearsal.archive.stat().st_size < 1 << 20


def its_own_end_leaves_results(rehearsal):
    hangs = rehearsal.programs / "lockstep.hangs"
    hangs.unlink()
    run = rehearsal.start("--device", "cpu", "ranks", "training", "--limit", "ranks=100")
    while not hangs.exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM, output
    assert outcomes(rehearsal.results()) == {"ranks": "stopped"} and "lockstep train" in rehearsal.file("ranks.log"), output
    assert not rehearsal.running(), rehearsal.running()


def a_library_that_is_broken_is_named(rehearsal):
    (rehearsal.bundle / "lib" / "libmpi.so.40").write_bytes(b"")
    output = rehearsal.check("--device", "cpu", expect=2)
    assert "lockstep-rank does not start" in output, output


def the_bundle(rehearsal):
    tests = {test["name"] for test in json.loads((rehearsal.bundle / "bundle.json").read_text())["tests"]}
    assert {"kernels_gpu_test", "collectives_nccl_gpu_test.2ranks"} <= tests, tests


@common.in_directory(Rehearsal)
def a_bundle_and_its_check(rehearsal):
    the_bundle(rehearsal)
    graphs_become_the_programs_that_export_writes(rehearsal)
    what_it_lacks_is_said(rehearsal)
    all_passes_here(rehearsal)
    rehearsal.be_hostile()
    what_never_ends_is_ended(rehearsal)
    its_own_end_leaves_results(rehearsal)
    a_library_that_is_broken_is_named(rehearsal)


if __name__ == "__main__":
    common.main(a_bundle_and_its_check)
