"""The PyTorch peer, one rank of it: DistributedDataParallel over gloo, on a program that Lockstep wrote. run.py starts it and reads rank 0's
last line: samples per second of each window."""

import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from children import mib_held  # noqa: E402

WARM_UP = 3  # steps


def first(directory, name, batch):
    """The first samples of a file, as they are best for convolutions."""
    tensor = torch.from_numpy(np.load(directory / "train" / f"{name}.npy")[:batch])
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path, help="with model.pt2 and the channel train")
    parser.add_argument("--inputs", nargs="+", required=True, help="their names")
    parser.add_argument("--batch", type=int, required=True, help="samples of a rank")
    parser.add_argument("--optimizer", choices=("sgd", "adamw"), required=True)
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="of a window, about")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    inputs = [first(options.directory, name, options.batch) for name in options.inputs]
    targets = first(options.directory, "target", options.batch).flatten()
    program = torch.export.load(options.directory / "model.pt2")
    parallel = nn.parallel.DistributedDataParallel(program.module().to(memory_format=torch.channels_last), gradient_as_bucket_view=True,
                                                   broadcast_buffers=False)
    if options.optimizer == "sgd":
        optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01, momentum=0.9, fused=True)
    else:
        optimizer = torch.optim.AdamW(parallel.parameters(), lr=0.001, fused=True)

    def seconds_of(steps):
        start = time.perf_counter()
        for _ in range(steps):
            loss = F.cross_entropy(parallel(*inputs).flatten(0, -2), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()
        return time.perf_counter() - start

    seconds_of(WARM_UP)
    steps = torch.tensor(max(1, round(options.seconds * WARM_UP / seconds_of(WARM_UP))))
    dist.broadcast(steps, 0)
    windows = [steps.item() * options.batch * dist.get_world_size() / seconds_of(steps.item()) for _ in range(options.windows)]
    if dist.get_rank() == 0:
        print(json.dumps({"rates": windows, "peak_mib": mib_held()}), flush=True)
    dist.barrier()
    os._exit(0)  # gloo's thread may free a tensor while the interpreter ends, and then aborts the rank


main()
