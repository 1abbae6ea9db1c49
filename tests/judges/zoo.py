"""Architectures that people bring, in plain PyTorch and of small widths: written as torchvision, timm and transformers write them, so
that their exports hold the same operators, inputs and outputs."""

import dataclasses
import hashlib
import math
import os
import pathlib
import shutil
import tempfile

import torch
from torch import nn
from torch.nn import functional as F

CLASSES, VOCABULARY, LENGTH = 5, 23, 8


def conv_norm(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Resnet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 7, 2, 3, bias=False), nn.BatchNorm2d(6)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        widths = [6, 6, 8, 10, 12]
        self.layers = nn.Sequential(*(nn.Sequential(BasicBlock(a, b, 1 if i == 0 else 2), BasicBlock(b, b, 1))
                                      for i, (a, b) in enumerate(zip(widths, widths[1:]))))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(12, CLASSES)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.relu1, self.conv1 = nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.relu2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.ReLU(inplace=True), nn.Conv2d(2 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, features):
        bottleneck = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(bottleneck)))


class Densenet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_norm(3, 6, 3, 2)
        self.blocks = nn.ModuleList([nn.ModuleList([DenseLayer(6 + 3 * i, 3) for i in range(3)]),
                                     nn.ModuleList([DenseLayer(7 + 3 * i, 3) for i in range(2)])])
        self.transition = nn.Sequential(nn.BatchNorm2d(15), nn.ReLU(inplace=True), nn.Conv2d(15, 7, 1, bias=False), nn.AvgPool2d(2, 2))
        self.norm, self.classifier = nn.BatchNorm2d(13), nn.Linear(13, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            features = [x]
            for layer in block:
                features.append(layer(features))
            x = torch.cat(features, 1)
            x = self.transition(x) if i == 0 else x
        x = F.relu(self.norm(x), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class SqueezeExcitation(nn.Module):
    def __init__(self, width, inner, activation, scale):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)
        self.activation, self.scale = activation(), scale()

    def forward(self, x):
        return self.scale(self.fc2(self.activation(self.fc1(F.adaptive_avg_pool2d(x, 1))))) * x


class StochasticDepth(nn.Module):
    """torchvision's, in rows."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.p == 0 or not self.training:
            return x
        noise = torch.empty([x.shape[0]] + [1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
        noise = noise.bernoulli_(1 - self.p)
        noise.div_(1 - self.p)
        return x * noise


class InvertedResidual(nn.Module):
    def __init__(self, inputs, expanded, outputs, stride, activation, excite, p=0.0):
        super().__init__()
        self.block = nn.Sequential(conv_norm(inputs, expanded, 1, activation=activation), conv_norm(expanded, expanded, 3, stride, expanded, activation),
                                   excite(expanded), conv_norm(expanded, outputs, 1, activation=None))
        self.residual, self.depth = stride == 1 and inputs == outputs, StochasticDepth(p)

    def forward(self, x):
        result = self.block(x)
        if self.residual:
            result = self.depth(result)
            result += x
        return result


class MobilenetV3(nn.Module):
    def __init__(self):
        super().__init__()
        excite = lambda width: SqueezeExcitation(width, 4, nn.ReLU, nn.Hardsigmoid)
        self.features = nn.Sequential(conv_norm(3, 6, 3, 2, activation=nn.Hardswish), InvertedResidual(6, 10, 6, 1, nn.ReLU, excite),
                                      InvertedResidual(6, 12, 8, 2, nn.Hardswish, excite), conv_norm(8, 14, 1, activation=nn.Hardswish))
        self.classifier = nn.Sequential(nn.Linear(14, 16), nn.Hardswish(inplace=True), nn.Dropout(0.0, inplace=True), nn.Linear(16, CLASSES))

    def forward(self, x):
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))


class Efficientnet(nn.Module):
    def __init__(self, p=0.0):
        super().__init__()
        excite = lambda width: SqueezeExcitation(width, 3, lambda: nn.SiLU(inplace=True), nn.Sigmoid)
        self.features = nn.Sequential(conv_norm(3, 6, 3, 2, activation=nn.SiLU), InvertedResidual(6, 12, 6, 1, nn.SiLU, excite, p),
                                      InvertedResidual(6, 12, 8, 2, nn.SiLU, excite, p), conv_norm(8, 14, 1, activation=nn.SiLU))
        self.classifier = nn.Sequential(nn.Dropout(p, inplace=True), nn.Linear(14, CLASSES))

    def forward(self, x):
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class ConvnextBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width, eps=1e-6)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.layer_scale = nn.Parameter(torch.ones(width, 1, 1) * 0.5)

    def forward(self, x):
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        y = self.down(F.gelu(self.up(y))).permute(0, 3, 1, 2)
        y = self.layer_scale * y
        y += x
        return y


class Convnext(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 4, 4), LayerNorm2d(6, eps=1e-6))
        self.down = nn.Sequential(LayerNorm2d(6, eps=1e-6), nn.Conv2d(6, 8, 2, 2))
        self.block1, self.block2 = ConvnextBlock(6), ConvnextBlock(8)
        self.norm, self.head = LayerNorm2d(8, eps=1e-6), nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.block2(self.down(self.block1(self.stem(x))))
        return self.head(torch.flatten(self.norm(F.adaptive_avg_pool2d(x, 1)), 1))


class VitBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout=0.0, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Dropout(0.0), nn.Linear(3 * width, width), nn.Dropout(0.0))

    def forward(self, x):
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = x + y
        return x + self.mlp(self.ln_2(x))


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, 8, 4, 4)
        self.class_token, self.pos_embedding = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.randn(1, 17, 8) * 0.02)
        self.layers, self.ln, self.head = nn.Sequential(VitBlock(8, 2), VitBlock(8, 2)), nn.LayerNorm(8, eps=1e-6), nn.Linear(8, CLASSES)

    def forward(self, x):
        n, c, h, w = x.shape
        torch._assert(h == 16, f"Wrong image height! Expected 16 but got {h}!")
        x = self.conv_proj(x).reshape(n, 8, (h // 4) * (w // 4)).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(n, -1, -1), x], dim=1) + self.pos_embedding
        return self.head(self.ln(self.layers(x))[:, 0])


class SwinBlock(nn.Module):
    def __init__(self, width, heads, window, shift):
        super().__init__()
        self.norm1, self.norm2, self.heads, self.window, self.shift = nn.LayerNorm(width), nn.LayerNorm(width), heads, window, shift
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.02)
        place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = (place[:, :, None] - place[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", (relative[:, :, 0] * (2 * window - 1) + relative[:, :, 1]).flatten())

    def attention(self, x):
        b, h, w, c = x.shape
        n = self.window
        x = F.pad(x, (0, 0, 0, (n - w % n) % n, 0, (n - h % n) % n))
        _, ph, pw, _ = x.shape
        if self.shift:
            x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        x = x.view(b, ph // n, n, pw // n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(b * (ph // n) * (pw // n), n * n, c)
        q, k, v = self.qkv(x).reshape(x.size(0), n * n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (c // self.heads) ** -0.5).matmul(k.transpose(-2, -1))
        bias = self.table[self.index].view(n * n, n * n, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        scores = scores + bias
        if self.shift:
            mask = x.new_zeros((ph, pw))
            slices = ((0, -n), (-n, -self.shift), (-self.shift, None))
            for i, rows in enumerate(slices):
                for j, columns in enumerate(slices):
                    mask[rows[0]:rows[1], columns[0]:columns[1]] = i * 3 + j
            mask = mask.view(ph // n, n, pw // n, n).permute(0, 2, 1, 3).reshape((ph // n) * (pw // n), n * n)
            mask = mask.unsqueeze(1) - mask.unsqueeze(2)
            mask = mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)
            windows = mask.size(0)
            scores = scores.view(x.size(0) // windows, windows, self.heads, n * n, n * n) + mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, self.heads, n * n, n * n)
        x = self.proj(F.softmax(scores, dim=-1).matmul(v).transpose(1, 2).reshape(x.size(0), n * n, c))
        x = x.view(b, ph // n, pw // n, n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(b, ph, pw, c)
        if self.shift:
            x = torch.roll(x, shifts=(self.shift, self.shift), dims=(1, 2))
        return x[:, :h, :w, :].contiguous()

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.norm0 = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8)
        self.block1, self.block2 = SwinBlock(8, 2, 3, 0), SwinBlock(8, 2, 3, 1)
        self.merge_norm, self.merge = nn.LayerNorm(32), nn.Linear(32, 12, bias=False)
        self.block3, self.norm, self.head = SwinBlock(12, 2, 2, 1), nn.LayerNorm(12), nn.Linear(12, CLASSES)

    def forward(self, x):
        x = self.block2(self.block1(self.norm0(self.patches(x).permute(0, 2, 3, 1))))
        x = torch.cat([x[..., 0::2, 0::2, :], x[..., 1::2, 0::2, :], x[..., 0::2, 1::2, :], x[..., 1::2, 1::2, :]], -1)
        x = self.norm(self.block3(self.merge(self.merge_norm(x)))).permute(0, 3, 1, 2)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Unet(nn.Module):
    """A class for each pixel."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = conv_norm(3, 4), conv_norm(4, 8)
        self.middle, self.up2, self.up1 = conv_norm(8, 8), nn.ConvTranspose2d(8, 8, 2, 2), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.merge2, self.merge1, self.head = conv_norm(16, 8), conv_norm(12, 4), nn.Conv2d(4, CLASSES, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        y = self.merge2(torch.cat([self.up2(self.middle(F.max_pool2d(b, 2))), b], 1))
        return self.head(self.merge1(torch.cat([self.up1(y), a], 1))).permute(0, 2, 3, 1)


class Cnn1d(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv1d(3, 6, 5, 2, 2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 8, 3, dilation=2, padding=2),
                                      nn.GroupNorm(2, 8), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool1d(2))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Cnn3d(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ELU(), nn.MaxPool3d(2), nn.Conv3d(4, 6, (1, 3, 3), padding=(0, 1, 1)),
                                      nn.InstanceNorm3d(6, affine=True), nn.PReLU(), nn.AvgPool3d(2))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3, 4)))


class LstmClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(VOCABULARY, 6, padding_idx=0), nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, CLASSES)

    def forward(self, tokens):
        output, _ = self.lstm(self.embedding(tokens))  # PyTorch's exporter does not know the sizes of the last states
        return self.fc(torch.cat([output[:, -1, :5], output[:, 0, 5:]], dim=1))


class GruClassifier(nn.Module):
    """Of sequences [length, batch], as recurrent layers have them by default."""

    def __init__(self):
        super().__init__()
        self.embedding, self.gru, self.fc = nn.Embedding(VOCABULARY, 6), nn.GRU(6, 5, num_layers=2), nn.Linear(5, CLASSES)

    def forward(self, tokens):
        output, _ = self.gru(self.embedding(tokens).transpose(0, 1))
        return {"logits": self.fc(output[-1]), "states": output.transpose(0, 1)}


@dataclasses.dataclass
class ClassifierOutput:
    loss: torch.Tensor = None
    logits: torch.Tensor = None
    hidden_states: tuple = None


torch.export.register_dataclass(ClassifierOutput, serialized_type_name="zoo.ClassifierOutput")


class BertLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.query, self.key, self.value, self.heads = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width), heads
        self.dense, self.norm1, self.norm2 = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-12), nn.LayerNorm(width, eps=1e-12)
        self.up, self.down, self.dropout = nn.Linear(width, 2 * width), nn.Linear(2 * width, width), nn.Dropout(0.0)

    def forward(self, x, mask):
        shape = (*x.shape[:-1], self.heads, x.size(-1) // self.heads)
        q, k, v = (layer(x).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(x.shape).contiguous()
        x = self.norm1(x + self.dropout(self.dense(y)))
        return self.norm2(x + self.dropout(self.down(F.gelu(self.up(x)))))


class Bert(nn.Module):
    """A sequence classifier with its loss: a mask and labels as inputs, and an argument that is left at None."""

    def __init__(self):
        super().__init__()
        self.words, self.types, self.positions = nn.Embedding(VOCABULARY, 8, padding_idx=0), nn.Embedding(2, 8), nn.Embedding(16, 8)
        self.register_buffer("position_ids", torch.arange(16).unsqueeze(0), persistent=False)
        self.norm, self.layers = nn.LayerNorm(8, eps=1e-12), nn.ModuleList([BertLayer(8, 2), BertLayer(8, 2)])
        self.pooler, self.classifier = nn.Linear(8, 8), nn.Linear(8, CLASSES)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None):
        length = input_ids.shape[1]
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        x = self.norm(self.words(input_ids) + self.types(token_type_ids) + self.positions(self.position_ids[:, :length]))
        mask = attention_mask[:, None, None, :].to(torch.bool).expand(-1, 1, length, -1)
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        logits = self.classifier(torch.tanh(self.pooler(states[-1][:, 0])))
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return ClassifierOutput(loss, logits, tuple(states))


class Gpt2Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), heads
        self.c_attn, self.c_proj = nn.Parameter(torch.randn(width, 3 * width) * 0.1), nn.Parameter(torch.randn(width, width) * 0.1)
        self.bias, self.fc, self.proj = nn.Parameter(torch.zeros(3 * width)), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = torch.addmm(self.bias, self.ln_1(x).view(-1, c), self.c_attn).view(b, t, 3 * c).split(c, dim=2)
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)
        x = x + y @ self.c_proj
        h = self.fc(self.ln_2(x))
        return x + self.proj(0.5 * h * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (h + 0.044715 * torch.pow(h, 3.0)))))


