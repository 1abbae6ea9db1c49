"""The SavedModel in TensorFlow's hands: both versions, oneDNN on and off, the command line, and the C++ loader through the C API."""

import ctypes
import os
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


def consume(version, model, inputs, logits, *checks, onednn=True):
    """Runs checks of tensorflow_consumer.py; `inputs` and `logits` are .npy files."""
    result = subprocess.run([VERSIONS[version] / "bin/python3", CONSUMER, model, inputs, logits, *checks], text=True, timeout=600,
                            capture_output=True, env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": str(int(onednn))})
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("ok: TensorFlow " + version) == len(checks), result.stdout


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
    with torch.no_grad():
        logits = torch.export.load(directory / "model" / "model.pt2").module()(x)
    np.save(directory / "inputs.npy", x.numpy())
    np.save(directory / "logits.npy", logits.numpy())
    return directory / "model" / "1", directory / "inputs.npy", directory / "logits.npy"


def tensorflow_computes_the_same():
    for model, checks in (("mlp", ["fine_tune"]), (Residual(), ["fine_tune", "dotted_names", "converts_to_onnx"]), (Tied(), ["dotted_names"]),
                          (Depthwise(), ["converts_to_onnx"])):
        with common.temporary_directory() as directory:
            consume("2.21", *prepared(model, pathlib.Path(directory)), "compare", *checks)


def in_double_precision():
    with common.temporary_directory() as directory:
        consume("2.21", *prepared(Residual(), pathlib.Path(directory), precision="fp64"), "compare")


def the_old_tensorflow_and_the_one_without_onednn():
    with common.temporary_directory() as directory:
        files = prepared("cnn", pathlib.Path(directory))
        consume("2.13", *files, "compare", "fine_tune", "by_position")
        consume("2.21", *files, "compare", "fine_tune", "dotted_names", "by_position", "refuse_damage", "converts_to_tflite",
                onednn=False)
    with common.temporary_directory() as directory:
        files = prepared(Depthwise(), pathlib.Path(directory))
        for version in VERSIONS:
            consume(version, *files, "compare", onednn=False)


def the_command_line_shows_and_runs_it():
    with common.temporary_directory() as directory:
        model, inputs, logits = prepared("cnn", pathlib.Path(directory))
        cli = [PREFIX / "bin/saved_model_cli"]
        shown = subprocess.run([*cli, "show", "--dir", model, "--all"], check=True, capture_output=True, text=True).stdout
        for text in ("serving_default", "inputs['x']", "shape: (-1, 1, 8, 8)", "outputs['output_0']", "tensorflow/serving/predict"):
            assert text in shown, shown
        subprocess.run([*cli, "run", "--dir", model, "--tag_set", "serve", "--signature_def", "serving_default", "--inputs",
                        f"x={inputs}", "--outdir", directory], check=True, capture_output=True)
        common.compare_outputs(np.load(pathlib.Path(directory) / "output_0.npy"), np.load(logits))


class TfOutput(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def the_cpp_loader_serves_it():
    """TF_LoadSessionFromSavedModel is what TensorFlow Serving's loader is: tags, signature, restore operator."""
    with common.temporary_directory() as directory:  # in a process of its own: it loads TensorFlow's libraries
        subprocess.run([sys.executable, __file__, "c_api", *prepared("cnn", pathlib.Path(directory))], check=True)
    with common.temporary_directory() as directory:  # two signatures and an asset, whose path the loader feeds
        directory = pathlib.Path(directory)
        _, pixels = pictures(directory, export="pt2,saved_model")
        x = (torch.tensor(pixels[:7, None]).float() / 255 - 0.4) / 0.3
        with torch.no_grad():
            logits = torch.export.load(directory / "model" / "model.pt2").module()(x)
        np.save(directory / "x.npy", x.numpy())
        np.save(directory / "logits.npy", logits.numpy())
        subprocess.run([sys.executable, __file__, "c_api", directory / "model" / "1", directory / "x.npy", directory / "logits.npy"], check=True)


def run_through_the_c_api(model, inputs, logits):
    inputs, logits = np.load(inputs), np.load(logits)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    libraries = PREFIX / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "tensorflow"
    ctypes.CDLL(libraries / "libtensorflow_framework.so.2", mode=ctypes.RTLD_GLOBAL)
    tf = ctypes.CDLL(libraries / "libtensorflow_cc.so.2")
    for name in ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName", "AllocateTensor",
                 "TensorData"):
        getattr(tf, "TF_" + name).restype = ctypes.c_void_p
    tf.TF_Message.restype = ctypes.c_char_p
    status, graph = ctypes.c_void_p(tf.TF_NewStatus()), ctypes.c_void_p(tf.TF_NewGraph())

    def succeed():
        assert tf.TF_GetCode(status) == 0, tf.TF_Message(status).decode()

    tags = (ctypes.c_char_p * 1)(b"serve")
    session = ctypes.c_void_p(tf.TF_LoadSessionFromSavedModel(ctypes.c_void_p(tf.TF_NewSessionOptions()), None, model.encode(), tags, 1,
                                                              graph, None, status))
    succeed()
    dims = (ctypes.c_int64 * inputs.ndim)(*inputs.shape)
    given = ctypes.c_void_p(tf.TF_AllocateTensor(1, dims, inputs.ndim, ctypes.c_size_t(inputs.nbytes)))
    ctypes.memmove(tf.TF_TensorData(given), np.ascontiguousarray(inputs).ctypes.data, inputs.nbytes)
    feed = TfOutput(tf.TF_GraphOperationByName(graph, b"serving_default_x"), 0)
    fetch = TfOutput(tf.TF_GraphOperationByName(graph, b"StatefulPartitionedCall"), 0)
    fetched = ctypes.c_void_p()
    tf.TF_SessionRun(session, None, ctypes.byref(feed), ctypes.byref(given), 1, ctypes.byref(fetch), ctypes.byref(fetched), 1, None, 0,
                     None, status)
    succeed()
    output = np.empty_like(logits)
    ctypes.memmove(output.ctypes.data, tf.TF_TensorData(fetched), output.nbytes)
    common.compare_outputs(output, logits)


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
    if sys.argv[1:2] == ["c_api"]:
        run_through_the_c_api(*sys.argv[2:])
    else:
        common.main(tensorflow_computes_the_same, in_double_precision, the_old_tensorflow_and_the_one_without_onednn,
                    the_command_line_shows_and_runs_it, the_cpp_loader_serves_it, what_it_cannot_hold_is_refused_at_the_start)
