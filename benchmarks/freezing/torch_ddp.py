"""The PyTorch peer: DistributedDataParallel over gloo on the same program, one rank; run.py starts it with torchrun.

    torch_ddp.py PROGRAM.pt2 CHANNEL BATCH SAMPLES FROZEN...    prints the second step's loss; parameters that begin so are not trained"""

import os
import pathlib
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional as F


def main():
    program, channel, batch, samples, *frozen = sys.argv[1:]
    batch, samples = int(batch), int(samples)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    model = torch.export.load(program).module().to(memory_format=torch.channels_last)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(frozen)))
    parallel = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, fused=True)
    x, y = (torch.from_numpy(np.load(pathlib.Path(channel) / f"{name}.npy")) for name in ("x", "y"))
    losses = []
    for begin in range(0, samples, batch):
        mine = slice(begin, begin + batch)
        loss = F.cross_entropy(parallel(x[mine].to(memory_format=torch.channels_last)), y[mine])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(losses[:2][-1], flush=True)
    os._exit(0)  # gloo's thread may free a tensor while the interpreter ends, and then aborts the rank


main()
