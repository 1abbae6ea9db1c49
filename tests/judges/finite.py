"""Numbers that are NaN or infinite, wherever they come from: noticed before anything holds them, and named with their cause."""

import copy
import json
import pathlib
import shutil
import struct

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

import common
import models


class Job:
    """A job of one rank and no shuffling, on rows of 4 numbers with a target each; 4 samples a step."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.program = self.directory / "in.pt2"
        self.model = self.directory / "model"
        self.checkpoints = self.directory / "checkpoints"
        generator = np.random.default_rng(1)
        self.inputs = generator.normal(size=(16, 4)).astype(np.float32)
        self.targets = self.inputs.sum(1)
        self.channels = {"train": lambda: (self.inputs, self.targets)}
        self.options = dict(model=self.program, loss="mse", batch_size=4, epochs=2, shuffle="false", ranks_per_host=1,
                            threads_per_rank=1, export="safetensors", model_dir=self.model, output_dir=self.directory / "output",
                            checkpoint_dir=self.checkpoints, checkpoint_every=1, checkpoint_keep=100)

    def export(self, model):
        models.export(model, self.program, torch.rand(4, *self.inputs.shape[1:]))

    def run(self, expect=0, **options):
        words = ["train"]
        for name, arrays in self.channels.items():
            place = self.directory / name
            if not place.exists():
                place.mkdir()
            for file, array in zip(("inputs", "targets"), arrays()):
                common.write_idx(place / file, array)
            words += ["--channel", f"{name}={place}"]
        for name, value in (self.options | options).items():
            words += [f"--{name}", value]
        output = common.run(words, expect=expect)
        assert expect == 0 or output.count("lockstep: error:") == 1, output
        return output

    def refused(self, *texts, expect=3, saved=(), **options):
        """Ends with this exit code and these words; nothing is left but the checkpoints of these steps, all finite."""
        output = self.run(expect=expect, **options)
        failure = (self.directory / "output" / "failure").read_text()
        for text in texts:
            assert text in failure, f"lacks {text!r}: {failure}"
        assert not (self.model / "model.safetensors").exists()
        assert self.steps() == list(saved), f"{self.steps()}: {output}"
        for path in self.checkpoints.rglob("*.safetensors"):
            for name, values in load_file(path).items():
                assert np.isfinite(values).all(), f"{path}: {name}"
        return failure

    def forget(self):
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def steps(self):
        return sorted(int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*"))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        return self.fc(x).squeeze(1)


class Normed(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(4, 6), norm, nn.Linear(6, 1)

    def forward(self, x):
        x = self.fc1(x)
        x = self.norm(x) if isinstance(self.norm, nn.BatchNorm1d) else self.norm(x[:, :, None, None]).flatten(1)
        return self.fc2(x).squeeze(1)


class Rows(nn.Module):
    """The length of a row of a table, or its only number."""

    def __init__(self, width, values, scale=1):
        super().__init__()
        self.table, self.scale = nn.Embedding(10, width), scale
        with torch.no_grad():
            self.table.weight.copy_(values)

    def forward(self, x):
        row = self.table(x[:, 0].long())
        return row.square().sum(1).sqrt() if row.shape[1] > 1 else row[:, 0] * self.scale


job = common.in_directory(Job)


@job
def statistics_of_a_single_value_are_refused_at_start(j):
    """Where a rank's share, a micro-batch or the last batch leaves batch norm one number a channel: PyTorch refuses, too."""
    last_batch = (9, dict(batch_size=4), "step 3 of an epoch gives rank 0 a share of 1 sample", "With batch_size=5")
    cases = [(norm, *last_batch) for norm in (nn.BatchNorm2d(6), nn.BatchNorm1d(6, track_running_stats=False))]
    norm = nn.BatchNorm1d(6)
    cases += [(norm, 2, dict(batch_size=2, ranks_per_host=2), "step 1 of an epoch gives rank 0 a share", "or fewer ranks"),
              (norm, 8, dict(batch_size=8, micro_batch_size=7), "step 1 of an epoch gives rank 0 a share", "With batch_size=6"),
              (norm, 11, dict(batch_size=9, ranks_per_host=3), "step 2 of an epoch gives rank 1 a share", "With batch_size=11"),
              (norm, *last_batch)]
    whole = j.inputs, j.targets
    for norm, samples, options, where, change in cases:
        model = Normed(norm)
        try:
            copy.deepcopy(model).train()(torch.rand(1, 4))
        except ValueError as error:
            assert "more than 1 value per channel" in str(error)
        else:
            raise AssertionError("PyTorch takes statistics of a single value")
        j.export(model)
        j.inputs, j.targets = (array[:samples] for array in whole)
        j.refused(where, "layer norm, operator torch.ops.lockstep.batch_norm", "finite.py", "is given [1, 6", change, expect=2, **options)
    j.run(batch_size=5, model_dir=j.directory / "better")
    j.forget()
    j.run(max_steps=2, model_dir=j.directory / "short")  # the step that lacks samples does not come
    saved = load_file(j.directory / "short" / "model.safetensors")
    assert all(np.isfinite(values).all() for values in saved.values())
    assert not np.array_equal(saved["norm.running_var"], np.ones(6)) and saved["norm.num_batches_tracked"] == 2


