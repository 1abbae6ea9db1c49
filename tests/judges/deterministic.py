"""deterministic=true: the same bits from run to run, whatever the size of buckets, with shares of the optimizer's state or without."""

import pathlib

import numpy as np
import torch
from torch import nn

import common
import models

# Gradients of 0.3 MiB: in one bucket, in a few, in one for each parameter. MPI sums these in different orders.
VARIANTS = [{}, dict(bucket_cap_mb=0.2, loader_threads=3), dict(bucket_cap_mb=1e-4), dict(shard_optimizer="true", loader_threads=2),
            dict(shard_optimizer="true", bucket_cap_mb=0.05)]
JOBS = {
    # In float64 a norm that was added up otherwise shows.
    "adamw": dict(optimizer="adamw", learning_rate=0.002, weight_decay=0.05, clip_norm=0.05, micro_batch_size=7, recompute="all", precision="fp64"),
    "sgd": dict(optimizer="sgd", learning_rate=0.02, momentum=0.9, sync_batch_norm="true", ema_decay=0.9, precision="bf16"),
}


class Job:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        common.write_channel(self.directory / "train", *common.images(301, size=16))
        common.write_channel(self.directory / "test", *common.images(90, size=16, seed=3))
        self.options = dict(model="cnn", model_channels="16,32", model_dropout=0.2, batch_size=50, epochs=2, export="safetensors",
                            artifact_state="last", deterministic="true")

    def trained(self, ranks, **options):
        _, tensors = common.train(self.directory, {name: self.directory / name for name in ("train", "test")}, ranks,
                                  **self.options | options)
        evaluated = common.metrics(self.directory, "epoch")
        return tensors, [epoch["test_loss"] for epoch in evaluated]


job = common.in_directory(Job)


def same(a, b):
    return all(np.array_equal(a[0][name], b[0][name]) for name in b[0]) and a[1] == b[1]


def no_bit_differs(name, ranks):
    @job
    def check(j):
        j.options |= JOBS[name]
        expected = j.trained(ranks)
        assert len(expected[1]) == 2, expected[1]
        for variant in VARIANTS:
            assert same(j.trained(ranks, **variant), expected), f"{name}, {ranks} ranks: {variant} changes bits"

    check()


def neither_runs_nor_buckets_nor_shares_change_a_bit():
    for name in JOBS:
        for ranks in (2, 3):
            no_bit_differs(name, ranks)


@job
def the_job_is_one_whose_bits_follow_from_the_order_of_sums(j):
    j.options |= JOBS["adamw"] | dict(deterministic="false")
    assert not same(j.trained(3), j.trained(3, bucket_cap_mb=1e-4)), "this job notices nothing"


class Puts(nn.Module):
    """Of two numbers that are written to one place, either may stay."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, input):
        rows = self.linear(input.flatten(1))
        places = torch.zeros(10, dtype=torch.int64)
        return torch.put(rows, places, rows[0], accumulate=False)


@job
def an_operator_that_cannot_be_deterministic_is_refused_by_name(j):
    program = j.directory / "in.pt2"
    models.export(Puts(), program, torch.rand(4, 1, 8, 8))
    common.write_channel(j.directory / "small", *common.images(64))
    arguments = ["train", "--channel", f"train={j.directory / 'small'}", "--model", program, "--model_dir", j.directory / "model",
                 "--output_dir", j.directory / "output", "--ranks_per_host", 1, "--epochs", 1, "--export", "none"]
    common.run(arguments)
    output = common.run([*arguments, "--deterministic", "true"], expect=2)
    for text in ("aten.put", "put_ does not have a deterministic implementation", "deterministic=true", "leave it out"):
        assert text in output, f"lacks {text!r}: {output}"
    assert "torch.use_deterministic_algorithms" not in output, output


if __name__ == "__main__":
    common.main(neither_runs_nor_buckets_nor_shares_change_a_bit, the_job_is_one_whose_bits_follow_from_the_order_of_sums,
                an_operator_that_cannot_be_deterministic_is_refused_by_name)
