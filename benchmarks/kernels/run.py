"""Lockstep's kernels beside torch's own. On the CPU one case after another, each contender in turn, 2 threads; on a GPU all of one
contender, larger cases, the median of launches between two events each, that take turns at more arguments than its cache holds."""

import argparse
import importlib
import itertools
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
from children import none_left, started  # noqa: E402
from report import BIN, ROOT, environment, gpu, print_table, write_json  # noqa: E402

THREADS = 2
CACHES, MOST_SETS, WARM_UP, LAUNCHES = 8, 32, 10, 50  # as GpuCases.cpp has them


class Cpu:
    name = "cpu"

    def __init__(self, options):
        self.options = options
        torch.set_num_threads(THREADS)

    def median_seconds(self, make, _):
        """Of a call, after two that do not count."""
        call = make()
        for _ in range(2):
            call()
        times, end = [], time.perf_counter() + self.options.seconds
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def contenders(self, makes):
        return makes

    def lockstep(self, name):
        return lockstep(f"--benchmark_min_time={self.options.seconds}", f"--benchmark_filter=^{name}/real_time$")[name]

    def copy_seconds(self):
        return self.median_seconds(copies(64 << 20)[0], None)

    def about(self):
        return {"threads": THREADS}


class Gpu:
    name = "cuda"

    def __init__(self, options):
        torch.set_default_device("cuda")
        torch.backends.cuda.matmul.allow_tf32 = True
        self.cache = torch.cuda.get_device_properties(0).L2_cache_size
        self.compiles = options.compile
        self.measured = lockstep("--gpu", f"--benchmark_filter={options.filter or '.'}")

    def median_seconds(self, make, moved):
        calls = itertools.cycle([make() for _ in range(min(MOST_SETS, CACHES * self.cache // int(moved) + 1))])
        for _ in range(WARM_UP):
            next(calls)()
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(LAUNCHES)]
        for begin, end in events:
            begin.record()
            next(calls)()
            end.record()
        torch.cuda.synchronize()
        return statistics.median(begin.elapsed_time(end) for begin, end in events) * 1e-3

    def contenders(self, makes):
        """Compiled too, where torch has no kernel of its own for the operator."""
        composite = makes.get("torch composite")
        if composite is None or not self.compiles:
            return makes
        torch._dynamo.reset()
        return makes | {"torch compiled": lambda: torch.compile(composite(), dynamic=False)}

    def lockstep(self, name):
        return self.measured[name]

    def copy_seconds(self):
        """The better of cudaMemcpyAsync and a kernel."""
        return min(self.median_seconds(make, 2 << 30) for make in copies(256 << 20))

    def about(self):
        return {**gpu(), "compiled": self.compiles}


def lockstep(*arguments):
    """Of each benchmark: seconds of one run, and the bytes it must move."""
    with started([BIN / "kernels_benchmark", *arguments, "--benchmark_format=json"], stdout=subprocess.PIPE, text=True,
                 env={**os.environ, "OMP_NUM_THREADS": str(THREADS)}) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    found = {}
    for benchmark in json.loads(output)["benchmarks"]:
        assert benchmark["time_unit"] == "ns", benchmark
        seconds = benchmark["real_time"] * 1e-9
        found[re.sub(r"/(real_time|iterations:1/manual_time)$", "", benchmark["name"])] = seconds, benchmark["bytes_per_second"] * seconds
    return found


def copies(elements):
    """What makes a copy of float32, by memcpy and by a kernel: each element is read once and written once."""
    def memcpy():
        source, target = torch.ones(elements), torch.empty(elements)
        return lambda: target.copy_(source)

    def kernel():
        source, target = torch.ones(elements), torch.empty(elements)
        return lambda: torch.mul(source, 2, out=target)
    return [memcpy, kernel]


def compare(name, contenders, device, repeats):
    """Seconds of each contender's turns, and the bytes of one run."""
    moved = device.lockstep(name)[1]
    seconds = {"lockstep": [], **{contender: [] for contender in contenders}}
    for _ in range(repeats):
        seconds["lockstep"].append(device.lockstep(name)[0])
        for contender, make in contenders.items():
            try:
                seconds[contender].append(device.median_seconds(make, moved))
            except Exception as error:
                if contender != "torch compiled":
                    raise
                print(f"{name}: torch.compile: {error}", file=sys.stderr)
    return {contender: times for contender, times in seconds.items() if times}, moved


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, help="turns of each contender; 3, on a GPU 1")
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring each contender on the CPU, each time")
    parser.add_argument("--filter", default="", help="a regular expression that benchmarks' names must contain")
    parser.add_argument("--compile", action="store_true", help="on a GPU: torch.compile beside them, which needs a C compiler and Python.h")
    parser.add_argument("--output", type=pathlib.Path, help="default: benchmarks/results/kernels[_gpu].json")
    options = parser.parse_args()
    gpu = options.device == "cuda"
    if gpu and not torch.cuda.is_available():
        print("skipped: no CUDA device")
        raise SystemExit(77)
    torch.manual_seed(1)
    device = Gpu(options) if gpu else Cpu(options)
    peers = {}  # benchmark → contender → what makes the function to time
    for module in sorted((HERE / "peers").glob("*.py")):
        peers.update(importlib.import_module(f"peers.{module.stem}").peers(gpu))
    if gpu:
        peers = {**peers, **{name: {} for name in device.measured if name not in peers}}
    output = options.output or ROOT / "benchmarks" / "results" / ("kernels_gpu.json" if gpu else "kernels.json")
    copy = 2 * 4 * (256 << 20 if gpu else 64 << 20) / device.copy_seconds()
    table, results = [], []
    try:
        for name, makes in peers.items():
            if not re.search(options.filter, name):
                continue
            seconds, moved = compare(name, device.contenders(makes), device, options.repeats or (1 if gpu else 3))
            ours = statistics.median(seconds["lockstep"])
            for contender, times in seconds.items():
                median = statistics.median(times)
                results.append({"benchmark": name, "contender": contender, "bytes": moved, "seconds": times})
                table.append({"benchmark": name, "contender": contender, "ms": f"{median * 1e3:.3f}",
                              "min–max": f"{min(times) * 1e3:.3f}–{max(times) * 1e3:.3f}", "GB/s": f"{moved / median / 1e9:.1f}",
                              "of copy": f"{moved / median / copy:.2f}", "its time ÷ lockstep's": f"{median / ours:.2f}"})
    finally:  # also what was measured when a signal ended it
        if table:
            print_table(table)
        print(f"a copy moves {copy / 1e9:.1f} GB/s")
        write_json(output, environment=environment("torch"), **device.about(), copy_bytes_per_second=copy, results=results)


with none_left():
    main()