class Gpt2(nn.Module):
    """Next-token prediction with its own loss and the number of tokens it is a mean over; the head is the embedding."""

    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, 8), nn.Embedding(16, 8)
        self.h, self.ln_f, self.lm_head = nn.ModuleList([Gpt2Block(8, 2), Gpt2Block(8, 2)]), nn.LayerNorm(8), nn.Linear(8, VOCABULARY, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, input_ids, labels):
        x = self.wte(input_ids) + self.wpe(torch.arange(input_ids.shape[1], device=input_ids.device))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        wanted = labels[:, 1:].reshape(-1)
        loss = F.cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), wanted)
        return {"loss": loss, "weight": (wanted != -100).sum(), "logits": logits}


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        dtype = x.dtype
        x = x.to(torch.float32) if dtype != torch.float64 else x
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * x.to(dtype)


class LlamaLayer(nn.Module):
    def __init__(self, width, heads, groups):
        super().__init__()
        size = width // heads
        self.q, self.k, self.v, self.o = (nn.Linear(a, b, bias=False) for a, b in
                                          ((width, width), (width, groups * size), (width, groups * size), (width, width)))
        self.gate, self.up, self.down = nn.Linear(width, 12, bias=False), nn.Linear(width, 12, bias=False), nn.Linear(12, width, bias=False)
        self.norm1, self.norm2, self.size, self.repeat = RmsNorm(width), RmsNorm(width), size, heads // groups

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        y = self.norm1(x)
        q, k, v = (layer(y).view(b, t, -1, self.size).transpose(1, 2) for layer in (self.q, self.k, self.v))
        rotate = lambda z: torch.cat((-z[..., z.shape[-1] // 2:], z[..., :z.shape[-1] // 2]), dim=-1)
        q, k = q * cos + rotate(q) * sin, k * cos + rotate(k) * sin
        k, v = (z[:, :, None].expand(b, z.shape[1], self.repeat, t, self.size).reshape(b, -1, t, self.size) for z in (k, v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).contiguous().view(b, t, -1))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens, self.layers = nn.Embedding(VOCABULARY, 16), nn.ModuleList([LlamaLayer(16, 4, 2), LlamaLayer(16, 4, 2)])
        self.norm, self.lm_head = RmsNorm(16), nn.Linear(16, VOCABULARY, bias=False)
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, 4, 2).float() / 4)), persistent=False)

    def forward(self, input_ids):
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        with torch.no_grad():
            frequencies = (self.inv_freq[None, :, None].float().expand(positions.shape[0], -1, 1) @ positions[:, None, :].float()).transpose(1, 2)
            angles = torch.cat((frequencies, frequencies), dim=-1)
        x = self.embed_tokens(input_ids)
        cos, sin = angles.cos().to(x.dtype)[:, None], angles.sin().to(x.dtype)[:, None]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.lm_head(self.norm(x))


