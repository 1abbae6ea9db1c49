"""The memory and the CPU time of a training step, forward, loss and backward, with each value of `recompute`: ResNet-50, and a GPT of GPT-2's
twelve layers, narrower and with a small vocabulary: GPT-2's logits take as much as its layers. Where there is time, GPT-2 too.

Then the same as a job of three steps: the most that its process holds, as its closing table says; and of that what comes on top of parameters,
gradients, momentum, and what a process with hardly a program holds."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import programs  # noqa: E402
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

# Name: program, samples.
PROGRAMS = {
    "resnet50": (programs.FULL["resnet50"], 8),
    "gpt": (programs.gpt2(length=256, width=384, heads=6, vocabulary=1024), 8),
    "gpt2": (programs.gpt2(length=512), 4),
}


def measured(path, samples, precision, steps):
    arguments = [BIN / "recompute_benchmark", path, str(samples), f"steps={steps}", *(["bf16"] if precision == "bf16" else [])]
    with started(arguments, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(process.returncode)
    return {mode: (int(peak), float(seconds)) for mode, peak, seconds in map(str.split, output.splitlines())}


def process_memory(directory, model, samples, precision, *flags):
    """Bytes that the rank of a job of three steps holds at most."""
    arguments = [BIN / "lockstep", "train", "--model", model, "--data", "synthetic", "--synthetic_samples", str(3 * samples), "--batch_size", str(samples),
                 "--epochs", "1", "--export", "none", "--device", "cpu", "--threads_per_rank", "1", "--precision", precision, "--model_dir",
                 directory / "model", "--output_dir", directory / "output", *flags]
    with started(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(output)
    lines = map(json.loads, (directory / "output" / "data" / "metrics.jsonl").read_text().splitlines())
    end, = (line for line in lines if line["event"] == "end")
    return float(end["job"]["memory"].split()[0]) * 2**20


def tensors(name, path, options):
    """Rows of the first table."""
    _, samples = PROGRAMS[name]
    found = measured(path, samples, options.precision, options.steps)
    memory, seconds = found["none"]
    return [{"program": name, "samples": samples, "recompute": mode, "bytes": peak, "seconds": time, "memory_ratio": peak / memory,
             "time_ratio": time / seconds} for mode, (peak, time) in found.items()]


def processes(name, path, options):
    """Rows of the second."""
    program, samples = PROGRAMS[name]
    directory = path.parent
    state = process_memory(directory, "mlp", 2, "fp32") + 3 * 4 * sum(parameter.numel() for parameter in program.build().parameters())
    found = {mode: process_memory(directory, path, samples, options.precision, "--recompute", mode) for mode in ("none", "auto", "all")}
    return [{"program": name, "samples": samples, "recompute": mode, "process_bytes": peak, "on_top": peak - state,
             "memory_ratio": (peak - state) / (found["none"] - state)} for mode, peak in found.items()]


def shown(row):
    """As a table has it."""
    mib = {"bytes": "MiB", "process_bytes": "process, MiB", "on_top": "on top, MiB"}
    ratios = {"memory_ratio": "÷ none", "time_ratio": "CPU s ÷ none"}
    return {mib.get(key) or ratios.get(key) or key: f"{value / 2**20:.0f}" if key in mib else f"{value:.2f}" if isinstance(value, float) else str(value)
            for key, value in row.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--only", choices=["tensors", "processes"], help="one of the two tables")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROGRAMS))
    options = parser.parse_args()
    for part in (tensors, processes):
        if options.only not in (None, part.__name__):
            continue
        rows = []
        with tempfile.TemporaryDirectory(prefix="lockstep-recompute-") as directory:
            for name in options.names or ("resnet50", "gpt"):
                path = pathlib.Path(directory) / "program.pt2"
                PROGRAMS[name][0].export(path)
                rows += part(name, path, options)
        print_table([shown(row) for row in rows])
        file = ROOT / "benchmarks" / "results" / f"recompute-{part.__name__}-{options.precision}.json"
        write_json(file, environment=environment("torch"), precision=options.precision, results=rows)


if __name__ == "__main__":
    with none_left():
        main()
