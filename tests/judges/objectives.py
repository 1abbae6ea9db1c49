"""Losses against PyTorch, metrics against scikit-learn, and predictions against the program, on 1, 2 and 3 ranks."""

import concurrent.futures
import csv
import os
import pathlib
import subprocess
import warnings

import numpy as np
import pandas as pd
import sklearn.metrics as sk
import torch
from sklearn.preprocessing import label_binarize
from torch import nn
from torch.nn import functional as F

import common
import models

torch.set_num_threads(1)
warnings.filterwarnings("ignore", module="sklearn")  # that a class is absent
SAMPLES, BATCH, STEPS = 31, 15, 9  # ranks of two have 8 and 7 of 15 samples; the last batch of an epoch has 1, and one of them has none
SOAK = "LOCKSTEP_SOAK" in os.environ
EXACT = 1e-9


def channel(directory, **columns):
    directory.mkdir(parents=True)
    np.savez(directory / "data.npz", **columns)


# Losses: some steps of SGD, with and without weights of samples.

class Head(nn.Module):
    """A linear layer whose outputs have some sizes; `positive` makes the last number of a pair positive."""

    def __init__(self, sizes, positive=False):
        super().__init__()
        self.linear, self.sizes, self.positive = nn.Linear(6, int(np.prod(sizes))), sizes, positive

    def forward(self, x):
        y = self.linear(x).view(-1, *self.sizes)
        return torch.stack((y[..., 0], torch.exp(y[..., 1])), -1) if self.positive else y


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 5), nn.Linear(5, 7)

    def forward(self, tokens):
        return self.head(torch.tanh(self.embed(tokens)))


def made(generator, kind):
    """Targets of some kind."""
    if kind == "soft":
        return generator.dirichlet(np.ones(4), SAMPLES)
    if kind == "labels":
        return none_counts(np.where(generator.random((SAMPLES, 3)) < 0.2, -100, generator.integers(0, 2, (SAMPLES, 3))), -100)
    if kind == "shares":
        return generator.random((SAMPLES, 3))
    if kind == "answer":
        return generator.integers(0, 2, SAMPLES)
    if kind == "counts":
        return generator.poisson(2.0, (SAMPLES, 2)).astype(float)
    if kind == "pairs":
        return generator.choice([-1, 1], SAMPLES)
    return generator.normal(0, 2, (SAMPLES, 2))


