"""What 1 to 64 ranks on this host spend on agreeing: a barrier, the comparison of 125 values, as of hyperparameters at a job's start, and "all ok" after a
phase. A power of the number of ranks, seconds = a × ranks^b, is fitted by least squares of the logarithms: more ranks than cores take
turns, so that neither a line nor a logarithm fits."""

import argparse
import math
import pathlib
import statistics
import subprocess
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import none_left, started  # noqa: E402
from report import BIN, MPIRUN, ROOT, environment, print_table, write_json  # noqa: E402

RANKS = (1, 2, 4, 8, 16, 32, 64)


def measure(ranks, calls):
    with started([*MPIRUN, "-np", str(ranks), BIN / "agreement_benchmark", str(calls)], stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(process.returncode)
    return {name: float(seconds) for name, seconds in (line.split("\t") for line in output.splitlines())}


def fitted(seconds):
    """(a, b) of a × ranks^b, from two ranks on: one asks nobody."""
    ranks = RANKS[1:]
    b, log_a = np.polyfit(np.log(ranks), np.log([seconds[n] for n in ranks]), 1)
    return math.exp(log_a), float(b)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "agreement.json")
    options = parser.parse_args()
    runs = {ranks: [measure(ranks, options.calls) for _ in range(options.repeats)] for ranks in RANKS}
    seconds = {name: {ranks: statistics.median(run[name] for run in runs[ranks]) for ranks in RANKS} for name in runs[1][0]}
    fits = {name: fitted(times) for name, times in seconds.items()}
    print_table([{"milliseconds": name, **{f"{ranks} ranks": f"{times[ranks] * 1e3:.3f}" for ranks in RANKS},
                  "fitted": f"{fits[name][0] * 1e3:.4f} × ranks^{fits[name][1]:.2f}"} for name, times in seconds.items()])
    write_json(options.output, environment=environment(), seconds=seconds, fitted=fits)


with none_left():
    main()
