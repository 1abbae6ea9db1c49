"""Tables as CSV train as the same numbers do that come as arrays, bit for bit."""

import csv
import gzip
import pathlib

import numpy as np
import torch
from torch import nn

import common
import models

SAMPLES, BATCH = 150, 32
KINDS = ["iris, \"red\"", "fleur\nde lys", "ähre", "zinnia"]
HEADER = ["height", "width", "kind", "petals", "depth"]
JOB = dict(precision="fp64", batch_size=BATCH, epochs=2, input_mean=0.5, input_std=2, artifact_state="last")


def rows(seed=0):
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, len(KINDS), SAMPLES)
    return [[repr(float(kind + number)), number, KINDS[kind], petals, f"{depth:+.3e}"]
            for kind, number, petals, depth in zip(kinds, generator.integers(-5, 5, SAMPLES), generator.integers(0, 9, SAMPLES), generator.random(SAMPLES))]


def arrays(table):
    """As the description of the format says they become: categories in the order of their names, numbers side by side."""
    order = sorted(KINDS, key=str.encode)
    return {"x": np.array([[float(row[i]) for i in (0, 1, 3, 4)] for row in table]), "label": np.array([order.index(row[2]) for row in table])}


def write(path, table, header=HEADER, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\r\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerows([header] * bool(header) + table)


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, len(KINDS)))

    def forward(self, x):
        return self.layers(x)


def expected(directory, ranks, **hyperparameters):
    (directory / "arrays").mkdir()
    (directory / "arrays of validation").mkdir()
    np.savez(directory / "arrays" / "data.npz", **arrays(rows()))
    np.savez(directory / "arrays of validation" / "data.npz", **arrays(rows(1)[:40]))
    channels = {"train": directory / "arrays", "validation": directory / "arrays of validation"}
    return common.train(directory / "expected", channels, ranks, **hyperparameters)[1], common.metrics(directory / "expected", "final")


@common.in_directory(pathlib.Path)
def however_it_is_written(directory):
    torch.manual_seed(1)
    models.export(Table(), directory / "in.pt2", (torch.rand(3, 4),))
    job = dict(JOB, model=directory / "in.pt2")
    table = rows()
    forms = {"plain": lambda path: write(path / "data.csv", table),
             "quoted, tabs": lambda path: write(path / "data.tsv", table, delimiter="\t", quoting=csv.QUOTE_ALL, end="\n"),
             "packed, in two files": lambda path: [write(path / f"{part}/{part}.csv.gz", table[first:last])
                                                   for part, first, last in (("a", 0, 1), ("b", 1, SAMPLES))]}
    for number, (ranks, (name, form)) in enumerate(zip((1, 3, 2), forms.items())):
        place = directory / str(number)
        place.mkdir()
        form(place / "train")
        write(place / "validation/few.csv", rows(1)[:40])  # in which a kind may be missing
        wanted, final = expected(place, ranks, **job)
        output, found = common.train(place / "found", {"train": place / "train", "validation": place / "validation"}, ranks,
                                     columns="target=kind", **job)
        assert "150 samples of 4, 4 classes" in output, output
        assert all((found[tensor] == wanted[tensor]).all() for tensor in wanted), f"{name}, {ranks} ranks"
        assert [line["validation_loss"] for line in common.metrics(place / "found", "final")] == [line["validation_loss"] for line in final], name


@common.in_directory(pathlib.Path)
def as_sagemaker_writes_it(directory):
    """No header, the label first; a built-in program."""
    table = rows()
    numbers = arrays(table)
    write(directory / "csv/data.csv", [[label, *row] for label, row in zip(numbers["label"].tolist(), numbers["x"].tolist())], header=None)
    job = dict(JOB, model="mlp", model_hidden="[8]")
    wanted, _ = expected(directory, 1, **job)
    output, found = common.train(directory / "found", {"train": directory / "csv"}, **job)
    assert all((found[tensor] == wanted[tensor]).all() for tensor in wanted), output
    write(directory / "named/data.csv", table)
    assert "4 categories: fleur" in common.run(["inspect", directory / "named"])
    output = common.run(["inspect", directory / "csv"])
    assert "150 samples, of 1 file of CSV" in output and "features" in output and "class labels 0 … 3" in output, output


@common.in_directory(pathlib.Path)
def what_is_wrong_is_named(directory):
    table = rows()
    for change, *texts in ((lambda t: t[7].pop(), "data.csv, line", "found 4"),
                           (lambda t: t[149].__setitem__(0, ""), "data.csv, line", "column height has no value"),
                           (lambda t: t[3].__setitem__(0, "tall"), "data.csv, line", 'column height holds "tall", which is no number')):
        broken = [list(row) for row in table]
        change(broken)
        write(directory / "data/data.csv", broken)
        output = common.run(["train", "--channel", f"train={directory / 'data'}", "--output_dir", directory / "output", "--model_dir",
                             directory / "model", "--model", "mlp", "--columns", "target=kind"], expect=2)
        for text in texts:
            assert text in output, f"{text!r} is not in:\n{output}"
        assert not (directory / "model").exists()


if __name__ == "__main__":
    common.main(however_it_is_written, as_sagemaker_writes_it, what_is_wrong_is_named)
