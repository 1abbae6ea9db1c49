"""What the judges share: data files, running lockstep, reading its results."""

import contextlib
import functools
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import numpy as np

BIN = pathlib.Path(os.environ["LOCKSTEP_BIN"])  # build/bin
# What export=pt2,safetensors,saved_model leaves.
ARTIFACTS = {"1", "model.pt2", "model.safetensors", "model_card.json", "model_card.md", "probes.safetensors"}


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
    if expect and "--output_dir" in arguments and arguments[0] != "plan":  # a job that has ended badly says why, where others look
        failure = pathlib.Path(cwd or ".", arguments[arguments.index("--output_dir") + 1], "failure")
        assert not os.access(failure.parent, os.W_OK) or failure.read_text(), f"exit code {expect} without a reason:\n{output}"
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


ASKED = []  # names and processes


def all_is_answered():
    """Those that were asked end, and well."""
    while ASKED:
        name, process = ASKED.pop()
        process.stdin.close()
        assert process.wait(timeout=60) == 0, f"{name} has ended with {process.returncode}"


@functools.cache
def answering(python, program, **environment):
    """A Python program that calls `answer`: what it loads, as TensorFlow, it loads once. It ends with this process."""
    log = tempfile.TemporaryFile("w+")
    process = subprocess.Popen([python, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environment})
    ASKED.append((pathlib.Path(program).name, process))
    return process, log


def ask(python, program, *question, **environment):
    """What `answer` of this program returns for this question, in one process for all questions of the same environment."""
    process, log = answering(python, program, **environment)
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(question, default=str), file=process.stdin, flush=True)
    patience = threading.Timer(600, process.kill)
    patience.start()
    answered = json.loads(process.stdout.readline() or '{"error": "it has ended, or was killed after ten minutes"}')
    patience.cancel()
    if "error" in answered:
        log.seek(0)
        raise AssertionError(f"{pathlib.Path(program).name} {question}: {answered['error']}\n{log.read()[-3000:]}")
    return answered["result"]


def answer(function):
    """Calls the function on each question on standard input; what it prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            found = {"result": function(*json.loads(line))}
        except Exception:
            found = {"error": traceback.format_exc()}
        print(json.dumps(found), file=answers, flush=True)


def temporary_directory():
    return tempfile.TemporaryDirectory(prefix="lockstep-judge-")


def running_with(text):
    """The command lines of processes that have `text` in their environment."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(text).encode() in (process / "environ").read_bytes():
                found[process.name] = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            pass  # another's, or it has just ended
    return found


def own_memory(text):
    """Bytes of the largest rank that has `text` in its environment: what no file stands behind."""
    most = 0
    for process, command in running_with(text).items():
        if "lockstep-rank" not in command:
            continue
        try:
            status = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in status)
        most = max(most, sum(int(fields.get(name, "0").split()[0]) * 1024 for name in ("RssAnon", "RssShmem")))
    return most


def most_own_memory(arguments, text):
    """Runs lockstep with `text` in its environment; the most that own_memory says meanwhile."""
    most = 0
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen([BIN / "lockstep", *map(str, arguments)], stdout=log, stderr=log,
                                                               env={**os.environ, "JUDGE": str(text)}) as process:
        while process.poll() is None:
            most = max(most, own_memory(text))
            time.sleep(0.1)
        log.seek(0)
        assert process.returncode == 0, log.read()
    return most


def wait_until_gone(text, seconds=30):
    """Until no process has `text` in its environment: what a killed launcher leaves ends by itself, and may write until then."""
    end = time.monotonic() + seconds
    while left := running_with(text):
        assert time.monotonic() < end, f"still there after {seconds} s: {left}"
        time.sleep(0.05)


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


UNITS = {"fp64": 2.0**-53, "fp32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8}  # the largest relative error of one rounding


def tolerance(precision="fp64", steps=1, optimizer="sgd", learning_rate=0.0, epsilon=1e-8, **_):
    """How far two right computations of the same numbers may lie apart, relative to their size, on any processor; for
    parameters, after `steps` steps of a job of these hyperparameters.

    They differ in the order of their sums. n roundings to u, of either sign, put a sum off by some √n·u of its terms (Higham
    and Mary 2019): no gradient here is a sum of much more than 4096 (samples × pixels or positions). Each step adds as much,
    as these jobs are too short for differences to feed on themselves. SGD moves a parameter by its gradient; Adam divides the
    gradient by its size + ε: where it is zero but for rounding, as that of the biases of attention's keys, the rounding moves
    the parameter lr/ε times as far. Eight is room for what is left out: several layers, several terms in a norm.
    """
    gain = max(1, learning_rate / epsilon) if optimizer in ("adam", "adamw", "lamb", "rmsprop", "adagrad") else 1
    bound = 8 * 4096**0.5 * UNITS[precision] * steps * gain
    lower = {"fp64": "fp32", "fp32": "fp16"}[precision]
    assert bound <= UNITS[lower] / 10, f"{bound:.3g}: this job is no test, {lower} would pass; give it fewer steps or a larger epsilon"
    return bound


def compare_outputs(found, expected):
    """Of one model, rows of class scores, float32 or float64: the same to rounding, and with them the predictions, but where
    the best two are that close. Returns how many are."""
    assert found.shape == expected.shape and found.dtype == expected.dtype, (found.shape, found.dtype, expected.shape, expected.dtype)
    most = tolerance({"float64": "fp64", "float32": "fp32"}[str(expected.dtype)])
    size = np.median(np.abs(expected))
    difference = np.max(np.abs(found - expected) / (np.abs(expected) + size))
    assert difference <= most, f"outputs differ by {difference:.3g}, at most {most:.3g} was expected"
    best = np.sort(expected, axis=-1)[..., -2:]
    close = best[..., 1] - best[..., 0] <= 2 * most * (np.abs(best[..., 1]) + size)
    assert (close | (found.argmax(-1) == expected.argmax(-1))).all(), "other predictions"
    return int(close.sum())


def hear_signals():
    """What a shell starts in the background ignores SIGINT and SIGQUIT, and so would all that is started from here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def main(*checks):
    hear_signals()
    for check in checks:
        start = time.monotonic()
        check()
        print(f"ok: {check.__name__}, {time.monotonic() - start:.1f} s", flush=True)
    all_is_answered()
