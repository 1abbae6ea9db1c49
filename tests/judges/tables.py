"""Tables of every format train as the same numbers do that come as arrays, bit for bit."""

import csv
import gzip
import json
import pathlib

import numpy as np
import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet
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


def frame(table):
    numbers = {"height": float, "width": int, "kind": str, "petals": int, "depth": float}
    return pandas.DataFrame(table, columns=HEADER).astype(numbers)


def made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def csv_in_two_packed_files(path, table):
    for part, first, last in (("a", 0, 1), ("b", 1, SAMPLES)):
        write(path / f"{part}/{part}.csv.gz", table[first:last])


def lines(table, end="\n", **options):
    """pandas itself writes 15 digits of a number, which are too few."""
    return "".join(json.dumps(row, **options) + end for row in table.to_dict("records")).encode()


def json_lines(path, table):
    made(path / "a.jsonl").write_bytes(lines(frame(table[:70])))
    (path / "b.ndjson.gz").write_bytes(gzip.compress(lines(frame(table[70:])[HEADER[::-1]], ensure_ascii=False)))


def json_lines_in_zstd(path, table):
    with pyarrow.CompressedOutputStream(made(path / "a.jsonl.zst"), "zstd") as file:
        file.write(lines(frame(table), end="\r\n\n"))


def parquet(path, table):
    """By pandas and pyarrow, with every packing, in row groups, files and directories; partitions add no column."""
    frame(table[:50]).to_parquet(made(path / "day=1/snappy.parquet"), row_group_size=7, index=False)
    frame(table[50:90]).to_parquet(path / "day=1/zstd.parquet", compression="zstd", index=False)
    rest = frame(table[90:])
    for name, first, last, options in (("gzip", 0, 20, dict(compression="gzip", use_dictionary=False)),
                                       ("plain", 20, 60, dict(compression="none", data_page_size=64, data_page_version="2.0"))):
        rows = pyarrow.Table.from_pandas(rest[first:last].astype({"kind": "category", "width": "int8"}), preserve_index=False)
        pyarrow.parquet.write_table(rows, made(path / f"day=2/{name}.parquet"), row_group_size=9, **options)


def arrow(path, table):
    rows = pyarrow.Table.from_pandas(frame(table), preserve_index=False)
    with pyarrow.ipc.new_file(made(path / "a.arrow"), rows.schema) as file:
        file.write_table(rows[:40], max_chunksize=16)
    with pyarrow.ipc.new_stream(path / "b.arrows", rows.schema) as file:
        file.write_table(rows[40:100], max_chunksize=16)
    pyarrow.feather.write_feather(rows[100:], path / "c.feather", compression="lz4")


FORMS = {1: {"CSV": lambda path, table: write(path / "data.csv", table), "Arrow": arrow},
         2: {"CSV in two packed files": csv_in_two_packed_files, "JSON lines": json_lines},
         3: {"CSV, quoted, tabs": lambda path, table: write(path / "data.tsv", table, delimiter="\t", quoting=csv.QUOTE_ALL, end="\n"),
             "JSON lines in zstd": json_lines_in_zstd, "Parquet": parquet}}


def program(directory):
    torch.manual_seed(1)
    models.export(Table(), directory / "in.pt2", (torch.rand(3, 4),))
    return dict(JOB, model=directory / "in.pt2")


@common.in_directory(pathlib.Path)
def however_it_is_written(directory):
    job = program(directory)
    for ranks, forms in FORMS.items():
        place = directory / str(ranks)
        place.mkdir()
        wanted, final = expected(place, ranks, **job)
        for name, form in forms.items():
            form(place / name / "train", rows())
            few = place / name / "validation"  # in which a kind may be missing
            write(few / "few.csv", rows(1)[:40]) if name.startswith("CSV") else frame(rows(1)[:40]).to_parquet(made(few / "few.parquet"), index=False)
            output, found = common.train(place / "found", {"train": place / name / "train", "validation": few}, ranks, columns="target=kind", **job)
            assert "150 samples of 4, 4 classes" in output, output
            assert "not among the features: kind (categories)" in output, output
            assert all((found[tensor] == wanted[tensor]).all() for tensor in wanted), f"{name}, {ranks} ranks"
            assert [line["validation_loss"] for line in common.metrics(place / "found", "final")] == [line["validation_loss"] for line in final], name


@common.in_directory(pathlib.Path)
def goes_on_from_the_middle(directory):
    """On another number of ranks, as a job from arrays does."""
    job = program(directory)
    results = {}
    for name, form in (("arrays", None), ("Parquet", parquet), ("JSON lines", json_lines)):
        channel = directory / name
        if form:
            form(channel, rows())
        else:
            channel.mkdir()
            np.savez(channel / "data.npz", **arrays(rows()))
        more = dict(job, checkpoint_dir=directory / f"checkpoints of {name}", columns="target=kind" if form else "target=label")
        for ranks, steps in ((2, 3), (3, 0)):  # an epoch has 5
            output, results[name] = common.train(directory / f"{name} {ranks}", {"train": channel}, ranks, **more, max_steps=steps)
            assert ranks == 2 or "resumed from" in output, output
    for name, found in results.items():
        assert all((found[tensor] == results["arrays"][tensor]).all() for tensor in found), name


