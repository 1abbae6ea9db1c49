"""Trains the same thing with Lockstep and its peers, and compares speed, time to the first step, memory and losses.

Each contender trains the built-in cnn on Fashion-MNIST with 2 ranks of one thread: the same initial weights, samples in
the same order, SGD with momentum, float32. Contenders take turns, so that a slow minute of the machine meets them all.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

import numpy as np

import task

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, peak_mib, started  # noqa: E402
from report import BIN, KEEP_MEMORY, ROOT, environment, print_table, write_json  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
MODELS = {"cnn": ["--model_norm", "none"], "cnn-batchnorm": ["--model_norm", "batch"]}
WARM_UP = 0.2             # of the steps
COMPARED = (1, 10, 50)    # steps whose losses are compared
TOLERANCE = 1e-3          # at step 1; then rounding drives them apart, batch norm in channels-last float32 most
TIME_LIMIT = 900          # seconds of one contender's run


@dataclass
class Job:
    directory: pathlib.Path
    model: str
    micro_batch: int
    steps: int

    @property
    def batch(self):
        return task.RANKS * self.micro_batch

    def path(self, name):
        return self.directory / name


def lockstep(*flags):
    return lambda job: [
        BIN / "lockstep", "train", "--model", job.path(job.model + ".pt2"), "--channel", f"train={job.path('train')}",
        "--model_dir", job.path("model"), "--output_dir", job.path("output"), "--export", "none",
        "--ranks_per_host", task.RANKS, "--threads_per_rank", 1, "--batch_size", job.batch, "--max_steps", job.steps,
        "--optimizer", "sgd", "--learning_rate", task.LEARNING_RATE, "--momentum", task.MOMENTUM, "--shuffle", "false",
        "--log_every", 1e-9, *flags]


def peer(script, *launcher):
    return lambda job: [
        "env", *(f"{name}={value}" for name, value in KEEP_MEMORY.items()), sys.executable, *launcher, HERE / script,
        "--weights", job.path(job.model + ".npz"),
        "--data", job.path("train"), "--micro_batch", job.micro_batch, "--steps", job.steps]


CONTENDERS = {
    "lockstep": lockstep("--passes", "channels_last"),  # the operators in the order that the peers have them
    "pytorch": peer("torch_ddp.py", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", task.RANKS),
    "tensorflow": peer("tensorflow_mwms.py"),
    "lockstep, all passes": lockstep(),
}


def lockstep_losses(metrics):
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    losses = {line["step"]: line["train_loss"] for line in lines if line["event"] == "progress"}
    if 1 not in losses:  # it opens the clock and is not printed; the mean of the epoch's equal steps has it
        epoch = next(line for line in lines if line["event"] == "epoch")
        losses[1] = epoch["train_loss"] * epoch["step"] - sum(losses.values())
    return losses


def measure(command, job):
    """Runs one contender; it prints a line `step N … loss X` for the first step and every tenth, or more."""
    shutil.rmtree(job.path("output"), ignore_errors=True)
    start, times, losses, peak, ended = time.monotonic(), {}, {}, [0.0], threading.Event()
    with open(job.path("errors"), "w+") as errors, started(
            command, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}) as process:

        def watch():
            while not ended.wait(0.2):
                peak[0] = max(peak[0], peak_mib(process))
                if time.monotonic() - start > TIME_LIMIT:
                    os.killpg(process.pid, signal.SIGKILL)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for line in process.stdout:
                if found := re.search(r"\bstep (\d+)\S*\s+loss (\S+)", line):
                    times[int(found.group(1))] = time.monotonic() - start
                    losses[int(found.group(1))] = float(found.group(2))
        finally:
            ended.set()
            watcher.join()
        code = process.wait()
        errors.seek(0)
        if code != 0 or job.steps not in times:
            raise SystemExit(f"{' '.join(map(str, command))}\nended with {code} after step {max(times, default=0)}:\n"
                             f"{errors.read()[-3000:]}")
    if job.path("output").exists():  # Lockstep's own record has all digits of the losses
        losses = lockstep_losses(job.path("output") / "data" / "metrics.jsonl")
    warm = min(step for step in times if step >= WARM_UP * job.steps and step % task.REPORT_EVERY == 0)
    return {"samples_per_second": (job.steps - warm) * job.batch / (times[job.steps] - times[warm]),
            "first_step_seconds": min(times.values()), "peak_mib": peak[0],
            "losses": {step: losses[step] for step in COMPARED if step <= job.steps}}


def prepare(directory, models):
    """The data's channel, and each model's initial weights as Lockstep's program and as arrays."""
    import torch

    (directory / "train").mkdir()
    for file in FASHION_MNIST.glob("train-*"):
        shutil.copy(file, directory / "train")
    for model in models:
        program = directory / f"{model}.pt2"
        subprocess.run([BIN / "lockstep", "model", "cnn", "-o", program, "--input_shape", "1,28,28", "--classes", "10",
                        "--model_dropout", "0", *MODELS[model]], check=True, stdout=subprocess.DEVNULL)
        state = torch.export.load(program).state_dict
        np.savez(directory / f"{model}.npz", **{name: tensor.detach().numpy() for name, tensor in state.items()})