def none_counts(labels, ignored):
    """Of what the first of several ranks has of the first batch, and in all of the second batch."""
    labels[:BATCH // 2 + 1] = labels[BATCH:2 * BATCH] = ignored
    return labels


def bce(y, t, pos):
    return F.binary_cross_entropy_with_logits(y, t.clamp(0, 1).view(y.shape), pos_weight=pos, reduction="none"), (t != -100).double().view(y.shape)


def whole(values):
    return values, torch.ones_like(values)


WEIGHTS = [0.5, 2.0, 1.25, 0.75]
LOSSES = {  # the loss's values and what each counts, of outputs and targets
    "soft": (Head((4,)), "soft", dict(loss="cross_entropy", label_smoothing=0.1, class_weights=WEIGHTS), lambda y, t: whole(
        F.cross_entropy(y, t, weight=torch.tensor(WEIGHTS, dtype=torch.float64), label_smoothing=0.1, reduction="none"))),
    "one answer": (Head((1,)), "answer", dict(loss="binary_cross_entropy", positive_weights="3"), lambda y, t: bce(y, t, torch.tensor([3.0]))),
    "labels": (Head((3,)), "labels", dict(loss="binary_cross_entropy", positive_weights=[0.5, 2, 3]),
               lambda y, t: bce(y, t, torch.tensor([0.5, 2, 3], dtype=torch.float64))),
    "shares": (Head((3,)), "shares", dict(loss="binary_cross_entropy"), lambda y, t: bce(y, t, None)),
    "mse": (Head((2,)), "numbers", dict(loss="mse"), lambda y, t: whole(F.mse_loss(y, t, reduction="none"))),
    "mae": (Head((2,)), "numbers", dict(loss="mae"), lambda y, t: whole(F.l1_loss(y, t, reduction="none"))),
    "huber": (Head((2,)), "numbers", dict(loss="huber", huber_delta=0.7), lambda y, t: whole(F.huber_loss(y, t, delta=0.7, reduction="none"))),
    "gaussian": (Head((2, 2), positive=True), "numbers", dict(loss="gaussian_nll"),
                 lambda y, t: whole(F.gaussian_nll_loss(y[..., 0], t, y[..., 1], reduction="none"))),
    "poisson": (Head((2,)), "counts", dict(loss="poisson_nll"), lambda y, t: whole(F.poisson_nll_loss(y, t, reduction="none"))),
    "pairs": (Head((2, 5)), "pairs", dict(loss="cosine_embedding", cosine_margin=0.25),
              lambda y, t: whole(F.cosine_embedding_loss(y[:, 0], y[:, 1], t, margin=0.25, reduction="none"))),
    "next token": (Words(), "tokens", dict(loss="next_token", label_smoothing=0.1, ignore_index=3, columns="tokens=tokens,target=tokens"),
                   lambda y, t: (F.cross_entropy(y[:, :-1].transpose(1, 2), t[:, 1:], ignore_index=3, label_smoothing=0.1, reduction="none"),
                                 (t[:, 1:] != 3).double()))}


def mean_loss(terms, weights):
    values, counts = terms
    if weights is not None:
        counts = counts * weights.view(-1, *[1] * (counts.dim() - 1))
    # With class weights PyTorch's values are weighted already; those of ignored positions are 0 or count nothing.
    return (values * counts).sum() / counts.sum()


def train_beside_pytorch(name, ranks, weighted, seed=0, **job):
    model, kind, options, terms = LOSSES[name]
    generator = np.random.default_rng([len(name), ranks, seed])
    torch.manual_seed(ranks + seed)
    model = model.double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    if kind == "tokens":
        inputs = targets = none_counts(generator.integers(0, 7, (SAMPLES, 9)), options["ignore_index"])
        columns = dict(tokens=inputs)
    else:
        inputs, targets = generator.normal(size=(SAMPLES, 6)), made(generator, kind)
        columns = dict(x=inputs, targets=targets)
    weights = generator.uniform(0, 2, SAMPLES) if weighted else None
    if weighted:
        columns["weight"] = weights
    real = lambda array: torch.tensor(array) if kind == "tokens" else torch.tensor(array, dtype=torch.float64)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(model, directory / "model.pt2", real(inputs[:4]))
        channel(directory / "train", **columns)
        channel(directory / "validation", **{name: column[:11] for name, column in columns.items()})
        _, trained = common.train(directory, {name: directory / name for name in ("train", "validation")}, ranks, model=directory / "model.pt2",
                                  precision="fp64", batch_size=BATCH, epochs=9, max_steps=STEPS, learning_rate=0.01, momentum=0.9, shuffle="false",
                                  artifact_state="last", eval_batch_size=4, export="safetensors", **options, **job)
        final = common.metrics(directory, "final")[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for step in range(STEPS):
        at = slice(step % 3 * BATCH, (step % 3 + 1) * BATCH)
        optimizer.zero_grad()
        loss = mean_loss(terms(model(real(inputs[at])), real(targets[at])), torch.tensor(weights[at]) if weighted else None)
        if not loss.isnan():  # a step in which nothing counts changes nothing
            loss.backward()
            optimizer.step()
    difference = common.relative_difference(trained, {n: t.detach().numpy() for n, t in model.state_dict().items()})
    assert difference <= EXACT, f"{name}, {ranks} ranks: parameters differ by {difference:.3g}"
    with torch.no_grad():
        wanted = mean_loss(terms(model(real(inputs[:11])), real(targets[:11])), torch.tensor(weights[:11]) if weighted else None).item()
    assert abs(final["validation_loss"] - wanted) <= EXACT * abs(wanted), (name, final["validation_loss"], wanted)


def every_loss_is_pytorchs():
    """On two ranks each, and on one or three; without LOCKSTEP_SOAK every third alone on one or three."""
    for number, name in enumerate(LOSSES):
        for ranks in (1, 3) if SOAK else (number % 2 * 2 + 1,) if number % 3 == 0 else ():
            train_beside_pytorch(name, ranks, weighted=number % 4 < 2)
        train_beside_pytorch(name, 2, weighted=number % 4 >= 2, micro_batch_size=2)


def tokens_accumulate_as_the_whole_batch():
    """Texts of one to nine tokens that count, in micro-batches of one text, on ranks that have tokens unequally."""
    generator = np.random.default_rng(11)
    torch.manual_seed(11)
    model = Words().double()
    tokens = generator.integers(0, 7, (SAMPLES, 10))
    counted = np.arange(10)[None] <= generator.integers(1, 10, (SAMPLES, 1))
    targets = np.where(counted, tokens, -100)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(model, directory / "model.pt2", torch.tensor(tokens[:4]))
        channel(directory / "train", tokens=tokens, targets=targets)
        trained = []
        for ranks, micro_batch in ((1, 0), (1, 1), (3, 2)):
            _, state = common.train(directory, {"train": directory / "train"}, ranks, model=directory / "model.pt2", precision="fp64", batch_size=BATCH,
                                    max_steps=STEPS, learning_rate=0.1, momentum=0.9, shuffle="false", loss="next_token", micro_batch_size=micro_batch,
                                    columns="tokens=tokens,target=targets", artifact_state="last", export="safetensors")
            trained.append(state)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(STEPS):
        at = slice(step % 3 * BATCH, (step % 3 + 1) * BATCH)
        optimizer.zero_grad()
        F.cross_entropy(model(torch.tensor(tokens[at]))[:, :-1].transpose(1, 2), torch.tensor(targets[at])[:, 1:]).backward()
        optimizer.step()
    for state in trained:
        difference = common.relative_difference(state, {n: t.detach().numpy() for n, t in model.state_dict().items()})
        assert difference <= 1e-12, difference


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.scale = nn.Linear(6, 4), nn.Linear(6, 4), nn.Parameter(torch.tensor(5.0))  # 1 ÷ a temperature that is learnt

    def forward(self, x):
        return torch.stack((self.scale * F.normalize(self.first(x)), F.normalize(self.second(torch.tanh(x)))), 1)


def info_nce(pairs, symmetric, temperature):
    similarities, own = pairs[:, 0] @ pairs[:, 1].T / temperature, torch.arange(len(pairs))
    rows = F.cross_entropy(similarities, own)
    return (rows + F.cross_entropy(similarities.T, own)) / 2 if symmetric else rows


def info_nce_is_pytorchs_over_the_whole_batch():
    """Of batches of 17, 17 and 2 samples: ranks have them unequally, and of the last a rank of three has none."""
    batch, samples, held = 17, 36, 19
    generator = np.random.default_rng(12)
    x = generator.normal(size=(samples, 6))
    for ranks, symmetric, temperature in ((1, True, 1), (2, False, 0.25), (3, True, 0.25), (3, False, 1)):
        torch.manual_seed(12)
        model = Towers().double()
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            models.export(model, directory / "model.pt2", torch.tensor(x[:4]))
            channel(directory / "train", x=x)
            channel(directory / "validation", x=x[:held])
            _, trained = common.train(directory, {name: directory / name for name in ("train", "validation")}, ranks, model=directory / "model.pt2",
                                      precision="fp64", loss="symmetric_info_nce" if symmetric else "info_nce",
                                      info_nce_temperature=temperature, batch_size=batch, epochs=3, learning_rate=0.3, momentum=0.9, shuffle="false", artifact_state="last",
                                      export="safetensors", check_collectives="true", predict="validation")
            epochs, final = common.metrics(directory, "epoch"), common.metrics(directory, "final")[0]
            predicted = pd.read_csv(directory / "output" / "data" / "predictions_validation.csv", float_precision="round_trip")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        for epoch in epochs:
            mean = 0
            for begin in range(0, samples, batch):
                part = torch.tensor(x[begin:begin + batch])
                optimizer.zero_grad()
                loss = info_nce(model(part), symmetric, temperature)
                loss.backward()
                optimizer.step()
                mean += loss.item() * len(part) / samples
            assert abs(epoch["train_loss"] - mean) <= 1e-10, (ranks, epoch, mean)
        difference = common.relative_difference(trained, {n: t.detach().numpy() for n, t in model.state_dict().items()})
        assert difference <= 1e-10, f"{ranks} ranks, symmetric {symmetric}: parameters differ by {difference:.3g}"
        with torch.no_grad():
            pairs = model(torch.tensor(x[:held]))
            wanted = sum(info_nce(part, symmetric, temperature).item() * len(part) / held for part in (pairs[:batch], pairs[batch:]))
        assert abs(final["validation_loss"] - wanted) <= 1e-10, (ranks, final, wanted)
        assert list(predicted) == ["sample", *(f"output_{i}" for i in range(8))], predicted.columns
        assert np.allclose(predicted.to_numpy()[:, 1:], pairs.reshape(held, 8).numpy(), rtol=0, atol=1e-10)


# Metrics: the program returns its input, so that the samples' scores are what the data says.

class Given(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.one


def measured(scores, targets, ranks, metrics, weight=None, tables=(), expect_notes=(), **options):
    """What a job reports of these scores, that no step changes in more than the last digits; and its output."""
    columns = {"targets": targets, **({} if weight is None else {"weight": weight})}
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Given().double(), directory / "model.pt2", torch.tensor(scores[:2]))
        channel(directory / "train", x=scores[-9:], **{name: column[-9:] for name, column in columns.items()})
        channel(directory / "validation", x=scores, **columns)
        output, _ = common.train(directory, {name: directory / name for name in ("train", "validation")}, ranks, model=directory / "model.pt2",
                                 precision="fp64", max_steps=1, learning_rate=1e-300, momentum=0, batch_size=9, eval_batch_size=3, export="none",
                                 metrics=",".join([*metrics, *tables]), **options)
        epoch, final = common.metrics(directory, "epoch")[0], common.metrics(directory, "final")[0]
    for note in expect_notes:
        assert note in output, (note, output)
    for name in [*metrics, *tables]:
        assert epoch[f"validation_{name}"] == final[f"validation_{name}"] or final[f"validation_{name}"] == "nan", name
    return {name: final[f"validation_{name}"] for name in [*metrics, *tables]}, output


def same(found, expected):
    assert found.keys() >= expected.keys(), expected.keys() - found.keys()
    for name, value in expected.items():
        got = np.array(found[name], dtype=float)
        assert got.shape == np.shape(value) and np.allclose(got, value, rtol=EXACT, atol=1e-12, equal_nan=True), (name, found[name], value)


SCORES = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score, "iou": sk.jaccard_score, "dice": sk.f1_score}


def class_scores(truth, predicted, weight, labels, binary):
    expected = {}
    for name, score in SCORES.items():
        of = lambda **options: score(truth, predicted, sample_weight=weight, zero_division=0, **options)
        if binary:
            expected[name] = of(average="binary")
        expected |= {f"{name}_micro": of(average="micro"), f"{name}_macro": of(average="macro"),
                     f"{name}_per_class": of(average=None, labels=labels)}
    return expected


def rounded(generator, size, digits):
    """With ties."""
    return np.round(generator.normal(0, 2, size), digits)


def classes(generator, ranks, count, number, absent=None, weighted=False, ignored=False, digits=1):
    scores = rounded(generator, (number, count), digits)
    truth = generator.integers(0, count, number)
    if absent is not None:
        truth[truth == absent] = (absent + 1) % count
    weight = generator.integers(0, 4, number) / 2 if weighted else None
    counts = np.ones(number, bool)
    if ignored:
        counts = generator.random(number) < 0.7
        counts[[0, 1, -1]] = True  # the last ones are trained on
    if weighted:
        weight[[0, -1]] = 1
        counts &= weight > 0
    y, s, w = truth[counts], scores[counts], None if weight is None else weight[counts]
    p = torch.tensor(s).softmax(1).numpy()
    expected = class_scores(y, s.argmax(1), w, np.arange(count), count == 2)
    expected |= {"confusion_matrix": sk.confusion_matrix(y, s.argmax(1), labels=np.arange(count), sample_weight=w),
                 "log_loss": sk.log_loss(y, p, labels=np.arange(count), sample_weight=w),
                 "accuracy": sk.accuracy_score(y, s.argmax(1), sample_weight=w)}
    for best in (2, 3, 5):
        if best < count:
            expected[f"top{best}"] = sk.top_k_accuracy_score(y, s, k=best, labels=np.arange(count), sample_weight=w)
    # scikit-learn refuses scores of classes that are absent; one against all others, it does not.
    present = np.array([(y == c).any() for c in range(count)])
    if count == 2:
        difference = s[:, 1] - s[:, 0]
        expected["roc_auc"] = sk.roc_auc_score(y, difference, sample_weight=w) if present.all() else np.nan
        expected["average_precision"] = sk.average_precision_score(y, difference, sample_weight=w)
    else:
        expected["roc_auc"] = sk.roc_auc_score(y, p, multi_class="ovr", sample_weight=w) if present.all() else np.nan
        expected["average_precision"] = sk.average_precision_score(label_binarize(y, classes=np.arange(count)), p, sample_weight=w)
    stored = np.where(counts | (truth < 0), truth, -100) if ignored else truth
    found, _ = measured(scores, stored, ranks, list(expected), weight,
                        expect_notes=[] if present.all() else ["validation_roc_auc: it is not a number", "validation_average_precision" if not present[1:].all() else ""])
    same(found, expected)


def answers(generator, ranks, number, labels=0, constant=None, weighted=False):
    """Yes or no; with `labels` so many a sample, of which `constant` is never true."""
    size = (number, labels) if labels else (number, 1)
    scores, truth = rounded(generator, size, 1), generator.integers(0, 2, size)
    truth[0], truth[1] = 0, 1
    if constant is not None:
        truth[:, constant] = 0
    w = generator.integers(1, 4, number) / 2 if weighted else None
    y, s = (truth, scores) if labels else (truth[:, 0], scores[:, 0])
    p = s > 0
    expected = class_scores(y, p, w, None if labels else [0, 1], not labels)
    by_label = lambda score: np.mean([score(truth[:, i], scores[:, i], sample_weight=w) for i in range(size[1])])
    values = F.binary_cross_entropy_with_logits(torch.tensor(scores), torch.tensor(truth).double(), reduction="none").numpy()
    expected |= {"binary_accuracy": np.average((p == y).reshape(size).mean(1), weights=w), "log_loss": np.average(values.mean(1), weights=w),
                 "roc_auc": np.nan if constant is not None else by_label(sk.roc_auc_score), "average_precision": by_label(sk.average_precision_score)}
    if not labels:
        expected |= {"confusion_matrix": sk.confusion_matrix(y, p, sample_weight=w), "log_loss": sk.log_loss(y, torch.tensor(s).sigmoid().numpy(), sample_weight=w)}
    stored = truth if labels else truth[:, 0]
    found, _ = measured(scores, stored, ranks, list(expected), w, loss="binary_cross_entropy")
    same(found, expected)


def numbers(generator, ranks, number, width, mean=0.0, weighted=False):
    targets = generator.normal(mean, 1, (number, width))
    scores = targets + generator.normal(0, 0.5, (number, width))
    if width > 2:
        targets[:, 1] = 3.0  # always the same
    w = generator.integers(1, 5, number) / 2 if weighted else None
    expected = {"mse": sk.mean_squared_error(targets, scores, sample_weight=w), "rmse": sk.root_mean_squared_error(targets, scores, sample_weight=w),
                "mean_absolute_error": sk.mean_absolute_error(targets, scores, sample_weight=w), "r2": sk.r2_score(targets, scores, sample_weight=w)}
    found, _ = measured(scores, targets, ranks, list(expected), w, loss="mse")
    same(found, expected)


def metrics_of_classes_are_scikit_learns():
    generator = np.random.default_rng(1)
    classes(generator, 1, 6, 61)
    classes(generator, 3, 5, 61, weighted=True, ignored=True, digits=0)
    classes(generator, 2, 4, 37, absent=2)
    classes(generator, 3, 3, 2, digits=0, absent=0)  # a rank without samples
    classes(generator, 2, 2, 53, weighted=True, digits=0)


def metrics_of_answers_are_scikit_learns():
    generator = np.random.default_rng(2)
    answers(generator, 3, 47, weighted=True)
    answers(generator, 2, 33, labels=3, weighted=True)
    answers(generator, 1, 20, labels=4, constant=2)


def metrics_of_masks_are_scikit_learns():
    generator = np.random.default_rng(3)
    scores, truth = rounded(generator, (7, 1, 4, 5), 1), generator.integers(0, 2, (7, 4, 5))
    expected = class_scores(truth.ravel(), scores.ravel() > 0, None, [0, 1], True) | {"roc_auc": sk.roc_auc_score(truth.ravel(), scores.ravel())}
    same(measured(scores, truth, 3, list(expected), loss="binary_cross_entropy")[0], expected)
    scores, truth = rounded(generator, (7, 4, 5, 3), 1), generator.integers(0, 3, (7, 4, 5))
    truth[generator.random(truth.shape) < 0.2] = -100
    y, s = truth.ravel(), scores.reshape(-1, 3)
    expected = class_scores(y[y >= 0], s[y >= 0].argmax(1), None, [0, 1, 2], False)
    same(measured(scores, truth, 2, list(expected))[0], expected)


def metrics_of_numbers_are_scikit_learns():
    generator = np.random.default_rng(4)
    numbers(generator, 3, 31, 3)
    numbers(generator, 2, 40, 1, mean=1e6, weighted=True)


def random_metrics(generator, kind, ranks):
    number, weighted = int(generator.integers(4, 90)), bool(generator.integers(2))
    if kind == "answers":
        answers(generator, ranks, number, labels=int(generator.choice([0, 2, 5])), weighted=weighted)
    elif kind == "numbers":
        numbers(generator, ranks, number, int(generator.integers(1, 5)), mean=float(generator.choice([0, 1e3])), weighted=weighted)
    else:
        classes(generator, ranks, int(generator.integers(3, 7)), number, weighted=weighted, ignored=bool(generator.integers(2)),
                digits=int(generator.integers(0, 2)))


def random_jobs_are_scikit_learns_and_pytorchs():
    """The same ones in each run, and in a campaign others each time: its seed is printed, and LOCKSTEP_SEED repeats it."""
    first = int(os.environ.get("LOCKSTEP_SEED", np.random.SeedSequence().entropy % 10**9)) if SOAK else 100
    print(f"    LOCKSTEP_SEED={first}", flush=True)
    for seed in range(first, first + (120 if SOAK else 3)):
        generator = np.random.default_rng(seed)
        kind, ranks = ("classes", "answers", "numbers", "loss")[seed % (4 if SOAK else 3)], int(generator.integers(1, 4))
        try:
            if kind == "loss":
                name, weighted, micro_batch = str(generator.choice(list(LOSSES))), bool(generator.integers(2)), int(generator.integers(0, 5))
                train_beside_pytorch(name, ranks, weighted, seed, micro_batch_size=micro_batch)
            else:
                random_metrics(generator, kind, ranks)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {kind}, {ranks} ranks: {error}") from error


def where_nothing_counts_nothing_is_measured():
    generator = np.random.default_rng(5)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Given().double(), directory / "model.pt2", torch.zeros(2, 3, dtype=torch.float64))
        channel(directory / "train", x=generator.normal(size=(9, 3)), targets=generator.integers(0, 3, 9))
        channel(directory / "validation", x=generator.normal(size=(5, 3)), targets=np.full(5, -100))
        output, _ = common.train(directory, {name: directory / name for name in ("train", "validation")}, 2, model=directory / "model.pt2",
                                 precision="fp64", max_steps=1, export="none", metrics="f1_macro,roc_auc,log_loss,confusion_matrix,f1_per_class")
        final = common.metrics(directory, "final")[0]
        assert "nothing is measured on channel validation" in output, output
        assert all(final[f"validation_{name}"] == "nan" for name in ("accuracy", "f1_macro", "roc_auc", "log_loss")), final
        assert final["validation_confusion_matrix"] == [[0.0] * 3] * 3 and final["validation_f1_per_class"] == ["nan"] * 3, final


