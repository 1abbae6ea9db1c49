"""The PyTorch peer, one rank of it: DistributedDataParallel over gloo. run.py starts it with torchrun."""

import os

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

import task


class Block(nn.Module):
    def __init__(self, inputs, outputs, norm):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x):
        return F.max_pool2d(F.relu(self.norm(self.conv(x)), inplace=True), 2)


class Cnn(nn.Module):
    """Lockstep's built-in cnn without dropout, with its names."""

    def __init__(self, norm):
        super().__init__()
        self.block1 = Block(1, 32, norm)
        self.block2 = Block(32, 64, norm)
        self.fc1 = nn.Linear(64 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.block2(self.block1(x)).flatten(1)
        return self.fc2(F.relu(self.fc1(x), inplace=True))


def main():
    job = task.arguments()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    state = {name: torch.from_numpy(array) for name, array in np.load(job.weights).items()}
    model = Cnn(norm="block1.norm.weight" in state)
    model.load_state_dict(state)
    model.train().to(memory_format=torch.channels_last)
    # Buffers are not broadcast: every rank keeps statistics of its own, as in the other contenders.
    parallel = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=task.LEARNING_RATE, momentum=task.MOMENTUM, fused=True)
    images, labels = task.rank_data(job, rank)
    images, labels = torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long()

    for step in range(1, job.steps + 1):
        at = slice((step - 1) * job.micro_batch, step * job.micro_batch)
        x = images[at].to(torch.float32, memory_format=torch.channels_last).div_(255)
        loss = F.cross_entropy(parallel(x), labels[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 1 or step % task.REPORT_EVERY == 0:
            mean = loss.detach() / task.RANKS
            dist.all_reduce(mean)
            if rank == 0:
                task.report(step, mean.item())
    dist.barrier()
    os._exit(0)  # gloo's thread may free a tensor while the interpreter ends, and then aborts the rank


main()
