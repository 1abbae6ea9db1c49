"""Programs that people bring (zoo.py), trained a step by the engine and served by TensorFlow: with oneDNN and without, at batches of 1, 2
and 7, with sequences of other lengths than they were exported with, the SavedModel's outputs are the program's."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import common
import zoo

warnings.filterwarnings("ignore", message="The given buffer is not writable")
CONSUMER = pathlib.Path(__file__).with_name("serving_consumer.py")
OLD = pathlib.Path(sys.prefix) / "tensorflow-2.13" / "bin" / "python3"
SAMPLES = 24
BATCHES = ((0, 1, None), (1, 2, 5), (3, 7, None))  # first sample, how many, and the length of sequences where it is open
REFUSED = {}  # model → what the refusal says


def named(result, prefix=""):
    """Tensors by the names that the SavedModel gives its outputs."""
    if torch.is_tensor(result):
        return {prefix or "output_0": result}
    if dataclasses.is_dataclass(result):
        result = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    if isinstance(result, (tuple, list)):
        result = {str(i) if prefix else f"output_{i}": each for i, each in enumerate(result)}
    joined = lambda name: f"{prefix}_{name}" if prefix else name
    return {key: tensor for name, each in result.items() if each is not None for key, tensor in named(each, joined(name)).items()}


def prepared(directory, name):
    """Trains the model; leaves the SavedModel and the inputs and outputs of each batch. Returns why it cannot be written, or None."""
    case = zoo.cases(SAMPLES)[name]
    torch.manual_seed(7)
    directory.mkdir()
    zoo.export(case, case.model(), directory / "in.pt2")
    (directory / "train").mkdir()
    for field, array in {**case.inputs, **({} if case.targets is None else {"targets": case.targets})}.items():
        np.save(directory / "train" / f"{field}.npy", array.numpy())
    job = dict(model=directory / "in.pt2", batch_size=10, max_steps=1, loss=case.loss, learning_rate=0.05, export="pt2,saved_model",
               **({"output": case.output} if case.output else {}))
    try:
        common.train(directory, {"train": directory / "train"}, **job)
    except AssertionError as error:
        refusal = re.search(r"operator .* cannot be written into .*", str(error))
        if not refusal:
            raise
        return refusal[0]
    module = torch.export.load(directory / "model" / "model.pt2").module()
    for i, (start, count, length) in enumerate(BATCHES):
        inputs = {field: (array.float() if array.is_floating_point() else array)[start:start + count] for field, array in case.inputs.items()}
        inputs = {field: array[:, :length] if field in case.lengths else array for field, array in inputs.items()}
        with torch.no_grad():
            outputs = named(module(**inputs, **case.fixed))
        for kind, tensors in (("inputs", inputs), ("outputs", outputs)):
            save_file({field: array.contiguous() for field, array in tensors.items()}, directory / f"{kind}{i}.safetensors")
    return None


def caught(directory, name):
    try:
        return prepared(directory, name), None
    except Exception as error:  # whatever is wrong with one says nothing of the others
        return None, f"{type(error).__name__}: {error}"


def served_wrongly(directory, names, onednn="1", python=sys.executable):
    """What TensorFlow does not compute as the files say, where there is something: how it is started → what it prints."""
    result = subprocess.run([python, CONSUMER, directory, *names], text=True, timeout=600, capture_output=True,
                            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn})
    print(result.stdout, end="")
    wrong = "\n".join(line for line in result.stdout.splitlines() if "NOT" in line) + result.stderr[:3000]
    return {f"{python} with TF_ENABLE_ONEDNN_OPTS={onednn}": wrong} if result.returncode != 0 else {}


def written_table(directory):
    """The operators that are lowered, one by one, with their edges."""
    directory.mkdir()
    subprocess.run([common.BIN / "judge_primitive_cases", directory], check=True, timeout=300)
    return [f"{directory.name}/{name}" for name in sorted((path.name for path in directory.iterdir()), key=int)]


@common.in_directory(pathlib.Path)
def tensorflow_computes_the_same(directory):
    """Each model, and each case of the table; that without oneDNN and with the old version with LOCKSTEP_SOAK alone."""
    names, table = list(zoo.cases(SAMPLES)), written_table(directory / "table")
    the_models(directory, names, table)
    if "LOCKSTEP_SOAK" in os.environ:
        wrong = served_wrongly(directory, table, "0")
        for file in directory.glob("table/*/*.safetensors"):
            np.savez(file.with_suffix(".npz"), **load_file(file))
        wrong |= served_wrongly(directory, table, python=OLD)
        assert not wrong, wrong


def the_models(directory, names, table=()):
    results = {name: caught(directory / name, name) for name in names}
    wrong = {name: problem for name, (_, problem) in results.items() if problem}
    refused = {name: reason for name, (reason, _) in results.items() if reason}
    served = [name for name in names if name not in wrong and name not in refused]
    wrong |= served_wrongly(directory, [*table, *served]) | served_wrongly(directory, served, "0")
    for name, reason in refused.items():
        print(f"  not written: {name}: {reason}")
        if REFUSED.get(name, "no reason is known") not in reason:
            wrong[name] = reason
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())
    assert refused.keys() == REFUSED.keys() & set(names), "what was refused is written"


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        common.in_directory(pathlib.Path)(lambda directory: the_models(directory, sys.argv[1:]))()
    else:
        common.main(tensorflow_computes_the_same)