# Predictions.

def lines(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def predictions_are_what_the_program_says():
    """Of a channel with targets, and of one without, on ranks that have samples unequally; of whole numbers of classes."""
    generator = np.random.default_rng(6)
    names = ["a", "b", "c", "kind"]
    table = lambda count: [[*map(repr, generator.normal(size=3).tolist()), "xyz"[generator.integers(3)]] for _ in range(count)]
    tables = {"train": table(50), "validation": table(31), "news": [row[:3] for row in table(7)]}
    first, frames = None, {}
    for ranks, form in ((1, "csv"), (3, "csv"), (3, "parquet")):
        with common.temporary_directory() as directory:
            directory = pathlib.Path(directory)
            for name, rows in tables.items():
                (directory / name).mkdir()
                with open(directory / name / "data.csv", "w", newline="") as file:
                    csv.writer(file).writerows([names[:len(rows[0])], *rows])
            output, _ = common.train(directory, {name: directory / name for name in tables}, ranks, model="mlp", model_hidden="5", epochs=2,
                                     precision="fp64", columns="target=kind", predict=f"news:{form},validation{':parquet' if form == 'parquet' else ''}", eval_batch_size=4, model_dropout=0)
            module = torch.export.load(directory / "model" / "model.pt2").module()
            files = {name: directory / "output" / "data" / f"predictions_{name}.{form}" for name in ("news", "validation")}
            assert {path.name for path in (directory / "output" / "data").iterdir()} == {"metrics.jsonl", *(path.name for path in files.values()), "report.html", "tensorboard"}
            assert files["news"].name in output, output
            if form == "parquet":
                for name, path in files.items():
                    pd.testing.assert_frame_equal(pd.read_parquet(path), frames[name], check_exact=True)
                continue
            frames = {name: pd.read_csv(path, float_precision="round_trip") for name, path in files.items()}
            found = {name: lines(path) for name, path in files.items()}
        for name, rows in found.items():
            inputs = torch.tensor([[float(cell) for cell in row[:3]] for row in tables[name]], dtype=torch.float64)
            with torch.no_grad():
                wanted = module(inputs).numpy()
            got = np.array([[float(row[f"output_{i}"]) for i in range(3)] for row in rows])
            assert got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-12, atol=1e-14), (name, got, wanted)
            assert [int(row["sample"]) for row in rows] == list(range(len(wanted)))
            assert [int(row["predicted"]) for row in rows] == wanted.argmax(1).tolist()
            targets = ["xyz".index(row[3]) for row in tables[name]] if name == "validation" else None
            assert ([int(row["target"]) for row in rows] if targets else "target" in rows[0]) == (targets or False), name
            assert [row["predicted_label"] for row in rows] == ["xyz"[i] for i in wanted.argmax(1)], name
            assert [row.get("target_label") for row in rows] == ["xyz"[i] for i in targets] if targets else "target_label" not in rows[0], name
        outputs = [[float(row["output_0"]) for row in rows] for rows in found.values()]
        first = first or outputs
        assert all(np.allclose(a, b, rtol=1e-9) for a, b in zip(first, outputs)), "other ranks, other predictions"


