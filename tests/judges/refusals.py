"""Broken inputs: exit code 2, one clear message, nothing left in the model directory."""

import gzip
import json
import pathlib
import re
import shutil
import subprocess
import zipfile

import numpy as np
import torch

import common
import models


class Case:
    """A job that would run, for one part of it to be broken."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.pixels, self.labels = common.images(64)
        self.train = self.directory / "train"
        common.write_channel(self.train, self.pixels, self.labels)
        self.model = self.directory / "in.pt2"
        self.arguments = ["train", "--channel", f"train={self.train}", "--model_dir", self.directory / "model", "--output_dir",
                          self.directory / "output", "--model", "mlp", "--model_hidden", "8", "--epochs", "1", "--batch_size",
                          "16"]
        self.environment = {}

    def refused(self, *texts, extra=(), ranks=1):
        """Two ranks, of which one speaks, where reading, loading and writing fail: of each kind, one case."""
        output = common.run([*self.arguments, "--ranks_per_host", ranks, *extra], expect=2, environment=self.environment)
        errors = [line for line in output.splitlines() if "error" in line.lower()]
        assert len(errors) == 1 and errors[0].startswith("lockstep: error: "), output
        for text in texts:
            assert text in errors[0], f"lacks {text!r}: {output}"
        model = self.directory / "model"
        assert not model.is_dir() or not any(model.iterdir()), f"left behind: {list(model.iterdir())}"
        failure = (self.directory / "output" / "failure").read_text()
        assert failure and failure in errors[0], failure
        return errors[0]


def with_program(c, program):
    c.arguments[c.arguments.index("--model") + 1] = program
    at = c.arguments.index("--model_hidden")
    del c.arguments[at:at + 2]


case = common.in_directory(Case)


@case
def a_good_job_runs(c):
    common.run([*c.arguments, "--ranks_per_host", 2])
    assert {p.name for p in (c.directory / "model").iterdir()} == common.ARTIFACTS


@case
def a_metric_that_nobody_measures(c):
    for option in (["--monitor", "accuracy:max"], ["--metrics", "top5"]):
        c.refused(f"hyperparameter {option[0][2:]} does nothing in this job", "validation or test", "validation_share", extra=option)


@case
def a_program_in_another_type_than_is_asked_for(c):
    models.export(models.Mlp().double(), c.model)
    with_program(c, c.model)
    for precision in ("fp32", "bf16"):
        c.refused(f"precision={precision} does nothing for the program", "exported in float64", "model.float()", "precision=fp64",
                  extra=["--precision", precision])
    output = common.run(c.arguments)
    assert "parameters, fp64" in output and "precision=fp64: the program is exported in float64" in output, output
    start, = common.metrics(c.directory, "start")
    assert start["precision"] == "fp64" and start["hyperparameters"]["precision"] == "fp64", start


@case
def no_channel(c):
    del c.arguments[1:3]
    c.refused("no data to train on", "channel", "train")


@case
def wrong_channel_name(c):
    c.arguments[2] = f"data={c.train}"
    c.refused("train", "data")


@case
def missing_channel_directory(c):
    shutil.rmtree(c.train)
    c.refused(str(c.train), "not a directory")


@case
def empty_channel_directory(c):
    shutil.rmtree(c.train)
    c.train.mkdir()
    (c.train / "readme.txt").write_text("no data here")
    c.refused(str(c.train), "holds no data, but other files: readme.txt", "docs/data.md")


@case
def truncated_gzip(c):
    whole = gzip.compress((c.train / "inputs").read_bytes())
    (c.train / "inputs").write_bytes(whole[: len(whole) // 2])
    c.refused("inputs", "truncated", ranks=2)


@case
def corrupted_gzip(c):
    whole = bytearray(gzip.compress((c.train / "inputs").read_bytes()))
    whole[len(whole) // 2] ^= 0xFF
    (c.train / "inputs").write_bytes(whole)
    c.refused("inputs", "gzip")


@case
def truncated_file(c):
    (c.train / "inputs").write_bytes((c.train / "inputs").read_bytes()[:-1])
    c.refused("inputs", "truncated")


@case
def bytes_after_the_end(c):
    with open(c.train / "targets", "ab") as file:
        file.write(b"x")
    c.refused("targets", "more bytes")


@case
def bytes_after_a_gzip_stream(c):
    with open(c.train / "targets", "rb") as file:
        whole = gzip.compress(file.read())
    (c.train / "targets").write_bytes(whole + b"of another file")
    c.refused("targets", "after 72 bytes of content", "no gzip")


# One label that is another kind of number, as an id or a missing value is: a built-in model would have an output for each below it.
@case
def a_label_beyond_all_classes(c):
    for label in (2**31 - 1, 65536):
        labels = c.labels.astype(np.int32)
        labels[5] = label
        common.write_idx(c.train / "targets", labels)
        c.refused(f"{c.train}/targets: the label of sample 5 is {label}", "a built-in model has an output for every number", "0 … 65535")


@case
def wrong_magic(c):
    raw = bytearray((c.train / "inputs").read_bytes())
    raw[0] = 7
    (c.train / "inputs").write_bytes(raw)
    c.refused("inputs", "IDX")


@case
def different_counts(c):
    common.write_idx(c.train / "targets", c.labels[:63])
    c.refused("64 samples", "63")


@case
def label_out_of_range(c):
    models.export(models.Mlp(), c.model)
    with_program(c, c.model)
    for sample in (5, 0):
        c.labels[sample] = 12
        common.write_idx(c.train / "targets", c.labels)
        c.refused("targets", f"sample {sample} is 12", "10 classes", ranks=2)
        (c.directory / "output" / "failure").unlink()


@case
def real_targets_for_cross_entropy(c):
    common.write_idx(c.train / "targets", c.labels.astype("float32"))
    c.refused("class labels", "loss=mse")


@case
def a_layer_larger_than_memory(c):
    c.arguments[c.arguments.index("--model_hidden") + 1] = "100000000000"
    output = common.run([*c.arguments], expect=3)
    assert "the parameter fc1.weight of 100000000000 × 64 numbers" in output and "out of memory" in output, output
    assert output.count("lockstep: error:") == 1 and "frame #" not in output, output


@case
def a_program_without_gradient(c):
    class Detached(models.Mlp):
        def forward(self, x):
            return super().forward(x).detach()

    models.export(Detached(), c.model)
    with_program(c, c.model)
    c.refused("no gradient flows")


@case
def a_program_that_changes_a_buffer_in_inference(c):
    class Average(models.Mlp):
        def __init__(self):
            super().__init__()
            self.register_buffer("average", torch.zeros(10))

        def forward(self, x):
            y = super().forward(x)
            self.average.mul_(0.9).add_(y.detach().mean(0))
            return y - self.average

    models.export(Average(), c.model)
    with_program(c, c.model)
    c.refused("average", "mul_", "in inference")


@case
def unknown_hyperparameter(c):
    c.refused("learningrate", "learning_rate", extra=["--learningrate", "0.1"])


@case
def value_out_of_range(c):
    c.refused("momentum", "1.5", extra=["--momentum", "1.5"])


@case
def value_of_the_wrong_type(c):
    c.refused("epochs", "many", extra=["--epochs", "many"])


@case
def a_value_that_does_nothing(c):
    c.refused("beta1", "sgd", extra=["--beta1", "0.5"])


@case
def a_group_may_name_a_tied_parameter_either_way(c):
    """torch.export uses the one name in the graph, PyTorch's own named_parameters() the other."""
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(64, 64, bias=False)
            self.second = torch.nn.Linear(64, 64, bias=False)
            self.second.weight = self.first.weight
            self.head = torch.nn.Linear(64, 10)

        def forward(self, x):
            return self.head(self.second(torch.relu(self.first(x.flatten(1)))))

    models.export(Tied(), c.model)
    with_program(c, c.model)
    for name in ("first.weight", "second.*"):
        common.run([*c.arguments, "--max_steps", 1, "--export", "none", "--parameter_groups", json.dumps([{"match": name, "weight_decay": 0}])])
    c.refused("no parameter belongs to the group", "third", " = ", extra=["--parameter_groups", '[{"match": "third.*"}]'])