def with_what_nothing_takes(table):
    """An index that pandas writes, and columns that are no numbers or lack values."""
    more = frame(table)
    more.insert(1, "day", pandas.date_range("2024-01-01", periods=len(more)))
    more["note"] = ["seen twice" if i % 5 == 3 else None for i in range(len(more))]
    more.index = [f"row {i}" if i % 2 else str(i) for i in range(len(more))]
    return more


@common.in_directory(pathlib.Path)
def what_nothing_takes_is_left_alone(directory):
    job = program(directory)
    wanted, _ = expected(directory, 2, **job)
    with_what_nothing_takes(rows()).to_parquet(made(directory / "Parquet/data.parquet"), row_group_size=40)
    with_what_nothing_takes(rows()).to_csv(made(directory / "CSV/data.csv"))
    for name, day in (("Parquet", "day (timestamp["), ("CSV", "day (categories)")):
        output, found = common.train(directory / "found", {"train": directory / name, "validation": directory / name}, 2, columns="target=kind", **job)
        for column in ("__index_level_0__ (index)", day, "note (no value in 120 rows)"):
            assert column in output.split("not among the features: ")[1], (column, output)
        assert all((found[tensor] == wanted[tensor]).all() for tensor in wanted), name
        output = common.run(["inspect", directory / name, "--statistics", "--columns", "target=kind"])
        assert "the rows' index: no feature unless it is named" in output and "input      features, float32 [4]" in output, output
        assert "targets    kind, class labels 0 … 3" in output, output
        assert "column note has no value (120 rows have none); fill it, as in fields: " in output and '"fill": "unknown"' in output, output


@common.in_directory(pathlib.Path)
def rows_without_a_value_are_left_out(directory):
    """Those that lack what is trained on, from every format, on any number of ranks."""
    job = program(directory)
    whole = with_what_nothing_takes(rows())
    for row, column in ((0, "depth"), (77, "width"), (149, "kind")):
        whole[column] = whole[column].astype(object)
        whole.loc[whole.index[row], column] = None
    whole["width"] = whole["width"].astype("Int64")
    whole["depth"] = whole["depth"].astype(float)
    whole.to_parquet(made(directory / "Parquet/data.parquet"), row_group_size=40)
    whole.to_csv(made(directory / "CSV/data.csv"))
    kept = [row for i, row in enumerate(rows()) if i not in (0, 77, 149)]
    np.savez(made(directory / "arrays/data.npz"), **arrays(kept))
    for name, ranks in (("Parquet", 1), ("Parquet", 3), ("CSV", 2)):
        _, wanted = common.train(directory / "found", {"train": directory / "arrays"}, ranks, **job)
        output, found = common.train(directory / "found", {"train": directory / name}, ranks, columns="target=kind", skip_bad_records=3, **job)
        assert "3 records left out, as skip_bad_records says" in output and "column width has no value" in output, output
        assert all((found[tensor] == wanted[tensor]).all() for tensor in wanted), f"{name}, {ranks} ranks"
    output = common.run(["train", "--channel", f"train={directory / 'Parquet'}", "--output_dir", directory / "output", "--model_dir", directory / "model",
                         "--model", "mlp", "--columns", "target=kind", "--skip_bad_records", 2], expect=2)
    assert "column kind has no value; skip_bad_records=2 leaves out as many before it" in output, output


@common.in_directory(pathlib.Path)
def widths_that_differ_are_named(directory):
    job = program(directory)
    write(directory / "train/data.csv", rows())
    np.savez(made(directory / "narrow/data.npz"), x=np.zeros((20, 3)), kind=np.zeros(20, np.int64))
    np.savez(made(directory / "wide/data.npz"), x=np.zeros((20, 4)), kind=np.zeros(20, np.int64))

    def refused(train, validation):
        return common.run(["train", "--channel", f"train={directory / train}", "--channel", f"validation={directory / validation}", "--output_dir",
                           directory / "output", "--model_dir", directory / "model", "--model", job["model"], "--columns", "target=kind"], expect=2)

    for train, validation, channel in (("narrow", "wide", "train"), ("wide", "narrow", "validation"), ("narrow", "narrow", "train")):
        output = refused(train, validation)
        assert f"channel {channel} does not fit the program in: its input \"x\" takes [4] of each sample, and the column x has [3]" in output, output
    write(directory / "other/data.csv", [row[:4] for row in rows()], header=HEADER[:4])
    assert ("must have the columns of the training channel, in the same order: expected height, width, kind, petals, depth; "
            "found height, width, kind, petals") in refused("train", "other")


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
    common.main(however_it_is_written, goes_on_from_the_middle, what_nothing_takes_is_left_alone, rows_without_a_value_are_left_out, widths_that_differ_are_named,
                as_sagemaker_writes_it, what_is_wrong_is_named)
