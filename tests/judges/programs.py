"""Programs that people bring, of many architectures, trained by the engine and by PyTorch: from the same export, on the same data, losses
and parameters are the same."""

import contextlib
import copy
import dataclasses
import math
import os
import pathlib
import shutil
import sys
import time
from unittest import mock

import numpy as np
import torch
from torch.nn import functional as F

import common
import zoo

SAMPLES, BATCH = 24, 10  # steps of 10, 10 and 4
# In half precision nothing but powers of two divides the loss or multiplies in an update: they round nothing, in whatever order. Otherwise what
# backward begins with, or a weight, differs by a rounding of float32. Now and then another number of half precision comes of that, and sums of them
# that cancel out, as the gradient of a bias before batch norm, make percents of it.
EVEN_BATCH = 16  # steps of 16 and 8
EVEN_JOB, EVEN = dict(optimizer="sgd", learning_rate=2**-4, momentum=0.5, weight_decay=2**-7), dict(lr=2**-4, momentum=0.5, weight_decay=2**-7)
SGD_JOB, SGD = dict(optimizer="sgd", learning_rate=0.05, momentum=0.9, weight_decay=0.01), dict(lr=0.05, momentum=0.9, weight_decay=0.01)
ADAMW_JOB = dict(optimizer="adamw", learning_rate=0.003, beta1=0.8, beta2=0.95, epsilon=1e-4, weight_decay=0.05)
ADAMW = dict(lr=0.003, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05)
SCALE = 256  # of the loss in float16: so little that no step overflows
TYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def loss_of(case, model, at, dtype):
    """Of the samples `at`; and the weight that the program says it is a mean over, else 1."""
    inputs = {name: array[at].to(dtype) if array.is_floating_point() else array[at] for name, array in case.inputs.items()}
    result = model(**inputs, **case.fixed)
    named = (lambda name: result.get(name)) if isinstance(result, dict) else (lambda name: getattr(result, name, None))
    if case.loss == "program":
        return (result[0], 1) if isinstance(result, tuple) else (named("loss"), int(named("weight")) if weighted(case) else 1)
    output = result if torch.is_tensor(result) else named(case.output or "logits")
    output = output.to(dtype)
    if case.loss == "mse":
        return F.mse_loss(output.float() if output.dtype != torch.float64 else output, case.targets[at].to(dtype)), 1
    return F.cross_entropy(output.flatten(0, -2), case.targets[at].flatten()), 1


def pytorch(case, model, optimizer, steps, precision, batch=BATCH):
    """Trains in the data's own order, as shuffle=false does; returns the losses."""
    lower = precision in ("bf16", "fp16")
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, enabled=precision == "fp16")
    dtype = torch.float64 if precision == "fp64" else torch.float32
    losses = []
    # The engine computes all of a program in float64; PyTorch's float() would leave it.
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double) if precision == "fp64" else contextlib.nullcontext():
        for step in range(steps):
            start = step % math.ceil(SAMPLES / batch) * batch
            with torch.autocast("cpu", dtype=TYPES[precision], enabled=lower):
                loss, weight = loss_of(case, model, slice(start, start + batch), dtype)
            optimizer.zero_grad()
            # In half precision from a power of two, as the engine goes backward, which knows the weight of all ranks later.
            factor = weight / 2 ** round(math.log2(weight)) if lower else 1
            scaler.scale(loss * factor).backward()
            for group in optimizer.param_groups if factor != 1 else ():
                for parameter in group["params"]:
                    parameter.grad /= factor
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
    return losses


def state(model):
    """Without what other names stand for."""
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def write_data(case, directory):
    directory.mkdir()
    for name, array in {**case.inputs, **({} if case.targets is None else {"targets": case.targets})}.items():
        np.save(directory / f"{name}.npy", array.numpy())


