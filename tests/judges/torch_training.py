"""A program that Python exported, trained by the engine, against the same model trained by PyTorch: losses and parameters."""

import pathlib

import torch
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


def compare(make_model, make_optimizer, tolerance, steps=STEPS, precision="fp64", loss="cross_entropy", clip=0.0, smoothing=0.0, **job):
    torch.manual_seed(7)
    model = make_model().to(torch.float64 if precision == "fp64" else torch.float32)
    pixels, labels = common.images(200, seed=3)  # 12 whole batches and one of 8
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(model, directory / "model.pt2")
        common.write_channel(directory / "train", pixels, labels)
        _, trained = common.train(
            directory, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=BATCH, max_steps=steps,
            epochs=10, eval_every=100, shuffle="false", precision=precision, loss=loss, log_every=1e-9,
            **({"clip_norm": clip} if clip else {}), **({"label_smoothing": smoothing} if smoothing else {}), **job)
        reported = [line["train_loss"] for line in common.metrics(directory, "progress")]
        last_epoch = common.metrics(directory, "epoch")[-1]["train_loss"]
    expected = pytorch(model, pixels, labels, make_optimizer, steps, precision, loss, clip, smoothing)
    difference = common.relative_difference(trained, state(model))
    assert difference <= tolerance, f"parameters differ by {difference:.3g}"
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
ADAMW_JOB = dict(optimizer="adamw", learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-7, weight_decay=0.05)
ADAMW = dict(lr=0.01, betas=(0.8, 0.95), eps=1e-7, weight_decay=0.05)


def mlp_with_sgd_momentum():
    compare(models.Mlp, sgd(**SGD), 1e-9, **SGD_JOB)


def mlp_with_nesterov_and_clipping():
    compare(models.Mlp, sgd(**SGD, nesterov=True), 1e-9, clip=0.05, nesterov="true", **SGD_JOB)


def mlp_with_plain_sgd():
    compare(models.Mlp, sgd(lr=0.1), 1e-9, optimizer="sgd", learning_rate=0.1, momentum=0)


def mlp_with_adamw():
    compare(models.Mlp, adamw(**ADAMW), 1e-9, **ADAMW_JOB)


def residual_with_sgd_momentum():
    compare(models.Residual, sgd(**SGD), 1e-9, **SGD_JOB)


def residual_with_adamw():
    compare(models.Residual, adamw(**ADAMW), 1e-9, **ADAMW_JOB)


def transformer_with_adamw():
    compare(models.Transformer, adamw(**ADAMW), 1e-9, export="pt2,safetensors", **ADAMW_JOB)


def tied_parameters_with_adamw():
    compare(models.Tied, adamw(**ADAMW), 1e-9, **ADAMW_JOB)


def groups(model, base):
    biases = [p for n, p in model.named_parameters() if n.endswith(".bias")]
    head = [model.head.weight]
    rest = [p for p in model.parameters() if not any(p is q for q in biases + head)]
    return [{"params": biases, "weight_decay": 0.0}, {"params": head, "lr": 5 * base, "weight_decay": 0.2}, {"params": rest}]


GROUPS = [{"match": "*.bias", "weight_decay": 0}, {"match": "head.*", "weight_decay": 0.2, "learning_rate_factor": 5}]


def parameter_groups_with_sgd():
    compare(models.Residual, lambda model: torch.optim.SGD(groups(model, SGD["lr"]), **SGD), 1e-9, parameter_groups=GROUPS, **SGD_JOB)


def parameter_groups_with_adamw():
    compare(models.Residual, lambda model: torch.optim.AdamW(groups(model, ADAMW["lr"]), **ADAMW), 1e-9,
            parameter_groups=GROUPS, **ADAMW_JOB)


def a_group_keeps_the_jobs_weight_decay():
    factor = lambda model: [{"params": [model.fc2.weight], "lr": 2 * SGD["lr"]},
                            {"params": [p for p in model.parameters() if p is not model.fc2.weight]}]
    compare(models.Mlp, lambda model: torch.optim.SGD(factor(model), **SGD), 1e-9,
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
    compare(models.Mlp, lambda model: Lamb(model.parameters(), **ADAMW), 1e-9, **{**ADAMW_JOB, "optimizer": "lamb"})


def label_smoothing():
    compare(models.Mlp, sgd(**SGD), 1e-9, smoothing=0.1, **SGD_JOB)


def micro_batches_change_nothing():
    compare(models.Mlp, adamw(**ADAMW), 1e-9, micro_batch_size=5, **ADAMW_JOB)


def first_fp32_step():
    for model in (models.Mlp, models.Residual, models.Tied):
        compare(model, sgd(**SGD), 1e-5, steps=1, precision="fp32", **SGD_JOB)


# Not exact: PyTorch takes the loss's mean where the engine divides a sum, and the low precision shows it.
def bf16_and_fp16_follow_autocast():
    for precision in ("bf16", "fp16"):
        for model in (models.Mlp, models.Residual):
            compare(model, sgd(**SGD), 2e-3, steps=10, precision=precision, passes="none", **SGD_JOB)
        compare(models.Mlp, adamw(**ADAMW), 2e-3, steps=10, precision=precision, passes="none", **ADAMW_JOB)
        compare(models.Mlp, sgd(**SGD), 2e-3, steps=10, precision=precision, clip=0.05, passes="none", **SGD_JOB)


class Regression(models.Mlp):
    def forward(self, x):
        return super().forward(x)[:, :1]


def mean_squared_error():
    compare(Regression, sgd(lr=0.01), 1e-9, loss="mse", optimizer="sgd", learning_rate=0.01, momentum=0)


if __name__ == "__main__":
    common.main(mlp_with_sgd_momentum, mlp_with_nesterov_and_clipping, mlp_with_plain_sgd, mlp_with_adamw,
                residual_with_sgd_momentum, residual_with_adamw, transformer_with_adamw, tied_parameters_with_adamw,
                parameter_groups_with_sgd,
                parameter_groups_with_adamw, a_group_keeps_the_jobs_weight_decay, micro_batches_change_nothing, first_fp32_step,
                bf16_and_fp16_follow_autocast, mean_squared_error, lamb, label_smoothing)
