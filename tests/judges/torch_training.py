"""A program that Python exported, trained by the engine, against the same model trained by PyTorch: losses and parameters."""

import copy
import functools
import math
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import common
import models

torch.set_num_threads(1)
BATCH, STEPS = 16, 30


PRECISIONS = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pytorch(model, pixels, labels, make_optimizer, steps, precision, loss="cross_entropy", clip=0.0, smoothing=0.0):
    """Trains in the data's own order, as shuffle=false does; returns the losses."""
    dtype = next(model.parameters()).dtype
    optimizer = make_optimizer(model)
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "fp16")
    losses = []
    batches = (len(pixels) + BATCH - 1) // BATCH
    for step in range(steps):
        at = slice(step % batches * BATCH, (step % batches + 1) * BATCH)
        x = torch.tensor(pixels[at], dtype=torch.float64).div(255).to(dtype).unsqueeze(1)
        y = torch.tensor(labels[at])
        with torch.autocast("cpu", dtype=PRECISIONS[precision], enabled=precision in ("bf16", "fp16")):
            output = model(x)
        output = output.to(dtype)
        value = F.cross_entropy(output, y.long(), label_smoothing=smoothing) if loss == "cross_entropy" else F.mse_loss(output.squeeze(1), y.to(dtype))
        optimizer.zero_grad()
        scaler.scale(value).backward()
        if clip:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
        losses.append(value.item())
    return losses


def state(model):
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def difference_of(model, losses, other, other_losses):
    return max(common.relative_difference(state(model), state(other)), *(abs(a - b) / abs(b) for a, b in zip(losses, other_losses)))


def compare(make_model, make_optimizer, steps=STEPS, precision="fp64", loss="cross_entropy", clip=0.0, smoothing=0.0,
            make_exported=None, tolerance=None, share=1 / 8, **job):
    """Without a tolerance: that of the precision; under autocast this share of what autocast itself changes."""
    torch.manual_seed(7)
    model = make_model().to(torch.float64 if precision == "fp64" else torch.float32)
    exported = model
    if make_exported:
        torch.manual_seed(7)
        exported = make_exported()
    pixels, labels = common.images(200, seed=3)  # 12 whole batches and one of 8
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(exported, directory / "model.pt2")
        common.write_channel(directory / "train", pixels, labels)
        _, trained = common.train(
            directory, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=BATCH, max_steps=steps,
            epochs=10, eval_every=100, shuffle="false", precision=precision, loss=loss, log_every=1e-9,
            **({"clip_norm": clip} if clip else {}), **({"label_smoothing": smoothing} if smoothing else {}), **job)
        reported = [line["train_loss"] for line in common.metrics(directory, "progress")]
        last_epoch = common.metrics(directory, "epoch")[-1]["train_loss"]
    full = copy.deepcopy(model)
    expected = pytorch(model, pixels, labels, make_optimizer, steps, precision, loss, clip, smoothing)
    if precision in ("bf16", "fp16"):
        in_full = pytorch(full, pixels, labels, make_optimizer, steps, "fp32", loss, clip, smoothing)
        tolerance = share * difference_of(model, expected, full, in_full)
    elif tolerance is None:
        tolerance = common.tolerance(precision, steps, **job)
    difference = common.relative_difference(trained, state(model))
    assert difference <= tolerance, f"parameters differ by {difference:.3g}, at most {tolerance:.3g} was expected"
    # The first step's line opens the clock and is not printed; the epoch's mean has it.
    assert len(reported) == steps - 1
    sizes = [min(BATCH, 200 - step % 13 * BATCH) for step in range(steps)]
    start = (steps - 1) // 13 * 13
    mean = sum(a * b for a, b in zip(expected[start:], sizes[start:])) / sum(sizes[start:])
    for a, b in [*zip(reported, expected[1:]), (last_epoch, mean)]:
        assert abs(a - b) <= tolerance * abs(b), f"losses {a} and {b}"


def sgd(**options):
    return lambda model: torch.optim.SGD(model.parameters(), **options)


def adamw(**options):
    return lambda model: torch.optim.AdamW(model.parameters(), **options)


SGD_JOB = dict(optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01)
SGD = dict(lr=0.1, momentum=0.9, weight_decay=0.01)
ADAMW_JOB = dict(optimizer="adamw", learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-4, weight_decay=0.05)
ADAMW = dict(lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05)


def mlp_with_sgd_momentum():
    compare(models.Mlp, sgd(**SGD), **SGD_JOB)


def mlp_with_nesterov_and_clipping():
    compare(models.Mlp, sgd(**SGD, nesterov=True), clip=0.05, nesterov="true", **SGD_JOB)


def mlp_with_plain_sgd():
    compare(models.Mlp, sgd(lr=0.1), optimizer="sgd", learning_rate=0.1, momentum=0)


