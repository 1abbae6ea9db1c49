"""What `fields` makes of a table is what scikit-learn makes of it, in every format and on any number of ranks; and fields.json says it."""

import json
import pathlib

import numpy as np
import pandas
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from torch import nn

import common
import models

SAMPLES, BATCH, CLASSES = 130, 32, ["setosa", "versicolor", "virginica"]
FIELDS = {"x": [{"columns": ["age", "height"], "normalize": "standard"},
                {"column": "income", "fill": "mean", "normalize": "min_max"},
                {"column": "constant", "normalize": "standard"},
                {"columns": ["city", "grade"], "encode": "one_hot"}],
          "target": {"column": "kind", "labels": CLASSES}}
JOB = dict(precision="fp64", batch_size=BATCH, epochs=2, artifact_state="last", seed=3)


def frame(seed, samples):
    generator = np.random.default_rng(seed)
    table = pandas.DataFrame({
        "age": generator.integers(18, 90, samples), "height": generator.normal(170, 9, samples), "constant": 4.25,
        "income": np.where(generator.random(samples) < 0.2, np.nan, generator.lognormal(8, 1, samples)),
        "city": generator.choice(["Zürich", "bern", "Basel"], samples), "grade": generator.choice([10, 20, 40], samples),
        "kind": generator.choice(CLASSES, samples)})
    return table


def prepared(train, *others):
    """By scikit-learn, fitted on the training table."""
    table = ColumnTransformer([("standard", StandardScaler(), ["age", "height"]),
                               ("range", make_pipeline(SimpleImputer(), MinMaxScaler()), ["income"]),
                               ("constant", StandardScaler(), ["constant"]),
                               ("one hot", OneHotEncoder(categories=[sorted(train.city.unique(), key=str.encode), sorted(train.grade.unique())],
                                                         sparse_output=False), ["city", "grade"])])
    table.fit(train)
    return [(table.transform(one), one.kind.map(CLASSES.index).to_numpy()) for one in (train, *others)]


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x):
        return self.layers(x)


def program(directory):
    torch.manual_seed(1)
    models.export(Table(), directory / "in.pt2", (torch.rand(3, 10),))
    return dict(JOB, model=directory / "in.pt2")