class GroupNorm(nn.GroupNorm):
    """Of as many groups as channels. PyTorch's own refuses a single value a group where it is written in Python, so that it cannot be exported."""

    def forward(self, x):
        return torch.group_norm(x, self.num_groups, self.weight, self.bias)


@job
def a_group_norm_of_a_single_value_is_its_bias(j):
    try:
        nn.GroupNorm(6, 6)(torch.rand(1, 6, 1, 1))
    except ValueError as error:
        assert "more than 1 value per channel" in str(error)
    else:
        raise AssertionError("PyTorch takes statistics of a single value")
    norm = GroupNorm(6, 6)
    nn.init.constant_(norm.bias, 0.5)  # whatever stands behind it, a ReLU lets it through
    j.export(Normed(norm))
    j.run()
    saved = load_file(j.model / "model.safetensors")
    assert all(np.isfinite(values).all() for values in saved.values())
    assert np.allclose(saved["norm.weight"], 1, atol=1e-5) and np.any(np.abs(saved["norm.bias"] - 0.5) > 1e-3), saved


class Standardized(nn.Module):
    """Its outputs lack the samples' mean, and have their deviation."""

    def __init__(self, statistic):
        super().__init__()
        self.fc, self.statistic = nn.Linear(4, 1), statistic

    def forward(self, x):
        x = self.fc(x).squeeze(1)
        return (x - x.mean()) / (1 + self.statistic(x))


@job
def a_deviation_of_a_single_sample_is_named(j):
    """The last batch of 9 samples has one: PyTorch's is nan."""
    j.inputs, j.targets = j.inputs[:9], j.targets[:9]
    for name in ("var", "std"):
        j.export(Standardized(getattr(torch, name)))
        j.refused("step 3: ", f"operator torch.ops.aten.{name}", "makes nan of what is none", "finite.py", saved=[1, 2])
        j.forget()


@job
def data_that_is_not_finite_is_named(j):
    """Not as a job that has diverged: in which channel, sample and column, whatever the precision and the number of ranks."""
    j.export(Linear())
    inputs, targets = j.inputs.copy(), j.targets.copy()
    for options in ({}, dict(precision="fp16", ranks_per_host=2)):
        j.inputs[5, 3] = np.nan
        failure = j.refused("step 2: ", "of channel train, column 3 of the input of sample 5 is nan", "mend it", saved=[1], **options)
        assert "diverged" not in failure and "learning_rate" not in failure, failure
        j.forget()
        j.inputs = inputs.copy()
        j.targets[13] = -np.inf
        j.refused("step 4: ", "of channel train, the target of sample 13 is -inf", saved=[1, 2, 3], **options)
        j.forget()
        j.targets = targets.copy()
    j.inputs = inputs.astype(np.float64)
    j.inputs[2, 1] = 1e300
    j.refused("step 1: ", "column 1 of the input of sample 2 is inf in float32, from 1e+300")
    j.inputs[2, 1] = np.inf
    j.refused("step 1: ", "column 1 of the input of sample 2 is inf (", precision="fp64", clip_norm=1)
    j.inputs = inputs.reshape(16, 2, 2).copy()
    j.inputs[2, 1, 0] = np.nan
    j.export(nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0)))
    j.refused("step 1: ", "[1, 0] of the input of sample 2 is nan")


