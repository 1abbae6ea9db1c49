"""Optimizers, schedules, the average of the weights and batch norm over ranks, in real jobs, against PyTorch in float64."""

import copy
import math
import pathlib
import shutil

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import common
import models
from torch_training import compare

torch.set_num_threads(1)
STEPS, DECAY = 20, dict(weight_decay=0.05)


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2."""

    def __init__(self, parameters, **options):
        super().__init__(parameters, options)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            for p in (p for p in group["params"] if p.grad is not None):
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = torch.sign(beta1 * m + (1 - beta1) * p.grad)
                p.sub_(lr * (update + group["weight_decay"] * p))
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


class Both:
    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


def muon(model, apart=()):
    """Muon for matrices; AdamW, at a rate of its own, for the rest and what is set apart."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name not in apart]
    rest = [p for p in model.parameters() if not any(p is q for q in matrices)]
    return Both(torch.optim.Muon(matrices, lr=0.02, **DECAY), torch.optim.AdamW(rest, lr=0.005, eps=1e-4, **DECAY))


MUON = dict(optimizer="muon", learning_rate=0.02, adamw_learning_rate=0.005, epsilon=1e-4, **DECAY)
OPTIMIZERS = [
    (lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-4, **DECAY),
     dict(optimizer="adam", learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-4, **DECAY)),
    (lambda p: torch.optim.RMSprop(p, lr=0.001, eps=1e-4, **DECAY),
     dict(optimizer="rmsprop", learning_rate=0.001, epsilon=1e-4, **DECAY)),
    (lambda p: torch.optim.RMSprop(p, lr=0.001, alpha=0.9, eps=1e-4, momentum=0.8, centered=True, **DECAY),
     dict(optimizer="rmsprop", learning_rate=0.001, beta2=0.9, epsilon=1e-4, momentum=0.8, centered="true", **DECAY)),
    (lambda p: torch.optim.Adagrad(p, lr=0.01, eps=1e-4, **DECAY),
     dict(optimizer="adagrad", learning_rate=0.01, epsilon=1e-4, **DECAY)),
    (lambda p: Lion(p, lr=0.001, betas=(0.9, 0.99), **DECAY), dict(optimizer="lion", learning_rate=0.001, **DECAY)),
]


def optimizers():
    for make, job in OPTIMIZERS:
        for ranks in (1, 2):
            compare(models.Mlp, lambda model: make(model.parameters()), steps=STEPS, ranks=ranks, **job)


def muon_for_matrices_and_adamw_for_the_rest():
    for ranks in (1, 2):
        compare(models.Mlp, muon, steps=STEPS, ranks=ranks, tolerance=1e-9, **MUON)
    compare(models.Residual, muon, steps=STEPS, tolerance=1e-9, **MUON)
    compare(models.Mlp, lambda model: muon(model, apart=["fc2.weight"]), steps=STEPS, tolerance=1e-9,
            parameter_groups=[{"match": "fc2.weight", "optimizer": "adamw", "weight_decay": 0.05}], **MUON)


SCHEDULES = [
    (lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5), dict(schedule="step", schedule_step_size=3, schedule_gamma=0.5)),
    (lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.01), dict(schedule="cosine", final_learning_rate=0.01)),
    (lambda o: lr_scheduler.LinearLR(o, 1, 0.1, total_iters=STEPS), dict(schedule="linear", final_learning_rate=0.01)),
    (lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=2), dict(schedule="polynomial", schedule_power=2)),
    (lambda o: lr_scheduler.ExponentialLR(o, 0.9), dict(schedule="exponential", schedule_gamma=0.9)),
    (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=STEPS, pct_start=0.4, div_factor=10, final_div_factor=5, cycle_momentum=False),
     dict(schedule="one_cycle", schedule_pct_start=0.4, schedule_div_factor=10, final_learning_rate=0.1 / 10 / 5)),
    (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o, 1 / 4, total_iters=3), lr_scheduler.ConstantLR(o, 1),
                                             lr_scheduler.LinearLR(o, 1, 0.2, total_iters=6)], [4, STEPS - 6]),
     dict(schedule="wsd", warmup_steps=4, schedule_decay_steps=6, final_learning_rate=0.02)),
]


def schedules():
    for make, job in SCHEDULES:
        def scheduled(model):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            scheduler = make(optimizer)
            optimizer.register_step_post_hook(lambda *_: scheduler.last_epoch < STEPS - 1 and scheduler.step())
            return optimizer

        compare(models.Mlp, scheduled, steps=STEPS, ranks=2, learning_rate=0.1, **job)


