"""The cases of LayerNormBenchmark.cpp in torch."""

import torch

SHAPES = {"float32/8192x768": (torch.float32, 8192, 768), "bfloat16/8192x768": (torch.bfloat16, 8192, 768),
          "float32/1024x1600": (torch.float32, 1024, 1600)}


def tensors(element, rows, columns):
    generator = torch.Generator().manual_seed(1)
    x, other = (torch.randn(rows, columns, generator=generator).to(element) for _ in range(2))
    return x, other, torch.ones(columns), torch.zeros(columns)


def forward(*shape):
    x, _, weight, bias = tensors(*shape)
    return lambda: torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)


def residual(*shape):
    x, other, weight, bias = tensors(*shape)
    return lambda: torch.nn.functional.layer_norm(x + other, x.shape[-1:], weight, bias, 1e-5)


def backward(*shape):
    x, dy, weight, bias = tensors(*shape)
    _, mean, rstd = torch.ops.aten.native_layer_norm(x, x.shape[-1:], weight, bias, 1e-5)
    return lambda: torch.ops.aten.native_layer_norm_backward(dy, x, x.shape[-1:], mean, rstd, weight, bias,
                                                             [True, True, True])


PEERS = {}
for name, shape in SHAPES.items():
    PEERS[f"layer_norm/{name}"] = {"torch": lambda shape=shape: forward(*shape)}
    PEERS[f"layer_norm_residual/{name}"] = {"torch composite": lambda shape=shape: residual(*shape)}
    PEERS[f"layer_norm_backward/{name}"] = {"torch": lambda shape=shape: backward(*shape)}