@job
def evaluation_data_that_is_not_finite_is_named(j):
    j.export(Linear())
    bad = j.inputs.copy()
    bad[3, 2] = np.nan
    j.channels["validation"] = lambda: (bad, j.targets)
    failure = j.refused("after step 4, the loss on channel validation is nan", "column 2 of the input of sample 3 is nan",
                        saved=[1, 2, 3])
    assert "diverged" not in failure, failure
    j.forget()
    j.channels["test"] = j.channels["validation"]
    j.channels["validation"] = j.channels["train"]
    output = j.run()
    assert "WARNING: the loss on channel test is nan; of channel test, column 2 of the input of sample 3 is nan" in output, output


@job
def a_gradient_that_is_not_finite_is_noticed_in_its_step(j):
    """The root of a rarely used row of zeros: the loss is finite and stays so, and only that row's gradient is not."""
    values = torch.rand(10, 3) + 0.5
    values[7] = 0
    j.export(Rows(3, values))
    j.inputs = np.tile(np.arange(4, dtype=np.float32)[:, None], (4, 4))
    j.targets = np.zeros(16, np.float32)
    j.inputs[9] = 7
    failure = j.refused("step 3: the gradient of table.weight is not finite (table.weight[7, 0] is nan)",
                        "the backward of operator torch.ops.aten.sqrt.default", "a norm", saved=[1, 2])
    assert "channel" not in failure, failure
    j.forget()
    j.inputs[9], j.inputs[1] = 0, 7
    failure = j.refused("step 1: the gradient of table.weight is not finite", "nothing has been learnt yet", "root")
    assert "learning_rate" not in failure, failure


class Operators(nn.Module):
    """A linear layer with something behind it."""

    def __init__(self, what):
        super().__init__()
        self.fc, self.what = nn.Linear(4, 3), what

    def forward(self, x):
        return self.what(self.fc(x)).sum(1)


def log_of_negative(x):
    return torch.log(x - 1000)


def exponential_less_itself(x):
    large = torch.exp(x.abs() * 1e30 + 1e30)
    return large - large


def root_of_zero(x):
    return (x - x).sqrt()


def masked(x):
    """An infinity that is meant beside a NaN that is not."""
    mask = torch.zeros_like(x).masked_fill(x > -1e30, float("-inf"))
    return torch.softmax(mask + x, 1)


@job
def the_operator_that_made_it_is_named(j):
    """The step is run again with checks: forward, or backward, with the line of the model."""
    source = pathlib.Path(__file__).name
    cases = [(log_of_negative, "operator torch.ops.aten.log.default", "makes nan of what is none"),
             (exponential_less_itself, "operator torch.ops.aten.exp.default", "makes inf of finite numbers, and operator torch.ops.aten.sub"),
             (root_of_zero, "the backward of operator torch.ops.aten.sqrt.default", "makes it"),
             (masked, "operator torch.ops.aten.softmax.int", "makes nan of")]
    for what, operator, text in cases:
        j.export(Operators(what))
        for options in ({}, dict(ranks_per_host=2, micro_batch_size=1)):
            failure = j.refused("step 1: ", operator, text, f'{source}", line ', "in forward", **options)
            assert "diverged" not in failure and ("on rank 0 " in failure) == bool(options), failure


@job
def a_statistic_that_is_not_finite_is_noticed_in_its_step(j):
    """The variance of finite inputs that overflows: what is normalized by it is 0, and the loss is finite."""
    j.export(Normed(nn.BatchNorm1d(6)))
    j.inputs[6:8] = [[1e25] * 4, [-1e25] * 4]
    for options in ({}, dict(ranks_per_host=2)):
        failure = j.refused("step 2: a running statistic is not finite (norm.running_var[0] is inf", "look at what comes before it",
                            saved=[1], **options)
        assert ("on rank 1" in failure) == bool(options), failure
        j.forget()


