"""The cases of BiasGeluBenchmark.cpp in torch, which has no operator for both: an addition and gelu."""

import torch

SHAPES = {"float32/1024x3072": (torch.float32, 1024, 3072), "bfloat16/1024x3072": (torch.bfloat16, 1024, 3072)}


def tensors(element, rows, columns):
    generator = torch.Generator().manual_seed(1)
    x, dy = (torch.randn(rows, columns, generator=generator).to(element) for _ in range(2))
    return x, dy, torch.randn(columns, generator=generator).to(element)


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


PEERS = {}
for kind, approximate in (("bias_gelu", "none"), ("bias_gelu_tanh", "tanh")):
    for name, shape in SHAPES.items():
        for suffix, make in (("", forward), ("_backward", backward)):
            PEERS[f"{kind}{suffix}/{name}"] = {
                "torch composite": lambda make=make, approximate=approximate, shape=shape: make(approximate, *shape)}
