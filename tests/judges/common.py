"""What the judges share: data files, running lockstep, reading its results."""

import json
import os
import pathlib
import struct
import subprocess
import tempfile

import numpy as np

BIN = pathlib.Path(os.environ["LOCKSTEP_BIN"])  # build/bin


def write_idx(path, array):
    types = {np.dtype("uint8"): (0x08, ">u1"), np.dtype("int32"): (0x0C, ">i4"),
             np.dtype("float32"): (0x0D, ">f4"), np.dtype("float64"): (0x0E, ">f8")}
    code, big_endian = types[array.dtype]
    with open(path, "wb") as file:
        file.write(struct.pack(">BBBB", 0, 0, code, array.ndim))
        file.write(struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype(big_endian).tobytes())


def write_channel(directory, inputs, targets):
    directory.mkdir(parents=True)
    write_idx(directory / "inputs", inputs)
    write_idx(directory / "targets", targets)


def images(count, classes=10, size=8, seed=0):
    """Random images whose brightness pattern depends on the label, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count).astype(np.uint8)
    patterns = generator.integers(0, 120, (classes, size, size))
    pixels = patterns[labels] + generator.integers(0, 120, (count, size, size))
    return pixels.astype(np.uint8), labels


def run(arguments, expect=0, cwd=None, environment=None):
    """Runs lockstep, checks its exit code, returns what it printed on both streams."""
    result = subprocess.run([BIN / "lockstep", *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=cwd,
                            env={**os.environ, **(environment or {})})
    output = result.stdout + result.stderr
    assert result.returncode == expect, f"exit code {result.returncode}, expected {expect}:\n{output}"
    return output


def train(directory, channels, ranks=1, **hyperparameters):
    """Trains in `directory`; returns the job's output and the safetensors it left."""
    from safetensors.numpy import load_file

    arguments = ["train", "--model_dir", directory / "model", "--output_dir", directory / "output",
                 "--ranks_per_host", ranks, "--threads_per_rank", 1]
    for name, path in channels.items():
        arguments += ["--channel", f"{name}={path}"]
    for name, value in {"export": "pt2,safetensors", **hyperparameters}.items():
        arguments += [f"--{name}", json.dumps(value) if isinstance(value, (list, dict)) else value]
    output = run(arguments)
    model = directory / "model" / "model.safetensors"
    return output, load_file(model) if model.exists() else None


def metrics(directory, event):
    lines = (directory / "output" / "data" / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def temporary_directory():
    return tempfile.TemporaryDirectory(prefix="lockstep-judge-")


def in_directory(kind):
    """A decorator: the check is run on a new `kind(directory)`."""

    def decorate(check):
        def run_check():
            with temporary_directory() as directory:
                check(kind(directory))

        run_check.__name__ = check.__name__
        return run_check

    return decorate


def relative_difference(a, b):
    """The largest ‖a - b‖ / ‖b‖ of any tensor of two state dicts; counters must be equal."""
    assert a.keys() == b.keys(), f"{a.keys() ^ b.keys()}"
    worst = 0.0
    for name in b:
        if a[name].dtype.kind == "i":
            assert (a[name] == b[name]).all(), f"{name}: {a[name]} is not {b[name]}"
            continue
        difference = np.linalg.norm(a[name].astype(np.float64).ravel() - b[name].astype(np.float64).ravel())
        worst = max(worst, difference / max(np.linalg.norm(b[name].astype(np.float64).ravel()), 1e-6))
    return worst


def main(*checks):
    for check in checks:
        check()
        print(f"ok: {check.__name__}", flush=True)