def lockstep(case, directory, name, steps, batch=BATCH, **job):
    """The trained state, the loss of each step but the first, and the mean of each epoch."""
    where = directory / name
    where.mkdir()
    options = {"output": case.output} if case.output else {}
    output, trained = common.train(where, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=batch, max_steps=steps,
                                   epochs=10, shuffle="false", log_every=1e-9, loss=case.loss, export="safetensors", **options, **job)
    assert ("No other is the loss's weight" in output) == (case.model is zoo.T5), output  # it returns a pair without names
    losses, epochs = ([line["train_loss"] for line in common.metrics(where, event)] for event in ("progress", "epoch"))
    return trained, losses, epochs


def means_of_epochs(case, losses, batch):
    """Over samples, or over the weight that the program returns."""
    count = math.ceil(SAMPLES / batch)
    parts = [slice(step % count * batch, step % count * batch + batch) for step in range(len(losses))]
    weights = [(case.inputs["labels"][at, 1:] != -100).sum().item() if weighted(case) else len(range(SAMPLES)[at]) for at in parts]
    return [np.average(losses[i:i + count], weights=weights[i:i + count]) for i in range(0, len(losses), count)]


def compare(case, model, directory, precision, steps, tolerance, make_optimizer, job):
    model = copy.deepcopy(model).to(torch.float64 if precision == "fp64" else torch.float32)
    wide, before = copy.deepcopy(model), state(copy.deepcopy(model))
    name = f"{precision}-{job['optimizer']}-{steps}"
    batch = EVEN_BATCH if precision in ("bf16", "fp16") else BATCH
    trained, losses, epochs = lockstep(case, directory, name, steps, batch, precision=precision, **job)
    expected = pytorch(case, model, make_optimizer(model.parameters()), steps, precision, batch)
    most = tolerance
    if precision in ("bf16", "fp16"):
        # What autocast changes is little in some models: what has trained in float32 is told from it all the same.
        pytorch(case, wide, make_optimizer(wide.parameters()), steps, "fp32", batch)
        most = min(most, common.relative_difference(state(wide), state(model)) / 2)
    if steps == 1:
        difference = gradient_difference(before, trained, state(model))
    else:
        difference = common.relative_difference(trained, state(model))
    assert difference <= most, f"{name}: parameters differ by {difference:.3g}, at most {most:.3g} was expected"
    # The first step's line opens the clock and is not printed; the first epoch's mean has it.
    for a, b in [*zip(losses, expected[1:], strict=True), *zip(epochs, means_of_epochs(case, expected, batch), strict=True)]:
        assert abs(a - b) <= tolerance * abs(b), f"{name}: losses {a} and {b}"
    return difference


def gradient_difference(before, found, wanted):
    """Of one step of plain SGD. Some gradients are zero but for rounding, as that of a bias before batch norm: what is small beside
    the largest is held against a thousandth of that."""
    norm = lambda array: np.linalg.norm(array.astype(np.float64).ravel())
    names = [name for name in before if before[name].dtype.kind == "f" and not np.array_equal(before[name], wanted[name])]
    largest = max(norm(wanted[name] - before[name]) for name in names)
    return max(norm(found[name] - wanted[name]) / max(norm(wanted[name] - before[name]), largest / 1000) for name in names)


def weighted(case):
    """Losses are means over tokens, not over samples."""
    return case.model is zoo.Gpt2


sgd = lambda parameters: torch.optim.SGD(parameters, **SGD)
adamw = lambda parameters: torch.optim.AdamW(parameters, **ADAMW)


def pytorch_runs_lstm(precision):
    """On CPUs it has none in fp16, and in bf16 where the processor has instructions for it."""
    layer = torch.nn.LSTM(4, 4, batch_first=True)
    try:
        with torch.autocast("cpu", {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]):
            layer(torch.zeros(2, 3, 4))
    except RuntimeError:
        return False
    return True


