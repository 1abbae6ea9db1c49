"""Two options at once: what one does, it does beside the other. Each pair against PyTorch in float64, or against the job that means the same."""

import csv
import fnmatch
import pathlib
import shutil

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import common
import models
from optimizers import MUON, Job, muon, state_of
from synthetic import Samples

torch.set_num_threads(1)
EPOCHS = 3
FREEZE = "stem.*,norm1.*,head.bias"


def frozen(model, patterns=FREEZE):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split(",")))
    return model


class Trained(nn.Module):
    """Of a model, what is trained: for those who take all parameters of a model."""

    def __init__(self, model):
        super().__init__()
        self.named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]

    def named_parameters(self, *_, **__):
        return iter(self.named)

    def parameters(self, *_):
        return iter(parameter for _, parameter in self.named)


def grouped(model):
    named = list(Trained(model).named_parameters())
    norms = [p for name, p in named if name.startswith("norm2")]
    return torch.optim.SGD([{"params": norms, "lr": 0.05 * 0.5, "weight_decay": 0.0}, {"params": [p for _, p in named if all(p is not q for q in norms)]}],
                           lr=0.05, momentum=0.9, weight_decay=0.01)


def sgd(model):
    return torch.optim.SGD(Trained(model).parameters(), lr=0.05, momentum=0.9)


# Beside freeze: the job's options, PyTorch's optimizer, and on how many ranks: without statistics over all of them, on one.
BESIDE_FREEZE = {
    "ema_decay": (dict(ema_decay=0.8), sgd, 1),
    "muon": (MUON, lambda model: muon(Trained(model)), 1),
    "parameter_groups": (dict(weight_decay=0.01, parameter_groups=[{"match": "norm2.*", "weight_decay": 0.0, "learning_rate_factor": 0.5}]), grouped, 1),
    "sync_batch_norm": (dict(sync_batch_norm="true"), sgd, 2),
    "shard_optimizer, sync_batch_norm": (dict(shard_optimizer="true", sync_batch_norm="true"), sgd, 2),
    "recompute=auto": (dict(recompute="auto"), sgd, 1),
    "recompute=all": (dict(recompute="all"), sgd, 1),
    "recompute=all, sync_batch_norm": (dict(recompute="all", sync_batch_norm="true"), sgd, 2),
    "recompute=all, ema_decay": (dict(recompute="all", ema_decay=0.8), sgd, 1),
}


def freeze_beside_others():
    for pair, (options, make_optimizer, ranks) in BESIDE_FREEZE.items():
        with common.temporary_directory() as directory:
            job = Job(directory)
            before = {name: value.copy() for name, value in state_of(job.model).items()}
            _, found, _ = job.train(ranks, freeze=FREEZE, epochs=EPOCHS, **options)
            optimizer = make_optimizer(frozen(job.model))
            average = AveragedModel(job.model, multi_avg_fn=get_ema_multi_avg_fn(0.8)) if "ema_decay" in options else None
            for _ in range(EPOCHS):
                job.epoch(optimizer, lambda: average and average.update_parameters(job.model))
            wanted = state_of(average.module if average else job.model)
            difference = common.relative_difference(found, wanted)
            assert difference <= 1e-9, f"freeze, {pair}: parameters differ by {difference:.3g}"
            for name, parameter in job.model.named_parameters():
                assert parameter.requires_grad or np.array_equal(found[name], before[name]), f"freeze, {pair}: {name} has changed"


def arguments(job, **options):
    given = dict(model=job.directory / "model.pt2", model_dir=job.directory / "m", output_dir=job.directory / "o", export="none", precision="fp64") | options
    return ["train", "--channel", f"train={job.directory / 'train'}", *(str(part) for name, value in given.items() for part in (f"--{name}", value))]


class OneMatrix(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10, bias=False))


def what_would_do_nothing_is_refused():
    with common.temporary_directory() as directory:
        job = Job(directory)
        output = common.run(arguments(job, freeze="stem.*,norm1.*", parameter_groups='[{"match": "norm1.*", "weight_decay": 0}]'), expect=2)
        assert "norm1.*" in output and "frozen" in output, output
    with common.temporary_directory() as directory:
        job = Job(directory, OneMatrix)
        output = common.run(arguments(job, optimizer="muon", adamw_learning_rate=0.01), expect=2)
        assert "adamw_learning_rate does nothing" in output, output
        common.run(arguments(job, optimizer="muon", epochs=1))
    with common.temporary_directory() as directory:
        output = common.run(arguments(Job(directory), freeze="stem.*,norm*,conv.*,head.bias", optimizer="muon", adamw_learning_rate=0.01), expect=2)
        assert "adamw_learning_rate does nothing" in output, output