def numbers_have_their_targets_beside_them():
    generator = np.random.default_rng(7)
    scores, targets = generator.normal(size=(10, 2)).astype(np.float32), generator.normal(size=(10, 2)).astype(np.float32)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Given(), directory / "model.pt2", torch.tensor(scores[:2]))
        channel(directory / "train", x=scores, targets=targets)
        for form in ("csv", "parquet"):
            common.train(directory, {"train": directory / "train"}, 2, model=directory / "model.pt2", loss="mae", max_steps=1, learning_rate=1e-300,
                         momentum=0, export="none", predict=f"train:{form}")
        rows = lines(directory / "output" / "data" / "predictions_train.csv")
        frame = pd.read_parquet(directory / "output" / "data" / "predictions_train.parquet")
    assert list(rows[0]) == ["sample", "target_0", "target_1", "output_0", "output_1"], rows[0]
    read = lambda name: np.array([[np.float32(row[f"{name}_{i}"]) for i in range(2)] for row in rows])
    assert (read("target") == targets).all() and (read("output") == scores).all()
    assert [str(kind) for kind in frame.dtypes] == ["int64", *["float64"] * 2, *["float32"] * 2], frame.dtypes
    assert (frame.to_numpy()[:, 1:] == np.concatenate((targets, scores), 1)).all() and list(frame) == list(rows[0])