@case
def missing_program(c):
    with_program(c, c.directory / "none.pt2")
    c.refused("none.pt2", "not a file")


@case
def truncated_program(c):
    models.export(models.Mlp(), c.model)
    c.model.write_bytes(c.model.read_bytes()[:-2000])
    with_program(c, c.model)
    c.refused("in.pt2")


@case
def not_a_program(c):
    torch.save({"a": torch.ones(3)}, c.model)
    with_program(c, c.model)
    c.refused("in.pt2", "torch.export")


@case
def unknown_operator(c):
    """An operator of a Python library: the engine cannot have it."""

    @torch.library.custom_op("judges::double", mutates_args=())
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    double.register_fake(lambda x: torch.empty_like(x))

    class Custom(models.Mlp):
        def forward(self, x):
            return double(super().forward(x))

    models.export(Custom(), c.model)
    with_program(c, c.model)
    c.refused("judges.double.default", "refusals.py", "line", ranks=2)


class Fixed(torch.nn.Module):
    """Inputs by position, and one that is None."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 10)

    def forward(self, numbers, mask, scale=None):
        return self.fc(numbers * mask if scale is None else numbers * scale)


@case
def fixed_batch_size(c):
    """What the message says to write is Python, and what it exports trains."""
    shutil.rmtree(c.train)
    c.train.mkdir()
    np.savez(c.train / "data.npz", numbers=np.ones((64, 3), np.float32), mask=np.ones((64, 3), np.float32), targets=c.labels)
    model, examples = Fixed().train(), (torch.ones(4, 3), torch.ones(4, 3), None)
    torch.export.save(torch.export.export(model, examples), c.model)
    with_program(c, c.model)
    error = c.refused('input "numbers" has a fixed batch size of 4')
    names = {"torch": torch, "model": model, "examples": examples}
    batch, program = re.search(r"export the model with (batch = .*?) and (torch\.export\.export\(.*?\)); what is the same", error).groups()
    exec(f"{batch}\nprogram = {program}", names)
    torch.export.save(names["program"], c.model)
    common.run(c.arguments)


def change_graph(path, change):
    """Applies a change to the graph inside an archive."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("models/model.json"))
    document = json.loads(entries[name])
    change(document["graph_module"]["graph"])
    entries[name] = json.dumps(document)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@case
