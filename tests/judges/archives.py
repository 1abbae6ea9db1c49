"""Programs that other versions of torch exported, tests/archives/torch-VERSION.pt2, train to the numbers of ours."""

import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import torch
from torch._export.serde.serialize import serialize
from torch.nn import functional as F

import common

ARCHIVES = pathlib.Path(__file__).parents[1] / "archives"
sys.path.append(str(ARCHIVES))
import make  # noqa: E402

SAMPLES, BATCH, STEPS, RATE = 41, 8, 10, 0.1
VERSIONS = {"2.9.1", "2.15.0"}


def data():
    generator = np.random.default_rng(3)
    return dict(image=generator.normal(size=(SAMPLES, 1, 6, 6)), words=generator.integers(0, make.TOKENS, (SAMPLES, make.LENGTH)),
                targets=generator.integers(0, make.CLASSES, SAMPLES))


def in_pytorch(columns):
    model = make.model().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    for step in range(STEPS):
        begin = step % -(-SAMPLES // BATCH) * BATCH
        image, words, targets = (torch.tensor(columns[name][begin:begin + BATCH]) for name in ("image", "words", "targets"))
        optimizer.zero_grad()
        F.cross_entropy(model(image, words)["logits"], targets).backward()
        optimizer.step()
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def trains_to_pytorchs_numbers(directory, path):
    columns = data()
    (directory / "train").mkdir()
    np.savez(directory / "train" / "data.npz", **columns)
    _, trained = common.train(directory, {"train": directory / "train"}, 1, model=path, precision="fp64", batch_size=BATCH, epochs=9,
                              max_steps=STEPS, learning_rate=RATE, momentum=0.9, shuffle="false", artifact_state="last")
    difference = common.relative_difference(trained, in_pytorch(columns))
    assert difference <= common.tolerance("fp64", STEPS), f"{path}: parameters differ by {difference:.3g}"


def archives_train_to_pytorchs_numbers():
    found = {path.stem.removeprefix("torch-"): path for path in ARCHIVES.glob("torch-*.pt2")}
    assert found.keys() == VERSIONS, found
    for path in found.values():
        with common.temporary_directory() as directory:
            trains_to_pytorchs_numbers(pathlib.Path(directory), path)


@common.in_directory(pathlib.Path)
def what_torch_wrote_until_2_7_is_refused_with_what_to_do(directory):
    """And what it says to do makes a program of it that trains."""
    parts = serialize(torch.export.load(ARCHIVES / "torch-2.9.1.pt2"))
    with zipfile.ZipFile(directory / "old.pt2", "w") as archive:  # as torch.export.save of 2.7 did
        archive.writestr("serialized_exported_program.json", parts.exported_program)
        for name in ("state_dict", "constants", "example_inputs"):
            archive.writestr(f"serialized_{name}.pt", getattr(parts, name))
        archive.writestr("version", "8.7")
    output = common.run(["inspect", "old.pt2"], expect=2, cwd=directory)
    assert "old.pt2: it is an archive of torch 2.7 or older, and those of torch 2.9 to 2.15 are read: export the model with such" in output, output
    line = re.search(r"torch\.export\.save\(.*\)", output)[0]
    subprocess.run([sys.executable, "-W", "ignore", "-c", f"import torch\n{line}"], cwd=directory, check=True, capture_output=True)
    trains_to_pytorchs_numbers(directory, directory / "new.pt2")


if __name__ == "__main__":
    common.main(archives_train_to_pytorchs_numbers, what_torch_wrote_until_2_7_is_refused_with_what_to_do)