def predictions_are_whole_or_not_there():
    """Of a job that is killed between changes of the disk while it writes them, and of the next."""
    generator = np.random.default_rng(9)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Given(), directory / "model.pt2", torch.zeros(2, 3))
        channel(directory / "train", x=generator.normal(size=(40, 3)), targets=np.arange(40) % 3)
        folder = directory / "output" / "data"
        command = [common.BIN / "lockstep", "train", "--channel", f"train={directory / 'train'}", "--model", directory / "model.pt2", "--model_dir", directory / "model",
                   "--output_dir", directory / "output", "--threads_per_rank", "1", "--epochs", "1", "--export", "none", "--predict", "train:parquet"]

        def run(**kill):
            passed = directory / "passed"
            passed.unlink(missing_ok=True)
            result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120,
                                    env={**os.environ, "LOCKSTEP_PASSED_POINTS": str(passed), **kill})
            lines = [line.split() for line in passed.read_text().splitlines()]
            writer = next((process for name, process in reversed(lines) if name == "staging.make"), None)
            names = [name for name, process in lines if process == writer]
            return result.returncode, {path.name: path.read_bytes() for path in folder.glob("predictions*")}, names

        code, whole, names = run()
        assert code == 0 and list(whole) == ["predictions_train.parquet"], whole.keys()
        begin = len(names) - 1 - names[::-1].index("staging.make")
        points = names[begin:begin + names[begin:].index("staging.published") + 1]
        assert "file.write" in points and "file.complete" in points, names  # of Arrow's module, which counts by itself
        for point in ("staging.made", "staging.sync", "staging.rename", "staging.renamed"):
            (folder / "predictions_train.parquet").unlink(missing_ok=True)
            hit = names[:begin + points.index(point) + 1].count(point)
            code, found, _ = run(LOCKSTEP_KILL_AT=f"{point}:{hit}")
            assert code != 0 and found == (whole if point == "staging.renamed" else {}), (point, hit, code, found.keys())
        code, found, _ = run()
        assert code == 0 and found == whole and not list(folder.glob(".partial-*")), list(folder.iterdir())


