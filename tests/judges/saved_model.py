"""The SavedModel in TensorFlow's hands: both versions, oneDNN on and off, the command line, and the C++ loader through the C API."""

import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import torch

import common
import models
from layouts import pictures

warnings.filterwarnings("ignore", message="The given buffer is not writable")
PREFIX = pathlib.Path(sys.prefix)
VERSIONS = {"2.21": PREFIX, "2.13": PREFIX / "tensorflow-2.13"}
CONSUMER = pathlib.Path(__file__).with_name("tensorflow_consumer.py")


def consume(version, files, *checks, onednn=True):
    """Runs checks of tensorflow_consumer.py on what `prepared` has returned."""
    for check in checks:
        found = common.ask(VERSIONS[version] / "bin/python3", CONSUMER, check, *files, TF_ENABLE_ONEDNN_OPTS=str(int(onednn)))
        assert found.startswith("TensorFlow " + version), found


class Residual(models.Residual):
    """Padded and ceiling pools, sums in place, a residual whose two sides meet as images, and a mean over them."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(6 * 2 * 2, 10)

    def forward(self, x):
        x = torch.relu(self.norm1(self.stem(x)))
        x = torch.nn.functional.max_pool2d(x, 3, 2, 1) + torch.nn.functional.max_pool2d(x, 2, 2, ceil_mode=True)
        y = self.norm2(self.conv(x))
        y += x
        y = torch.nn.functional.adaptive_avg_pool2d(torch.relu_(y), 2) + y.mean((2, 3), keepdim=True)
        return self.head(torch.nn.functional.dropout(y.flatten(1), 0.1, self.training))


class Tied(torch.nn.Module):
    """Two names of one parameter, batch norm without images, a frozen parameter, and linear layers over more than a batch."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Linear(8, 8, bias=False)
        self.again = torch.nn.Linear(8, 8)
        self.again.weight = self.embed.weight
        self.norm = torch.nn.BatchNorm1d(64)
        self.rows = torch.nn.BatchNorm1d(8, affine=False)
        self.head = torch.nn.Linear(64, 10)
        self.head.bias.requires_grad_(False)

    def forward(self, x):
        x = self.rows(torch.relu(self.embed(x.view(x.size(0), 8, 8))))
        return self.head(self.norm(torch.relu(self.again(x)).reshape(-1, 64)))


class Depthwise(torch.nn.Module):
    """Grouped, dilated and strided convolutions with bias and with a batch norm used twice, a head that is a convolution of one pixel,
    biases of other shapes, a flattened image changed in place, a mask, and a constant that is not finite."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.norm = torch.nn.BatchNorm2d(6, eps=0.1)
        self.grouped = torch.nn.Conv2d(6, 6, 3, padding=1, groups=3, bias=False)
        self.depthwise = torch.nn.Conv2d(6, 12, 3, padding=2, dilation=2, groups=6)
        self.head = torch.nn.Conv2d(12, 11, (3, 1), padding=(1, 0))
        self.flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU(inplace=True))
        self.weight = torch.nn.Parameter(torch.eye(11))
        self.biases = torch.nn.ParameterList([torch.zeros(()), torch.ones(1), torch.ones(1, 11)])
        self.register_buffer("mask", torch.tensor([0.0] * 10 + [-1e9]))
        self.register_buffer("infinite", torch.full((11,), -torch.inf))

    def forward(self, x):
        x = torch.relu(self.norm(self.grouped(self.norm(self.stem(x)))))
        x = self.flat(torch.nn.functional.adaptive_avg_pool2d(self.head(torch.relu(self.depthwise(x))), 1))
        for bias in self.biases:
            x = torch.nn.functional.linear(x, self.weight, bias)
        return x.view(-1, 11) + self.mask + torch.relu(self.infinite)


def prepared(model, directory, precision="fp32"):
    """Trains it; returns the SavedModel, and the inputs and PyTorch's logits as .npy files."""
    pixels, labels = common.images(300, seed=2)
    common.write_channel(directory / "train", pixels, labels)
    if isinstance(model, torch.nn.Module):
        models.export(model, directory / "in.pt2")
        model = directory / "in.pt2"
    common.train(directory, {"train": directory / "train"}, 2, model=model, epochs=1, batch_size=32,
                 export="pt2,saved_model", precision=precision)
    x = torch.tensor(pixels).to(torch.float64 if precision == "fp64" else torch.float32).div(255).unsqueeze(1)
    return with_logits(directory, x)


def with_logits(directory, x):
    with torch.no_grad():
        logits = torch.export.load(directory / "model" / "model.pt2").module()(x)
    np.save(directory / "inputs.npy", x.numpy())
    np.save(directory / "logits.npy", logits.numpy())
    return directory / "model" / "1", directory / "inputs.npy", directory / "logits.npy"