@common.in_directory(Job)
def a_job_with_initial_weights_goes_on_from_its_checkpoint(job):
    from safetensors.torch import save_file
    torch.manual_seed(8)
    other = models.Residual().double()
    save_file(other.state_dict(), job.directory / "other.safetensors")
    options = dict(epochs=EPOCHS, initial_weights=job.directory / "other.safetensors", checkpoint_dir=job.directory / "checkpoints", checkpoint_every=4, checkpoint_keep=9)
    _, whole, _ = job.train(2, "whole", **options)
    for later in sorted((job.directory / "checkpoints").glob("step-*"))[2:]:
        shutil.rmtree(later)
    output, again, _ = job.train(2, "again", **options)
    assert "8 steps are done" in output, output
    assert all(np.array_equal(again[name], whole[name]) for name in whole)
    # On one rank it is PyTorch's, from these weights.
    _, alone, _ = job.train(1, "alone", epochs=EPOCHS, initial_weights=job.directory / "other.safetensors")
    job.model.load_state_dict(other.state_dict())
    optimizer = job.sgd()
    for _ in range(EPOCHS):
        job.epoch(optimizer)
    assert common.relative_difference(alone, state_of(job.model)) <= 1e-9


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x):
        return {"other": self.first(x.flatten(1)), "scores": self.second(x.flatten(1))}


def predictions_are_of_the_output_that_the_loss_sees():
    for output in ("scores", "other"):
        with common.temporary_directory() as directory:
            job = Job(directory, TwoHeads)
            job.train(2, epochs=2, output=output, predict="validation")
            module = torch.export.load(job.directory / "run" / "model" / "model.pt2").module()
            with torch.no_grad():
                wanted = module(job.batch("validation", slice(None))[0])[output].numpy()
            with open(job.directory / "run" / "output" / "data" / "predictions_validation.csv", newline="") as file:
                rows = list(csv.DictReader(file))
            columns = [name for name in rows[0] if name not in ("sample", "target", "predicted")]
            found = np.array([[float(row[name]) for name in columns] for row in rows])
            assert found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-12, atol=1e-14), output
            assert [int(row["predicted"]) for row in rows] == wanted.argmax(1).tolist()


class WithLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = models.Residual()

    def forward(self, inputs, targets):
        logits = self.net(inputs)
        return {"loss": F.cross_entropy(logits, targets), "logits": logits}


class LossJob(Job):
    """The program takes its targets and returns its loss; `plain.pt2` is the network alone."""

    def __init__(self, directory):
        super().__init__(directory)
        self.whole = WithLoss().double()
        self.whole.net.load_state_dict(self.model.state_dict())
        models.export(self.whole, self.directory / "loss.pt2", (torch.rand(4, 1, 8, 8, dtype=torch.float64), torch.arange(4)))

    def of_program(self, ranks, name, **options):
        _, state, epochs = self.train(ranks, name, loss="program", **{"model": self.directory / "loss.pt2", "columns": "", **options})
        return {name.removeprefix("net."): value for name, value in state.items()}, epochs


# Options beside loss=program, on how many ranks; each against the same job with loss=cross_entropy.
BESIDE_PROGRAM = {
    "sync_batch_norm": (2, dict(sync_batch_norm="true")),
    "micro_batch_size": (1, dict(micro_batch_size=3)),
    "micro_batch_size, sync_batch_norm": (2, dict(micro_batch_size=3, sync_batch_norm="true")),
    "recompute": (1, dict(recompute="all", micro_batch_size=3)),
    "freeze": (1, dict(freeze="*stem.*,*norm1.*")),
}


def a_loss_of_the_program_beside_others():
    for pair, (ranks, options) in BESIDE_PROGRAM.items():
        with common.temporary_directory() as directory:
            job = LossJob(directory)
            found, _ = job.of_program(ranks, "program", epochs=EPOCHS, **options)
            _, wanted, _ = job.train(ranks, "plain", epochs=EPOCHS, **options)
            difference = common.relative_difference(found, wanted)
            assert difference <= 1e-9, f"loss=program, {pair}: parameters differ by {difference:.3g}"


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(12, 5), nn.Linear(5, 12)

    def forward(self, x):
        return {"loss": F.mse_loss(self.up(torch.tanh(self.down(x))), x)}


@common.in_directory(LossJob)
def a_loss_of_the_program_on_synthetic_samples(job):
    options = dict(data="synthetic", synthetic_samples=37, batch_size=8, epochs=EPOCHS, shuffle="false", precision="fp64", seed=5, learning_rate=0.05,
                   momentum=0.9, loss="program")
    torch.manual_seed(9)
    model = Autoencoder().double()
    models.export(model, job.directory / "autoencoder.pt2", torch.rand(4, 12, dtype=torch.float64))
    _, found = common.train(job.directory / "run", {}, 2, model=job.directory / "autoencoder.pt2", **options)
    samples, optimizer = Samples(5), torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for begin in [begin for _ in range(EPOCHS) for begin in range(0, 37, 8)]:
        optimizer.zero_grad()
        model(samples.reals(range(begin, min(begin + 8, 37)), (12,), targets=0))["loss"].backward()
        optimizer.step()
    assert common.relative_difference(found, state_of(model)) <= 1e-9
    # Labels have no bound that the program says.
    place = job.directory / "labels"
    given = dict(options, model=job.directory / "loss.pt2", model_dir=place / "m", output_dir=place / "o")
    output = common.run(["train", *(str(part) for name, value in given.items() for part in (f"--{name}", value))], expect=2)
    assert "what integers to give the input targets" in output, output


if __name__ == "__main__":
    common.main(freeze_beside_others, what_would_do_nothing_is_refused, a_job_with_initial_weights_goes_on_from_its_checkpoint,
                predictions_are_of_the_output_that_the_loss_sees, a_loss_of_the_program_beside_others, a_loss_of_the_program_on_synthetic_samples)