@job
def steps_that_are_not_finite_can_be_passed_over(j):
    """They change nothing: what comes out is what a job without them gives, in which the other steps are the same."""
    j.export(Normed(nn.BatchNorm1d(6)))
    j.options |= dict(batch_size=4, epochs=2, checkpoint_every=100, momentum=0.9)
    inputs, targets = j.inputs, j.targets
    keep = [0, 1, 2, 3, 8, 9, 10, 11]  # without steps 2 and 4 of each epoch
    j.inputs, j.targets = inputs[keep], targets[keep]
    j.run()
    expected = load_file(j.model / "model.safetensors")
    shutil.rmtree(j.directory / "train")
    j.forget()
    (j.model / "model.safetensors").unlink()
    j.inputs, j.targets = inputs.copy(), targets.copy()
    j.inputs[5, 1], j.inputs[12, 0] = np.nan, 1e25
    j.inputs[13, 0] = -1e25
    output = j.run(nonfinite_steps=1)
    for step, text in (2, "column 1 of the input of sample 5 is nan"), (4, "a running statistic is not finite"), (6, "column 1"), (8, "statistic"):
        said = [line for line in output.splitlines() if line.startswith(f"WARNING: step {step}: ")]
        assert len(said) == 1 and text in said[0] and "changes nothing (1 in a row; nonfinite_steps allows 1)" in said[0], output
    assert "4 steps in which something was not finite" in output, output
    result = load_file(j.model / "model.safetensors")
    assert all(np.array_equal(result[name], expected[name]) for name in expected), output
    (j.model / "model.safetensors").unlink()
    j.forget()
    j.inputs[9, 0] = np.inf
    shutil.rmtree(j.directory / "train")
    j.refused("step 3: ", "the 1 steps before it were not finite either", nonfinite_steps=1)


@job
def what_float16_cannot_hold_is_no_divergence(j):
    """A finite sum of finite products, of which float16 makes an infinity; float32 goes on."""
    model = Linear()
    with torch.no_grad():
        model.fc.weight.fill_(3e4)
    j.export(model)
    j.inputs, j.targets = np.ones((16, 4), np.float32), np.full(16, 1.2e5, np.float32)
    failure = j.refused("step 1: ", "float16 ends at 65504, and no loss scale helps any more. Try precision=bf16", precision="fp16", loss_scale=1)
    assert "diverged" not in failure and "learning_rate" not in failure, failure
    j.run(learning_rate=1e-9)


@job
def a_program_that_is_not_finite_is_refused_at_start(j):
    values = torch.rand(10, 1)
    values[9, 0] = float("nan")
    j.export(Rows(1, values))
    j.refused("cannot be trained: its table.weight[9, 0] is nan", expect=2)
    model = Normed(nn.BatchNorm1d(6))
    model.norm.running_var[2] = float("inf")
    j.export(model)
    j.refused("cannot be trained: its norm.running_var[2] is inf", expect=2)


@job
def an_update_that_overflows_is_not_saved(j):
    """A row that is used once gets an infinite value from a finite gradient: no later loss shows it."""
    j.export(Rows(1, torch.zeros(10, 1)))
    j.inputs = np.tile(np.arange(4, dtype=np.float32)[:, None], (4, 4))
    j.targets = np.zeros(16, np.float32)
    j.inputs[5], j.targets[5] = 7, 1e9
    options = dict(learning_rate=1e30, momentum=0)
    j.refused("after step 2, the parameter table.weight[7, 0] is inf", "lower learning_rate", saved=[1], **options)
    j.forget()
    j.channels["validation"] = j.channels["train"]  # it must not become the best state
    j.refused("after step 4, the parameter table.weight[7, 0] is nan", checkpoint_every=100, **options)  # 0 · inf since
    # The square of a gradient, in AdamW's second moment, where no parameter shows it.
    j.export(Rows(1, torch.zeros(10, 1), scale=1e4))
    j.targets[5] = 1e18
    j.refused("after step 2, the optimizer's second_moment/table.weight[7, 0] is inf", "clip_norm", saved=[1],
              optimizer="adamw", learning_rate=0.1)


