"""What TensorFlow says of SavedModels. Asked by layouts.py:

    describe, MODEL                                  inputs and outputs: name → type, sizes
    run, MODEL, INPUT, FILE.npy, OUT.npz, SIGNATURE  the outputs go to OUT.npz; says the labels, where the model has them
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import tensorflow as tf

import common


def describe(model):
    def of(tensors):
        return {name: (tensor.dtype.name, [-1 if size is None else size for size in tensor.shape]) for name, tensor in tensors.items()}

    signature = tf.saved_model.load(model).signatures["serving_default"]
    return {"inputs": of(signature.structured_input_signature[1]), "outputs": of(signature.structured_outputs)}


def run(path, name, file, output, signature="serving_default"):
    model = tf.saved_model.load(path)
    function, given = model.signatures[signature], tf.constant(np.load(file))
    found = function(**{name: given})
    alone = function(given)  # a lone input needs no name
    assert all(np.array_equal(found[name], alone[name]) for name in found)
    texts = {name: tensor.numpy().astype("S") for name, tensor in found.items() if tensor.dtype == tf.string}
    np.savez(output, **{name: tensor.numpy() for name, tensor in found.items()} | texts)
    labels = tf.io.gfile.GFile(model.labels.asset_path.numpy()).read().splitlines() if hasattr(model, "labels") else None
    return {"labels": labels, "signatures": sorted(model.signatures)}


if __name__ == "__main__":
    common.answer(lambda what, *arguments: {"describe": describe, "run": run}[what](*arguments))