def tensorflow_computes_the_same():
    for model, checks in (("mlp", ["fine_tune"]), (Residual(), ["fine_tune", "dotted_names", "converts_to_onnx"]), (Tied(), ["dotted_names"])):
        with common.temporary_directory() as directory:
            consume("2.21", prepared(model, pathlib.Path(directory)), "compare", *checks)


def in_double_precision():
    with common.temporary_directory() as directory:
        consume("2.21", prepared(Residual(), pathlib.Path(directory), precision="fp64"), "compare")


@common.in_directory(pathlib.Path)
def convolutions_of_every_kind(directory):
    files = prepared(Depthwise(), directory)
    consume("2.21", files, "compare", "converts_to_onnx")
    for version in VERSIONS:
        consume(version, files, "compare", onednn=False)


@common.in_directory(pathlib.Path)
def a_model_in_the_hands_of_all(directory):
    """The old TensorFlow and the one without oneDNN, the command line, and the C++ loader."""
    files = prepared("cnn", directory)
    consume("2.13", files, "compare", "fine_tune", "by_position")
    consume("2.21", files, "compare", "fine_tune", "dotted_names", "by_position", "refuse_damage", "converts_to_tflite", onednn=False)
    consume("2.21", files, "command_line")
    other = directory / "other"  # two signatures and an asset, whose path the loader feeds
    other.mkdir()
    _, pixels = pictures(other, export="pt2,saved_model")
    x = (torch.tensor(pixels[:7, None]).float() / 255 - 0.4) / 0.3
    subprocess.run([sys.executable, pathlib.Path(__file__).with_name("tensorflow_c_api.py"), *files, *with_logits(other, x)], check=True)


class ReadThroughAnotherName(torch.nn.Module):
    """A write into a flattened image that the image shows."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.head = torch.nn.Linear(256, 10)

    def forward(self, x):
        x = self.conv(x)
        x.flatten(1).add_(1.0)
        return self.head(x.flatten(1))


class Inverse(models.Mlp):
    """With operators that TensorFlow's formats have no place for."""

    def forward(self, x):
        return super().forward(torch.erfinv(x)) + torch.lgamma(torch.relu(torch.erfinv(x)).sum() + 1)


def what_it_cannot_hold_is_refused_at_the_start():
    """By operator and source line, before anything is written; without the format, the job runs."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(ReadThroughAnotherName(), directory / "in.pt2")
        pixels, labels = common.images(40, seed=2)
        common.write_channel(directory / "train", pixels, labels)
        output = common.run(["train", "--channel", f"train={directory / 'train'}", "--model", directory / "in.pt2", "--model_dir",
                             directory / "model", "--output_dir", directory / "output"], expect=2)
        for text in ("aten.add_.Tensor", "saved_model.py", "changes in place what is read later"):
            assert text in output, output
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Inverse(), directory / "in.pt2")
        pixels, labels = common.images(40, seed=2)
        common.write_channel(directory / "train", pixels, labels)
        job = ["train", "--channel", f"train={directory / 'train'}", "--model", directory / "in.pt2", "--model_dir", directory / "model",
               "--output_dir", directory / "output", "--max_steps", 1]
        output = common.run(job, expect=2)
        for text in ("aten.erfinv.default", "saved_model.py", "Leave saved_model out of the hyperparameter export"):
            assert text in output, output
        assert not (directory / "model").exists()
        inspected = common.run(["inspect", directory / "in.pt2"])
        assert "saved_model" in inspected and "no: operator torch.ops.aten.erfinv.default" in inspected, inspected
        assert re.search(r"^ +pt2  safetensors  saved_model  onnx  torchscript", inspected, re.MULTILINE), inspected
        for operator, calls, cells in (("erfinv.default", 2, "yes yes no no yes"), ("lgamma.default", 1, "yes yes no no yes"),
                                       ("relu.default", 1, "yes yes yes yes yes"), ("linear.default", 2, "yes yes yes yes yes")):
            row = re.search(rf"^operator +torch\.ops\.aten\.{operator} +× (\d+) +(.*)$", inspected, re.MULTILINE)
            assert row and int(row[1]) >= calls and " ".join(row[2].split()) == cells, (operator, inspected)
        common.run([*job, "--export", "pt2,safetensors"])


if __name__ == "__main__":
    common.main(tensorflow_computes_the_same, in_double_precision, convolutions_of_every_kind, a_model_in_the_hands_of_all,
                what_it_cannot_hold_is_refused_at_the_start)
