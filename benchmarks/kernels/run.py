"""One optimizer step over float32 parameters in 60 tensors, 2 threads: Lockstep's flat kernels beside torch.optim."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

THREADS, TENSORS = 2, 60
SIZES = {"10 million": 10_000_000, "25 million": 25_000_000}  # the cases of FlatKernelsBenchmark.cpp
OPTIMIZERS = {  # and how many tensors as large as the parameters a step must read and write
    "sgd_momentum": (lambda parameters, **form: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, **form), 5),
    "adamw": (lambda parameters, **form: torch.optim.AdamW(parameters, lr=1e-3, **form), 7),
}


def flat_kernels():
    """Seconds of a step by (optimizer, size)."""
    output = subprocess.run([BIN / "kernels_benchmark", "--benchmark_format=json",
                             "--benchmark_filter=^(sgd_momentum|adamw)/float32/.* million"], check=True,
                            stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": str(THREADS)}).stdout
    found = {tuple(each["name"].split("/")[:3:2]): each["real_time"] * 1e-9
             for each in json.loads(output)["benchmarks"]}
    assert found.keys() == {(optimizer, size) for optimizer in OPTIMIZERS for size in SIZES}, found
    return found


def torch_optim(form):
    seconds = {}
    for name, (make, _) in OPTIMIZERS.items():
        for size, elements in SIZES.items():
            parameters = [torch.ones(elements // TENSORS, requires_grad=True) for _ in range(TENSORS)]
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, 1e-3)
            optimizer = make(parameters, **{form: True})
            for _ in range(3):
                optimizer.step()  # the first makes the optimizer's state
            times, end = [], time.perf_counter() + 1.5
            while time.perf_counter() < end:
                start = time.perf_counter()
                optimizer.step()
                times.append(time.perf_counter() - start)
            seconds[name, size] = statistics.median(times)
    return seconds


CONTENDERS = {"lockstep": flat_kernels, "torch foreach": lambda: torch_optim("foreach"),
              "torch fused": lambda: torch_optim("fused")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "optimizers.json")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    runs = {name: [] for name in CONTENDERS}
    for _ in range(options.repeats):
        for name, measure in CONTENDERS.items():
            runs[name].append(measure())
    table, results = [], []
    for optimizer, (_, moved) in OPTIMIZERS.items():
        for size, elements in SIZES.items():
            ours = statistics.median(run[optimizer, size] for run in runs["lockstep"])
            for name, repeats in runs.items():
                seconds = [run[optimizer, size] for run in repeats]
                median, moved_bytes = statistics.median(seconds), 4 * moved * elements
                results.append({"optimizer": optimizer, "parameters": elements, "contender": name,
                                "bytes": moved_bytes, "seconds": seconds})
                table.append({"optimizer": optimizer, "parameters": size, "contender": name,
                              "ms": f"{median * 1e3:.2f}",
                              "min–max": f"{min(seconds) * 1e3:.2f}–{max(seconds) * 1e3:.2f}",
                              "GB/s": f"{moved_bytes / median / 1e9:.1f}",
                              "its time ÷ lockstep's": f"{median / ours:.2f}"})
    print_table(table)
    write_json(options.output, environment=environment("torch"), threads=THREADS, results=results)


main()
