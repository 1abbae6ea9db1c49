"""Programs of many architectures as primitives, which every artifact format writes: our interpreter of them computes what the engine
does."""

import os
import pathlib
import subprocess

import torch
from safetensors.torch import save_file

import common
import models
import zoo

PRIMITIVES = pathlib.Path(os.environ["LOCKSTEP_BIN"]) / "judge_primitives"


def compare(directory, inputs):
    save_file({name: array.contiguous() for name, array in inputs.items()}, directory / "inputs.safetensors")
    result = subprocess.run([PRIMITIVES, directory / "model.pt2", directory / "inputs.safetensors"], capture_output=True, text=True, timeout=300)
    return result.stdout.replace("\n", "; ") if result.returncode == 0 else "", result.stderr


def each_of_the_zoo():
    failed = {}
    for name, case in zoo.cases().items():
        torch.manual_seed(3)
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            zoo.export(case, case.model().double(), directory / "model.pt2")
            said, error = compare(directory, case.inputs)
            print(f"  {name}: {said or error}", flush=True)
            if not said:
                failed[name] = error
    assert not failed, failed


def each_of_the_judges_models():
    failed = {}
    for model in (models.Mlp, models.Residual, models.Transformer, models.Tied):
        torch.manual_seed(3)
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            models.export(model().double(), directory / "model.pt2")
            said, error = compare(directory, {"x": torch.rand(7, 1, 8, 8, dtype=torch.float64)})
            print(f"  {model.__name__}: {said or error}", flush=True)
            if not said:
                failed[model.__name__] = error
    assert not failed, failed


if __name__ == "__main__":
    common.main(each_of_the_zoo, each_of_the_judges_models)
