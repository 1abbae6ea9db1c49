"""The peer of AllReduceBenchmark.cpp, one rank of it: the same calls by torch.distributed over gloo."""

import os
import statistics
import sys
import time

import torch
import torch.distributed as dist


def median_seconds(buffer, calls):
    seconds = []
    for _ in range(calls):
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(buffer)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


torch.set_num_threads(1)
dist.init_process_group("gloo")
for argument in sys.argv[1:]:
    size, calls = map(int, argument.split(":"))
    buffer = torch.zeros(size // 4)
    median_seconds(buffer, calls // 4 + 1)
    seconds = median_seconds(buffer, calls)
    if dist.get_rank() == 0:
        print(size, f"{seconds:.9f}", flush=True)
dist.barrier()
os._exit(0)  # gloo's thread may free a tensor while the interpreter ends, and then aborts the rank
