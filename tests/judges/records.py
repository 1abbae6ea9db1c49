"""Files of records: a program trains from TensorFlow's TFRecords and from SageMaker's RecordIO as it does from .npz."""

import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import torch

import common
import models

SAMPLES, EPOCHS = 150, 2
JOB = dict(precision="fp64", batch_size=20, epochs=EPOCHS, optimizer="sgd", learning_rate=0.1, momentum=0.9, seed=5)

# With TensorFlow in a process of its own: it and PyTorch need not share one.
TFRECORDS = """
import sys, numpy as np, tensorflow as tf
data, kind, directory = np.load(sys.argv[1]), sys.argv[2], sys.argv[3]
half = len(data["y"]) // 3
for part, at in enumerate((range(half), range(half, len(data["y"])))):
    with tf.io.TFRecordWriter(f"{directory}/train.tfrecord-{part:05}-of-00002", kind if kind == "GZIP" else None) as writer:
        for i in at:
            floats = lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values))
            texts = lambda *values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
            example = tf.train.Example(features=tf.train.Features(feature={
                "x": floats(data["x"][i].ravel()), "weight": floats([data["weight"][i]]), "name": texts(b"n" * (i + 1)),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[data["y"][i]])),
                "image": texts(tf.io.encode_jpeg(np.full((4, 4, 1), i, np.uint8)).numpy()), "nothing": texts()}))
            writer.write(example.SerializeToString())
"""

# The SDK's writer asks SciPy whether a matrix is sparse, and it for its rows; SciPy itself is not installed beside it.
RECORDIO = """
import sys, types, numpy as np
from sagemaker.amazon.common import write_numpy_to_dense_tensor, write_spmatrix_to_sparse_tensor
data, kind, directory = np.load(sys.argv[1]), sys.argv[2], sys.argv[3]
half, x = len(data["y"]) // 3, data["x"]

class Sparse:
    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def tocsr(self):
        return self

    def getrow(self, i):
        (indices,) = self.array[i].nonzero()
        return types.SimpleNamespace(data=self.array[i][indices], indices=indices)

sys.modules["scipy"] = types.SimpleNamespace(sparse=types.SimpleNamespace(issparse=lambda matrix: isinstance(matrix, Sparse)))
for part, at in (("a", slice(half)), ("b", slice(half, None))):
    with open(f"{directory}/{part}.pbr", "wb") as file:
        if kind == "sparse":
            write_spmatrix_to_sparse_tensor(file, Sparse(x[at]), data["y"][at])
        else:
            write_numpy_to_dense_tensor(file, x[at], data["y"][at])
"""


@functools.cache
def arrays():
    generator = np.random.default_rng(4)
    x = generator.standard_normal((SAMPLES, 64)).astype(np.float32) * (generator.random((SAMPLES, 64)) < 0.5)
    x[7] = 0
    return {"x": x, "y": generator.integers(0, 10, SAMPLES), "weight": generator.integers(1, 4, SAMPLES).astype(np.float32)}


def trained(directory, channel, ranks, **job):
    torch.manual_seed(3)
    models.export(models.Mlp(), directory / "in.pt2", (torch.rand(4, 64),))
    output, parameters = common.train(directory, {"train": channel}, ranks, model=directory / "in.pt2", **JOB, **job)
    assert f"{SAMPLES} samples" in output, output
    return parameters


@functools.cache
def expected(*names):
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        (directory / "data").mkdir()
        np.savez(directory / "data" / "data.npz", **{name: arrays()[name] for name in names})
        return trained(directory, directory / "data", 1)


def compare(python, script, kind, names):
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        (directory / "data").mkdir()
        np.savez(directory / "arrays.npz", **arrays())
        subprocess.run([python, "-c", script, directory / "arrays.npz", kind, directory / "data"], check=True, timeout=300,
                       env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""})
        for ranks in (1, 3):
            (directory / str(ranks)).mkdir()
            difference = common.relative_difference(trained(directory / str(ranks), directory / "data", ranks), expected(*names))
            assert difference <= (1e-9 if ranks > 1 else 0), f"{kind}, {ranks} ranks: parameters differ by {difference:.3g}"


def tfrecords():
    compare(sys.executable, TFRECORDS, "plain", ("x", "y", "weight"))


def tfrecords_in_gzip():
    compare(sys.executable, TFRECORDS, "GZIP", ("x", "y", "weight"))


def recordio():
    compare(os.environ["LOCKSTEP_SDK2"], RECORDIO, "dense", ("x", "y"))


def sparse_recordio():
    compare(os.environ["LOCKSTEP_SDK2"], RECORDIO, "sparse", ("x", "y"))


if __name__ == "__main__":
    common.main(tfrecords, tfrecords_in_gzip, recordio, sparse_recordio)
