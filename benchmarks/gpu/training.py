"""Training steps per second of ResNet-50, GPT-2 124M and a small MLP: Lockstep beside PyTorch, on one device.

Lockstep trains on synthetic samples that its loader copies to the device; PyTorch on one batch that is already there, with
autocast, channels last for images, fused optimizers, TF32, as it comes and compiled. Contenders take turns, each a process of its own.
A figure is the median of all windows of all turns, after a warm-up. A contender that fails, or whose turn is over, has none.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import task

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, gpu, print_table, write_json  # noqa: E402

PEER = pathlib.Path(__file__).resolve().parent / "torch_peer.py"
ENDLESS = 1 << 40
POLL = 0.05  # seconds
TAIL = 3000  # characters that are shown of what failed


class Failed(Exception):
    """A turn gave no figure."""


class Lockstep:
    """Rates come from its own progress lines, one a window. It trains without end, until there are enough of them."""

    def __init__(self, options):
        self.options = options

    def turn(self, name, job, directory, seconds):
        options, output = self.options, directory / "output"
        shutil.rmtree(output, ignore_errors=True)
        command = [options.bin / "lockstep", "train", "--model", options.programs / task.program_file(name, options),
                   "--data", "synthetic", "--synthetic_samples", ENDLESS, "--shuffle", "false", "--export", "none",
                   "--model_dir", directory / "model", "--output_dir", output, "--device", options.device,
                   "--precision", job.precision, "--batch_size", job.batch, "--log_every", options.seconds,
                   "--ranks_per_host", 1, "--threads_per_rank", options.threads, "--loader_threads", options.loader_threads]
        if options.device == "cuda":
            command += ["--tf32", "true"]  # as the peer may
        for hyperparameter, value in job.optimizer.items():
            command += [f"--{hyperparameter}", value]
        with open(directory / "log", "w+", errors="replace") as log:
            try:
                with started(command, stdout=log, stderr=log) as process:
                    lines = self.progress(process, output / "data" / "metrics.jsonl", seconds)
            except Failed as error:
                log.seek(0)
                raise Failed(f"{error}\n{' '.join(map(str, command))}\n{log.read()[-TAIL:]}")
        return {"mode": "", "windows": [line["samples_per_second"] for line in lines],
                "loss": float(lines[-1]["train_loss"])}

    def progress(self, process, metrics, seconds):
        """The lines of the windows, without the first, in which the machine warms up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Failed(f"ended with {process.returncode}")
            whole = metrics.read_text().rpartition("\n")[0].splitlines() if metrics.exists() else []
            lines = [line for line in map(json.loads, whole) if line["event"] == "progress"][1:]
            if len(lines) >= self.options.windows:
                return lines[:self.options.windows]
            time.sleep(POLL)
        raise Failed(f"no result within {seconds:.0f} s")