def loss_differences(runs):
    """The largest relative difference of any two contenders, by step."""
    losses = [repeats[0]["losses"] for repeats in runs.values()]
    spread = {step: [each[step] for each in losses] for step in losses[0]}
    return {step: (max(values) - min(values)) / min(values) for step, values in spread.items()}


def compare(job, contenders, repeats):
    runs = {name: [] for name in contenders}
    for repeat in range(repeats):
        for name, command in contenders.items():
            run = measure(command(job), job)
            runs[name].append(run)
            print(f"{job.model}, micro-batch {job.micro_batch}, {name}, {repeat + 1} of {repeats}: "
                  f"{run['samples_per_second']:.0f} samples/s, first step after {run['first_step_seconds']:.1f} s, "
                  f"{run['peak_mib']:.0f} MiB", file=sys.stderr, flush=True)
    return {"model": job.model, "micro_batch": job.micro_batch, "steps": job.steps, "runs": runs,
            "loss_differences": loss_differences(runs)}


def rows(result):
    def median(name, key):
        return statistics.median(run[key] for run in result["runs"][name])

    first = next(iter(result["runs"]))
    for name, runs in result["runs"].items():
        rates = [run["samples_per_second"] for run in runs]
        rate = median(name, "samples_per_second")
        yield {"model": result["model"], "micro-batch": str(result["micro_batch"]), "contender": name,
               "samples/s": f"{rate:,.0f}", "min–max": f"{min(rates):,.0f}–{max(rates):,.0f}",
               f"{first} ÷ it": f"{median(first, 'samples_per_second') / rate:.2f}",
               "first step, s": f"{median(name, 'first_step_seconds'):.1f}",
               "peak per rank, MiB": f"{median(name, 'peak_mib'):.0f}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--micro-batches", nargs="+", type=int, default=[16, 64, 256],
                        help="samples of a rank in a step")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS),
                        help="the first is compared with each")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FLAGS",
                        help="one more contender: lockstep with these flags")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=60000, help="that one run trains on, at most 60000")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "training.json")
    parser.add_argument("--quick", action="store_true", help="only tries everything out; writes no file")
    options = parser.parse_args()
    if options.quick:
        options.micro_batches, options.repeats, options.samples = [16], 1, 1600

    contenders = {name: CONTENDERS[name] for name in options.contenders}
    for name, _, flags in (variant.partition("=") for variant in options.variant):
        contenders[name] = lockstep(*flags.split())
    with tempfile.TemporaryDirectory(prefix="lockstep-benchmark-") as name:
        directory = pathlib.Path(name)
        prepare(directory, options.models)
        results = []
        for model in options.models:
            for micro_batch in options.micro_batches:
                steps = options.samples // (task.RANKS * micro_batch) // task.REPORT_EVERY * task.REPORT_EVERY
                results.append(compare(Job(directory, model, micro_batch, steps), contenders, options.repeats))
    print_table([row for result in results for row in rows(result)])
    print("\nLargest relative difference of training losses between contenders:")
    print_table([{"model": result["model"], "micro-batch": str(result["micro_batch"]),
                  **{f"step {step}": f"{result['loss_differences'][step]:.1e}" if step <= result["steps"] else "–"
                     for step in COMPARED}} for result in results])
    if not options.quick:
        write_json(options.output, environment=environment("torch", "tensorflow-cpu", "numpy"),
                   ranks=task.RANKS, threads_per_rank=1, results=results)
    for result in results:
        difference = result["loss_differences"][1]
        if not difference <= TOLERANCE:
            raise SystemExit(f"{result['model']}, micro-batch {result['micro_batch']}: step 1's losses differ by "
                             f"{difference:.1e}, more than {TOLERANCE}: the contenders do not train the same thing")


with none_left():
    main()