def what_cannot_be_is_refused_at_the_start():
    generator = np.random.default_rng(8)
    with common.temporary_directory() as directory:
        directory = pathlib.Path(directory)
        models.export(Given(), directory / "model.pt2", torch.zeros(2, 3))
        channel(directory / "train", x=generator.normal(size=(9, 3)), targets=np.arange(9) % 3)
        channel(directory / "answers", x=generator.normal(size=(9, 3)), targets=np.arange(27).reshape(9, 3) % 3)
        models.export(Towers(), directory / "towers.pt2", torch.zeros(2, 6))
        channel(directory / "pairs", x=generator.normal(size=(9, 6)))
        towers = ["--model", directory / "towers.pt2", "--loss", "info_nce", "--channel", f"validation={directory / 'pairs'}"]
        refusals = (
                ("train", ["--predict", "new"], ["hyperparameter predict: no channel is named \"new\"; there is train"]),
                ("train", ["--metrics", "f1"], ["metrics=f1 needs two classes", "_macro"]),
                ("train", ["--monitor", "confusion_matrix:max"], ["monitor=confusion_matrix is no number but a table"]),
                ("train", ["--predict", "train:xlsx"], ["hyperparameter predict: expected CHANNEL, CHANNEL:csv or CHANNEL:parquet; found \"train:xlsx\""]),
                ("train", ["--predict", "train,train:parquet"], ["expected each channel once; found \"train\" again"]),
                ("train", ["--loss", "info_nce"], ["info_nce takes real outputs [batch, 2, width]", "[1, 3]", "torch.stack((a, b), 1)"]),
                ("train", ["--positive_weights", "2"], ["positive_weights does nothing in this job", "loss=cross_entropy does not use it"]),
                ("train", ["--loss", "gaussian_nll"], ["gaussian_nll takes outputs [batch, …, 2]", "[1, 3]"]),
                ("answers", ["--loss", "binary_cross_entropy"], ["the target of sample 0 is 2", "takes targets from 0 (no) to 1 (yes)"]),
                ("answers", ["--loss", "next_token"], ["next_token takes outputs [batch, length, classes]"]),
                ("answers", ["--loss", "mse", "--metrics", "roc_auc"], ["metrics=roc_auc needs class labels, or targets of yes or no"]),
                ("pairs", [*towers, "--micro_batch_size", 2], ["loss=info_nce compares each sample of a step with all others: a rank has to run its share of a step at once, and step 1 has more than micro_batch_size=2"]),
                ("pairs", [*towers, "--eval_batch_size", 2], ["eval_batch_size does nothing in this job: loss=info_nce"]),
                ("pairs", [*towers, "--metrics", "accuracy"], ["metrics=accuracy needs one output that is compared with targets"]))

        def refused(number):
            data, options, texts = refusals[number]
            output = common.run(["train", "--channel", f"train={directory / data}", *([] if data == "pairs" else ["--model", directory / "model.pt2"]),
                                 "--model_dir", directory / f"model{number}", "--output_dir", directory / f"output{number}", *options], expect=2)
            for text in texts:
                assert text in output, (options, output)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # mpirun waits 2 s before it ends
            list(pool.map(refused, range(len(refusals))))


if __name__ == "__main__":
    common.main(every_loss_is_pytorchs, tokens_accumulate_as_the_whole_batch, info_nce_is_pytorchs_over_the_whole_batch, metrics_of_classes_are_scikit_learns, metrics_of_answers_are_scikit_learns, metrics_of_masks_are_scikit_learns,
                metrics_of_numbers_are_scikit_learns, random_jobs_are_scikit_learns_and_pytorchs, where_nothing_counts_nothing_is_measured,
                predictions_are_what_the_program_says, numbers_have_their_targets_beside_them, predictions_are_whole_or_not_there, what_cannot_be_is_refused_at_the_start)