class Job:
    """A job of a program and images that PyTorch trains too."""

    def __init__(self, directory, model=models.Residual, samples=37):
        torch.manual_seed(7)
        self.directory, self.samples = pathlib.Path(directory), samples
        self.model = model().double()
        models.export(self.model, self.directory / "model.pt2")
        self.data = {"train": common.images(samples, seed=3), "validation": common.images(50, seed=4)}
        for name, (pixels, labels) in self.data.items():
            common.write_channel(self.directory / name, pixels, labels)

    def train(self, ranks, name="run", **options):
        place = self.directory / name
        options = dict(model=self.directory / "model.pt2", batch_size=8, shuffle="false", precision="fp64", artifact_state="last",
                       learning_rate=0.05, log_every=1e-9) | options
        output, state = common.train(place, {channel: self.directory / channel for channel in self.data}, ranks, **options)
        return output, state, common.metrics(place, "epoch")

    def batch(self, channel, at):
        pixels, labels = (values[at] for values in self.data[channel])
        return torch.tensor(pixels, dtype=torch.float64).div(255).unsqueeze(1), torch.tensor(labels).long()

    def epoch(self, optimizer, after_step=lambda: None):
        self.model.train()
        for begin in range(0, self.samples, 8):
            x, y = self.batch("train", slice(begin, begin + 8))
            optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            optimizer.step()
            after_step()

    def loss(self, model):
        model = copy.deepcopy(model).eval()
        with torch.no_grad():
            x, y = self.batch("validation", slice(None))
            return F.cross_entropy(model(x), y).item()

    def sgd(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)


def state_of(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def near(found, expected, what, most=1e-9):
    assert abs(found - expected) <= most * abs(expected), f"{what}: {found} is not {expected}"


class MlpJob(Job):
    def __init__(self, directory):
        super().__init__(directory, models.Mlp)


# So high a rate that the loss on other images goes up and down.
@common.in_directory(MlpJob)
def the_rate_falls_on_a_plateau(job):
    options = dict(epochs=12, schedule="plateau", schedule_gamma=0.5, schedule_patience=1, schedule_threshold=0.05,
                   schedule_cooldown=1, final_learning_rate=0.01)
    optimizer = job.sgd()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0.05, cooldown=1, min_lr=0.01)
    losses, rates = [], []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        job.epoch(optimizer)
        losses.append(job.loss(job.model))
        scheduler.step(losses[-1])
    assert len(set(rates)) >= 4 and rates[-1] == 0.01, rates  # else this job is no test
    _, whole, epochs = job.train(2, **options)
    for line, loss in zip(epochs, losses, strict=True):
        near(line["validation_loss"], loss, f"loss of epoch {line['epoch']}")
    for line in common.metrics(job.directory / "run", "progress"):
        assert line["learning_rate"] == rates[line["epoch"] - 1], line
    assert common.relative_difference(whole, state_of(job.model)) <= 1e-9
    # Stopped and continued twice: the same rates, to the last bit.
    place = dict(checkpoint_dir=job.directory / "checkpoints", name="parts")
    for ended in (3, 7, 12):
        output, parts, _ = job.train(2, **place, **options | {"epochs": ended})
        assert ("resumed from" in output) == (ended > 3), output
    assert all(np.array_equal(parts[name], whole[name]) for name in whole)


@common.in_directory(MlpJob)
def a_plateau_needs_evaluations(job):
    output = common.run(["train", "--channel", f"train={job.directory / 'train'}", "--model", job.directory / "model.pt2", "--schedule",
                         "plateau", "--model_dir", job.directory / "m", "--output_dir", job.directory / "o", "--precision", "fp64"], expect=2)
    assert "schedule=plateau" in output and "validation" in output, output


