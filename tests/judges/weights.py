"""Labels that do not count, and classes and samples that count differently, in training and in evaluation, against PyTorch."""

import pathlib

import numpy as np
import torch
from torch.nn import functional as F

import common
import models

torch.set_num_threads(1)
BATCH, STEPS, SAMPLES = 16, 20, 101  # six whole batches and one of 5
JOB = dict(optimizer="sgd", learning_rate=0.1, momentum=0.9, batch_size=BATCH, max_steps=STEPS, epochs=10, shuffle="false",
           precision="fp64", loss="cross_entropy")
WEIGHTS = [0.5, 2, 1, 0.25, 3, 1, 0, 1.5, 1, 4]


def data(seed):
    """Of the first batch only the first third counts: on three ranks, all labels of two of them are ignored."""
    pixels, labels = common.images(SAMPLES, seed=seed)
    labels[5:BATCH] = 3
    return pixels, labels


def tensors(pixels, labels):
    return torch.tensor(pixels, dtype=torch.float64).div(255).unsqueeze(1), torch.tensor(labels).long()


def mean_loss(logits, y, samples, weight, ignore_index, label_smoothing):
    """Without weights of samples PyTorch's own mean; it has none with them."""
    loss = dict(weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)
    if samples is None:
        return F.cross_entropy(logits, y, **loss)
    return (F.cross_entropy(logits, y, reduction="none", **loss) * samples).sum() / counts(y, samples, weight, ignore_index).sum()


def counts(y, samples, weight, ignore_index):
    count = (y != ignore_index).double() * (torch.ones(10, dtype=torch.float64) if weight is None else weight)[y.clamp(min=0)]
    return count if samples is None else count * samples


def write_channel(directory, pixels, labels, samples):
    if samples is None:
        return common.write_channel(directory, pixels, labels)
    directory.mkdir()
    np.savez(directory / "data.npz", images=pixels, labels=labels, weight=samples)


def in_pytorch(model, pixels, labels, samples, clip, **loss):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(STEPS):
        at = slice(step % 7 * BATCH, (step % 7 + 1) * BATCH)
        x, y = tensors(pixels[at], labels[at])
        value = mean_loss(model(x), y, None if samples is None else torch.tensor(samples[at]), **loss)
        optimizer.zero_grad()
        value.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(value.item())
    return losses


def compare(ranks, weights=None, ignored=None, smoothing=0.0, clip=0.0, samples=False, **job):
    """With `samples`, each has a weight, and labels 3 become PyTorch's own -100."""
    torch.manual_seed(7)
    model = models.Mlp().double()
    channels = {"train": (*data(seed=3), None), "validation": (*common.images(67, seed=4), None)}
    if samples:
        generator = np.random.default_rng(6)
        channels = {name: (pixels, np.where(labels == 3, -100, labels.astype(np.int64)), generator.uniform(0, 3, len(labels)))
                    for name, (pixels, labels, _) in channels.items()}
    given = {**({"class_weights": weights} if weights else {}), **({"ignore_index": ignored} if ignored is not None else {}),
             **({"label_smoothing": smoothing} if smoothing else {}), **({"clip_norm": clip} if clip else {})}
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(model, directory / "model.pt2")
        for channel, content in channels.items():
            write_channel(directory / channel, *content)
        _, trained = common.train(directory, {channel: directory / channel for channel in channels}, ranks,
                                  model=directory / "model.pt2", log_every=1e-9, artifact_state="last", eval_batch_size=9,
                                  metrics="perplexity", **JOB, **given, **job)
        reported = [line["train_loss"] for line in common.metrics(directory, "progress")]
        final = common.metrics(directory, "final")[0]
    loss = dict(weight=torch.tensor(weights, dtype=torch.float64) if weights else None, label_smoothing=smoothing,
                ignore_index=-100 if ignored is None else ignored)
    losses = in_pytorch(model, *channels["train"], clip, **loss)
    difference = common.relative_difference(trained, {n: t.detach().numpy() for n, t in model.state_dict().items()})
    assert difference <= 1e-9, f"{ranks} ranks, {given}, {job}: parameters differ by {difference:.3g}"
    # The first step's line opens the clock and is not printed.
    assert all(abs(a - b) <= 1e-9 for a, b in zip(reported, losses[1:], strict=True)), (reported, losses)
    x, y = tensors(*channels["validation"][:2])
    own = torch.tensor(channels["validation"][2]) if samples else None
    with torch.no_grad():
        logits = model(x)
    count = counts(y, own, loss["weight"], loss["ignore_index"])
    mean = mean_loss(logits, y, own, **loss).item()
    hits = {1: logits.argmax(1) == y, 5: (logits.topk(5, 1).indices == y.unsqueeze(1)).any(1)}
    for metric, value in {"loss": mean, "perplexity": np.exp(mean), "accuracy": ((hits[1] * count).sum() / count.sum()).item(),
                          "top5": ((hits[5] * count).sum() / count.sum()).item()}.items():
        assert abs(final[f"validation_{metric}"] - value) <= 1e-9 * abs(value), (metric, final, value)


