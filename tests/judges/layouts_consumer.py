"""What TensorFlow says of a SavedModel, as JSON on the last line. Run by layouts.py.

    layouts_consumer.py describe MODEL                       inputs and outputs: name → type, sizes
    layouts_consumer.py run MODEL INPUT FILE.npy OUT.npz [SIGNATURE]   the outputs go to OUT.npz; prints the labels, where the model has them
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[2])
signature = model.signatures[sys.argv[6] if len(sys.argv) > 6 else "serving_default"]
if sys.argv[1] == "describe":
    def of(tensors):
        return {name: (tensor.dtype.name, [-1 if size is None else size for size in tensor.shape]) for name, tensor in tensors.items()}
    print(json.dumps({"inputs": of(signature.structured_input_signature[1]), "outputs": of(signature.structured_outputs)}))
else:
    found = signature(**{sys.argv[3]: tf.constant(np.load(sys.argv[4]))})
    alone = signature(tf.constant(np.load(sys.argv[4])))  # a lone input needs no name
    assert all(np.array_equal(found[name], alone[name]) for name in found)
    texts = {name: tensor.numpy().astype("S") for name, tensor in found.items() if tensor.dtype == tf.string}
    np.savez(sys.argv[5], **{name: tensor.numpy() for name, tensor in found.items()} | texts)
    labels = tf.io.gfile.GFile(model.labels.asset_path.numpy()).read().splitlines() if hasattr(model, "labels") else None
    print(json.dumps({"labels": labels, "signatures": sorted(model.signatures)}))
