"""The models that are measured, in plain torch.nn, and their programs as torch.export writes them.

    programs.py DIRECTORY [NAME...]    writes DIRECTORY/NAME.pt2 at full size; all of them without a NAME

ResNet-50 is v1.5 (He et al. 2016, with the stride in the 3×3 convolution); GPT-2 is the 124M of Radford et al. 2019, without dropout.
"""

import argparse
import json
import math
import pathlib
import tempfile
import zipfile
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.norm1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A stage of `width`, 2 × width, 4 × width… per number of blocks."""

    def __init__(self, blocks, width, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 7, 2, padding=3, bias=False), nn.BatchNorm2d(width)
        layers, inputs = [], width
        for stage, count in enumerate(blocks):
            for block in range(count):
                layers.append(Bottleneck(inputs, width << stage, 2 if stage > 0 and block == 0 else 1))
                inputs = 4 * width << stage
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 3, 2, padding=1)
        return self.head(F.adaptive_avg_pool2d(self.blocks(x), 1).flatten(1))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind()
        attention = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mixed(attention.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """Tokens [batch, length] to logits [batch, length, vocabulary]; the head is the embedding table."""

    def __init__(self, layers, heads, width, vocabulary, length):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.empty(length, width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.token.weight
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2:
                onto_residual = name.endswith(("mixed.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if onto_residual else 0.02)

    def forward(self, tokens):
        return self.head(self.norm(self.layers(self.token(tokens) + self.position)))


class Mlp(nn.Module):
    """So small that starting its operators takes longer than they do."""

    def __init__(self, layers, width, classes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)


@dataclass(frozen=True)
class Program:
    model: type
    sizes: dict         # the model's own
    input: tuple        # of one sample
    vocabulary: int = 0  # of inputs that are tokens

    def resized(self, input, **sizes):
        vocabulary = sizes.get("vocabulary", self.vocabulary)
        return replace(self, sizes={**self.sizes, **sizes}, input=input, vocabulary=vocabulary)

    def build(self, seed=1):
        torch.manual_seed(seed)
        return self.model(**self.sizes)

    def inputs(self, batch, **options):
        shape = (batch, *self.input)
        return torch.randint(self.vocabulary, shape, **options) if self.vocabulary else torch.randn(shape, **options)

    def targets(self, batch, **options):
        shape = (batch, *self.input) if self.vocabulary else (batch,)
        return torch.randint(self.sizes.get("classes", self.vocabulary), shape, **options)

    def export(self, path, model=None):
        """In training form, for any batch size."""
        model = (model or self.build()).train()
        example = self.inputs(2)
        if not self.vocabulary:
            example = example.to(next(model.parameters()).dtype)
        torch.export.save(torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)), path)

    def export_graph(self, path):
        """What export() writes, less the weights: few bytes, from which complete() makes the rest."""
        with tempfile.TemporaryDirectory(prefix="lockstep-graph-") as directory:
            whole = pathlib.Path(directory) / path.name
            self.export(whole)
            with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
                weights = {file for _, file in weight_files(source)}
                for entry in source.namelist():
                    if entry not in weights:
                        target.writestr(entry, source.read(entry))

    def complete(self, graph, path):
        """The program that export() writes, of what export_graph() wrote: tracing a model takes seconds, drawing its weights does not."""
        state = self.build().state_dict()
        with zipfile.ZipFile(graph) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.namelist():
                target.writestr(entry, source.read(entry))
            written = set()
            for name, file in weight_files(source):
                if file not in written:  # tied ones are in one
                    target.writestr(file, state[name].contiguous().numpy().tobytes())
                written.add(file)


def weight_files(archive):
    """The names of a program's parameters and buffers, each with the entry of the archive that holds it."""
    configuration, = (entry for entry in archive.namelist() if entry.endswith("/data/weights/model_weights_config.json"))
    for name, weight in json.loads(archive.read(configuration))["config"].items():
        yield name, configuration.replace("model_weights_config.json", weight["path_name"])


def gpt2(length=1024, **sizes):
    sizes = dict(layers=12, heads=12, width=768, vocabulary=50257) | sizes
    return Program(Gpt, {**sizes, "length": length}, (length,), sizes["vocabulary"])


FULL = {
    "resnet50": Program(ResNet, dict(blocks=(3, 4, 6, 3), width=64, classes=1000), (3, 224, 224)),
    "gpt2": gpt2(),
    "mlp": Program(Mlp, dict(layers=8, width=128, classes=10), (128,)),
}
PARAMETERS = {"resnet50": 25_557_032, "gpt2": 124_439_808}  # that the papers' models have
SMALL = {
    "resnet50": FULL["resnet50"].resized((3, 32, 32), blocks=(1, 1), width=8, classes=10),
    "gpt2": gpt2(length=16, layers=2, heads=2, width=32, vocabulary=211),
    "mlp": FULL["mlp"].resized((32,), layers=3, width=32),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FULL))
    options = parser.parse_args()
    if unknown := set(options.names) - set(FULL):
        parser.error(f"no program is named {', '.join(unknown)}; there are {', '.join(FULL)}")
    options.directory.mkdir(parents=True, exist_ok=True)
    for name in options.names or FULL:
        path = options.directory / f"{name}.pt2"
        FULL[name].export(path)
        print(path)


if __name__ == "__main__":
    main()