def judge(name):
    start = time.time()
    torch.set_num_threads(1)
    case = zoo.cases(SAMPLES)[name]
    torch.manual_seed(7)
    model = case.model()
    with common.temporary_directory() as path:
        directory = pathlib.Path(path)
        zoo.export(case, model, directory / "model.pt2")
        exported = time.time() - start
        write_data(case, directory / "train")
        halves = ("bf16", "fp16")
        if "LOCKSTEP_SOAK" not in os.environ:  # one of the two, in turn
            halves = halves[[*zoo.cases(SAMPLES)].index(name) % 2],
        found = [compare(case, model, directory, "fp64", 10, 1e-8, sgd, SGD_JOB), compare(case, model, directory, "fp64", 10, 1e-8, adamw, ADAMW_JOB)]
        # Where a gradient is nothing but rounding, as that of a bias before batch norm, only the same kernels round alike.
        found.append(compare(case, model, directory, "fp32", 1, 1e-4, lambda parameters: torch.optim.SGD(parameters, lr=100.0),
                             dict(optimizer="sgd", learning_rate=100, momentum=0, passes="none")))
        for precision in halves:
            if name == "lstm" and not pytorch_runs_lstm(precision):
                continue
            scale = {"loss_scale": SCALE} if precision == "fp16" else {}
            found.append(compare(case, model, directory, precision, 5, 5e-3, lambda parameters: torch.optim.SGD(parameters, **EVEN),
                                 {**EVEN_JOB, "passes": "none", **scale}))
    return f"{name}: {', '.join(format(value, '.1e') for value in found)}; {time.time() - start:.1f} s, exported in {exported:.1f} s"


def caught(name):
    try:
        return True, judge(name)
    except Exception as error:  # whatever is wrong with one says nothing of the others
        return False, f"{name}: {error}"


def trained_as_pytorch_trains(names=()):
    results = []
    for name in names or zoo.cases(SAMPLES):
        good, text = caught(name)
        print("   " if good else "NOT", text, flush=True)
        results.append(good)
    assert all(results), "not as PyTorch"


def prepared(directory, case, model):
    zoo.export(case, model, directory / "model.pt2")
    write_data(case, directory / "train")


@common.in_directory(pathlib.Path)
def a_loss_with_its_weight_is_exact_over_ranks_and_micro_batches(directory):
    case = zoo.cases(SAMPLES)["gpt2"]
    torch.manual_seed(7)
    prepared(directory, case, case.model())
    job = dict(steps=4, precision="fp64", **SGD_JOB)
    whole, losses, _ = lockstep(case, directory, "whole", **job)
    parts, others, _ = lockstep(case, directory, "parts", micro_batch_size=2, ranks=3, **job)
    difference = max(common.relative_difference(parts, whole), *(abs(a - b) / b for a, b in zip(losses, others)))
    assert difference <= 1e-12, f"{difference:.3g}"


