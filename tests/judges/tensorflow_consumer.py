"""What TensorFlow makes of SavedModels. Asked CHECK, MODEL, INPUTS.npy, LOGITS.npy by saved_model.py, in processes of both versions:
TensorFlow and PyTorch are not loaded together. Answers which version it is."""

import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import tensorflow as tf

import common


def serve(model):
    """The signature as a function of one input: clients call it by name."""
    signature = model.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    return lambda x: signature(**{name: tf.constant(x)})["output_0"]


def compare(path, inputs, logits):
    """The engine's logits and predictions, at batches of 1, 7 and 1000."""
    function = serve(tf.saved_model.load(path))
    for batch in (1, 7, 1000):
        count = min(len(inputs), 200 * batch)
        ours = np.concatenate([function(inputs[i:i + batch]).numpy() for i in range(0, count, batch)])[:count]
        common.compare_outputs(ours, logits[:len(ours)])


def fine_tune(path, inputs, logits):
    """Three steps lower the loss; the model can be saved again, and what is loaded from there agrees."""
    model = tf.saved_model.load(path)
    function = serve(model)
    variables = model.signatures["serving_default"].trainable_variables
    assert variables, "nothing is trainable"
    x, labels = inputs[:64], tf.constant((logits[:64].argmax(1) + 1) % logits.shape[1])
    losses = []
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, function(x)))
        losses.append(loss.numpy())
        gradients = tape.gradient(loss, variables)
        assert all(gradient is not None for gradient in gradients)
        for variable, gradient in zip(variables, gradients):
            variable.assign_sub(0.02 * gradient)
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0], losses
    with tempfile.TemporaryDirectory() as again:
        tf.saved_model.save(model, again, signatures=dict(model.signatures))
        loaded = tf.saved_model.load(again)
        common.compare_outputs(serve(loaded)(x).numpy(), function(x).numpy())


def refuse_damage(path, inputs, logits):
    """TensorFlow, too, notices a flipped byte, a missing shard and a truncated index."""
    def flip(file):
        data = bytearray(file.read_bytes())
        data[1000] ^= 1
        file.write_bytes(data)

    damages = {"variables.data-00000-of-00001": (flip, pathlib.Path.unlink),
               "variables.index": (lambda file: file.write_bytes(file.read_bytes()[:-10]),)}
    for name, kinds in damages.items():
        for damage in kinds:
            with tempfile.TemporaryDirectory() as copy:
                broken = pathlib.Path(copy) / "1"
                shutil.copytree(path, broken)
                damage(broken / "variables" / name)
                try:
                    tf.saved_model.load(str(broken))
                except Exception:
                    continue
                raise AssertionError(f"TensorFlow loads a model whose {name} is damaged")


def dotted_names(path, inputs, logits):
    """Variables are found as attributes of the modules they belong to, under the names that the program gives them."""
    model = tf.saved_model.load(path)
    for variable in model.signatures["serving_default"].variables:
        found = model
        for part in variable.name.split(":")[0].split("."):
            found = getattr(found, part)
        assert found.shape == variable.shape and np.array_equal(found.numpy(), variable.numpy())


def by_position(path, inputs, logits):
    """A program of one input can be called without its name: the signature itself, and Keras 3's layer around it."""
    x = tf.constant(inputs[:7])
    model = tf.saved_model.load(path)
    found = [model.signatures["serving_default"](x)["output_0"]]
    if hasattr(tf.keras.layers, "TFSMLayer"):  # since Keras 3
        found.append(tf.keras.layers.TFSMLayer(path, call_endpoint="serving_default")(x)["output_0"])
    for output in found:
        common.compare_outputs(np.asarray(output), logits[:7])


def converts_to_tflite(path, inputs, logits):
    """TensorFlow Lite's converter takes it, and its interpreter gives the same."""
    lite = tf.lite.TFLiteConverter.from_saved_model(path).convert()
    interpreter = tf.lite.Interpreter(model_content=lite)
    (name,) = interpreter.get_signature_list()["serving_default"]["inputs"]
    for batch in (1, 7):
        found = interpreter.get_signature_runner("serving_default")(**{name: inputs[:batch]})["output_0"]
        common.compare_outputs(found, logits[:batch])


def converts_to_onnx(path, inputs, logits):
    """tf2onnx takes it, and ONNX Runtime gives the same."""
    import onnxruntime
    import tf2onnx.convert
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "model.onnx")
        sys.argv[1:] = ["--saved-model", path, "--output", file]
        tf2onnx.convert.main()
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (name,) = [each.name for each in session.get_inputs()]
    for batch in (1, 7):
        common.compare_outputs(session.run(["output_0"], {name: inputs[:batch]})[0], logits[:batch])


def command_line(path, inputs, logits):
    """saved_model_cli, as it starts itself, shows the signature and runs it."""
    from tensorflow.python.tools import saved_model_cli

    def printed(*arguments):
        sys.argv = ["saved_model_cli", *arguments]
        with contextlib.redirect_stdout(io.StringIO()) as text:
            try:
                saved_model_cli.main()
            except SystemExit as ended:
                assert not ended.code, (arguments, ended.code)
        return text.getvalue()

    shown = printed("show", "--dir", path, "--all")
    for text in ("serving_default", "inputs['x']", "shape: (-1, 1, 8, 8)", "outputs['output_0']", "tensorflow/serving/predict"):
        assert text in shown, shown
    with tempfile.TemporaryDirectory() as directory:
        np.save(os.path.join(directory, "x.npy"), inputs)
        printed("run", "--dir", path, "--tag_set", "serve", "--signature_def", "serving_default", "--inputs", f"x={directory}/x.npy", "--outdir", directory)
        common.compare_outputs(np.load(os.path.join(directory, "output_0.npy")), logits)


def checked(check, path, inputs, logits):
    globals()[check](path, np.load(inputs), np.load(logits))
    return f"TensorFlow {tf.__version__}"


if __name__ == "__main__":
    common.answer(checked)