def ignored_labels():
    for ranks in (1, 2, 3):
        compare(ranks, ignored=3)


def weights_of_classes():
    for ranks in (1, 2):
        compare(ranks, weights=WEIGHTS)


def both_with_smoothing_clipping_and_micro_batches():
    for ranks in (1, 3, 4):
        compare(ranks, weights=WEIGHTS, ignored=3, smoothing=0.1, clip=0.05, micro_batch_size=2)


def all_three_together():
    for ranks in (1, 2, 3, 4):
        compare(ranks, weights=WEIGHTS, smoothing=0.1, clip=0.05, samples=True, micro_batch_size=3)


def a_batch_of_ignored_labels_changes_nothing():
    pixels, labels = common.images(4 * BATCH, seed=3)
    labels[BATCH:2 * BATCH] = 3
    states = []
    for kept in (True, False):
        rows = np.r_[0:4 * BATCH] if kept else np.r_[0:BATCH, 2 * BATCH:4 * BATCH]
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            common.write_channel(directory / "train", pixels[rows], labels[rows])
            output, state = common.train(directory, {"train": directory / "train"}, 2, model="mlp", model_dropout=0, ignore_index=3,
                                         **{**JOB, "max_steps": 0, "epochs": 1})
        assert ("step 2 changes nothing" in output) == kept, output
        states.append(state)
    difference = common.relative_difference(*states)
    assert difference == 0, difference


def a_job_or_a_channel_without_labels_that_count_is_told():
    pixels, labels = common.images(40, seed=3)
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        common.write_channel(directory / "train", pixels, labels)
        common.write_channel(directory / "three", pixels[:9], np.full(9, 3, np.uint8))
        run = ["train", "--model", "mlp", "--model_dir", directory / "model", "--output_dir", directory / "output", "--ignore_index", "3",
               "--ranks_per_host", "2", "--threads_per_rank", "1", "--epochs", "1", "--export", "none"]
        output = common.run([*run, "--channel", f"train={directory / 'three'}"], expect=3)
        assert "nothing was trained: in all 1 steps no label counted" in output, output
        output = common.run([*run, "--channel", f"train={directory / 'train'}", "--channel", f"test={directory / 'three'}",
                             "--channel", f"validation={directory / 'three'}"])
        for channel in ("test", "validation"):
            assert f"WARNING: nothing is measured on channel {channel}: all of its labels are ignored" in output, output
        output = common.run([*run, "--channel", f"train={directory / 'train'}", "--channel", f"test={directory / 'train'}",
                             "--monitor", "accuracy:min"])
        assert "WARNING: monitor=accuracy:min looks for the worst state: more of it is better" in output, output


def what_does_not_fit_is_refused():
    pixels, labels = common.images(20, seed=3)
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        common.write_channel(directory / "train", pixels, labels)
        for options, texts in (
                (["--class_weights", "1,2"], ["class_weights must have a number for each class", "it has 2"]),
                (["--class_weights", "1,-2"], ["class_weights", "number ≥ 0"]),
                (["--loss", "mean"], ["hyperparameter loss: expected cross_entropy, mse", "\"mean\""]),
                (["--metrics", "f2"], ["hyperparameter metrics: expected loss, accuracy", "\"f2\""]),
                (["--monitor", "acuracy:max"], ["hyperparameter monitor", "did you mean accuracy?"]),
                (["--metrics", "mean_absolute_error"], ["metrics=mean_absolute_error needs targets that are real numbers"]),
                (["--loss", "mse", "--ignore_index", "3"], ["ignore_index does nothing in this job"])):
            output = common.run(["train", "--channel", f"train={directory / 'train'}", "--model", "mlp", "--model_dir",
                                 directory / "model", "--output_dir", directory / "output", *options], expect=2)
            for text in texts:
                assert text in output, output


if __name__ == "__main__":
    common.main(ignored_labels, weights_of_classes, both_with_smoothing_clipping_and_micro_batches, all_three_together,
                a_batch_of_ignored_labels_changes_nothing, a_job_or_a_channel_without_labels_that_count_is_told,
                what_does_not_fit_is_refused)