def written(path, table, kind):
    path.mkdir(parents=True)
    if kind == "CSV":
        table.to_csv(path / "a.csv", index=False)
    elif kind == "JSON lines":  # no value, and no key
        lines = [{key: value for key, value in row.items() if value == value} for row in table.to_dict("records")]
        (path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        table.to_parquet(path / "a.parquet", index=False, row_group_size=20)
    return path


@common.in_directory(pathlib.Path)
def as_scikit_learn_has_it(directory):
    job = program(directory)
    train, validation = frame(0, SAMPLES), frame(1, 50)
    channels = {}
    for name, (x, y) in zip(("train", "validation"), prepared(train, validation)):
        channels[name] = directory / "arrays" / name
        channels[name].mkdir(parents=True)
        np.savez(channels[name] / "a.npz", x=x, target=y)
    _, wanted = common.train(directory / "arrays", channels, **job)
    final = common.metrics(directory / "arrays", "final")[0]
    written_fields = set()
    for ranks, kind in ((1, "CSV"), (2, "JSON lines"), (3, "Parquet")):
        place = directory / kind
        channels = {name: written(place / name, table, kind) for name, table in (("train", train), ("validation", validation))}
        output, found = common.train(place, channels, ranks, fields=FIELDS, **job)
        assert "130 samples of 10, 3 classes" in output, output
        difference = common.relative_difference(found, wanted)
        assert difference < common.tolerance(steps=10), f"{kind}: {difference}"
        metrics = common.metrics(place, "final")[0]
        assert metrics["validation_accuracy"] == final["validation_accuracy"], (kind, metrics, final)
        written_fields.add((place / "model" / "fields.json").read_text())
    assert len(written_fields) == 1, "formats and ranks compute different numbers"


@common.in_directory(pathlib.Path)
def images_have_a_mean_for_each_channel(directory):
    generator = np.random.default_rng(5)
    pixels = (generator.integers(0, 256, (60, 3, 4, 5)) * np.array([1, 0.5, 0.2])[:, None, None]).astype(np.uint8)
    labels = generator.integers(0, 3, 60)
    shares = pixels / 255
    normal = (shares - shares.mean((0, 2, 3), keepdims=True)) / shares.std((0, 2, 3), keepdims=True)
    torch.manual_seed(1)
    models.export(nn.Sequential(nn.Flatten(), nn.Linear(60, 3)), directory / "in.pt2", (torch.rand(2, 3, 4, 5),))
    job = dict(JOB, model=directory / "in.pt2")
    for name, x in (("bytes", pixels), ("reals", normal)):
        (directory / name).mkdir()
        np.savez(directory / name / "a.npz", x=x, target=labels)
    _, wanted = common.train(directory / "expected", {"train": directory / "reals"}, **job)
    _, found = common.train(directory / "found", {"train": directory / "bytes"}, 2, fields={"input": {"column": "x", "normalize": "standard"}}, **job)
    assert common.relative_difference(found, wanted) < common.tolerance(steps=4)
    column = json.loads((directory / "found" / "model" / "fields.json").read_text())["fields"]["input"]
    assert column["divided_by"] == 255 and np.allclose(column["columns"][0]["mean"], shares.mean((0, 2, 3)), rtol=1e-14), column


def as_fields_json_says(description, table):
    """What a server does with a table's rows."""
    blocks = []
    for column in description["columns"]:
        values = table[column["column"]]
        if "fill" in column:
            values = values.fillna(column["fill"])
        if "one_hot" in column:
            numbers = np.eye(column["one_hot"])[[column["labels"].index(str(value)) for value in values]]
        elif "labels" in column:
            numbers = np.array([[column["labels"].index(str(value))] for value in values])
        else:
            numbers = (values.to_numpy(np.float64)[:, None] - column.get("mean", 0)) / column.get("std", 1)
        blocks.append(numbers)
    return np.concatenate(blocks, 1)


@common.in_directory(pathlib.Path)
def a_server_does_the_same(directory):
    train, test = frame(2, SAMPLES), frame(3, 40)
    channels = {"train": written(directory / "train", train, "CSV"), "test": written(directory / "test", test, "CSV")}
    common.train(directory, channels, 2, fields=FIELDS, validation_share=0.2, **program(directory))
    final = common.metrics(directory, "final")[0]
    fields = json.loads((directory / "model" / "fields.json").read_text())["fields"]
    model = torch.export.load(directory / "model" / "model.pt2").module()
    scores = model(torch.tensor(as_fields_json_says(fields["x"], test)))
    labels = torch.tensor(as_fields_json_says(fields["target"], test)[:, 0])
    accuracy = (scores.argmax(1) == labels).double().mean().item()
    assert abs(accuracy - final["test_accuracy"]) < 1e-12, (accuracy, final)
    loss = nn.functional.cross_entropy(scores, labels).item()
    assert abs(loss - final["test_loss"]) < 1e-12, (loss, final)


@common.in_directory(pathlib.Path)
def inspect_says_what_there_is(directory):
    table = frame(4, 60)
    channel = written(directory / "train", table, "CSV")
    output = common.run(["inspect", channel, "--statistics", "--fields", json.dumps(FIELDS)])
    for name, what in (("mean", table.age.mean()), ("deviation", table.age.std(ddof=0)), ("range", table.age.min())):
        assert any(line.split()[:2] == [name, "age"] and f"{what:.6g}" in line for line in output.splitlines()), (name, what, output)
    assert any(line.split() == ["missing", "income", str(table.income.isna().sum())] for line in output.splitlines()), output
    for kind in CLASSES:
        assert any(line.split()[:4] == ["class", "kind", kind, str((table.kind == kind).sum())] for line in output.splitlines()), output
    # Without a word on what is missing, too.
    output = common.run(["inspect", channel])
    missing = int(table.income.isna().sum())
    assert f"no value in {missing} rows" in output, output
    first = int(table.income.isna().to_numpy().argmax()) + 2  # behind the header
    assert f"line {first}: column income has no value ({missing} rows have none); fill it, as in fields: " in output, output
    assert '{"column": "income", "fill": "mean"}' in output, output
    assert any(line.startswith("input      training would end: ") for line in output.splitlines()), output
    # Files whose names say nothing, and more classes than can be listed.
    many = directory / "many"
    many.mkdir()
    (many / "part-0000").write_text("".join(f"{i % 150},{i}\n" for i in range(301)))
    output = common.run(["inspect", many, "--content_type", "text/csv; header=absent", "--statistics"])
    line = next(line for line in output.splitlines() if line.startswith("classes"))
    assert line.split()[1:] == "target 150; of a class at least 2 of 1, at most 3 of 0".split(), line


if __name__ == "__main__":
    common.main(as_scikit_learn_has_it, images_have_a_mean_for_each_channel, a_server_does_the_same, inspect_says_what_there_is)
