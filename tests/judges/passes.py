"""Programs trained with every pass, with each alone, and with none: the same parameters. And what `inspect --passes` says of them."""

import json
import math
import pathlib

import torch

import common
import models


class Pools(torch.nn.Module):
    """Max-pools after, before and without ReLU, overlapping, padded, in ceil mode."""

    def __init__(self):
        super().__init__()
        self.convs = torch.nn.ModuleList([torch.nn.Conv2d(1, 6, 3, padding=1), torch.nn.Conv2d(6, 5, 3, padding=1),
                                          torch.nn.Conv2d(5, 4, 3, padding=1)])
        self.head = torch.nn.Linear(4 * 4, 10)

    def forward(self, x):
        pool, relu = torch.nn.functional.max_pool2d, torch.nn.functional.relu
        x = pool(relu(self.convs[0](x)), 3, stride=1, padding=1)
        x = relu(pool(self.convs[1](x), (2, 3), stride=2, ceil_mode=True))
        x = pool(self.convs[2](x), 2)
        return self.head(x.view(x.size(0), -1))


class Norms(torch.nn.Module):
    """Batch norms with a residual and ReLU behind them, with one of the two, with none; of images, of features, and of sequences; in place and not."""

    def __init__(self):
        super().__init__()
        self.convs = torch.nn.ModuleList([torch.nn.Conv2d(1, 6, 3, stride=3)] + [torch.nn.Conv2d(6, 6, 3, padding=1) for _ in range(4)])
        self.norms = torch.nn.ModuleList([torch.nn.BatchNorm2d(6) for _ in range(5)])
        self.features, self.sequence = torch.nn.BatchNorm1d(24), torch.nn.BatchNorm1d(6, affine=False)
        self.reduce, self.head = torch.nn.Linear(24, 24), torch.nn.Linear(24, 10)

    def forward(self, x):
        relu = torch.nn.functional.relu
        stem = relu(self.norms[0](self.convs[0](x)), inplace=True)
        block = self.norms[1](self.convs[1](stem))
        block += self.norms[2](self.convs[2](stem))
        block = relu(block)
        last = block + self.norms[3](self.convs[3](block))
        last = last * torch.sigmoid(self.norms[4](self.convs[4](last)))
        rows = self.sequence(last.flatten(2))
        return self.head(relu(self.features(self.reduce(rows.flatten(1)))))


class Attention(torch.nn.Module):
    """Attention with dropout that takes one number of 10¹⁵, hence none: causal, and with keys that nobody sees."""

    def __init__(self):
        super().__init__()
        self.inputs, self.head = torch.nn.ModuleList([torch.nn.Linear(8, 24), torch.nn.Linear(8, 24)]), torch.nn.Linear(64, 10)
        self.register_buffer("seen", (torch.arange(8) < 6)[None])

    def forward(self, x):
        x = x.squeeze(1)
        for layer, how in zip(self.inputs, (dict(is_causal=True), dict(attn_mask=self.seen))):
            q, k, v = layer(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind()
            x = x + torch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=1e-15, **how).transpose(1, 2).flatten(2)
        return self.head(x.flatten(1))


class Wide(torch.nn.Module):
    """A product that is large in a batch of as many samples, between two that are not."""

    def __init__(self):
        super().__init__()
        self.first, self.large, self.head = torch.nn.Linear(64, 256), torch.nn.Linear(256, 256), torch.nn.Linear(256, 10)

    def forward(self, x):
        return self.head(torch.tanh(self.large(torch.tanh(self.first(x.flatten(1))))))