class PyTorch:
    def __init__(self, options, mode):
        self.options, self.mode = options, mode

    def turn(self, name, job, directory, seconds):
        options = self.options
        command = [sys.executable, PEER, "--model", name, "--device", options.device, "--mode", self.mode,
                   "--windows", options.windows, "--seconds", options.seconds, "--gpt2_batch", options.gpt2_batch,
                   *(["--small"] if options.small else [])]
        threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
        with started(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise Failed(f"no result within {seconds:.0f} s\n{' '.join(map(str, command))}")
        if process.returncode != 0:
            raise Failed(f"ended with {process.returncode}\n{' '.join(map(str, command))}")
        return json.loads(output.splitlines()[-1])


def contenders(options):
    everyone = {"lockstep": Lockstep(options), "pytorch": PyTorch(options, "eager")}
    if options.compile:
        everyone["pytorch, compiled"] = PyTorch(options, options.compile)
    return everyone


def make_program(name, job, options):
    """Where it is missing: of its graph, or exported."""
    options.programs.mkdir(parents=True, exist_ok=True)
    file = task.program_file(name, options)
    if (options.programs / file).exists():
        return
    if options.graphs:
        job.program.complete(options.graphs / file, options.programs / file)
    else:
        job.program.export(options.programs / file)


def compare(name, job, options, directory, failed):
    """Adds to `failed` whoever gave no figure. One that fails does not take the others along, and has no other turn."""
    deadline = time.monotonic() + options.limit
    make_program(name, job, options)
    turns = {contender: [] for contender in contenders(options)}
    for repeat in range(options.repeats):
        for contender, who in contenders(options).items():
            if contender not in turns:
                continue
            try:
                left = (options.repeats - repeat) * len(turns) - sum(len(each) > repeat for each in turns.values())
                turn = who.turn(name, job, directory, max(1, (deadline - time.monotonic()) / left))
            except Failed as error:
                print(f"{name}, {contender}: {error}", file=sys.stderr, flush=True)
                failed.append(f"{name}, {contender}: {str(error).splitlines()[0]}")
                del turns[contender]
                continue
            turns[contender].append(turn)
            rate = statistics.median(turn["windows"]) * job.per_sample
            print(f"{name}, {contender} {turn['mode']}, {repeat + 1} of {options.repeats}: {rate:,.0f} {job.unit}/s, "
                  f"loss {turn['loss']:.4f}", file=sys.stderr, flush=True)
    for contender, runs in turns.items():
        windows = [rate * job.per_sample for turn in runs for rate in turn["windows"]]
        yield {"model": name, "contender": contender, "mode": runs[-1]["mode"], "precision": job.precision, "batch": job.batch,
               "sizes": job.program.sizes, "input": job.program.input, "optimizer": job.optimizer["optimizer"],
               "unit": f"{job.unit}/s", "rate": statistics.median(windows), "windows": windows, "loss": runs[-1]["loss"]}


def table(results):
    lockstep = {result["model"]: result["rate"] for result in results if result["contender"] == "lockstep"}

    def ratio(result):
        return f"{lockstep[result['model']] / result['rate']:.2f}" if result["model"] in lockstep else "–"

    return [{"model": result["model"], "batch": str(result["batch"]), "precision": result["precision"],
             "contender": result["contender"], "mode": result["mode"], "rate": f"{result['rate']:,.0f} {result['unit']}",
             "min–max": f"{min(result['windows']):,.0f}–{max(result['windows']):,.0f}",
             "lockstep ÷ it": ratio(result), "loss": f"{result['loss']:.4f}"}
            for result in results]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task.add_arguments(parser)
    parser.add_argument("--bin", type=pathlib.Path, default=BIN, help="folder of lockstep and lockstep-rank")
    parser.add_argument("--programs", type=pathlib.Path,
                        help="folder of the exported programs; what is missing is exported into it")
    parser.add_argument("--graphs", type=pathlib.Path, help="folder that task.py wrote; of its graphs the missing programs are made")
    parser.add_argument("--models", nargs="+", choices=list(task.programs.FULL), default=list(task.programs.FULL))
    parser.add_argument("--compile", choices=("default", "reduce-overhead", "max-autotune", "none"),
                        help="torch.compile's mode; max-autotune, on a CPU none")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each contender")
    parser.add_argument("--windows", type=int, default=5, help="measured in each turn")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a window, at least")
    parser.add_argument("--limit", type=float, default=3600, help="seconds of a model, at most: a turn has its share of what is left")
    parser.add_argument("--loader_threads", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="compute threads of a contender; 0: its own choice")
    parser.add_argument("--output", type=pathlib.Path, help="JSON; benchmarks/results/gpu_training.json, with --small none")
    options = parser.parse_args()
    options.compile = options.compile or ("none" if options.device == "cpu" else "max-autotune")
    options.compile = None if options.compile == "none" else options.compile
    if not options.small and options.output is None:
        options.output = ROOT / "benchmarks" / "results" / "gpu_training.json"
    jobs = {name: job for name, job in task.jobs(options).items() if name in options.models}
    about = environment("torch") | ({"card": "none: on the CPU"} if options.device == "cpu" else gpu())
    results, failed = [], []
    with tempfile.TemporaryDirectory(prefix="lockstep-benchmark-") as name:
        directory = pathlib.Path(name)
        options.programs = options.programs or directory
        for model, job in jobs.items():
            results += compare(model, job, options, directory, failed)
            if options.output and results:
                write_json(options.output, environment=about, results=results)
    if results:
        print_table(table(results))
    failed += [f"{result['model']}, {result['contender']}: the loss is not finite" for result in results
               if not math.isfinite(result["loss"])]
    if failed:
        raise SystemExit("; ".join(failed))


with none_left():
    main()