class T5Attention(nn.Module):
    def __init__(self, width, heads, bidirectional=None):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.heads, self.bidirectional = heads, bidirectional
        if bidirectional is not None:
            self.relative = nn.Embedding(8, heads)

    def bias(self, length):
        place = torch.arange(length)
        relative, buckets, result = place[None, :] - place[:, None], 8, 0
        if self.bidirectional:
            buckets //= 2
            result = (relative > 0).to(torch.long) * buckets
            relative = torch.abs(relative)
        else:
            relative = -torch.min(relative, torch.zeros_like(relative))
        exact = buckets // 2
        large = exact + (torch.log(relative.float().clamp(min=1) / exact) / math.log(16 / exact) * (buckets - exact)).to(torch.long)
        large = torch.min(large, torch.full_like(large, buckets - 1))
        return self.relative(result + torch.where(relative < exact, relative, large)).permute(2, 0, 1).unsqueeze(0)

    def forward(self, x, keys, bias):
        b, t, c = x.shape
        q, k, v = (y.view(b, -1, self.heads, c // self.heads).transpose(1, 2) for y in (self.q(x), self.k(keys), self.v(keys)))
        scores = torch.matmul(q, k.transpose(3, 2))
        if bias is not None:
            scores += bias
        weights = F.softmax(scores.float(), dim=-1).type_as(scores)
        return self.o(torch.matmul(F.dropout(weights, 0.0, self.training), v).transpose(1, 2).contiguous().view(b, -1, c))


class T5(nn.Module):
    """Encoder and decoder; the decoder sees the labels shifted right."""

    def __init__(self):
        super().__init__()
        self.shared, self.encoder, self.decoder, self.cross = nn.Embedding(VOCABULARY, 8), T5Attention(8, 2, True), T5Attention(8, 2, False), T5Attention(8, 2)
        self.norms, self.wi, self.wo = nn.ModuleList([RmsNorm(8) for _ in range(6)]), nn.Linear(8, 16, bias=False), nn.Linear(16, 8, bias=False)
        self.lm_head = nn.Linear(8, VOCABULARY, bias=False)

    def forward(self, input_ids, labels, attention_mask):
        x = self.shared(input_ids)
        length = input_ids.shape[1]
        lowest = torch.finfo(x.dtype).min
        hidden = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * lowest
        y = self.norms[0](x)
        x = x + self.encoder(y, y, self.encoder.bias(length) + hidden)
        memory = self.norms[1](x)
        start = torch.zeros_like(labels[:, :1])
        shifted = torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == -100, 0)], dim=1)
        x = self.shared(shifted)
        t = labels.shape[1]
        causal = torch.full((t, t), lowest, dtype=x.dtype).triu(1)
        y = self.norms[2](x)
        x = x + self.decoder(y, y, self.decoder.bias(t) + causal)
        x = x + self.cross(self.norms[3](x), memory, hidden)
        x = x + self.wo(F.relu(self.wi(self.norms[4](x))))
        logits = self.lm_head(self.norms[5](x) * 8 ** -0.5)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), labels.view(-1), reduction="sum") / (labels != -100).sum(), (labels != -100).sum()


