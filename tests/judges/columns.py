"""Channels of named arrays: a program with three inputs and two outputs trains, evaluates, exports and resumes as PyTorch does it."""

import functools
import pathlib
import subprocess
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

import common
import models
from torch_training import ADAMW, ADAMW_JOB, adamw, state

torch.set_num_threads(1)
SAMPLES, BATCH, EPOCHS, MEAN, STD = 90, 25, 3, 0.25, 0.5
JOB = dict(precision="fp64", shuffle="false", batch_size=BATCH, epochs=EPOCHS, input_mean=MEAN, input_std=STD, **ADAMW_JOB)


class Joined(nn.Module):
    """Classifies by an image, a row of integers, and a mask that says which of them count; a second output looks on."""

    def __init__(self):
        super().__init__()
        self.conv, self.embed = nn.Conv2d(1, 4, 3, padding=1), nn.Embedding(12, 6)
        self.up, self.head, self.aside = nn.Linear(10, 16), nn.Linear(16, 5), nn.Linear(16, 2)

    def forward(self, image, table, mask):
        pixels = torch.tanh(self.conv(image)).mean((2, 3))
        rows = (self.embed(table) * mask.unsqueeze(-1).to(pixels.dtype)).sum(1)
        hidden = torch.tanh(self.up(torch.cat([pixels, rows], 1)))
        return self.head(hidden), self.aside(hidden)


EXAMPLE = (torch.rand(4, 1, 8, 8), torch.zeros(4, 7, dtype=torch.int64), torch.ones(4, 7, dtype=torch.bool))


@functools.cache
def arrays():
    generator = np.random.default_rng(11)
    return {"image": generator.integers(0, 256, (SAMPLES, 8, 8)).astype(np.uint8),
            "table": generator.integers(0, 12, (SAMPLES, 7)).astype(np.int32),
            "mask": generator.random((SAMPLES, 7)) < 0.7,
            "labels": generator.integers(0, 5, SAMPLES)}


def write_npy(directory, named):
    for name, array in named.items():
        np.save(directory / f"{name}.npy", array)


def write_channel(directory, kind, named):
    directory.mkdir()
    if kind == "npy":
        write_npy(directory, named)
    elif kind == "safetensors":
        save_file(named, directory / "data.safetensors")
    else:
        {"npz": np.savez, "npz, deflated": np.savez_compressed}[kind](directory / "data.npz", **named)


def tensors(at=slice(None)):
    """What the program gets."""
    a = {name: array[at] for name, array in arrays().items()}
    image = (torch.tensor(a["image"]).double() / 255 - MEAN) / STD
    return (image.unsqueeze(1), torch.tensor(a["table"]).long(), torch.tensor(a["mask"])), torch.tensor(a["labels"])


def new_model():
    torch.manual_seed(3)
    return Joined()


@functools.cache
def expected():
    model = new_model().double().train()
    optimizer = adamw(**ADAMW)(model)
    for _ in range(EPOCHS):
        for first in range(0, SAMPLES, BATCH):
            inputs, labels = tensors(slice(first, first + BATCH))
            optimizer.zero_grad()
            F.cross_entropy(model(*inputs)[0], labels).backward()
            optimizer.step()
    return model


def close(a, b):
    return common.relative_difference({"": a.detach().numpy()}, {"": b.detach().numpy()}) <= 1e-9


def three_inputs_and_two_outputs():
    wanted = expected()
    inputs, labels = tensors()
    with torch.no_grad():
        outputs = wanted(*inputs)
    loss, accuracy = F.cross_entropy(outputs[0], labels).item(), (outputs[0].argmax(1) == labels).double().mean().item()
    for kind, ranks in (("npy", 1), ("npz", 3), ("npz, deflated", 1), ("safetensors", 2)):
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            models.export(new_model(), directory / "in.pt2", EXAMPLE)
            write_channel(directory / "data", kind, arrays())
            output, trained = common.train(directory, {"train": directory / "data", "test": directory / "data"}, ranks,
                                           model=directory / "in.pt2", artifact_state="last", **JOB)
            difference = common.relative_difference(trained, state(wanted))
            assert difference <= 1e-9, f"{kind}: parameters differ by {difference:.3g}"
            (final,) = common.metrics(directory, "final")
            assert abs(final["test_loss"] - loss) <= 1e-9 * loss and abs(final["test_accuracy"] - accuracy) < 1e-12, (final, loss, accuracy)
            assert "90 samples of image 1×8×8, table 7, mask 7, 5 classes" in output, output
            program = torch.export.load(directory / "model" / "model.pt2").module()
            assert all(close(a, b) for a, b in zip(program(*inputs), outputs, strict=True))


# The weight of a sample, and of a batch, is divided by: the mean is that of what counts.
def weights_of_samples():
    weights = np.random.default_rng(2).integers(0, 4, SAMPLES).astype(np.float32)
    model = new_model().double().train()
    optimizer = adamw(**ADAMW)(model)
    for _ in range(EPOCHS):
        for first in range(0, SAMPLES, BATCH):
            at = slice(first, first + BATCH)
            inputs, labels = tensors(at)
            weight = torch.tensor(weights[at]).double()
            optimizer.zero_grad()
            ((F.cross_entropy(model(*inputs)[0], labels, reduction="none") * weight).sum() / weight.sum()).backward()
            optimizer.step()
    for ranks in (1, 3):
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            models.export(new_model(), directory / "in.pt2", EXAMPLE)
            write_channel(directory / "data", "npz", {**arrays(), "weight": weights})
            output, trained = common.train(directory, {"train": directory / "data"}, ranks, model=directory / "in.pt2", **JOB)
            assert "5 classes, weighted" in output, output
            difference = common.relative_difference(trained, state(model))
            assert difference <= 1e-9, f"{ranks} ranks: parameters differ by {difference:.3g}"