def a_program_that_writes_a_file(c):
    """It made the file, or wrote over one that was there. Whoever trusts a program may let an operator of it run."""
    written = c.directory / "written"

    def write_a_file(graph):
        node = next(node for node in graph["nodes"] if node["target"] == "torch.ops.aten.tanh.default")
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [{"name": "filename", "arg": {"as_string": str(written)}, "kind": 1},
                          {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
                          {"name": "size", "arg": {"as_int": 64}, "kind": 1}]

    models.export(models.Mlp(), c.model)
    change_graph(c.model, write_a_file)
    with_program(c, c.model)
    c.refused("in.pt2", "aten.from_file.default", "maps a file into memory", "allow_operators=aten.from_file.default")
    assert not written.exists()
    c.refused("its value", "has the sizes [64]", extra=["--allow_operators", "aten.from_file.default"])
    assert written.exists()


@case
def a_program_whose_values_are_not_as_it_says(c):
    def describe_otherwise(graph):
        graph["tensor_values"]["tanh"]["sizes"][1]["as_int"] = 25

    models.export(models.Mlp(), c.model)
    change_graph(c.model, describe_otherwise)
    with_program(c, c.model)
    c.refused("does not fit the program in", "tanh", "24]; the program says", "25]")


@case
def program_that_does_not_take_the_data(c):
    models.export(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 10)), c.model, torch.rand(4, 1, 3, 3))
    with_program(c, c.model)
    c.refused("channel train does not fit the program in: its input \"input\" takes [1, 3, 3] of each sample, and the column inputs has [1, 8, 8]")


