"""The cases of LayerNormBenchmark.cpp in torch."""

import torch


def tensors(element, rows, columns):
    x, other = (torch.randn(rows, columns).to(element) for _ in range(2))
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


def peers(gpu):
    found = {}
    for element, rows, columns in (("float32", 65536 if gpu else 8192, 768), ("bfloat16", 65536 if gpu else 8192, 768),
                                   ("float32", 32768 if gpu else 1024, 1600)):
        name, shape = f"{element}/{rows}x{columns}", (getattr(torch, element), rows, columns)
        found[f"layer_norm/{name}"] = {"torch": lambda shape=shape: forward(*shape)}
        found[f"layer_norm_residual/{name}"] = {"torch composite": lambda shape=shape: residual(*shape)}
        found[f"layer_norm_backward/{name}"] = {"torch": lambda shape=shape: backward(*shape)}
    return found
