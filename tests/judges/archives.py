"""Programs that other versions of torch exported, tests/archives/torch-VERSION.pt2, train to the numbers of ours."""

import pathlib
import sys

import numpy as np
import torch
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


def archives_train_to_pytorchs_numbers():
    columns = data()
    expected = in_pytorch(columns)
    found = {path.stem.removeprefix("torch-"): path for path in ARCHIVES.glob("torch-*.pt2")}
    assert found.keys() == VERSIONS, found
    for version, path in found.items():
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            (directory / "train").mkdir()
            np.savez(directory / "train" / "data.npz", **columns)
            _, trained = common.train(directory, {"train": directory / "train"}, 1, model=path, precision="fp64", batch_size=BATCH, epochs=9,
                                      max_steps=STEPS, learning_rate=RATE, momentum=0.9, shuffle="false", artifact_state="last")
        difference = common.relative_difference(trained, expected)
        assert difference <= common.tolerance("fp64", STEPS), f"of torch {version}: parameters differ by {difference:.3g}"


if __name__ == "__main__":
    common.main(archives_train_to_pytorchs_numbers)