class Words(torch.nn.Module):
    """Its loss is finite where no label counts."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(zoo.VOCABULARY, 6), torch.nn.Linear(6, zoo.VOCABULARY)

    def forward(self, tokens, labels):
        weight = (labels != -100).sum()
        loss = F.cross_entropy(self.head(self.embed(tokens)).flatten(0, 1), labels.flatten(), reduction="sum")
        return {"loss": loss / weight.clamp(min=1), "weight": weight}


@common.in_directory(pathlib.Path)
def a_rank_and_micro_batches_whose_loss_weighs_nothing_add_nothing(directory):
    inputs = zoo.cases(SAMPLES)["gpt2"].inputs
    labels = inputs["labels"].clone()
    labels[:4] = -100  # all that rank 0 of three has of the first step
    case = zoo.Case(Words, {"tokens": inputs["input_ids"], "labels": labels}, loss="program")
    model = Words()
    prepared(directory, case, model)
    model.double()
    whole = pytorch(case, model, sgd(model.parameters()), 4, "fp64")
    for name, options in {"whole": {}, "parts": dict(micro_batch_size=2, ranks=3)}.items():
        trained, losses, _ = lockstep(case, directory, name, 4, precision="fp64", **SGD_JOB, **options)
        assert common.relative_difference(trained, state(model)) <= 1e-12, name
        assert all(abs(a - b) <= 1e-12 * b for a, b in zip(losses, whole[1:], strict=True)), (name, losses, whole)


class Pictures(torch.nn.Module):
    """Of any height and width."""

    def __init__(self):
        super().__init__()
        self.down, self.norm, self.up = torch.nn.Conv2d(3, 6, 3, stride=2, padding=1), torch.nn.BatchNorm2d(6), torch.nn.Conv2d(9, 4, 1)
        self.head = torch.nn.Linear(4, zoo.CLASSES)

    def forward(self, x):
        y = F.max_pool2d(F.relu(self.norm(self.down(x))), 2)
        y = F.interpolate(y, size=x.shape[2:], mode="nearest")
        return self.head(F.relu(self.up(torch.cat((x, y), 1))).mean((2, 3)))


@common.in_directory(pathlib.Path)
def free_dimensions_train_at_other_sizes_than_the_exports(directory):
    """Texts of more and of fewer tokens, and pictures of another height and width."""
    generator = torch.Generator().manual_seed(6)
    tokens = lambda length: torch.randint(zoo.VOCABULARY, (SAMPLES, length), generator=generator)
    pictures = lambda *sizes: torch.randn(SAMPLES, 3, *sizes, generator=generator, dtype=torch.float64)
    long, short, zoos = tokens(11), tokens(5), zoo.cases(SAMPLES)
    cases = {"gpt2": (zoos["gpt2"], dict(inputs={"input_ids": long, "labels": long.masked_fill(long % 5 == 0, -100)})),
             "llama": (zoos["llama"], dict(inputs={"input_ids": short}, targets=short.roll(-1, 1))),
             "pictures": (zoo.Case(Pictures, {"x": pictures(16, 20)}, zoos["resnet18"].targets), dict(inputs={"x": pictures(21, 12)}))}
    for name, (case, other) in cases.items():
        where = directory / name
        where.mkdir()
        torch.manual_seed(7)
        model = case.model()
        if name == "pictures":
            free = {"x": {0: torch.export.Dim("batch"), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}}
            torch.export.save(torch.export.export(model, (case.inputs["x"][:3].float(),), dynamic_shapes=free), where / "model.pt2")
        else:
            zoo.export(case, model, where / "model.pt2")
        case = dataclasses.replace(case, **other)
        write_data(case, where / "train")
        compare(case, model, where, "fp64", 4, 1e-8, sgd, SGD_JOB)


@common.in_directory(pathlib.Path)
def frozen_parameters_keep_their_bits_and_their_batch_norm_goes_on(directory):
    case = zoo.cases(SAMPLES)["resnet18"]
    torch.manual_seed(7)
    model = case.model()
    model.layers[1].requires_grad_(False)  # by the program itself; the rest by the job
    prepared(directory, case, model)
    model.double()
    for name, parameter in model.named_parameters():
        if name.startswith(("conv1", "bn1", "layers.0.")) or name.endswith(".bias"):
            parameter.requires_grad_(False)
    before = state(copy.deepcopy(model))
    checkpoints = directory / "checkpoints"
    job = dict(precision="fp64", freeze="conv1.*,bn1.*,layers.0.*,*.bias", **ADAMW_JOB)
    trained, _, _ = lockstep(case, directory, "whole", 6, ranks=2, checkpoint_dir=checkpoints, checkpoint_every=4, checkpoint_keep=9, **job)
    pytorch_ranks(case, model, adamw([p for p in model.parameters() if p.requires_grad]), 6, 2)
    wanted = state(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert np.array_equal(trained[name], before[name]), name
    assert not np.array_equal(trained["bn1.running_mean"], before["bn1.running_mean"])
    assert common.relative_difference({name: trained[name] for name, p in model.named_parameters()},
                                      {name: wanted[name] for name, p in model.named_parameters()}) <= 1e-8
    from safetensors.numpy import load_file
    saved = load_file(checkpoints / "step-000000004" / "optimizer.safetensors")
    kept = {name.split("/", 1)[1] for name in saved}
    assert kept == {name for name, p in model.named_parameters() if p.requires_grad}, kept
    for newer in checkpoints.glob("step-000000006*"):
        shutil.rmtree(newer)
    resumed, _, _ = lockstep(case, directory, "resumed", 6, ranks=2, checkpoint_dir=checkpoints, **job)
    assert all(np.array_equal(trained[name], resumed[name]) for name in trained)


def pytorch_ranks(case, model, optimizer, steps, ranks):
    """As `pytorch`, in float64, with a batch norm that sees each rank's part alone and statistics that nothing here compares."""
    for step in range(steps):
        start = step % math.ceil(SAMPLES / BATCH) * BATCH
        end = min(start + BATCH, SAMPLES)
        size, first = end - start, 0
        optimizer.zero_grad()
        for rank in range(ranks):
            part = size // ranks + (rank < size % ranks)
            loss, _ = loss_of(case, model, slice(start + first, start + first + part), torch.float64)
            (loss * part / size).backward()
            first += part
        optimizer.step()


