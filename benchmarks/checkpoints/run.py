"""What checkpoints and shared-out optimizers cost, beside their bounds:

- saving: by how much the steps from a save's beginning to its end were longer than as many median steps of the same run of the demo's job, as a share of the
  20 s between two saves; the step after a save, in median steps; and the job's samples/s in turns with none, which scatter by more than a save costs;
- stall: how long training stands still for a copy of its state, in times that a memcpy of as many bytes takes;
- resume: going on from a checkpoint, in times that reading its files takes, from the system's memory and from the disk;
- sharding: what a rank of four holds of the optimizer's state, of what it holds without shard_optimizer."""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
DEMO = json.loads((ROOT / "examples" / "fashion-mnist" / "job.json").read_text())
RANKS = 4  # of the one that shares out
# The demo's job; how fast it runs, and then not what it learns.
LEFT_OUT = ("job_name", "channels", "model_dir", "output_dir", "epochs", "schedule", "warmup_steps", "monitor")
JOB = {name: value for name, value in DEMO.items() if name not in LEFT_OUT}


def run(directory, **options):
    """The job's output and the lines of its metrics.jsonl."""
    shutil.rmtree(directory / "output", ignore_errors=True)
    shutil.rmtree(directory / "checkpoints", ignore_errors=True)
    paths = {"model_dir": directory / "model", "output_dir": directory / "output", "export": "none", "device": "cpu"}
    command = [BIN / "lockstep", "train"]
    for name, value in (paths | options).items():
        command += [f"--{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{output}")
    return output, [json.loads(line) for line in (directory / "output" / "data" / "metrics.jsonl").read_text().splitlines()]


def trained(directory, steps, every):
    """Samples/s over all steps but the first; by how much each step after a save was longer than the median; and, in seconds, what each save cost."""
    saves = {"checkpoint_dir": directory / "checkpoints", "checkpoint_every": every} if every else {}
    output, lines = run(directory, channel=f"train={directory / 'train'}", max_steps=steps, log_every=1e-9, reports="[]", **JOB, **saves)
    times = {line["step"]: line["seconds"] for line in lines if line["event"] == "progress"}
    step_seconds = {step: times[step] - times[step - 1] for step in times if step - 1 in times}
    median = statistics.median(step_seconds.values())
    saves_told = re.findall(r"checkpoint \S*/step-(\d+), written in ([\d.]+) s beside training", output)
    saved, written = [int(step) for step, _ in saves_told], [float(seconds) for _, seconds in saves_told]
    if every and not saved:
        sys.exit(f"nothing was saved beside training: more steps, or a shorter time than {every}\n{output}")
    after = [step_seconds[step + 1] / median for step in saved if step + 1 in step_seconds]
    lost = []
    for step, seconds in zip(saved, written):
        around = [step_seconds[near] for near in range(step, step + 2 + int(seconds / median)) if near in step_seconds]
        lost.append(sum(around) - median * len(around))
    return (max(times) - min(times)) * JOB["batch_size"] / (times[max(times)] - times[min(times)]), after, lost


def saving(directory, options):
    (directory / "train").mkdir()
    for file in FASHION_MNIST.glob("train-*"):
        shutil.copy(file, directory / "train")
    rates, after, lost = {"none": [], "saving": []}, [], []
    for _ in range(options.repeats):
        for name in rates:
            rate, longer, seconds = trained(directory, options.steps, options.every if name == "saving" else None)
            rates[name].append(rate)
            after += longer
            lost += seconds
            print(f"{name}: {rate:.0f} samples/s", file=sys.stderr, flush=True)
    cost = statistics.median(lost) / float(options.every.removesuffix("s"))
    return [{"what": f"saving every {options.every}: time lost, %", "measured": 100 * cost, "bound": 3, "seconds_of_saves": lost, "samples_per_second": rates},
            {"what": "the step after a save ÷ the median step", "measured": statistics.median(after), "bound": 1.2, "all": after}]


def stall_and_resume(directory, options):
    command = [BIN / "checkpoint_benchmark", str(options.mib), directory / "state", str(options.repeats)]
    with started(command, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(process.returncode)
    names = {"stall": ("stall for a copy ÷ memcpy", 1.5), "resume": ("resume ÷ reading, from memory", 2), "cold": ("resume ÷ reading, from disk", 2)}
    for name, size, *times in map(str.split, output.splitlines()):
        ours, plain, ours_cpu, plain_cpu = map(float, times)
        what, bound = names[name]
        what += f", {int(size) / 2**20:,.0f} MiB"
        yield {"what": what, "measured": ours / plain, "bound": bound, "seconds": ours, "plain_seconds": plain}
        yield {"what": what + ", CPU time", "measured": ours_cpu / plain_cpu, "bound": bound, "seconds": ours_cpu, "plain_seconds": plain_cpu}


def sharding(directory, options):
    def optimizer(shard):
        _, lines = run(directory, data="synthetic", synthetic_samples=2 * RANKS, batch_size=RANKS, epochs=1, model="mlp", model_hidden=1024,
                       optimizer="adamw", learning_rate=1e-3, ranks_per_host=RANKS, threads_per_rank=1, shard_optimizer=shard, reports="[]")
        return lines[0]["memory"]["optimizer"]

    whole, share = optimizer(False), optimizer(True)
    return [{"what": f"optimizer's bytes on a rank of {RANKS} with shard_optimizer ÷ without", "measured": share / whole,
             "bound": 1.01 / RANKS, "bytes": share, "bytes_without": whole}]


PARTS = (saving, stall_and_resume, sharding)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=[part.__name__ for part in PARTS])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1400, help="of a run of the demo's job: more than a minute")
    parser.add_argument("--every", default="20s", help="between two checkpoints")
    parser.add_argument("--mib", type=int, default=1024, help="of the state that is copied and read")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "checkpoints.json")
    parser.add_argument("--quick", action="store_true", help="only tries everything out; writes no file")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps, options.every, options.mib = 1, 40, "0.5s", 64
    results = []
    for part in filter(lambda part: part.__name__ in options.parts, PARTS):
        with tempfile.TemporaryDirectory(prefix="lockstep-checkpoints-") as directory:
            results += part(pathlib.Path(directory), options)
    print_table([{"what": row["what"], "measured": f"{row['measured']:.2f}", "bound": f"{row['bound']:.2f}",
                  "within": "yes" if row["measured"] <= row["bound"] else "NO"} for row in results])
    if not options.quick:
        write_json(options.output, environment=environment(), repeats=options.repeats, results=results)


if __name__ == "__main__":
    with none_left():
        main()
