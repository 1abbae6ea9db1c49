"""Evaluation, best and last state, and early stopping, against PyTorch on the artifact."""

import json
import pathlib
import warnings

import numpy as np
import torch
from safetensors import safe_open
from torch.nn import functional as F

import common
import models

torch.set_num_threads(1)
warnings.filterwarnings("ignore", message="The given buffer is not writable")


def job(directory, ranks=3, **options):
    """A cnn on 3 ranks, evaluated on 101 samples and, at the end, on 53 others."""
    directory = pathlib.Path(directory)
    data = {"train": 150, "validation": 101, "test": 53}
    # The samples of all channels have the same patterns; a third of the labels is wrong, so that learning them by heart makes
    # the validation loss rise.
    pixels, labels = common.images(sum(data.values()), seed=4)
    generator = np.random.default_rng(5)
    labels = np.where(generator.random(len(labels)) < 0.35, generator.integers(0, 10, len(labels)), labels).astype(np.uint8)
    channels, at = {}, 0
    for name, count in data.items():
        data[name] = pixels[at:at + count], labels[at:at + count]
        common.write_channel(directory / name, *data[name])
        channels[name] = directory / name
        at += count
    output, _ = common.train(directory, channels, ranks, model="cnn", model_channels="4", model_hidden="64", batch_size=32,
                             **options)
    return output, data, common.metrics(directory, "epoch"), common.metrics(directory, "final")[0]


def in_pytorch(directory, data, channel):
    pixels, labels = data[channel]
    module = torch.export.load(pathlib.Path(directory) / "model" / "model.pt2").module()
    with torch.no_grad():
        logits = module(torch.tensor(pixels, dtype=torch.float32).div(255).unsqueeze(1))
    logits, y = logits.flatten(0, -2), torch.tensor(labels).long().flatten()
    return {"loss": F.cross_entropy(logits, y).item(),
            "accuracy": (logits.argmax(1) == y).double().mean().item(),
            "top5": (logits.topk(5, 1).indices == y.unsqueeze(1)).any(1).double().mean().item()}


def same(reported, channel, expected):
    for metric, value in expected.items():
        assert abs(reported[f"{channel}_{metric}"] - value) <= common.tolerance("fp32") * abs(value), (channel, metric, reported, value)


def the_artifact_is_the_best_state():
    """The training data is learnt by heart; the state before that is kept."""
    with common.temporary_directory() as directory:
        _, data, epochs, final = job(directory, epochs=12, learning_rate=0.1, monitor="loss:min", eval_batch_size=7,
                                        model_dropout=0)
        best = min(epochs, key=lambda line: line["validation_loss"])
        assert best is not epochs[-1], "the last state is the best: this job shows nothing"
        assert final["step"] == best["step"]
        assert final["validation_loss"] == best["validation_loss"]
        for channel in ("validation", "test"):
            same(final, channel, in_pytorch(directory, data, channel))


def the_artifact_is_the_last_state_when_asked():
    with common.temporary_directory() as directory:
        _, data, epochs, final = job(directory, epochs=12, learning_rate=0.1, artifact_state="last",
                                        model_dropout=0)
        assert final["step"] == epochs[-1]["step"] and final["validation_loss"] == epochs[-1]["validation_loss"]
        same(final, "validation", in_pytorch(directory, data, "validation"))


def more_is_better_when_it_says_so():
    with common.temporary_directory() as directory:
        _, _, epochs, final = job(directory, epochs=8, learning_rate=0.1, monitor="accuracy:max")
        first_best = max(epochs, key=lambda line: line["validation_accuracy"])  # the first of equals
        assert final["step"] == first_best["step"]


def patience_ends_the_job():
    with common.temporary_directory() as directory:
        output, _, epochs, _ = job(directory, epochs=50, learning_rate=0.1, patience=2, model_dropout=0)
        losses = [line["validation_loss"] for line in epochs]
        assert len(epochs) < 50 and "stopping early" in output
        assert min(losses[:-2]) <= min(losses[-2:]), losses


def the_number_of_ranks_does_not_matter():
    """For a given state: the same evaluation on 1 and 3 ranks."""
    results = []
    for ranks in (1, 3):
        with common.temporary_directory() as directory:
            _, _, epochs, _ = job(directory, ranks, max_steps=1, learning_rate=1e-12, model_norm="none", model_dropout=0)
            results.append(epochs[0])
    for metric in ("loss", "accuracy", "top5"):
        one, three = (result[f"validation_{metric}"] for result in results)
        assert abs(one - three) <= common.tolerance("fp32") * one, (metric, one, three)


class PerQuarter(torch.nn.Module):
    """Classifies the four rows of quarters of an image: [batch, 4, classes]."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(16, 7)

    def forward(self, x):
        return self.head(x.view(-1, 4, 16))


def a_channel_for_tests_is_measured_once():
    """The metrics of the state in the artifacts are on the card, and in what the artifacts say of themselves."""
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        channels = {}
        for seed, name in enumerate(("train", "validation", "test")):
            channels[name] = directory / name
            common.write_channel(channels[name], *common.images(60, seed=seed))
        common.train(directory, channels, 2, model="mlp", model_hidden="8", epochs=2, batch_size=16, export="pt2,safetensors")
        final, = common.metrics(directory, "final")
        card = json.loads((directory / "model" / "model_card.json").read_text())["job"]
        with safe_open(directory / "model" / "model.safetensors", "pt") as file:
            metadata = file.metadata()
        for name in ("validation_loss", "validation_accuracy", "test_loss", "test_accuracy"):
            assert card["metrics"][name] == final[name], (name, card, final)
            assert abs(float(metadata[name]) - final[name]) <= 1e-8 * abs(final[name]), (name, metadata)
        assert "- test_accuracy: " in (directory / "model" / "model_card.md").read_text()
        assert (final["epoch"], final["step"]) in {(line["epoch"], line["step"]) for line in common.metrics(directory, "epoch")}, final


def every_position_counts_alike():
    """Rows of labels, on ranks that have samples of a channel unequally."""
    generator = np.random.default_rng(3)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(PerQuarter(), directory / "in.pt2")
        channels, data = {}, {}
        for name, count in {"train": 60, "validation": 31}.items():
            data[name] = common.images(count)[0], generator.integers(0, 7, (count, 4)).astype(np.uint8)
            common.write_channel(directory / name, *data[name])
            channels[name] = directory / name
        common.train(directory, channels, 2, model=directory / "in.pt2", epochs=2, batch_size=16, eval_batch_size=5,
                     artifact_state="last", export="pt2")
        final = common.metrics(directory, "final")[0]
        same(final, "validation", in_pytorch(directory, data, "validation"))
        common.write_idx(directory / "train" / "targets", np.full((60, 4), 7, np.uint8))
        output = common.run(["train", "--channel", f"train={directory / 'train'}", "--model", directory / "in.pt2",
                             "--model_dir", directory / "model", "--output_dir", directory / "output"], expect=2)
        assert "the label of sample 0 is 7" in output and "7 classes" in output, output


if __name__ == "__main__":
    common.main(the_artifact_is_the_best_state, the_artifact_is_the_last_state_when_asked, more_is_better_when_it_says_so,
                patience_ends_the_job, the_number_of_ranks_does_not_matter, a_channel_for_tests_is_measured_once,
                every_position_counts_alike)