def other_names_are_mapped():
    names = {"image": "pixels", "table": "words", "mask": "present", "labels": "digit"}
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(new_model(), directory / "in.pt2", EXAMPLE)
        write_channel(directory / "data", "npz", {names[name]: array for name, array in arrays().items()})
        arguments = dict(model=directory / "in.pt2", **JOB)
        _, trained = common.train(directory, {"train": directory / "data"}, **arguments,
                                  columns="image=pixels,table=words,mask=present,target=digit")
        assert common.relative_difference(trained, state(expected())) <= 1e-9
        output = common.run(["train", "--channel", f"train={directory / 'data'}", "--output_dir", directory / "output",
                             "--model", directory / "in.pt2"], expect=2)
        assert "there is digit (int64), pixels (uint8 [8, 8]), present (bool [7]), words (int32 [7])" in output, output


def a_job_goes_on_where_it_was():
    results = []
    for parts in ((EPOCHS,), (1, EPOCHS)):
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            models.export(new_model(), directory / "in.pt2", EXAMPLE)
            write_channel(directory / "data", "npy", arrays())
            for epochs in parts:
                output, trained = common.train(directory, {"train": directory / "data"}, 2, model=directory / "in.pt2",
                                               checkpoint_dir=directory / "checkpoints", **{**JOB, "epochs": epochs})
            assert ("resumed from" in output) == (len(parts) > 1), output
            results.append(trained)
    for name, tensor in results[0].items():
        assert (tensor == results[1][name]).all(), name


def what_does_not_fit_is_refused():
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(new_model(), directory / "in.pt2", EXAMPLE)

        def refused(*texts, columns="", **changed):
            channel = directory / "data"
            write_channel(channel, "npy", {name: array for name, array in {**arrays(), **changed}.items() if array is not None})
            output = common.run(["train", "--channel", f"train={channel}", "--output_dir", directory / "output", "--model",
                                 directory / "in.pt2", *(["--columns", columns] if columns else [])], expect=2)
            for text in texts:
                assert text in output, f"{text!r} is not in:\n{output}"
            for file in channel.iterdir():
                file.unlink()
            channel.rmdir()

        a = arrays()
        refused("nothing feeds the program's input mask", "columns=mask=COLUMN", mask=None)
        refused("there are no targets", "columns=target=COLUMN", labels=None)
        refused("input table takes int64", "table holds float32", table=a["table"].astype(np.float32))
        refused("table.npy: the token of sample 4 is 12", "takes 12 different ones", table=np.where(np.arange(SAMPLES)[:, None] == 4, 12, a["table"]))
        refused("as many samples in each array", "mask.npy 89", mask=a["mask"][:-1])
        refused("'picture'".replace("'", '"') + ", which is no input of the program", "image, table, mask", columns="picture=image")
        refused('says that image is "picture", which is not there', columns="image=picture")
        refused("expected each name once with its column", columns="image")
        refused("numpy.ascontiguousarray", table=np.asfortranarray(a["table"]))
        refused("channel train does not fit", "its input \"image\" takes [", "the column image has [7, 8]", image=a["image"][:, :7].astype(np.float32))


class TwoRows(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(6, 8), nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, second, first):
        hidden = torch.relu(self.left(second) + self.right(first))
        return self.head(hidden), hidden


SERVE = """
import sys, numpy as np, tensorflow as tf
data = np.load(sys.argv[2])
found = tf.saved_model.load(sys.argv[1]).signatures["serving_default"](first=tf.constant(data["first"]), second=tf.constant(data["second"]))
for i in range(2):
    np.testing.assert_allclose(found[f"output_{i}"].numpy(), data[f"output_{i}"], rtol=1e-5, atol=1e-6)
"""


# Rows of numbers by name, with rows of numbers as targets; TensorFlow serves what comes of it.
def tables_give_tables_and_a_saved_model():
    generator = np.random.default_rng(5)
    data = {"first": generator.standard_normal((60, 4)).astype(np.float32), "second": generator.standard_normal((60, 6)).astype(np.float32),
            "y": generator.standard_normal((60, 3)).astype(np.float32)}
    torch.manual_seed(9)
    model = TwoRows()
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(model, directory / "in.pt2", (torch.rand(4, 6), torch.rand(4, 4)))
        write_channel(directory / "data", "safetensors", data)
        _, trained = common.train(directory, {"train": directory / "data"}, 2, model=directory / "in.pt2", loss="mse", batch_size=60,
                                  epochs=1, learning_rate=0.1, momentum=0, export="pt2,safetensors,saved_model")
        F.mse_loss(model(torch.tensor(data["second"]), torch.tensor(data["first"]))[0], torch.tensor(data["y"])).backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        difference = common.relative_difference(trained, state(model))
        assert difference <= common.tolerance("fp32"), f"parameters differ by {difference:.3g}"
        program = torch.export.load(directory / "model" / "model.pt2").module()
        with torch.no_grad():
            outputs = program(torch.tensor(data["second"]), torch.tensor(data["first"]))
        np.savez(directory / "expected.npz", **data, **{f"output_{i}": output.numpy() for i, output in enumerate(outputs)})
        subprocess.run([sys.executable, "-c", SERVE, directory / "model" / "1", directory / "expected.npz"], check=True, timeout=300)


if __name__ == "__main__":
    common.main(three_inputs_and_two_outputs, weights_of_samples, other_names_are_mapped, a_job_goes_on_where_it_was, what_does_not_fit_is_refused,
                tables_give_tables_and_a_saved_model)
