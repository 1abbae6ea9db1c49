"""The ONNX model in the hands of ONNX's checker and of ONNX Runtime: small models of every architecture, after a step of training, at
batches of 1, 2 and 7, with optimisations off and on, against the same trained program in PyTorch. Prints a table."""

import collections
import functools
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.utils import _pytree

import common
import models
import programs
import zoo
from onnx_consumer import compare, consume, session

warnings.filterwarnings("ignore", message="The given buffer is not writable")
BATCHES = (1, 2, 7)
# Operators as they are written, and what ONNX Runtime's optimizer makes of them.
FUSED = {"bert": ({"LayerNormalization": 5, "Gelu": 2, "Softmax": 2, "MatMul": 16},
                  {"LayerNormalization": 5, "BiasGelu": 2, "Gelu": 0, "Softmax": 2, "MatMul": 14, "FusedMatMul": 2, "Attention": 0}),
         "gpt2": ({"LayerNormalization": 5, "Softmax": 2, "MatMul": 13},
                  {"LayerNormalization": 5, "Softmax": 2, "MatMul": 9, "FusedMatMul": 2, "Attention": 0})}
OLD = pathlib.Path(sys.prefix) / "onnxruntime-1.19" / "bin" / "python3"


def image_case(model):
    pixels, labels = common.images(programs.SAMPLES, seed=2)
    return zoo.Case(lambda: model, {"x": torch.tensor(pixels).double().div(255).unsqueeze(1)}, torch.tensor(labels).long())


@functools.cache
def cases():
    small = {type(model).__name__.lower(): image_case(model)
             for model in (models.Mlp(), models.Residual(), models.Transformer(), models.Tied(), models.Converting())}
    return {**zoo.cases(programs.SAMPLES), **small}


KEPT = common.temporary_directory()


@functools.cache
def trained(name, precision, artifact="onnx"):
    """Trains a step; returns the directory of the artifacts, and what PyTorch reads there."""
    case, directory = cases()[name], pathlib.Path(KEPT.name) / f"{name}-{precision}-{artifact}"
    directory.mkdir()
    torch.manual_seed(7)
    zoo.export(case, case.model(), directory / "in.pt2")
    programs.write_data(case, directory / "train")
    options = {"output": case.output} if case.output else {}
    common.train(directory, {"train": directory / "train"}, model=directory / "in.pt2", max_steps=1, batch_size=programs.BATCH, loss=case.loss,
                 learning_rate=0.01, export=f"pt2,safetensors,{artifact}", precision=precision, **options)
    return directory / "model", torch.export.load(directory / "model" / "model.pt2")


def outputs(program, inputs, fixed):
    with torch.no_grad():
        result = program(**inputs, **fixed)
    return [leaf.numpy() for leaf in _pytree.tree_leaves(result) if torch.is_tensor(leaf)]


def batches(case, dtype=torch.float32):
    for batch in BATCHES:
        yield {name: array[:batch].to(dtype) if array.is_floating_point() else array[:batch] for name, array in case.inputs.items()}


def judge(name, precision="fp32"):
    """Returns the largest difference, and how many nodes the model has."""
    artifacts, program = trained(name, precision)
    path = artifacts / "model.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)), check_type=True, strict_mode=True, data_prop=True)
    module = program.module()
    worst = 0.0
    for optimized in (False, True):
        runtime = session(path, optimized)
        for inputs in batches(cases()[name], programs.TYPES[precision]):
            given = {key: array.numpy() for key, array in inputs.items()}
            worst = max(worst, compare(runtime.run(None, given), outputs(module, inputs, cases()[name].fixed)))
    return worst, len(model.graph.node)


def every_model_computes_the_same(names=()):
    wrong = []
    print(f"    {'model':16} {'ONNX':>5}  {'difference':>10}  nodes")
    for name in names or cases():
        try:
            worst, nodes = judge(name)
            print(f"    {name:16} {'yes':>5}  {worst:10.1e}  {nodes}", flush=True)
        except Exception as error:  # as above
            wrong.append(name)
            print(f"    {name:16} {'no':>5}  {error}", flush=True)
    assert not wrong, f"not in ONNX: {', '.join(wrong)}"


