"""Built-in programs against the models that they name, written here in plain PyTorch with the same names of parameters: the same outputs from
the same weights, the same training, and jobs on tables, images and texts that need no Python."""

import csv
import json
import math
import os
import pathlib
import re

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

import common

torch.set_num_threads(1)
CLASSES, VOCABULARY, LENGTH, SAMPLES, BATCH = 5, 23, 10, 16, 8  # batch norm of few numbers would make much of rounding
SIZES = dict(model_layers=2, model_heads=2, model_width=8, model_mlp_width=20)


class EmbeddingMlp(nn.Module):
    """Numbers, and columns that are embedded."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleDict({"city": nn.Embedding(9, 4), "color": nn.Embedding(4, 3)})
        self.fc1, self.fc2 = nn.Linear(3 + 4 + 3, 6), nn.Linear(6, CLASSES)

    def forward(self, x, city, color):
        return self.fc2(F.relu(self.fc1(torch.cat([x, self.embeddings["city"](city), self.embeddings["color"](color)], 1))))


class Cnn(nn.Module):
    """Two blocks, and layers behind them as a table has; `norm`: with batch norm."""

    def __init__(self, norm=True):
        super().__init__()
        self.block1, self.block2 = (nn.ModuleDict({"conv": nn.Conv2d(*channels, 3, padding=1)}) for channels in ((3, 4), (4, 6)))
        if norm:
            self.block1["norm"], self.block2["norm"] = nn.BatchNorm2d(4), nn.BatchNorm2d(6)
        self.fc1, self.fc2 = nn.Linear(6 * 4 * 4, 7), nn.Linear(7, CLASSES)

    def forward(self, x):
        for block in (self.block1, self.block2):
            x = block["conv"](x)
            x = F.max_pool2d(F.relu(block["norm"](x) if "norm" in block else x), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Block(nn.Module):
    """torchvision's BasicBlock or Bottleneck."""

    def __init__(self, inputs, width, stride, wide):
        super().__init__()
        outputs, self.wide = width * 4 if wide else width, wide
        first, second = (1, stride) if wide else (stride, 1)
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1 if wide else 3, first, 0 if wide else 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, second, 1, bias=False), nn.BatchNorm2d(width)
        if wide:
            self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.wide:
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Resnet(nn.Module):
    """torchvision's ResNet; `small`: with the stem that is usual for CIFAR's images."""

    def __init__(self, blocks, wide, small):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for i, count in enumerate(blocks):
            layer = []
            for j in range(count):
                layer.append(Block(inputs, 64 << i, 2 if i and not j else 1, wide))
                inputs = (64 << i) * (4 if wide else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.maxpool(F.relu(self.bn1(self.conv1(x))))))))
        return self.fc(x.mean((2, 3)))


class VitLayer(nn.Module):
    """torchvision's EncoderBlock."""

    def __init__(self, width, heads, wide):
        super().__init__()
        self.ln_1, self.self_attention = nn.LayerNorm(width, eps=1e-6), nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Dropout(0), nn.Linear(wide, width), nn.Dropout(0))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class VitEncoder(nn.Module):
    def __init__(self, patches, layers, heads, width, wide):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, patches + 1, width) * 0.02)
        self.layers = nn.Sequential()
        for i in range(layers):
            self.layers.add_module(f"encoder_layer_{i}", VitLayer(width, heads, wide))
        self.ln = nn.LayerNorm(width, eps=1e-6)


class Vit(nn.Module):
    """torchvision's VisionTransformer."""

    def __init__(self, size=16, patch=4, layers=2, heads=2, width=8, wide=20):
        super().__init__()
        self.class_token, self.conv_proj = nn.Parameter(torch.randn(1, 1, width)), nn.Conv2d(3, width, patch, patch)
        self.encoder = VitEncoder((size // patch) ** 2, layers, heads, width, wide)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(width, CLASSES))

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads(self.encoder.ln(self.encoder.layers(x))[:, 0])


class Conv1D(nn.Module):
    """transformers': a linear layer whose weight is [in, out]."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs) * 0.1), nn.Parameter(torch.randn(outputs) * 0.1)

    def forward(self, x):
        return x @ self.weight + self.bias


class GptBlock(nn.Module):
    """transformers' GPT2Block."""

    def __init__(self, width, heads, wide):
        super().__init__()
        self.ln_1, self.ln_2, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), heads
        self.attn = nn.ModuleDict({"c_attn": Conv1D(width, 3 * width), "c_proj": Conv1D(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(width, wide), "c_proj": Conv1D(wide, width)})

    def forward(self, x):
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.attn["c_attn"](self.ln_1(x)).chunk(3, 2))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.size(-1))
        later = torch.ones(x.size(1), x.size(1), dtype=torch.bool).triu(1)
        y = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        x = x + self.attn["c_proj"](y.transpose(1, 2).flatten(2))
        h = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))))


