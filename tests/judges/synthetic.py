"""data=synthetic: its samples are those of the formula, and sequences of tokens train as PyTorch trains them; ResNet-50 and
GPT-2 at full size."""

import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import common
import models
from flops import counted_by_lockstep, counted_by_torch
from torch_training import ADAMW, ADAMW_JOB, SGD, SGD_JOB, adamw, sgd, state

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
import programs  # noqa: E402

torch.set_num_threads(1)
BATCH, SAMPLES, STEPS = 8, 44, 20  # five whole batches and one of 4


class Samples:
    """engine/data/SyntheticDataset.h, with splitmix of common/SplitMix.h."""

    ROW = 1 << 20

    def __init__(self, seed):
        self.values = self.mix(seed)
        self.starts = self.mix(self.values)

    @staticmethod
    def mix(value):
        with np.errstate(over="ignore"):
            value = np.uint64(value) + np.uint64(0x9E3779B97F4A7C15)
            value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return value ^ (value >> np.uint64(31))

    def words(self, sample, shape, targets):
        with np.errstate(over="ignore"):
            start = self.mix(self.starts + np.uint64(2 * sample + targets)) % np.uint64(self.ROW)
            k = (start + np.arange(math.prod(shape), dtype=np.uint64)) % np.uint64(self.ROW)
            return self.mix(self.values + k).reshape(shape)

    def below(self, bound, samples, shape, targets):
        words = np.stack([self.words(sample, shape, targets) for sample in samples])
        return torch.tensor((words % np.uint64(bound)).astype(np.int64))

    def reals(self, samples, shape, targets):
        words = np.stack([self.words(sample, shape, targets) for sample in samples])
        parts = sum((words >> np.uint64(16 * part)) & np.uint64(0xFFFF) for part in range(4))
        return torch.tensor((parts.astype(np.float64) - 131070) / math.sqrt((2**32 - 1) / 3))


def pytorch(model, make_optimizer, batch_of):
    """Trains in the data's own order, as shuffle=false does; returns the losses."""
    optimizer, losses, batches = make_optimizer(model), [], math.ceil(SAMPLES / BATCH)
    for step in range(STEPS):
        first = step % batches * BATCH
        inputs, loss_of = batch_of(range(first, min(first + BATCH, SAMPLES)))
        loss = loss_of(model(inputs))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train(directory, model, example, ranks=1, **job):
    models.export(model, directory / "in.pt2", example)
    return common.train(directory, {}, ranks, model=directory / "in.pt2", data="synthetic", synthetic_samples=SAMPLES,
                        batch_size=BATCH, max_steps=STEPS, epochs=STEPS, shuffle="false", precision="fp64", seed=5,
                        log_every=1e-9, **job)[1]


def compare(model, example, make_optimizer, batch_of, **job):
    model = model.double().train()
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        trained = train(directory, model, example, **job)
        reported = [line["train_loss"] for line in common.metrics(directory, "progress")]
    expected = pytorch(model, make_optimizer, batch_of)
    difference = common.relative_difference(trained, state(model))
    tolerance = common.tolerance(steps=STEPS, **job)
    assert difference <= tolerance, f"parameters differ by {difference:.3g}"
    # The first step opens the clock and is not printed.
    printed = expected[1:]
    assert len(reported) == len(printed), (len(reported), len(printed))
    for a, b in zip(reported, printed):
        assert abs(a - b) <= tolerance * abs(b), f"losses {a} and {b}"


GPT = programs.SMALL["gpt2"]


def language_model(tied):
    model = GPT.build()
    if not tied:
        model.head.weight = nn.Parameter(model.head.weight.detach() * 1.5)
    return model


def batch_of_tokens(samples):
    made = Samples(5)
    labels = made.below(GPT.vocabulary, samples, GPT.input, True)
    return made.below(GPT.vocabulary, samples, GPT.input, False), lambda logits: F.cross_entropy(
        logits.flatten(0, 1), labels.flatten())


def language_model_with_adamw():
    compare(language_model(tied=True), GPT.inputs(2), adamw(**ADAMW), batch_of_tokens, **ADAMW_JOB)


def untied_language_model_with_sgd():
    compare(language_model(tied=False), GPT.inputs(2), sgd(**SGD), batch_of_tokens, **SGD_JOB)


def micro_batches_change_nothing():
    compare(language_model(tied=True), GPT.inputs(2), sgd(**SGD), batch_of_tokens, micro_batch_size=3, **SGD_JOB)


def images_and_labels():
    def batch_of(samples):
        labels = Samples(5).below(10, samples, (), True)
        return Samples(5).reals(samples, (1, 8, 8), False), lambda logits: F.cross_entropy(logits, labels)

    compare(models.Residual(), torch.rand(4, 1, 8, 8).double(), sgd(**SGD), batch_of, **SGD_JOB)


