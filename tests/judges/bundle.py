"""What goes to a machine with a GPU, tried here on the CPU: the bundle of this build, and its check."""

import json
import os
import pathlib
import subprocess
import sys

import common

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check(directory, *arguments, expect, **variables):
    """Its results, where it gets so far."""
    run = subprocess.run([sys.executable, directory / "bundle" / "check", *arguments, "--output", directory / "results"],
                         capture_output=True, text=True, env=os.environ | variables)
    assert run.returncode == expect, f"exit status {run.returncode}, expected {expect}:\n{run.stdout}{run.stderr}"
    path = directory / "results" / "results.json"
    return run, json.loads(path.read_text())["parts"] if path.exists() else None


@common.in_directory(pathlib.Path)
def a_bundle_and_its_check(directory):
    bundle = directory / "bundle"
    subprocess.run([ROOT / "tests" / "gpu" / "bundle", bundle, "--build", common.BIN.parent, "--no-sanitizer"], check=True)
    gpu_tests = {test["name"] for test in json.loads((bundle / "bundle.json").read_text())["tests"]}
    assert {"kernels_gpu_test", "collectives_nccl_gpu_test.2ranks"} <= gpu_tests, gpu_tests

    run, results = check(directory, expect=77, CUDA_VISIBLE_DEVICES="")
    assert "no GPU" in run.stderr and results is None, run.stderr

    run, results = check(directory, "--device", "cpu", expect=0)
    assert {name: part["outcome"] for name, part in results.items()} == dict.fromkeys(("ranks", "training", "steps"), "passed"), run.stdout
    assert 0 <= results["ranks"]["figures"]["cnn fp64, difference"] <= 1e-12, results["ranks"]
    assert results["training"]["figures"]["bf16"]["test_accuracy"] > 0.5, results["training"]
    assert {row["contender"] for row in results["steps"]["figures"]["results"]} == {"lockstep", "pytorch"}, results["steps"]

    # One failing part does not keep the next from being tried.
    (bundle / "data" / "train").rename(bundle / "data" / "elsewhere")
    run, results = check(directory, "--device", "cpu", "ranks", "training", expect=1)
    assert [part["outcome"] for part in results.values()] == ["failed", "failed"], run.stdout
    assert str(bundle / "data" / "train") in run.stdout, run.stdout

    (bundle / "lib" / "libmpi.so.40").write_bytes(b"")
    run, _ = check(directory, "--device", "cpu", expect=2)
    assert "lockstep-rank does not start" in run.stderr, run.stderr


if __name__ == "__main__":
    common.main(a_bundle_and_its_check)