class Dlrm(nn.Module):
    """Numbers and categories: each table's bags are pooled, and all pairs multiplied. A click's probability."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList([nn.EmbeddingBag(VOCABULARY, 4, mode="sum"), nn.EmbeddingBag(VOCABULARY, 4, mode="mean", padding_idx=0)])
        self.bottom, self.top = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU()), nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 1))

    def forward(self, dense, categories):
        x = self.bottom(dense)
        parts = torch.stack([x, *(table(categories[:, i]) for i, table in enumerate(self.tables))], dim=1)
        pairs = torch.bmm(parts, parts.transpose(1, 2))
        rows, columns = torch.triu_indices(3, 3, 1)
        return torch.sigmoid(self.top(torch.cat([x, pairs[:, rows, columns]], dim=1)))


class TwoTower(nn.Module):
    """Users and items; a user's history is of any length, with a mask of booleans."""

    def __init__(self):
        super().__init__()
        self.items, self.user, self.item = nn.Embedding(VOCABULARY, 6), nn.Linear(6, 5), nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5))

    def forward(self, history, seen, item, *, features, temperature=2.0):
        weights = seen.to(features.dtype)
        pooled = (self.items(history) * weights.unsqueeze(-1)).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
        user = F.normalize(self.user(pooled), dim=-1)
        item = F.normalize(self.item(torch.cat([self.items(item), features], dim=-1)), dim=-1)
        return {"score": (user * item).sum(-1) * temperature, "embeddings": {"user": user, "item": item}}


@dataclasses.dataclass
class Case:
    """A model, how it is exported, and data for it."""

    model: type
    inputs: dict  # name -> array [samples, …]
    targets: object = None
    loss: str = "cross_entropy"
    output: str = ""  # what the loss sees, where it has to be said
    fixed: dict = dataclasses.field(default_factory=dict)  # arguments that the export fixes
    lengths: tuple = ()  # inputs whose second dimension is open, too
    training: bool = True  # as it is exported: some can only be exported for inference