# With batch norm, whose running statistics are the model's own. The average is what is evaluated, kept and exported.
@common.in_directory(Job)
def the_average_of_the_weights_is_evaluated_and_exported(job):
    options = dict(ema_decay=0.8, epochs=4)
    optimizer, average = job.sgd(), AveragedModel(job.model, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    losses = []
    for _ in range(4):
        job.epoch(optimizer, lambda: average.update_parameters(job.model))
        losses.append(job.loss(average.module))
    for ranks, more in ((1, {}), (2, {"sync_batch_norm": "true"})):
        _, found, epochs = job.train(ranks, f"on-{ranks}", **options, **more)
        difference = common.relative_difference(found, state_of(average.module))
        assert difference <= 1e-9, f"{ranks} ranks: {difference:.3g}"
        for line, loss in zip(epochs, losses, strict=True):
            near(line["validation_loss"], loss, f"loss of epoch {line['epoch']}")
    assert common.relative_difference(found, state_of(job.model)) > 1e-3
    # The best state is one of averages too.
    _, best, _ = job.train(1, "best", **options, artifact_state="best")
    if min(losses) == losses[-1]:
        assert common.relative_difference(best, state_of(average.module)) <= 1e-9
    # From the middle of an epoch, on two ranks, to the last bit.
    place = dict(checkpoint_dir=job.directory / "checkpoints", checkpoint_every=7, checkpoint_keep=9)
    _, whole, _ = job.train(2, "whole", **place, **options)
    for later in ("step-000000014", "step-000000020"):
        shutil.rmtree(job.directory / "checkpoints" / later)
    output, again, _ = job.train(2, "again", **place, **options)
    assert "7 steps are done" in output, output
    assert all(np.array_equal(again[name], whole[name]) for name in whole)


def shares(count, ranks):
    """Of a batch: contiguous."""
    return [np.arange(count * rank // ranks, count * (rank + 1) // ranks) for rank in range(ranks)]


def together(count, ranks, micro):
    """What ranks run at once: the samples of each one's first micro-batch, of each one's second, …"""
    parts = [np.split(own, range(micro, len(own), micro)) if micro else [own] for own in shares(count, ranks)]
    return [np.concatenate([own[i] for own in parts if i < len(own)]) for i in range(max(map(len, parts)))]


def batch_norm_over_all_ranks():
    """37 samples in batches of 8: the last has 5. On 3 ranks shares differ, and with micro-batches ranks have unequally many;
    33 samples: the last batch has one sample, and only one rank has data."""
    for samples, ranks, micro in ((37, 2, 0), (33, 2, 0), (37, 3, 2), (33, 3, 2)):
        with common.temporary_directory() as directory:
            job = Job(directory, samples=samples)
            options = {"micro_batch_size": micro} if micro else {}
            output, found, epochs = job.train(ranks, sync_batch_norm="true", epochs=3, **options)
            optimizer = job.sgd()
            for epoch in range(3):
                job.model.train()
                for begin in range(0, samples, 8):
                    count = min(8, samples - begin)
                    optimizer.zero_grad()
                    for at in together(count, ranks, micro):
                        x, y = job.batch("train", begin + at)
                        (F.cross_entropy(job.model(x), y, reduction="sum") / count).backward()
                    optimizer.step()
                near(epochs[epoch]["validation_loss"], job.loss(job.model), f"{samples} samples, {ranks} ranks, epoch {epoch}: the loss")
            difference = common.relative_difference(found, state_of(job.model))
            assert difference <= common.tolerance(steps=3 * math.ceil(samples / 8)), f"{samples} samples, {ranks} ranks: {difference:.3g}"


class Narrow(torch.nn.Sequential):
    """Batch norm of as many numbers as there are samples."""

    def __init__(self):
        nn = torch.nn
        super().__init__(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 10))


# 10 samples in batches of 8 leave two ranks one each, 9 leave one to one of them.
def a_single_number_is_refused_where_all_ranks_have_no_other():
    for samples, sync, refused in ((10, "true", False), (10, "false", True), (9, "true", True)):
        with common.temporary_directory() as directory:
            job = Job(directory, Narrow, samples)
            arguments = ["train", "--channel", f"train={job.directory / 'train'}", "--model", job.directory / "model.pt2", "--batch_size", 8,
                         "--epochs", 1, "--ranks_per_host", 2, "--threads_per_rank", 1, "--export", "pt2", "--precision", "fp64",
                         "--sync_batch_norm", sync, "--model_dir", job.directory / "m", "--output_dir", job.directory / "o"]
            output = common.run(arguments, expect=2 if refused else 0)
            assert not refused or "a single number has no variance" in output, output
            assert samples == 10 or "all ranks together a share of 1 sample" in output, output


@common.in_directory(Job)
def batch_norm_over_one_rank_is_said_and_without_one_refused(job):
    output, alone, _ = job.train(1, "alone", sync_batch_norm="true", epochs=1)
    assert "sync_batch_norm changes nothing: there is one rank" in output, output
    _, plain, _ = job.train(1, "plain", epochs=1)
    assert all(np.array_equal(alone[name], plain[name]) for name in plain)
    models.export(models.Mlp().double(), job.directory / "mlp.pt2")
    output = common.run(["train", "--channel", f"train={job.directory / 'train'}", "--model", job.directory / "mlp.pt2",
                         "--sync_batch_norm", "true", "--export", "pt2", "--ranks_per_host", 2, "--threads_per_rank", 1, "--precision", "fp64",
                         "--model_dir", job.directory / "m", "--output_dir", job.directory / "o"], expect=2)
    assert "sync_batch_norm does nothing in this job" in output, output


if __name__ == "__main__":
    common.main(optimizers, muon_for_matrices_and_adamw_for_the_rest, schedules, the_rate_falls_on_a_plateau, a_plateau_needs_evaluations,
                the_average_of_the_weights_is_evaluated_and_exported, batch_norm_over_all_ranks,
                a_single_number_is_refused_where_all_ranks_have_no_other, batch_norm_over_one_rank_is_said_and_without_one_refused)