class Noise(torch.nn.Module):
    """Its loss is a mean of drops whose own mean is 1."""

    def __init__(self):
        super().__init__()
        self.scale, self.depth, self.dropout = torch.nn.Parameter(torch.ones(())), zoo.StochasticDepth(0.2), torch.nn.Dropout(0.4)

    def forward(self, x):
        ones = torch.ones_like(x) * self.scale
        return {"loss": self.dropout(ones).mean(), "depth": self.depth(ones).mean(dim=1)}


@common.in_directory(pathlib.Path)
def dropout_and_stochastic_depth_drop_as_often_as_they_say(directory):
    samples, numbers, steps = 64, 32, 150
    case = zoo.Case(Noise, {"x": torch.zeros(samples, numbers)}, loss="program")
    prepared(directory, case, Noise())
    for output, p, draws in (("loss", 0.4, samples * numbers), ("depth", 0.2, samples)):
        where = directory / output
        where.mkdir()
        common.train(where, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=samples, max_steps=steps, epochs=steps,
                     eval_every=1000, log_every=1e-9, loss="program", output=output, export="none", learning_rate=1e-12)
        losses = np.array([line["train_loss"] for line in common.metrics(where, "progress")])
        deviation = math.sqrt(p / (1 - p) / draws)  # of one step's loss
        assert abs(losses.mean() - 1) <= 4 * deviation / math.sqrt(len(losses)), (output, losses.mean())
        assert abs(losses.std() / deviation - 1) <= 4 / math.sqrt(2 * len(losses)), (output, losses.std(), deviation)


@common.in_directory(pathlib.Path)
def a_backbone_takes_another_models_weights(directory):
    from safetensors.torch import save_file
    case = zoo.cases(SAMPLES)["cnn1d"]
    torch.manual_seed(7)
    model = case.model()
    prepared(directory, case, model)
    torch.manual_seed(8)
    other = case.model()
    stored = {f"model.{name}": tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor for name, tensor in other.state_dict().items()}
    stored["model.head.weight"] = torch.zeros(7, 16)
    save_file(stored, directory / "other.safetensors")
    job = dict(precision="fp64", initial_weights=directory / "other.safetensors", weight_names="*=model.*", **SGD_JOB)
    common.run(["train", "--model", directory / "model.pt2", "--channel", f"train={directory / 'train'}", "--output_dir", directory / "no",
                "--model_dir", directory / "no", *(part for name, value in job.items() for part in (f"--{name}", value))], expect=2)
    trained, losses, _ = lockstep(case, directory, "partial", 3, initial_weights_match="partial", **job)
    kept = {name: tensor.to(torch.bfloat16) for name, tensor in other.state_dict().items() if name != "head.weight"}
    model.load_state_dict(kept, strict=False)
    model.double()
    expected = pytorch(case, model, sgd(model.parameters()), 3, "fp64")
    assert common.relative_difference(trained, state(model)) <= 1e-8
    assert all(abs(a - b) <= 1e-8 * b for a, b in zip(losses, expected[1:]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trained_as_pytorch_trains(sys.argv[1:])
    else:
        common.main(trained_as_pytorch_trains, a_loss_with_its_weight_is_exact_over_ranks_and_micro_batches,
                    a_rank_and_micro_batches_whose_loss_weighs_nothing_add_nothing, free_dimensions_train_at_other_sizes_than_the_exports,
                    frozen_parameters_keep_their_bits_and_their_batch_norm_goes_on, dropout_and_stochastic_depth_drop_as_often_as_they_say, a_backbone_takes_another_models_weights)