class Gpt(nn.Module):
    """transformers' GPT2LMHeadModel."""

    def __init__(self, layers=2, heads=2, width=8, wide=20):
        super().__init__()
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(VOCABULARY, width), "wpe": nn.Embedding(LENGTH, width),
                                          "h": nn.ModuleList([GptBlock(width, heads, wide) for _ in range(layers)]), "ln_f": nn.LayerNorm(width)})
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight

    def forward(self, input_ids):
        x = self.transformer["wte"](input_ids) + self.transformer["wpe"](torch.arange(input_ids.size(1)))
        for block in self.transformer["h"]:
            x = block(x)
        return self.lm_head(self.transformer["ln_f"](x))


def dense_and_norm(inputs, width):
    return nn.ModuleDict({"dense": nn.Linear(inputs, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})


class BertLayer(nn.Module):
    """transformers' BertLayer."""

    def __init__(self, width, heads, wide):
        super().__init__()
        inner = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention, self.heads = nn.ModuleDict({"self": inner, "output": dense_and_norm(width, width)}), heads
        self.intermediate, self.output = nn.ModuleDict({"dense": nn.Linear(width, wide)}), dense_and_norm(wide, width)

    def forward(self, x, mask):
        q, k, v = (self.attention["self"][name](x).unflatten(2, (self.heads, -1)).transpose(1, 2) for name in ("query", "key", "value"))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.size(-1))
        y = scores.masked_fill(mask[:, None, None] == 0, -math.inf).softmax(-1) @ v
        after = lambda part, y, x: part["LayerNorm"](part["dense"](y) + x)
        x = after(self.attention["output"], y.transpose(1, 2).flatten(2), x)
        return after(self.output, F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """transformers' BertForSequenceClassification."""

    def __init__(self, layers=2, heads=2, width=8, wide=20):
        super().__init__()
        table = lambda rows, **more: nn.Embedding(rows, width, **more)
        self.bert = nn.ModuleDict({
            "embeddings": nn.ModuleDict({"word_embeddings": table(VOCABULARY, padding_idx=0), "position_embeddings": table(LENGTH),
                                         "token_type_embeddings": table(2), "LayerNorm": nn.LayerNorm(width, eps=1e-12)}),
            "encoder": nn.ModuleDict({"layer": nn.ModuleList([BertLayer(width, heads, wide) for _ in range(layers)])}),
            "pooler": nn.ModuleDict({"dense": nn.Linear(width, width)})})
        self.classifier = nn.Linear(width, CLASSES)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        tables = self.bert["embeddings"]
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x = tables["word_embeddings"](input_ids) + tables["token_type_embeddings"](types)
        x = tables["LayerNorm"](x + tables["position_embeddings"](torch.arange(input_ids.size(1))))
        for layer in self.bert["encoder"]["layer"]:
            x = layer(x, attention_mask)
        return self.classifier(torch.tanh(self.bert["pooler"]["dense"](x[:, 0])))


GENERATOR = torch.Generator().manual_seed(3)
reals = lambda *sizes: torch.randn(SAMPLES, *sizes, generator=GENERATOR, dtype=torch.float64)
integers = lambda below, *sizes: torch.randint(below, (SAMPLES, *sizes), generator=GENERATOR)


def all_of(below, *sizes):
    """With the largest among them, from which the engine learns how many there are."""
    numbers = integers(below, *sizes)
    numbers.view(-1)[0] = below - 1
    return numbers


IDS = all_of(VOCABULARY, LENGTH)
MASK = (torch.arange(LENGTH) < 3 + integers(LENGTH - 3, 1)).long()
LABELS = all_of(CLASSES)
IMAGES, SMALL = {"x": reals(3, 32, 32)}, reals(3, 16, 16)
CNN = dict(model_channels="4,6", model_hidden="7", model_dropout=0)
# resnet34 and resnet101 are resnet18 and resnet50 with more of the same blocks.
SHORT = "LOCKSTEP_SOAK" not in os.environ
RESNETS = {"resnet18": ((2, 2, 2, 2), False), "resnet34": ((3, 4, 6, 3), False), "resnet50": ((3, 4, 6, 3), True), "resnet101": ((3, 4, 23, 3), True)}
if SHORT:
    del RESNETS["resnet34"], RESNETS["resnet101"]

# name -> the built-in program, the model, its inputs, targets, hyperparameters
CASES = {
    "mlp": ("mlp", EmbeddingMlp, {"x": reals(3), "city": all_of(9), "color": all_of(4)}, LABELS,
            dict(model_hidden="6", model_dropout=0, model_embeddings="color=3,city=4")),
    "cnn": ("cnn", Cnn, {"x": SMALL}, LABELS, CNN),
    "cnn without norm": ("cnn", lambda: Cnn(norm=False), {"x": SMALL}, LABELS, {**CNN, "model_norm": "none"}),
    **{name: (name, lambda sizes=sizes: Resnet(*sizes, small=False), IMAGES, LABELS, {}) for name, sizes in RESNETS.items()},
    "small images": ("resnet18", lambda: Resnet((2, 2, 2, 2), False, small=True), {"x": SMALL}, LABELS, dict(model_small_images="true")),
    "vit": ("vit", Vit, {"x": SMALL}, LABELS, dict(model_patch_size=4, **SIZES)),
    "gpt": ("gpt", Gpt, {"input_ids": IDS}, IDS.roll(-1, 1), dict(model_dropout=0, **SIZES)),
    "bert": ("bert", Bert, {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": integers(2, LENGTH)}, LABELS, dict(model_dropout=0, **SIZES)),
}
TRAINED = ("mlp", "cnn", "resnet18", "resnet50", "small images", "vit", "gpt", "bert")  # the other two are resnets like these


def made(model):
    """With weights and statistics that are no model's first ones."""
    torch.manual_seed(5)
    result = model()
    for module in result.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            for tensor in (module.weight.data, module.bias.data, *([module.running_mean] if isinstance(module, nn.BatchNorm2d) else [])):
                tensor.add_(torch.randn_like(tensor) * 0.1)
    return result


def write_channel(directory, inputs, targets):
    directory.mkdir()
    for name, array in {**inputs, "targets": targets}.items():
        np.save(directory / f"{name}.npy", array.numpy())


def write_weights(model, path):
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, path)


def largest_difference(a, b):
    assert a.shape == b.shape, (a.shape, b.shape)
    return ((a - b).abs().max() / b.abs().max()).item()


def outputs_are_those_of_the_model():
    """Of the artifacts of a job that does not train, which began with the model's weights; and of no other names."""
    for name, (program, model, inputs, targets, options) in CASES.items():
        with common.temporary_directory() as path:
            directory = pathlib.Path(path)
            write_channel(directory / "train", inputs, targets)
            reference = made(model).eval()
            write_weights(reference, directory / "weights.safetensors")
            common.train(directory, {"train": directory / "train"}, model=program, initial_weights=directory / "weights.safetensors",
                         batch_size=SAMPLES, learning_rate=1e-30, max_steps=1, **options)
            reference.load_state_dict(load_file(directory / "model/model.safetensors"), strict=True)
            loaded = torch.export.load(directory / "model/model.pt2").module()
            real = [array.float() if array.is_floating_point() else array for array in inputs.values()]
            worst = 0
            for count in (SAMPLES, 1):
                batch = [array[:count] for array in real]
                if program in ("gpt", "bert"):
                    batch = [array[:, :LENGTH - count % 4] for array in batch]
                    batch[1:2] = [torch.ones_like(mask) if count == 1 else mask for mask in batch[1:2]]
                worst = max(worst, largest_difference(loaded(*batch), reference(*batch)))
            assert worst <= 1e-5, f"{name}: outputs differ by {worst:.3g}"
            print(f"    {name}: {worst:.1e}", flush=True)


def pytorch_steps(model, inputs, targets, optimizer, steps):
    for step in range(steps):
        start = step * BATCH % SAMPLES
        at = slice(start, start + BATCH)
        output = model(*(array[at] for array in inputs.values()))
        loss = F.cross_entropy(output.flatten(0, -2), targets[at].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def training_is_that_of_the_model():
    job = dict(precision="fp64", batch_size=BATCH, shuffle="false", epochs=9, eval_every=100)
    optimizers = {"sgd": (dict(learning_rate=0.05, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
                  "adamw": (dict(learning_rate=0.003, epsilon=1e-4, weight_decay=0.05),
                            lambda p: torch.optim.AdamW(p, lr=0.003, eps=1e-4, weight_decay=0.05))}
    for number, name in enumerate(TRAINED):
        program, model, inputs, targets, options = CASES[name]
        steps = 2 if program in RESNETS else 4
        with common.temporary_directory() as path:
            directory = pathlib.Path(path)
            write_channel(directory / "train", inputs, targets)
            write_weights(made(model).double(), directory / "weights.safetensors")
            differences = []
            for optimizer, (settings, make) in list(optimizers.items())[(number + 1) % 2::2] if SHORT else optimizers.items():
                where = directory / optimizer
                where.mkdir()
                _, trained = common.train(where, {"train": directory / "train"}, model=program, initial_weights=directory / "weights.safetensors",
                                          optimizer=optimizer, max_steps=steps, export="safetensors", **settings, **job, **options)
                reference = made(model).double().train()
                pytorch_steps(reference, inputs, targets, make(reference.parameters()), steps)
                wanted = {key: tensor.numpy() for key, tensor in reference.state_dict().items()}
                differences.append(common.relative_difference(trained, wanted))
            assert max(differences) <= 1e-8, f"{name}: parameters differ by {differences}"
            print(f"    {name}: {', '.join(format(value, '.1e') for value in differences)}", flush=True)


def written_archives_are_programs():
    """`lockstep model` writes what torch.export.load reads, in training form, and `inspect` reads it, too."""
    flags = {"mlp": ["--input_shape", 3, "--model_embeddings", "color=4x3"], "vit": ["--input_shape", "3,16,16", "--model_patch_size", 4],
             "gpt": ["--model_length", LENGTH, "--model_vocabulary", VOCABULARY], "bert": ["--model_length", LENGTH, "--model_vocabulary", VOCABULARY]}
    with common.temporary_directory() as path:
        for name in ("mlp", "cnn", *(["resnet18"] if SHORT else RESNETS), "vit", "gpt", "bert"):  # resnets have the same operators
            sizes = [part for key, value in SIZES.items() for part in (f"--{key}", value)] if name in ("vit", "gpt", "bert") else []
            file = pathlib.Path(path) / f"{name}.pt2"
            common.run(["model", name, "-o", file, "--classes", CLASSES, *flags.get(name, ["--input_shape", "3,32,32"]), *sizes])
            program = torch.export.load(file)
            batch = [torch.ones(2, *(size if isinstance(size, int) else 7 for size in node.meta["val"].shape[1:]), dtype=node.meta["val"].dtype)
                     for node in program.graph.nodes if node.op == "placeholder" and node.name in program.graph_signature.user_inputs]
            output = program.module()(*batch)
            assert output.shape == ((2, 7, VOCABULARY) if name == "gpt" else (2, CLASSES)) and output.requires_grad, output.shape
            assert program.run_decompositions().module()(*batch).shape == output.shape
            text = common.run(["inspect", file, "--passes"])
            assert "lm_head" not in text or "transformer.wte" in text, text
            if name in ("vit", "gpt", "bert"):
                assert len(re.findall("fuse_layer_norm: ", text)) == (6 if name == "bert" else 5) - (name == "bert"), text
                assert len(re.findall("fuse_attention: ", text)) == (0 if name == "vit" else SIZES["model_layers"]), text  # vit drops nothing


def without_sizes_they_are_the_published_models():
    """Narrow and of one layer, to be quick; as many classes, tokens, positions and pixels as the published weights have."""
    narrow = ["--model_layers", 1, "--model_heads", 1, "--model_width", 4]
    wanted = {"vit": {"encoder.pos_embedding": (1, 197, 4), "heads.head.weight": (1000, 4)},
              "gpt": {"transformer.wpe.weight": (1024, 4), "transformer.wte.weight": (50257, 4)},
              "bert": {"bert.embeddings.position_embeddings.weight": (512, 4), "bert.embeddings.word_embeddings.weight": (30522, 4),
                       "classifier.weight": (2, 4)}}
    with common.temporary_directory() as path:
        for name, shapes in wanted.items():
            file = pathlib.Path(path) / f"{name}.pt2"
            common.run(["model", name, "-o", file, *narrow])
            state = torch.export.load(file).state_dict
            assert {key: tuple(state[key].shape) for key in shapes} == shapes, name


def epochs(directory):
    return [line["train_loss"] for line in common.metrics(directory, "epoch")]


def job_that_learns(directory, most, precisions=("fp32", "bf16"), **job):
    """In each precision the loss of the last epoch is at most this share of the first's."""
    for precision in precisions:
        where = directory / precision
        where.mkdir()
        common.train(where, {name: directory / name for name in ("train", "validation") if (directory / name).exists()}, ranks=2,
                     precision=precision, **{"optimizer": "adamw", "learning_rate": 0.003, "batch_size": 16, **job})
        losses = epochs(where)
        assert losses[-1] <= most * losses[0], f"{job['model']}, {precision}: {losses}"


@common.in_directory(pathlib.Path)
def a_table_with_categories(directory):
    generator = np.random.default_rng(1)
    colors, offsets = ["red", "green", "blue"], generator.permutation(12)
    for channel, count in (("train", 200), ("validation", 40)):
        (directory / channel).mkdir()
        with open(directory / channel / "rows.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["age", "color", "city", "height", "target"])
            for _ in range(count):
                color, city, age = int(generator.integers(3)), int(generator.integers(12)), generator.normal()
                label = (color + int(offsets[city]) % 2 + int(age > 0)) % 3
                rows.writerow([f"{age:.4f}", colors[color], city, f"{generator.normal():.3f}", label])
    job_that_learns(directory, 0.5, model="mlp", model_embeddings="color,city=8", model_hidden="64", model_dropout=0, epochs=30)
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(directory / "fp32/model/model.safetensors").items()}
    assert shapes == {"embeddings.city.weight": (12, 8), "embeddings.color.weight": (3, 3), "fc1.weight": (64, 2 + 8 + 3), "fc1.bias": (64,),
                      "fc2.weight": (3, 64), "fc2.bias": (3,)}, shapes
    described = {"x": {"columns": ["age", "height"], "normalize": "standard"}, "place": {"column": "city", "labels": "found"}}
    where = directory / "described"
    where.mkdir()
    common.train(where, {"train": directory / "train"}, model="mlp", model_embeddings="color,place", fields=described, epochs=2)
    assert len(load_file(where / "model/model.safetensors")) == 6
    refused = lambda *flags: common.run(["train", *([] if "--model" in flags else ["--model", "mlp"]), "--channel", f"train={directory / 'train'}",
                                         "--output_dir", directory / "no", "--model_dir", directory / "no", *flags], expect=2)
    assert "colour" in refused("--model_embeddings", "colour")
    assert "0 … 4" in refused("--model_embeddings", "city=5x2")
    assert "conv1 takes" in refused("--model", "resnet18")
    assert "model_heads does nothing" in refused("--model_heads", 2)


@common.in_directory(pathlib.Path)
def a_folder_of_images(directory):
    generator = np.random.default_rng(2)
    patterns = generator.integers(0, 160, (3, 16, 16, 3))
    for channel, count in (("train", 16), ("validation", 4)):
        for label in range(3):
            folder = directory / channel / f"kind{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = patterns[label] + generator.integers(0, 90, patterns[label].shape)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    (directory / "resnet").mkdir()
    (directory / "vit").mkdir()
    for model in ("resnet", "vit"):
        for channel in ("train", "validation"):
            (directory / model / channel).symlink_to(directory / channel)
    # Convolutions in bfloat16 take minutes where the processor has no instructions for them.
    job_that_learns(directory / "resnet", 0.5, ("fp32",) if SHORT else ("fp32", "bf16"), model="resnet18", model_small_images="true", epochs=2, learning_rate=0.001)
    job_that_learns(directory / "vit", 0.5, model="vit", model_patch_size=4, model_layers=2, model_heads=4, model_width=32, epochs=8)


@common.in_directory(pathlib.Path)
def files_of_tokens(directory):
    (directory / "train").mkdir()
    text = np.resize(np.random.default_rng(3).integers(0, 40, 50), 4000)  # the same 50 tokens again and again
    text.astype(np.uint16).tofile(directory / "train/text.bin")
    sizes = dict(model="gpt", model_layers=2, model_heads=2, model_width=32, model_length=16, epochs=5)
    job_that_learns(directory, 0.6, **sizes)
    whole = load_file(directory / "fp32/model/model.safetensors")
    assert whole["transformer.wte.weight"].shape == (text.max() + 1, 32) and whole["transformer.wpe.weight"].shape == (16, 32)
    assert torch.equal(whole["lm_head.weight"], whole["transformer.wte.weight"]) if "lm_head.weight" in whole else True
    common.run(["train", "--model", "gpt", "--channel", f"train={directory / 'train'}", "--output_dir", directory / "no", "--model_dir", directory / "no"],
               expect=2)  # nobody says how long a window is
    rows = directory / "rows"
    (rows / "train").mkdir(parents=True)
    with open(rows / "train/rows.jsonl", "w") as file:
        for i in range(0, 3900, 17):
            print(json.dumps({"input_ids": text[i:i + 16].tolist()}), file=file)
    job_that_learns(rows, 0.9, ("fp32",) if SHORT else ("fp32", "bf16"), **{**sizes, "loss": "next_token", "columns": "target=input_ids", "epochs": 3, "model_length": 0})


@common.in_directory(pathlib.Path)
def texts_with_labels_and_padding(directory):
    generator = np.random.default_rng(4)
    (directory / "train").mkdir()
    with open(directory / "train/rows.jsonl", "w") as file:
        for _ in range(300):
            label, length = int(generator.integers(3)), int(generator.integers(4, 13))
            ids = generator.integers(5, 40, length)
            ids[1 + generator.integers(length - 1)] = 1 + label
            print(json.dumps({"input_ids": ids.tolist(), "label": label}), file=file)
    padded = {"input_ids": {"pad": {"length": 12, "mask": "attention_mask"}}}
    job_that_learns(directory, 0.8, model="bert", model_layers=2, model_heads=2, model_width=32, model_dropout=0, fields=padded, epochs=6)
    names = load_file(directory / "fp32/model/model.safetensors")
    assert names["bert.embeddings.word_embeddings.weight"].shape == (40, 32) and names["bert.embeddings.position_embeddings.weight"].shape == (12, 32)


@common.in_directory(pathlib.Path)
def a_job_goes_on_from_its_checkpoint(directory):
    write_channel(directory / "train", CASES["gpt"][2], CASES["gpt"][3])
    job = dict(model="gpt", batch_size=BATCH, epochs=4, optimizer="adamw", learning_rate=0.01, **SIZES)  # with dropout
    for name in ("whole", "halves"):
        (directory / name).mkdir()
    _, whole = common.train(directory / "whole", {"train": directory / "train"}, ranks=2, **job)
    for steps in (5, 0):
        _, halves = common.train(directory / "halves", {"train": directory / "train"}, ranks=2, checkpoint_dir=directory / "halves/state",
                                 **{**job, "max_steps": steps})
    assert whole.keys() == halves.keys() and all(np.array_equal(whole[name], halves[name]) for name in whole)


@common.in_directory(pathlib.Path)
def synthetic_samples_fit(directory):
    for model, options in (("resnet18", dict(model_small_images="true")), ("gpt", dict(model_length=8, model_vocabulary=50, **SIZES)), ("bert", dict(model_length=8, model_vocabulary=50, **SIZES))):
        (directory / model).mkdir()
        common.train(directory / model, {}, model=model, data="synthetic", synthetic_samples=16, batch_size=8, epochs=1, **options)


if __name__ == "__main__":
    common.main(outputs_are_those_of_the_model, training_is_that_of_the_model, written_archives_are_programs, without_sizes_they_are_the_published_models, a_table_with_categories, a_folder_of_images,
                files_of_tokens, texts_with_labels_and_padding, a_job_goes_on_from_its_checkpoint, synthetic_samples_fit)
