"""TorchScript modules in the hands of torch.jit.load: programs that people bring (zoo.py), after a step of training, at batches of 1, 2 and 7
and with sequences of other lengths, against the same trained program as torch.export.load has it. And what SageMaker's PyTorch containers
make of layout=pytorch."""

import dataclasses
import importlib.util
import io
import json
import pathlib
import sys
import warnings

import numpy as np
import torch
from torch.utils import _pytree

import common
import programs
import zoo
from onnx_runtime import cases, trained

warnings.filterwarnings("ignore", message="The given buffer is not writable")
BATCHES = ((1, None), (2, 5), (7, None))  # how many samples, and the length of sequences where it is open


def leaves(result):
    return [leaf for leaf in _pytree.tree_leaves(result) if torch.is_tensor(leaf)]


def names(result):
    """What a program calls its outputs, where it returns them by name and none within another."""
    if dataclasses.is_dataclass(result):
        result = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    flat = isinstance(result, dict) and all(each is None or torch.is_tensor(each) for each in result.values())
    return [name for name, each in result.items() if each is not None] if flat else None


def scripted(name):
    """The trained program as TorchScript, and as PyTorch reads it."""
    artifacts, exported = trained(name, "fp32", "torchscript")
    return artifacts / "model.pt", exported


def judge(name, case):
    """Returns the largest difference."""
    path, exported = scripted(name)
    extra = {"metadata.json": ""}
    module = torch.jit.load(path, _extra_files=extra)
    said = json.loads(extra["metadata.json"])
    assert said["step"] == "1" and said["program"] == "in", said
    program = exported.module()
    state = module.state_dict()
    for name, tensor in exported.state_dict.items():
        assert torch.equal(state[name], tensor), name
    assert not module.training
    worst = 0.0
    for batch, length in BATCHES:
        inputs = {name: array[:batch].float() if array.is_floating_point() else array[:batch] for name, array in case.inputs.items()}
        inputs = {name: array[:, :length] if name in case.lengths else array for name, array in inputs.items()}
        with torch.no_grad():
            wanted = program(**inputs, **case.fixed)
            for _ in range(3):  # the first two runs are watched, the third is of what was made of them
                found = module(**inputs)
        if expected := names(wanted):
            assert list(found) == expected, (list(found), expected)
        for a, b in zip(leaves(found), leaves(wanted), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype, (a.shape, b.shape)
            if not b.is_floating_point():
                assert torch.equal(a, b)
                continue
            worst = max(worst, float(((a - b).abs() / (b.abs() + b.abs().median() + 1e-30)).max()))
    assert worst <= 1e-4, f"outputs differ by {worst:.3g}"
    return worst


def every_model_computes_the_same(only=()):
    wrong = []
    for name, case in cases().items():
        if only and name not in only:
            continue
        try:
            print(f"    {name:16} {judge(name, case):.1e}", flush=True)
        except Exception as error:  # whatever is wrong with one says nothing of the others
            wrong.append(name)
            print(f"    {name:16} no: {error}", flush=True)
    assert not wrong, f"not in TorchScript: {', '.join(wrong)}"


def parameters_are_trained_on():
    """Gradients reach every parameter, and three steps lower the loss."""
    case = zoo.cases(programs.SAMPLES)["resnet18"]
    module = torch.jit.load(scripted("resnet18")[0])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(module(case.inputs["x"].float()), case.targets)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in module.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses


def nothing_names_a_device():
    """What the graph makes of nothing is made where the inputs are: on the meta device, too."""
    for name in ("bert", "gpt2", "swin"):
        case = zoo.cases(programs.SAMPLES)[name]
        module = torch.jit.load(scripted(name)[0], map_location="meta")
        assert 'torch.device("cpu")' not in module.code, module.code
        inputs = {field: array[:2].to("meta", torch.float32 if array.is_floating_point() else array.dtype) for field, array in case.inputs.items()}
        assert all(leaf.device.type == "meta" for leaf in leaves(module(**inputs))), name


def handler(path):
    specification = importlib.util.spec_from_file_location("inference", path)
    module = importlib.util.module_from_spec(specification)
    sys.dont_write_bytecode = True
    specification.loader.exec_module(module)
    return module


def containers_serve_the_pytorch_layout():
    """code/inference.py's functions, called as the inference toolkit calls them, for one input and for several."""
    for name in ("resnet18", "two_tower"):
        case = zoo.cases(programs.SAMPLES)[name]
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            torch.manual_seed(7)
            zoo.export(case, case.model(), directory / "in.pt2")
            common.run(["export", directory / "in.pt2", "--export", "pt2,torchscript", "--layout", "pytorch", "-o", directory / "model"])
            common.run(["check", directory / "model"])
            functions = handler(directory / "model" / "code" / "inference.py")
            inputs = {field: array[:3].float() if array.is_floating_point() else array[:3] for field, array in case.inputs.items()}
            with torch.no_grad():
                wanted = leaves(torch.export.load(directory / "model" / "model.pt2").module()(**inputs, **case.fixed))
            model = functions.model_fn(str(directory / "model"))
            request = {field: array.tolist() for field, array in inputs.items()}
            bodies = [("application/json", json.dumps(request))]
            if len(inputs) == 1:
                (array,) = inputs.values()
                file = io.BytesIO()
                np.save(file, array.numpy())
                bodies += [("application/x-npy", file.getvalue()), ("application/json", json.dumps(array.tolist()))]
            for content_type, body in bodies:
                answer = json.loads(functions.output_fn(functions.predict_fn(functions.input_fn(body, content_type), model), "application/json"))
                for found, expected in zip(answer.values(), wanted, strict=True):
                    np.testing.assert_allclose(np.array(found, np.float32), expected.numpy(), rtol=1e-4, atol=1e-5)
            for broken in ({}, {"other": [1]}, {**request, "other": [1]}):
                try:
                    functions.predict_fn(broken, model)
                    raise AssertionError("it took an input that is none")
                except ValueError as error:
                    assert "inputs" in str(error)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:]:
        every_model_computes_the_same(sys.argv[1:])
        sys.exit()
    common.main(every_model_computes_the_same, parameters_are_trained_on, nothing_names_a_device, containers_serve_the_pytorch_layout)