@job
def an_operator_that_fails_in_a_later_step_is_no_bad_input(j):
    """Exit code 2 says that nothing was started."""
    j.export(Rows(1, torch.zeros(10, 1)))
    j.inputs = np.abs(j.inputs).round() % 4
    j.inputs[9] = 12
    j.refused("embedding.default", "index out of range", saved=[1, 2])
    j.inputs[0] = 12
    j.forget()
    j.refused("channel train does not fit", expect=2)


def crc32c(data):
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def rewrite(checkpoint, name, content):
    """Another content for a file, with a manifest that fits."""
    (checkpoint / name).write_bytes(content)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "crc32c": f"{crc32c(content):08x}"}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def with_number(path, name, value):
    tensors = {key: values.copy() for key, values in load_file(path).items()}
    tensors[name].flat[0] = value
    save_file(tensors, path.with_suffix(".new"))
    content = path.with_suffix(".new").read_bytes()
    path.with_suffix(".new").unlink()
    return content


@job
def a_checkpoint_that_nobody_can_go_on_from_is_passed_over(j):
    """Its manifest fits, and what it holds is not finite, not readable, or of another step; the one before it is used."""
    j.export(Normed(nn.BatchNorm1d(6)))
    j.options["checkpoint_keep"] = 3
    assert crc32c(b"123456789") == 0xE3069283
    j.run()
    expected = load_file(j.model / "model.safetensors")
    newest = j.checkpoints / "step-000000008"
    assert j.steps() == [6, 7, 8]
    cases = [("model.safetensors", lambda path: with_number(path, "fc1.weight", np.nan), "fc1.weight[0, 0] is nan"),
             ("model.safetensors", lambda path: with_number(path, "norm.running_var", np.inf), "norm.running_var[0] is inf"),
             ("optimizer.safetensors", lambda path: with_number(path, "momentum/fc2.bias", np.nan), "momentum/fc2.bias[0] is nan"),
             ("statistics.safetensors", lambda path: with_number(path, "norm.running_mean", np.nan), "running_mean[0, 0] is nan"),
             ("model.safetensors", lambda path: struct.pack("<Q", 2) + b"{}", "lacks the tensor"),
             ("model.safetensors", lambda path: b"\xff" * 40, "model.safetensors"),
             ("state.json", lambda path: b"{}", "is not the state of a checkpoint"),
             ("state.json", lambda path: path.read_bytes().replace(b'"epoch_step": 0', b'"epoch_step": 3'), "is not step 3 of")]
    for name, change, text in cases:
        rewrite(newest, name, change(newest / name))
        output = j.run()
        assert "checkpoint passed over: step-000000008: " in output and text in output, output
        assert "resumed from" in output and "7 steps are done" in output, output
        result = load_file(j.model / "model.safetensors")
        assert all(np.array_equal(result[key], expected[key]) for key in expected), name
        assert j.steps() == [6, 7, 8]
    newest.rename(j.checkpoints / "step-000000012")
    output = j.run()
    assert "passed over: step-000000012: " in output and "written after step 8 and renamed since" in output, output
    assert "7 steps are done" in output and j.steps() == [6, 7, 8], output


if __name__ == "__main__":
    common.main(statistics_of_a_single_value_are_refused_at_start, a_group_norm_of_a_single_value_is_its_bias,
                a_deviation_of_a_single_sample_is_named, data_that_is_not_finite_is_named,
                evaluation_data_that_is_not_finite_is_named, a_gradient_that_is_not_finite_is_noticed_in_its_step,
                the_operator_that_made_it_is_named, a_statistic_that_is_not_finite_is_noticed_in_its_step,
                steps_that_are_not_finite_can_be_passed_over, what_float16_cannot_hold_is_no_divergence,
                a_program_that_is_not_finite_is_refused_at_start, an_update_that_overflows_is_not_saved,
                an_operator_that_fails_in_a_later_step_is_no_bad_input,
                a_checkpoint_that_nobody_can_go_on_from_is_passed_over)
