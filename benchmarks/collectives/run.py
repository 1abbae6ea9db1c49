"""All-reduce of float32 between 2 ranks on this host: Lockstep's MpiCommunicator beside torch.distributed over gloo."""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

SIZES = [4 << 10 << 2 * i for i in range(8)]  # 4 KiB to 64 MiB
CALLS = [f"{size}:{min(2000, max(20, (512 << 20) // size))}" for size in SIZES]
# The options are those that `lockstep train` starts its ranks with (`lockstep plan` shows them).
MPIRUN = ["mpirun", "-np", "2", "--allow-run-as-root", "--bind-to", "none", "--map-by", "slot:OVERSUBSCRIBE",
          "--mca", "pml", "ob1", "--mca", "btl", "self,vader", "--mca", "mpi_yield_when_idle", "1"]
COMMANDS = {
    "lockstep": [*MPIRUN, BIN / "all_reduce_benchmark", *CALLS],
    "gloo": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
             pathlib.Path(__file__).with_name("all_reduce_gloo.py"), *CALLS],
}


def measure(command):
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1"}).stdout
    return {int(size): float(seconds) for size, seconds in map(str.split, output.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "all_reduce.json")
    options = parser.parse_args()
    runs = {name: [] for name in COMMANDS}
    for _ in range(options.repeats):
        for name, command in COMMANDS.items():
            runs[name].append(measure(command))
    seconds = {name: {size: [run[size] for run in repeats] for size in SIZES} for name, repeats in runs.items()}
    table = []
    for size in SIZES:
        ours, theirs = (statistics.median(seconds[name][size]) for name in ("lockstep", "gloo"))
        table.append({"KiB": f"{size >> 10:,}", "lockstep, ms": f"{ours * 1e3:.3f}", "gloo, ms": f"{theirs * 1e3:.3f}",
                      "lockstep, GB/s": f"{size / ours / 1e9:.2f}", "gloo, GB/s": f"{size / theirs / 1e9:.2f}",
                      "gloo's time ÷ lockstep's": f"{theirs / ours:.2f}"})
    print_table(table)
    write_json(options.output, environment=environment("torch"), ranks=2, seconds=seconds)


main()
