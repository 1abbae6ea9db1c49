"""The cases of BatchNormBenchmark.cpp in torch."""

import torch


def tensors(element, rows, columns):
    side = round((rows / 64) ** 0.5)
    images = [torch.randn(64, columns, side, side).to(element).contiguous(memory_format=torch.channels_last) for _ in range(2)]
    return *images, torch.ones(columns), torch.zeros(columns), torch.zeros(columns), torch.ones(columns)


def forward(residual, *shape):
    x, other, weight, bias, mean, variance = tensors(*shape)

    def run():
        y = torch.nn.functional.batch_norm(x, mean, variance, weight, bias, True)
        if residual:
            y += other
        return torch.relu_(y)
    return run


def backward(residual, *shape):
    x, dy, weight, bias, mean, variance = tensors(*shape)
    y, saved_mean, saved_rstd = torch.ops.aten.native_batch_norm(x, weight, bias, mean, variance, True, 0.1, 1e-5)
    y = torch.relu(y + dy if residual else y)

    def run():
        gradient = torch.ops.aten.threshold_backward(dy, y, 0)
        return torch.ops.aten.native_batch_norm_backward(gradient, x, weight, mean, variance, saved_mean, saved_rstd, True, 1e-5, [True, True, True])
    return run


def peers(gpu):
    found = {}
    for element, rows, columns in () if gpu else (("float32", 65536, 64), ("float32", 4096, 512), ("bfloat16", 65536, 64)):
        case, shape = f"{element}/{rows}x{columns}", (getattr(torch, element), rows, columns)
        for residual, name in ((False, "batch_norm_relu"), (True, "batch_norm_residual_relu")):
            found[f"{name}/{case}"] = {"torch composite": lambda shape=shape, residual=residual: forward(residual, *shape)}
            found[f"{name}_backward/{case}"] = {"torch composite": lambda shape=shape, residual=residual: backward(residual, *shape)}
    return found
