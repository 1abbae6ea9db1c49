"""Max-pool and ReLU over images with channels last, as torch has them; backward through autograd's own operators."""

import torch
from torch.nn.functional import max_pool2d, relu

ELEMENTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def forward(shape, pool, element):
    def make():
        x = torch.randn(shape).to(element, memory_format=torch.channels_last)
        return lambda: relu(torch.ops.aten.max_pool2d_with_indices(x, pool[0], pool[1], pool[2])[0])
    return make


def backward(shape, pool, element):
    def make():
        x = torch.randn(shape).to(element, memory_format=torch.channels_last).requires_grad_()
        y = relu(max_pool2d(x, *pool))
        dy = torch.randn_like(y)
        return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)
    return make


def peers(gpu):
    small, large = (4096, 128) if gpu else (256, 16)
    shapes = [((small, 32, 26, 26), (2, 2, 0)), ((small, 64, 11, 11), (2, 2, 0)), ((large, 64, 112, 112), (3, 2, 1))]
    return {f"{name}/{element}/{batch}x{size}x{size}x{channels} by {pool[0]}": {"torch": make((batch, channels, size, size), pool, dtype)}
            for name, make in (("max_pool_relu", forward), ("max_pool_relu_backward", backward))
            for element, dtype in ELEMENTS.items() for (batch, channels, size, _), pool in shapes}
