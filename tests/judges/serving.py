"""Programs that people bring (zoo.py), trained a step by the engine and served by TensorFlow: with oneDNN and without, at batches of 1, 2
and 7, with sequences of other lengths than they were exported with, the SavedModel's outputs are the program's."""

import dataclasses
import multiprocessing
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
    torch.set_num_threads(1)
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


def caught(arguments):
    try:
        return prepared(*arguments), None
    except Exception as error:  # whatever is wrong with one says nothing of the others
        return None, f"{type(error).__name__}: {error}"


def served_wrongly(directory, names, forms=("1", "0"), python=sys.executable):
    """What TensorFlow does not compute as the files say: how it is started → what it prints."""
    wrong = {}
    for onednn in forms:
        result = subprocess.run([python, CONSUMER, directory, *names], text=True, timeout=600, capture_output=True,
                                env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn})
        print(result.stdout, end="")
        if result.returncode != 0:
            wrong[f"with TF_ENABLE_ONEDNN_OPTS={onednn}"] = "\n".join(line for line in result.stdout.splitlines() if "NOT" in line) + result.stderr[:3000]
    return wrong


@common.in_directory(pathlib.Path)
def tensorflow_computes_each_case_of_the_table(directory):
    """The operators that are lowered, one by one, with their edges; without LOCKSTEP_SOAK as TensorFlow 2.21 is started."""
    subprocess.run([common.BIN / "judge_primitive_cases", directory], check=True, timeout=300)
    names = sorted((path.name for path in directory.iterdir()), key=int)
    wrong = served_wrongly(directory, names, ("1", "0") if "LOCKSTEP_SOAK" in os.environ else ("1",))
    assert not wrong, wrong
    if "LOCKSTEP_SOAK" in os.environ:
        for file in directory.glob("*/*.safetensors"):
            np.savez(file.with_suffix(".npz"), **load_file(file))
        wrong = served_wrongly(directory, names, ("1",), OLD)
        assert not wrong, wrong


def tensorflow_computes_what_the_program_computes(names=()):
    names = list(names or zoo.cases(SAMPLES))
    with common.temporary_directory() as path:
        directory = pathlib.Path(path)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = dict(zip(names, pool.map(caught, [(directory / name, name) for name in names], chunksize=1)))
        wrong = {name: problem for name, (_, problem) in results.items() if problem}
        refused = {name: reason for name, (reason, _) in results.items() if reason}
        served = [name for name in names if name not in wrong and name not in refused]
        wrong |= served_wrongly(directory, served)
    for name, reason in refused.items():
        print(f"  not written: {name}: {reason}")
        if REFUSED.get(name, "no reason is known") not in reason:
            wrong[name] = reason
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())
    assert refused.keys() == REFUSED.keys() & set(names), "what was refused is written"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        tensorflow_computes_what_the_program_computes(sys.argv[1:])
    else:
        common.main(tensorflow_computes_each_case_of_the_table, tensorflow_computes_what_the_program_computes)