def mlp_with_adamw():
    compare(models.Mlp, adamw(**ADAMW), **ADAMW_JOB)


def residual_with_sgd_momentum():
    compare(models.Residual, sgd(**SGD), **SGD_JOB)


def residual_with_adamw():
    compare(models.Residual, adamw(**ADAMW), **ADAMW_JOB)


def transformer_with_adamw():
    compare(models.Transformer, adamw(**ADAMW), export="pt2,safetensors", **ADAMW_JOB)


def tied_parameters_with_adamw():
    compare(models.Tied, adamw(**ADAMW), **ADAMW_JOB)


def groups(model, base):
    biases = [p for n, p in model.named_parameters() if n.endswith(".bias")]
    head = [model.head.weight]
    rest = [p for p in model.parameters() if not any(p is q for q in biases + head)]
    return [{"params": biases, "weight_decay": 0.0}, {"params": head, "lr": 5 * base, "weight_decay": 0.2}, {"params": rest}]


GROUPS = [{"match": "*.bias", "weight_decay": 0}, {"match": "head.*", "weight_decay": 0.2, "learning_rate_factor": 5}]


def parameter_groups_with_sgd():
    compare(models.Residual, lambda model: torch.optim.SGD(groups(model, SGD["lr"]), **SGD), parameter_groups=GROUPS, **SGD_JOB)


def parameter_groups_with_adamw():
    compare(models.Residual, lambda model: torch.optim.AdamW(groups(model, ADAMW["lr"]), **ADAMW),
            parameter_groups=GROUPS, **ADAMW_JOB)


def a_group_keeps_the_jobs_weight_decay():
    factor = lambda model: [{"params": [model.fc2.weight], "lr": 2 * SGD["lr"]},
                            {"params": [p for p in model.parameters() if p is not model.fc2.weight]}]
    compare(models.Mlp, lambda model: torch.optim.SGD(factor(model), **SGD),
            parameter_groups=[{"match": "fc2.weight", "learning_rate_factor": 2}], **SGD_JOB)


class Lamb(torch.optim.Optimizer):
    """You et al. 2020, algorithm 2 with the identity for phi, written out."""

    def __init__(self, parameters, **options):
        super().__init__(parameters, options)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                state["m"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                state["v"].mul_(beta2).add_(p.grad.square(), alpha=1 - beta2)
                m, v = state["m"] / (1 - beta1 ** state["t"]), state["v"] / (1 - beta2 ** state["t"])
                u = m / (v.sqrt() + group["eps"]) + group["weight_decay"] * p
                ratio = p.norm() / u.norm() if p.norm() > 0 and u.norm() > 0 else 1.0
                p.sub_(lr * ratio * u)


def lamb():
    compare(models.Mlp, lambda model: Lamb(model.parameters(), **ADAMW), **{**ADAMW_JOB, "optimizer": "lamb"})


def label_smoothing():
    compare(models.Mlp, sgd(**SGD), smoothing=0.1, **SGD_JOB)


def micro_batches_change_nothing():
    compare(models.Mlp, adamw(**ADAMW), micro_batch_size=5, **ADAMW_JOB)


def first_fp32_step():
    for model in (models.Mlp, models.Residual, models.Tied):
        compare(model, sgd(**SGD), steps=1, precision="fp32", **SGD_JOB)


# Not exact: PyTorch takes the loss's mean where the engine divides a sum, and the low precision shows it. Few steps: where
# roundings fall on other sides, batch norm soon makes as much of it as of the precision.
def bf16_and_fp16_follow_autocast():
    for precision in ("bf16", "fp16"):
        compare(models.Residual, sgd(**SGD), steps=3, precision=precision, passes="none", **SGD_JOB)
        compare(models.Mlp, sgd(**SGD), steps=10, precision=precision, passes="none", **SGD_JOB)
        compare(models.Mlp, adamw(**ADAMW), steps=10, precision=precision, passes="none", **ADAMW_JOB)
        compare(models.Mlp, sgd(**SGD), steps=10, precision=precision, clip=0.05, passes="none", **SGD_JOB)


# `.float()` and `.to(x.dtype)`: the program holds the type that each had at export, and a check of what it found there. In
# float64 all of it is float64; autocast leaves float32 what was converted to it.
def conversions_of_type():
    wide = functools.partial(models.Converting, wide=torch.float64)
    compare(wide, sgd(**SGD), make_exported=models.Converting, **SGD_JOB)
    compare(wide, adamw(**ADAMW), make_exported=models.Converting, **ADAMW_JOB)
    compare(models.Converting, sgd(**SGD), precision="fp32", steps=1, **SGD_JOB)
    recorded = functools.partial(models.Converting, back=torch.float32)
    for precision in ("bf16", "fp16"):
        compare(recorded, sgd(**SGD), steps=10, precision=precision, passes="none", make_exported=models.Converting, **SGD_JOB)
        # The way back is to the type of what came in, bf16 where PyTorch runs the model and float32 in the program: apart by
        # some roundings to bf16, as bf16 is from float32.
        compare(models.Converting, sgd(**SGD), steps=10, precision=precision, passes="none", share=8, **SGD_JOB)


# Exported in float64, a conversion to float32 is one; sums that differ in float64's last bit may round to the next float32.
def conversions_of_a_program_in_double():
    compare(models.Converting, sgd(**SGD), steps=1, tolerance=common.tolerance("fp32"), **SGD_JOB)


class Regression(models.Mlp):
    def forward(self, x):
        return super().forward(x)[:, :1]


def mean_squared_error():
    compare(Regression, sgd(lr=0.01), loss="mse", optimizer="sgd", learning_rate=0.01, momentum=0)


# Inputs and targets of two dimensions each, told apart by the names of their files; and targets of three.
def rows_of_numbers_give_rows_and_tables():
    generator = np.random.default_rng(4)
    numbers = generator.standard_normal((90, 6)).astype(np.float32)
    for target, layers in {(3,): (), (2, 3): (nn.Unflatten(1, (2, 3)),)}.items():
        torch.manual_seed(7)
        model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, math.prod(target)), *layers).double()
        wanted = generator.standard_normal((90, *target))
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            models.export(model, directory / "model.pt2", torch.rand(4, 6).double())
            common.write_channel(directory / "train", numbers, wanted)
            job = dict(loss="mse", batch_size=30, epochs=4, optimizer="sgd", learning_rate=0.05, momentum=0)
            _, trained = common.train(directory, {"train": directory / "train"}, model=directory / "model.pt2", shuffle="false",
                                      precision="fp64", **job)
            if target == (3,):  # a built-in model takes its width from them
                _, built_in = common.train(directory, {"train": directory / "train"}, model="mlp", **job)
                assert built_in["fc2.weight"].shape == (3, 128), built_in["fc2.weight"].shape
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for step in range(12):
            at = slice(step % 3 * 30, (step % 3 + 1) * 30)
            optimizer.zero_grad()
            F.mse_loss(model(torch.tensor(numbers[at]).double()), torch.tensor(wanted[at])).backward()
            optimizer.step()
        difference = common.relative_difference(trained, state(model))
        assert difference <= common.tolerance(steps=12), f"{target}: parameters differ by {difference:.3g}"


