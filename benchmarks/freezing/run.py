"""How much faster steps get where the backbone is frozen and a new head is trained: the built-in resnet18, Lockstep and PyTorch's
DistributedDataParallel with requires_grad = False, one rank of one thread, float32, SGD with momentum, on the same program, weights and samples.

CPU seconds of a step, so that other work on the machine counts little: those of a run less those of one that ends with its first step. Contenders take
turns."""

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from children import none_left, started  # noqa: E402
from report import BIN, KEEP_MEMORY, ROOT, environment, print_table, write_json  # noqa: E402

CLASSES = 10
BACKBONE = ["conv1.", "bn1.", "layer"]  # how the names of all parameters but the head's begin
TOLERANCE = 1e-3                        # between the second steps' losses of Lockstep and PyTorch; then rounding drives them apart


def output_of(command, **options):
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        output, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{output}{errors}")
    return output


def lockstep(directory, batch, samples, frozen):
    """The loss of the second step, where there is one."""
    shutil.rmtree(directory / "output", ignore_errors=True)
    output_of([BIN / "lockstep", "train", "--model", directory / "program.pt2", "--channel", f"train={directory / 'train'}", "--model_dir", directory / "model",
               "--output_dir", directory / "output", "--export", "none", "--device", "cpu", "--ranks_per_host", "1", "--threads_per_rank", "1",
               "--batch_size", str(batch), "--max_steps", str(samples // batch), "--learning_rate", "0.01", "--momentum", "0.9", "--shuffle", "false",
               "--log_every", "1e-9", *(["--freeze", ",".join(f"{begin}*" for begin in BACKBONE)] if frozen else [])])
    lines = [json.loads(line) for line in (directory / "output" / "data" / "metrics.jsonl").read_text().splitlines()]
    return next((line["train_loss"] for line in lines if line["event"] == "progress"), None)


def pytorch(directory, batch, samples, frozen):
    return float(output_of([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1", HERE / "torch_ddp.py",
                            directory / "program.pt2", directory / "train", str(batch), str(samples), *(BACKBONE if frozen else [])],
                           env={**os.environ, **KEEP_MEMORY}))


CONTENDERS = {(name, frozen): run for name, run in (("lockstep", lockstep), ("pytorch", pytorch)) for frozen in (False, True)}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(run, directory, batch, steps, frozen):
    """CPU seconds of a step, and the second step's loss."""
    begin = cpu_seconds()
    run(directory, batch, batch, frozen)
    one = cpu_seconds()
    loss = run(directory, batch, steps * batch, frozen)
    return (cpu_seconds() - one - (one - begin)) / (steps - 1), loss


def prepare(directory, samples, size):
    output_of([BIN / "lockstep", "model", "resnet18", "-o", directory / "program.pt2", "--input_shape", f"3,{size},{size}", "--classes", str(CLASSES)])
    (directory / "train").mkdir()
    generator = np.random.default_rng(1)
    np.save(directory / "train" / "x.npy", generator.standard_normal((samples, 3, size, size), np.float32))
    np.save(directory / "train" / "y.npy", generator.integers(0, CLASSES, samples))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="samples of a step")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--size", type=int, default=112, help="rows and columns of an image")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    runs = {contender: [] for contender in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="lockstep-freezing-") as name:
        directory = pathlib.Path(name)
        prepare(directory, options.batch * options.steps, options.size)
        for _ in range(options.repeats):
            losses = {}
            for (contender, frozen), run in CONTENDERS.items():
                seconds, loss = measured(run, directory, options.batch, options.steps, frozen)
                runs[contender, frozen].append(seconds)
                losses[contender, frozen] = loss
                print(f"{contender}, frozen {frozen}: {seconds:.3f} CPU s a step, second loss {loss:.6f}", file=sys.stderr, flush=True)
            for frozen in (False, True):
                ours, theirs = losses["lockstep", frozen], losses["pytorch", frozen]
                if not abs(ours - theirs) <= TOLERANCE * theirs:
                    sys.exit(f"frozen {frozen}: the second losses are {ours} and {theirs}: the contenders do not train the same thing")
    median = {contender: statistics.median(seconds) for contender, seconds in runs.items()}
    rows = [{"contender": name, "frozen": frozen, "cpu_seconds_per_step": seconds, "median": median[name, frozen],
             "trained_to_it": median[name, False] / median[name, frozen], "pytorch_to_it": median["pytorch", frozen] / median[name, frozen]}
            for (name, frozen), seconds in runs.items()]
    print_table([{"contender": row["contender"], "backbone": "frozen" if row["frozen"] else "trained", "CPU s a step": f"{row['median']:.3f}",
                  "trained ÷ it": f"{row['trained_to_it']:.2f}", "PyTorch ÷ it": f"{row['pytorch_to_it']:.2f}"} for row in rows])
    write_json(ROOT / "benchmarks" / "results" / "freezing.json", environment=environment("torch"), threads=1, batch=options.batch,
               steps=options.steps, size=options.size, results=rows)


if __name__ == "__main__":
    with none_left():
        main()
