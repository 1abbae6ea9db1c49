"""The memory and the CPU time of a training step, forward, loss and backward, with each value of `recompute`: ResNet-50, and a GPT of GPT-2's
twelve layers, narrower and with a small vocabulary: GPT-2's logits take as much as its layers. Where there is time, GPT-2 too."""

import argparse
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
    "resnet50": (programs.FULL["resnet50"], 4),
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROGRAMS))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="lockstep-recompute-") as directory:
        for name in options.names or ("resnet50", "gpt"):
            program, samples = PROGRAMS[name]
            path = pathlib.Path(directory) / "program.pt2"
            program.export(path)
            found = measured(path, samples, options.precision, options.steps)
            memory, seconds = found["none"]
            for mode, (peak, time) in found.items():
                rows.append({"program": name, "samples": samples, "precision": options.precision, "recompute": mode, "bytes": peak,
                             "seconds": time, "memory_ratio": peak / memory, "time_ratio": time / seconds})
    print_table([{"program": row["program"], "samples": str(row["samples"]), "recompute": row["recompute"], "MiB": f"{row['bytes'] / 2**20:.0f}",
                  "÷ none": f"{row['memory_ratio']:.2f}", "CPU s": f"{row['seconds']:.3f}", "CPU s ÷ none": f"{row['time_ratio']:.2f}"} for row in rows])
    write_json(ROOT / "benchmarks" / "results" / f"recompute-{options.precision}.json", environment=environment("torch"), steps=rows)


if __name__ == "__main__":
    with none_left():
        main()
