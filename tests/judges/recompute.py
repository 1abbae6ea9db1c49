"""Programs that people bring, trained with parts of them run again in backward and without: the same bits of losses, parameters and
statistics, in every precision, with dropout, over several ranks and micro-batches."""

import itertools
import os
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import common
import programs
import zoo

SAMPLES, BATCH, STEPS = programs.SAMPLES, programs.BATCH, 4
SOAK = "LOCKSTEP_SOAK" in os.environ
MODES = ("auto", "all")


class DroppingBlock(nn.Module):
    def __init__(self, width, heads, p):
        super().__init__()
        self.norm1, self.norm2, self.heads, self.p = nn.LayerNorm(width), nn.LayerNorm(width), heads, p
        self.qkv, self.mixed, self.drop = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Dropout(p)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind()
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.p)
        x = x + self.drop(self.mixed(y.transpose(1, 2).reshape(b, t, c)))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))


class DroppingGpt(nn.Module):
    """Dropout everywhere, in attention too; the head is the embedding; two outputs."""

    def __init__(self, p=0.2):
        super().__init__()
        self.token, self.position, self.drop = nn.Embedding(zoo.VOCABULARY, 12), nn.Parameter(torch.randn(zoo.LENGTH, 12) * 0.1), nn.Dropout(p)
        self.layers, self.norm, self.head = nn.Sequential(*(DroppingBlock(12, 3, p) for _ in range(4))), nn.LayerNorm(12), nn.Linear(12, zoo.VOCABULARY, bias=False)
        self.head.weight = self.token.weight

    def forward(self, input_ids):
        x = self.norm(self.layers(self.drop(self.token(input_ids) + self.position)))
        return {"logits": self.head(x), "features": x}


def trained(case, directory, mode, ranks, options):
    where = directory / f"{mode}-{ranks}-{'-'.join(map(str, options.values()))}"
    where.mkdir()
    named = {"output": case.output} if case.output else {}
    output, state = common.train(where, {"train": directory / "train"}, ranks=ranks, model=directory / "model.pt2", batch_size=BATCH,
                                 max_steps=STEPS, epochs=10, eval_every=100, log_every=1e-9, loss=case.loss, export="safetensors",
                                 recompute=mode, **named, **options)
    losses = [line["train_loss"] for line in common.metrics(where, "progress")]
    assert len(losses) == STEPS - 1 and all(np.isfinite(losses)), losses
    said = [line for line in output.splitlines() if f"recompute={mode}" in line]
    assert len(said) == (mode != "none"), output
    return losses, state, "run again" in "".join(said)


def same_bits(case, model, jobs, turn):
    """Returns of each mode whether something ran again. Without LOCKSTEP_SOAK each job is run in one mode, in turn."""
    again = {}
    with common.temporary_directory() as path:
        directory = pathlib.Path(path)
        zoo.export(case, model, directory / "model.pt2")
        programs.write_data(case, directory / "train")
        for number, (ranks, options) in enumerate(jobs, turn):
            losses, state, _ = trained(case, directory, "none", ranks, options)
            for mode in MODES if SOAK else MODES[number % 2::2]:
                found_losses, found, ran = trained(case, directory, mode, ranks, options)
                assert found_losses == losses, f"recompute={mode}, {ranks} ranks, {options}: losses {found_losses} and {losses}"
                differ = [name for name in state if not np.array_equal(found[name], state[name])]
                assert not differ, f"recompute={mode}, {ranks} ranks, {options}: {differ} differ"
                again[mode] = again.get(mode, False) or ran
    return again


SGD = dict(optimizer="sgd", learning_rate=0.05, momentum=0.9)
LAMB = dict(optimizer="lamb", learning_rate=0.01)


def every_program_of_the_zoo_has_the_same_bits():
    again = {"auto": [], "all": []}
    cases = zoo.cases(SAMPLES)
    jobs = [(1, dict(precision="fp32", passes="none", **SGD)), (2, dict(precision="bf16", micro_batch_size=2, **SGD))]
    for i, (name, case) in enumerate(cases.items()):
        torch.manual_seed(7)
        chosen = jobs if SOAK else [jobs[i % 2]]
        if name == "lstm" and not programs.pytorch_runs_lstm("bf16"):
            chosen = jobs[:1]
        for mode, ran in same_bits(case, case.model(), chosen, i // 2 + 1).items():
            again[mode].append(ran)
    for mode, least in (("auto", 0.5), ("all", 0.8)):
        print(f"    recompute={mode}: something ran again in {sum(again[mode])} of {len(again[mode])} programs")
        assert np.mean(again[mode]) >= least, again
    assert sum(map(len, again.values())) >= len(cases)


def with_dropout_in_every_precision():
    tokens = torch.randint(zoo.VOCABULARY, (SAMPLES, zoo.LENGTH), generator=torch.Generator().manual_seed(3))
    pictures = torch.rand(SAMPLES, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    labels = torch.randint(zoo.CLASSES, (SAMPLES,), generator=torch.Generator().manual_seed(5))
    gpt = zoo.Case(DroppingGpt, {"input_ids": tokens}, tokens.roll(-1, 1), output="logits")
    picture = zoo.Case(lambda: zoo.Efficientnet(0.2), {"x": pictures}, labels)
    jobs = [(ranks, dict(precision=precision, micro_batch_size=micro, **optimizer))
            for (precision, optimizer), (ranks, micro) in zip(itertools.product(("fp64", "bf16", "fp16"), (SGD, LAMB)), ((1, 0), (2, 2), (2, 0), (1, 3), (1, 4), (2, 3)))]
    for i, (case, freeze) in enumerate(((gpt, "token.*,layers.0.*,layers.2.norm1.*"), (picture, "features.0.*,features.1.*"))):
        torch.manual_seed(11)
        more = [(2, dict(precision="fp32", freeze=freeze, **SGD))]
        if case is picture:
            more.append((2, dict(precision="fp32", sync_batch_norm="true", **SGD)))
        assert same_bits(case, case.model(), (jobs if SOAK else jobs[i::2]) + more, i) == {"auto": True, "all": True}


if __name__ == "__main__":
    common.main(with_dropout_in_every_precision, every_program_of_the_zoo_has_the_same_bits)
