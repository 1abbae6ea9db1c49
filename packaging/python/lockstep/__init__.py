"""Lockstep in Python's environments: the programs, and what goes in front of them and behind.

The programs need no Python. `lockstep train …` is on PATH; in a container that starts a script as its entry point, that script is

    import lockstep; lockstep.main()
"""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

__version__ = importlib.metadata.version("lockstep")
PROGRAM = pathlib.Path(__file__).parent / "bin" / "lockstep"


def main(arguments=None):
    """Becomes the program `lockstep` with these arguments, or with this process's. Does not return."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what was printed would be lost
    os.execv(PROGRAM, [str(PROGRAM), *map(str, arguments)])


def export(model, example, path):
    """Writes a model of PyTorch as a program that Lockstep trains, and returns the path.

    `example`: what the model is called with, a tensor or a tuple of tensors; the first size of each is the batch's, and stays open. The
    model is exported as it is in training. Raises ValueError for a model without anything to train, and with Lockstep's reason for a program that it cannot read.
    """
    import torch

    inputs = example if isinstance(example, tuple) else (example,)
    sizes = {tuple(value.shape[:1]) for value in inputs if isinstance(value, torch.Tensor)}
    if len(sizes) != 1 or not min(sizes) or min(sizes)[0] < 2:
        raise ValueError(f"the example's tensors must begin with the same number of samples, at least 2: {sorted(sizes)}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("the model has no parameter to train")
    was_training = model.training
    batch = torch.export.Dim("batch")
    try:
        program = torch.export.export(model.train(), inputs, dynamic_shapes=tuple(
            {0: batch} if isinstance(value, torch.Tensor) else None for value in inputs))
    finally:
        model.train(was_training)
    torch.export.save(program, path)
    checked = subprocess.run([PROGRAM, "inspect", path], capture_output=True, text=True)
    if checked.returncode:
        os.unlink(path)
        raise ValueError(checked.stderr.strip().removeprefix("lockstep: error: "))
    return path


def metrics(path, event=None):
    """The lines of a job's metrics.jsonl, which `path` or its directory names, as dictionaries; those of one event where it is given."""
    path = pathlib.Path(path)
    found = [path, path / "metrics.jsonl", path / "data" / "metrics.jsonl"]
    file = next((candidate for candidate in found if candidate.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"no metrics.jsonl at {path}")
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if event is None or line["event"] == event]