def images_and_numbers():
    def batch_of(samples):
        numbers = Samples(5).reals(samples, (10,), True)
        return Samples(5).reals(samples, (1, 8, 8), False), lambda output: F.mse_loss(output, numbers)

    compare(models.Mlp(), torch.rand(4, 1, 8, 8).double(), sgd(lr=0.01), batch_of, loss="mse", optimizer="sgd",
            learning_rate=0.01, momentum=0)


def any_number_of_ranks():
    runs = []
    for ranks in (1, 2, 3):
        with common.temporary_directory() as name:
            runs.append(train(pathlib.Path(name), language_model(tied=True).double(), GPT.inputs(2), ranks, **ADAMW_JOB))
    for run in runs[1:]:
        difference = common.relative_difference(run, runs[0])
        assert difference <= common.tolerance(steps=STEPS, **ADAMW_JOB), f"{difference:.3g}"


def a_builtin_program_needs_nothing_else():
    """Its artifacts are those of any job."""
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        output, _ = common.train(directory, {}, 2, data="synthetic", synthetic_samples=70, epochs=1,
                                 export="pt2,safetensors,saved_model")
        assert "70 samples of 1×28×28, 10 classes" in output, output
        assert {p.name for p in (directory / "model").iterdir()} == common.ARTIFACTS
        plan = common.run(["plan", "--data", "synthetic"], cwd=directory)
        assert "data      synthetic" in plan and "channel" not in plan, plan


def refused(*texts, model=None, example=None, dynamic=None, extra=()):
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        arguments = ["train", "--data", "synthetic", "--model_dir", directory / "model", "--output_dir", directory / "output", *extra]
        if model is not None:
            shapes = (dynamic or {0: torch.export.Dim("batch")},)
            torch.export.save(torch.export.export(model.train(), (example,), dynamic_shapes=shapes), directory / "in.pt2")
            arguments += ["--model", directory / "in.pt2"]
        output = common.run(arguments, expect=2)
        for text in texts:
            assert text in output, f"lacks {text!r}: {output}"


def clear_refusals():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(x.float())

    class Lengths(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(9, 4)

        def forward(self, x):
            return self.table(x)

    integers = torch.ones(2, 4, dtype=torch.int64)
    refused("channel", "train", "data=synthetic", extra=["--channel", "train=/tmp"])
    refused("patience", extra=["--patience", "2"])
    refused("what integers", "embedding", model=Counts(), example=integers)
    refused("what integers", "float32", model=Counts(), example=integers.int())
    refused("dimension 1", "fixed size", model=Lengths(), example=integers,
            dynamic={0: torch.export.Dim("batch"), 1: torch.export.Dim("length")})


# Of one sample forward: 4.09 G multiply-adds; and for each of 16 tokens 2 for each weight of a matrix (the 124 M without those of
# positions, biases and norms) and 4 × 12 layers × 16 tokens × width 768 for attention.
FLOPS = {"resnet50": 2 * 4_089_184_256,
         "gpt2": 16 * (2 * (50257 * 768 + 12 * 12 * 768 * 768) + 4 * 12 * 16 * 768)}


def full_size_programs_train():
    """Two steps of one sample; GPT-2 with short sequences. Their arithmetic is what is known of them."""
    for name, program in {"resnet50": programs.FULL["resnet50"], "gpt2": programs.gpt2(length=16)}.items():
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            model = program.build()
            program.export(directory / "in.pt2", model)
            sizes = {n: p.numel() for n, p in model.named_parameters()}
            full = sum(sizes.values()) + (0 if name == "resnet50" else (1024 - 16) * 768)
            assert full == programs.PARAMETERS[name], (name, full)
            assert counted_by_lockstep(directory / "in.pt2") == counted_by_torch(model, program.inputs(1)) == FLOPS[name], name
            output, _ = common.train(directory, {}, model=directory / "in.pt2", data="synthetic", synthetic_samples=2,
                                     batch_size=1, epochs=1, optimizer="adamw", learning_rate=1e-4, export="none")
            assert f"{sum(sizes.values()):,} parameters" in output, output
            loss = common.metrics(directory, "epoch")[0]["train_loss"]
            classes = program.sizes.get("classes", program.vocabulary)
            assert abs(loss - math.log(classes)) < 2, (name, loss)  # untrained: all classes alike, but for chance


if __name__ == "__main__":
    common.main(language_model_with_adamw, untied_language_model_with_sgd, micro_batches_change_nothing, images_and_labels,
                images_and_numbers, any_number_of_ranks, a_builtin_program_needs_nothing_else, clear_refusals,
                full_size_programs_train)
