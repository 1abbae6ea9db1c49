"""Runs what Lockstep exports beside what its peers export of the same model, where models are served: ONNX in ONNX Runtime beside
torch.onnx.export (dynamo), SavedModel in TensorFlow beside a Keras model of the same architecture, at batches of 1 and 32.

    run.py [MODEL...]    resnet50, mobilenet_v3, bert, vit; all of them without a MODEL

It needs onnxscript, torchvision and transformers beside what docker/install.sh brings: they may lie in a directory of PYTHONPATH. Models
are at full size with random weights; transformers' and torchvision's own classes make them. Each pair is loaded in one process and runs by
turns, so that a slow minute of the machine meets both; a ratio is the peer's median over ours: above 1, ours is faster.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from report import BIN, ROOT, environment, print_table, write_json  # noqa: E402

BATCHES = (1, 32)
SEQUENCE = 128
LEAST_RUNS, SECONDS = 7, 12  # of each pair and batch: at least so many runs of both, and about so long
KERAS = {"resnet50": "ResNet50", "mobilenet_v3": "MobileNetV3Large"}


def module(name):
    import torch
    torch.manual_seed(1)
    if name in ("resnet50", "mobilenet_v3"):
        import torchvision
        return getattr(torchvision.models, {"mobilenet_v3": "mobilenet_v3_large"}.get(name, name))(weights=None)
    import transformers
    if name == "bert":
        config = transformers.BertConfig(num_labels=2, attn_implementation="sdpa")
        inner = transformers.BertForSequenceClassification(config)

        class Bert(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, input_ids, attention_mask):
                return self.inner(input_ids, attention_mask).logits
        return Bert()
    import torchvision
    return torchvision.models.vit_b_16(weights=None)


def inputs(name, batch):
    """By name, as NumPy has them: the same for all contenders."""
    import numpy
    generator = numpy.random.default_rng(batch)
    if name == "bert":
        return {"input_ids": generator.integers(0, 30522, (batch, SEQUENCE)), "attention_mask": numpy.ones((batch, SEQUENCE), numpy.int64)}
    return {"x": generator.standard_normal((batch, 3, 224, 224), dtype=numpy.float32)}


def export(name, directory):
    """Leaves ours and the peer's of a model."""
    import torch
    model = module(name)
    names = list(inputs(name, 2))
    examples = tuple(torch.tensor(array) for array in inputs(name, 2).values())
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes = tuple({0: batch} for _ in names)
    torch.export.save(torch.export.export(model.train(), examples, dynamic_shapes=shapes if name != "bert" else dict(zip(names, shapes))), directory / "in.pt2")
    subprocess.run([BIN / "lockstep", "export", directory / "in.pt2", "--export", "saved_model,onnx", "-o", directory / "ours"], check=True, stdout=subprocess.DEVNULL)
    torch.onnx.export(model.eval(), examples, directory / "peer.onnx", dynamo=True, external_data=False, input_names=names,
                      dynamic_shapes=shapes if name != "bert" else dict(zip(names, shapes)), verbose=False)


def export_keras(name, directory):
    import tensorflow as tf
    model = getattr(tf.keras.applications, KERAS[name])(weights=None, **({"include_preprocessing": False} if name == "mobilenet_v3" else {}))
    model.export(str(directory / "peer"), verbose=False)


def turns(ours, peer):
    """Medians of both in milliseconds, run by turns."""
    for run in (ours, peer) * 2:
        run()
    times = {ours: [], peer: []}
    start = time.monotonic()
    while len(times[ours]) < LEAST_RUNS or time.monotonic() - start < SECONDS:
        for run in (ours, peer):
            begin = time.perf_counter()
            run()
            times[run].append(1000 * (time.perf_counter() - begin))
    medians = [statistics.median(times[run]) for run in (ours, peer)]
    return {"ours_ms": medians[0], "peer_ms": medians[1], "ratio": medians[1] / medians[0], "runs": len(times[ours])}


def in_onnx_runtime(name, directory):
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    sessions = [onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                for path in (directory / "ours" / "model.onnx", directory / "peer.onnx")]
    for batch in BATCHES:
        given = inputs(name, batch)
        found = [session.run(None, {entry.name: array for entry, array in zip(session.get_inputs(), given.values())})[0] for session in sessions]
        worst = float(numpy.abs(found[0] - found[1]).max() / (numpy.abs(found[1]).max() + 1e-30))
        assert worst < 1e-3, f"{name}: ours and the peer's differ by {worst:.1e}"
        ours, peer = (lambda session=session: session.run(None, {entry.name: array for entry, array in zip(session.get_inputs(), given.values())}) for session in sessions)
        yield {"model": name, "runtime": "onnxruntime", "batch": batch, **turns(ours, peer), "difference": worst}


def in_tensorflow(name, directory):
    import tensorflow as tf
    export_keras(name, directory)
    ours = tf.saved_model.load(str(directory / "ours" / "1")).signatures["serving_default"]
    peer = tf.saved_model.load(str(directory / "peer")).signatures["serving_default"]
    for batch in BATCHES:
        array = next(iter(inputs(name, batch).values()))
        mine, theirs = tf.constant(array), tf.constant(array.transpose(0, 2, 3, 1))
        yield {"model": name, "runtime": "tensorflow", "batch": batch,
               **turns(lambda: [each.numpy() for each in ours(mine).values()], lambda: [each.numpy() for each in peer(theirs).values()])}


def child(step, name, directory):
    """A step in a process of its own: TensorFlow and PyTorch are not loaded together."""
    result = subprocess.run([sys.executable, __file__, "--step", step, "--directory", directory, name], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})
    if result.returncode != 0:
        sys.exit(f"{step} of {name} failed")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"model"')]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["resnet50", "mobilenet_v3", "bert", "vit"])
    parser.add_argument("--step", choices=("export", "onnx", "tensorflow"), help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "benchmarks" / "serving.json")
    arguments = parser.parse_args()
    if arguments.step == "export":
        return export(arguments.models[0], arguments.directory)
    if arguments.step:
        for row in (in_onnx_runtime if arguments.step == "onnx" else in_tensorflow)(arguments.models[0], arguments.directory):
            print(json.dumps(row), flush=True)
        return None
    rows = []
    for name in arguments.models:
        with tempfile.TemporaryDirectory(prefix="lockstep-serving-") as directory:
            child("export", name, directory)
            rows += child("onnx", name, directory)
            if name in KERAS:
                rows += child("tensorflow", name, directory)
    print_table([{"model": row["model"], "runtime": row["runtime"], "batch": str(row["batch"]), "ours": f"{row['ours_ms']:.1f} ms",
                  "peer": f"{row['peer_ms']:.1f} ms", "ratio": f"{row['ratio']:.2f}"} for row in rows])
    write_json(arguments.output, environment=environment("torch", "onnxruntime", "tensorflow-cpu"), rows=rows)
    return None


if __name__ == "__main__":
    main()
