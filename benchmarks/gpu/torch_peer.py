"""The PyTorch peer: trains one model on data that is already on the device; training.py starts it and reads its last line."""

import argparse
import json
import sys
import time

import torch
from torch.nn import functional as F

import task

WARM_UP = 10  # steps, the first of which compile


class Training:
    def __init__(self, job, device, mode):
        model = job.program.build().train().to(device)
        images = len(job.program.input) == 3
        x, y = job.program.inputs(job.batch, device=device), job.program.targets(job.batch, device=device)
        if images:
            model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)

        def loss_of():
            with torch.autocast(device, torch.bfloat16, enabled=job.precision == "bf16"):
                return F.cross_entropy(model(x).flatten(0, -2), y.flatten())

        self.loss_of = torch.compile(loss_of, mode=mode) if mode != "eager" else loss_of
        optimizer = dict(sgd=torch.optim.SGD, adamw=torch.optim.AdamW)[job.optimizer["optimizer"]]
        options = {"lr": job.optimizer["learning_rate"], **({"momentum": m} if (m := job.optimizer.get("momentum")) else {})}
        self.optimizer = optimizer(model.parameters(), fused=True, **options)

    def step(self):
        loss = self.loss_of()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()  # before the next forward: a captured graph may then reuse the gradients' memory
        return loss


def seconds_of(training, steps):
    """And the last loss."""
    start = time.perf_counter()
    for _ in range(steps):
        loss = training.step()
    loss = loss.item()  # waits for the device
    return time.perf_counter() - start, loss


def measure(job, device, mode, windows, seconds):
    """Samples per second of each window, and the last loss."""
    training = Training(job, device, mode)
    seconds_of(training, WARM_UP)
    steps = max(1, round(seconds * WARM_UP / seconds_of(training, WARM_UP)[0]))
    measured = [seconds_of(training, steps) for _ in range(windows)]
    return [steps * job.batch / elapsed for elapsed, _ in measured], measured[-1][1]


def main():
    parser = argparse.ArgumentParser()
    task.add_arguments(parser)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mode", required=True, help="eager, or torch.compile's mode")
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    job = task.jobs(options)[options.model]
    try:
        rates, loss = measure(job, options.device, options.mode, options.windows, options.seconds)
    except Exception as error:
        if options.mode in ("eager", "default"):
            raise
        print(f"torch.compile, mode {options.mode}: {error}", file=sys.stderr)
        torch._dynamo.reset()
        options.mode = "default"
        rates, loss = measure(job, options.device, options.mode, options.windows, options.seconds)
    print(json.dumps({"mode": options.mode, "windows": rates, "loss": loss}))


main()