def in_the_old_version(directories):
    """Each has model.onnx, and .npz files as onnx_consumer.py wants them."""
    run = [OLD, pathlib.Path(__file__).with_name("onnx_consumer.py"), *directories]
    result = subprocess.run(run, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0 and f"ONNX Runtime 1.19.2: {len(directories)} right" in result.stdout, result.stdout + result.stderr


def every_operator_computes_what_libtorch_computes():
    """The table of operators and their edges, tests/support/PrimitiveCases.h, in both versions."""
    from safetensors.numpy import load_file
    wrong = []
    with common.temporary_directory() as directory:
        subprocess.run([common.BIN / "judge_onnx", "cases", directory], check=True)
        cases = sorted(path.parent for path in pathlib.Path(directory).glob("*/model.onnx"))
        assert len(cases) > 100, cases
        for case in cases:
            for batch in case.glob("*.safetensors"):
                np.savez(batch.with_suffix(".npz"), **load_file(batch))
            try:
                onnx.checker.check_model(str(case / "model.onnx"), full_check=True)
                consume(case, finite=False)
            except Exception as error:  # whatever is wrong with one says nothing of the others
                wrong.append(case.name)
                print(f"    {case.name}: {error}", flush=True)
        assert not wrong, f"{len(wrong)} are wrong: {', '.join(wrong)}"
        # The old version's layer norm takes the variance as a difference of squares, which rounds where numbers are almost equal.
        # Its erf is wrong for what is no number, and a reduction of no elements ends it by a signal.
        beyond = ("random", "numbers that are not finite", "rows of nothing")
        in_the_old_version([case for case in cases if not case.name.startswith(beyond)])
    print(f"    {len(cases)} operators and edges")


def in_double_precision():
    """ONNX Runtime's convolutions are of float32 only: there the model converts, and the bound is float32's."""
    for name in ("mlp", "residual", "transformer"):
        judge(name, "fp64")


def says_what_it_is():
    """Names of inputs, outputs and dimensions, parameters under their dotted names, tied ones, and properties."""
    from safetensors.numpy import load_file
    artifacts, program = trained("bert", "fp32")
    model, state = onnx.load(str(artifacts / "model.onnx")), load_file(artifacts / "model.safetensors")
    for tensor in model.graph.initializer:
        if tensor.name in state:
            assert np.array_equal(numpy_helper.to_array(tensor), state[tensor.name]), tensor.name
    assert {t.name for t in model.graph.initializer} >= state.keys(), state.keys() - {t.name for t in model.graph.initializer}
    sizes = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    assert sizes.keys() == cases()["bert"].inputs.keys() and sizes["input_ids"][0] == sizes["labels"][0] == "batch", sizes
    length = next(str(node.meta["val"].shape[1]) for node in program.graph.nodes if node.name == "input_ids")
    assert re.fullmatch("s[0-9]+", length) and sizes["input_ids"] == sizes["attention_mask"] == ["batch", length], (sizes, length)
    returned = {o.name: [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output}
    assert returned["logits"] == ["batch", zoo.CLASSES] and returned["hidden_states.0"] == ["batch", length, 8], returned
    assert [o.name for o in model.graph.output][:2] == ["loss", "logits"], model.graph.output
    about = {p.key: p.value for p in model.metadata_props}
    assert model.producer_name == "Lockstep" and about["program"], about
    shapes = sum(node.op_type == "Shape" for node in model.graph.node)
    assert shapes <= 2, f"{shapes} sizes are computed"  # of the batch and of the sequence, for the mask
    model = onnx.load(str(trained("tied", "fp32")[0] / "model.onnx"))
    about = {p.key: p.value for p in model.metadata_props}
    assert about["tied:again.weight"] == "embed.weight" and "again.weight" not in {t.name for t in model.graph.initializer}, about


def onnx_runtime_fuses_what_it_can():
    """What its optimizer makes of layer norms, GELU and attention, as docs/onnx.md says."""
    import onnxruntime
    for name, (plain, optimized) in FUSED.items():
        with common.temporary_directory() as directory:
            path, file = trained(name, "fp32")[0] / "model.onnx", pathlib.Path(directory, "optimized.onnx")
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            options.optimized_model_filepath = str(file)
            options.log_severity_level = 3
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            written, fused = (collections.Counter(node.op_type for node in onnx.load(str(each)).graph.node) for each in (path, file))
            assert {op: written[op] for op in plain} == plain, (name, written)
            assert {op: fused[op] for op in optimized} == optimized, (name, fused)


def other_sequence_lengths():
    """The second dimension is open where the export left it open."""
    for name in ("gpt2", "llama"):
        case, (artifacts, program) = cases()[name], trained(name, "fp32")
        module, runtime = program.module(), session(artifacts / "model.onnx", True)
        for length in (3, 5, 7):
            inputs = {key: array[:3, :length] if key in case.lengths else array[:3] for key, array in case.inputs.items()}
            compare(runtime.run(None, {key: array.numpy() for key, array in inputs.items()}), outputs(module, inputs, case.fixed))


def the_old_onnx_runtime():
    names = ("resnet18", "bert", "swin", "gru")
    for name in names:
        artifacts, program = trained(name, "fp32")
        module = program.module()
        for i, inputs in enumerate(batches(cases()[name])):
            wanted = {f"output_{k}": each for k, each in enumerate(outputs(module, inputs, cases()[name].fixed))}
            np.savez(artifacts / f"{i}.npz", **{key: array.numpy() for key, array in inputs.items()}, **wanted)
    in_the_old_version([trained(name, "fp32")[0] for name in names])


def data_in_a_file_beside():
    """As large models have it; here by an own program, at any size."""
    with common.temporary_directory() as directory:
        artifacts, program = trained("resnet18", "fp32")
        path = pathlib.Path(directory) / "model.onnx"
        subprocess.run([common.BIN / "judge_onnx", "data", artifacts / "model.pt2", directory], check=True)
        assert path.stat().st_size < 100_000 < path.with_suffix(".onnx.data").stat().st_size
        onnx.checker.check_model(str(path), full_check=True)
        runtime, module, case = session(path, True), program.module(), cases()["resnet18"]
        for inputs in batches(case):
            given = {name: array.numpy() for name, array in inputs.items()}
            compare(runtime.run(None, given), outputs(module, inputs, case.fixed))


class Unwritable(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.lgamma(x.flatten(1) + 1))


def what_it_cannot_hold_is_refused_at_the_start():
    """By operator and source line, before anything is written; without the format, the job runs."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Unwritable(), directory / "in.pt2")
        pixels, labels = common.images(40, seed=2)
        common.write_channel(directory / "train", pixels, labels)
        job = ["train", "--channel", f"train={directory / 'train'}", "--model", directory / "in.pt2", "--model_dir", directory / "model",
               "--output_dir", directory / "output", "--max_steps", 1]
        output = common.run([*job, "--export", "pt2,onnx"], expect=2)
        for text in ("aten.lgamma.default", "onnx_runtime.py", "Leave onnx out of the hyperparameter export"):
            assert text in output, output
        assert not (directory / "model").exists()
        inspected = common.run(["inspect", directory / "in.pt2"])
        assert re.search(r"artifact +onnx +no: .*aten\.lgamma", inspected), inspected
        common.run([*job, "--export", "pt2"])


if __name__ == "__main__":
    if sys.argv[1:] == ["operators"]:
        every_operator_computes_what_libtorch_computes()
    elif len(sys.argv) > 1:
        every_model_computes_the_same(sys.argv[1:])
    else:
        common.main(every_operator_computes_what_libtorch_computes, every_model_computes_the_same, in_double_precision, says_what_it_is,
                    onnx_runtime_fuses_what_it_can, other_sequence_lengths, the_old_onnx_runtime, data_in_a_file_beside, what_it_cannot_hold_is_refused_at_the_start)
