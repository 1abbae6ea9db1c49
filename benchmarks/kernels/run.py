"""Lockstep's kernels on the CPU beside torch's own: one case after another, each contender in turn, 2 threads."""

import argparse
import importlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

THREADS = 2
PEERS = {}  # benchmark → contender → what makes the function to time
for module in sorted((HERE / "peers").glob("*.py")):
    PEERS.update(importlib.import_module(f"peers.{module.stem}").PEERS)


def flat_out(function, seconds):
    """The median time of a call, after two that do not count."""
    for _ in range(2):
        function()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def lockstep(name, seconds):
    """Seconds of one run, and the bytes it must move."""
    output = subprocess.run([BIN / "kernels_benchmark", "--benchmark_format=json", f"--benchmark_min_time={seconds}",
                             f"--benchmark_filter=^{name}/real_time$"], check=True, stdout=subprocess.PIPE,
                            env={**os.environ, "OMP_NUM_THREADS": str(THREADS)}).stdout
    found = json.loads(output)["benchmarks"]
    assert len(found) == 1, f"{name}: {len(found)} benchmarks"
    assert found[0]["time_unit"] == "ns", found[0]
    run = found[0]["real_time"] * 1e-9
    return run, found[0]["bytes_per_second"] * run


def copy_bandwidth(seconds):
    """Bytes a second of a copy far larger than the caches: read once, written once."""
    source = torch.ones(64 << 20)
    target = torch.empty_like(source)
    return 2 * source.nbytes / flat_out(lambda: target.copy_(source), seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring each contender, each time")
    parser.add_argument("--filter", default="", help="a regular expression that benchmarks' names must contain")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "kernels.json")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    copy = copy_bandwidth(options.seconds)
    table, results = [], []
    for name, contenders in PEERS.items():
        if not re.search(options.filter, name):
            continue
        calls = {contender: make() for contender, make in contenders.items()}
        seconds = {"lockstep": [], **{contender: [] for contender in calls}}
        for _ in range(options.repeats):
            run, moved = lockstep(name, options.seconds)
            seconds["lockstep"].append(run)
            for contender, call in calls.items():
                seconds[contender].append(flat_out(call, options.seconds))
        ours = statistics.median(seconds["lockstep"])
        for contender, times in seconds.items():
            median = statistics.median(times)
            results.append({"benchmark": name, "contender": contender, "bytes": moved, "seconds": times})
            table.append({"benchmark": name, "contender": contender, "ms": f"{median * 1e3:.3f}",
                          "min–max": f"{min(times) * 1e3:.3f}–{max(times) * 1e3:.3f}", "GB/s": f"{moved / median / 1e9:.1f}",
                          "of copy": f"{moved / median / copy:.2f}", "its time ÷ lockstep's": f"{median / ours:.2f}"})
    print_table(table)
    print(f"a copy moves {copy / 1e9:.1f} GB/s")
    write_json(options.output, environment=environment("torch"), threads=THREADS, copy_bytes_per_second=copy, results=results)


main()
