"""What TensorFlow computes with SavedModels. Run by serving.py in a process of its own: TensorFlow and PyTorch are not loaded together.

    serving_consumer.py DIRECTORY MODEL...

Inputs and outputs are .npz files where there are such, as of the old version, which has no safetensors."""

import os
import pathlib
import sys
import traceback

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import tensorflow as tf

TOLERANCE = 1e-4  # of a number, relative to itself and to what is usual in its output


def difference(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype, (found.shape, found.dtype, expected.shape, expected.dtype)
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite], equal_nan=expected.dtype.kind == "f"), (found, expected)
    found, expected = found[finite], expected[finite]
    if expected.dtype.kind != "f":
        assert np.array_equal(found, expected), (found, expected)
    if expected.dtype.kind != "f" or not expected.size:
        return 0.0
    size = np.median(np.abs(expected))
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected) + size, np.finfo(expected.dtype).tiny)))


def tensors(file):
    """By name, and what the model is called."""
    if file.with_suffix(".npz").exists():
        return dict(np.load(file.with_suffix(".npz"))), None
    from safetensors import safe_open
    with safe_open(file, "numpy") as found:
        return {key: found.get_tensor(key) for key in found.keys()}, (found.metadata() or {}).get("name")


def worst(directory):
    """The largest difference of any output, and what the model is called."""
    model = tf.saved_model.load(str(directory / "model" / "1"))
    signature = model.signatures["serving_default"]
    differences, name = [], directory.name
    for file in sorted(directory.glob("inputs*.safetensors")):
        inputs, called = tensors(file)
        name = called or name
        found = signature(**{key: tf.constant(array) for key, array in inputs.items()})
        expected, _ = tensors(file.with_name(file.name.replace("inputs", "outputs")))
        assert found.keys() == expected.keys(), (found.keys(), expected.keys())
        differences += [difference(found[key].numpy(), expected[key]) for key in expected]
    assert differences, name
    return max(differences), name


if __name__ == "__main__":
    good = True
    for name in sys.argv[2:]:
        try:
            most, name = worst(pathlib.Path(sys.argv[1]) / name)
            fine, text = most <= TOLERANCE, f"{most:.1e}"
        except Exception as error:
            fine, text = False, traceback.format_exc(limit=1) + str(error)[:2000]
        good = good and fine
        print(f"  {'as the program' if fine else 'NOT as the program'}: {name}, oneDNN {os.environ.get('TF_ENABLE_ONEDNN_OPTS', '1')}: {text}", flush=True)
    sys.exit(0 if good else 1)