class WrittenGelu(torch.nn.Module):
    """transformers' GPT-2's: a product with a bias as Conv1D has it, behind it the GELU in sums and products; the latter also behind a linear, and
    behind neither."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = torch.nn.Parameter(torch.randn(8, 24) * 0.2), torch.nn.Parameter(torch.randn(24) * 0.1)
        self.middle, self.head = torch.nn.Linear(24, 12), torch.nn.Linear(8 * 12, 10)

    def forward(self, x):
        gelu = lambda x: 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
        x = x.squeeze(1)
        x = gelu(torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(x.size()[:-1] + (24,)))
        return self.head(gelu(torch.sin(gelu(self.middle(x)))).flatten(1))


# The processors on which onednn_linear changes programs.
ONEDNN_IS_FASTER = {"AuthenticAMD", "avx512f"} <= set(pathlib.Path("/proc/cpuinfo").read_text().split())
PASSES = ("channels_last", "relu_after_max_pool", "fuse_max_pool_relu", "fuse_bias_gelu", "fuse_layer_norm", "fuse_embedding", "onednn_linear",
          "fuse_batch_norm", "fuse_attention")
# Model → how many places each pass changes.
MODELS = {models.Transformer: {"channels_last": 3, "fuse_bias_gelu": 2, "fuse_layer_norm": 5, "fuse_embedding": 1},
          Pools: {"channels_last": 4, "relu_after_max_pool": 1, "fuse_max_pool_relu": 3},
          Norms: {"channels_last": 5, "fuse_batch_norm": 6},
          WrittenGelu: {"channels_last": 2, "fuse_bias_gelu": 5},
          Attention: {"fuse_attention": 2},
          Wide: {"onednn_linear": 1} if ONEDNN_IS_FASTER else {}}


def every_pass_computes_the_same():
    for make, places in MODELS.items():
        torch.manual_seed(3)
        model = make()
        pixels, labels = common.images(96, seed=5)
        steps, batch = 24, 16
        adamw = dict(optimizer="adamw", learning_rate=0.01, epsilon=1e-4)
        with common.temporary_directory() as name:
            directory = pathlib.Path(name)
            models.export(model, directory / "model.pt2")
            common.write_channel(directory / "train", pixels, labels)

            def trained(passes, precision, **optimizer):
                job = directory / f"{passes}-{precision}"
                _, state = common.train(job, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=batch,
                                        epochs=steps * batch // len(pixels), eval_every=100, precision=precision, passes=passes, **optimizer)
                return state

            expected = trained("none", "fp64", **adamw)
            for passes in (",".join(PASSES), *places):
                difference = common.relative_difference(trained(passes, "fp64", **adamw), expected)
                assert difference <= common.tolerance(steps=steps, **adamw), f"{make.__name__}, passes={passes}: parameters differ by {difference:.3g}"
            # They round to bf16 at other places: as far from one another as bf16 is from float32. AdamW would make a whole step of
            # what is rounding alone.
            sgd = dict(optimizer="sgd", learning_rate=0.01)
            plain = trained("none", "bf16", **sgd)
            difference = common.relative_difference(trained(",".join(PASSES), "bf16", **sgd), plain)
            most = 8 * common.relative_difference(plain, trained("none", "fp32", **sgd))
            assert difference <= most, f"{make.__name__}, bf16: parameters differ by {difference:.3g}, at most {most:.3g} was expected"

            lines = [line for line in common.run(["inspect", directory / "model.pt2", "--passes"]).splitlines() if line.startswith("pass ")]
            found = {name: sum(f" {name}: " in line for line in lines) for name in PASSES}
            assert {name: count for name, count in found.items() if count} == places, "\n".join(lines)


def large_products_of_float32_are_onednns():
    """One step, so long that parameters are their gradients."""
    torch.manual_seed(6)
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(Wide(), directory / "model.pt2")
        common.write_channel(directory / "train", *common.images(256, seed=7))
        states = {}
        for passes in ("none", "onednn_linear"):
            _, states[passes] = common.train(directory / passes, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=256, epochs=1,
                                             learning_rate=1e4, passes=passes, trace_steps="1-1", trace_operators="true")
            events = json.loads((directory / passes / "output" / "data" / "trace.json").read_text())["traceEvents"]
            products = [event["name"] for event in events if event["name"].endswith("::_linear_pointwise")]
            assert bool(products) == (passes == "onednn_linear" and ONEDNN_IS_FASTER), products
    difference = common.relative_difference(states["onednn_linear"], states["none"])
    assert difference <= common.tolerance("fp32"), f"parameters differ by {difference:.3g}"


class Reordered(torch.nn.Module):
    """Fused, its parameters are used in another order: groups must still find theirs."""

    def __init__(self):
        super().__init__()
        self.gate, self.up = torch.nn.Linear(64, 24), torch.nn.Linear(64, 24)
        self.first, self.second = torch.nn.LayerNorm(24), torch.nn.LayerNorm(24, bias=False)
        self.head = torch.nn.Linear(24, 10)

    def forward(self, x):
        x = x.flatten(1)
        gate, up = self.gate(x), self.up(x)
        mixed = torch.nn.functional.gelu(gate) * up
        total = mixed + up
        return self.head(self.first(up * 0.5) + self.second(total))


def parameter_groups_follow_their_parameters():
    torch.manual_seed(4)
    model = Reordered()
    groups = [{"match": "first.*", "learning_rate_factor": 0}, {"match": "gate.*", "weight_decay": 0.5}]
    pixels, labels = common.images(64, seed=6)
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        models.export(model, directory / "model.pt2")
        common.write_channel(directory / "train", pixels, labels)
        states = [common.train(directory / passes, {"train": directory / "train"}, model=directory / "model.pt2", batch_size=16,
                               epochs=2, eval_every=100, learning_rate=0.1, precision="fp64", passes=passes, parameter_groups=groups)[1]
                  for passes in ("none", "fuse_bias_gelu,fuse_layer_norm")]
    assert common.relative_difference(*states) <= common.tolerance(steps=2 * 64 // 16)
    assert (states[1]["first.weight"] == 1).all() and not (states[1]["second.weight"] == 1).all()


def inspect_says_when_nothing_changes():
    with common.temporary_directory() as name:
        model = pathlib.Path(name, "mlp.pt2")
        common.run(["model", "mlp", "-o", model])
        assert "pass       none changes this program" in common.run(["inspect", "--passes", model])


if __name__ == "__main__":
    common.main(every_pass_computes_the_same, large_products_of_float32_are_onednns, parameter_groups_follow_their_parameters, inspect_says_when_nothing_changes)