def cases(samples=24):
    generator = torch.Generator().manual_seed(5)
    reals = lambda *sizes: torch.randn(samples, *sizes, generator=generator, dtype=torch.float64)
    integers = lambda below, *sizes: torch.randint(below, (samples, *sizes), generator=generator)
    images = {"x": reals(3, 16, 16)}
    labels = integers(CLASSES)
    tokens = integers(VOCABULARY, LENGTH)
    mask = (torch.arange(LENGTH) < 3 + integers(LENGTH - 3, 1)).long()
    ignored = torch.where(mask.bool(), tokens, -100)
    image = lambda model: Case(model, images, labels)
    return {
        # Of smaller images PyTorch's own convolutions in bf16 give NaN now and then.
        "resnet18": Case(Resnet18, {"x": reals(3, 48, 48)}, labels),
        "densenet": image(Densenet), "mobilenet_v3": image(MobilenetV3), "efficientnet": image(Efficientnet),
        "convnext": image(Convnext), "vit": image(Vit), "swin": image(Swin),
        "unet": Case(Unet, images, integers(CLASSES, 16, 16)),
        "cnn1d": Case(Cnn1d, {"x": reals(3, 20)}, labels),
        "cnn3d": Case(Cnn3d, {"x": reals(1, 4, 8, 8)}, labels),
        "lstm": Case(LstmClassifier, {"tokens": tokens}, labels),
        "gru": Case(GruClassifier, {"tokens": tokens}, labels),
        "bert": Case(Bert, {"input_ids": tokens, "attention_mask": mask, "labels": labels}, loss="program",
                     fixed={"token_type_ids": None}, lengths=("input_ids", "attention_mask")),
        "gpt2": Case(Gpt2, {"input_ids": tokens, "labels": ignored}, loss="program", lengths=("input_ids", "labels")),
        "llama": Case(Llama, {"input_ids": tokens}, tokens.roll(-1, 1), lengths=("input_ids",)),
        "t5": Case(T5, {"input_ids": tokens, "labels": ignored.flip(0), "attention_mask": mask}, loss="program"),
        "dlrm": Case(Dlrm, {"dense": reals(3), "categories": integers(VOCABULARY, 2, 4)}, reals(1), loss="mse"),
        "two_tower": Case(TwoTower, {"history": tokens, "seen": mask.bool(), "item": integers(VOCABULARY), "features": reals(2)},
                          reals(), loss="mse", output="score", fixed={"temperature": 2.0}, lengths=("history", "seen")),
    }


def export(case, model, path):
    """In float64, or the type of the model's parameters. What one judge has exported of this file's models the next ones copy."""
    model.train(case.training)
    kept = exported_before(case, model)
    if kept and kept.exists():
        shutil.copyfile(kept, path)
        return
    dtype = next(model.parameters()).dtype
    batch, length = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim.AUTO
    examples = {name: array[:3].to(dtype) if array.is_floating_point() else array[:3] for name, array in case.inputs.items()}
    shapes = {name: {0: batch, **({1: length} if name in case.lengths else {})} for name in case.inputs}
    program = torch.export.export(model, (), {**examples, **case.fixed}, dynamic_shapes={**shapes, **{name: None for name in case.fixed}})
    torch.export.save(program, path)
    if kept:
        kept.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(pathlib.Path(path).read_bytes())
        os.replace(file.name, kept)


def exported_before(case, model):
    """The file that holds this export: it is named by all that the export depends on. None of a model that is made with arguments."""
    if "LOCKSTEP_BIN" not in os.environ or globals().get(getattr(case.model, "__name__", None)) is not case.model:
        return None
    key = hashlib.sha256(f"{torch.__version__} {case.model} {case.fixed} {case.lengths} {case.training}".encode())
    key.update(pathlib.Path(__file__).read_bytes())
    for name, array in case.inputs.items():
        key.update(f"{name} {array.dtype} {list(array.shape[1:])}".encode())
    for name, tensor in model.state_dict().items():
        key.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode() + tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    key.update(f"{[name for name, parameter in model.named_parameters() if not parameter.requires_grad]}".encode())
    return pathlib.Path(os.environ["LOCKSTEP_BIN"]).parent / "exported" / f"{key.hexdigest()}.pt2"