class Recurrent(nn.Module):
    """The exporter misstates the sizes of an LSTM's last states."""

    def __init__(self, last_state):
        super().__init__()
        self.lstm, self.fc, self.last_state = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10), last_state

    def forward(self, x):
        sequence, (last, _) = self.lstm(x.squeeze(1))
        return self.fc(last[-1] if self.last_state else sequence[:, -1])


def recurrent_layers():
    for last_state in (False, True):
        compare(lambda: Recurrent(last_state), sgd(**SGD), steps=10, **SGD_JOB)


# One sample alone leaves an output without dimensions.
def outputs_without_dimensions():
    generator = np.random.default_rng(5)
    numbers, wanted = generator.standard_normal((41, 6)), generator.standard_normal(41)
    torch.manual_seed(7)
    model = Squeezing().double()
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(model, directory / "model.pt2", torch.rand(4, 6).double())
        common.write_channel(directory / "train", numbers, wanted)
        _, trained = common.train(directory, {"train": directory / "train", "test": directory / "train"}, model=directory / "model.pt2",
                                  shuffle="false", precision="fp64", loss="mse", batch_size=10, epochs=2, optimizer="sgd",
                                  learning_rate=0.05, momentum=0, eval_batch_size=20, export="pt2,safetensors")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(10):
        at = slice(step % 5 * 10, (step % 5 + 1) * 10)
        optimizer.zero_grad()
        F.mse_loss(model(torch.tensor(numbers[at])).reshape(-1), torch.tensor(wanted[at])).backward()
        optimizer.step()
    difference = common.relative_difference(trained, state(model))
    assert difference <= common.tolerance(steps=10), f"parameters differ by {difference:.3g}"


class Squeezing(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        return self.fc(x).squeeze()


if __name__ == "__main__":
    common.main(mlp_with_sgd_momentum, mlp_with_nesterov_and_clipping, mlp_with_plain_sgd, mlp_with_adamw,
                residual_with_sgd_momentum, residual_with_adamw, transformer_with_adamw, tied_parameters_with_adamw,
                parameter_groups_with_sgd,
                parameter_groups_with_adamw, a_group_keeps_the_jobs_weight_decay, micro_batches_change_nothing, first_fp32_step,
                bf16_and_fp16_follow_autocast, conversions_of_type, conversions_of_a_program_in_double, mean_squared_error, rows_of_numbers_give_rows_and_tables,
                recurrent_layers, outputs_without_dimensions, lamb, label_smoothing)
