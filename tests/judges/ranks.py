"""The same step on any number of ranks and with any bucket size."""

import os
import pathlib
import random

import torch

import common
import models

torch.set_num_threads(1)

STEPS = 20
OPTIMIZERS = {
    "sgd": dict(optimizer="sgd", learning_rate=0.05, momentum=0.9, weight_decay=0.01),
    "adamw": dict(optimizer="adamw", learning_rate=0.01, weight_decay=0.05, epsilon=1e-4),
}


def trained(ranks, dtype=torch.float64, samples=200, **job):
    """Parameters after training a residual network without batch norm on `ranks` ranks."""
    torch.manual_seed(7)
    model = models.Residual(norm=False).to(dtype)
    pixels, labels = common.images(samples, seed=5)
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(model, directory / "model.pt2")
        common.write_channel(directory / "train", pixels, labels)
        job = dict(batch_size=32, max_steps=STEPS, epochs=50) | job
        _, state = common.train(directory, {"train": directory / "train"}, ranks, model=directory / "model.pt2",
                                precision="fp64" if dtype == torch.float64 else "fp32", **job)
    return state


def same_on(ranks_list, **job):
    reference = trained(1, **job)
    for ranks in ranks_list:
        difference = common.relative_difference(trained(ranks, **job), reference)
        assert difference <= common.tolerance(steps=STEPS, **job), f"{ranks} ranks: {difference:.3g}"


def any_number_of_ranks():
    for optimizer in OPTIMIZERS.values():
        same_on([2, 3, 4], **optimizer)


def a_size_that_divides_nothing():
    """67 = 2 × 32 + 3: the last batch has fewer samples than ranks, so one rank has none."""
    for optimizer in OPTIMIZERS.values():
        same_on([4], samples=67, **optimizer)


def unequal_micro_batches():
    """3 ranks have 11, 11 and 10 samples; in micro-batches of 4 that is 4 + 4 + 3 and 4 + 4 + 2."""
    for optimizer in OPTIMIZERS.values():
        same_on([3], samples=101, micro_batch_size=4, clip_norm=0.5, **optimizer)


def bucket_size_changes_nothing():
    """In MiB: 64 KiB, 1 MiB, all in one, and one parameter each."""
    reference = trained(1, **OPTIMIZERS["sgd"])
    for cap in (0.0625, 1, 25, 0.0005):
        difference = common.relative_difference(trained(3, bucket_cap_mb=cap, **OPTIMIZERS["sgd"]), reference)
        assert difference <= common.tolerance(steps=STEPS), f"bucket_cap_mb={cap}: {difference:.3g}"


def first_gradient_in_fp32():
    """One plain SGD step with learning rate 1 moves parameters by exactly the gradient."""
    torch.manual_seed(7)
    before = {name: tensor.detach().numpy() for name, tensor in models.Residual(norm=False).state_dict().items()}
    job = dict(dtype=torch.float32, optimizer="sgd", learning_rate=1, momentum=0, max_steps=1)
    gradients = {ranks: {name: before[name] - value for name, value in trained(ranks, **job).items()} for ranks in (1, 2, 3, 4)}
    for ranks in (2, 3, 4):
        difference = common.relative_difference(gradients[ranks], gradients[1])
        assert difference <= common.tolerance("fp32"), f"{ranks} ranks: {difference:.3g}"


def passes_change_nothing():
    """Each on and off: to rounding in float64, and the first gradient in fp32."""
    first = dict(dtype=torch.float32, optimizer="sgd", learning_rate=1, momentum=0, max_steps=1)
    for job, tolerance in ((OPTIMIZERS["sgd"], common.tolerance(steps=STEPS)), (first, common.tolerance("fp32"))):
        reference = trained(2, passes="none", **job)
        for passes in ("channels_last", "relu_after_max_pool", "channels_last,relu_after_max_pool"):
            difference = common.relative_difference(trained(2, passes=passes, **job), reference)
            assert difference <= tolerance, f"{passes}: {difference:.3g}"


def the_same_job_twice():
    """Bit for bit, on two ranks, with dropout and batch norm."""
    pixels, labels = common.images(200, seed=5)
    runs = []
    for _ in range(2):
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            common.write_channel(directory / "train", pixels, labels)
            _, state = common.train(directory, {"train": directory / "train"}, 2, model="cnn", epochs=3, loader_threads=2)
            runs.append(state)
    assert all((runs[0][name] == runs[1][name]).all() for name in runs[0])


def any_job():
    """Random jobs: each on one rank and on two to four, with buckets and micro-batches of any size."""
    generator = random.Random(1)
    for _ in range(60 if "LOCKSTEP_SOAK" in os.environ else 3):
        ranks = generator.randint(2, 4)
        job = dict(OPTIMIZERS[generator.choice(["sgd", "adamw"])], samples=generator.randint(1, 150),
                   batch_size=generator.randint(ranks, 64), micro_batch_size=generator.choice([0, 1, 3, 10]),
                   bucket_cap_mb=generator.choice([0.0005, 0.01, 25]), clip_norm=generator.choice([0, 0.1]),
                   schedule="cosine", warmup_steps=3, seed=generator.randint(0, 9))
        try:
            same_on([ranks], **job)
        except AssertionError as error:
            raise AssertionError(f"{job}: {error}") from error


if __name__ == "__main__":
    common.main(any_number_of_ranks, a_size_that_divides_nothing, unequal_micro_batches, bucket_size_changes_nothing,
                first_gradient_in_fp32, passes_change_nothing, the_same_job_twice, any_job)
