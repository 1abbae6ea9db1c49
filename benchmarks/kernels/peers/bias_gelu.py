"""The cases of BiasGeluBenchmark.cpp in torch, which has no operator for both: an addition and gelu."""

import torch

COLUMNS = 3072


def tensors(element, rows):
    x, dy = (torch.randn(rows, COLUMNS).to(element) for _ in range(2))
    return x, dy, torch.randn(COLUMNS).to(element)


def forward(approximate, *shape):
    x, _, bias = tensors(*shape)
    return lambda: torch.nn.functional.gelu(x + bias, approximate=approximate)


def backward(approximate, *shape):
    x, dy, bias = tensors(*shape)
    z = x + bias

    def step():
        dx = torch.ops.aten.gelu_backward(dy, z, approximate=approximate)
        return dx, dx.sum(0)

    return step


def peers(gpu):
    rows = 16384 if gpu else 1024
    return {f"{kind}{suffix}/{name}/{rows}x{COLUMNS}": {
                "torch composite": lambda make=make, approximate=approximate, element=element: make(approximate, element, rows)}
            for kind, approximate in (("bias_gelu", "none"), ("bias_gelu_tanh", "tanh"))
            for name, element in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
            for suffix, make in (("", forward), ("_backward", backward))}