@case
def random_program_cannot_be_an_artifact(c):
    class Noisy(models.Mlp):
        def forward(self, x):
            return super().forward(x) + torch.randn(x.shape[0], 10)

    models.export(Noisy(), c.model)
    with_program(c, c.model)
    c.refused("randn", "random", "refusals.py")


@case
def model_directory_that_cannot_be_made(c):
    (c.directory / "file").write_text("in the way")
    c.arguments[c.arguments.index("--model_dir") + 1] = c.directory / "file" / "model"
    c.refused("file/model", ranks=2)


@case
def more_ranks_than_samples_of_a_step(c):
    c.refused("batch_size=16", "17 ranks", ranks=17)


@case
def broken_job_file(c):
    path = c.directory / "job.json"
    path.write_text('{"epochs": 3,')
    c.arguments.insert(1, path)
    c.refused("job.json", "not JSON")


@case
def gpus_where_there_are_none(c):
    c.refused("CUDA sees none", "device=cpu", extra=["--device", "cuda"])
    c.environment["SM_NUM_GPUS"] = "4"
    c.refused("SM_NUM_GPUS is 4", "CUDA sees none", "device=cpu")


@case
def a_driver_that_cannot_compute(c):
    """A driver that counts two GPUs and can do nothing with them."""
    source, driver = c.directory / "driver.c", c.directory / "driver"
    driver.mkdir()
    source.write_text("int cuInit(unsigned f) { return 0; } int cuDeviceGetCount(int* n) { *n = 2; return 0; }")
    subprocess.run(["cc", "-shared", "-o", driver / "libcuda.so.1", source], check=True)
    c.environment["LD_LIBRARY_PATH"] = str(driver)
    c.refused("3 ranks", "there are 2", "device=cpu", ranks=3)
    c.refused("CUDA cannot be used: ")
    c.refused("3 ranks", "batch_size", ranks=3, extra=["--device", "cpu", "--batch_size", "2"])
    common.run([*c.arguments, "--ranks_per_host", 2, "--device", "cpu"], environment=c.environment)


@case
def inspect_says_what_things_are(c):
    def refused(*arguments):
        return common.run(["inspect", *arguments], expect=2)

    table = c.directory / "data.csv"
    table.write_text("x,y\n1,2\n")
    assert f"{table} is no program: inspect takes a program" in refused(table) and "Of a file of data give its directory" in refused(table)
    assert f'it was given two, "model" and "{table}"' in refused("model", table)
    assert f"there is no file and no directory {c.directory}/nothing" in refused(c.directory / "nothing")
    assert "inspect takes no --statistic:" in refused(c.train, "--statistic")
    common.run(c.arguments)
    output = common.run(["inspect", c.directory / "model"])
    for line in ("artifacts  model.pt2", "program    mlp, ", "input      x ", "output     ", "`lockstep check "):
        assert any(found.startswith(line) or line[0] == "`" and line in found for found in output.splitlines()), (line, output)
    assert "is no channel, but the output directory of a job: `lockstep report" in refused(c.directory / "output")


if __name__ == "__main__":
    common.main(a_good_job_runs, inspect_says_what_things_are, no_channel, wrong_channel_name, missing_channel_directory, empty_channel_directory,
                truncated_gzip, corrupted_gzip, truncated_file, bytes_after_the_end, bytes_after_a_gzip_stream, wrong_magic, different_counts,
                label_out_of_range, a_label_beyond_all_classes, real_targets_for_cross_entropy, a_layer_larger_than_memory,
                a_program_without_gradient, a_program_that_changes_a_buffer_in_inference, unknown_hyperparameter, value_out_of_range, value_of_the_wrong_type,
                a_value_that_does_nothing, a_group_may_name_a_tied_parameter_either_way, missing_program, truncated_program, not_a_program, unknown_operator,
                fixed_batch_size, a_program_that_writes_a_file, a_program_whose_values_are_not_as_it_says,
                program_that_does_not_take_the_data, random_program_cannot_be_an_artifact,
                model_directory_that_cannot_be_made, more_ranks_than_samples_of_a_step, broken_job_file,
                gpus_where_there_are_none, a_driver_that_cannot_compute)
